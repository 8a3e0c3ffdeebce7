"""The decorator `@replay(...)`: a session for each call of a function of any kind."""

from __future__ import annotations

import functools
import inspect
import types
from typing import TYPE_CHECKING, Any, TypeVar

import wrapt

from inferencereplay.errors import InvalidSetting

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Generator

    from inferencereplay.session_scope import SessionScope

    _OpenScope = Callable[[], SessionScope]

_Function = TypeVar("_Function", bound="Callable[..., Any]")


class _Decorated(wrapt.FunctionWrapper):  # type: ignore[type-arg]  # generic since wrapt 2 only
    """A decorated function, which is bound, pickled and copied as a function is."""

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        return self if instance is None else types.MethodType(self, instance)

    def __reduce_ex__(self, protocol: Any) -> str:
        return self.__qualname__

    def __copy__(self) -> _Decorated:
        return self

    def __deepcopy__(self, memo: Any) -> _Decorated:
        return self


def decorate(function: _Function, open_scope: _OpenScope) -> _Function:
    """Return a function that opens a session for each of its calls.

    The session of a generator is open from its first step to its end, so that a fixture or a context manager made of
    the generator answers the calls of its user in between. The session of a coroutine is open while the coroutine runs.

    Args:
        function: a function, coroutine function, generator function or asynchronous generator function; a static method
            or a class method of any of these.
        open_scope: returns the scope of a new session.

    Raises:
        InvalidSetting: for any other object.
    """
    if isinstance(function, (staticmethod, classmethod)):
        decorated: Any = type(function)(decorate(function.__func__, open_scope))
        return decorated  # type: ignore[no-any-return]  # of the same type
    if not (inspect.isroutine(function) and callable(function)):
        message = f"`@replay(...)` decorates functions and methods, not {function!r}."
        raise InvalidSetting(message)
    if inspect.isasyncgenfunction(function):
        handler: Callable[..., Any] = _async_generator
    elif inspect.isgeneratorfunction(function):
        handler = _generator
    elif inspect.iscoroutinefunction(function):
        handler = _coroutine
    else:
        handler = _plain
    return _Decorated(function, functools.partial(handler, open_scope))  # type: ignore[return-value]  # it acts like it


def _plain(open_scope: _OpenScope, function: Any, _: Any, args: Any, kwargs: Any) -> Any:
    with open_scope() as scope, scope.running():
        made = function(*args, **kwargs)
    if inspect.iscoroutine(made):  # from a function that is not an `async def` itself
        return _coroutine(open_scope, lambda: made, None, (), {})
    if inspect.isgenerator(made):
        return _generator(open_scope, lambda: made, None, (), {})
    return _async_generator(open_scope, lambda: made, None, (), {}) if inspect.isasyncgen(made) else made


async def _coroutine(open_scope: _OpenScope, function: Any, _: Any, args: Any, kwargs: Any) -> Any:
    with open_scope() as scope, scope.running():
        return await function(*args, **kwargs)


def _generator(open_scope: _OpenScope, function: Any, _: Any, args: Any, kwargs: Any) -> Generator[Any, Any, Any]:
    with open_scope() as scope:
        generator = function(*args, **kwargs)
        step = functools.partial(next, generator)
        while True:
            try:
                with scope.running():
                    item = step()
            except StopIteration as stop:
                return stop.value
            try:
                step = functools.partial(generator.send, (yield item))
            except GeneratorExit:
                with scope.running():
                    generator.close()
                raise
            except BaseException as error:  # noqa: BLE001 - it is thrown into the generator
                step = functools.partial(generator.throw, error)


async def _async_generator(open_scope: _OpenScope, function: Any, _: Any, args: Any, kwargs: Any) -> AsyncIterator[Any]:
    with open_scope() as scope:
        generator = function(*args, **kwargs)
        step = functools.partial(generator.asend, None)
        while True:
            try:
                with scope.running():
                    item = await step()
            except StopAsyncIteration:
                return
            try:
                step = functools.partial(generator.asend, (yield item))
            except GeneratorExit:
                with scope.running():
                    await generator.aclose()
                raise
            except BaseException as error:  # noqa: BLE001 - it is thrown into the generator
                step = functools.partial(generator.athrow, error)
