"""Virtual time that several tasks wait for."""

from __future__ import annotations

import asyncio
import gc
import itertools
import threading
import weakref

import anyio
import pytest
from anyio.lowlevel import checkpoint
from hypothesis import given
from hypothesis import strategies as st

from inferencereplay.pacing.clocks import VirtualClock
from inferencereplay.pacing.virtual_time import TICKS

BACKENDS = pytest.mark.parametrize("backend", ["asyncio", "trio"])
series = st.lists(st.lists(st.integers(0, 5), max_size=6), max_size=6)
"""Of each task how long it waits, again and again."""


async def others():
    """Let other tasks begin, in fewer rounds than time stands still for."""
    for _ in range(TICKS // 2):
        await checkpoint()


def arrivals(clock, waits, backend):
    """Return who arrived when, in the order in which they did."""
    arrived = []

    async def wait(number, own):
        for seconds in own:
            await clock.sleep_async(seconds)
            arrived.append((clock.time, number))

    async def run():
        async with anyio.create_task_group() as tasks:
            for number, own in enumerate(waits):
                tasks.start_soon(wait, number, own)

    anyio.run(run, backend=backend)
    return arrived


@BACKENDS
@given(series)
def test_tasks_come_in_the_order_of_their_times(backend, waits):
    """As many tasks as there are, each arrives exactly when it is due, and time never runs back."""
    clock = VirtualClock()
    arrived = arrivals(clock, waits, backend)
    due = [(time, number) for number, own in enumerate(waits) for time in itertools.accumulate(own)]
    assert sorted(arrived) == sorted(due)
    assert [time for time, _ in arrived] == sorted(time for time, _ in due)
    assert clock.time == max((time for time, _ in due), default=0)


@BACKENDS
def test_a_wait_for_nothing_gives_way_all_the_same(backend):
    """A stream whose chunks came at once lets the other tasks run between them."""
    clock, order = VirtualClock(), []

    async def other():
        order.append("other")

    async def run():
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(other)
            await clock.sleep_async(0)
            await clock.sleep_async(0)
            order.append("waiter")

    anyio.run(run, backend=backend)
    assert order == ["other", "waiter"]


@BACKENDS
def test_a_task_that_begins_later_comes_before_one_that_waits_longer(backend):
    """Whose turn it is can change while the first one looks whether anybody comes before."""
    clock, arrived = VirtualClock(), []

    async def late():
        await others()
        await clock.sleep_async(1)
        arrived.append(clock.time)

    async def run():
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(late)
            await clock.sleep_async(100)
            arrived.append(clock.time)

    anyio.run(run, backend=backend)
    assert arrived == [1, 100]


@BACKENDS
@pytest.mark.parametrize("cancelled", [0, 1, 2])
def test_time_does_not_wait_for_who_is_cancelled(backend, cancelled):
    """Whichever of three leaves, the others come at their times."""
    clock, arrived, scopes = VirtualClock(), [], []

    async def wait(number):
        with scopes[number]:
            await clock.sleep_async(1 + number)
            arrived.append((number, clock.time))

    async def run():
        scopes.extend(anyio.CancelScope() for _ in range(3))
        async with anyio.create_task_group() as tasks:
            for number in range(3):
                tasks.start_soon(wait, number)
            await others()
            scopes[cancelled].cancel()

    anyio.run(run, backend=backend)
    assert arrived == [(number, 1 + number) for number in range(3) if number != cancelled]


@BACKENDS
def test_who_blocks_makes_the_others_late(backend):
    """A synchronous wait within a task holds up all of them, as it does in real time."""
    clock, arrived = VirtualClock(), []

    async def wait(seconds):
        await clock.sleep_async(seconds)
        arrived.append((seconds, clock.time))

    async def run():
        async with anyio.create_task_group() as tasks:
            for seconds in (1, 2, 20):
                tasks.start_soon(wait, seconds)
            await others()
            clock.sleep(10)

    anyio.run(run, backend=backend)
    assert arrived == [(1, 10), (2, 10), (20, 20)]


def test_each_event_loop_waits_for_its_own_tasks():
    """A clock that loops in several threads share hangs none of them."""
    clock, ends = VirtualClock(), []

    def run(backend):
        ends.append(len(arrivals(clock, [[1] * 50] * 4, backend)))

    threads = [threading.Thread(target=run, args=(backend,)) for backend in ("asyncio", "trio") * 2]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert ends == [200] * 4


def test_a_clock_serves_one_loop_after_the_other():
    """Time goes on where the last loop left it."""
    clock = VirtualClock()
    for number, backend in enumerate(("asyncio", "trio", "asyncio")):
        assert arrivals(clock, [[1, 1], [2]], backend)[-1][0] == 2 * number + 2


def test_a_loop_that_is_closed_early_is_not_woken(recwarn):
    """Tasks that never come to their time end with their loop, and nothing is said of it but what asyncio says."""
    clock = VirtualClock()

    async def begin():
        tasks = [asyncio.ensure_future(clock.sleep_async(seconds)) for seconds in (3, 1, 2)]
        await asyncio.sleep(0)
        for task in tasks:
            task._log_destroy_pending = False
        return tasks

    loop = asyncio.new_event_loop()
    tasks = loop.run_until_complete(begin())
    loop.close()
    task = weakref.ref(tasks[0])
    del tasks
    gc.collect()
    assert task() is None
    assert not recwarn.list


def test_sleeping_threads_lose_no_time():
    """What threads sleep adds up."""
    clock = VirtualClock()
    threads = [threading.Thread(target=lambda: [clock.sleep(1) for _ in range(1_000)]) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert clock.time == 8_000
