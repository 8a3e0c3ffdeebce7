"""What `calibrate` has found, for people and as JSON."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

from inferencereplay.calibration.proposal import Proposal
from inferencereplay.cli import terminal
from inferencereplay.recording.difference import differences
from inferencereplay.redaction.redactor import Redactor

if TYPE_CHECKING:
    from collections.abc import Sequence

    from inferencereplay.calibration.findings import Findings
    from inferencereplay.calibration.recorded_run import Asked
    from inferencereplay.calibration.variation import Variation

_MOST_SHOWN = 5
"""Requests of a kind that are shown one by one."""
_HEADS = ("WHERE", "WHAT", "REQUESTS", "SETTING", "EXAMPLE")
_PLACES = {
    "code": "code",
    "marker": "pytest's marker",
    "ini": "pytest's ini file",
    "environment": "environment",
    "options": "commands",
}


def line_of(command: tuple[str, ...]) -> str:
    """Return the command for people, without secrets."""
    return Redactor().text(shlex.join(command))


def plain(command: tuple[str, ...], runs: Sequence[Sequence[Asked]], found: Findings) -> dict[str, Any]:
    """Return the findings as JSON.

    Args:
        command: that was run.
        runs: the requests of each run.
        found: the findings.
    """
    return {
        "command": [*map(Redactor().text, command)],
        "requests": [len(run) for run in runs],
        "equal": len(found.pairs.equal),
        "differing": len(found.pairs.differing),
        "variations": [{**place.variation._asdict(), "requests": place.pairs} for place in found.places],
        "settings": found.proposal._asdict(),
        "spelled": found.proposal.spelled() if found.proposal != Proposal() else {},
        "lets_through": found.added.lets_through(),
        "collisions": [[_told(asked) for asked in group] for group in found.collisions],
        "unsolved": [{"first": _told(one), "second": _told(other)} for one, other in found.unsolved],
        "only_in_one_run": [[_told(asked) for asked in side] for side in found.pairs.alone],
        "is_calibrated": found.is_calibrated,
    }


def _told(asked: Asked) -> dict[str, str]:
    return {"method": asked.request.method, "path": asked.request.path, "key": asked.request.key, "file": asked.name}


def show(command: tuple[str, ...], runs: Sequence[Sequence[Asked]], found: Findings) -> None:
    """Print the findings; the arguments are those of `plain`."""
    asked = " and ".join(str(len(run)) for run in runs)
    said = f"{len(found.pairs.equal)} equal, {len(found.pairs.differing)} different"
    terminal.show((f"Two runs of {line_of(command)}: {asked} requests, {said}", "bold"))
    if found.places:
        terminal.show("")
        rows = [
            (p.variation.where, p.variation.kind, str(p.pairs), _setting(p.variation), p.variation.example)
            for p in found.places
        ]
        terminal.show_rows(_HEADS, rows, right=("REQUESTS",))
    if found.added != Proposal():
        _show_proposal(found)
    _show_rest(found)


def _setting(variation: Variation) -> str:
    return (
        f"{variation.remedy} {variation.value}"
        if variation.remedy in ("ignore", "normalize")
        else f"none: {variation.value}"
    )


def _show_proposal(found: Findings) -> None:
    solved = len(found.pairs.differing) - len(found.unsolved)
    terminal.show("")
    terminal.show(
        ("Settings", "bold"), f" under which {solved} of the {len(found.pairs.differing)} are equal (checked):"
    )
    for place, text in found.proposal.spelled().items():
        for line in text.split("\n"):
            terminal.show((f"  {_PLACES[place]:18}", "dim"), line)
    terminal.show(
        "Existing recordings get their new keys by: inferencereplay rekey DIR ", found.proposal.spelled()["options"]
    )
    terminal.show("")
    terminal.show(("They also make equal", "bold"))
    for name, what in found.added.lets_through().items():
        terminal.show(f"  {name}: {what}")
    if found.collisions:
        groups = terminal.count(len(found.collisions), "group")
        told = f"  Of the recorded requests, those of {groups} become one:"
        terminal.show((told, "yellow"), " the variants of one recording answer them, in order")
    for group in found.collisions[:_MOST_SHOWN]:
        first, second = group[:2]
        where = next(iter(differences(first.body, second.body)), "method or query")
        terminal.show(f"    {len(group)} to {first.request.path}, such as {first.name} and {second.name}: {where}")
    _show_more(len(found.collisions))


def _show_rest(found: Findings) -> None:
    if found.unsolved:
        terminal.show("")
        terminal.show((f"{terminal.count(len(found.unsolved), 'request')} of each run stay different:", "bold red"))
        for one, other in found.unsolved[:_MOST_SHOWN]:
            where = next(iter(differences(one.body, other.body)), "path or query")
            terminal.show(f"  {one.request.method} {one.request.path} {one.name} and {other.name}: {where}")
        _show_more(len(found.unsolved))
    for number, alone in enumerate(found.pairs.alone, 1):
        if alone:
            terminal.show("")
            terminal.show((f"Only run {number} made {terminal.count(len(alone), 'request')}:", "bold red"))
            for asked in alone[:_MOST_SHOWN]:
                terminal.show(f"  {asked.request.method} {asked.request.path} {asked.name}")
            _show_more(len(alone))
    if found.is_calibrated and found.added == Proposal():
        terminal.show(("Both runs ask the same: nothing needs a setting.", "bold green"))


def _show_more(count: int) -> None:
    if count > _MOST_SHOWN:
        terminal.show(f"  … and {count - _MOST_SHOWN} more")
