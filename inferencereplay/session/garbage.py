"""Objects that a program drops without closing them: their work is noted by a finalizer, and done later.

A finalizer may run at any point of any thread, also while a lock is held. So it only notes its work; the next
call, the end of a session or the end of the process does it.
"""

from __future__ import annotations

import atexit
import gc
import os
import threading
import time
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

LONGEST_WAIT = 1.0
"""Seconds to wait for a garbage collection that another thread has begun."""
_noted: deque[Callable[[], object]] = deque()
_exiting = threading.Event()


def note(job: Callable[[], object]) -> None:
    """Have a finalizer's work done later; at the end of the process, at once."""
    if _exiting.is_set():
        job()
    else:
        _noted.append(job)


def has_noted() -> bool:
    """Whether finalizers have noted work."""
    return bool(_noted)


def run_noted() -> None:
    """Do the work that finalizers have noted."""
    while _noted:
        try:
            job = _noted.popleft()
        except IndexError:  # another thread took it
            return
        job()


@atexit.register
def _exit() -> None:
    _exiting.set()
    run_noted()


if hasattr(os, "register_at_fork"):  # pragma: no branch - Windows has no forks
    os.register_at_fork(after_in_child=_noted.clear)  # it is the parent's work


def collect() -> None:
    """Collect all garbage.

    It happens in a thread of its own: objects such as the SDK's asynchronous clients start tasks in the event loop
    that runs where they are deleted, which need not be theirs.
    """
    try:
        thread = threading.Thread(target=_collect)
        thread.start()
    except RuntimeError:  # the interpreter ends, and starts no more threads
        _collect()
    else:
        thread.join(2 * LONGEST_WAIT)  # a finalizer of the program's may wait for this very thread


def _collect() -> None:
    """Collect all garbage: `gc.collect` returns at once while another thread is collecting."""
    thread = threading.get_ident()
    ended: list[str] = []

    def note_end(phase: str, _: object) -> None:
        if phase == "stop" and threading.get_ident() == thread:
            ended.append(phase)

    gc.callbacks.append(note_end)
    try:
        end = time.monotonic() + LONGEST_WAIT
        while True:
            ended.clear()
            gc.collect()
            if ended or time.monotonic() >= end:
                return
            time.sleep(0.001)
    finally:
        gc.callbacks.remove(note_end)
