"""Two runs compared: their pairs, what varies in them, the proposal, and what remains different under it."""

from __future__ import annotations

import bisect
import collections
import datetime
import re
from typing import TYPE_CHECKING, NamedTuple

from inferencereplay.calibration.pairing import Pairs, Progress, pair
from inferencereplay.calibration.proposal import Proposal, are_equal, collisions, propose
from inferencereplay.calibration.variation import MOST_SAID, NORMALIZE, Analysis, Analyst, Variation

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from inferencereplay.calibration.recorded_run import Asked

MOST_COLLISIONS = 1_000
"""Groups of requests that become equal which are kept; more say nothing new."""


class Place(NamedTuple):
    """One variation, and in how many pairs of requests it was found."""

    variation: Variation
    pairs: int


class Findings(NamedTuple):
    """What the comparison of two runs has found.

    Attributes:
        pairs: the requests of the runs.
        places: what varies, each variation once.
        added: the settings that the findings call for.
        proposal: the same with the settings that the runs had.
        unsolved: the pairs that are different ones under the proposal, too.
        collisions: requests of one run that are one under the proposal.
    """

    pairs: Pairs
    places: list[Place]
    added: Proposal
    proposal: Proposal
    unsolved: list[tuple[Asked, Asked]]
    collisions: list[list[Asked]]

    @property
    def is_calibrated(self) -> bool:
        """Whether a replay would find each request under the proposal."""
        return not (self.unsolved or any(self.pairs.alone))


def compare(  # noqa: PLR0913 - what the comparison needs
    first: Sequence[Asked],
    second: Sequence[Asked],
    *,
    given: Proposal,
    directory: str,
    progress: Progress,
    known: Sequence[Asked] = (),
) -> Findings:
    """Compare the requests of two runs.

    Args:
        first: those of one run.
        second: those of the other.
        given: the settings that the runs had.
        directory: an existing directory, for the session that checks the proposal.
        progress: shows how far a loop is.
        known: further requests, which may become equal to others.
    """
    pairs = pair(first, second, progress)
    analyst, orders = Analyst(), tuple(_Order(run) for run in (first, second))
    analyses = []
    for one, other in progress(pairs.differing, len(pairs.differing), "comparing"):
        analyses.append(analyst.compare(one, other, (orders[0].before(one), orders[1].before(other))))
    dated = _dated([*first, *second], analyses)
    added = propose([*analyses, *dated])
    proposal = Proposal(
        tuple(dict.fromkeys(given.ignore + added.ignore)), tuple(dict.fromkeys(given.normalize + added.normalize))
    )
    session = proposal.session(directory)
    unsolved = [
        (one, other)
        for (one, other), analysis in zip(
            progress(pairs.differing, len(pairs.differing), "checking"), analyses, strict=True
        )
        if not (analysis.is_solved and are_equal(session, one, other, analysis))
    ]
    all_known = [*known, *first] if added != Proposal() else []
    merged = [*collisions(session, progress(all_known, len(all_known), "looking for collisions"))]
    return Findings(pairs, _counted([*analyses, *dated]), added, proposal, unsolved, merged[:MOST_COLLISIONS])


class _Order:
    """The requests of a run in their order."""

    def __init__(self, run: Iterable[Asked]) -> None:
        self._run = sorted(run, key=lambda asked: asked.at)
        self._times = [asked.at for asked in self._run]

    def before(self, asked: Asked) -> list[Asked]:
        """Return the last ones that were sent before another one."""
        end = bisect.bisect_left(self._times, asked.at)
        return self._run[max(0, end - MOST_SAID) : end]


def _counted(analyses: Iterable[Analysis]) -> list[Place]:
    """Count in how many requests each variation is, and keep the first example of each."""
    examples: dict[tuple[str, ...], Variation] = {}
    counts: collections.Counter[tuple[str, ...]] = collections.Counter()
    for analysis in analyses:
        for variation in analysis.variations:
            examples.setdefault(variation[:4], variation)
        counts.update({variation[:4] for variation in analysis.variations})
    return [Place(variation, counts[sign]) for sign, variation in examples.items()]


# What two runs on one day have in common.


def _dated(asked: Iterable[Asked], analyses: Iterable[Analysis]) -> list[Analysis]:
    """Return a variation for the requests that hold the day's date, unless another variation covers that."""
    if any(variation.value == "timestamps" for analysis in analyses for variation in analysis.variations):
        return []
    run = [*asked]
    pattern = _days(run)
    if pattern is None:
        return []
    found = []
    for item in run:
        if date := pattern.search(item.request.body):
            text = date[0].decode()
            varied = Variation("(anywhere)", "today's date", NORMALIZE, "timestamps", f'"{text}" in both runs')
            found.append(Analysis([varied], []))
    return found


def _days(run: Sequence[Asked]) -> re.Pattern[bytes] | None:
    """Return an expression for the dates of the days on which requests were sent, as programs write them."""
    if not run:
        return None
    ends = [min(asked.at for asked in run), max(asked.at for asked in run)]
    days = {moment.astimezone(zone).date() for moment in ends for zone in (None, datetime.timezone.utc)}
    spelled = {
        text
        for day in days
        for month in (f"{day:%B}", f"{day:%b}")
        for text in (f"{day}", f"{month} {day.day}, {day.year}", f"{day.day} {month} {day.year}")
    }
    return re.compile("|".join(sorted(map(re.escape, spelled))).encode())
