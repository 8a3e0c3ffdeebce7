"""What asking a request again came to."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from inferencereplay.verification.changes import Change, Speed

if TYPE_CHECKING:
    from collections.abc import Iterable

SAME, CHANGED, UNANSWERED = "same", "changed", "unanswered"


class Outcome(msgspec.Struct):
    """What asking one request again came to.

    Attributes:
        name: the file, relative to the directory.
        path: of the request.
        model: of the request.
        verdict: `same`, `changed` or `unanswered`.
        changes: from the recording to the new answer.
        reason: why there is no answer, or why a changed recording was not replaced; otherwise empty.
        is_replaced: whether the new answer is in the recording's place now.
        similarity: of the texts or vectors, from 0 to 1; `None` if there are none.
        recorded: the recorded speed.
        now: the new answer's speed.
        input: tokens of the request, as the server counted them now.
        output: tokens of the new answer.
        cost: in the currency of the prices; `None` if it is not known.
        mark: of the file's state afterwards.
        at: when it was asked, Unix time in seconds.
    """

    name: str
    path: str
    model: str
    verdict: str
    changes: list[Change] = []
    reason: str = ""
    is_replaced: bool = False
    similarity: float | None = None
    recorded: Speed = Speed()
    now: Speed = Speed()
    input: int | None = None
    output: int | None = None
    cost: float | None = None
    mark: str = ""
    at: float = 0.0


class NotAsked(NamedTuple):
    """A request that was not asked, and why."""

    name: str
    reason: str


class Summary(msgspec.Struct):
    """The outcomes, added up.

    Attributes:
        asked: requests.
        same: of these.
        changed: of these.
        unanswered: of these.
        replaced: recordings.
        not_asked: requests.
        cost: of all that is known; `None` if nothing is.
        recorded: the medians of the recorded speeds.
        now: those of the new ones, of the same requests.
    """

    asked: int
    same: int
    changed: int
    unanswered: int
    replaced: int
    not_asked: int
    cost: float | None
    recorded: Speed
    now: Speed

    @property
    def status(self) -> int:
        """The exit status: 2 if a request got no answer, 1 if one has changed."""
        return 2 if self.unanswered else 1 if self.changed else 0


def summarize_outcomes(outcomes: list[Outcome], not_asked: int) -> Summary:
    """Add up outcomes."""
    verdicts = [outcome.verdict for outcome in outcomes]
    costs = [outcome.cost for outcome in outcomes if outcome.cost is not None]
    pairs = [(outcome.recorded, outcome.now) for outcome in outcomes]
    return Summary(
        asked=len(outcomes),
        same=verdicts.count(SAME),
        changed=verdicts.count(CHANGED),
        unanswered=verdicts.count(UNANSWERED),
        replaced=sum(outcome.is_replaced for outcome in outcomes),
        not_asked=not_asked,
        cost=sum(costs) if costs else None,
        recorded=Speed(**{name: _median(old for old, _ in _both(pairs, name)) for name in Speed.__struct_fields__}),
        now=Speed(**{name: _median(new for _, new in _both(pairs, name)) for name in Speed.__struct_fields__}),
    )


def _both(pairs: list[tuple[Speed, Speed]], name: str) -> list[tuple[float, float]]:
    """Return a speed of both sides, where both have it."""
    found = [(getattr(old, name), getattr(new, name)) for old, new in pairs]
    return [(old, new) for old, new in found if old is not None and new is not None]


def _median(values: Iterable[float]) -> float | None:
    return statistics.median(found) if (found := [*values]) else None
