"""Machines that share an object store: nothing is lost, torn or wrong, whatever they record, and however they end."""

from __future__ import annotations

import json
import os
import random
import signal
import time
from collections import defaultdict

import openai
import pytest
from conftest import cheap
from forkserver import forkserver
from length import report, times
from object_servers import Fault
from test_many import PROCESSES, REPEATS, THREADS, WRITER, check_numbers, check_replay
from ways import DEAD

from inferencereplay import replay
from inferencereplay.recording.format import decode, stored_request
from inferencereplay.recording.request import parse_json
from inferencereplay.store.location import StoreURL
from inferencereplay.store.opening import open_store

pytestmark = pytest.mark.slow

VICTIM = """
    import json, os, sys, threading
    import openai
    from inferencereplay import replay

    url, place, log, attempt, mode = sys.argv[1:]
    log = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def work(thread):
        client = openai.OpenAI(
            api_key="test-key", base_url=url, max_retries=0, http_client=openai.DefaultHttpxClient(verify=False)
        )
        number = 0
        while True:
            own = f"{attempt} {thread} {number} "
            for question in [own, own, f"shared {number} "]:
                ask = {"model": "m", "messages": [{"role": "user", "content": question + "x" * 5_000}]}
                text = client.chat.completions.create(**ask).choices[0].message.content
                os.write(log, json.dumps([question, text]).encode() + b"\\n")
            number += 1

    with replay(place, mode=mode, exhausted="record" if mode == "record-if-missing" else "repeat"):
        for thread in range(2):
            threading.Thread(target=work, args=(thread,), daemon=True).start()
        work(2)
"""
KILLS = times(25, 100)


def settings() -> dict[str, str]:
    """Return the variables by which the processes find the store."""
    return {name: value for name, value in os.environ.items() if name.startswith(("AWS_", "INFERENCEREPLAY_CACHE"))}


def stored(place: str) -> tuple[list[str], dict[str, list[str]]]:
    """Return the names of all objects, and the texts for each question by the number of their variant."""
    store = open_store(StoreURL(place))
    names, found = list(store.list()), defaultdict(dict)
    for name in names:
        recording = decode(store._objects.get(name).data, name)
        question = parse_json(stored_request(recording, name).body)["messages"][0]["content"].rstrip("x")
        response = recording.response
        if response.is_stream:
            parts = [json.loads(bytes(item))["choices"][0]["delta"].get("content") for item in response.chunks]
            text = "".join(filter(None, parts))
        else:
            text = json.loads(bytes(response.body))["choices"][0]["message"]["content"]
        found[question][int(name.removesuffix(".json").partition("~")[2] or 1)] = text
    assert len(list(store._objects.list())) == len(names), "something else was left"
    return names, {question: [texts[number] for number in sorted(texts)] for question, texts in found.items()}


@pytest.mark.parametrize("mode", ["record", "record-if-missing"])
@pytest.mark.parametrize("is_failing", [False, True], ids=["whole", "failing"])
def test_machines_record_what_overlaps(server, proxy, bucket, tmp_path, mode, is_failing):
    """Four processes of eight threads each lose no request and mix up none; so too where answers of the store fail."""
    if is_failing:
        proxy.faults += [
            Fault("PUT", ".json", status=500, is_landed=True, times=10),
            Fault("PUT", ".json", status=409, code="ConditionalRequestConflict", times=10),
            Fault("PUT", ".json", is_cut=True, is_landed=True, times=10),
            Fault("GET", ".json", is_cut=True, keeps=100, times=10),
            Fault("HEAD", ".json", status=503, times=10),
        ]
        random.Random(5).shuffle(proxy.faults)
    names = [f"process {number}" for number in range(PROCESSES)]
    go = tmp_path / "go"
    arguments = (str(THREADS), str(REPEATS), str(go))
    writers = [forkserver().start(WRITER, server.url, bucket, mode, name, *arguments, **settings()) for name in names]
    go.touch()
    given = {}
    for name, writer in zip(names, writers, strict=True):
        done = writer.wait()
        assert done.returncode == 0, done.stderr
        given[name] = [tuple(pair) for pair in json.loads(done.stdout)]
    calls = [pair for pairs in given.values() for pair in pairs]
    assert len(calls) == PROCESSES * THREADS * REPEATS * 10
    answers = defaultdict(set)
    for question, text in calls:
        answers[question].add(text)
    files, found = stored(bucket)
    found = {question + " " * (question[-1:] != " "): texts for question, texts in found.items()}
    assert found.keys() == answers.keys()
    for question, texts in found.items():
        assert set(texts) <= answers[question]
        assert len(set(texts)) == len(texts)
    for name, pairs in given.items():
        for question in {question for question, _ in pairs if question.startswith(name)}:
            own = {text for other, text in pairs if other == question}
            assert set(found[question]) == own, "within a session, all of them"
    check_numbers(files)
    check_replay(bucket, found)
    report(f"{mode} into S3: {len(calls)} calls, {len(answers)} requests, {len(files)} objects")


@pytest.mark.parametrize("mode", ["record", "record-if-missing"])
def test_what_had_returned_is_there_after_a_kill(server, bucket, tmp_path, mode):
    """After each SIGKILL every object is whole, and every answer that had been given is stored and replays."""
    log, chance, given = tmp_path / "log", random.Random(6), defaultdict(list)
    log.touch()
    for attempt in range(KILLS):
        start = log.stat().st_size
        victim = forkserver().start(VICTIM, server.url, bucket, log, attempt, mode, **settings())
        while log.stat().st_size == start:
            time.sleep(0.001)
        time.sleep(chance.uniform(0, 0.15))
        os.kill(victim.pid, signal.SIGKILL)
        assert victim.wait().returncode == -signal.SIGKILL
    for line in log.read_bytes().splitlines():
        question, text = json.loads(line)
        given[question].append(text)
    names, found = stored(bucket)
    for question, texts in given.items():
        if not question.startswith("shared"):
            assert found[question][: len(texts)] == texts
        elif mode == "record-if-missing":
            assert set(texts) <= set(found[question])
    with openai.OpenAI(api_key="test-key", base_url=DEAD, **cheap()) as client, replay(bucket):
        for question, texts in list(found.items())[-50:]:
            ask = {"model": "m", "messages": [{"role": "user", "content": question + "x" * 5_000}]}
            assert [client.chat.completions.create(**ask).choices[0].message.content for _ in texts] == texts
    report(f"{mode} into S3: {KILLS} kills, {sum(map(len, given.values()))} answers, {len(names)} objects")
