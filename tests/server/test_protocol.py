"""What clients may do to a server: half a request, a slow reader, many connections, and leaving."""

from __future__ import annotations

import json
import socket
import time
import types
from contextlib import ExitStack

import pytest
from conftest import ASK, chunk, event, sse

from inferencereplay import replay
from inferencereplay.server.protocol import PacedAnswer, ReplayProtocol

STREAM = {**ASK, "stream": True}
CHAT = "/v1/chat/completions"


def request(body=ASK, path=CHAT, method="POST", version="1.1", *headers: str) -> bytes:
    """Return a request as it is sent."""
    content = json.dumps(body).encode()
    lines = [f"{method} {path} HTTP/{version}", "host: x", f"content-length: {len(content)}", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + content


def connect(served) -> socket.socket:
    made = socket.create_connection(("127.0.0.1", served.port))
    made.settimeout(20)
    return made


def read_to_end(client) -> bytes:
    got = b""
    while data := client.recv(65536):
        got += data
    return got


def until(condition) -> bool:
    """Wait until something is true."""
    deadline = time.monotonic() + 20
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.005)
    return condition()


@pytest.fixture
def streams(client, server, tmp_path):
    """Record a stream of which the second event takes a minute; return the directory."""
    server.replies = [sse(chunk("a"), chunk("b"), chunk("c"))]
    with replay(tmp_path, mode="record"):
        list(client.chat.completions.create(**STREAM))
    (file,) = tmp_path.rglob("*.json")
    held = json.loads(file.read_text())
    held["response"]["offsets"] = [0.001, 60, 60.1]
    file.write_text(json.dumps(held))
    return tmp_path


@pytest.mark.parametrize("headers", [(), ("expect: 100-continue",)])
def test_a_client_that_leaves_ends_its_stream_at_once(streams, serve, headers):
    """Not only when the next event is due; on the short way, and by ASGI."""
    served = serve(streams, speed=1)
    with connect(served) as client:
        client.sendall(request(STREAM, CHAT, "POST", "1.1", *headers))
        while b'"a"' not in client.recv(65536):
            pass
        assert served.count("streams_open") == 1
    assert until(lambda: served.count("streams_open") == 0)


def test_what_is_due_after_a_client_has_left_is_not_sent(streams, serve):
    """Nor counted."""
    served = serve(streams, speed=200)
    with connect(served) as client:
        client.sendall(request(STREAM))
        while b'"a"' not in client.recv(65536):
            pass
    assert until(lambda: served.count("streams_open") == 0)
    time.sleep(0.5)
    assert "inferencereplay_lateness_seconds_count 1\n" in served.application.metrics.text().decode()


def test_events_come_when_they_are_due(streams, serve):
    """And the server counts how late it was."""
    served = serve(streams, speed=200)
    start = time.monotonic()
    answered = served.ask(CHAT, STREAM)
    assert time.monotonic() - start > 0.3
    assert answered.content == b"".join(map(event, (chunk("a"), chunk("b"), chunk("c"), b"[DONE]")))
    text = served.ask("/metrics", method="GET").content.decode()
    assert "inferencereplay_lateness_seconds_count 3\n" in text
    assert "99 % of 3 timed events late by at most" in served.application.metrics.summary()


@pytest.mark.parametrize("headers", [(), ("expect: 100-continue",)])
def test_a_plain_answer_takes_its_time(recorded, serve, headers):
    """The recorded one, divided by the speed; also if the last part of it is a break."""
    directory, _ = recorded
    (file,) = directory.rglob("*.json")
    held = json.loads(file.read_text())
    held["response"]["elapsed"] = 30
    file.write_text(json.dumps(held))
    served, start = serve(directory, speed=100), time.monotonic()
    with connect(served) as client:
        client.sendall(request(ASK, CHAT, "POST", "1.1", "connection: close" if headers else "x: y", *headers))
        while b"answer 1" not in client.recv(65536):
            pass
    assert time.monotonic() - start >= 0.3


def test_a_broken_stream_breaks_when_it_broke(streams, serve):
    """Its connection ends at the recorded moment of leaving, and a second."""
    (file,) = streams.rglob("*.json")
    held = json.loads(file.read_text())
    held["response"].update(end="closed", sentinel=False, left=60.1)
    file.write_text(json.dumps(held))
    served = serve(streams, speed=200)
    for headers in ({}, {"connection": "close"}):
        start = time.monotonic()
        assert served.ask(CHAT, STREAM, **headers).is_broken
        assert time.monotonic() - start > 1.3


def test_an_answer_that_never_came_is_an_error_after_a_while(recorded, serve, monkeypatch):
    """The program left the call while it was recorded, and waits now."""
    monkeypatch.setattr("inferencereplay.session.session.LONGEST_UNANSWERED", 0.2)
    directory, _ = recorded
    (file,) = directory.rglob("*.json")
    held = json.loads(file.read_text())
    held["response"] = {"status": 0, "headers": {}, "end": "closed", "sentinel": False, "left": 0.1, "chunks": []}
    file.write_text(json.dumps(held))
    start = time.monotonic()
    answered = serve(directory).ask(CHAT, ASK)
    assert (answered.status, answered.error["code"]) == (500, "recording_incomplete")
    assert time.monotonic() - start >= 0.2


def test_half_a_request_ends_in_time(recorded, serve):
    """With an answer that says so; a connection without any request just ends."""
    served = serve(recorded[0])
    served.application.patience = 0.2
    whole = request()
    for part, expected in ((b"", b""), (whole[:9], b""), (whole[:-5], b"408")):
        with connect(served) as client:
            client.sendall(part)
            assert expected in read_to_end(client)
    with connect(served) as client:  # a client that goes on in time is served, and may then be idle
        client.sendall(whole[:-5])
        time.sleep(0.1)
        client.sendall(whole[-5:])
        assert b"answer 1" in client.recv(65536)
        time.sleep(0.5)
        client.sendall(whole)
        assert b"answer 1" in client.recv(65536)


@pytest.fixture
def large(client, server, tmp_path):
    """Record a stream of 12 MB, of which an event comes every 20 ms; return the directory and one event's text."""
    text = "x" * 300_000
    server.replies = [sse(*[chunk(text)] * 40)]
    with replay(tmp_path, mode="record"):
        list(client.chat.completions.create(**STREAM))
    (file,) = tmp_path.rglob("*.json")
    held = json.loads(file.read_text())
    held["response"]["offsets"] = [0.02 * index for index in range(40)]
    file.write_text(json.dumps(held))
    return tmp_path, text.encode()


@pytest.mark.parametrize("speed", [float("inf"), 1])
def test_a_client_that_does_not_read_is_left_in_time(large, serve, speed):
    """No memory is kept for it."""
    served = serve(large[0], speed=speed)
    served.application.patience = 0.4
    with connect(served) as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.sendall(request(STREAM))
        time.sleep(3)
        with pytest.raises(ConnectionError):
            read_to_end(slow)
    assert until(lambda: served.count("streams_open") == 0)


@pytest.mark.parametrize("speed", [float("inf"), 1, 20])
def test_a_client_that_reads_slowly_gets_everything(large, serve, speed):
    """What is due meanwhile waits, and is not kept for it a second time."""
    directory, text = large
    served = serve(directory, speed=speed)
    with connect(served) as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 100_000)
        slow.sendall(request(STREAM))
        time.sleep(0.5)
        got = bytearray()
        while b"[DONE]" not in got[-100:]:
            got += slow.recv(500_000)
    assert got.count(text) == 40


def test_a_connection_without_a_request_ends_after_a_while(recorded, serve, monkeypatch):
    """Later than a client forgets it."""
    monkeypatch.setattr("inferencereplay.server.protocol.KEEP_ALIVE", 0.1)
    served = serve(recorded[0])
    served.application.patience = 0.1
    with connect(served) as client:
        client.sendall(request())
        assert read_to_end(client).endswith(b"}")


@pytest.mark.parametrize("speed", [float("inf"), 1000])
def test_requests_that_come_before_the_answer_to_the_last_one_are_answered_in_order(recorded, client, serve, speed):
    """HTTP/1.1 allows it (pipelining)."""
    directory, _ = recorded
    with replay(directory, mode="record-if-missing"):
        list(client.chat.completions.create(**STREAM))
    served = serve(directory, speed=speed)
    with connect(served) as pipe:
        pipe.sendall(
            request() + request(STREAM) + request(path="/health", method="GET") + request({"x": 1}) + request()
        )
        got = b""
        while got.count(b"HTTP/1.1") < 5 or not got.endswith(b"}"):
            got += pipe.recv(65536)
    marks = [got.index(part) for part in (b'"answer 1"', b"[DONE]", b'"ok"', b"recording_not_found")]
    assert marks == sorted(marks)
    assert got.count(b'"answer 1"') == 2


@pytest.mark.parametrize(
    ("version", "headers"),
    [("1.0", ()), ("1.1", ("connection: close",)), ("1.1", ("expect: 100-continue",)), ("1.1", ("upgrade: odd",))],
)
def test_every_kind_of_request_gets_the_answer(recorded, serve, version, headers):
    """Those that do not go the short way too."""
    with connect(serve(recorded[0])) as client:
        client.sendall(request(ASK, CHAT, "POST", version, *headers))
        got = b""
        while b"answer 1" not in got:
            got += client.recv(65536)


def test_head_has_no_content(recorded, serve):
    """A HEAD is another request than a POST, and was not recorded."""
    answered = serve(recorded[0]).ask(CHAT, ASK, method="HEAD")
    assert (answered.status, answered.content) == (404, b"")


@pytest.mark.parametrize(
    ("path", "body", "status", "said"),
    [
        (CHAT, b"{no JSON", 400, "not JSON"),
        (CHAT, b'{"a": NaN}', 400, "not JSON"),
        (CHAT, b'{"a": "\xff"}', 400, "not JSON"),
        (CHAT, b"[" * 100_000 + b"]" * 100_000, 400, "deep"),
        ("/v1/../../etc/passwd", b"{}", 400, "lead out"),
        ("/v1/%2e%2e/%2e%2e/etc/passwd", b"{}", 400, "lead out"),
        ("/v1/..%5c..%5cetc", b"{}", 400, "lead out"),
        ("/v1/a%00b", b"{}", 400, "lead out"),
    ],
)
def test_bad_input_is_refused(recorded, serve, path, body, status, said):
    """With an error that says what is wrong; it is no miss."""
    served = serve(recorded[0])
    answered = served.ask(path, body)
    assert (answered.status, said in answered.error["message"]) == (status, True)
    assert (served.count("refused"), served.count("misses")) == (1, 0)


def test_what_is_nested_too_deeply_for_redaction_is_a_miss(recorded, serve):
    """As in Python: it cannot be looked through for secrets."""
    served, secret = serve(recorded[0]), "sk-proj-0123456789abcdefghij0123456789abcdefghij"
    said = set()
    for depth in range(100, 1000, 50):
        answered = served.ask(CHAT, ('{"a":' * depth + f'"{secret}"' + "}" * depth).encode())
        assert answered.status in (400, 404)
        said.add(answered.error["message"].partition(": ")[2])
    assert "it is nested too deeply. Replace it in the test." in said


def test_an_answer_without_content_has_no_length(recorded, serve):
    """A status that has none."""
    directory, _ = recorded
    (file,) = directory.rglob("*.json")
    held = json.loads(file.read_text())
    held["response"] = {"status": 204, "headers": {}, "text": ""}
    file.write_text(json.dumps(held))
    answered = serve(directory).ask(CHAT, ASK)
    assert (answered.status, answered.headers, answered.content) == (204, {}, b"")


def test_a_torn_upload_is_a_miss(recorded, serve):
    """No recording can answer it."""
    served = serve(recorded[0])
    answered = served.ask("/v1/files", b"--x\r\n", content_type="multipart/form-data; boundary=x")
    assert (answered.status, served.count("misses")) == (404, 1)
    assert "POST /files is not recordable: its body is no form (multipart/form-data)" in answered.error["message"]


def test_a_body_that_is_too_large_is_refused(recorded, serve, monkeypatch):
    """It is not kept in memory."""
    monkeypatch.setattr("inferencereplay.server.asgi.LARGEST_BODY", 1_000_000)
    served = serve(recorded[0])
    answered = served.ask(CHAT, b'"' + b"x" * 1_000_000)
    assert (answered.status, answered.error["message"]) == (413, "The body has more than 1,000,000 bytes.")
    large = {**ASK, "messages": [{"role": "user", "content": "x" * 400_000}]}
    assert served.ask(CHAT, large).status == 404


@pytest.mark.parametrize("ended", [False, True])
@pytest.mark.parametrize(
    "head",
    [f"POST {CHAT} HTTP/1.1\r\n", f"POST {CHAT} HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n0\r\n"],
    ids=["before", "after"],
)
def test_headers_without_an_end_are_refused(recorded, serve, monkeypatch, head, ended):
    """Before a body, and after a chunked one; fewer are read, and a connection may bring any number of requests."""
    monkeypatch.setattr("inferencereplay.server.protocol.LARGEST_HEAD", 100_000)
    served = serve(recorded[0])
    many = b"x-a: b\r\n" * 2_000
    with socket.create_connection(("127.0.0.1", served.port), 20) as client:
        for _ in range(10):
            client.sendall(head.encode() + many + b"\r\n" * ended)
            if ended:
                assert client.recv(100_000).startswith(b"HTTP/1.1 404")
            else:
                head = ""
        answered = b"" if ended else client.recv(100_000)
    assert answered.startswith(b"HTTP/1.1 431") is not ended


def test_what_is_no_http_is_refused(recorded, serve):
    """By the server below."""
    with connect(serve(recorded[0])) as client:
        client.sendall(b"\x16\x03\x01\x02\x00\x01\r\n\r\n")
        assert read_to_end(client).startswith(b"HTTP/1.1 400")


def test_a_client_that_leaves_while_it_sends_is_forgotten(recorded, serve):
    """Nothing is counted as an answer."""
    served = serve(recorded[0])
    with connect(served) as client:
        client.sendall(request(ASK, CHAT, "POST", "1.1", "expect: 100-continue")[:-5])
        assert b"100" in client.recv(100)
    assert until(lambda: served.count("requests") == 1)
    assert (served.count("hits"), served.count("misses")) == (0, 0)


@pytest.mark.slow
def test_two_thousand_connections(streams, serve):
    """Each gets its first event, and the server answers others meanwhile."""
    served = serve(streams, speed=1)
    with ExitStack() as stack:
        clients = [stack.enter_context(connect(served)) for _ in range(2_000)]
        for client in clients:
            client.sendall(request(STREAM))
        for client in clients:
            got = b""
            while b'"a"' not in got:
                got += client.recv(65536)
        assert served.ask("/health", method="GET").status == 200
        assert served.count("streams_open") == 2_000
    assert until(lambda: served.count("streams_open") == 0)


def test_an_absolute_url_and_an_odd_reason(recorded, serve):
    """As proxies send it; the phrase after the status is the recorded one."""
    directory, _ = recorded
    (file,) = directory.rglob("*.json")
    held = json.loads(file.read_text())
    held["response"].update(status=299, reason="Odd enough")
    file.write_text(json.dumps(held))
    served = serve(directory)
    with connect(served) as client:
        client.sendall(request(path=f"http://x{CHAT}"))
        assert client.recv(65536).startswith(b"HTTP/1.1 299")
    with connect(served) as client:
        client.sendall(request())
        assert client.recv(65536).startswith(b"HTTP/1.1 299 Odd enough\r\n")


def test_a_client_that_reads_again_before_anything_is_due_changes_nothing():
    """What is due later is planned already."""
    planned: list[object] = []
    application = types.SimpleNamespace(metrics=None, deadlines=types.SimpleNamespace(add=planned.append))
    answer = types.SimpleNamespace(is_stream=True, pieces=[b""])
    made = PacedAnswer(types.SimpleNamespace(application=application), types.SimpleNamespace(answer=answer), None)
    made.resume()
    assert planned == []


def test_a_connection_that_has_closed_is_looked_at_no_more():
    """Its next look was planned before."""
    made = object.__new__(ReplayProtocol)
    made.transport = types.SimpleNamespace(is_closing=lambda: True)
    assert made._look(0.0) is None
