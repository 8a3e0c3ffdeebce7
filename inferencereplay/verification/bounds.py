"""How many tokens a request may take at most, and what they may cost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from inferencereplay.catalogue.conversation.parts import members, number

if TYPE_CHECKING:
    from inferencereplay.catalogue.conversation import Usage
    from inferencereplay.catalogue.entries import Entry
    from inferencereplay.catalogue.totals import Price

_LIMITS = ("max_completion_tokens", "max_tokens", "max_output_tokens")
_MILLION = 1_000_000
_WRITING = ("chat", "completion", "response")
OPEN = 16_384
"""Tokens that are assumed for an answer whose request sets no limit."""
TEXT_LIMIT = 16
"""Tokens that a text completion has at most where its request sets no limit, as the API says."""


class Bound(NamedTuple):
    """The most tokens that a request may take.

    Attributes:
        input: as the server counted them when it was recorded; without such a count, one for each byte of the request,
            for no token is shorter.
        output: the request's own limit for all its answers, or what is assumed.
        is_open: whether the request sets no limit, so that `output` is an assumption.
    """

    input: int
    output: int
    is_open: bool

    def cost(self, price: Price) -> float:
        """Return what it costs at most."""
        return (self.input * price.input + self.output * price.output) / _MILLION


def bound_of(entry: Entry, assumed: int = OPEN) -> Bound:
    """Return the most tokens that a request may take.

    Args:
        entry: the recording.
        assumed: tokens of an answer without a limit.
    """
    body: dict[str, Any] = members(entry.body)
    counted = entry.usage.input
    asked = counted if counted is not None and counted >= 0 else len(entry.request.body) * bool(body)
    if entry.kind not in _WRITING:
        return Bound(asked, 0, is_open=False)
    answers = max(1, number(body.get("n")) or 1, number(body.get("best_of")) or 1)
    given = [limit for name in _LIMITS if (limit := number(body.get(name))) is not None and limit >= 0]
    if given:
        return Bound(asked, max(given) * answers, is_open=False)
    if entry.kind == "completion":  # some servers write on all the same: what was written before counts too
        return Bound(asked, max(TEXT_LIMIT * answers, entry.usage.output or 0), is_open=False)
    return Bound(asked, max(assumed * answers, entry.usage.output or 0), is_open=True)


def cost_of(usage: Usage, price: Price) -> float | None:
    """Return what an answer has cost; `None` if it has no count of tokens."""
    if usage.input is None:
        return None
    cached = usage.cached or 0
    reused = price.input if price.cached is None else price.cached
    cost = (usage.input - cached) * price.input + cached * reused + (usage.output or 0) * price.output
    return max(0.0, cost / _MILLION)  # no count that is wrong makes room for others
