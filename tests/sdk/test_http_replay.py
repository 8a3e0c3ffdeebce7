"""Streams on their way through the capture into a recording, and back out of it."""

from __future__ import annotations

import base64
import gzip
import json
import threading
import zlib
from typing import Any

import anyio
import openai
import pytest
from conftest import ASK, Reply, chunk, completion, event, plain, sse
from ways import DEAD, entered, error_facts, facts, following, items, read_stream, run, settle

from inferencereplay import replay
from inferencereplay.pacing.clocks import VirtualClock
from inferencereplay.recording.format import Failure, Response
from inferencereplay.sdk import private
from inferencereplay.sdk.capture import ResponseCapture, plain_response, start_of
from inferencereplay.sdk.failures import raise_failure
from inferencereplay.sdk.http_replay import build_response
from inferencereplay.session.garbage import collect

CHUNKS = [chunk("a"), chunk("b"), chunk(None, "stop")]
SSE = {"content-type": "text/event-stream"}


def stored(directory) -> dict[str, Any]:
    """Return the response of the one recording there is."""
    (path,) = directory.rglob("*.json")
    return json.loads(path.read_text())["response"]


async def read_raw(client: Any) -> Any:
    """Make the call by way of a raw response, which only the SDK path gives."""
    made = await settle(client.chat.completions.with_raw_response.create(**ASK, stream=True))
    made = made.parse()
    got: list[Any] = []
    try:
        async for item in made if hasattr(made, "__aiter__") else _each(made):
            got.append(facts(item))  # noqa: PERF401 - what came before an error counts
    except Exception as error:  # noqa: BLE001 - it is compared
        return got, error_facts(error)
    return got, None


async def _each(stream: Any) -> Any:
    for item in stream:
        yield item


def whole(*pieces: bytes, is_cut: bool = False, **more: str) -> Reply:
    return Reply(headers={**SSE, **more}, pieces=[(0.0, piece) for piece in pieces], is_cut=is_cut)


GZIPPED = gzip.compress(b"".join(map(event, CHUNKS)) + event(b"[DONE]"))
DEFLATED = zlib.compress(b"".join(map(event, CHUNKS)) + event(b"[DONE]"))
STREAMS = {
    "done": sse(*CHUNKS),
    "no chunk": sse(),
    "nothing at all": whole(),
    "without [DONE]": sse(*CHUNKS, is_done=False),
    "more after [DONE]": whole(event(CHUNKS[0]), event(b"[DONE]"), event(CHUNKS[1])),
    "comments and blank lines": whole(b": hi\n\n", b"\n\n", event(CHUNKS[0]), b": ping\n\n", event(b"[DONE]")),
    "carriage returns": whole(event(CHUNKS[0]).replace(b"\n", b"\r\n"), event(b"[DONE]").replace(b"\n", b"\r\n")),
    "split anywhere": whole(*(bytes([byte]) for byte in event(chunk("ä"))), event(b"[DONE]")),
    "several at once": whole(b"".join(map(event, CHUNKS)) + event(b"[DONE]")),
    "data over several lines": whole(b'data: {"id": "x",\ndata: "choices": []}\n\n', event(b"[DONE]")),
    "spaces inside": whole(b'data:  {"id" :  "x", "choices":[ ] } \n\n', event(b"[DONE]")),
    "gzip": whole(GZIPPED[:30], GZIPPED[30:], **{"content-encoding": "gzip"}),
    "deflate": whole(DEFLATED, **{"content-encoding": "deflate"}),
    "error event": sse(CHUNKS[0], {"error": {"message": "overloaded", "type": "x", "code": 3}}),
    "error in a chunk that is none": sse({**CHUNKS[0], "error": None}, CHUNKS[1]),
    "the word error": sse(chunk('say "error" twice'), CHUNKS[2]),
    "named error": whole(b'event: error\ndata: {"message": "x"}\n\n', event(b"[DONE]")),
    "named events": whole(b"event: thread.made\n" + event({"id": "x"}), event(b"[DONE]")),
    "some named": whole(event(CHUNKS[0]), b"event: ping\n" + event(CHUNKS[1]), event(b"[DONE]")),
    "no JSON": whole(event(CHUNKS[0]), event(b"not json"), event(CHUNKS[1])),
    "a list": whole(event(b"[1, 2]"), event(b"[DONE]")),
    "not conforming": sse({"id": None, "object": "", "choices": None}, {"choices": [{"delta": {}}]}, {}),
    "ids and retry": whole(b"id: 3\nretry: 5\n" + event(CHUNKS[0]), event(b"[DONE]")),
    "unfinished last event": whole(event(CHUNKS[0]), b"data: {"),
    "no content type": Reply(headers={}, pieces=[(0.0, event(CHUNKS[0])), (0.0, event(b"[DONE]"))]),
    "a plain answer": plain(completion("no stream")),
    "no UTF-8": whole(event(CHUNKS[0]), b'data: "\xff', b'"\n\n', event(CHUNKS[1])),
    "no UTF-8 after carriage returns": whole(b": a\r\r", event(CHUNKS[0]), b": \xff\r\n\r\n"),
    "no UTF-8 at all": whole(b"\xff"),
    "no UTF-8, broken": whole(event(CHUNKS[0]), b'data: "\xff"\n\n', is_cut=True),
    "broken inside a character": whole(event(CHUNKS[0]), "data: ä".encode()[:-1], is_cut=True),
    "gzip, damaged": whole(GZIPPED[:30], b"\0" * 30, **{"content-encoding": "gzip"}),
    "gzip, broken": whole(GZIPPED[:-12], is_cut=True, **{"content-encoding": "gzip"}),
    "broken": sse(*CHUNKS[:2], is_done=False, is_cut=True),
    "broken inside an event": whole(event(CHUNKS[0]), b'data: {"id', is_cut=True),
    "broken before the first": whole(is_cut=True),
}


@pytest.mark.parametrize("way", [read_stream, read_raw])
@pytest.mark.parametrize("name", STREAMS)
def test_every_stream_comes_back_as_it_was_live(driver, server, tmp_path, name, way):
    """Whatever a server sends as a stream, its chunks and its end are the same live, recorded and replayed."""
    server.replies = [STREAMS[name], STREAMS[name]]
    server._count = 0
    live = run(driver, way)
    server._count = 0
    with replay(tmp_path, mode="record") as session:
        assert run(driver, way) == live
        collect()
    assert session.recorded == 1
    with replay(tmp_path):
        assert run(driver, way, base_url=DEAD) == live
        assert run(driver, way, base_url=DEAD) == live


def test_how_a_stream_ended_stands_in_the_file(client, server, tmp_path):
    """The file says done, with or without [DONE], or error, with what broke."""
    for name, end in (("done", "done"), ("without [DONE]", "done"), ("broken", "error")):
        server.replies = [STREAMS[name]]
        with replay(tmp_path / name, mode="record"):
            try:
                list(client.chat.completions.create(**ASK, stream=True))
            except Exception as error:  # noqa: BLE001 - openai 3 and before call it by different names
                assert name == "broken", error
        kept = stored(tmp_path / name)
        assert kept["end"] == end
        assert ("failure" in kept) is (name == "broken")
        assert kept.get("sentinel", True) is (name == "done")
        assert len(kept["offsets"]) == len(kept["chunks"])


def test_the_first_chunk_is_not_held_back(driver, server, tmp_path):
    """While recording, a chunk reaches the caller before the server has sent the next."""
    gate = threading.Event()

    class Slow(list):
        def __iter__(self):
            yield 0.0, event(CHUNKS[0])
            assert gate.wait(5)
            yield 0.0, event(CHUNKS[1]) + event(b"[DONE]")

    async def way(client: Any) -> Any:
        made = await settle(client.chat.completions.create(**ASK, stream=True))
        first = await following(made)
        gate.set()
        return [first, *await items(made)]

    server.replies = [Reply(headers=SSE, pieces=Slow([1]))]
    with replay(tmp_path, mode="record") as session:
        assert len(run(driver, way)) == 2
    assert session.recorded == 1


def test_a_stream_is_recorded_at_done_although_the_body_goes_on(driver, server, tmp_path):
    """A stream is finished at [DONE], whether or not the SDK reads the body's end."""

    async def way(client: Any) -> Any:
        async with entered(await settle(client.chat.completions.create(**ASK, stream=True))) as made:
            return await items(made)

    server.replies = [sse(*CHUNKS)]
    with replay(tmp_path, mode="record"):
        run(driver, way)
    assert stored(tmp_path)["end"] == "done"


@pytest.mark.parametrize(
    ("named", "body"),
    [
        ("ISO-8859-1", "café".encode()),
        ("iso-8859-1", b"caf\xe9"),
        ("utf-16-le", "hello".encode("utf-16-le")),
        ("utf-16", "hello".encode("utf-16")),
        ("utf-7", b"a+AOQ-"),
        ("no-such-charset", b"hello"),
    ],
)
def test_a_text_that_is_read_as_it_comes_is_in_its_charset(driver, server, tmp_path, named, body):
    """Byte by byte what the server sent."""

    async def way(client: Any) -> Any:
        async with entered(client.chat.completions.with_streaming_response.create(**ASK)) as made:
            return await settle(made.read())

    server.replies = [Reply(200, {"content-type": f"text/plain; charset={named}"}, body)]
    with replay(tmp_path, mode="record"):
        assert run(driver, way) == body
    with replay(tmp_path):
        assert run(driver, way, base_url=DEAD) == body


def test_a_text_that_its_charset_does_not_give_back_is_kept_as_bytes(driver, server, tmp_path):
    """A text with an escape that nobody needs would come back without it."""
    body = b"+AGE-\xff"
    server.replies = [Reply(404, {"content-type": "text/plain; charset=utf-7"}, body)]
    for mode in ("record", "replay"):
        with replay(tmp_path, mode=mode), pytest.raises(openai.NotFoundError) as caught:
            driver.chat()
        assert caught.value.response.content == body


def test_a_plain_answer_that_breaks_while_it_is_read(driver, server, tmp_path):
    """A body that breaks in its reader's hands comes back as the same exception, if such errors are stored."""

    async def way(client: Any) -> Any:
        try:
            async with entered(client.chat.completions.with_streaming_response.create(**ASK)) as made:
                return await settle(made.read())
        except Exception as error:  # noqa: BLE001 - it is compared
            return error_facts(error)

    reply = Reply(pieces=[(0.0, b'{"id"')], is_cut=True)
    server.replies = [reply, reply]
    live = run(driver, way)
    server.replies = [reply, reply]
    with replay(tmp_path, mode="record") as session:
        assert run(driver, way) == live
    assert session.recorded == 0
    assert not session.recorder.variants.has_pending()
    with replay(tmp_path, mode="record", record_errors=True):
        assert run(driver, way) == live
    with replay(tmp_path):
        assert run(driver, way, base_url=DEAD) == live
        with pytest.raises(openai.APIConnectionError):
            driver.chat()


def test_a_gzipped_plain_answer(driver, server, tmp_path):
    """A compressed body is stored as what it says, and comes back without the encoding's header."""
    body = gzip.compress(json.dumps(completion("zipped")).encode())

    async def way(client: Any) -> Any:
        made = await settle(client.chat.completions.with_raw_response.create(**ASK))
        return made.text, facts(made.parse())[1].choices[0].message.content

    async def unread(client: Any) -> Any:
        async with entered(client.chat.completions.with_streaming_response.create(**ASK)) as made:
            return await settle(made.text())

    for each in (way, unread):
        server.replies = [Reply(headers={"content-type": "application/json", "content-encoding": "gzip"}, body=body)]
        with replay(tmp_path / each.__name__, mode="record"):
            made = run(driver, each)
        with replay(tmp_path / each.__name__):
            assert run(driver, each, base_url=DEAD) == made
        assert stored(tmp_path / each.__name__)["body"]["choices"][0]["message"]["content"] == "zipped"


def test_what_is_no_text_in_a_stream_is_searched_for_secrets(client, server, tmp_path):
    """The rest of a stream that is no UTF-8 is written as base64, without the client's key."""
    server.replies = [whole(event(CHUNKS[0]), b"data: \xff sk-test-0123456789abcdef \xfe\n\n")]
    with replay(tmp_path, mode="record"), pytest.raises(UnicodeDecodeError):
        list(client.chat.completions.create(**ASK, stream=True))
    kept = stored(tmp_path)
    assert len(kept["chunks"]) == 1
    assert base64.b64decode(kept["rest"]) == b"data: \xff [REDACTED] \xfe\n\n"


def test_offsets_count_from_the_last_attempt(client, server, tmp_path):
    """The SDK's retries and their pauses are no part of the recorded time, if the HTTP library tells the last start."""
    is_told = private.http_library(client).__version__ >= "0.28"
    busy = Reply(429, {"content-type": "application/json", "retry-after-ms": "300"}, b"{}")
    server.replies = [busy, sse(*CHUNKS)]
    with replay(tmp_path, mode="record"):
        list(client.with_options(max_retries=1).chat.completions.create(**ASK, stream=True))
    assert (stored(tmp_path)["offsets"][0] < 0.3) is is_told


def test_offsets_say_when_chunks_came(driver, server, tmp_path):
    """The offsets are the seconds from the call to each chunk's arrival."""
    server.replies = [sse(*CHUNKS, pause=0.03)]
    with replay(tmp_path, mode="record"):
        driver.chat(stream=True)
    offsets = stored(tmp_path)["offsets"]
    assert offsets == sorted(offsets)
    assert offsets[0] >= 0.03
    assert offsets[2] >= 0.09


def test_the_wire_road_keeps_the_pace(driver, server, tmp_path):
    """A raw stream's pieces come when they are due."""
    server.replies = [sse(*CHUNKS, pause=0.02)]
    with replay(tmp_path, mode="record"):
        driver.chat(stream=True)
    clock = VirtualClock()
    times: list[float] = []

    async def way(client: Any) -> Any:
        made = (await settle(client.chat.completions.with_raw_response.create(**ASK, stream=True))).parse()
        for _ in CHUNKS:
            await following(made)
            times.append(clock.time)

    with replay(tmp_path, speed=0.5, clock=clock):
        run(driver, way)
    assert times == pytest.approx([2 * offset for offset in stored(tmp_path)["offsets"]])


def test_unknown_failures_are_read_errors():
    """The class of a recorded failure is looked up among the HTTP library's own errors, nowhere else."""
    library = private._library(object)
    request = library.Request("POST", "http://x/")
    with pytest.raises(library.ReadTimeout, match="slow"):
        raise_failure(Failure("ReadTimeout", "slow"), library, request)
    for name in ("SystemExit", "Client", "Request", "nothing", "__class__", "os.error", "UnicodeDecodeError", "ssl."):
        with pytest.raises(library.ReadError, match=r"^m$") as caught:
            raise_failure(Failure(name, "m"), library, request)
        assert caught.value.request is request


def test_a_start_that_is_not_known():
    """Where the HTTP library does not say when a request was sent, the start of the call counts."""
    library = private._library(object)
    assert start_of(library.Response(200, content=b""), 7.0) == 7.0


def test_a_tape_is_finished_once():
    """However often a capture is finished, its answer is handed on once."""
    library = private._library(object)
    kept: list[Response] = []
    capture = ResponseCapture(library.Response(200), 0.0, library, kept.append, lambda: kept.append(None))
    capture.is_exhausted = True
    capture.tap()(b"{}")
    capture.finish()
    capture.finish()
    assert len(kept) == 1


@pytest.mark.parametrize("indent", [None, 1, 2, 4])
def test_the_layout_of_a_json_body_is_kept(indent):
    """A raw answer's text is the server's, spaces and line ends included, in the layouts that servers use."""
    library = private._library(object)
    for separators in ((",", ":"), None):
        content = json.dumps({"a": [1, {"b": "ä"}], "c": {}}, indent=indent, separators=separators).encode()
        response = library.Response(200, content=content, headers={"content-type": "application/json"})
        kept = plain_response(response, library, 0.5)
        built = build_response(kept, library, library.Request("GET", "http://x/"), None, "f")
        assert json.loads(built.read()) == json.loads(content)
        if indent in (None, 2, 4) and not (indent and separators):
            assert built.content == content
        assert built.elapsed.total_seconds() == 0.5


def test_a_response_outlives_its_stream(tmp_path, server, driver):
    """Async and sync readers of one recording share nothing: two streams of it are read in turns."""
    server.replies = [sse(*CHUNKS)]
    with replay(tmp_path, mode="record"):
        driver.chat(stream=True)

    async def way(client: Any) -> Any:
        made = [(await settle(client.chat.completions.create(**ASK, stream=True))) for _ in range(2)]
        raw = (await settle(client.chat.completions.with_raw_response.create(**ASK, stream=True))).parse()
        read = []
        for _ in CHUNKS:
            read.append([await following(stream) for stream in (*made, raw)])  # noqa: PERF401 - 3.10 cannot nest these
        return read

    with replay(tmp_path):
        for one, two, three in run(driver, way):
            assert one == two == three
            assert one is not two


def test_concurrent_async_streams_are_recorded(server, tmp_path):
    """Streams that are read at the same time each get their own recording."""

    async def main(count: int) -> list[str]:
        got: list[str] = []
        async with openai.AsyncOpenAI(api_key="x", base_url=server.url) as client, anyio.create_task_group() as group:

            async def one(index: int) -> None:
                ask = {**ASK, "temperature": index + 0.5}
                stream = await client.chat.completions.create(**ask, stream=True)
                got.append(f"{index} " + "".join([item.choices[0].delta.content or "" async for item in stream]))

            for index in range(count):
                group.start_soon(one, index)
        return sorted(got)

    with replay(tmp_path, mode="record") as session:
        made = anyio.run(main, 10)
    assert session.recorded == 10
    with replay(tmp_path):
        assert anyio.run(main, 10) == made


def test_what_broke_first_is_what_broke():
    """Where the connection broke, content that cannot be decoded does not take the place of that."""
    library = private.http_library(openai.OpenAI(api_key="x"))
    kept: list[Response] = []
    response = library.Response(200, headers={**SSE, "content-encoding": "gzip"}, content=b"")
    capture = ResponseCapture(response, 0.0, library, kept.append, lambda: None)
    capture.tap()(b"no gzip")
    capture.fail(library.ReadError("broken"))
    capture.finish()
    assert kept[0].failure == Failure("ReadError", "broken")


def test_a_failure_that_is_not_the_librarys_is_the_sdks(driver, tmp_path):
    """What a transport raises beyond its library's errors is kept as the SDK's error, without a cause."""

    async def way(client: Any) -> Any:
        def fail(request: Any, **_: Any) -> Any:
            raise openai.APIConnectionError(message="no route", request=request)

        client._client.send = fail
        with pytest.raises(openai.APIConnectionError) as caught:
            await settle(client.chat.completions.create(**ASK))
        return type(caught.value), str(caught.value)

    with replay(tmp_path, mode="record", record_errors=True):
        live = run(driver, way)
    assert stored(tmp_path)["failure"] == {"type": "APIConnectionError", "message": live[1]}
    with replay(tmp_path):
        assert run(driver, way, base_url=DEAD) == live
