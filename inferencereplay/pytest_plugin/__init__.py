"""The pytest plugin: the marker and the fixture `inferencereplay`, options, and a summary.

pytest loads it wherever this package is installed, so it imports neither the SDK nor the modules of a session until a
test asks for a session.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from inferencereplay.errors import InferenceReplayError, InvalidSetting, RecordingNotFound, StoreError, UnusedStub
from inferencereplay.pytest_plugin.configuration import (
    CONFIG,
    MARKER,
    NAME,
    add_options,
    check,
    on_unused,
    rounds_of,
)
from inferencereplay.pytest_plugin.program_sessions import ProgramSessions
from inferencereplay.pytest_plugin.rounds import ROUND, TOLD, Rounds, run_rounds
from inferencereplay.pytest_plugin.state import PROGRAM, STATE, UNIT, State, check_markers, has_recordings, prepare
from inferencereplay.pytest_plugin.summary import summarise
from inferencereplay.pytest_plugin.units import Unit, is_of_plugin, settings_of_fixture, shorten
from inferencereplay.pytest_plugin.unused import delete_unused, doubt, find_unused, holds_all
from inferencereplay.pytest_plugin.used_file import write_used
from inferencereplay.recording.control_characters import visible_lines
from inferencereplay.session.supervision import supervisors

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Sequence

    from inferencereplay.session.session import Session

_log = logging.getLogger(NAME)
MOST_CALLS = 20
"""The newest calls of a failed test that its report shows."""


# Options, markers and fixtures.


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare options."""
    add_options(parser)


def pytest_load_initial_conftests(early_config: pytest.Config) -> None:
    """Let sessions that a `conftest.py` opens when it is imported follow the command line."""
    early_config.stash[PROGRAM] = ProgramSessions(early_config)
    supervisors.append(early_config.stash[PROGRAM])
    early_config.add_cleanup(lambda: _dismiss(early_config.stash[PROGRAM]))


def _dismiss(program: ProgramSessions) -> None:
    if program in supervisors:
        supervisors.remove(program)


def pytest_configure(config: pytest.Config) -> None:
    """Declare the marker, and refuse invalid options."""
    config.addinivalue_line("markers", MARKER)
    check(config)
    state = config.stash[STATE] = State(config)
    if PROGRAM not in config.stash:  # a conftest.py has loaded the plugin
        supervisors.append(state.program)
    _log.addHandler(state.listener)
    if state.guard is not None:
        state.guard.start()
    config.pluginmanager.register(state)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Remove the folder of the run."""
    state = config.stash.get(STATE, None)
    if state:
        state.release_patches()
        _dismiss(state.program)
        if state.guard is not None:
            state.guard.stop()
        _log.removeHandler(state.listener)
    if state and not state.is_worker and Path(state.folder).exists():
        import shutil  # noqa: PLC0415 - only needed after a recording

        shutil.rmtree(state.folder, ignore_errors=True)


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Refuse invalid markers; note that a module is skipped."""
    state = collector.config.stash[STATE]
    if state.is_all and isinstance(collector, pytest.Module):
        report = yield from _collect(state.collecting(collector))
    else:
        report = yield
    if report.skipped:
        state.tally.partial.add("modules were skipped")
    try:
        for node in report.result:
            if isinstance(node, pytest.Item):
                check_markers(node, state)
    except pytest.UsageError as error:
        if not state.is_worker:
            raise
        # What a worker raises while it collects is lost, but not what it reports.
        report.outcome, report.longrepr, report.result = "failed", str(error), []
    return report


def _collect(unit: Unit) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Answer what a module asks when it is imported; a miss is an error of the module, even if it swallows it."""
    unit.open()
    report = yield
    misses = unit.take_misses()
    unit.end()
    if misses and not report.failed:
        report.outcome, report.longrepr, report.result = "failed", str(misses[0]), []
    return report


@pytest.hookimpl(wrapper=True)
def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> Generator[None, bool | None, bool | None]:
    """Note a test file that a `conftest.py`'s `collect_ignore` leaves out."""
    is_ignored = yield
    patterns = config.getini("python_files")
    if is_ignored and any(collection_path.match(pattern) for pattern in patterns):
        config.stash[STATE].tally.absent.add(f"{collection_path.name} was ignored")
    return is_ignored


def pytest_itemcollected(item: pytest.Item) -> None:
    """Prepare a test that is marked where it is written."""
    item.config.stash[STATE].collected.add(item.nodeid)
    prepare(item)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Prepare tests that a `conftest.py` has marked since."""
    state = session.config.stash[STATE]
    if state.collected - {item.nodeid for item in session.items}:
        state.tally.absent.add("tests were left out")  # by a plugin that tells nobody
    state.collected.intersection_update(item.nodeid for item in session.items)
    for item in session.items:
        if not state.is_worker:  # what one raises here is lost; the test itself refuses the marker then
            check_markers(item, state)
        prepare(item)


@pytest.fixture(scope="session")
def inferencereplay_config() -> dict[str, Any]:
    """Options for tests with recordings, by name; override it in a conftest.py, a module or a class, with any scope."""
    return {}


@pytest.fixture
def inferencereplay_upstream() -> str:
    """Return the base URL that `inferencereplay_server` records from; override it where it is another one."""
    return os.environ.get("OPENAI_BASE_URL") or "https://api.openai.com/v1"


@pytest.fixture
def inferencereplay_server(inferencereplay: Session, inferencereplay_upstream: str) -> Iterator[str]:
    """Serve the recordings of this test; this is the base URL for programs, and for clients in other languages."""
    try:
        from inferencereplay.server.application import Application  # noqa: PLC0415 - the extra may not be installed
        from inferencereplay.server.serving import running  # noqa: PLC0415 - as above
    except ImportError as error:
        message = f"inferencereplay_server needs the package {error.name}: pip install 'inferencereplay[serve]'"
        raise pytest.UsageError(message) from error
    application = Application(inferencereplay, keeps_misses=True, upstream=inferencereplay_upstream)
    with running(application) as url:
        yield url
    application.replies.add_up()


# While tests run.


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> bool | None:
    """Run a test as often as its options say."""
    if not has_recordings(item):
        item.config.stash[STATE].release_patches()
        return None
    if not isinstance(item, pytest.Function):
        return None
    try:
        variants, times = rounds_of(item)
    except pytest.UsageError:  # the test itself refuses the marker
        return None
    if not variants and times == 1:
        return None
    rounds = Rounds(variants, times)
    run_rounds(item, nextitem, rounds, UNIT)
    if rounds.is_cut:
        tally = item.config.stash[STATE].tally
        tally.cut.add(item.nodeid)
        tally.partial.add("not all variants were run")
    return True


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(
    fixturedef: pytest.FixtureDef[Any], request: pytest.FixtureRequest
) -> Generator[None, object, object]:
    """Give a fixture that outlives a test a session of its own, for its setup and its teardown."""
    state = request.config.stash[STATE]
    is_ours = fixturedef.argname in (NAME, CONFIG)
    is_wanted = state.is_open or fixturedef in state.fixtures or CONFIG in fixturedef.argnames
    if fixturedef.scope == "function" or is_ours or not is_wanted:
        return (yield)
    unit = _lasting_unit(fixturedef, request)
    if unit is None:
        return (yield)
    state.lasting[fixturedef] = []
    fixturedef.addfinalizer(lambda: state.forget_fixture(fixturedef, unit.session))
    fixturedef.addfinalizer(unit.end)
    try:
        with unit.running():
            value = yield
    except RecordingNotFound as error:
        # The tests that come later get the same error, as from any other fixture that fails.
        fixturedef.cached_result = (None, fixturedef.cache_key(request), (error, error.__traceback__))  # type: ignore[arg-type]
        raise
    fixturedef.addfinalizer(unit.open)  # the first of the finalizers to run, as `end` is the last
    return value


def _lasting_unit(fixturedef: pytest.FixtureDef[Any], request: pytest.FixtureRequest) -> Unit | None:
    """Return the unit of a fixture that outlives a test, or `None` for a plugin's where none can be.

    Fixtures such as `tmp_path_factory` have nothing to record: they must not fail if `recordings` in the root of the
    tests is a file, or llama-stack's directory.
    """
    settings = settings_of_fixture(fixturedef, request)
    try:
        return request.config.stash[STATE].lasting_unit(request._pyfuncitem, settings)  # noqa: SLF001
    except (InvalidSetting, StoreError):
        if not is_of_plugin(fixturedef):
            raise
        return None


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item: pytest.Item) -> Generator[None, object, object]:
    """Fail a test whose fixtures swallowed a miss."""
    state = item.config.stash[STATE]
    state.item = state.program.item = item
    value = yield
    is_missing = UNIT not in item.stash and not item.config.getoption("setupplan", default=False)
    if is_missing and isinstance(item, pytest.Function) and has_recordings(item):
        message = f"{item.nodeid} got its marker too late, while its fixtures were made. "
        raise pytest.UsageError(message + "Mark it where it is written, or while tests are collected.")
    _raise_missed(item)
    return value


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None, object, object]:
    """Close the session of a test after all its fixtures; what these raise comes before a miss that they swallowed."""
    state = item.config.stash[STATE]
    state.note_fixtures(item)
    try:
        value = yield
    except BaseException:
        state.abandon()
        raise
    state.close(item)
    return value


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Fail a test that swallowed a miss, or left a stub unused; the report of a failed test shows its calls."""
    try:
        value = yield
    except BaseException as error:
        unit = item.stash.get(UNIT, None)
        swallowed = [str(miss) for miss in unit.take_misses() if miss is not error] if unit else []
        if swallowed:
            item.add_report_section("call", NAME, "\n\n".join(swallowed))
        if unit:
            unit.session.forget_stubs()
        if unit and unit.session.calls:
            item.add_report_section("call", f"{NAME}: calls", str(unit.session.calls[-MOST_CALLS:]))
        raise
    _raise_missed(item)
    _fail_unused(item)
    return value


def _fail_unused(item: pytest.Item) -> None:
    """Fail a test that asked for fewer answers by hand than it has; no frame of a traceback would explain that."""
    unit = item.stash.get(UNIT, None)
    try:
        if unit:
            unit.session.raise_unused()
    except UnusedStub as error:
        pytest.fail(str(error), pytrace=False)


def _raise_missed(item: pytest.Item) -> None:
    unit = item.stash.get(UNIT, None)
    if unit:
        unit.raise_missed()


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Fail a test that was skipped, or expected to fail, because of a miss; note that skipped tests used nothing."""
    excinfo = call.excinfo
    if (
        excinfo
        and excinfo.errisinstance(InferenceReplayError)
        and not item.config.getoption("fulltrace", default=False)
    ):
        shorten(excinfo.tb)
    report = yield
    unit = item.stash.get(UNIT, None)
    is_xfail = hasattr(report, "wasxfail")
    is_chosen = not is_xfail or (excinfo and excinfo.errisinstance(pytest.xfail.Exception))
    if report.skipped and is_chosen and unit and unit.misses:
        what = "called an expected failure" if is_xfail else "skipped"
        report.outcome = "failed"
        report.longrepr = f"{what} because of a request that was not recorded:\n{unit.misses[0]}"
        vars(report).pop("wasxfail", None)
    elif report.skipped:
        tally = item.config.stash[STATE].tally
        if has_recordings(item):
            tally.partial.add("tests with recordings were skipped")
        else:
            tally.absent.add("tests were skipped")
    guard = item.config.stash[STATE].guard
    if report.failed and guard is not None and guard.blocked:
        report.sections.append((f"{NAME}: kept off the network", ", ".join(guard.blocked)))
    if ROUND in item.stash:
        setattr(report, TOLD, item.stash[ROUND].name)
    state = item.config.stash[STATE]
    state.has_failed |= report.failed
    if call.when == "teardown":
        state.collected.discard(item.nodeid)
        if unit:
            del item.stash[UNIT]  # which would keep the sessions of all tests in memory
        state.settle()
    return report


# The end of a run.


def pytest_deselected(items: Sequence[pytest.Item]) -> None:
    """Note that a selection of tests is run."""
    for item in items:
        state = item.config.stash[STATE]
        state.collected.discard(item.nodeid)
        if has_recordings(item):
            prepare(item)  # a fixture that outlives it has recordings whichever tests are selected
            state.tally.partial.add("tests with recordings were deselected")
        else:
            state.tally.absent.add("tests were deselected")


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Pass the folder of the run to an xdist worker."""
    node.workerinput[NAME] = node.config.stash[STATE].folder


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any, error: object) -> None:
    """Add the counts of an xdist worker; of one that died, release the claims, for which others would wait."""
    state = node.config.stash[STATE]
    counted = getattr(node, "workeroutput", {}).pop(NAME, None)
    if counted is not None:
        state.tally.add(counted)
    elif error:
        state.tally.partial.add("a worker died")
        state.run.release_all(node.gateway.id)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Send the counts to the controller; there, put recordings in order and look for unused ones."""
    state = session.config.stash[STATE]
    state.abandon()
    state.has_failed = exitstatus != pytest.ExitCode.OK
    state.settle()
    if state.is_worker:
        session.config.workeroutput[NAME] = state.tally.dump()  # type: ignore[attr-defined]  # xdist's
        return
    if state.tally.map is not None:
        _write_map(session.config, state)
    if state.collected and not state.tally.partial:  # none are collected where workers run them
        state.tally.partial.add("not all tests were run")
    if state.tally:
        if exitstatus == pytest.ExitCode.OK:
            _tidy(session.config, state)
        if on_unused(session.config) != "ignore":
            state.finding = find_unused(session.config, state.tally, exitstatus)
        if on_unused(session.config) == "delete" and state.finding:
            state.finding = delete_unused(session.config, state.tally, state.finding, state.started)
        _note_used(session.config, state, exitstatus)
        if on_unused(session.config) == "fail" and state.finding and state.finding.files:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED


def _note_used(config: pytest.Config, state: State, exitstatus: int) -> None:
    try:
        write_used(config, state.tally, exitstatus)
    except (OSError, UnicodeDecodeError) as error:
        _log.warning("the names of the used recordings were not written: %s", error)


def _write_map(config: pytest.Config, state: State) -> None:
    file = config.option.inferencereplay_map
    try:
        state.tally.map.write(Path(file))  # type: ignore[union-attr]  # there is one
    except OSError as error:
        _log.warning("--%s-map=%s could not be written: %s", NAME, file, error)


def _tidy(config: pytest.Config, state: State) -> None:
    is_clear = not doubt(config, state.tally, pytest.ExitCode.OK)
    try:
        state.run.tidy(lambda directory: is_clear and holds_all(config, directory))
    except OSError as error:
        _log.warning("old recordings could not be put in order: %s", error)


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Print how often recordings answered, which requests missed and why, and which recordings were not used."""
    state = config.stash[STATE]
    if state.tally:
        terminalreporter.section(NAME)
        treatment, is_fatal = on_unused(config), on_unused(config) == "fail"
        asked = {
            "is_asked": is_fatal or config.option.inferencereplay_unused == "report",
            "is_fatal": is_fatal,
            "is_deleting": treatment == "delete",
        }
        for line in summarise(state.tally, state.finding, **asked):
            terminalreporter.line(visible_lines(line))
