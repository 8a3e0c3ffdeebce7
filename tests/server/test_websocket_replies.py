"""WebSocket connections are served as they were recorded, and counted as in Python."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from typing import Any

import pytest
from sockets import NOBODY, connected, event, recorded, run, serving, talk
from ways import settle
from websockets.exceptions import ConnectionClosedError, ConnectionClosedOK, InvalidStatus
from websockets.sync.client import connect

from inferencereplay import replay
from inferencereplay.server import app
from inferencereplay.server.application import Application

KINDS = pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])


@pytest.fixture
def sockets():
    """Serve WebSockets on loopback."""
    with serving() as served:
        yield served


def address(served: Any) -> str:
    return served.url.replace("http:", "ws:")


@KINDS
def test_a_connection_is_served_as_it_was_recorded(sockets, serve, tmp_path, is_async):
    """With the SDK's own events; each connection counts as a hit, and nothing is dialled."""
    live = recorded(talk, sockets, tmp_path, is_async=is_async)
    served = serve(tmp_path)
    asked = len(sockets.asked)
    for _ in range(2):
        assert run(talk, address(served), is_async=is_async) == live
    assert len(sockets.asked) == asked
    assert (served.count("requests"), served.count("hits"), served.count("misses")) == (2, 2, 0)


def test_frames_of_each_kind(sockets, serve, tmp_path):
    """Text, bytes, audio in a side file, and a close with its code and reason."""
    sound = base64.b64encode(bytes(90_000)).decode()

    def answer(socket: Any) -> None:
        socket.recv()
        for message in ("no json", b"\xff\x00", event("response.output_audio.delta", delta=sound)):
            socket.send(message)
        socket.close(4001, "enough")

    async def way(client: Any) -> Any:
        async with connected(client) as connection:
            await settle(connection.send({"type": "response.create"}))
            heard = [await settle(connection.recv_bytes()) for _ in range(3)]
            with pytest.raises(ConnectionClosedError) as caught:
                await settle(connection.recv_bytes())
        return heard, caught.value.rcvd

    sockets.talk = answer
    live = recorded(way, sockets, tmp_path, is_async=False)
    assert run(way, address(serve(tmp_path)), is_async=False) == live


@pytest.mark.parametrize("end", ["a drop", "clean", "without a code", "left"])
def test_how_it_ends(sockets, serve, tmp_path, end):
    """A connection that broke breaks; one that the program left stays open until its client leaves."""

    def answer(socket: Any) -> None:
        socket.send(event("session.created", session={"id": "s"}))
        if end == "a drop":
            socket.socket.shutdown(2)
        elif end == "clean":
            socket.close(1000, "bye")
        elif end == "without a code":
            socket.close(1005)
        else:
            socket.recv()

    async def way(client: Any) -> Any:
        async with connected(client) as connection:
            heard = [json.loads(await settle(connection.recv_bytes()))]
            if end == "left":
                return heard
            with pytest.raises((ConnectionClosedOK, ConnectionClosedError)) as caught:
                await settle(connection.recv_bytes())
        return heard, type(caught.value), caught.value.rcvd and caught.value.rcvd.reason

    sockets.talk = answer
    live = recorded(way, sockets, tmp_path, is_async=False)
    assert run(way, address(serve(tmp_path)), is_async=False) == live


def test_at_its_pace(sockets, serve, tmp_path):
    """The server's frames come when they came after the client's message."""

    def answer(socket: Any) -> None:
        socket.recv()
        time.sleep(0.3)
        socket.send("late")
        socket.close()

    async def way(client: Any) -> Any:
        async with connected(client) as connection:
            await settle(connection.send({"type": "response.create"}))
            start = time.monotonic()
            assert await settle(connection.recv_bytes()) == b"late"
            return time.monotonic() - start

    sockets.talk = answer
    with replay(tmp_path, mode="record"):
        run(way, sockets.url, is_async=False)
    assert run(way, address(serve(tmp_path, speed=1)), is_async=False) > 0.2


async def other(client: Any) -> Any:
    async with connected(client) as connection:
        heard = [await settle(connection.recv_bytes())]
        await settle(connection.send({"type": "session.update", "session": {"instructions": "Be cruel."}}))
        heard.append(await settle(connection.recv_bytes()))
        with pytest.raises(ConnectionClosedError) as caught:
            await settle(connection.recv_bytes())
    return json.loads(heard[-1]), caught.value.rcvd


def test_a_message_that_was_not_recorded(sockets, serve, tmp_path):
    """The client gets an error as the API sends it, and a close; it is a miss."""
    recorded(talk, sockets, tmp_path, is_async=False)
    served = serve(tmp_path)
    told, close = run(other, address(served), is_async=False)
    assert (told["type"], told["error"]["code"]) == ("error", "recording_not_found")
    assert 'session.instructions: "Be kind." → "Be cruel."' in told["error"]["message"]
    assert (close.code, close.reason) == (4404, "recording_not_found")
    assert (served.count("hits"), served.count("misses")) == (1, 1)


def _refused(url: str, **options: Any) -> tuple[int, Any]:
    with pytest.raises(InvalidStatus) as caught, connect(url, **options):
        raise AssertionError("it was opened")
    answer = caught.value.response
    return answer.status_code, json.loads(answer.body)["error"]


def test_a_connection_that_was_not_recorded(sockets, serve, tmp_path):
    """It is refused with the error of a request; so is one of a path that leads out."""
    recorded(talk, sockets, tmp_path, is_async=False)
    served = serve(tmp_path)
    status, error = _refused(f"{address(served)}/realtime?model=other")
    assert (status, error["code"], served.count("misses")) == (404, "recording_not_found", 1)
    assert _refused(f"{address(served)}/a/%2e%2e/realtime?model=m")[0] == 400
    with connect(f"{address(served).removesuffix('/v1')}/realtime?model=m", subprotocols=["realtime", "x"]) as socket:
        assert socket.subprotocol == "realtime"


def test_a_refusal_comes_back(sockets, serve, tmp_path):
    """With its status and its body; a failure before there was an answer is a refusal without one."""
    sockets.refusal = 400, '{"error": {"message": "no"}}'
    for url, name in ((sockets.url, "refused"), (NOBODY, "failed")):
        with pytest.raises(Exception, match=r"."), replay(tmp_path / name, mode="record", record_errors=True):
            run(talk, url, is_async=False)
    served = serve(tmp_path / "refused")
    assert _refused(f"{address(served)}/realtime?model=m") == (400, {"message": "no"})
    with pytest.raises(InvalidStatus, match="403"):
        connect(f"{address(serve(tmp_path / 'failed'))}/realtime?model=m")


def test_a_recording_that_cannot_be_used(sockets, serve, tmp_path):
    recorded(talk, sockets, tmp_path, is_async=False)
    (file,) = tmp_path.rglob("*.json")
    file.write_text(file.read_text().replace('"from": "client"', '"from": "moon"'))
    status, error = _refused(f"{address(serve(tmp_path))}/realtime?model=m")
    assert (status, error["code"]) == (500, "recording_unusable")


@pytest.mark.parametrize("options", [{"mode": "record-if-missing"}, {"live": "/models"}])
def test_they_are_served_in_replay_only(sockets, serve, tmp_path, options):
    recorded(talk, sockets, tmp_path, is_async=False)
    served = serve(tmp_path, upstream="http://127.0.0.1:9/v1", **options)
    status, error = _refused(f"{address(served)}/realtime?model=m")
    assert (status, error["code"]) == (501, "not_served")


def test_who_may_connect(sockets, serve, tmp_path):
    """A key is asked for as of a request; web pages of other origins may not connect: no browser asks for them."""
    recorded(talk, sockets, tmp_path, is_async=False)
    path = "realtime?model=m"
    url = address(serve(tmp_path, api_key="secret"))
    assert _refused(f"{url}/{path}")[0] == 401
    connect(f"{url}/{path}", additional_headers={"Authorization": "Bearer secret"}).close()
    url = address(serve(tmp_path, cors=["http://page"]))
    assert _refused(f"{url}/{path}", origin="http://evil")[0] == 403
    for origin in ("http://page", None):
        connect(f"{url}/{path}", origin=origin).close()
    assert _refused(f"{address(serve(tmp_path))}/{path}", origin="http://page")[0] == 403


def test_named_sessions(sockets, serve, tmp_path):
    """Each begins with the first variant."""
    for word in ("a", "b"):
        sockets.talk = lambda socket, word=word: [socket.send(word), socket.recv()]
        recorded(_hear(word), sockets, tmp_path, is_async=False)
    url = f"{address(serve(tmp_path))}/realtime?model=m"
    for name in ("one", "two"):
        for word in ("a", "b"):
            with connect(url, additional_headers={"x-inferencereplay-session": name}) as socket:
                assert socket.recv() == word


def _hear(word: str) -> Any:
    async def way(client: Any) -> Any:
        async with connected(client) as connection:
            heard = await settle(connection.recv_bytes())
            await settle(connection.send({"type": word}))
            return heard

    return way


@pytest.mark.parametrize("can_answer", [True, False])
def test_in_another_server(sockets, tmp_path, can_answer):
    """A server that cannot send an answer in the place of a connection just refuses it."""
    application = app(tmp_path)
    assert isinstance(application, Application)
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "websocket.connect"}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    scope = {"type": "websocket", "path": "/realtime", "query_string": b"", "headers": []}
    extensions = {"extensions": {"websocket.http.response": {}}} if can_answer else {}
    asyncio.run(application({**scope, **extensions}, receive, send))
    kinds = [message["type"] for message in sent]
    assert kinds == (
        ["websocket.http.response.start", "websocket.http.response.body"] if can_answer else ["websocket.close"]
    )
