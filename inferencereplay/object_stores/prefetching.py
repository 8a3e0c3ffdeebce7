"""Reading many objects into the cache at once, before a run asks for them one by one."""

from __future__ import annotations

import itertools
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from typing import TYPE_CHECKING, NamedTuple

from inferencereplay.errors import StoreError
from inferencereplay.object_stores.objects import MOST_CONNECTIONS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from inferencereplay.object_stores.cached_objects import CachedObjects


class Prefetched(NamedTuple):
    """What became of the objects that were to be read.

    Attributes:
        there: how many are in the cache now.
        absent: how many the store does not have.
        failed: how many could not be read.
        error: why the first of these could not.
    """

    there: int = 0
    absent: int = 0
    failed: int = 0
    error: StoreError | None = None


def prefetch(cached: CachedObjects, names: Iterable[str], report: Callable[[str], object]) -> Prefetched:
    """Read objects into the cache; one that is there already, and counts unasked, is not read again.

    Args:
        cached: the objects.
        names: of the objects, relative to the URL.
        report: is called with the name of each that is done, in this thread.

    Returns:
        What became of them. If the store cannot be reached, the rest is not tried.
    """
    done = Prefetched()

    def read(name: str) -> tuple[str, bool | StoreError]:
        try:
            return name, (cached.look(name) or cached.get(name)) is not None
        except StoreError as error:
            return name, error

    rest = iter(dict.fromkeys(names))
    with ThreadPoolExecutor(MOST_CONNECTIONS, thread_name_prefix="inferencereplay") as pool:
        running = {pool.submit(read, name) for name in itertools.islice(rest, 2 * MOST_CONNECTIONS)}
        while running:
            ended, running = wait(running, return_when=FIRST_COMPLETED)
            running |= {pool.submit(read, name) for name in itertools.islice(rest, len(ended))}
            for future in ended:
                name, outcome = future.result()
                done = _counted(done, outcome)
                report(name)
    return done


def _counted(done: Prefetched, outcome: bool | StoreError) -> Prefetched:  # noqa: FBT001 - of one thing
    if isinstance(outcome, StoreError):
        return done._replace(failed=done.failed + 1, error=done.error or outcome)
    return done._replace(there=done.there + 1) if outcome else done._replace(absent=done.absent + 1)
