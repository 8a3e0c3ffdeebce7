"""WebSocket connections: live, recorded and replayed alike, against a real server on loopback."""

from __future__ import annotations

import contextlib
import gc
import hashlib
import importlib
import json
import os
import queue
import re
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import anyio
import openai
import pytest
from openai.resources.beta.realtime import realtime  # the one that most versions of the SDK have
from sockets import KEY, NOBODY, connected, event, frames, manager_of, recorded, replayed, run, serving, talk
from ways import entered, facts, settle
from websockets.asyncio import client as async_client
from websockets.exceptions import ConnectionClosedError, ConnectionClosedOK, InvalidStatus
from websockets.sync import client as sync_client

from inferencereplay import IncompleteRecording, RecordingNotFound, VirtualClock, replay
from inferencereplay.recording.format import decode, encode
from inferencereplay.sdk import private
from inferencereplay.sdk import sockets as sockets_package
from inferencereplay.sdk.sockets import replayed_connection
from inferencereplay.session import garbage
from inferencereplay.session import session as session_

RESOURCES = Path(openai.__file__).parent / "resources"
MANAGERS = [
    manager
    for name in private.WEBSOCKET_MODULES
    if (RESOURCES.parent / Path(*name.split(".")[1:])).with_suffix(".py").exists()
    for manager in private.connection_managers(importlib.import_module(name))
]
KINDS = pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])


@pytest.fixture
def sockets():
    """Serve WebSockets on loopback."""
    with serving() as served:
        yield served


@KINDS
def test_a_connection_is_the_same_live_recorded_and_replayed(sockets, tmp_path, is_async):
    """The typed events are equal, and nothing is dialled in replay; either kind of client replays the other's."""
    live = recorded(talk, sockets, tmp_path, is_async=is_async)
    assert len(sockets.asked) == 2
    for kind in (False, True):
        assert replayed(talk, tmp_path, is_async=kind) == live
    assert len(sockets.asked) == 2
    senders = ["server", "client", "server", "client", "server", "server", "server", "client", "server"]
    assert [frame.sender for frame in frames(tmp_path)] == senders
    assert [frame.close for frame in frames(tmp_path)][-2:] == [1000, 1000]


@pytest.mark.parametrize("cls", MANAGERS, ids=lambda cls: f"{cls.__module__}.{cls.__name__}")
def test_every_connection_of_the_sdk_is_recorded_and_replayed(sockets, tmp_path, cls):
    """Whichever endpoint it is, and whether it is entered by `with` or by `enter`."""
    is_async = "__aenter__" in cls.__dict__

    async def way(client: Any) -> Any:
        made = manager_of(cls, client)
        connection = await settle(made.enter())
        heard = [await settle(connection.recv())]
        await settle(connection.send({"type": "session.update", "event_id": "1"}))
        heard.append(await settle(connection.recv()))
        await settle(connection.close())
        return heard

    live = recorded(way, sockets, tmp_path, is_async=is_async)
    assert replayed(way, tmp_path, is_async=is_async) == live
    assert len(sockets.asked) == 2


def test_every_module_that_opens_connections_is_known():
    """A version of the SDK that opens them elsewhere too would be noticed."""
    found = {
        "openai.resources." + ".".join(file.relative_to(RESOURCES).with_suffix("").parts)
        for file in RESOURCES.rglob("*.py")
        if re.search(r"^class \w*ConnectionManager\b", file.read_text("utf-8"), re.MULTILINE)
    }
    assert found <= set(private.WEBSOCKET_MODULES)
    assert len(MANAGERS) >= 2 * len(found)


@pytest.mark.parametrize("cls", MANAGERS, ids=lambda cls: f"{cls.__module__}.{cls.__name__}")
@pytest.mark.parametrize("is_entered", [True, False])
def test_a_connection_that_was_not_recorded_is_a_miss(tmp_path, cls, is_entered):
    """No connection of any kind is opened in replay, however it is opened, and no token is fetched for it."""
    is_async = "__aenter__" in cls.__dict__

    async def way(client: Any) -> None:
        made = manager_of(cls, client)
        if is_entered:
            async with entered(made):
                raise AssertionError("it was opened")
        await settle(made.enter())

    with pytest.raises(RecordingNotFound, match=r"WEBSOCKET /\w+.* was not recorded"):
        with replay(tmp_path) as session:
            run(way, NOBODY, is_async=is_async)
    assert session.misses == 1


async def _listen(client: Any) -> Any:
    """Read to the end, and say what the end is."""
    heard = []
    async with connected(client) as connection:
        try:
            if hasattr(connection, "__aiter__"):
                async for item in connection:
                    heard.append(item)  # noqa: PERF401 - of what came before an error
            else:
                heard += connection
        except ConnectionClosedError as error:
            return facts(heard), type(error), str(error), error.rcvd, error.sent, error.rcvd_then_sent
        try:
            await settle(connection.recv())
        except ConnectionClosedOK as error:
            return facts(heard), type(error), str(error), error.rcvd, error.sent, error.rcvd_then_sent
    raise AssertionError("it goes on")


def _drop(socket: Any) -> None:
    socket.socket.shutdown(2)


ENDS = {
    "clean": lambda socket: socket.close(1000, "bye"),
    "going away": lambda socket: socket.close(1001),
    "internal error": lambda socket: socket.close(1011, "oh"),
    "own code": lambda socket: socket.close(4000, "session expired"),
    "a drop": _drop,
}


@KINDS
@pytest.mark.parametrize("end", ENDS)
def test_each_end_is_what_it_is_live(sockets, tmp_path, is_async, end):
    """A close of each kind, and a connection that breaks."""

    def talk(socket: Any) -> None:
        socket.send(event("session.created", session={"id": "s"}))
        ENDS[end](socket)

    sockets.talk = talk
    live = recorded(_listen, sockets, tmp_path, is_async=is_async)
    assert replayed(_listen, tmp_path, is_async=is_async) == live


@KINDS
def test_what_is_no_text_of_json(sockets, tmp_path, is_async):
    """Binary messages, parts of one, white space, and what is no JSON: each byte is kept."""
    sent = [b'{"type":"a"}', [b'{"type"', b':"b"}'], ['{"type":', '"c"}'], ' {"type":\n"d"} ', "no json", b"\xff\x00"]

    def talk(socket: Any) -> None:
        for message in sent:
            socket.send(message)
        socket.recv()
        socket.send("end")

    async def way(client: Any) -> Any:
        async with connected(client) as connection:
            heard = [await settle(connection.recv_bytes()) for _ in sent]
            await settle(connection._connection.send(b"\x00\xff"))
            return [*heard, await settle(connection.recv_bytes())]

    sockets.talk = talk
    live = recorded(way, sockets, tmp_path, is_async=is_async)
    assert live[1:4] == [b'{"type":"b"}', b'{"type":"c"}', b' {"type":\n"d"} ']
    assert replayed(way, tmp_path, is_async=is_async) == live
    kinds = [(bool(bytes(item.json)), item.text, item.data, item.is_binary) for item in frames(tmp_path)[:6]]
    assert kinds == [
        (True, None, None, True),
        (True, None, None, True),
        (True, None, None, False),
        (False, ' {"type":\n"d"} ', None, False),
        (False, "no json", None, False),
        (False, None, b"\xff\x00", False),
    ]


async def _refused(client: Any) -> Any:
    with pytest.raises(InvalidStatus) as caught:
        async with connected(client):
            raise AssertionError("it was opened")
    answer = caught.value.response
    return str(caught.value), answer.status_code, answer.reason_phrase, answer.headers["x-request-id"], answer.body


@KINDS
@pytest.mark.parametrize(("status", "options"), [(404, {}), (401, {"record_errors": True})])
def test_a_refused_connection_is_the_same_error(sockets, tmp_path, is_async, status, options):
    """The status, the reason and the body of the server's answer come back; a transient one if it was asked for."""
    sockets.refusal = status, '{"error": {"message": "no"}}'
    live = recorded(_refused, sockets, tmp_path, is_async=is_async, **options)
    assert replayed(_refused, tmp_path, is_async=is_async) == live


@KINDS
def test_a_transient_refusal_is_not_stored(sockets, tmp_path, is_async, caplog):
    """A warning says so, and how it is stored."""
    sockets.refusal = 401, "no"
    recorded(_refused, sockets, tmp_path, is_async=is_async)
    assert not [*tmp_path.rglob("*.json")]
    assert "WEBSOCKET /realtime was not recorded: it is transient (record_errors=True stores it)" in caplog.text


@KINDS
def test_a_failed_connection_is_the_same_error(tmp_path, is_async):
    """Nobody listens."""

    async def way(client: Any) -> Any:
        with pytest.raises(ConnectionRefusedError) as caught:
            async with connected(client):
                raise AssertionError("it was opened")
        return caught.value.errno

    with replay(tmp_path, mode="record", record_errors=True) as session:
        number = run(way, NOBODY, is_async=is_async)
    assert session.recorded == 1
    assert replayed(way, tmp_path, is_async=is_async) == number


async def _say(client: Any, *messages: Any) -> Any:
    async with connected(client) as connection:
        await settle(connection.recv())
        for message in messages:
            await settle(connection.send(message))
        return [(await settle(connection.recv())).type for _ in messages]


def _update(text: str, **more: Any) -> dict[str, Any]:
    return {"type": "session.update", "session": {"instructions": text}, **more}


@KINDS
def test_event_ids_do_not_count(sockets, tmp_path, is_async):
    """A program makes them anew each time."""
    recorded(lambda client: _say(client, _update("a", event_id="1")), sockets, tmp_path, is_async=is_async)
    way = lambda client: _say(client, _update("a", event_id="2"))  # noqa: E731 - as above
    assert replayed(way, tmp_path, is_async=is_async) == ["session.updated"]


@KINDS
def test_another_message_is_a_miss_that_says_what_differs(sockets, tmp_path, is_async):
    """It names the file, the frame and the difference, and the connection is of no more use."""
    recorded(lambda client: _say(client, _update("a"), _update("b")), sockets, tmp_path, is_async=is_async)

    async def way(client: Any) -> None:
        async with connected(client) as connection:
            await settle(connection.recv())
            await settle(connection.send(_update("a")))
            for action in (lambda: connection.send(_update("c")), connection.recv, lambda: connection.send({})):
                with pytest.raises(RecordingNotFound) as caught:
                    await settle(action())
        raise caught.value

    with pytest.raises(RecordingNotFound) as caught, replay(tmp_path) as session:
        run(way, NOBODY, is_async=is_async)
    assert session.misses == 1
    assert caught.value.differences == ('session.instructions: "b" → "c"',)
    assert re.search(
        r"^WEBSOCKET /realtime: .*/realtime/\w{32}\.json is replayed, and the program's message 2, 'session.update', "
        r"is not frame [34]; it differs \(recorded → sent\) in\n  session.instructions: \"b\" → \"c\"\nTo record it, ",
        str(caught.value),
    )


@KINDS
def test_a_message_too_many_is_a_miss(sockets, tmp_path, is_async):
    """It is not the recording's end."""
    recorded(lambda client: _say(client, _update("a")), sockets, tmp_path, is_async=is_async)
    with pytest.raises(RecordingNotFound, match=r"sends message 2, 'session.update', and the recording has no further"):
        replayed(lambda client: _say(client, _update("a"), _update("b")), tmp_path, is_async=is_async)


@KINDS
@pytest.mark.parametrize("is_first", [True, False])
def test_variants_are_chosen_by_what_the_program_sends(sockets, tmp_path, is_async, is_first):
    """The n-th connection follows the n-th variant, unless another one has the program's messages."""

    async def both(client: Any) -> Any:
        return [await _say(client, _update("a")), await _say(client, _update("b"), _update("c"))]

    async def one(client: Any) -> Any:
        return await (_say(client, _update("a")) if is_first else _say(client, _update("b"), _update("c")))

    recorded(both, sockets, tmp_path, is_async=is_async)
    assert len([*tmp_path.rglob("*.json")]) == 2
    with replay(tmp_path) as session:
        assert run(both, NOBODY, is_async=is_async) == [["session.updated"], ["session.updated"] * 2]
        assert (session.hits, session.unused()) == (2, [])
    assert len(replayed(one, tmp_path, is_async=is_async)) == (1 if is_first else 2)


@KINDS
def test_recording_again_replaces_equal_conversations_only(sockets, tmp_path, is_async):
    """Tests that share a directory, and send other messages, leave each other's recordings alone."""
    ways = [lambda client, text=text: _say(client, _update(text)) for text in "aab"]

    async def twice(client: Any) -> None:
        await ways[0](client)
        await ways[1](client)

    recorded(twice, sockets, tmp_path, is_async=is_async)
    recorded(ways[2], sockets, tmp_path, is_async=is_async)
    files = sorted(tmp_path.rglob("*.json"))
    before = [file.read_bytes() for file in files]
    assert len(files) == 3
    for way in (ways[2], ways[0]):
        recorded(way, sockets, tmp_path, is_async=is_async, keep_equal=False)
    assert sorted(tmp_path.rglob("*.json")) == files
    assert [file.read_bytes() == old for file, old in zip(files, before, strict=True)] == [False, True, False]
    with replay(tmp_path) as session:
        run(twice, NOBODY, is_async=is_async)
        run(ways[2], NOBODY, is_async=is_async)
    assert [call.recording for call in session.calls] == [str(file.relative_to(tmp_path)) for file in files]
    assert session.unused() == []
    with replay(tmp_path) as session:
        for way in (ways[2], ways[0], ways[2]):
            run(way, NOBODY, is_async=is_async)
    names = [str(files[index].relative_to(tmp_path)) for index in (2, 0, 2)]
    assert [call.recording for call in session.calls] == names
    assert session.unused() == [str(files[1].relative_to(tmp_path))]


@KINDS
def test_recordings_may_be_used_up(sockets, tmp_path, is_async):
    """With `exhausted="error"` each recording is followed once."""
    recorded(lambda client: _say(client, _update("a")), sockets, tmp_path, is_async=is_async)
    with pytest.raises(RecordingNotFound, match=r"are used up \(exhausted='error'\)"):
        with replay(tmp_path, exhausted="error"):
            for _ in range(2):
                run(lambda client: _say(client, _update("a")), NOBODY, is_async=is_async)


@KINDS
def test_ignore_and_normalize_apply_to_messages(sockets, tmp_path, is_async):
    """They do to each message what they do to the body of a request."""
    recorded(lambda client: _say(client, _update("a 1", n=1)), sockets, tmp_path, is_async=is_async)

    def digits(body: Any) -> Any:
        return json.loads(re.sub(r"a \d", "a #", json.dumps(body)))

    way = lambda client: _say(client, _update("a 2", n=2))  # noqa: E731 - as above
    assert replayed(way, tmp_path, is_async=is_async, ignore="n", normalize=digits) == ["session.updated"]


@KINDS
def test_secrets_are_redacted_in_frames(sockets, tmp_path, is_async):
    """The client's key, tokens of any shape and ephemeral keys, in both directions; the recording still matches."""
    token = "ek_" + "a1B2c3D4e5F6" * 4

    def talk(socket: Any) -> None:
        socket.send(event("session.created", session={"client_secret": {"value": token}}))
        socket.recv()
        socket.send(event("session.updated", session={"instructions": KEY}))

    sockets.talk = talk

    async def way(client: Any) -> Any:
        return await _say(client, _update(f"My key is {KEY}."))

    recorded(way, sockets, tmp_path, is_async=is_async)
    (file,) = tmp_path.rglob("*.json")
    text = file.read_text("utf-8")
    assert KEY not in text
    assert token not in text
    assert text.count("[REDACTED]") == 3
    assert replayed(way, tmp_path, is_async=is_async) == ["session.updated"]


@KINDS
def test_audio_is_compared_by_its_digest(sockets, tmp_path, is_async):
    """The recording shows the digest and the length; other audio is a miss."""

    def append(audio: str) -> dict[str, Any]:
        return {"type": "input_audio_buffer.append", "audio": audio}

    recorded(lambda client: _say(client, append("AAAA" * 100)), sockets, tmp_path, is_async=is_async)
    shown = json.loads(bytes(frames(tmp_path)[1].json))["audio"]
    assert shown == {"sha256": hashlib.sha256(bytes(300)).hexdigest(), "length": 300}
    way = lambda client: _say(client, append("AAAA" * 100))  # noqa: E731 - as above
    assert replayed(way, tmp_path, is_async=is_async) == ["session.updated"]
    with pytest.raises(RecordingNotFound, match=r'audio\.sha256: "\w+" → "\w+"'):
        replayed(lambda client: _say(client, append("AAAB" * 100)), tmp_path, is_async=is_async)


def _slow(socket: Any) -> None:
    """Greet, and answer each message after a while."""
    socket.send(event("session.created", session={"id": "s"}))
    for _ in socket:
        time.sleep(0.02)
        socket.send(event("session.updated", session={"id": "s"}))


@KINDS
def test_frames_come_at_the_recorded_pace(sockets, tmp_path, is_async):
    """The server's frames come as long after the program's as they did, times the speed, and none is early."""
    sockets.talk = _slow

    async def way(client: Any) -> Any:
        return await _say(client, _update("a"))

    recorded(way, sockets, tmp_path, is_async=is_async)
    (file,) = tmp_path.rglob("*.json")
    kept = decode(file.read_bytes(), "").response
    wait = kept.offsets[2] - kept.offsets[1]
    assert wait >= 0.02
    clock = VirtualClock()
    with replay(tmp_path, speed=0.1, clock=clock) as session:
        run(way, NOBODY, is_async=is_async)
    assert clock.time == pytest.approx(10 * (max(kept.elapsed, kept.offsets[0]) + wait), rel=0.2)
    assert session.timing.chunks == 2
    start = time.perf_counter()
    with replay(tmp_path, speed=1) as session:
        run(way, NOBODY, is_async=is_async)
    assert time.perf_counter() - start >= kept.elapsed + wait
    assert session.timing.chunks == 2


@KINDS
def test_a_custom_clock_is_followed(sockets, tmp_path, is_async):
    """Each wait is the clock's."""

    class Noting:
        def __init__(self) -> None:
            self.time, self.waits = 0.0, 0

        def now(self) -> float:
            return self.time

        def sleep(self, seconds: float) -> None:
            self.time += seconds
            self.waits += 1

        async def sleep_async(self, seconds: float) -> None:
            self.sleep(seconds)

    sockets.talk = _slow
    recorded(lambda client: _say(client, _update("a")), sockets, tmp_path, is_async=is_async)
    clock = Noting()
    with replay(tmp_path, speed=1, clock=clock):
        run(lambda client: _say(client, _update("a")), NOBODY, is_async=is_async)
    assert clock.waits >= 2


def test_a_thread_may_read_while_another_sends(sockets, tmp_path):
    """A reader waits for what the program sends next, and for its close."""

    def listen(connection: Any, heard: queue.SimpleQueue[Any]) -> None:
        for item in connection:
            heard.put(item)

    async def way(client: Any) -> Any:
        heard: queue.SimpleQueue[Any] = queue.SimpleQueue()
        with manager_of(realtime.RealtimeConnectionManager, client) as connection:
            reader = threading.Thread(target=listen, args=(connection, heard))
            reader.start()
            items = [heard.get()]
            for text in "abc":
                connection.send(_update(text))
                items.append(heard.get())
        reader.join()
        return facts(items)

    live = recorded(way, sockets, tmp_path, is_async=False)
    assert len(live) == 4
    assert replayed(way, tmp_path, is_async=False) == live


def test_a_task_may_read_while_another_sends(sockets, tmp_path):
    """The same with tasks."""

    async def way(client: Any) -> Any:
        heard: list[Any] = []
        arrived = anyio.Event()

        async def read(connection: Any) -> None:
            nonlocal arrived
            async for item in connection:
                heard.append(item)
                arrived.set()
                arrived = anyio.Event()

        async with anyio.create_task_group() as group:
            async with manager_of(realtime.AsyncRealtimeConnectionManager, client) as connection:
                group.start_soon(read, connection)
                for count in (1, 2, 3):
                    while len(heard) < count:
                        await arrived.wait()
                    await connection.send(_update(str(count)))
                while len(heard) < 4:
                    await arrived.wait()
        return facts(heard)

    live = recorded(way, sockets, tmp_path, is_async=True)
    assert len(live) == 4
    for speed in (float("inf"), 1):
        assert replayed(way, tmp_path, is_async=True, speed=speed) == live


@KINDS
def test_who_waits_for_what_does_not_come_gets_a_miss(sockets, tmp_path, is_async, monkeypatch):
    """The recording goes on with a message of the program, which it does not send."""
    monkeypatch.setattr(replayed_connection, "ALONE", 0.01)
    monkeypatch.setattr(session_, "LONGEST_UNANSWERED", 0.01)
    recorded(lambda client: _say(client, _update("a")), sockets, tmp_path, is_async=is_async)

    async def listen(client: Any) -> None:
        async with connected(client) as connection:
            await settle(connection.recv())
            await settle(connection.recv())

    async def wait(client: Any) -> None:
        async with connected(client) as connection:
            await settle(connection.recv())
            await settle(connection.send(_update("a")))
            await settle(connection.recv())
            await settle(connection.recv())

    with pytest.raises(RecordingNotFound, match=r"in the recording the server waits for frame 2, the program's 'sess"):
        replayed(listen, tmp_path, is_async=is_async)
    with pytest.raises(RecordingNotFound, match=r"in the recording the program closed the connection here"):
        replayed(wait, tmp_path, is_async=is_async)


def test_a_wait_may_time_out(sockets, tmp_path):
    """Of a program that waits for nothing, which is as it was live."""

    async def way(client: Any) -> Any:
        async with connected(client) as connection:
            await connection.recv()
            with anyio.move_on_after(0.05) as scope:
                await connection.recv()
            await connection.send(_update("a"))
            return scope.cancelled_caught, (await connection.recv()).type

    live = recorded(way, sockets, tmp_path, is_async=True)
    assert live == (True, "session.updated")
    assert replayed(way, tmp_path, is_async=True) == live


def test_a_wait_of_the_connection_itself_may_time_out(sockets, tmp_path):
    """The library's own `recv` has a time-out in sync code."""

    async def way(client: Any) -> Any:
        with manager_of(realtime.RealtimeConnectionManager, client) as connection:
            connection.recv()
            for seconds in (0.01, 0):
                with pytest.raises(TimeoutError):
                    connection._connection.recv(timeout=seconds)
            return connection._connection.close_code

    assert recorded(way, sockets, tmp_path, is_async=False) is None
    assert replayed(way, tmp_path, is_async=False) is None
    assert replayed(way, tmp_path, is_async=False, speed=1) is None


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # of asyncio, for who does that
def test_an_abandoned_connection_is_stored(sockets, tmp_path):
    """Somebody dropped it without a close: the frames up to then are there."""

    async def way(client: Any) -> Any:
        connection = await manager_of(realtime.AsyncRealtimeConnectionManager, client).enter()
        return (await connection.recv()).type

    with replay(tmp_path, mode="record") as session:
        run(way, sockets.url, is_async=True)
    gc.collect()
    garbage.run_noted()
    assert session.recorded == 1
    assert replayed(way, tmp_path, is_async=True) == "session.created"


@KINDS
def test_a_replay_that_reads_past_an_abandoned_connection_says_so(sockets, tmp_path, is_async, monkeypatch):
    """It names the file, and how to record the rest."""
    monkeypatch.setattr(replayed_connection, "ALONE", 0.01)
    monkeypatch.setattr(session_, "LONGEST_UNANSWERED", 0.01)
    recorded(_say, sockets, tmp_path, is_async=is_async)
    (file,) = tmp_path.rglob("*.json")
    kept = decode(file.read_bytes(), "")
    kept.response.end, kept.response.left = "closed", kept.response.offsets[0] + 0.001
    kept.response.frames, kept.response.offsets = kept.response.frames[:1], kept.response.offsets[:1]
    file.write_bytes(encode(kept))

    async def way(client: Any) -> Any:
        async with connected(client) as connection:
            await settle(connection.recv())
            await settle(connection.recv())

    with pytest.raises(IncompleteRecording, match=r"ends after 1 frames of the server: the program left the conn") as e:
        replayed(way, tmp_path, is_async=is_async)
    assert (e.value.path, e.value.chunks) == (str(file), 1)
    assert replayed(_say, tmp_path, is_async=is_async) == []


EXITS = {
    "closed by the server": "connection.recv(); connection.send({'type': 'bye'}); connection.recv()",
    "left open": "connection.recv()",
    "closed": "connection.recv(); connection.close()",
}


@pytest.mark.parametrize("way", EXITS)
def test_a_program_that_ends_has_stored_its_connections(sockets, tmp_path, way):
    """However it leaves them."""
    program = f"""
import openai
from inferencereplay import Session, wrap
client = wrap(openai.OpenAI(api_key="{KEY}", websocket_base_url="{sockets.url}"), {str(tmp_path)!r}, mode="record")
from openai.resources.beta.realtime import realtime
given = dict(client=client, model="m", extra_query={{}}, extra_headers={{}}, websocket_connection_options={{}})
connection = realtime.RealtimeConnectionManager(**given).enter()
{EXITS[way]}
"""
    done = subprocess.run([sys.executable, "-c", program], check=False, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    (file,) = tmp_path.rglob("*.json")
    kept = decode(file.read_bytes(), "").response
    assert kept.end == ("done" if way == "closed" else "closed")
    assert kept.frames[0].sender == "server"


@KINDS
def test_some_connections_go_to_the_network(sockets, tmp_path, is_async):
    """`live` and `only` select them, as calls."""
    with replay(tmp_path, live="/realtime") as session:
        run(talk, sockets.url, is_async=is_async)
    assert [(call.outcome, call.method, call.path) for call in session.calls] == [("live", "WEBSOCKET", "/realtime")]
    with replay(tmp_path, mode="record", only="/chat/completions") as session:
        run(talk, sockets.url, is_async=is_async)
    with replay(tmp_path, mode="live"):
        run(talk, sockets.url, is_async=is_async)
    assert (session.recorded, session.let_through) == (0, 1)
    assert not [*tmp_path.rglob("*.json")]
    assert len(sockets.asked) == 3


@KINDS
def test_what_is_missing_is_recorded(sockets, tmp_path, is_async):
    """`record-if-missing` replays what is there."""
    for recorded_count, hits in ((1, 0), (0, 1)):
        with replay(tmp_path, mode="record-if-missing") as session:
            run(talk, sockets.url, is_async=is_async)
        assert (session.recorded, session.hits) == (recorded_count, hits)
    assert len(sockets.asked) == 1


@KINDS
@pytest.mark.parametrize(("on_expiry", "dialled"), [("record", 1), ("warn", 0)])
def test_an_expired_connection_is_recorded_again(sockets, tmp_path, is_async, on_expiry, dialled):
    """With `on_expiry="record"`; otherwise it answers all the same."""
    live = recorded(talk, sockets, tmp_path, is_async=is_async)
    (file,) = tmp_path.rglob("*.json")
    old = re.sub(rb'"at": "[^"]*"', b'"at": "2001-01-01T00:00:00.000000Z"', file.read_bytes())
    file.write_bytes(old)
    sockets.asked.clear()
    with replay(tmp_path, mode="record-if-missing", max_age="30d", on_expiry=on_expiry) as session:
        assert run(talk, sockets.url, is_async=is_async) == live
    assert (session.hits, session.recorded, len(sockets.asked)) == (1 - dialled, dialled, dialled)
    assert (file.read_bytes() == old) == (on_expiry == "warn")
    assert len([*tmp_path.rglob("*.json")]) == 1


def test_a_connection_that_was_recorded_meanwhile_is_stored_once(sockets, tmp_path):
    """In `record-if-missing` the first recording of equal messages stays."""

    async def way(client: Any) -> Any:
        async with connected(client) as connection:
            connection.recv()
            with replay(tmp_path, mode="record-if-missing") as inner:
                run(lambda other: _say(other, _update("a")), sockets.url, is_async=False)
            assert inner.recorded == 1
            (file,) = tmp_path.rglob("*.json")
            before.update({file: file.read_bytes()})
            connection.send(_update("a"))
            return connection.recv()

    before: dict[Path, bytes] = {}
    with replay(tmp_path, mode="record-if-missing") as session:
        run(way, sockets.url, is_async=False)
    assert (session.recorded, len(sockets.asked)) == (0, 2)
    assert {file: file.read_bytes() for file in tmp_path.rglob("*.json")} == before


@KINDS
def test_a_failing_recorder_costs_a_warning(sockets, tmp_path, is_async, caplog):
    """The program hears all that the server says."""
    (tmp_path / "realtime").write_text("in the way")
    with replay(tmp_path, mode="record") as session:
        assert len(run(talk, sockets.url, is_async=is_async)) == 5
    assert session.recorded == 0
    assert len([record for record in caplog.records if record.name == "inferencereplay"]) == 1


@KINDS
@pytest.mark.parametrize("mode", ["replay", "record"])
def test_without_the_library_the_sdk_says_what_to_install(tmp_path, is_async, mode, monkeypatch):
    """The error is the SDK's own, as without a session."""
    for name in [*sys.modules]:
        if name.partition(".")[0] == "websockets":
            monkeypatch.setitem(sys.modules, name, None)
        elif name.startswith((f"{sockets_package.__name__}.", "openai.lib._websocket", "openai.lib._azure_websocket")):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.delattr(sockets_package, "connecting", raising=False)
    errors = []
    for session in (contextlib.nullcontext(), replay(tmp_path, mode=mode)):
        with pytest.raises(openai.OpenAIError, match="install") as caught, session:
            run(talk, NOBODY, is_async=is_async)
        errors.append(str(caught.value))
    assert errors[0] == errors[1]


def test_another_librarys_connection_is_let_through(sockets, tmp_path, monkeypatch, caplog):
    """Somebody has put something of their own in the place of `connect`, which makes connections of another kind."""
    asked = []

    class Other:
        def recv(self, **_: Any) -> Any:
            return b'{"type": "x"}'

        def close(self, **_: Any) -> Any:
            asked.append("closed")

    def connect(uri: str, **_: Any) -> Any:
        asked.append(uri)
        return Other()

    monkeypatch.setattr(sync_client, "connect", connect)

    async def way(client: Any) -> Any:
        async with connected(client) as connection:
            return connection.recv().type

    with replay(tmp_path, mode="record") as session:
        assert run(way, sockets.url, is_async=False) == "x"
    assert session.recorded == 0
    assert sync_client.connect is connect
    assert len(asked) == 2
    assert "not recorded: it is not a connection of the websockets package" in caplog.text
    with pytest.raises(RecordingNotFound), replay(tmp_path):
        run(way, sockets.url, is_async=False)
    assert len(asked) == 2


def test_the_library_is_as_it_was_found():
    """Nothing of ours is left in `websockets` outside the moment in which a connection is opened."""
    for place in (sync_client.connect, async_client.connect.__init__, async_client.connect.__await__):
        assert "inferencereplay" not in place.__code__.co_filename


@pytest.mark.slow
def test_a_frame_costs_little():
    """Recorded or replayed; far more than the target would be told."""
    root = Path(__file__).parents[2]
    path = os.pathsep.join(filter(None, (str(root), os.environ.get("PYTHONPATH"))))
    command = [sys.executable, "benchmarks/connections.py", "--quick", "--check"]
    environment = {**os.environ, "PYTHONPATH": path}
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert len(done.stdout.splitlines()) == 4


def test_a_secret_in_a_frame_that_is_no_text_is_redacted(sockets, tmp_path):
    def talk(socket: Any) -> None:
        socket.send(b"\xff key " + KEY.encode())

    sockets.talk = talk

    async def way(client: Any) -> Any:
        async with connected(client) as connection:
            return await settle(connection.recv_bytes())

    recorded(way, sockets, tmp_path, is_async=False)
    assert replayed(way, tmp_path, is_async=False) == b"\xff key [REDACTED]"


@KINDS
def test_a_secret_in_pieces_is_redacted(sockets, tmp_path, is_async):
    """It reaches over several events; each kind of text is searched as a whole."""
    token = "sk-proj-" + "a1B2c3D4e5F6" * 4
    kinds = ["response.output_text.delta", "response.output_audio_transcript.delta", "response.audio_transcript.delta"]

    def talk(socket: Any) -> None:
        socket.recv()
        for kind in kinds:
            shared = {"response_id": "r", "item_id": kind, "output_index": 0, "content_index": 0}
            for start in range(0, len(token), 9):
                socket.send(event(kind, delta=token[start : start + 9], **shared))
        socket.close()

    async def way(client: Any) -> Any:
        async with connected(client) as connection:
            await settle(connection.send(_update("a")))
            with pytest.raises(ConnectionClosedOK):
                while True:
                    await settle(connection.recv_bytes())

    sockets.talk = talk
    recorded(way, sockets, tmp_path, is_async=is_async)
    texts = [json.loads(item.payload)["delta"] for item in frames(tmp_path) if b"delta" in item.payload]
    assert token not in "".join(texts)
    assert texts.count("[REDACTED]") == len(kinds)


def test_many_connections_at_once(sockets, tmp_path):
    """Tasks of one program: each hears what it asked for, recorded and replayed, in whatever order."""

    def talk(socket: Any) -> None:
        socket.send(event("session.created", session={"id": "s"}))
        for message in socket:
            socket.send(event("session.updated", session={"instructions": json.loads(message)["session"]}))

    async def one(client: Any, text: str, heard: dict[str, Any]) -> None:
        async with connected(client) as connection:
            await connection.recv()
            for part in range(3):
                await connection.send(_update(f"{text} {part}"))
                answer = json.loads(await connection.recv_bytes())
                heard[f"{text} {part}"] = answer["session"]["instructions"]["instructions"]

    async def way(client: Any, texts: list[str]) -> Any:
        heard: dict[str, Any] = {}
        async with anyio.create_task_group() as group:
            for text in texts:
                group.start_soon(one, client, text, heard)
        return heard

    sockets.talk = talk
    texts = [f"text {number}" for number in range(8)]
    with replay(tmp_path, mode="record") as session:
        heard = run(lambda client: way(client, texts), sockets.url, is_async=True)
    assert session.recorded == 8
    assert all(said == answered for said, answered in heard.items())
    with replay(tmp_path) as session:
        assert run(lambda client: way(client, texts[::-1]), NOBODY, is_async=True) == heard
    assert (session.hits, session.misses, session.unused()) == (8, 0, [])
