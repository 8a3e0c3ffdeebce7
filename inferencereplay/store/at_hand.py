"""What a decision needs of a distant store, on an event loop: it is fetched, and the decision is made once more.

A session decides in plain functions, which read recordings. On an event loop they must not wait for a network. So a
store that would have to wait raises `NotAtHand` there; the caller awaits what is missing, and asks again.
"""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Hashable, Iterator

opened: set[str] = set()
"""The distant stores that this process has opened; while there are none, nothing here is needed."""


class Errand(NamedTuple):
    """Something that a store has to wait for.

    Attributes:
        name: is equal for equal errands only.
        run: does it, in a thread.
        run_async: does it on asyncio's event loop; `None` if it has to be done in a thread.
    """

    name: Hashable
    run: Callable[[], Any]
    run_async: Callable[[], Awaitable[Any]] | None = None


class NotAtHand(BaseException):  # no code that catches errors is to catch it
    """Something has to be fetched before a decision can be made.

    Attributes:
        errand: what fetches it.
    """

    def __init__(self, errand: Errand) -> None:
        super().__init__(errand.name)
        self.errand = errand


class _Fetched(threading.local):
    outcomes: dict[Hashable, Callable[[], Any]] | None = None


_fetched = _Fetched()


@contextlib.contextmanager
def only(outcomes: dict[Hashable, Callable[[], Any]]) -> Iterator[None]:
    """Let nothing in this thread wait meanwhile.

    Args:
        outcomes: by the names of errands that were run, what returns the result, or raises the error.
    """
    before, _fetched.outcomes = _fetched.outcomes, outcomes
    try:
        yield
    finally:
        _fetched.outcomes = before


def fetch(errand: Errand) -> Any:
    """Return the result of an errand: run it, or take what was fetched.

    Raises:
        NotAtHand: where nothing may wait, if it has not been fetched.
    """
    outcomes = _fetched.outcomes
    if outcomes is None:
        return errand.run()
    if errand.name not in outcomes:
        raise NotAtHand(errand)
    return outcomes[errand.name]()
