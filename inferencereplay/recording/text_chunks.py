"""The chunks of a stream of texts, each of a chat or of a completion, read in the least time.

Most streams are such: their choices say something, piece by piece, and call no tools.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence


class TextChunks(list[msgspec.Raw]):
    """The chunks of a stream of texts.

    Attributes:
        texts: what their pieces add up to; see `texts_of`.
    """

    __slots__ = ("texts",)

    def __init__(self, chunks: Iterable[msgspec.Raw], texts: list[str]) -> None:
        super().__init__(chunks)
        self.texts = texts


class TextChoice(msgspec.Struct, gc=False):
    """A choice in a chunk, as far as it matters for what it says; an index that is no number could be equal to one."""

    index: int | None = None
    delta: dict[str, str | None] = {}
    text: str = ""


class TextChunk(msgspec.Struct, gc=False):
    """A chunk of a chat or of a completion, perhaps with members that are not read."""

    choices: list[TextChoice]
    delta: None = None
    text: None = None


class _KnownChoice(TextChoice, gc=False, forbid_unknown_fields=True):
    logprobs: None = None
    finish_reason: str | None = None
    stop_reason: str | int | None = None


_Numbers = dict[str, int | float | None]


class _KnownChunk(TextChunk, gc=False, forbid_unknown_fields=True):
    choices: list[_KnownChoice]  # type: ignore[assignment]  # a list to which nothing is added
    id: str = ""
    object: str = ""
    created: int = 0
    model: str = ""
    service_tier: str | None = None
    system_fingerprint: str | None = None
    usage: dict[str, int | float | _Numbers | None] | None = None
    obfuscation: str = ""


read_text_chunks = msgspec.json.Decoder(TextChunk).decode_lines
"""Reads lines of JSON; raises `msgspec.DecodeError` if one of them is another kind of chunk."""
read_known_chunks: Callable[[bytes], Sequence[TextChunk]] = msgspec.json.Decoder(_KnownChunk).decode_lines
"""The same for chunks that have no members but the usual ones: nothing in them is left unread."""


def texts_of(chunks: Iterable[TextChunk]) -> list[str]:
    """Return what the pieces add up to, for each choice and each of its members."""
    by_index = defaultdict[int | None, list[TextChoice]](list)
    for chunk in chunks:
        for choice in chunk.choices:
            by_index[choice.index].append(choice)
    texts = []
    for choices in by_index.values():
        deltas = [choice.delta for choice in choices]
        texts += ["".join(filter(None, [delta.get(name) for delta in deltas])) for name in set().union(*deltas)]
        texts.append("".join([choice.text for choice in choices]))
    return [*filter(None, texts)]
