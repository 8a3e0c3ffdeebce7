"""The session of a whole process, as `inferencereplay run` opens it: no line of the program is changed.

`startup/sitecustomize.py` calls `start` once the `openai` package has been imported.
"""

from __future__ import annotations

import atexit
import os
import sys
from typing import TYPE_CHECKING

from inferencereplay.session import active
from inferencereplay.session.session import Session

if TYPE_CHECKING:
    from collections.abc import Iterable

    from inferencereplay.errors import RecordingNotFound

USED = "INFERENCEREPLAY_USED"
"""The variable that names the file to which each process adds the names of the recordings that it uses."""


class UsedFile:
    """The file to which the names of used recordings are added, by every process at the moment of the first use.

    Args:
        file: where it is, or is to be.
    """

    def __init__(self, file: str) -> None:
        self._file = file
        self._is_told = False

    def add(self, names: Iterable[str]) -> None:
        """Add names; that they cannot be written is told once, and harms nobody."""
        try:
            with open(self._file, "a", encoding="utf-8", errors="surrogateescape") as opened:  # noqa: PTH123
                opened.write("".join(f"{name}\n" for name in names))  # at once, for other processes do the same
        except OSError as error:
            if not self._is_told:
                print(f"inferencereplay: the used recordings were not noted: {error}", file=sys.stderr)  # noqa: T201
            self._is_told = True


def start() -> Session:
    """Let what the environment says answer every client of this process that has no session of its own.

    Raises:
        InvalidSetting: if the environment says something that is no setting.
        StoreError: if the directory cannot be used.
    """
    from inferencereplay.sdk import patches  # noqa: PLC0415 - imports openai, which is being imported

    session = Session()
    if not session.is_live:
        if file := os.environ.get(USED):
            session.follow_used(UsedFile(file).add)
        patches.acquire(session)
        active.set_ambient(session)
        atexit.register(finish, session, os.getpid())
    return session


def finish(session: Session, process: int) -> None:
    """Store what is under way, and tell misses that the program swallowed.

    Args:
        session: the process's.
        process: the one that it was made for; a child that was forked off tells nothing of its parent's.
    """
    session.finish()
    if process != os.getpid():
        return
    if session.missed and not _is_told(session.missed[0]):
        count = len(session.missed)
        calls = "1 call was" if count == 1 else f"{count} calls were"
        message = f"inferencereplay: {calls} not recorded, and the program went on. "
        print(f"{message}{'It was:' if count == 1 else 'The first:'}\n{session.missed[0]}", file=sys.stderr)  # noqa: T201


def _is_told(missed: RecordingNotFound) -> bool:
    """Whether the program ends by this very error, which Python has printed then."""
    error = getattr(sys, "last_value", None)
    while error is not None and error is not missed:
        error = error.__cause__ or error.__context__
    return error is missed
