"""`copy`: recordings from a directory or a URL to another one."""

from __future__ import annotations

import os
from collections import Counter
from typing import TYPE_CHECKING

import click

from inferencereplay.cli import options, terminal
from inferencereplay.errors import InvalidSetting
from inferencereplay.session.used_names import read_used
from inferencereplay.store.location import is_missing, is_url, real
from inferencereplay.store.opening import open_store
from inferencereplay.store.opening_files import open_files
from inferencereplay.upkeep.copying import COPIED, DIFFERS, FAILED, MISSING, OUTCOMES, REPLACED, Copying

if TYPE_CHECKING:
    from pathlib import Path

    from inferencereplay.store.files import Files
    from inferencereplay.store.location import Location

_EXAMPLE = "Example: inferencereplay copy tests/recordings s3://bucket/team/recordings --dry-run"


@click.command(epilog=_EXAMPLE)
@click.argument("source", metavar="FROM", type=options.PLACE)
@click.argument("target", metavar="TO", type=options.PLACE)
@click.option("--used", type=options.FILE, metavar="FILE", help="Only the recordings named there, one a line.")
@click.option("--overwrite", "overwrites", is_flag=True, help="Replace recordings in TO that have another content.")
@click.option("--dry-run", "is_dry", is_flag=True, help="Only say what would be copied.")
def copy(source: Location, target: Location, used: Path | None, *, overwrites: bool, is_dry: bool) -> int:
    """Copy the recordings that are missing in TO.

    FROM and TO are directories or URLs: push, pull, and from one cloud to another. A recording of the same name and
    another content is reported, and stays. After an interrupt the same command goes on. Exit status 1 if a recording
    differs, is not found, or cannot be read.
    """
    files, place = _open(source), open_files(target)
    if open_store(target).is_foreign:
        message = f"{target} is llama-stack's, and is never written. Copy to another directory."
        raise InvalidSetting(message)
    _check_apart(files, place)
    copying = Copying(files, place, overwrites=overwrites, is_dry=is_dry)
    plan = copying.plan(None if used is None else _used(used, files.place))
    counts: Counter[str] = Counter()
    size = 0
    for copied in terminal.progress(copying.run(plan), sum(map(len, plan)), "copying"):
        counts[copied.outcome] += 1
        size += copied.size
        if copied.outcome in (DIFFERS, MISSING, FAILED):
            reason = f": {copied.reason}" if copied.reason else ""
            terminal.show((f"{copied.outcome}  ", "bold red"), terminal.name(f"{copied.name}{reason}"))
        elif is_dry and copied.outcome in (COPIED, REPLACED):
            terminal.show(terminal.name(copied.name))
    said = ", ".join(f"{counts[outcome]} {outcome}" for outcome in OUTCOMES if counts[outcome]) or "nothing to copy"
    terminal.note(f"{'Would be: ' if is_dry else ''}{said}; {terminal.size(size)}.")
    if counts[DIFFERS]:
        terminal.note("Replace those with another content by --overwrite.")
    return 1 if counts[DIFFERS] or counts[MISSING] or counts[FAILED] else 0


def _used(file: Path, place: str) -> set[str]:
    names = read_used(file, [f"{place}/"], is_distant=is_url(place))
    if not names:
        message = f"{file} names no recording of {place}."
        raise InvalidSetting(message)
    return names


def _check_apart(source: Files, target: Files) -> None:
    """Refuse to copy a place onto itself, and into itself, which would copy the copies the next time."""
    start, end = real(source.place), real(target.place)
    if start == end:
        message = f"FROM and TO are both {source.place}."
        raise click.UsageError(message)
    if end.startswith(f"{start}{'/' if is_url(start) else os.sep}"):
        message = f"TO, {target.place}, is inside FROM, {source.place}. Copy to a place beside it."
        raise click.UsageError(message)


def _open(source: Location) -> Files:
    if is_missing(str(source)):
        message = f"{source} does not exist. Give the directory that holds the recordings."
        raise InvalidSetting(message)
    if open_store(source).is_foreign:
        message = f"{source} is llama-stack's. Import it first: inferencereplay import llama-stack {source} DIR"
        raise InvalidSetting(message)
    return open_files(source)
