"""Where our wrappers were in the classes of the SDK, to put them there again at once, or take them out.

A search for the ends of all calls takes longer than the calls of a short test. A layout only compares the classes with
what they were: each holds the SDK's function, or our wrapper of it, where it did before, and nothing else has changed.
"""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

from inferencereplay.sdk.wrappers import is_override, tree, wrapped_function

if TYPE_CHECKING:
    from collections.abc import Iterable

    Held = tuple[weakref.ref[type], list[tuple[str, Any, Any]]]
    """A class, which is not kept alive, with what it may hold for each method: bare, and wrapped."""


class Layout:
    """Where the wrappers of some methods are.

    Args:
        trees: a class of the SDK, and what it and its subclasses hold, in the order of `tree`.
    """

    def __init__(self, trees: dict[type, list[Held]]) -> None:
        self._trees = trees

    def put(self) -> bool:
        """Put the wrappers where they were; `False`, and nothing is changed, if the classes are not as they were."""
        return self._switch(is_wrapped=True)

    def remove(self) -> bool:
        """Put the SDK's functions back; `False`, and nothing is changed, if the classes are not as they were."""
        return self._switch(is_wrapped=False)

    def _switch(self, *, is_wrapped: bool) -> bool:
        changes = []
        for root, expected in self._trees.items():
            classes = tree(root)
            if classes != [ref() for ref, _ in expected]:
                return False
            for cls, (_, held) in zip(classes, expected):  # noqa: B905 - they are of one length
                own = cls.__dict__
                for name, bare, wrapped in held:
                    found = own.get(name)
                    if found is not bare and found is not wrapped:
                        return False
                    wanted = wrapped if is_wrapped else bare
                    if found is not wanted:
                        changes.append((cls, name, wanted))
        for change in changes:
            setattr(*change)
        return True


def read_layout(methods: Iterable[tuple[type, str]]) -> Layout | None:
    """Read where the wrappers of methods are; `None` if a class holds one of another library's, or an override.

    Args:
        methods: classes of the SDK, and names of their methods.
    """
    methods = tuple(methods)
    owners = {owner for owner, _ in methods}
    trees: dict[type, list[Held]] = {}
    for root in owners:
        if any(issubclass(root, other) for other in owners - {root}):
            continue
        trees[root] = []
        for cls in tree(root):
            held = [_held(cls, owner, name) for owner, name in methods if issubclass(cls, owner)]
            known = [item for item in held if item is not None]
            if len(known) < len(held):
                return None
            trees[root].append((weakref.ref(cls), known))
    return Layout(trees)


def _held(cls: type, owner: type, name: str) -> tuple[str, Any, Any] | None:
    held = cls.__dict__.get(name)
    if held is None or is_override(owner, name, cls, held):
        return name, held, held
    function = wrapped_function(owner, name, held)
    return None if function is None else (name, function, held)
