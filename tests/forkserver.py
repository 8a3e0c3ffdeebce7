"""Programs in processes of their own that cost little: forked off one process that has imported the SDK.

To start Python and import the SDK takes a second and a half, a fork a few milliseconds. A forked program is as good as
a started one but for how it began: it has its own arguments, environment, working directory and output, its exceptions
and exit status are those of a script, and its interpreter ends as any other.
"""

from __future__ import annotations

import atexit
import json
import os
import signal
import subprocess
import sys
import tempfile
import textwrap
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import NamedTuple

SERVER = """
import gc, json, os, sys

import anyio, asyncio, concurrent.futures, contextlib, logging, multiprocessing, openai, random, signal, threading, time
import inferencereplay
import inferencereplay.environment
import inferencereplay.session_scope
import inferencereplay.session.run_coordinator
import inferencereplay.store.opening
from inferencereplay.sdk import patches
from openai.resources import chat, completions, embeddings

openai.OpenAI(api_key="none", http_client=openai.DefaultHttpxClient(verify=False)).chat.completions
gc.collect()
gc.freeze()

_program, _children = None, {}
for _line in sys.stdin:
    _order = json.loads(_line)
    if "wait" in _order:
        print(json.dumps(os.waitstatus_to_exitcode(os.waitpid(_order["wait"], 0)[1])), flush=True)
        continue
    _pid = os.fork()
    if not _pid:
        _program = _order
        break
    print(json.dumps(_pid), flush=True)

if _program:
    for _number, _path in enumerate((os.devnull, _program["out"], _program["err"])):
        _opened = os.open(_path, os.O_WRONLY if _number else os.O_RDONLY)
        os.dup2(_opened, _number)
        os.close(_opened)
    sys.stdin = open(0, encoding="utf-8", closefd=False)
    os.chdir(_program["cwd"])
    os.environ.clear()
    os.environ.update(_program["env"])
    sys.argv, sys.path[0] = _program["argv"], _program["path"]
    sys.orig_argv = [sys.executable, *sys.argv]
    if os.path.exists(sys.argv[0]):
        __file__ = sys.argv[0]
    random.seed()
    _code = compile(_program["code"], _program["name"], "exec")
    for _name in [_name for _name in globals() if not _name.startswith("__") and _name != "_code"]:
        del globals()[_name]
    del _name
    exec(_code)
"""
"""Reads orders, a line each, and forks; what follows the loop is the program, at the top of a module as any script."""


class Done(NamedTuple):
    """What became of a program; an exit status below 0 is the signal that it ended by."""

    returncode: int
    stdout: str
    stderr: str


class ForkServer:
    """A process that forks programs off, started with some options of Python's."""

    def __init__(self, *options: str) -> None:
        package = str(Path(__file__).parents[1])
        self._process = subprocess.Popen(
            [sys.executable, *options, "-c", SERVER],
            env={**clean_environment(), "PYTHONPATH": package},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        atexit.register(self._stop)

    def start(self, code: str, *arguments: object, cwd: object = ".", name: str = "-c", **environment: str) -> Program:
        """Begin to run a program."""
        return Program(self, code, [name, *map(str, arguments)], Path(cwd).resolve(), environment)

    def run(self, code: str, *arguments: object, timeout: float = 300, **more: object) -> Done:
        """Run a program to its end."""
        return self.start(code, *arguments, **more).wait(timeout)

    def ask(self, **order: object) -> int:
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def _stop(self) -> None:
        self._process.communicate()


class Program:
    """A program that runs.

    Attributes:
        pid: its process.
    """

    def __init__(self, server: ForkServer, code: str, argv: list[str], cwd: Path, environment: dict[str, str]) -> None:
        self._server = server
        self._folder = tempfile.TemporaryDirectory()
        self._pipes = [Path(self._folder.name, name) for name in ("out", "err")]
        for pipe in self._pipes:
            os.mkfifo(pipe)
        self._readers = ThreadPoolExecutor(2)
        self._read = [self._readers.submit(pipe.read_bytes) for pipe in self._pipes]
        self.pid = server.ask(
            out=str(self._pipes[0]),
            err=str(self._pipes[1]),
            code=textwrap.dedent(code),
            name=f"<{argv[0]}>" if argv[0] == "-c" else argv[0],
            argv=argv,
            path="" if argv[0] == "-c" else str(Path(argv[0]).parent),
            cwd=str(cwd),
            env={**clean_environment(), **environment},
        )

    def wait(self, timeout: float = 300) -> Done:
        """Wait for its end; one that takes too long is killed."""
        timer = threading.Timer(timeout, os.kill, (self.pid, signal.SIGKILL))
        timer.start()
        status = self._server.ask(wait=self.pid)
        timer.cancel()
        out, err = (read.result(timeout).decode(errors="replace") for read in self._read)
        self._readers.shutdown()
        self._folder.cleanup()
        return Done(status, out, err)


def clean_environment() -> dict[str, str]:
    """Return the environment without what the machine says of OpenAI, of recordings and of coverage."""
    ours = ("OPENAI_", "INFERENCEREPLAY_", "COVERAGE_")
    return {name: value for name, value in os.environ.items() if not name.startswith(ours)}


@cache
def forkserver(*options: str) -> ForkServer:
    """Return the server with these options of Python's, started when it is first asked for."""
    return ForkServer(*options)
