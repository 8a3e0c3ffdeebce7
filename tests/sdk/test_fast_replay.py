"""The fast path: real SDK objects and streams, without the SDK's own machinery."""

from __future__ import annotations

import gc
import json
import tracemalloc
import warnings
from typing import Any

import openai
import pytest
from conftest import ASK, cheap, chunk, completion, sse
from openai import _models
from openai._models import construct_type
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from ways import DEAD, entered, facts, following, headers, items, run, settle

from inferencereplay import Pace, RecordingNotFound, replay
from inferencereplay.pacing.clocks import VirtualClock
from inferencereplay.recording.format import Failure
from inferencereplay.sdk import calls, private
from inferencereplay.sdk.fast_replay import read_body
from inferencereplay.sdk.model_builder import ModelBuilder
from inferencereplay.session.garbage import collect

CHUNKS = [chunk("a"), chunk("b"), chunk(None, "stop")]


@pytest.fixture
def no_wire(monkeypatch):
    """Fail if a call takes the SDK path."""

    def refuse():
        def decide(*_: Any) -> Any:
            raise AssertionError("the SDK path was taken")

        monkeypatch.setattr(calls, "answer", decide)

    return refuse


def test_the_typed_road_answers_chats_and_texts(driver, tmp_path, no_wire):
    """Chats and texts, plain and streamed, are answered without the SDK path."""

    def everything() -> Any:
        return [driver.chat(), driver.chat(stream=True), driver.text(), driver.text(stream=True)]

    with replay(tmp_path, mode="record"):
        made = everything()
    no_wire()
    with replay(tmp_path) as session:
        assert everything() == made
    assert session.hits == 4
    with replay(tmp_path, mode="record-if-missing") as session:
        assert everything() == made
    assert (session.hits, session.recorded) == (4, 0)


def test_what_the_typed_road_leaves_to_the_wire_road(driver, server, tmp_path, no_wire):
    """What a raw response is asked for in a way that only the SDK knows goes the other way."""
    ways = [{"extra_headers": {"x-stainless-raw-response": ""}}, {"extra_headers": {"X-Stainless-Raw-Response": "x"}}]
    with replay(tmp_path, mode="record"):
        for way in ways:
            driver.chat(**way)
    with replay(tmp_path):
        for way in ways:
            driver.chat(**way)
    no_wire()
    for way in ways:
        with pytest.raises(AssertionError), replay(tmp_path):
            driver.chat(**way)


def test_a_raw_header_in_any_case_gets_a_raw_response(driver, server, tmp_path):
    """Header names have no case: the raw response comes as it does live."""

    async def way(client: Any) -> Any:
        made = await settle(client.chat.completions.create(**ASK, extra_headers={"x-stainless-raw-response": "true"}))
        return type(made), made.http_response.status_code

    live = run(driver, way)
    with replay(tmp_path, mode="record"):
        assert run(driver, way) == live
    with replay(tmp_path):
        assert run(driver, way, base_url=DEAD) == live


def test_a_stream_is_the_sdks(driver, server, tmp_path, no_wire):
    """A replayed stream is openai.Stream: its type, its response, `with`, next, close, and next after the end."""

    async def way(client: Any) -> Any:
        made = await settle(client.chat.completions.create(**ASK, stream=True))
        told = [type(made), headers(made.response), made.response.status_code, str(made.response.request.method)]
        told.append(made.response.is_closed)
        async with entered(made) as entry:
            told += [entry is made, facts(await following(made)), facts(await items(made))]
            for _ in range(2):
                with pytest.raises(StopAsyncIteration):
                    await following(made)
        told += [made.response.is_closed, made.response.is_stream_consumed]
        return told

    server._count = 0
    server.replies = [sse(*CHUNKS)]
    with replay(tmp_path, mode="record"):
        recorded = run(driver, way)
    no_wire()
    with replay(tmp_path):
        replayed = run(driver, way)
    assert replayed[:-1] == recorded[:-1]
    assert replayed[-1] is True


def test_the_request_of_a_streams_response(driver, server, tmp_path):
    """A replayed stream's response knows the request: URL, method and body."""

    async def way(client: Any) -> Any:
        made = await settle(client.chat.completions.create(**ASK, stream=True))
        request = made.response.request
        await settle(made.close())
        return request.method, str(request.url), json.loads(request.content)

    with replay(tmp_path, mode="record"):
        driver.chat(stream=True)
    with replay(tmp_path):
        assert run(driver, way) == ("POST", server.url + "/chat/completions", {**ASK, "stream": True})


def test_a_streams_response_can_be_read_instead(driver, tmp_path):
    """Who reads the response of a replayed stream gets the bytes."""

    async def way(client: Any) -> Any:
        made = await settle(client.chat.completions.create(**ASK, stream=True))
        response = made.response
        return await settle(response.aread() if driver.is_async else response.read())

    with replay(tmp_path, mode="record"):
        recorded = driver.chat(stream=True)
    with replay(tmp_path):
        lines = run(driver, way).decode().split("\n\n")
    assert [ChatCompletionChunk.model_validate_json(line[6:]) for line in lines[:-2]] == recorded
    assert lines[-2:] == ["data: [DONE]", ""]


def test_somebody_may_replace_the_streams_iterator(driver, tmp_path):
    """A library that puts its own iterator into a stream, as langfuse does, sees every chunk."""
    seen: list[Any] = []

    async def way(client: Any) -> Any:
        made = await settle(client.chat.completions.create(**ASK, stream=True))
        inner = made._iterator

        async def listen_async() -> Any:
            async for item in inner:
                seen.append(item)
                yield item

        def listen() -> Any:
            for item in inner:
                seen.append(item)
                yield item

        made._iterator = listen_async() if driver.is_async else listen()
        return await items(made)

    with replay(tmp_path, mode="record"):
        driver.chat(stream=True)
    with replay(tmp_path):
        assert run(driver, way) == seen
    assert len(seen) == 3


def test_objects_are_not_shared_between_calls(driver, tmp_path):
    """Changing one answer changes no other."""
    with replay(tmp_path, mode="record"):
        driver.chat()
    with replay(tmp_path):
        one, two = driver.chat(), driver.chat()
        one.choices[0].message.content = "changed"
        assert two.choices[0].message.content == driver.chat().choices[0].message.content != "changed"


def test_a_stream_keeps_the_pace(driver, server, tmp_path, no_wire):
    """Chunks of a stream come when they are due, and plain answers take their time."""
    server.replies = [sse(*CHUNKS, pause=0.02)]
    with replay(tmp_path, mode="record"):
        driver.chat(stream=True)
        driver.chat()
    files = [json.loads(path.read_text())["response"] for path in tmp_path.rglob("*.json")]
    offsets = next(item["offsets"] for item in files if "offsets" in item)
    elapsed = next(item["elapsed"] for item in files if "elapsed" in item)
    no_wire()
    clock = VirtualClock()
    times: list[float] = []

    async def way(client: Any) -> Any:
        made = await settle(client.chat.completions.create(**ASK, stream=True))
        for _ in CHUNKS:
            await following(made)
            times.append(clock.time)

    with replay(tmp_path, speed=2, clock=clock):
        run(driver, way)
        assert times == pytest.approx([offset / 2 for offset in offsets])
        before = clock.time
        driver.chat()
        assert clock.time - before == pytest.approx(elapsed / 2)


def test_pace_is_for_recordings_without_timing(driver, server, tmp_path):
    """A pace does not take the place of recorded times."""
    with replay(tmp_path, mode="record"):
        driver.chat(stream=True)
    clock = VirtualClock()
    with replay(tmp_path, pace=Pace(first=9.0), clock=clock):
        driver.chat(stream=True)
    assert clock.time == 0


def test_a_stream_is_not_answered_by_a_plain_recording(driver, tmp_path):
    """stream=True is another request than the same without."""
    with replay(tmp_path, mode="record"):
        driver.chat()
    with pytest.raises(RecordingNotFound, match="stream"), replay(tmp_path):
        driver.chat(stream=True)


@pytest.mark.parametrize(
    "data",
    [
        completion("x"),
        completion("x", choices=None, created=None),
        {"id": "x", "choices": [{"finish_reason": None}], "object": ""},
        {},
        completion("x", usage={"prompt_tokens": 1.0, "completion_tokens": "2", "x": {}}),
        {**completion("x"), "choices": [{"index": "0", "message": {"tool_calls": [{"type": "strange"}]}}]},
        {"big": 2**70, "float": 1e22},
    ],
)
@pytest.mark.filterwarnings("ignore:Pydantic serializer warnings")
def test_a_built_object_is_the_sdks_own(data):
    """Validated or constructed, an object is what the SDK makes of the same JSON, but for unknown fields' being set."""
    built = ModelBuilder(ChatCompletion)(json.dumps(data).encode())
    theirs = construct_type(type_=ChatCompletion, value=json.loads(json.dumps(data)))
    assert facts(built)[0:4] == facts(theirs)[0:4]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert built.to_dict() == theirs.to_dict()
        assert built.model_dump_json() == theirs.model_dump_json()


def test_the_body_of_arguments():
    """A body is what is sent: without options, without what was not given, with extra_body merged over it."""
    given = {"model": "m", "n": openai.NOT_GIVEN, "timeout": 3, "extra_headers": {"a": "b"}, "stop": None}
    assert read_body(given) == {"model": "m", "stop": None}
    assert read_body({**given, "extra_body": {"model": "x", "k": 1}}) == {"model": "x", "stop": None, "k": 1}


@pytest.mark.parametrize("request_id", ["req_1", "", None])
def test_a_request_id_is_set_as_the_sdk_sets_it(request_id):
    """The short way past pydantic leaves what the SDK's own function leaves, in all that can be seen of a model."""
    ours, theirs = (construct_type(type_=ChatCompletion, value=completion("Hi")) for _ in range(2))
    private.set_request_id(ours, {} if request_id is None else {"x-request-id": request_id})
    getattr(_models, "add_request_id", lambda model, value: None)(theirs, request_id)
    assert facts(ours) == facts(theirs)
    assert vars(ours) == vars(theirs)
    assert ours.__pydantic_private__ == theirs.__pydantic_private__
    assert ours.model_copy(deep=True) == theirs.model_copy(deep=True)


@pytest.mark.parametrize("at", [0, 19, 20, 45])
def test_an_error_event_is_seen_wherever_it_stands(driver, server, tmp_path, at):
    """Chunks are searched for it in portions, and none falls between two."""
    chunks = [chunk("a")] * at + [{"error": {"message": "overloaded"}}]
    server.replies = [sse(*chunks, *[chunk("b")] * 3)]
    for mode in ("record", "replay"):
        with replay(tmp_path, mode=mode), pytest.raises(openai.APIError, match="overloaded"):
            driver.chat(stream=True)
        collect()


def test_many_chunks_take_no_more_memory_than_few(client, server, tmp_path):
    """Reading a stream takes its file and less than a quarter of a kilobyte a chunk, whatever the chunks' number."""
    peaks = {}
    for count in (50, 5_000):
        text = "x" * (2_000_000 // count)
        server.replies = [sse(*[chunk(text)] * count)]
        with replay(tmp_path / str(count), mode="record"):
            assert sum(1 for _ in client.chat.completions.create(**ASK, stream=True)) == count
        (file,) = (tmp_path / str(count)).rglob("*.json")
        with replay(tmp_path / str(count)):
            gc.collect()
            tracemalloc.start()
            assert sum(1 for _ in client.chat.completions.create(**ASK, stream=True)) == count
            peaks[count] = tracemalloc.get_traced_memory()[1] - file.stat().st_size
            tracemalloc.stop()
    assert peaks[50] < 1_000_000
    assert peaks[5_000] < 1_000_000 + 256 * 5_000


def test_an_error_event_may_be_spelt_with_escapes(client, server, tmp_path):
    """An error event that hides from a search for its name raises all the same."""
    server.replies = [sse(chunk("a"), b'{"\\u0065rror": {"message": "hidden"}}')]
    for mode in ("record", "replay"):
        with replay(tmp_path, mode=mode), pytest.raises(openai.APIError, match="hidden"):
            list(client.chat.completions.create(**ASK, stream=True))


def test_a_stream_of_a_client_with_a_query_has_the_live_url(server, tmp_path):
    """The request that a replayed stream shows is the one that the SDK sent."""

    def url(base_url: str) -> Any:
        with openai.OpenAI(api_key="k", base_url=base_url, default_query={"api-version": "1"}, **cheap()) as client:
            with client.chat.completions.create(**ASK, stream=True) as stream:
                list(stream)
                return stream.response.request.url

    with replay(tmp_path, mode="record"):
        live = url(server.url)
    with replay(tmp_path) as session:
        assert url(server.url) == live
    assert live.query == b"api-version=1"
    assert session.hits == 1


@pytest.mark.parametrize(
    ("kind", "error"), [("APITimeoutError", openai.APITimeoutError), ("X", openai.APIConnectionError)]
)
def test_a_failure_that_no_library_knows_is_the_sdks_error(kind, error):
    """A recording may hold one that was raised by a transport of the program's own."""
    request = private.default_http_library().Request("GET", "http://x/")
    assert type(private.connection_error(Failure(kind, "gone"), request)) is error
