"""How alike two answers are, from 0 to 1."""

from __future__ import annotations

import base64
import binascii
import math
import re
import struct
from difflib import SequenceMatcher
from typing import TYPE_CHECKING

from inferencereplay.catalogue.conversation.parts import elements, members

if TYPE_CHECKING:
    from collections.abc import Sequence

    from inferencereplay.recording.request import JSON

_WORDS = re.compile(r"\w+|[^\w\s]")
_MANY = 2_000
"""Words from which on the frequent ones are left out: the time would grow with the square of their number."""
_FLOAT = 4


def text_similarity(old: str, new: str) -> float:
    """Return how many of the words of two texts stand in both in the same order, as `difflib` counts: 1 for all."""
    if old == new:
        return 1.0
    before, after = _WORDS.findall(old), _WORDS.findall(new)
    return SequenceMatcher(None, before, after, autojunk=max(len(before), len(after)) > _MANY).ratio()


def vector_similarity(old: JSON, new: JSON) -> float | None:
    """Return the least cosine of an answer's vectors and those of another one; `None` if they cannot be compared."""
    pairs = list(zip(_vectors(old), _vectors(new), strict=False))
    if not pairs or any(len(before) != len(after) or not before for before, after in pairs):
        return None
    return min(_cosine(*pair) for pair in pairs)


def _vectors(body: JSON) -> list[Sequence[float]]:
    return [_numbers(members(item).get("embedding")) for item in elements(members(body).get("data"))]


def _numbers(embedding: JSON) -> Sequence[float]:
    if isinstance(embedding, str):
        try:
            data = base64.b64decode(embedding, validate=True)
            return struct.unpack(f"<{len(data) // _FLOAT}f", data)
        except (binascii.Error, ValueError, struct.error):
            return ()
    numbers = elements(embedding)
    return numbers if all(isinstance(item, (int, float)) for item in numbers) else ()


def _cosine(one: Sequence[float], other: Sequence[float]) -> float:
    lengths = math.hypot(*one) * math.hypot(*other)
    return max(0.0, sum(a * b for a, b in zip(one, other, strict=True)) / lengths) if lengths else float(one == other)
