"""Objects of other libraries' classes that are made when somebody looks at them.

Nearly nobody looks at the HTTP request of an answer, or at its HTTP response, and to make them takes longer than the
rest of a replay.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_MAKE = "_inferencereplay_make"
_HELD = "_inferencereplay_held"
_MADE: Any = (None, {}, None)
"""What an object has to be made of once another thread has made it."""
_set_class = object.__dict__["__class__"].__set__


def _no_methods(_: type) -> Mapping[str, Any]:
    return {}


def late(
    cls: type,
    make: Callable[[], Any],
    methods: Callable[[type], Mapping[str, Any]] = _no_methods,
    /,
    **parts: Callable[[], Any],
) -> Any:
    """Return an object of a class whose objects keep all they have in their `__dict__`.

    With the first look it becomes what `make` returns, and an object of the very class. Until then it is one of a
    subclass, which only `type` tells. An attribute that was set meanwhile stays as it was set.

    Args:
        cls: the class.
        make: makes the object that this one becomes.
        methods: returns methods that do, until then, what those of the class do.
        parts: make attributes that can be had without the whole.
    """
    kind: Any = _late_class(cls, methods)
    made = object.__new__(kind)
    getattr(kind, _HELD)(made)[_MAKE] = make, parts, cls
    return made


@functools.cache
def _late_class(cls: type, methods: Callable[[type], Mapping[str, Any]]) -> type:
    """Make the subclass; an object can leave it for its base, because both have the same layout."""
    seen = {
        "__module__": cls.__module__,
        "__qualname__": cls.__qualname__,
        "__class__": property(lambda _: cls),
        "__dict__": property(_attributes),
        _HELD: staticmethod(cls.__dict__["__dict__"].__get__),
    }
    return type(cls.__name__, (cls,), {**methods(cls), **seen, "__getattr__": _look, "__reduce_ex__": _reduce})


def _held(self: Any) -> dict[str, Any]:
    """Return what an object has so far."""
    read = getattr(type(self), _HELD, vars)  # another thread may have made it
    held: dict[str, Any] = read(self)
    return held


def _attributes(self: Any) -> dict[str, Any]:
    """Return what an object has when it is made, as `vars` and `dir` ask for."""
    _become(self)
    return _held(self)


def _look(self: Any, name: str) -> Any:
    """Return an attribute that an object does not have yet."""
    held = _held(self)
    _, parts, _ = held.get(_MAKE, _MADE)
    if name in parts:
        return held.setdefault(name, parts[name]())
    _become(self)
    return getattr(self, name)


def _reduce(self: Any, protocol: Any) -> Any:
    """Copy or pickle an object as what it becomes."""
    _become(self)
    return self.__reduce_ex__(protocol)


def _become(self: Any) -> None:
    held = _held(self)
    make, _, cls = held.get(_MAKE, _MADE)
    if make is None:
        return
    for name, value in vars(make()).items():
        held.setdefault(name, value)
    _set_class(self, cls)
    held.pop(_MAKE, None)
