"""Other tasks run while calls are replayed without a pace, as they do live."""

from __future__ import annotations

import asyncio
import signal
import threading
import time
from typing import Any

import anyio
import anyio.lowlevel
import openai
import pytest
from conftest import ASK, chunk, completion, plain, sse
from ways import DEAD

from inferencereplay import replay
from inferencereplay.pacing import event_loop
from inferencereplay.pacing.event_loop import EVERY, give_turn

COUNT = 100


@pytest.fixture
def directory(tmp_path, client, server):
    """A recorded stream of 100 chunks, and a recorded chat."""
    server.replies = [sse(*(chunk(str(number)) for number in range(COUNT))), plain(completion("hello"))]
    with replay(tmp_path, mode="record"):
        list(client.chat.completions.create(**ASK, stream=True))
        client.chat.completions.create(**ASK)
    return tmp_path


@pytest.fixture(params=["asyncio", "trio"])
def backend(request):
    return request.param


def offline() -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(api_key="k", base_url=DEAD)


async def stream(client: Any, way: str) -> Any:
    """Open a stream on the fast path or the SDK path."""
    if way == "fast":
        return await client.chat.completions.create(**ASK, stream=True)
    made = await client.chat.completions.with_raw_response.create(**ASK, stream=True)
    return made.parse()


@pytest.mark.parametrize("way", ["fast", "sdk"])
def test_a_stop_button_ends_a_stream_at_once(directory, backend, way):
    """Another task cancels after three chunks, and at most the one on its way is still seen."""

    async def main() -> int:
        seen, stop = [], anyio.Event()
        async with (
            offline() as client,
            anyio.create_task_group() as group,
        ):

            async def press() -> None:
                await stop.wait()
                group.cancel_scope.cancel()

            group.start_soon(press)
            await anyio.lowlevel.checkpoint()
            async for item in await stream(client, way):
                seen.append(item)
                if len(seen) == 3:
                    stop.set()
        return len(seen)

    with replay(directory):
        assert anyio.run(main, backend=backend) <= 4


@pytest.mark.parametrize("way", ["fast", "sdk"])
def test_a_consumer_sees_the_first_chunk_at_once(directory, backend, way):
    """What another task shows of a queue does not wait for the last chunk."""

    async def main() -> int:
        send, receive = anyio.create_memory_object_stream[Any](COUNT)
        sent, shown_after = 0, []

        async def consume() -> None:
            async with receive:
                shown_after.extend([sent async for _ in receive])

        async with offline() as client, anyio.create_task_group() as group:
            group.start_soon(consume)
            await anyio.lowlevel.checkpoint()
            async with send:
                async for item in await stream(client, way):
                    send.send_nowait(item)
                    sent += 1
        assert len(shown_after) == COUNT
        return shown_after[0]

    with replay(directory):
        assert anyio.run(main, backend=backend) < 5


@pytest.mark.parametrize("is_raw", [False, True])
def test_a_time_out_around_repeated_calls_fires(directory, backend, is_raw):
    """Plain calls give the loop its turn as well."""

    async def main() -> bool:
        async with offline() as client:
            create = client.chat.completions.with_raw_response.create if is_raw else client.chat.completions.create
            with anyio.move_on_after(0.05) as scope:
                for _ in range(1_000_000):
                    await create(**ASK)
            return scope.cancelled_caught

    with replay(directory):
        assert anyio.run(main, backend=backend)


def test_an_interrupt_is_seen(directory):
    """Ctrl-C ends a loop of replayed calls."""

    async def main() -> None:
        async with offline() as client:
            await client.chat.completions.create(**ASK)
            threading.Timer(0.05, signal.raise_signal, [signal.SIGINT]).start()
            for _ in range(1_000_000):
                await client.chat.completions.create(**ASK)

    before = signal.signal(
        signal.SIGINT, signal.default_int_handler
    )  # a shell starts jobs in the background without it
    try:
        with replay(directory), pytest.raises(KeyboardInterrupt):
            asyncio.run(main())
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_loop_that_does_not_say_what_is_ready_gets_every_turn(monkeypatch):
    """Such as uvloop's."""
    turns = []

    class Loop:
        """Says nothing."""

    async def main() -> None:
        monkeypatch.setattr(event_loop, "_get_running_loop", Loop)
        asyncio.get_running_loop().call_soon(turns.append, 1)
        await give_turn()
        assert turns == [1]
        monkeypatch.undo()

    asyncio.run(main())


def test_an_idle_loop_gets_few_turns():
    """Where nobody else is ready a turn is given every few times, for timers and the network."""
    started = time.perf_counter()
    rounds = []

    async def main() -> None:
        loop = asyncio.get_running_loop()
        select = loop._selector.select
        loop._selector.select = lambda timeout: rounds.append(timeout) or select(timeout)
        for _ in range(10 * EVERY):
            await give_turn()

    asyncio.run(main())
    assert 10 <= len(rounds) < 10 * EVERY, time.perf_counter() - started
