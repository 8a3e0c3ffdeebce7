"""The order in which the waiting tasks of an event loop move a virtual clock."""

from __future__ import annotations

import contextlib
import heapq
import itertools
import weakref
from typing import Protocol

import anyio
from anyio.lowlevel import RunVar, checkpoint

TICKS = 10
"""Rounds of the event loop in which other tasks may come to an earlier wait, before time jumps to the next one."""


class Clock(Protocol):
    """A clock that the waiting tasks move.

    Attributes:
        time: in seconds.
    """

    time: float


class _Place:
    """A waiting task, ordered by the time for which it waits, then by arrival."""

    __slots__ = ("due", "number", "turn")

    def __init__(self, due: float) -> None:
        self.due = due
        self.number = next(_numbers)
        self.turn = anyio.Event()

    def __lt__(self, other: _Place) -> bool:
        return (self.due, self.number) < (other.due, other.number)


_numbers = itertools.count()
_waiting: RunVar[weakref.WeakKeyDictionary[Clock, list[_Place]]] = RunVar("inferencereplay.pacing.virtual_time")


async def advance_until(clock: Clock, due: float) -> None:
    """Wait until it is `due` on a clock. The first of the waiting tasks moves the clock.

    That task gives the others time to reach an earlier wait; the rest sleep until it is done.
    """
    places = _places(clock)
    place = _Place(due)
    heapq.heappush(places, place)
    try:
        await checkpoint()
        while clock.time < due:
            if places[0] is not place:
                place.turn = anyio.Event()
                await place.turn.wait()
                continue
            for _ in range(TICKS):
                await checkpoint()
            if places[0] is place and clock.time < due:
                clock.time = due
    finally:
        if places[0] is place:
            heapq.heappop(places)
        else:
            places.remove(place)
            heapq.heapify(places)
        if places:
            with contextlib.suppress(RuntimeError):  # the event loop has been closed, and no task waits any more
                places[0].turn.set()


def _places(clock: Clock) -> list[_Place]:
    clocks = _waiting.get(None)
    if clocks is None:
        clocks = weakref.WeakKeyDictionary()
        _waiting.set(clocks)
    return clocks.setdefault(clock, [])
