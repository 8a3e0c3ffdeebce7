"""A miss is the same on the fast path and on the SDK path; what is no miss for certain is left to the SDK."""

from __future__ import annotations

import openai
import pytest
from conftest import ASK, completion, plain
from ways import DEAD, WAYS, Person, run

from inferencereplay import RecordingNotFound, replay
from inferencereplay.sdk import calls, request_replay


@pytest.fixture
def few(tmp_path, client):
    """Record a chat, which is near to some of the ways."""
    with replay(tmp_path, mode="record"):
        client.chat.completions.create(**ASK, seed=5)
    return tmp_path


def told(driver, way, directory, *, is_fast, **options):
    """Return what a program, the session and its log tell of a miss."""
    with replay(directory, **options) as session:
        session.is_fast = session.is_fast and is_fast
        with pytest.raises(RecordingNotFound) as caught:
            run(driver, way, base_url=DEAD, max_retries=3)
        session.forget_misses()
    error = caught.value
    chain = error.__cause__, error.__context__, error.__suppress_context__, getattr(error, "__notes__", None)
    logged = [(call.outcome, call.attempts, call.body, call.ended is None) for call in session.calls]
    return type(error), str(error), vars(error), repr(error), chain, session.misses, session.hits, logged


@pytest.mark.parametrize("name", WAYS)
def test_a_miss_is_the_same_on_both_paths(driver, few, name):
    """Its class, text and facts, what is counted and what is logged, whichever way the call is made."""
    way, _ = WAYS[name]
    assert told(driver, way, few, is_fast=True) == told(driver, way, few, is_fast=False)


@pytest.mark.parametrize("options", [{"ignore": "seed"}, {"redact": "Say"}, {"normalize": "uuids"}], ids=str)
@pytest.mark.parametrize("name", [name for name in ("create", "responses") if name in WAYS])
def test_settings_of_a_session_count_on_both_paths(driver, few, name, options):
    """What is left out of the request, or redacted, is so in the message."""
    way, _ = WAYS[name]
    assert told(driver, way, few, is_fast=True, **options) == told(driver, way, few, is_fast=False, **options)


@pytest.mark.parametrize("name", ["create", "stream", "raw", "embeddings"])
def test_a_miss_of_plain_json_is_raised_by_create(driver, few, monkeypatch, name):
    """The SDK reads nothing of the request."""
    for choose in ("choose", "choose_posted"):
        monkeypatch.setattr(request_replay, choose, lambda *_, **__: pytest.fail("the SDK has read it"))
    told(driver, WAYS[name][0], few, is_fast=True)


@pytest.mark.parametrize("name", ["models", "moderations", "post"])
def test_a_miss_of_any_call_is_raised_before_a_request_is_built(driver, few, monkeypatch, name):
    """As far as the SDK's options of it."""
    monkeypatch.setattr(calls, "read_call", lambda *_, **__: pytest.fail("the SDK path was taken"))
    told(driver, WAYS[name][0], few, is_fast=True)


def test_nobody_is_told_what_is_near_where_it_is_recorded(driver, server, tmp_path, monkeypatch):
    """In record-if-missing the search of the directory would cost each new call its time."""
    monkeypatch.setattr("inferencereplay.session.call_notes.explain", lambda *_, **__: pytest.fail("it was looked for"))
    server.renumber(plain(completion("1")))
    with replay(tmp_path, mode="record-if-missing") as session:
        driver.chat()
    assert (session.recorded, session.misses) == (1, 0)


@pytest.mark.parametrize(
    ("method", "arguments"),
    [
        ("chat.completions", {"model": "m"}),
        ("chat.completions", {"messages": []}),
        ("chat.completions", {**ASK, "response_format": Person}),
        ("completions", {"model": "m"}),
        ("embeddings", {"model": "m"}),
        ("audio.speech", {"model": "m", "input": "a"}),
    ],
)
def test_what_the_sdk_refuses_is_its_own_error(client, few, method, arguments):
    """Such a call never was a request, and counts as none."""
    resource = client
    for name in method.split("."):
        resource = getattr(resource, name)
    with pytest.raises(TypeError) as live:
        resource.create(**arguments)
    with replay(few) as session, pytest.raises(TypeError) as replayed:
        resource.create(**arguments)
    assert (str(replayed.value), session.misses) == (str(live.value), 0)


@pytest.mark.parametrize("text", ["hello", "Hello"], ids=["missing", "recorded"])
@pytest.mark.parametrize("headers", ["x-mine: 1", [("x-mine", "1")], 1], ids=["text", "pairs", "number"])
@pytest.mark.parametrize("mode", ["replay", "record-if-missing", "record", "live"])
def test_headers_that_the_sdk_refuses_are_no_call(driver, few, mode, headers, text):
    """Neither a hit nor a miss is counted."""
    with replay(few, mode="record"):
        driver.chat()

    with replay(few, mode=mode) as session, pytest.raises((AttributeError, TypeError, ValueError)):
        driver.chat(messages=[{"role": "user", "content": text}], extra_headers=headers)
    assert (session.hits, session.misses, session.recorded) == (0, 0, 0)


def test_a_model_of_the_sdk_among_the_messages_is_read_by_the_sdk(client, few):
    """What it sends of that is its own affair."""
    said = openai.types.chat.ChatCompletionMessage(role="assistant", content="a")
    with replay(few) as session:
        with pytest.raises(RecordingNotFound) as caught:
            client.chat.completions.create(model="m", messages=[said])
        session.forget_misses()
    assert any("resources" in str(entry.path) for entry in caught.traceback)


def test_what_goes_to_the_network_is_no_miss(client, server, few):
    """A request that `live` lets through, one with an answer by hand, and one whose recording needs the SDK path."""
    server.renumber(plain(completion("1")))
    with replay(few, live=lambda asked: asked.body.get("n") == 2) as session:
        assert client.chat.completions.create(**ASK, n=2).choices
        with pytest.raises(RecordingNotFound):
            client.chat.completions.create(**ASK, n=3)
        session.forget_misses()
    with replay(few) as session:
        session.stub("by hand")
        assert client.chat.completions.create(**ASK, n=3).choices[0].message.content == "by hand"
        with pytest.raises(RecordingNotFound):
            client.chat.completions.create(**ASK, n=3)
        session.forget_misses()
    assert (session.misses, server.count) == (1, 2)
