"""One session in use: what is put in place for it, and taken away after it."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

from inferencereplay.locks import make_lock
from inferencereplay.session import active
from inferencereplay.session.settings import Mode

if TYPE_CHECKING:
    from collections.abc import Iterator

    from inferencereplay.session.session import Session

_KEY = "OPENAI_API_KEY"


class SessionScope:
    """One session in use: with the patches and the placeholder key for as long as it is open."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self._activation: active.Activation

    def __enter__(self) -> SessionScope:  # noqa: PYI034 - typing has Self from 3.11 on
        from inferencereplay.sdk import patches  # noqa: PLC0415 - imports openai, which takes 200 ms and more

        patches.acquire()
        supply_placeholder(self.session)
        self._activation = active.activate(self.session)
        self._entered: tuple[active.Activation, ...] = (self._activation,)
        return self

    def __exit__(self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: object) -> None:
        from inferencereplay.sdk import patches  # noqa: PLC0415 - as above

        active.deactivate(self._activation)
        self.session.finish()
        patches.release()
        if self.session.mode is Mode.REPLAY:
            _placeholder.withdraw()
        if exc is None:
            self.session.tell_misses()
        else:
            self.session.forget_misses()

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


class _Placeholder:
    """An API key for clients that are made in `replay` mode on a machine that has none."""

    def __init__(self) -> None:
        self._lock = make_lock()
        self._users = 0
        self._before: str | None = None

    def supply(self) -> None:
        """Put it into the environment if there is none."""
        from inferencereplay.sdk.private import PLACEHOLDER  # noqa: PLC0415 - as above

        with self._lock:
            if not self._users:
                self._before = os.environ.get(_KEY)
            self._users += 1
            if not os.environ.get(_KEY):
                os.environ[_KEY] = PLACEHOLDER

    def withdraw(self) -> None:
        """Take it out again with the last use, if nobody has put another one there."""
        from inferencereplay.sdk import private  # noqa: PLC0415 - as above

        with self._lock:
            self._users -= 1
            if self._users:
                return
            private.forget_placeholder()
            if os.environ.get(_KEY) == private.PLACEHOLDER:
                del os.environ[_KEY]
                if self._before is not None:
                    os.environ[_KEY] = self._before


_placeholder = _Placeholder()


def supply_placeholder(session: Session) -> None:
    """Let clients be made without an API key where no call of theirs reaches the network."""
    if session.mode is Mode.REPLAY:
        _placeholder.supply()
