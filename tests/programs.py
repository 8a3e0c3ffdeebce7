"""Programs run as a user would: in processes of their own, with a clean environment, with network or without."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from forkserver import clean_environment, forkserver

import inferencereplay

NO_NETWORK = """
import socket

def _refuse(self, address):
    raise AssertionError(f"the network was called: {address}")

socket.socket.connect = socket.socket.connect_ex = _refuse
"""
"""Put before what has to run offline. Asyncio's own socket pair does without `connect`."""


def run(*arguments, cwd, is_started=False, **environment):
    """Run Python in a clean environment: nothing of OpenAI's or ours is set but what is given.

    A script is forked off a process that has imported the SDK, unless it `is_started`; a module, after `-m`, always is.
    """
    environment = {"PYTHONPATH": str(Path(inferencereplay.__file__).parents[1]), **environment}
    is_started = is_started or arguments[0] == "-m"
    if arguments[0] == "-c":
        return forkserver().run(*arguments[1:], cwd=cwd, **environment)
    if not is_started:
        code = Path(cwd, arguments[0]).read_text(encoding="utf-8")
        return forkserver().run(code, *arguments[1:], cwd=cwd, name=str(arguments[0]), **environment)
    command = [sys.executable, *map(str, arguments)]
    environment = {**clean_environment(), "PYTHONIOENCODING": "utf-8", **environment}
    return subprocess.run(
        command, cwd=cwd, env=environment, capture_output=True, encoding="utf-8", timeout=300, check=False
    )


def output(*arguments, cwd, **environment):
    done = run(*arguments, cwd=cwd, **environment)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def offline(script, tmp_path):
    """Return a script that runs another one without network, so that a call to it is an error."""
    code = f"import runpy, sys\nsys.argv = [{str(script)!r}]\nrunpy.run_path(sys.argv[0], run_name='__main__')\n"
    starter = tmp_path / "offline.py"
    starter.write_text(NO_NETWORK + code, encoding="utf-8")
    return starter
