"""The numbering of a session that records together with the others of its run."""

from __future__ import annotations

import contextlib
import logging
import os
from typing import TYPE_CHECKING, Any

from inferencereplay.errors import RecordingCorrupt
from inferencereplay.session.run_coordinator import RunAddress
from inferencereplay.session.variant_files import Outcome, never
from inferencereplay.session.variants import Claim, Variant, Variants
from inferencereplay.store.location import real

if TYPE_CHECKING:
    from collections.abc import Callable

    from inferencereplay.session.run_coordinator import RunCoordinator
    from inferencereplay.session.variants import Beside, Stays
    from inferencereplay.store.interface import Store

log = logging.getLogger("inferencereplay")


class RunVariants(Variants):
    """A numbering as in `record`, whose claims other sessions see: recordings of the run answer calls, and stay.

    The n-th equal call of the session is the run's n-th. A failed call gives its number back; gaps that stay because
    calls overlapped close at the end of the run.

    Args:
        store: where recordings live.
        run: the claims and marks that the sessions share.
        is_whole: returns whether a stored recording is complete.
        has_expired: returns whether a stored recording gives way even to an equal answer.
    """

    def __init__(
        self,
        store: Store,
        run: RunCoordinator,
        is_whole: Callable[[bytes], bool],
        has_expired: Callable[[bytes], bool] = never,
    ) -> None:
        super().__init__(store, replaces=True, repeats=False, is_whole=is_whole, has_expired=has_expired)
        self._run = run
        self._directory = real(store.directory)  # one directory, whichever way it is reached
        self._reserved: dict[str, list[Claim]] = {}
        self._pending: dict[tuple[str, int], Claim] = {}
        self._given_up: dict[str, set[int]] = {}
        self._is_told = False

    @property
    def run_folder(self) -> str:
        """The folder of the run."""
        return self._run.folder

    def peek(self, path: str, key: str, read: Callable[[int], Any] | None = None) -> Variant | None:
        """Return the run's recording for the next call, or `None` if that is still to be made.

        A recording of the run that was removed or damaged since is made again.
        """
        read = read or self._files(path, key).get
        call = self._calls.get(key, 0) + 1
        address = self._address(path, key, call)
        if not self._run.has(address):
            return None
        data = None
        with contextlib.suppress(RecordingCorrupt):
            data = read(call)
        if data is None:
            self._run.forget(address)
            return None
        return Variant(data, call, call)

    def reserve(self, path: str, key: str, *, takes_over: bool) -> bool:
        """Claim the next call, which `begin` then numbers; return `False` if another session is recording it.

        Args:
            path: the request's.
            key: the request's.
            takes_over: whether to take over the claim of another session.
        """
        with self._lock:
            self._leave_to_parent()
            number = self._calls.get(key, 0) + 1
            if not self._claim(path, key, number, takes_over=takes_over):
                return False
            self._reserved.setdefault(key, []).append(self._take(key, number))
            return True

    def begin(self, path: str, key: str) -> Claim:
        """Number a call that goes to the network, until `store` or `give_up` ends it.

        A call that was not reserved, because a secret in it was found late and made its key another one, comes last.
        """
        with self._lock:
            self._leave_to_parent()
            if key in self._reserved:
                claim, *later = self._reserved.pop(key)
                if later:
                    self._reserved[key] = later
                return claim
            number = self._calls.get(key, 0) + 1
            while not self._claim(path, key, number, takes_over=True):
                number += 1
            return self._take(key, number)

    def has_pending(self) -> bool:
        """Whether a call is under way, or its stream was left without being closed."""
        return bool(self._pending)

    def store(  # noqa: PLR0913 - as in `Variants`
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
        """Store the answer to a call, if no more complete one, and none of the run, exists, and it has not ended.

        Raises:
            OSError: if it cannot be written; the call then counts as failed.
        """
        if self._pending.get((key, call)) is not call:
            return Outcome.REFUSED
        number = int(call)
        address = self._address(path, key, number)
        try:
            outcome = Outcome.REFUSED
            if not self._run.has(address):
                with beside(number):
                    outcome = self._files(path, key).keep(number, data, is_whole=is_whole, stays=stays)
            self.used.add((path, key, number))
            try:
                self._run.settle(address, is_whole=is_whole)
            except OSError as error:
                self._report(error)
            self._pending.pop((key, number), None)
        finally:
            self.give_up(path, key, call)
        return outcome

    def give_up(self, path: str, key: str, call: int) -> None:
        """End a call; one that was not stored gives its number back. A call that has ended is not changed."""
        if self._pending.get((key, call)) is not call:
            return
        self._run.release(self._address(path, key, call))
        with self._lock:
            self._pending.pop((key, call), None)
            given_up = self._given_up.setdefault(key, set())
            given_up.add(int(call))
            while (last := self._calls[key]) in given_up:
                given_up.remove(last)
                self._calls[key] = last - 1
            if not given_up:
                del self._given_up[key]

    def _take(self, key: str, number: int) -> Claim:
        self._calls[key] = number
        claim = self._pending[key, number] = Claim(number)
        return claim

    def _leave_to_parent(self) -> None:
        """Forget, in a forked child, the calls that were under way in its parent."""
        if self._process != os.getpid():
            self._process = os.getpid()
            self._reserved.clear()
            self._pending.clear()

    def _claim(self, path: str, key: str, number: int, *, takes_over: bool) -> bool:
        """Claim a call in the run; if no claim can be written, this session records without the others."""
        try:
            return self._run.claim(self._address(path, key, number), takes_over=takes_over)
        except OSError as error:
            self._report(error)
            return True

    def _report(self, error: OSError) -> None:
        if not self._is_told:
            log.warning("%s is recorded without regard to the rest of the run: %s", self._store.directory, error)
        self._is_told = True

    def _address(self, path: str, key: str, number: int) -> RunAddress:
        return RunAddress(self._directory, path, key, int(number))
