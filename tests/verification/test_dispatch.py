"""Requests asked several at a time, within limits."""

from __future__ import annotations

import asyncio

import pytest

from inferencereplay.verification.dispatch import GIVE_UP, Dispatcher
from inferencereplay.verification.limits import Limits
from inferencereplay.verification.outcomes import SAME, UNANSWERED, Outcome
from inferencereplay.verification.verification_plan import Item


def dispatch(count, limits, ask):
    """Ask so many requests; return the outcomes and what was not asked."""
    items = [Item(str(number), "m", 1, 1, is_open=False, cost=1.0, mark="") for number in range(count)]
    outcomes = []

    async def run():
        return await Dispatcher(items, limits, ask, outcomes.append).run()

    return outcomes, asyncio.run(run())


def outcome(item, verdict=SAME):
    return Outcome(item.name, "/chat/completions", "m", verdict)


def test_so_many_at_once():
    """No more, and no fewer while there are some."""
    running, most = set(), []

    async def ask(item):
        running.add(item.name)
        most.append(len(running))
        await asyncio.sleep(0.001)
        running.discard(item.name)
        return outcome(item)

    outcomes, rest = dispatch(20, Limits(concurrency=3), ask)
    assert (len(outcomes), rest, max(most)) == (20, [], 3)


def test_so_many_a_second():
    """Each starts after the one before it by the rate, however many may be under way."""
    starts = []

    async def ask(item):
        starts.append(asyncio.get_running_loop().time())
        return outcome(item)

    dispatch(5, Limits(concurrency=5, rate=20), ask)
    assert all(start - starts[0] >= number / 20 - 0.01 for number, start in enumerate(starts))


@pytest.mark.parametrize(("answered", "asked"), [(0, GIVE_UP), (1, 9)])
def test_it_gives_up_only_at_the_beginning(answered, asked):
    """Where the server has answered once, failures are those of single requests."""

    async def ask(item):
        return outcome(item, SAME if int(item.name) < answered else UNANSWERED)

    outcomes, rest = dispatch(9, Limits(concurrency=1), ask)
    assert (len(outcomes), len(rest)) == (asked, 9 - asked)


def test_an_error_ends_it():
    """No further request is asked, and none is under way afterwards."""
    begun = []

    async def ask(item):
        begun.append(item.name)
        if item.name == "1":
            raise OSError(28, "No space left on device")
        await asyncio.sleep(60)

    with pytest.raises(OSError, match="No space left"):
        dispatch(9, Limits(concurrency=2), ask)
    assert begun == ["0", "1"]
