"""Recording processes that are killed at random moments leave whole files, and every answer that had been given.

A nursery process imports the SDK once and forks the victims, each a process of its own that appends a line to a log
after each call has returned, or each stream has reached `[DONE]`. They are killed with SIGKILL.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import textwrap
import time
from collections import defaultdict
from pathlib import Path

import openai
import pytest
from conftest import cheap
from held import question_and_text
from length import report, times
from ways import DEAD

from inferencereplay import replay
from inferencereplay.store.atomic_write import STALE
from inferencereplay.store.directory import DirectoryStore

pytestmark = pytest.mark.slow

NURSERY = """
    import asyncio, json, os, signal, sys, threading, time
    import openai
    from inferencereplay import replay
    from inferencereplay.sdk import patches  # the second before the forks, which saves time

    url, directory, log, writers, stream = sys.argv[1:]
    stream = stream == "streamed"
    log = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    PADDING = "x" * 20_000

    def ask(question):
        return {"model": "m", "messages": [{"role": "user", "content": question + PADDING}], "stream": stream}

    def note(question, text):
        os.write(log, json.dumps([question, text]).encode() + b"\\n")

    def text_of(made):
        return made.choices[0].message.content

    def work(attempt, writer):
        client = openai.OpenAI(api_key="test-key", base_url=url, max_retries=0)
        number = 0
        while True:
            for question in [f"q {attempt} {writer} {number} "] * 3 + [f"q {attempt} {writer} shared "]:
                made = client.chat.completions.create(**ask(question))
                if stream:
                    text = "".join(chunk.choices[0].delta.content or "" for chunk in made)
                else:
                    text = text_of(made)
                note(question, text)
            number += 1

    async def work_async(attempt, writer):
        client = openai.AsyncOpenAI(api_key="test-key", base_url=url, max_retries=0)
        number = 0
        while True:
            for question in [f"q {attempt} {writer} {number} "] * 3 + [f"q {attempt} {writer} shared "]:
                made = await client.chat.completions.create(**ask(question))
                if stream:
                    text = "".join([chunk.choices[0].delta.content or "" async for chunk in made])
                else:
                    text = text_of(made)
                note(question, text)
            number += 1

    def record_until_death(attempt, writer):
        with replay(directory, mode="record"):
            if writers == "four tasks":
                async def main():
                    await asyncio.gather(*(work_async(attempt, f"t{task}") for task in range(4)))
                asyncio.run(main())
            if writers == "four threads":
                for thread in range(3):
                    threading.Thread(target=work, args=(attempt, f"t{thread}"), daemon=True).start()
            work(attempt, writer)

    for line in sys.stdin:
        attempt, delay = json.loads(line)
        size = os.fstat(log).st_size
        victims = []
        for writer in range(4 if writers == "four processes" else 1):
            victim = os.fork()
            if not victim:
                try:
                    record_until_death(attempt, f"p{writer}")
                finally:
                    os._exit(1)
            victims.append(victim)
        while os.fstat(log).st_size == size:  # until the first call has returned
            time.sleep(0.0005)
        time.sleep(delay)
        for victim in victims:
            os.kill(victim, signal.SIGKILL)
        died = [os.waitpid(victim, 0)[1] for victim in victims]
        assert died == [signal.SIGKILL] * len(victims), died
        print(json.dumps(len(victims)), flush=True)
"""
KILLS = times(4, 50)
"""Rounds of killing for each of four kinds of writers, plain and streamed: 200 each at full length."""
ROUND = 2
"""Attempts that ask the same questions, so that every second one replaces what the one before it recorded."""


class Nursery:
    """The process that forks the victims."""

    def __init__(self, url: str, directory: Path, log: Path, writers: str, kind: str) -> None:
        command = [sys.executable, "-c", textwrap.dedent(NURSERY), url, str(directory), str(log), writers, kind]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def kill(self, attempt: int, delay: float) -> int:
        """Start victims, kill them, and return how many they were."""
        self._process.stdin.write(json.dumps([attempt, delay]) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def close(self) -> None:
        self._process.communicate()
        assert self._process.returncode == 0


def read_log(log: Path, start: int) -> list[tuple[str, str]]:
    """Return question and answer of the calls that had returned, from a position in the log on."""
    with log.open("rb") as file:
        file.seek(start)
        return [tuple(json.loads(line)) for line in file]


class Stored:
    """What stands in the directory, each file read to its end once for as long as it stays as it is.

    Attributes:
        count: files that were read.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._store = DirectoryStore(directory)
        self._known: dict[str, tuple[tuple[int, int], str, str]] = {}
        self.count = 0

    def by_question(self) -> dict[str, list[str]]:
        """Return the texts that are stored for each question, by the number of their variant."""
        found = defaultdict(list)
        known, self._known = self._known, {}
        for name in sorted(self._store.list(), key=_variant):
            status = (self._directory / name).stat()
            stamp = (status.st_ino, status.st_mtime_ns)
            entry = known.get(name)
            if entry is None or entry[0] != stamp:
                self.count += 1
                question, text = question_and_text(self._directory, name)
                entry = stamp, question.rstrip("x"), text
            self._known[name] = entry
            found[entry[1]].append(entry[2])
        return found


def _variant(name: str) -> int:
    return int(name.removesuffix(".json").partition("~")[2] or 1)


def temporary(directory: Path) -> list[Path]:
    """Return what writers that died left behind."""
    return [path for path in (directory / "chat" / "completions").iterdir() if path.suffix != ".json"]


def replayed(directory: Path, questions: dict[str, list[str]], *, stream: bool) -> dict[str, list[str]]:
    """Ask each question as often as it has answers, and return the answers."""
    found = {}
    with openai.OpenAI(api_key="test-key", base_url=DEAD, **cheap()) as client, replay(directory) as session:
        for question, texts in questions.items():
            ask = {"model": "m", "messages": [{"role": "user", "content": question + "x" * 20_000}], "stream": stream}
            found[question] = [_text(client.chat.completions.create(**ask)) for _ in texts]
    assert session.misses == 0
    return found


def _text(made: object) -> str:
    if isinstance(made, openai.Stream):
        return "".join(chunk.choices[0].delta.content or "" for chunk in made)
    return made.choices[0].message.content


@pytest.mark.parametrize(
    ("writers", "kind"),
    [
        ("four threads", "plain"),
        *(
            pytest.param(writers, kind, marks=pytest.mark.slow)
            for writers in ("one", "four tasks", "four processes", "four threads")
            for kind in ("plain", "streamed")
            if (writers, kind) != ("four threads", "plain")
        ),
    ],
)
def test_what_had_returned_is_there_after_a_kill(server, tmp_path, writers, kind):
    """After each kill every file is whole, every answer that had been given is stored, in order, and replays."""
    directory, log = tmp_path / "recordings", tmp_path / "log"
    log.touch()
    nursery, stored, chance = Nursery(server.url, directory, log, writers, kind), Stored(directory), random.Random(4)
    kills = calls = torn = 0
    before: dict[str, list[str]] = {}
    for attempt in range(KILLS):
        start = log.stat().st_size
        kills += nursery.kill(attempt // ROUND, chance.uniform(0, 0.12))
        given = defaultdict(list)
        for question, text in read_log(log, start):
            given[question].append(text)
            calls += 1
        found = stored.by_question()
        for question, texts in given.items():
            # What was in flight when the process was killed may be there as well, after what had returned.
            assert found[question][: len(texts)] == texts
        assert before.keys() <= found.keys(), "what an earlier process had recorded was lost"
        before = found
        torn += len(temporary(directory))
        asked = dict(list(given.items())[-5:])
        assert replayed(directory, asked, stream=kind == "streamed") == asked
        for path in temporary(directory):
            path.unlink()
    nursery.close()
    assert calls >= KILLS
    report(f"{KILLS} rounds, {kills} processes killed ({writers}, {kind}); {calls} calls had returned, none was lost;")
    report(f"{stored.count} files read, all whole; {torn} writes were cut in the middle and left a temporary file")


@pytest.mark.parametrize("kind", [pytest.param("plain", marks=pytest.mark.slow), "streamed"])
def test_what_the_dead_left_is_never_read_and_swept_later(server, tmp_path, kind):
    """Temporary files of killed writers are no recordings; a later writer sweeps the old ones and spares the new."""
    directory, log = tmp_path / "recordings", tmp_path / "log"
    log.touch()
    nursery, chance = Nursery(server.url, directory, log, "four threads", kind), random.Random(5)
    for attempt in range(200):
        nursery.kill(attempt, chance.uniform(0, 0.02))
        if len(temporary(directory)) >= 4:
            break
    left = temporary(directory)
    assert len(left) >= 4
    names = set(DirectoryStore(directory).list())
    assert not {path.name for path in left} & {Path(name).name for name in names}
    for path in left[:2]:
        os.utime(path, (time.time() - STALE - 60,) * 2)
    with openai.OpenAI(api_key="test-key", base_url=server.url, **cheap()) as client:
        with replay(directory, mode="record-if-missing") as session:
            client.chat.completions.create(model="m", messages=[{"role": "user", "content": "new"}])
            assert len(session.unused()) == len(names)
    assert sorted(temporary(directory)) == sorted(left[2:])
    nursery.close()
    report(f"{attempt + 1} processes killed; {len(left)} temporary files left, none read, the stale ones swept")
