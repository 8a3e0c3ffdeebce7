"""Answers that are bytes on the fast path: as on the SDK path, and without an HTTP response until somebody looks."""

from __future__ import annotations

import copy
import json
import os
import pickle
import random
import threading
from typing import Any

import openai
import pytest
from conftest import Reply
from test_fast_ways import http_facts, quickly, raw_facts, slowly
from ways import DEAD, entered, items, run, settle

from inferencereplay import RecordingCorrupt, VirtualClock, replay
from inferencereplay.recording.side_file import SideFile
from inferencereplay.sdk import answers, private
from inferencereplay.store import at_hand, side_folder

SOUND = random.Random(1).randbytes(100_000)
ASK: dict[str, Any] = {"model": "tts-1", "voice": "alloy", "input": "Hi"}
REPLY = Reply(headers={"content-type": "audio/mpeg", "x-request-id": "req_1"}, body=SOUND)
METHODS = {
    "speech": lambda client: client.audio.speech.create(**ASK),
    "speech with more": lambda client: client.audio.speech.create(
        **ASK, speed=1.5, extra_headers={"x-mine": "1"}, extra_body={"more": 1}, timeout=7
    ),
    "file": lambda client: client.files.content("file-1"),
    "raw speech": lambda client: client.audio.speech.with_raw_response.create(**ASK),
    "raw file": lambda client: client.files.with_raw_response.content("file-1"),
}


def is_async(client: Any) -> bool:
    return isinstance(client, openai.AsyncOpenAI)


@pytest.fixture
def twins(driver, server, tmp_path):
    """Record a way of calling; return what it gives in replay, which has to be the same on both paths."""

    def compare(way: Any, reply: Reply = REPLY) -> Any:
        server.renumber(reply)
        with replay(tmp_path, mode="record"):
            run(driver, way)
        with quickly(), replay(tmp_path):
            fast = run(driver, way, base_url=DEAD)
        with slowly(), replay(tmp_path):
            assert fast == run(driver, way, base_url=DEAD)
        return fast

    return compare


@pytest.mark.parametrize("name", METHODS)
def test_an_answer_tells_the_same_on_both_paths(twins, name):
    """Its content, and all that its HTTP response and request tell."""

    async def way(client: Any) -> Any:
        made = await settle(METHODS[name](client))
        if name.startswith("raw"):
            parsed = made.parse()
            assert made.parse() is parsed
            return type(parsed), parsed.content, raw_facts(made)
        return type(made), made.content, http_facts(made.response)

    assert twins(way)[1] == SOUND


async def parts(client: Any, made: Any) -> Any:
    return [
        len(part)
        for part in await items(await made.aiter_bytes(30_000) if is_async(client) else made.iter_bytes(30_000))
    ]


LOOKS = {
    "read": lambda client, made: made.aread() if is_async(client) else made.read(),
    "parts": parts,
    "text": lambda _, made: made.text,
    "headers": lambda _, made: made.response.headers.raw,
    "status": lambda _, made: (made.response.status_code, made.content),
    "address": lambda _, made: (str(made.response.url), str(made.response.request.url), made.response.request.content),
    "copy": lambda _, made: copy.copy(made.response).content,
    "pickle": lambda _, made: pickle.loads(pickle.dumps(made.response)).content,
    "downloaded": lambda _, made: made.response.num_bytes_downloaded,
    "nothing such": lambda _, made: hasattr(made.response, "x"),
}


@pytest.mark.parametrize("look", LOOKS)
def test_whatever_is_looked_at_first_is_the_same(twins, look):
    """The HTTP response is made at the first look."""

    async def way(client: Any) -> Any:
        made = await settle(client.audio.speech.create(**ASK))
        return await settle(LOOKS[look](client, made)), http_facts(made.response)

    twins(way)


@pytest.mark.parametrize("name", METHODS)
def test_no_response_is_built_for_the_content(driver, server, tmp_path, monkeypatch, name):
    """The content is there without it, in the memory that it was read into."""
    server.replies = [REPLY]
    with replay(tmp_path, mode="record"):
        run(driver, lambda client: settle(METHODS[name](client)))
    monkeypatch.setattr(answers, "build_response", None)
    monkeypatch.setattr(private, "http_request", None)

    async def way(client: Any) -> Any:
        made = await settle(METHODS[name](client))
        made = made.parse() if name.startswith("raw") else made
        assert made.content is made.content is made.read()
        return made.content

    with replay(tmp_path):
        assert run(driver, way, base_url=DEAD) == SOUND


def test_an_argument_that_is_changed_later_is_sent_as_it_was(twins):
    """The request of an answer is that of the call."""

    async def way(client: Any) -> Any:
        more = {"list": [1]}
        made = await settle(client.audio.speech.create(**ASK, extra_body=more))
        more["list"].append(2)
        return json.loads(made.response.request.content)

    assert twins(way) == {**ASK, "list": [1]}


@pytest.mark.parametrize("mode", ["create", "parts"])
def test_a_stream_and_a_positional_argument_take_the_sdk_path(driver, server, tmp_path, mode):
    """They give what they gave."""
    server.replies = [REPLY]

    async def way(client: Any) -> Any:
        if mode == "parts":
            async with entered(client.audio.speech.with_streaming_response.create(**ASK)) as made:
                return await settle(made.read())
        with pytest.raises(TypeError):
            await settle(client.audio.speech.create("Hi"))
        return (await settle(client.audio.speech.create(**ASK))).content

    for setting in ("record", "replay"):
        with replay(tmp_path, mode=setting):
            assert run(driver, way) == SOUND


@pytest.mark.parametrize(("short", "in_loop"), [(0, False), (200_000, True)], ids=["long", "short"])
@pytest.mark.parametrize("name", ["speech", "file"])
def test_a_long_content_is_read_in_a_thread(driver, server, tmp_path, monkeypatch, name, short, in_loop):
    """In async code; a short one is there sooner than a thread."""
    server.replies = [REPLY]
    with replay(tmp_path, mode="record"):
        run(driver, lambda client: settle(METHODS[name](client)))
    monkeypatch.setattr(answers, "SHORT", short)
    monkeypatch.setattr(at_hand, "opened", set())  # another test may have opened a distant store
    readers, read = [], SideFile.read

    def note(side: SideFile) -> bytes:
        readers.append(threading.current_thread())
        return read(side)

    monkeypatch.setattr(SideFile, "read", note)

    async def way(client: Any) -> Any:
        return threading.current_thread(), (await settle(METHODS[name](client))).content

    with replay(tmp_path):
        caller, content = run(driver, way, base_url=DEAD)
    assert content == SOUND
    assert [reader is caller for reader in readers] == [in_loop or not driver.is_async]


@pytest.mark.parametrize("name", METHODS)
def test_a_missing_content_is_told_by_the_call(driver, server, tmp_path, name):
    """Not by who looks at the answer."""
    server.replies = [REPLY]
    with replay(tmp_path, mode="record"):
        run(driver, lambda client: settle(METHODS[name](client)))
    next(tmp_path.rglob("*.mp3")).unlink()
    with pytest.raises(RecordingCorrupt, match="is missing"), replay(tmp_path):
        run(driver, lambda client: settle(METHODS[name](client)), base_url=DEAD)


@pytest.mark.parametrize("name", METHODS)
def test_it_waits_for_its_time(driver, server, tmp_path, name):
    """And the session's log says when it was complete."""
    server.replies = [Reply(headers=REPLY.headers, pieces=[(0.05, SOUND)])]
    with replay(tmp_path, mode="record"):
        run(driver, lambda client: settle(METHODS[name](client)))
    clock = VirtualClock()
    with quickly(), replay(tmp_path, speed=1, clock=clock) as session:
        run(driver, lambda client: settle(METHODS[name](client)), base_url=DEAD)
        (call,) = session.calls
        assert call.ended is not None
    assert clock.time >= 0.05


def test_what_was_compared_is_what_is_given_out(client, server, tmp_path, monkeypatch):
    """A content is read once for its SHA-256 and its answer; a large one takes no memory for the former."""
    server.replies = [REPLY]
    with replay(tmp_path, mode="record"):
        client.audio.speech.create(**ASK)
    (side,) = tmp_path.rglob("*.mp3")
    os.utime(side, (1, 1))
    for most in (10, len(SOUND)):
        monkeypatch.setattr(side_folder, "MOST_HELD", most)
        monkeypatch.setattr(side_folder, "_checked", {})
        with replay(tmp_path):
            assert client.audio.speech.create(**ASK).content == SOUND
        changed = SOUND[:-1] + b"x"
        side.write_bytes(changed)
        with pytest.raises(RecordingCorrupt, match="SHA-256"), replay(tmp_path):
            client.audio.speech.create(**ASK)
        side.write_bytes(SOUND)
