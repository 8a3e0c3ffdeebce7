"""Measure `inferencereplay serve` beside aimock: `python benchmarks/serving.py [--quick] [--json FILE]`.

Both answer the same requests with answers of the same size, in turn; medians are compared. aimock is installed by npm,
in its newest version, unless a folder has it already. Linux only: CPU time and memory come from /proc.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import http_load
import msgspec

from inferencereplay.recording import format as files
from inferencereplay.recording.format import RecordedRequest, Recording, Response
from inferencereplay.recording.request import Request, canonical_json

if TYPE_CHECKING:
    from collections.abc import Iterator

EVENTS = 200
FIRST, BETWEEN = 0.05, 0.02
DUE = [FIRST + BETWEEN * index for index in range(EVENTS)]
TEXT = "x" * 300
WORD = "word"
PLAIN: Any = {"model": "m", "messages": [{"role": "user", "content": "Hello there, how are you?"}], "temperature": 0.5}
STREAM: Any = {"model": "m", "messages": [{"role": "user", "content": "Tell me a story."}], "stream": True}
PACKAGE = "@copilotkit/aimock"
WIDTH = 16


class Figures(NamedTuple):
    """What was measured of one server in one turn."""

    cpu: float
    requests: float
    events: float
    memory: float
    late: dict[int, http_load.Lateness]


# The two servers.


def write_recordings(folder: Path) -> None:
    """Write the plain answer and the stream as recordings."""
    message = {"index": 0, "message": {"role": "assistant", "content": TEXT}, "finish_reason": "stop"}
    whole = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "m", "choices": [message]}
    _write(folder, PLAIN, Response(headers={"content-type": "application/json"}, elapsed=0.4, body=_raw(whole)))
    choice = {"index": 0, "delta": {"content": WORD}, "logprobs": None, "finish_reason": None}
    part = {"id": "c-1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]}
    kind = {"content-type": "text/event-stream"}
    _write(folder, STREAM, Response(headers=kind, end="done", offsets=DUE, chunks=[_raw(part)] * EVENTS))


def _raw(value: Any) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(value))


def _write(folder: Path, body: Any, response: Response) -> None:
    request = Request("POST", "/chat/completions", canonical_json(body))
    held = RecordedRequest(request.method, request.path, msgspec.Raw(request.body))
    target = folder / "chat" / "completions" / f"{request.key[:32]}.json"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(files.encode(Recording(files.VERSION, request.key, held, response)))


def write_fixtures(folder: Path, *, is_paced: bool) -> None:
    """Write the same answers for aimock, which adds an event for the role and one for the end."""
    pace = {"streamingProfile": {"ttft": FIRST * 1000, "tps": 1 / BETWEEN}} if is_paced else {}
    text = {"content": WORD * (EVENTS - 2)}
    fixtures = [
        {"match": {"userMessage": PLAIN["messages"][0]["content"]}, "response": {"content": TEXT}},
        {"match": {"userMessage": STREAM["messages"][0]["content"]}, "response": text, "chunkSize": len(WORD), **pace},
    ]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "all.json").write_text(json.dumps({"fixtures": fixtures}), encoding="utf-8")


def ours(folder: Path, port: int, *, is_paced: bool) -> list[str]:
    """Return the command that starts our server."""
    write_recordings(folder)
    speed = "1" if is_paced else "inf"
    return [sys.executable, "-m", "inferencereplay", "serve", str(folder), "--port", str(port), "--speed", speed]


def aimock(folder: Path, port: int, package: Path, *, is_paced: bool) -> list[str]:
    """Return the command that starts aimock."""
    write_fixtures(folder, is_paced=is_paced)
    program = package / "node_modules" / PACKAGE / "dist" / "cli.js"
    return ["node", str(program), "-p", str(port), "-f", str(folder), "--log-level", "silent"]


@contextlib.contextmanager
def running(command: list[str], port: int) -> Iterator[int]:
    """Run a server; yield its process."""
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            for _ in range(600):
                with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                    break
                time.sleep(0.1)
            yield process.pid
        finally:
            process.terminate()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as made:
        port: int = made.getsockname()[1]
        return port


# A turn of one server.


def measure(make: Any, folder: Path, *, is_quick: bool) -> tuple[Figures, str]:
    """Measure a server once; return what it reports of its own lateness as well."""
    share = 10 if is_quick else 1
    port = free_port()
    with running(make(folder / "unpaced", port, is_paced=False), port) as process:
        http_load.ask(port, PLAIN, 1_000 // share, WIDTH)
        before, count = http_load.cpu_seconds(process), 20_000 // share
        seconds = http_load.ask(port, PLAIN, count, WIDTH)
        cpu = (http_load.cpu_seconds(process) - before) / count
        streams = 1_000 // share
        events = streams * EVENTS / http_load.read_streams(port, STREAM, streams, WIDTH)
    late, peak, port = {}, [0.0], free_port()
    with running(make(folder / "paced", port, is_paced=True), port) as process:
        http_load.time_streams(port, STREAM, 1, DUE, lambda: None)
        for width in (1, 20) if is_quick else (1, 100, 500):
            watch = lambda: peak.append(http_load.memory(process))  # noqa: E731 - called before the next turn
            late[width] = http_load.time_streams(port, STREAM, width, DUE, watch)
        told = reported(port)
    return Figures(cpu * 1e6, count / seconds, events, max(peak), late), told


def reported(port: int) -> str:
    """Return the histogram of lateness that our server reports, in one line."""
    text = ""
    with contextlib.suppress(OSError):
        text = urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics").read().decode()
    found = [
        line.split('"')[1::2] + line.split()[-1:] for line in text.split("\n") if "lateness_seconds_bucket" in line
    ]
    total = int(found[-1][1]) if found else 0
    return ", ".join(f"≤ {float(bound) * 1000:g} ms {int(count) / total:.1%}" for bound, count in found[:-1] if total)


# The table.


def rows(mine: list[Figures], other: list[Figures]) -> Iterator[tuple[str, float, float | None, str]]:
    """Yield what was measured, our median, the other's, and our target."""

    def both(pick: Any) -> tuple[float, float | None]:
        return statistics.median(map(pick, mine)), statistics.median(map(pick, other)) if other else None

    yield "plain answer, CPU (µs)", *both(lambda item: item.cpu), "≤ 45"
    yield "plain answers a second", *both(lambda item: item.requests), "≥ 6 times"
    yield "events a second, unpaced", *both(lambda item: item.events), "≥ 2 times"
    for width in mine[0].late:
        target = {1: "≤ 3, or ≤ 1/20", 100: "≤ 6, or ≤ 1/20", 500: "≤ 40, or ≤ 1/20"}.get(width, "")
        for name, goal in (("least", "≥ -0.1"), ("p50", ""), ("p99", target)):
            pick = lambda item, width=width, name=name: getattr(item.late[width], name)  # noqa: E731
            yield f"{width} paced, late {name} (ms)", *both(pick), goal
    yield "memory (MB)", *both(lambda item: item.memory), "≤ 60"


def show(found: list[tuple[str, float, float | None, str]], version: str) -> None:
    print(f"| | inferencereplay | {version or 'aimock'} | ratio | target |\n|---|---|---|---|---|")
    for name, mine, other, target in found:
        ratio = "" if not other or mine <= 0 else f"{mine / other:.2f}" if mine < other else f"{mine / other:.1f}"
        print(f"| {name} | {mine:,.2f} | {'' if other is None else f'{other:,.2f}'} | {ratio} | {target} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="a tenth of the load, one round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--aimock", type=Path, help="a folder in which npm has installed it")
    parser.add_argument("--alone", action="store_true", help="without aimock")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        folder, version = Path(made), ""
        if not given.alone:
            package = given.aimock or folder
            if given.aimock is None:
                command = [shutil.which("npm") or "npm", "install", "--silent", "--prefix", made, PACKAGE]
                subprocess.run(command, check=True)
            described = json.loads((package / "node_modules" / PACKAGE / "package.json").read_text("utf-8"))
            version = f"aimock {described['version']}"
        mine, other, told = [], [], ""
        for _ in range(1 if given.quick else given.rounds):
            figures, told = measure(ours, folder / "ours", is_quick=given.quick)
            mine.append(figures)
            if version:
                make = lambda folder, port, *, is_paced: aimock(folder, port, package, is_paced=is_paced)  # noqa: E731
                other.append(measure(make, folder / "aimock", is_quick=given.quick)[0])
        found = list(rows(mine, other))
    show(found, version)
    print(f"\nWhat the server itself reports (lateness when it writes): {told}")
    if given.json:
        given.json.write_text(json.dumps(found, indent=2), encoding="utf-8")


if __name__ == "__main__":
    main()
