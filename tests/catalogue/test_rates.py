"""Tokens per second: where the time was long enough to say anything of the model."""

from __future__ import annotations

import msgspec
import pytest

from inferencereplay.catalogue.conversation import read_conversation
from inferencereplay.cli import terminal
from inferencereplay.recording.format import RecordedRequest, Recording, Response


def raw(text):
    return msgspec.Raw(text.encode())


def rate(response):
    request = RecordedRequest("POST", "/chat/completions", raw('{"messages":[]}'))
    return read_conversation(Recording(1, "0" * 64, request, response)).timing.tokens_per_second


USAGE = '"usage":{"completion_tokens":7}'
CHUNK = '{"choices":[{"index":0,"delta":{"content":"a"}}]}'


@pytest.mark.parametrize(("seconds", "expected"), [(0.005, None), (0.0999, None), (0.1, 70), (2.0, 3.5)])
def test_a_plain_answer(seconds, expected):
    """An answer of 5 ms tells a cache's speed, or a test server's."""
    found = rate(Response(elapsed=seconds, body=raw(f'{{"choices":[],{USAGE}}}')))
    assert found == (expected and pytest.approx(expected))


@pytest.mark.parametrize(("gap", "expected"), [(0.005, None), (0.05, 20), (1.0, 1)])
def test_a_stream(gap, expected):
    """From its first piece to its last."""
    offsets = [2 + index * gap for index in range(3)]
    found = rate(Response(end="done", offsets=offsets, chunks=[raw(CHUNK)] * 3))
    assert found == (expected and pytest.approx(expected))


def test_rates_for_people():
    """A tenth counts in small ones only."""
    assert [terminal.rate(value) for value in (1.25, 99.94, 1355.4)] == [
        "1.2 tokens/s",
        "99.9 tokens/s",
        "1355 tokens/s",
    ]
