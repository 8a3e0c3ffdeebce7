"""The summary at the end of a run."""

from __future__ import annotations

import itertools
import os
from typing import TYPE_CHECKING

from inferencereplay.pytest_plugin.tally import causes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from inferencereplay.pytest_plugin.tally import Tally
    from inferencereplay.pytest_plugin.unused import Finding

MOST = 5
MOST_FILES = 20
COUNTED = (("hits", "hit"), ("misses", "miss"), ("recorded", "recorded"))
ELSEWHERE = (("unchanged", "unchanged"), ("let_through", "live"), ("stubbed", "by hand"))
"""The counts that are shown only if there are any: of calls that no recording has to answer."""


def summarise(
    tally: Tally, finding: Finding | None, *, is_asked: bool, is_fatal: bool, is_deleting: bool
) -> Iterator[str]:
    """Yield the lines of the summary.

    Args:
        tally: of the whole run.
        finding: about unused recordings, unless they are ignored.
        is_asked: whether the user asked for unused recordings, and gets the reason if there is no answer.
        is_fatal: whether unused recordings fail the run.
        is_deleting: whether they are to be deleted.
    """
    counts = [f"{tally.counts[many]} {one if tally.counts[many] == 1 else many}" for many, one in COUNTED]
    counts += [f"{tally.counts[name]} {shown}" for name, shown in ELSEWHERE if tally.counts[name]]
    has_answer = finding is not None and not finding.doubt
    yield ", ".join([*counts, f"{len(finding.files)} unused"] if finding and has_answer else counts)
    yield from _misses(tally)
    yield from _faults(tally)
    expired = [f"older than max_age: {os.path.relpath(file)}" for file in sorted(tally.expired)]
    yield from _shortened(expired, MOST, "recordings that are older")
    cut = [f"there are more variants than runs of {nodeid}: variants=N says how many" for nodeid in sorted(tally.cut)]
    yield from _shortened(cut, MOST, "tests")
    refused = [_counted(count, "connection", "connections", host) for host, count in tally.blocked.most_common()]
    yield from _shortened([f"kept off the network: {line}" for line in refused], MOST, "hosts")
    warnings = tally.warnings.most_common()
    yield from _shortened([_counted(count, "warning", "warnings", line) for line, count in warnings], MOST, "warnings")
    if finding and finding.doubt and is_asked:
        yield f"unused recordings were not looked for: {finding.doubt}"
    if finding:
        left = [f"unused: {os.path.relpath(file)}" for file in finding.files if file not in finding.deleted]
        yield from _shortened(left, MOST_FILES, "files")
    if finding and finding.deleted:
        yield f"{len(finding.deleted)} unused deleted:"
        yield from (f"  {os.path.relpath(file)}" for file in finding.deleted)
    if finding and (finding.kept or (finding.doubt and is_deleting)):
        yield f"not deleted: {'; '.join(finding.kept) or finding.doubt}"
    if finding and finding.files and is_fatal:
        yield "unused recordings fail this run: delete these files, or give --inferencereplay-unused=report"


def _misses(tally: Tally) -> Iterator[str]:
    found = causes(tally.reasons)
    lines = [_counted(count, "miss", "misses", line) for count, line in found]
    yield from _shortened(lines, MOST, "reasons")
    if lines:
        yield "to record what is missing: pytest --inferencereplay-mode=record-if-missing"


def _faults(tally: Tally) -> Iterator[str]:
    if tally.faults:
        counts = ", ".join(f"{count} {name}" for name, count in tally.faults.most_common())
        yield f"{_counted(tally.faults.total(), 'fault', 'faults', counts)}"
    idle = [
        f"in {count} {'test' if count == 1 else 'tests'} a fault did not happen: {fault}"
        for fault, count in tally.idle.most_common()
    ]
    yield from _shortened(idle, MOST, "faults")


def _counted(count: int, one: str, many: str, line: str) -> str:
    return f"{count} {one if count == 1 else many}: {line}"


def _shortened(lines: list[str], limit: int, what: str) -> Iterator[str]:
    yield from itertools.islice(lines, limit)
    if len(lines) > limit:
        yield f"… and {len(lines) - limit} more {what}"
