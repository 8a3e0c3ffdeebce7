"""The session of a child process, which answers as its parent's does, and tells that what it does.

A forked child has a copy of the parent's session. A spawned one gets the settings, and makes a session of its own.
"""

from __future__ import annotations

import os
import pickle
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from inferencereplay.errors import InvalidSetting
from inferencereplay.recording.format import Provenance
from inferencereplay.session import misses
from inferencereplay.session.child_reports import Reporter
from inferencereplay.session.recorder import Recorder
from inferencereplay.session.run_coordinator import RunCoordinator
from inferencereplay.session.session import Session
from inferencereplay.session.settings import Mode

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from inferencereplay.errors import RecordingNotFound
    from inferencereplay.recording.format import Response
    from inferencereplay.recording.request import Request
    from inferencereplay.session.call import Call
    from inferencereplay.session.decision import LetThrough, Play
    from inferencereplay.session.settings import Options
    from inferencereplay.store.address import Address
    from inferencereplay.stubs.stub import Stub

_MODES = (Mode.RECORD, Mode.RECORD_IF_MISSING)


class Inherited(NamedTuple):
    """What a session of a parent hands to a child process that is started anew.

    Attributes:
        settings: the settings and the answers by hand, pickled; empty if they cannot be.
        obstacle: why they cannot.
        folder: of the parent's `ChildReports`; empty if there is none.
        run: the folder of the run that the session has joined, if it has.
        own_mode: the mode that the parent's program gave as an argument.
        program: the parent's command line, which messages name.
        commands: what records a missing request, by mode, if the session knows it.
    """

    settings: bytes
    obstacle: str
    folder: str
    run: str | None
    own_mode: str | None
    program: tuple[str, ...]
    commands: Mapping[str, str]


def hand_on(session: Session) -> Inherited:
    """Return what a child process needs to answer as a session does."""
    place = session.settings.directory
    absolute = tuple(layer.absolute() for layer in place) if isinstance(place, tuple) else place.absolute()
    settings = session.settings._replace(directory=absolute)._asdict()
    settings["stubs"] = session.stubs()
    pickled, obstacle = b"", ""
    try:
        pickled = pickle.dumps(settings)
    except Exception:  # noqa: BLE001 - whatever an object of the user's raises
        obstacle = _obstacle(settings)
    commands = {mode.value: session.command(mode.value) for mode in _MODES} if session.command else {}
    program = (*(misses.program or sys.orig_argv),)
    return Inherited(
        pickled, obstacle, session.expect_children(), session.run_folder, session.own_mode, program, commands
    )


def _obstacle(settings: dict[str, Any]) -> str:
    """Say which settings cannot be handed to another process."""
    found = []
    for name, value in settings.items():
        try:
            pickle.dumps(value)
        except Exception as error:  # noqa: BLE001, PERF203 - as above
            found.append(f"{name}={value!r} ({error})")
    return (
        f"a child process cannot get the settings of the session that it was started in: {', '.join(found)}. Use an "
        "object that can be pickled, such as a function at the top of a module, or start the process by a fork."
    )


def inherit(inherited: Inherited) -> ChildSession:
    """Make the session of a child process.

    Raises:
        StoreError: if the directory cannot be used.
    """
    misses.program[:] = inherited.program
    obstacle = inherited.obstacle
    settings: dict[str, Any] = {"directory": Path()}
    if inherited.settings:
        try:
            settings = pickle.loads(inherited.settings)  # noqa: S301 - the parent's
        except Exception as error:  # noqa: BLE001 - the user's modules may raise anything
            obstacle = f"a child process cannot read the settings of the session that it was started in: {error!r}"
    settings.pop("from_environment", None)
    stubs = settings.pop("stubs", ())
    session = ChildSession(settings.pop("directory"), **cast("Options", {"mode": Mode.REPLAY, **settings}))
    if stubs:
        session.take_over(stubs)
    session.obstacle = obstacle
    session.own_mode = inherited.own_mode
    session.report(Reporter(inherited.folder))
    if inherited.commands:
        session.command = inherited.commands.__getitem__
    if inherited.run is not None:
        session.join(RunCoordinator(Path(inherited.run), f"child-{os.getpid()}"))
        session.report(session.reporter)
    return session


def become_child(session: Session) -> None:  # pragma: no cover - runs in forked children
    """Let the session of a forked process tell its parent what it does from now on."""
    if type(session) is Session:
        folder = session.expect_children()
        session.__class__ = ChildSession
        session.forget_children()
        session.report(Reporter(folder))  # type: ignore[attr-defined]  # of the class that it has now


class _ChildRecorder(Recorder[Any]):
    """A recorder that tells what it stores."""

    reporter: Reporter

    def _count(self, place: Address, *, recorded: int, unchanged: int) -> None:
        super()._count(place, recorded=recorded, unchanged=unchanged)
        if recorded or unchanged:
            self.reporter.tell("stored", int(recorded), int(unchanged), *self._store.sources(*place))


class ChildSession(Session):
    """A session that tells its parent's what it does; see `Session`.

    Attributes:
        reporter: tells it.
        obstacle: why it cannot answer; empty if it can.
    """

    reporter: Reporter
    obstacle = ""

    def report(self, reporter: Reporter) -> None:
        """Tell what happens from now on."""
        self.reporter = reporter
        self._tell_recorded(self.recorder)
        if self.fault_plan is not None:
            self.fault_plan.tell = lambda place: reporter.tell("fault", place)

    def _tell_recorded(self, recorder: Any) -> None:
        recorder.__class__ = _ChildRecorder
        recorder.reporter = self.reporter

    def expect_children(self) -> str:
        """Return the folder in which its own child processes tell what they do: the parent's."""
        return self.reporter.folder

    def read(self, call: Call, request: Request) -> None:
        """Give a call its request; see `Session.read`.

        Raises:
            InvalidSetting: also if the parent's settings could not be handed on.
        """
        if self.obstacle:
            raise InvalidSetting(self.obstacle)
        super().read(call, request)

    def call(
        self,
        request: Request,
        find_literals: Callable[[], tuple[str, ...]] = tuple,
        find_origin: Callable[[], Provenance] = Provenance,
    ) -> Call:
        """Read a call; see `Session.call`."""
        if self.obstacle:
            raise InvalidSetting(self.obstacle)
        return super().call(request, find_literals, find_origin)

    def hit(self, request: Request, covers: Callable[[Response], bool]) -> Play | None:  # noqa: ARG002 - as `Session`
        """Answer nothing in fewer steps: each hit is told."""
        return None

    def play(self, call: Call, covers: Callable[[Response], bool] | None = None) -> Play | None:
        """Count a call as answered by a recording; see `Session.play`."""
        play = super().play(call, covers)
        if play is not None and play.stub is None:
            self.reporter.tell("hit", *self.store.sources(play.request.path, play.key, play.number))
        return play

    def _follow(self, call: Call) -> Play | None:
        play = super()._follow(call)
        if play is not None:
            self.reporter.tell("hit")
        return play

    def _use(self, place: tuple[str, str, int]) -> None:
        super()._use(place)
        self.reporter.tell("used", *self.store.sources(*place))

    def pass_on(self, call: Call) -> LetThrough:
        """Note a call that goes to the network and is not stored; see `Session.pass_on`."""
        if not self.is_live:
            self.reporter.tell("live")
        return super().pass_on(call)

    def _tell_stub(self, stub: Stub) -> None:
        self.reporter.tell("stub", stub.number)

    def _tell_miss(self, error: RecordingNotFound) -> None:
        self.reporter.tell_miss(error)
