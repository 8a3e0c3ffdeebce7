"""Work that finalizers note, and garbage that is collected while another thread collects."""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
import textwrap
import threading
import time
import types
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from conftest import ASK

from inferencereplay import replay
from inferencereplay.session import garbage

if TYPE_CHECKING:
    from collections.abc import Iterator


class Cycle:
    """Garbage for the collector alone, which calls `end` for it."""

    def __init__(self, end):
        self.itself = self
        self.end = end

    def __del__(self):
        self.end()


@contextmanager
def collecting() -> Iterator[threading.Event]:
    """Keep the garbage collector busy in another thread until the event is set, or the block ends."""
    begun, may_end = threading.Event(), threading.Event()

    def end() -> None:
        begun.set()
        may_end.wait()

    def run() -> None:
        Cycle(end)
        gc.collect()

    thread = threading.Thread(target=run)
    thread.start()
    begun.wait()
    try:
        yield may_end
    finally:
        may_end.set()
        thread.join()


@pytest.fixture(autouse=True)
def _collected_only_by_hand():
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def test_a_dropped_stream_is_stored_although_another_thread_collects(client, tmp_path, monkeypatch):
    """What a block's end stores does not depend on what other threads do at that moment."""
    monkeypatch.setattr(garbage, "LONGEST_WAIT", 60.0)  # seconds: the other thread may take longer than it means to
    with replay(tmp_path, mode="record") as session, collecting() as may_end:
        next(client.chat.completions.create(**ASK, stream=True))
        assert gc.collect() == 0
        threading.Timer(0.1, may_end.set).start()
        session.finish()
        assert session.recorded == 1


def test_garbage_is_waited_for_only_so_long(monkeypatch):
    """A collection that does not end, or that called this very code, holds nobody up for good."""
    gone = []
    monkeypatch.setattr(garbage, "LONGEST_WAIT", 0.05)
    with collecting():
        Cycle(lambda: gone.append(True))
        garbage.collect()
        assert not gone
    garbage.collect()
    assert gone


def test_one_collection_is_enough():
    """Where nobody else is at it, all garbage is collected once."""
    phases = []

    def note(phase, info):
        phases.append((phase, info["generation"]))

    gc.callbacks.append(note)
    garbage.collect()
    gc.callbacks.remove(note)
    assert phases == [("start", 2), ("stop", 2)]


def test_only_its_own_collection_counts(monkeypatch):
    """Another thread's may end at the very moment at which one asks in vain; one of young objects comes when it may."""
    callbacks, asked = [], []

    def tell():
        callbacks[0]("stop", {})

    def collect():
        asked.append(True)
        if len(asked) == 1:
            thread = threading.Thread(target=tell)
            thread.start()
            thread.join()
        elif len(asked) == 3:
            tell()

    monkeypatch.setattr(garbage, "gc", types.SimpleNamespace(callbacks=callbacks, collect=collect))
    clock = types.SimpleNamespace(monotonic=time.monotonic, sleep=lambda _: tell())
    monkeypatch.setattr(garbage, "time", clock)
    garbage.collect()
    assert len(asked) == 3
    assert not callbacks


def test_noted_work_is_done_later_and_once():
    """A finalizer may run while a lock is held: it does nothing itself."""
    done = []
    garbage.note(lambda: done.append(1))
    assert garbage.has_noted()
    assert done == []
    garbage.run_noted()
    garbage.run_noted()
    assert done == [1]
    assert not garbage.has_noted()


def test_work_that_is_noted_while_the_process_ends_is_done_at_once(monkeypatch):
    """Nobody would do it later."""
    done, exiting = [], threading.Event()
    exiting.set()
    monkeypatch.setattr(garbage, "_exiting", exiting)
    garbage.note(lambda: done.append(1))
    assert done == [1]


def test_another_thread_may_take_the_last_job(monkeypatch):
    """Between the look and the taking, it is gone."""

    class Emptied:
        def __bool__(self):
            return True

        def popleft(self):
            raise IndexError

    monkeypatch.setattr(garbage, "_noted", Emptied())
    garbage.run_noted()


def test_work_that_is_noted_at_the_end_of_the_process_is_done():
    """Whether its finalizer runs before the functions that are to run at exit, or after them."""
    script = """
        import atexit, weakref
        early = type("Early", (), {})()
        weakref.finalize(early, lambda: garbage.note(lambda: print("early", flush=True)))
        from inferencereplay.session import garbage
        late = type("Late", (), {})()
        atexit.register(lambda: garbage.note(lambda: print("late", flush=True)))
        garbage.note(lambda: print("noted", flush=True))
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, check=True)
    assert sorted(done.stdout.split()) == ["early", "late", "noted"]


def test_garbage_is_collected_where_no_event_loop_runs():
    """The SDK's asynchronous clients start tasks in the loop that runs where they are deleted."""
    loops = []

    def end():
        try:
            loops.append(asyncio.get_running_loop())
        except RuntimeError:
            loops.append(None)

    async def main():
        Cycle(end)
        garbage.collect()

    asyncio.run(main())
    assert loops == [None]


def test_garbage_is_collected_here_where_no_thread_can_be_started(monkeypatch):
    """As at the end of the interpreter."""

    class Refused(threading.Thread):
        def start(self):
            raise RuntimeError("can't start new thread at interpreter shutdown")

    gone = []
    Cycle(lambda: gone.append(True))
    monkeypatch.setattr(garbage.threading, "Thread", Refused)
    garbage.collect()
    assert gone == [True]


def test_nothing_is_left_behind(monkeypatch):
    """The collector tells nobody any more, whatever a finalizer did."""
    before = list(gc.callbacks)
    Cycle(garbage.collect)
    monkeypatch.setattr(garbage, "LONGEST_WAIT", 0.05)
    garbage.collect()
    assert gc.callbacks == before
