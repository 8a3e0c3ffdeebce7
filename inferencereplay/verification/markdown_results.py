"""The outcomes as Markdown, for a pull request or the summary of a CI job."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from inferencereplay.verification.outcomes import CHANGED, UNANSWERED

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from inferencereplay.verification.changes import Speed
    from inferencereplay.verification.outcomes import NotAsked, Outcome, Summary

MOST_ROWS = 100
"""Rows of a table: a comment on GitHub has at most 65,536 characters."""
_MOST_NAMES = 3
_BEFORE_BAR = re.compile(r"(\\*)\|")
"""A bar, which ends a cell of a table also in code, and the backslashes before it, which would escape each other."""


def by_reason(not_asked: Iterable[NotAsked]) -> dict[str, list[str]]:
    """Return the names of requests that were not asked, by the reason."""
    found: dict[str, list[str]] = {}
    for name, reason in not_asked:
        found.setdefault(reason, []).append(name)
    return found


def shown_names(names: list[str]) -> str:
    """Return the first of some names."""
    return ", ".join(names[:_MOST_NAMES]) + (
        f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
    )


def speed_rows(summary: Summary) -> Iterator[tuple[str, str, str]]:
    """Yield each median that both sides have: its name, the recorded one, the new one."""
    old, new = summary.recorded, summary.now
    for name, attribute, unit in (
        ("time to first token", "first_token", "s"),
        ("tokens a second", "tokens_per_second", ""),
        ("whole answer", "total", "s"),
    ):
        if getattr(old, attribute) is not None:
            yield name, _number(old, attribute, unit), _number(new, attribute, unit)


def _number(speed: Speed, attribute: str, unit: str) -> str:
    value = getattr(speed, attribute)
    return f"{value:.3f} {unit}" if unit else f"{value:.1f}"


def markdown(title: str, summary: Summary, outcomes: list[Outcome], not_asked: list[NotAsked]) -> str:
    """Return the outcomes as Markdown."""
    lines = [f"### {title}", "", ", ".join(_counts(summary)) + ".", ""]
    lines += _table(("recording", "model", "changed", "recorded", "now"), _changes(outcomes))
    failed = [outcome for outcome in outcomes if outcome.verdict == UNANSWERED]
    rows = ((item.name, item.model, item.reason) for item in failed)
    lines += _table(("no answer", "model", "reason"), (map(_code, row) for row in rows))
    lines += _table(("median", "recorded", "now"), speed_rows(summary))
    reasons = by_reason(not_asked).items()
    named = ((str(len(names)), _code(reason), _code(shown_names(names))) for reason, names in reasons)
    lines += _table(("not asked", "reason", "recordings"), named)
    return "\n".join(lines).rstrip() + "\n"


def _counts(summary: Summary) -> Iterator[str]:
    yield f"{summary.asked} asked"
    for number, what in (
        (summary.same, "the same"),
        (summary.changed, "changed"),
        (summary.replaced, "replaced"),
        (summary.unanswered, "without an answer"),
        (summary.not_asked, "not asked"),
    ):
        if number:
            yield f"{number} {what}"


def _changes(outcomes: list[Outcome]) -> Iterator[tuple[str, ...]]:
    for outcome in outcomes:
        if outcome.verdict == CHANGED:
            for change in outcome.changes:
                yield _code(outcome.name), _code(outcome.model), change.kind, _code(change.old), _code(change.new)


def _table(heads: tuple[str, ...], rows: Iterable[Iterable[str]]) -> list[str]:
    lines = [f"| {' | '.join(row)} |" for row in rows]
    if not lines:
        return []
    more = [f"… and {len(lines) - MOST_ROWS} more", ""] if len(lines) > MOST_ROWS else []
    return [f"| {' | '.join(heads)} |", "|" + "---|" * len(heads), *lines[:MOST_ROWS], "", *more]


def _code(text: str) -> str:
    """Return a text as code, in which nothing is Markdown or HTML, links to something, or notifies somebody.

    The format: https://github.github.com/gfm/#code-spans and https://github.github.com/gfm/#tables-extension-.
    """
    plain = " ".join(text.split())
    longest = max(map(len, re.findall("`+", plain)), default=0)
    fence, blank = "`" * (longest + 1), " " * bool(longest)
    return plain and f"{fence}{blank}{_BEFORE_BAR.sub(_escaped, plain)}{blank}{fence}"


def _escaped(found: re.Match[str]) -> str:
    return f"{found[1] * 2}\\|"
