"""Answers down to their details: what the live SDK gives is what it gives while recording, and in replay."""

from __future__ import annotations

import gzip
import json
import threading
import tracemalloc
import zlib
from typing import TYPE_CHECKING, Any

import anyio
import openai
import pytest
from conftest import ASK, Reply, cheap, chunk, completion, event, plain, run_to_the_end, sse
from ways import DEAD, entered, error_facts, facts, following, items, read_stream, run, settle
from written import streamed as said_in_pieces
from written import write

from inferencereplay import RecordingNotFound, replay
from inferencereplay.recording.format import Cause, Failure, Response
from inferencereplay.sdk import private
from inferencereplay.sdk.capture import ResponseCapture
from inferencereplay.sdk.failures import raise_failure
from inferencereplay.session.garbage import collect

if TYPE_CHECKING:
    from pathlib import Path

ANSWER = completion("Äh 😀")
CHUNKS = [chunk("a"), chunk("b"), chunk(None, "stop")]
LIBRARY = private.default_http_library()


def stored(directory: Path) -> dict[str, Any]:
    """Return the response of the one recording there is."""
    (path,) = directory.rglob("*.json")
    return json.loads(path.read_text())["response"]


def compare(driver, server, directory, way, *replies, **options) -> Any:
    """Make sure that a way of calling gives the same live, recorded and replayed; return what it gives."""

    def serve() -> None:
        server.replies = list(replies)
        server._count = 0

    def facts_of(**more: Any) -> Any:
        made = run(driver, way, **{**options, **more})
        collect()
        return made

    serve()
    live = facts_of()
    serve()
    with replay(directory, mode="record", record_errors=True) as session:
        assert facts_of() == live
    assert session.recorded == 1
    with replay(directory) as session:
        assert facts_of() == live
        assert facts_of() == live
    assert session.hits == 2
    return live


def response_facts(response: Any) -> Any:
    """Say what an HTTP response is."""
    hops = [(hop.status_code, hop.headers["location"], str(hop.url), hop.request.method) for hop in response.history]
    return {
        "line": (response.status_code, response.reason_phrase),
        "location": response.headers.get("location"),
        "hops": hops,
        "url": (response.request.method, str(response.url)),
        "content": (response.content, response.text, response.num_bytes_downloaded),
    }


async def raw(client: Any) -> Any:
    """Read an answer, and what the HTTP response says, or the error it comes to."""
    try:
        made = await settle(client.chat.completions.with_raw_response.create(**ASK))
        return response_facts(made.http_response), facts(made.parse())
    except openai.APIStatusError as error:
        return response_facts(error.response), error_facts(error)


async def raw_late(client: Any) -> Any:
    """Read an answer that comes unread."""
    async with entered(client.chat.completions.with_streaming_response.create(**ASK)) as made:
        await settle(made.read())
        return response_facts(made.http_response)


TEXT = json.dumps(ANSWER)
PRETTY = json.dumps(ANSWER, indent=3)
PLAIN: dict[str, Reply] = {
    "a newline after it": Reply(body=TEXT.encode() + b"\n"),
    "an indented text and a newline": Reply(body=json.dumps(ANSWER, indent=2).encode() + b"\n"),
    "a carriage return after it": Reply(body=b'{"id":"x"}\r\n'),
    "white space before it": Reply(body=b"\n \t\r\n" + TEXT.encode()),
    "indented by 3": Reply(body=PRETTY.encode()),
    "indented by 8": Reply(body=json.dumps(ANSWER, indent=8).encode() + b"\n\n"),
    "indented by 40": Reply(body=b"{}"),
    "a mark of UTF-8": Reply(body=b"\xef\xbb\xbf" + TEXT.encode()),
    **{
        f"{encoding}{', marked' if mark else ''}": Reply(body=(mark + TEXT).encode(encoding))
        for encoding in ("utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be")
        for mark in ("", "\ufeff")
    },
    "UTF-16 in UTF-8's name": Reply(
        headers={"content-type": "application/json; charset=utf-8"}, body=TEXT.encode("utf-16")
    ),
    "gzip": Reply(
        headers={"content-type": "application/json", "content-encoding": "gzip"}, body=gzip.compress(TEXT.encode())
    ),
    "another phrase": Reply(body=TEXT.encode(), reason="Fine"),
    "no phrase": Reply(body=TEXT.encode(), reason=""),
    "422": plain({"error": {"message": "x"}}, 422),
    "422, another phrase": Reply(422, body=b"{}", reason="Unprocessable Thing"),
    "413": plain({"error": {"message": "x"}}, 413),
    "302 to nowhere": Reply(302, {"content-type": "text/plain"}, b"over there"),
}


@pytest.mark.parametrize("name", PLAIN)
def test_a_plain_answer_comes_back_to_the_byte(driver, server, tmp_path, name):
    """Its text, its status line, and how many bytes it took."""
    compare(driver, server, tmp_path, raw, PLAIN[name])


@pytest.mark.parametrize("name", ["a newline after it", "utf-16-le", "gzip", "another phrase"])
def test_an_answer_that_is_read_late_comes_back_to_the_byte(driver, server, tmp_path, name):
    """The same for a response that the caller reads."""
    compare(driver, server, tmp_path, raw_late, PLAIN[name])


def test_what_is_usual_is_not_written(driver, server, tmp_path):
    """A file has no member for what a replay does by itself."""
    compare(driver, server, tmp_path, raw, plain(ANSWER))
    assert stored(tmp_path).keys() == {"status", "headers", "elapsed", "indent", "body"}
    compare(driver, server, tmp_path / "stream", read_stream, sse(*CHUNKS))
    assert stored(tmp_path / "stream").keys() == {"status", "headers", "end", "offsets", "chunks"}


REDIRECTS = {
    "307": [Reply(307, {"location": "/v1/elsewhere"}, b"moved")],
    "302, which makes a GET of it": [Reply(302, {"location": "elsewhere?a=b"})],
    "twice": [Reply(308, {"location": "/v1/a"}), Reply(301, {"location": "/v1/b", "retry-after": "3"})],
}


@pytest.mark.parametrize("way", [raw, raw_late])
@pytest.mark.parametrize("name", REDIRECTS)
def test_redirects_are_followed_again(driver, server, tmp_path, name, way):
    """The history of a response, its requests and the last URL are the ones that a live client made."""
    live = compare(driver, server, tmp_path, way, *REDIRECTS[name], plain(ANSWER), base_url=server.url)
    made = live[0] if way is raw else live
    assert len(made["hops"]) == len(REDIRECTS[name])
    assert not made["url"][1].endswith("/chat/completions")


def test_a_redirect_that_is_not_followed_says_where_it_leads(driver, server, tmp_path):
    """A client that follows none gets an error with the location."""

    async def way(client: Any) -> Any:
        client._client.follow_redirects = False
        return await raw(client)

    live = compare(driver, server, tmp_path, way, Reply(307, {"location": "/v1/elsewhere"}))
    assert live[0]["location"] == "/v1/elsewhere"


def test_a_redirect_holds_no_secret(driver, server, tmp_path):
    """What the query of a location says of keys is redacted."""
    there = f"{server.url}/there?signature=abcdefgh12345678&x=1"
    server.replies = [Reply(307, {"location": there}), plain(ANSWER)]
    with replay(tmp_path, mode="record"):
        run(driver, raw)
    (hop,) = stored(tmp_path)["redirects"]
    assert "abcdefgh12345678" not in json.dumps(stored(tmp_path))
    assert hop["headers"]["location"].startswith(f"{server.url}/there?")
    assert hop["headers"]["location"].endswith("x=1")
    with replay(tmp_path):
        response, made = run(driver, raw)
    assert "abcdefgh12345678" not in response["url"][1]
    assert made[4] == ANSWER


# Errors.


def chain(error: BaseException | None) -> Any:
    """Say which exceptions led to one, as far as exceptions that can be made again go."""
    made: list[Any] = []
    while _is_link(error):
        made.append((type(error), str(error)))
        is_named, below = error.__cause__ is not None, error.__cause__ or error.__context__
        if _is_link(below):
            made.append((is_named, error.__suppress_context__))
        error = below
    return made


def _is_link(error: BaseException | None) -> bool:
    return isinstance(error, Exception) and type(error).__name__ not in ("ExceptionGroup", "KeyError")


async def failing(client: Any) -> Any:
    """Make a call that fails."""
    try:
        return await settle(client.chat.completions.create(**ASK))
    except Exception as error:  # noqa: BLE001 - whichever it is
        return error_facts(error), chain(error)


async def failing_stream(client: Any) -> Any:
    """Read a stream that fails."""
    made = await settle(client.chat.completions.create(**ASK, stream=True))
    try:
        return await items(made)
    except Exception as error:  # noqa: BLE001 - whichever it is
        return error_facts(error), chain(error)


async def failing_in_a_handler(client: Any) -> Any:
    """Make a call that fails while another exception is handled."""
    try:
        return {}["ours"]
    except KeyError:
        return await failing(client)


FAILURES: dict[str, tuple[Any, Any, dict[str, Any]]] = {
    "400": (failing, plain({"error": {"message": "x"}}, 400), {}),
    "500": (failing, plain({"error": {"message": "x"}}, 500), {}),
    "500 in a handler": (failing_in_a_handler, plain({"error": {"message": "x"}}, 500), {}),
    "302": (failing, Reply(302, {}), {}),
    "refused": (failing, None, {"base_url": DEAD}),
    "refused in a handler": (failing_in_a_handler, None, {"base_url": DEAD}),
    "no such host": (failing, None, {"base_url": "http://host.invalid/v1"}),
    "slow": (failing, Reply(pieces=[(0.4, b"{}")]), {"timeout": 0.1}),
    "cut": (failing, Reply(is_cut=True), {}),
    "no gzip": (failing, Reply(headers={"content-encoding": "gzip"}, body=b"no gzip"), {}),
    "stream, cut": (failing_stream, sse(CHUNKS[0], is_done=False, is_cut=True), {}),
    "stream, slow": (failing_stream, sse(CHUNKS[0], CHUNKS[1], pause=0.3), {"timeout": 0.2}),
    "stream, no gzip": (
        failing_stream,
        Reply(headers={"content-type": "text/event-stream", "content-encoding": "gzip"}, body=b"no gzip"),
        {},
    ),
    "stream, no JSON": (failing_stream, sse(b"x"), {}),
    "stream, error event": (failing_stream, sse({"error": {"message": "x"}}), {}),
    "stream, no UTF-8": (failing_stream, sse(b"\xff"), {}),
}


@pytest.mark.parametrize("name", FAILURES)
def test_an_error_comes_back_with_what_led_to_it(driver, server, tmp_path, name):
    """The class, the text, and the exceptions below, each with its text."""
    way, reply, options = FAILURES[name]
    replies = [] if reply is None else [reply]
    _, links = compare(driver, server, tmp_path, way, *replies, **options)
    assert links


class Broken(LIBRARY.BaseTransport, LIBRARY.AsyncBaseTransport):
    """A transport that raises what a test says, at once or after a chunk."""

    def __init__(self, error: Exception, *, is_late: bool = False) -> None:
        self.error = error
        self.is_late = is_late

    def handle_request(self, request: Any) -> Any:
        if not self.is_late:
            raise self.error
        return LIBRARY.Response(200, headers={"content-type": "text/event-stream"}, content=self._pieces())

    async def handle_async_request(self, request: Any) -> Any:
        if not self.is_late:
            raise self.error
        return LIBRARY.Response(200, headers={"content-type": "text/event-stream"}, content=self._async_pieces())

    def _pieces(self) -> Any:
        yield event(CHUNKS[0])
        raise self.error

    async def _async_pieces(self) -> Any:
        yield event(CHUNKS[0])
        raise self.error


def with_transport(driver: Any, transport: Any, **more: Any) -> dict[str, Any]:
    """Return options for a client over a transport."""
    return {"http_client": (LIBRARY.AsyncClient if driver.is_async else LIBRARY.Client)(transport=transport, **more)}


@pytest.mark.parametrize("is_late", [False, True], ids=["at once", "in the stream"])
@pytest.mark.parametrize(
    "error",
    [ValueError("boom"), ConnectionResetError(104, "reset"), RuntimeError(), TimeoutError("slow")],
    ids=["value", "errno", "no text", "time-out"],
)
def test_a_transport_may_raise_anything(driver, server, tmp_path, error, is_late):
    """An exception that is no HTTP error comes back as the SDK passes it on, wrapped or bare."""
    way = failing_stream if is_late else failing
    facts_by_mode = []
    for mode in ("live", "record", "replay"):
        options = with_transport(driver, Broken(error, is_late=is_late))
        with replay(tmp_path, mode=mode, record_errors=True) as session:
            facts_by_mode.append(run(driver, way, **options))
            collect()
    live, recorded, replayed = facts_by_mode
    assert live == recorded == replayed
    assert session.hits == 1


class OddError(ValueError):
    """An exception that no reader knows."""


def test_an_exception_that_no_reader_knows(driver, tmp_path, caplog):
    """It comes back below the SDK's error as the nearest that is known; bare it is not stored."""
    with replay(tmp_path, mode="record", record_errors=True) as session:
        error, _ = run(driver, failing, **with_transport(driver, Broken(OddError("boom"))))
    if error[0] is OddError:
        assert session.recorded == 0
        return
    with replay(tmp_path):
        replayed, links = run(driver, failing)
    assert replayed == error
    assert links[2] == (ValueError, "boom")


def test_an_edited_chain_names_no_other_classes():
    """Names of causes are looked up among those that a failure may have, and the chain ends at the first other."""
    causes = [Cause("OSError", "one"), Cause("os.error", "two"), Cause("OSError", "three")]
    request = LIBRARY.Request("GET", "http://x/")
    for name in ("os.error", "SystemExit", "UnicodeDecodeError", "trio.", "nothing", "nowhere.Error"):
        causes[1] = Cause(name, "two")
        with pytest.raises(LIBRARY.ReadError) as caught:
            raise_failure(Failure("ReadError", "x", causes), LIBRARY, request)
        assert [type(caught.value.__cause__), caught.value.__cause__.__cause__] == [OSError, None]


if hasattr(openai, "OAuthError"):  # newer than token exchanges

    def test_a_failed_exchange_of_tokens_is_no_answer(driver, tmp_path):
        """What an identity provider refuses is not stored as an answer of the API."""
        request = LIBRARY.Request("POST", "http://auth.invalid/token")
        refused = LIBRARY.Response(400, request=request, json={"error": "invalid_grant"})
        error = openai.OAuthError(response=refused, body={"error": "invalid_grant"})
        with replay(tmp_path, mode="record", record_errors=True) as session:
            assert run(driver, failing, **with_transport(driver, Broken(error)))[0][0] is openai.OAuthError
        assert session.recorded == 0
        assert not list(tmp_path.rglob("*.json"))


# Streams.


@pytest.mark.parametrize("charset", ["utf-8", "utf-16", "utf-8-sig", "idna", "hex", "no-such-charset"])
def test_an_empty_answer_comes_back(driver, server, tmp_path, charset):
    """Whatever its charset makes of nothing: some begin each text with a mark."""
    compare(
        driver, server, tmp_path, raw_late, Reply(200, {"content-type": f"application/json; charset={charset}"}, b"")
    )


@pytest.mark.parametrize("charset", ["hex", "rot13"])
def test_a_charset_that_is_a_codec_of_bytes(driver, server, tmp_path, charset):
    """The HTTP library makes no text of such an answer, and a program that reads bytes needs none."""

    async def content(client: Any) -> Any:
        made = await settle(client.chat.completions.with_raw_response.create(**ASK))
        return made.http_response.content

    reply = Reply(200, {"content-type": f"text/plain; charset={charset}"}, b"no json")
    assert compare(driver, server, tmp_path, content, reply) == b"no json"


def streamed(content_type: str | None, *pieces: bytes, **more: Any) -> Reply:
    headers = {} if content_type is None else {"content-type": content_type}
    return Reply(headers=headers, pieces=[(0.01, piece) for piece in pieces], **more)


SSE = "text/event-stream"
DONE = event(b"[DONE]")
FIRST = event(CHUNKS[0])
STREAMS = {
    **{
        f"{kind}": streamed(kind, FIRST, event(CHUNKS[1]), DONE)
        for kind in ("text/plain", "application/json", "application/octet-stream", "text/html; charset=latin-1", None)
    },
    "a blank line first": streamed("text/plain", b"\n", FIRST, DONE),
    "part of data first": streamed("text/plain", FIRST[:3], FIRST[3:], DONE),
    "an id first": streamed(None, b"id: 1\n", FIRST, DONE),
    "a retry time first": streamed(None, b"retry: 5\n", FIRST, DONE),
    "a byte order mark first": streamed(None, b"\xef\xbb\xbf" + FIRST, event(CHUNKS[1]), DONE),
    "a comment first": streamed("text/plain", b": hello\n\n", FIRST, DONE),
    "without [DONE]": streamed("text/plain", b"\n", FIRST),
    "no event": streamed("text/plain", b"nothing to see"),
    "no JSON": streamed(SSE, FIRST, event(b"not json"), FIRST, DONE),
    "no JSON, of another type": streamed("text/plain", FIRST, event(b"not json"), FIRST, DONE),
    "a quoted [DONE]": streamed(SSE, FIRST, event(b"'[DONE]'"), FIRST, DONE),
    "a JSON [DONE]": streamed(SSE, FIRST, event(b'"[DONE]"')),
    "an error event": streamed(SSE, FIRST, event({"error": {"message": "x"}}), FIRST, DONE),
    "an error event and more in one piece": streamed(SSE, FIRST, event({"error": {"message": "x"}}) + FIRST),
    "no UTF-8": streamed(SSE, FIRST, event(b"\xff") + FIRST, DONE),
    "events laid out": streamed(SSE, b'data: {"id": "x",\ndata: "choices": []}\n\n', DONE),
}


@pytest.mark.parametrize("name", STREAMS)
def test_a_stream_is_what_the_caller_asked_for(driver, server, tmp_path, name):
    """Whatever it is called, begins with or ends with, it comes back, and is not asked for again."""
    live = compare(driver, server, tmp_path, read_stream, STREAMS[name])
    count = server.count
    with replay(tmp_path, mode="record-if-missing"):
        assert run(driver, read_stream) == live
    assert server.count == count


def test_a_stream_that_is_left_is_not_whole(driver, server, tmp_path):
    """A stream of another type whose caller leaves it is asked for again."""

    async def way(client: Any) -> Any:
        made = await settle(client.chat.completions.create(**ASK, stream=True))
        await following(made)
        await settle(made.close())

    server.replies = [streamed("text/plain", b"\n", FIRST, event(CHUNKS[1]), DONE)]
    with replay(tmp_path, mode="record"):
        run(driver, way)
    assert stored(tmp_path)["end"] == "closed"
    assert len(stored(tmp_path)["chunks"]) == 1


def test_lines_that_are_left_are_not_whole(driver, server, tmp_path):
    """A caller who reads lines meets no error at what is no JSON: there may be more."""

    async def way(client: Any) -> Any:
        async with entered(client.chat.completions.with_streaming_response.create(**ASK, stream=True)) as made:
            lines = made.iter_lines()
            return await following(lines), await following(lines)

    server.replies = [streamed(SSE, event(b"no json"), FIRST, DONE)]
    with replay(tmp_path, mode="record"):
        assert run(driver, way) == ("data: no json", "")
    assert stored(tmp_path)["end"] == "closed"


async def lines(client: Any) -> Any:
    """Read the lines of a stream."""
    async with entered(client.chat.completions.with_streaming_response.create(**ASK, stream=True)) as made:
        return await items(made.iter_lines()), made.http_response.num_bytes_downloaded


def test_a_recording_that_a_formatter_laid_out_streams_the_same_lines(driver, server, tmp_path):
    """Chunks on many lines are events of one line each."""
    live = compare(
        driver,
        server,
        tmp_path,
        lines,
        Reply(
            headers={"content-type": SSE},
            pieces=[(0.0, b"data: " + json.dumps(item, separators=(",", ":")).encode() + b"\n\n") for item in CHUNKS],
        ),
    )
    (path,) = tmp_path.rglob("*.json")
    path.write_text(json.dumps(json.loads(path.read_text()), indent=4))
    with replay(tmp_path):
        assert run(driver, lines) == live


def test_the_bytes_of_a_stream_are_counted(driver, server, tmp_path):
    """What a recording leaves out of a stream, such as comments and its compression, counts in replay."""

    async def way(client: Any) -> Any:
        made = await settle(client.chat.completions.with_raw_response.create(**ASK, stream=True))
        read = made.parse()
        await items(read)
        return read.response.num_bytes_downloaded

    text = b": hello\r\n\r\n" + FIRST + DONE
    headers = {"content-type": SSE, "content-encoding": "gzip"}
    assert compare(driver, server, tmp_path, way, Reply(headers=headers, body=gzip.compress(text))) > 0
    assert stored(tmp_path)["downloaded"] == len(gzip.compress(text))


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_cancelled_read_ends_the_stream(server, tmp_path, backend):
    """Who gives up on a chunk gets no other, live and in replay."""
    gate = threading.Event()

    class Slow(list[Any]):
        def __iter__(self) -> Any:
            yield 0.0, FIRST
            gate.wait(30)

    async def main() -> Any:
        async with openai.AsyncOpenAI(api_key="x", base_url=server.url, **cheap(is_async=True)) as client:
            made = await client.chat.completions.create(**ASK, stream=True)
            got: list[Any] = [(await made.__anext__()).choices[0].delta.content]
            with anyio.move_on_after(0.05) as scope:
                await made.__anext__()
            got.append(scope.cancelled_caught)
            return [*got, *[item async for item in made]]

    server.replies = [Reply(headers={"content-type": SSE}, pieces=Slow([1]))]
    live = run_to_the_end(main, backend)
    gate.set()
    write(tmp_path, {**ASK, "stream": True}, said_in_pieces("a", "b", offsets=(0.0, 600.0)))
    with replay(tmp_path, speed=1) as session:
        assert run_to_the_end(main, backend) == live == ["a", True]
    assert session.hits == 1


def test_a_request_that_the_program_builds_belongs_to_no_call(client, server, tmp_path):
    """Its error does not blame another library."""
    options = openai._models.FinalRequestOptions.construct(method="post", url="/chat/completions", json_data=ASK)
    with replay(tmp_path) as session:
        with pytest.raises(RecordingNotFound, match=r"POST /chat/completions was kept .* `_build_request`") as caught:
            client._build_request(options)
        assert "another library" not in str(caught.value)
        session.missed.clear()
    assert client._build_request(options).method == "POST"
    assert server.count == 0


# What recording takes.


@pytest.mark.slow
def test_comments_take_no_memory(tmp_path):
    """Recording a stream of comments, compressed or not, takes less than what it would be as text."""
    comments = b": ping\n\n" * 8192
    for is_packed in (False, True):
        kept: list[Response] = []
        packer = zlib.compressobj(wbits=31)
        headers = {"content-type": SSE, **({"content-encoding": "gzip"} if is_packed else {})}
        capture = ResponseCapture(LIBRARY.Response(200, headers=headers), 0.0, LIBRARY, kept.append, lambda: None)
        add = capture.tap()
        tracemalloc.start()
        for piece in (*[comments] * 64, FIRST + DONE):
            packed = packer.compress(piece) + packer.flush(zlib.Z_SYNC_FLUSH)
            add(packed if is_packed else bytes(bytearray(piece)))
        capture.finish()
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 32 * len(comments)
        assert [len(answer.chunks) for answer in kept] == [1]


# Hooks.


class Hooks:
    """Hooks of an HTTP client that note what they see."""

    def __init__(self, driver: Any) -> None:
        self.seen: list[Any] = []
        self.options = {"request": [self.request], "response": [self.response]}
        if driver.is_async:
            self.options = {"request": [self.request_async], "response": [self.response_async]}

    def request(self, request: Any) -> None:
        self.seen.append(("request", request.method, request.url.path, request.headers["content-type"]))

    def response(self, response: Any) -> None:
        self.seen.append(("response", response.status_code, response.url.path, response.headers.get("x-request-id")))

    async def request_async(self, request: Any) -> None:
        self.request(request)

    async def response_async(self, response: Any) -> None:
        self.response(response)


async def plain_create(client: Any) -> Any:
    """Make a plain call."""
    return facts(await settle(client.chat.completions.create(**ASK)))


async def refused(client: Any) -> Any:
    """Make a call that reaches nobody."""
    client.base_url = DEAD
    return await failing(client)


HOOKED: dict[str, tuple[Any, list[Reply]]] = {
    "plain": (plain_create, [plain(ANSWER)]),
    "stream": (read_stream, [sse(*CHUNKS)]),
    "raw": (raw, [plain(ANSWER)]),
    "error": (failing, [plain({"error": {"message": "x"}}, 400)]),
    "redirect": (plain_create, [Reply(307, {"location": "/v1/x"}), plain(ANSWER)]),
    "refused": (refused, []),
}


@pytest.mark.parametrize("name", HOOKED)
def test_hooks_of_the_http_client_run_in_replay(driver, server, tmp_path, name):
    """A client's `event_hooks` see each request and response that they saw live."""
    way, replies = HOOKED[name]

    async def hooked(client: Any) -> Any:
        hooks = Hooks(driver)
        client._client.event_hooks = hooks.options
        return await way(client), hooks.seen

    live = compare(driver, server, tmp_path, hooked, *replies)
    assert len(live[1]) >= 1


@pytest.mark.parametrize("name", ["plain", "stream"])
def test_a_hook_may_read_an_answer(driver, server, tmp_path, name):
    """A response hook that reads the body leaves the call its answer."""
    way, replies = HOOKED[name]
    read: list[bytes] = []

    async def hooked(client: Any) -> Any:
        def look(response: Any) -> None:
            read.append(response.read())

        async def look_async(response: Any) -> None:
            read.append(await response.aread())

        client._client.event_hooks = {"response": [look_async if driver.is_async else look]}
        return await way(client), read.pop()

    compare(driver, server, tmp_path, hooked, *replies)


@pytest.mark.parametrize("moment", ["request", "response"])
def test_a_hook_may_raise(driver, server, tmp_path, moment):
    """What a hook raises reaches the caller as it does live."""

    def refuse(_: Any) -> None:
        raise ValueError("no")

    async def refuse_async(_: Any) -> None:
        raise ValueError("no")

    async def hooked(client: Any) -> Any:
        client._client.event_hooks = {moment: [refuse_async if driver.is_async else refuse]}
        return await failing(client)

    live = run(driver, hooked)
    server._count = 0
    server.replies = [plain(ANSWER)]
    with replay(tmp_path, mode="record"):
        run(driver, plain_create)
    with replay(tmp_path):
        assert run(driver, hooked) == live
