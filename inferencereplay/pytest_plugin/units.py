"""Sessions of tests, and of the fixtures that outlive a test.

Calls that a fixture of class, module, package or session scope makes belong to the fixture: it has a session of its
own. Were they the calls of the test that happened to need it first, the numbering of equal calls would depend on which
tests are selected, and on how they are spread over workers.
"""

from __future__ import annotations

import contextlib
import os
import shlex
from typing import TYPE_CHECKING, Any

from inferencereplay.pytest_plugin.configuration import CONFIG, directory_of_environment, settings_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

    import pytest

    from inferencereplay.errors import RecordingNotFound
    from inferencereplay.pytest_plugin.tally import Tally
    from inferencereplay.session.session import Session
    from inferencereplay.session_scope import SessionScope

_INNER = ("inferencereplay", "openai", "wrapt")
SCOPES = ("function", "class", "module", "package", "session")


class Unit:
    """A test or a fixture with its session.

    Args:
        session: its own.
        tally: where it is counted.
        is_test: whether it is a test; a fixture that made no calls is not counted: it may be any plugin's.

    Attributes:
        misses: the misses up to the last time that they were reported.
    """

    def __init__(self, session: Session, tally: Tally, *, is_test: bool) -> None:
        self.session = session
        self.misses: list[RecordingNotFound] = []
        self._tally = tally
        self._is_test = is_test
        self._scope: SessionScope | None = None

    def open(self) -> None:
        """Let the session answer."""
        from inferencereplay.session_scope import SessionScope  # noqa: PLC0415 - not needed before a test is

        scope = SessionScope(self.session)
        scope.__enter__()
        scope.enter()
        self._scope = scope

    def close(self) -> None:
        """End the use of the session.

        Raises:
            RecordingNotFound: for a miss that the program swallowed.
        """
        scope, self._scope = self._scope, None
        if scope is not None:
            self._note()
            scope.__exit__(None, None, None)

    def end(self) -> None:
        """Close it for good, and count it; the error is that of `close`."""
        try:
            self.close()
        finally:
            if self._is_test or (self.session.used() or self.session.misses):
                self._tally.add_session(self.session)

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Let the session answer meanwhile; the error is that of `close`, unless there is another one."""
        self.open()
        try:
            yield
        except BaseException:
            self.take_misses()
            raise
        finally:
            self.close()

    def raise_missed(self) -> None:
        """Raise the first miss since the last time, for the program has swallowed it.

        Raises:
            RecordingNotFound: if there is one.
        """
        self._note()
        self.session.raise_missed()

    def take_misses(self) -> list[RecordingNotFound]:
        """Return the misses since the last time, which are not raised because another error is."""
        self._note()
        taken, self.session.missed = self.session.missed, []
        return taken

    def _note(self) -> None:
        self.misses += self.session.missed
        self._tally.add_misses(self.session.missed)


def settings_of_fixture(fixturedef: pytest.FixtureDef[Any], request: pytest.FixtureRequest) -> dict[str, Any]:
    """Decide the arguments of the session of a fixture that outlives a test.

    Directories are relative to the test file for a fixture of class or module scope, and for a wider one to the file
    that defines it, or to the root of the tests if that is an installed plugin's: it must not matter which test needs
    it first.
    """
    if fixturedef.scope in ("class", "module"):
        home = request.path.parent
    else:
        home = request.config.rootpath / fixturedef.baseid.partition("::")[0]
        home = home.parent if home.is_file() else home
    given = request.getfixturevalue(CONFIG) if _is_configured(fixturedef, request) else None
    return settings_for(request.config, request.node, home, given)


def _is_configured(fixturedef: pytest.FixtureDef[Any], request: pytest.FixtureRequest) -> bool:
    """Whether `inferencereplay_config` may be asked: it lives as long, and is the same whichever test comes first."""
    definitions = request.session._fixturemanager.getfixturedefs(CONFIG, request._pyfuncitem)  # noqa: SLF001
    config = (definitions or [])[-1]
    is_lasting = SCOPES.index(config.scope) >= SCOPES.index(fixturedef.scope)
    return is_lasting and any(_is_above(config.baseid, name) for name in (fixturedef.baseid, request.node.nodeid))


def is_of_plugin(fixturedef: pytest.FixtureDef[Any]) -> bool:
    """Whether neither a test file nor a `conftest.py` defines a fixture."""
    return not fixturedef.baseid and fixturedef.func.__module__.rpartition(".")[2] != "conftest"


def _is_above(upper: str, lower: str) -> bool:
    return upper in ("", ".", lower) or lower.startswith((f"{upper}/", f"{upper}::"))


def shorten(traceback: TracebackType) -> None:
    """Remove this package's frames from an error's traceback, and end it in the program under test.

    What the SDK and this package did after that explains nothing.
    """
    steps = [traceback]
    while (step := steps[-1].tb_next) is not None:
        steps.append(step)
    roots = [step.tb_frame.f_globals.get("__name__", "").partition(".")[0] for step in steps]
    end = max((place for place, root in enumerate(roots) if root not in _INNER), default=0)
    kept = [step for step, root in zip(steps[: end + 1], roots, strict=False) if root != _INNER[0]] or steps[:1]
    for step, following in zip(kept, [*kept[1:], None], strict=True):
        step.tb_next = following


def recording_command(item: pytest.Item | pytest.Collector, mode: str) -> str:
    """Return what records the calls of a test, for the message of a miss."""
    from inferencereplay.session.misses import RUN  # noqa: PLC0415 - for a miss only

    inside = "".join(item.nodeid.partition("::")[1:])
    directory = directory_of_environment() if os.environ.get(RUN) else ""
    run = f"inferencereplay run --dir {shlex.quote(directory)} -- " if directory else ""
    return f"{run}pytest {shlex.quote(os.path.relpath(item.path) + inside)} --inferencereplay-mode={mode}"
