"""Where a store is: the path of a directory, or a URL."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
"""The beginning of a URL; a single letter is a drive of Windows."""


def is_url(place: object) -> bool:
    """Whether a text is a URL, and not the path of a directory."""
    return isinstance(place, str) and _URL.match(place) is not None


def is_there(place: str) -> bool:
    """Whether a directory exists; of a URL only a look into it tells, and it counts as there."""
    return is_url(place) or os.path.isdir(place)  # noqa: PTH112 - a text


def below(place: str, name: str) -> str:
    """Return the path or the URL of a file, by its name in a store."""
    return f"{place}{'/' if is_url(place) else os.sep}{name}"


def placed(place: str | os.PathLike[str], home: Path) -> str:
    """Return the path of a directory that is relative to a folder, in one spelling; a URL stays as it is."""
    if is_url(place):
        return str(place)
    return os.path.normpath(home / os.path.expanduser(place))  # noqa: PTH111
