"""`check`, `prune` and `rekey`: keep a directory in order."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import click

from inferencereplay.catalogue.layered import open_catalogue
from inferencereplay.catalogue.processes import processes
from inferencereplay.cli import options, terminal
from inferencereplay.redaction.redactor import Redactor
from inferencereplay.session.session import Session
from inferencereplay.session.used_names import read_used
from inferencereplay.upkeep.checking import NO_DATE, Problem
from inferencereplay.upkeep.checking import check as check_files
from inferencereplay.upkeep.pruning import choose, remove
from inferencereplay.upkeep.rekeying import rekey as rekey_files

if TYPE_CHECKING:
    import datetime
    from collections.abc import Iterator
    from pathlib import Path

    from inferencereplay.catalogue.entries import Catalogue
    from inferencereplay.cli.options import Directories
    from inferencereplay.upkeep.rekeying import Move


@click.command(epilog="Example: inferencereplay check tests/recordings")
@options.whole_directory
@options.redacting
@click.option("--max-age", type=options.Age(), metavar="AGE", help="Also list what was recorded longer ago than that.")
@options.as_json
def check(directory: Directories, redact: tuple[str, ...], max_age: datetime.timedelta | None, *, is_json: bool) -> int:
    """Check that every file can be replayed and holds no secret.

    A file has to be readable, have the name of its key and hold no secret; the numbers of variants have no gap. With
    --max-age no file is older; one without a date is listed, and is no fault. Exit status 1 if something is wrong, for
    continuous integration.
    """
    catalogue = open_catalogue(directory)
    total = sum(1 for _ in catalogue.names())
    problems: list[Problem] = []
    with processes(total if catalogue.is_local else 0) as spread:
        for _, found in terminal.progress(check_files(catalogue, Redactor(redact), spread, max_age), total, "checking"):
            problems += found
    status = 1 if any(problem.kind != NO_DATE for problem in problems) else 0
    if is_json:
        terminal.show_json([problem._asdict() for problem in problems])
        return status
    for problem in problems:
        terminal.show((f"{problem.kind:10} ", "bold red"), terminal.name(problem.message))
    kinds = Counter(problem.kind for problem in problems)
    wrong = ", ".join(f"{count} {kind}" for kind, count in kinds.items())
    style = "bold red" if status else "bold green"
    terminal.show((f"{terminal.count(total, 'file')} checked: {wrong or 'all in order'}", style))
    return status


@click.command(
    epilog="Example: inferencereplay prune tests/recordings --unused-since used.txt, and the same again with --yes"
)
@options.whole_directory
@click.option("--unused-since", type=options.FILE, help="A file with the names in use, one a line.")
@click.option("--older-than", type=options.Age(), metavar="AGE", help="Recorded longer ago than that, such as 30d.")
@click.option("-y", "--yes", "is_sure", is_flag=True, help="Remove them; without it they are only listed.")
def prune(
    directory: Directories, unused_since: Path | None, older_than: datetime.timedelta | None, *, is_sure: bool
) -> int:
    """Remove recordings that are not in use, or old.

    With both options, those that are both. The names in use come from `inferencereplay run --used FILE`, or from
    `session.used()`. A file that cannot be read stays.
    """
    if unused_since is None and older_than is None:
        message = "Give --unused-since FILE, --older-than AGE, or both."
        raise click.UsageError(message)
    catalogue = open_catalogue(directory)
    used = read_used(unused_since, [part.full_name("") for part in catalogue.parts]) if unused_since else None
    before = options.ago(older_than) if older_than is not None else None
    chosen: dict[str, tuple[int, datetime.datetime]] = {}
    size = 0
    for entry in choose(catalogue, used=used, before=before):
        terminal.show(terminal.name(entry.name))
        chosen[entry.name] = entry.size, entry.modified
        size += entry.whole_size
    saved = f"{terminal.count(len(chosen), 'recording')}, {terminal.size(size)}"
    if not is_sure:
        terminal.note(f"Would be removed: {saved}. Do it with --yes.")
        return 0
    for line in remove(catalogue, chosen):
        terminal.note(f"renamed, to close a gap: {line}")
    terminal.note(f"Removed: {saved}.")
    return 0


def _moves(catalogue: Catalogue, settings: dict[str, Any], *, is_dry: bool, has_room: bool) -> Iterator[Move]:
    """File the recordings of each layer anew, and yield what moves, with full names where there are several layers."""
    for part in catalogue.parts:
        session = Session(part.directory, mode="replay", speed=1, **settings)
        for move in rekey_files(part, session, is_dry=is_dry, has_room=has_room):
            start = "" if part is catalogue else part.full_name("")
            yield move._replace(name=start + move.name, target=move.target and start + move.target)


@click.command(epilog="Example: inferencereplay rekey tests/recordings --ignore metadata.run_id --dry-run")
@options.whole_directory
@options.of_a_request
@click.option("--dry-run", "is_dry", is_flag=True, help="Only show the new names.")
@click.option(
    "--variants", "has_room", is_flag=True, help="Make variants of recordings that have the same request now."
)
def rekey(directory: Directories, settings: dict[str, Any], *, is_dry: bool, has_room: bool) -> int:
    """Rename recordings by their new keys.

    A request has a new key after an edit, or with other settings. Give the settings that the sessions have from now on.
    Nothing is overwritten: a recording stays and is reported if another one has its new name. Exit status 1 if a
    recording stays.
    """
    catalogue = open_catalogue(directory)
    moved = stayed = 0
    in_place = set(catalogue.names())
    for move in _moves(catalogue, settings, is_dry=is_dry, has_room=has_room):
        in_place.discard(move.name)
        if move.problem:
            stayed += 1
            terminal.show(("stays  ", "bold red"), terminal.name(f"{move.name}: {move.problem}"))
        else:
            moved += 1
            what = f"{move.name} → {move.target}" if move.name != move.target else f"{move.name} (its key)"
            terminal.show(terminal.name(what))
    how = "Would be filed anew" if is_dry else "Filed anew"
    rest = f"{len(in_place)} in place already, {stayed} left where they are"
    terminal.note(f"{how}: {terminal.count(moved, 'recording')}; {rest}.")
    return 1 if stayed else 0
