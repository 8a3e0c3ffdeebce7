"""Wrappers of the SDK's methods, installed under the wrappers of other libraries and removed again.

Instrumentors wrap the same methods of the SDK as this package. What they see must not depend on the order of
installation, so our wrappers are the innermost: instrumentors see each call as if it reached the network, and removing
their wrappers leaves ours in place.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import types
from typing import TYPE_CHECKING, Any, NamedTuple

import wrapt

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class MethodWrapper(wrapt.FunctionWrapper):  # type: ignore[type-arg]  # generic since wrapt 2 only
    """A wrapper of one method of the SDK, which looks like that method to a caller that inspects it.

    It is bound as Python binds functions. A bound wrapper of wrapt's has a type of its own, is equal to the method that
    it wraps, and doubles the cost of a call. A class gives out the wrapper itself, so that it is recognised wherever
    another library keeps it or puts it back.
    """

    __eq__, __ne__, __hash__ = object.__eq__, object.__ne__, object.__hash__

    def __init__(self, function: Callable[..., Any], handler: Callable[..., Any]) -> None:
        super().__init__(_coroutine_function(function) if _decorates_one(function) else function, handler)
        bind = types.MethodType if type(function) is types.FunctionType else _bind
        self._self_function = function
        self._self_call = bind, function, handler

    @property
    def __code__(self) -> types.CodeType:
        return self._self_function.__code__

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        return self if instance is None else types.MethodType(self, instance)

    def __call__(self, instance: Any, /, *args: Any, **kwargs: Any) -> Any:
        """Give the handler the call of a bound method, or of the function in the class with its object."""
        bind, function, handler = self._self_call
        return handler(bind(function, instance), instance, args, kwargs)


def _decorates_one(function: Any) -> bool:
    """Return whether a function is not a coroutine function but decorates one, as the SDK's asynchronous `create`."""
    decorated = getattr(function, "__wrapped__", None)
    return inspect.iscoroutinefunction(decorated) and not inspect.iscoroutinefunction(function)


def _coroutine_function(function: Any) -> Any:
    """Return a coroutine function for the `__wrapped__` of our wrapper, where langsmith looks for one.

    No call passes through it, unless another library takes it for the original and puts it in the place of our wrapper.
    """

    @functools.wraps(function)
    async def call(*args: Any, **kwargs: Any) -> Any:
        return await function(*args, **kwargs)

    return call


_CODE = _coroutine_function(len).__code__


def _original(function: Any) -> Any:
    """Return the function inside our wrapper or inside its `__wrapped__`; any other function as it is."""
    if type(function) is MethodWrapper:
        return function._self_function  # noqa: SLF001
    held: Any = function
    is_ours = type(function) is types.FunctionType and function.__code__ is _CODE
    return held.__wrapped__ if is_ours else held


def _bind(function: Any, instance: Any) -> Any:
    """Bind as Python does; an object without `__get__`, such as a mock, is not bound and gets no instance."""
    get = getattr(type(function), "__get__", None)
    return function if get is None else get(function, instance, type(instance))


def put(owner: type, name: str, handler: Callable[..., Any], *, goes_over: bool = True) -> bool:
    """Wrap a method of a class wherever calls of it end, and return whether anything was changed.

    Calls end in the class, and in each subclass that holds the class's function, or another library's wrapper of it.
    An override in a subclass stays as it is, because it calls the class's method. A method that is wrapped already
    stays as it is, too.

    Args:
        owner: the class.
        name: the name of the method.
        handler: is called for each call, with the bound method, its object, the arguments and the keyword arguments.
        goes_over: whether to wrap another library's wrapper if the function inside it cannot be found; otherwise the
            method stays as it is.
    """
    method, is_changed = _method(owner, name), False
    for cls in _owners(owner, name):
        held = cls.__dict__[name]
        if type(held) is MethodWrapper or method.is_override(cls, held):
            continue
        if method.is_own(held):
            setattr(cls, name, _wrapper(held, handler))
            is_changed = True
            continue
        place = _Place(cls, name, held)
        found = list(method.ends(place))
        if not found and goes_over and method.is_behind(place):
            found = [place]
        is_changed |= _wrap_all(found, handler)
    return is_changed


def put_into(instance: Any, owner: type, name: str, handler: Callable[..., Any]) -> bool:
    """Wrap a class's method inside a wrapper in an object's own attributes; return whether anything was changed."""
    return _wrap_all(list(_method(owner, name).ends_in(instance)), handler)


def remove(owner: type, name: str) -> None:
    """Remove our wrappers of a method from a class and its subclasses, as far as they can be found."""
    method = _method(owner, name)
    for cls in _owners(owner, name):
        held = cls.__dict__[name]
        if type(held) is MethodWrapper:
            setattr(cls, name, held._self_function)  # noqa: SLF001 - of a class of this module
        elif not (method.is_own(held) or method.is_override(cls, held)):
            _unwrap_all(list(method.ends(_Place(cls, name, held))))


def remove_from(instance: Any, owner: type, name: str) -> None:
    """Remove our wrappers of a method from an object's own attributes."""
    _unwrap_all(list(_method(owner, name).ends_in(instance)))


def are_outermost(instance: Any, *names: str) -> bool:
    """Return whether our wrappers are the first to be called for methods of an object."""
    cls, own = type(instance), instance.__dict__
    for name in names:  # noqa: SIM110 - all() costs a generator, twice as slow
        if name in own or type(getattr(cls, name)) is not MethodWrapper:
            return False
    return True


def wrapped_function(owner: type, name: str, held: Any) -> Any:
    """Return the SDK's own function in our wrapper; `None` of anything else that a class holds."""
    function = held._self_function if type(held) is MethodWrapper else None  # noqa: SLF001
    return function if _method(owner, name).is_own(function) else None


def is_override(owner: type, name: str, cls: type, held: Any) -> bool:
    """Return whether a subclass of the SDK overrides a method by a plain function, which can hold no wrapper."""
    return _method(owner, name).is_override(cls, held)


class _Place(NamedTuple):
    """A place that holds a function: a class, an object's dict, a wrapper made with wrapt or the cell of a closure."""

    holder: Any
    name: str
    held: Any

    @property
    def function(self) -> Any:
        """The function in this place; of a bound method, its function."""
        return self.held.__func__ if type(self.held) is types.MethodType else self.held

    def fill(self, function: Any) -> None:
        """Put another function into this place, bound if the present one is."""
        if type(self.held) is types.MethodType:
            function = types.MethodType(function, self.held.__self__)
        if isinstance(self.holder, dict):
            self.holder[self.name] = function
        else:
            setattr(self.holder, self.name, function)


def _wrap_all(places: list[_Place], handler: Callable[..., Any]) -> bool:
    missing = [place for place in places if not _is_ours(place.function)]
    for place in missing:
        place.fill(_wrapper(_original(place.function), handler))
    return bool(missing)


def _wrapper(function: Any, handler: Callable[..., Any]) -> MethodWrapper:
    return (_wrapper_again if type(function) is types.FunctionType else MethodWrapper)(function, handler)


@functools.lru_cache(256)
def _wrapper_again(function: Any, handler: Callable[..., Any]) -> MethodWrapper:
    """Make the wrapper of a plain function once: making one takes longer than putting it into its class."""
    return MethodWrapper(function, handler)


def _unwrap_all(places: list[_Place]) -> None:
    for place in places:
        function = _original(place.function)
        if function is not place.function:
            place.fill(function)


class _Method(NamedTuple):
    """A method of the SDK, which wrappers of any kind may hold."""

    owner: type
    name: str
    qualname: str
    package: str

    def ends(self, start: _Place) -> Iterator[_Place]:
        """Yield each place that holds the SDK's own function or our wrapper, from `start` inwards."""
        rest, seen = [start], set[int]()
        while rest:
            place = rest.pop()
            function = place.function
            if self.is_own(function) or _original(function) is not function:
                yield place
            elif id(function) not in seen:
                seen.add(id(function))
                rest += _inside(function)

    def ends_in(self, instance: Any) -> Iterator[_Place]:
        """Yield each place that holds the SDK's own function or our wrapper, from an object's own attribute inwards."""
        attributes = instance.__dict__
        if self.name in attributes:
            yield from self.ends(_Place(attributes, self.name, attributes[self.name]))

    def is_behind(self, place: _Place) -> bool:
        """Return whether a class holds another library's wrapper of the method, by `__wrapped__`, and no override."""
        layers = list(_layers(place.held))
        return not any(map(_is_ours, layers)) and (place.holder is self.owner or any(map(self.is_own, layers)))

    def is_own(self, function: Any) -> bool:
        """Return whether a function was written in the SDK; wrappers copy its name, but not its globals."""
        return (
            type(function) is types.FunctionType
            and function.__qualname__ == self.qualname
            and _package(function.__globals__.get("__name__", "")) == self.package
        )

    def is_override(self, cls: type, function: Any) -> bool:
        """Return whether a subclass of the SDK overrides the method by a plain function, which can hold no wrapper."""
        return (
            cls is not self.owner
            and type(function) is types.FunctionType
            and function.__qualname__ != self.qualname
            and _package(function.__globals__.get("__name__", "")) == self.package
            and function.__code__.co_freevars in _OF_PLAIN
            and not hasattr(function, "__wrapped__")
        )


_OF_PLAIN = ((), ("__class__",))
"""The names that a function needs which is no closure; the second is for `super()`."""


@functools.lru_cache(256)
def _method(owner: type, name: str) -> _Method:
    return _Method(owner, name, f"{owner.__qualname__}.{name}", _package(owner.__module__))


@functools.lru_cache(1_000)
def _package(module: str) -> str:
    return module.partition(".")[0]


def _is_ours(function: Any) -> bool:
    return type(function) is MethodWrapper


def _owners(owner: type, name: str) -> list[type]:
    """Return the classes that hold a method of that name: the class and its subclasses, each before its own."""
    return [cls for cls in tree(owner) if name in cls.__dict__]


def tree(owner: type) -> list[type]:
    """Return a class and its subclasses, each before its own."""
    found = [owner]
    for cls in found:
        found += cls.__subclasses__()
    return found


def _layers(function: Any) -> Iterator[Any]:
    while function is not None:
        yield function
        function = getattr(function, "__wrapped__", None)


def _inside(wrapper: Any) -> Iterator[_Place]:
    """Yield the places inside a wrapper that may hold the function it wraps."""
    if _is_proxy(wrapper):
        # A bound wrapper was made by its parent, which makes each further bound wrapper.
        for holder in filter(None, (wrapper, getattr(wrapper, "_self_parent", None))):
            yield _Place(holder, "__wrapped__", holder.__wrapped__)
    elif type(wrapper) is types.FunctionType:
        for cell in wrapper.__closure__ or ():
            with contextlib.suppress(ValueError):  # the cell is empty
                if not isinstance(cell.cell_contents, type):  # which every method that calls `super` has
                    yield _Place(cell, "cell_contents", cell.cell_contents)


def _is_proxy(function: Any) -> bool:
    """Return whether the wrapped function can be exchanged, as in wrapt's wrappers, those of a vendored wrapt too."""
    return inspect.isdatadescriptor(getattr(type(function), "__wrapped__", None))
