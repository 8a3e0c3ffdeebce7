"""`list` and `stats`: the recordings of a directory, one by one and added up."""

from __future__ import annotations

import datetime
import functools
import itertools
from typing import TYPE_CHECKING, Any

import click
import msgspec

from inferencereplay.catalogue.entries import Catalogue, Entry, Unreadable
from inferencereplay.catalogue.layered import open_catalogue
from inferencereplay.catalogue.processes import portions, processes
from inferencereplay.catalogue.recording_map import DEFAULT_FILE, read_map, used_by
from inferencereplay.catalogue.totals import Total, add_up, load_prices
from inferencereplay.cli import options, terminal
from inferencereplay.session.settings import parse_layers
from inferencereplay.store.location import real

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from inferencereplay.catalogue.filtering import Filter
    from inferencereplay.cli.options import Directories

_SORTS = {
    "name": lambda row: row.name,
    "date": lambda row: row.date,
    "model": lambda row: row.model,
    "path": lambda row: row.path,
    "size": lambda row: row.bytes,
}
_COLUMNS = ("KEY", "DATE", "PATH", "MODEL", "ANSWER", "SIZE", "TEXT")
_DIGITS = 12
_FIRST_ERROR = 400
_LONGEST = 200


class Row(msgspec.Struct, gc=False):
    """A recording in a list."""

    name: str
    key: str
    variant: int
    date: datetime.datetime
    path: str
    model: str
    status: int
    end: str
    chunks: int
    bytes: int
    text: str
    is_connection: bool = False


@click.command(
    "list",
    epilog="Example: inferencereplay list tests/recordings --model 'gpt-4*' --text weather --sort date",
)
@options.whole_directory
@options.filtered
@click.option("--sort", type=click.Choice(list(_SORTS)), default="name", show_default=True)
@click.option("-r", "--reverse", is_flag=True, help="Reverse the order.")
@click.option("-n", "--limit", type=click.IntRange(min=1), help="At most so many.")
@click.option("--test", metavar="ID", help="Used by this test of pytest, or by all tests of a file or a class.")
@click.option(
    *("--map", "map_file"),
    type=options.PATH,
    default=DEFAULT_FILE,
    show_default=True,
    help="With --test: the file of pytest's --inferencereplay-map.",
)
@options.as_json
def list_(  # noqa: PLR0913 - the options
    *,
    directory: Directories,
    wanted: Filter,
    sort: str,
    limit: int | None,
    reverse: bool,
    test: str | None,
    map_file: Path,
    is_json: bool,
) -> int:
    """List recordings.

    In a pipe the columns are separated by tabs. Exit status 1 if a file cannot be read.
    """
    unreadable: list[Unreadable] = []
    used = None if test is None else used_by(read_map(map_file), test)
    if used and (options.is_given("directory") or click.get_current_context().params.get("folder")):
        named = {real(str(place.absolute())) for place in options.places(directory)}
        used = {place: names for place, names in used.items() if real(place) in named}
    elif used:
        directory = parse_layers(used.keys())
    catalogue = open_catalogue(directory)
    names = [*catalogue.names()] if used is None else [*_used_names(catalogue, used)]
    is_short = limit and sort == "name" and not reverse
    with processes(0 if is_short or not catalogue.is_local else len(names)) as spread:
        found = spread(functools.partial(rows_of, catalogue, wanted), portions(names))
        rows = _readable(itertools.chain.from_iterable(found), unreadable)
        if sort != "name" or reverse:
            rows = iter(sorted(rows, key=_SORTS[sort], reverse=reverse))
        rows = itertools.islice(rows, limit)
        if is_json:
            terminal.show_json_rows(rows)
        else:
            show(rows)
    for item in unreadable:
        terminal.note(item.reason)
    return 1 if unreadable else 0


def _used_names(catalogue: Catalogue, used: Mapping[str, set[str]]) -> Iterator[str]:
    """Yield the names of recordings that a test has used, by directory; those that are gone are told."""
    wanted = {real(place): names for place, names in used.items()}
    missing = sum(map(len, wanted.values()))
    for part in catalogue.parts:
        names = wanted.get(real(str(part.directory)), set())
        there = [name for name in part.names() if name in names]
        missing -= len(there)
        yield from there if part is catalogue else map(part.full_name, there)
    if missing:
        terminal.note(
            f"{terminal.count(missing, 'recording')} of the map not found: the map is older than the directory."
        )


def _readable(items: Iterable[Row | Unreadable], unreadable: list[Unreadable]) -> Iterator[Row]:
    for item in items:
        if isinstance(item, Unreadable):
            unreadable.append(item)
        else:
            yield item


def show(rows: Iterable[Row]) -> None:
    """Print rows as a table."""
    terminal.show_rows(_COLUMNS, map(_cells, rows), right=("SIZE",), narrow=("PATH", "MODEL"))


def rows_of(catalogue: Catalogue, wanted: Filter, names: Sequence[str]) -> Iterable[Row | Unreadable]:
    """Return the rows of some files, also from another process."""
    items = catalogue.scan(names)
    return [item if isinstance(item, Unreadable) else _row(item) for item in items if _counts(item, wanted)]


def _counts(item: Entry | Unreadable, wanted: Filter) -> bool:
    return isinstance(item, Unreadable) or wanted.accepts(item)


def _row(entry: Entry) -> Row:
    response = entry.recording.response
    return Row(
        name=entry.name,
        key=entry.key,
        variant=entry.variant,
        date=entry.date,
        path=entry.path,
        model=entry.model,
        status=response.status,
        end=response.end,
        chunks=response.arrivals,
        bytes=entry.whole_size,
        text=(entry.gist or entry.conversation.summary)[:_LONGEST],
        is_connection=response.frames is not None,
    )


def _cells(row: Row) -> tuple[str, ...]:
    variant = f"~{row.variant}" if row.variant > 1 else ""
    key = row.key[:_DIGITS] + variant
    return key, f"{row.date:%Y-%m-%d %H:%M:%S}", row.path, row.model, _answer(row), terminal.size(row.bytes), row.text


def _answer(row: Row) -> str:
    if row.status >= _FIRST_ERROR or row.status == 0:
        return f"error {row.status}" if row.status else "no connection"
    if not row.end:
        return "plain"
    ending = "" if row.end == "done" else f", {row.end}"
    return terminal.count(row.chunks, "frame" if row.is_connection else "chunk") + ending


@click.command(epilog="Example: inferencereplay stats tests/recordings --prices prices.toml")
@options.whole_directory
@options.filtered
@click.option("--prices", type=options.FILE, help="JSON or TOML: prices of a million tokens by model; see the docs.")
@options.as_json
def stats(directory: Directories, wanted: Filter, prices: Path | None, *, is_json: bool) -> int:
    """Count recordings, bytes and tokens, and estimate the cost.

    Exit status 1 if a file cannot be read.
    """
    catalogue = open_catalogue(directory)
    table = load_prices(prices) if prices else None
    with processes(sum(1 for _ in catalogue.names()) if catalogue.is_local else 0) as spread:
        totals = add_up(catalogue, wanted.accepts, table, spread)
    if is_json:
        terminal.show_json(totals)
    else:
        terminal.show(
            (terminal.count(totals.all.recordings, "recording"), "bold"), f", {terminal.size(totals.all.bytes)}"
        )
        _show_parts(totals.all, totals.first, totals.last)
        heads = ("RECORDINGS", "SIZE", "INPUT", "CACHED", "OUTPUT", "COST", "MODEL")
        models = sorted(totals.models.items(), key=lambda item: -item[1].recordings)
        currency = table.currency if table else ""
        terminal.show_rows(heads, (_model_cells(*item, currency) for item in models), right=heads[:-1])
        if table:
            dated = f", prices of {table.dated}" if table.dated else ""
            cost = "no price fits" if totals.all.cost is None else _cost(totals.all.cost, currency)
            terminal.show(("Estimated cost: ", "bold"), cost, dated)
    for reason in totals.unreadable:
        terminal.note(f"{reason} cannot be read")
    for name in totals.unpriced:
        terminal.note(f"No price is given for {name}")
    return 1 if totals.unreadable else 0


def _show_parts(total: Total, first: str, last: str) -> None:
    parts = (
        (total.streams, "streamed"),
        (total.connections, "connection" if total.connections == 1 else "connections"),
        (total.errors, "error" if total.errors == 1 else "errors"),
        (total.incomplete, "incomplete"),
        (total.uncounted, "without a count of tokens"),
    )
    said = [f"{count} {what}" for count, what in parts if count]
    if said:
        terminal.show("  " + ", ".join(said))
    if first:
        begin, end = (at[: len("2026-11-01T10:30:00")].replace("T", " ") for at in (first, last))
        terminal.show(f"  recorded from {begin} to {end}")


def _model_cells(name: str, total: Total, currency: str) -> tuple[str, ...]:
    cost = "" if total.cost is None else _cost(total.cost, currency)
    counts: tuple[Any, ...] = (total.input, total.cached, total.output)
    return (str(total.recordings), terminal.size(total.bytes), *map(str, counts), cost, name or "(none)")


def _cost(amount: float, currency: str) -> str:
    return f"{amount:.2f} {currency}" if amount >= 1 else f"{amount:.6f} {currency}"
