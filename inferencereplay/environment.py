"""The session of a whole process, as `inferencereplay run` opens it, with no change to the program.

`startup/sitecustomize.py` calls `start` once the `openai` package has been imported.
"""

from __future__ import annotations

import atexit
import os
import sys
from typing import TYPE_CHECKING

from inferencereplay.errors import RecordingExpired
from inferencereplay.session import active
from inferencereplay.session.session import Session

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from inferencereplay.errors import RecordingNotFound

USED = "INFERENCEREPLAY_USED"
"""The variable that names the file to which each process adds the names of the recordings that it uses."""


class UsedFile:
    """The file to which each process adds the name of a recording when it first uses it.

    Args:
        file: its path; it need not exist.
    """

    def __init__(self, file: str) -> None:
        self._file = file
        self._is_reported = False

    def add(self, names: Iterable[str]) -> None:
        """Add names. A failure is reported once, and breaks nothing."""
        try:
            with open(self._file, "a", encoding="utf-8", errors="surrogateescape") as opened:  # noqa: PTH123
                opened.write("".join(f"{name}\n" for name in names))  # at once: other processes write as well
        except OSError as error:
            if not self._is_reported:
                print(f"inferencereplay: the used recordings were not noted: {error}", file=sys.stderr)  # noqa: T201
            self._is_reported = True


def start() -> Session:
    """Let the session of the environment answer every client of this process that has no session of its own.

    Raises:
        InvalidSetting: if a variable holds an invalid setting.
        StoreError: if the directory cannot be used.
    """
    from inferencereplay.sdk import patches  # noqa: PLC0415 - imports openai, which is being imported

    session = Session()
    if not session.is_live:
        if file := os.environ.get(USED):
            session.follow_used(UsedFile(file).add)
        patches.acquire(session)
        active.set_for_process(session)
        atexit.register(finish, session, os.getpid())
    return session


def finish(session: Session, process: int) -> None:
    """Store the answers that are under way, and report the misses that the program swallowed.

    Args:
        session: the process's.
        process: the id of the process that it was made for; a forked child does not report its parent's misses.
    """
    session.finish()
    if process != os.getpid():
        return
    if session.unchanged:
        print(f"inferencereplay: {session.recorded} recorded, {session.unchanged} unchanged", file=sys.stderr)  # noqa: T201
    if session.missed and not _is_printed(session.missed[0]):
        print(_summary(session.missed), file=sys.stderr)  # noqa: T201


def _summary(missed: Sequence[RecordingNotFound]) -> str:
    """Describe misses in a few lines: the first one, and where it differs from the nearest recording."""
    first, count = missed[0], len(missed)
    places = ", ".join(line.partition(": ")[0] for line in first.differences)
    lines = (
        line.replace("(recorded → requested) in", f"in {places}.")
        for line in str(first).splitlines()
        if line.strip() not in first.differences
    )
    calls = "1 call was" if count == 1 else f"{count} calls were"
    what = "answered" if any(isinstance(error, RecordingExpired) for error in missed) else "recorded"
    head = f"inferencereplay: {calls} not {what}, and the program went on{'' if count == 1 else '. The first'}:"
    return "\n".join([head, *lines])


def _is_printed(missed: RecordingNotFound) -> bool:
    """Whether the program ends by this very error, which Python has already printed."""
    error = getattr(sys, "last_value", None)
    while error is not None and error is not missed:
        error = error.__cause__ or error.__context__
    return error is missed
