"""Measure how near to its time each chunk comes: `python benchmarks/fidelity.py [--quick] [--json FILE]`.

One stream is recorded from a real server that pauses, and replayed at several speeds: alone, in concurrent tasks, in
threads. A chunk is late by when the program gets it, less when it is due: the recorded offset, divided by the speed,
after the call. Beside it reel-vcr, a proxy in a process of its own, does the same with its own recording; what it is
given in requests, the SDK's work among it, counts, as it does for whoever uses it.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import random
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import anyio
import command_line
import openai
from loopback import serving
from scenes import STREAM

from inferencereplay import Session, replay, wrap
from inferencereplay.pacing.timing import Timing, summarize

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ASK: dict[str, Any] = {**STREAM, "model": "pause-300-200"}
KEY = "sk-benchmark-0123456789"
SPEEDS = (1, 2, 10)
LATEST = 300
"""Seconds after which a replay is given up."""
_START = 1.0
"""Seconds over which streams begin, as users come, divided by the speed."""


class Measured(NamedTuple):
    """One line.

    Attributes:
        contender: who replayed.
        scene: how many streams, and in what.
        speed: how fast.
        timing: how late chunks were, in seconds; `None` if it could not be done.
        own: what the session itself says, where it says something.
        reason: why it could not be done.
    """

    contender: str
    scene: str
    speed: int
    timing: Timing | None
    own: Timing | None = None
    reason: str = ""


class Playing(NamedTuple):
    """What is replayed: how a client is made, and when each chunk is due, in seconds after the call."""

    client: Callable[[type], Any]
    due: list[float]


# How streams are read. Each returns by how many seconds chunks were late.


def one(playing: Playing, _: float) -> list[float]:
    return _read(playing.client(openai.OpenAI), playing.due)


def in_threads(count: int) -> Callable[[Playing, float], list[float]]:
    def run(playing: Playing, spread: float) -> list[float]:
        client, late = playing.client(openai.OpenAI), []
        starts = [random.Random(number).random() * spread for number in range(count)]

        def play(wait: float) -> None:
            time.sleep(wait)
            late.extend(_read(client, playing.due))

        threads = [threading.Thread(target=play, args=(wait,)) for wait in starts]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return late

    return run


def in_tasks(count: int) -> Callable[[Playing, float], list[float]]:
    def run(playing: Playing, spread: float) -> list[float]:
        late: list[float] = []
        starts = [random.Random(number).random() * spread for number in range(count)]

        async def play(client: openai.AsyncOpenAI, wait: float) -> None:
            await anyio.sleep(wait)
            start = time.perf_counter()
            due = iter(playing.due)
            async for _ in await client.chat.completions.create(**ASK):
                late.append(time.perf_counter() - start - next(due))  # noqa: PERF401 - each is timed as it comes

        async def main() -> None:
            async with playing.client(openai.AsyncOpenAI) as client, anyio.create_task_group() as group:
                for wait in starts:
                    group.start_soon(play, client, wait)

        anyio.run(main)
        return late

    return run


def _read(client: openai.OpenAI, due: list[float]) -> list[float]:
    start = time.perf_counter()
    chunks = client.chat.completions.create(**ASK)
    return [time.perf_counter() - start - at for at, _ in zip(due, chunks, strict=True)]


SCENES: dict[str, Callable[[Playing, float], list[float]]] = {
    "one stream": one,
    "100 tasks": in_tasks(100),
    "1,000 tasks": in_tasks(1_000),
    "50 threads": in_threads(50),
}


# Ours.


def record_ours(directory: Path, url: str) -> list[float]:
    """Record, and return the offsets."""
    with replay(directory, mode="record"):
        list(openai.OpenAI(api_key=KEY, base_url=url).chat.completions.create(**ASK))
    (file,) = directory.rglob("*.json")
    offsets: list[float] = json.loads(file.read_text("utf-8"))["response"]["offsets"]
    return offsets


def measure_ours(directory: Path, offsets: list[float], scene: str, speed: int) -> Measured:
    session = Session(directory, speed=speed)
    playing = Playing(lambda kind: wrap(kind(api_key=KEY), session), [at / speed for at in offsets])
    late = SCENES[scene](playing, _START / speed)
    return Measured("inferencereplay", scene, speed, summarize(late), session.timing)


# reel-vcr.


@contextlib.contextmanager
def reel(mode: str, file: Path, *options: str) -> Iterator[str]:
    """Run the proxy meanwhile, and give its base URL."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [str(Path(sys.executable).with_name("reel")), mode, "-c", str(file), "--port", str(port), *options]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            _await(port)
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            process.terminate()


def _await(port: int) -> None:
    for _ in range(300):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 0.1):
            return
        time.sleep(0.1)
    raise TimeoutError("the proxy does not listen")


def record_reel(file: Path, url: str) -> list[float]:
    """Record, and return the offsets."""
    with reel("record", file, "--upstream", url.removesuffix("/v1")) as base_url:
        list(openai.OpenAI(api_key=KEY, base_url=base_url).chat.completions.create(**ASK))
        time.sleep(1)  # until it is written
    entries = [json.loads(line) for line in file.read_text("utf-8").splitlines()]
    chunks = next(entry["response"]["stream_chunks"] for entry in entries if "response" in entry)
    return [chunk["t_offset_ms"] / 1000 for chunk in chunks if chunk["data"] != "[DONE]"]


def measure_reel(file: Path, offsets: list[float], scene: str, speed: int) -> Measured:
    with reel("replay", file, "--timing", str(1 / speed)) as base_url:
        playing = Playing(
            lambda kind: kind(api_key=KEY, base_url=base_url, timeout=LATEST), [at / speed for at in offsets]
        )
        try:
            one(playing, 0)  # the proxy's first request takes it a while
            late = SCENES[scene](playing, _START / speed)
        except Exception as error:  # noqa: BLE001 - whatever happens under load
            first = error.exceptions[0] if hasattr(error, "exceptions") else error
            return Measured("reel-vcr", scene, speed, None, reason=f"{type(first).__name__}: {first}"[:120])
    return Measured("reel-vcr", scene, speed, summarize(late))


def run(root: Path, *, is_quick: bool) -> Iterator[Measured]:
    """Measure everything, contenders in turns."""
    has_reel = importlib.util.find_spec("reel") is not None
    with serving() as url:
        ours = record_ours(root / "ours", url)
        theirs = record_reel(root / "reel.jsonl", url) if has_reel else []
    for scene in SCENES:
        for speed in SPEEDS[::2] if is_quick else SPEEDS:
            yield measure_ours(root / "ours", ours, scene, speed)
            if has_reel:
                yield measure_reel(root / "reel.jsonl", theirs, scene, speed)
    if not has_reel:
        yield Measured("reel-vcr", "all", 0, None, reason="it is not installed (requirements-compare.txt)")


def table(rows: list[Measured]) -> str:
    """Return a Markdown table, in milliseconds."""
    lines = ["| | speed | | chunks | p50 | p99 | max | `session.timing` |", "|---|---|---|---|---|---|---|---|"]
    for row in rows:
        figures = f"{row.timing.chunks:,} | {_figures(row.timing)}" if row.timing else f"{row.reason} | | |"
        own = _figures(row.own).replace(" |", ",") if row.own else ""
        lines.append(f"| {row.scene} | {row.speed} | {row.contender} | {figures} | {own} |")
    return "\n".join(lines)


def _figures(timing: Timing) -> str:
    return " | ".join(f"{seconds * 1e3:.2f} ms" for seconds in timing[1:])


def main() -> None:
    """Measure and print."""
    parser = command_line.parser(__doc__, "write the rows there as well")
    parser.add_argument("--quick", action="store_true", help="speeds 1 and 10 only")
    options = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as root:
        for row in run(Path(root), is_quick=options.quick):
            print(row, file=sys.stderr)
            rows.append(row)
    if options.json:
        options.json.write_text(json.dumps([row._asdict() for row in rows], indent=1, ensure_ascii=False) + "\n")
    print(table(rows))


if __name__ == "__main__":
    main()
