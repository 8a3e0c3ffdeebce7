"""Calls that the program leaves before their answer, and streams that its own time-out cuts."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import anyio
import openai
import pytest
from conftest import ASK, Reply, chunk, completion, event, plain, run_to_the_end
from ways import DEAD

from inferencereplay import IncompleteRecording, VirtualClock, replay
from inferencereplay.session.variant_files import VariantFiles

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SLOW = [(2.0, json.dumps(completion("late")).encode())]
"""The pieces of an answer that comes after two seconds."""


@pytest.fixture(params=["asyncio", "trio"])
def backend(request):
    return request.param


class Interrupting:
    """A lock, and an interrupt when it is released for the first time."""

    def __init__(self, lock: Any) -> None:
        self._lock = lock
        self._errors: list[BaseException] = [KeyboardInterrupt()]

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()
        if self._errors:
            raise self._errors.pop()


def slow() -> Reply:
    return Reply(pieces=SLOW)


def held(directory: Path) -> list[dict[str, Any]]:
    """Return the responses of all recordings, in the order of their numbers."""
    files = sorted(directory.rglob("*.json"), key=lambda file: (len(file.name), file.name))
    return [json.loads(file.read_text())["response"] for file in files]


async def hedge(url: str, arrived: Callable[[], bool]) -> Any:
    """Make a call, cancel it when it has arrived, then make it again and wait for the answer."""
    async with openai.AsyncOpenAI(api_key="k", base_url=url, max_retries=0) as client:
        async with anyio.create_task_group() as group:
            group.start_soon(lambda: client.chat.completions.create(**ASK))
            await anyio.sleep(0.1)
            while not arrived():  # noqa: ASYNC110 - the server counts in a thread
                await anyio.sleep(0.01)
            group.cancel_scope.cancel()
        return (await client.chat.completions.create(**ASK)).choices[0].message.content


def test_a_call_that_is_cancelled_before_its_answer_waits_in_replay(server, tmp_path, backend):
    """The program's own time-out ends it there too, and the next equal call has the answer that it had."""
    server.replies = [slow(), plain(completion("fast"))]
    with replay(tmp_path, mode="record") as session:
        assert run_to_the_end(lambda: hedge(server.url, lambda: server.count > 0), backend) == "fast"
    assert session.recorded == 2
    left, whole = held(tmp_path)
    assert (left["status"], left["end"], left["chunks"]) == (0, "closed", [])
    assert left["left"] > 0.05
    assert whole["body"]["choices"][0]["message"]["content"] == "fast"
    for speed in ("inf", 1):
        with replay(tmp_path, speed=speed) as session:
            assert run_to_the_end(lambda: hedge(DEAD, lambda: True), backend) == "fast"
        assert session.hits == 2


def test_a_program_that_waits_longer_is_told(server, tmp_path, backend):
    """After a bounded time it is an incomplete recording, not an endless wait."""

    async def leave() -> None:
        async with openai.AsyncOpenAI(api_key="k", base_url=server.url, max_retries=0) as client:
            with anyio.move_on_after(0.1):
                await client.chat.completions.create(**ASK)

    async def wait() -> None:
        async with openai.AsyncOpenAI(api_key="k", base_url=DEAD) as client:
            await client.chat.completions.create(**ASK)

    server.replies = [slow()]
    with replay(tmp_path, mode="record"):
        run_to_the_end(leave, backend)
    (stored,) = held(tmp_path)
    for speed, least in ((1, 60 + stored["left"]), ("inf", 60)):
        clock = VirtualClock()
        with (
            replay(tmp_path, speed=speed, clock=clock),
            pytest.raises(IncompleteRecording, match=r"holds no answer: the program left the call after 0\.\d+ s"),
        ):
            run_to_the_end(wait, backend)
        assert clock.time >= least - 1e-6


def test_an_answer_replaces_what_was_left(server, tmp_path, backend):
    """`record-if-missing` makes the call again, and a call that is left never replaces an answer."""

    async def ask(seconds: float) -> None:
        async with openai.AsyncOpenAI(api_key="k", base_url=server.url, max_retries=0) as client:
            with anyio.move_on_after(seconds):
                await client.chat.completions.create(**ASK)

    for seconds, ends in ((0.1, ["closed"]), (30, [None]), (0.1, [None])):
        server.replies = [slow()]
        with replay(tmp_path, mode="record-if-missing"):
            run_to_the_end(lambda seconds=seconds: ask(seconds), backend)
        assert [response.get("end") for response in held(tmp_path)] == ends
    with replay(tmp_path, mode="record"):
        server.replies = [slow()]
        run_to_the_end(lambda: ask(0.1), backend)
    assert [response.get("end") for response in held(tmp_path)] == [None]


def test_a_stream_that_a_time_out_cuts_waits_for_it(server, tmp_path, backend):
    """At its pace, the program's own time-out fires in replay as it did live."""

    async def read(url: str) -> tuple[int, bool]:
        count = 0
        async with openai.AsyncOpenAI(api_key="k", base_url=url, max_retries=0) as client:
            with anyio.CancelScope() as scope:
                async with await client.chat.completions.create(**ASK, stream=True) as stream:
                    async for _ in stream:
                        count += 1
                        if count == 2:  # until here a machine may take its time
                            scope.deadline = anyio.current_time() + 0.3
        return count, scope.cancelled_caught

    pieces = [(0.0, event(chunk("a"))), (0.0, event(chunk("b"))), (9.0, event(chunk("c")))]
    server.replies = [Reply(headers={"content-type": "text/event-stream"}, pieces=pieces)]
    with replay(tmp_path, mode="record"):
        assert run_to_the_end(lambda: read(server.url), backend) == (2, True)
    (stored,) = held(tmp_path)
    assert (stored["end"], len(stored["chunks"])) == ("closed", 2)
    assert stored["left"] > 0.2
    with replay(tmp_path, speed=1):
        assert run_to_the_end(lambda: read(DEAD), backend) == (2, True)
    with replay(tmp_path), pytest.raises(IncompleteRecording, match="ends after 2 chunks"):
        run_to_the_end(lambda: read(DEAD), backend)


def test_a_stream_that_was_left_is_waited_for_in_sync_code(client, server, tmp_path):
    """As long as its caller stayed, and no longer."""
    with replay(tmp_path, mode="record"), client.chat.completions.create(**ASK, stream=True) as stream:
        next(stream)
    (stored,) = held(tmp_path)
    clock = VirtualClock()
    with replay(tmp_path, speed=0.001, clock=clock), pytest.raises(IncompleteRecording):
        list(openai.OpenAI(api_key="k", base_url=DEAD).chat.completions.create(**ASK, stream=True))
    assert clock.time == pytest.approx(stored["left"] * 1_000 + 1)
    assert stored["left"] > stored["offsets"][-1]


@pytest.mark.parametrize(
    ("content_type", "pieces"),
    [
        ("text/event-stream", []),
        ("text/event-stream", [(0.0, b": wait\n\n")]),
        ("application/json", [(0.0, b'{"id": ')]),
    ],
    ids=["headers only", "a comment", "half an answer"],
)
def test_an_answer_that_is_left_before_its_content_is_waited_for(server, tmp_path, backend, content_type, pieces):
    """The headers have come and no chunk has: the program's own time-out fires in replay as it did live."""

    async def read(url: str) -> bool:
        async with openai.AsyncOpenAI(api_key="k", base_url=url, max_retries=0) as client:
            with anyio.CancelScope() as scope:
                streamed = client.chat.completions.with_streaming_response.create(**ASK, stream=True)
                async with streamed as response:
                    scope.deadline = anyio.current_time() + 0.3
                    await response.read()
        return scope.cancelled_caught

    server.replies = [Reply(headers={"content-type": content_type}, pieces=[*pieces, (9.0, b"late")])]
    with replay(tmp_path, mode="record"):
        assert run_to_the_end(lambda: read(server.url), backend)
    (stored,) = held(tmp_path)
    assert (stored["status"], stored["end"], stored["chunks"]) == (200, "closed", [])
    assert stored["left"] > 0
    with replay(tmp_path, speed=1):
        assert run_to_the_end(lambda: read(DEAD), backend)


def test_a_call_that_is_cancelled_while_its_answer_is_written_is_stored_once(server, tmp_path, caplog, monkeypatch):
    """The writing goes on to its end; the call does not count once more, as one that was left."""
    cancel: list[Callable[[], object]] = []
    write = VariantFiles.put

    def put(*arguments: Any, **options: Any) -> bool:
        is_stored = write(*arguments, **options)
        cancel[0]()
        return is_stored

    async def ask() -> None:
        async with openai.AsyncOpenAI(api_key="k", base_url=server.url, max_retries=0) as client:
            task = asyncio.create_task(client.chat.completions.create(**ASK))
            loop = asyncio.get_running_loop()
            cancel[:] = [lambda: loop.call_soon_threadsafe(task.cancel)]
            with pytest.raises(asyncio.CancelledError):
                await task

    monkeypatch.setattr(VariantFiles, "put", put)
    with replay(tmp_path, mode="record") as session:
        run_to_the_end(ask, "asyncio")
    assert session.recorded == 1
    assert [response.get("end") for response in held(tmp_path)] == [None]
    assert not [record for record in caplog.records if record.name == "inferencereplay"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, TimeoutError])
def test_an_interrupt_frees_the_number(client, server, tmp_path, error):
    """Ctrl-C, or a signal's time-out, stores nothing, and the calls that follow are numbered from one."""

    def interrupt(_: Any) -> None:
        raise error

    with replay(tmp_path, mode="record") as session:
        other = client.with_options(max_retries=0)
        hooks = other._client.event_hooks
        other._client.event_hooks = {"request": [interrupt], "response": []}
        with pytest.raises((error, openai.APIConnectionError)):
            other.chat.completions.create(**ASK)
        other._client.event_hooks = hooks
        client.chat.completions.create(**ASK)
    assert session.recorded == 1
    assert [file.name.count("~") for file in tmp_path.rglob("*.json")] == [0]


def test_an_interrupt_before_a_call_is_made_frees_the_number(client, server, tmp_path, monkeypatch):
    """A signal may come between the decision to record a call and the code that ends it."""

    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    with replay(tmp_path, mode="record") as session:
        with monkeypatch.context() as patched:
            patched.setattr("inferencereplay.sdk.calls._record", interrupt)
            with pytest.raises(KeyboardInterrupt):
                client.chat.completions.create(**ASK)
        client.chat.completions.create(**ASK)
        assert not session.recorder.variants.has_pending()
    assert [file.name.count("~") for file in tmp_path.rglob("*.json")] == [0]


def test_an_interrupt_at_the_end_of_numbering_frees_the_number(client, server, tmp_path):
    """A signal's handler may run as the lock is released."""
    with replay(tmp_path, mode="record") as session:
        variants = session.recorder.variants
        lock, variants._lock = variants._lock, Interrupting(variants._lock)
        with pytest.raises(KeyboardInterrupt):
            client.chat.completions.create(**ASK)
        variants._lock = lock
        client.chat.completions.create(**ASK)
        assert not variants.has_pending()
    assert [file.name.count("~") for file in tmp_path.rglob("*.json")] == [0]


def test_an_interrupt_at_the_end_of_a_stream_frees_the_number(client, server, tmp_path, monkeypatch):
    """Even while the program still holds the stream."""

    def interrupt(_: Any) -> None:
        raise KeyboardInterrupt

    with replay(tmp_path, mode="record") as session:
        stream = client.chat.completions.create(**ASK, stream=True)
        with monkeypatch.context() as patched:
            patched.setattr("inferencereplay.sdk.capture.ResponseCapture._assemble", interrupt)
            with pytest.raises(KeyboardInterrupt):
                stream.close()
        assert not session.recorder.variants.has_pending()
        list(client.chat.completions.create(**ASK, stream=True))
        stream.close()
    assert session.recorded == 1
    assert [file.name.count("~") for file in tmp_path.rglob("*.json")] == [0]
