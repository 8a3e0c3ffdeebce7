"""Whatever the network does while recording, it is recorded as what it was and replays as what it was.

Every answer is given three times: to the bare SDK, to the SDK while it is recorded, and from the recording.
"""

from __future__ import annotations

import gzip
import json
import logging
from typing import Any

import openai
import pytest
from conftest import Driver, chunk, completion, event
from length import combine, times
from misbehaving import END, HANG, RESET, Misbehaving, chunked, events, head, whole
from outcomes import PLAIN, STREAMED, WAYS, caller, network, outcome, plain
from ways import DEAD

from inferencereplay import replay
from inferencereplay.pacing.clocks import VirtualClock

pytestmark = pytest.mark.slow

__all__ = ["caller", "network"]


# What a network does.

FIRST, SECOND, LAST = event(chunk("Ä", x_new=1)), event(chunk("b")), event(chunk(None, "stop"))
DONE = event(b"[DONE]")
ALL = FIRST + SECOND + LAST + DONE
BODY = json.dumps(completion("Ä"), ensure_ascii=False).encode()
ERROR = {"error": {"message": "It is Ä broken", "type": "server_error", "code": "c_1", "param": "p"}}
ZIPPED = gzip.compress(ALL, mtime=0)
LIMITED = {"retry_after_ms": "300", "x_ratelimit_remaining_requests": "0"}


def failing(status: int, **headers: str) -> list[bytes]:
    return whole(json.dumps(ERROR).encode(), status, **headers)


def said(*pieces: bytes, **headers: str) -> list[Any]:
    """Return a stream that is in order as far as HTTP is concerned."""
    return [events(**headers), *chunked(*pieces), END]


MANY = [event(chunk(f"piece {number}")) for number in range(times(300, 10_000))]
LONG = json.dumps(completion("0123456789" * (times(100_000, 1_000_000)))).encode()

STREAMS: dict[str, list[Any]] = {
    "in order": said(FIRST, SECOND, LAST, DONE),
    "closed before the first byte": [],
    "reset before the first byte": [RESET],
    "closed within the head": [b"HTTP/1.1 200 Said\r\ncontent-ty"],
    "no HTTP": [b"SSH-2.0-OpenSSH_9.6\r\n"],
    "closed after the head": [events()],
    "closed in a chunk": [events(), *chunked(FIRST), b"100\r\ndata: {"],
    "closed between chunks": [events(), *chunked(FIRST, SECOND)],
    "closed in an event": [events(), *chunked(FIRST, SECOND[:20])],
    "body ends in an event": said(FIRST, SECOND[:20]),
    "reset in an event": [events(), *chunked(FIRST, SECOND[:20]), 0.05, RESET],
    "chunks that are none": [events(), *chunked(FIRST), b"zz\r\nnonsense\r\n"],
    "without length or chunks": [head(content_type="text/event-stream"), ALL],
    "never the first byte": [HANG],
    "never the first event": [events(), HANG],
    "never the end": [events(), *chunked(FIRST, SECOND), HANG],
    "never the end of the body": [events(), *chunked(FIRST, DONE), HANG],
    "comments": said(b": hello\n\n", FIRST, b":\n\n: again\n", SECOND, DONE),
    "carriage returns and line feeds": said(ALL.replace(b"\n", b"\r\n")),
    "carriage returns": said(ALL.replace(b"\n", b"\r")),
    "line ends torn apart": said(*(bytes([byte]) for byte in FIRST.replace(b"\n", b"\r\n")), DONE),
    "data over several lines": said(b'data: {"id": "x",\ndata:\ndata: "choices": []}\n\n', DONE),
    "characters torn apart": said(*(bytes([byte]) for byte in event('{"id": "Ä😀"}'.encode())), DONE),
    "no UTF-8": said(FIRST, b'data: {"id": "\xff\xc3"}\n\n', SECOND, DONE),
    "no UTF-8 in a comment": said(FIRST, b": \xff\n\n", SECOND, DONE),
    "no UTF-8 at the end": said(FIRST, b'data: "\xc3'),
    "a byte order mark": said(b"\xef\xbb\xbf" + FIRST, SECOND, DONE),
    "without [DONE]": said(FIRST, SECOND, LAST),
    "nothing": said(),
    "nothing but [DONE]": said(DONE),
    "[DONE] twice": said(FIRST, DONE, SECOND, DONE),
    "an error event": said(FIRST, event(ERROR), SECOND, DONE),
    "an error event of text": said(FIRST, event({"error": "overloaded"}), DONE),
    "an error event first": said(event(ERROR)),
    "an error event, then closed": [events(), *chunked(FIRST, event(ERROR))],
    "an error event by name": said(FIRST, b"event: error\n" + event(ERROR), DONE),
    "no JSON": said(FIRST, event(b"<html>Bad gateway</html>"), DONE),
    "half of a JSON": said(FIRST, event(b'{"id": "x", "choi'), DONE),
    "null": said(FIRST, event(b"null"), DONE),
    "an empty event": said(FIRST, b"data:\n\n", DONE),
    "gzip": said(ZIPPED[:40], ZIPPED[40:], content_encoding="gzip"),
    "gzip, cut": said(ZIPPED[:-12], content_encoding="gzip"),
    "gzip, closed": [events(content_encoding="gzip"), *chunked(ZIPPED[:-12])],
    "gzip, damaged": said(ZIPPED[:20], b"\0" * 20 + ZIPPED[40:], content_encoding="gzip"),
    "gzip that is none": said(ALL, content_encoding="gzip"),
    "many chunks": said(*MANY, DONE),
    "one event of megabytes": said(b"data: " + LONG + b"\n\n", DONE),
    "a page of HTML": whole(b"<html>Welcome to the hotel</html>", content_type="text/html"),
    "a plain answer": whole(BODY),
}
PLAINS: dict[str, list[Any]] = {
    "in order": whole(BODY),
    "closed before the first byte": [],
    "reset before the first byte": [RESET],
    "closed after the head": [head(content_type="application/json", content_length="900")],
    "closed in the body": [head(content_type="application/json", content_length="900"), BODY[:100]],
    "reset in the body": [head(content_type="application/json", content_length="900"), BODY[:100], 0.05, RESET],
    "closed in a chunk": [head(content_type="application/json", transfer_encoding="chunked"), b"100\r\n{"],
    "never the first byte": [HANG],
    "never the end": [head(content_type="application/json", content_length="900"), BODY[:100], HANG],
    "invalid JSON": whole(b'{"id": "x", "choi'),
    "empty": whole(b""),
    "no content": [head(204)],
    "a byte order mark": whole(b"\xef\xbb\xbf" + BODY),
    "null": whole(b"null"),
    "gzip": whole(gzip.compress(BODY), content_encoding="gzip"),
    "gzip, cut": whole(gzip.compress(BODY)[:-12], content_encoding="gzip"),
    "gzip that is none": whole(BODY, content_encoding="gzip"),
    "megabytes": whole(LONG),
    "a page of HTML": whole(b"<html>Welcome to the hotel</html>", content_type="text/html"),
    "no content type": [head(), BODY],
}
KINDS = ("sync", "asyncio", "trio")
STATUSES = (300, 304, 400, 401, 403, 404, 408, 409, 413, 418, 422, 429, 500, 502, 503, 529)
PASSING = {
    "closed": [],
    "reset": [RESET],
    "hangs": [HANG],
    "429": failing(429, **LIMITED),
    "500": failing(500, **LIMITED),
}
IMPATIENT = {"timeout": 0.5}


def compare(network: Misbehaving, caller: Driver, directory: Any, way: Any, *scripts: Any, **options: Any) -> Any:
    """Go a way live, recorded and replayed, which has to be the same thrice, and return it."""
    options = {**IMPATIENT, **options}
    network.play(*scripts)
    live = outcome(caller, way, **options)
    network.play(*scripts)
    with replay(directory, mode="record", record_errors=True) as session:
        assert outcome(caller, way, **options) == live
    assert session.recorded == 1
    for _ in range(2):
        with replay(directory):
            assert outcome(caller, way, **options, base_url=DEAD) == live
    return live


@pytest.mark.parametrize(("name", "caller", "way"), combine(STREAMS, KINDS, STREAMED), indirect=["caller"])
def test_a_stream_replays_as_what_it_was(network, caller, tmp_path, caplog, name, way):
    """A stream's chunks, its end, and the error in place of it are the same live, recorded and replayed."""
    compare(network, caller, tmp_path, way, STREAMS[name])
    assert caplog.records == []


@pytest.mark.parametrize(("name", "caller", "way"), combine(PLAINS, KINDS, PLAIN), indirect=["caller"])
def test_a_plain_answer_replays_as_what_it_was(network, caller, tmp_path, caplog, name, way):
    """A plain answer, whole or not, is the same live, recorded and replayed."""
    compare(network, caller, tmp_path, way, PLAINS[name])
    assert caplog.records == []


@pytest.mark.parametrize(("status", "caller", "way"), combine(STATUSES, KINDS, WAYS), indirect=["caller"])
@pytest.mark.slow
def test_an_error_replays_as_what_it_was(network, caller, tmp_path, status, way):
    """An error has the same class, facts, headers and text live, recorded and replayed."""
    _, error = compare(network, caller, tmp_path, way, failing(status, **LIMITED))
    assert error[2][0] == status


@pytest.mark.parametrize(("way", "status", "caller"), combine(WAYS, (302, 307, 308), KINDS), indirect=["caller"])
def test_a_redirect_is_followed_and_only_its_end_is_kept(network, caller, tmp_path, status, way):
    """What stands at the end of a redirect is the answer to the request as it was made."""
    there = said(FIRST, SECOND, DONE) if way in STREAMED else whole(BODY)
    live = compare(network, caller, tmp_path, way, whole(b"", status, location=f"{network.url}/elsewhere"), there)
    assert live[1] is None


@pytest.mark.parametrize(("way", "name", "caller"), combine(WAYS, PASSING, KINDS), indirect=["caller"])
def test_of_retries_only_the_last_outcome_is_kept(network, caller, tmp_path, name, way):
    """What the SDK tries again counts for nothing once it has its answer, nor does the time it took."""
    good = said(FIRST, SECOND, DONE) if way in STREAMED else whole(BODY)
    live = compare(network, caller, tmp_path, way, PASSING[name], good, max_retries=1, timeout=1)
    assert (live[1], network.count) == (None, 2)
    (file,) = tmp_path.rglob("*.json")
    response = json.loads(file.read_text())["response"]
    assert response["status"] == 200
    clock = VirtualClock()
    with replay(tmp_path, speed=1, clock=clock):
        assert outcome(caller, way, base_url=DEAD) == live
    assert clock.time == pytest.approx(response.get("elapsed") or response["offsets"][-1], abs=1e-3)


@pytest.mark.parametrize(("way", "name", "caller"), combine(WAYS, PASSING, KINDS), indirect=["caller"])
def test_what_will_pass_is_not_stored_unless_asked_for(network, caller, tmp_path, caplog, name, way):
    """By default an error that will pass reaches the program, costs one warning, and is not stored."""
    network.play(PASSING[name])
    live = outcome(caller, way, **IMPATIENT)
    for mode in ("record", "record-if-missing"):
        caplog.clear()
        with replay(tmp_path, mode=mode) as session, caplog.at_level(logging.WARNING, "inferencereplay"):
            assert outcome(caller, way, **IMPATIENT) == live
        assert session.recorded == 0
        assert [item.name for item in caplog.records] == ["inferencereplay"]
    assert list(tmp_path.rglob("*.*")) == []
    assert issubclass(live[1][0], openai.OpenAIError)


@pytest.mark.parametrize("caller", KINDS, indirect=True)
def test_a_plain_answer_that_is_no_text_replays(network, caller, tmp_path):
    """Bytes that are neither JSON nor text reach the program as they are, and are kept in a side file."""
    network.play(whole(b'{"error": "\xff"}', 400))
    live = outcome(caller, plain)
    with replay(tmp_path, mode="record") as session:
        assert outcome(caller, plain) == live
    assert session.recorded == 1
    with replay(tmp_path):
        assert outcome(caller, plain, base_url=DEAD) == live
