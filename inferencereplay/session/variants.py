"""Which of a key's recordings answers a call, and under which number a new one is stored.

Equal calls of a session are numbered from 1 as they start. The n-th gets the n-th variant. A call that goes to the
network holds its number while it is under way, so that calls that overlap are stored in the order in which they
started. A failed call gives its number back, and gaps close as soon as no call of the key is under way.
"""

from __future__ import annotations

import contextlib
import logging
import os
from typing import TYPE_CHECKING, Any, cast

import msgspec

from inferencereplay.locks import make_lock
from inferencereplay.session.variant_files import Outcome, VariantFiles, never
from inferencereplay.store.address import LONGEST_GAP

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextlib import AbstractContextManager

    from inferencereplay.store.interface import Store, WritableStore

    Stays = Callable[[bytes, bytes], bool]
    Beside = Callable[[int], AbstractContextManager[object]]

log = logging.getLogger("inferencereplay")


class Variant(msgspec.Struct, frozen=True):  # which is made four times faster than a NamedTuple
    """A recording that may answer a call, its number, and the number of the call."""

    data: Any
    number: int
    call: int


class Claim(int):
    """The number that a call under way holds: compared by identity, for the next call may get the same number."""

    __slots__ = ()


class ReportingSet(set[tuple[str, str, int]]):
    """The recordings that were used, each reported at once: a process may end by a signal, or by `os._exit`.

    Args:
        report: is called with each new one.
        each: whether it is also called with those that are not new.
    """

    def __init__(self, report: Callable[[tuple[str, str, int]], None], *, each: bool = False) -> None:
        super().__init__()
        self._report = report
        self._each = each

    def add(self, item: tuple[str, str, int]) -> None:
        """Add one and report it."""
        if self._each or item not in self:
            super().add(item)
            self._report(item)


class KeyState:
    """The numbers of one key that a session has in hand.

    Attributes:
        files: the variants in the store.
        pending: calls under way.
        own: numbers of the calls that were answered since no call was under way, and whether the answer is stored
            there; if not, a recording with precedence is.
        first: the number that the first of them gets once no call is under way.
        calls: those that were begun.
        is_changed: whether an answer was stored.
        is_renewed: whether a complete answer was stored; until then, all old variants stay.
        old: the stamps of the old variants that may have to be removed.
    """

    __slots__ = ("calls", "files", "first", "is_changed", "is_renewed", "lock", "old", "own", "pending")

    def __init__(self, files: VariantFiles, first: int, old: dict[int, object]) -> None:
        self.files = files
        self.lock = make_lock()
        self.pending: dict[int, Claim] = {}
        self.own: dict[int, bool] = {}
        self.first = first
        self.calls = 0
        self.is_changed = self.is_renewed = False
        self.old = old


class Variants:
    """The numbering of one session.

    Args:
        store: where recordings live; one that cannot be written is asked for recordings only.
        replaces: whether a session's recordings take the place of what the store had (`record`).
        repeats: whether the last variant answers again when there are no more.
        is_whole: returns whether a stored recording is complete.
        has_expired: returns whether a stored recording gives way to any complete answer.

    Attributes:
        used: path, key and number of the recordings that answered a call or hold the answer to one.
    """

    def __init__(
        self,
        store: Store,
        *,
        replaces: bool,
        repeats: bool,
        is_whole: Callable[[bytes], bool],
        has_expired: Callable[[bytes], bool] = never,
    ) -> None:
        self._store = cast("WritableStore", store)
        self._replaces = replaces
        self._repeats = repeats
        self._is_whole = is_whole
        self._has_expired = has_expired
        self.used: set[tuple[str, str, int]] = set()
        self._lock = make_lock()
        self._calls: dict[str, int] = {}
        self._last: dict[str, int] = {}
        self._states: dict[str, KeyState] = {}
        self._is_over = False
        self._process = os.getpid()

    @property
    def positions(self) -> dict[str, int]:
        """The number of calls so far, by key, in the order of the first ones."""
        return dict(self._calls)

    def begin_at(self, positions: Mapping[str, int]) -> None:
        """Count calls as made before the session."""
        self._calls.update(positions)

    def expected(self, key: str) -> tuple[int, int]:
        """Return the number of the variant that the next call asks for first, and the number of that call."""
        call = self._calls.get(key, 0) + 1
        return (min(call, self._last.get(key, call)) if call > 1 else 1), call

    def peek(self, path: str, key: str, read: Callable[[int], Any] | None = None) -> Variant | None:
        """Return what would answer the next call, which `commit` makes it do.

        Args:
            path: the request's.
            key: the request's.
            read: returns a variant by its number, or `None`; by default its bytes.
        """
        read = read or self._files(path, key).get
        number, call = self.expected(key)
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
        """Look for a variant after a gap, which a process leaves that dies before it stores an answer."""
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

    def begin(self, path: str, key: str) -> Claim:
        """Number a call that goes to the network, until `store` or `give_up` ends it."""
        held: list[Claim] = []
        try:
            self._number(path, key, held)
        except BaseException:  # an interrupt may come after the number is taken
            for claim in held:
                self.give_up(path, key, claim)
            raise
        return held[0]

    def _number(self, path: str, key: str, held: list[Claim]) -> None:
        with self._lock:
            state = self._states.get(key)
            if state is None:
                state = self._states[key] = self._make_state(path, key)
            number = self._free(state, self._calls.get(key, 0) + 1)
            if not (state.pending or state.own):
                state.first = number
            self._calls[key] = number
            self._last.pop(key, None)
            self._is_over = False
            state.calls += 1
            held.append(Claim(number))
            state.pending[number] = held[0]

    def has_pending(self) -> bool:
        """Whether a call is under way, or its stream was left without being closed."""
        with self._lock:
            return any(state.pending for state in self._states.values())

    def store(  # noqa: PLR0913 - the address and the answer
        self,
        path: str,
        key: str,
        call: int,
        data: bytes,
        *,
        is_whole: bool,
        stays: Stays | None = None,
        beside: Beside = contextlib.nullcontext,
    ) -> Outcome:
        """Store the answer to a call, if no recording with precedence exists, and the call has not ended.

        Args:
            path: the request's.
            key: the request's.
            call: what `begin` returned.
            data: the recording.
            is_whole: whether it is complete.
            stays: returns whether a file stays as it is; see `VariantFiles.keep`.
            beside: returns what stores its side files, from its number.

        Raises:
            OSError: if it cannot be written; the call then counts as failed.
        """
        state = self._states.get(key)
        if state is None or state.pending.get(call) is not call:
            return Outcome.REFUSED
        try:
            with state.lock:
                number = int(call)
                with beside(number):
                    stays = stays if number in state.old else None
                    outcome = state.files.keep(number, data, is_whole=is_whole, stays=stays)
                is_there = bool(outcome)
                state.own[number] = is_there
                state.is_changed |= is_there
                state.is_renewed |= is_there and is_whole
                self.used.add(state.files.address(number))
                return outcome
        finally:
            self.give_up(path, key, call)

    def give_up(self, path: str, key: str, call: int) -> None:  # noqa: ARG002 - numbers of one key are of one path
        """End a call; one that was not stored gives its number back. A call that has ended is not changed.

        Even if it is interrupted, the call is not under way any more.
        """
        state = self._states.get(key)
        if state is None or state.pending.get(call) is not call:
            return
        del state.pending[call]
        with state.lock:
            self._settle(state, key)

    def stored_as(self, call: int) -> int:
        """Return the number under which the answer to a call was stored, as long as gaps have not closed."""
        return int(call)

    def remove(self, path: str, key: str) -> None:
        """Remove all that is stored of a key.

        Raises:
            OSError: if it cannot be removed.
        """
        files = self._files(path, key)
        for number in sorted(files.stamps(), reverse=True):
            files.delete(number)

    def finish(self) -> None:
        """Remove the old variants past the last call, for the session is over; a call under way does it at its end.

        While a session lasts they stay: the next call may fail, and then its old answer stays as well. Files that
        another process has replaced since stay too. A forked child leaves the removal to its parent.
        """
        if self._process != os.getpid():
            return
        self._is_over = True
        for key, state in self._states.copy().items():
            if state.lock.acquire(blocking=False):  # its holder settles the key as well
                try:
                    self._settle(state, key)
                finally:
                    state.lock.release()

    def _files(self, path: str, key: str) -> VariantFiles:
        return VariantFiles(
            self._store,
            path,
            key,
            replaces=self._replaces,
            is_whole=self._is_whole,
            has_expired=self._has_expired,
        )

    def _make_state(self, path: str, key: str) -> KeyState:
        """Begin with a key. If the session has recorded it before, its variants are not old."""
        files = self._files(path, key)
        is_first = self._replaces and key not in self._calls
        return KeyState(files, self._calls.get(key, 0) + 1, files.stamps() if is_first else {})

    def _remember_last(self, key: str, call: int, number: int) -> None:
        """Remember the last variant, so that the next call need not search for it; not while calls are under way."""
        with self._lock:
            state = self._states.get(key)
            if self._calls.get(key, 0) + 1 == call and not (state and state.pending):
                self._last[key] = number

    def _free(self, state: KeyState, number: int) -> int:
        """Go down from `number` to the first number after one that is taken."""
        while number > 1 and not self._is_taken(state, number - 1):
            number -= 1
        return number

    def _is_taken(self, state: KeyState, number: int) -> bool:
        if number in state.pending or number in state.own:
            return True
        return number < state.first if self._replaces else state.files.has(number)

    def _settle(self, state: KeyState, key: str) -> None:
        """Close gaps once no call of the key is under way; once the session is over, remove old variants."""
        if state.pending or self._states.get(key) is not state:  # another thread may have settled and dropped it
            return
        try:
            moved = state.files.close_up(state.own, state.first)
            self._note_moves(state, moved)
            with self._lock:
                if state.pending:
                    return
                self._end(state, key, max(moved.values(), default=state.first - 1))
            if self._is_over and state.old and state.is_changed:
                last = state.calls if state.is_renewed else max(state.old)
                state.files.remove_old(state.old, last, state.first)
                state.old = {}
        except OSError as error:
            log.warning("%s: recordings could not be put in order: %s", self._store.directory, error)

    def _note_moves(self, state: KeyState, moved: dict[int, int]) -> None:
        state.own = {target: state.own[number] for number, target in moved.items()}
        for number, target in moved.items():
            if target != number:
                self.used.discard(state.files.address(number))
                self.used.add(state.files.address(target))

    def _end(self, state: KeyState, key: str, last: int) -> None:
        """Give back the numbers after `last`, and forget all that no later call of the key needs."""
        state.own, state.first = {}, last + 1  # at once: an interrupt in between would free numbers that are taken
        self._calls[key] = min(self._calls[key], last)
        state.old = {number: stamp for number, stamp in state.old.items() if number > last}
        if not state.old:
            del self._states[key]
