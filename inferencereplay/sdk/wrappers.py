"""A wrapper that is put under other libraries' wrappers, not over them, and is taken out again.

Instrumentors wrap the same methods of the SDK as we do. What they see must not depend on who came first, so ours goes
to the bottom: they see each call as if it went to the network, and taking theirs off leaves ours in its place.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import types
import weakref
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_inner: weakref.WeakKeyDictionary[Callable[..., Any], Callable[..., Any]] = weakref.WeakKeyDictionary()
"""What each wrapper of ours is around. It tells them from others', onto which attributes of ours may be copied."""


def _wrap(function: Callable[..., Any], handler: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that looks like another, also to who asks `__wrapped__` whether it is a coroutine function."""
    bind = types.MethodType if isinstance(function, types.FunctionType) else _bind

    def ours(self: Any, /, *args: Any, **kwargs: Any) -> Any:
        return handler(bind(function, self), self, args, kwargs)

    async def ours_async(self: Any, /, *args: Any, **kwargs: Any) -> Any:
        return await handler(bind(function, self), self, args, kwargs)

    wrapper: Any = functools.wraps(function)(ours_async if inspect.iscoroutinefunction(function) else ours)
    wrapper.__wrapped__ = getattr(function, "__wrapped__", function)
    _inner[wrapper] = function
    return wrapper  # type: ignore[no-any-return]


def _bind(function: Any, instance: Any) -> Any:
    """Do what Python does with whatever stands in a class; what does not bind, such as a mock, gets no object."""
    get = getattr(type(function), "__get__", None)
    return function if get is None else get(function, instance, type(instance))


def put(owner: type, name: str, handler: Callable[..., Any], *, goes_over: bool = True) -> bool:
    """Wrap a method wherever calls of it end, unless it is done already; say whether there was need to.

    That is in the class, and in each subclass that has a wrapper of its own around the class's function, or that very
    function; a subclass's override is left alone, for it calls on.

    Args:
        owner: the class.
        name: of the method.
        handler: what calls go through. It gets the bound method, its object, the arguments and the keyword arguments.
        goes_over: whether ours goes over a wrapper that it cannot get under; else such a method is left alone.
    """
    method, is_changed = _Method(owner, name), False
    for cls in _owners(owner, name):
        place = _Place(cls, name, cls.__dict__[name])
        found = list(method.ends(place))
        if not found and goes_over and method.is_behind(place):
            found = [place]
        is_changed |= _wrap_all(found, handler)
    return is_changed


def put_into(instance: Any, owner: type, name: str, handler: Callable[..., Any]) -> bool:
    """Do the same in an object that has a wrapper of its own, which was put around the class's method."""
    return _wrap_all(list(_Method(owner, name).ends_in(instance)), handler)


def take_out(owner: type, name: str) -> None:
    """Undo `put`, as far as ours can be reached."""
    for cls in _owners(owner, name):
        _unwrap_all(list(_Method(owner, name).ends(_Place(cls, name, cls.__dict__[name]))))


def take_out_of(instance: Any, owner: type, name: str) -> None:
    """Undo `put_into`."""
    _unwrap_all(list(_Method(owner, name).ends_in(instance)))


def is_outermost(instance: Any, name: str) -> bool:
    """Whether a call of an object's method comes to our wrapper before anything else."""
    if name in instance.__dict__:
        return False
    return _is_ours(getattr(type(instance), name))  # a plain function, as ours is, comes as it stands in the class


class _Place(NamedTuple):
    """Where a function is held: a class, an object's dict, a wrapper of wrapt's or a closure's cell."""

    holder: Any
    name: str
    held: Any

    @property
    def function(self) -> Any:
        """What is held; of a bound method, its function."""
        return self.held.__func__ if type(self.held) is types.MethodType else self.held

    def fill(self, function: Any) -> None:
        """Put another function there, bound as the one before."""
        if type(self.held) is types.MethodType:
            function = types.MethodType(function, self.held.__self__)
        if isinstance(self.holder, dict):
            self.holder[self.name] = function
        else:
            setattr(self.holder, self.name, function)


def _wrap_all(places: list[_Place], handler: Callable[..., Any]) -> bool:
    missing = [place for place in places if not _is_ours(place.function)]
    for place in missing:
        place.fill(_wrap(place.function, handler))
    return bool(missing)


def _unwrap_all(places: list[_Place]) -> None:
    for place in places:
        function = place.function
        while _is_ours(function):
            function = _inner[function]
            place.fill(function)


class _Method(NamedTuple):
    """A method of the SDK's, which wrappers of any kind may hold."""

    owner: type
    name: str

    def ends(self, start: _Place) -> Iterator[_Place]:
        """Yield where the SDK's own function, or ours, is held, in or under what is held in a place."""
        rest, seen = [start], set[int]()
        while rest:
            place = rest.pop()
            function = place.function
            if _is_ours(function) or self._is_own(function):
                yield place
            elif id(function) not in seen:
                seen.add(id(function))
                rest += _inside(function)

    def ends_in(self, instance: Any) -> Iterator[_Place]:
        """Yield the same for an object's own attribute, if it has one."""
        attributes = instance.__dict__
        if self.name in attributes:
            yield from self.ends(_Place(attributes, self.name, attributes[self.name]))

    def is_behind(self, place: _Place) -> bool:
        """Whether a class's function is another's wrapper of the method, as far as it says so, and no override."""
        layers = list(_layers(place.held))
        return not any(map(_is_ours, layers)) and (place.holder is self.owner or any(map(self._is_own, layers)))

    def _is_own(self, function: Any) -> bool:
        """Whether it is the SDK's function, by where it was written: wrappers take on names, but not that."""
        return (
            type(function) is types.FunctionType
            and function.__qualname__ == f"{self.owner.__qualname__}.{self.name}"
            and _package(function.__globals__["__name__"]) == _package(self.owner.__module__)
        )


def _package(module: str) -> str:
    return module.partition(".")[0]


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
        yield function
        function = getattr(function, "__wrapped__", None)


def _inside(wrapper: Any) -> Iterator[_Place]:
    """Yield what a wrapper holds that may be what it wraps: in an object of wrapt's, or in a closure's cells."""
    if _is_proxy(wrapper):
        # A bound one was made by another, which each new binding asks.
        for holder in filter(None, (wrapper, getattr(wrapper, "_self_parent", None))):
            yield _Place(holder, "__wrapped__", holder.__wrapped__)
    elif type(wrapper) is types.FunctionType:
        for cell in wrapper.__closure__ or ():
            with contextlib.suppress(ValueError):  # it is empty
                yield _Place(cell, "cell_contents", cell.cell_contents)


def _is_proxy(function: Any) -> bool:
    """Whether what it wraps can be exchanged, as in wrapt's objects, also of a vendored wrapt."""
    return inspect.isdatadescriptor(getattr(type(function), "__wrapped__", None))
