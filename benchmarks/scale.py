"""Measure a replay from 10 to 1,000,000 recordings: `python benchmarks/scale.py [--most N] [--json FILE]`.

Recordings are generated, every one is asked for at most once, and each is read warm (in the system's cache) and cold
(caches dropped, which needs root on Linux; without, the columns stay empty). Beside the whole call stands what reading
the same bytes costs by itself: from our folder of files, from 256 folders by the first two digits, and from an SQLite
table. A million recordings take 5 GB and 2 million names, in the folder that `--in` gives, and are removed again.
"""

from __future__ import annotations

import contextlib
import gc
import itertools
import json
import os
import random
import sqlite3
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import command_line
import scenes
from command_line import folder
from reporting import duration
from scenes import SMALL, numbered

from inferencereplay import Session, wrap
from inferencereplay.recording.request import Request, canonical_json
from inferencereplay.store.address import DIGITS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

DROP = Path("/proc/sys/vm/drop_caches")
WARM, COLD = 500, 100
"""Recordings that are asked for."""
COUNTS = [10**power for power in range(1, 7)]
"""Sizes of a directory."""


class Way(NamedTuple):
    """One way to read.

    Attributes:
        name: for people.
        reader: makes, once for a series, what reads a recording by its number and key.
    """

    name: str
    reader: Callable[[], Callable[[int, str], object]]


class Row(NamedTuple):
    """What one way costs at one size, in microseconds; cold is `None` where caches cannot be dropped."""

    count: int
    way: str
    warm: float
    warm_p90: float
    cold: float | None
    cold_p90: float | None


def key_of(number: int) -> str:
    """Return a recording's key."""
    return Request("POST", scenes.PATH, canonical_json(numbered(SMALL, number))).key


def ways(root: Path) -> list[Way]:
    """Return what is compared, over the recordings in `root`."""
    flat = root / "flat"
    table = f"file:{root / 'table.db'}?mode=ro"

    def call() -> Callable[[int, str], object]:
        client = wrap(scenes.client(), Session(flat, mode="replay"))
        client.chat.completions.create(**numbered(SMALL, 0))
        create = client.chat.completions.create
        return lambda number, _: create(**numbered(SMALL, number))

    def files(name: Callable[[str], str]) -> Callable[[], Callable[[int, str], object]]:
        return lambda: lambda _, key: read(name(key))

    def rows() -> Callable[[int, str], object]:
        connection = sqlite3.connect(table, uri=True)
        return lambda _, key: connection.execute("SELECT data FROM kept WHERE key = ?", (key,)).fetchone()

    folder = flat / "chat" / "completions"
    return [
        Way("a call", call),
        Way("reading: one folder", files(lambda key: f"{folder}/{key[:DIGITS]}.json")),
        Way("reading: 256 folders", files(lambda key: f"{root}/split/{key[:2]}/{key[:DIGITS]}.json")),
        Way("reading: an SQLite table", rows),
    ]


def read(name: str) -> bytes:
    descriptor = os.open(name, os.O_RDONLY)
    try:
        return os.read(descriptor, 64 * 1024)
    finally:
        os.close(descriptor)


def build(root: Path, count: int) -> None:
    """Generate recordings, and the same bytes in the other layouts."""
    scenes.record_many(root / "flat", count)
    folder = root / "flat" / "chat" / "completions"
    for digits in itertools.product("0123456789abcdef", repeat=2):
        (root / "split" / "".join(digits)).mkdir(parents=True)
    with contextlib.closing(sqlite3.connect(root / "table.db")) as connection, connection:
        connection.execute("CREATE TABLE kept (key TEXT PRIMARY KEY, data BLOB) WITHOUT ROWID")
        connection.executemany("INSERT INTO kept VALUES (?, ?)", _kept(folder, root / "split", count))


def _kept(folder: Path, split: Path, count: int) -> Iterator[tuple[str, bytes]]:
    for number in range(count):
        key = key_of(number)
        name = f"{folder}/{key[:DIGITS]}.json"
        os.link(name, f"{split}/{key[:2]}/{key[:DIGITS]}.json")  # the same bytes under another folder's name
        yield key, read(name)


def drop_caches() -> bool:
    """Make the system forget what it has read; `False` if that is not permitted."""
    os.sync()
    try:
        DROP.write_text("3", "utf-8")
    except OSError:
        return False
    return True


def series(way: Way, numbers: list[int]) -> list[float]:
    """Return the microseconds of each read."""
    one, asked = way.reader(), [(number, key_of(number)) for number in numbers]
    gc.collect()
    gc.disable()
    times = []
    for number, key in asked:
        start = time.perf_counter()
        one(number, key)
        times.append((time.perf_counter() - start) * 1e6)
    gc.enable()
    return times


def measure(root: Path, count: int, picker: random.Random) -> Iterator[Row]:
    """Measure every way at one size: cold first, and warm what was read by nobody before but is cached."""
    for way in ways(root):
        numbers = picker.sample(range(1, count), min(WARM, count - 1))
        cold = series(way, numbers[:COLD]) if drop_caches() else []
        series(way, numbers)  # into the cache
        repeats = max(1, WARM // len(numbers))
        warm = [micros for _ in range(repeats) for micros in series(way, numbers)]  # each with a session of its own
        yield Row(count, way.name, *_figures(warm), *(_figures(cold) if cold else (None, None)))


def _figures(times: list[float]) -> tuple[float, float]:
    return statistics.median(times), statistics.quantiles(times, n=10)[8]


def measure_opening(root: Path) -> float:
    """Return the microseconds that opening a session takes."""
    times = []
    for _ in range(20):
        start = time.perf_counter()
        Session(root / "flat", mode="replay")
        times.append((time.perf_counter() - start) * 1e6)
    return statistics.median(times)


def table(rows: list[Row], opening: dict[int, float]) -> str:
    """Return a Markdown table: medians, warm and cold."""
    names = list(dict.fromkeys(row.way for row in rows))
    lines = ["| recordings | " + " | ".join(f"{name}, warm; cold" for name in names) + " | opening |"]
    lines.append("|---|" + "---|" * (len(names) + 1))
    for count, opened in opening.items():
        found = {row.way: row for row in rows if row.count == count}
        texts = [f"{found[name].warm:.1f} µs; {_cold(found[name].cold)}" for name in names]
        lines.append(f"| {count:,} | " + " | ".join(texts) + f" | {duration(opened)} |")
    return "\n".join(lines)


def _cold(micros: float | None) -> str:
    return "-" if micros is None else duration(micros)


def main() -> None:
    """Measure and print."""
    parser = command_line.parser(__doc__, "write the rows there as well")
    sizes = f"recordings: {', '.join(map(str, COUNTS))}"
    parser.add_argument("--most", type=int, default=100_000, choices=COUNTS, metavar="N", help=sizes)
    parser.add_argument("--in", type=folder, dest="parent", metavar="FOLDER", help="where to generate them")
    options = parser.parse_args()
    rows: list[Row] = []
    opening = {}
    picker = random.Random(1)
    for count in COUNTS:
        if count <= options.most:
            with tempfile.TemporaryDirectory(dir=options.parent) as root:
                build(Path(root), count)
                rows += measure(Path(root), count, picker)
                opening[count] = measure_opening(Path(root))
            print(f"{count:,} done", file=sys.stderr)
    if options.json:
        kept = {"rows": [row._asdict() for row in rows], "opening": opening}
        options.json.write_text(json.dumps(kept, indent=1) + "\n", "utf-8")
    print(table(rows, opening))


if __name__ == "__main__":
    main()
