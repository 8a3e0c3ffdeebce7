"""Recordings in an object store: each is an object, named as its file in a directory would be."""

from __future__ import annotations

import itertools
import random
import time
from typing import TYPE_CHECKING, Any

from inferencereplay.errors import RecordingCorrupt, StoreError
from inferencereplay.object_stores.objects import Objects
from inferencereplay.recording.format import decode, decode_for, lay_out, stored_request
from inferencereplay.recording.request import parse_json
from inferencereplay.store.address import file_name, folder_names, parse_file_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from inferencereplay.object_stores.objects import Found
    from inferencereplay.recording.format import Recording
    from inferencereplay.recording.request import JSON, Request

MOST_ATTEMPTS = 12
"""How often a write is tried again that other writers have come before."""


class ObjectStore:
    """Recordings in an object store.

    Args:
        url: its address.
        opened: obstore's store.
        prefix: what the names of all objects begin with.
    """

    is_foreign = False

    def __init__(self, url: str, opened: Any, prefix: str = "") -> None:
        self.directory = str(url)
        self.is_writable = type(opened).__name__ != "HTTPStore"
        self._objects = Objects(self.directory, opened, prefix)

    def read(self, path: str, key: str, variant: int) -> Recording | None:
        """Return a recording, or `None` if there is none."""
        name = self._name(path, key, variant)
        found = self._objects.get(name)
        return None if found is None else decode(found.data, self._shown(name))

    def load(self, request: Request, key: str, variant: int) -> tuple[Recording, tuple[Any, ...]] | None:
        """Return a recording that has to be one of `request`, and its stamp; `None` if there is none."""
        name = self._name(request.path, key, variant)
        found = self._objects.get(name)
        return None if found is None else (decode_for(request, key, found.data, self._shown(name)), found.version)

    def get(self, path: str, key: str, variant: int) -> bytes | None:
        """Return the content of a recording, or `None` if there is none."""
        found = self._objects.get(self._name(path, key, variant))
        return None if found is None else found.data

    def stamp(self, path: str, key: str, variant: int) -> tuple[Any, ...] | None:
        """Return what differs after every change of a recording; `None` if there is none."""
        try:
            return self._objects.head(self._name(path, key, variant))
        except StoreError:
            return ()

    def add(self, path: str, key: str, variant: int, data: bytes) -> bool:
        """Store a recording; return `False` if there is one already."""
        name = self._name(path, key, variant)
        return self._write(name, data, lambda _: False)

    def replace(self, path: str, key: str, variant: int, data: bytes) -> None:
        """Store a recording, in the place of one that is there."""
        self._write(self._name(path, key, variant), data, lambda _: True)

    def replace_if(self, path: str, key: str, variant: int, data: bytes, gives_way: Callable[[bytes], bool]) -> bool:
        """Store a recording; return `False` if one is there for which `gives_way` is false."""
        return self._write(self._name(path, key, variant), data, lambda found: gives_way(found.data))

    def move(self, path: str, key: str, variant: int, to: int) -> bool:
        """Give a recording another number; return `False` if that one is taken, or the recording is gone."""
        name = self._name(path, key, variant)
        found = self._objects.get(name)
        if found is None or not self._write(self._name(path, key, to), found.data, lambda _: False):
            return False
        self._objects.remove(name)
        return True

    def delete(self, path: str, key: str, variant: int) -> None:
        """Remove a recording if it is there."""
        self._objects.remove(self._name(path, key, variant))

    def sources(self, path: str, key: str, variant: int) -> tuple[str, ...]:
        """Return the name of the object, relative to the URL."""
        return (self._name(path, key, variant),)

    def list(self) -> Iterator[str]:
        """Yield the names of all recordings, relative to the URL."""
        for listed in self._objects.list():
            if parse_file_name(listed.name.rpartition("/")[2]):
                yield listed.name

    def state(self, path: str) -> tuple[int, ...]:  # noqa: ARG002 - the interface's
        """Return nothing: what is in a store now can only be told by a listing."""
        return ()

    def requests(self, path: str, limit: int) -> Iterator[tuple[str, bytes]]:
        """Yield name and request body of the recordings of `path`, at most the newest `limit`."""
        listed = [
            item
            for item in self._objects.list("/".join(folder_names(path)))
            if parse_file_name(item.name.rpartition("/")[2])
        ]
        for item in sorted(listed, key=lambda item: item.age, reverse=True)[:limit]:
            request = self._request(item.name)
            if request is not None:
                yield item.name, lay_out(request.body)

    def newest(self, names: Sequence[str]) -> Iterator[tuple[str, JSON]]:
        """Yield name and request body of the recordings with these names, newest first, without unusable ones."""
        for name in names:
            request = self._request(name)
            if request is not None:
                yield name, parse_json(request.body)

    def _request(self, name: str) -> Request | None:
        try:
            found = self._objects.get(name)
            return None if found is None else stored_request(decode(found.data, name), name)
        except (StoreError, RecordingCorrupt):
            return None

    def _write(self, name: str, data: bytes, gives_way: Callable[[Found], bool]) -> bool:
        for attempt in itertools.count():
            found = self._objects.get(name) if attempt else None
            if found is not None and found.data == data:
                return True
            if found is not None and not gives_way(found):
                return False
            written = (
                self._objects.create(name, data) if found is None else self._objects.exchange(name, data, found.version)
            )
            if written is not None:
                return True
            if attempt >= MOST_ATTEMPTS:
                message = f"{self._shown(name)} cannot be written: other writers came before, {attempt} times."
                raise StoreError(message)
            time.sleep(random.random() * 0.01 * 2 ** min(attempt, 6))
        raise AssertionError

    def _name(self, path: str, key: str, variant: int) -> str:
        return "/".join((*folder_names(path), file_name(key, variant)))

    def _shown(self, name: str) -> str:
        return f"{self.directory}/{name}"
