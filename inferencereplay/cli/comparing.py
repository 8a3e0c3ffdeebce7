"""`diff`: compare two recordings, two directories, or revisions of a directory in git."""

from __future__ import annotations

import functools
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from inferencereplay.catalogue.comparison import (
    ADDED,
    CHANGED,
    REMOVED,
    UNCHANGED,
    UNREADABLE,
    Version,
    changes,
    compare,
)
from inferencereplay.catalogue.entries import Catalogue, parse
from inferencereplay.cli import options, terminal
from inferencereplay.cli.git_repository import Blobs, Repository
from inferencereplay.cli.showing import find
from inferencereplay.errors import InferenceReplayError
from inferencereplay.recording.difference import ABSENT
from inferencereplay.store.address import parse_file_name
from inferencereplay.store.location import is_missing, is_url, parse_location

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from inferencereplay.catalogue.comparison import Change
    from inferencereplay.catalogue.entries import Entry
    from inferencereplay.cli.options import Directories
    from inferencereplay.recording.difference import Difference
    from inferencereplay.recording.request import JSON
    from inferencereplay.store.location import Location

    _Compare = Callable[[Entry, Entry], list[Difference]]

_PATHS = "paths"
_STYLES = {ADDED: "bold green", REMOVED: "bold red", CHANGED: "bold yellow", UNREADABLE: "bold red"}
_EXAMPLES = (
    "Examples: inferencereplay diff 1c45e93e 40fcf34a --request; inferencereplay diff old/recordings recordings; "
    "inferencereplay diff main -- tests/recordings; inferencereplay diff main..topic -- tests/recordings"
)


class _WithPaths(click.Command):
    """A command that may get paths after `--`, as git's do."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Keep the paths apart."""
        if "--" in args:
            place = args.index("--")
            ctx.meta[_PATHS] = args[place + 1 :]
            args = args[:place]
        return super().parse_args(ctx, args)


@click.command(cls=_WithPaths, epilog=_EXAMPLES)
@click.argument("sides", metavar="A B | OLD NEW | REVISION [-- PATH...]", nargs=-1, required=True)
@options.to_directory
@click.option("--request", "what", flag_value="request", help="Compare the requests only.")
@click.option("--answer", "what", flag_value="response", help="Compare the answers only.")
@click.option("--all", "is_all", is_flag=True, help="Show also what varies by nature: ids, times, headers.")
@options.as_json
@click.pass_context
def diff(  # noqa: PLR0913 - the options
    context: click.Context,
    sides: tuple[str, ...],
    directory: Directories,
    what: str | None,
    *,
    is_all: bool,
    is_json: bool,
) -> int:
    """Show where recordings differ, a line for each JSON path.

    A and B are keys or files; OLD and NEW are directories or URLs. REVISION is one of git's, such as main: the files
    at the paths, by default those of --dir, are compared with it. main..topic compares two revisions, main...topic
    what the second one changed since they parted. Streams are compared by their assembled answers. Ids, times and the
    like do not count without --all. Exit status 1 if there is a difference.
    """
    compared = functools.partial(compare, what=what or "", is_all=is_all)
    paths: list[str] | None = context.meta.get(_PATHS)
    revisions = sides[0]
    if paths is None and len(sides) == 2:  # noqa: PLR2004 - A and B
        first, second = map(_place, sides)
        if _holds_recordings(first) and _holds_recordings(second):
            return _show_changes(_in_directory(first), _in_directory(second), compared, is_json=is_json)
        if not _holds_recordings(second):
            return _compare_two(directory, sides, compared, is_json=is_json)
        paths = [sides[1]]
    elif len(sides) > 1:
        message = "Give two recordings, two directories, or a revision and paths: main -- recordings, or main..topic."
        raise click.UsageError(message)
    places = tuple(map(_place, paths) if paths else options.places(options.found(directory)))
    local = [place for place in places if isinstance(place, Path)]
    if not local:
        message = f"{options.shown(places)} is in no repository of git. Give the path of a directory: -- recordings."
        raise click.UsageError(message)
    return _compare_revisions(revisions, local, compared, is_json=is_json)


def _place(side: str) -> Location:
    """Return the path or the URL that an argument is."""
    return parse_location(side, "DIR") if is_url(side) else Path(side)


def _holds_recordings(place: Location) -> bool:
    if isinstance(place, Path):
        return place.is_dir()
    return parse_file_name(place.rpartition("/")[2]) is None


def _compare_two(directory: Directories, sides: Sequence[str], compared: _Compare, *, is_json: bool) -> int:
    directory = directory if any(Path(side).is_file() for side in sides) else options.found(directory)
    found = compared(*(find(directory, side) for side in sides))
    if is_json:
        terminal.show_json([_plain(item) for item in found])
    else:
        _show_differences(found)
    return 1 if found else 0


def _plain(item: Difference) -> dict[str, JSON]:
    """Return a difference as JSON, without a member for the side that lacks it, because `null` is a value."""
    sides = {"a": item.recorded, "b": item.requested}
    return {"path": item.path} | {name: value for name, value in sides.items() if value is not ABSENT}


def _show_differences(found: Sequence[Difference], indent: str = "") -> None:
    for item in found:
        path, _, rest = str(item).partition(": ")
        old, _, new = rest.partition(" → ")
        terminal.show(indent, (terminal.name(path), "bold"), ": ", (old, "red"), " → ", (new, "green"))


# Sets of recordings.


def _compare_revisions(revisions: str, paths: Sequence[Path], compared: _Compare, *, is_json: bool) -> int:
    repository = Repository(paths[0])
    first, second = repository.commits(revisions)
    with Blobs(repository) as blobs:
        old: dict[str, Version] = {}
        new: dict[str, Version] = {}
        for path in paths:
            place = repository.path(path)
            held = _in_directory(path, must_be=False) if not second else {}
            before, after = (
                _in_commit(repository, commit, place, blobs, held) if commit else {} for commit in (first, second)
            )
            if not (before or after or held):
                where = revisions if second else f"{revisions} and in the working tree"
                message = f"There are no recordings at {path} in {where}. Give the path of their directory."
                raise InferenceReplayError(message)
            for versions, found in ((old, before), (new, after or held)):
                versions.update({str(path / name) if name else str(path): item for name, item in found.items()})
        return _show_changes(old, new, compared, is_json=is_json)


def _in_directory(path: Location, *, must_be: bool = True) -> dict[str, Version]:
    """Return the recordings of a directory, of a URL, or one file, by their names below it."""
    if isinstance(path, Path) and path.is_file():
        return {"": Version(functools.partial(Catalogue(path.parent).checked_content, path.name))}
    if not must_be and is_missing(str(path)):
        return {}
    catalogue = Catalogue(path)
    return {name: Version(functools.partial(catalogue.checked_content, name)) for name in catalogue.names()}


def _in_commit(
    repository: Repository, commit: str, place: str, blobs: Blobs, held: Mapping[str, Version]
) -> dict[str, Version]:
    """Return the recordings at a path of a commit, by their names below it.

    Our files are known by their names. Where there are none, every JSON file may be one of llama-stack's.
    """
    inside = len(place) + 1 if place else 0
    found = {name[inside:]: blob for name, blob in repository.files(commit, place).items() if name.endswith(".json")}
    own = {name: blob for name, blob in found.items() if name in held or parse_file_name(name.rpartition("/")[2])}
    return {name: Version(functools.partial(blobs.read, blob), blob) for name, blob in (own or found).items()}


def _show_changes(old: Mapping[str, Version], new: Mapping[str, Version], compared: _Compare, *, is_json: bool) -> int:
    total = len({*old, *new})
    kinds: Counter[str] = Counter()
    rows: list[dict[str, Any]] = []
    for change in terminal.progress(changes(old, new, parse, compared), total, "comparing"):
        kinds[change.kind] += 1
        if change.kind == UNCHANGED:
            continue
        if is_json:
            rows.append(_row(change))
        else:
            terminal.show((f"{change.kind:10} ", _STYLES[change.kind]), terminal.name(change.name))
            if change.reason:
                terminal.show(f"  {terminal.name(change.reason)}")
            _show_differences(change.differences, "  ")
    names = [ADDED, REMOVED, CHANGED, UNCHANGED, *[UNREADABLE] * (UNREADABLE in kinds)]
    if is_json:
        terminal.show_json({"changes": rows, "counts": {name: kinds[name] for name in names}})
    else:
        terminal.show((", ".join(f"{kinds[name]} {name}" for name in names), "bold"))
    return 1 if kinds.total() > kinds[UNCHANGED] else 0


def _row(change: Change) -> dict[str, Any]:
    row: dict[str, Any] = {"name": change.name, "kind": change.kind}
    if change.kind == CHANGED:
        row["differences"] = [_plain(item) for item in change.differences]
    return row | ({"reason": change.reason} if change.reason else {})
