"""Locks that are free in a forked child, where their holder at the moment of the fork does not exist.

A program may fork while another of its threads is writing a recording. The child has that lock as it was, held, and the
first equal call in it would wait for ever.
"""

from __future__ import annotations

import os
import threading
import weakref
from typing import TypeVar

_Lock = TypeVar("_Lock", "threading.Lock", "threading.RLock")
_made: weakref.WeakSet[threading.Lock | threading.RLock] = weakref.WeakSet()


def make_lock() -> threading.Lock:
    """Return a lock, not to be held by a thread that forks."""
    return _remember(threading.Lock())


def make_reentrant_lock() -> threading.RLock:
    """Return a lock that its holder can take again, not to be held by a thread that forks."""
    return _remember(threading.RLock())


def _remember(lock: _Lock) -> _Lock:
    _made.add(lock)
    return lock


def _free_all() -> None:  # pragma: no cover - runs in forked children, whose coverage is not measured
    for lock in list(_made):
        lock._at_fork_reinit()  # type: ignore[union-attr]  # noqa: SLF001 - as the standard library's modules do


if hasattr(os, "register_at_fork"):  # pragma: no branch - Windows has no forks
    os.register_at_fork(after_in_child=_free_all)
