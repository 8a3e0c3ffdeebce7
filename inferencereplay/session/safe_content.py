"""Side files without secrets: what is text in them is redacted, as everything else is; other content stays as it is."""

from __future__ import annotations

import codecs
import functools
from typing import TYPE_CHECKING

from inferencereplay.recording.side_file import HeldFile, side_file
from inferencereplay.redaction.redactor import REDACTED

if TYPE_CHECKING:
    from collections.abc import Iterator

    from inferencereplay.recording.side_file import SideFile
    from inferencereplay.redaction.redactor import Redactor

MOST_AT_ONCE = 16 * 1024 * 1024
"""Characters that are searched together; a longer text is cut at the ends of lines."""
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
        is_changed = False
        held = HeldFile()
        try:
            for text in _texts(side, encoding):
                safe = redact(text)
                is_changed |= safe is not text
                held.write(safe.encode(encoding))
        except UnicodeDecodeError:
            continue
        if is_changed:
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


def _texts(side: SideFile, encoding: str) -> Iterator[str]:
    """Yield a content as text, cut at the ends of lines where it is long.

    Raises:
        UnicodeDecodeError: if it is no text in that encoding.
    """
    decoder, text = codecs.getincrementaldecoder(encoding)(), ""
    for block in side.blocks():
        text += decoder.decode(block)
        if "\0" in text:
            raise UnicodeDecodeError(encoding, b"\0", 0, 1, "no text has it")
        if len(text) > MOST_AT_ONCE:
            end = text.rfind("\n") + 1 or len(text)
            yield text[:end]
            text = text[end:]
    yield text + decoder.decode(b"", final=True)
