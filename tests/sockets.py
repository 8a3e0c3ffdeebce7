"""A WebSocket server on loopback, and ways to talk to it live, recorded and replayed."""

from __future__ import annotations

import contextlib
import inspect
import json
import threading
from typing import TYPE_CHECKING, Any

import anyio
import openai
from conftest import cheap
from openai.resources.beta.realtime import realtime  # the one that most versions of the SDK have
from ways import entered, facts, settle
from websockets.sync.server import serve

from inferencereplay import replay
from inferencereplay.recording.format import decode
from inferencereplay.sdk import private

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

KEY = "sk-test-0123456789abcdef"
NOBODY = "ws://127.0.0.1:9/v1"


class Sockets:
    """A WebSocket server; `talk(socket)` is what it does with each connection, and `asked` has their paths."""

    url = ""

    def __init__(self) -> None:
        self.talk = greet
        self.asked: list[str] = []
        self.refusal: tuple[int, str] | None = None

    def answer(self, socket: Any) -> None:
        self.asked.append(socket.request.path)
        self.talk(socket)

    def refuse(self, connection: Any, _: Any) -> Any:
        if self.refusal is None:
            return None
        response = connection.respond(*self.refusal)
        response.headers["x-request-id"] = "req_1"
        return response


def event(kind: str, **more: Any) -> str:
    return json.dumps({"type": kind, "event_id": f"event_{kind}", **more})


def greet(socket: Any) -> None:
    """Greet, and answer each message: `response.create` with three events, any other with one."""
    socket.send(event("session.created", session={"id": "sess_1", "type": "realtime", "object": "realtime.session"}))
    for message in socket:
        kind = json.loads(message).get("type", "")
        if kind == "response.create":
            for index in range(2):
                shared = {"response_id": "r", "item_id": "i", "output_index": 0, "content_index": 0}
                socket.send(event("response.output_text.delta", delta=f"word {index}", **shared))
            socket.send(event("response.done", response={"id": "r", "object": "realtime.response"}))
        else:
            socket.send(event("session.updated", session={"id": "sess_1", "type": "realtime"}))


@contextlib.contextmanager
def serving(refuse: Callable[[Any, Any], Any] | None = None) -> Iterator[Sockets]:
    """Serve WebSockets on loopback."""
    served = Sockets()
    with serve(served.answer, "127.0.0.1", 0, process_request=refuse or served.refuse) as server:
        served.url = f"ws://127.0.0.1:{server.socket.getsockname()[1]}/v1"
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield served
        finally:
            server.shutdown()
            thread.join()


def run(way: Any, url: str, *, is_async: bool, **options: Any) -> Any:
    """Go a way, an async function of a client, with a client of either kind."""
    make = openai.AsyncOpenAI if is_async else openai.OpenAI
    options = {"api_key": KEY, "base_url": "http://127.0.0.1:9/v1", "websocket_base_url": url, **options}

    async def main() -> Any:
        client = make(**options, **cheap(is_async=is_async))
        try:
            return await way(client)
        finally:
            await settle(client.close())

    if is_async:
        return anyio.run(main)
    try:
        main().send(None)
    except StopIteration as stop:
        return stop.value
    raise AssertionError("a synchronous client does not wait")


def manager_of(cls: type, client: Any, **given: Any) -> Any:
    """Make a connection manager as the SDK does."""
    given = {"client": client, "extra_query": {}, "extra_headers": {}, "websocket_connection_options": {}, **given}
    parameters = inspect.signature(cls).parameters.values()
    known = {item.name: given.get(item.name, "m") for item in parameters if item.default is item.empty}
    return cls(**known, **{name: given[name] for name in given.keys() - known.keys()})


def connected(client: Any, **given: Any) -> Any:
    """Return a manager of the connections that most versions of the SDK have."""
    kind = realtime.AsyncRealtimeConnectionManager if private.is_async(client) else realtime.RealtimeConnectionManager
    return entered(manager_of(kind, client, **given))


async def talk(client: Any) -> Any:
    """Hear the greeting, say something, ask for an answer."""
    async with connected(client) as connection:
        heard = [await settle(connection.recv())]
        await settle(connection.send({"type": "session.update", "session": {"instructions": "Be kind."}}))
        heard.append(await settle(connection.recv()))
        await settle(connection.send({"type": "response.create"}))
        heard += [await settle(connection.recv()) for _ in range(3)]
    return facts(heard)


def recorded(way: Any, sockets: Any, directory: Path, *, is_async: bool, **options: Any) -> Any:
    """Go a way live and recorded, and return what came of it."""
    live = run(way, sockets.url, is_async=is_async)
    with replay(directory, mode="record", **options) as session:
        assert run(way, sockets.url, is_async=is_async) == live
        assert session.misses == 0
    return live


def replayed(way: Any, directory: Path, *, is_async: bool, **options: Any) -> Any:
    """Go a way in replay; nobody answers at the address."""
    with replay(directory, **options) as session:
        found = run(way, NOBODY, is_async=is_async)
        assert (session.hits, session.misses) == (1, 0)
    return found


def frames(directory: Path) -> list[Any]:
    """Return the frames of the only recording."""
    (file,) = directory.rglob("*.json")
    return decode(file.read_bytes(), str(file)).response.frames
