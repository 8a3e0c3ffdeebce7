"""A detector of blocking calls on the event loop finds none in replay and none in recording."""

from __future__ import annotations

import asyncio
import logging
import threading
from typing import TYPE_CHECKING, Any

import anyio
import anyio.to_thread
import openai
import pytest
from blockbuster import BlockBuster
from conftest import ASK, Reply, completion, plain, run_to_the_end
from ways import DEAD

from inferencereplay import RecordingNotFound, Session, wrap
from inferencereplay.recording.side_file import SideFile
from inferencereplay.sdk import worker_thread

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def detector(server, tmp_path) -> Iterator[None]:
    """A detector that is active after the first call of the SDK, which reads files itself."""
    asyncio.run(ask(server.url, Session(tmp_path / "first", mode="record")))
    asyncio.run(ask(DEAD, Session(tmp_path / "first", mode="replay")))
    blockbuster = BlockBuster()
    blockbuster.activate()
    yield
    blockbuster.deactivate()


async def ask(url: str, session: Session, **more: Any) -> list[Any]:
    async with openai.AsyncOpenAI(api_key="k", base_url=url, max_retries=0) as client:
        create = wrap(client, session).chat.completions.create
        made = await create(**ASK, **more)
        streamed = [item async for item in await create(**ASK, **more, stream=True)]
        raw = await client.chat.completions.with_raw_response.create(**ASK, **more)
        return [made, *streamed, raw.parse()]


@pytest.mark.parametrize("mode", ["record", "record-if-missing"])
def test_no_blocking_call_is_found(server, tmp_path, detector, mode, caplog):
    """Where one is loaded, files are read and written in threads."""
    live = asyncio.run(ask(server.url, recording := Session(tmp_path / "kept", mode=mode)))
    assert (recording.recorded, caplog.records) == (3 if mode == "record" else 2, [])
    session = Session(tmp_path / "kept", mode="replay")
    replayed = asyncio.run(ask(DEAD, session))
    assert session.hits == 3
    assert replayed[1:] == live[1:]


def test_a_miss_is_told_under_a_detector(server, tmp_path, detector):
    """The search for the nearest recording looks at many files."""
    asyncio.run(ask(server.url, Session(tmp_path / "kept", mode="record")))
    with pytest.raises(RecordingNotFound):
        asyncio.run(ask(DEAD, Session(tmp_path / "kept", mode="replay"), seed=1))


def test_a_failure_while_a_call_is_decided_lets_it_through(server, tmp_path, caplog, monkeypatch):
    """Whatever its kind: the recorded program gets its answer, and the log a warning."""

    def fail(*_: Any, **__: Any) -> Any:
        raise ZeroDivisionError("a defect")

    session = Session(tmp_path, mode="record")
    monkeypatch.setattr(session, "decide", fail)
    server.replies = [plain(completion("hello"))]
    client = wrap(openai.OpenAI(api_key="k", base_url=server.url), session)
    with caplog.at_level(logging.WARNING, "inferencereplay"):
        assert client.chat.completions.create(**ASK).choices[0].message.content == "hello"
    assert [item.getMessage() for item in caplog.records] == [
        "POST /chat/completions was not recorded: ZeroDivisionError: a defect"
    ]


@pytest.mark.usefixtures("detector")
def test_a_task_that_is_cancelled_while_a_thread_decides_leaves_no_number(server, tmp_path, monkeypatch):
    """The number of its call is given back."""
    session = Session(tmp_path / "kept", mode="record")
    decide, begun, cancelled = session.decide, threading.Event(), threading.Event()
    count = server.count

    def slow(*args: Any, **kwargs: Any) -> Any:
        begun.set()
        cancelled.wait(30)
        return decide(*args, **kwargs)

    async def main() -> None:
        async with openai.AsyncOpenAI(api_key="k", base_url=server.url) as client:
            task = asyncio.create_task(wrap(client, session).chat.completions.create(**ASK))
            await anyio.to_thread.run_sync(begun.wait)
            threading.Timer(0.1, cancelled.set).start()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    monkeypatch.setattr(session, "decide", slow)
    run_to_the_end(main, "asyncio")
    for thread in threading.enumerate():
        if isinstance(thread, threading.Timer) or "AnyIO" in thread.name:
            thread.join(5)
    assert not session.recorder.variants.has_pending()
    assert (session.recorded, server.count) == (0, count)


def test_a_cancelled_task_has_nothing_to_give_back_of_an_answer():
    """Only a number has to be given back."""
    begun, may_end = threading.Event(), threading.Event()

    def decide() -> str:
        begun.set()
        may_end.wait(30)
        return "an answer"

    async def main() -> None:
        task = asyncio.create_task(worker_thread.decide(decide))
        await anyio.to_thread.run_sync(begun.wait)
        threading.Timer(0.1, may_end.set).start()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    run_to_the_end(main, "asyncio")


def test_a_content_is_read_in_a_thread_under_a_detector(server, tmp_path, detector, monkeypatch):
    """However short it is."""
    server.replies = [Reply(headers={"content-type": "audio/mpeg"}, body=b"\xff\xfb" * 9)]
    readers, read = [], SideFile.read

    def note(side: SideFile) -> bytes:
        readers.append(threading.current_thread())
        return read(side)

    monkeypatch.setattr(SideFile, "read", note)

    async def speak(url: str, session: Session) -> bytes:
        async with openai.AsyncOpenAI(api_key="k", base_url=url, max_retries=0) as client:
            made = await wrap(client, session).audio.speech.create(model="m", voice="alloy", input="Hi")
            return made.content

    kept = tmp_path / "kept"
    assert asyncio.run(speak(server.url, Session(kept, mode="record"))) == b"\xff\xfb" * 9
    readers.clear()
    assert asyncio.run(speak(DEAD, Session(kept, mode="replay"))) == b"\xff\xfb" * 9
    assert [reader is threading.main_thread() for reader in readers] == [False]
