"""Blocking work of async code, in threads that the application does not count.

It imports AnyIO, which takes 30 ms, and is imported when the first file is written from async code.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread
from anyio.lowlevel import RunVar

if TYPE_CHECKING:
    from collections.abc import Callable

MOST_THREADS = 8
"""Threads of one event loop; the application may hold all that AnyIO's own limiter has."""
_limiter: RunVar[anyio.CapacityLimiter] = RunVar("inferencereplay.worker_thread")


async def in_thread(job: Callable[[], object]) -> None:
    """Run a blocking function to its end, once, without blocking the event loop, even if the task is cancelled."""
    first = threading.Lock()

    def run_once() -> None:
        if first.acquire(blocking=False):
            job()

    limiter = _limiter.get(None)
    if limiter is None:
        limiter = anyio.CapacityLimiter(MOST_THREADS)
        _limiter.set(limiter)
    try:
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(run_once, limiter=limiter)
    except BaseException:
        run_once()  # asyncio's own cancellation goes through the shield, and may come before the thread has begun
        raise
