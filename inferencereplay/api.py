"""`wrap`, `unwrap` and `replay`."""

from __future__ import annotations

import functools
import logging
import threading
import types
import weakref
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, TypeVar

from inferencereplay.errors import InvalidClient, InvalidSetting
from inferencereplay.session import active
from inferencereplay.session.session import Session
from inferencereplay.session.settings import DEFAULTS, list_options, parse_options
from inferencereplay.session.supervision import supervisors
from inferencereplay.session_scope import SessionScope, current_patches

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from typing_extensions import Unpack

    from inferencereplay.session.settings import Directory, Options

log = logging.getLogger("inferencereplay")

_Client = TypeVar("_Client")
_Function = TypeVar("_Function", bound="Callable[..., Any]")
_HOLD = "_inferencereplay_hold"
_COPIES = ("copy", "with_options")


@list_options
def wrap(client: _Client, directory: Directory | Session | None = None, **options: Unpack[Options]) -> _Client:
    """Record or replay the calls of one client.

    Wrapping a client twice is wrapping it once, with the newer settings. Copies made by `client.with_options()` and
    `client.copy()` are wrapped as well.

    Args:
        client: any client of the `openai` package, or the module `openai` for its module-level client.
        directory: where recordings live, a list of several places, or a `Session` to share; without it and a `mode`
            the environment decides, and without variables the client is left untouched. So it is in `live` mode, unless
            a `Session` is given.
        options: the settings that `Session` describes.

    Returns:
        The same object.

    Raises:
        InvalidClient: if it is no client.
        InvalidSetting: for an invalid setting.
        StoreError: if the directory is a file, or cannot be read, in `replay` mode.

    Example:
        >>> client = wrap(OpenAI(api_key="none"), "recordings", mode="replay")
        >>> client.chat.completions.create(**ask).choices[0].message.content
        'The capital of France is Paris.'
    """
    target = _target(client)
    session = _session(directory, options)
    if session.is_live and session is not directory:
        _detach(target)
    else:
        _attach(target, session)
    return client


def unwrap(client: _Client) -> _Client:
    """Restore a client to what it was before `wrap`; one that is not wrapped is not changed.

    Returns:
        The same object.

    Raises:
        InvalidClient: if it is no client.

    Example:
        >>> client = wrap(OpenAI(api_key="none"), "recordings")
        >>> unwrap(client) is client
        True
    """
    _detach(_target(client))
    return client


def current_session(client: Any = None) -> Session | None:
    """Return the session that answers the calls made here, for code that did not open it, such as a decorated function.

    Args:
        client: whose calls are meant; without one, those of a client that `wrap` has given no session of its own.

    Returns:
        The session; `None` where calls go to the network without one.

    Raises:
        InvalidClient: if it is no client.

    Example:
        >>> @replay("recordings")
        ... def capital():
        ...     answer = OpenAI().chat.completions.create(**ask)
        ...     return current_session().hits
        >>> capital()
        1
    """
    return active.session_for(_NOBODY if client is None else _target(client))


_NOBODY = types.SimpleNamespace()


class replay:  # noqa: N801 - used like a function
    """Answer every call of every OpenAI client, made before or inside, from recordings.

    Used as `with replay("recordings") as session:`, as `async with` alike, or as a decorator of functions, coroutine
    functions and generators, where each call is a session of its own. Blocks may be nested and may overlap; the
    innermost of the context answers. In `replay` mode `OpenAI()` and `AsyncOpenAI()` can be made without an API key.

    Args:
        directory: where recordings live, a list of several places, or a `Session`; without it and a `mode` the
            environment decides, and without variables calls go to the network.
        options: the settings that `Session` describes.

    Raises:
        InvalidSetting: for an invalid setting.
        StoreError: if the directory is a file, or cannot be read, in `replay` mode.
        RecordingNotFound: on leaving, if a call was not recorded and the program swallowed the error.

    Example:
        >>> with replay("recordings") as session:
        ...     answer = OpenAI().chat.completions.create(**ask)
        >>> answer.choices[0].message.content, session.hits
        ('The capital of France is Paris.', 1)

        >>> @replay("recordings")
        ... async def capital():
        ...     answer = await AsyncOpenAI().chat.completions.create(**ask)
        ...     return answer.choices[0].message.content
        >>> asyncio.run(capital())
        'The capital of France is Paris.'
    """

    @list_options
    def __init__(self, directory: Directory | Session | None = None, **options: Unpack[Options]) -> None:
        if callable(directory) or isinstance(directory, classmethod):
            message = f"`@replay` needs parentheses over {directory!r}: write `@replay('recordings')` or `@replay()`."
            raise InvalidSetting(message)
        self._directory = _repeatable(directory)
        self._options = {name: _repeatable(value) for name, value in options.items()}
        parse_options(self._options)
        self._scopes: list[SessionScope] = []

    def __enter__(self) -> Session:
        scope = self._scope()
        try:
            scope.__enter__()
            scope.enter()
            self._scopes.append(scope)
        except BaseException:  # an interrupt may come between any two steps
            scope.close()
            raise
        return scope.session

    def __exit__(self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: object) -> None:
        scope: SessionScope | None = None
        try:
            scope = self._innermost()
            scope.__exit__(exc_type, exc, traceback)
        finally:
            scope = scope or self._innermost()
            scope.close()  # for an interrupt before `scope.__exit__`
            self._scopes.remove(scope)

    def _innermost(self) -> SessionScope:
        for scope in reversed(self._scopes):
            if scope.is_of_this_context():
                return scope
        return self._scopes[-1]

    async def __aenter__(self) -> Session:
        return self.__enter__()

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: object
    ) -> None:
        self.__exit__(exc_type, exc, traceback)

    def __call__(self, function: _Function) -> _Function:
        """Decorate a function: each call of it is a session of its own."""
        from inferencereplay.decorator import decorate  # noqa: PLC0415 - imports wrapt

        return decorate(function, self._scope)

    def _scope(self) -> SessionScope:
        return SessionScope(_session(self._directory, self._options))


_announced = threading.Event()


def _session(directory: Any, options: Mapping[str, Any]) -> Session:
    if isinstance(directory, Session):
        given = [name for name, value in options.items() if value is not DEFAULTS.get(name)]
        if given:
            message = f"{', '.join(given)} cannot be given beside a Session, which has its own."
            raise InvalidSetting(message)
        session = directory
        if supervisors:
            supervisors[-1].meet(session)
    else:
        session = supervisors[-1].open(directory, options) if supervisors else Session(directory, **options)
    if session.from_environment and not _announced.is_set():
        _announced.set()
        log.warning("the environment alone switches to %s from %s", session.mode.value, session.store.directory)
    return session


def _repeatable(value: Any) -> Any:
    """Return what an iterator yields as a tuple, for more than one session is made with it."""
    return tuple(value) if isinstance(value, Iterator) else value


def _target(client: Any) -> Any:
    private = current_patches().private
    if isinstance(client, types.ModuleType) and client.__name__ == "openai":
        return private.module_client()
    if not private.is_client(client):
        message = (
            f"{client!r} is no client of the openai package. Give OpenAI(), AsyncOpenAI(), … or the module openai."
        )
        raise InvalidClient(message)
    return client


class _Hold:
    """Keeps the patches on for as long as a client, or a shallow copy of it, is wrapped.

    Attributes:
        copies: what the client itself, and not its class, had under the names of the methods that copy it.
    """

    copies: dict[str, Any]


def _attach(client: Any, session: Session) -> None:
    attributes = client.__dict__
    if active.OWN not in attributes:
        patches, user = current_patches(), object()
        attributes[_HOLD] = hold = _Hold()
        weakref.finalize(hold, patches.release, user).atexit = False
        patches.acquire(user)
        if session.is_paced:
            patches.prepare()
        patches.repair(client)
        hold.copies = {name: attributes[name] for name in _COPIES if name in attributes}
    for name in _COPIES:
        copier = _copier(getattr(type(client), name), attributes[_HOLD].copies.get(name))
        attributes[name] = types.MethodType(copier, client)
    attributes[active.OWN] = session


def _detach(client: Any) -> None:
    attributes = client.__dict__
    if active.OWN in attributes:
        for name in (active.OWN, *_COPIES):
            del attributes[name]
        attributes.update(attributes.pop(_HOLD).copies)


def _copier(method: Callable[..., Any], own: Callable[..., Any] | None) -> Callable[..., Any]:
    @functools.wraps(method)
    def copy(client: Any, *args: Any, **kwargs: Any) -> Any:
        made = method(client, *args, **kwargs) if own is None else own(*args, **kwargs)
        session = client.__dict__.get(active.OWN)
        if session is not None:
            _attach(made, session)
        return made

    return copy
