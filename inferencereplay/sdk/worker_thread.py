"""Blocking work of async code, in threads that the application does not count.

It imports AnyIO, which takes 30 ms, and is imported when the first file is written from async code.
"""

from __future__ import annotations

import contextlib
import queue
import threading
from typing import TYPE_CHECKING, Any, TypeAlias

import anyio
import anyio.to_thread
from anyio.lowlevel import RunVar

from inferencereplay.session.recorder import PendingRecording

if TYPE_CHECKING:
    from collections.abc import Callable

MOST_THREADS = 8
"""Threads of one event loop; the application may hold all that AnyIO's own limiter has."""
Limiters: TypeAlias = RunVar[anyio.CapacityLimiter]
_writing: Limiters = RunVar("inferencereplay.writing")
_deciding: Limiters = RunVar("inferencereplay.deciding")
waiting: Limiters = RunVar("inferencereplay.waiting")


async def in_thread(job: Callable[[], object], limiters: Limiters = _writing, threads: int = MOST_THREADS) -> None:
    """Run a blocking function to its end, once, without blocking the event loop, even if the task is cancelled."""
    first = threading.Lock()

    def run_once() -> None:
        if first.acquire(blocking=False):
            job()

    limiter = limiters.get(None)
    if limiter is None:
        limiter = anyio.CapacityLimiter(threads)
        limiters.set(limiter)
    try:
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(run_once, limiter=limiter)
    except BaseException:
        run_once()  # asyncio's own cancellation goes through the shield, and may come before the thread has begun
        raise


async def decide(decision: Callable[[], Any]) -> Any:
    """Make a session's decision in a thread, one at a time: calls are numbered in the order in which they start."""
    made: queue.SimpleQueue[Any] = queue.SimpleQueue()
    is_cancelled = threading.Event()

    def run() -> None:
        made.put(decision())
        if is_cancelled.is_set():
            _drop(made)

    try:
        await in_thread(run, _deciding, 1)
    except BaseException:
        is_cancelled.set()  # asyncio's own cancellation does not wait for the thread
        _drop(made)
        raise
    return made.get()


def _drop(made: queue.SimpleQueue[Any]) -> None:
    """Give back the number of a call that a cancelled task does not make."""
    with contextlib.suppress(queue.Empty):
        item = made.get_nowait()
        if isinstance(item, PendingRecording):
            item.drop()
