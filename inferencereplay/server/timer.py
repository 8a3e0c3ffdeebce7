"""A timer that fires once, at a time or later, never before: of the kernel where there is one, of the event loop else.

The event loops' own timers fire by whole milliseconds: uvloop's up to 1.2 ms early, asyncio's up to 1 ms late.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
from typing import TYPE_CHECKING, Any, Protocol

from inferencereplay.pacing.clocks import SYSTEM_CLOCK

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

SOONEST = 1e-6
"""Seconds; a kernel's timer that is set to 0 is off."""
_CLOCK_MONOTONIC = 1
_FLAGS = 0o4000 | 0o2000000
"""TFD_NONBLOCK and TFD_CLOEXEC."""


class Timer(Protocol):
    """A timer of one event loop."""

    def set(self, due: float) -> None:
        """Fire when the system clock shows `due`, and not when it was set to before."""
        ...

    def close(self) -> None:
        """Never fire again."""
        ...


class KernelTimer:
    """A timer of Linux (timerfd_create(2)), which the event loop waits for as for a connection.

    Args:
        loop: the event loop.
        fire: is called; it may be called too early, after the timer was set anew.

    Raises:
        OSError: if the system has none.
        NotImplementedError: if the event loop cannot wait for it.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, fire: Callable[[], None]) -> None:
        self._loop = loop
        self._descriptor, self._settime = _create()
        self._fire = fire
        loop.add_reader(self._descriptor, self._ring)

    def set(self, due: float) -> None:
        """Fire when the system clock shows `due`."""
        self._settime(max(due - SYSTEM_CLOCK.now(), SOONEST))

    def _ring(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.read(self._descriptor, 8)
        self._fire()

    def close(self) -> None:
        """Give the timer back to the system."""
        self._loop.remove_reader(self._descriptor)
        os.close(self._descriptor)


class LoopTimer:
    """The event loop's own timer, which is asked again where it fires too early.

    Args:
        loop: the event loop.
        fire: is called.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, fire: Callable[[], None]) -> None:
        self._loop = loop
        self._fire = fire
        self._handle: asyncio.Handle | None = None

    def set(self, due: float) -> None:
        """Fire when the system clock shows `due`, or later."""
        self.close()
        self._handle = self._loop.call_later(max(due - SYSTEM_CLOCK.now(), 0.0), self._fire)

    def close(self) -> None:
        """Never fire again."""
        if self._handle is not None:
            self._handle.cancel()


def make_timer(loop: asyncio.AbstractEventLoop, fire: Callable[[], None]) -> Timer:
    """Return the best timer that there is."""
    try:
        return KernelTimer(loop, fire)
    except (AttributeError, TypeError, OSError, NotImplementedError):
        return LoopTimer(loop, fire)


def _create() -> tuple[int, Callable[[float], None]]:
    """Return the descriptor of a new timer, and the function that sets it, in seconds from now."""
    system: Any = os
    if hasattr(os, "timerfd_create"):  # pragma: no cover - from Python 3.13 on
        descriptor = system.timerfd_create(_CLOCK_MONOTONIC, flags=_FLAGS)
        return descriptor, lambda seconds: system.timerfd_settime(descriptor, initial=seconds)
    library = ctypes.CDLL(None, use_errno=True)
    descriptor = library.timerfd_create(_CLOCK_MONOTONIC, _FLAGS)
    if descriptor < 0:  # pragma: no cover - the system has no more descriptors
        raise OSError(ctypes.get_errno(), "timerfd_create failed")
    settime, value = library.timerfd_settime, (ctypes.c_long * 4)()
    address = ctypes.byref(value)

    def set_time(seconds: float) -> None:
        value[2], value[3] = divmod(int(seconds * 1_000_000_000), 1_000_000_000)
        settime(descriptor, 0, address, None)

    return descriptor, set_time
