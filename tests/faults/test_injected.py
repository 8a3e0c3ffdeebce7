"""A program that meets an injected fault sees what it sees when a server, or the network, fails in that way."""

from __future__ import annotations

import contextlib
import json
import socket
from typing import Any

import pytest
from conftest import ASK, chunk, completion, event
from length import combine
from misbehaving import END, HANG, RESET, chunked, events, head, whole
from outcomes import PLAIN, STREAMED, caller, network, outcome
from ways import DEAD, settle

from inferencereplay import Fault, VirtualClock, replay

__all__ = ["caller", "network"]
KINDS = ("sync", "asyncio", "trio")
CHUNKS = [chunk("Ä", x_new=1), chunk("b"), chunk("c"), chunk("d"), chunk(None, "stop")]
EVENTS = [event(item) for item in CHUNKS]
DONE = event(b"[DONE]")
BODY = json.dumps(completion("Ä and more"), ensure_ascii=False).encode()
HALF = len(BODY) // 2
STREAM = [events(), *chunked(*EVENTS, DONE), END]
ANSWER = whole(BODY)
IMPATIENT = {"timeout": 0.3}
LIMITED = {
    "x_ratelimit_limit_requests": "60",
    "x_ratelimit_remaining_requests": "0",
    "x_ratelimit_reset_requests": "0.3s",
    "retry_after": "0.3",
}
HTML = "<html>\r\n<head><title>{0}</title></head>\r\n<body>\r\n<center><h1>{0}</h1></center>\r\n</body>\r\n</html>\r\n"


def compact(body: Any) -> bytes:
    return json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode()


def ended(reason: str) -> dict[str, Any]:
    """Return the chunk that ends a stream early."""
    return {**CHUNKS[2], "choices": [{**CHUNKS[2]["choices"][0], "delta": {}, "finish_reason": reason}]}


def halved(text: str, reason: str) -> dict[str, Any]:
    """Return an answer that was ended early."""
    made = completion(text)
    return {**made, "choices": [{**made["choices"][0], "finish_reason": reason}]}


def error(status: int, message: str, kind: str, code: str | None = None, **headers: str) -> list[Any]:
    """Return an error as OpenAI's server sends it."""
    body = {"error": {"message": f"{message} (a fault of inferencereplay)", "type": kind, "param": None, "code": code}}
    return sent(compact(body), status, **headers)


def sent(body: bytes, status: int, **headers: str) -> list[Any]:
    """Return an answer of the server's own, which has a request's id unless a proxy gives it."""
    given = {"x-request-id": "req_fault", "content_length": str(len(body)), "content_type": "application/json"}
    made = head(status, **{**given, **headers})
    return [made.replace(b"x-request-id: \r\n", b""), body]


def page(status: int, title: str) -> list[Any]:
    return sent(HTML.format(title).encode(), status, content_type="text/html", **{"x-request-id": ""})


def said(*pieces: bytes) -> list[Any]:
    return [events(), *chunked(*pieces), END]


ANYWAY: dict[str, tuple[Fault, list[Any]]] = {
    "cut": (Fault.cut(), []),
    "reset": (Fault.reset(), [RESET]),
    "timeout": (Fault.timeout(), [HANG]),
    "400": (Fault.status(400), error(400, "Bad Request", "invalid_request_error")),
    "401": (Fault.status(401), error(401, "Unauthorized", "invalid_request_error", "invalid_api_key")),
    "404": (Fault.status(404), error(404, "Not Found", "invalid_request_error", "model_not_found")),
    "429": (
        Fault.status(429, retry_after=0.3),
        error(429, "Too Many Requests", "requests", "rate_limit_exceeded", retry_after="0.3"),
    ),
    "rate limit": (
        Fault.rate_limit(retry_after=0.3),
        error(429, "Too Many Requests", "requests", "rate_limit_exceeded", **LIMITED),
    ),
    "500": (
        Fault.status(500, headers={"x-should-retry": "false"}),
        error(500, "Internal Server Error", "server_error", x_should_retry="false"),
    ),
    "529": (Fault.status(529), error(529, "Error", "server_error")),
    "503 in HTML": (
        Fault.status(503, body="<h1>Nö</h1>"),
        sent("<h1>Nö</h1>".encode(), 503, content_type="text/html"),
    ),
    "422 in text": (
        Fault.status(422, body="no"),
        sent(b"no", 422, content_type="text/plain"),
    ),
    "409 in JSON": (Fault.status(409, body={"error": "no"}), sent(b'{"error":"no"}', 409)),
    "proxy": (Fault.html(), page(502, "502 Bad Gateway")),
    "proxy, unknown status": (Fault.html(520), page(520, "520 Error")),
    "proxy, no error": (Fault.html(200), page(200, "200 OK")),
}
STREAMS: dict[str, tuple[Fault, list[Any]]] = {
    "cut at once": (Fault.cut(after=0), [events()]),
    "cut after 3": (Fault.cut(after=3), [events(), *chunked(*EVENTS[:3])]),
    "cut at the end": (Fault.cut(after=99), [events(), *chunked(*EVENTS)]),
    "reset after 1": (Fault.reset(after=1), [events(), *chunked(EVENTS[0]), 0.05, RESET]),
    "timeout after 2": (Fault.timeout(after=2), [events(), *chunked(*EVENTS[:2]), HANG]),
    "malformed": (
        Fault.malformed(after=2),
        said(*EVENTS[:2], event(json.dumps(CHUNKS[2]).encode()[: len(json.dumps(CHUNKS[2])) // 2]), *EVENTS[3:], DONE),
    ),
    "error event": (
        Fault.error_event("Nö", after=1),
        said(EVENTS[0], event({"error": {"message": "Nö", "type": "server_error", "param": None, "code": None}}), DONE),
    ),
    "error event at once": (
        Fault.error_event("Nö"),
        said(event({"error": {"message": "Nö", "type": "server_error", "param": None, "code": None}}), DONE),
    ),
    "empty": (Fault.empty(), said()),
    "no done": (Fault.no_done(), said(*EVENTS)),
    "no done after 2": (Fault.no_done(after=2), said(*EVENTS[:2])),
    "length": (Fault.finish(), said(*EVENTS[:2], event(ended("length")), DONE)),
    "filter": (Fault.finish("content_filter", after=2), said(*EVENTS[:2], event(ended("content_filter")), DONE)),
    "slow beyond the time-out": (Fault.slow(first=0.8), [0.8, *STREAM]),
    "slow chunks beyond the time-out": (
        Fault.slow(between=0.8),
        [events(), *chunked(EVENTS[0]), 0.8, *chunked(*EVENTS[1:]), END],
    ),
    "slow within the time-out": (
        Fault.slow(first=0.02, between=0.01),
        [0.02, events(), *(step for piece in chunked(*EVENTS, DONE) for step in (piece, 0.01)), END],
    ),
}
CUT = head(content_type="application/json", content_length=str(len(BODY)))
PLAINS: dict[str, tuple[Fault, list[Any]]] = {
    "cut in the middle": (Fault.cut(after=3), [CUT, BODY[:HALF]]),
    "reset in the middle": (Fault.reset(after=0), [CUT, BODY[:HALF], 0.05, RESET]),
    "timeout in the middle": (Fault.timeout(after=0), [CUT, BODY[:HALF], HANG]),
    "malformed": (Fault.malformed(), whole(BODY[:HALF])),
    "error": (
        Fault.error_event("Nö"),
        whole('{"error":{"message":"Nö","type":"server_error","param":null,"code":null}}'.encode()),
    ),
    "empty": (Fault.empty(), whole(b"")),
    "length": (Fault.finish(), whole(compact(halved("Ä and", "length")))),
    "slow beyond the time-out": (Fault.slow(first=0.8), [0.8, *ANSWER]),
    "slow within the time-out": (Fault.slow(first=0.02, between=9), [0.02, *ANSWER]),
}


def compare(network, caller, directory, way, fault, script, **options):
    """Go a way with a server that fails, and with a fault; both have to be the same. Return it, and the session."""
    options = {**IMPATIENT, **options}
    good = STREAM if way in STREAMED else ANSWER
    network.play(good)
    with replay(directory, mode="record") as session:
        outcome(caller, way, **options)
    assert session.recorded == 1
    retries = options.get("max_retries", 0)
    network.play(*[script] * (retries or 1), good)
    live = outcome(caller, way, **options)
    with replay(directory, faults=[fault], clock=VirtualClock()) as session:
        injected = outcome(caller, way, **options, base_url=DEAD)
    assert injected == live
    return live, session


@pytest.mark.parametrize(("name", "caller", "way"), combine(ANYWAY, KINDS, (*PLAIN, *STREAMED)), indirect=["caller"])
def test_a_failure_before_the_answer(network, caller, tmp_path, name, way):
    """A fault in the place of the answer has the class, the facts, the text and the cause that it has live."""
    _, session = compare(network, caller, tmp_path, way, *ANYWAY[name])
    assert (session.hits, session.misses, sum(session.faults.values())) == (0, 0, 1)


@pytest.mark.parametrize(("name", "caller", "way"), combine(STREAMS, KINDS, STREAMED), indirect=["caller"])
def test_a_failure_within_a_stream(network, caller, tmp_path, name, way):
    """A program gets the chunks before a fault, and then what it gets live."""
    _, session = compare(network, caller, tmp_path, way, *STREAMS[name])
    assert sum(session.faults.values()) == 1


@pytest.mark.parametrize(("name", "caller", "way"), combine(PLAINS, KINDS, PLAIN), indirect=["caller"])
def test_a_failure_within_a_plain_answer(network, caller, tmp_path, name, way):
    """A plain answer that breaks, or is not what it should be, is the same as live."""
    _, session = compare(network, caller, tmp_path, way, *PLAINS[name])
    assert sum(session.faults.values()) == 1


@pytest.mark.parametrize(("way", "caller"), combine((*PLAIN, *STREAMED), KINDS), indirect=["caller"])
def test_nobody_listens(network, caller, tmp_path, way):
    """A refused connection is what it is live, and needs no recording."""
    live = outcome(caller, way, base_url=DEAD, max_retries=1)
    with replay(tmp_path, faults=[Fault.refused(times=2)]) as session:
        assert outcome(caller, way, base_url=DEAD, max_retries=1) == live
    assert (session.faults, session.hits, session.misses) == ({"refused": 2}, 0, 0)


PASSING: dict[str, tuple[Fault, list[Any], float]] = {
    "429": (Fault.status(429, retry_after=0.2), ANYWAY["429"][1], 0.2),
    "rate limit": (Fault.rate_limit(retry_after=0.2), ANYWAY["429"][1], 0.2),
    "timeout": (Fault.timeout(), [HANG], 0.3),
    "cut": (Fault.cut(), [], 0.0),
}


@pytest.mark.parametrize(("name", "way", "caller"), combine(PASSING, (*PLAIN, *STREAMED), KINDS), indirect=["caller"])
def test_the_sdk_tries_again(network, caller, tmp_path, name, way):
    """After a fault the SDK gets the recorded answer, as it does live, and virtual time passes meanwhile."""
    fault, script, seconds = PASSING[name]
    live, session = compare(network, caller, tmp_path, way, fault, script, max_retries=1)
    assert (live[1], session.hits) == (None, 1)
    assert session.clock.time >= seconds


@pytest.mark.parametrize("caller", KINDS, indirect=True)
def test_a_plain_answer_that_breaks_is_tried_again(network, caller, tmp_path):
    """The SDK reads a plain answer within its loop, so a cut in its middle is tried again; it is one hit."""
    script = [CUT, BODY[:HALF]]
    live, session = compare(network, caller, tmp_path, PLAIN[0], Fault.cut(after=0), script, max_retries=1)
    assert (live[1], session.hits, session.faults) == (None, 1, {"cut": 1})


@pytest.fixture
def deaf():
    """Listen, and take no connection."""
    with socket.socket() as listening, contextlib.ExitStack() as stack:
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        for _ in range(3):  # more than wait in the queue
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listening.getsockname())
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/v1"


@pytest.mark.parametrize("caller", KINDS, indirect=True)
def test_a_connection_that_takes_too_long(network, caller, deaf, tmp_path):
    """The time-out of a connection is what it is live."""
    live = outcome(caller, PLAIN[0], base_url=deaf, **IMPATIENT)
    with replay(tmp_path, mode="replay", faults=[Fault.timeout("connect")]):
        assert outcome(caller, PLAIN[0], base_url=deaf, **IMPATIENT) == live
    assert live[1][-2].__name__ == "ConnectTimeout"


@pytest.mark.parametrize("caller", KINDS, indirect=True)
def test_a_request_that_nobody_reads(network, caller, tmp_path):
    """The time-out of a request that is being sent is what it is live."""

    async def ask(client, got):
        asked = {**ASK, "messages": [{"role": "user", "content": "x" * 20_000_000}]}
        got.append(await settle(client.chat.completions.create(**asked)))

    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/v1"
        live = outcome(caller, ask, base_url=url, **IMPATIENT)
    with replay(tmp_path, mode="replay", faults=[Fault.timeout("write")]):
        assert outcome(caller, ask, base_url=url, **IMPATIENT) == live
    assert live[1][-2].__name__ == "WriteTimeout"
