"""The scope of a session: the patches and the activation, from its beginning to its end."""

from __future__ import annotations

import contextlib
import sys
from typing import TYPE_CHECKING, Any

from inferencereplay.locks import make_lock
from inferencereplay.process_starts import ProcessStarts
from inferencereplay.sdk.import_watcher import ImportWatcher
from inferencereplay.session import active
from inferencereplay.session.settings import Mode
from inferencereplay.session.supervision import supervisors

if TYPE_CHECKING:
    from collections.abc import Iterator

    from inferencereplay.session.child_session import Inherited
    from inferencereplay.session.session import Session

_lock = make_lock()


def current_patches() -> Any:
    """Return the module with the patches of the SDK that the program imports now.

    A program may have removed `openai` from `sys.modules` since the last time, as tests do that isolate modules.
    """
    import openai  # noqa: F401, PLC0415 - takes 200 ms and more

    with _lock:
        from inferencereplay.sdk import patches  # noqa: PLC0415 - imports openai

        return patches if patches.is_current() else patches.renew()


class SessionScope:
    """One session in use, with the patches for as long as it is open."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self._activation = active.Activation(session)
        self._entered: tuple[active.Activation, ...] = (self._activation,)
        self._patches: Any = None

    def __enter__(self) -> SessionScope:  # noqa: PYI034 - typing has Self from 3.11 on
        try:
            self._patches = current_patches()
            self._patches.acquire(self)
            if self.session.is_paced:
                self._patches.prepare()
            _starts.acquire(self)
            active.activate(self._activation)
        except BaseException:  # an interrupt may come between any two steps
            self.close()
            raise
        return self

    def __exit__(self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: object) -> None:
        try:
            self.close()
        except BaseException:
            self.close()  # an interrupt came in between; each step may be repeated
            raise
        if supervisors:
            supervisors[-1].end(self.session)
        if exc is None:
            self.session.raise_missed()
            self.session.raise_unused()
        else:
            self.session.forget_misses()
            self.session.forget_stubs()

    def close(self) -> None:
        """Undo all that `__enter__` did, or may have done when it was interrupted; twice is once."""
        active.deactivate(self._activation)
        if self._patches is None:
            return
        try:
            self.session.finish()
        finally:
            _starts.release(self)
            self._patches.release(self)
            if self.session.mode is Mode.REPLAY:
                self._patches.placeholder.forget()
        self._patches = None

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Let the session answer in this context before all others meanwhile."""
        active.enter(*self._entered)
        try:
            yield
        finally:
            self._entered = active.leave(self._activation)

    def enter(self) -> None:
        """Let the session answer in this context before all others."""
        active.enter(self._activation)

    def is_of_this_context(self) -> bool:
        """Whether it was entered in this context."""
        return active.is_in_context(self._activation)


# The session of a child process that is started anew.


def adopt(inherited: Inherited) -> None:
    """Let the session of the parent answer in this process, from the import of `openai` on."""
    if "openai" in sys.modules:
        _begin(inherited)
        return

    def begin(_: object) -> None:
        watcher.stop()
        _begin(inherited)
        _starts.inherited = None
        _starts.release(watcher)

    _starts.inherited = inherited  # for children that this process starts before
    watcher = ImportWatcher({"openai"}, begin)
    watcher.start()
    _starts.acquire(watcher)


def _begin(inherited: Inherited) -> None:
    from multiprocessing import util  # noqa: PLC0415 - in its child processes only

    from inferencereplay.session.child_session import inherit  # noqa: PLC0415 - as above

    scope = SessionScope(inherit(inherited))
    scope.__enter__()
    scope.enter()
    _adopted.append(scope)
    _finish_at_exit(scope.session)
    util.register_after_fork(scope.session, _finish_at_exit)  # a new process first forgets what it is to do at its end


def _finish_at_exit(session: Session) -> None:
    from multiprocessing import util  # noqa: PLC0415 - as above

    util.Finalize(session, session.finish, exitpriority=10)


_adopted: list[SessionScope] = []
_starts = ProcessStarts(adopt)
