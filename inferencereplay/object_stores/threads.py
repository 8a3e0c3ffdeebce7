"""Requests of sync code that are under way together."""

from __future__ import annotations

import functools
import os
from concurrent.futures import ThreadPoolExecutor, wait
from typing import TYPE_CHECKING, TypeVar

from inferencereplay.object_stores.objects import MOST_CONNECTIONS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


@functools.lru_cache(1)
def _pool(_process: int) -> ThreadPoolExecutor:
    """Return the threads of a process; a forked child has none of its parent's."""
    return ThreadPoolExecutor(MOST_CONNECTIONS, thread_name_prefix="inferencereplay")


def each(ask: Callable[[_Item], _Result], items: Sequence[_Item]) -> list[_Result]:
    """Return the results for all items, in their order.

    Raises:
        Exception: the first error.
    """
    if len(items) == 1:
        return [ask(items[0])]
    return list(_pool(os.getpid()).map(ask, items))


def each_in_time(ask: Callable[[_Item], _Result], items: Sequence[_Item], seconds: float) -> list[_Result]:
    """Return the results for the items that come within some seconds, in their order; an error counts as none."""
    futures = [_pool(os.getpid()).submit(ask, item) for item in items]
    done, late = wait(futures, seconds)
    for future in late:
        future.cancel()
    return [future.result() for future in futures if future in done and future.exception() is None]
