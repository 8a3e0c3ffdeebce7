"""Failed connections: from an exception to what a recording holds of it, and back to the exception."""

from __future__ import annotations

import builtins
import re
import sys
from typing import TYPE_CHECKING, Any

from inferencereplay.recording.format import Cause, Failure

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import NoReturn

_PACKAGES = frozenset(("anyio", "h11", "h2", "httpcore", "socket", "ssl", "trio", "zlib"))
"""Where exceptions that lead to failures come from. Their classes are looked up if the package is there already."""
_ERRNO = re.compile(r"\[Errno (-?\d+)\] (.*)", re.DOTALL)
_MOST_CAUSES = 16


def failure_of(error: BaseException, library: Any) -> Failure:
    """Return what a recording holds of an exception that broke a connection.

    Args:
        error: as the transport raised it.
        library: `httpx2` or `httpx`.
    """
    causes = [Cause(_name(type(below)), str(below), is_context) for below, is_context in _chain(error, library)]
    return Failure(_failure_name(type(error), library), str(error), causes[:_MOST_CAUSES])


def _chain(error: BaseException, library: Any) -> Iterator[tuple[BaseException, bool]]:
    """Yield the exceptions that led to one, and whether each is only the context of the one before.

    The chain ends where the program's own exceptions begin, for a call may be made while one of those is handled.
    """
    seen = {id(error)}
    while True:
        is_context = error.__cause__ is None
        below = error.__context__ if is_context else error.__cause__
        if below is None or id(below) in seen or _lookup(_name(type(below)), library) is None:
            return
        if type(below).__module__ == "builtins" and not isinstance(below, OSError):
            return
        seen.add(id(below))
        yield below, is_context
        error = below


def _failure_name(cls: type, library: Any) -> str:
    """Return the name of the nearest base class that a replay can look up."""
    for base in cls.__mro__:
        name: str = base.__name__
        if issubclass(base, library.RequestError) and getattr(library, name, None) is base:
            return name
        name = _name(base)
        if name and _lookup(name, library) is base:
            return name
    return cls.__name__  # pragma: no cover - `Exception` is known


def _name(cls: type) -> str:
    """Return a class's name after its package's, alike in each version of the HTTP library; empty if it has none."""
    package = cls.__module__.partition(".")[0].replace("httpcore2", "httpcore").replace("_ssl", "ssl")
    if package == "builtins":
        return cls.__name__
    return f"{package}.{cls.__name__}" if package in _PACKAGES else ""


def _lookup(name: str, library: Any) -> type[Exception] | None:
    """Return the class of a name from `_name`, which may come from an edited file; nothing is imported."""
    package, _, own = name.rpartition(".")
    if package and package not in _PACKAGES:
        return None
    if package == "httpcore" and library.__name__ == "httpx2":
        package = "httpcore2"
    cls = getattr(sys.modules.get(package) if package else builtins, own, None)
    return cls if isinstance(cls, type) and issubclass(cls, Exception) else None


def is_known(error: BaseException, library: Any) -> bool:
    """Whether a replay can raise an exception of the same class."""
    return error_class(failure_of(error, library), library) is type(error)


def error_class(failure: Failure, library: Any) -> type[Exception] | None:
    """Look a failure's class up among the HTTP library's own errors and the builtins; `None` if it is not there."""
    cls = getattr(library, failure.type, None)
    if isinstance(cls, type) and issubclass(cls, library.RequestError):
        return cls
    return _lookup(failure.type, library)


def raise_failure(failure: Failure, library: Any, request: Any) -> NoReturn:
    """Raise the exception that broke a connection, after those that led to it.

    Args:
        failure: the recorded failure. An unknown class becomes the HTTP library's `ReadError`.
        library: `httpx2` or `httpx`.
        request: what the connection was for.
    """
    cls: Any = error_class(failure, library) or library.ReadError
    error = None if issubclass(cls, library.RequestError) else make(cls, failure.message)
    if error is None:
        own = cls if issubclass(cls, library.RequestError) else library.ReadError
        error = own(failure.message, request=request)
    below: list[tuple[Exception, bool]] = []
    for cause in failure.causes[:_MOST_CAUSES]:
        known = _lookup(cause.type, library)
        made = None if known is None else make(known, cause.message)
        if made is None:
            break
        below.append((made, cause.is_context))
    _raise(error, below)


def make(cls: type[Exception], message: str) -> Exception | None:
    """Make an exception; `None` for a class that wants other arguments than a text."""
    found = _ERRNO.fullmatch(message) if issubclass(cls, OSError) else None
    try:
        return cls(int(found[1]), found[2]) if found else cls(*[message] * bool(message))
    except Exception:  # noqa: BLE001 - an edited file may name any class
        return None


def _raise(error: Exception, below: list[tuple[Exception, bool]]) -> NoReturn:
    """Raise an exception the way it was: only raising sets its context."""
    if not below:
        raise error
    (cause, is_context), *rest = below
    try:
        _raise(cause, rest)
    except Exception as raised:  # noqa: BLE001 - whichever it is
        raise error from (None if is_context else raised)
