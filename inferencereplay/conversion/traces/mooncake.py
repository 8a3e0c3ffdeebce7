"""Traces in the format of Mooncake: lengths and shared prefixes instead of texts."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from inferencereplay.conversion.traces.aiperf import milliseconds
from inferencereplay.conversion.traces.tokens import count, prompt

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable, Iterator

    from inferencereplay.catalogue.entries import Entry
    from inferencereplay.conversion.traces.timeline import Timeline

BLOCK = 512
"""Tokens of a block."""


class _Length(NamedTuple):
    input: int
    output: int
    characters: int


def lines(timeline: Timeline, counts: Counter[str], tokenizer: Callable[[str], Any] | None) -> Iterator[str]:
    """Yield a line for each call: milliseconds from the first call, tokens, and the numbers of its prompt's blocks.

    Two prompts that begin alike have the first numbers in common. Which characters make a block is estimated from the
    directory's characters for each token, because the recordings hold no tokens. See section 4 of
    https://arxiv.org/abs/2407.00079.
    """
    lengths = [_length(call.entry, tokenizer) for call in timeline]
    known = [length for length in lengths if length]
    total = sum(length.input for length in known)
    size = max(1, round(BLOCK * sum(length.characters for length in known) / max(1, total)))
    numbers: dict[bytes, int] = {}
    for call, length in zip(timeline, lengths, strict=True):
        if length is None:
            counts["without a count of tokens" if _is_answered(call.entry) else "no generated text"] += 1
            continue
        counts["exported"] += 1
        blocks = _blocks(prompt(call.entry.conversation), length.input, size)
        line = {
            "timestamp": milliseconds(call.seconds),
            "input_length": length.input,
            "output_length": length.output,
            "hash_ids": [numbers.setdefault(block, len(numbers)) for block in blocks],
        }
        yield msgspec.json.encode(line).decode() + "\n"


def _is_answered(entry: Entry) -> bool:
    return entry.conversation.kind != "embedding" and bool(entry.conversation.choices)


def _length(entry: Entry, tokenizer: Callable[[str], Any] | None) -> _Length | None:
    if not _is_answered(entry):
        return None
    tokens = count(entry.conversation, tokenizer)
    if tokens.input is None or tokens.output is None:
        return None
    return _Length(tokens.input, tokens.output, len(prompt(entry.conversation)))


def _blocks(text: str, length: int, size: int) -> Iterator[bytes]:
    """Yield a digest of each block of a prompt and of all that is before it.

    The last block, which has the rest of the text, is another one than a whole block with the same beginning, because
    it has another number of tokens.
    """
    state = hashlib.blake2b(digest_size=16)
    last = -(-length // BLOCK) - 1
    for index in range(last + 1):
        is_last = index == last
        piece = text[index * size :] if is_last else text[index * size : (index + 1) * size]
        state.update(f"{len(piece)} {length % BLOCK if is_last else 0} ".encode() + piece.encode("utf-8", "replace"))
        yield state.digest()
