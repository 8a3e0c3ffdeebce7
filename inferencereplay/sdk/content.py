"""The content of a plain answer: from the bytes that a server sent to a recording, and back."""

from __future__ import annotations

import codecs
import email.message
import functools
import json
import re
from typing import TYPE_CHECKING

import msgspec

from inferencereplay.recording.format import MOST_INDENT
from inferencereplay.recording.side_file import side_file

if TYPE_CHECKING:
    from collections.abc import Iterable

    from inferencereplay.recording.format import Response

MOST_LAID_OUT = 64
"""How many times as large as its JSON an answer may get by white space; deep nesting would make it thousands."""
_STRUCTURE = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"|[\[{\]},]')
_SPACES = b" \t\r\n"


def fill(kept: Response, content: bytes, *, is_binary: bool = False) -> None:
    """Put the content of a plain answer into a recording's: JSON, text that its charset gives back, or bytes.

    Args:
        kept: the recording's.
        content: the content.
        is_binary: whether the SDK gives it out as bytes, whatever it is.
    """
    if is_binary and content:
        kept.binary = side_file(content, kept.headers.get("content-type", ""))
        return
    body = content.strip(_SPACES)
    try:
        msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        _fill_text(kept, content)
        return
    start = content.index(body)
    kept.body = msgspec.Raw(body)
    kept.leading, kept.trailing = content[:start].decode(), content[start + len(body) :].decode()
    kept.indent = next((indent for indent in _indents(body) if msgspec.json.format(body, indent=indent) == body), -1)


def _indents(body: bytes) -> Iterable[int]:
    """Return the layouts that JSON may have: without spaces, on one line, or indented as its second line is."""
    line = body[1:].lstrip(b"\n")[:MOST_INDENT]
    return -1, 0, len(line) - len(line.lstrip(b" "))


def _fill_text(kept: Response, content: bytes) -> None:
    known = charset(kept)
    for encoding in (known, _json_encoding(content) if content else "utf-8"):
        if (text := _text(content, encoding)) is not None:
            kept.text, kept.encoding = text, "" if encoding == known else encoding
            return
    fill(kept, content, is_binary=True)


def _text(content: bytes, encoding: str) -> str | None:
    """Return content as a text; `None` if that would not give back the same bytes."""
    if not encoding or is_for_hosts(encoding):
        return None
    try:
        text = content.decode(encoding)
        is_same = text.encode(encoding) == content
    except (LookupError, UnicodeError):  # a codec of bytes is no text's
        return None
    return text if is_same else None


def _json_encoding(content: bytes) -> str:
    """Return the encoding in which the SDK reads JSON, empty if it is not JSON; a byte order mark stays in the text."""
    try:
        json.loads(content)
    except (ValueError, RecursionError):
        return ""
    found = json.detect_encoding(content)
    if found in ("utf-16", "utf-32"):
        return f"{found}-be" if content.startswith((codecs.BOM_UTF16_BE, codecs.BOM_UTF32_BE)) else f"{found}-le"
    return found.removesuffix("-sig")


def plain_content(response: Response) -> bytes:
    """Return the bytes of a plain answer, laid out as they were sent."""
    if response.binary is not None:
        return response.binary.read()
    body = bytes(response.body)
    if not body:
        return _encode(response.text or "", response.encoding or charset(response))
    laid_out = msgspec.json.format(body, indent=response.indent)
    if response.leading or response.trailing:
        return response.leading.encode() + laid_out + response.trailing.encode()
    return laid_out


def _encode(text: str, known: str) -> bytes:
    """Encode a text as it was sent."""
    try:
        return text.encode(known)
    except (LookupError, ValueError):
        return text.encode()


def charset(response: Response) -> str:
    """Return the charset in which a text is sent, as the HTTP libraries see it."""
    return _charset(response.headers.get("content-type", ""))


@functools.lru_cache(maxsize=64)
def _charset(content_type: str) -> str:
    message = email.message.Message()
    message["content-type"] = content_type
    named = message.get_content_charset("utf-8")
    try:
        codecs.lookup(named)
    except (LookupError, ValueError):
        return "utf-8"
    return named


def is_for_hosts(known: str) -> bool:
    """Whether a charset is one for the names of hosts, which takes time by the square of a text's length."""
    return codecs.lookup(known).name in ("punycode", "idna")


def excessive_spaces(response: Response) -> int:
    """Count the white space of an edited file's answer before memory is taken for it; 0 if there is not too much."""
    if response.indent <= 0:
        return 0
    body = bytes(response.body)
    if body.count(b"[") + body.count(b"{") < MOST_LAID_OUT:
        return 0
    size = depth = 0
    for mark in _STRUCTURE.findall(body):
        depth += (mark in b"[{") - (mark in b"]}")
        size += depth * response.indent
    return size if size > MOST_LAID_OUT * len(body) else 0
