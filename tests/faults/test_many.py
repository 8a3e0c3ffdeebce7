"""Threads, processes and tasks by the thousand: what is promised of each mode holds."""

from __future__ import annotations

import asyncio
import json
import threading
from collections import defaultdict

import openai
import pytest
from conftest import cheap, chunk, sse
from forkserver import forkserver
from length import report, times
from test_crashes import Stored
from ways import DEAD

from inferencereplay import replay
from inferencereplay.store.directory import DirectoryStore

pytestmark = pytest.mark.slow

WRITER = """
    import json, os, random, sys, threading, time
    import openai
    from inferencereplay import replay

    url, directory, mode, name, threads, repeats, go = sys.argv[1:]
    client = openai.OpenAI(
        api_key="test-key", base_url=url, max_retries=9, http_client=openai.DefaultHttpxClient(verify=False)
    )
    given = []

    def call(question):
        stream = len(question) % 2 == 1
        ask = {"model": "m", "messages": [{"role": "user", "content": question}], "stream": stream}
        made = client.chat.completions.create(**ask)
        if stream:
            return "".join(chunk.choices[0].delta.content or "" for chunk in made)
        return made.choices[0].message.content

    def work(thread):
        questions = [f"shared {number} " for number in range(8, 13)] * int(repeats)
        questions += [f"{name}'s {number} " for number in range(8, 13)] * int(repeats)
        random.Random(f"{name}{thread}").shuffle(questions)
        for question in questions:
            given.append((question, call(question)))

    while not os.path.exists(go):  # so that all begin at once
        time.sleep(0.001)
    with replay(directory, mode=mode) as session:
        workers = [threading.Thread(target=work, args=(thread,)) for thread in range(int(threads))]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
    print(json.dumps(given))
"""
PROCESSES, THREADS, REPEATS = 4, 8, times(1, 6)


class Watcher:
    """Looks at the files over and over while they are written, and notes what a file was first."""

    def __init__(self, directory) -> None:
        self._store = DirectoryStore(directory)
        self._directory = directory
        self._is_over = threading.Event()
        self.first: dict[str, bytes] = {}
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()

    def _watch(self) -> None:
        while not self._is_over.wait(0.02):
            for name in list(self._store.list()):
                if name not in self.first:
                    self.first[name] = (self._directory / name).read_bytes()

    def stop(self) -> dict[str, bytes]:
        self._is_over.set()
        self._thread.join()
        return self.first


def write(server, directory, mode: str) -> dict[str, list[tuple[str, str]]]:
    """Let the processes write at the same time, and return what each was given."""
    names = [f"process {number}" for number in range(PROCESSES)]
    go = directory.with_name("go")
    arguments = (str(THREADS), str(REPEATS), str(go))
    writers = [forkserver().start(WRITER, server.url, directory, mode, name, *arguments) for name in names]
    go.touch()
    given = {}
    for name, writer in zip(names, writers, strict=True):
        done = writer.wait()
        assert done.returncode == 0, done.stderr
        given[name] = [tuple(pair) for pair in json.loads(done.stdout)]
    return given


@pytest.mark.parametrize("mode", ["record", "record-if-missing"])
def test_processes_of_threads_record_what_overlaps(server, tmp_path, mode):
    """Four processes of eight threads each lose no request and mix up none, and replay gives only what was given."""
    directory = tmp_path / "recordings"
    directory.mkdir()
    watcher = Watcher(directory)
    given = write(server, directory, mode)
    first = watcher.stop()
    calls = [pair for pairs in given.values() for pair in pairs]
    assert len(calls) == PROCESSES * THREADS * REPEATS * 10
    answers = defaultdict(set)
    for question, text in calls:
        answers[question].add(text)
    stored = Stored(directory).by_question()
    assert stored.keys() == answers.keys()
    for question, texts in stored.items():
        assert set(texts) <= answers[question]
        assert len(set(texts)) == len(texts)
    for name, pairs in given.items():
        for question in {question for question, _ in pairs if question.startswith(name)}:
            own = {text for other, text in pairs if other == question}
            assert set(stored[question]) == own, "within a session, all of them"
    if mode == "record-if-missing":
        assert all((directory / name).read_bytes() == content for name, content in first.items())
    names = list(DirectoryStore(directory).list())
    assert [path for path in directory.rglob("*.*") if path.suffix != ".json"] == []
    check_numbers(names)
    check_replay(directory, stored)
    report(f"{mode}: {len(calls)} calls, {len(answers)} requests, {len(names)} files; no answer lacks or is wrong")


def check_numbers(names: list[str]) -> None:
    """Make sure that no number is missing among the variants of a request."""
    numbers = defaultdict(list)
    for name in names:
        digits, _, number = name.removesuffix(".json").partition("~")
        numbers[digits].append(int(number or 1))
    assert all(sorted(found) == list(range(1, len(found) + 1)) for found in numbers.values())


def check_replay(directory, stored: dict[str, list[str]]) -> None:
    """Ask every request once more than it has recordings: they come in order, and the last one again."""
    with openai.OpenAI(api_key="test-key", base_url=DEAD, **cheap()) as client, replay(directory):
        for question, texts in stored.items():
            ask = {"model": "m", "messages": [{"role": "user", "content": question}], "stream": len(question) % 2 == 1}
            got = []
            for _ in range(len(texts) + 1):
                made = client.chat.completions.create(**ask)
                if isinstance(made, openai.Stream):
                    got.append("".join(item.choices[0].delta.content or "" for item in made))
                else:
                    got.append(made.choices[0].message.content)
            assert got == [*texts, texts[-1]]


def test_a_thousand_timed_streams_at_once(server, tmp_path):
    """A thousand streams that replay at their pace each get their own chunks, in order, and none before its time."""
    count = times(200, 1_000)
    asks = [
        {"model": "m", "messages": [{"role": "user", "content": f"stream {number}"}], "stream": True}
        for number in range(10)
    ]
    with openai.OpenAI(api_key="test-key", base_url=server.url, **cheap()) as client, replay(tmp_path, mode="record"):
        for number, ask in enumerate(asks):
            server.replies = [sse(*(chunk(f"{number}.{index} ") for index in range(20)), pause=0.02)]
            assert len(list(client.chat.completions.create(**ask))) == 20
    offsets = {}
    for path in tmp_path.rglob("*.json"):
        recorded = json.loads(path.read_text())
        offsets[recorded["request"]["body"]["messages"][0]["content"]] = recorded["response"]["offsets"]

    async def read(client, number: int) -> list[float]:
        ask, loop = asks[number % 10], asyncio.get_running_loop()
        start, late = loop.time(), []
        stream = await client.chat.completions.create(**ask)
        texts = []
        due = offsets[ask["messages"][0]["content"]]
        async for item in stream:
            late.append(loop.time() - start - due[len(texts)])
            texts.append(item.choices[0].delta.content)
        assert texts == [f"{number % 10}.{index} " for index in range(20)]
        return late

    async def main() -> list[float]:
        async with openai.AsyncOpenAI(api_key="test-key", base_url=DEAD, **cheap(is_async=True)) as client:
            found = await asyncio.gather(*(read(client, number) for number in range(count)))
        assert asyncio.all_tasks() == {asyncio.current_task()}
        return sorted(seconds for late in found for seconds in late)

    threads = threading.active_count()
    with replay(tmp_path, speed=1) as session:
        late = asyncio.run(main())
    assert (session.hits, session.misses, len(late)) == (count, 0, 20 * count)
    assert threading.active_count() == threads
    assert late[0] > -1e-3  # the clock's own grain
    middle, most = late[len(late) // 2], late[len(late) * 99 // 100]
    report(f"{count} streams at once: none early; late by {middle * 1e3:.1f} ms (median), {most * 1e3:.1f} ms (99 %)")
