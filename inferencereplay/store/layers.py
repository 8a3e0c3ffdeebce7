"""Several stores as one: looked up in order, and written to one of them.

All variants of a key come from one layer, the first that has the key's first variant: those of two layers are answers
of two recordings, and nobody was ever given them one after the other. So a recording that joins variants of a lower
layer takes copies of those with it.

A recording's name has its layer's directory before it, for each layer may hold one of the same name.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
from typing import TYPE_CHECKING, Any, TypeVar, cast

from inferencereplay.recording.format import encode
from inferencereplay.recording.side_file import endings_in
from inferencereplay.store.address import LONGEST_GAP
from inferencereplay.store.location import is_url

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from contextlib import AbstractContextManager

    from inferencereplay.recording.format import Recording
    from inferencereplay.recording.request import JSON, Request
    from inferencereplay.recording.side_file import SideFile
    from inferencereplay.store.interface import SideFiles, Store, WritableStore

_Answer = TypeVar("_Answer")


class LayeredStore:
    """Stores that are looked up in order.

    Args:
        layers: two or more.
        write_to: the number, from 0, of the one that recordings are written to.
        above: those that sessions look up before that one, if it is not those that are before it here.

    Attributes:
        layers: as given.
        written: the one that recordings are written to.
        directory: the directories of all of them, for messages.
        searched: those of which a session knows afterwards what it did not use: while it replaces, the written one.
    """

    def __init__(self, layers: Sequence[Store], write_to: int = 0, *, above: Sequence[Store] | None = None) -> None:
        self.layers = tuple(layers)
        self.written = self.layers[write_to]
        self.directory = ", ".join(layer.directory for layer in layers)
        self.searched = self.layers if above is None else (self.written,)
        self._above = self.layers[:write_to] if above is None else above

    @property
    def is_writable(self) -> bool:
        """Whether recordings can be written to the layer that is chosen for it."""
        return self.written.is_writable

    @property
    def is_foreign(self) -> bool:
        """Whether one of them is another recorder's."""
        return any(layer.is_foreign for layer in self.layers)

    # What a session looks up.

    def read(self, path: str, key: str, variant: int) -> Recording | None:
        """Return a recording, or `None` if there is none; errors are those of the layers."""
        return self._first(path, key, variant, lambda layer: layer.read(path, key, variant))

    def load(self, request: Request, key: str, variant: int) -> tuple[Recording, tuple[Any, ...]] | None:
        """Return a recording that has to be one of `request`, and its stamp; `None` if there is none."""
        return self._first(request.path, key, variant, lambda layer: layer.load(request, key, variant))

    def stamp(self, path: str, key: str, variant: int) -> tuple[Any, ...] | None:
        """Return a value that differs after every change of a recording; `None` if there is none."""
        return self._first(path, key, variant, lambda layer: layer.stamp(path, key, variant))

    def stamps(self, path: str, key: str, numbers: Sequence[int]) -> Sequence[tuple[Any, ...] | None]:
        """Return the stamps of several variants."""
        stamps = [layer.stamps(path, key, numbers) for layer in self.layers]
        owner = _owner(self.layers, path, key)
        found = [of_layer for layer, of_layer in zip(self.layers, stamps, strict=True) if owner in (None, layer)]
        return [next(filter(_is_there, of_number), None) for of_number in zip(*found, strict=True)]

    def known_stamp(self, path: str, key: str, variant: int) -> tuple[Any, ...] | None:
        """Return the stamp of a recording for which no layer need be asked; `None` where one has to be."""
        for layer in self.layers:
            if layer.known_stamp(path, key, 1) is not None:
                return layer.known_stamp(path, key, variant)
            if is_url(layer.directory):  # it may have the recording, and is to be asked
                break
        return None

    def get(self, path: str, key: str, variant: int) -> bytes | None:
        """Return the bytes of a recording, or `None` if there is none; those of llama-stack's are in our format."""
        return self._first(path, key, variant, lambda layer: _content(layer, path, key, variant))

    def sources(self, path: str, key: str, variant: int) -> tuple[str, ...]:
        """Return the names of the files that a recording comes from, or would be written to."""
        layer = (
            _owner(self.layers, path, key)
            or next((layer for layer in self.layers if layer.stamp(path, key, variant) is not None), None)
            or self.written
        )
        return tuple(_named(layer, name) for name in layer.sources(path, key, variant))

    def list(self) -> Iterator[str]:
        """Yield the names of all recordings of all layers."""
        for layer in self.layers:
            yield from (_named(layer, name) for name in layer.list())

    # What a miss is compared with.

    def state(self, path: str) -> tuple[int, ...]:
        """Return what stays equal as long as no recording of `path` comes or goes; empty if there can be none."""
        states = [layer.state(path) for layer in self.layers]
        last = max((state[0] for state in states if state), default=None)
        return () if last is None else (last, *itertools.chain.from_iterable((len(state), *state) for state in states))

    def requests(self, path: str, limit: int) -> Iterator[tuple[str, bytes]]:
        """Yield name and request body of the recordings of `path`, at most the newest `limit` of each layer."""
        for layer in self.layers:
            yield from ((_named(layer, name), body) for name, body in layer.requests(path, limit))

    def newest(self, names: Sequence[str]) -> Iterator[tuple[str, JSON]]:
        """Yield name and request body of the recordings with these names: those of each layer, newest first."""
        inner: dict[int, list[str]] = {}
        for name in names:
            number, own = self.locate(name)
            inner.setdefault(number, []).append(own)
        for number in sorted(inner):
            layer = self.layers[number]
            yield from ((_named(layer, name), body) for name, body in layer.newest(inner[number]))

    def locate(self, name: str) -> tuple[int, str]:
        """Return the number of the layer of a recording, and the recording's name there."""
        fitting = [number for number, layer in enumerate(self.layers) if name.startswith(_named(layer, ""))]
        number = max(fitting, key=lambda place: len(self.layers[place].directory))  # one may be inside of another
        return number, name[len(_named(self.layers[number], "")) :]

    # What a session records.

    def add(self, path: str, key: str, variant: int, data: bytes) -> bool:
        """Store a recording; return `False` if there is one already.

        Raises:
            OSError: if it cannot be stored, or the copies of variants that it joins cannot.
        """
        return self._joined(path, key).add(path, key, variant, data)

    def replace(self, path: str, key: str, variant: int, data: bytes) -> None:
        """Store a recording, in the place of one that is there; errors are those of `add`."""
        self._joined(path, key).replace(path, key, variant, data)

    def replace_if(self, path: str, key: str, variant: int, data: bytes, gives_way: Callable[[bytes], bool]) -> bool:
        """Store a recording; return `False` if one is there for which `gives_way` is false; errors as in `add`."""
        return self._joined(path, key).replace_if(path, key, variant, data, gives_way)

    def put_side(self, path: str, key: str, variant: int, side: SideFile) -> AbstractContextManager[None]:
        """Store a side file, and keep it for its recording, which is to be stored meanwhile; errors as in `add`."""
        return cast("SideFiles", self._joined(path, key)).put_side(path, key, variant, side)

    def drop_side(self, path: str, key: str, variant: int, side: SideFile) -> None:
        """Remove a side file, unless its recording is there, or being stored."""
        cast("SideFiles", self._target(path, key)).drop_side(path, key, variant, side)

    def move(self, path: str, key: str, variant: int, to: int) -> bool:
        """Give a recording another number; return `False` if that one is taken, or the recording is gone."""
        return self._target(path, key).move(path, key, variant, to)

    def delete(self, path: str, key: str, variant: int) -> None:
        """Remove a recording from the layer that new ones of its key go to; those of the layers below stay."""
        self._target(path, key).delete(path, key, variant)

    def written_first(self) -> LayeredStore:
        """Return the same layers, looked up in another order: the one that is written before the others."""
        rest = [layer for layer in self.layers if layer is not self.written]
        return LayeredStore([self.written, *rest], above=self._above)

    def hidden_by(self, path: str, key: str) -> Store | None:
        """Return the layer by which a recording that was written is hidden from sessions that look it up."""
        return _owner(self._above, path, key)

    # Which layer it is.

    def _first(self, path: str, key: str, variant: int, ask: Callable[[Store], _Answer | None]) -> _Answer | None:
        """Return the answer of the layer that has the key; of none, that of the first layer that has one."""
        owner = _owner(self.layers, path, key) if variant > 1 else None
        return next(filter(_is_there, map(ask, (owner,) if owner else self.layers)), None)

    def _target(self, path: str, key: str) -> WritableStore:
        """Return the layer that recordings of a key go to.

        It is not the one that is chosen if another, which is looked up before that one, has the key: below, no session
        would find them.

        Raises:
            OSError: if it cannot be written.
        """
        layer = _owner(self._above, path, key) or self.written
        if not layer.is_writable:
            reason = f"{layer.directory}, which is looked up before {self.written.directory}, has recordings of it"
            raise OSError(errno.EROFS, f"{reason}, and can be replayed only")
        return cast("WritableStore", layer)

    def _joined(self, path: str, key: str) -> WritableStore:
        """Return the layer that recordings of a key go to, once it has copies of the variants that they join.

        The first variant is copied last, for the layer that has it has the key.
        """
        target, owner = self._target(path, key), _owner(self.layers, path, key)
        if owner is not None and owner is not target:
            for variant in reversed(_variants(owner, path, key)):
                _copy(owner, target, path, key, variant)
        return target


def _is_there(answer: object) -> bool:
    return answer is not None


def _owner(layers: Iterable[Store], path: str, key: str) -> Store | None:
    """Return the first layer that has the first variant of a key."""
    return next((layer for layer in layers if _has(layer, path, key)), None)


def _has(layer: Store, path: str, key: str) -> bool:
    """Whether a layer has the first variant of a key; one that is far away is asked if it is not known."""
    if layer.known_stamp(path, key, 1) is not None:
        return True
    if is_url(layer.directory):  # which remembers what it does not have, too
        return layer.read(path, key, 1) is not None
    return layer.stamp(path, key, 1) is not None


def _variants(layer: Store, path: str, key: str) -> Sequence[int]:
    """Return the numbers of the variants of a key, also of those after a gap that a killed process left."""
    found, number = [1], 2
    while number <= found[-1] + 1 + LONGEST_GAP:
        if layer.stamp(path, key, number) is not None:
            found.append(number)
        number += 1
    return found


def _copy(owner: Store, target: WritableStore, path: str, key: str, variant: int) -> None:
    """Copy a recording, after its side files."""
    data = _content(owner, path, key, variant)
    if data is None:
        return
    recording = owner.read(path, key, variant) if endings_in(data) else None
    with contextlib.ExitStack() as kept:
        for side in recording.side_files if recording else ():
            kept.enter_context(cast("SideFiles", target).put_side(path, key, variant, side))
        target.add(path, key, variant, data)


def _content(layer: Store, path: str, key: str, variant: int) -> bytes | None:
    if not layer.is_foreign:
        return cast("WritableStore", layer).get(path, key, variant)
    recording = layer.read(path, key, variant)
    return None if recording is None else encode(recording)


def _named(layer: Store, name: str) -> str:
    """Return the name of a recording with the directory of its layer."""
    return f"{layer.directory}{'/' if is_url(layer.directory) else os.sep}{name}"
