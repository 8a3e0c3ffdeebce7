"""The numbering of a session that records together with the others of its run."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from inferencereplay.run import Slot
from inferencereplay.variants import Variant, Variants

if TYPE_CHECKING:
    from collections.abc import Callable

    from inferencereplay.run import Run
    from inferencereplay.store import Store


class RunVariants(Variants):
    """As `Variants` in `record`, but what the run has recorded answers, and nothing of it is replaced.

    The n-th equal call of the session is the run's n-th. One that comes to nothing gives its number to the next one;
    what stays free because calls overlapped is closed up at the end of the run.

    Args:
        store: where recordings live.
        run: the common memory.
        is_whole: tells of a stored recording whether everything is there.
    """

    def __init__(self, store: Store, run: Run, is_whole: Callable[[bytes], bool]) -> None:
        super().__init__(store, replaces=True, repeats=False, is_whole=is_whole)
        self._run = run
        self._pending: set[tuple[str, int]] = set()
        self._given_up: dict[str, set[int]] = {}

    def peek(self, path: str, key: str, read: Callable[[int], Any] | None = None) -> Variant | None:
        """Return what the run has recorded for the next call, or `None` if that is still to be done."""
        read = read or functools.partial(self._store.get, path, key)
        call = self._calls.get(key, 0) + 1
        data = read(call) if self._run.has(self._slot(path, key, call)) else None
        return None if data is None else Variant(data, call, call)

    def reserve(self, path: str, key: str, *, takes_over: bool) -> bool:
        """Take the right to make the next call; `False` if another one is just about to record it.

        Args:
            path: the request's.
            key: the request's.
            takes_over: whether the other is not to be heeded.
        """
        call = self._calls.get(key, 0) + 1
        return self._run.claim(self._slot(path, key, call), takes_over=takes_over)

    def begin(self, path: str, key: str) -> int:  # noqa: ARG002 - as its parent's
        """Number a call that goes to the network."""
        with self._lock:
            call = self._calls[key] = self._calls.get(key, 0) + 1
            self._pending.add((key, call))
            return call

    def has_pending(self) -> bool:
        """Whether a call is under way, or its stream was left without being closed."""
        return bool(self._pending)

    def store(self, path: str, key: str, call: int, data: bytes, *, is_whole: bool) -> bool:
        """Store the answer to a call; `False` if an old one stands there that is more complete.

        Raises:
            OSError: if it cannot be written; the call has come to nothing then.
        """
        try:
            is_stored = self._put(path, key, call, data, is_whole=is_whole)
            self._run.settle(self._slot(path, key, call), is_whole=is_whole)
        except BaseException:
            self.give_up(path, key, call)
            raise
        with self._lock:
            self._pending.discard((key, call))
            self.used.add((path, key, call))
        return is_stored

    def give_up(self, path: str, key: str, call: int) -> None:
        """Forget a call that came to nothing."""
        with self._lock:
            self._pending.discard((key, call))
            given_up = self._given_up.setdefault(key, set())
            given_up.add(call)
            while (last := self._calls[key]) in given_up:
                given_up.remove(last)
                self._calls[key] = last - 1
        self._run.release(self._slot(path, key, call))

    def _slot(self, path: str, key: str, number: int) -> Slot:
        return Slot(self._store.directory, path, key, number)
