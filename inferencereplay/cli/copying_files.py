"""`copy`: recordings from a directory or a URL to another one."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import click

from inferencereplay.cli import options, terminal
from inferencereplay.errors import InvalidSetting
from inferencereplay.session.used_names import read_used
from inferencereplay.store.location import is_missing
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
    if source == target:
        message = f"FROM and TO are both {source}."
        raise click.UsageError(message)
    copying = Copying(files, place, overwrites=overwrites, is_dry=is_dry)
    plan = copying.plan(None if used is None else read_used(used, [f"{files.place}/"]))
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


def _open(source: Location) -> Files:
    if is_missing(str(source)):
        message = f"{source} does not exist. Give the directory that holds the recordings."
        raise InvalidSetting(message)
    if open_store(source).is_foreign:
        message = f"{source} is llama-stack's. Import it first: inferencereplay import llama-stack {source} DIR"
        raise InvalidSetting(message)
    return open_files(source)
