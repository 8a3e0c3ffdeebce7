"""Objects of a store as they were when they were last looked at: what is known of them without asking the store.

A cached object counts unasked for some time (`INFERENCEREPLAY_CACHE_AGE`), and for as long as the store cannot be
reached. That one is not there is known of further variants only: a request without any recording is asked for anew.
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from inferencereplay.locks import make_lock
from inferencereplay.object_stores import write_conditions
from inferencereplay.object_stores.objects import Found, RequestError, Unchanged
from inferencereplay.recording.control_characters import visible

if TYPE_CHECKING:
    from collections.abc import Sequence

    from inferencereplay.object_stores.object_cache import Cached, ObjectCache
    from inferencereplay.object_stores.objects import Objects, Version

log = logging.getLogger("inferencereplay")

JUST_NOW = 2_000_000_000
"""Nanoseconds for which an object that was not there counts as such while a program is recorded."""
WHILE_OFFLINE = 5_000_000_000
"""Nanoseconds for which a cached object counts that the store could not be asked about."""


class CachedObjects:
    """The objects of a store, shared by all sessions of a process.

    Args:
        objects: of the store.
        cache: keeps them for other processes and later; `None` where nothing is kept.
        age: nanoseconds for which an object counts without asking again; 0 for a store that is in memory.

    Attributes:
        objects: asks the store itself.
        writes: how many objects were written or removed.
    """

    now = staticmethod(time.time_ns)  # no name of the module, which a library that freezes time would replace

    def __init__(self, objects: Objects, cache: ObjectCache | None, age: int) -> None:
        self.objects = objects
        self.writes = 0
        self._cache = cache
        self._age = age
        self._known: dict[str, tuple[int, Version | None]] = {}
        self._lock = make_lock()
        self._is_checked = self._is_told = False

    def known(self, name: str) -> Version | None:
        """Return the version of an object that counts without asking."""
        found = self._known.get(name)
        return found[1] if found is not None and self.now() - found[0] < self._age else None

    def look(self, names: Sequence[str], *, is_recorded: bool) -> tuple[Found | None] | None:
        """Return an object, or that there is none, without asking the store; `None` if it has to be asked.

        Args:
            names: the object's; of a further variant also those of the next ones, which are not there either then.
            is_recorded: whether a call would be recorded if there is no object.
        """
        name = names[0]
        if (checked := self._absent_since(name)) is not None:
            return (None,) if self._is_recent(checked, JUST_NOW if is_recorded else self._age) else None
        cached = self._cached(name)
        if cached is None or not self._is_recent(cached.checked, self._age) or (cached.found is None and is_recorded):
            return None
        if cached.found is None:
            self._note_absent(names, cached.checked)
        else:
            self._known[name] = cached.checked, cached.found.version
        return (cached.found,)

    def get(self, name: str) -> Found | None:
        """Ask for an object; `None` if there is none.

        Raises:
            StoreError: if the store cannot be asked, and nothing is cached.
        """
        cached = self._cached(name)
        try:
            return self.learn(name, self.objects.get(name, _e_tag(cached)))
        except (Unchanged, RequestError) as error:
            return self._settled(name, cached, error)

    async def get_async(self, name: str) -> Found | None:
        """Ask for an object, as `get`, on asyncio's event loop."""
        cached = self._cached(name)
        try:
            return self.learn(name, await self.objects.get_async(name, _e_tag(cached)))
        except (Unchanged, RequestError) as error:
            return self._settled(name, cached, error)

    def end(self, names: Sequence[str]) -> None:
        """Note that none of these variants was there."""
        self._note_absent(names, self.now())
        if self._cache is not None:
            self._cache.keep(names[0], None)

    def learn(self, name: str, found: Found | None) -> Found | None:
        """Note what an object is now, or that there is none; return it."""
        self._known[name] = self.now(), None if found is None else found.version
        if self._cache is not None:
            if found is not None:
                self._cache.keep(name, found)
            elif not _is_further(name):
                self._cache.forget(name)
        return found

    def wrote(self, name: str, data: bytes, version: Version) -> None:
        """Note an object that was written."""
        self.writes += 1
        self.learn(name, Found(data, version))

    def remove(self, name: str) -> None:
        """Remove an object if it is there.

        Raises:
            StoreError: if it cannot be removed.
        """
        self.objects.remove(name)
        self.writes += 1
        self.forget(name)

    def forget(self, name: str) -> None:
        """Ask for an object the next time."""
        self._known.pop(name, None)
        if self._cache is not None:
            self._cache.forget(name)

    def check_conditions(self) -> None:
        """Make sure, once, that the store keeps the conditions of writes.

        Raises:
            StoreError: if it does not, or cannot be written.
        """
        with self._lock:
            if not self._is_checked:
                write_conditions.check(self.objects)
                self._is_checked = True

    def is_current(self, name: str, version: Version) -> bool:
        """Whether a version is the cached one."""
        cached = self._cached(name)
        return cached is not None and cached.found is not None and cached.found.version[1:] == version[1:]

    def _cached(self, name: str) -> Cached | None:
        return None if self._cache is None else self._cache.read(name)

    def _note_absent(self, names: Sequence[str], checked: int) -> None:
        for name in names:
            known = self._known.get(name)
            if known is None or known[1] is None:
                self._known[name] = checked, None

    def _absent_since(self, name: str) -> int | None:
        """Return when a further variant was not there; `None` for a first one, and where it was there."""
        found = self._known.get(name)
        return None if found is None or found[1] is not None or not _is_further(name) else found[0]

    def _is_recent(self, checked: int, age: int) -> bool:
        return -age < self.now() - checked < age  # the file system's clock may be ahead of ours

    def _settled(self, name: str, cached: Cached | None, error: Unchanged | RequestError) -> Found | None:
        """Return a cached object that has not changed, or whose store cannot be asked."""
        if cached is None:
            raise error
        if isinstance(error, RequestError):
            if error.reason.is_bucket:
                raise error
            self._tell(error)
            checked = self.now() - self._age + WHILE_OFFLINE
        else:
            checked = self._cache.confirm(cached) if self._cache is not None else self.now()
        self._known[name] = checked, None if cached.found is None else cached.found.version
        return cached.found

    def _tell(self, error: RequestError) -> None:
        """Warn once that the store cannot be asked."""
        if not self._is_told:
            self._is_told = True
            log.warning("what was read before answers, for the store cannot be asked: %s", visible(str(error)))


def _is_further(name: str) -> bool:
    """Whether an object is a second, third … variant."""
    return "~" in name.rpartition("/")[2]


def _e_tag(cached: Cached | None) -> str | None:
    return None if cached is None or cached.found is None else cached.found.version.e_tag
