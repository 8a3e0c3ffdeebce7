"""What child processes tell the session of their parent: a folder with a file for each process, a line for each event.

A line is written at once, for a pool ends its processes by a signal.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import tempfile
import weakref
from typing import Any

from inferencereplay.errors import NotRecordable, RecordingExpired, RecordingNotFound
from inferencereplay.locks import make_lock
from inferencereplay.session.child_counts import ChildCounts

_MISSES = {cls.__name__: cls for cls in (RecordingNotFound, NotRecordable, RecordingExpired)}
_MADE_THERE = "A child process made this call."


class Reporter:
    """Tells what happens in a child process; a failure breaks nothing.

    Args:
        folder: of the parent's `ChildReports`; empty if it could make none.
    """

    def __init__(self, folder: str) -> None:
        self.folder = folder

    def tell(self, kind: str, *facts: Any) -> None:
        """Tell one event: `hit`, `stored`, `miss`, `live`, `stub` or `fault`.

        Args:
            kind: of the event.
            facts: what JSON can hold; of a hit and a recording the names of its files; before those of a
                recording, what it adds to the counts of recordings that were stored, and that are unchanged.
        """
        if not self.folder:
            return
        line = json.dumps([kind, *facts]).encode() + b"\n"
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
        with contextlib.suppress(OSError):
            descriptor = os.open(os.path.join(self.folder, str(os.getpid())), flags, 0o600)  # noqa: PTH118 - at each call
            try:
                os.write(descriptor, line)
            finally:
                os.close(descriptor)

    def tell_miss(self, error: RecordingNotFound) -> None:
        """Tell of a call that was not recorded."""
        self.tell("miss", type(error).__name__, str(error), vars(error))


class ChildReports(ChildCounts):
    """Hears what the child processes of a session tell.

    Attributes:
        folder: where they write; it is removed with this object.

    Raises:
        OSError: if the folder cannot be made.
    """

    def __init__(self) -> None:
        self.folder = tempfile.mkdtemp(prefix="inferencereplay-")
        super().__init__()
        self._heard: dict[str, int] = {}
        self._lock = make_lock()
        weakref.finalize(self, _remove, self.folder, os.getpid())

    def hear(self) -> list[RecordingNotFound]:
        """Count what was told since the last time, and return the misses."""
        missed = []
        with self._lock:
            for line in self._new_lines():
                kind, *facts = json.loads(line)
                if kind == "miss":
                    self.misses += 1
                    missed.append(_error(*facts))
                elif kind in ("fault", "stub"):
                    (self.faults if kind == "fault" else self.stubs)[facts[0]] += 1
                else:
                    if kind == "stored":
                        recorded, unchanged, *facts = facts
                        self.recorded += recorded
                        self.unchanged += unchanged
                    self.hits += kind == "hit"
                    self.let_through += kind == "live"
                    self.used.update(facts)
        return missed

    def _new_lines(self) -> list[bytes]:
        lines: list[bytes] = []
        with contextlib.suppress(OSError):  # somebody has removed the folder
            for entry in os.scandir(self.folder):
                with open(entry.path, "rb") as file:  # noqa: PTH123 - as it is found
                    file.seek(self._heard.get(entry.name, 0))
                    whole = file.read().rpartition(b"\n")[0]
                lines += whole.split(b"\n") if whole else []
                self._heard[entry.name] = self._heard.get(entry.name, 0) + len(whole) + bool(whole)
        return lines


def _error(name: str, message: str, facts: dict[str, Any]) -> RecordingNotFound:
    return _MISSES[name](f"{message}\n{_MADE_THERE}", **{**facts, "differences": tuple(facts["differences"])})


def _remove(folder: str, process: int) -> None:
    if process == os.getpid():  # a forked child has a copy of the object
        shutil.rmtree(folder, ignore_errors=True)
