"""`inferencereplay serve`: what it says, what it counts, how it ends."""

from __future__ import annotations

import contextlib
import gc
import http.client
import json
import logging
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest
from conftest import ASK, plain

from inferencereplay import InferenceReplayError, InvalidSetting
from inferencereplay.cli import serving_http
from inferencereplay.server import app, serving, workers
from inferencereplay.session.settings import Mode


class Process:
    """A server in a process of its own."""

    def __init__(self, *arguments):
        command = [sys.executable, "-m", "inferencereplay", "serve", *map(str, arguments), "--port", "0"]
        self._process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        self.lines = [self._process.stderr.readline().rstrip()]
        self.port = int(re.search(r"http://\S+:(\d+)/v1", self.lines[0])[1])
        self.id = self._process.pid

    def ask(self, body=ASK, path="/v1/chat/completions", **headers):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        connection.request("POST", path, json.dumps(body), headers)
        answer = connection.getresponse()
        made = answer.status, answer.read()
        connection.close()
        return made

    def end(self, number=signal.SIGTERM):
        """End it; return its exit status."""
        self._process.send_signal(number)
        return self.wait()

    def wait(self):
        """Wait for its end; return its exit status."""
        with self._process.stderr as errors:
            self.lines += errors.read().splitlines()
        return self._process.wait(20)

    def close(self):
        if self._process.poll() is None:
            self._process.kill()
        self._process.stderr.close()
        self._process.wait(20)


@pytest.fixture
def start():
    """Start servers, and end them with the test."""
    with contextlib.ExitStack() as stack:

        def start(*arguments):
            made = Process(*arguments)
            stack.callback(made.close)
            return made

        yield start


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_in_order_and_it_says_what_it_served(recorded, start, number):
    """The exit status is 0; misses are shown when they come."""
    directory, _ = recorded
    server = start(directory)
    assert server.lines == [f"Serving {directory} (replay) at http://127.0.0.1:{server.port}/v1"]
    assert server.ask()[0] == 200
    assert server.ask({**ASK, "temperature": 1})[0] == 404
    assert server.end(number) == 0
    assert server.lines[1].startswith("POST /chat/completions was not recorded")
    assert server.lines[-1] == "2 requests, 1 hit, 1 miss, 0 recorded"
    assert "  temperature: 0.5 → 1" in server.lines


def test_with_fail_on_miss_a_miss_is_an_exit_status_of_1(recorded, start):
    """And only a miss."""
    server = start(recorded[0], "--fail-on-miss")
    server.ask()
    assert server.end() == 0
    server = start(recorded[0], "--fail-on-miss")
    _, content = server.ask({})
    assert server.end() == 1
    assert f"inferencereplay serve {recorded[0]} --mode record-if-missing --upstream URL" in content.decode()


def test_workers_share_the_port_and_the_counts(recorded, start):
    """A miss in one of them is an exit status of 1; a signal ends them all."""
    server = start(recorded[0], "--workers", 2, "--fail-on-miss")
    for _ in range(20):
        assert server.ask()[0] == 200
    server.ask({})
    assert server.end() == 1
    assert server.lines[-1] == "21 requests, 20 hits, 1 miss, 0 recorded"


def test_a_worker_that_dies_ends_the_server(recorded, start):
    """With an exit status that says so."""
    server = start(recorded[0], "--workers", 2)
    server.ask()
    children = subprocess.run(
        ["ps", "--ppid", str(server.id), "-o", "pid="], capture_output=True, check=True, text=True
    )
    os.kill(int(children.stdout.split()[0]), signal.SIGKILL)
    server.lines += server._process.stderr.read().splitlines()
    assert server._process.wait(20) == 2
    assert "Error: 1 of 2 worker processes died, and the server has ended." in server.lines


def test_it_records(server, start, tmp_path):
    """The option `--upstream` says from where."""
    served = start(tmp_path, "--mode", "record-if-missing", "--upstream", server.url, "--record-errors")
    server.replies = [plain({"error": {}}, 429)]
    assert [served.ask()[0] for _ in range(2)] == [429, 429]
    assert served.end() == 0
    assert served.lines[-1] == "2 requests, 1 hit, 0 misses, 1 recorded"


def test_an_open_stream_may_end_before_the_server_does(recorded, client, start):
    """And a client that only holds a connection does not keep it."""
    directory, _ = recorded
    (file,) = directory.rglob("*.json")
    held = json.loads(file.read_text())
    held["response"]["elapsed"] = 1
    file.write_text(json.dumps(held))
    server = start(directory, "--speed", "1")
    answers = []
    with socket.create_connection(("127.0.0.1", server.port)):
        thread = threading.Thread(target=lambda: answers.append(server.ask()))
        thread.start()
        time.sleep(0.5)
        assert server.end() == 0
        thread.join()
    assert answers[0][0] == 200


# In this process, as far as it goes without a server that runs.


@pytest.fixture
def idle(monkeypatch):
    """Let a server end as soon as it has begun."""
    served = []
    monkeypatch.setattr(workers, "serve", lambda application, listening: served.append(application))
    return served


def test_another_address_than_loopback_is_told(cli, shelf, idle):
    """Unless a key is asked for."""
    done = cli("serve", shelf, "--host", "0.0.0.0", "--port", 0)
    assert "Anyone who reaches 0.0.0.0:0 can read the recordings. --api-key asks for a key." in done.err
    for options in (["--host", "0.0.0.0", "--api-key", "k"], ["--host", "localhost"], ["--host", "127.0.0.1"]):
        assert "Anyone" not in cli("serve", shelf, *options, "--port", 0).err


def test_a_directory_that_does_not_exist_is_told(cli, shelf, idle, tmp_path):
    """In `replay`; another mode makes it."""
    told = "That directory does not exist. Until it does, each request is a miss."
    assert told in cli("serve", tmp_path / "none", "--port", 0).err
    recording = ["--mode", "record-if-missing", "--upstream", "http://127.0.0.1:9/v1"]
    assert told not in cli("serve", tmp_path / "none", "--port", 0, *recording).err
    assert told not in cli("serve", shelf, "--port", 0).err


@pytest.mark.parametrize("host", ["localhost", "127.0.0.2", "::1"])
def test_loopback(host):
    """By address and by name."""
    assert serving_http._is_loopback(host)
    assert not serving_http._is_loopback("example")


def test_warnings_are_shown_while_it_serves(cli, shelf, monkeypatch):
    """Each line of them; not those of later."""
    log = logging.getLogger("inferencereplay")
    monkeypatch.setattr(workers, "serve", lambda *_: log.warning("one\ntwo"))
    done = cli("serve", shelf, "--port", 0)
    assert done.err.splitlines()[1:3] == ["one", "two"]
    assert not any(isinstance(handler, serving_http._Messages) for handler in log.handlers)


def test_options_reach_the_session_and_the_server(cli, shelf, idle, monkeypatch):
    """Those of the environment too."""
    monkeypatch.setenv("INFERENCEREPLAY_API_KEY", "sk-mine")
    keys = ["--ignore", "user", "--ignore", "metadata.id", "--normalize", "uuids"]
    options = ["--speed", 2, *keys, "--variants", "cycle", "--match", "model"]
    assert cli("serve", shelf, "--port", 0, *options, "--cors", "*", "--pace", 0.1, 0.2).status == 0
    (application,) = idle
    assert (application.session.speed, application.session._ignore) == (2, ("user", "metadata.id"))
    assert application.session._pace == (0.1, 0.2)
    assert not application.replies._contents.is_exact
    assert application._access._key == b"sk-mine"
    assert application.session.command("record").endswith(
        "--ignore user,metadata.id --normalize uuids --host 127.0.0.1 --port 0"
    )
    assert "sk-mine" not in application.session.command("record")


def test_profiles_are_listed(cli):
    """With what each lets through."""
    lines = cli("serve", "--match", "list").out.splitlines()
    assert lines[0] == "exact  Nothing: the request has to be the recorded one."
    assert lines[-1].startswith("load-tools  All of the above")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--mode", "record"], "mode='record' passes requests on. Give the base URL of their server: upstream="),
        (["--mode", "record", "--upstream", "x"], "upstream='x' is no base URL"),
        (["--mode", "record", "--upstream", "http://x", "--workers", "2"], "workers=2: in mode='record'"),
        (["--speed", "fast"], "--speed='fast' is no speed"),
        (["--variants", "any"], "variants='any' is no order"),
        (["--match", "any"], "match='any' is no profile"),
        (["--host", "203.0.113.1"], "Cannot assign requested address"),
    ],
)
def test_what_cannot_be_is_told(cli, shelf, options, said):
    """With an exit status of 2."""
    done = cli("serve", shelf, "--port", 0, *options)
    assert (done.status, said in done.err) == (2, True)


def test_a_port_that_is_taken_is_told(cli, shelf):
    """The message is the system's."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = cli("serve", shelf, "--port", taken.getsockname()[1])
    assert (done.status, "Address already in use" in done.err) == (2, True)


def test_without_the_extra_it_says_what_to_install(cli, shelf, monkeypatch):
    """The other commands work without it."""
    monkeypatch.setitem(sys.modules, "inferencereplay.server.workers", None)
    monkeypatch.delattr("inferencereplay.server.workers")
    done = cli("serve", shelf)
    assert (done.status, "pip install 'inferencereplay[serve]'" in done.err) == (2, True)


def test_one_process_may_record(tmp_path):
    """Several may replay."""
    workers.check_workers(1, Mode.RECORD)
    workers.check_workers(2, Mode.REPLAY)
    with pytest.raises(InvalidSetting, match="Use one"):
        workers.check_workers(2, Mode.RECORD)


@pytest.mark.parametrize(("statuses", "failed"), [((0, 0), 0), ((9, 0), 1)])
def test_the_parent_waits_for_its_workers(monkeypatch, statuses, failed):
    """If one dies, it ends the others; a signal ends all; processes that are not its own are none of its business."""
    ended, told = [], []
    forked = iter((101, 102))
    waited = iter([(99, 1), *zip((101, 102), statuses, strict=True)])

    def wait():
        signal.raise_signal(signal.SIGTERM)
        return next(waited)

    monkeypatch.setattr(os, "fork", lambda: next(forked))
    monkeypatch.setattr(os, "wait", wait)
    monkeypatch.setattr(os, "kill", lambda child, _: ended.append(child))
    if failed:
        with pytest.raises(InferenceReplayError, match="1 of 2 worker processes died"):
            workers.serve_in_processes(told, None, 2)
    else:
        workers.serve_in_processes(told, None, 2)
    assert ended[:2] == [101, 102]
    assert ended.count(102) > ended.count(101)


def _end_once_it_answers(host, port):
    with socket.create_connection((host, port)) as connection:
        connection.sendall(b"GET /health HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        assert connection.recv(1)
    os.kill(os.getpid(), signal.SIGTERM)


def test_a_server_that_ends_leaves_the_signals_as_they_were(recorded, monkeypatch):
    """Those of the program that it runs in."""
    monkeypatch.setattr(gc, "freeze", lambda: None)  # the other tests' garbage is to be collected
    before = [signal.getsignal(number) for number in serving.ENDING]
    application = app(recorded[0])
    with serving.listen("127.0.0.1", 0) as listening:
        ending = threading.Thread(target=_end_once_it_answers, args=listening.getsockname()[:2])
        ending.start()
        serving.serve(application, listening)
    ending.join()
    assert [signal.getsignal(number) for number in serving.ENDING] == before
