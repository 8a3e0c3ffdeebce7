"""The sessions that the program under test opens itself: `with replay(...)`, `@replay(...)`, `wrap(...)`.

They follow the command line as tests with the marker do, and count in the summary. A `Session` that the program makes
keeps its mode, and is not counted: so a test can expect a miss. Whichever recordings it uses are not unused.
"""

from __future__ import annotations

import functools
import os
import weakref
from pathlib import Path
from typing import TYPE_CHECKING, Any

from inferencereplay.pytest_plugin.configuration import NAME, settings_for_program
from inferencereplay.pytest_plugin.prototypes import skip_altered
from inferencereplay.pytest_plugin.tally import Tally, by_layer
from inferencereplay.pytest_plugin.units import recording_command
from inferencereplay.session import active
from inferencereplay.session.settings import Mode

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import pytest

    from inferencereplay.errors import RecordingNotFound
    from inferencereplay.session.session import Session
    from inferencereplay.store.interface import Store

_COUNTED = ("hits", "recorded", "let_through", "stubbed")


class ProgramSessions:
    """The sessions that a program opens while pytest runs.

    Args:
        config: pytest's, which need not be complete: a `conftest.py` may open a session when it is imported.

    Attributes:
        item: the test that runs, or ran last.
    """

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self.item: pytest.Item | None = None
        self._tally: Tally | None = None
        self._note: Callable[[Store, tuple[str, ...]], None]
        self._unjoined: list[Session] = []
        self._join: Callable[[Session], None] = self._unjoined.append
        self._counted: weakref.WeakKeyDictionary[Session, dict[str, int]] = weakref.WeakKeyDictionary()
        self._told: weakref.WeakKeyDictionary[Session, int] = weakref.WeakKeyDictionary()
        self._held: list[Session] = []  # until they are counted
        self._early: list[tuple[Store, tuple[str, ...]]] = []
        self._misses: list[RecordingNotFound] = []

    def attach(
        self, tally: Tally, join: Callable[[Session], None], note_use: Callable[[Store, tuple[str, ...]], None]
    ) -> None:
        """Begin to count, once pytest is configured.

        Args:
            tally: of this process.
            join: lets a session record together with the others of the run.
            note_use: is called with a store and the names of recordings that are used.
        """
        self._tally, self._join, self._note = tally, join, note_use
        for session in self._unjoined:
            if not session.positions:
                join(session)
                session.follow_used(functools.partial(self._add_use, session.store), each=True)
        self._unjoined.clear()
        for store, names in self._early:
            self._add_use(store, names)
        self._early.clear()

    # As a supervisor.

    def open(self, directory: Any, options: Mapping[str, Any]) -> Session:
        """Make the session that the program asks for; the command line beats what it gives."""
        from inferencereplay.session.session import Session  # noqa: PLC0415 - brings what a session needs

        settings = settings_for_program(self._config, directory, options)
        if self.item is not None:
            skip_altered(settings)
        if settings.get("mode") is Mode.LIVE and settings.get("faults"):
            settings = {name: value for name, value in settings.items() if name not in ("faults", "on")}
        session = Session(**settings)
        if session.is_live and not {"directory", "mode"} & settings.keys():
            return session  # nobody asks for recordings
        session.command = _command(self.item)
        is_own = options.get("mode") is not None and settings["mode"] == options["mode"]
        if session.mode is Mode.RECORD and not is_own:
            self._join(session)
        if session.is_live and self._tally is not None:
            self._tally.partial.add("tests ran live")
        self._counted[session] = dict.fromkeys(_COUNTED, 0)
        self._held.append(session)
        self.meet(session)
        return session

    def meet(self, session: Session) -> None:
        """Note which recordings a session uses."""
        if session not in self._told:
            self._told[session] = 0
            session.follow_used(functools.partial(self._add_use, session.store), each=True)
            self._add_use(session.store, tuple(session.used()))

    def end(self, session: Session) -> None:
        """Count a session whose block ends."""
        if session in self._counted:
            self._count(session)
            self._told[session] = 0  # those that are told are forgotten now

    # For the plugin.

    def settle(self, *, has_failed: bool) -> None:
        """Count what was done since the last time, at the end of a test.

        Args:
            has_failed: whether the test has; the misses of one that passes were expected, and are not counted.
        """
        for session in list(self._counted):
            self._count(session)
        if (outer := active.of_process()) is not None:  # that of `inferencereplay run`
            self.meet(outer)
        self._held.clear()
        misses, self._misses = self._misses, []
        if has_failed and self._tally is not None and misses:
            self._tally.counts["misses"] += len(misses)
            self._tally.add_misses(misses)

    def _count(self, session: Session) -> None:
        before, missed = self._counted[session], session.missed
        self._misses += missed[self._told[session] :]
        self._told[session] = len(missed)
        tally = self._tally
        if tally is None:
            return
        now = {name: getattr(session, name) for name in _COUNTED}
        self._counted[session] = now
        tally.counts.update({name: count - before[name] for name, count in now.items()})
        if now["let_through"] > before["let_through"]:
            tally.partial.add("calls went to the network")
        for directory in by_layer(session.store, ()):
            if Path(directory).is_relative_to(self._config.rootpath):
                tally.used.setdefault(os.path.normpath(directory), set())
        tally.note_use(session.store, session.used())  # what child processes used is told here only

    def _add_use(self, store: Store, names: tuple[str, ...]) -> None:
        if self._tally is None:
            self._early.append((store, names))
        elif names:
            self._note(store, names)


def _command(item: pytest.Item | None) -> Callable[[str], str]:
    if item is None:
        return lambda mode: f"pytest --{NAME}-mode={mode}"
    return functools.partial(recording_command, item)
