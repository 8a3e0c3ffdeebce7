"""Secrets that a stream sends in pieces, one chunk each.

What the chunks of one choice add up to is looked through as one text. Where a secret reaches over several chunks,
`[REDACTED]` stands in the first of them, and the others lose their part.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from inferencereplay.redact import REDACTED

if TYPE_CHECKING:
    from collections.abc import Iterator

    from inferencereplay.redact import Redactor

_MEMBERS = ("delta", "text")
"""Below these stand the pieces, in each of `choices`, or in an event of the Responses API."""
_PLACES = ("item_id", "output_index", "content_index", "summary_index")
"""What tells the texts of the Responses API apart."""


class _Piece(msgspec.Struct):
    """A piece of text: the number of its chunk, and where in it it stands."""

    chunk: int
    holder: dict[str, Any]
    name: str

    @property
    def text(self) -> str:
        text: str = self.holder[self.name]
        return text


_Texts = dict[tuple[str, ...], list[_Piece]]
"""The pieces of each text, by what tells it from the others."""


def hide_pieces(chunks: list[bytes], redactor: Redactor, literals: tuple[str, ...]) -> list[bytes]:
    """Return the chunks of a stream without the secrets that reach over several; the same list if there are none.

    Args:
        chunks: JSON, each a chunk's.
        redactor: tells what is secret.
        literals: as its methods take them.
    """
    read = [*map(msgspec.json.decode, chunks)]
    texts: _Texts = {}
    for number, chunk in enumerate(read):
        if isinstance(chunk, dict):
            _gather_event(texts, number, chunk)
    changed: set[int] = set()
    for pieces in texts.values():
        changed.update(_hide(pieces, redactor.spans("".join(piece.text for piece in pieces), literals)))
    if not changed:
        return chunks
    return [msgspec.json.encode(read[number]) if number in changed else raw for number, raw in enumerate(chunks)]


def _gather_event(texts: _Texts, number: int, event: dict[str, Any]) -> None:
    """Add the pieces that stand in a chunk to their texts."""
    if any(name in event for name in _MEMBERS):
        _gather_members(texts, number, tuple(str(event.get(name)) for name in _PLACES), event)
    choices = event.get("choices")
    for choice in choices if isinstance(choices, list) else ():
        if isinstance(choice, dict):
            _gather_members(texts, number, (str(choice.get("index")),), choice)


def _gather_members(texts: _Texts, number: int, place: tuple[str, ...], holder: dict[str, Any]) -> None:
    for name in _MEMBERS:
        if name in holder:
            _gather(texts, number, place, holder, name)


def _gather(texts: _Texts, number: int, place: tuple[str, ...], holder: dict[str, Any], name: str) -> None:
    value = holder[name]
    place = (*place, name)
    if isinstance(value, str):
        texts.setdefault(place, []).append(_Piece(number, holder, name))
    elif isinstance(value, dict):
        for member in value:
            _gather(texts, number, place, value, member)
    elif isinstance(value, list):  # of tool calls, each with its index
        for item in value:
            if isinstance(item, dict):
                index = str(item.get("index"))
                for member in item:
                    _gather(texts, number, (*place, index), item, member)


def _hide(pieces: list[_Piece], spans: list[tuple[int, int]]) -> Iterator[int]:
    """Take the spans of a text out of its pieces, and yield the numbers of the chunks that this changes."""
    begin = 0
    for piece in pieces if spans else ():
        text = piece.text
        end, made, at = begin + len(text), "", begin
        for first, last in spans:
            if first < end and last > begin:
                made += text[at - begin : max(first - begin, 0)] + (REDACTED if first >= begin else "")
                at = min(last, end)
        if at != begin:
            piece.holder[piece.name] = made + text[at - begin :]
            yield piece.chunk
        begin = end
