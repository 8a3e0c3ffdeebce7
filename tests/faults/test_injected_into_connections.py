"""A program whose WebSocket connection meets a fault sees what it sees when a server, or the network, fails so."""

from __future__ import annotations

import contextlib
import re
import socket
import struct
import threading
from typing import Any

import pytest
from sockets import NOBODY, connected, greet, recorded, replayed, run, serving, talk
from ways import facts, settle
from websockets.exceptions import ConnectionClosedError, InvalidStatus

from inferencereplay import Fault, InvalidSetting, RecordingNotFound, VirtualClock, replay

KINDS = pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
QUICK = {"websocket_connection_options": {"open_timeout": 0.3}}


@pytest.fixture
def sockets():
    """Serve WebSockets on loopback."""
    with serving() as served:
        yield served


@contextlib.contextmanager
def failing(how: str) -> Any:
    """Listen, and fail at the first request: close, reset, or say nothing."""
    over = threading.Event()

    def answer() -> None:
        with contextlib.suppress(OSError):
            connection, _ = listening.accept()
            connection.recv(65_536)
            if how == "hang":
                over.wait(20)
            elif how == "reset":
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connection.close()

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=answer)
        thread.start()
        try:
            yield f"ws://127.0.0.1:{listening.getsockname()[1]}/v1"
        finally:
            over.set()
            thread.join()


def chain(error: BaseException) -> list[Any]:
    """Return an error, and those that led to it as far as they say something."""
    found = []
    seen: BaseException | None = error
    while seen is not None and seen.args != ():
        found.append((type(seen), getattr(seen, "errno", None), str(seen)))
        seen = seen.__cause__
    return found


def opened(client: Any) -> Any:
    return connected(client, **QUICK)


async def _open(client: Any) -> Any:
    with pytest.raises(Exception, match=r".") as caught:
        async with opened(client):
            raise AssertionError("it was opened")
    error = caught.value
    answer = error.response if isinstance(error, InvalidStatus) else None
    return chain(error), answer and (answer.status_code, answer.headers.get("retry-after"), answer.body)


@KINDS
@pytest.mark.parametrize("how", ["refused", "cut", "reset", "timeout"])
def test_a_connection_that_cannot_be_opened(is_async, how, tmp_path):
    """It needs no recording, counts as a fault, and is no miss."""
    if how == "refused":
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        url = f"ws://127.0.0.1:{port}/v1"
        live = run(_open, url, is_async=is_async)
    else:
        with failing({"timeout": "hang"}.get(how, how)) as url:
            live = run(_open, url, is_async=is_async)
    clock = VirtualClock()
    with replay(tmp_path, faults=[getattr(Fault, how)()], clock=clock) as session:
        assert run(_open, url, is_async=is_async) == live
    assert (session.faults, session.misses, session.hits) == ({how: 1}, 0, 0)
    assert [call.outcome for call in session.calls] == ["fault"]
    assert clock.time == (0.3 if how == "timeout" else 0)


@KINDS
def test_a_server_that_refuses(sockets, is_async, tmp_path):
    """With the status and the headers of the fault."""
    sockets.refusal = 429, "slow down"
    live = run(_open, sockets.url, is_async=is_async)
    fault = Fault.status(429, retry_after=2, body="slow down")
    with replay(tmp_path, faults=[fault]) as session:
        found = run(_open, NOBODY, is_async=is_async)
    assert found[0] == live[0]
    assert found[1] == (429, "2", b"slow down")
    assert session.faults == {"status 429": 1}


def _drop(socket_: Any) -> None:
    socket_.socket.shutdown(socket.SHUT_RDWR)


def _reset(socket_: Any) -> None:
    with socket_.protocol_mutex:  # the thread that reads sends no end of its own meanwhile
        socket_.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        socket_.socket.shutdown(socket.SHUT_RD)  # wake that thread: a socket in use is not closed
        socket_.socket.close()


async def _listen(client: Any) -> Any:
    heard = []
    async with connected(client) as connection:
        with pytest.raises(ConnectionClosedError) as caught:
            heard.append(await settle(connection.recv()))
            await settle(connection.send({"type": "response.create"}))
            while True:
                heard.append(await settle(connection.recv()))
        with pytest.raises(ConnectionClosedError):
            await settle(connection.send({"type": "response.create"}))
    return facts(heard), chain(caught.value), caught.value.sent, caught.value.rcvd


@KINDS
@pytest.mark.parametrize("after", [0, 1, 3])
@pytest.mark.parametrize("how", ["cut", "reset"])
def test_a_connection_that_breaks_off(sockets, is_async, how, after, tmp_path):
    """After so many messages of the server; a replay without the fault goes to the end."""
    whole = recorded(talk, sockets, tmp_path, is_async=is_async)

    def break_off(socket_: Any) -> None:
        class Counting:
            left = after

            def __iter__(self) -> Any:
                return iter(socket_)

            def send(self, message: str) -> None:
                if self.left:
                    socket_.send(message)
                self.left -= 1
                if self.left <= 0:
                    raise EOFError

        with contextlib.suppress(EOFError):
            if after:
                greet(Counting())
        socket_.recv()  # a client that sends to a connection that is broken may see the end, or the reset
        {"cut": _drop, "reset": _reset}[how](socket_)

    fault = getattr(Fault, how)(after=after)
    directory = tmp_path / "listening"
    recorded(_until_done, sockets, directory, is_async=is_async)
    with replay(directory, faults=[fault]) as session:
        found = run(_listen, NOBODY, is_async=is_async)
    assert len(found[0]) == after
    assert found[1][0] == (ConnectionClosedError, None, "no close frame received or sent")
    assert [item[0] for item in found[1][1:]] == ([ConnectionResetError] if how == "reset" else [])
    assert found[2:] == (None, None)
    assert (session.faults, session.hits, session.misses) == ({how: 1}, 1, 0)
    if after == 1:
        sockets.talk = break_off
        live = run(_listen, sockets.url, is_async=is_async)
        assert [item[0] for item in live[1]] == [item[0] for item in found[1]]
        assert live[0] == found[0]
    assert replayed(talk, tmp_path, is_async=is_async) == whole


async def _until_done(client: Any) -> Any:
    heard = []
    async with connected(client) as connection:
        heard.append(await settle(connection.recv()))
        await settle(connection.send({"type": "response.create"}))
        while heard[-1].type != "response.done":
            heard.append(await settle(connection.recv()))
    return facts(heard)


@KINDS
def test_a_server_that_falls_silent(sockets, is_async, tmp_path):
    """`websockets` gives the connection up after 40 s, by the session's clock."""
    recorded(_until_done, sockets, tmp_path, is_async=is_async)
    clock = VirtualClock()
    with replay(tmp_path, faults=[Fault.timeout(after=2)], speed=1, clock=clock):
        heard, errors, sent, received = run(_listen, NOBODY, is_async=is_async)
    assert (len(heard), sent.code, sent.reason, received) == (2, 1011, "keepalive ping timeout", None)
    assert errors[0][2] == "sent 1011 (internal error) keepalive ping timeout; no close frame received"
    assert 40 <= clock.time < 41


@KINDS
def test_without_times(sockets, is_async, tmp_path):
    """A recording that says none breaks off all the same."""
    recorded(_until_done, sockets, tmp_path, is_async=is_async)
    (file,) = tmp_path.rglob("*.json")
    file.write_text(re.sub(r'"offsets": .*\n', "", file.read_text()))
    with replay(tmp_path, faults=[Fault.timeout(after=2)], speed=1):
        assert len(run(_listen, NOBODY, is_async=is_async)[0]) == 2


@KINDS
def test_a_slow_connection(sockets, is_async, tmp_path):
    """It is opened late, and its messages come one by one; or too late for the client."""
    live = recorded(talk, sockets, tmp_path, is_async=is_async)
    clock = VirtualClock()
    with replay(tmp_path, faults=[Fault.slow(first=5, between=2)], clock=clock):
        assert run(talk, NOBODY, is_async=is_async) == live
    assert round(clock.time, 3) == 5 + 5 * 2
    clock = VirtualClock()
    with replay(tmp_path, faults=[Fault.slow(first=5)], clock=clock) as session:
        assert run(_open, NOBODY, is_async=is_async)[0][0][0] is TimeoutError
    assert (round(clock.time, 3), session.faults) == (0.3, {"slow": 1})
    with replay(tmp_path, faults=[Fault.slow(first=0.1), Fault.cut(after=1)], clock=clock) as session:
        with pytest.raises(ConnectionClosedError):
            run(talk, NOBODY, is_async=is_async)
    assert session.faults == {"cut": 1, "slow": 1}


@KINDS
def test_faults_happen_to_the_other_variant_too(sockets, is_async, tmp_path):
    """A connection that changes over breaks off at the same place."""
    recorded(talk, sockets, tmp_path, is_async=is_async)
    recorded(_until_done, sockets, tmp_path, is_async=is_async)
    with replay(tmp_path, faults=[Fault.cut(after=2)]):
        assert len(run(_listen, NOBODY, is_async=is_async)[0]) == 2


def test_which_connections_meet_them(sockets, tmp_path):
    """By path, by the query's model, by a predicate of the query; what a connection cannot meet does not happen."""
    recorded(talk, sockets, tmp_path, is_async=False)
    others = [
        Fault.refused(on="/chat/*"),
        Fault.refused(model="other"),
        Fault.refused(when=lambda query: query["model"] != "m"),
        Fault.cut(after=900),
        Fault.no_done(),
        Fault.finish("length"),
        Fault.error_event(),
        Fault.empty(),
        Fault.malformed(),
    ]
    with replay(tmp_path, faults=others) as session:
        run(talk, NOBODY, is_async=False)
    assert (session.faults, session.hits) == ({}, 1)
    for fault in (Fault.refused(on="/realtime"), Fault.refused(model="m"), Fault.refused(when=lambda query: query)):
        with replay(tmp_path, faults=[fault]) as session, pytest.raises(ConnectionRefusedError):
            run(talk, NOBODY, is_async=False)
    with replay(tmp_path, faults=[Fault.refused(when=lambda query: query["none"])]), pytest.raises(InvalidSetting):
        run(talk, NOBODY, is_async=False)


def test_a_miss_is_a_miss(tmp_path):
    """A fault that alters a connection needs a recorded one."""
    with pytest.raises(RecordingNotFound), replay(tmp_path, faults=[Fault.cut(after=1)]):
        run(talk, NOBODY, is_async=False)


@KINDS
def test_while_recording(sockets, is_async, tmp_path, caplog):
    """A fault in the place of a connection happens and is not stored; any other leaves the live connection alone."""
    faults = [Fault.refused(), Fault.cut(after=1), Fault.status(500, when=lambda query: query["none"])]
    with replay(tmp_path / "other", mode="record", faults=faults) as session:
        run(talk, sockets.url, is_async=is_async)
    assert (session.faults, session.recorded) == ({}, 1)
    assert "meets no fault: when= of Fault.status(500" in caplog.text
    with replay(tmp_path, mode="record", faults=faults[:2]) as session:
        with pytest.raises(ConnectionRefusedError):
            run(talk, sockets.url, is_async=is_async)
        assert [*tmp_path.glob("realtime/*")] == []
        live = run(talk, sockets.url, is_async=is_async)
    assert (session.faults, session.recorded) == ({"refused": 1}, 1)
    assert replayed(talk, tmp_path, is_async=is_async) == live
