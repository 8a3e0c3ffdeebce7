"""The plugin's state in one process of a run, and which tests and fixtures have recordings."""

from __future__ import annotations

import functools
import tempfile
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from inferencereplay.pytest_plugin.configuration import CONFIG, NAME, check_spelling, is_enabled, marked, settings_for
from inferencereplay.pytest_plugin.program_sessions import ProgramSessions
from inferencereplay.pytest_plugin.rounds import ROUND, TOLD, name_report
from inferencereplay.pytest_plugin.tally import Listener, Tally
from inferencereplay.pytest_plugin.units import Unit, is_of_plugin, recording_command

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from inferencereplay.pytest_plugin.network_guard import NetworkGuard
    from inferencereplay.pytest_plugin.prototypes import Prototypes
    from inferencereplay.pytest_plugin.unused import Finding
    from inferencereplay.session.run_coordinator import RunCoordinator
    from inferencereplay.session.session import Session
    from inferencereplay.store.interface import Store


class State:
    """The plugin's state in one process of a run.

    Attributes:
        folder: the folder of the `RunCoordinator`, which the controller names and all workers share.
        fixtures: those that tests with recordings need.
        lasting: the ids of the tests that have used a fixture that outlives them and has a session.
        is_open: whether the session of a test is open.
        session: pytest's, once it has started.
        collected: the ids of the tests that are neither run yet nor deselected.
        started: when the run began, in seconds since 1970.
        item: the test that runs, or ran last.
        has_failed: whether that test has failed up to now.
        is_all: whether tests without a marker have recordings, too.
        guard: what keeps this process off the network, if somebody wants that.
        program: the sessions that the program under test opens itself.
    """

    def __init__(self, config: pytest.Config) -> None:
        given: dict[str, Any] = getattr(config, "workerinput", {})
        self.is_worker = bool(given)
        self.owner: str = given.get("workerid", "main")
        self.folder = given.get(NAME) or str(Path(tempfile.gettempdir(), f"{NAME}-{uuid.uuid4().hex}"))
        self.tally = Tally(is_mapping=config.option.inferencereplay_map is not None)
        self.finding: Finding | None = None
        self.fixtures: set[pytest.FixtureDef[Any]] = set()
        self.names = {NAME}
        self.lasting: dict[pytest.FixtureDef[Any], list[str]] = {}
        self.collected: set[str] = set()
        self.started = time.time()
        self.is_open = False
        self.session: pytest.Session | None = None
        self.item: Any = None
        self.is_all: bool = config.getini(f"{NAME}_all")
        self._patches: Any = None
        self.has_failed = False
        self.guard = self._guard(config)
        self.listener = Listener(self.tally)
        self.program = config.stash.get(PROGRAM, None) or ProgramSessions(config)
        self.program.attach(self.tally, lambda session: session.join(self.run), self.note_use)

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
        is_first = UNIT not in item.stash
        if is_first:
            self.open(item, inferencereplay_config)
        yield item.stash[UNIT].session
        if is_first:
            self.close(item)

    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        """Open the session of a test with recordings that does not ask for the fixture, which takes longer."""
        is_plan = item.config.getoption("setupplan", default=False)
        if has_recordings(item) and not is_plan and not (isinstance(item, pytest.Function) and _asks_for_fixture(item)):
            self.open(item, NOTHING)

    def open(self, item: pytest.Item, given: Any) -> None:
        """Open the session of a test.

        Args:
            item: the test.
            given: what `inferencereplay_config` returns.

        Raises:
            pytest.skip.Exception: in `live` mode, for a test whose faults alter recorded answers.
            pytest.UsageError: for invalid options.
            InvalidSetting: for an invalid setting.
            StoreError: if the directory cannot hold recordings.
        """
        round_ = item.stash.get(ROUND, None)
        defaults = {} if round_ is None or round_.exhausted is None else {"exhausted": round_.exhausted}
        session = self._prototypes.session(item, given, **defaults)
        unit = self._join(item, session, is_test=True)
        if round_ is not None:
            session.begin_at(round_.positions)
        item.stash[UNIT] = unit
        self._hold_patches()
        unit.open()
        self.is_open = True

    def close(self, item: pytest.Item) -> None:
        """Close the session of a test, if it is open.

        Raises:
            RecordingNotFound: for a miss that the program swallowed.
        """
        if not self.is_open:
            return
        self.is_open = False
        unit = item.stash[UNIT]
        try:
            unit.end()
        finally:
            if self.tally.map is not None:
                self.tally.note_test(item.nodeid, unit.session.store, unit.session.used())
            if unit.session.run_folder is not None:
                self.run.release_all()  # this process has no call under way between two tests

    def _guard(self, config: pytest.Config) -> NetworkGuard | None:
        """Return what keeps this process off the network; that which starts workers may have to reach them."""
        is_wanted = config.option.inferencereplay_block_network or config.getini(f"{NAME}_block_network")
        if not is_wanted or (config.getoption("dist", default="no") != "no" and not self.is_worker):
            return None
        from inferencereplay.pytest_plugin.network_guard import NetworkGuard  # noqa: PLC0415 - for this option only

        return NetworkGuard(config.getini(f"{NAME}_allow_hosts"))

    def note_use(self, store: Store, names: Iterable[str]) -> None:
        """Note the recordings that a session of the program uses."""
        self.tally.note_use(store, names)
        if self.item is not None:
            self.tally.note_test(self.item.nodeid, store, names)

    def settle(self) -> None:
        """Count what the program's own sessions did, at the end of a test or of the run."""
        self.program.settle(has_failed=self.has_failed)
        if self.guard is not None:
            self.tally.blocked.update(self.guard.blocked)
            self.guard.blocked.clear()
        self.has_failed = False

    def abandon(self) -> None:
        """Close the session of a test whose end has failed, or was not reached; its misses are counted, not raised."""
        if self.is_open:
            self.item.stash[UNIT].take_misses()
            self.close(self.item)

    def _hold_patches(self) -> None:
        """Leave the SDK patched from one test with recordings to the next."""
        if self._patches is None:
            from inferencereplay.session_scope import current_patches  # noqa: PLC0415 - imports openai

            self._patches = current_patches()
            self._patches.acquire(self)

    def release_patches(self) -> None:
        """Restore the SDK: no test with recordings comes next."""
        if self._patches is not None:
            self._patches.release(self)
            self._patches = None

    @functools.cached_property
    def _prototypes(self) -> Prototypes:
        from inferencereplay.pytest_plugin.prototypes import Prototypes  # noqa: PLC0415 - not before a test needs one

        return Prototypes()

    @functools.cached_property
    def run(self) -> RunCoordinator:
        """Return the coordinator of the run."""
        from inferencereplay.session.run_coordinator import RunCoordinator  # noqa: PLC0415 - brings what a session needs

        return RunCoordinator(Path(self.folder), self.owner)

    def lasting_unit(self, item: pytest.Item | pytest.Collector, settings: dict[str, Any]) -> Unit:
        """Return a session for a fixture that outlives the test that needs it first.

        Raises:
            InvalidSetting: for an invalid setting.
            StoreError: if the directory cannot hold recordings.
        """
        from inferencereplay.pytest_plugin.prototypes import make_session  # noqa: PLC0415 - as above

        return self._join(item, make_session(settings), is_test=False)

    def note_fixtures(self, item: Any) -> None:
        """Note which fixtures that outlive it a test has used; what they use belongs to it, too."""
        if self.tally.map is not None and getattr(item, "_request", None):
            for fixture in item._request._fixture_defs.values():  # noqa: SLF001
                if fixture in self.lasting:
                    self.lasting[fixture].append(item.nodeid)

    def forget_fixture(self, fixture: pytest.FixtureDef[Any], session: Session) -> None:
        """Note what a fixture has used, when it ends, for each test that has used it."""
        for test in self.lasting.pop(fixture, ()):
            self.tally.note_test(test, session.store, session.used())

    def collecting(self, collector: pytest.Module) -> Unit:
        """Return a session for what a module does when it is imported; the errors are those of `lasting_unit`."""
        return self.lasting_unit(collector, settings_for(collector.config, collector, collector.path.parent, None))

    def _join(self, item: pytest.Item | pytest.Collector, session: Session, *, is_test: bool) -> Unit:
        session.command = functools.partial(recording_command, item)
        session.join(self.run)
        return Unit(session, self.tally, is_test=is_test)


NOTHING: dict[str, Any] = {}
"""What `inferencereplay_config` returns unless it is overridden."""
PROGRAM = pytest.StashKey[ProgramSessions]()
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
        if _asks_for_fixture(item):
            item.fixturenames = [NAME, *(name for name in item.fixturenames if name != NAME)]
        found = item._fixtureinfo.name2fixturedefs  # noqa: SLF001
        state.fixtures.update(fixture for fixtures in found.values() for fixture in fixtures)


def _asks_for_fixture(item: Any) -> bool:
    """Whether a test uses our fixture, or has options from an `inferencereplay_config` of its own."""
    names = getattr(item, "fixturenames", ())
    if NAME in names or CONFIG in names:
        return True
    definitions = item.session._fixturemanager.getfixturedefs(CONFIG, item) or ()  # noqa: SLF001
    return any(not is_of_plugin(definition) for definition in definitions)


def has_recordings(item: pytest.Item) -> bool:
    """Whether a test has recordings."""
    is_meant = item.get_closest_marker(NAME) is not None or NAME in getattr(item, "fixturenames", ())
    return (is_meant or item.config.stash[STATE].is_all) and is_enabled(item)
