"""Asynchronous replays from object stores: the event loop is never blocked, and connections are bounded."""

from __future__ import annotations

import asyncio
import itertools
import time

import anyio
import openai
import pytest
from conftest import cheap, run_to_the_end
from object_servers import Fault
from served import serving_of
from ways import DEAD

from inferencereplay import RecordingNotFound, StoreError, replay
from inferencereplay.object_stores import opening_urls
from inferencereplay.object_stores.objects import MOST_CONNECTIONS
from inferencereplay.server import app
from inferencereplay.store import at_hand
from inferencereplay.store.location import StoreURL
from inferencereplay.store.opening import open_store


def asked(text="Hello", **more):
    return {"model": "m", "messages": [{"role": "user", "content": text}], **more}


def said(made):
    return made.choices[0].message.content


@pytest.fixture(params=["asyncio", "trio"])
def backend(request):
    return request.param


def offline(**more):
    return openai.AsyncOpenAI(api_key="test-key", base_url=DEAD, max_retries=0, **cheap(is_async=True), **more)


def forget_cache(monkeypatch, tmp_path):
    """Begin as on another machine."""
    opening_urls._states.clear()
    monkeypatch.setenv("INFERENCEREPLAY_CACHE", str(tmp_path / "another"))


def test_an_asynchronous_program_is_recorded_and_replayed(driver, server, store_url):
    """Calls of each kind of client get variants in order, and a miss is told; what is missing is recorded."""
    with replay(store_url, mode="record"):
        texts = [said(driver.chat()) for _ in range(2)]
    with replay(store_url) as session:
        assert [said(driver.chat()) for _ in range(3)] == [*texts, texts[1]]
    assert session.hits == 3
    with replay(store_url, mode="record-if-missing") as session:
        assert said(driver.chat()) == texts[0]
        assert said(driver.chat(model="another")) == "answer 3"
    assert (session.hits, session.recorded) == (1, 1)
    with pytest.raises(RecordingNotFound, match=r"model: \"m\" → \"o\"|model: \"another\" → \"o\""), replay(store_url):
        driver.chat(model="o")


def test_the_loop_runs_while_a_store_is_asked(client, proxy, bucket, backend, monkeypatch, tmp_path):
    """Other tasks go on during a slow answer, of each path of the SDK; the answer is as ever."""
    with replay(bucket, mode="record"):
        text = said(client.chat.completions.create(**asked()))
        said(client.chat.completions.create(**asked("raw")))
    forget_cache(monkeypatch, tmp_path)
    proxy.faults.append(Fault("GET", ".json", delay=0.5))
    ticks = []

    async def main():
        async def tick():
            while True:
                ticks.append(time.monotonic())
                await anyio.sleep(0.01)

        async with anyio.create_task_group() as group, offline() as caller:
            group.start_soon(tick)
            await anyio.sleep(0.02)
            begin = time.monotonic()
            got = said(await caller.chat.completions.create(**asked()))
            raw = await caller.chat.completions.with_raw_response.create(**asked("raw"))
            took = time.monotonic() - begin
            group.cancel_scope.cancel()
        return got, raw.status_code, took

    with replay(bucket):
        got, status, took = run_to_the_end(main, backend)
    assert (got, status) == (text, 200)
    longest = max(later - earlier for earlier, later in itertools.pairwise(ticks))
    assert took > 0.9
    assert longest < took / 4


def test_a_thousand_reads_at_once_hold_few_connections(client, proxy, bucket):
    """A thousand concurrent reads go over a bounded number of connections, and each gets its object."""
    store = open_store(StoreURL(bucket))
    proxy.change = lambda path, _: path.rpartition("/")[2].encode()
    store._objects.create("an object", b"")
    proxy.faults.append(Fault("GET", delay=0.01))

    async def main():
        return await asyncio.gather(*map(store._cached.get_async, ["an object"] * 1_000))

    found = run_to_the_end(main, "asyncio")
    assert [item.data for item in found] == [b"an%20object"] * 1_000
    assert 1 < proxy.busiest <= MOST_CONNECTIONS
    assert proxy.most <= 3 * MOST_CONNECTIONS  # the client may open one although another becomes free


def test_a_cancelled_call_leaves_nothing(client, proxy, bucket, backend, monkeypatch, tmp_path):
    """A call that is cancelled while its store is asked does not count, and the next one is answered."""
    with replay(bucket, mode="record"):
        text = said(client.chat.completions.create(**asked()))
    forget_cache(monkeypatch, tmp_path)
    proxy.faults.append(Fault("GET", ".json", delay=0.5, times=1))

    async def main():
        async with offline() as caller:
            with anyio.move_on_after(0.1) as scope:
                await caller.chat.completions.create(**asked())
            return scope.cancelled_caught, said(await caller.chat.completions.create(**asked()))

    with replay(bucket) as session:
        assert run_to_the_end(main, backend) == (True, text)
    assert session.hits == (1 if backend == "asyncio" else 2)  # on trio a thread asks, which is waited for


def test_an_error_of_a_store_reaches_the_task(proxy, bucket, backend):
    """As in sync code."""
    proxy.faults.append(Fault(status=403, code="AccessDenied"))

    async def main():
        async with offline() as caller:
            await caller.chat.completions.create(**asked())

    with pytest.raises(StoreError, match="the credentials are missing, expired, or not allowed"), replay(bucket):
        run_to_the_end(main, backend)


def test_a_server_over_http_does_not_wait_on_its_loop(client, proxy, bucket, monkeypatch, tmp_path):
    """While one request's recording is fetched, others are answered."""
    with replay(bucket, mode="record"):
        texts = [said(client.chat.completions.create(**asked(text))) for text in ("slow", "quick")]
    names = {}
    with replay(bucket) as session:
        for text in ("slow", "quick"):
            client.chat.completions.create(**asked(text))
            names[text] = next(name for name in session.used() if name not in names.values())
    forget_cache(monkeypatch, tmp_path)
    proxy.faults.append(Fault("GET", names["slow"], delay=1))
    with serving_of(app(bucket)) as served:

        async def main():
            options = {"api_key": "none", "base_url": served.url, "max_retries": 0, **cheap(is_async=True)}
            async with openai.AsyncOpenAI(**options) as caller:
                slow = asyncio.create_task(caller.chat.completions.create(**asked("slow")))
                await asyncio.sleep(0.2)
                quick = said(await caller.chat.completions.create(**asked("quick")))
                return slow.done(), quick, said(await slow)

        assert run_to_the_end(main, "asyncio") == (False, texts[1], texts[0])


def test_nothing_waits_where_it_is_not_to():
    """An errand is run where a thread may wait; elsewhere it is asked for, and its outcome given out."""
    errand = at_hand.Errand("a", lambda: "ran")
    assert at_hand.fetch(errand) == "ran"
    with at_hand.only({"a": lambda: "fetched"}):
        assert at_hand.fetch(errand) == "fetched"
        with pytest.raises(at_hand.NotAtHand) as told, at_hand.only({}):
            at_hand.fetch(errand)
        assert told.value.errand is errand
    assert at_hand.fetch(errand) == "ran"
