"""Traces in the format of Mooncake: lengths and shared prefixes instead of texts."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import msgspec

from inferencereplay.conversion.traces.aiperf import milliseconds
from inferencereplay.conversion.traces.tokens import count, prompt

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable, Iterator

    from inferencereplay.conversion.traces.timeline import Timeline
    from inferencereplay.conversion.traces.tokens import Tokens

BLOCK = 512
"""Tokens of a block."""


def lines(timeline: Timeline, counts: Counter[str], tokenizer: Callable[[str], Any] | None) -> Iterator[str]:
    """Yield a line for each call: milliseconds from the first call, tokens, and the numbers of its prompt's blocks.

    Two prompts that begin alike have the first numbers in common. Which characters make a block is estimated from the
    directory's characters for each token, because the recordings hold no tokens. See section 4 of
    https://arxiv.org/abs/2407.00079.
    """
    counted = [count(call.entry, tokenizer) for call in timeline]
    size = _characters(timeline, counted)
    numbers: dict[bytes, int] = {}
    for call, (length, reason) in zip(timeline, counted, strict=True):
        if reason:
            counts[reason] += 1
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


def _characters(timeline: Timeline, counted: list[tuple[Tokens, str]]) -> int:
    """Return how many characters a block has on average."""
    characters = tokens = 0
    for call, (length, reason) in zip(timeline, counted, strict=True):
        if not reason:
            characters += len(prompt(call.entry.conversation))
            tokens += length.input
    return max(1, round(BLOCK * characters / max(1, tokens)))


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
