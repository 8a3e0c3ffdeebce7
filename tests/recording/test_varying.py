"""What of an answer varies by nature, and what counts."""

from __future__ import annotations

import msgspec
import pytest
from editing import TOO_DEEP
from written import plain, raw, said, streamed

from inferencereplay.recording.format import Failure, Redirect, Response
from inferencereplay.recording.varying import Constant, are_equal, constant, without_varying

CHAT = "/chat/completions"
BASE = {
    "id": "chatcmpl-1",
    "created": 1,
    "system_fingerprint": "fp_1",
    "model": "m",
    "choices": [{"index": 0, "message": {"content": "Hello", "tool_calls": [{"id": "call_1"}, {"id": "call_2"}]}}],
    "usage": {"prompt_tokens": 3, "prompt_tokens_details": {"cached_tokens": 0}, "queue_time": 0.1},
    "timings": {"prompt_ms": 1.5, "cache": {"cache_n": 1}, "is_warm": True, "steps": [1]},
    "x_groq": {"id": "req_1", "seed": 7, "usage": {"total_time": 0.3}},
}


def is_equal(first, second, path=CHAT):
    return are_equal(constant(path, first), constant(path, second))


def changed(place, value):
    """Return the answer with a member changed, by a path with dots."""
    body = msgspec.json.decode(msgspec.json.encode(BASE))
    held = body
    *parts, last = (int(part) if part.isdigit() else part for part in place.split("."))
    for part in parts:
        held = held[part]
    held[last] = value
    return plain(body)


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("id", "chatcmpl-2"),
        ("created", 2),
        ("system_fingerprint", "fp_2"),
        ("choices.0.message.tool_calls.1.id", "call_7"),
        ("usage.prompt_tokens_details.cached_tokens", 3),
        ("usage.queue_time", 0.2),
        ("timings.prompt_ms", 2.5),
        ("timings.cache.cache_n", 2),
        ("timings.steps", [2]),
        ("x_groq.id", "req_2"),
        ("x_groq.seed", 8),
        ("x_groq.usage.total_time", 0.4),
    ],
)
def test_what_varies_does_not_count(place, value):
    """Ids, times, the server's build, what its cache held."""
    assert is_equal(plain(BASE), changed(place, value))


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("id", None),
        ("id", ""),
        ("id", 7),
        ("created", "2"),
        ("created", True),
        ("system_fingerprint", None),
        ("model", "m-2"),
        ("choices.0.message.content", "Hi"),
        ("choices.0.message.tool_calls.1.id", "call_1"),
        ("choices.0.message.tool_calls.1.id", "chatcmpl-1"),
        ("choices.0.index", False),
        ("usage.prompt_tokens", 4),
        ("usage.more", 0),
        ("timings", None),
        ("timings.is_warm", False),
        ("timings.cache", {}),
        ("x_new", 1),
    ],
)
def test_all_else_counts(place, value):
    """The text, counts of tokens, fields that came or went, the type of a value, and which ids are the same."""
    assert not is_equal(plain(BASE), changed(place, value))


def test_the_endpoints_whose_ids_are_content():
    """A list of models or files, and the answer of a program's own endpoint, count in full."""
    one, other = plain({"data": [{"id": "gpt-4o", "created": 1}]}), plain({"data": [{"id": "gpt-4.1", "created": 1}]})
    assert not is_equal(one, other, "/models")
    assert is_equal(one, other, "/responses")
    assert is_equal(one, other, "/deployments/d/images/generations")
    assert not is_equal(one, other, "/my/completions/prices")
    assert without_varying("/models", {"id": "a"}) == {"id": "a"}
    assert without_varying(CHAT, {"id": "a", "created": 5}) == {"id": "id 1", "created": 0}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("elapsed", 9.0),
        ("retries", 2),
        ("downloaded", 100),
        ("leading", "\n"),
        ("headers", {"content-type": "application/json", "x-request-id": "2", "x-ratelimit-reset-tokens": "2s"}),
    ],
)
def test_what_the_network_adds_does_not_count(name, value):
    """Times of arrival, attempts, bytes, white space that keeps a connection open, headers of one request."""
    one = plain(BASE)
    one.headers |= {"x-request-id": "1", "x-ratelimit-reset-tokens": "1s"}
    other = msgspec.structs.replace(one, **{name: value})
    assert is_equal(one, other)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("status", 400),
        ("elapsed", None),
        ("indent", 2),
        ("reason", "Fine"),
        ("text", "a"),
        ("headers", {"content-type": "application/json", "retry-after": "1"}),
        ("headers", {"content-type": "text/plain"}),
        ("redirects", (Redirect(302, {"location": "/a"}),)),
        ("failure", Failure("ReadError")),
    ],
)
def test_what_else_of_the_response_counts(name, value):
    """The status, the layout, a header that came, a time that went."""
    assert not is_equal(plain(BASE), msgspec.structs.replace(plain(BASE), **{name: value}))


def test_streams():
    """The times of chunks vary; their pieces, number and end count. One id in all chunks is not one for each."""
    one = streamed("a", "b")
    assert is_equal(one, streamed("a", "b", offsets=(1.0, 9.0)))
    assert not is_equal(one, streamed("a", "b", offsets=()))
    assert not is_equal(one, streamed("ab"))
    assert not is_equal(one, streamed("a", "b", end="closed"))

    def with_ids(*ids):
        return Response(200, {}, end="done", chunks=[raw({"id": item, "obfuscation": item * 3}) for item in ids])

    assert is_equal(with_ids("x", "x"), with_ids("yy", "yy"))
    assert not is_equal(with_ids("x", "x"), with_ids("x", "y"))
    assert constant(CHAT, with_ids("x", "y", "x")).ids == ("x", "y")


def test_content_that_cannot_be_looked_into_counts_letter_by_letter():
    """A text, JSON that Python cannot read, and JSON that is nested too deeply."""
    assert not is_equal(Response(text="a"), Response(text="b"))
    for one, other in (("1" * 5_000, "1" * 4_999 + "2"), ("\\ud800", "\\ud801")):
        texts = [
            Response(body=msgspec.Raw(f'{{"a": "{text}", "n": {text if text[0] == "1" else 1}}}'.encode()))
            for text in (one, other)
        ]
        assert is_equal(texts[0], texts[0])
        assert not is_equal(*texts)
    deep = "[" * TOO_DEEP + '{"id": "%s"}' + "]" * TOO_DEEP
    first, second = (Response(body=msgspec.Raw((deep % name).encode())) for name in "ab")
    assert constant(CHAT, first).ids == ()
    assert not is_equal(first, second)


def test_said_and_written():
    """A chat without ids is equal to itself."""
    assert is_equal(said("a"), said("a"))
    assert not is_equal(said("a"), said("b"))


def test_what_is_nested_too_deeply_is_not_equal():
    """It cannot be compared."""
    deep = []
    for _ in range(100_000):
        deep = [deep]
    held = Constant({"body": deep}, ())
    assert not are_equal(held, held)
    while deep:  # or its end would recurse too
        deep = deep.pop()
