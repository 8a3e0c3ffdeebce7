"""A lock on a folder, among threads and processes.

The lock is the kernel's, on the folder itself: it leaves no file behind, and ends with the process that holds it.
"""

from __future__ import annotations

import contextlib
import functools
import os
import time
from typing import TYPE_CHECKING

try:
    import fcntl
except ImportError:  # pragma: no cover - Windows, where a folder cannot be locked
    fcntl = None  # type: ignore[assignment]

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

LONGEST_WAIT = 1.0
"""Seconds after which a holder counts as hung; a recorded program is never held up for longer."""
_INTERVAL = 0.001


@contextlib.contextmanager
def locked(folder: str, longest_wait: float = LONGEST_WAIT) -> Iterator[None]:
    """Hold the lock of a folder, as far as the file system has locks.

    Args:
        folder: it has to exist.
        longest_wait: seconds; infinity to wait for the holder's end. They are counted in pauses, for a program may have
            frozen its clocks.
    """
    if fcntl is None:  # pragma: no cover - Windows, where a folder cannot be locked
        yield
        return
    descriptor = os.open(folder, os.O_RDONLY)
    take = functools.partial(fcntl.flock, descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    try:
        left = longest_wait
        while _is_held_up(take) and left > 0:
            time.sleep(_INTERVAL)
            left -= _INTERVAL
        yield
    finally:
        with contextlib.suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_UN)  # closing is not enough if a child was forked off meanwhile
        os.close(descriptor)


def _is_held_up(take: Callable[[], None]) -> bool:
    """Try to take a lock, and return whether another holder has it; a file system without locks has no holders."""
    try:
        take()
    except BlockingIOError:
        return True
    except OSError:
        pass
    return False
