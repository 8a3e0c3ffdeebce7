"""Traces of recorded calls, which load tools replay: requests with the times at which they were sent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from inferencereplay.conversion.traces import aiperf, mooncake, otel

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable, Iterator

    from inferencereplay.conversion.traces.timeline import Timeline

FORMATS: dict[str, Callable[[Timeline, Counter[str], Callable[[str], Any] | None], Iterator[str]]] = {
    "aiperf": aiperf.lines,
    "mooncake": mooncake.lines,
    "otel": otel.lines,
}
"""What yields the lines of a file, by the format's name. It counts the calls that are `exported`, and each reason for
leaving others out. The function counts tokens where the server did not; see `tokens.count`."""
