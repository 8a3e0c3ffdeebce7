"""What is recorded through the server is what the SDK would have recorded, and the caller gets it at once."""

from __future__ import annotations

import asyncio
import gzip
import json
import re
import socket
import threading
import time

import openai
import pytest
from conftest import ASK, Reply, chunk, completion, event, plain, sse
from ways import DEAD

from inferencereplay import InvalidSetting, replay
from inferencereplay.server import app
from inferencereplay.server.incoming import Incoming
from inferencereplay.server.metrics import Metrics
from inferencereplay.server.upstream import Upstream

CHAT = "/v1/chat/completions"
STREAM = {**ASK, "stream": True}
KEY = "sk-test-0123456789abcdef"
TIMES = re.compile(rb'"(at|elapsed|offsets|left)": ("[^"]*"|[\d.]+|\[[^]]*\])')


def files(directory) -> dict[str, bytes]:
    """Return the content of each recording, without its times."""
    found = sorted(directory.rglob("*.json"))
    return {path.name: TIMES.sub(rb'"\1": 0', path.read_bytes()) for path in found}


def wait_for(condition):
    """Return what is true, once it is."""
    deadline = time.monotonic() + 20
    while not (found := condition()) and time.monotonic() < deadline:
        time.sleep(0.01)
    return found


def gzipped(body: bytes) -> Reply:
    return Reply(headers={"content-type": "application/json", "content-encoding": "gzip"}, body=gzip.compress(body))


ERROR = {"error": {"message": f"no model for {KEY}", "type": "invalid_request_error"}}
ANSWERS = {
    "plain": (ASK, plain(completion(f"my key is {KEY}"), openai_version="2020-10-01")),
    "compressed": (ASK, gzipped(json.dumps(completion("Hi")).encode())),
    "indented": (ASK, Reply(body=json.dumps(completion("Hi"), indent=2).encode())),
    "stream": (STREAM, sse(chunk("a"), chunk(KEY[:9]), chunk(KEY[9:]), chunk(None, "stop"), pause=0.001)),
    "no stream": (STREAM, plain(completion("Hi"))),
    "events": (STREAM, Reply(headers={"content-type": "text/event-stream"}, pieces=[(0, b"event: x\ndata: {}\n\n")])),
    "no JSON": (STREAM, Reply(headers={"content-type": "text/event-stream"}, pieces=[(0, b"data: x\n\n")])),
    "text": (ASK, Reply(headers={"content-type": "text/plain; charset=latin-1"}, body="é".encode("latin-1"))),
    "cut": (STREAM, sse(chunk("a"), is_done=False, is_cut=True)),
    "error": (ASK, plain(ERROR, 400)),
    "transient": (ASK, plain(ERROR, 429)),
    "reason": (ASK, Reply(status=400, body=b"{}", reason="Odd")),
}


def chat(url, body):
    """Make a chat with the SDK; return what it gives."""
    with openai.OpenAI(api_key=KEY, base_url=url, max_retries=0) as client:
        try:
            made = client.chat.completions.create(**body)
            return list(made) if body.get("stream") else made
        except Exception as error:  # noqa: BLE001 - what differs from version to version, as for a text in the place of JSON
            return type(error), getattr(error, "body", None)


@pytest.mark.parametrize("record_errors", [False, True])
@pytest.mark.parametrize("name", ANSWERS)
def test_the_file_is_the_one_that_python_makes(server, serve, tmp_path, name, record_errors):
    """Byte for byte but for times; and the caller gets what it gets from the upstream itself."""
    body, reply = ANSWERS[name]
    server.renumber(reply)
    with replay(tmp_path / "python", mode="record", record_errors=record_errors):
        expected = chat(server.url, body)
    served = serve(tmp_path / "server", mode="record", upstream=server.url, record_errors=record_errors)
    server.renumber(reply)
    got = chat(served.url, body)
    assert got == expected
    if name == "no JSON":  # the SDK leaves before the end
        wait_for(lambda: served.count("recorded"))
    made = files(tmp_path / "server")
    assert made == files(tmp_path / "python")
    assert served.count("recorded") == len(made) == (name != "transient" or record_errors)
    assert KEY.encode() not in b"".join(made.values())


def test_what_was_recorded_answers_when_the_upstream_is_gone(server, serve, tmp_path):
    """In `record-if-missing` from the first equal request on."""
    served = serve(tmp_path, mode="record-if-missing", upstream=server.url)
    first, stream = chat(served.url, ASK), chat(served.url, STREAM)
    assert server.count == 2
    server.stop()
    assert (chat(served.url, ASK), chat(served.url, STREAM)) == (first, stream)
    assert (chat(serve(tmp_path).url, ASK), served.count("hits")) == (first, 2)
    server.stop = lambda: None


def test_the_callers_headers_reach_the_upstream(server, serve, tmp_path):
    """All but those of one connection, and those that are for this server."""
    served = serve(tmp_path, mode="record-if-missing", upstream=server.url)
    headers = {"authorization": f"Bearer {KEY}", "x-mine": "1", "x_inferencereplay_session": "s"}
    served.ask(f"{CHAT}?api-version=1", ASK, **headers, accept_encoding="br;q=0.5, odd")
    method, path, got, body = server.requests[0]
    assert (method, path, body) == ("POST", f"{CHAT}?api-version=1", ASK)
    named = {name.lower(): value for name, value in got.items()}
    assert (named["authorization"], named["x-mine"], named["accept-encoding"]) == (f"Bearer {KEY}", "1", "br;q=0.5")
    assert "x-inferencereplay-session" not in named
    assert "user-agent" not in named


def test_a_stream_passes_through_at_once(server, serve, tmp_path):
    """The caller has the first event while the upstream waits with the second; offsets are those of the upstream."""
    server.replies = [sse(chunk("a"), chunk("b"), pause=0.3)]
    served = serve(tmp_path, mode="record", upstream=server.url)
    with openai.OpenAI(api_key=KEY, base_url=served.url) as client:
        stream = client.chat.completions.create(**STREAM)
        next(stream)
        first = time.perf_counter()
        list(stream)
    assert time.perf_counter() - first > 0.2
    (file,) = tmp_path.rglob("*.json")
    offsets = json.loads(file.read_text())["response"]["offsets"]
    assert offsets[1] - offsets[0] > 0.2


def test_a_stream_that_its_caller_leaves_ends_upstream_and_is_kept_as_far_as_it_came(server, serve, tmp_path):
    """As in Python: `closed`, with the moment of leaving."""
    server.replies = [sse(*[chunk("a")] * 200, pause=0.02)]
    served = serve(tmp_path, mode="record", upstream=server.url)
    with openai.OpenAI(api_key=KEY, base_url=served.url) as client, client.chat.completions.create(**STREAM) as stream:
        next(stream)
    found = wait_for(lambda: list(tmp_path.rglob("*.json")))
    response = json.loads(found[0].read_text())["response"]
    assert (response["end"], len(response["chunks"]) < 200, response["left"] > 0) == ("closed", True, True)


def test_a_call_that_is_left_before_its_answer_is_kept_as_such(server, serve, tmp_path):
    """A replay then waits as long for the caller to leave."""
    server.replies = [sse(chunk("a"), pause=1.5)]
    server.replies[0].headers["x-late"] = "1"
    blocker = threading.Event()
    held = server._answer

    def late(handler):
        blocker.wait(10)
        held(handler)

    server._answer = late
    served = serve(tmp_path, mode="record", upstream=server.url)
    with openai.OpenAI(api_key=KEY, base_url=served.url, max_retries=0, timeout=0.3) as client:
        with pytest.raises(openai.APITimeoutError):
            client.chat.completions.create(**ASK)
    found = wait_for(lambda: list(tmp_path.rglob("*.json")))
    blocker.set()
    response = json.loads(found[0].read_text())["response"]
    assert (response["status"], response["end"]) == (0, "closed")


@pytest.mark.parametrize("record_errors", [False, True])
def test_an_upstream_that_cannot_be_reached(serve, tmp_path, record_errors):
    """An answer 502 that says so; with `record_errors=True` a failed connection is a recording as in Python."""
    served = serve(tmp_path, mode="record-if-missing", upstream=DEAD, record_errors=record_errors)
    answered = served.ask(CHAT, ASK)
    assert (answered.status, answered.error["code"]) == (502, "upstream_unreachable")
    assert answered.headers["x-should-retry"] == "true"
    assert served.count("recorded") == len(files(tmp_path)) == record_errors


def test_a_failed_connection_breaks_without_an_answer(serve, server, tmp_path):
    """The client sees neither status nor headers."""
    served = serve(tmp_path, mode="record", upstream=DEAD, record_errors=True)
    served.ask(CHAT, ASK)
    with socket.create_connection(("127.0.0.1", serve(tmp_path).port)) as client:
        body = json.dumps(ASK).encode()
        client.sendall(
            b"POST %b HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n%b" % (CHAT.encode(), len(body), body)
        )
        assert client.recv(100) == b""


def test_what_cannot_be_recorded_passes_through(server, serve, tmp_path, caplog):
    """A form that is torn, and in `live` mode everything."""
    served = serve(tmp_path, mode="record", upstream=server.url)
    answered = served.ask("/v1/files", b"--x\r\n", content_type="multipart/form-data; boundary=x")
    assert (answered.status, files(tmp_path)) == (404, {})
    assert "POST /files is not recordable" in caplog.text


def test_what_passes_through_is_told_once(server, serve, tmp_path, caplog):
    """One warning for each endpoint, however often it is asked."""
    served = serve(tmp_path, mode="record", upstream=server.url)
    for path in ("/v1/files", "/v1/files", "/v1/uploads"):
        served.ask(path, b"--x\r\n", content_type="multipart/form-data; boundary=x")
    told = [message.partition(" is not recordable")[0] for message in caplog.messages if "is not recordable" in message]
    assert told == ["POST /files", "POST /uploads"]
    assert server.count == 3


def test_live_passes_everything_through(server, serve, tmp_path, client):
    """Whatever was recorded, and whether or not the upstream is there."""
    with replay(tmp_path, mode="record"):
        client.chat.completions.create(**ASK)
    before = files(tmp_path)
    live = serve(tmp_path, mode="live", upstream=server.url)
    assert b"answer 2" in live.ask(CHAT, ASK).content
    assert b"answer 3" in live.ask(CHAT, STREAM).content
    assert live.ask(CHAT, b"{").status == 200
    assert serve(tmp_path, mode="live", upstream=DEAD).ask(CHAT, ASK).status == 502
    assert files(tmp_path) == before


def test_a_call_that_is_left_is_left_upstream(server, serve, tmp_path):
    """In `live` nothing is kept of it."""
    held, ended = threading.Event(), threading.Event()
    answer = server._answer

    def late(handler):
        held.wait(10)
        answer(handler)
        ended.set()

    server._answer = late
    served = serve(tmp_path, mode="live", upstream=server.url)
    with openai.OpenAI(api_key=KEY, base_url=served.url, max_retries=0, timeout=0.3) as client:
        with pytest.raises(openai.APITimeoutError):
            client.chat.completions.create(**ASK)
    held.set()
    assert ended.wait(10)
    assert files(tmp_path) == {}


def test_a_call_that_nobody_keeps_ends_with_its_caller():
    """Its request upstream is cancelled, and there is nothing to store."""

    async def leave() -> None:
        asked = asyncio.Event()

        async def never_answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            asked.set()
            await reader.read()
            writer.close()
            await writer.wait_closed()

        listening = await asyncio.start_server(never_answer, "127.0.0.1", 0)
        upstream = Upstream(f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}/v1", Metrics())
        incoming = Incoming("POST", "/v1/chat/completions", "", [], b"{}", 0.0)
        passing = asyncio.ensure_future(upstream.forward(incoming, None, None))
        await asked.wait()
        passing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await passing
        await upstream.close()
        listening.close()
        await listening.wait_closed()
        await asyncio.gather(*(asyncio.all_tasks() - {asyncio.current_task()}))

    asyncio.run(leave())


def test_a_body_that_is_no_json_is_the_upstreams_business(server, serve, tmp_path):
    """It is passed on, and not recorded."""
    served = serve(tmp_path, mode="record", upstream=server.url)
    assert served.ask(CHAT, b"{no JSON").status == 200
    assert served.ask(CHAT, b"[1]").status == 200
    assert server.requests[0][3] == b"{no JSON"
    assert len(files(tmp_path)) == 1


@pytest.mark.parametrize("mode", ["record", "record-if-missing", "live"])
@pytest.mark.parametrize("path", ["/v1/../admin", "/v1/%2e%2e/admin", "/..%5cadmin", "/v1/a%00b"])
def test_a_path_that_leads_out_does_not_reach_the_upstream(server, serve, tmp_path, mode, path):
    """It would leave the base URL, with the caller's key."""
    served = serve(tmp_path, mode=mode, upstream=server.url)
    answered = served.ask(path, ASK)
    assert (answered.status, "lead out" in answered.error["message"]) == (400, True)
    assert (server.count, files(tmp_path), served.count("refused")) == (0, {}, 1)


def test_the_upstreams_password_is_not_told(serve, tmp_path, caplog):
    """Neither to callers nor in the log; it is part of the URL."""
    secret = DEAD.replace("http://", "http://user:pa55word@")
    served = serve(tmp_path, mode="record", upstream=secret, record_errors=True)
    answered = served.ask(CHAT, ASK)
    assert f"{DEAD} cannot be reached" in answered.error["message"]
    assert b"pa55word" not in b"".join([answered.content, caplog.text.encode(), *files(tmp_path).values()])


@pytest.mark.parametrize("mode", ["record", "live"])
def test_a_url_that_is_too_long_to_pass_on_is_refused(server, serve, tmp_path, mode):
    """With an error that says so; the next call of the same kind is recorded as usual."""
    served = serve(tmp_path, mode=mode, upstream=server.url)
    answered = served.ask(f"/v1/models?{'a' * 65_520}", method="GET")
    assert (answered.status, "cannot be passed on" in answered.error["message"]) == (400, True)
    assert (server.count, files(tmp_path)) == (0, {})


@pytest.mark.parametrize("url", ["api.openai.com", "ftp://x/v1", "http:///v1", "https://x/v1?a=b", ""])
def test_an_upstream_that_is_no_url_is_refused(tmp_path, url):
    """When it is given."""
    with pytest.raises(InvalidSetting, match="no base URL"):
        app(tmp_path, mode="record", upstream=url)


def test_what_a_setting_lets_through_goes_to_the_upstream(recorded, server, serve):
    """In `replay` too: `live` names paths, also of what cannot be recorded; the rest is answered from recordings."""
    directory, _ = recorded
    served = serve(directory, live=["/embeddings", "/files"], upstream=server.url)
    before = server.count
    assert b"embedding" in served.ask("/v1/embeddings", {"model": "m", "input": "x"}).content
    assert served.ask("/v1/files", b"--x\r\n", content_type="multipart/form-data; boundary=x").status == 404
    assert b"answer 1" in served.ask(CHAT, ASK).content
    assert (server.count - before, served.count("hits"), served.count("misses")) == (2, 1, 0)
    with pytest.raises(InvalidSetting, match="live= or only= passes requests on"):
        app(directory, live=["/embeddings"])


def test_a_mode_that_passes_requests_on_needs_an_upstream(tmp_path):
    """The message says what to give."""
    with pytest.raises(InvalidSetting, match="upstream='https"):
        app(tmp_path, mode="record-if-missing")
    with pytest.raises(InvalidSetting, match="live= or only= passes requests on"):
        app(tmp_path, live="/models")


@pytest.mark.parametrize("mode", ["replay", "record-if-missing"])
def test_some_requests_pass_through_while_all_others_replay(server, serve, tmp_path, client, mode):
    """Those that `live` selects, also if they were recorded, and uploads among them."""
    with replay(tmp_path, mode="record"):
        client.chat.completions.create(**ASK)
        client.models.list()
    before = files(tmp_path)
    served = serve(tmp_path, mode=mode, upstream=server.url, live=["/models", "/files"])
    assert b"answer 1" in served.ask(CHAT, ASK).content
    assert b"answer 3" in served.ask("/v1/models").content
    assert served.ask("/v1/files", b"--x\r\n", content_type="multipart/form-data; boundary=x").status == 404
    assert server.count == 4
    assert files(tmp_path) == before


def test_sessions_share_one_numbering_in_record(server, serve, tmp_path):
    """A second session would replace what the first has recorded."""
    served = serve(tmp_path, mode="record", upstream=server.url)
    for name in ("one", "two"):
        served.ask(CHAT, ASK, x_inferencereplay_session=name)
    assert len(files(tmp_path)) == 2


def test_a_stream_of_events_that_nobody_asked_for_passes_through_at_once(server, serve, tmp_path):
    """As the SDK's `with_streaming_response` records it."""
    server.replies = [sse(chunk("a"), is_done=False)]
    served = serve(tmp_path, mode="record", upstream=server.url)
    assert served.ask(CHAT, ASK).content == event(chunk("a"))
    (file,) = tmp_path.rglob("*.json")
    assert json.loads(file.read_text())["response"]["end"] == "done"
