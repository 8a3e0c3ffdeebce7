"""The recordings that a miss is compared with: the newest of a folder, in bounded number and time."""

from __future__ import annotations

import heapq
import itertools
import time
from typing import TYPE_CHECKING

from inferencereplay.object_stores.threads import each_in_time
from inferencereplay.store.address import parse_file_name

if TYPE_CHECKING:
    from inferencereplay.object_stores.cached_objects import CachedObjects
    from inferencereplay.object_stores.objects import Found, Listed

MOST_LISTED = 10_000
"""Objects of a folder that are listed."""
MOST_READ = 200
"""Objects that are read, or taken from the cache."""
LONGEST = 5.0
"""Seconds for both, as far as one request for them does not take longer."""
LARGEST = 16 * 1024 * 1024
"""Bytes of the largest object that is read for this."""
_now = time.monotonic


def near(cached: CachedObjects, folder: str, limit: int) -> list[tuple[str, Found | None]]:
    """Return the newest recordings of a folder, without its folders.

    Raises:
        StoreError: if it cannot be listed.
    """
    end = _now() + LONGEST
    items = [item for item in _listed(cached, folder, end) if item.version.size <= LARGEST]
    newest = heapq.nlargest(min(limit, MOST_READ), items, key=lambda item: item.age)

    def read(item: Listed) -> tuple[str, Found | None]:
        if cached.is_current(item.name, item.version):
            found = cached.look(item.name)
            if found is not None:
                return item.name, found
        return item.name, cached.get(item.name)

    return each_in_time(read, newest, max(0.0, end - _now()))


def _listed(cached: CachedObjects, folder: str, end: float) -> list[Listed]:
    found = []
    for item in itertools.islice(cached.objects.list(folder), MOST_LISTED):
        inner = item.name[len(folder) :]
        if "/" not in inner and parse_file_name(inner):
            found.append(item)
        if _now() > end:
            break
    return found
