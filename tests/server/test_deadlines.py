"""Nothing is done before it is due, in the order of what is due, by whichever timer."""

from __future__ import annotations

import asyncio
import os

import pytest

from inferencereplay.pacing.clocks import SYSTEM_CLOCK
from inferencereplay.server import timer
from inferencereplay.server.deadlines import Deadlines
from inferencereplay.server.timer import KernelTimer, LoopTimer, make_timer

uvloop = pytest.importorskip("uvloop") if os.name == "nt" else __import__("uvloop")
LOOPS = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


def run(main, loop="asyncio"):
    made = LOOPS[loop]()
    try:
        return made.run_until_complete(main())
    finally:
        made.close()


@pytest.fixture(params=["kernel", "loop"])
def kind(request, monkeypatch):
    """Each kind of timer in turn."""
    if request.param == "loop":
        monkeypatch.setattr(timer, "KernelTimer", _no_timer)
    return request.param


def _no_timer(*_):
    raise OSError


@pytest.mark.parametrize("loop", LOOPS)
def test_nothing_is_done_before_it_is_due(kind, loop):
    """Not even by a tenth of a millisecond, as uvloop's own timers do."""

    async def main():
        deadlines = Deadlines(asyncio.get_running_loop())
        early = []
        start = SYSTEM_CLOCK.now()
        dues = [start + 0.0007 * index for index in range(150)]
        await asyncio.gather(*(_wait(deadlines, due, early) for due in reversed(dues)))
        deadlines.close()
        return early

    assert max(run(main, loop)) <= 0


async def _wait(deadlines, due, early):
    told = await deadlines.wait(due)
    early.append(due - told)


def test_a_job_is_called_again_when_it_says_so(kind):
    """In the order of deadlines, beside others; a deadline that comes first is done first."""

    async def main():
        deadlines = Deadlines(asyncio.get_running_loop())
        done, start, ended = [], SYSTEM_CLOCK.now(), asyncio.Event()

        def job(_):
            done.append("job")
            return start + 0.01 * (1 + done.count("job")) if done.count("job") < 3 else None

        def last(_):
            done.append("last")
            ended.set()

        deadlines.add(start + 0.05, last)
        deadlines.add(start + 0.01, job)
        deadlines.add(start + 0.015, lambda _: done.append("between"))
        await ended.wait()
        deadlines.close()
        return done

    assert run(main) == ["job", "between", "job", "job", "last"]


def test_a_job_that_fails_does_not_stop_the_others(kind):
    """Its error goes to the event loop."""

    async def main():
        loop = asyncio.get_running_loop()
        seen = []
        loop.set_exception_handler(lambda _, context: seen.append(context["exception"]))
        deadlines = Deadlines(loop)
        now, is_done = SYSTEM_CLOCK.now(), asyncio.Event()
        deadlines.add(now + 0.001, lambda _: 1 / 0)
        deadlines.add(now + 0.002, lambda _: is_done.set())
        await is_done.wait()
        deadlines.close()
        return seen

    (error,) = run(main)
    assert isinstance(error, ZeroDivisionError)


def test_a_wait_that_is_cancelled_is_forgotten(kind):
    """Its deadline passes without an effect."""

    async def main():
        deadlines = Deadlines(asyncio.get_running_loop())
        now = SYSTEM_CLOCK.now()
        task = asyncio.ensure_future(deadlines.wait(now + 0.01))
        await asyncio.sleep(0)
        task.cancel()
        await deadlines.wait(now + 0.02)
        deadlines.close()
        return task.cancelled()

    assert run(main)


def test_what_is_closed_fires_no_more(kind):
    """And gives its descriptor back."""

    async def main():
        deadlines = Deadlines(asyncio.get_running_loop())
        called = []
        deadlines.add(SYSTEM_CLOCK.now() + 0.005, called.append)
        deadlines.close()
        await asyncio.sleep(0.02)
        return called

    assert run(main) == []


def test_what_is_due_already_does_not_wait():
    """A late stream does not give up its turn for it."""

    async def main():
        deadlines = Deadlines(asyncio.get_running_loop())
        due = SYSTEM_CLOCK.now() - 1
        told = await deadlines.wait(due)
        deadlines.close()
        return told - due

    assert run(main) >= 1


@pytest.mark.parametrize("error", [AttributeError, TypeError, OSError, NotImplementedError])
def test_a_system_without_such_a_timer_gets_the_loops(monkeypatch, error):
    """As macOS and Windows have none."""

    def fail(*_):
        raise error

    async def main():
        with monkeypatch.context() as patch:
            patch.setattr(timer, "_create", fail)
            return make_timer(asyncio.get_running_loop(), lambda: None)

    assert isinstance(run(main), LoopTimer)


def test_this_system_has_one():
    """Or the tests above would test the other twice."""

    async def main():
        made = make_timer(asyncio.get_running_loop(), lambda: None)
        made.close()
        return made

    assert isinstance(run(main), KernelTimer)
