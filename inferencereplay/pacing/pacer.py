"""When each chunk is due.

Chunk *i* is due at `start + offset[i] / speed`. Deadlines are absolute, so errors do not add up, and a slow consumer
makes the rest come at once, as a network would.
"""

from __future__ import annotations

import functools
import math
from typing import TYPE_CHECKING, NamedTuple

from inferencereplay.errors import InvalidSetting
from inferencereplay.pacing.clocks import VirtualClock

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from inferencereplay.pacing.clocks import Clock


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


LONGEST = 1_000_000
"""Seconds; the longest time in a pace. `time.sleep` refuses times that are much longer."""


def check_pace(pace: Pace | None, source: str = "pace") -> Pace | None:
    """Return `pace` if it is one.

    Raises:
        InvalidSetting: if it is not, or holds a time below 0 or above `LONGEST`.
    """
    if pace is None or (isinstance(pace, Pace) and all(map(_is_duration, pace))):
        return pace
    message = f"{source}={pace!r} is no pace. Give Pace(first=…, between=…), both seconds from 0 to {LONGEST}."
    raise InvalidSetting(message)


def _is_duration(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value <= LONGEST


class Pacer:
    """The deadlines of one answer, counted from the moment it is made, or from another `start`.

    Args:
        offsets: recorded seconds from that moment to each chunk.
        speed: how fast recorded time runs; 2 is twice as fast.
        clock: whose time counts.
        note: is called for each chunk, with the seconds by which it came late.
    """

    __slots__ = ("_clock", "_is_virtual", "_offsets", "_speed", "note", "start")

    def __init__(self, offsets: list[float], speed: float, clock: Clock, note: Callable[[float], None]) -> None:
        self._offsets = offsets
        self._speed = speed
        self._clock = clock
        self._is_virtual = isinstance(clock, VirtualClock)
        self.note = note
        self.start = clock.now()

    def wait(self, index: int) -> None:
        """Wait until chunk `index` is due; -1 is the last one."""
        late = self._late(index)
        if late < 0:
            self._clock.sleep(-late)
            late = self._late(index)
        self.note(late)

    async def wait_async(self, index: int) -> None:
        """Wait in asynchronous code until chunk `index` is due; -1 is the last one."""
        late = self._late(index)
        if late < 0:
            await self._clock.sleep_async(-late)
            late = self._late(index)
        elif not self._is_virtual:  # virtual time passes when all tasks wait, and needs no turn
            await _give_turn()()
        self.note(late)

    def due(self, index: int) -> float:
        """Return the clock's time at which chunk `index` is due; -1 is the last one."""
        return self.start + self._offsets[index] / self._speed

    def _late(self, index: int) -> float:
        return self._clock.now() - self.start - self._offsets[index] / self._speed


@functools.cache
def _give_turn() -> Callable[[], Awaitable[None]]:
    from inferencereplay.pacing.event_loop import give_turn  # noqa: PLC0415 - it imports asyncio

    return give_turn


def make_pacer(  # noqa: PLR0913 - the settings of a session
    offsets: list[float],
    count: int,
    *,
    speed: float,
    pace: Pace | None,
    clock: Clock,
    note: Callable[[float], None],
) -> Pacer | None:
    """Return the pacer of an answer of `count` chunks (1 for a plain one), or `None` if it need not wait.

    Args:
        offsets: recorded seconds from the start of the call to each chunk; empty if they are not known.
        count: the number of chunks.
        speed: how fast recorded time runs; a `pace` is followed as it is.
        pace: the pace of a recording without timing, if there is one.
        clock: whose time counts.
        note: is called for each chunk, with the seconds by which it came late.
    """
    if offsets:
        return None if math.isinf(speed) else Pacer(offsets, speed, clock, note)
    if pace is None or not count:
        return None
    return Pacer([pace.first + pace.between * index for index in range(count)], 1.0, clock, note)
