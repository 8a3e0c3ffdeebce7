"""Secrets in pieces: the chunks of a stream, and the tokens of `logprobs`.

What the chunks of one choice add up to is looked through as one text, and what its tokens add up to as another. Where a
secret reaches over several pieces, `[REDACTED]` stands in the first of them, and the others lose their part.
"""

from __future__ import annotations

import contextlib
import re
from typing import TYPE_CHECKING, Any

import msgspec

from inferencereplay.recording.text_chunks import read_known_chunks, read_text_chunks, texts_of
from inferencereplay.redaction.redactor import REDACTED, respelt

if TYPE_CHECKING:
    from collections.abc import Iterator

    from inferencereplay.redaction.redactor import Redactor

_MEMBERS = ("delta", "text")
"""Below these stand the pieces, in each of `choices`, or in an event of the Responses API."""
_PLACES = ("type", "item_id", "output_index", "content_index", "summary_index")
"""What tells the texts of the Responses API apart."""
_LOGPROBS = re.compile(rb'"logprobs"\s*:(?!\s*(?:null|\[\s*\]))')
"""Where JSON holds tokens; most chunks say that they have none."""


class _Piece(msgspec.Struct, gc=False):
    """A piece of text: the number of its chunk, and its place there; of a token, its alternatives as well."""

    chunk: int
    holder: Any
    name: Any
    alternatives: tuple[Any, Any] = (None, None)

    @property
    def text(self) -> str:
        text: str = self.holder[self.name]
        return text

    def put(self, text: str) -> None:
        """Put another text in its place, and remove what shows the old one."""
        self.holder[self.name] = text
        if isinstance(self.holder, dict):
            self.holder.update(respelt(self.holder))
        holder, name = self.alternatives
        with contextlib.suppress(LookupError, TypeError):  # a token without alternatives
            holder[name] = type(holder[name])()


_Texts = dict[tuple[str, ...], list[_Piece]]
"""The pieces of each text, by what tells it from the others."""


def redact_fragments(chunks: list[bytes], redactor: Redactor) -> list[bytes]:
    """Return the chunks of a stream without the secrets that are in pieces; the same list if there are none.

    Args:
        chunks: JSON, each a chunk's; or a single one, which is a plain answer.
        redactor: finds what is secret.
    """
    read = [*map(msgspec.json.decode, chunks)]
    has_tokens = _has_tokens(b"\n".join(chunks))
    texts: _Texts = {}
    for number, chunk in enumerate(read):
        if isinstance(chunk, dict):
            _gather_event(texts, number, chunk)
            if has_tokens:
                _gather_logprobs(texts, number, _place(chunk), chunk)
    changed: set[int] = set()
    for pieces in texts.values():
        changed.update(_redacted_chunks(pieces, redactor.spans("".join(piece.text for piece in pieces))))
    if not changed:
        return chunks
    return [msgspec.json.encode(read[number]) if number in changed else raw for number, raw in enumerate(chunks)]


def plain_texts(chunks: list[bytes]) -> list[str] | None:
    """Return what the pieces in the chunks of a stream add up to, where they are texts; `None` where they are more."""
    text = b"\n".join(chunks)
    try:
        return texts_of(read_known_chunks(text))
    except msgspec.DecodeError:
        pass
    if _has_tokens(text):
        return None
    try:
        return texts_of(read_text_chunks(text))
    except (msgspec.DecodeError, RecursionError):
        return None


def redact_tokens(body: bytes, redactor: Redactor) -> bytes:
    """Return a plain answer without the secrets in its `logprobs`; the very same bytes if there are none."""
    return redact_fragments([body], redactor)[0] if _has_tokens(body) else body


def _has_tokens(raw: bytes) -> bool:
    """Whether JSON holds tokens; to count what says that there are none takes a tenth of the time of a search."""
    nulls = raw.count(b'"logprobs":null') + raw.count(b'"logprobs": null')
    return raw.count(b'"logprobs"') > nulls and _LOGPROBS.search(raw) is not None


def _gather_event(texts: _Texts, number: int, event: dict[str, Any]) -> None:
    """Add the pieces that stand in a chunk to their texts."""
    if any(name in event for name in _MEMBERS):
        _gather_members(texts, number, _place(event), event)
    choices = event.get("choices")
    for choice in choices if isinstance(choices, list) else ():
        if isinstance(choice, dict):
            _gather_members(texts, number, (repr(choice.get("index")),), choice)


def _place(event: dict[str, Any]) -> tuple[str, ...]:
    return tuple(repr(event.get(name)) for name in _PLACES)


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
                index = repr(item.get("index"))
                for member in item:
                    _gather(texts, number, (*place, index), item, member)


def _gather_logprobs(texts: _Texts, number: int, place: tuple[str, ...], value: Any) -> None:
    """Add the tokens below each `logprobs`, wherever that stands; the place of the items of a list tells them apart."""
    if isinstance(value, list):
        for at, item in enumerate(value):
            index = item.get("index", at) if isinstance(item, dict) else at
            _gather_logprobs(texts, number, (*place, repr(index)), item)
    elif isinstance(value, dict):
        for name, item in value.items():
            gather = _gather_tokens if name == "logprobs" else _gather_logprobs
            gather(texts, number, (*place, name), item)


def _gather_tokens(texts: _Texts, number: int, place: tuple[str, ...], value: Any, beside: Any = None) -> None:
    """Add tokens: objects with their bytes and alternatives, or texts, whose alternatives stand in a list `beside`."""
    if isinstance(value, dict):
        for name, item in value.items():
            _gather_tokens(texts, number, (*place, name), item, value.get("top_logprobs"))
    for at, item in enumerate(value if isinstance(value, list) else ()):
        if isinstance(item, str):
            texts.setdefault(place, []).append(_Piece(number, value, at, (beside, at)))
        elif isinstance(item, dict) and isinstance(item.get("token"), str):
            texts.setdefault(place, []).append(_Piece(number, item, "token", (item, "top_logprobs")))


def _redacted_chunks(pieces: list[_Piece], spans: list[tuple[int, int]]) -> Iterator[int]:
    """Redact the spans of a text in its pieces, and yield the numbers of the chunks that this changes."""
    begin = 0
    for piece in pieces if spans else ():
        text = piece.text
        end, made, at = begin + len(text), "", begin
        for first, last in spans:
            if first < end and last > begin:
                made += text[at - begin : max(first - begin, 0)] + (REDACTED if first >= begin else "")
                at = min(last, end)
        if at != begin:
            piece.put(made + text[at - begin :])
            yield piece.chunk
        begin = end
