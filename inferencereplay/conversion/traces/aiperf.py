"""Traces for AIPerf: its `mooncake_trace` with whole requests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from inferencereplay.errors import InvalidSetting

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable, Iterator

    from inferencereplay.conversion.traces.timeline import Timeline


def lines(timeline: Timeline, counts: Counter[str], _tokenizer: Callable[[str], Any] | None) -> Iterator[str]:
    """Yield a line for each call: its conversation, milliseconds from the first call, and its body unchanged.

    See `MooncakeTrace` in AIPerf 0.13, `aiperf/dataset/loader/models.py`. AIPerf sends the calls of one conversation
    one after the other, each at its time or, if that is later, when the answer before it has come.

    Raises:
        InvalidSetting: if there are calls of more than one path: AIPerf sends a trace to one.
    """
    if len(timeline.paths) > 1:
        listed = ", ".join(f"{path} ({count})" for path, count in timeline.paths.most_common())
        path = timeline.paths.most_common(1)[0][0]
        message = (
            f"There are calls of several paths, and AIPerf sends a trace to one: {listed}. "
            f"Export each by itself: --path '[/]{path[1:]}'"
        )
        raise InvalidSetting(message)
    return _lines(timeline, counts)


def _lines(timeline: Timeline, counts: Counter[str]) -> Iterator[str]:
    for call in timeline:
        payload = msgspec.json.format(bytes(call.entry.recording.request.body), indent=-1)
        line = {"session_id": call.session, "timestamp": milliseconds(call.seconds), "payload": msgspec.Raw(payload)}
        counts["exported"] += 1
        yield msgspec.json.encode(line).decode() + "\n"


def milliseconds(seconds: float) -> float:
    """Return milliseconds with three digits after the point: recorded times have no more."""
    return round(seconds * 1000, 3)
