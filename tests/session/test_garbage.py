"""Garbage that is collected while another thread is at it."""

from __future__ import annotations

import gc
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


def test_a_dropped_stream_is_stored_although_another_thread_collects(client, tmp_path):
    """What a block's end stores does not depend on what other threads do at that moment."""
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


def test_what_is_run_apart_is_run_where_its_thread_dies_at_once(monkeypatch):
    """As one does that begins while a trace function is being installed."""
    done = []

    class Dead(threading.Thread):
        def run(self):
            """Do nothing."""

    monkeypatch.setattr(garbage.threading, "Thread", Dead)
    garbage.run_apart(lambda: done.append(True))
    assert done == [True]
    monkeypatch.undo()
    garbage.run_apart(lambda: done.append(threading.current_thread()))
    assert done[1:] != [threading.current_thread()]
    assert len(done) == 2


def test_nothing_is_left_behind(monkeypatch):
    """The collector tells nobody any more, whatever a finalizer did."""
    before = list(gc.callbacks)
    Cycle(garbage.collect)
    monkeypatch.setattr(garbage, "LONGEST_WAIT", 0.05)
    garbage.collect()
    assert gc.callbacks == before
