"""What a directory's recordings add up to."""

from __future__ import annotations

import collections
import statistics
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from inferencereplay.catalogue import Entry

_FIRST_ERROR = 400


class Totals:
    """Counts over all recordings, also over those that a report has no room for."""

    def __init__(self) -> None:
        self._counts: collections.Counter[str] = collections.Counter()
        self._models: collections.Counter[str] = collections.Counter()
        self._keys: set[str] = set()
        self._first: list[float] = []
        self._seconds = 0.0
        self._newest = ""

    def add(self, entry: Entry) -> None:
        """Count one recording."""
        said, response = entry.conversation, entry.recording.response
        self._counts.update(
            recordings=1,
            streams=said.is_stream,
            chunks=len(response.chunks),
            sent=said.usage.input or 0,
            received=said.usage.output or 0,
            errors=said.status == 0 or said.status >= _FIRST_ERROR or said.end == "error",
            incomplete=said.end == "closed",
            bytes=entry.size,
        )
        self._keys.add(entry.key)
        if entry.model:
            self._models[entry.model] += 1
        if said.is_stream and said.timing.first_token is not None:
            self._first.append(said.timing.first_token)
        self._seconds += said.timing.total or 0.0
        self._newest = max(self._newest, entry.recording.recorded.at)

    def summary(self) -> dict[str, Any]:
        """Return the counts as the page shows them; models in order of their number."""
        names = ("recordings", "streams", "chunks", "sent", "received", "errors", "incomplete", "bytes")
        return {
            **{name: self._counts[name] for name in names},
            "requests": len(self._keys),
            "models": self._models.most_common(),
            "first": statistics.median(self._first) if self._first else None,
            "seconds": self._seconds,
            "newest": self._newest,
        }
