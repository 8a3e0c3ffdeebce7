"""The recorded requests that are most like one that was not recorded."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from inferencereplay.errors import RecordingCorrupt, StoreError
from inferencereplay.recording.format import lay_out
from inferencereplay.recording.request_index import RequestIndex
from inferencereplay.session.recording_cache import SETTLED
from inferencereplay.store.address import parse_file_name
from inferencereplay.store.directory import DirectoryStore

if TYPE_CHECKING:
    from collections.abc import Iterator

    from inferencereplay.recording.request import JSON, Request
    from inferencereplay.store.interface import Store

MOST_INDEXED = 1_000
"""Recordings of a path that a miss is compared with, by their lines."""
MOST_WEIGHED = 12
"""Recordings of those that it is compared with in full."""
LARGEST_KEPT = 32 * 1024 * 1024
"""Bytes of the indexes that are kept for the next miss."""


class KeptIndexes:
    """Indexes by the directory and the path, each with the state of its folder; all go when they take too much memory.

    What was edited in its place meanwhile, and is near to a request for its other lines too, is read as it is now.
    """

    def __init__(self) -> None:
        self._kept: dict[tuple[str, str], tuple[tuple[int, ...], RequestIndex]] = {}
        self._size = 0

    def get(self, place: tuple[str, str], state: tuple[int, ...]) -> RequestIndex | None:
        """Return the index of a folder that has not changed since; `None` without one."""
        kept = self._kept.get(place)
        return kept[1] if kept is not None and kept[0] == state else None

    def keep(self, place: tuple[str, str], state: tuple[int, ...], index: RequestIndex) -> None:
        """Keep an index, unless it is too large by itself."""
        size = index.size
        if size > LARGEST_KEPT:
            return
        self._size += size
        if self._size > LARGEST_KEPT:
            self._kept.clear()
            self._size = size
        self._kept[place] = state, index


of_process = KeptIndexes()
"""Those of directories, for all sessions of the process. Other stores tell what has changed to one session only."""


class NearRequests:
    """Finds them, by an index for each path that is kept as long as no recording of that path comes or goes.

    Args:
        store: where they live.
    """

    _now = staticmethod(time.time_ns)  # no name of the module, which a library that freezes time would replace

    def __init__(self, store: Store) -> None:
        self.store = store
        self._kept = of_process if type(store) is DirectoryStore else KeptIndexes()

    def find(self, request: Request) -> Iterator[tuple[str, JSON]]:
        """Yield name and body of the recorded requests that are most like another one, the newest first."""
        names = self._index(request.path).closest(lay_out(request.body), MOST_WEIGHED)
        return self.store.newest(names)

    def is_edited(self, request: Request, name: str) -> bool:
        """Whether a recording whose body is that of a request holds this request, under the name of another one."""
        address = parse_file_name(os.path.basename(name))  # noqa: PTH119 - a name of the store's
        if address is None or request.key.startswith(address[0]):
            return False
        try:
            held = self.store.read(request.path, *address)
        except (RecordingCorrupt, StoreError):  # it has changed since
            return False
        return held is not None and (held.request.method, held.request.query) == (request.method, request.query)

    def _index(self, path: str) -> RequestIndex:
        place, state, now = (self.store.directory, path), self.store.state(path), self._now()
        index = self._kept.get(place, state)
        if index is None:
            index = RequestIndex(self.store.requests(path, MOST_INDEXED))
            if state and now - state[0] > SETTLED:
                self._kept.keep(place, state, index)
        return index
