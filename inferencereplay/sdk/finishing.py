"""The end of a capture, which comes once: from the program, the garbage collector, or another thread."""

from __future__ import annotations

from typing import TYPE_CHECKING

from inferencereplay.locks import make_lock

if TYPE_CHECKING:
    from collections.abc import Callable


class Finishing:
    """A capture that hands on, once, what it has captured.

    Args:
        drop: is called if an interrupt comes meanwhile.
    """

    def __init__(self, drop: Callable[[], None]) -> None:
        self._drop = drop
        self._lock = make_lock()
        self._is_finished = False

    def finish(self) -> None:
        """Pass the answer to `keep` or `drop`. Only the first call does so, and only an interrupt is raised."""
        try:
            with self._lock:
                if self._is_finished:
                    return
                self._is_finished = True
            self._hand_on()
        except BaseException:  # at whatever point it came
            self._drop()
            raise

    def _hand_on(self) -> None:
        raise AssertionError(self)  # pragma: no cover - each capture has its own
