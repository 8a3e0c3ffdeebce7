"""Measure what recording costs: `python benchmarks/recording.py [--quick] [--json FILE]`.

Streams of a real server are read with and without a recorder, in turns: the time to the first chunk, and to the end
with everything written. Then the bytes that the same calls take on disk. VCR.py and the others are measured where they
are installed (`requirements-compare.txt`).
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import json
import random
import statistics
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import command_line
import contenders
from contenders import CONTENDERS
from loopback import serving
from reporting import REFERENCE, Cell, duration
from scenes import EMBEDDINGS, LARGE, SMALL, STREAM, asking, numbered

if TYPE_CHECKING:
    from collections.abc import Callable

    from comparison import Comparison
    from contenders import Contender

STREAMS = {
    "chunks-200": "200 chunks without a pause",
    "chunks-2000": "2,000 chunks without a pause",
    "pause-10-5": "10 chunks, after 10 ms and then every 5 ms",
}
CALLS: dict[str, dict[str, Any]] = {
    "small chat": SMALL,
    "60 messages + 20 tools": LARGE,
    "stream of 200 chunks": STREAM,
    "stream of 2,000 chunks": {**STREAM, "model": "chunks-2000"},
    "embeddings of 100 inputs": EMBEDDINGS,
}
PLAIN = "not recording"
TITLES = {
    "record_stream": "recording a stream of 200 chunks : not recording it",
    "record_first": "the same, until the first chunk",
}


class Taken(NamedTuple):
    """Microseconds to the first chunk, and to the end."""

    first: float
    total: float


def installed() -> dict[str, Contender]:
    """Return the contenders that record and are installed."""
    made = {}
    for name, make in CONTENDERS.items():
        with contextlib.suppress(ImportError):
            made[name] = make()
    del made["sdk"]
    made.pop("respx", None)  # records nothing
    return made


def read(client: Any, arguments: dict[str, Any], recording: Any) -> Taken:
    """Read a stream within a recorder, and leave that."""
    entered = time.perf_counter()
    with recording:
        start = time.perf_counter()
        chunks = client.chat.completions.create(**arguments)
        next(iter(chunks))
        first = time.perf_counter() - start
        for _ in chunks:
            pass
    return Taken(first * 1e6, (time.perf_counter() - entered) * 1e6)


def measure_stream(root: Path, url: str, model: str, rounds: int) -> dict[str, Taken]:
    """Return medians: of the first contender as they are, of the others by their ratios within each round."""
    recorders = installed()
    client = contenders.client("plain", url)
    numbers = itertools.count()
    samples: dict[str, list[Taken]] = {PLAIN: [], **{name: [] for name in recorders}}
    order, shuffler = list(samples), random.Random(1)
    for _ in range(rounds + 1):
        shuffler.shuffle(order)
        for name in order:
            number = next(numbers)
            directory = root / f"{model}-{name}-{number}"
            directory.mkdir()
            recording = contextlib.nullcontext() if name == PLAIN else recorders[name].recording(directory)
            samples[name].append(read(client, numbered({**STREAM, "model": model}, number), recording))
    plain = samples[PLAIN][1:]  # the first round warms up
    medians = {}
    for name, own in samples.items():
        ratios = [
            statistics.median(getattr(a, what) / getattr(b, what) for a, b in zip(own[1:], plain, strict=True))
            for what in Taken._fields
        ]
        units = [statistics.median(getattr(b, what) for b in plain) for what in Taken._fields]
        medians[name] = Taken(*(ratio * unit for ratio, unit in zip(ratios, units, strict=True)))
    return medians


def compare(run: Comparison) -> list[Cell]:
    """Measure the rows of `compare.py`."""
    with serving() as url:
        taken = measure_stream(run.root, url, "chunks-200", 10 if run.is_quick else 40)
    took = {REFERENCE: taken[PLAIN], **taken}
    return [
        Cell(row, name, getattr(took[name], part), "") if name in took else Cell(row, name, None, "it records nothing")
        for row, part in zip(TITLES, ("total", "first"), strict=True)
        for name in CONTENDERS
    ]


def measure_bytes(root: Path, url: str) -> dict[str, dict[str, int | str]]:
    """Return, for each kind of call, what each recorder's files take, or why there are none."""
    client, found = contenders.client("plain", url), {}
    for what, arguments in CALLS.items():
        sizes: dict[str, int | str] = {}
        for name, contender in installed().items():
            directory = root / f"{what}-{name}"
            directory.mkdir()
            with contextlib.ExitStack() as stack:
                stack.enter_context(contender.recording(directory))
                asking(client, arguments)()
            files = [file.stat().st_size for file in directory.rglob("*") if file.is_file()]
            sizes[name] = sum(files) if files else "not recorded"
        found[what] = sizes
    return found


def stream_table(streams: dict[str, dict[str, Taken]]) -> str:
    """Return a Markdown table of the times."""
    names = list(next(iter(streams.values())))
    lines = ["| first chunk; all of it | " + " | ".join(_title(name) for name in names) + " |"]
    lines.append("|---|" + "---|" * len(names))
    for model, medians in streams.items():
        plain = medians[PLAIN]
        texts = [f"{duration(plain.first)}; {duration(plain.total)}"]
        texts += [
            f"{medians[name].first / plain.first:.2f} x; {medians[name].total / plain.total:.2f} x"
            for name in names
            if name != PLAIN
        ]
        lines.append(f"| {STREAMS[model]} | " + " | ".join(texts) + " |")
    return "\n".join(lines)


def bytes_table(found: dict[str, dict[str, int | str]]) -> str:
    """Return a Markdown table of the sizes."""
    names = list(next(iter(found.values())))
    lines = ["| bytes on disk | " + " | ".join(map(_title, names)) + " |", "|---|" + "---|" * len(names)]
    for what, sizes in found.items():
        texts = (f"{size:,}" if isinstance(size, int) else size for size in sizes.values())
        lines.append(f"| {what} | " + " | ".join(texts) + " |")
    return "\n".join(lines)


@functools.cache
def _title(name: str) -> str:
    make: Callable[[], Contender] | None = CONTENDERS.get(name)
    return make().name if make else name


def main() -> None:
    """Measure and print."""
    parser = command_line.parser(__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer rounds")
    options = parser.parse_args()
    with serving() as url, tempfile.TemporaryDirectory() as root:
        rounds = {"chunks-200": 40, "chunks-2000": 12, "pause-10-5": 40}
        streams = {
            model: measure_stream(Path(root), url, model, count // 4 if options.quick else count)
            for model, count in rounds.items()
        }
        found = measure_bytes(Path(root), url)
    if options.json:
        times = {model: {name: taken._asdict() for name, taken in own.items()} for model, own in streams.items()}
        options.json.write_text(json.dumps({"microseconds": times, "bytes": found}, indent=1) + "\n", "utf-8")
    print(stream_table(streams), bytes_table(found), sep="\n\n")


if __name__ == "__main__":
    main()
