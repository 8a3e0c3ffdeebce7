"""What the sessions of one run, in one process or several, have recorded together.

A test run is many sessions, one a test. Left alone, each of them would record anew what another one has just recorded,
and put its own answer in the other's place: what the first test saw would be gone. A run is their common memory, so
that the n-th equal call of every session gets one and the same answer, which is asked for once.

The memory is a temporary folder that all the processes of the run know. For the n-th variant of a key it holds

- a **claim**, while a process asks the server: a file that only one can link into its place, with its owner's name;
- a **mark**, once the answer is stored: it says where, and is renamed into its place, so that it is whole or not there.

A call looks for the mark and, if it stands, is answered from the recording. If not, it tries for the claim: who gets it
looks for the mark once more, for it may have been set in between, and then goes to the network. Who does not get it
waits and begins again; by then the mark stands, or the call came to nothing, and the claim is to be had. So two workers
that make the equal request at the same moment record it once, and both get that answer.

Nobody waits for the dead: the owner's name is that of its sign of life (`store/life.py`), and whoever finds a claim of
the dead takes it away. Where there are no locks to tell by, whoever started the processes does (`release_all`). And
nobody waits for ever: two tests that each hold a stream open and ask for the other's would; after `PATIENCE` a call
goes to the network all the same. The waiting itself is left to the caller, for `def` and `async def` wait differently.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import secrets
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from inferencereplay.locks import make_lock
from inferencereplay.recording.format import is_whole
from inferencereplay.session.variants import LONGEST_GAP
from inferencereplay.store.directory import DirectoryStore, link
from inferencereplay.store.folder_lock import locked
from inferencereplay.store.liveness import LivenessLock, is_alive

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PATIENCE = 120.0
"""Seconds that a call waits for another session's equal call."""
PAUSE = 0.01
"""Seconds between two looks."""


class Address(NamedTuple):
    """The place of one recording: the directory, links followed, the request's path and key, the variant's number."""

    directory: str
    path: str
    key: str
    number: int


class RunCoordinator:
    """The memory of a run.

    Args:
        folder: the same for all of its processes, and no other run's; it need not exist yet.
        owner: this process's name, which no other of the run has but those that it forks.
    """

    def __init__(self, folder: Path, owner: str = "main") -> None:
        self._folder = folder
        self._owner = owner
        self._lock = make_lock()
        self._life: LivenessLock | None = None

    def has(self, slot: Address) -> bool:
        """Whether the run has recorded it, whole."""
        return os.path.exists(self._file(slot, "whole"))  # noqa: PTH110 - also where one may not look

    def forget(self, slot: Address) -> None:
        """Take away the mark of what was recorded, and is not there any more."""
        with contextlib.suppress(OSError):
            self._file(slot, "whole").unlink()

    def claim(self, slot: Address, *, takes_over: bool = False) -> bool:
        """Take the right to record it; `False` if another call has it, or has recorded it meanwhile.

        Args:
            slot: what is to be recorded.
            takes_over: whether another call's claim is not to be heeded.

        Raises:
            OSError: if nothing can be written.
        """
        claim = self._file(slot, "claim")
        if not self._write(claim, self._name(), replaces=takes_over):
            self._bury(claim)
            return False
        if self.has(slot):
            self.release(slot)
            return False
        return True

    def settle(self, slot: Address, *, is_whole: bool) -> None:
        """Say that it is stored, and give the claim up; one that is not whole is for the next equal call to record.

        Raises:
            OSError: if it cannot be written; the claim is given up then as well.
        """
        try:
            self._write(self._file(slot, "whole" if is_whole else "part"), json.dumps(slot), replaces=True)
        finally:
            self.release(slot)

    def release(self, slot: Address) -> None:
        """Give a claim up, unless another process has taken it over: the call came to nothing."""
        self._remove(self._file(slot, "claim"), lambda name: name == self._name())

    def release_all(self, owner: str | None = None) -> None:
        """Take away all claims of a process that has died, or of this one, which has nothing under way any more."""
        for claim in self._folder.glob("*.claim"):
            self._remove(claim, lambda name: name.rpartition("~")[0] == owner if owner else name == self._name())

    def tidy(self, is_complete: Callable[[str], bool]) -> None:
        """Close the gaps that calls which came to nothing left, and remove old variants after the last new one.

        For the end of a run in which all went well; until then, what is old stays unless something new takes its place.

        Args:
            is_complete: tells of a directory whether the run made all the calls that are recorded there. What is old
                stays there too if it did not: a test that was not run may want it.

        Raises:
            OSError: if a recording cannot be moved or removed.
        """
        recorded: dict[tuple[str, str, str], dict[int, bool]] = {}
        for kind in ("part", "whole"):
            for mark in self._folder.glob(f"*.{kind}"):
                slot = Address(*json.loads(mark.read_text(encoding="utf-8")))
                recorded.setdefault(slot[:3], {})[slot.number] = kind == "whole"
        for (directory, path, key), numbers in recorded.items():
            keeps_old = not any(numbers.values()) or not is_complete(directory)
            _tidy(DirectoryStore(Path(directory)), path, key, numbers, keeps_old=keeps_old)

    def _file(self, slot: Address, kind: str) -> Path:
        digest = hashlib.sha256(os.fsencode(f"{slot.directory}\0{slot.key}")).hexdigest()[:32]
        return self._folder / f"{digest}~{slot.number}.{kind}"

    def _name(self) -> str:
        """Return the name of this process's sign of life, which stands in its claims."""
        with self._lock:
            if self._life is None or self._life.process != os.getpid():
                self._folder.mkdir(parents=True, exist_ok=True)
                self._life = LivenessLock(str(self._folder / f"{self._owner}~{secrets.token_hex(8)}.life"))
            return Path(self._life.file).name

    def _write(self, file: Path, text: str, *, replaces: bool) -> bool:
        """Write a file whole or not at all; `False` if it is there and not to be replaced."""
        self._folder.mkdir(parents=True, exist_ok=True)
        temporary = self._folder / f"{secrets.token_hex(8)}.tmp"
        try:
            temporary.write_text(text, encoding="utf-8")
            if not replaces:
                return link(str(temporary), str(file))
            temporary.replace(file)
            return True
        finally:
            with contextlib.suppress(OSError):  # mostly it was renamed; otherwise the first error is the one to tell
                temporary.unlink()

    def _bury(self, claim: Path) -> None:
        """Take a claim away if its owner is dead; who else wants to looks again, for it may be a living one's then."""

        def is_dead(name: str) -> bool:
            return not is_alive(str(self._folder / name))

        with contextlib.suppress(OSError):
            if is_dead(claim.read_text(encoding="utf-8")):
                with locked(str(self._folder)):
                    self._remove(claim, is_dead)

    @staticmethod
    def _remove(claim: Path, is_meant: Callable[[str], bool]) -> None:
        """Take a claim away if its owner is meant, and still there; what cannot be removed is waited for."""
        with contextlib.suppress(OSError):
            if is_meant(claim.read_text(encoding="utf-8")):
                claim.unlink()


def _tidy(store: DirectoryStore, path: str, key: str, numbers: dict[int, bool], *, keeps_old: bool) -> None:
    own = set()
    for free, number in enumerate(sorted(numbers), 1):
        data = store.get(path, key, number)
        if data is None or (is_whole(data) and not numbers[number]):  # what was there before, and what is whole, stayed
            continue
        own.add(number)
        if free != number:
            store.put(path, key, free, data, replace=is_whole(data) or _gives_way)
    # From the last one down: if the process dies meanwhile, the numbers still have no gap.
    for number in reversed([*_after(store, path, key, len(numbers))]):
        if keeps_old and number not in own:
            return
        store.delete(path, key, number)


def _gives_way(there: bytes) -> bool:
    return not is_whole(there)


def _after(store: DirectoryStore, path: str, key: str, last: int) -> Iterator[int]:
    """Yield the variants after `last`, gaps and all."""
    number = last
    while number < last + 1 + LONGEST_GAP:
        number += 1
        if store.stamp(path, key, number) is not None:
            last = number
            yield number
