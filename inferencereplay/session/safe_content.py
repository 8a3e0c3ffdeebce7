"""Side files without secrets: what is text in them is redacted, as everything else is; other content stays as it is."""

from __future__ import annotations

import codecs
import functools
from typing import TYPE_CHECKING

from inferencereplay.recording.side_file import HashedFile, side_file
from inferencereplay.redaction.redactor import REDACTED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from inferencereplay.recording.side_file import SideFile
    from inferencereplay.redaction.redactor import Redactor

MOST_AT_ONCE = 16 * 1024 * 1024
"""Characters that are searched together; a longer text is cut."""
_ENDS = "\n, "
"""Behind what it is cut: a line, or else a member of JSON, or else a word."""
_ENCODINGS = ("utf-8", "utf-16-le", "utf-16-be", "latin-1")
"""What is not in the first may be in several of the others; the last stands for all that are ASCII and more."""


def without_secrets(side: SideFile, redactor: Redactor, content_type: str, *, keeps_length: bool = False) -> SideFile:
    """Return a side file without what is secret; the same object if there is nothing.

    Args:
        side: the side file.
        redactor: finds what is secret.
        content_type: what the content is, as a header says it.
        keeps_length: whether what stands in the place of a secret takes as many bytes.
    """
    for encoding in _ENCODINGS:
        redact = functools.partial(_redacted_in_place, redactor, encoding) if keeps_length else redactor.text
        try:
            held = _redacted(side, redact, encoding)
        except UnicodeDecodeError:
            continue
        if held is not None:
            return side_file(held, content_type)
        if encoding == _ENCODINGS[0]:
            break
    return side


def _redacted_in_place(redactor: Redactor, encoding: str, text: str) -> str:
    """Redact a text so that it takes as many bytes in that encoding."""
    safe, end, width = [], 0, len(" ".encode(encoding))
    for first, last in redactor.spans(text):
        length = len(text[first:last].encode(encoding)) // width
        safe += [text[end:first], REDACTED[:length].ljust(length)]
        end = last
    return "".join([*safe, text[end:]]) if safe else text


def _redacted(side: SideFile, redact: Callable[[str], str], encoding: str) -> HashedFile | None:
    """Return a content without what is secret, or `None` if there is nothing, as nearly always: then nothing is copied.

    Raises:
        UnicodeDecodeError: if it is no text in that encoding.
    """
    clean = 0
    for text in _texts(side, encoding):
        if redact(text) is not text:
            break
        clean += 1
    else:
        return None
    held = HashedFile()
    for index, text in enumerate(_texts(side, encoding)):
        held.append((text if index < clean else redact(text)).encode(encoding))
    return held


def _texts(side: SideFile, encoding: str) -> Iterator[str]:
    """Yield a content as text, cut where it is long.

    Raises:
        UnicodeDecodeError: if it is no text in that encoding.
    """
    decoder, parts, length = codecs.getincrementaldecoder(encoding)(), [""], 0
    for block in side.blocks():
        part = decoder.decode(block)
        if "\0" in part:
            raise UnicodeDecodeError(encoding, b"\0", 0, 1, "no text has it")
        parts.append(part)
        length += len(part)
        if length > MOST_AT_ONCE:
            text = "".join(parts)
            end = next((at + 1 for sign in _ENDS if (at := text.rfind(sign)) >= 0), length)
            yield text[:end]
            parts, length = [text[end:]], length - end
    yield "".join(parts) + decoder.decode(b"", final=True)
