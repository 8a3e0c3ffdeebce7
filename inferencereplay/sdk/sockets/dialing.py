"""The place where the SDK hands over to the `websockets` package: its `connect` functions.

They are replaced only while the SDK opens a connection, and act differently only in the context that opens it.
"""

from __future__ import annotations

import contextlib
import functools
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, NamedTuple

import websockets.asyncio.client
import websockets.sync.client

from inferencereplay.locks import make_reentrant_lock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_ANSWER = "_inferencereplay_answer"
"""The attribute in which an asynchronous `connect` holds the connection that it returns."""


class Dialer(NamedTuple):
    """What `connect` does.

    Attributes:
        prepare: gets the URI and the options, and returns the options to use; what it raises, `connect` raises.
        answer: the connection that is returned; without one, `connect` makes it.
    """

    prepare: Callable[[str, dict[str, Any]], dict[str, Any]]
    answer: Any = None


class Target(BaseException):
    """What the SDK wants to connect to: it is raised in the place of a connection.

    Attributes:
        uri: the server's, with path and query.
        options: those of `connect`.
    """

    def __init__(self, uri: str, options: dict[str, Any]) -> None:
        self.uri = uri
        self.options = options


_AsyncConnect: Any = websockets.asyncio.client.connect
"""The class that newer versions of the SDK have made a class of their own of, whatever stands in its place later."""
_current: ContextVar[Dialer | None] = ContextVar("inferencereplay_dialer", default=None)
_lock = make_reentrant_lock()
_users = 0
_originals: list[tuple[Any, str, Any, Any]] = []


def find(uri: str, options: dict[str, Any]) -> dict[str, Any]:
    """Raise the target of a connection."""
    raise Target(uri, options)


@contextlib.contextmanager
def dialing(dialer: Dialer) -> Iterator[None]:
    """Let a dialer decide what `connect` does in this context."""
    _install()
    token = _current.set(dialer)
    try:
        yield
    finally:
        _current.reset(token)
        _remove()


def _install() -> None:
    global _users  # noqa: PLW0603 - the places that are patched are one for the process
    with _lock:
        _users += 1
        if _users == 1:
            for owner, name, wrap in _places():
                original = getattr(owner, name)
                made = wrap(original)
                _originals.append((owner, name, original, made))
                setattr(owner, name, made)


def _remove() -> None:
    global _users  # noqa: PLW0603 - as above
    with _lock:
        _users -= 1
        if not _users:
            for owner, name, original, made in _originals:
                if owner.__dict__.get(name) is made:
                    setattr(owner, name, original)
            _originals.clear()


def _places() -> Iterator[tuple[Any, str, Callable[[Any], Any]]]:
    yield websockets.sync.client, "connect", _wrap_connect
    if isinstance(_AsyncConnect, type):  # a test may have put something else in its place
        yield _AsyncConnect, "__init__", _wrap_init
        yield _AsyncConnect, "__await__", _wrap_await


def _wrap_connect(original: Any) -> Any:
    @functools.wraps(original)
    def connect(uri: str, *args: Any, **options: Any) -> Any:
        dialer = _current.get()
        if dialer is None:
            return original(uri, *args, **options)
        options = dialer.prepare(uri, options)
        return original(uri, *args, **options) if dialer.answer is None else dialer.answer

    return connect


def _wrap_init(original: Any) -> Any:
    @functools.wraps(original)
    def initialize(self: Any, uri: str, *args: Any, **options: Any) -> None:
        dialer = _current.get()
        if dialer is not None:
            options = dialer.prepare(uri, options)
            setattr(self, _ANSWER, dialer.answer)
        original(self, uri, *args, **options)

    return initialize


def _wrap_await(original: Any) -> Any:
    @functools.wraps(original)
    def awaited(self: Any) -> Any:
        answer = self.__dict__.get(_ANSWER)
        return original(self) if answer is None else _return(answer).__await__()

    return awaited


async def _return(answer: Any) -> Any:
    return answer
