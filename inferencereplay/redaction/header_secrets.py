"""The secrets in the headers of a request."""

from __future__ import annotations

import functools
import re
from typing import TYPE_CHECKING, Any

from inferencereplay.redaction.encodings import encodings_of
from inferencereplay.redaction.redactor import SHORTEST_LITERAL

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

PLACEHOLDER = "inferencereplay-placeholder"
"""The API key of a client that was made without one; a replay never sends it."""
_SECRET_HEADERS = ("auth", "key", "token", "cookie", "secret", "openai-organization", "openai-project")
_SCHEME = re.compile(r"^\s*[\w-]+\s+(?=\S)")
_PARAMETER = re.compile(r"^[\w.-]+=(?=[^=])")


def header_secrets(headers: Iterable[tuple[str, Any]]) -> list[Any]:
    """Return the values of headers that hold a secret, and their parts, as in `Bearer …` and `sid=…; theme=…`."""
    values: list[Any] = []
    for name, value in headers:
        if isinstance(value, str) and _is_secret(name):
            values += [value, *_parts(name, value)]
    return values


@functools.lru_cache(maxsize=1_000)
def holds_secret(name: bytes) -> bool:
    """Whether a header of that name, in any case, may hold a secret."""
    return _is_secret(name.decode("latin-1"))


@functools.lru_cache(maxsize=1_000)
def _is_secret(name: str) -> bool:
    name = name.lower()
    return any(part in name for part in _SECRET_HEADERS)


def _parts(name: str, value: str) -> Iterator[str]:
    """Yield the parts of a header's value, without the scheme, and without the names of parameters and cookies.

    Those are words such as `Signature` or `content-type`, which a chat may hold as well. If a recording redacted them,
    a replay would not find it: in replay nothing is signed, and these words are not known as secrets.
    """
    if "authorization" in name.lower():
        pieces = re.split(r"[\s,]+", _SCHEME.sub("", value))
    else:
        pieces = re.split(r"[\s;,]+", value)
    for piece in pieces:
        yield _PARAMETER.sub("", piece).strip('"=')


def literals_of(values: Iterable[Any]) -> tuple[str, ...]:
    """Return the texts among some values that are long enough to be secrets, in each way that they may be encoded."""
    found = {value for value in values if isinstance(value, str) and len(value) >= SHORTEST_LITERAL}
    found = {value for value in found if PLACEHOLDER not in value}
    return encodings_of(tuple(sorted(found - {"<missing API key>"})))
