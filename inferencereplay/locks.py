"""Locks that are free in a forked child, where whoever held one at the moment of the fork does not exist.

A program may fork while another of its threads is writing a recording. The child has that lock as it was, held, and the
first equal call in it would wait for ever.
"""

from __future__ import annotations

import os
import threading
import weakref

_made: weakref.WeakSet[threading.Lock] = weakref.WeakSet()


def make_lock() -> threading.Lock:
    """Return a lock, not to be held by a thread that forks."""
    lock = threading.Lock()
    _made.add(lock)
    return lock


def _free_all() -> None:
    for lock in list(_made):
        lock._at_fork_reinit()  # type: ignore[attr-defined]  # noqa: SLF001 - as the standard library's modules do


if hasattr(os, "register_at_fork"):  # pragma: no branch - Windows has no forks
    os.register_at_fork(after_in_child=_free_all)
