"""Which session answers: nested, overlapping, in threads, tasks and other contexts."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import contextvars
import itertools
import threading

import anyio
import anyio.lowlevel
import anyio.to_thread
import openai
import pytest
from conftest import ASK, cheap

from inferencereplay import Session, replay, unwrap, wrap
from inferencereplay.session import active


def say(client, text):
    """Make a call that differs by its text; return what was answered."""
    made = client.chat.completions.create(model="m", messages=[{"role": "user", "content": text}])
    return made.choices[0].message.content


@pytest.fixture
def two(client, server, tmp_path):
    """Record the same call into two directories, with different answers."""
    answers = {}
    for name in ("a", "b"):
        with replay(tmp_path / name, mode="record"):
            answers[name] = say(client, "hi")
    assert answers["a"] != answers["b"]
    return tmp_path / "a", tmp_path / "b", answers["a"], answers["b"]


def test_the_innermost_block_answers(client, two):
    """Nested blocks answer from the inside out."""
    a, b, in_a, in_b = two
    with replay(a):
        assert say(client, "hi") == in_a
        with replay(b):
            assert say(client, "hi") == in_b
            with replay(a):
                assert say(client, "hi") == in_a
        assert say(client, "hi") == in_a


def test_blocks_may_overlap(client, two, server):
    """Blocks that are left in another order than nested each answer while they are open."""
    a, b, in_a, in_b = two
    first, second = replay(a), replay(b)
    first.__enter__()
    second.__enter__()
    assert say(client, "hi") == in_b
    first.__exit__(None, None, None)
    assert say(client, "hi") == in_b
    second.__exit__(None, None, None)
    count = server.count
    say(client, "hi")
    assert server.count == count + 1
    first.__enter__()
    second.__enter__()
    second.__exit__(None, None, None)
    assert say(client, "hi") == in_a
    first.__exit__(None, None, None)


def test_one_object_may_be_entered_again(client, two):
    """A replay object is entered twice at once, or again later; each time is a session of its own."""
    a, _, in_a, _ = two
    block = replay(a)
    with block as one, block as other:
        assert one is not other
        say(client, "hi")
    assert (one.hits, other.hits) == (0, 1)
    with block as third:
        assert say(client, "hi") == in_a
    assert third.hits == 1


def test_a_block_is_left_in_another_context(client, two, server):
    """A block that is entered in one context and left in another, as fixtures do, is over in both."""
    a, b, in_a, in_b = two
    one, other = contextvars.copy_context(), contextvars.copy_context()
    block = replay(a)
    one.run(block.__enter__)
    assert one.run(say, client, "hi") == in_a
    with replay(b):
        assert one.run(say, client, "hi") == in_a
        assert say(client, "hi") == in_b
    other.run(block.__exit__, None, None, None)
    count = server.count
    one.run(say, client, "hi")
    assert server.count == count + 1
    assert active._open == []


def test_each_context_leaves_its_own_block(client, two):
    """Of one replay object that was entered in two contexts, each leaves the session that it entered."""
    a, *_ = two
    block = replay(a)
    contexts = [contextvars.copy_context() for _ in range(2)]
    sessions = [context.run(block.__enter__) for context in contexts]
    contexts[0].run(block.__exit__, None, None, None)
    contexts[1].run(say, client, "hi")
    assert (sessions[0].hits, sessions[1].hits) == (0, 1)
    contexts[1].run(block.__exit__, None, None, None)


def test_threads_and_executors_are_covered(client, two, server):
    """Threads started inside or before, and executors, are answered by the newest open session."""
    a, b, in_a, in_b = two
    count = server.count
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        pool.submit(lambda: None).result()
        with replay(a):
            assert pool.submit(say, client, "hi").result() == in_a
            with replay(b):
                assert pool.submit(say, client, "hi").result() == in_b
            got = []
            thread = threading.Thread(target=lambda: got.append(say(client, "hi")))
            thread.start()
            thread.join()
            assert got == [in_a]
        assert server.count == count
        pool.submit(say, client, "hi").result()
    assert server.count == count + 1


def test_tasks_have_their_own_blocks(two, server):
    """Tasks that replay different directories at the same time each get their own answers."""
    a, b, in_a, in_b = two

    async def one(client, directory, expected, start):
        async with replay(directory):
            await start.wait()
            for _ in range(3):
                made = await client.chat.completions.create(model="m", messages=[{"role": "user", "content": "hi"}])
                assert made.choices[0].message.content == expected
                await anyio.lowlevel.checkpoint()

    async def main():
        start = anyio.Event()
        async with openai.AsyncOpenAI(api_key="x", **cheap(is_async=True)) as client:
            async with anyio.create_task_group() as group:
                for _ in range(3):
                    group.start_soon(one, client, a, in_a, start)
                    group.start_soon(one, client, b, in_b, start)
                await anyio.sleep(0.01)
                start.set()

    count = server.count
    for backend in ("asyncio", "trio"):
        anyio.run(main, backend=backend)
    assert server.count == count


def test_a_task_that_was_started_inside_ends_with_the_block(two, server):
    """A task that outlives the block it was started in is live again afterwards; gather and to_thread are covered."""
    a, _, in_a, _ = two

    async def main():
        go = asyncio.Event()
        async with openai.AsyncOpenAI(api_key="x", base_url=server.url, **cheap(is_async=True)) as client:
            sync = openai.OpenAI(api_key="x", base_url=server.url, **cheap())

            async def call():
                made = await client.chat.completions.create(model="m", messages=[{"role": "user", "content": "hi"}])
                return made.choices[0].message.content

            async def late():
                await go.wait()
                return await call()

            with replay(a):
                task = asyncio.create_task(late())
                assert await asyncio.gather(call(), call()) == [in_a, in_a]
                assert await anyio.to_thread.run_sync(say, sync, "hi") == in_a
                assert await asyncio.to_thread(say, sync, "hi") == in_a
            count = server.count
            go.set()
            assert await task != in_a
            assert server.count == count + 1
            sync.close()

    asyncio.run(main())


PLACES = ("block", "client", "elsewhere", "process")
MODES = ("live", "replay", "record", "record-if-missing")


@pytest.mark.parametrize("lower_mode", MODES)
@pytest.mark.parametrize("upper_mode", MODES)
@pytest.mark.parametrize(("upper", "lower"), list(itertools.combinations(PLACES, 2)), ids="-".join)
def test_the_order_of_sessions(client, server, tmp_path, upper, lower, upper_mode, lower_mode):
    """A block of this context, the client's own, the newest block of the process, the process's: in any modes."""
    sessions = {upper: Session(tmp_path / "a", mode=upper_mode), lower: Session(tmp_path / "b", mode=lower_mode)}
    elsewhere = contextvars.copy_context()
    with contextlib.ExitStack() as stack:
        for place, session in sessions.items():
            if place == "block":
                stack.enter_context(replay(session))
            elif place == "client":
                wrap(client, session)
                stack.callback(unwrap, client)
            elif place == "elsewhere":
                block = replay(session)
                elsewhere.run(block.__enter__)
                stack.callback(elsewhere.run, block.__exit__, None, None, None)
            else:
                active.set_for_process(session)
                stack.callback(active.set_for_process, None)
        found = active.session_for(client)
    assert found is sessions[upper]
    assert server.count == 0


def test_a_client_wrapped_for_replay_stays_offline_beside_a_recording_thread(client, two, server, tmp_path):
    """Another thread's block, in whatever mode, does not answer it and stores nothing of it."""
    a, _, in_a, _ = two
    wrap(client, a)
    elsewhere, count = contextvars.copy_context(), server.count
    for mode in MODES:
        block = replay(tmp_path / "other", mode=mode)
        session = elsewhere.run(block.__enter__)
        assert say(client, "hi") == in_a
        elsewhere.run(block.__exit__, None, None, None)
        assert (session.hits, session.recorded) == (0, 0)
    assert server.count == count
    unwrap(client)


def test_a_block_beats_a_wrapped_client(client, two):
    """Inside a block, the block answers for wrapped clients too."""
    a, b, in_a, in_b = two
    wrap(client, a)
    assert say(client, "hi") == in_a
    with replay(b):
        assert say(client, "hi") == in_b
    assert say(client, "hi") == in_a


def test_the_last_block_may_close_in_between(client, monkeypatch, two):
    """A thread that finds the newest session gone since it looked goes on to the client's own."""
    a, *_ = two

    class Vanishing(list):
        def __bool__(self):
            return True

    monkeypatch.setattr(active, "_open", Vanishing())
    assert active.session_for(client) is None
    session = Session(a)
    client.__dict__[active.OWN] = session
    assert active.session_for(client) is session
    del client.__dict__[active.OWN]


def test_a_context_that_outlives_its_block_is_live(client, server, tmp_path):
    """A task that was started inside and goes on afterwards is answered by no session that is closed."""
    with replay(tmp_path, mode="record"):
        client.chat.completions.create(**ASK)
        context = contextvars.copy_context()
    made = server.count
    assert context.run(client.chat.completions.create, **ASK)
    with replay(tmp_path):
        assert context.run(client.chat.completions.create, **ASK).choices[0].message.content == "answer 1"
    assert server.count == made + 1
