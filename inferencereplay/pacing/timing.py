"""How late the chunks of a paced replay came."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Collection


class Timing(NamedTuple):
    """How late chunks came: the time at which the program got each, less the time at which it was due, in seconds.

    The delay of a program that is busy when the next chunk is due counts too: the chunk would be late live as well.

    Attributes:
        chunks: how many were waited for by a recorded time or a `pace`; a plain answer counts as one.
        p50: seconds by which half of them were late at most.
        p99: seconds by which 99 of 100 were late at most.
        max: seconds by which the latest was late.

    Example:
        >>> with replay("recordings", speed=100) as session:
        ...     answer = OpenAI().chat.completions.create(**ask)
        >>> session.timing.chunks, session.timing.max < 1
        (1, True)
    """

    chunks: int
    p50: float
    p99: float
    max: float


def summarize(late: Collection[float]) -> Timing:
    """Sum up by how many seconds chunks were late; without chunks, every value is 0."""
    ordered = sorted(late) or [0.0]
    return Timing(len(late), _rank(ordered, 0.50), _rank(ordered, 0.99), ordered[-1])


def _rank(ordered: list[float], share: float) -> float:
    """Return the least value that a `share` (0 to 1) of all values do not exceed."""
    return ordered[math.ceil(share * len(ordered)) - 1]
