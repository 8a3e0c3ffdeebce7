"""The fast path gives what the SDK path gives, for every way of calling, and in all that an answer tells."""

from __future__ import annotations

import contextlib
import copy
import json
import pickle
import threading
from typing import TYPE_CHECKING, Any

import openai
import pydantic
import pytest
from conftest import ASK, HAS_RESPONSES, Reply, cheap, completion, plain
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from replies import function_call, message, reasoning, response
from ways import (
    ANSWER,
    CODED,
    DEAD,
    EVENTS,
    PARSED,
    RESPONSE,
    STREAM,
    WAYS,
    Person,
    entered,
    error_facts,
    facts,
    following,
    items,
    parse,
    run,
    settle,
)

from inferencereplay import InvalidSetting, replay
from inferencereplay.sdk import calls, private
from inferencereplay.session.garbage import collect

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.filterwarnings("ignore:Pydantic serializer warnings")
SLOW = {"post, object", "responses, stream of unknown events", "stream, half of it"}
"""Ways that the fast path leaves to the SDK path."""


def _refuse(*_: Any) -> Any:
    raise AssertionError("the SDK path was taken")


@contextlib.contextmanager
def quickly() -> Iterator[None]:
    """Let calls fail that take the SDK path."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(calls, "answer", _refuse)
        yield


@contextlib.contextmanager
def slowly() -> Iterator[None]:
    """Send all calls along the SDK path."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(private, "checks_strictly", lambda _: True)
        yield


@pytest.fixture
def twins(driver, server, tmp_path):
    """Record a way of calling; return what it gives in replay, which has to be the same on both paths."""

    def see(way: Any, path: Any) -> Any:
        with path(), replay(tmp_path):
            made = run(driver, way)
            collect()
        return made

    def compare(way: Any, *replies: Reply) -> Any:
        server.renumber(*replies)
        with replay(tmp_path, mode="record"):
            run(driver, way)
            collect()
        fast = see(way, quickly)
        assert fast == see(way, slowly)
        return fast

    return compare


@pytest.mark.parametrize("name", sorted(WAYS.keys() - SLOW))
def test_every_way_of_calling_is_the_same_on_both_paths(twins, name):
    """What both paths give is equal, and the fast path takes no step on the SDK path."""
    way, reply = WAYS[name]
    twins(way, reply)


def http_facts(response: Any) -> Any:
    """Say all that an HTTP response tells, and its request."""
    names = (
        *("status_code", "reason_phrase", "http_version", "encoding", "charset_encoding", "is_closed", "history"),
        *("is_stream_consumed", "num_bytes_downloaded", "next_request", "has_redirect_location", "extensions", "links"),
        *("is_success", "is_error", "default_encoding"),
    )
    told = {name: getattr(response, name) for name in names}
    told["headers"] = response.headers.raw, response.headers.encoding
    told["url"], told["repr"], told["cookies"] = str(response.url), repr(response), dict(response.cookies)
    told["elapsed"] = response.elapsed if response.is_closed else None
    if response.is_closed and hasattr(response, "_content"):
        told["content"] = response.content, response.text, response.read(), list(response.iter_lines())
    request = response.request
    told["request"] = request.method, str(request.url), sorted(request.headers.raw), request.content, repr(request)
    told["sent"] = request.extensions, request.read(), sorted(vars(request))
    told["types"] = type(response), type(request), type(response.headers), type(response.url)
    return told


def raw_facts(made: Any) -> Any:
    """Say all that a raw response tells beside its content."""
    names = ("status_code", "request_id", "http_version", "is_closed", "method", "retries_taken")
    told = [getattr(made, name, None) for name in names]
    return told, type(made), repr(made), str(made.url), http_facts(made.http_response), http_facts(made.http_response)


RAW: dict[str, tuple[Any, dict[str, Any], Reply]] = {
    "chat": (lambda client: client.chat.completions, ASK, ANSWER),
    "chat, a text that is no JSON of its class": (lambda client: client.chat.completions, ASK, plain({"choices": 3})),
    "text": (lambda client: client.completions, {"model": "m", "prompt": "Once"}, plain({"id": "t"})),
    "embeddings": (lambda client: client.embeddings, {"model": "m", "input": ["a"]}, CODED),
    "moderations": (lambda client: client.moderations, {"input": "a"}, plain({"id": "x", "results": []})),
    "indented": (lambda client: client.chat.completions, ASK, Reply(body=b'{\n  "id": "x",\n  "choices": []\n}')),
    "another reason": (lambda client: client.chat.completions, ASK, Reply(body=b'{"id": "x"}', reason="Fine")),
}
if HAS_RESPONSES:
    RAW["responses"] = (lambda client: client.responses, {"model": "m", "input": "a"}, RESPONSE)


@pytest.mark.parametrize("name", RAW)
def test_a_raw_response_tells_the_same(twins, name):
    """Content, headers, request, times and types of a raw response are the same, whatever is looked at."""
    get, given, reply = RAW[name]

    async def way(client: Any) -> Any:
        made = await settle(get(client).with_raw_response.create(**given, extra_headers={"x-mine": "1"}, timeout=7))
        parsed = made.parse()
        assert made.parse() is parsed
        other = None if reply is CODED else made.parse(to=dict[str, Any])  # its parser wants its own class
        return facts(parsed), other, raw_facts(made)

    twins(way, reply)


LOOKS = {
    "headers": lambda made: made.headers.raw,
    "changed headers": lambda made: (made.headers.update({"x": "y"}), raw_facts(made)),
    "content": lambda made: made.content,
    "elapsed": lambda made: made.elapsed,
    "url": lambda made: str(made.url),
    "request": lambda made: made.http_request.headers["content-type"],
    "request's content": lambda made: made.http_request.content,
    "request's address": lambda made: (str(made.http_request.url), made.http_request.method, made.http_request.content),
    "status": lambda made: made.status_code,
    "closed": lambda made: made.is_closed,
    "nothing such": lambda made: (hasattr(made.http_response, "x"), hasattr(made.http_request, "x")),
    "set before": lambda made: (setattr(made.http_response, "status_code", 418), made.status_code, made.text),
    "raised": lambda made: made.http_response.raise_for_status() is made.http_response,
    "copy": lambda made: (copy.copy(made.http_response).text, type(made.http_response)),
    "copy of the request": lambda made: copy.copy(made.http_request).headers.raw,
    "pickle": lambda made: (pickle.loads(pickle.dumps(made.http_response)).text, type(made.http_response)),
    "pickled request": lambda made: str(pickle.loads(pickle.dumps(made.http_request)).url),
}


@pytest.mark.parametrize("look", LOOKS)
def test_whatever_is_looked_at_first(twins, look):
    """A raw response and its request are what they are live from the first look on."""

    async def way(client: Any) -> Any:
        made = await settle(client.chat.completions.with_raw_response.create(**ASK))
        return LOOKS[look](made), raw_facts(made)

    twins(way, ANSWER)


@pytest.mark.parametrize("is_parsed", [False, True])
def test_a_raw_stream_tells_the_same(twins, is_parsed):
    """Before, while and after it is read."""

    async def way(client: Any) -> Any:
        made = await settle(client.chat.completions.with_raw_response.create(**ASK, stream=True))
        told = [raw_facts(made)]
        if is_parsed:
            stream = made.parse()
            assert made.parse() is stream
            assert stream.response is made.http_response
            told += [type(stream), facts(await following(stream)), made.is_closed, facts(await items(stream))]
        else:
            response = made.http_response
            told.append(await settle(response.aread() if hasattr(stream_of(made), "__aiter__") else response.read()))
        return told, raw_facts(made)

    def stream_of(made: Any) -> Any:
        return made.parse()

    twins(way, STREAM)


def keep_stream(driver: Any, server: Any, directory: Any) -> None:
    """Record a stream that is read to its end."""

    async def read(client: Any) -> Any:
        return facts(await items(await settle(client.chat.completions.create(**ASK, stream=True))))

    server.replies = [STREAM]
    with replay(directory, mode="record"):
        run(driver, read)


def replayed(driver: Any, directory: Any, way: Any, path: Any) -> Any:
    """Return what a way of calling gives on one of the paths."""
    with path(), replay(directory):
        return run(driver, way)


@pytest.mark.parametrize("end", ["read", "half", "closed", "managed", "response closed"])
def test_the_response_of_a_stream_tells_the_same(driver, server, tmp_path, end):
    """However the stream ends, and before its end; who only reads its chunks has looked at nothing of it."""

    async def way(client: Any) -> Any:
        stream = await settle(client.chat.completions.create(**ASK, stream=True))
        response = stream.response
        told = [response.is_closed, response.is_stream_consumed, response.headers.raw]
        if end == "managed":
            async with entered(stream):
                told.append(facts(await items(stream)))
        elif end == "read":
            told.append(facts(await items(stream)))
        else:
            told += [facts(await following(stream))] if end == "half" else []
            close = getattr(response, "aclose" if hasattr(stream, "__aiter__") else "close")
            await settle(close() if end == "response closed" else stream.close())
            with contextlib.suppress(openai.OpenAIError, *HTTP_ERRORS):
                told.append(facts(await items(stream)))
        about = http_facts(response)
        if end == "half":  # the SDK reads ahead
            del about["num_bytes_downloaded"]
        return told, about, response.elapsed

    keep_stream(driver, server, tmp_path)
    assert replayed(driver, tmp_path, way, quickly) == replayed(driver, tmp_path, way, slowly)


HTTP_ERRORS = (private.default_http_library().StreamError, private.default_http_library().ReadError)


@pytest.mark.parametrize("first", ["chunk", "bytes"])
def test_a_stream_of_which_something_was_read(driver, server, tmp_path, first):
    """A response that the program and the SDK both read is read by one of them alone, as live."""

    async def way(client: Any) -> Any:
        stream = await settle(client.chat.completions.create(**ASK, stream=True))
        response, is_async = stream.response, hasattr(stream, "__aiter__")
        pieces = response.aiter_bytes() if is_async else response.iter_bytes()
        told = []
        for read in (stream, pieces) if first == "chunk" else (pieces, stream):
            try:
                told.append(await settle(anext(read) if is_async else next(read)))
            except HTTP_ERRORS as error:
                told.append((type(error), str(error)))
        told += [response.is_stream_consumed, response.is_closed]
        await settle(stream.close())
        try:
            await settle(anext(stream) if is_async else next(stream))
        except (openai.OpenAIError, StopIteration, StopAsyncIteration, *HTTP_ERRORS) as error:
            told.append((type(error), str(error), type(error.__cause__), type(error.__context__)))
        return facts(told)

    keep_stream(driver, server, tmp_path)
    assert replayed(driver, tmp_path, way, quickly) == replayed(driver, tmp_path, way, slowly)


def test_reading_and_closing_a_stream_makes_no_response(client, tmp_path):
    """It is made when somebody looks at it, as it is after its end."""
    with replay(tmp_path, mode="record"):
        list(client.chat.completions.create(**ASK, stream=True))
    with replay(tmp_path) as session, client.chat.completions.create(**ASK, stream=True) as stream:
        assert list(stream)
    kind = private.http_library(client).Response
    assert type(stream.response) is not kind
    assert stream.response.is_closed
    assert session.calls[0].ended is not None
    assert stream.response.status_code == 200
    assert type(stream.response) is kind


@pytest.mark.parametrize("stream", [False, True])
def test_a_streaming_response_tells_the_same(twins, stream):
    """Before and after it is read, and after its end."""

    async def way(client: Any) -> Any:
        manager = client.chat.completions.with_streaming_response.create(**ASK, stream=stream)
        async with entered(manager) as made:
            told = [raw_facts(made), await settle(made.read()), raw_facts(made)]
        return told, raw_facts(made)

    twins(way, STREAM if stream else ANSWER)


@pytest.mark.parametrize("before", ["read", "closed", "pieces", "headers"])
@pytest.mark.parametrize("body", [b'{\n  "id": "x",\n  "choices": []\n}', b"x" * 10], ids=["indented", "text"])
def test_a_streaming_response_of_which_something_was_done_is_read(driver, client, server, tmp_path, before, body):
    """Reading it tells the same after it was read, closed, read in pieces or looked at."""

    async def way(client: Any) -> Any:
        told: list[Any] = []
        async with entered(client.chat.completions.with_streaming_response.create(**ASK)) as made:
            response = made.http_response
            is_async = private.is_async(client)
            if before == "pieces":
                told += await items(response.aiter_raw(2) if is_async else response.iter_raw(2))
            elif before == "headers":
                told += [response.headers.raw, response.status_code]
            else:
                done = ("aread", "read") if before == "read" else ("aclose", "close")
                told.append(await settle(getattr(response, done[not is_async])()))
            try:
                told.append(await settle(response.aread() if is_async else response.read()))
            except HTTP_ERRORS as error:
                told.append((type(error), str(error)))
        return told, http_facts(response)

    server.replies = [Reply(body=body)]
    with replay(tmp_path, mode="record"), client.chat.completions.with_streaming_response.create(**ASK) as made:
        made.read()
    assert replayed(driver, tmp_path, way, quickly) == replayed(driver, tmp_path, way, slowly)


def test_reading_a_streaming_response_makes_no_response(client, tmp_path):
    """It is made when somebody looks at more of it than its content and its headers."""
    ask = client.chat.completions.with_streaming_response.create
    with replay(tmp_path, mode="record"), ask(**ASK) as live:
        content = live.read()
    with replay(tmp_path) as session, ask(**ASK) as made:
        assert made.read() == content
    kind = private.http_library(client).Response
    assert type(made.http_response) is not kind
    assert made.http_response.is_closed
    assert made.headers["content-type"] == live.headers["content-type"]
    assert session.calls[0].ended is not None
    assert type(made.http_response) is not kind
    assert made.http_response.text == live.http_response.text
    assert made.http_response.status_code == 200
    assert type(made.http_response) is kind


ERROR = plain({"error": {"message": "no", "type": "t", "param": "p", "code": "c"}}, 400)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("how", ["create", "raw", "streaming", "post", "parse"])
def test_an_error_tells_the_same(twins, how, stream):
    """Class, message, body, response, request and what led to it."""

    async def way(client: Any) -> Any:
        chat = client.chat.completions
        with pytest.raises(openai.BadRequestError) as caught:
            if how == "parse":
                await parse(client)
            elif how == "post":
                await settle(client.post("/chat/completions", body=ASK, cast_to=openai.types.Completion))
            elif how == "streaming":
                async with entered(chat.with_streaming_response.create(**ASK, stream=stream)):
                    pass
            else:
                chat = chat.with_raw_response if how == "raw" else chat
                await settle(chat.create(**ASK, stream=stream))
        error = caught.value
        assert error.response.request is error.request
        cause = error.__context__
        led = type(cause), str(cause), error.__cause__, error.__suppress_context__, cause.response is error.response
        return error_facts(error), led, http_facts(error.response), repr(error)

    told = twins(way, ERROR)
    assert told[0][0] is openai.BadRequestError


@pytest.mark.parametrize("status", [302, 401, 404, 413, 429, 503])
def test_every_status_that_raises(driver, server, tmp_path, status):
    """An error of any status is what it was live, on the fast path."""

    async def way(client: Any) -> Any:
        with pytest.raises(openai.APIStatusError) as caught:
            await settle(client.chat.completions.create(**ASK))
        return error_facts(caught.value)

    server.renumber(plain({"error": {"message": "no"}}, status))
    with replay(tmp_path, mode="record", record_errors=True):
        live = run(driver, way)
    with quickly(), replay(tmp_path):
        assert run(driver, way, base_url=DEAD) == live


@pytest.mark.parametrize("change", ["messages", "a message", "beyond JSON", "nothing"])
def test_a_request_is_what_was_sent(client, tmp_path, change):
    """A program that changes what it had sent does not change the request of the answer it got."""
    messages: list[Any] = [dict(ASK["messages"][0])]
    with replay(tmp_path, mode="record"):
        client.chat.completions.with_raw_response.create(**{**ASK, "messages": messages}, extra_body={"x": [1]})
    with replay(tmp_path):
        made = client.chat.completions.with_raw_response.create(**{**ASK, "messages": messages}, extra_body={"x": [1]})
    sent = {**ASK, "messages": [dict(ASK["messages"][0])], "x": [1]}
    if change == "messages":
        messages.append({"role": "user", "content": "more"})
    elif change == "a message":
        messages[0]["content"] = "other"
    elif change == "beyond JSON":
        messages.append({"role": "user", "content": object()})
    assert json.loads(made.http_request.content) == sent
    assert made.http_request.headers["x-stainless-raw-response"] == "true"


def test_a_redacted_request_is_shown_as_it_was_sent(server, tmp_path):
    """What is redacted in the recording is not redacted in what the program itself had sent."""
    secret = "sk-abcdefghijklmnopqrstuvwx0123456789"
    given = {**ASK, "messages": [{"role": "user", "content": f"my key is {secret}"}]}
    with openai.OpenAI(api_key=secret, base_url=server.url, max_retries=0, **cheap()) as client:
        with replay(tmp_path, mode="record"):
            client.chat.completions.with_raw_response.create(**given)
        with replay(tmp_path) as session:
            made = client.chat.completions.with_raw_response.create(**given)
    assert session.hits == 1
    assert json.loads(made.http_request.content) == given


def test_many_threads_look_at_once(client, tmp_path):
    """Each sees the whole of it."""
    with replay(tmp_path, mode="record"):
        client.chat.completions.with_raw_response.create(**ASK)
    seen = []
    for _ in range(50):
        with replay(tmp_path):
            response = client.chat.completions.with_raw_response.create(**ASK).http_response
        gate = threading.Barrier(4)

        def look(gate: Any = gate, response: Any = response) -> None:
            gate.wait(10)
            seen.append((response.text, response.request.method, response.elapsed, str(response.url)))

        threads = [threading.Thread(target=look) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(seen) == 200
    assert len(set(seen)) == 1


def test_raw_answers_keep_the_pace(driver, server, tmp_path):
    """What is read at once takes its time before the call returns, and what is not while it is read."""
    from inferencereplay.pacing.clocks import VirtualClock  # noqa: PLC0415 - for this test only

    clock = VirtualClock()

    async def way(client: Any) -> Any:
        chat, times = client.chat.completions, []
        await settle(chat.with_raw_response.create(**ASK))
        times.append(clock.time)
        async with entered(chat.with_streaming_response.create(**ASK)) as made:
            times.append(clock.time)
            await settle(made.read())
            times.append(clock.time)
        raw = await settle(chat.with_raw_response.create(**ASK, stream=True))
        times.append(clock.time)
        await items(raw.parse())
        times.append(clock.time)
        await parse(client)
        times.append(clock.time)
        await settle(client.post("/chat/completions", body={**ASK, "seed": 1}, cast_to=ChatCompletion))
        return [*times, clock.time]

    chat = plain(completion('{"name": "Ann", "age": 3}'))
    server.replies = [chat, chat, STREAM, chat, chat]
    with replay(tmp_path, mode="record"):
        run(driver, way)
    with replay(tmp_path, speed=1, clock=clock):
        first, before, read, unread, end, parsed, posted = run(driver, way)
    assert 0 < first == before < read == unread < end < parsed < posted


# Below `create`.


def _stream_of(client: Any, chunk: Any) -> Any:
    return (openai.AsyncStream if isinstance(client, openai.AsyncOpenAI) else openai.Stream)[chunk]


async def post_stream(client: Any) -> Any:
    given = {"stream": True, "stream_cls": _stream_of(client, ChatCompletionChunk), "cast_to": ChatCompletion}
    made = await settle(client.post("/chat/completions", body={**ASK, "stream": True}, **given))
    return type(made), facts(await items(made))


async def post_events(client: Any) -> Any:
    from openai.types.responses import Response, ResponseStreamEvent  # noqa: PLC0415 - older versions have none

    given = {"stream": True, "stream_cls": _stream_of(client, ResponseStreamEvent), "cast_to": Response}
    made = await settle(client.post("/responses", body={"model": "m", "stream": True}, **given))
    return type(made), facts(await items(made))


async def post_parsed(client: Any) -> Any:
    options = {"post_parser": lambda made: (made.id, getattr(made, "_request_id", "none"))}
    return await settle(client.post("/chat/completions", body=ASK, cast_to=ChatCompletion, options=options))


async def post_with_more(client: Any) -> Any:
    options = {"extra_json": {"top_k": 3, "temperature": None}, "params": {"a": "b"}, "headers": {"x-mine": "1"}}
    return facts(await settle(client.post("/chat/completions", body=ASK, cast_to=ChatCompletion, options=options)))


async def post_raw(client: Any) -> Any:
    given = {"options": {"headers": {"X-Stainless-Raw-Response": "true", "x-mine": "1"}, "extra_json": {}}}
    given |= {"stream": False, "stream_cls": _stream_of(client, ChatCompletionChunk)}
    made = await settle(client.post("/chat/completions", body=ASK, cast_to=ChatCompletion, **given))
    return facts(made.parse()), raw_facts(made)


async def request_raw(client: Any) -> Any:
    """Call what `post` calls, as a `post` does that was captured before it was patched."""
    given = {"method": "post", "url": "/chat/completions", "json_data": ASK}
    options = private._make_options(**given, headers={"X-Stainless-Raw-Response": "true"})
    made = await settle(client.request(ChatCompletion, options))
    return facts(made.parse()), raw_facts(made)


async def post_nothing(client: Any) -> Any:
    return facts(await settle(client.post("/chat/completions", cast_to=ChatCompletion)))


async def raw_parse(client: Any) -> Any:
    made = await settle(client.chat.completions.with_raw_response.parse(**ASK, response_format=Person))
    return parsed_facts(made.parse()), raw_facts(made)


async def parse_both(client: Any) -> Any:
    chats = client.chat.completions if hasattr(client.chat.completions, "parse") else client.beta.chat.completions
    tools = [openai.pydantic_function_tool(Person)]
    return parsed_facts(await settle(chats.parse(**ASK, tools=tools, response_format=Person)))


BELOW = {
    "a stream": (post_stream, STREAM),
    "a parser": (post_parsed, ANSWER),
    "more": (post_with_more, ANSWER),
    "nothing": (post_nothing, ANSWER),
    "parse with tools": (parse_both, PARSED),
    "a raw response": (post_raw, ANSWER),
    "a raw response of request": (request_raw, ANSWER),
}
if HAS_RESPONSES:
    BELOW |= {"events": (post_events, EVENTS), "raw parse": (raw_parse, PARSED)}


@pytest.mark.parametrize("name", BELOW)
def test_what_comes_to_request_is_the_same(twins, name):
    """Calls that no `create` makes are answered of the SDK's options."""
    way, reply = BELOW[name]
    twins(way, reply)


def test_a_method_that_was_captured_before_is_answered(client, tmp_path):
    """A framework keeps a client's `create` from before the block, and of another client within it."""
    create, raw = client.chat.completions.create, client.chat.completions.with_raw_response.create
    with replay(tmp_path, mode="record"):
        live = create(**ASK)
        raw(**ASK)
    with quickly(), replay(tmp_path) as session:
        assert create(**ASK) == live
        assert raw(**ASK).http_request.headers["x-stainless-raw-response"] == "true"
    assert session.hits == 2


class _Adding(openai.OpenAI):
    def post(self, path: str, **options: Any) -> Any:
        options["body"] = {**options["body"], "seed": 1}
        return super().post(path, **options)


class _AddingAsync(openai.AsyncOpenAI):
    async def post(self, path: str, **options: Any) -> Any:
        options["body"] = {**options["body"], "seed": 1}
        return await super().post(path, **options)


@pytest.mark.parametrize("name", ["create", "raw", "parse"])
def test_what_an_override_of_post_adds_is_part_of_the_request(driver, server, tmp_path, name):
    """A recording of the same arguments of another client does not answer."""

    async def ask(client: Any) -> Any:
        if name == "parse":
            return await parse(client)
        chat = client.chat.completions
        made = await settle((chat.with_raw_response if name == "raw" else chat).create(**ASK))
        return made.text if name == "raw" else facts(made)

    async def ask_adding(client: Any) -> Any:
        adding = (_AddingAsync if driver.is_async else _Adding)(api_key="none", base_url=server.url)
        try:
            return await ask(adding)
        finally:
            await settle(adding.close())

    server.replies = [plain(completion(f'{{"name": "{word}", "age": 3}}')) for word in ("plain", "more")]
    with replay(tmp_path, mode="record"):
        run(driver, ask)
        live = run(driver, ask_adding)
    with replay(tmp_path):
        assert run(driver, ask_adding) == live
    assert "more" in str(live)


@pytest.mark.parametrize("look", [lambda made: made.url, lambda made: made.http_request.url], ids=["url", "request"])
def test_the_url_has_what_the_http_client_adds(server, tmp_path, look):
    """Which is no part of the key."""
    http_client = openai.DefaultHttpxClient(verify=False, params={"team": "red"})
    with openai.OpenAI(api_key="none", base_url=server.url, http_client=http_client) as client:
        for mode in ("record", "replay"):
            with replay(tmp_path, mode=mode):
                made = client.chat.completions.with_raw_response.create(**ASK)
            assert str(look(made)).endswith("/chat/completions?team=red")


@pytest.mark.parametrize(
    "options",
    [
        {"body": {"a": object()}},
        {"body": ASK, "options": {"headers": {"X-STAINLESS-RAW-RESPONSE": "x"}}},
        {
            "body": ASK,
            "stream": True,
            "stream_cls": openai.Stream[ChatCompletionChunk],
            "options": {"post_parser": str},
        },
        {"body": ASK, "cast_to": dict[str, Any]},
        {"body": ASK, "cast_to": pydantic.BaseModel},
    ],
    ids=range(5),
)
def test_what_only_the_sdk_knows_is_left_to_it(client, tmp_path, options):
    """Its results, and its errors."""

    def outcome() -> Any:
        given = {"cast_to": ChatCompletion, **options}
        try:
            made = client.post("/chat/completions", **given)
        except Exception as error:  # noqa: BLE001 - it is compared
            return type(error), str(error)
        return type(made)

    with replay(tmp_path, mode="record"):
        live = outcome()
    collect()
    seen = []
    for path in (contextlib.nullcontext, slowly):
        with contextlib.suppress(openai.OpenAIError, LookupError), path(), replay(tmp_path):
            seen.append(outcome())
    assert seen[0] == seen[1]
    assert "object" in str(options) or seen[0] == live


def test_a_setting_that_fails_is_told_below_create_as_well(client, tmp_path):
    """`normalize` that raises is the error that it is for `create`."""
    with replay(tmp_path, mode="record"):
        client.post("/chat/completions", body=ASK, cast_to=ChatCompletion)
    for path in (contextlib.nullcontext, slowly):
        with pytest.raises(InvalidSetting, match="normalize"), path(), replay(tmp_path, normalize=lambda body: 1):
            client.post("/chat/completions", body=ASK, cast_to=ChatCompletion)


def test_an_object_may_be_finished_by_another_thread(client, tmp_path):
    """Who comes too late finds what the other has made."""
    with replay(tmp_path, mode="record"):
        client.chat.completions.with_raw_response.create(**ASK)
    with replay(tmp_path):
        response = client.chat.completions.with_raw_response.create(**ASK).http_response
    look = type(response).__getattr__
    assert look(response, "status_code") == look(response, "status_code") == 200
    assert not hasattr(response, "x")


# The models.


class Outer(pydantic.BaseModel):
    """Has another in it."""

    inner: Person
    names: list[str] = []


SAID = [
    completion('{"name": "Ann", "age": 3}'),
    completion("", choices=[]),
    completion(""),
    completion('{"name": "Ann", "age": 3}', x_unknown={"a": 1}, service_tier="default"),
    completion("no JSON"),
    completion('{"name": 3}'),
    {"id": "c", "choices": [{"index": 0, "message": {"role": "assistant", "content": '{"name": "A", "age": 1}'}}]},
    {"choices": [{"message": {"content": '{"name": "A", "age": 1}', "parsed": 3, "x": [1.0]}}], "usage": None},
    {"choices": [{"finish_reason": "length", "message": {"content": "{"}}]},
    {"choices": [{"finish_reason": "content_filter", "message": {"content": "{"}}]},
    {"choices": [{"finish_reason": "stop", "message": {"content": "{", "refusal": "no", "annotations": []}}]},
    {"choices": None},
    {},
]


@pytest.mark.parametrize("said", SAID, ids=range(len(SAID)))
def test_a_parsed_answer_is_the_same(twins, said):
    """The first answer of a class, and the next ones, whose classes are known by then."""

    async def way(client: Any) -> Any:
        made = []
        for _ in range(3):
            try:
                one = await parse(client)
            except Exception as error:  # noqa: BLE001 - it is compared
                made.append((type(error), str(error), facts(getattr(error, "completion", None))))
            else:
                made.append(parsed_facts(one))
        return made

    twins(
        way, plain(completion('{"name": "Bob", "age": 4}')), plain(said), plain(completion('{"name": "C", "age": 5}'))
    )


def parsed_facts(value: Any) -> Any:
    """Say what a model is with all in it, without pydantic's warnings of what is not of its type."""
    if isinstance(value, pydantic.BaseModel):
        names = value.model_fields_set & type(value).model_fields.keys()
        inner = {name: parsed_facts(item) for name, item in vars(value).items()}
        return type(value), names, inner, value.__pydantic_extra__, value.__pydantic_private__
    return [parsed_facts(item) for item in value] if isinstance(value, list) else value


if HAS_RESPONSES:
    RESPONDED = [
        response(message('{"name": "Ann", "age": 3}')),
        response(reasoning(), message('{"name": "Ann", "age": 3}'), message('{"name": "Bob", "age": 3}')),
        response(message("no JSON")),
        response({**message('{"name": "Ann", "age": 3}'), "phase": "commentary"}),
        response({**message("{"), "content": [{"type": "refusal", "refusal": "no"}]}),
        response(function_call("f", "{}")),
        response({"type": "newer_than_you"}),
        response(),
        {"id": "r"},
    ]

    @pytest.mark.parametrize("responded", RESPONDED, ids=range(len(RESPONDED)))
    @pytest.mark.parametrize("asked", ["Hello", [{"role": "user", "content": "Hello"}]], ids=["text", "items"])
    def test_a_parsed_response_is_the_same(twins, responded, asked):
        """The first answer of a class, and the next ones, whose classes are known by then."""

        async def way(client: Any) -> Any:
            made = []
            for _ in range(3):
                try:
                    made.append(
                        parsed_facts(await settle(client.responses.parse(model="m", input=asked, text_format=Person)))
                    )
                except Exception as error:  # noqa: BLE001 - it is compared
                    made.append((type(error), str(error)))
            return made

        usual = plain(response(message('{"name": "Eve", "age": 5}')))
        twins(way, usual, plain(responded), usual)
