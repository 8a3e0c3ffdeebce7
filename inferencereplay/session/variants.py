"""Which of a key's recordings answers a call, and under which number a new one is stored.

Equal calls of a session are numbered from 1 as they start. The n-th gets the n-th variant. A call that goes to the
network keeps its number while it is under way, so that calls that overlap are stored in the order in which they
started; one that comes to nothing gives its number up, and the later ones move down, so that no gap stays.
"""

from __future__ import annotations

import functools
import logging
import os
from typing import TYPE_CHECKING, Any

import msgspec

from inferencereplay.locks import make_lock

if TYPE_CHECKING:
    from collections.abc import Callable

    from inferencereplay.store.interface import Store

log = logging.getLogger("inferencereplay")


LONGEST_GAP = 8
"""Numbers that are tried past the one that is missing."""


class Variant(msgspec.Struct, frozen=True):  # which is made four times faster than a NamedTuple
    """A recording that may answer a call, its number, and the number of the call."""

    data: Any
    number: int
    call: int


class Followed(set[tuple[str, str, int]]):
    """Recordings that were used, told one by one: a process may end by a signal, or by `os._exit` as forked ones do.

    Args:
        tell: is called with each one that is new.
    """

    def __init__(self, tell: Callable[[tuple[str, str, int]], None]) -> None:
        super().__init__()
        self._tell = tell

    def add(self, item: tuple[str, str, int]) -> None:
        """Add one and tell it."""
        if item not in self:
            super().add(item)
            self._tell(item)


class KeyState:
    """The numbers of one key that this session has in hand.

    Attributes:
        pending: calls under way.
        written: numbers that are settled: stored, or left in `record` to something more complete that stood there.
        own: those that are stored.
        is_renewed: whether one of them is whole; until then, what was there before stays.
        old: the variants that there were before, each with its stamp, until those that are too many are removed.
    """

    def __init__(self, path: str, old: dict[int, object]) -> None:
        self.path = path
        self.lock = make_lock()
        self.pending: set[int] = set()
        self.written: set[int] = set()
        self.own: set[int] = set()
        self.is_renewed = False
        self.old = old


class Variants:
    """The numbering of one session.

    Args:
        store: where recordings live.
        replaces: whether a session's recordings take the place of what the store had (`record`).
        repeats: whether the last variant answers again when there are no more.
        is_whole: tells of a stored recording whether everything is there.

    Attributes:
        used: path, key and number of the recordings that answered a call or hold the answer to one.
    """

    def __init__(self, store: Store, *, replaces: bool, repeats: bool, is_whole: Callable[[bytes], bool]) -> None:
        self._store = store
        self._replaces = replaces
        self._repeats = repeats
        self._is_whole = is_whole
        self.used: set[tuple[str, str, int]] = set()
        self._lock = make_lock()
        self._calls: dict[str, int] = {}
        self._last: dict[str, int] = {}
        self._slots: dict[str, KeyState] = {}
        self._is_over = False
        self._process = os.getpid()

    def peek(self, path: str, key: str, read: Callable[[int], Any] | None = None) -> Variant | None:
        """Return what would answer the next call, which `commit` makes it do.

        Args:
            path: the request's.
            key: the request's.
            read: returns a variant by its number, or `None`; by default its bytes.
        """
        read = read or functools.partial(self._store.get, path, key)
        call = self._calls.get(key, 0) + 1
        number = min(call, self._last.get(key, call))
        data = read(number)
        if data is None:
            data, number = self._past_gap(read, number)
        if data is None and self._repeats and number > 1:
            while data is None and number > 1:
                number -= 1
                data = read(number)
            if data is not None:
                self._remember_last(key, call, number)
        return None if data is None else Variant(data, number, call)

    def _past_gap(self, read: Callable[[int], Any], number: int) -> tuple[Any, int]:
        """Look for a variant after one that a process which died had begun and never stored."""
        for later in range(number + 1, number + 1 + LONGEST_GAP):
            data = read(later)
            if data is not None:
                return data, later
        return None, number

    def commit(self, path: str, key: str, number: int, call: int) -> bool:
        """Count the call; `False` if another thread's equal call has come first, and one has to look again."""
        with self._lock:
            if self._calls.get(key, 0) + 1 != call:
                return False
            self._calls[key] = call
            self.used.add((path, key, number))
            return True

    def begin(self, path: str, key: str) -> int:
        """Number a call that goes to the network."""
        with self._lock:
            slots = self._slots.get(key)
            if slots is None:
                slots = self._slots[key] = KeyState(path, self._stamps(path, key) if self._replaces else {})
            call = self._calls[key] = self._calls.get(key, 0) + 1
            slots.pending.add(call)
            self._last.pop(key, None)
            self._is_over = False
            return call

    def has_pending(self) -> bool:
        """Whether a call is under way, or its stream was left without being closed."""
        with self._lock:
            return any(slots.pending for slots in self._slots.values())

    def store(self, path: str, key: str, call: int, data: bytes, *, is_whole: bool) -> bool:
        """Store the answer to a call; `False` if one with the better right stands there already.

        Raises:
            OSError: if it cannot be written; the call has come to nothing then.
        """
        slots = self._slots[key]
        with slots.lock:
            try:
                number = self._free(slots, path, key, call)
                is_stored = self._put(path, key, number, data, is_whole=is_whole)
                self.used.add((path, key, number))
                if is_stored or self._replaces:
                    slots.written.add(number)
                if is_stored:
                    slots.own.add(number)
                    slots.is_renewed |= is_whole
            except BaseException:
                self._end(slots, path, key, call, has_gap=True)
                raise
            self._end(slots, path, key, call, has_gap=number != call)
            return is_stored

    def give_up(self, path: str, key: str, call: int) -> None:
        """Free the number of a call without an answer; a number that is not pending is left alone."""
        slots = self._slots[key]
        with slots.lock:
            if call in slots.pending:
                self._end(slots, path, key, call, has_gap=True)

    def remove(self, path: str, key: str) -> None:
        """Remove all that is stored of a key.

        Raises:
            OSError: if it cannot be removed.
        """
        for number in sorted(self._stamps(path, key), reverse=True):
            self._store.delete(path, key, number)

    def finish(self) -> None:
        """Remove the old variants past the last call, for the session is over; a call under way does it at its end.

        While a session lasts they stay: the next call may be one that comes to nothing, whose old answer stays too. So
        does what another process has put in their place since, and a forked child leaves all of it to its parent.
        """
        if self._process != os.getpid():
            return
        self._is_over = True
        for key, slots in self._slots.copy().items():
            if slots.lock.acquire(blocking=False):  # who holds it comes to `_end`
                try:
                    self._remove_old(slots, key)
                finally:
                    slots.lock.release()

    def _remember_last(self, key: str, call: int, number: int) -> None:
        """Save the next call the search for the last variant, unless more are on their way."""
        with self._lock:
            slots = self._slots.get(key)
            if self._calls.get(key, 0) + 1 == call and not (slots and slots.pending):
                self._last[key] = number

    def _stamps(self, path: str, key: str) -> dict[int, object]:
        """Return the variants there are with their stamps, also those past a gap that a process which died left."""
        found: dict[int, object] = {}
        last, number = 0, 1
        while number <= last + 1 + LONGEST_GAP:
            stamp = self._store.stamp(path, key, number)
            if stamp:  # empty for what cannot be looked at, nor be replaced then
                last, found[number] = number, stamp
            number += 1
        return found

    def _free(self, slots: KeyState, path: str, key: str, number: int) -> int:
        """Go down from `number` to the first number after one that is taken."""
        while number > 1 and not self._is_taken(slots, path, key, number - 1):
            number -= 1
        return number

    def _is_taken(self, slots: KeyState, path: str, key: str, number: int) -> bool:
        if number in slots.pending or number in slots.written:
            return True
        return not self._replaces and self._store.get(path, key, number) is not None

    def _put(self, path: str, key: str, number: int, data: bytes, *, is_whole: bool) -> bool:
        """Store `data`, but never in the place of something more complete."""
        if self._replaces and is_whole:
            return self._store.put(path, key, number, data, replace=True)
        if self._store.put(path, key, number, data, replace=False):
            return True

        def gives_way(there: bytes) -> bool:
            return not self._is_whole(there) and (is_whole or self._replaces or len(there) < len(data))

        return self._store.put(path, key, number, data, replace=gives_way)

    def _end(self, slots: KeyState, path: str, key: str, call: int, *, has_gap: bool) -> None:
        """Close gaps; once the session is over, remove the old variants that were not replaced one by one."""
        slots.pending.discard(call)
        try:
            if has_gap:
                self._close_gaps(slots, path, key)
        except OSError as error:
            self._tell_disorder(error)
        if self._is_over:
            self._remove_old(slots, key)

    def _remove_old(self, slots: KeyState, key: str) -> None:
        if not slots.is_renewed or slots.pending:
            return
        try:
            # From the last one down: if the process dies meanwhile, the numbers still have no gap.
            for number in sorted(slots.old, reverse=True):
                stamp = self._store.stamp(slots.path, key, number)
                if number <= self._calls[key] or (stamp and stamp != slots.old[number]):
                    break
                self._store.delete(slots.path, key, number)
            self._move_down(slots, key)
            slots.old = {}
        except OSError as error:
            self._tell_disorder(error)

    def _move_down(self, slots: KeyState, key: str) -> None:
        """Let the old variants that stay follow the new ones."""
        free = max(slots.written) + 1
        for number in sorted(number for number in slots.old if number >= free):
            data = self._store.get(slots.path, key, number)
            if data is None:
                continue
            if number != free and self._store.put(slots.path, key, free, data, replace=False):
                self._store.delete(slots.path, key, number)
            free += 1

    def _tell_disorder(self, error: OSError) -> None:
        log.warning("%s: old recordings could not be put in order: %s", self._store.directory, error)

    def _close_gaps(self, slots: KeyState, path: str, key: str) -> None:
        for number in sorted(slots.written):
            free = self._free(slots, path, key, number)
            if free != number and self._moves(slots, path, key, number, free):
                slots.written.remove(number)
                slots.written.add(free)
                self.used.discard((path, key, number))
                self.used.add((path, key, free))

    def _moves(self, slots: KeyState, path: str, key: str, number: int, free: int) -> bool:
        """Have a call settled under a free number; what is stored goes there, but not in the place of a whole one."""
        if number not in slots.own:
            return True
        data = self._store.get(path, key, number)
        if data is None:
            return False
        is_stored = self._put(path, key, free, data, is_whole=self._is_whole(data))
        if not is_stored and not self._replaces:
            return False
        self._store.delete(path, key, number)
        slots.own.remove(number)
        if is_stored:
            slots.own.add(free)
        return True
