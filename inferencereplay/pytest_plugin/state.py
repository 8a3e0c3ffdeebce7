"""The plugin's state in one process of a run, and which tests and fixtures have recordings."""

from __future__ import annotations

import functools
import tempfile
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from inferencereplay.pytest_plugin.configuration import NAME, check_spelling, marked, settings_for
from inferencereplay.pytest_plugin.rounds import ROUND, TOLD, name_report
from inferencereplay.pytest_plugin.tally import Listener, Tally
from inferencereplay.pytest_plugin.units import Unit, recording_command
from inferencereplay.session.settings import Mode

if TYPE_CHECKING:
    from collections.abc import Iterator

    from inferencereplay.pytest_plugin.unused import Finding
    from inferencereplay.session.run_coordinator import RunCoordinator
    from inferencereplay.session.session import Session


class State:
    """The plugin's state in one process of a run.

    Attributes:
        folder: the folder of the `RunCoordinator`, which the controller names and all workers share.
        fixtures: those that tests with recordings need.
        is_open: whether the session of a test is open.
        session: pytest's, once it has started.
        item: the test that runs.
    """

    def __init__(self, config: pytest.Config) -> None:
        given: dict[str, Any] = getattr(config, "workerinput", {})
        self.is_worker = bool(given)
        self.owner: str = given.get("workerid", "main")
        self.folder = given.get(NAME) or str(Path(tempfile.gettempdir(), f"{NAME}-{uuid.uuid4().hex}"))
        self.tally = Tally()
        self.finding: Finding | None = None
        self.fixtures: set[pytest.FixtureDef[Any]] = set()
        self.names = {NAME}
        self.is_open = False
        self.session: pytest.Session | None = None
        self.item: Any = None
        self.listener = Listener(self.tally)

    def pytest_sessionstart(self, session: pytest.Session) -> None:
        """Remember pytest's session."""
        self.session = session

    def pytest_keyboard_interrupt(self) -> None:
        """Note that the run was stopped, with whatever exit status: `pytest.exit` can give 0."""
        self.tally.partial.add("the run was stopped")

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Name the report of a test that runs several times."""
        name = getattr(report, TOLD, "")
        if name and not self.is_worker:
            name_report(report, name)
            if self.session and report.when == "setup":
                self.session.testscollected += 1  # or pytest's progress would pass 100 %

    @pytest.fixture
    def inferencereplay(self, inferencereplay_config: dict[str, Any]) -> Iterator[Session]:
        """Answer the OpenAI calls of this test from recordings; this is the inferencereplay.Session that does it."""
        item = self.item  # not that of a `request`, which takes pytest as long to make as the session takes to open
        settings = settings_for(item.config, item, item.path.parent, inferencereplay_config)
        if settings["mode"] is Mode.LIVE and settings.get("faults"):
            pytest.skip("its faults alter recorded answers, and this run is live")
        unit = item.stash[UNIT] = self.unit(item, settings)
        unit.open()
        self.is_open = True
        yield unit.session
        self.is_open = False
        try:
            unit.end()
        finally:
            self.run.release_all()  # this process has no call under way between two tests

    @functools.cached_property
    def run(self) -> RunCoordinator:
        """Return the coordinator of the run."""
        from inferencereplay.session.run_coordinator import RunCoordinator  # noqa: PLC0415 - brings what a session needs

        return RunCoordinator(Path(self.folder), self.owner)

    def unit(self, item: pytest.Item, settings: dict[str, Any], *, is_test: bool = True) -> Unit:
        """Return a session for a test, or for a fixture that a test needs.

        Raises:
            InvalidSetting: for an invalid setting.
            StoreError: if the directory cannot hold recordings.
        """
        from inferencereplay.session.session import Session  # noqa: PLC0415 - brings what a session needs

        if settings["mode"] is Mode.LIVE:  # a test with faults is skipped, and a fixture does without
            settings = {name: value for name, value in settings.items() if name not in ("faults", "on")}
        round_ = item.stash.get(ROUND, None) if is_test else None
        if round_ is not None and round_.exhausted is not None:
            settings = {"exhausted": round_.exhausted, **settings}
        session = Session(**settings)
        session.command = functools.partial(recording_command, item)
        session.join(self.run)
        if round_ is not None:
            session.begin_at(round_.positions)
        return Unit(session, self.tally, is_test=is_test)


STATE = pytest.StashKey[State]()
UNIT = pytest.StashKey[Unit]()


def check_markers(item: pytest.Item, state: State) -> None:
    """Refuse invalid markers.

    Raises:
        pytest.UsageError: for a slip in the marker's options or its name.
    """
    marked(item)
    for mark in item.iter_markers():
        if mark.name not in state.names:
            state.names.add(mark.name)
            check_spelling(mark.name, item.config)


def prepare(item: pytest.Item) -> None:
    """Open the session of a test before its other fixtures are made, and note which fixtures it needs."""
    state = item.config.stash[STATE]
    if has_recordings(item) and isinstance(item, pytest.Function):
        item.fixturenames = [NAME, *(name for name in item.fixturenames if name != NAME)]
        found = item._fixtureinfo.name2fixturedefs  # noqa: SLF001
        state.fixtures.update(fixture for fixtures in found.values() for fixture in fixtures)


def has_recordings(item: pytest.Item) -> bool:
    """Whether a test has recordings."""
    return item.get_closest_marker(NAME) is not None or NAME in getattr(item, "fixturenames", ())
