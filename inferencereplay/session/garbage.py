"""What a program drops without closing it: having the garbage collector come, and doing what it calls for."""

from __future__ import annotations

import gc
import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

LONGEST_WAIT = 1.0
"""Seconds that one thread waits for what another does for the garbage collector, or it for the other."""


def run_apart(job: Callable[[], object]) -> None:
    """Run what the garbage collector has called for, which may come at any point, also while a lock is held.

    So a thread does it; it is waited for as far as that cannot become a deadlock.
    """
    begun: list[bool] = []

    def run() -> None:
        begun.append(True)
        job()

    thread = threading.Thread(target=run)
    try:
        thread.start()
        thread.join(LONGEST_WAIT)
    except RuntimeError:  # the interpreter ends, and starts no more threads
        job()
    else:
        if not begun and not thread.is_alive():  # as where a debugger is just being installed
            job()


def collect() -> None:
    """Collect all garbage: `gc.collect` does nothing and says nothing while another thread is collecting some."""
    thread = threading.get_ident()
    ended: list[str] = []

    def note(phase: str, _: object) -> None:
        if phase == "stop" and threading.get_ident() == thread:
            ended.append(phase)

    gc.callbacks.append(note)
    try:
        end = time.monotonic() + LONGEST_WAIT
        while True:
            ended.clear()
            gc.collect()
            if ended or time.monotonic() >= end:
                return
            time.sleep(0.001)
    finally:
        gc.callbacks.remove(note)
