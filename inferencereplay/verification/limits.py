"""How many requests are asked, and how fast."""

from __future__ import annotations

from typing import NamedTuple


class Limits(NamedTuple):
    """How many requests are asked, and how fast.

    Attributes:
        concurrency: at once.
        rate: a second at most; `None` for no limit.
        requests: in all at most.
        cost: at most, in the currency of the prices.
    """

    concurrency: int = 4
    rate: float | None = None
    requests: int | None = None
    cost: float | None = None
