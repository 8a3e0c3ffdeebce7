"""What a program has dropped without closing it: the garbage collector has to come before it is stored."""

from __future__ import annotations

import gc
import threading
import time

LONGEST_WAIT = 1.0
"""Seconds that one thread waits for what the garbage collector is doing in another."""


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
