"""The place of a recording, and the name of its file: the first digits of the key, and the number of the variant.

`<32 hex>.json` is the first variant of a key, `<32 hex>~2.json` the second one.
"""

from __future__ import annotations

import functools
import hashlib
import re
from typing import NamedTuple
from urllib.parse import quote

DIGITS = 32
"""Of the key's 64, in a file name: 128 bits; the whole key is in the file."""
LONGEST_GAP = 8
"""Numbers that are tried past one that is missing."""
LONGEST_PART = 200
"""Characters of a folder's name; file systems end at 255."""
_NAME = re.compile(r"([0-9a-f]{32})(?:~([2-9]|[1-9][0-9]+))?\.json")
is_file_name = _NAME.fullmatch
"""Whether a name is that of a recording's file."""


class Address(NamedTuple):
    """The place of a recording: the request's path and key, and the number of the variant, counted from 1."""

    path: str
    key: str
    number: int


def file_name(digits: str, number: int) -> str:
    """Return the name of a file.

    Args:
        digits: of the key, 32 or more.
        number: of the variant.
    """
    return f"{digits[:DIGITS]}~{number}.json" if number > 1 else f"{digits[:DIGITS]}.json"


def parse_file_name(name: str) -> tuple[str, int] | None:
    """Return the 32 digits and the number in the name of a recording's file; `None` for any other name."""
    found = _NAME.fullmatch(name)
    return (found[1], int(found[2] or 1)) if found else None


@functools.lru_cache(1_000)
def folder_names(path: str) -> tuple[str, ...]:
    """Return the names of the nested folders in which the recordings of a request's path are."""
    return tuple(_safe(part) for part in path.split("/") if part)


def _safe(part: str) -> str:
    """Make one part of a request's path the name of a folder, whatever a caller put into it."""
    name = quote(part, safe="")
    if len(name) > LONGEST_PART:
        digest = hashlib.sha256(part.encode()).hexdigest()[:DIGITS]
        return f"{name[: LONGEST_PART - DIGITS - 1]}~{digest}"
    return name.replace(".", "%2E") if name.strip(".") == "" else name
