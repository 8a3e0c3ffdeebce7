"""The decorator: a session for each call of a function, whatever kind of function it is."""

from __future__ import annotations

import functools
import inspect
from typing import TYPE_CHECKING, Any, TypeVar

from inferencereplay.errors import InvalidSetting

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Generator

    from inferencereplay.session_scope import SessionScope

_Function = TypeVar("_Function", bound="Callable[..., Any]")


def decorate(function: _Function, open_use: Callable[[], SessionScope]) -> _Function:
    """Make each call of `function` a session of its own.

    A generator's session is open from its first step to its end, so that a fixture or a context manager that is made
    of it answers whoever uses it in between; a coroutine's until it has been awaited.

    Args:
        function: a function, coroutine function or generator, sync or async.
        open_use: makes the session's use.

    Raises:
        InvalidSetting: for anything else.
    """
    if not inspect.isroutine(function) or isinstance(function, (staticmethod, classmethod)):
        message = f"@replay decorates functions and methods, not {function!r} (it goes under @staticmethod)."
        raise InvalidSetting(message)
    if inspect.isasyncgenfunction(function):
        decorated = _async_generator(function, open_use)
    elif inspect.isgeneratorfunction(function):
        decorated = _generator(function, open_use)
    elif inspect.iscoroutinefunction(function):
        decorated = _coroutine(function, open_use)
    else:
        decorated = _plain(function, open_use)
    return functools.wraps(function)(decorated)  # type: ignore[return-value]  # the same signature


def _plain(function: Callable[..., Any], open_use: Callable[[], SessionScope]) -> Callable[..., Any]:
    def decorated(*args: Any, **kwargs: Any) -> Any:
        with open_use() as use, use.running():
            made = function(*args, **kwargs)
        if inspect.iscoroutine(made):  # from a function that is none of `async def` itself
            return _coroutine(lambda: made, open_use)()
        if inspect.isgenerator(made):
            return _generator(lambda: made, open_use)()
        return _async_generator(lambda: made, open_use)() if inspect.isasyncgen(made) else made

    return decorated


def _coroutine(function: Callable[..., Any], open_use: Callable[[], SessionScope]) -> Callable[..., Any]:
    async def decorated(*args: Any, **kwargs: Any) -> Any:
        with open_use() as use, use.running():
            return await function(*args, **kwargs)

    return decorated


def _generator(function: Callable[..., Any], open_use: Callable[[], SessionScope]) -> Callable[..., Any]:
    def decorated(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        with open_use() as use:
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


def _async_generator(function: Callable[..., Any], open_use: Callable[[], SessionScope]) -> Callable[..., Any]:
    async def decorated(*args: Any, **kwargs: Any) -> AsyncIterator[Any]:
        with open_use() as use:
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
