"""Streams and answers that are not read to their end: what is kept, when, and what a replay gives."""

from __future__ import annotations

import gc
import gzip
import json
import time
import warnings
from typing import Any

import anyio
import openai
import pytest
from conftest import ASK, Reply, chunk, event, run_to_the_end, sse
from forkserver import forkserver
from ways import DEAD, entered, following, headers, items, run, settle

from inferencereplay import (
    IncompleteRecording,
    replay,
)
from inferencereplay.session.garbage import collect, has_noted, run_noted

CHUNKS = [chunk("a"), chunk("b"), chunk(None, "stop")]
SSE = {"content-type": "text/event-stream"}


def stored(directory) -> dict[str, Any]:
    """Return the response of the one recording there is."""
    (path,) = directory.rglob("*.json")
    return json.loads(path.read_text())["response"]


async def _abandon(client: Any) -> Any:
    made = await settle(client.chat.completions.create(**ASK, stream=True))
    first = await following(made)
    await settle(made.close())
    return first


def test_an_abandoned_stream_gives_what_it_has_and_then_says_so(driver, server, tmp_path):
    """A stream that was left while recording replays as far as it goes; who wants more gets IncompleteRecording."""
    server.replies = [sse(*CHUNKS, pause=0.02)]
    with replay(tmp_path, mode="record"):
        first = run(driver, _abandon)
    kept = stored(tmp_path)
    assert (kept["end"], len(kept["chunks"])) == ("closed", 1)
    with replay(tmp_path):
        assert run(driver, _abandon) == first
        with pytest.raises(IncompleteRecording) as caught:
            driver.chat(stream=True)
        with pytest.raises(IncompleteRecording):
            run(driver, _all_raw)
    assert caught.value.chunks == 1
    assert caught.value.path.endswith(".json")


async def _all_raw(client: Any) -> Any:
    made = await settle(client.chat.completions.with_raw_response.create(**ASK, stream=True))
    return await items(made.parse())


def test_an_abandoned_stream_counts_as_missing(driver, server, tmp_path):
    """Record-if-missing makes the call again, and the whole recording takes the abandoned one's place."""
    server.replies = [sse(*CHUNKS, pause=0.02), sse(*CHUNKS)]
    with replay(tmp_path, mode="record-if-missing"):
        run(driver, _abandon)
    with replay(tmp_path, mode="record-if-missing"):
        made = driver.chat(stream=True)
    assert (len(made), server.count) == (3, 2)
    assert stored(tmp_path)["end"] == "done"
    with replay(tmp_path, mode="record"):
        server.replies = [sse(*CHUNKS, pause=0.02)]
        run(driver, _abandon)
    assert stored(tmp_path)["end"] == "done"


def test_a_stream_that_was_read_leaves_nothing_to_do(driver, server, tmp_path):
    """It is stored when it ends, and the next call has not to look at it once more, in a thread of async code."""
    server.replies = [sse(*CHUNKS)]
    with replay(tmp_path, mode="record"):
        gc.collect()
        run_noted()
        assert len(driver.chat(stream=True)) == len(CHUNKS)
        gc.collect()
        assert not has_noted()
    assert stored(tmp_path)["end"] == "done"


def test_a_dropped_stream_is_kept_by_the_garbage_collector(client, server, tmp_path):
    """A stream that nobody closes is stored as closed when it is collected, even while the store's lock is held."""
    server.replies = [sse(*CHUNKS, pause=0.02)]
    with replay(tmp_path, mode="record") as session:
        made = client.chat.completions.create(**ASK, stream=True)
        next(made)
        with session._lock:
            started = time.perf_counter()
            del made
            collect()
            assert time.perf_counter() - started < 5
        for _ in range(200):
            if session.recorded:
                break
            time.sleep(0.01)
    assert stored(tmp_path)["end"] == "closed"


def test_a_stream_that_is_open_when_the_interpreter_ends_is_kept(server, tmp_path):
    """What came until the program ended is stored."""
    program = f"""
        import openai, inferencereplay
        client = openai.OpenAI(api_key="x", base_url={server.url!r})
        inferencereplay.wrap(client, {str(tmp_path)!r}, mode="record")
        stream = client.chat.completions.create(model="m", messages=[], stream=True)
        print(next(stream).choices[0].delta.content)
    """
    server.replies = [sse(*CHUNKS, pause=0.05)]
    done = forkserver().run(program)
    assert (done.stdout, done.stderr) == ("a\n", "")
    assert stored(tmp_path)["end"] == "closed"


def test_a_plain_answer_that_its_reader_leaves_gives_what_it_has_and_then_says_so(driver, server, tmp_path, caplog):
    """Of a streaming response whose body nobody read there are status and headers; it never passes for whole."""

    async def leave(client: Any) -> Any:
        async with entered(client.chat.completions.with_streaming_response.create(**ASK)) as made:
            return made.status_code, headers(made)

    async def read_all(client: Any) -> Any:
        async with entered(client.chat.completions.with_streaming_response.create(**ASK)) as made:
            return await settle(made.read())

    with replay(tmp_path, mode="record") as session:
        live = run(driver, leave)
    assert session.recorded == 1
    assert not caplog.records
    assert stored(tmp_path)["end"] == "closed"
    with replay(tmp_path):
        assert run(driver, leave, base_url=DEAD) == live
        with pytest.raises(IncompleteRecording, match="ends after 0 bytes"):
            run(driver, read_all, base_url=DEAD)
        with pytest.raises(IncompleteRecording):
            driver.chat()
    with replay(tmp_path, mode="record-if-missing") as session:
        answer = driver.chat()
    assert (session.hits, session.recorded, server.count) == (0, 1, 2)
    with replay(tmp_path):
        assert driver.chat() == answer


@pytest.mark.filterwarnings("ignore:Async generator:ResourceWarning")  # older HTTP libraries leave theirs to trio
@pytest.mark.parametrize(
    ("reply", "is_whole"),
    [
        (Reply(pieces=[(0.0, b'{"i": 0}\n'), (0.1, b'{"i": 1}\n')]), False),
        (Reply(pieces=[(0.0, b'{"id": "the client'), (0.1, b'key"}')]), False),
        (Reply(body=b'{"id": "a"}'), True),
        (Reply(headers={"content-encoding": "gzip"}, body=gzip.compress(b'{"id": "a"}')), True),
    ],
)
def test_a_plain_answer_that_is_left_half_read_is_whole_only_if_it_was_all_there(
    driver, server, tmp_path, reply, is_whole
):
    """By the length that the server named; of anything less no content is kept, for a secret could be cut in it."""

    async def begin(client: Any) -> Any:
        async with entered(client.chat.completions.with_streaming_response.create(**ASK)) as made:
            return await following(made.iter_bytes())

    server.replies = [reply]
    with replay(tmp_path, mode="record"):
        live = run(driver, begin)
    assert stored(tmp_path).get("end") == (None if is_whole else "closed")
    assert not stored(tmp_path).get("chunks")
    with replay(tmp_path):
        if is_whole:
            assert run(driver, begin, base_url=DEAD) == live
        else:
            with pytest.raises(IncompleteRecording):
                run(driver, begin, base_url=DEAD)


@pytest.mark.parametrize("status", [200, 204])
def test_an_answer_without_content_is_whole_though_nobody_looked(driver, server, tmp_path, status):
    """Nothing can follow."""

    async def way(client: Any) -> Any:
        async with entered(client.chat.completions.with_streaming_response.create(**ASK)) as made:
            return made.status_code

    server.replies = [Reply(status, {}, b"")]
    for mode in ("record-if-missing", "record-if-missing", "replay"):
        with replay(tmp_path, mode=mode):
            assert run(driver, way) == status
    assert server.count == 1
    assert stored(tmp_path)["text"] == ""


def test_next_after_close_is_what_it_is_live(driver, server, tmp_path):
    """Reading on after close() ends the same way live, recorded and replayed, half-read or unread."""

    def closing(count: int, is_raw: bool) -> Any:
        async def way(client: Any) -> Any:
            create = client.chat.completions
            create = create.with_raw_response.create if is_raw else create.create
            made = await settle(create(**ASK, stream=True))
            made = made.parse() if is_raw else made
            for _ in range(count):
                await following(made)
            await settle(made.close())
            try:
                return "next", await following(made)
            except StopAsyncIteration:
                return "end", None
            except Exception as error:  # noqa: BLE001 - it is compared
                return "error", type(error)

        return way

    for count in (0, 1):
        reply = sse(*CHUNKS, pause=0.02)
        server.replies = [reply, reply]
        live = run(driver, closing(count, is_raw=False))
        with replay(tmp_path / str(count), mode="record"):
            run(driver, closing(count, is_raw=False))
        server.replies = [sse(*CHUNKS)]
        with replay(tmp_path / "whole", mode="record"):
            driver.chat(stream=True)
        # From what was read of it before it was closed, or from a whole one.
        for directory in (str(count), "whole"):
            for is_raw in (False, True):
                with replay(tmp_path / directory):
                    replayed = run(driver, closing(count, is_raw=is_raw))
                assert (count, directory, is_raw, replayed) == (count, directory, is_raw, live)


def test_a_cancelled_stream_is_kept_as_closed(server, tmp_path):
    """A task that is cancelled while it reads leaves a recording that says so."""
    for backend in ("asyncio", "trio"):
        server.replies = [Reply(headers=SSE, pieces=[(0.0, event(CHUNKS[0])), (0.5, event(CHUNKS[1]))])]

        async def main() -> None:
            async with openai.AsyncOpenAI(api_key="x", base_url=server.url, max_retries=0) as client:
                with anyio.move_on_after(0.2):
                    stream = await client.chat.completions.create(**ASK, stream=True)
                    async with stream:
                        await stream.__anext__()
                        await stream.__anext__()

        with replay(tmp_path / backend, mode="record"):
            run_to_the_end(main, backend)
        collect()
        assert stored(tmp_path / backend)["end"] == "closed"


def test_a_half_read_stream_is_dropped_in_silence(driver, tmp_path):
    """Nobody hears of a replayed stream that was read half and forgotten."""

    async def way(client: Any) -> Any:
        made = await settle(client.chat.completions.create(**ASK, stream=True))
        await following(made)
        del made
        collect()

    with replay(tmp_path, mode="record"):
        driver.chat(stream=True)
    with replay(tmp_path), warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", "Async generator 'openai", ResourceWarning)
        run(driver, way)
        collect()


def test_a_stream_that_was_left_is_stored_when_the_block_ends(client, tmp_path):
    """What nobody holds any more is finished on leaving, however long the garbage collector would take."""
    gc.disable()
    try:
        with replay(tmp_path, mode="record") as session:
            next(client.chat.completions.create(**ASK, stream=True))
            whole = list(client.chat.completions.create(**ASK, stream=True))
        assert session.recorded == 2
    finally:
        gc.enable()
    with replay(tmp_path):
        assert next(client.chat.completions.create(**ASK, stream=True))
        assert list(client.chat.completions.create(**ASK, stream=True)) == whole


def test_an_error_event_ends_a_stream_that_is_whole(driver, server, tmp_path):
    """The SDK reads no further than an error event; that is the server's doing, not the caller's."""
    server.replies = [sse(chunk("a"), {"error": {"message": "overloaded"}}, chunk("never"))]
    with replay(tmp_path, mode="record"), pytest.raises(openai.APIError, match="overloaded"):
        driver.chat(stream=True)
    collect()
    made = server.count
    with replay(tmp_path, mode="record-if-missing"), pytest.raises(openai.APIError, match="overloaded"):
        driver.chat(stream=True)
    assert server.count == made
