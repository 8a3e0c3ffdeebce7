"""Measure recordings in an object store: `python benchmarks/stores.py [--quick] [--check]`; it needs moto.

moto's S3 server runs in a process of its own. What is compared takes turns, and medians of ratios are compared. With
`--check` the exit code is 1 if a ratio is several times its limit.
"""
# ruff: noqa: SLF001 - it looks inside

from __future__ import annotations

import asyncio
import functools
import itertools
import os
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import scenes
from measuring import Row, ratio_row, table
from scenes import SMALL, numbered

from inferencereplay import Session, replay, wrap
from inferencereplay.object_stores import opening_urls
from inferencereplay.object_stores.objects import MOST_CONNECTIONS
from inferencereplay.session import recording_cache
from inferencereplay.store.location import StoreURL
from inferencereplay.store.opening import open_store

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from object_servers import Moto, s3_settings

if TYPE_CHECKING:
    from collections.abc import Callable

MICROSECONDS = 1e6


def taken(job: Callable[[], Any]) -> float:
    """Return how many microseconds a job takes."""
    start = time.perf_counter()
    job()
    return (time.perf_counter() - start) * MICROSECONDS


def ratio(pairs: list[tuple[float, float]]) -> tuple[float, float]:
    """Return the median of the second figures, and that times the median ratio of the first to it."""
    unit = statistics.median(theirs for _, theirs in pairs)
    return unit * statistics.median(ours / theirs for ours, theirs in pairs), unit


class Scene:
    """The same recordings in a directory and in a bucket, each the answer to one request.

    Args:
        folder: an empty directory.
        url: of the recordings in a bucket.
        count: how many.
    """

    def __init__(self, folder: Path, url: str, count: int) -> None:
        self.url, self.directory, self.cache = url, folder / "recordings", folder / "cache"
        os.environ["INFERENCEREPLAY_CACHE"] = str(self.cache)
        self.asks = [numbered(SMALL, index) for index in range(count)]
        client = scenes.client()
        self.names = []
        with replay(self.directory, mode="record") as session:
            for ask in self.asks:
                client.chat.completions.create(**ask)
                self.names += sorted(set(session.used()) - set(self.names))
        self.store = open_store(StoreURL(url))
        self.bare: Any = self.store._objects._store
        self.prefix = f"{url.rpartition('/')[2]}/"
        for name in self.names:
            self.store._objects.create(name, (self.directory / name).read_bytes())

    def begin_anew(self, *, is_cold: bool) -> None:
        """Forget what the process knows, as another one would begin; with its cache, if it is to be cold."""
        opening_urls._states.clear()
        recording_cache._of_process._kept.clear()
        if is_cold:
            shutil.rmtree(self.cache, ignore_errors=True)

    def replays(self, place: Any) -> Callable[[dict[str, Any]], Any]:
        """Return what asks in a new session of a place."""
        client = wrap(scenes.client(), Session(place))
        return lambda ask: client.chat.completions.create(**ask)

    def warm(self, rounds: int) -> Row:
        """Measure each request once, in sessions that are new."""
        self.begin_anew(is_cold=True)
        self.store = open_store(StoreURL(self.url))
        self.store.prefetch(self.names)
        pairs = []
        for _ in range(rounds):
            self.begin_anew(is_cold=False)
            ours, theirs = self.replays(self.url), self.replays(self.directory)
            for number, ask in enumerate(self.asks):
                order = (theirs, ours) if number % 2 else (ours, theirs)
                figures = {side: taken(lambda side=side, ask=ask: side(ask)) for side in order}
                pairs.append((figures[ours], figures[theirs]))
        return ratio_row("warm", "warm cache, each once, of the directory's replay", *ratio(pairs), 1.3)

    def cold(self, rounds: int) -> Row:
        """Measure replays of what was never read."""
        pairs = []
        for _ in range(rounds):
            self.begin_anew(is_cold=True)
            ours = self.replays(self.url)
            for number, (ask, name) in enumerate(zip(self.asks, self.names, strict=True)):
                jobs = (
                    functools.partial(ours, ask),
                    lambda name=name: bytes(self.bare.get(self.prefix + name).bytes()),
                )
                order = (1, 0) if number % 2 else (0, 1)
                figures = {side: taken(jobs[side]) for side in order}
                pairs.append((figures[0], figures[1]))
        return ratio_row("cold", "cold replay, of one bare obstore get", *ratio(pairs), 1.2)

    def prefetch(self, rounds: int) -> Row:
        """Measure how fast recordings come into the cache."""

        async def bare() -> None:
            limit = asyncio.Semaphore(MOST_CONNECTIONS)

            async def get(name: str) -> bytes:
                async with limit:
                    return bytes(await (await self.bare.get_async(self.prefix + name)).bytes_async())

            await asyncio.gather(*map(get, self.names))

        pairs = []
        for _ in range(rounds):
            self.begin_anew(is_cold=True)
            store = open_store(StoreURL(self.url))
            pairs.append((taken(lambda store=store: store.prefetch(self.names)), taken(lambda: asyncio.run(bare()))))
        what = f"prefetch of {len(self.names):,}, of a bare concurrent loop"
        return ratio_row("prefetch", what, *ratio(pairs), 1 / 0.7)

    def opening(self, rounds: int) -> Row:
        """Measure the opening of a store where nobody answers: it asks nothing, however much is there."""
        endpoint = os.environ["AWS_ENDPOINT"]
        os.environ["AWS_ENDPOINT"] = "http://127.0.0.1:9"
        opened = itertools.count()
        try:
            pairs = [
                (
                    taken(lambda: Session(f"{self.url}/{next(opened)}")),
                    taken(lambda name=name: bytes(self.bare.get(self.prefix + name).bytes())),
                )
                for name in self.names[:rounds]
            ]
        finally:
            os.environ["AWS_ENDPOINT"] = endpoint
        return ratio_row("opening", "opening a store, which asks nothing, of one bare get", *ratio(pairs), 1.0)


def main() -> int:
    """Print the table."""
    is_quick = "--quick" in sys.argv
    moto = Moto()
    try:
        with tempfile.TemporaryDirectory() as folder:
            os.environ.update(s3_settings(moto.url))
            scene = Scene(Path(folder), f"s3://{moto.bucket()}/recordings", 200 if is_quick else 1_000)
            rounds = 1 if is_quick else 3
            rows = [scene.warm(2 * rounds), scene.cold(rounds), scene.prefetch(3 * rounds), scene.opening(100)]
    finally:
        moto.stop()
    print(table(rows))
    return int("--check" in sys.argv and any(row.is_regression for row in rows))


if __name__ == "__main__":
    sys.exit(main())
