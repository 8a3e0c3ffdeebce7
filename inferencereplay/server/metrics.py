"""What the server counts, for all of its worker processes, in the text format of Prometheus.

The format is described at https://prometheus.io/docs/instrumenting/exposition_formats/.
"""

from __future__ import annotations

import mmap
from bisect import bisect_left

COUNTERS = {
    "requests": ("counter", "Requests that were received."),
    "hits": ("counter", "Requests that a recording answered."),
    "misses": ("counter", "Requests that no recording could answer."),
    "recorded": ("counter", "Answers that were stored."),
    "refused": ("counter", "Requests that could not be read, or were not allowed."),
    "streams_open": ("gauge", "Streams that are being sent."),
}
BUCKETS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
"""The upper bounds of the histogram of lateness, in seconds."""
_PLACES = {name: index for index, name in enumerate(COUNTERS)}
_SUM = len(COUNTERS)
_FIRST_BUCKET = _SUM + 1
_SIZE = _FIRST_BUCKET + len(BUCKETS) + 1
_DOUBLE = 8


class Metrics:
    """Counts in memory that forked worker processes share; each writes only its own.

    Args:
        workers: how many processes there will be.
    """

    def __init__(self, workers: int = 1) -> None:
        self._all = memoryview(mmap.mmap(-1, workers * _SIZE * _DOUBLE)).cast("d")
        self.use(0)

    def use(self, worker: int) -> None:
        """Count for this worker process from now on."""
        self._own = self._all[worker * _SIZE : (worker + 1) * _SIZE]

    def add(self, name: str, count: int = 1) -> None:
        """Add to a counter, or to a gauge."""
        self._own[_PLACES[name]] += count

    def note_late(self, seconds: float) -> None:
        """Count an event of a stream, or a plain answer, that was sent so late."""
        self._own[_SUM] += seconds
        self._own[_FIRST_BUCKET + bisect_left(BUCKETS, seconds)] += 1

    def total(self, name: str) -> int:
        """Return the sum of a counter over all workers."""
        return int(self._sum(_PLACES[name]))

    def text(self) -> bytes:
        """Return all counts as Prometheus reads them."""
        lines = []
        for name, (kind, what) in COUNTERS.items():
            full = f"inferencereplay_{name}{'_total' if kind == 'counter' else ''}"
            lines += [f"# HELP {full} {what}", f"# TYPE {full} {kind}", f"{full} {self.total(name)}"]
        full, count = "inferencereplay_lateness_seconds", 0
        lines += [f"# HELP {full} Time between the due time of an event and its sending.", f"# TYPE {full} histogram"]
        for index, bound in enumerate((*BUCKETS, "+Inf")):
            count += int(self._sum(_FIRST_BUCKET + index))
            lines.append(f'{full}_bucket{{le="{bound}"}} {count}')
        lines += [f"{full}_sum {self._sum(_SUM):.6f}", f"{full}_count {count}", ""]
        return "\n".join(lines).encode()

    def summary(self) -> str:
        """Return the counts in one line, for people."""
        names = (("requests", "request"), ("hits", "hit"), ("misses", "miss"), ("recorded", "recorded"))
        told = [f"{self.total(many)} {one if self.total(many) == 1 else many}" for many, one in names]
        counts = [int(self._sum(_FIRST_BUCKET + index)) for index in range(len(BUCKETS) + 1)]
        if sum(counts):
            told.append(f"99 % of {sum(counts)} timed events late by {_bound(counts, 0.99)}")
        return ", ".join(told)

    def _sum(self, place: int) -> float:
        return sum(self._all[place::_SIZE])


def _bound(counts: list[int], share: float) -> str:
    """Return the bound of the bucket in which a share (0 to 1) of all events is reached."""
    least, reached = share * sum(counts), 0
    for bound, count in zip(BUCKETS, counts, strict=False):
        reached += count
        if reached >= least:
            return f"at most {bound * 1000:g} ms"
    return f"more than {BUCKETS[-1] * 1000:g} ms"
