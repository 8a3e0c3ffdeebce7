"""A test that runs several times: once for each recorded variant of what it asks, or to record several variants.

What a test asks is known when it has run, and may depend on the answers. So the first run gets the first variant of
each request, as ever. Each later run begins with another variant of one of the requests, and keeps the choices that
came before that request. Runs with few other choices come first.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from _pytest.runner import call_and_report

from inferencereplay.session.settings import Mode

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from inferencereplay.pytest_plugin.units import Unit
    from inferencereplay.session.session import Session

_DIGITS = 8
"""Digits of a key in the name of a run; `inferencereplay show` takes them."""


class Round(NamedTuple):
    """One run of a test.

    Attributes:
        positions: the number of calls, by key, that count as made before; a call gets the variant after.
        name: tells the run from the others; empty for the first.
        exhausted: the setting, if it is not the test's.
    """

    positions: Mapping[str, int]
    name: str = ""
    exhausted: str | None = None


ROUND = pytest.StashKey[Round]()
TOLD = "inferencereplay_round"
"""The attribute of a report that holds the name of its round: xdist's workers may not change a report's id."""


class Rounds:
    """The runs of one test.

    Args:
        variants: how many runs there are at most for variants; 0 for the first only.
        times: how many runs record.
    """

    def __init__(self, variants: int, times: int) -> None:
        self._variants = variants
        self._times = times
        self._waiting: deque[Round] = deque()
        self._count = 1

    @property
    def is_cut(self) -> bool:
        """Whether there are more variants than runs; a run of pytest that was stopped is no reason."""
        return bool(self._waiting) and self._count > self._variants

    def following(self, round_: Round, session: Session) -> Round | None:
        """Return the run after one that a session answered; `None` after the last."""
        self._count += 1
        if session.mode is Mode.RECORD or (session.mode is Mode.RECORD_IF_MISSING and self._times > 1):
            if self._count > self._times:
                return None
            exhausted = "record" if session.mode is Mode.RECORD_IF_MISSING else None
            return Round(session.positions, f"time-{self._count}", exhausted)
        if self._variants and not session.is_live:
            self._waiting += _others(round_, session)
        return self._waiting.popleft() if self._waiting and self._count <= self._variants else None


def _others(round_: Round, session: Session) -> Iterator[Round]:
    """Yield the runs that differ from one by the variant of one more request, after those in which it differs."""
    counts = session.variant_counts()
    kept = {key: round_.positions.get(key, 0) for key in counts}
    for place, (key, count) in enumerate(counts.items()):
        if key in round_.positions:
            continue
        before = dict(list(kept.items())[:place])
        for number in range(1, count):
            positions = {**before, key: number}
            yield Round(positions, "+".join(f"{key[:_DIGITS]}~{at + 1}" for key, at in positions.items() if at))


def run_rounds(item: pytest.Item, nextitem: pytest.Item | None, rounds: Rounds, unit: pytest.StashKey[Unit]) -> None:
    """Run a test once for each round, each with reports of its own; `name_report` names them."""
    round_: Round | None = Round({})
    while round_ is not None:
        item.stash[ROUND] = round_
        round_ = _run(item, nextitem, rounds, unit)


def name_report(report: pytest.TestReport, name: str) -> None:
    """Give the report of a test the name of a round, as a parameter has one."""
    path, line, domain = report.location
    report.nodeid, report.location = _named(report.nodeid, name), (path, line, _named(domain, name))


def _named(text: str, name: str) -> str:
    if not name:
        return text
    return f"{text[:-1]}-{name}]" if text.endswith("]") else f"{text}[{name}]"


def _run(item: Any, nextitem: Any, rounds: Rounds, unit: pytest.StashKey[Unit]) -> Round | None:
    """Run one round, as pytest's `runtestprotocol` runs a test, and return the next."""
    nodeid = _named(item.nodeid, item.stash[ROUND].name)
    item.ihook.pytest_runtest_logstart(nodeid=nodeid, location=item.location)
    if not item._request:  # noqa: SLF001 - as pytest does
        item._initrequest()  # noqa: SLF001
    following = None
    try:
        if call_and_report(item, "setup").passed and not item.config.getoption("setuponly", default=False):
            call_and_report(item, "call")
            following = rounds.following(item.stash[ROUND], item.stash[unit].session)
        if item.session.shouldfail or item.session.shouldstop:
            following = nextitem = None
        call_and_report(item, "teardown", nextitem=nextitem if following is None else _Sibling(item))
    finally:
        item._request, item.funcargs = False, None  # noqa: SLF001 - as pytest does
    item.ihook.pytest_runtest_logfinish(nodeid=nodeid, location=item.location)
    return following


class _Sibling:
    """Stands for a test beside another one, so that only the fixtures of the test itself are torn down before it."""

    def __init__(self, item: Any) -> None:
        self._item = item

    def __getattr__(self, name: str) -> Any:
        return getattr(self._item, name)

    def listchain(self) -> list[Any]:
        """Return the nodes above, and this."""
        return [*self._item.listchain()[:-1], self]
