"""When each chunk is due.

Chunk *i* is due at `start + offset[i] / speed`. Deadlines are absolute, so errors do not add up, and a slow consumer
makes the rest come at once, as a network would. The clock is a parameter.
"""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, NamedTuple, Protocol

from inferencereplay.errors import InvalidSetting

if TYPE_CHECKING:
    from collections.abc import Callable


class Clock(Protocol):
    """What time is taken from, in seconds."""

    def now(self) -> float:
        """Return the time; only differences count."""
        ...

    def sleep(self, seconds: float) -> None:
        """Wait in synchronous code."""
        ...

    async def sleep_async(self, seconds: float) -> None:
        """Wait in asynchronous code, whatever its event loop."""
        ...


class SystemClock:
    """Real time."""

    def now(self) -> float:
        """Return `time.perf_counter()`."""
        return time.perf_counter()

    def sleep(self, seconds: float) -> None:
        """Wait for real."""
        time.sleep(seconds)

    async def sleep_async(self, seconds: float) -> None:
        """Wait for real, on asyncio or trio."""
        import anyio  # noqa: PLC0415 - 30 ms to import, and only paced streams need it

        await anyio.sleep(seconds)


class VirtualClock:
    """A clock that stands still but for the waiting: an hour of recorded time passes at once.

    Tasks of an event loop that wait at the same time come in the order of their times, and time passes once for all of
    them, as real time does; a task that takes more than ten rounds of the loop to come to its wait may be overtaken.
    Threads, and event loops in them, know nothing of each other's waits: give each a clock of its own.

    Attributes:
        time: seconds that were waited for so far.

    Example:
        >>> clock = VirtualClock()
        >>> with replay("recordings", speed=0.01, clock=clock):
        ...     answer = OpenAI().chat.completions.create(**ask)
        >>> clock.time
        24.1706
    """

    def __init__(self) -> None:
        self.time = 0.0

    def now(self) -> float:
        """Return the seconds that were waited for so far."""
        return self.time

    def sleep(self, seconds: float) -> None:
        """Let `seconds` pass."""
        self.time += seconds

    async def sleep_async(self, seconds: float) -> None:
        """Let `seconds` pass, and the other tasks do what they have to do before."""
        from inferencereplay.turns import wait_until  # noqa: PLC0415 - as above

        await wait_until(self, self.time + seconds)


class Pace(NamedTuple):
    """A pace for recordings that hold no timing.

    Attributes:
        first: seconds to the first chunk, or to a plain answer.
        between: seconds from one chunk to the next.

    Example:
        >>> with replay("recordings", pace=Pace(first=0.3, between=0.02)):
        ...     answer = OpenAI().chat.completions.create(**ask)  # has a time of its own, which `speed` sets
    """

    first: float = 0.0
    between: float = 0.0


SYSTEM_CLOCK = SystemClock()
LONGEST = 1_000_000
"""Seconds of a pace; much more is beyond what `time.sleep` takes."""


def check_pace(pace: Pace | None) -> Pace | None:
    """Return `pace` if it is one.

    Raises:
        InvalidSetting: if it is not, or holds a time below 0 or above `LONGEST`.
    """
    if pace is None or (isinstance(pace, Pace) and all(map(_is_duration, pace))):
        return pace
    message = f"pace={pace!r} is no pace. Give Pace(first=…, between=…), both seconds from 0 to {LONGEST}."
    raise InvalidSetting(message)


def _is_duration(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value <= LONGEST


def check_clock(clock: Clock | None) -> Clock | None:
    """Return `clock` if it is one.

    Raises:
        InvalidSetting: if it lacks a method of `Clock`, or is a class.
    """
    methods = ("now", "sleep", "sleep_async")
    if clock is None or (not isinstance(clock, type) and all(callable(getattr(clock, name, None)) for name in methods)):
        return clock
    message = f"clock={clock!r} is no clock. Give an object with the methods {', '.join(methods)}, as VirtualClock()."
    raise InvalidSetting(message)


class Pacer:
    """The deadlines of one answer, counted from the moment it is made.

    Args:
        offsets: seconds from then to each chunk.
        speed: how fast they pass.
        clock: whose time counts.
        note: is told of each chunk by how many seconds it comes late.
    """

    __slots__ = ("_clock", "_note", "_offsets", "_speed", "_start")

    def __init__(self, offsets: list[float], speed: float, clock: Clock, note: Callable[[float], None]) -> None:
        self._offsets = offsets
        self._speed = speed
        self._clock = clock
        self._note = note
        self._start = clock.now()

    def wait(self, index: int) -> None:
        """Wait until chunk `index` is due; -1 is the last one."""
        late = self._late(index)
        if late < 0:
            self._clock.sleep(-late)
            late = self._late(index)
        self._note(late)

    async def wait_async(self, index: int) -> None:
        """Do the same in asynchronous code."""
        late = self._late(index)
        if late < 0:
            await self._clock.sleep_async(-late)
            late = self._late(index)
        self._note(late)

    def _late(self, index: int) -> float:
        return self._clock.now() - self._start - self._offsets[index] / self._speed


def make_pacer(  # noqa: PLR0913 - what a session was told
    offsets: list[float],
    count: int,
    *,
    speed: float,
    pace: Pace | None,
    clock: Clock | None,
    note: Callable[[float], None],
) -> Pacer | None:
    """Return what an answer of `count` chunks (1 for a plain one) waits by, or `None` if it need not wait.

    Args:
        offsets: recorded seconds from the start of the call to each chunk; empty if they are not known.
        count: the number of chunks.
        speed: how fast recorded time runs; a `pace` is followed as it is.
        pace: what to follow where nothing was recorded.
        clock: whose time counts; `None` for real time.
        note: is told of each chunk by how many seconds it comes late.
    """
    clock = SYSTEM_CLOCK if clock is None else clock
    if offsets:
        return None if math.isinf(speed) else Pacer(offsets, speed, clock, note)
    if pace is None or not count:
        return None
    return Pacer([pace.first + pace.between * index for index in range(count)], 1.0, clock, note)
