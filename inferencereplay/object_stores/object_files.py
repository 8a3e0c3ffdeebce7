"""The files of recordings in an object store, by their names."""

from __future__ import annotations

import contextlib
import re
from typing import TYPE_CHECKING

from inferencereplay.recording.side_file import endings_in
from inferencereplay.store.files import Content, FileState, recording_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from inferencereplay.object_stores.cached_objects import CachedObjects
    from inferencereplay.object_stores.objects import Listed

    Write = Callable[[str, bytes, Callable[[bytes], bool]], bool]

_MD5 = re.compile(r"\"?([0-9a-f]{32})\"?")
"""An e-tag of S3 that is, for an object that was written at once and is not encrypted by a key of KMS, its MD5."""


class ObjectFiles:
    """The files of recordings in an object store; see `Files`.

    Args:
        url: the store's.
        cached: its objects.
        write: writes an object by its name, in the place of one whose content may be replaced.
    """

    def __init__(self, url: str, cached: CachedObjects, write: Write) -> None:
        self.place = url
        self._cached = cached
        self._objects = cached.objects
        self._write = write
        self._ages: dict[str, int] = {}

    def list(self) -> Iterator[FileState]:
        """Yield the files that belong to recordings, in the order of the store."""
        for item in self._objects.list():
            if recording_of(item.name):
                self._ages[item.name] = item.age
                yield _state(item)

    def names(self) -> Iterator[str]:
        """Yield their names."""
        return (state.name for state in self.list())

    def state(self, name: str) -> FileState | None:
        """Return the state of a file; `None` if there is none."""
        found = self._objects.listed(name)
        return None if found is None else _state(found)

    def locked(self) -> contextlib.AbstractContextManager[None]:
        """Keep nobody out: a store has no lock. Each file is read before it is replaced."""
        return contextlib.nullcontext()

    def read(self, name: str, *, follows_links: bool = True) -> Content | None:  # noqa: ARG002 - there are no links
        """Read a file as it is now; `None` if there is none."""
        found = self._objects.get(name)
        if found is None:
            return None
        if name not in self._ages and (state := self.state(name)) is not None:
            self._ages[name] = state.modified
        return Content(found.data, self._ages.get(name, 0))

    def add(self, name: str, data: bytes, *, like: str = "") -> bool:  # noqa: ARG002 - objects have no mode and owner
        """Write a file; return `False` if there is one of another content already."""
        return self._write(name, data, lambda _: False)

    def replace(self, name: str, data: bytes) -> None:
        """Write a file in the place of one that is there."""
        self._write(name, data, lambda _: True)

    def move(self, name: str, to: str) -> bool:
        """Give a recording, with its side files, another name; return `False` if that is taken, or it is gone.

        It is copied and then removed: a process that dies in between leaves it under both.
        """
        found = self._objects.get(name)
        if found is None:
            return False
        sides = [tuple(file.removesuffix(".json") + end for file in (name, to)) for end in endings_in(found.data)]
        for old, new in sides:
            side = self._objects.get(old)
            if side is not None:
                self.add(new, side.data)
        if not self.add(to, found.data):
            return False
        for old in (name, *(old for old, _ in sides)):
            self.remove(old)
        return True

    def remove(self, name: str) -> None:
        """Remove a file if it is there."""
        self._cached.remove(name)

    def sweep(self) -> None:
        """Remove nothing: an object is there whole, or not at all."""


def _state(item: Listed) -> FileState:
    found = _MD5.fullmatch(item.version.e_tag or "")
    return FileState(item.name, item.version.size, item.age, found[1] if found else "")
