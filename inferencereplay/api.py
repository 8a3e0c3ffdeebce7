"""`wrap`, `unwrap` and `replay`."""

from __future__ import annotations

import contextlib
import functools
import inspect
import logging
import os
import threading
import types
import weakref
from typing import TYPE_CHECKING, Any, TypeVar

from inferencereplay import active
from inferencereplay.errors import InvalidClient, InvalidSetting
from inferencereplay.session import Session
from inferencereplay.settings import Mode, parse_mode, parse_speed

if TYPE_CHECKING:
    import re
    from collections.abc import AsyncIterator, Callable, Generator, Iterable, Iterator

    from inferencereplay.pacing import Clock, Pace
    from inferencereplay.request import JSON

log = logging.getLogger("inferencereplay")

_Client = TypeVar("_Client")
_Function = TypeVar("_Function", bound="Callable[..., Any]")
_FINALIZER = "_inferencereplay_finalizer"
_COPIES = ("copy", "with_options")
_KEY = "OPENAI_API_KEY"


def wrap(  # noqa: PLR0913 - the settings
    client: _Client,
    directory: str | os.PathLike[str] | Session | None = None,
    *,
    mode: Mode | str | None = None,
    speed: float | str | None = None,
    pace: Pace | None = None,
    clock: Clock | None = None,
    ignore: Iterable[str] = (),
    normalize: Callable[[JSON], JSON] | None = None,
    redact: Iterable[str | re.Pattern[str]] = (),
    record_errors: bool = False,
    exhausted: str = "repeat",
    test_id: str | None = None,
) -> _Client:
    """Record or replay the calls of one client.

    Wrapping a client twice is wrapping it once, with the newer settings. Copies made by `client.with_options()` and
    `client.copy()` are wrapped as well.

    Args:
        client: any client of the `openai` package, or the module `openai` for its module-level client.
        directory: where recordings live, or a `Session` to share; without it and a `mode` the environment decides,
            and where that is silent the client is left untouched.
        mode: see `Session`, as for all that follow.
        speed: 1 for the original pace, 10 for ten times faster, `inf` for no waiting.
        pace: the pace of recordings that hold no timing.
        clock: takes the place of real time.
        ignore: dotted paths into the body that do not count.
        normalize: a function from body to body, called before requests are compared.
        redact: regular expressions for secrets, which add to the ones that are known.
        record_errors: whether errors that will pass are stored as well.
        exhausted: what the call after the last variant gets: `"repeat"`, `"error"` or `"record"`.
        test_id: which of a llama-stack directory's recordings of one request to take.

    Returns:
        The same object.

    Raises:
        InvalidClient: if it is no client.
        InvalidSetting: for a setting that is none.
        StoreError: if the directory is a file, or cannot be read.
    """
    target = _target(client)
    settings = {
        "mode": mode,
        "speed": speed,
        "pace": pace,
        "clock": clock,
        "ignore": ignore,
        "normalize": normalize,
        "redact": redact,
        "record_errors": record_errors,
        "exhausted": exhausted,
        "test_id": test_id,
    }
    session = _session(directory, settings)
    if session.is_live:
        _detach(target)
    else:
        _attach(target, session)
    return client


def unwrap(client: _Client) -> _Client:
    """Give a client back as it was before `wrap`; one that is not wrapped stays as it is.

    Raises:
        InvalidClient: if it is no client.
    """
    _detach(_target(client))
    return client


class replay:  # noqa: N801 - used like a function
    """Answer every call of every OpenAI client, made before or inside, from recordings.

    Used as `with replay("recordings") as session:`, as `async with` alike, or as a decorator of functions, coroutine
    functions and generators, where each call is a session of its own. Blocks may be nested and may overlap; the
    innermost of the context answers. In `replay` mode a client can be made without an API key.

    Args:
        directory: where recordings live, or a `Session`.
        mode: see `Session`, as for all that follow.
        speed: 1 for the original pace, 10 for ten times faster, `inf` for no waiting.
        pace: the pace of recordings that hold no timing.
        clock: takes the place of real time.
        ignore: dotted paths into the body that do not count.
        normalize: a function from body to body, called before requests are compared.
        redact: regular expressions for secrets, which add to the ones that are known.
        record_errors: whether errors that will pass are stored as well.
        exhausted: what the call after the last variant gets: `"repeat"`, `"error"` or `"record"`.
        test_id: which of a llama-stack directory's recordings of one request to take.

    Raises:
        InvalidSetting: for a setting that is none.
        StoreError: if the directory is a file, or cannot be read.
        RecordingNotFound: on leaving, if a call was not recorded and the program swallowed the error.
    """

    def __init__(  # noqa: PLR0913 - the settings
        self,
        directory: str | os.PathLike[str] | Session | None = None,
        *,
        mode: Mode | str | None = None,
        speed: float | str | None = None,
        pace: Pace | None = None,
        clock: Clock | None = None,
        ignore: Iterable[str] = (),
        normalize: Callable[[JSON], JSON] | None = None,
        redact: Iterable[str | re.Pattern[str]] = (),
        record_errors: bool = False,
        exhausted: str = "repeat",
        test_id: str | None = None,
    ) -> None:
        if callable(directory):
            message = f"@replay stands bare over {directory!r}. Write @replay() or @replay('recordings')."
            raise InvalidSetting(message)
        if mode is not None:
            parse_mode(mode)
        if speed is not None:
            parse_speed(speed)
        self._directory = directory
        self._settings = {
            "mode": mode,
            "speed": speed,
            "pace": pace,
            "clock": clock,
            "ignore": ignore,
            "normalize": normalize,
            "redact": redact,
            "record_errors": record_errors,
            "exhausted": exhausted,
            "test_id": test_id,
        }
        self._uses: list[_Use] = []

    def __enter__(self) -> Session:
        use = _Use(_session(self._directory, self._settings))
        use.__enter__()
        use.resume()
        self._uses.append(use)
        return use.session

    def __exit__(self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: object) -> None:
        use = next((use for use in reversed(self._uses) if use.is_of_this_context()), self._uses[-1])
        self._uses.remove(use)
        use.pause()
        use.__exit__(exc_type, exc, traceback)

    async def __aenter__(self) -> Session:
        return self.__enter__()

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: object
    ) -> None:
        self.__exit__(exc_type, exc, traceback)

    def __call__(self, function: _Function) -> _Function:
        """Decorate a function: each call of it is a session of its own."""
        if not inspect.isroutine(function) or isinstance(function, (staticmethod, classmethod)):
            message = f"@replay decorates functions and methods, not {function!r}; put it under @staticmethod."
            raise InvalidSetting(message)
        if inspect.isasyncgenfunction(function):
            decorated = self._async_generator(function)
        elif inspect.isgeneratorfunction(function):
            decorated = self._generator(function)
        elif inspect.iscoroutinefunction(function):
            decorated = self._coroutine(function)
        else:
            decorated = self._function(function)
        return functools.wraps(function)(decorated)  # type: ignore[return-value]  # the same signature

    def _again(self) -> replay:
        return replay(self._directory, **self._settings)  # type: ignore[arg-type]  # as they were given

    def _function(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def decorated(*args: Any, **kwargs: Any) -> Any:
            with self._again():
                return function(*args, **kwargs)

        return decorated

    def _coroutine(self, function: Callable[..., Any]) -> Callable[..., Any]:
        async def decorated(*args: Any, **kwargs: Any) -> Any:
            with self._again():
                return await function(*args, **kwargs)

        return decorated

    def _generator(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def decorated(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
            use = _Use(_session(self._directory, self._settings))
            with use:
                generator = function(*args, **kwargs)
                step = functools.partial(next, generator)
                while True:
                    try:
                        with use.running():
                            item = step()
                    except StopIteration as stop:
                        return stop.value
                    try:
                        step = functools.partial(generator.send, (yield item))
                    except GeneratorExit:
                        with use.running():
                            generator.close()
                        raise
                    except BaseException as error:  # noqa: BLE001 - it is thrown into the generator
                        step = functools.partial(generator.throw, error)

        return decorated

    def _async_generator(self, function: Callable[..., Any]) -> Callable[..., Any]:
        async def decorated(*args: Any, **kwargs: Any) -> AsyncIterator[Any]:
            use = _Use(_session(self._directory, self._settings))
            with use:
                generator = function(*args, **kwargs)
                step = functools.partial(generator.asend, None)
                while True:
                    try:
                        with use.running():
                            item = await step()
                    except StopAsyncIteration:
                        return
                    try:
                        step = functools.partial(generator.asend, (yield item))
                    except GeneratorExit:
                        with use.running():
                            await generator.aclose()
                        raise
                    except BaseException as error:  # noqa: BLE001 - it is thrown into the generator
                        step = functools.partial(generator.athrow, error)

        return decorated


class _Use:
    """One session in use: the patches and the placeholder key for as long as it is open, answering while it runs."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self._activation: active.Activation

    def __enter__(self) -> None:
        from inferencereplay import patching  # noqa: PLC0415 - imports openai, which takes 200 ms and more

        patching.acquire()
        if self.session.mode is Mode.REPLAY:
            _placeholder.supply()

    def __exit__(self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: object) -> None:
        from inferencereplay import patching  # noqa: PLC0415 - as above

        patching.release()
        if self.session.mode is Mode.REPLAY:
            _placeholder.withdraw()
        if exc is None:
            self.session.tell_misses()

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Let the session answer meanwhile."""
        self.resume()
        try:
            yield
        finally:
            self.pause()

    def resume(self) -> None:
        """Let the session answer."""
        self._activation = active.activate(self.session)

    def pause(self) -> None:
        """Let it answer no more."""
        active.deactivate(self._activation)

    def is_of_this_context(self) -> bool:
        """Whether it was resumed in this context."""
        return active.is_in_context(self._activation)


class _Placeholder:
    """An API key for clients that are made in `replay` mode on a machine that has none."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users = 0
        self._before: str | None = None

    def supply(self) -> None:
        """Put it into the environment if there is none."""
        with self._lock:
            if not self._users:
                self._before = os.environ.get(_KEY)
            self._users += 1
            if not os.environ.get(_KEY):
                os.environ[_KEY] = _placeholder_key()

    def withdraw(self) -> None:
        """Take it out again with the last use, if nobody has put another one there."""
        with self._lock:
            self._users -= 1
            if self._users or os.environ.get(_KEY) != _placeholder_key():
                return
            if self._before is None:
                del os.environ[_KEY]
            else:
                os.environ[_KEY] = self._before


def _placeholder_key() -> str:
    from inferencereplay.sdk import PLACEHOLDER  # noqa: PLC0415 - as above

    return PLACEHOLDER


_placeholder = _Placeholder()
_announced = threading.Event()


def _session(directory: Any, settings: dict[str, Any]) -> Session:
    if isinstance(directory, Session):
        given = [name for name, value in settings.items() if value not in (None, (), False, "repeat")]
        if given:
            message = f"{', '.join(given)} cannot be given beside a Session, which has its own."
            raise InvalidSetting(message)
        return directory
    session = Session(directory, **settings)
    if session.is_ambient and not _announced.is_set():
        _announced.set()
        log.warning("the environment alone switches to %s from %s", session.mode.value, session.store.directory)
    return session


def _target(client: Any) -> Any:
    from inferencereplay import sdk  # noqa: PLC0415 - as above

    if isinstance(client, types.ModuleType) and client.__name__ == "openai":
        return sdk.module_client()
    if not sdk.is_client(client):
        message = (
            f"{client!r} is no client of the openai package. Give OpenAI(), AsyncOpenAI(), … or the module openai."
        )
        raise InvalidClient(message)
    return client


def _attach(client: Any, session: Session) -> None:
    from inferencereplay import patching  # noqa: PLC0415 - as above

    attributes = client.__dict__
    if active.OWN not in attributes:
        patching.acquire()
        attributes[_FINALIZER] = weakref.finalize(client, patching.release)
        attributes[_FINALIZER].atexit = False
        for name in _COPIES:
            attributes[name] = types.MethodType(_copier(getattr(type(client), name)), client)
    attributes[active.OWN] = session


def _detach(client: Any) -> None:
    attributes = client.__dict__
    if active.OWN in attributes:
        for name in (active.OWN, *_COPIES):
            del attributes[name]
        attributes.pop(_FINALIZER)()


def _copier(method: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(method)
    def copy(client: Any, *args: Any, **kwargs: Any) -> Any:
        made = method(client, *args, **kwargs)
        session = client.__dict__.get(active.OWN)
        if session is not None:
            _attach(made, session)
        return made

    return copy
