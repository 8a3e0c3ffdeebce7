"""Decisions on an event loop about recordings in an object store: what they need is awaited, and they are repeated."""

from __future__ import annotations

import functools
from asyncio import _get_running_loop
from typing import TYPE_CHECKING, Any

from inferencereplay.store.at_hand import NotAtHand, only

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from inferencereplay.store.at_hand import Errand

MOST_THREADS = 32
"""Threads of one event loop that wait for a store, where they cannot be awaited."""


async def decide(decision: Callable[[], Any]) -> Any:
    """Make a decision on the event loop, which never waits for a store."""
    outcomes: dict[Hashable, Callable[[], Any]] = {}
    while True:
        try:
            with only(outcomes):
                return decision()
        except NotAtHand as missing:
            errand = missing.errand
        outcomes[errand.name] = await _outcome(errand)


async def _outcome(errand: Errand) -> Callable[[], Any]:
    """Run an errand; return what gives out its result, or raises its error where the decision meets it."""
    try:
        if errand.run_async is not None and _get_running_loop() is not None:  # obstore awaits on asyncio only
            result = await errand.run_async()
        else:
            result = await _in_thread(errand.run)
    except Exception as error:  # noqa: BLE001 - the decision handles it, as if it had waited itself
        return functools.partial(_raise, error)
    return functools.partial(_give, result)


async def _in_thread(job: Callable[[], Any]) -> Any:
    from inferencereplay.sdk import worker_thread  # noqa: PLC0415 - it imports AnyIO

    results: list[Any] = []
    await worker_thread.in_thread(lambda: results.append(job()), worker_thread.waiting, MOST_THREADS)
    return results[0]


def _give(result: Any) -> Any:
    return result


def _raise(error: Exception) -> Any:
    raise error
