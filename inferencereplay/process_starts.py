"""Child processes of Python's multiprocessing: they take over the session of the block in which they are started.

A forked child has it already. To a child that is started anew (`spawn`, `forkserver`) the process object carries it,
when it is pickled.
"""

from __future__ import annotations

import functools
import os
import sys
from typing import TYPE_CHECKING, Any

from inferencereplay.locks import make_reentrant_lock
from inferencereplay.sdk.import_watcher import ImportWatcher
from inferencereplay.session import active

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

    from inferencereplay.session.child_session import Inherited
    from inferencereplay.session.session import Session

_MODULE = "multiprocessing.process"
_ATTRIBUTE = "_inferencereplay"


class ProcessStarts:
    """The wrapper of `start`, which all processes of multiprocessing are started by, while there are sessions.

    Args:
        adopt: is called in the child, with what `child_session.hand_on` returns; a function at the top of a module.

    Attributes:
        inherited: what this process was handed itself, and has made no session of yet.
    """

    def __init__(self, adopt: Callable[[Any], object]) -> None:
        self.inherited: Inherited | None = None
        self._adopt = adopt
        self._users: set[object] = set()
        self._lock = make_reentrant_lock()
        self._watcher = ImportWatcher({_MODULE}, self._install)
        self._start: Any = None

    def acquire(self, user: object) -> None:
        """Watch starts until `release` is called for the same user."""
        with self._lock:
            self._users.add(user)
            module = sys.modules.get(_MODULE)
            if module is None:
                self._watcher.start()
            elif self._start is None:
                self._install(module)

    def release(self, user: object) -> None:
        """Leave starts alone if this was the last user."""
        with self._lock:
            self._users.discard(user)
            if self._users:
                return
            self._watcher.stop()
            module: Any = sys.modules.get(_MODULE)
            # A wrapper that another library has put over ours keeps it, and ours does nothing without a session.
            if module is not None and self._start is not None and module.BaseProcess.start is self._start:
                module.BaseProcess.start = self._start.__wrapped__
                self._start = None

    def _install(self, module: ModuleType) -> None:
        process_class: Any = module.BaseProcess
        original = process_class.start

        @functools.wraps(original)
        def start(process: Any) -> Any:
            session = active.newest()
            if session is None and self.inherited is None:
                return original(process)
            vars(process)[_ATTRIBUTE] = _Carrier(session, self.inherited, self._adopt)
            try:
                return original(process)
            finally:
                vars(process).pop(_ATTRIBUTE, None)

        self._start = process_class.start = start


class _Carrier:
    """A session on its way to a child process, or what this process was handed itself."""

    def __init__(self, session: Session | None, inherited: Inherited | None, adopt: Callable[[Any], object]) -> None:
        self._session = session
        self._inherited = inherited
        self._adopt = adopt

    def __reduce__(self) -> tuple[Any, ...]:
        from inferencereplay.session.child_session import hand_on  # noqa: PLC0415 - few programs start processes

        return self._adopt, (self._inherited if self._session is None else hand_on(self._session),)


def _expect() -> None:
    """Before a fork: make the folder in which the child tells what it does."""
    for session in active.open_sessions():
        session.expect_children()


def _become_child() -> None:  # pragma: no cover - runs in forked children, whose coverage is not measured
    from inferencereplay.session.child_session import become_child  # noqa: PLC0415 - as above

    for session in active.open_sessions():
        become_child(session)


if hasattr(os, "register_at_fork"):  # pragma: no branch - Windows has no forks
    os.register_at_fork(before=_expect, after_in_child=_become_child)
