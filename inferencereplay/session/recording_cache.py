"""Recordings of a store, decoded once for as long as their files stay as they are."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from inferencereplay.store.interface import full_name

if TYPE_CHECKING:
    from inferencereplay.recording.format import Recording
    from inferencereplay.recording.request import Request
    from inferencereplay.store.interface import Store

MOST_KEPT = 16 * 1024 * 1024
"""Bytes of the files whose recordings stay in memory."""
LARGEST_KEPT = 2 * 1024 * 1024
"""Bytes of the largest of them."""
EXTRA = 2_048
"""Bytes that a recording takes in memory beside those of its file."""
SETTLED = 100_000_000
"""Nanoseconds after which no change can have the time of the last one: ten ticks of a slow kernel's clock."""

_Place = tuple[str, str, int]


class KeptRecordings:
    """Decoded recordings, each with the stamp of its file; all are forgotten when they take too much memory."""

    def __init__(self) -> None:
        self._kept: dict[_Place, tuple[tuple[Any, ...], Recording]] = {}
        self._size = 0
        self.get = self._kept.get

    def __len__(self) -> int:
        return len(self._kept)

    def keep(self, place: _Place, stamp: tuple[Any, ...], recording: Recording) -> None:
        """Keep a recording of a file of `stamp[-1]` bytes."""
        self._size += stamp[-1] + EXTRA
        if self._size > MOST_KEPT:
            self._kept.clear()
            self._size = stamp[-1] + EXTRA
        self._kept[place] = stamp, recording


_of_process = KeptRecordings()


class RecordingCache:
    """Reads, decodes and checks recordings; of a file that was read before, only the stamp is read again.

    Recordings in our own format are kept for all sessions of the process. What is made of llama-stack's files depends
    on the session's settings.

    Args:
        store: where they live.
    """

    _now = staticmethod(time.time_ns)  # no name of the module, which a library that freezes time would replace

    def __init__(self, store: Store) -> None:
        self._store = store
        self._kept = KeptRecordings() if store.is_foreign else _of_process

    def read(self, request: Request, key: str, number: int) -> Recording | None:
        """Return a recording of `request`, or `None` if there is none; it is shared, and not to be changed.

        Raises:
            RecordingCorrupt: if the file cannot be used.
            StoreError: if it cannot be read.
        """
        place = self._store.directory, key, number
        kept = self._kept.get(place)
        if kept is not None and kept[0] == self._store.known_stamp(request.path, key, number):
            return kept[1]
        now = self._now()
        found = self._store.load(request, key, number)
        if found is None:
            return None
        recording, stamp = found
        has_sides = bool(recording.response.base64 or recording.response.audio)
        if stamp[-1] <= LARGEST_KEPT and not has_sides and now - stamp[0] > SETTLED:
            self._kept.keep(place, stamp, recording)
        return recording

    def name(self, path: str, key: str, number: int) -> str:
        """Return the file's name with its directory, for messages."""
        return full_name(self._store, self._store.sources(path, key, number)[0])
