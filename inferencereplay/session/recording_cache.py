"""Recordings of a store, decoded once for as long as their files stay as they are."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from inferencereplay.recording.format import check_request

if TYPE_CHECKING:
    from inferencereplay.recording.format import Recording
    from inferencereplay.recording.request import Request
    from inferencereplay.store.interface import Store

MOST_KEPT = 64
LARGEST_KEPT = 256 * 1024
"""Bytes of the largest file that is kept; at most `MOST_KEPT` of them stay in memory."""
SETTLED = 100_000_000
"""Nanoseconds after which no change can have the time of the last one: ten ticks of a slow kernel's clock."""


class RecordingCache:
    """Reads, decodes and checks recordings; of a file that it has kept, only the stamp is read again.

    Args:
        store: where they live.
    """

    _now = staticmethod(time.time_ns)  # no name of the module, which a library that freezes time would replace

    def __init__(self, store: Store) -> None:
        self._store = store
        self._kept: dict[tuple[str, int], tuple[tuple[Any, ...], Recording]] = {}

    def read(self, request: Request, key: str, number: int) -> Recording | None:
        """Return a recording of `request`, or `None` if there is none; it is shared, and not to be changed.

        Raises:
            RecordingCorrupt: if the file cannot be used.
            StoreError: if it cannot be read.
        """
        stamp = self._store.stamp(request.path, key, number)
        if stamp is None:
            return None
        kept = self._kept.get((key, number))
        if kept is not None and kept[0] == stamp:
            return kept[1]
        now = self._now()
        recording = self._store.read(request.path, key, number)
        if recording is None:
            return None
        check_request(recording, request, key, self.name(request.path, key, number))
        if stamp and stamp[-1] <= LARGEST_KEPT and now - stamp[0] > SETTLED:
            if len(self._kept) >= MOST_KEPT:
                self._kept.clear()
            self._kept[key, number] = stamp, recording
        return recording

    def name(self, path: str, key: str, number: int) -> str:
        """Return the file's name with its directory, for messages."""
        return f"{self._store.directory}/{self._store.sources(path, key, number)[0]}"
