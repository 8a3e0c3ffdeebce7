"""What the sessions of one run, in one process or several, have recorded together.

A test run is many sessions, one a test. Left alone, each of them would record anew what another one has just recorded,
and put its own answer in the other's place: what the first test saw would be gone. A run is their common memory, so
that the n-th equal call of every session gets one and the same answer, which is asked for once.

The memory is a temporary folder that all the processes of the run know. For the n-th variant of a key it holds

- a **claim**, while a process asks the server: a file that only one can create (`O_EXCL`), with the owner's name in it;
- a **mark**, once the answer is stored: it says where, and is renamed into its place, so that it is whole or not there.

A call looks for the mark and, if it stands, is answered from the recording. If not, it tries for the claim: who gets it
looks for the mark once more, for it may have been set in between, and then goes to the network. Who does not get it
waits and begins again; by then the mark stands, or the call came to nothing, and the claim is to be had. So two workers
that make the equal request at the same moment record it once, and both get that answer.

Nobody waits for the dead: whoever started the processes takes the claims of one that died away (`release_all`). And
nobody waits for ever: two tests that each hold a stream open and ask for the other's would; after `PATIENCE` a call
goes to the network all the same. The waiting itself is left to the caller, for `def` and `async def` wait differently.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import secrets
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from inferencereplay.store.directory import DirectoryStore
from inferencereplay.variants import LONGEST_GAP

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PATIENCE = 120.0
"""Seconds that a call waits for another session's equal call."""
PAUSE = 0.01
"""Seconds between two looks."""


class Slot(NamedTuple):
    """The place of one recording: the store's directory, the request's path, its key, and the variant's number."""

    directory: str
    path: str
    key: str
    number: int


class Run:
    """The memory of a run.

    Args:
        folder: the same for all of its processes, and no other run's; it need not exist yet.
        owner: this process's name, which no other of the run has.
    """

    def __init__(self, folder: Path, owner: str = "main") -> None:
        self._folder = folder
        self._owner = owner

    def has(self, slot: Slot) -> bool:
        """Whether the run has recorded it, whole."""
        return self._file(slot, "whole").exists()

    def claim(self, slot: Slot, *, takes_over: bool = False) -> bool:
        """Take the right to record it; `False` if another call has it, or has recorded it meanwhile.

        Args:
            slot: what is to be recorded.
            takes_over: whether another call's claim is not to be heeded.
        """
        claim = self._file(slot, "claim")
        self._folder.mkdir(parents=True, exist_ok=True)
        try:
            with claim.open("w" if takes_over else "x", encoding="utf-8") as file:
                file.write(self._owner)
        except FileExistsError:
            return False
        if self.has(slot):
            self.release(slot)
            return False
        return True

    def settle(self, slot: Slot, *, is_whole: bool) -> None:
        """Say that it is stored, and give the claim up; one that is not whole is for the next equal call to record."""
        temporary = self._folder / f"{secrets.token_hex(8)}.tmp"
        temporary.write_text(json.dumps(slot), encoding="utf-8")
        temporary.replace(self._file(slot, "whole" if is_whole else "part"))
        self.release(slot)

    def release(self, slot: Slot) -> None:
        """Give a claim up: the call came to nothing."""
        self._file(slot, "claim").unlink(missing_ok=True)

    def release_all(self, owner: str | None = None) -> None:
        """Take away all claims of a process that has died, or of this one, which has nothing under way any more."""
        for claim in self._folder.glob("*.claim"):
            with contextlib.suppress(FileNotFoundError):  # its owner was faster
                if claim.read_text(encoding="utf-8") == (owner or self._owner):
                    claim.unlink()

    def tidy(self, is_complete: Callable[[str], bool]) -> None:
        """Close the gaps that calls which came to nothing left, and remove old variants after the last new one.

        For the end of a run in which all went well; until then, what is old stays unless something new takes its place.

        Args:
            is_complete: tells of a directory whether the run made all the calls that are recorded there. What is old
                stays there too if it did not: a test that was not run may want it.

        Raises:
            OSError: if a recording cannot be moved or removed.
        """
        recorded: dict[tuple[str, str, str], set[int]] = {}
        for mark in (*self._folder.glob("*.whole"), *self._folder.glob("*.part")):
            slot = Slot(*json.loads(mark.read_text(encoding="utf-8")))
            recorded.setdefault(slot[:3], set()).add(slot.number)
        for (directory, path, key), numbers in recorded.items():
            _tidy(DirectoryStore(Path(directory)), path, key, numbers, keeps_old=not is_complete(directory))

    def _file(self, slot: Slot, kind: str) -> Path:
        digest = hashlib.sha256(f"{slot.directory}\0{slot.key}".encode()).hexdigest()[:32]
        return self._folder / f"{digest}~{slot.number}.{kind}"


def _tidy(store: DirectoryStore, path: str, key: str, numbers: set[int], *, keeps_old: bool) -> None:
    for free, number in enumerate(sorted(numbers), 1):
        data = store.get(path, key, number) if free != number else None
        if data is not None:
            store.put(path, key, free, data, replace=True)
    # From the last one down: if the process dies meanwhile, the numbers still have no gap.
    for number in reversed([*_after(store, path, key, len(numbers))]):
        if keeps_old and number not in numbers:
            return
        store.delete(path, key, number)


def _after(store: DirectoryStore, path: str, key: str, last: int) -> Iterator[int]:
    """Yield the variants after `last`, gaps and all."""
    number = last
    while number < last + 1 + LONGEST_GAP:
        number += 1
        if store.stamp(path, key, number) is not None:
            last = number
            yield number
