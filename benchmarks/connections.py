"""Measure what a frame of a WebSocket connection costs: `python benchmarks/connections.py [--quick] [--json FILE]`.

A server in a process of its own sends events. They are read live and while recording, in turns; the difference is the
recorder's. Replayed frames are compared with what the SDK itself takes to parse them. Processor time is measured, of
all threads of the client.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import command_line
import openai

from inferencereplay import replay

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

FRAMES = 2_000
"""Events of one connection."""
LIMIT = 20.0
"""Microseconds that a frame may cost beside the SDK's own work."""
SERVER = """
import asyncio, json
from websockets.asyncio.server import serve
shared = {"response_id": "r", "item_id": "i", "output_index": 0, "content_index": 0}
def event(number):
    return json.dumps({"type": "response.output_text.delta", "event_id": f"event_{number}", "delta": " word", **shared})
events = [event(number) for number in range(%d)]
async def answer(socket):
    async for message in socket:
        for event in events:
            await socket.send(event)
async def main():
    async with serve(answer, "127.0.0.1", 0, compression=None) as server:
        print(server.sockets[0].getsockname()[1], flush=True)
        await asyncio.get_running_loop().create_future()
asyncio.run(main())
"""


class Taken(NamedTuple):
    """Microseconds.

    Attributes:
        frame: of one frame, read by the program.
        close: of the close, with everything written.
    """

    frame: float
    close: float


@contextlib.contextmanager
def serving() -> Iterator[str]:
    """Serve WebSockets in another process; give the URL."""
    with subprocess.Popen([sys.executable, "-c", SERVER % FRAMES], stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            yield f"ws://127.0.0.1:{server.stdout.readline().strip()}/v1"
        finally:
            server.terminate()


def options(url: str) -> dict[str, Any]:
    """Return the options of a client."""
    return {"api_key": "none", "base_url": "http://127.0.0.1:9/v1", "websocket_base_url": url}


def talk(url: str) -> Taken:
    """Read all events of a connection with a sync client."""
    client = openai.OpenAI(**options(url))
    connection = client.realtime.connect(model="m").enter()
    start = time.process_time()
    connection.response.create()
    for _ in range(FRAMES):
        connection.recv()
    read = time.process_time()
    connection.close()
    end = time.process_time()
    client.close()
    return Taken((read - start) / FRAMES * 1e6, (end - read) * 1e6)


async def _talk(url: str) -> Taken:
    client = openai.AsyncOpenAI(**options(url))
    connection = await client.realtime.connect(model="m").enter()
    start = time.process_time()
    await connection.response.create()
    for _ in range(FRAMES):
        await connection.recv()
    read = time.process_time()
    await connection.close()
    end = time.process_time()
    await client.close()
    return Taken((read - start) / FRAMES * 1e6, (end - read) * 1e6)


def talk_async(url: str) -> Taken:
    """Read all events of a connection with an async client."""
    return asyncio.run(_talk(url))


def within(way: Callable[[str], Taken], url: str, directory: Path, mode: str) -> Taken:
    """Go a way within a session."""
    with replay(directory, mode=mode):
        return way(url)


def parse(directory: Path) -> float:
    """Return the microseconds that the SDK takes to parse a frame."""
    (file,) = directory.rglob("*.json")
    frames = json.loads(file.read_text("utf-8"))["response"]["frames"]
    events = [json.dumps(frame["json"]).encode() for frame in frames if frame["from"] == "server" and "json" in frame]
    client = openai.OpenAI(**options("ws://127.0.0.1:9/v1"))
    with replay(directory), client.realtime.connect(model="m") as connection:
        start = time.process_time()
        for event in events:
            connection.parse_event(event)
        taken = time.process_time() - start
    client.close()
    return taken / len(events) * 1e6


def measure(way: Callable[[str], Taken], rounds: int) -> dict[str, float]:
    """Return the microseconds of a frame, each a median of the differences within a round."""
    recording, closing, replaying, sdk = [], [], [], []
    with serving() as url, tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        record = functools.partial(within, way, url, place, "record")
        for number in range(rounds + 1):
            pair = (way(url), record()) if number % 2 else (record(), way(url))[::-1]
            live, recorded = pair
            replayed, parsed = within(way, "ws://127.0.0.1:9/v1", place, "replay"), parse(place)
            if number:  # the first round imports
                recording.append(recorded.frame - live.frame)
                closing.append((recorded.close - live.close) / FRAMES)
                replaying.append(replayed.frame - parsed)
                sdk.append(live.frame)
    found = {"live": sdk, "recording": recording, "writing": closing, "replaying": replaying}
    return {name: statistics.median(values) for name, values in found.items()}


def main() -> int:
    """Print the table; return 1 if a frame costs far more than it may, and `--check` asks for that."""
    parser = command_line.parser(__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer rounds")
    parser.add_argument("--check", action="store_true", help=f"fail if a frame costs more than twice {LIMIT:g} µs")
    given = parser.parse_args()
    ways = {"sync": talk, "async": talk_async}
    found = {name: measure(way, 3 if given.quick else 15) for name, way in ways.items()}
    print(f"| µs a frame, of {FRAMES} | live | recording adds | writing at the end | replaying, beside parsing |")
    print("|---|---|---|---|---|")
    for name, row in found.items():
        cells = (row[key] for key in ("live", "recording", "writing", "replaying"))
        print(f"| {name} | {' | '.join(f'{value:.1f}' for value in cells)} |")
    if given.json:
        given.json.write_text(json.dumps(found, indent=1) + "\n", "utf-8")
    worst = max(max(row["recording"], row["replaying"]) for row in found.values())
    return 1 if given.check and worst > LIMIT * 2 else 0


if __name__ == "__main__":
    sys.exit(main())
