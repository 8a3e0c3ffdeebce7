"""The sessions of one run record each request once, whatever becomes of those that are at it."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import textwrap
import threading
import time
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor

import anyio
import anyio.to_thread
import openai
import pytest
from conftest import Server, cheap, chunk, sse
from forkserver import forkserver
from length import report, times

from inferencereplay import Session, replay
from inferencereplay.session.run_coordinator import RunCoordinator

pytestmark = pytest.mark.slow

NURSERY = """
    import json, os, random, signal, sys, time
    import openai
    from pathlib import Path
    from inferencereplay import Session, replay
    from inferencereplay.sdk import patches
    from inferencereplay.session.run_coordinator import RunCoordinator

    url, log = sys.argv[1:]
    log = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def call(client, question):
        stream = question % 2 == 1
        ask = {"model": "m", "messages": [{"role": "user", "content": f"q {question}"}], "stream": stream}
        made = client.chat.completions.create(**ask)
        if stream:
            return "".join(chunk.choices[0].delta.content or "" for chunk in made)
        return made.choices[0].message.content

    def work(seed, run, directory):
        client = openai.OpenAI(api_key="test", base_url=url, max_retries=0)
        chance = random.Random(seed)
        for test in range(3):
            session, asked = Session(directory, mode="record"), {}
            session.join(run)
            questions = list(range(6)) * 2
            chance.shuffle(questions)
            with replay(session):
                for question in questions:
                    asked[question] = asked.get(question, 0) + 1
                    answer = question, asked[question], call(client, question)
                    os.write(log, json.dumps(answer).encode() + b"\\n")

    for line in sys.stdin:
        attempt, folder, directory, delays = json.loads(line)
        workers, run, size = [], RunCoordinator(Path(folder)), os.fstat(log).st_size
        for number in range(4):
            workers.append(os.fork())
            if not workers[-1]:
                try:
                    work(f"{attempt} {number}", run, directory)
                    os._exit(0)
                finally:
                    os._exit(1)
        while os.fstat(log).st_size == size:  # until the first call has returned
            time.sleep(0.0005)
        started = time.monotonic()
        for worker, delay in zip(workers, delays):
            time.sleep(max(0, started + delay - time.monotonic()))
            os.kill(worker, signal.SIGKILL)  # and nobody asks yet how it ended
        left = [os.waitpid(worker, 0)[1] for worker in workers[len(delays):]]
        died = [os.waitpid(worker, 0)[1] for worker in workers[:len(delays)]]
        assert left == [0] * len(left), left
        print(sum(status == signal.SIGKILL for status in died), flush=True)
"""
ROUNDS = times(4, 70)
FORKS = """
    import json, multiprocessing, os, signal, sys, threading
    import openai
    from pathlib import Path
    from inferencereplay import Session, replay
    from inferencereplay.session.run_coordinator import RunCoordinator

    url, directory, folder, mode, way = sys.argv[1:]
    signal.alarm(280)
    options = {"api_key": "test", "base_url": url, "max_retries": 0}

    def ask(client, question, **more):
        return client.chat.completions.create(
            model="m", messages=[{"role": "user", "content": question}], timeout=60, **more
        )

    def text(stream):
        return "".join(chunk.choices[0].delta.content or "" for chunk in stream)

    def tell(write, given):
        os.write(write, (json.dumps(given) + chr(10)).encode())

    def make():
        return openai.OpenAI(**options, http_client=openai.DefaultHttpxClient(verify=False))

    def child(write, number, client):
        signal.alarm(240)
        given = [("shared", text(ask(client, "shared", stream=True)))]
        given += [("noise", ask(client, "noise").choices[0].message.content) for _ in range(3)]
        given.append((f"child {number}", ask(client, f"child {number}").choices[0].message.content))
        tell(write, given)

    def noise(client, done):
        while not done.wait(0.005):
            ask(client, "noise")

    session = Session(directory, mode=mode)
    if folder:
        session.join(RunCoordinator(Path(folder)))
    read, write = os.pipe()
    with replay(session):
        client = make()
        clients = [make() for _ in range(4)]  # OpenSSL, which each makes use of, may be in use by a thread at the fork
        given = [("shared", text(ask(client, "shared", stream=True)))]
        stream = ask(client, "open", stream=True)
        given_open = next(iter(stream)).choices[0].delta.content
        done = threading.Event()
        threads = [threading.Thread(target=noise, args=(make(), done)) for _ in range(3)]
        for thread in threads:
            thread.start()
        children = []
        for number in range(4):
            if way == "multiprocessing":
                process = multiprocessing.get_context("fork").Process(
                    target=child, args=(write, number, clients[number])
                )
                process.start()
                children.append(process.pid)
            else:
                children.append(os.fork())
                if not children[-1]:
                    try:
                        child(write, number, clients[number])
                    except BaseException:
                        os._exit(1)
                    if way == "exit":
                        done.set()
                        sys.exit(0)
                    os._exit(0)
        statuses = [os.waitpid(pid, 0)[1] for pid in children]
        done.set()
        for thread in threads:
            thread.join()
        given.append(("open", given_open + text(stream)))
        tell(write, given)
    os.close(write)
    with open(read) as told:
        print(json.dumps([statuses, [json.loads(line) for line in told]]))
"""


def python(script, *arguments):
    return [sys.executable, "-c", textwrap.dedent(script), *map(str, arguments)]


class Slow(Server):
    """The server, that takes a while to answer, so that calls overlap."""

    def _answer(self, handler):
        time.sleep(0.01)
        super()._answer(handler)


@pytest.fixture
def slow():
    """Serve slowly for one test."""
    server = Slow()
    yield server
    server.stop()


def text(made):
    if isinstance(made, openai.Stream):
        return "".join(item.choices[0].delta.content or "" for item in made)
    return made.choices[0].message.content


def joined(directory, run):
    session = Session(directory, mode="record")
    session.join(run)
    return session


@pytest.mark.slow
def test_processes_of_a_run_are_killed(slow, tmp_path):
    """The others go on, and what any of them was given is what all are given, and what is replayed."""
    log = tmp_path / "log"
    log.touch()
    nursery = subprocess.Popen(python(NURSERY, slow.url, log), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    chance, killed, calls, claims = random.Random(7), 0, 0, 0
    for attempt in range(ROUNDS):
        start, directory, folder = log.stat().st_size, tmp_path / f"kept {attempt}", tmp_path / f"run {attempt}"
        delays = sorted(chance.uniform(0, 0.15) for _ in range(2))
        nursery.stdin.write(json.dumps([attempt, str(folder), str(directory), delays]) + "\n")
        nursery.stdin.flush()
        dead = int(nursery.stdout.readline())
        killed += dead
        claims += len(list(folder.glob("*.claim")))
        given = defaultdict(set)
        with log.open("rb") as file:
            file.seek(start)
            for line in file:
                question, number, answer = json.loads(line)
                given[question, number].add(answer)
                calls += 1
        assert len(given) == 12
        assert all(len(answers) == 1 for answers in given.values())
        RunCoordinator(folder).tidy(lambda _: True)
        with replay(directory) as session, openai.OpenAI(api_key="test") as client:
            for question, number in sorted(given):
                ask = {"model": "m", "messages": [{"role": "user", "content": f"q {question}"}]}
                made = client.chat.completions.create(**ask, stream=question % 2 == 1)
                assert given[question, number] == {text(made)}
            assert session.unused() == []
    nursery.communicate(timeout=60)
    assert nursery.returncode == 0
    report(f"{ROUNDS} runs of 4 processes, {killed} killed; {calls} calls returned, all alike in each run;")
    report(f"{claims} claims of the dead were left at the end, {slow.count - 12 * ROUNDS} answers were asked for again")


@pytest.mark.parametrize(
    ("mode", "way"),
    [
        ("record", "fork"),
        ("record in a run", "exit"),
        ("record-if-missing", "multiprocessing"),
        *(
            pytest.param(mode, way, marks=pytest.mark.slow)
            for mode, way in (
                *(("record", way) for way in ("exit", "multiprocessing")),
                *(("record in a run", way) for way in ("fork", "multiprocessing")),
                *(("record-if-missing", way) for way in ("fork", "exit")),
            )
        ),
    ],
)
def test_a_program_forks_with_an_open_session(slow, tmp_path, mode, way):
    """Children that are forked off while threads record and a stream is open get their answers, and lose none."""
    mode, _, is_run = mode.partition(" ")
    arguments = slow.url, tmp_path / "kept", tmp_path / "run" if is_run else "", mode, way
    made = forkserver().run(FORKS, *arguments)
    assert made.returncode == 0, made.stderr
    statuses, told = json.loads(made.stdout)
    assert statuses == [0] * 4
    assert len(told) == 5
    given = defaultdict(set)
    for pairs in told:
        for question, answer in pairs:
            given[question].add(answer)
    with replay(tmp_path / "kept"), openai.OpenAI(api_key="test") as client:
        for question, answers in given.items():
            ask = {"model": "m", "messages": [{"role": "user", "content": question}]}
            ask |= {"stream": True} if question in ("shared", "open") else {}
            if question == "noise":
                continue
            replayed = {text(client.chat.completions.create(**ask)) for _ in range(6)}
            assert replayed <= answers
            if is_run:
                assert replayed == answers
                assert len(answers) <= 2


def test_tasks_that_wait_are_cancelled_and_the_others_get_the_answer(server, tmp_path):
    """Sessions on event loops of their own wait for a stream that a third one records; the network is asked once."""
    ask = {"model": "m", "messages": [{"role": "user", "content": "Hello"}], "stream": True}
    server.replies = [sse(*map(chunk, "abc"))]
    run, cut, waiting = RunCoordinator(tmp_path / "run"), [], threading.Barrier(3)

    def joined():
        session = Session(tmp_path / "kept", mode="record")
        session.join(run)
        return replay(session)

    async def read(client):
        return "".join([item.choices[0].delta.content async for item in await client.chat.completions.create(**ask)])

    async def wait():
        with joined():
            async with openai.AsyncOpenAI(api_key="test", base_url=server.url, **cheap(is_async=True)) as client:
                for _ in range(5):
                    with anyio.move_on_after(0.02) as scope:
                        await read(client)
                    cut.append(scope.cancelled_caught)
                await anyio.to_thread.run_sync(waiting.wait)
                return await read(client)

    with ThreadPoolExecutor(2) as pool, joined():
        with openai.OpenAI(api_key="test", base_url=server.url, **cheap()) as client:
            stream = client.chat.completions.create(**ask)
            first = next(iter(stream)).choices[0].delta.content
            waits = [pool.submit(anyio.run, wait, backend=kind) for kind in ("asyncio", "trio")]
            waiting.wait(30)
            answer = first + text(stream)
    assert [done.result() for done in waits] == [answer] * 2 == ["abc"] * 2
    assert cut == [True] * 10
    assert server.count == 1
