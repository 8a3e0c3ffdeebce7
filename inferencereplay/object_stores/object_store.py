"""Recordings in an object store: each is an object, named as its file in a directory would be."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import random
import time
from typing import TYPE_CHECKING, Any

from inferencereplay.errors import RecordingCorrupt, StoreError
from inferencereplay.object_stores import side_objects
from inferencereplay.object_stores.near_objects import near
from inferencereplay.object_stores.objects import RequestError
from inferencereplay.object_stores.prefetching import prefetch
from inferencereplay.object_stores.side_objects import bind, side_name
from inferencereplay.object_stores.threads import each
from inferencereplay.recording.base64_parts import put_back
from inferencereplay.recording.format import VERSION, decode, decode_for, lay_out, stored_request
from inferencereplay.recording.frame_audio import put_back_audio
from inferencereplay.recording.request import parse_json
from inferencereplay.recording.side_file import endings_in
from inferencereplay.store.address import LONGEST_GAP, file_name, folder_names, parse_file_name
from inferencereplay.store.at_hand import Errand, fetch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from inferencereplay.object_stores.cached_objects import CachedObjects
    from inferencereplay.object_stores.object_files import ObjectFiles
    from inferencereplay.object_stores.objects import Found, Version
    from inferencereplay.object_stores.prefetching import Prefetched
    from inferencereplay.recording.format import Recording
    from inferencereplay.recording.request import JSON, Request
    from inferencereplay.recording.side_file import SideFile

MOST_ATTEMPTS = 12
"""How often a write is tried again that another writer has come before."""
MOST_FAILURES = 3
"""How often it is tried again after a request that failed, once where there was no answer in time."""
TOGETHER = LONGEST_GAP + 2
"""Variants that are looked for at once: if one is there, whether others follow it."""
MINUTE = 60_000_000_000
"""Nanoseconds."""


class ObjectStore:
    """Recordings in an object store.

    Args:
        url: its address.
        objects: its objects.
        is_writable: whether it takes recordings.
        is_recorded: whether a program is being recorded.
    """

    is_foreign = False

    def __init__(
        self, url: str, objects: CachedObjects, *, is_writable: bool = True, is_recorded: bool = False
    ) -> None:
        self.directory = url
        self.is_writable = is_writable
        self._cached = objects
        self._objects = objects.objects
        self._is_recorded = is_recorded
        self._compared: dict[str, dict[str, Request]] = {}
        self._folder = functools.lru_cache(1_000)(lambda path: "".join(f"{name}/" for name in folder_names(path)))

    # Reading.

    def read(self, path: str, key: str, variant: int) -> Recording | None:
        """Return a recording, or `None` if there is none.

        Raises:
            RecordingCorrupt: if the object is torn or foreign.
            StoreError: if it cannot be read.
        """
        name = self._name(path, key, variant)
        found = self._found(name, path, key, variant)
        return None if found is None else self._bound(decode(found.data, self._shown(name)), name)

    def load(self, request: Request, key: str, variant: int) -> tuple[Recording, tuple[Any, ...]] | None:
        """Return a recording that has to be one of `request`, and its stamp; `None` if there is none.

        Raises:
            RecordingCorrupt: if the object is torn or foreign, or holds another request.
            StoreError: if it cannot be read.
        """
        name = self._name(request.path, key, variant)
        found = self._found(name, request.path, key, variant)
        if found is None:
            return None
        recording = self._bound(decode_for(request, key, found.data, self._shown(name)), name)
        if recording.response.base64:
            put_back(recording.response)
        if recording.response.audio is not None:
            put_back_audio(recording.response, self._shown(name))
        return recording, found.version

    def _bound(self, recording: Recording, name: str) -> Recording:
        """Return a recording whose side files can be opened."""
        if recording.inferencereplay != VERSION and recording.side_files:
            bind(self._cached, recording, name, self._fetch_all)
        return recording

    def _fetch_all(self, names: Sequence[str]) -> list[Found | None]:
        return [*map(_given, self._fetch_each("get", names, self._ask, self._ask_async))]

    def known_stamp(self, path: str, key: str, variant: int) -> tuple[Any, ...] | None:
        """Return the stamp of a recording that was read not long ago."""
        return self._cached.known(self._name(path, key, variant))

    def _found(self, name: str, path: str, key: str, variant: int) -> Found | None:
        """Return an object that need not be asked for, or ask for it."""
        found = self._cached.look(name)
        if found is not None:
            return found
        if variant > 1:
            return self._found_further(path, key, variant)
        (answer,) = self._fetch_each("get", [name], self._ask, self._ask_async)
        return _given(answer)

    def _found_further(self, path: str, key: str, variant: int) -> Found | None:
        """Ask for a second, third … variant, and at once for those after it, for which a session looks as well."""
        first = self._name(path, key, 1)
        if self._cached.is_past_end(first, variant, is_recorded=self._is_recorded):
            return None
        names = [self._name(path, key, number) for number in range(variant, variant + TOGETHER)]
        answers = self._fetch_each("get", names, self._ask, self._ask_async)
        error = next((answer for answer in answers if isinstance(answer, RequestError)), None)
        if error is not None and self._cached.was_past_end(first, variant, error):
            return None
        if error is None and answers[-1] is None:
            last = max((number for number, answer in enumerate(answers) if answer is not None), default=-1)
            self._cached.end(first, variant + last + 1, is_recorded=self._is_recorded)
        return _given(answers[0])

    def _ask(self, name: str) -> Found | RequestError | None:
        try:
            return self._cached.get(name)
        except RequestError as error:
            return error

    async def _ask_async(self, name: str) -> Found | RequestError | None:
        try:
            return await self._cached.get_async(name)
        except RequestError as error:
            return error

    # Exactly what is there now.

    def get(self, path: str, key: str, variant: int) -> bytes | None:
        """Return the content of a recording as it is now, or `None` if there is none.

        Raises:
            StoreError: if it cannot be read.
        """
        name = self._name(path, key, variant)
        found: Found | None = self._fetch_each("read", [name], self._objects.get, self._objects.get_async)[0]
        return None if found is None else found.data

    def stamp(self, path: str, key: str, variant: int) -> tuple[Any, ...] | None:
        """Return what differs after every change of a recording; `None` if there is none, empty if that is unknown."""
        return self.stamps(path, key, (variant,))[0]

    def stamps(self, path: str, key: str, numbers: Sequence[int]) -> Sequence[tuple[Any, ...] | None]:
        """Return the stamps of several variants, which are asked for together."""
        names = [self._name(path, key, number) for number in numbers]
        stamps: list[Version | tuple[()] | None] = self._fetch_each("head", names, self._head, self._head_async)
        return stamps

    def _head(self, name: str) -> Version | tuple[()] | None:
        try:
            return self._objects.head(name)
        except StoreError:
            return ()

    async def _head_async(self, name: str) -> Version | tuple[()] | None:
        try:
            return await self._objects.head_async(name)
        except StoreError:
            return ()

    def list(self) -> Iterator[str]:
        """Yield the names of all recordings, relative to the URL.

        Raises:
            StoreError: if they cannot be listed.
        """
        for item in self._objects.list():
            if parse_file_name(item.name.rpartition("/")[2]):
                yield item.name

    def sources(self, path: str, key: str, variant: int) -> tuple[str, ...]:
        """Return the name of the object, relative to the URL."""
        return (self._name(path, key, variant),)

    def files(self) -> ObjectFiles:
        """Return the objects by their names."""
        from inferencereplay.object_stores.object_files import ObjectFiles  # noqa: PLC0415 - for commands only

        return ObjectFiles(self.directory, self._cached, self._write)

    def prefetch(self, names: Iterable[str], report: Callable[[str], object] = str) -> Prefetched:
        """Read objects into the cache, many at once; see `prefetching.prefetch`."""
        return prefetch(self._cached, names, report)

    # Writing.

    def add(self, path: str, key: str, variant: int, data: bytes) -> bool:
        """Store a recording; return `False` if there is one already.

        Raises:
            StoreError: if it cannot be written.
        """
        return self._write(self._name(path, key, variant), data, lambda _: False)

    def replace(self, path: str, key: str, variant: int, data: bytes) -> None:
        """Store a recording, in the place of one that is there.

        Raises:
            StoreError: if it cannot be written.
        """
        self._write(self._name(path, key, variant), data, lambda _: True)

    def replace_if(self, path: str, key: str, variant: int, data: bytes, gives_way: Callable[[bytes], bool]) -> bool:
        """Store a recording; return `False` if one is there for which `gives_way` is false.

        Raises:
            StoreError: if it cannot be written.
        """
        return self._write(self._name(path, key, variant), data, gives_way)

    def move(self, path: str, key: str, variant: int, to: int) -> bool:
        """Give a recording another number; return `False` if that one is taken, or the recording is gone.

        It is copied and then removed: a process that dies in between leaves it under both.

        Raises:
            StoreError: if it cannot be moved.
        """
        name = self._name(path, key, variant)
        found = self._objects.get(name)
        target = self._name(path, key, to)
        if found is None or self._objects.head(target) is not None:
            return False
        side_objects.copy(self._cached, self._write_side, name, target, found.data)
        if not self._write(target, found.data, lambda _: False):
            return False
        self._cached.remove(name)
        side_objects.remove(self._cached, name, found.data)
        return True

    def delete(self, path: str, key: str, variant: int) -> None:
        """Remove a recording if it is there.

        Raises:
            StoreError: if it cannot be removed.
        """
        name = self._name(path, key, variant)
        found = self._objects.get(name)
        self._cached.remove(name)
        if found is not None:
            side_objects.remove(self._cached, name, found.data)

    def put_side(self, path: str, key: str, variant: int, side: SideFile) -> contextlib.AbstractContextManager[None]:
        """Store a side file, before the recording that names it.

        Raises:
            StoreError: if it cannot be written.
        """
        self._write_side(side_name(self._name(path, key, variant), side.ending), side.read())
        return contextlib.nullcontext()

    def drop_side(self, path: str, key: str, variant: int, side: SideFile) -> None:
        """Remove a side file if another recording is there, which does not name it."""
        name = self._name(path, key, variant)
        with contextlib.suppress(StoreError):
            there = self._objects.get(name)
            if there is not None and side.ending not in endings_in(there.data):
                self._cached.remove(side_name(name, side.ending))

    def _write_side(self, name: str, data: bytes) -> None:
        """Write a side file; its name tells the content, so another one there is damaged."""
        self._write(name, data, lambda _: True)

    def _write(self, name: str, data: bytes, gives_way: Callable[[bytes], bool]) -> bool:
        """Write an object where there is none, or in the place of one that gives way.

        An answer may be lost, and a store may report a conflict although nothing landed: so what is there is read back.
        """
        self._cached.check_conditions()
        self._cached.expect_write(name)
        failures: list[RequestError] = []
        for attempt in range(MOST_ATTEMPTS):
            try:
                outcome = self._try_to_write(name, data, gives_way, is_first=not attempt)
            except RequestError as error:
                failures.append(error)
                if not error.reason.is_unclear or len(failures) > (1 if error.reason.is_outage else MOST_FAILURES):
                    raise failures[0] from None
            else:
                if outcome is not None:
                    return outcome
            time.sleep(random.random() * 0.01 * 2 ** min(attempt, 6))  # noqa: S311 - nothing depends on it
        message = f"{self._shown(name)} cannot be written: other writers came before, {MOST_ATTEMPTS} times."
        raise StoreError(message)

    def _try_to_write(
        self, name: str, data: bytes, gives_way: Callable[[bytes], bool], *, is_first: bool
    ) -> bool | None:
        """Return whether an object was written; `None` if another writer has come before, and one has to look again."""
        there = None if is_first else self._objects.get(name)
        if there is not None and there.data == data:
            version: Version | None = there.version
        elif there is not None and not gives_way(there.data):
            return False
        else:
            version = self._put(name, data, there)
        if version is None:
            return None
        self._cached.wrote(name, data, version)
        if there is not None and there.data != data:
            side_objects.remove(self._cached, name, there.data, kept=data)
        return True

    def _put(self, name: str, data: bytes, there: Found | None) -> Version | None:
        return self._objects.create(name, data) if there is None else self._objects.exchange(name, data, there.version)

    # Misses.

    def state(self, path: str) -> tuple[int, ...]:  # noqa: ARG002 - to list a folder takes too long
        """Return what changes with each object that this process writes, and each minute."""
        return 0, self._cached.writes, self._cached.now() // MINUTE

    def requests(self, path: str, limit: int) -> Iterator[tuple[str, bytes]]:
        """Yield name and request body of the recordings of `path`, laid out as in a file: of the newest few.

        Raises:
            StoreError: if they cannot be listed.
        """
        run = functools.partial(near, self._cached, self._folder(path), limit)
        found = fetch(Errand(("near", self.directory, path, limit), run))
        self._compared[path] = compared = dict(self._requests(found))
        for name, request in compared.items():
            yield name, lay_out(request.body)

    def newest(self, names: Sequence[str]) -> Iterator[tuple[str, JSON]]:
        """Yield name and request body of those that `requests` has yielded, newest first."""
        for compared in self._compared.values():
            for name in compared:
                if name in names:
                    yield name, parse_json(compared[name].body)

    def _requests(self, objects: Iterable[tuple[str, Found | None]]) -> Iterator[tuple[str, Request]]:
        for name, found in objects:
            if found is not None:
                try:
                    request = stored_request(decode(found.data, self._shown(name)), self._shown(name))
                except RecordingCorrupt:
                    continue  # this is for a search, and a request for that very object gets the error
                yield name, request

    # Names and errands.

    def _name(self, path: str, key: str, variant: int) -> str:
        return self._folder(path) + file_name(key, variant)

    def _shown(self, name: str) -> str:
        return f"{self.directory}/{name}"

    def _fetch_each(self, what: str, names: Sequence[str], ask: Any, ask_async: Any) -> Any:
        async def run_async() -> list[Any]:
            return await asyncio.gather(*map(ask_async, names))

        return fetch(Errand((what, self.directory, *names), lambda: each(ask, names), run_async))


def _given(answer: Found | RequestError | None) -> Found | None:
    if isinstance(answer, RequestError):
        raise answer
    return answer
