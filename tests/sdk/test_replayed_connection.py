"""What a replayed connection can do beside what the SDK does with it: as the library's own, live and recorded."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import socket as sockets_
import threading
from typing import Any

import anyio
import pytest
from sockets import NOBODY, connected, event, frames, greet, recorded, replayed, run, serving
from ways import settle
from websockets.exceptions import ConcurrencyError, ConnectionClosed, InvalidStatus, WebSocketException
from websockets.protocol import State

from inferencereplay import IncompleteRecording, RecordingNotFound, Session, replay
from inferencereplay.recording.format import Cause, Failure, decode, encode
from inferencereplay.recording.frames import Frame
from inferencereplay.sdk.sockets import connection_capture, dialing, handshake_errors
from inferencereplay.session import garbage
from inferencereplay.session import session as session_

KINDS = pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])


@pytest.fixture
def sockets():
    """Serve WebSockets on loopback."""
    with serving() as served:
        yield served


def echo(socket: Any) -> None:
    """Send back what comes."""
    for message in socket:
        socket.send(message)


async def _send_all(own: Any) -> Any:
    """Send whatever the library takes, and read it in every way."""
    messages: list[Any] = ["text", b"bytes", bytearray(b"array"), memoryview(b"view"), ["two ", "parts"], [b"a", b"b"]]
    heard = []
    for message in messages:
        await settle(own.send(message))
        heard.append(await settle(own.recv()))
    for text in (True, False):
        await settle(own.send("é", text=text))
        heard.append(await settle(own.recv()))
    await settle(own.send(b"raw", text=True))
    heard.append(await settle(own.recv(decode=False)))
    await settle(own.send(b"raw"))
    heard.append(await settle(own.recv(decode=True)))
    await settle(own.send("streamed"))
    streamed = own.recv_streaming()
    heard.append([part async for part in streamed] if hasattr(streamed, "__aiter__") else [*streamed])
    return heard


@KINDS
def test_everything_that_the_library_sends_and_receives(sockets, tmp_path, is_async):
    """Text, bytes and parts, each read as text or as bytes."""
    sockets.talk = echo

    async def parts() -> Any:
        yield "a"
        yield "b"

    async def way(client: Any) -> Any:
        async with connected(client) as connection:
            own = connection._connection
            heard = await _send_all(own)
            if is_async:
                await own.send(parts())
                heard.append(await own.recv())
            for wrong in ({"a": 1}, 7, [7]):
                with pytest.raises(TypeError):
                    await settle(own.send(wrong))
            return heard

    live = recorded(way, sockets, tmp_path, is_async=is_async)
    assert live[:4] == ["text", b"bytes", b"array", b"view"]
    assert replayed(way, tmp_path, is_async=is_async) == live


@KINDS
def test_the_facts_of_a_connection(sockets, tmp_path, is_async):
    """Its state, its handshake, pings, and the code of its close."""
    sockets.talk = lambda socket: (socket.recv(), socket.close(4001, "why"))

    async def way(client: Any) -> Any:
        async with connected(client) as connection:
            own = connection._connection
            told = [own.state, own.response.status_code, own.request.path, own.subprotocol, own.close_code]
            waiter = await settle(own.ping())
            told.append(waiter.wait(5) if isinstance(waiter, threading.Event) else (await waiter) >= 0)
            await settle(own.pong())
            await settle(own.send("go"))
            with pytest.raises(ConnectionClosed) as caught:
                await settle(own.recv())
            if is_async:
                await own.wait_closed()
            with pytest.raises(ConnectionClosed) as again:
                await settle(own.send("more"))
            assert str(caught.value) == str(again.value)
            return [*told, own.state, own.close_code, own.close_reason]

    live = recorded(way, sockets, tmp_path, is_async=is_async)
    assert live == [State.OPEN, 101, "/v1/realtime?model=m", None, None, True, State.CLOSED, 4001, "why"]
    assert replayed(way, tmp_path, is_async=is_async) == live


@KINDS
def test_a_replayed_connection_has_no_socket(sockets, tmp_path, is_async):
    """So it has no addresses."""

    async def way(client: Any) -> Any:
        async with connected(client) as connection:
            await settle(connection.recv())
            return connection._connection.local_address, connection._connection.remote_address

    assert all(recorded(_first, sockets, tmp_path, is_async=is_async))
    assert replayed(way, tmp_path, is_async=is_async) == (None, None)


async def _first(client: Any) -> Any:
    async with connected(client) as connection:
        return (await settle(connection.recv())).type


def test_two_readers_are_refused(sockets, tmp_path):
    """As the library refuses them."""

    async def way(client: Any) -> Any:
        async with connected(client) as connection:
            own = connection._connection
            await own.recv()
            waiting = asyncio.ensure_future(own.recv())
            await anyio.sleep(0.01)
            with pytest.raises(ConcurrencyError) as caught:
                await own.recv()
            waiting.cancel()
            return str(caught.value)

    async def way_of_threads(client: Any) -> Any:
        async with connected(client) as connection:
            own = connection._connection
            own.recv()
            begun = threading.Event()

            def read() -> None:
                begun.set()
                with pytest.raises(ConnectionClosed):
                    own.recv()

            thread = threading.Thread(target=read)
            thread.start()
            begun.wait()
            while True:
                try:
                    own.recv(timeout=0.001)
                except TimeoutError:
                    continue
                except ConcurrencyError as error:
                    told = str(error)
                    break
        thread.join()
        return told

    live = recorded(way, sockets, tmp_path / "async", is_async=True)
    assert replayed(way, tmp_path / "async", is_async=True) == live
    live = recorded(way_of_threads, sockets, tmp_path / "sync", is_async=False)
    assert replayed(way_of_threads, tmp_path / "sync", is_async=False) == live


@KINDS
def test_a_message_that_the_program_refuses(sockets, tmp_path, is_async):
    """It is too large, and the library closes the connection by itself."""

    def talk(socket: Any) -> None:
        socket.send(event("session.created", session={"id": "s" * 100}))
        with pytest.raises(ConnectionClosed):
            socket.recv()

    sockets.talk = talk

    async def way(client: Any) -> Any:
        async with connected(client, websocket_connection_options={"max_size": 50}) as connection:
            with pytest.raises(ConnectionClosed) as caught:
                await settle(connection.recv())
            return type(caught.value), caught.value.sent.code, caught.value.rcvd

    live = recorded(way, sockets, tmp_path, is_async=is_async)
    assert live[1] == 1009
    assert replayed(way, tmp_path, is_async=is_async) == live


@KINDS
def test_a_connection_that_is_reset(sockets, tmp_path, is_async):
    """The exception says what the network did."""

    def talk(socket: Any) -> None:
        socket.send(event("session.created", session={"id": "s"}))
        socket.recv()
        socket.socket.setsockopt(sockets_.SOL_SOCKET, sockets_.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        socket.socket.close()

    sockets.talk = talk

    async def way(client: Any) -> Any:
        async with connected(client) as connection:
            await settle(connection.recv())
            await settle(connection.send({"type": "x"}))
            with pytest.raises(ConnectionClosed) as caught:
                await settle(connection.recv())
            return type(caught.value), type(caught.value.__cause__), caught.value.rcvd, caught.value.sent

    live = recorded(way, sockets, tmp_path, is_async=is_async)
    assert replayed(way, tmp_path, is_async=is_async) == live


@KINDS
def test_a_close_without_a_code(sockets, tmp_path, is_async):
    """And pings that come meanwhile, which are not recorded."""

    def talk(socket: Any) -> None:
        socket.send("hello")
        socket.ping()
        socket.recv()
        with socket.send_context():
            socket.protocol.send_close()
        with pytest.raises(ConnectionClosed):
            socket.recv()

    sockets.talk = talk

    async def way(client: Any) -> Any:
        async with connected(client) as connection:
            await settle(connection.recv_bytes())
            await settle(connection.send({"type": "x"}))
            with pytest.raises(ConnectionClosed) as caught:
                await settle(connection.recv_bytes())
            return str(caught.value)

    live = recorded(way, sockets, tmp_path, is_async=is_async)
    assert replayed(way, tmp_path, is_async=is_async) == live
    assert next(frame.close for frame in frames(tmp_path) if not frame.is_message) == 1005


@KINDS
def test_who_sends_after_the_server_has_closed(sockets, tmp_path, is_async):
    """It hears of the close, though it has not read up to it, and reads then what came before."""

    def talk(socket: Any) -> None:
        socket.send(event("session.created", session={"id": "s"}))
        socket.close(1001, "gone")

    async def live_way(client: Any) -> Any:
        async with connected(client) as connection:
            await settle(connection.recv())
            with pytest.raises(ConnectionClosed):
                await settle(connection.recv())

    async def way(client: Any) -> Any:
        async with connected(client) as connection:
            with pytest.raises(ConnectionClosed) as caught:
                await settle(connection.send({"type": "x"}))
            with pytest.raises(ConnectionClosed) as again:
                await settle(connection.recv())
            return str(caught.value), str(again.value)

    sockets.talk = talk
    recorded(live_way, sockets, tmp_path, is_async=is_async)
    garbage.run_noted()
    told, again = replayed(way, tmp_path, is_async=is_async)
    assert "1001 (going away) gone" in told
    assert told == again


@KINDS
def test_a_cancelled_opening(tmp_path, is_async, monkeypatch):
    """The server does not answer; in replay the program waits as well, and hears that there is no answer."""
    monkeypatch.setattr(session_, "LONGEST_UNANSWERED", 0.01)
    listener = sockets_.create_server(("127.0.0.1", 0))
    url = f"ws://127.0.0.1:{listener.getsockname()[1]}/v1"

    async def way(client: Any) -> Any:
        with anyio.move_on_after(0.2) as scope:
            async with connected(client):
                raise AssertionError("it was opened")
        return scope.cancelled_caught

    async def wait(client: Any) -> Any:
        async with connected(client):
            raise AssertionError("it was opened")

    with listener, replay(tmp_path, mode="record") as session:
        assert run(way, url, is_async=True)
    assert session.recorded == 1
    with pytest.raises(IncompleteRecording, match="holds no answer: the program left the call after"):
        replayed(wait, tmp_path, is_async=is_async)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # of the socket that the library leaves
def test_an_interrupted_opening_is_not_recorded(tmp_path):
    """Nothing is stored, and nothing is left under way."""

    async def way(client: Any) -> Any:
        def interrupt(*_: Any, **__: Any) -> Any:
            raise KeyboardInterrupt

        async with connected(client, websocket_connection_options={"create_connection": interrupt}):
            raise AssertionError("it was opened")

    with sockets_.create_server(("127.0.0.1", 0)) as listener, replay(tmp_path, mode="record") as session:
        with pytest.raises(KeyboardInterrupt):
            run(way, f"ws://127.0.0.1:{listener.getsockname()[1]}/v1", is_async=False)
    assert session.recorded == 0
    assert not session.connection_recorder.variants.has_pending()
    gc.collect()


@KINDS
def test_a_failure_of_the_recorder_costs_a_warning(sockets, tmp_path, is_async, monkeypatch, caplog):
    """At whatever point it fails."""

    def fail(*_: Any) -> Any:
        raise RuntimeError("secret")

    monkeypatch.setattr(connection_capture, "_join", fail)
    with replay(tmp_path, mode="record") as session:
        assert run(_first, sockets.url, is_async=is_async) == "session.created"
    assert session.recorded == 0
    assert [record.message for record in caplog.records if record.levelno == logging.WARNING] == [
        "a connection was not recorded: RuntimeError"
    ]


def test_an_interrupt_while_it_is_stored(sockets, tmp_path, monkeypatch):
    """It is raised, and nothing is left under way."""

    def interrupt(*_: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(connection_capture, "_join", interrupt)
    with replay(tmp_path, mode="record") as session, pytest.raises(KeyboardInterrupt):
        run(_first, sockets.url, is_async=False)
    assert session.recorded == 0
    assert not session.connection_recorder.variants.has_pending()


@KINDS
def test_a_refusal_of_bytes(tmp_path, is_async):
    """Its body is no text."""

    def refuse(connection: Any, _: Any) -> Any:
        answer = connection.respond(404, "no")
        answer.body = b"\xff\xfe\xfd\x00"
        return answer

    async def way(client: Any) -> Any:
        with pytest.raises(InvalidStatus) as caught:
            async with connected(client):
                raise AssertionError("it was opened")
        return bytes(caught.value.response.body)

    with serving(refuse=refuse) as served:
        live = recorded(way, served, tmp_path, is_async=is_async)
    assert replayed(way, tmp_path, is_async=is_async) == live


@KINDS
def test_an_unusual_reason_is_kept(sockets, tmp_path, is_async):
    """And a status that has no name."""

    def refuse(connection: Any, _: Any) -> Any:
        answer = connection.respond(422, "no")
        answer.status_code, answer.reason_phrase = (404, "Nowhere") if is_async else (499, "")
        return answer

    async def way(client: Any) -> Any:
        with pytest.raises(InvalidStatus) as caught:
            async with connected(client):
                raise AssertionError("it was opened")
        return caught.value.response.status_code, caught.value.response.reason_phrase

    with serving(refuse=refuse) as served:
        live = recorded(way, served, tmp_path, is_async=is_async, record_errors=True)
    assert replayed(way, tmp_path, is_async=is_async) == live


def test_failures_of_unknown_classes():
    """An edited file may name any class: what is not known becomes the root of the library's errors."""
    error = handshake_errors.failure_error(Failure("Nonsense", "oh", [Cause("OSError", "a"), Cause("x.Y", "b")]))
    assert (type(error), str(error)) == (WebSocketException, "oh")
    assert (type(error.__cause__), error.__cause__.__cause__) == (OSError, None)


def test_a_stub_may_refuse_a_connection(tmp_path):
    """An error by hand is the server's refusal."""

    async def way(client: Any) -> Any:
        with pytest.raises(InvalidStatus) as caught:
            async with connected(client):
                raise AssertionError("it was opened")
        return caught.value.response.status_code

    with replay(tmp_path) as session:
        session.stub(error=429, on="/realtime")
        assert run(way, NOBODY, is_async=False) == 429
    assert session.stubbed == 1


@KINDS
def test_a_message_of_another_kind_is_a_miss(sockets, tmp_path, is_async):
    """Text for bytes, bytes that differ, and JSON for what is none; each says so."""
    sockets.talk = echo

    def saying(*messages: Any) -> Any:
        async def way(client: Any) -> Any:
            async with connected(client) as connection:
                for message in messages:
                    await settle(connection._connection.send(message))
                    await settle(connection._connection.recv())

        return way

    recorded(saying("{}", b"\xff"), sockets, tmp_path, is_async=is_async)
    for messages, told in (
        ((b"{}",), "a message of text → a message of binary"),
        (("{}", b"\xfe"), r"1 bytes of SHA-256 a8100ae6aa19… → 1 bytes of SHA-256 \w+…"),
        (("[1]",), r"body: {} → \[1\]"),
        (("no",), r"2 bytes of SHA-256 \w+… → 2 bytes"),
    ):
        with pytest.raises(RecordingNotFound, match=told):
            replayed(saying(*messages), tmp_path, is_async=is_async)
    with pytest.raises(RecordingNotFound, match="sends message 3, a message of 1 bytes, and the recording has no fur"):
        replayed(saying("{}", b"\xff", b"\xff"), tmp_path, is_async=is_async)


@KINDS
def test_many_differences_are_counted(sockets, tmp_path, is_async):
    """The first twelve are listed."""
    sockets.talk = echo

    def saying(value: int) -> Any:
        async def way(client: Any) -> Any:
            async with connected(client) as connection:
                await settle(connection.send({f"n{index}": value for index in range(20)}))
                await settle(connection.recv_bytes())

        return way

    recorded(saying(1), sockets, tmp_path, is_async=is_async)
    with pytest.raises(RecordingNotFound) as caught:
        replayed(saying(2), tmp_path, is_async=is_async)
    assert len(caught.value.differences) == 13
    assert caught.value.differences[-1] == "… and 8 more"


@KINDS
def test_audio_that_is_no_base64_counts_as_it_is(sockets, tmp_path, is_async):
    """And audio elsewhere than in a member of that name."""
    sockets.talk = echo

    def saying(audio: Any) -> Any:
        async def way(client: Any) -> Any:
            async with connected(client) as connection:
                await settle(connection.send({"type": "input_audio_buffer.append", "audio": audio}))
                return await settle(connection.recv_bytes())

        return way

    live = recorded(saying("no base64!"), sockets, tmp_path, is_async=is_async)
    assert b'"no base64!"' in frames(tmp_path)[0].payload
    assert replayed(saying("no base64!"), tmp_path, is_async=is_async) == live
    recorded(saying([1]), sockets, tmp_path / "other", is_async=is_async)
    with pytest.raises(RecordingNotFound, match=r'audio: "no base64!" → 7'):
        replayed(saying(7), tmp_path, is_async=is_async)


def test_a_variant_that_does_not_go_as_far(sockets, tmp_path):
    """The program has read more from the first variant than the other one has at that point."""

    def talk(socket: Any) -> None:
        kind = "a"
        for message in socket:
            kind = json.loads(message)["type"] if kind == "a" else kind
            for _ in range(3 if kind == "long" else 1):
                socket.send(event("x"))

    def saying(first: str, second: str, count: int) -> Any:
        async def way(client: Any) -> Any:
            async with connected(client) as connection:
                connection.send({"type": first})
                for _ in range(count):
                    connection.recv()
                connection.send({"type": second})
                connection.recv()

        return way

    sockets.talk = talk
    recorded(saying("long", "one", 3), sockets, tmp_path, is_async=False)
    sockets.talk = greet
    files = [*tmp_path.rglob("*.json")]
    kept = decode(files[0].read_bytes(), "")
    kept.response.frames[1:4] = []
    kept.response.offsets[1:4] = []
    files[0].with_name(f"{files[0].stem}~2.json").write_bytes(encode(kept).replace(b'"one"', b'"two"'))
    with pytest.raises(RecordingNotFound, match="is not frame 5"):
        replayed(saying("long", "two", 3), tmp_path, is_async=False)


def test_a_damaged_variant_stays_as_it_is(sockets, tmp_path):
    """A new recording is stored beside it, and nothing is lost."""
    recorded(_first, sockets, tmp_path, is_async=False)
    (file,) = tmp_path.rglob("*.json")
    file.write_text("{")
    with replay(tmp_path, mode="record") as session:
        run(_first, sockets.url, is_async=False)
    assert session.recorded == 1
    assert file.read_text() == "{"
    assert len([*tmp_path.rglob("*.json")]) == 2


def test_a_missing_variant_is_passed_over(sockets, tmp_path):
    """Somebody has removed a file in between."""

    async def both(client: Any) -> Any:
        await _first(client)
        async with connected(client) as connection:
            await settle(connection.recv())
            await settle(connection.send({"type": "x"}))

    recorded(both, sockets, tmp_path, is_async=False)
    (second,) = tmp_path.rglob("*~2.json")
    (first,) = (file for file in tmp_path.rglob("*.json") if file != second)
    with replay(tmp_path) as session:
        assert run(_first, NOBODY, is_async=False) == "session.created"
        first.unlink()
        assert run(_first, NOBODY, is_async=False) == "session.created"
        second.unlink()
        with pytest.raises(RecordingNotFound):
            run(_first, NOBODY, is_async=False)
        session.forget_misses()


def test_two_sessions_may_record_the_same(sockets, tmp_path):
    """Of equal conversations, in `record-if-missing` the first that was stored stays."""
    sessions = [Session(tmp_path, mode="record-if-missing") for _ in range(2)]

    async def way(client: Any) -> Any:
        made = connected(client)
        connection = await made.__aenter__()
        await settle(connection.recv())
        return connection

    async def all_at_once(client: Any) -> Any:
        opened = []
        for session in sessions:
            with replay(session):
                opened.append(await way(client))
        for connection in opened:
            await settle(connection.close())

    run(all_at_once, sockets.url, is_async=False)
    assert [session.recorded for session in sessions] == [1, 0]
    assert len([*tmp_path.rglob("*.json")]) == 1


def test_something_else_in_the_place_of_the_class(sockets, tmp_path, monkeypatch, caplog):
    """The connection is the program's, and a warning says that it is not recorded."""
    monkeypatch.setattr(dialing, "_AsyncConnect", lambda: None)
    with replay(tmp_path, mode="record") as session:
        assert run(_first, sockets.url, is_async=True) == "session.created"
    assert session.recorded == 0
    assert "is neither recorded nor replayed: it is not a connection of the websockets package" in caplog.text


def test_others_may_connect_meanwhile(sockets, tmp_path):
    """While the SDK opens a connection, `connect` does for everybody else what it does."""
    heard = []

    def connect() -> None:
        with dialing.websockets.sync.client.connect(f"{sockets.url}/own") as own:
            heard.append(own.recv())

    async def connect_async() -> None:
        async with dialing.websockets.asyncio.client.connect(f"{sockets.url}/own") as own:
            heard.append(await own.recv())

    with dialing.dialing(dialing.Dialer(dialing.find)):
        thread = threading.Thread(target=lambda: (connect(), asyncio.run(connect_async())))
        thread.start()
        thread.join()
        with dialing.dialing(dialing.Dialer(dialing.find)), pytest.raises(dialing.Target):
            dialing.websockets.sync.client.connect("ws://x")
        kept = dialing.websockets.sync.client.connect
        dialing.websockets.sync.client.connect = heard.append
    assert dialing.websockets.sync.client.connect == heard.append
    dialing.websockets.sync.client.connect = kept.__wrapped__
    assert len(heard) == 2


def test_a_recording_without_times_comes_at_once(sockets, tmp_path):
    """A person has removed them."""
    recorded(_first, sockets, tmp_path, is_async=False)
    (file,) = tmp_path.rglob("*.json")
    kept = decode(file.read_bytes(), "")
    kept.response.offsets, kept.response.elapsed = [], None
    kept.response.frames = [*kept.response.frames[:1], Frame("server", text="more"), *kept.response.frames[1:]]
    file.write_bytes(encode(kept))
    assert replayed(_first, tmp_path, is_async=False, speed=0.0001) == "session.created"


def test_a_reader_waits_for_several_messages(sockets, tmp_path):
    """They are sent without a turn of the event loop in between."""
    sockets.talk = echo

    async def way(client: Any) -> Any:
        async with connected(client) as connection:
            own = connection._connection

            async def read() -> Any:
                return [await own.recv() for _ in range(2)]

            reader = asyncio.ensure_future(read())
            await anyio.sleep(0.01)
            await own.send("a")
            await own.send("b")
            return await reader

    assert recorded(way, sockets, tmp_path, is_async=True) == ["a", "b"]
    assert replayed(way, tmp_path, is_async=True) == ["a", "b"]


def test_a_connection_that_has_ended_is_not_stored_again(tmp_path):
    """Somebody else has ended it meanwhile."""
    variants = Session(tmp_path, mode="record").connection_recorder.variants
    claim = variants.begin("/realtime", "ab" * 32)
    variants.give_up("/realtime", "ab" * 32, claim)
    assert not variants.store("/realtime", "ab" * 32, claim, b"{}", is_whole=True)
    assert variants.stored_as(claim) == 0
    variants.remove("/realtime", "ab" * 32)
