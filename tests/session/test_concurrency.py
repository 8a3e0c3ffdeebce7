"""Threads and processes that record into one directory lose nothing and tear nothing."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap

import pytest
from held import question_and_text

from inferencereplay.store.directory import DirectoryStore

WRITER = """
    import json, random, sys, threading
    import openai
    from inferencereplay import replay

    url, directory, mode, seed = sys.argv[1:]
    client = openai.OpenAI(api_key="test", base_url=url, max_retries=0)

    def call(number, stream):
        ask = {"model": "m", "messages": [{"role": "user", "content": f"question {number}"}]}
        made = client.chat.completions.create(**ask, stream=stream)
        if not stream:
            return made.choices[0].message.content
        return "".join(chunk.choices[0].delta.content or "" for chunk in made)

    given = []

    def work(thread):
        numbers = [number for number in range(10)] * 2
        random.Random(seed + str(thread)).shuffle(numbers)
        for number in numbers:
            stream = bool(number % 2)
            given.append((number, call(number, stream)))

    with replay(directory, mode=mode) as session:
        threads = [threading.Thread(target=work, args=(thread,)) for thread in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    print(json.dumps(given))
"""
VICTIM = """
    import os, signal, sys, threading, time
    import openai
    from inferencereplay import replay
    from inferencereplay.sdk import patches  # imported before the forks, which saves time

    def work(url, directory, ready):
        client = openai.OpenAI(api_key="test", base_url=url, max_retries=0)
        while True:
            with replay(directory, mode="record"):
                for number in range(10):
                    ask = {"model": "m", "messages": [{"role": "user", "content": f"question {number}"}]}
                    for _ in range(3):
                        made = client.chat.completions.create(**ask, stream=bool(number % 2))
                        number % 2 and list(made)
                        os.write(ready, b"!")

    for attempt in range(20):
        started, ready = os.pipe()
        victim = os.fork()
        if not victim:
            for _ in range(3):
                threading.Thread(target=work, args=(*sys.argv[1:], ready), daemon=True).start()
            work(*sys.argv[1:], ready)
        os.read(started, 1)
        time.sleep(0.011 * attempt)
        os.kill(victim, signal.SIGKILL)
        assert os.waitpid(victim, 0) == (victim, signal.SIGKILL)
        print(attempt, flush=True)
        sys.stdin.readline()
    print("[]")
"""
READER = """
    import json, sys
    import openai
    from inferencereplay import replay

    client = openai.OpenAI(api_key="test", base_url="http://127.0.0.1:9/v1", max_retries=0)
    given = []
    with replay(sys.argv[1]):
        for number in range(10):
            ask = {"model": "m", "messages": [{"role": "user", "content": f"question {number}"}]}
            made = client.chat.completions.create(**ask, stream=bool(number % 2))
            if number % 2:
                given.append("".join(chunk.choices[0].delta.content or "" for chunk in made))
            else:
                given.append(made.choices[0].message.content)
    print(json.dumps(given))
"""


def start(script, *arguments):
    command = [sys.executable, "-c", textwrap.dedent(script), *map(str, arguments)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def finish(process):
    out, _ = process.communicate(timeout=120)
    assert process.returncode == 0
    return json.loads(out.splitlines()[-1])


def check_whole(directory):
    """Read every recording to its end, make sure that it stands at its address, and return texts by question."""
    found = {}
    for name in DirectoryStore(directory).list():
        question, text = question_and_text(directory, name)
        found.setdefault(int(question.split()[1]), set()).add(text)
    return found


@pytest.mark.parametrize("mode", ["record", "record-if-missing"])
def test_processes_and_threads_record_into_one_directory(server, tmp_path, mode):
    """Of two processes with eight threads each, every file is whole and holds an answer to that very request."""
    directory = tmp_path / "recordings"
    writers = [start(WRITER, server.url, directory, mode, seed) for seed in ("a", "b")]
    given = [pair for writer in writers for pair in finish(writer)]
    assert len(given) == 2 * 8 * 20
    answers = {number: {text for other, text in given if other == number} for number in range(10)}
    stored = check_whole(directory)
    assert sorted(stored) == list(range(10))
    assert all(stored[number] <= answers[number] for number in range(10))
    assert [path.name for path in (directory / "chat" / "completions").iterdir() if path.suffix != ".json"] == []
    count = server.count
    for _ in range(2):
        replayed = finish(start(READER, directory))
        assert all(text in stored[number] for number, text in enumerate(replayed))
    assert server.count == count


def test_one_process_alone_keeps_all_that_it_was_given(server, tmp_path):
    """In `record`, a process whose eight threads repeat themselves keeps every answer, and no number is missing."""
    given = finish(start(WRITER, server.url, tmp_path, "record", "a"))
    stored = check_whole(tmp_path)
    assert stored == {number: {text for other, text in given if other == number} for number in range(10)}
    assert sum(map(len, stored.values())) == len(given) == 160
    names = list(DirectoryStore(tmp_path).list())
    for digits in {name.rpartition("/")[2][:32] for name in names}:
        numbers = sorted(int(name[:-5].partition("~")[2] or 1) for name in names if digits in name)
        assert numbers == list(range(1, 17))


def test_a_killed_process_leaves_whole_files_only(server, tmp_path):
    """Killed at any moment, twenty times, recording leaves whole files, and the next session goes on from there."""
    process = start(VICTIM, server.url, tmp_path)
    for attempt in range(20):
        assert process.stdout.readline() == f"{attempt}\n"
        assert check_whole(tmp_path)
        process.stdin.write("\n")
        process.stdin.flush()
    finish(process)
    finish(start(WRITER, server.url, tmp_path, "record-if-missing", "last"))
    stored = check_whole(tmp_path)
    replayed = finish(start(READER, tmp_path))
    assert all(text in stored[number] for number, text in enumerate(replayed))
