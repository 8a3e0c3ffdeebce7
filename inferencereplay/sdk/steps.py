"""One flow for sync and async code: a generator that yields the steps that take time, and two drivers that run them."""

from __future__ import annotations

import functools
import os
import sys
import time
from collections.abc import Callable, Generator
from typing import Any, NamedTuple, TypeAlias

from inferencereplay.pacing.event_loop import give_turn
from inferencereplay.store import at_hand

_STAT: Any = sys.modules[os.name].stat  # type: ignore[attr-defined, unused-ignore]  # of `posix` or `nt`
"""What `os.stat` is, unless a detector of blocking calls, such as BlockBuster, has replaced it."""


class Step(NamedTuple):
    """Something that takes time.

    Attributes:
        run: does it in sync code.
        run_async: returns an awaitable that does it in async code.
    """

    run: Callable[[], Any]
    run_async: Callable[[], Any]


Flow: TypeAlias = Generator[Step, Any, Any]


def run(flow: Flow) -> Any:
    """Run a flow in sync code and return its result."""
    advance: Callable[[Any], Step] = flow.send
    given: Any = None
    while True:
        try:
            step = advance(given)
        except StopIteration as stop:
            return stop.value
        try:
            advance, given = flow.send, step.run()
        except BaseException as error:  # noqa: BLE001 - the flow decides what becomes of it
            advance, given = flow.throw, error


async def run_async(flow: Flow) -> Any:
    """Run a flow in async code and return its result."""
    advance: Callable[[Any], Step] = flow.send
    given: Any = None
    while True:
        try:
            step = advance(given)
        except StopIteration as stop:
            return stop.value
        try:
            advance, given = flow.send, await step.run_async()
        except BaseException as error:  # noqa: BLE001 - the flow decides what becomes of it
            advance, given = flow.throw, error


TURN = Step(lambda: None, give_turn)
"""The step that waits for nothing, but lets other tasks run."""


def send(request: Callable[..., Any], *args: Any, **kwargs: Any) -> Step:
    """Return the step that makes a call of the SDK's, which is a coroutine in async code."""
    call = functools.partial(request, *args, **kwargs)
    return Step(call, call)


def work(job: Callable[[], object]) -> Step:
    """Return the step that runs a blocking function, without blocking the event loop."""
    return Step(job, functools.partial(in_thread, job))


def pause(seconds: float) -> Step:
    """Return the step that waits for some seconds."""
    return Step(functools.partial(time.sleep, seconds), functools.partial(_sleep, seconds))


async def _sleep(seconds: float) -> None:
    import anyio  # noqa: PLC0415 - 30 ms to import, and only a call that waits needs it

    await anyio.sleep(seconds)


def decide(decision: Callable[[], Any]) -> Step:
    """Return the step that asks a session for its decision, for which files are read."""
    return Step(decision, functools.partial(decide_async, decision))


def may_read_here() -> bool:
    """Whether a small file may be read on the event loop: there is no detector of blocking calls, and no object store.

    It takes 20 µs there, and more than 100 µs in a thread.
    """
    return os.stat is _STAT and not at_hand.opened


async def decide_async(decision: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Ask a session for its decision, for which a function is called with the other arguments.

    It is asked on the event loop if files may be read there. Where a detector of blocking calls is active, a thread
    asks. What is in an object store is awaited.
    """
    if may_read_here():
        return decision(*args, **kwargs)
    decision = functools.partial(decision, *args, **kwargs)
    if os.stat is _STAT:
        from inferencereplay.sdk import distant_reads  # noqa: PLC0415 - few programs have such stores

        return await distant_reads.decide(decision)
    from inferencereplay.sdk import worker_thread  # noqa: PLC0415 - it imports AnyIO

    return await worker_thread.decide(decision)


async def read_async(job: Callable[[], object], *, is_short: bool) -> None:
    """Run a function that reads a file: a short one on the event loop, as `decide_async` does, others in a thread."""
    if is_short and may_read_here():
        job()
    else:
        await in_thread(job)


async def in_thread(job: Callable[[], object]) -> None:
    """Run a blocking function without blocking the event loop."""
    from inferencereplay.sdk import worker_thread  # noqa: PLC0415 - it imports AnyIO

    await worker_thread.in_thread(job)
