"""Work on many recordings by all processors."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sys
from concurrent.futures import ProcessPoolExecutor
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

FEWEST = 2_000
"""Files from which on it takes less time to start processes than to do without."""
AT_ONCE = 250
"""Files that are handed to a process at once."""
MOST = 8
Spread: TypeAlias = "Callable[[Callable[[Any], Any], Iterable[Any]], Iterable[Any]]"
"""Does work for each of some items and yields the results in order, as `map` does."""


def portions(names: Sequence[str]) -> list[Sequence[str]]:
    """Return names in portions, which do not depend on the number of processors."""
    return [names[start : start + AT_ONCE] for start in range(0, len(names), AT_ONCE)]


@contextlib.contextmanager
def processes(count: int) -> Iterator[Spread]:
    """Give what spreads work on so many files over processes; `map` where these are few, or no processes can start.

    The work and its results have to be picklable. Work that has not begun is not done after the block.
    """
    number = min(MOST, _processors())
    executor = _executor(number) if count >= FEWEST and number > 1 else None
    try:
        yield executor.map if executor else map
    finally:
        if executor:
            executor.shutdown(cancel_futures=True)


def _executor(number: int) -> ProcessPoolExecutor | None:
    context = multiprocessing.get_context("fork" if sys.platform == "linux" else "spawn")
    try:
        # An interrupt goes to all processes of a terminal; the first one ends the others.
        executor = ProcessPoolExecutor(number, context, signal.signal, (signal.SIGINT, signal.SIG_IGN))
        executor.submit(int)  # which starts the processes, before there are threads
    except (ImportError, OSError, NotImplementedError):  # a system without semaphores, or a limit of processes
        return None
    return executor


def _processors() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
