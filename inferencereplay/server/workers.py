"""The worker processes of one server, which share its socket and its counts."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

from inferencereplay.errors import InferenceReplayError, InvalidSetting
from inferencereplay.server.serving import ENDING, serve
from inferencereplay.session.settings import Mode

if TYPE_CHECKING:
    import socket

    from inferencereplay.server.application import Application


def check_workers(workers: int, mode: Mode) -> None:
    """Make sure that a number of workers can be had.

    Raises:
        InvalidSetting: on a system without forks; in `record`, where each would replace what the others have stored.
    """
    if workers > 1 and not hasattr(os, "fork"):  # pragma: no cover - Windows
        message = f"workers={workers}: this system has no forks. Start several servers on ports of their own."
        raise InvalidSetting(message)
    if workers > 1 and mode is Mode.RECORD:
        message = f"workers={workers}: in mode='record' each would replace what the others have recorded. Use one."
        raise InvalidSetting(message)


def serve_in_processes(application: Application, listening: socket.socket, workers: int) -> None:
    """Serve until a signal ends it.

    Raises:
        InferenceReplayError: if a worker dies.
    """
    if workers == 1:
        serve(application, listening)
        return
    signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)  # until a process knows what to do with them
    children = {_start(application, listening, number) for number in range(workers)}
    before = {number: signal.signal(number, lambda *_: _end(children)) for number in ENDING}
    signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING)
    try:
        failed = _wait(children)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if failed:
        message = f"{failed} of {workers} worker processes died, and the server has ended."
        raise InferenceReplayError(message)


def _start(application: Application, listening: socket.socket, number: int) -> int:
    child = os.fork()
    if child:
        return child
    status = 1  # pragma: no cover - runs in a process whose coverage is not measured
    try:  # pragma: no cover - as above
        for ending in ENDING:
            signal.signal(ending, lambda *_: os._exit(0))  # nothing is served yet
        signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING)
        application.metrics.use(number)
        serve(application, listening)
        status = 0
    finally:  # pragma: no cover - as above
        os._exit(status)


def _wait(children: set[int]) -> int:
    """Wait for all workers; if one dies, end the others. Return how many died."""
    failed = 0
    while children:
        child, status = os.wait()
        if child in children:
            children.discard(child)
            if status:
                failed += 1
                _end(children)
    return failed


def _end(children: set[int]) -> None:
    for child in children.copy():
        os.kill(child, signal.SIGTERM)
