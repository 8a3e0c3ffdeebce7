"""Work on many remote files at once, by threads: most of the time is waiting."""

from __future__ import annotations

import collections
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

THREADS = 16
"""Requests that are under way at once."""
_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


def at_once(work: Callable[[_Item], _Result], items: Iterable[_Item], threads: int = THREADS) -> Iterator[_Result]:
    """Yield the results of work on each item, in order; of items, only a few more than that are taken ahead.

    After an error, or if the caller leaves, no further work is begun.
    """
    executor = ThreadPoolExecutor(threads, thread_name_prefix="inferencereplay")
    waiting: collections.deque[Future[_Result]] = collections.deque()
    try:
        for item in items:
            waiting.append(executor.submit(work, item))
            if len(waiting) >= 2 * threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        executor.shutdown(cancel_futures=True)
