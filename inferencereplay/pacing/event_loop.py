"""Letting the event loop run other tasks, as a live call does whenever it waits for the network.

A turn of asyncio's loop costs as much as a chunk. It is given whenever another task is ready to run, and otherwise
every few times, for timers, signals and the network. Trio's ready tasks cannot be seen, so trio gets every turn.
"""

from __future__ import annotations

import itertools
import sys
import types
from asyncio import _get_running_loop
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Generator

EVERY = 4
"""How often, in calls, the loop gets a turn when no other task is ready."""
_count = itertools.count()


async def give_turn() -> None:
    """Let other tasks run, on asyncio or trio; a cancellation of this task is raised here."""
    loop = _get_running_loop()
    if loop is None:
        await sys.modules["trio"].lowlevel.checkpoint()
    # Loops whose ready tasks cannot be seen, such as uvloop's, get every turn; theirs are cheap.
    elif getattr(loop, "_ready", True) or not next(_count) % EVERY:
        await _yield()


@types.coroutine
def _yield() -> Generator[None, None, None]:
    """Do what `asyncio.sleep(0)` does."""
    yield
