"""What a session says of the time at which chunks came."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import anyio
import pytest
from conftest import chunk, sse
from hypothesis import given
from hypothesis import strategies as st
from openai import AsyncOpenAI, OpenAI
from ways import run, settle

from inferencereplay import Pace, replay
from inferencereplay.pacing.clocks import SystemClock, VirtualClock
from inferencereplay.pacing.timing import Timing, summarize

if TYPE_CHECKING:
    from pathlib import Path

CHUNKS = [chunk("a"), chunk("b"), chunk("c"), chunk(None, "stop")]


def retime(directory: Path, offsets: str) -> None:
    """Give the only recording of `directory` other offsets, as a person would in an editor."""
    (file,) = directory.rglob("*.json")
    lines = file.read_text("utf-8").splitlines()
    (at,) = (index for index, line in enumerate(lines) if line.startswith('    "offsets": '))
    lines[at] = f'    "offsets": {offsets},'
    file.write_text("\n".join(lines), "utf-8")


@pytest.fixture
def recorded(driver, server, tmp_path):
    """Record a stream of four chunks and return its directory."""
    server.replies.append(sse(*CHUNKS))
    with replay(tmp_path, mode="record"):
        assert len(driver.chat(stream=True)) == 4
    return tmp_path


def test_an_hour_of_recorded_time_passes_at_once(driver, recorded):
    """With a clock that only moves while it is waited on, an hour's stream comes whole, each chunk when it is due."""
    retime(recorded, "[0.5, 1800.0, 1800.0, 3600.0]")
    clock = VirtualClock()
    with replay(recorded, speed=1, clock=clock) as session:
        assert len(driver.chat(stream=True)) == 4
    assert clock.time == pytest.approx(3600)
    assert session.timing == (4, pytest.approx(0), pytest.approx(0, abs=1e-9), pytest.approx(0, abs=1e-9))


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_an_hour_of_many_streams_passes_at_once(server, tmp_path, backend):
    """Streams that are read at the same time are each in time, and the hour passes once for all of them."""
    ask = {"model": "m", "messages": HELLO, "stream": True}
    server.replies.append(sse(*CHUNKS))
    with replay(tmp_path, mode="record"):
        list(OpenAI(api_key="k", base_url=server.url).chat.completions.create(**ask))
    retime(tmp_path, "[0.5, 1800.0, 1800.0, 3600.0]")
    clock = VirtualClock()

    async def read(client):
        return [chunk async for chunk in await client.chat.completions.create(**ask)]

    async def many():
        async with AsyncOpenAI(api_key="k", base_url=server.url) as client, anyio.create_task_group() as tasks:
            for number in range(10):
                tasks.start_soon(read, client)
                await clock.sleep_async(number)

    with replay(tmp_path, speed=1, clock=clock) as session:
        anyio.run(many, backend=backend)
    assert session.timing == (40, pytest.approx(0), pytest.approx(0, abs=1e-9), pytest.approx(0, abs=1e-9))
    assert clock.time == pytest.approx(3600 + sum(range(9)))


def test_a_slow_program_is_late(driver, recorded):
    """What a program takes for itself shows, chunk by chunk, as it does in the clock."""
    retime(recorded, "[1.0, 2.0, 3.0, 9.0]")
    clock = VirtualClock()

    async def read(client):
        made = await settle(client.chat.completions.create(model="m", messages=HELLO, temperature=0.5, stream=True))
        for _ in CHUNKS:
            await settle(made.__anext__() if driver.is_async else next(made))
            clock.time += 2.5

    with replay(recorded, speed=1, clock=clock) as session:
        run(driver, read)
    assert session.timing == (4, pytest.approx(0), pytest.approx(3), pytest.approx(3))


HELLO = [{"role": "user", "content": "Hello"}]


class Oversleeper(SystemClock):
    """Real time in which every wait takes a little longer than it was meant to."""

    def sleep(self, seconds):
        time.sleep(seconds + 0.01)

    async def sleep_async(self, seconds):
        await super().sleep_async(seconds + 0.01)


def test_real_waits_that_end_late_show(driver, recorded):
    """Lateness is measured with the clock that is waited on, never assumed."""
    retime(recorded, "[0.02, 0.04, 0.06, 0.08]")
    with replay(recorded, speed=1, clock=Oversleeper()) as session:
        driver.chat(stream=True)
    assert session.timing.chunks == 4
    assert 0.009 < session.timing.p50 <= session.timing.p99 <= session.timing.max


def test_plain_answers_count_as_one_chunk(driver, tmp_path):
    """A plain answer is waited for, and timed, as a whole, on either path."""
    with replay(tmp_path, mode="record"):
        driver.chat()
        driver(lambda client: client.embeddings.create(model="m", input="a"))
    with replay(tmp_path, speed=1, clock=VirtualClock()) as session:
        driver.chat()
        assert session.timing.chunks == 1
        driver(lambda client: client.embeddings.create(model="m", input="a"))
    assert session.timing.chunks == 2


@pytest.mark.parametrize(("settings", "count"), [({}, 0), ({"speed": 1e9}, 4), ({"pace": Pace(0, 0)}, 0)])
def test_what_has_no_time_to_come_at_is_not_timed(driver, recorded, settings, count):
    """At infinite speed there is nothing to be late for, and nothing is noted."""
    with replay(recorded, **settings) as session:
        driver.chat(stream=True)
    assert session.timing.chunks == count


def test_a_pace_is_timed_as_well(driver, recorded):
    """Chunks without recorded times are due by the pace."""
    retime(recorded, "[]")
    with replay(recorded, pace=Pace(2.0, 1.0), clock=VirtualClock()) as session:
        driver.chat(stream=True)
    assert session.timing.chunks == 4


def test_nothing_timed_is_all_zero():
    """A session without paced chunks has no lateness, rather than none that can be read."""
    assert summarize([]) == Timing(0, 0.0, 0.0, 0.0)


@given(st.lists(st.floats(-1, 100), min_size=1, max_size=300))
def test_ranks_are_what_their_names_say(late):
    """At least the named share of the chunks is not later than the figure, and a smaller one would not do."""
    made = summarize(late)
    assert (made.chunks, made.max) == (len(late), max(late))
    for figure, share in ((made.p50, 0.5), (made.p99, 0.99)):
        assert figure in late
        assert sum(value <= figure for value in late) >= share * len(late)
        assert sum(value < figure for value in late) < share * len(late)
