"""The plan and the outcomes of `verify` and `refresh`, for people and as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from inferencereplay.cli import terminal
from inferencereplay.verification.markdown_results import by_reason, markdown, shown_names, speed_rows
from inferencereplay.verification.outcomes import CHANGED, UNANSWERED

if TYPE_CHECKING:
    from inferencereplay.catalogue.totals import Prices
    from inferencereplay.verification.outcomes import NotAsked, Outcome, Summary
    from inferencereplay.verification.verification_plan import Plan, Share

_HEADS = ("REQUESTS", "INPUT", "OUTPUT", "COST", "MODEL")


def show_plan(plan: Plan, before: int, prices: Prices | None) -> None:
    """Print what is to be asked, and what it takes at most."""
    total = plan.total()
    again = f" ({before} more were asked in the run that was stopped)" if before else ""
    terminal.show((terminal.count(total.requests, "request"), "bold"), f" to ask at {plan.target.base_url}{again}")
    if not plan.items:
        return
    shares = sorted(plan.shares().items(), key=lambda item: (-item[1].requests, item[0]))
    terminal.show("Tokens and cost at most:")
    terminal.show_rows(_HEADS, (_cells(name, share, prices) for name, share in shares), right=_HEADS[:-1])
    if len(shares) > 1:
        terminal.show(f"In all: {total.input} tokens in, {total.output} out{_with_cost(total, prices)}")
    if total.open:
        terminal.show(f"{terminal.count(total.open, 'request')} set no limit: --assume-output is taken for each answer")
    if prices and (unpriced := plan.unpriced()):
        terminal.show(f"No price is given for {', '.join(unpriced)}")


def _cells(name: str, share: Share, prices: Prices | None) -> tuple[str, ...]:
    cost = _cost(share.cost, prices) if share.cost is not None else ""
    return str(share.requests), str(share.input), str(share.output), cost, name or "(none)"


def _with_cost(total: Share, prices: Prices | None) -> str:
    return f", {_cost(total.cost, prices)}" if total.cost is not None else ""


def _cost(amount: float, prices: Prices | None) -> str:
    currency = prices.currency if prices else ""
    return f"{amount:.2f} {currency}" if amount >= 1 else f"{amount:.6f} {currency}"


def plan_as_json(plan: Plan, prices: Prices | None) -> dict[str, Any]:
    """Return the plan as JSON: what is asked, and what it takes at most."""
    total = msgspec.structs.asdict(plan.total())
    models = {name: msgspec.structs.asdict(share) for name, share in plan.shares().items()}
    currency = prices.currency if prices else None
    return {"base_url": plan.target.base_url, "currency": currency, **total, "models": models}


def outcome_as_json(outcome: Outcome) -> dict[str, Any]:
    """Return an outcome as JSON."""
    return {name: value for name, value in msgspec.structs.asdict(outcome).items() if name != "mark"}


def show_outcomes(outcomes: list[Outcome]) -> None:
    """Print each request that has changed or got no answer."""
    for outcome in outcomes:
        if outcome.verdict == UNANSWERED:
            terminal.show(("no answer ", "bold red"), terminal.name(f"{outcome.name}: {outcome.reason}"))
        elif outcome.verdict == CHANGED:
            what = "replaced  " if outcome.is_replaced else "changed   "
            kept = f": {outcome.reason}" if outcome.reason else ""
            terminal.show((what, "bold yellow"), terminal.name(outcome.name), f"  {outcome.model}{kept}")
            for change in outcome.changes:
                terminal.show(f"  {change.kind}: ", (change.old, "red"), " → ", (change.new, "green"))


def show_not_asked(not_asked: list[NotAsked]) -> None:
    """Print how many requests were not asked, for each reason."""
    for reason, names in by_reason(not_asked).items():
        terminal.show((f"{len(names)} not asked", "bold"), terminal.name(f": {reason}: {shown_names(names)}"))


def show_summary(summary: Summary, prices: Prices | None) -> None:
    """Print the counts, the speeds and the cost."""
    for name, old, new in speed_rows(summary):
        terminal.show(f"{name}: {old} recorded, {new} now (medians)")
    if summary.cost is not None:
        terminal.show(f"cost: {_cost(summary.cost, prices)}")
    parts = [f"{summary.same} the same", f"{summary.changed} changed"]
    parts += [f"{summary.replaced} replaced"] * bool(summary.replaced)
    parts += [f"{summary.unanswered} without an answer"] * bool(summary.unanswered)
    parts += [f"{summary.not_asked} not asked"] * bool(summary.not_asked)
    style = "bold red" if summary.changed or summary.unanswered else "bold green"
    terminal.show((f"{terminal.count(summary.asked, 'request')} asked: {', '.join(parts)}", style))


def show_markdown(title: str, summary: Summary, outcomes: list[Outcome], not_asked: list[NotAsked]) -> None:
    """Print the outcomes as Markdown."""
    terminal.write(markdown(title, summary, outcomes, not_asked))
