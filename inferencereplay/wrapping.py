"""A wrapper that is put under other libraries' wrappers, not over them, and is taken out again.

Instrumentors wrap the same methods of the SDK as we do. What they see must not depend on who came first, so ours goes
to the bottom: they see each call as if it went to the network, and taking theirs off leaves ours in its place.
"""

from __future__ import annotations

import functools
import inspect
import types
import weakref
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_inner: weakref.WeakKeyDictionary[Callable[..., Any], Callable[..., Any]] = weakref.WeakKeyDictionary()
"""What each wrapper of ours is around. It tells them from others', onto which attributes of ours may be copied."""


def _wrap(function: Callable[..., Any], handler: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that looks like another, also to who asks `__wrapped__` whether it is a coroutine function."""

    def ours(self: Any, /, *args: Any, **kwargs: Any) -> Any:
        return handler(types.MethodType(function, self), self, args, kwargs)

    async def ours_async(self: Any, /, *args: Any, **kwargs: Any) -> Any:
        return await handler(types.MethodType(function, self), self, args, kwargs)

    wrapper: Any = functools.wraps(function)(ours_async if inspect.iscoroutinefunction(function) else ours)
    wrapper.__wrapped__ = getattr(function, "__wrapped__", function)
    _inner[wrapper] = function
    return wrapper  # type: ignore[no-any-return]


def put(owner: type, name: str, handler: Callable[..., Any]) -> None:
    """Wrap a method wherever calls of it end, unless it is done already.

    That is in the class, and in each subclass that has a wrapper of its own around the class's function, or that very
    function; a subclass's override is left alone, for it calls on.

    Args:
        owner: the class.
        name: of the method.
        handler: what calls go through. It gets the bound method, its object, the arguments and the keyword arguments.
    """
    own = _end(owner.__dict__[name])
    for cls in _owners(owner, name):
        if _end(cls.__dict__[name]) is own and not has_ours(cls.__dict__[name]):
            above, function = _bottom(cls, name)
            _place(cls, name, above, _wrap(function, handler))


def take_out(owner: type, name: str) -> None:
    """Undo `put`, as far as ours can be reached."""
    for cls in _owners(owner, name):
        above, function = _bottom(cls, name)
        while _is_ours(function):
            function = _inner[function]
            _place(cls, name, above, function)


def has_ours(function: Any) -> bool:
    """Whether our wrapper is in place, if need be under somebody else's."""
    return any(map(_is_ours, _layers(function)))


def is_outermost(instance: Any, name: str) -> bool:
    """Whether a call of an object's method comes to our wrapper before anything else."""
    if name in instance.__dict__:
        return False
    return _is_ours(getattr(type(instance), name))  # a plain function, as ours is, comes as it stands in the class


def _is_ours(function: Any) -> bool:
    return type(function) is types.FunctionType and function in _inner


def _owners(owner: type, name: str) -> Iterator[type]:
    if name in owner.__dict__:
        yield owner
    subclasses: list[type] = owner.__subclasses__()
    for cls in subclasses:
        yield from _owners(cls, name)


def _layers(function: Any) -> Iterator[Any]:
    while function is not None:
        layer = _unbound(function)
        yield layer
        function = getattr(layer, "__wrapped__", None)


def _end(function: Any) -> Any:
    *_, last = _layers(function)
    return last


def _bottom(cls: type, name: str) -> tuple[Any, Any]:
    """Return the lowest wrapper whose content can be exchanged, or `None`, and what is under it."""
    above, function = None, cls.__dict__[name]
    while _is_proxy(function):
        above = _unbound(function)
        function = above.__wrapped__
    return above, function


def _is_proxy(function: Any) -> bool:
    """Whether what it wraps can be exchanged, as in wrapt's objects, also of a vendored wrapt; not so in a closure."""
    return inspect.isdatadescriptor(getattr(type(function), "__wrapped__", None))


def _unbound(function: Any) -> Any:
    """Return the wrapper that a bound one was made by, for each new binding asks that one; else the same."""
    parent = getattr(function, "_self_parent", None)
    return function if parent is None else parent


def _place(cls: type, name: str, above: Any, function: Any) -> None:
    if above is None:
        setattr(cls, name, function)
    else:
        above.__wrapped__ = function
