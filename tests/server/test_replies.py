"""Recordings are served over HTTP as they were recorded, and counted as in Python."""

from __future__ import annotations

import contextlib
import json
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec
import openai
import pytest
from conftest import ASK, Reply, chunk, completion, event, plain, sse
from served import serving_of

from inferencereplay import RecordingNotFound, Session, replay
from inferencereplay.recording.format import Response
from inferencereplay.recording.request import Request, canonical_json
from inferencereplay.server.application import Application
from inferencereplay.session.run_coordinator import RunCoordinator

CHAT = "/chat/completions"
STREAM = {**ASK, "stream": True}


def record(client, tmp_path, *replies, **changes):
    """Record a chat for each reply; return what the server sent."""
    with replay(tmp_path, mode="record", record_errors=True):
        for _ in replies:
            with contextlib.suppress(Exception):  # some versions raise the HTTP library's own error
                made: Any = client.chat.completions.create(**{**ASK, **changes})
                if changes.get("stream"):
                    list(made)


@pytest.mark.parametrize(
    "path", ["/v1/chat/completions", CHAT, "/openai/v1/chat/completions", "/v1/chat%2Fcompletions"]
)
def test_a_plain_answer_is_served_as_it_was_sent(client, server, serve, tmp_path, path):
    """Status, body and the headers that are kept; with a base URL that ends in /v1, and one that does not."""
    body = json.dumps(completion("Hi"), indent=4).encode() + b"\n"
    server.replies = [Reply(headers={"content-type": "application/json", "openai-version": "7"}, body=body)]
    record(client, tmp_path, *server.replies)
    answered = serve(tmp_path).ask(path, ASK)
    assert (answered.status, answered.content) == (200, body)
    assert answered.headers == {
        "content-type": "application/json",
        "openai-version": "7",
        "x-request-id": "req_1",
        "content-length": str(len(body)),
    }


@pytest.mark.parametrize("speed", [float("inf"), 1000])
def test_a_stream_is_served_byte_for_byte(client, server, serve, tmp_path, speed):
    """Chunks as they were, the names of events, what is no JSON, and `[DONE]`."""
    pieces = [event(chunk("a")), b'event: odd\ndata: {"x":  1 ,"y":null}\n\n', b"event: odd\ndata: no JSON\n\n"]
    content = b"".join([*pieces, event(b"[DONE]")])
    server.replies = [Reply(headers={"content-type": "text/event-stream"}, pieces=[(0, piece) for piece in pieces])]
    server.replies[0].pieces.append((0, event(b"[DONE]")))
    with replay(tmp_path, mode="record"), client.chat.completions.with_streaming_response.create(**STREAM) as raw:
        assert raw.read() == content
    answered = serve(tmp_path, speed=speed).ask("/v1/chat/completions", STREAM)
    assert answered.headers["content-type"] == "text/event-stream"
    assert answered.content == content


@pytest.mark.parametrize("speed", [float("inf"), 1000])
def test_a_stream_that_broke_breaks_after_what_had_come(client, server, serve, tmp_path, speed):
    """The SDK raises what it raised live."""
    server.replies = [sse(chunk("a"), chunk("b"), is_done=False, is_cut=True)]
    record(client, tmp_path, 1, stream=True)
    answered = serve(tmp_path, speed=speed).ask("/v1/chat/completions", STREAM)
    assert answered.is_broken
    assert answered.content == event(chunk("a")) + event(chunk("b"))


def test_a_stream_that_was_left_breaks_where_it_ends(client, server, serve, tmp_path):
    """No client takes it for a whole one."""
    server.replies = [sse(chunk("a"), chunk("b"), pause=0.02)]
    with replay(tmp_path, mode="record"), client.chat.completions.create(**STREAM) as stream:
        next(stream)
    answered = serve(tmp_path).ask("/v1/chat/completions", STREAM)
    assert (answered.is_broken, answered.content) == (True, event(chunk("a")))


def test_an_error_is_served_as_an_error(client, server, serve, tmp_path):
    """With its status and its body."""
    server.replies = [plain({"error": {"message": "no such model", "code": "model_not_found"}}, 400)]
    record(client, tmp_path, 1)
    answered = serve(tmp_path).ask("/v1/chat/completions", ASK)
    assert (answered.status, answered.error["code"]) == (400, "model_not_found")


def test_a_miss_says_what_python_says(recorded, serve):
    """The message, the nearest recording and the differences; no SDK asks again."""
    directory, _ = recorded
    served = serve(directory)
    asked = {**ASK, "temperature": 1}
    answered = served.ask("/v1/chat/completions", asked)
    with pytest.raises(RecordingNotFound) as caught, replay(directory):
        openai.OpenAI(api_key="none").chat.completions.create(**asked)
    error = caught.value
    assert (answered.status, answered.headers["x-should-retry"]) == (404, "false")
    assert answered.error["message"] == str(error)
    facts = {"key": error.key, "nearest": error.nearest, "differences": list(error.differences)}
    assert facts.items() <= answered.error.items()
    assert (served.count("requests"), served.count("hits"), served.count("misses")) == (1, 0, 1)


def test_the_sdk_gets_the_same_objects_from_the_server_as_in_python(client, server, serve, tmp_path):
    """Plain and streamed; a miss is one request, for nothing retries it."""
    server.replies = [plain(completion("Hi")), sse(chunk("a"), chunk(None, "stop"))]
    with replay(tmp_path, mode="record"):
        live = client.chat.completions.create(**ASK)
        chunks = list(client.chat.completions.create(**STREAM))
    served = serve(tmp_path)
    with openai.OpenAI(api_key="none", base_url=served.url) as other:
        assert other.chat.completions.create(**ASK) == live
        assert list(other.chat.completions.create(**STREAM)) == chunks
        with pytest.raises(openai.NotFoundError, match="was not recorded"):
            other.chat.completions.create(**ASK, seed=3)
    assert [served.count(name) for name in ("requests", "hits", "misses", "streams_open")] == [3, 2, 1, 0]


def test_equal_requests_get_the_variants_in_order_and_each_session_for_itself(client, server, serve, tmp_path):
    """The last one repeats; a header names the session."""
    server.replies = [plain(completion(text)) for text in "abc"]
    record(client, tmp_path, *server.replies)
    served = serve(tmp_path)

    def text(**headers: str) -> str:
        return json.loads(served.ask(CHAT, ASK, **headers).content)["choices"][0]["message"]["content"]

    assert [text() for _ in range(4)] == ["a", "b", "c", "c"]
    assert [text(x_inferencereplay_session="one") for _ in range(2)] == ["a", "b"]
    assert text(x_inferencereplay_session="two") == "a"
    assert text(x_inferencereplay_session="one") == "c"


def test_health_and_metrics_answer_always_and_use_up_no_variant(recorded, serve):
    """They are about the server, and neither hits nor misses."""
    served = serve(recorded[0])
    assert json.loads(served.ask("/health", method="GET").content) == {"status": "ok"}
    served.ask(CHAT, ASK)
    text = served.ask("/metrics", method="GET").content.decode()
    assert "\ninferencereplay_requests_total 3\n" in text
    assert "\ninferencereplay_hits_total 1\n" in text
    assert 'inferencereplay_lateness_seconds_bucket{le="+Inf"} 0\n' in text


def test_only_the_first_misses_are_logged(recorded, serve, monkeypatch, caplog):
    """A load tool may make any number; each is counted."""
    monkeypatch.setattr("inferencereplay.server.replies.MOST_TOLD", 2)
    served = serve(recorded[0])
    for seed in range(4):
        served.ask(CHAT, {**ASK, "seed": seed})
    assert caplog.text.count("was not recorded in") == 2
    assert served.count("misses") == 4


def test_a_request_that_another_session_of_a_run_is_recording_waits(server, serve, tmp_path):
    """As in Python: its answer serves both."""
    run = RunCoordinator(tmp_path / "run", "main")
    first, second = (Session(tmp_path / "kept", mode="record") for _ in range(2))
    first.join(run)
    second.join(run)
    pending = first.decide(first.call(Request("POST", CHAT, canonical_json(ASK))))
    with serving_of(Application(second, upstream=server.url)) as served, ThreadPoolExecutor(1) as pool:
        asked = pool.submit(served.ask, CHAT, ASK)
        time.sleep(0.3)
        assert not asked.done()
        pending.keep(Response(headers={"content-type": "application/json"}, body=msgspec.Raw(b'{"a":1}')))
        assert asked.result().content == b'{"a":1}'
    assert server.count == 0
