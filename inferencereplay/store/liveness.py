"""Liveness locks: files by which a process sees whether another one is alive.

A process holds the kernel's lock on its file. The lock ends with the process, at once and however it ends, and a
later process of the same number is not confused with it. On a file system without locks every process with a file
counts as alive.
"""

from __future__ import annotations

import contextlib
import os
import weakref

try:
    import fcntl
except ImportError:  # pragma: no cover - Windows
    fcntl = None  # type: ignore[assignment]


HAS_LOCKS = fcntl is not None
_LOOK = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0)  # for a pipe, which would block


def hold_lock(descriptor: int) -> None:
    """Lock an open file until it is closed, as far as the file system has locks."""
    if fcntl is not None:  # pragma: no branch - Windows
        with contextlib.suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def take_lock(descriptor: int, *, is_shared: bool) -> bool:
    """Take the lock of an open file until it is closed, with others or alone; return whether it could be taken."""
    if fcntl is None:  # pragma: no cover - Windows
        return False
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_SH if is_shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


class LivenessLock:
    """The liveness lock of this process, held for as long as this object exists.

    Args:
        file: its path; it must not exist yet.

    Attributes:
        process: the id of the process that holds it; a forked child has to make its own.

    Raises:
        OSError: if the file cannot be made.
    """

    def __init__(self, file: str) -> None:
        self.file = file
        self.process = os.getpid()
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        self._close = weakref.finalize(self, os.close, descriptor)
        self._close.atexit = False  # threads may be at work until the very end
        hold_lock(descriptor)
        _all.add(self)

    def forget(self) -> None:  # pragma: no cover - runs in forked children, whose coverage is not measured
        """Close the file in a forked child, which would otherwise keep the lock after its parent's death."""
        self._close()


_all: weakref.WeakSet[LivenessLock] = weakref.WeakSet()


def _forget_all() -> None:  # pragma: no cover - runs in forked children
    for life in list(_all):
        life.forget()


if hasattr(os, "register_at_fork"):  # pragma: no branch - Windows has no forks
    os.register_at_fork(after_in_child=_forget_all)


def is_alive(file: str) -> bool:
    """Whether the process that made a liveness lock is alive."""
    try:
        descriptor = os.open(file, _LOOK)
    except FileNotFoundError:
        return False
    try:
        if fcntl is not None:  # pragma: no branch - Windows
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
            return False
    except OSError:
        pass
    finally:
        os.close(descriptor)
    return True
