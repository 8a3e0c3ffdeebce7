"""Uploads and bytes under faults: kills, full disks, many recorders, calls that are cancelled."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import io
import multiprocessing
import os
import random
import resource
import signal
import time
from typing import TYPE_CHECKING

import openai
import pytest
from conftest import Reply, Server, cheap, plain

from inferencereplay import replay
from inferencereplay.catalogue.entries import Catalogue
from inferencereplay.redaction.redactor import Redactor
from inferencereplay.upkeep.checking import check

if TYPE_CHECKING:
    from pathlib import Path

KEY = "sk-test-0123456789abcdef"
SOUND = random.Random(3).randbytes(200_000)


def sound(number: int = 0, pause: float = 0.0) -> Reply:
    pieces = [(pause, SOUND[start : start + 20_000]) for start in range(0, len(SOUND), 20_000)]
    return Reply(headers={"content-type": "audio/mpeg"}, pieces=[*pieces, (0.0, bytes([number]))])


def speak(url: str, text: str = "Hi") -> bytes:
    with openai.OpenAI(api_key=KEY, base_url=url, max_retries=0, **cheap()) as client:
        with client.audio.speech.with_streaming_response.create(model="m", voice="alloy", input=text) as made:
            return made.read()


def kinds(folder: Path) -> set[str]:
    return {problem.kind for _, found in check(Catalogue(folder), Redactor()) for problem in found}


def test_a_kill_at_any_moment_leaves_whole_recordings(server, tmp_path):
    """Each recording that is there has its content; at most an orphan is left, which goes later."""
    number = 0

    def record() -> None:
        with replay(tmp_path, mode="record-if-missing", exhausted="record"):
            for _ in range(20):
                speak(server.url)

    for attempt in range(6):
        server.replies = [sound(number := number + 1) for _ in range(20)]
        process = multiprocessing.get_context("fork").Process(target=record)
        process.start()
        time.sleep(0.1 + attempt * 0.05)
        os.kill(process.pid, signal.SIGKILL)  # type: ignore[arg-type]
        process.join()
    assert kinds(tmp_path) <= {"orphan", "gap"}
    with replay(tmp_path) as session, contextlib.suppress(Exception):
        assert speak(server.url)[:-1] == SOUND
    assert session.misses <= 1


def test_many_recorders_of_one_request(tmp_path):
    """Every recording has its content, and there is nothing else."""
    server = Server()
    server.replies = [sound(number % 3) for number in range(48)]

    def record(_: int) -> None:
        with replay(tmp_path, mode="record-if-missing", exhausted="record"):
            for _ in range(3):
                speak(server.url)

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        list(pool.map(record, range(4)))
    assert kinds(tmp_path) == set()
    assert len(list(tmp_path.rglob("*.mp3"))) == len(list(tmp_path.rglob("*.json"))) > 0
    server.stop()


def test_a_disk_that_is_full_costs_a_warning(server, tmp_path, caplog):
    """The answer reaches the program, and nothing half-written stays."""
    server.replies = [sound(), sound()]
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
        with replay(tmp_path, mode="record") as session:
            assert speak(server.url)[:-1] == SOUND
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert "was not recorded" in caplog.text
    assert (session.recorded, list(tmp_path.rglob("*.*"))) == (0, [])
    with replay(tmp_path, mode="record-if-missing"):
        speak(server.url)
    assert kinds(tmp_path) == set()


def test_a_cancelled_call_leaves_no_side_file(server, tmp_path):
    """Neither one whose upload is under way nor one whose answer is read."""
    server.replies = [sound(pause=0.2), plain({"text": "x"})]

    async def main() -> None:
        options = cheap(is_async=True)
        async with openai.AsyncOpenAI(api_key=KEY, base_url=server.url, max_retries=0, **options) as client:
            with replay(tmp_path, mode="record", keep_uploads=True):
                with pytest.raises(asyncio.TimeoutError):
                    await asyncio.wait_for(client.audio.speech.create(model="m", voice="alloy", input="x"), 0.3)
                file = ("a.wav", io.BytesIO(SOUND))
                task = asyncio.create_task(client.audio.transcriptions.create(model="m", file=file))
                await asyncio.sleep(0)
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task

    asyncio.run(main())
    assert [file for file in tmp_path.rglob("*.*") if file.suffix not in ("", ".json")] == []


def test_a_failing_reader_of_a_file_is_the_programs_error(client, server, tmp_path):
    """What an open file raises reaches the program, as live, and nothing is recorded."""

    class Broken(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            raise OSError(5, "Input/output error")

    for mode in ("live", "record", "replay"):
        with pytest.raises((OSError, openai.APIConnectionError)), replay(tmp_path, mode=mode):
            client.audio.transcriptions.create(model="m", file=("a.wav", Broken(SOUND)))
    assert list(tmp_path.rglob("*.json")) == []
