"""Measure the rows of the target table in DESIGN.md: `python benchmarks/targets.py [--quick] [--check] [--json FILE]`.

What is compared takes turns in one run, and medians are compared, so that a busy machine slows all of it alike; still,
leave the machine alone meanwhile. Recordings are made in a temporary directory.

With `--check` the exit code is 1 if a ratio is several times its limit, and stays so when it is measured again: noise
passes, a real regression does not.
"""

from __future__ import annotations

import contextlib
import functools
import gc
import itertools
import json
import random
import statistics
import subprocess
import sys
import tempfile
import time
import tracemalloc
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import answers
import anyio
import command_line
import directory_rows
import msgspec
import openai
import scenes
import side_file_rows
import ways_of_calling
from loopback import serving
from measuring import Row, measure, ratio_row, speedup_row, table
from openai.types.chat import ChatCompletion
from scenes import EMBEDDINGS, LARGE, SMALL, STREAM, asking, numbered

import inferencereplay
from inferencereplay import Session, replay, unwrap, wrap
from inferencereplay.recording.format import Recording

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class RunCoordinator(NamedTuple):
    """What every row is given.

    Attributes:
        directory: an empty one, its own.
        url: of the loopback server.
        is_quick: whether to do with less of everything.
    """

    directory: Path
    url: str
    is_quick: bool

    def rounds(self, full: int, quick: int) -> int:
        """Choose a number for this run."""
        return quick if self.is_quick else full


def replayed(directory: Path, **settings: Any) -> openai.OpenAI:
    """Make a client that replays."""
    time.sleep(0.15)  # what has just been written is read anew each time, see `reader.SETTLED`
    return wrap(scenes.client(), directory, mode="replay", **settings)


def contenders(directory: Path, arguments: dict[str, Any]) -> dict[str, Callable[[], Any]]:
    """Return one chat's replay and its call through the SDK over an in-memory transport, equal but for the headers."""
    pair = {"replay": asking(replayed(directory), arguments), "sdk": asking(scenes.client(), arguments)}
    assert pair["replay"]() == pair["sdk"]()
    return pair


ChatCompletion.model_rebuild()
_decode = msgspec.json.Decoder(Recording).decode
_validate = ChatCompletion.__pydantic_validator__.validate_json


def least(file: Path) -> Any:
    """Do the least that a replay can do: read, decode, validate."""
    with open(file, "rb", buffering=0) as opened:  # noqa: PTH123 - the fastest way
        recording = _decode(opened.read())
    return _validate(bytes(recording.response.body), strict=True)


# Rows.


def small_chat(run: RunCoordinator) -> list[Row]:
    scenes.record(run.directory, SMALL, scenes.plain())
    medians = measure(contenders(run.directory, SMALL), run.rounds(400, 100))
    return [speedup_row("small_chat", "a small chat again and again : SDK over an in-memory transport", medians, 45)]


def small_chat_once(run: RunCoordinator) -> list[Row]:
    """Ask for each of many chats once, in a new session every few calls, as a test suite does."""
    count = run.rounds(60, 15) * 2 * SESSION * 4
    scenes.record_many(run.directory, count)
    time.sleep(0.15)
    files = itertools.cycle(sorted(run.directory.rglob("*.json")))
    client, sdk = scenes.client(), scenes.client()
    left = map(functools.partial(numbered, SMALL), itertools.count())
    chats = iter([next(left) for _ in range(count)])

    def replayed_session() -> None:
        with replay(run.directory):
            for _ in range(SESSION):
                client.chat.completions.create(**next(chats))

    def least_session() -> None:
        for _ in range(SESSION):
            least(next(files))

    def sdk_session() -> None:
        for _ in range(SESSION):
            sdk.chat.completions.create(**SMALL)

    sessions = {"replay": replayed_session, "sdk": sdk_session, "least": least_session}
    medians = {name: micros / SESSION for name, micros in measure(sessions, run.rounds(60, 15)).items()}
    what = f"small chats, each once, a new session every {SESSION} : "
    return [
        speedup_row("small_chat_once", what + "the same", medians, 30, slack=5),
        ratio_row(
            "small_chat_floor", what + "read + decode + validate", medians["replay"], medians["least"], 1.5, slack=4
        ),
    ]


def large_chat(run: RunCoordinator) -> list[Row]:
    scenes.record(run.directory, LARGE, scenes.plain())
    medians = measure(contenders(run.directory, LARGE), run.rounds(60, 12))
    return [speedup_row("large_chat", "the same, 60 messages + 20 tools, with floats", medians, 40)]


def large_chat_first(run: RunCoordinator) -> list[Row]:
    """Never ask for the same twice: nothing that was remembered helps."""
    rounds = run.rounds(60, 12)
    chats = [numbered(LARGE, number) for number in range(rounds * 10 + 100)]
    for chat in chats:
        scenes.record(run.directory, chat, scenes.plain())
    create, left = replayed(run.directory).chat.completions.create, iter(chats)
    pair = {"replay": lambda: create(**next(left)), "sdk": asking(scenes.client(), LARGE)}
    what = "the same, each file read for the first time"
    return [speedup_row("large_chat_first", what, measure(pair, rounds), 34, slack=3)]


def stream(run: RunCoordinator) -> list[Row]:
    rounds = run.rounds(40, 10)
    offsets = scenes.random_offsets(answers.CHUNKS, 0.3, 0.02)
    chats = [numbered(STREAM, number) for number in range(rounds * 2 + 20)]
    for chat in chats:
        scenes.record(run.directory, chat, scenes.streamed(offsets))
    create, left = replayed(run.directory).chat.completions.create, iter(chats)
    pair = {"replay": lambda: list(create(**next(left))), "sdk": asking(scenes.client(), STREAM)}
    what = f"{answers.CHUNKS}-chunk streams at no delay, each once : the same"
    return [speedup_row("stream", what, measure(pair, rounds), 20)]


def embeddings(run: RunCoordinator) -> list[Row]:
    """Ask for the vectors of 100 texts: the first time, and again and again."""
    rounds = run.rounds(30, 8)
    chats = [numbered(EMBEDDINGS, number) for number in range(rounds * 2 + 20)]
    for chat in chats:
        scenes.record_embeddings(run.directory, chat)
    client, sdk = replayed(run.directory), scenes.client()
    create, left = client.embeddings.create, iter(chats[1:])
    turns = {
        "first": lambda: create(**next(left)),
        "sdk": lambda: sdk.embeddings.create(**EMBEDDINGS),
        "again": lambda: create(**chats[0]),
    }
    medians = measure(turns, rounds)
    what = "embeddings of 100 texts, "
    return [
        speedup_row(f"embeddings_{name}", what + about, {"replay": medians[name], "sdk": medians["sdk"]}, limit)
        for name, about, limit in (("first", "for the first time : the same", 2.5), ("again", "again and again", 8))
    ]


def first_chunk(run: RunCoordinator) -> list[Row]:
    """Every call is a request of its own, as is usual; the server waits less than any model does."""
    delays: list[float] = []
    shares: list[float] = []
    with serving_pair(run) as (plain, recording):

        def first_of(client: openai.OpenAI, chats: Iterator[dict[str, Any]], into: list[float]) -> None:
            start = time.perf_counter()
            chunks = iter(client.chat.completions.create(**next(chats)))
            next(chunks)
            first = time.perf_counter() - start
            for _ in chunks:
                pass
            into.append(first * 1e6)
            shares.append(first / (time.perf_counter() - start))

        both: dict[str, list[float]] = {"recording": delays, "plain": []}
        chats = (numbered({**STREAM, "model": "pause-10-5"}, number) for number in itertools.count())
        turns = {
            "recording": functools.partial(first_of, recording, chats, both["recording"]),
            "plain": functools.partial(first_of, plain, chats, both["plain"]),
        }
        measure(turns, run.rounds(60, 10))
    ours, theirs = (statistics.median(both[name]) for name in ("recording", "plain"))
    what = "first chunk while recording : while not (a server that waits 10 ms)"
    row = ratio_row("first_chunk", what, ours, theirs, 1.05, slack=1.5)
    share = statistics.median(shares)
    what = "the first of 10 chunks, 5 ms apart, reaches the caller after this share of the stream"
    return [row, Row("unbuffered", what, f"{share:.0%}", "≤ 50 %", share <= 0.5, share, 0.5, slack=1.5)]


def recording_stream(run: RunCoordinator) -> list[Row]:
    with serving_pair(run) as (plain, recording):
        chats = (numbered(STREAM, number) for number in itertools.count())
        turns = {
            "plain": lambda: list(plain.chat.completions.create(**next(chats))),
            "recording": lambda: list(recording.chat.completions.create(**next(chats))),
        }
        medians = measure(turns, run.rounds(60, 15))
    what = f"recording a {answers.CHUNKS}-chunk stream without pauses : not recording it"
    return [ratio_row("recording_stream", what, medians["recording"], medians["plain"], 1.2, slack=1.5)]


@contextlib.contextmanager
def serving_pair(run: RunCoordinator) -> Iterator[tuple[openai.OpenAI, openai.OpenAI]]:
    """Give a client and one that records, both of the real server."""
    with scenes.client(base_url=run.url) as plain, scenes.client(base_url=run.url) as recording:
        yield plain, wrap(recording, run.directory, mode="record")


def pace_of_one(run: RunCoordinator) -> list[Row]:
    offsets = scenes.random_offsets(100, 0.05, 0.01)
    scenes.record(run.directory, STREAM, scenes.streamed(offsets))
    client = replayed(run.directory, speed=1)
    late: list[float] = []
    for _ in range(run.rounds(5, 1)):
        start = time.perf_counter()
        chunks = client.chat.completions.create(**STREAM)
        late += (time.perf_counter() - start - due for due, _ in zip(offsets, chunks, strict=True))
    return [pace_row("pace_of_one", "speed 1, one stream: chunks within 2 ms of due", late, 0.002, limit=0.75)]


def pace_of_many(run: RunCoordinator) -> list[Row]:
    """Streams begin over a second, and each brings 5 chunks a second, as 1,000 users' do; and ten times as fast."""
    count = run.rounds(1000, 200)
    plans = [scenes.random_offsets(run.rounds(20, 8), 0.3, 0.2) for _ in range(10)]
    for number, offsets in enumerate(plans):
        scenes.record(run.directory, numbered(STREAM, number), scenes.streamed(offsets))
    starts = [random.Random(number).random() for number in range(count)]
    rows = []
    for name, speed, tolerance, limit in (("pace_of_many", 1, 0.010, 0.5), ("pace_of_many_at_10", 10, 0.025, 1)):
        late = anyio.run(_play_many, run.directory, plans, starts, speed)
        what = f"speed {speed}, {count:,} concurrent async streams: chunks within {tolerance * 1e3:.0f} ms of due"
        rows.append(pace_row(name, what, late, tolerance, limit=limit))
    return rows


async def _play_many(directory: Path, plans: list[list[float]], starts: list[float], speed: float) -> list[float]:
    client = wrap(openai.AsyncOpenAI(api_key="sk-benchmark-0123456789"), directory, mode="replay", speed=speed)
    late: list[float] = []
    first = await client.chat.completions.create(**numbered(STREAM, 0))  # it imports what all need
    await first.close()

    async def play(number: int, wait: float) -> None:
        await anyio.sleep(wait)
        start = time.perf_counter()
        chunks = await client.chat.completions.create(**numbered(STREAM, number % len(plans)))
        due = iter(plans[number % len(plans)])
        async for _ in chunks:
            late.append(time.perf_counter() - start - next(due) / speed)  # noqa: PERF401 - each is timed as it comes

    async with anyio.create_task_group() as group:
        for number, wait in enumerate(starts):
            group.start_soon(play, number, wait)
    return late


def pace_row(name: str, what: str, late: list[float], tolerance: float, *, limit: float) -> Row:
    """Make the row of how late chunks were, in seconds; its ratio is the median's, for a busy machine delays some.

    The median is far below the tolerance, which nearly all have to keep to: `limit` says how far.
    """
    share = sum(abs(seconds) <= tolerance for seconds in late) / len(late)
    cuts = statistics.quantiles(late, n=100)
    figures = f"p50 {cuts[49] * 1e3:.2f}, p99 {cuts[98] * 1e3:.2f}, most {max(late) * 1e3:.2f} ms late"
    return Row(name, what, f"{share:.2%} ({figures})", "≥ 99 %", share >= 0.99, abs(cuts[49]) / tolerance, limit)


def look_up(run: RunCoordinator) -> list[Row]:
    count = run.rounds(100_000, 10_000)
    small, large = run.directory / "small", run.directory / "large"
    scenes.record_many(small, 100)
    scenes.record_many(large, count)
    time.sleep(0.15)  # a recording that has just been written is kept in memory when it is read again
    picked = {small: list(range(100)), large: random.Random(1).sample(range(count), 100)}
    chats = {directory: [numbered(SMALL, number) for number in numbers] for directory, numbers in picked.items()}
    memory = {directory: _memory_of(directory, chats[directory]) for directory in (small, large, small, large)}
    clients = {directory: replayed(directory) for directory in (small, large)}
    turns = {str(directory): _look_up_all(clients[directory], chats[directory]) for directory in clients}
    medians = measure(turns, run.rounds(60, 15))
    ours, theirs = medians[str(large)] / 100, medians[str(small)] / 100
    row = ratio_row("look_up", f"look-up in {count:,} recordings : in 100", ours, theirs, 1.2, slack=1.5)
    ratio = memory[large] / memory[small]
    figures = f"{ratio:.2f} x ({memory[large] / 1024:.0f} KiB : {memory[small] / 1024:.0f} KiB)"
    what = "the memory of a session after 100 look-ups, same two"
    return [row, Row("memory", what, figures, "does not grow", ratio <= 1.1, ratio, 1.1, slack=2.5)]


def _look_up_all(client: openai.OpenAI, chats: list[dict[str, Any]]) -> Callable[[], None]:
    def call() -> None:
        for chat in chats:
            client.chat.completions.create(**chat)

    return call


def _memory_of(directory: Path, chats: list[dict[str, Any]]) -> int:
    """Return the most bytes that opening a session and looking up chats took."""
    client = scenes.client()
    gc.collect()
    tracemalloc.start()
    try:
        _look_up_all(wrap(client, Session(directory, mode="replay")), chats)()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def live(run: RunCoordinator) -> list[Row]:
    """Measure what is added to a call that goes to the network.

    The SDK's own half millisecond varies by more than that, so its `request` does nothing meanwhile, under the patches.
    """
    client, other = scenes.client(), scenes.client()
    call = measure({"sdk": asking(client, SMALL)}, run.rounds(200, 60))["sdk"]

    @contextlib.contextmanager
    def wrapped() -> Iterator[None]:
        wrap(client, mode="live")
        yield
        unwrap(client)

    @contextlib.contextmanager
    def beside() -> Iterator[None]:
        wrap(other, run.directory, mode="replay")
        yield
        unwrap(other)

    around = {"wrapped": wrapped, "beside": beside, "block": functools.partial(replay, run.directory, mode="live")}
    turns = dict.fromkeys(("bare", *around), asking(client, SMALL))
    with _without_request():
        medians = measure(turns, run.rounds(200, 60), blocks=10, around=around)
    whats = {
        "wrapped": 'a client in wrap(mode="live")',
        "beside": "an unwrapped client beside a wrapped one",
        "block": 'a client in replay(mode="live")',
    }
    return [added_row(f"live_{name}", what, medians[name] - medians["bare"], call) for name, what in whats.items()]


@contextlib.contextmanager
def _without_request() -> Iterator[None]:
    """Let the method through which the SDK sends everything do nothing meanwhile."""
    owner = next(cls for cls in openai.OpenAI.__mro__ if "request" in cls.__dict__)
    request = owner.__dict__["request"]
    owner.request = lambda *_, **__: None
    try:
        yield
    finally:
        owner.request = request


def added_row(name: str, what: str, added: float, call: float) -> Row:
    """Make the row of the microseconds that are added to a live call."""
    measured = f"{added:+.1f} µs a call of {call:,.0f} µs"
    return Row(name, what, measured, "≤ 5 µs", added <= 5, 1 + added / call, 1.02, slack=1.1)


def importing(run: RunCoordinator) -> list[Row]:
    samples: dict[str, list[float]] = {"inferencereplay": [], "inferencereplay.api": [], "openai": []}
    loaded = False
    for _ in range(run.rounds(15, 4)):
        for module, times in samples.items():
            seconds, has_openai = _import(module)
            times.append(seconds * 1e3)
            loaded = loaded or (has_openai and module != "openai")
    ours, api, theirs = (statistics.median(times) for times in samples.values())
    figures = f"{ours:.1f} ms (with replay and wrap {api:.1f} ms; openai {theirs:.0f} ms); openai imported: {loaded}"
    ratio = float("inf") if loaded else ours / theirs
    is_ok, what = ours <= 20 and not loaded, "`import inferencereplay`"
    return [Row("import", what, figures, "≤ 20 ms, no openai", is_ok, ratio, limit=0.06, slack=2)]


def _import(module: str) -> tuple[float, bool]:
    program = (
        "import sys, time; start = time.perf_counter(); "
        f"import {module}; print(time.perf_counter() - start, int('openai' in sys.modules))"
    )
    root = str(Path(inferencereplay.__file__).parents[1])
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=root)
    seconds, has_openai = done.stdout.split()
    return float(seconds), has_openai == "1"


SESSION = 20
"""Calls of a session, as many as some tests make together."""


def ways(run: RunCoordinator) -> list[Row]:
    """Measure ways of calling beside plain `create`."""
    return [
        ways_of_calling.row(way, run.directory / way.name, run.rounds(20, 5) if way.is_long else run.rounds(100, 25))
        for way in ways_of_calling.WAYS
    ]


ATTEMPTS = 3
"""Measurements of what is far beyond its limit, before it is believed."""
ROWS = (
    small_chat,
    small_chat_once,
    large_chat,
    large_chat_first,
    stream,
    embeddings,
    first_chunk,
    recording_stream,
    directory_rows.recording_in_memory,
    side_file_rows.sound,
    side_file_rows.recording_sound,
    pace_of_one,
    pace_of_many,
    look_up,
    directory_rows.miss,
    directory_rows.upkeep,
    directory_rows.block,
    live,
    ways,
    importing,
)


def main() -> None:
    """Measure and print."""
    groups = [row.__name__ for row in ROWS]
    parser = command_line.parser(__doc__, "write the rows there as well")
    parser.add_argument("--quick", action="store_true", help="fewer rounds, smaller stores: half a minute at most")
    parser.add_argument("--only", choices=groups, metavar="NAME", help="one group of rows: " + ", ".join(groups))
    parser.add_argument(
        "--check", action="store_true", help="fail if a ratio is far beyond its limit, three times over"
    )
    options = parser.parse_args()
    rows: list[Row] = []
    with serving() as url:
        for make in ROWS:
            if options.only in (None, make.__name__):
                rows += measured(make, url, is_quick=options.quick, attempts=ATTEMPTS if options.check else 1)
    if options.json:
        options.json.write_text(json.dumps([row._asdict() for row in rows], indent=2, ensure_ascii=False))
    print(table(rows))
    regressions = [row.name for row in rows if row.is_regression]
    if options.check and regressions:
        sys.exit(f"far beyond their limits: {', '.join(regressions)}")


def measured(make: Callable[[RunCoordinator], list[Row]], url: str, *, is_quick: bool, attempts: int) -> list[Row]:
    """Measure a group of rows, again if one of them is far beyond its limit, and return the last."""
    rows: list[Row] = []
    for _ in range(attempts):
        with tempfile.TemporaryDirectory() as directory:
            gc.collect()
            gc.freeze()  # what is there already need not be looked at between rounds
            rows = make(RunCoordinator(Path(directory), url, is_quick))
        if not any(row.is_regression for row in rows):
            break
    return rows


if __name__ == "__main__":
    main()
