"""The numbering of a session that records together with the others of its run."""

from __future__ import annotations

import contextlib
import functools
import logging
import os
from typing import TYPE_CHECKING, Any

from inferencereplay.errors import RecordingCorrupt
from inferencereplay.session.run_coordinator import Address
from inferencereplay.session.variants import Variant, Variants

if TYPE_CHECKING:
    from collections.abc import Callable

    from inferencereplay.session.run_coordinator import RunCoordinator
    from inferencereplay.store.interface import Store

log = logging.getLogger("inferencereplay")


class RunVariants(Variants):
    """As `Variants` in `record`, but what the run has recorded answers, and nothing of it is replaced.

    The n-th equal call of the session is the run's n-th. One that comes to nothing gives its number to the next one;
    what stays free because calls overlapped is closed up at the end of the run.

    Args:
        store: where recordings live.
        run: the common memory.
        is_whole: tells of a stored recording whether everything is there.
    """

    def __init__(self, store: Store, run: RunCoordinator, is_whole: Callable[[bytes], bool]) -> None:
        super().__init__(store, replaces=True, repeats=False, is_whole=is_whole)
        self._run = run
        self._directory = os.path.realpath(store.directory)  # one directory, whichever way it is reached
        self._reserved: dict[str, list[int]] = {}
        self._pending: set[tuple[str, int]] = set()
        self._given_up: dict[str, set[int]] = {}
        self._is_told = False

    def peek(self, path: str, key: str, read: Callable[[int], Any] | None = None) -> Variant | None:
        """Return what the run has recorded for the next call, or `None` if that is still to be done.

        What the run has recorded and somebody has removed or damaged since is to be done again.
        """
        read = read or functools.partial(self._store.get, path, key)
        call = self._calls.get(key, 0) + 1
        slot = self._slot(path, key, call)
        if not self._run.has(slot):
            return None
        data = None
        with contextlib.suppress(RecordingCorrupt):
            data = read(call)
        if data is None:
            self._run.forget(slot)
            return None
        return Variant(data, call, call)

    def reserve(self, path: str, key: str, *, takes_over: bool) -> bool:
        """Take the right to make the next call, which `begin` then does; `False` if another is about to record it.

        Args:
            path: the request's.
            key: the request's.
            takes_over: whether the other is not to be heeded.
        """
        with self._lock:
            call = self._calls.get(key, 0) + 1
            if not self._claim(path, key, call, takes_over=takes_over):
                return False
            self._calls[key] = call
            self._pending.add((key, call))
            self._reserved.setdefault(key, []).append(call)
            return True

    def begin(self, path: str, key: str) -> int:
        """Number a call that goes to the network.

        One that was not reserved, for a secret in it that nobody knew of made it another's, is put after what there is.
        """
        with self._lock:
            reserved = self._reserved.get(key)
            if reserved:
                return reserved.pop(0)
            call = self._calls.get(key, 0) + 1
            while not self._claim(path, key, call, takes_over=True):
                call += 1
            self._calls[key] = call
            self._pending.add((key, call))
            return call

    def has_pending(self) -> bool:
        """Whether a call is under way, or its stream was left without being closed."""
        return bool(self._pending)

    def store(self, path: str, key: str, call: int, data: bytes, *, is_whole: bool) -> bool:
        """Store the answer to a call; `False` if one stands there that is more complete, or that the run had before.

        Raises:
            OSError: if it cannot be written; the call has come to nothing then.
        """
        slot = self._slot(path, key, call)
        try:
            is_stored = not self._run.has(slot) and self._put(path, key, call, data, is_whole=is_whole)
        except BaseException:
            self.give_up(path, key, call)
            raise
        with self._lock:
            self._pending.discard((key, call))
            self.used.add((path, key, call))
        try:
            self._run.settle(slot, is_whole=is_whole)
        except OSError as error:
            self._tell(error)
        return is_stored

    def give_up(self, path: str, key: str, call: int) -> None:
        """Free the number of a call without an answer; a number that is not pending is left alone."""
        with self._lock:
            if (key, call) not in self._pending:
                return
            self._pending.discard((key, call))
            given_up = self._given_up.setdefault(key, set())
            given_up.add(call)
            while (last := self._calls[key]) in given_up:
                given_up.remove(last)
                self._calls[key] = last - 1
        self._run.release(self._slot(path, key, call))

    def _claim(self, path: str, key: str, call: int, *, takes_over: bool) -> bool:
        """Claim a call in the run; where that cannot be written down, this session goes on by itself."""
        try:
            return self._run.claim(self._slot(path, key, call), takes_over=takes_over)
        except OSError as error:
            self._tell(error)
            return True

    def _tell(self, error: OSError) -> None:
        if not self._is_told:
            log.warning("%s is recorded without regard to the rest of the run: %s", self._store.directory, error)
        self._is_told = True

    def _slot(self, path: str, key: str, number: int) -> Address:
        return Address(self._directory, path, key, number)
