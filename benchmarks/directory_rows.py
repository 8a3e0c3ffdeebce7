"""Rows of the target table on whole directories: a miss, the commands that read all of it, a test's own session."""

from __future__ import annotations

import contextlib
import functools
import itertools
import os
import time
from typing import TYPE_CHECKING, Any

import answers
import msgspec
import scenes
from measuring import Row, measure, ratio_row
from scenes import SMALL, numbered

from inferencereplay import RecordingNotFound, Session, replay, wrap
from inferencereplay.catalogue.entries import Catalogue
from inferencereplay.catalogue.filtering import Filter
from inferencereplay.catalogue.processes import portions, processes
from inferencereplay.catalogue.totals import add_up
from inferencereplay.cli import listing
from inferencereplay.recording.format import Recording
from inferencereplay.redaction.redactor import Redactor
from inferencereplay.upkeep.checking import check

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

MISSING = 99_999_999
"""The number of a request that is in no directory."""


def bare_loop(directory: Path) -> Callable[[], None]:
    """Return what reads and decodes every file, and does nothing else."""
    decode = msgspec.json.Decoder(Recording).decode

    def read() -> None:
        for folder, _, files in os.walk(directory):
            for file in files:
                with open(f"{folder}{os.sep}{file}", "rb", buffering=0) as opened:  # noqa: PTH123 - the fastest way
                    decode(opened.read())

    return read


def miss(run: Any) -> list[Row]:
    """Measure a miss in a directory that the process has not searched yet, and the ones that follow."""
    number = itertools.count()
    place = run.directory / "0"
    scenes.record_many(place, 1_000)
    time.sleep(0.15)  # what has just been written is searched anew each time
    client = scenes.client()

    def ask() -> None:
        try:
            client.chat.completions.create(**numbered(SMALL, MISSING))
        except RecordingNotFound as error:
            missed.append(error)

    missed: list[RecordingNotFound] = []

    def first() -> None:
        nonlocal place
        place = place.rename(run.directory / f"searched{next(number)}")  # the process keeps what it has searched
        wrap(client, place, mode="replay")
        ask()

    def loop() -> None:
        bare_loop(place)()

    medians = measure({"loop": loop, "first": first}, run.rounds(30, 6))
    following = measure({"loop": bare_loop(place), "following": ask}, run.rounds(30, 6))
    assert all(error.nearest and len(error.differences) == 1 for error in missed)
    what = "a miss among 1,000 recordings, with what differs : a bare loop that reads and decodes them"
    return [
        ratio_row("miss", what, medians["first"], medians["loop"], 1.0),
        ratio_row("miss_again", "the next ones : the same", following["following"], following["loop"], 0.15),
    ]


def upkeep(run: Any) -> list[Row]:
    """Measure what `check`, `list` and `stats` do, without the start of a program."""
    count = run.rounds(20_000, 4_000)
    scenes.record_many(run.directory, count)
    catalogue, redactor, wanted = Catalogue(run.directory), Redactor(), Filter().accepts

    def checked(spread: Any) -> None:
        assert not any(problems for _, problems in check(catalogue, redactor, spread))

    def added_up(spread: Any) -> None:
        assert add_up(catalogue, wanted, None, spread).all.recordings == count

    def listed(spread: Any) -> None:
        names = [*catalogue.names()]
        found = spread(functools.partial(listing.rows_of, catalogue, Filter()), portions(names))
        with open(os.devnull, "w") as nobody, contextlib.redirect_stdout(nobody):  # noqa: PTH123
            listing.show(itertools.chain.from_iterable(found))

    def by_all(work: Callable[[Any], None]) -> None:
        with processes(count) as spread:
            work(spread)

    turns: dict[str, Callable[[], None]] = {"loop": bare_loop(run.directory)}
    for name, work in (("check", checked), ("list", listed), ("stats", added_up)):
        turns |= {name: functools.partial(by_all, work), f"{name}_alone": functools.partial(work, map)}
    medians = measure(turns, run.rounds(5, 2))
    return [_upkeep_row(name, count, medians, limit) for name, limit in (("check", 4), ("list", 2.5), ("stats", 2.5))]


def _upkeep_row(name: str, count: int, medians: dict[str, float], limit: float) -> Row:
    """Make a row of what takes less time: all processors, or one of them where the others are busy."""
    all_, one = (medians[key] / medians["loop"] for key in (name, f"{name}_alone"))
    what = f"`{name}` of {count:,} recordings : a bare loop that reads and decodes them"
    figures = f"{all_:.1f} x (by one processor {one:.1f} x; {medians['loop'] / 1e6:.2f} s)"
    ratio = min(all_, one)
    return Row(name, what, figures, f"≤ {limit:g} x", ratio <= limit, ratio, limit, slack=5)


def block(run: Any) -> list[Row]:
    """Measure the session of a test that passes: it is opened, and closed without a call."""
    scenes.record(run.directory, SMALL, scenes.plain())
    client = scenes.client()

    def opened() -> None:
        with replay(run.directory):
            pass

    turns = {"sdk": lambda: client.chat.completions.create(**SMALL), "block": opened}
    medians = measure(turns, run.rounds(200, 40))
    what = "a block without a call : a small chat through the SDK over an in-memory transport"
    return [ratio_row("block", what, medians["block"], medians["sdk"], 0.4)]


def recording_in_memory(run: Any) -> list[Row]:
    """Measure recording a stream that no network delays, each piece by itself."""
    pieces = [*map(answers.event, map(answers.chunk, range(answers.CHUNKS))), answers.event(b"[DONE]")]

    class Body(scenes.http.SyncByteStream):  # type: ignore[name-defined, misc]  # the library that this SDK uses
        def __iter__(self) -> Any:
            yield from pieces

    def handle(_: Any) -> Any:
        return scenes.http.Response(200, headers={"content-type": "text/event-stream"}, stream=Body())

    def made() -> Any:
        return scenes.client(
            base_url="http://memory/v1", http_client=scenes.http.Client(transport=scenes.http.MockTransport(handle))
        )

    plain, recording = made(), wrap(made(), Session(run.directory, mode="record"))
    numbers = iter(range(10**9))
    turns = {
        "plain": lambda: list(plain.chat.completions.create(**numbered(scenes.STREAM, next(numbers)))),
        "recording": lambda: list(recording.chat.completions.create(**numbered(scenes.STREAM, next(numbers)))),
    }
    medians = measure(turns, run.rounds(60, 15))
    what = f"recording a {answers.CHUNKS}-chunk stream over an in-memory transport : not recording it"
    return [ratio_row("recording_in_memory", what, medians["recording"], medians["plain"], 1.08, slack=1.5)]
