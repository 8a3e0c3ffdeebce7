"""The totals of a directory, for the head of the page."""

from __future__ import annotations

import collections
import statistics
from typing import TYPE_CHECKING, Any

from inferencereplay.catalogue.totals import Total

if TYPE_CHECKING:
    from inferencereplay.catalogue.entries import Entry

LONGEST_NAME = 100
"""Characters of a model's name."""


class Counts:
    """Counts of all recordings, also of those beyond the limits of a report."""

    def __init__(self) -> None:
        self._total = Total()
        self._models: collections.Counter[str] = collections.Counter()
        self._keys: set[str] = set()
        self._first: list[float] = []
        self._seconds = 0.0
        self._chunks = 0
        self._newest = ""

    def add(self, entry: Entry) -> None:
        """Count one recording."""
        timing = entry.conversation.timing
        self._total.add(entry, None)
        self._keys.add(entry.key)
        if entry.model:
            self._models[entry.model] += 1
        if timing.first_token is not None:
            self._first.append(timing.first_token)
        self._seconds += timing.total or 0.0
        self._chunks += entry.recording.response.arrivals
        self._newest = max(self._newest, entry.recording.recorded.at)

    def summary(self) -> dict[str, Any]:
        """Return the counts as the page shows them, with the model that has most recordings."""
        total = self._total
        return {
            "recordings": total.recordings,
            "requests": len(self._keys),
            "bytes": total.bytes,
            "streams": total.streams,
            "chunks": self._chunks,
            "errors": total.errors,
            "incomplete": total.incomplete,
            "sent": total.input,
            "received": total.output,
            "models": len(self._models),
            "model": next((name[:LONGEST_NAME] for name, _ in self._models.most_common(1)), ""),
            "first": statistics.median(self._first) if self._first else None,
            "seconds": self._seconds,
            "newest": self._newest,
        }
