"""Objects of a store as they were when they were last looked at: what is known of them without asking the store.

A cached object counts unasked for some time (`INFERENCEREPLAY_CACHE_AGE`), and for as long as the store cannot be
reached. That one is not there counts of further variants only: a request without any recording is asked for anew.
"""

from __future__ import annotations

import logging
import re
import time
from typing import TYPE_CHECKING, cast

from inferencereplay.locks import make_lock
from inferencereplay.object_stores import write_conditions
from inferencereplay.object_stores.objects import Found, RequestError, Unchanged, Version
from inferencereplay.recording.control_characters import visible

if TYPE_CHECKING:
    from inferencereplay.object_stores.object_cache import Cached, ObjectCache
    from inferencereplay.object_stores.objects import Objects

log = logging.getLogger("inferencereplay")

JUST_NOW = 2_000_000_000
"""Nanoseconds for which an object that was not there counts as such while a program is recorded."""
_END = " end"
"""Follows the name of a first variant in the cache's name for the number that has no variant any more."""
_FURTHER = re.compile(r"(~[0-9]+)?\.json$")
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
        self._known: dict[str, tuple[int, Version]] = {}
        self._ends: dict[str, tuple[int, int]] = {}
        self._lock = make_lock()
        self._is_checked = self._is_told = False

    # One object.

    def known(self, name: str) -> Version | None:
        """Return the version of an object that counts without asking."""
        found = self._known.get(name)
        return found[1] if found is not None and self.now() - found[0] < self._age else None

    def look(self, name: str) -> Found | None:
        """Return an object that counts without asking; `None` if the store has to be asked."""
        cached = self._cached(name)
        if cached is None or not self._is_recent(cached.checked, self._age):
            return None
        self._known[name] = cached.checked, cached.found.version
        return cached.found

    def get(self, name: str) -> Found | None:
        """Ask for an object; `None` if there is none.

        Raises:
            StoreError: if the store cannot be asked, and nothing is cached.
        """
        cached = self._cached(name)
        try:
            return self._learned(name, self.objects.get(name, _e_tag(cached)))
        except (Unchanged, RequestError) as error:
            return self._settled(name, cached, error)

    async def get_async(self, name: str) -> Found | None:
        """Ask for an object, as `get`, on asyncio's event loop."""
        cached = self._cached(name)
        try:
            return self._learned(name, await self.objects.get_async(name, _e_tag(cached)))
        except (Unchanged, RequestError) as error:
            return self._settled(name, cached, error)

    def is_current(self, name: str, version: Version) -> bool:
        """Whether a version is the cached one."""
        cached = self._cached(name)
        return cached is not None and cached.found.version[1:] == version[1:]

    # The last variant of a request.

    def is_past_end(self, first: str, number: int, *, is_recorded: bool) -> bool:
        """Whether a variant was not there when it was last looked for, nor a later one, and that still counts.

        Args:
            first: the name of the first variant.
            number: of the variant.
            is_recorded: whether a call would be recorded if there is none.
        """
        end = self._ends.get(first) or self._cached_end(first)
        if end is None or number < end[0]:
            return False
        return self._is_recent(end[1], JUST_NOW if is_recorded else self._age)

    def end(self, first: str, number: int, *, is_recorded: bool) -> None:
        """Note that there is no variant of this number, nor a later one; other processes learn it only in a replay."""
        self._ends[first] = number, self.now()
        if self._cache is not None and not is_recorded:
            data = str(number).encode()
            self._cache.keep(first + _END, Found(data, Version(0, None, None, len(data))))

    def was_past_end(self, first: str, number: int, error: RequestError) -> bool:
        """Whether a variant was not there when the store could still be asked."""
        end = self._cached_end(first)
        if end is None or number < end[0] or error.reason.is_bucket:
            return False
        self._tell(error)
        self._ends[first] = end[0], self._offline()
        return True

    def _cached_end(self, first: str) -> tuple[int, int] | None:
        cached = self._cached(first + _END)
        return None if cached is None else (int(cached.found.data), cached.checked)

    # What this process writes.

    def check_conditions(self) -> None:
        """Make sure, once, that the store keeps the conditions of writes.

        Raises:
            StoreError: if it does not, or cannot be written.
        """
        with self._lock:
            if not self._is_checked:
                write_conditions.check(self.objects)
                self._is_checked = True

    def expect_write(self, name: str) -> None:
        """Count an object no longer that is about to be written: a process that is killed cannot do it afterwards."""
        self._known.pop(name, None)
        if self._cache is not None:
            self._cache.doubt(name)
        self.forget_end(name)

    def wrote(self, name: str, data: bytes, version: Version) -> None:
        """Note an object that was written; the store is asked at the next read, for others may have replaced it."""
        self.writes += 1
        self._known[name] = self.now(), version
        if self._cache is not None:
            self._cache.keep(name, Found(data, version), is_checked=False)
        self.forget_end(name)

    def remove(self, name: str) -> None:
        """Remove an object if it is there.

        Raises:
            StoreError: if it cannot be removed.
        """
        self.objects.remove(name)
        self.writes += 1
        self._learned(name, None)
        self.forget_end(name)

    def forget_end(self, name: str) -> None:
        """Forget which number has no variant: that of a request of which an object comes or goes."""
        first = _FURTHER.sub(".json", name)
        self._ends.pop(first, None)
        if self._cache is not None:
            self._cache.forget(first + _END)

    # What was learned.

    def _learned(self, name: str, found: Found | None) -> Found | None:
        """Note what an object is now, or that there is none; return it."""
        if found is None:
            self._known.pop(name, None)
            if self._cache is not None:
                self._cache.forget(name)
        else:
            self._known[name] = self.now(), found.version
            if self._cache is not None:
                self._cache.keep(name, found)
        return found

    def _settled(self, name: str, cached: Cached | None, error: Unchanged | RequestError) -> Found:
        """Return a cached object that has not changed, or whose store cannot be asked."""
        if cached is None or (isinstance(error, RequestError) and error.reason.is_bucket):
            raise error
        if isinstance(error, RequestError):
            self._tell(error)
            checked = self._offline()
        else:
            checked = cast("ObjectCache", self._cache).confirm(cached)
        self._known[name] = checked, cached.found.version
        return cached.found

    def _tell(self, error: RequestError) -> None:
        """Warn once that the store cannot be asked."""
        if not self._is_told:
            self._is_told = True
            log.warning("what was read before answers, for the store cannot be asked: %s", visible(str(error)))

    def _offline(self) -> int:
        """Return the time of a check that counts for a little longer."""
        return self.now() - self._age + WHILE_OFFLINE

    def _cached(self, name: str) -> Cached | None:
        return None if self._cache is None else self._cache.read(name)

    def _is_recent(self, checked: int, age: int) -> bool:
        return -age < self.now() - checked < age  # the file system's clock may be ahead of ours


def _e_tag(cached: Cached | None) -> str | None:
    return None if cached is None else cached.found.version.e_tag
