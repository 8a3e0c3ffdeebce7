"""What a program has dropped without closing it: the garbage collector has to come before it is stored."""

from __future__ import annotations

import gc
import threading
import time

LONGEST_WAIT = 1.0
"""Seconds that one thread waits for what the garbage collector is doing in another."""
_ALL = 2  # the oldest generation, and with it the younger ones


def collect() -> None:
    """Collect all garbage: `gc.collect` does nothing and says nothing while another thread is collecting some."""
    thread = threading.get_ident()
    is_collected = False

    def note(phase: str, info: dict[str, int]) -> None:
        nonlocal is_collected
        if phase == "stop" and info["generation"] == _ALL and threading.get_ident() == thread:
            is_collected = True

    gc.callbacks.append(note)
    try:
        end = time.monotonic() + LONGEST_WAIT
        gc.collect()
        while not is_collected and time.monotonic() < end:
            time.sleep(0.001)
            gc.collect()
    finally:
        gc.callbacks.remove(note)
