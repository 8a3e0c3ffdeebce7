"""When each chunk is due."""

from __future__ import annotations

import functools
import json
import math
import sys
import time

import anyio
import openai
import pytest
from conftest import ASK
from hypothesis import given
from hypothesis import strategies as st

from inferencereplay import replay, unwrap, wrap
from inferencereplay.errors import InvalidSetting
from inferencereplay.pacing.clocks import SYSTEM_CLOCK, SystemClock, VirtualClock, check_clock
from inferencereplay.pacing.pacer import LONGEST, Pace, Pacer, check_pace, make_pacer
from inferencereplay.sdk import patches

times = st.floats(0, 1_000)
ignore = [].append
"""Where lateness is noted that no test looks at."""


class Slow(VirtualClock):
    """A clock whose time also passes while nobody waits."""

    def __len__(self) -> int:
        return 0  # false, and a clock all the same


@pytest.fixture(params=["sync", "asyncio", "trio"])
def wait(request):
    """Wait for chunks in synchronous code, on asyncio and on trio."""

    def wait(pacer, *indices):
        if request.param == "sync":
            for index in indices:
                pacer.wait(index)
            return

        async def run():
            for index in indices:
                await pacer.wait_async(index)

        anyio.run(run, backend=request.param)

    return wait


def test_a_chunk_comes_when_it_is_due(wait):
    """Chunk i is due at offset i, counted from the moment the answer is made."""
    clock = VirtualClock()
    clock.time = 100.0
    pacer = Pacer([0.5, 0.75, 2.0], 1, clock, ignore)
    for index, due in enumerate([100.5, 100.75, 102.0]):
        wait(pacer, index)
        assert clock.time == due


@pytest.mark.parametrize(("speed", "end"), [(1, 2.0), (10, 0.2), (0.5, 4.0)])
def test_speed_divides_the_time(wait, speed, end):
    """Ten times faster takes a tenth."""
    clock = VirtualClock()
    wait(Pacer([1.0, 2.0], speed, clock, ignore), 0, 1)
    assert clock.time == pytest.approx(end)


def test_a_slow_consumer_gets_the_rest_at_once(wait):
    """Deadlines are absolute: what is late does not delay what comes after it."""
    clock, late = VirtualClock(), []
    pacer = Pacer([1.0, 2.0, 3.0, 9.0], 1, clock, late.append)
    wait(pacer, 0)
    clock.time += 5
    wait(pacer, 1, 2)
    assert clock.time == 6.0
    wait(pacer, 3)
    assert clock.time == 9.0
    assert late == [0.0, 4.0, 3.0, 0.0]


def test_the_last_chunk_can_be_waited_for_alone(wait):
    """-1 is the whole answer's time."""
    clock = VirtualClock()
    wait(Pacer([1.0, 4.0], 2, clock, ignore), -1)
    assert clock.time == 2.0


@given(st.lists(st.tuples(times, times), min_size=1), st.floats(0.01, 100))
def test_errors_do_not_add_up(chunks, speed):
    """Whatever the consumer's own time, no chunk is early, and none is later than the consumer makes it."""
    clock = VirtualClock()
    pacer = Pacer([offset for offset, _ in chunks], speed, clock, ignore)
    for index, (offset, busy) in enumerate(chunks):
        arrived = clock.time
        pacer.wait(index)
        assert clock.time == pytest.approx(max(arrived, offset / speed))
        clock.time += busy


def test_real_time_passes(wait):
    """By the system's clock, a chunk takes as long as it did."""
    start = time.perf_counter()
    pacer = make_pacer([0.0, 0.02], 2, speed=1, pace=None, clock=SYSTEM_CLOCK, note=ignore)
    assert pacer is not None
    wait(pacer, 0, 1)
    assert time.perf_counter() - start >= 0.019


def test_other_tasks_run_while_virtual_time_passes():
    """A wait that takes no real time still gives way to the other tasks."""
    order = []

    async def run(backend_clock):
        async def other():
            order.append("other")

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(other)
            await backend_clock.sleep_async(1)
            await backend_clock.sleep_async(1)
            order.append("waiter")

    anyio.run(run, VirtualClock())
    assert order == ["other", "waiter"]


@pytest.mark.parametrize(
    ("offsets", "count", "speed", "pace", "due"),
    [
        ([0.5, 1.0], 2, 1, None, [0.5, 1.0]),
        ([0.5, 1.0], 2, 2, Pace(9, 9), [0.25, 0.5]),
        ([0.5, 1.0], 2, math.inf, None, None),
        ([0.5, 1.0], 2, math.inf, Pace(9, 9), None),
        ([], 3, math.inf, Pace(0.3, 0.1), [0.3, 0.4, 0.5]),
        ([], 3, 10, Pace(first=0.25), [0.25, 0.25, 0.25]),
        ([], 1, 1, Pace(0.3, 0.1), [0.3]),
        ([], 3, 1, None, None),
        ([], 0, 1, Pace(0.3, 0.1), None),
    ],
)
def test_an_answer_waits_by_what_was_recorded_or_by_the_pace(offsets, count, speed, pace, due):
    """Recorded times go before a pace, which is followed as it is; at infinite speed nothing that was timed waits."""
    clock = Slow()
    pacer = make_pacer(offsets, count, speed=speed, pace=pace, clock=clock, note=ignore)
    if due is None:
        assert pacer is None
        return
    assert pacer is not None
    came = []
    for index in range(count):
        pacer.wait(index)
        came.append(clock.time)
    assert came == pytest.approx(due)


@pytest.mark.parametrize("pace", [None, Pace(), Pace(0.3, 0.02), Pace(1, 2), Pace(LONGEST, 0)])
def test_a_pace_is_two_times(pace):
    """Whole and broken seconds alike, and none at all."""
    assert check_pace(pace) is pace


@pytest.mark.parametrize(
    "pace",
    [
        *(Pace(-1, 0), Pace(0, -0.1), Pace(math.nan, 0), Pace(0, math.inf), Pace(LONGEST + 1, 0), Pace(0, 10**400)),
        *(Pace("1", 0), Pace(None, None), Pace(True, 0), Pace, (0.3, 0.02), 0.3, "fast", {"first": 1}),  # type: ignore[arg-type]
    ],
    ids=lambda pace: repr(pace)[:40],
)
def test_anything_else_is_no_pace(pace):
    """The message says what it should be."""
    with pytest.raises(InvalidSetting, match=r"is no pace\. Give Pace\(first=…, between=…\), both seconds"):
        check_pace(pace)


@pytest.mark.parametrize("clock", [None, SystemClock(), VirtualClock(), Slow()], ids=lambda clock: type(clock).__name__)
def test_a_clock_is_what_has_its_methods(clock):
    """A class of one's own serves, and `None` stands for real time."""
    assert check_clock(clock) is clock


@pytest.mark.parametrize("clock", [1, "fast", time, time.sleep, VirtualClock, object(), False])
def test_anything_else_is_no_clock(clock):
    """The message says what it should have, before a stream fails halfway."""
    with pytest.raises(InvalidSetting, match=r"is no clock\. Give an object with the methods now, sleep, sleep_async"):
        check_clock(clock)


def test_time_can_be_real_on_trio_without_asyncio():
    """The event loop is recognised, not assumed."""
    anyio.run(SystemClock().sleep_async, 0.001, backend="trio")
    assert "trio" in sys.modules


@pytest.fixture
def frozen(monkeypatch):
    """Freeze time as freezegun does: in the module `time`, and wherever else a module holds one of its functions."""
    for real in (time.time, time.monotonic, time.perf_counter):
        fake = functools.partial(float, real())
        for module in list(sys.modules.values()):
            for attribute, value in list(getattr(module, "__dict__", {}).items()):
                if value is real:
                    monkeypatch.setattr(module, attribute, fake)


@pytest.mark.usefixtures("frozen")
def test_frozen_time_changes_no_pace(wait):
    """Under freezegun chunks come at their times, neither at once nor after the sum of all offsets."""
    late = []
    wait(Pacer([0.02, 0.04, 0.06], 1, SYSTEM_CLOCK, late.append), 0, 1, 2)
    assert len(late) == 3
    assert all(0 <= seconds < 5 for seconds in late)
    assert sum(late) > 0


@pytest.mark.usefixtures("frozen")
def test_recordings_made_in_frozen_time_hold_real_times(client, tmp_path):
    """The chunks of a recorded stream do not all have the offset 0; a plain answer has no time rather than none.

    Two calls have two dates.
    """
    with replay(tmp_path, mode="record"):
        list(client.chat.completions.create(**ASK, stream=True))
        client.chat.completions.create(**ASK)
    files = [json.loads(file.read_bytes()) for file in tmp_path.rglob("*.json")]
    plain, stream = sorted((file["response"] for file in files), key=lambda answer: "chunks" in answer)
    assert len({file["recorded"]["at"] for file in files}) == 2
    assert 0 < stream["offsets"][0] <= stream["offsets"][-1] < 60
    assert "elapsed" not in plain


def test_the_repr_of_a_clock_says_what_time_it_is():
    """For who looks at a session's settings."""
    clock = VirtualClock()
    clock.sleep(1.5)
    assert repr(clock) == "<VirtualClock time=1.5>"


def test_a_paced_session_imports_what_its_first_chat_needs(monkeypatch, tmp_path):
    """Within an event loop that would take 40 ms, by which the answers of other tasks would be late."""
    patches.prepare()
    assert "openai.resources.chat.completions" in sys.modules
    prepared = []
    monkeypatch.setattr(patches, "prepare", lambda: prepared.append(1))
    with replay(tmp_path), replay(tmp_path, mode="live", speed=1):
        wrap(openai.OpenAI(api_key="none"), tmp_path, mode="replay")
    assert prepared == []
    with replay(tmp_path, speed=1):
        unwrap(wrap(openai.OpenAI(api_key="none"), tmp_path, speed=10))
    assert prepared == [1, 1]
