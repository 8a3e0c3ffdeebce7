"""Forms as HTTP sends them (`multipart/form-data`, RFC 7578): their fields and files."""

from __future__ import annotations

import re
from email.parser import HeaderParser
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator
    from email.message import Message

KIND = "multipart/form-data"
_PERCENT = re.compile("%(22|0[0-9A-F]|1[0-9A-F])")
"""What clients write in the place of quotation marks and control characters in names."""


class Field(NamedTuple):
    """A field without a content type."""

    name: str
    value: str


class File(NamedTuple):
    """A file, or a field with a content type; its headers are those that count."""

    name: str
    filename: str | None
    headers: dict[str, str]
    file: bytes


def read_form(content_type: str, body: bytes) -> Iterator[Field | File]:
    """Yield the fields and files of a form, in order.

    Args:
        content_type: of the request, with the boundary.
        body: of the request.

    Raises:
        ValueError: if it is no form.
    """
    boundary = _headers(f"content-type: {content_type}").get_boundary()
    if not boundary:
        message = "it names no boundary"
        raise ValueError(message)
    _, *parts = (b"\r\n" + body).split(b"\r\n--" + boundary.encode())
    for part in parts:
        if part.startswith(b"--"):
            return
        start, line, rest = part.partition(b"\r\n")
        head, end, content = rest.partition(b"\r\n\r\n")
        if start.strip(b" \t") or not line or not end:
            message = "a part has no headers"
            raise ValueError(message)
        yield _part(_headers(head.decode("utf-8", "replace")), content)
    message = "it has no end"
    raise ValueError(message)


def _part(headers: Message, content: bytes) -> Field | File:
    name, filename = (_text(headers.get_param(word, None, "content-disposition")) for word in ("name", "filename"))
    if name is None:
        message = "a part has no name"
        raise ValueError(message)
    kind = headers["content-type"]
    try:
        if filename is None and kind is None:
            return Field(name, content.decode())
    except UnicodeDecodeError:
        pass
    return File(name, filename, {} if kind is None else {"content-type": kind}, content)


def _headers(text: str) -> Message:
    return HeaderParser().parsestr(text)


def _text(given: str | tuple[str | None, str | None, str] | None) -> str | None:
    """Return a parameter of a header as its client has meant it; `filename*=` names an encoding."""
    if isinstance(given, tuple):
        from email.utils import collapse_rfc2231_value  # noqa: PLC0415 - few clients send it

        return collapse_rfc2231_value(given)
    return given and _PERCENT.sub(lambda found: chr(int(found[1], 16)), given)
