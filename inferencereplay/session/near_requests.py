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

if TYPE_CHECKING:
    from collections.abc import Iterator

    from inferencereplay.recording.request import JSON, Request
    from inferencereplay.store.interface import Store

MOST_INDEXED = 1_000
"""Recordings of a path that a miss is compared with, by their lines."""
MOST_WEIGHED = 12
"""Recordings of those that it is compared with in full."""
LARGEST_KEPT = 32 * 1024 * 1024
"""Bytes of the largest index that is kept for the next miss."""


class NearRequests:
    """Finds them, by an index for each path that is kept as long as no recording of that path comes or goes.

    Args:
        store: where they live.
    """

    _now = staticmethod(time.time_ns)  # no name of the module, which a library that freezes time would replace

    def __init__(self, store: Store) -> None:
        self.store = store
        self._kept: dict[str, tuple[tuple[int, ...], RequestIndex]] = {}

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
        state, now = self.store.state(path), self._now()
        kept = self._kept.get(path)
        if kept is not None and kept[0] == state:
            return kept[1]
        index = RequestIndex(self.store.requests(path, MOST_INDEXED))
        if state and now - state[0] > SETTLED and index.size <= LARGEST_KEPT:
            self._kept[path] = state, index
        return index
