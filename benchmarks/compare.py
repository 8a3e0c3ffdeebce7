"""Measure ways to replay side by side: `python benchmarks/compare.py [--quick] [--json FILE] [--plot FILE]`.

Every contender records the same calls of the same version of `openai` from one real server, with its own recorder into
its own files, and replays them after the server is gone, so that whoever goes to the network fails. Contenders take
turns within a run; medians are compared. What an answer is has to equal what the server gave without any contender.
What a contender cannot do is shown with the reason. `requirements-compare.txt` says what has to be installed.
"""

from __future__ import annotations

import functools
import json
import operator
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import call_rows
import command_line
import openai
import process_rows
import recording
import suite
from comparison import Comparison
from contenders import CONTENDERS
from loopback import serving
from reporting import Cell, as_table, draw

if TYPE_CHECKING:
    from collections.abc import Callable


class Group(NamedTuple):
    """Rows that are measured together.

    Attributes:
        titles: by row.
        measure: what does it.
        record: what has every contender record for it, while the server is there.
    """

    titles: dict[str, str]
    measure: Callable[[Comparison], list[Cell]]
    record: Callable[[Comparison], None] = lambda _: None


GROUPS = {
    "suite": Group(suite.TITLES, suite.compare),
    "once": Group(process_rows.ONCE_TITLES, process_rows.once, process_rows.record_once),
    "calls": Group(call_rows.TITLES, call_rows.compare, call_rows.record),
    "recording": Group(recording.TITLES, recording.compare),
    "misses": Group(process_rows.MISS_TITLES, process_rows.misses, process_rows.record_one),
    "opening": Group(process_rows.OPEN_TITLES, process_rows.opening, process_rows.record_one),
    "memory": Group(process_rows.MEMORY_TITLES, process_rows.memory, process_rows.record_memory),
}
TITLES: dict[str, str] = functools.reduce(operator.or_, (group.titles for group in GROUPS.values()))
DRAWN = (
    "suite_calls",
    "small_once",
    "large_once",
    "stream_once",
    "embeddings_once",
    "small_chat",
    "raw",
    "parse",
    "responses",
    "langchain_invoke",
    "langchain_stream",
    "record_stream",
)
"""The rows of the plot."""


def compare(root: Path, groups: list[Group], *, is_quick: bool) -> list[Cell]:
    """Record with the server, replay without it."""
    with serving() as url:
        run = Comparison(root, url, is_quick=is_quick)
        for group in groups:
            group.record(run)
    return [cell for group in groups for cell in group.measure(run)]


def main() -> None:
    """Measure and print."""
    parser = command_line.parser(__doc__, "write the cells there as well")
    parser.add_argument("--quick", action="store_true", help="fewer rounds and rows, a suite of 60 tests")
    parser.add_argument("--only", choices=GROUPS, metavar="NAME", help="one group of rows: " + ", ".join(GROUPS))
    parser.add_argument(
        "--plot", type=command_line.plot_file, metavar="FILE", help="draw the main rows there, as SVG or PNG"
    )
    parser.add_argument(
        "--from-json",
        type=command_line.input_file,
        metavar="FILE",
        help="measure nothing, show what was measured before",
    )
    options = parser.parse_args()
    if lacking := command_line.missing():
        parser.error(lacking)
    if options.from_json:
        try:
            cells = [Cell(**cell) for cell in json.loads(options.from_json.read_text("utf-8"))]
        except (ValueError, TypeError) as error:
            parser.error(f"{options.from_json} was not written by --json: {error}")
    else:
        groups = [GROUPS[options.only]] if options.only else [*GROUPS.values()]
        with tempfile.TemporaryDirectory() as root:
            cells = compare(Path(root), groups, is_quick=options.quick)
    if options.json:
        options.json.write_text(json.dumps([cell._asdict() for cell in cells], indent=1, ensure_ascii=False) + "\n")
    names = {name: make() for name, make in CONTENDERS.items()}
    print(f"openai {openai.__version__}, Python {sys.version.partition(' ')[0]}\n")
    print(as_table(cells, TITLES, names))
    if options.plot:
        draw(options.plot, cells, {row: TITLES[row] for row in DRAWN}, names)


if __name__ == "__main__":
    main()
