"""From JSON to the SDK's objects: what the fast way builds is what the SDK builds."""

from __future__ import annotations

import array
import base64
import json
import warnings
from collections import deque
from typing import Any

import pytest
from conftest import plain
from hypothesis import given
from hypothesis import strategies as st
from openai.types import CreateEmbeddingResponse
from openai.types.responses import Response
from ways import facts

from inferencereplay.recording.request import parse_json
from inferencereplay.sdk import model_builder, private
from inferencereplay.sdk.model_builder import EmbeddingsBuilder, ModelBuilder, has_vectors

FLOATS = [0.25, -1.0, 3.0e-5]


def answer(*embeddings: Any) -> bytes:
    data = [{"object": "embedding", "index": index, "embedding": item} for index, item in enumerate(embeddings)]
    return json.dumps({"object": "list", "model": "m", "data": data, "usage": {"prompt_tokens": 1}}).encode()


def coded(values: list[float]) -> str:
    return base64.b64encode(array.array("f", values).tobytes()).decode()


@given(
    st.lists(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), max_size=5), min_size=1, max_size=3)
)
def test_base64_becomes_numbers(vectors):
    """Embeddings in base64 become the very numbers that they stand for, and numbers stay numbers."""
    raw = answer(*map(coded, vectors))
    assert has_vectors(raw)
    made = EmbeddingsBuilder(CreateEmbeddingResponse)(raw)
    assert [item.embedding for item in made.data] == vectors
    assert facts(made) == facts(EmbeddingsBuilder(CreateEmbeddingResponse).build_slowly(raw))
    raw = answer(*vectors)
    assert has_vectors(raw)
    assert [item.embedding for item in EmbeddingsBuilder(CreateEmbeddingResponse)(raw).data] == vectors
    assert all(type(item) is float for vector in made.data for item in vector.embedding)


@pytest.mark.parametrize(
    "raw",
    [
        answer(coded(FLOATS), FLOATS),
        answer(coded(FLOATS)).replace(b'"index": 0', b'"index": "0"'),
        answer(coded(FLOATS)).replace(
            b'"object": "embedding"', b'"object": "other", "x_unknown": {"embedding": "AAAA"}'
        ),
        answer(coded(FLOATS)).replace(b'"usage"', b'"x_unknown"'),
        answer(coded(FLOATS)).replace(b'"embedding":', b'"embedding" :'),
        answer(coded(FLOATS)).replace(b'"usage"', b'"x_unknown": [0e9], "usage"'),
        answer([0.0]).replace(b'"embedding": [0.0]', b'"\\u0065mbedding": [0e9], "x": {"embedding": "AAAAAA=="}'),
    ],
)
def test_odd_embeddings_are_what_the_slow_way_makes_of_them(raw):
    """What strict validation refuses, and what is mixed, is built as the SDK does."""
    build = EmbeddingsBuilder(CreateEmbeddingResponse)
    assert has_vectors(raw)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of pydantic's, when it writes what is not of its type
        assert facts(build(raw)) == facts(build.build_slowly(raw))


@pytest.mark.parametrize(
    "raw",
    [
        answer(),
        answer(FLOATS, "AAA"),
        answer("AACAPgA="),
        answer("AACA\\u0050g=="),
        answer(None),
        answer({"a": 1}),
        b'{"data": null}',
        b'{"data": [{"index": 0}]}',
        b"[]",
    ],
)
def test_what_the_sdk_has_errors_for_is_left_to_it(raw):
    """Nothing at all, base64 that does not add up, and what is neither numbers nor base64."""
    assert not has_vectors(raw)


def test_the_sdk_says_what_it_asks_for(client, server):
    """What the SDK adds to a request for embeddings is what it was found to add."""
    server.replies = [plain(json.loads(answer(FLOATS)))]
    client.embeddings.create(model="m", input="a")
    asked = private.default_encoding_format(type(client.embeddings).create)
    assert server.requests[0][3].get("encoding_format") == asked


@pytest.mark.parametrize("name", ["created_at", "temperature"])
@pytest.mark.parametrize(
    "number", ["17", "-0.0", "1e400", *(str(sign * (2**53 + more)) for sign in (1, -1) for more in (-1, 0, 1))]
)
def test_numbers_are_what_the_sdk_makes_of_them(name, number):
    """Also an integer that no float is, where a float is declared."""
    members = {"id": "r", "object": "response", "created_at": 1.5, "model": "m", "output": [], "tools": []}
    members |= {"parallel_tool_calls": True, "tool_choice": "auto", name: 0}
    raw = json.dumps(members).replace(f'"{name}": 0', f'"{name}": {number}').encode()
    made, slow = ModelBuilder(Response)(raw), private.construct(Response, parse_json(raw))
    assert facts(made) == facts(slow)
    assert repr(getattr(made, name)) == repr(getattr(slow, name))


def test_an_answer_that_is_taken_again_is_decoded_once(monkeypatch):
    """Each caller gets lists of its own, and what is kept for the next one is bounded."""
    monkeypatch.setattr(model_builder, "_kept", deque())
    monkeypatch.setattr(model_builder, "MOST_NUMBERS", 6)
    build = EmbeddingsBuilder(CreateEmbeddingResponse)
    raws = [answer(coded([number, 0.5, -1.0])) for number in range(3)]
    for _ in range(3):
        made = build(raws[0])
        assert made.data[0].embedding == [0, 0.5, -1.0]
        made.data[0].embedding.clear()
    assert len(model_builder._kept) == 1
    for raw in raws:
        build(raw)
    assert [kept.raw for kept in model_builder._kept] == raws[1:]
    monkeypatch.setattr(model_builder, "MOST_NUMBERS", 0)
    assert build(raws[0]).data[0].embedding == [0, 0.5, -1.0]
    assert not model_builder._kept
