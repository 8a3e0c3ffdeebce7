"""The clocks that a pacer follows and waits by.

`SystemClock` is real time. `VirtualClock` moves only when a task waits, so that tests of timed answers take no time.
"""

from __future__ import annotations

import time
from typing import Protocol

from inferencereplay.errors import InvalidSetting


class Clock(Protocol):
    """A source of time, in seconds."""

    def now(self) -> float:
        """Return the time; only differences count."""
        ...

    def sleep(self, seconds: float, /) -> None:
        """Wait in synchronous code."""
        ...

    async def sleep_async(self, seconds: float, /) -> None:
        """Wait in asynchronous code, whatever its event loop."""
        ...


class SystemClock:
    """Real time.

    The functions of `time` are bound in the class, where libraries that freeze time, such as freezegun, do not replace
    them: the pace of an answer does not depend on the date that a test pretends.
    """

    now = staticmethod(time.perf_counter)
    unix_time = staticmethod(time.time)
    sleep = staticmethod(time.sleep)

    async def sleep_async(self, seconds: float) -> None:
        """Wait for real, on asyncio or trio."""
        import asyncio  # noqa: PLC0415 - only paced answers need it

        if not is_time_frozen() and asyncio._get_running_loop() is not None:  # noqa: SLF001 - `None` on trio
            await asyncio.sleep(seconds)  # as AnyIO does, which looks for the library each time
            return
        import anyio.to_thread  # noqa: PLC0415 - 30 ms to import

        if not is_time_frozen():
            await anyio.sleep(seconds)
        else:  # the event loop's own clock may be frozen as well
            limiter = anyio.CapacityLimiter(1)  # of our own, so that the application's threads do not wait for ours
            await anyio.to_thread.run_sync(self.sleep, seconds, abandon_on_cancel=True, limiter=limiter)


class VirtualClock:
    """A clock that moves only when a program waits by it: an hour of recorded time passes at once.

    Tasks of an event loop that wait at the same time come in the order of their times, and time passes once for all of
    them, as real time does; a task that takes more than ten rounds of the loop to come to its wait may be overtaken.
    Threads, and event loops in them, know nothing of each other's waits: give each a clock of its own.

    Attributes:
        time: the seconds that have passed on this clock.

    Example:
        >>> clock = VirtualClock()
        >>> with replay("recordings", speed=0.01, clock=clock):
        ...     answer = OpenAI().chat.completions.create(**ask)
        >>> clock.time
        24.1706
    """

    def __init__(self) -> None:
        self.time = 0.0

    def __repr__(self) -> str:
        return f"<VirtualClock time={self.time:g}>"

    def now(self) -> float:
        """Return the seconds that have passed on this clock."""
        return self.time

    def sleep(self, seconds: float) -> None:
        """Let `seconds` pass."""
        self.time += seconds

    async def sleep_async(self, seconds: float) -> None:
        """Let `seconds` pass, after the other tasks have done what is due before."""
        from inferencereplay.pacing.virtual_time import advance_until  # noqa: PLC0415 - it imports AnyIO

        await advance_until(self, self.time + seconds)


SYSTEM_CLOCK = SystemClock()


def is_time_frozen() -> bool:
    """Whether a library has replaced the clocks of `time`, which other packages use."""
    return time.perf_counter is not SYSTEM_CLOCK.now


def check_clock(clock: Clock | None, source: str = "clock") -> Clock | None:
    """Return `clock` if it is one.

    Raises:
        InvalidSetting: if it lacks a method of `Clock`, or is a class.
    """
    methods = ("now", "sleep", "sleep_async")
    if clock is None or (not isinstance(clock, type) and all(callable(getattr(clock, name, None)) for name in methods)):
        return clock
    message = (
        f"{source}={clock!r} is no clock. Give an object with the methods {', '.join(methods)}, as VirtualClock()."
    )
    raise InvalidSetting(message)
