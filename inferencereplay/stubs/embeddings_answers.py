"""Answers by hand of embeddings: https://platform.openai.com/docs/api-reference/embeddings/object."""

from __future__ import annotations

import array
import base64
import json
import math
import random
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from inferencereplay.recording.format import Response
    from inferencereplay.stubs.said import Asking

Vectors: TypeAlias = "int | tuple[tuple[float, ...], ...]"
"""The size of vectors that are made of the inputs, or the vectors of the inputs in turn."""
_DIGITS = 8


def answer(vectors: Vectors, usage: tuple[int, int] | None, asked: Asking) -> Response:
    """Make the answer that a server would send, in the format that the request asks for."""
    inputs = _inputs(asked.body.get("input"))
    is_coded = asked.body.get("encoding_format") == "base64"
    data = []
    for index, item in enumerate(inputs):
        vector = _seeded(item, asked, vectors) if isinstance(vectors, int) else vectors[index % len(vectors)]
        embedding: Any = _coded(vector) if is_coded else list(vector)
        data.append({"object": "embedding", "index": index, "embedding": embedding})
    tokens = usage[0] if usage else max(1, sum(len(json.dumps(item)) for item in inputs) // 4)
    return asked.plain(
        {
            "object": "list",
            "data": data,
            "model": asked.model,
            "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
        }
    )


def _inputs(given: Any) -> list[Any]:
    """Return the inputs, each of which gets a vector; a list of numbers is one input."""
    return given if isinstance(given, list) and given and not isinstance(given[0], int) else [given]


def _seeded(item: Any, asked: Asking, size: int) -> tuple[float, ...]:
    """Return a vector of length 1 that equal inputs, and only they, share."""
    wanted = asked.body.get("dimensions")
    chance = random.Random(json.dumps([asked.model, item]))  # noqa: S311 - no secret
    made = [chance.gauss(0, 1) for _ in range(wanted if isinstance(wanted, int) and wanted > 0 else size)]
    length = math.hypot(*made)
    return tuple(round(number / length, _DIGITS) for number in made)


def _coded(vector: tuple[float, ...]) -> str:
    numbers = array.array("f", vector)
    return base64.b64encode(numbers.tobytes()).decode()
