"""The coordination of a run: which of its sessions, in one process or several, records which call.

A test run has many sessions, one for each test. Without coordination, each of them would record the same requests anew
and replace the answers that the tests before it have seen. In a run, the n-th equal call of every session gets one and
the same answer, which the server is asked for once.

The processes of the run share a temporary folder. For the n-th variant of a key it holds

- a **claim**, while a process asks the server: a file that only one process can link into place, with its owner's name;
- a **mark**, once the answer is stored: it names the recording, and is renamed into place, whole or not at all.

A call looks for the mark and, if there is one, is answered from the recording. If not, it tries for the claim. With the
claim it looks for the mark once more, for it may have been set in between, and then goes to the network. Without it, it
waits and begins again; by then the mark is there, or the other call failed and the claim is free. So two workers that
make the equal request at the same moment record it once, and both get that answer.

A call does not wait for a process that has died: the owner's name is the file of its liveness lock
(`store/liveness.py`), and the next call that finds the claim of a dead owner removes it. On file systems without locks,
the process that started the others does so (`release_all`). No call waits for ever, as two tests would that each hold a
stream open and ask for the other's: after `PATIENCE` a call goes to the network. The waiting itself is left to the
caller, because `def` and `async def` wait differently.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import secrets
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, cast

from inferencereplay.locks import make_lock
from inferencereplay.recording.format import is_whole
from inferencereplay.session.variant_files import VariantFiles
from inferencereplay.store.atomic_write import link, written
from inferencereplay.store.folder_lock import locked
from inferencereplay.store.liveness import LivenessLock, is_alive
from inferencereplay.store.location import located
from inferencereplay.store.opening import open_store

if TYPE_CHECKING:
    from collections.abc import Callable

    from inferencereplay.store.interface import WritableStore

PATIENCE = 120.0
"""Seconds that a call waits for another session's equal call."""
PAUSE = 0.01
"""Seconds between two attempts of a waiting call."""


class RunAddress(NamedTuple):
    """The place of a recording among all directories of a run: the directory, links followed, path, key and number."""

    directory: str
    path: str
    key: str
    number: int


class RunCoordinator:
    """The claims and marks of a run.

    Args:
        folder: the same for all of its processes, and no other run's; it need not exist yet.
        owner: this process's name, which no other of the run has but those that it forks.
    """

    def __init__(self, folder: Path, owner: str = "main") -> None:
        self._folder = folder
        self._owner = owner
        self._lock = make_lock()
        self._life: LivenessLock | None = None

    @property
    def folder(self) -> str:
        """The folder that the processes of the run share."""
        return str(self._folder)

    def has(self, address: RunAddress) -> bool:
        """Whether the run has a complete recording at an address."""
        return os.path.exists(self._file(address, "whole"))  # noqa: PTH110 - also where one may not look

    def forget(self, address: RunAddress) -> None:
        """Remove the mark of a recording that exists no more."""
        with contextlib.suppress(OSError):
            self._file(address, "whole").unlink()

    def claim(self, address: RunAddress, *, takes_over: bool = False) -> bool:
        """Claim a recording; return `False` if another call has claimed it, or has recorded it meanwhile.

        Args:
            address: the recording that is to be made.
            takes_over: whether to replace the claim of another call.

        Raises:
            OSError: if the claim cannot be written.
        """
        claim = self._file(address, "claim")
        if not self._write(claim, self._name(), replaces=takes_over):
            self._remove_dead(claim)
            return False
        if self.has(address):
            self.release(address)
            return False
        return True

    def settle(self, address: RunAddress, *, is_whole: bool) -> None:
        """Mark a recording as stored, and release its claim; the next equal call records an incomplete one again.

        Raises:
            OSError: if the mark cannot be written; the claim is released all the same.
        """
        try:
            self._write(self._file(address, "whole" if is_whole else "part"), json.dumps(address), replaces=True)
        finally:
            self.release(address)

    def release(self, address: RunAddress) -> None:
        """Release a claim, unless another process has taken it over."""
        self._remove(self._file(address, "claim"), lambda name: name == self._name())

    def release_all(self, owner: str | None = None) -> None:
        """Release all claims of a process that has died, or of this one, which has no call under way."""
        for claim in self._folder.glob("*.claim"):
            self._remove(claim, lambda name: name.rpartition("~")[0] == owner if owner else name == self._name())

    def tidy(self, is_complete: Callable[[str], bool]) -> None:
        """Close the gaps that failed calls left, and remove old variants after the last new one.

        It is for the end of a run that passed; until then, old recordings stay unless new ones replace them.

        Args:
            is_complete: returns whether the run made all the calls that are recorded in a directory. If it did not,
                old recordings stay there: a test that was not run may want them.

        Raises:
            OSError: if a recording cannot be moved or removed.
        """
        recorded: dict[tuple[str, str, str], dict[int, bool]] = {}
        for kind in ("part", "whole"):
            for mark in self._folder.glob(f"*.{kind}"):
                address = RunAddress(*json.loads(mark.read_text(encoding="utf-8")))
                recorded.setdefault(address[:3], {})[address.number] = kind == "whole"
        for (directory, path, key), numbers in recorded.items():
            store = cast("WritableStore", open_store(located(directory)))
            files = VariantFiles(store, path, key, replaces=True, is_whole=is_whole)
            files.close_up({number: files.holds(number, is_whole=numbers[number]) for number in numbers})
            if any(numbers.values()) and is_complete(directory):
                # From the last one down: if the process dies meanwhile, the numbers still have no gap.
                for number in sorted(files.stamps().keys() - {*range(len(numbers) + 1)}, reverse=True):
                    files.delete(number)

    def _file(self, address: RunAddress, kind: str) -> Path:
        digest = hashlib.sha256(os.fsencode(f"{address.directory}\0{address.key}")).hexdigest()[:32]
        return self._folder / f"{digest}~{address.number}.{kind}"

    def _name(self) -> str:
        """Return the name of this process's liveness lock, which its claims hold."""
        with self._lock:
            if self._life is None or self._life.process != os.getpid():
                self._folder.mkdir(parents=True, exist_ok=True)
                self._life = LivenessLock(str(self._folder / f"{self._owner}~{secrets.token_hex(8)}.life"))
            return Path(self._life.file).name

    def _write(self, file: Path, text: str, *, replaces: bool) -> bool:
        """Write a file whole or not at all; `False` if it is there and not to be replaced."""
        self._folder.mkdir(parents=True, exist_ok=True)
        temporary = str(self._folder / f"{secrets.token_hex(8)}.tmp")
        with written(temporary, text.encode(), is_synced=False):
            if not replaces:
                return link(temporary, str(file))
            os.replace(temporary, file)  # noqa: PTH105
            return True

    def _remove_dead(self, claim: Path) -> None:
        """Remove a claim if its owner is dead; under a lock, because another process may claim it meanwhile."""

        def is_dead(name: str) -> bool:
            return not is_alive(str(self._folder / name))

        with contextlib.suppress(OSError):
            if is_dead(claim.read_text(encoding="utf-8")):
                with locked(str(self._folder)):
                    self._remove(claim, is_dead)

    @staticmethod
    def _remove(claim: Path, is_meant: Callable[[str], bool]) -> None:
        """Remove a claim if `is_meant` accepts its owner. One that cannot be removed makes other calls wait."""
        with contextlib.suppress(OSError):
            if is_meant(claim.read_text(encoding="utf-8")):
                claim.unlink()
