"""Streams that are left in every way there is: no warning, no leak, and no half-truth on disk.

Each way runs in a process of its own with `-X dev -W error`, live, recorded and replayed. What the SDK itself warns of
when it is live is its own; recording adds nothing to it, and replaying says nothing at all.
"""

from __future__ import annotations

import json

import openai
import pytest
from conftest import ASK, cheap, chunk, sse
from forkserver import forkserver
from length import report
from ways import DEAD

from inferencereplay import IncompleteRecording, replay

pytestmark = pytest.mark.slow

PROGRAM = """
    import asyncio, contextlib, gc, json, logging, os, sys, threading
    import openai
    from inferencereplay import Session, replay

    url, directory, mode, way = sys.argv[1:]
    ASK = {"model": "m", "messages": [{"role": "user", "content": "Hello"}], "temperature": 0.5, "stream": True}
    options = {"api_key": "test-key", "base_url": url, "max_retries": 0}

    # In its debug mode asyncio says that a slow machine is slow.
    logging.getLogger("asyncio").addFilter(lambda record: "took" not in record.msg)

    def block():
        return contextlib.nullcontext() if mode == "live" else replay(directory, mode=mode, speed=1)

    def client():
        return openai.OpenAI(**options, http_client=openai.DefaultHttpxClient(verify=False))

    def async_client():
        return openai.AsyncOpenAI(**options, http_client=openai.DefaultAsyncHttpxClient(verify=False))

    def dropped():
        with block(), client() as made:
            stream = made.chat.completions.create(**ASK)
            next(stream)
            del stream
            gc.collect()

    def closed():
        with block(), client() as made:
            stream = made.chat.completions.create(**ASK)
            next(stream)
            stream.close()

    async def begin(made):
        stream = await made.chat.completions.create(**ASK)
        await stream.__anext__()
        return stream

    def dropped_async():
        async def main():
            async with async_client() as made:
                stream = await begin(made)
                del stream
                gc.collect()
        with block():
            asyncio.run(main())

    def cancelled():
        async def read(made, started):
            async with await made.chat.completions.create(**ASK) as stream:
                async for _ in stream:
                    started.set()

        async def main():
            async with async_client() as made:
                started = asyncio.Event()
                task = asyncio.create_task(read(made, started))
                await started.wait()
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task
                assert task.cancelled()
                assert asyncio.all_tasks() == {asyncio.current_task()}
        with block():
            asyncio.run(main())

    def loop_ends():
        async def main():
            made = async_client()
            return made, await begin(made)
        with block():
            kept = asyncio.run(main())
            del kept
            gc.collect()

    def loop_closed():
        async def main():
            made = async_client()
            return made, await begin(made)
        with block():
            loop = asyncio.new_event_loop()
            kept = loop.run_until_complete(main())
            loop.close()
            del kept
            gc.collect()

    def interpreter_ends():
        made = client()
        block().__enter__()
        stream = made.chat.completions.create(**ASK)
        next(stream)
        globals()["kept"] = stream, made

    def interpreter_ends_async():
        async def main():
            made = async_client()
            globals()["kept"] = made, await begin(made)
        block().__enter__()
        asyncio.run(main())

    def left():
        gc.collect()
        return [len(os.listdir("/proc/self/fd")), len(threading.enumerate())]

    if way.startswith("interpreter"):
        globals()[way]()
    else:
        globals()[way]()  # what is made once and stays
        before = left()
        for _ in range(3):
            globals()[way]()
        print(json.dumps([before, left()]))
"""
QUIET = ("closed", "dropped", "dropped_async", "cancelled", "interpreter_ends")
LOUD = ("loop_ends", "loop_closed", "interpreter_ends_async")
"""Ways in which the SDK's own connections complain, live, that nobody closed them.

In the last they do so by chance: the loop closes all generators at once, in an order that changes from run to run, and
the HTTP library's close one another.
"""
CHUNKS = [chunk(str(number)) for number in range(10)]
OURS = "inferencereplay"


def go(url: str, directory: object, mode: str, way: str) -> tuple[list[str], list[list[int]]]:
    """Run a way, and return what it was warned of and what was open before and after."""
    made = forkserver("-X", "dev", "-W", "error").run(PROGRAM, url, directory, mode, way)
    assert made.returncode == 0, made.stderr
    lines = [line for line in made.stderr.splitlines() if line and not line.startswith(" ")]
    return lines, json.loads(made.stdout or "[[], []]")


@pytest.mark.parametrize("way", [*QUIET, *LOUD])
def test_a_stream_is_left_while_it_is_recorded(server, tmp_path, way):
    """Nothing is warned of but what the SDK warns of itself, nothing stays open, and what is kept says `closed`."""
    server.replies = [sse(*CHUNKS, pause=0.03) for _ in range(4)]
    warnings, (before, after) = go(server.url, tmp_path, "record", way)
    assert [line for line in warnings if way in QUIET or OURS in line] == []
    assert before == after
    files = sorted(tmp_path.rglob("*.*"))
    assert {path.suffix for path in files} == {".json"}
    for path in files:
        response = json.loads(path.read_text())["response"]
        assert (response["end"], 1 <= len(response["chunks"]) < len(CHUNKS)) == ("closed", True)
    with openai.OpenAI(api_key="test-key", base_url=DEAD, **cheap()) as client:
        with replay(tmp_path), pytest.raises(IncompleteRecording):
            list(client.chat.completions.create(**ASK, stream=True))
    report(f"{way}: a recorded stream left, {len(warnings)} lines of the SDK's own warnings, {len(files)} file, closed")


@pytest.mark.parametrize("way", [*QUIET, *LOUD])
def test_a_stream_is_left_while_it_is_replayed(server, tmp_path, way):
    """Nothing is warned of, also where the SDK warns when it is live, and nothing stays open."""
    server.replies = [sse(*CHUNKS, pause=0.03)]
    with openai.OpenAI(api_key="test-key", base_url=server.url, **cheap()) as client, replay(tmp_path, mode="record"):
        assert len(list(client.chat.completions.create(**ASK, stream=True))) == len(CHUNKS)
    (file,) = tmp_path.rglob("*.json")
    content = file.read_bytes()
    warnings, (before, after) = go(DEAD, tmp_path, "replay", way)
    assert (warnings, before) == ([], after)
    assert file.read_bytes() == content
    report(f"{way}: a replayed stream left, no warning, nothing open")
