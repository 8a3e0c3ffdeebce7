"""WebSockets: refused in replay, let through with one warning while recording."""

from __future__ import annotations

import importlib
import inspect
import json
import re
import threading
from pathlib import Path
from typing import Any

import anyio
import openai
import pytest
from conftest import cheap
from openai.resources.beta.realtime import realtime  # the one that most versions of the SDK have
from ways import entered, settle
from websockets.sync.server import serve

from inferencereplay import NotRecordable, replay, wrap
from inferencereplay.sdk import private

RESOURCES = Path(openai.__file__).parent / "resources"
MANAGERS = [
    manager
    for name in private.WEBSOCKET_MODULES
    if (RESOURCES.parent / Path(*name.split(".")[1:])).with_suffix(".py").exists()
    for manager in private.connection_managers(importlib.import_module(name))
]


@pytest.fixture
def sockets():
    """Serve WebSockets that say what was asked for; the second item counts the connections."""
    asked: list[str] = []

    def answer(socket: Any) -> None:
        asked.append(socket.request.path)
        socket.send(json.dumps({"type": "error", "event_id": "e", "error": {"message": "hello", "type": "x"}}))

    with serve(answer, "127.0.0.1", 0) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"ws://127.0.0.1:{server.socket.getsockname()[1]}/v1", asked
        server.shutdown()
        thread.join()


def _manager(cls: type, client: Any) -> Any:
    """Make a connection manager as the SDK does."""
    given: dict[str, Any] = {"client": client, "extra_query": {}, "extra_headers": {}}
    given["websocket_connection_options"] = {}
    parameters = inspect.signature(cls).parameters.values()
    return cls(**{item.name: given.get(item.name, "m") for item in parameters if item.default is item.empty})


def _client(cls: type) -> Any:
    is_async = "__aenter__" in cls.__dict__
    make = openai.AsyncOpenAI if is_async else openai.OpenAI
    return make(api_key="sk-test-0123456789abcdef", base_url="http://127.0.0.1:9/v1", **cheap(is_async=is_async))


@pytest.mark.parametrize("manager", MANAGERS, ids=lambda cls: f"{cls.__module__}.{cls.__name__}")
@pytest.mark.parametrize("is_entered", [True, False])
def test_every_connection_of_the_sdk_is_refused_in_replay(tmp_path, manager, is_entered):
    """No connection of any kind is opened, however it is opened, and the error names the endpoint."""
    made = _manager(manager, _client(manager))

    async def connect() -> None:
        if is_entered:
            async with entered(made):
                raise AssertionError("it was opened")
        await settle(made.enter())

    with pytest.raises(NotRecordable, match=r"WEBSOCKET /\w+.* is not recordable: it is a connection"):
        with replay(tmp_path) as session:
            anyio.run(connect)
    assert session.misses == 1


def test_every_module_that_opens_connections_is_known():
    """A version of the SDK that opens them elsewhere too would be noticed."""
    found = {
        "openai.resources." + ".".join(file.relative_to(RESOURCES).with_suffix("").parts)
        for file in RESOURCES.rglob("*.py")
        if re.search(r"^class \w*ConnectionManager\b", file.read_text("utf-8"), re.MULTILINE)
    }
    assert found <= set(private.WEBSOCKET_MODULES)
    assert len(MANAGERS) >= 2 * len(found)


def test_connections_are_let_through_with_one_warning_while_recording(sockets, tmp_path, caplog):
    """While recording a connection is what it is without us, and a warning says, once, that it is not kept."""
    url, asked = sockets
    with openai.OpenAI(api_key="sk-test-0123456789abcdef", websocket_base_url=url, **cheap()) as client:
        with replay(tmp_path, mode="record") as session:
            for _ in range(2):
                with _manager(realtime.RealtimeConnectionManager, client) as connection:
                    assert connection.recv().error.message == "hello"
        assert (session.recorded, session.misses) == (0, 0)
        assert [record.message for record in caplog.records if record.name == "inferencereplay"] == [
            "WEBSOCKET /realtime is not recordable and goes to the network: it is a connection for many messages"
        ]
        with _manager(realtime.RealtimeConnectionManager, client) as connection:
            assert connection.recv().error.message == "hello"
        with wrap(client, tmp_path), pytest.raises(NotRecordable):
            _manager(realtime.RealtimeConnectionManager, client).enter()
        with replay(tmp_path, mode="live"), _manager(realtime.RealtimeConnectionManager, client) as connection:
            assert connection.recv().error.message == "hello"
        with replay(tmp_path, live="/realtime") as session:
            with _manager(realtime.RealtimeConnectionManager, client) as connection:
                assert connection.recv().error.message == "hello"
        assert [(call.outcome, call.method, call.path) for call in session.calls] == [
            ("live", "WEBSOCKET", "/realtime")
        ]
    assert len(asked) == 5
    assert len(caplog.records) == 1


@pytest.mark.parametrize("backend", ["asyncio"])  # the SDK's connections are asyncio's
def test_asynchronous_connections_are_let_through(sockets, tmp_path, backend):
    """An asynchronous connection is opened as well."""
    url, asked = sockets

    async def connect() -> None:
        options = cheap(is_async=True)
        async with openai.AsyncOpenAI(api_key="sk-test-0123456789abcdef", websocket_base_url=url, **options) as client:
            with replay(tmp_path, mode="record"):
                async with _manager(realtime.AsyncRealtimeConnectionManager, client) as connection:
                    assert (await connection.recv()).error.message == "hello"
                # Another library's patch may have kept the function as it stands in the class.
                made = _manager(realtime.AsyncRealtimeConnectionManager, client)
                connection = await realtime.AsyncRealtimeConnectionManager.enter(made)
                await connection.recv()
                await connection.close()

    anyio.run(connect, backend=backend)
    assert len(asked) == 2
