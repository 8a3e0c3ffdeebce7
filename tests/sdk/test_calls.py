"""What becomes of a call: live, recorded and replayed are the same; errors, retries, and what no recording can hold."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import json
import logging
import threading
from typing import Any, get_args, get_origin

import anyio
import openai
import pytest
from conftest import ASK, Reply, completion, plain
from openai.lib.streaming.chat import ChatCompletionStreamEvent
from openai.types.chat import ChatCompletionMessage
from ways import DEAD, WAYS, create, facts, failing, items, run, settle

from inferencereplay import Pace, RecordingNotFound, Session, replay
from inferencereplay.pacing.clocks import VirtualClock
from inferencereplay.sdk import private
from inferencereplay.sdk.steps import in_thread


@pytest.mark.filterwarnings("ignore:Pydantic serializer warnings")
@pytest.mark.parametrize("name", WAYS)
def test_every_way_of_calling_gives_the_same_live_recorded_and_replayed(driver, server, tmp_path, name):
    """Whichever way a call is made, nobody can tell live, recorded and replayed apart, and replay needs no server."""
    way, reply = WAYS[name]
    server.renumber(reply)
    live = run(driver, way)
    server.renumber(reply)
    with replay(tmp_path, mode="record") as session:
        recorded = run(driver, way)
    assert session.recorded == 1
    assert recorded == live
    made = server.count
    with replay(tmp_path) as session:
        replayed = run(driver, way, base_url=DEAD)
        again = run(driver, way, base_url=DEAD)
    assert (session.hits, session.misses) == (2, 0)
    if name == "stream, half of it":
        assert json.loads(next(tmp_path.rglob("*.json")).read_text())["response"]["end"] == "closed"
    assert replayed == again == live
    assert server.count == made


@pytest.mark.filterwarnings("ignore:Pydantic serializer warnings")
@pytest.mark.parametrize("name", [name for name in WAYS if name != "stream, half of it"])  # which counts as missing
def test_record_if_missing_stores_once(driver, server, tmp_path, name):
    """Record-if-missing asks the server the first time only, whichever way the call is made."""
    way, reply = WAYS[name]
    server.renumber(reply, reply)
    made = server.count
    with replay(tmp_path, mode="record-if-missing"):
        first = run(driver, way)
        assert run(driver, way) == first
    assert server.count == made + 1


@pytest.mark.filterwarnings("ignore:Pydantic serializer warnings")
def test_the_ways_have_every_event_of_the_stream_helper(driver, server):
    """Whatever `stream()` may give out is among what is compared, and so is what later versions add to it."""
    seen = set()
    for name in (name for name in WAYS if name.startswith("stream()")):
        server.renumber(WAYS[name][1])
        seen |= {told["type"] for _, told in run(driver, WAYS[name][0])[0]}
    kinds = [get_origin(kind) or kind for kind in get_args(ChatCompletionStreamEvent)]
    known = {get_args(kind.__annotations__["type"])[0] for kind in kinds}
    assert seen == known


def test_a_miss_is_not_retried(driver, server, tmp_path):
    """A miss is told at once, whatever max_retries says, and nothing is sent."""
    with pytest.raises(RecordingNotFound) as caught, replay(tmp_path) as session:
        run(driver, create, max_retries=5)
    assert session.misses == 1
    assert (caught.value.method, caught.value.path) == ("POST", "/chat/completions")
    assert server.count == 0


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"messages": [{"role": "user", "content": object()}]}, TypeError),
        ({"messages": [{"role": "user", "content": {1, 2}}]}, TypeError),
        ({"temperature": float("nan")}, ValueError),
        ({"unknown_argument": 1}, TypeError),
        ({"messages": openai.NOT_GIVEN}, Exception),
    ],
)
@pytest.mark.parametrize("mode", ["replay", "record", "record-if-missing"])
def test_what_cannot_be_sent_is_refused_as_live(driver, server, tmp_path, arguments, error, mode):
    """A body that is no JSON raises what it raises live, and nothing is sent in replay."""
    live = None
    try:
        driver.chat(**arguments)
    except error as caught:
        live = type(caught)
    made = server.count
    try:
        with replay(tmp_path, mode=mode):
            driver.chat(**arguments)
    except (error, RecordingNotFound) as caught:
        if live is None:  # what this version of the SDK sends, though it is no JSON (an old httpx sends NaN)
            assert isinstance(caught, (RecordingNotFound, ValueError))
        else:
            assert type(caught) is live
    else:
        assert live is None
        assert mode != "replay"
    if mode == "replay":
        assert server.count == made


def test_messages_may_be_any_iterable(driver, server, tmp_path):
    """Generators, tuples and pydantic messages reach the server once and whole, and are found again."""
    said = ChatCompletionMessage(role="assistant", content="Hi")
    user = {"role": "user", "content": "Hello"}

    def made(kind: str) -> Any:
        return {"generator": (item for item in (user, said)), "tuple": (user, said), "list": [user, said]}[kind]

    for kind in ("generator", "tuple", "list"):
        with replay(tmp_path / kind, mode="record"):
            driver.chat(messages=made(kind))
        body = server.requests[-1][3]
        assert body["messages"] == [user, {"role": "assistant", "content": "Hi"}]
        with replay(tmp_path / kind) as session:
            for other in ("generator", "tuple", "list"):
                driver.chat(messages=made(other))
        assert session.hits == 3


def test_what_stands_in_secret_headers_is_not_written(driver, tmp_path):
    """A value of a header that names a key or a token is taken out of bodies as well, and the request is found."""
    secret = "hunter2-correct-horse"
    ask = {"extra_headers": {"X-Api-Key": secret, "x-mine": "visible"}, "user": f"my key is {secret}, visible"}
    with replay(tmp_path, mode="record"):
        driver.chat(**ask)
    (path,) = tmp_path.rglob("*.json")
    assert secret not in path.read_text()
    assert "visible" in path.read_text()
    with replay(tmp_path) as session:
        driver.chat(**ask)
    assert session.hits == 1


def test_what_was_not_given_does_not_count(driver, server, tmp_path):
    """NOT_GIVEN and omit are nothing, in arguments and in extra_body."""
    unset = {"stop": openai.NOT_GIVEN, "n": getattr(openai, "omit", openai.NOT_GIVEN)}
    with replay(tmp_path, mode="record"):
        driver.chat(**unset)
    assert server.requests[-1][3] == ASK
    with replay(tmp_path) as session:
        driver.chat()
        driver.chat(**unset)
    assert session.hits == 2


def test_dates_are_written_as_the_sdk_writes_them(driver, server, tmp_path):
    """A datetime in a body counts as the text that is sent, or is refused as it is live."""
    when = {"metadata": {"at": datetime.datetime(2026, 1, 2, tzinfo=datetime.timezone.utc)}}
    try:
        driver.chat(extra_body=when)
    except TypeError:
        with pytest.raises(TypeError), replay(tmp_path):
            driver.chat(extra_body=when)
        return
    sent = server.requests[-1][3]
    with replay(tmp_path, mode="record"):
        driver.chat(extra_body=when)
    with replay(tmp_path):
        assert driver.chat(extra_body=when) == driver.chat(extra_body={"metadata": sent["metadata"]})


def test_extra_query_counts_and_extra_headers_do_not(driver, server, tmp_path):
    """The query is part of the request, the headers are not."""
    with replay(tmp_path, mode="record"):
        driver.chat(extra_query={"a": "1"}, extra_headers={"x-mine": "1"})
    with replay(tmp_path) as session:
        driver.chat(extra_query={"a": "1"}, extra_headers={"x-mine": "2"}, timeout=3)
    assert session.hits == 1
    with pytest.raises(RecordingNotFound, match="query"), replay(tmp_path):
        driver.chat(extra_query={"a": "2"})


def test_an_answer_that_is_neither_json_nor_text_comes_back(driver, server, tmp_path):
    """Bytes go to a side file, whatever the endpoint."""
    server.replies = [Reply(200, {"content-type": "application/octet-stream"}, b"\xff\xfe\x00")]

    async def way(client: Any) -> Any:
        return (await settle(client.chat.completions.with_raw_response.create(**ASK))).content

    with replay(tmp_path, mode="record"):
        assert run(driver, way) == b"\xff\xfe\x00"
    (side,) = tmp_path.rglob("*.bin")
    assert side.read_bytes() == b"\xff\xfe\x00"
    with replay(tmp_path):
        assert run(driver, way, base_url=DEAD) == b"\xff\xfe\x00"


def test_an_answer_that_is_text_comes_back(driver, server, tmp_path):
    """A body that is no JSON is stored as text and given back as it was."""

    async def way(client: Any) -> Any:
        made = await settle(client.chat.completions.with_raw_response.create(**ASK))
        return made.text, made.content

    server.replies = [Reply(200, {"content-type": "text/plain; charset=utf-8"}, "schön\n".encode())]
    with replay(tmp_path, mode="record"):
        made = run(driver, way)
    assert json.loads(next(tmp_path.rglob("*.json")).read_text())["response"]["text"] == "schön\n"
    with replay(tmp_path):
        assert run(driver, way, base_url=DEAD) == made == ("schön\n", "schön\n".encode())


def test_a_cast_to_the_http_response_is_recorded(client, server, tmp_path):
    """`cast_to=httpx.Response` gets the response itself, recorded and replayed."""
    library = private.http_library(client)
    with replay(tmp_path, mode="record"):
        made = client.post("/chat/completions", body=ASK, cast_to=library.Response)
    with replay(tmp_path):
        again = client.post("/chat/completions", body=ASK, cast_to=library.Response)
    assert again.json() == made.json()
    assert "x-stainless-raw-response" not in made.request.headers


def test_absolute_urls_count_by_their_path(client, server, tmp_path):
    """An absolute URL below the base URL is the same request as the path; another host's is another."""
    with replay(tmp_path, mode="record"):
        client.post(server.url + "/chat/completions?a[]=1&a[]=2", body=ASK, cast_to=object)
    with replay(tmp_path) as session:
        client.post("/chat/completions", body=ASK, cast_to=object, options={"params": {"a": ["1", "2"]}})
        with pytest.raises(RecordingNotFound) as caught:
            client.post("http://elsewhere.example/v9/chat?x=", body=ASK, cast_to=object)
        assert caught.value.path == "/elsewhere.example/v9/chat"
        session.missed.clear()
    assert session.hits == 1


def test_a_failure_outside_the_sdk_drops_the_take(client, server, tmp_path):
    """An interrupt during a call is passed on, and the next call takes its number."""

    def interrupted(request):
        raise KeyboardInterrupt

    client._client.event_hooks = {"request": [interrupted]}
    with replay(tmp_path, mode="record") as session:
        with pytest.raises(KeyboardInterrupt):
            client.chat.completions.create(**ASK)
        client._client.event_hooks = {}
        client.chat.completions.create(**ASK)
    assert session.recorded == 1
    assert [path.name.count("~") for path in tmp_path.rglob("*.json")] == [0]


def test_a_failure_outside_the_sdk_drops_the_take_async(server, tmp_path):
    """The same in asynchronous code."""

    async def interrupted(request):
        raise ZeroDivisionError

    async def main():
        async with openai.AsyncOpenAI(api_key="x", base_url=server.url, max_retries=0) as client:
            client._client.event_hooks = {"response": [interrupted]}
            with replay(tmp_path, mode="record") as session:
                with pytest.raises((ZeroDivisionError, openai.APIConnectionError)):
                    await client.chat.completions.create(**ASK)
                assert session.recorded == 0
                client._client.event_hooks = {}
                await client.chat.completions.create(**ASK)
            assert session.recorded == 1

    anyio.run(main)


def test_a_refusal_to_validate_is_not_recorded(server, tmp_path):
    """With strict validation the SDK's own complaint comes through, recorded or replayed."""
    options = {"api_key": "x", "base_url": server.url, "max_retries": 0, "_strict_response_validation": True}
    with openai.OpenAI(**options) as client:
        server.replies = [plain({"id": 1}), Reply(headers={"content-type": "text/plain"}, body=b"hm")]
        for _ in range(2):
            with replay(tmp_path, mode="record"), pytest.raises(openai.APIResponseValidationError):
                client.chat.completions.create(**ASK)
            with replay(tmp_path), pytest.raises(openai.APIResponseValidationError):
                client.chat.completions.create(**ASK)


def test_equal_calls_of_many_threads_each_get_their_own_variant(server, client, tmp_path):
    """Threads that make equal calls at once share the variants out, none twice, none lost."""
    with replay(tmp_path, mode="record"):
        made = {client.chat.completions.create(**ASK).choices[0].message.content for _ in range(8)}
    got: list[str] = []
    with replay(tmp_path):

        def work():
            for raw in (False, True):
                answer = (
                    client.chat.completions.with_raw_response.create(**ASK).parse()
                    if raw
                    else client.chat.completions.create(**ASK)
                )
                got.append(answer.choices[0].message.content)

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sorted(got) == sorted(made)


def test_a_recorded_wait_is_waited_for(driver, server, tmp_path):
    """At speed 1 plain answers, raw ones, streams and errors take the time that they took."""
    pause = [(0.1, json.dumps(completion("x")).encode())]
    slow = Reply(pieces=pause)

    async def raw(client: Any) -> Any:
        return (await settle(client.chat.completions.with_raw_response.create(**ASK))).text

    for way, reply in ((create, slow), (raw, slow), (failing, Reply(400, pieces=[(0.1, b"{}")]))):
        server.replies = [reply]
        with replay(tmp_path, mode="record"):
            run(driver, way)
        clock = VirtualClock()
        with replay(tmp_path, speed=1, clock=clock):
            run(driver, way, base_url=DEAD)
        assert 0.1 <= clock.time < 2


def test_recorded_connection_errors_wait_too(driver, tmp_path):
    """A pace holds for a connection error as well, and its message is kept."""
    with replay(tmp_path, mode="record", record_errors=True):
        run(driver, failing, base_url=DEAD)
    clock = VirtualClock()
    with replay(tmp_path, pace=Pace(first=0.5), clock=clock):
        run(driver, failing, base_url=DEAD)
    assert clock.time == pytest.approx(0.5)


class _Overtaken(Session):
    """A session in which another thread's equal call comes first, once, between reading and counting."""

    def __init__(self, directory):
        super().__init__(directory)
        read, commit = self._cache.read, self.recorder.variants.commit

        def read_and_overtake(request, key, number):
            found = read(request, key, number)
            if not self._hits:
                self._hits += commit(request.path, key, number, 1)
            return found

        self._cache.read = read_and_overtake


@pytest.mark.parametrize("way", [create, WAYS["raw"][0]])
def test_a_call_that_is_overtaken_looks_again(driver, server, tmp_path, way):
    """On either path, a call whose variant another thread took meanwhile gets the next one."""
    server.replies = [plain(completion("one")), plain(completion("two"))]
    with replay(tmp_path, mode="record"):
        run(driver, way)
        second = run(driver, way)
    with replay(_Overtaken(tmp_path)) as session:
        got = run(driver, way, base_url=DEAD)
    if way is create:
        assert got == second
    else:
        assert got[0] == second[0]
    assert session.hits == 2


async def _pages(client: Any) -> Any:
    return facts(await items(client.files.list(purpose="batch", extra_query={"limit": 1})))


def test_pages_are_recorded_one_by_one(driver, server, tmp_path):
    """Each page of a list is a request of its own, told from the others by its query."""
    file = {"object": "file", "bytes": 1, "created_at": 1, "filename": "a", "purpose": "x"}
    pages = [
        plain({"object": "list", "data": [{**file, "id": "f1"}], "has_more": True}),
        plain({"object": "list", "data": [{**file, "id": "f2"}], "has_more": False}),
    ]
    server.renumber(*pages)
    live = run(driver, _pages)
    server.renumber(*pages)
    with replay(tmp_path, mode="record") as session:
        assert run(driver, _pages) == live
    recorded = session.recorded
    with replay(tmp_path) as session:
        assert run(driver, _pages, base_url=DEAD) == live
    assert session.hits == recorded
    assert [file.parent.name for file in tmp_path.rglob("*.json")] == ["files"] * recorded
    assert recorded == len(live)


@pytest.mark.parametrize("steps", range(1, 6))
def test_what_is_to_be_written_is_written_once_whenever_the_task_is_cancelled(steps):
    """Asyncio's cancellation, which no shield holds off, neither loses a file nor writes it twice."""

    async def main():
        written, done = [], threading.Event()

        def write():
            written.append(1)
            done.set()

        task = asyncio.create_task(in_thread(write))
        for _ in range(steps):
            await asyncio.sleep(0)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        assert await asyncio.to_thread(done.wait, 5)
        assert written == [1]

    asyncio.run(main())


def test_what_is_being_written_is_not_written_again_when_the_task_is_cancelled():
    """A task that is cancelled while the thread writes leaves the writing to the thread."""

    async def main():
        written, begun, go_on, done = [], threading.Event(), threading.Event(), threading.Event()

        def write():
            begun.set()
            go_on.wait(5)
            written.append(1)
            done.set()

        task = asyncio.create_task(in_thread(write))
        assert await asyncio.to_thread(begun.wait, 5)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        go_on.set()
        assert await asyncio.to_thread(done.wait, 5)
        assert written == [1]

    asyncio.run(main())


def test_an_answer_that_cannot_be_kept_costs_a_warning(client, tmp_path, monkeypatch, caplog):
    """The program gets it; the message of the error is not shown, for it may hold the answer."""
    monkeypatch.setattr("inferencereplay.sdk.calls.plain_response", lambda *_, **__: int("secret"))
    with replay(tmp_path, mode="record") as session, caplog.at_level(logging.WARNING, "inferencereplay"):
        assert client.chat.completions.create(**ASK).choices
    assert session.recorded == 0
    (warning,) = caplog.messages
    assert warning.endswith("its answer cannot be stored (ValueError)")
