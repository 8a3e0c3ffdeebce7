"""All that is due on one event loop, in one heap, by one timer.

Deadlines are times of the system clock, so errors do not add up. Nothing is done before it is due.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

from inferencereplay.pacing.clocks import SYSTEM_CLOCK
from inferencereplay.server.timer import make_timer

if TYPE_CHECKING:
    import asyncio

MOST_AT_ONCE = 64
"""Jobs that are done before the event loop gets its turn: uvloop sends what was written only then."""
Job: TypeAlias = Callable[[float], "float | None"]
"""Does what is due at a time, and returns when to be called again, or `None`."""


class Deadlines:
    """The deadlines of one event loop.

    Args:
        loop: the event loop.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._heap: list[tuple[float, int, Job]] = []
        self._numbers = itertools.count()
        self._set_to = 0.0
        self._timer = make_timer(loop, self._fire)

    def add(self, due: float, job: Job) -> None:
        """Call `job` when the clock shows `due`."""
        heapq.heappush(self._heap, (due, next(self._numbers), job))
        if not self._set_to or due < self._set_to:
            self._set(due)

    async def wait(self, due: float) -> float:
        """Wait until the clock shows `due`, and return what it shows then."""
        now = SYSTEM_CLOCK.now()
        if now >= due:
            return now
        future: asyncio.Future[float] = self._loop.create_future()

        def wake(now: float) -> None:
            if not future.done():
                future.set_result(now)

        self.add(due, wake)
        await future
        return SYSTEM_CLOCK.now()

    def close(self) -> None:
        """Do nothing of it any more."""
        self._heap.clear()
        self._timer.close()

    def _fire(self) -> None:
        heap, clock = self._heap, SYSTEM_CLOCK.now
        begun, left = clock(), MOST_AT_ONCE
        try:
            while left and heap and heap[0][0] <= begun:
                left -= 1
                job = heapq.heappop(heap)[2]
                again = job(clock())
                if again is not None:
                    heapq.heappush(heap, (again, next(self._numbers), job))
        finally:
            self._set_to = 0.0
            if heap:
                self._set(heap[0][0])

    def _set(self, due: float) -> None:
        self._set_to = due
        self._timer.set(due)
