"""What connections of newer versions of the SDK can do: queued messages, handlers, a new connection by themselves."""

from __future__ import annotations

import json
from typing import Any

import openai
import pytest
from sockets import NOBODY, event, recorded, replayed, run, serving
from ways import entered, facts, settle

from inferencereplay import replay
from inferencereplay.sdk import private

KINDS = pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])


@pytest.fixture
def sockets():
    """Serve WebSockets on loopback."""
    with serving() as served:
        yield served


def _update(text: str) -> dict[str, Any]:
    return {"type": "session.update", "session": {"type": "realtime", "instructions": text}}


@KINDS
@pytest.mark.parametrize("end", ["drop", "internal error"])
def test_a_lost_connection_is_opened_again(sockets, tmp_path, is_async, end):
    """The handler gets the same, and the program the events of both connections."""

    def talk(socket: Any) -> None:
        socket.send(event("session.created", session={"id": f"s{len(sockets.asked)}"}))
        if len(sockets.asked) % 2 == 0:
            socket.close()
        elif end == "drop":
            socket.socket.shutdown(2)
        else:
            socket.close(1011, "oh")

    sockets.talk = talk

    async def way(client: Any) -> Any:
        codes, heard = [], []

        def again(lost: Any) -> Any:
            codes.append((lost.attempt, lost.close_code))
            return {"extra_query": {"again": "yes"}}

        made = client.realtime.connect(model="m", on_reconnecting=again, initial_delay=0.001)
        async with entered(made) as connection:
            if private.is_async(client):
                heard += [item.type async for item in connection]
            else:
                heard += [item.type for item in connection]
        return codes, heard

    live = run(way, sockets.url, is_async=is_async)
    assert live == ([(1, 1006 if end == "drop" else 1011)], ["session.created"] * 2)
    with replay(tmp_path, mode="record") as session:
        assert run(way, sockets.url, is_async=is_async) == live
    assert session.recorded == 2
    asked = len(sockets.asked)
    with replay(tmp_path) as session:
        assert run(way, NOBODY, is_async=is_async) == live
    assert (session.hits, session.misses) == (2, 0)
    assert [call.query for call in session.calls] == [{"model": "m"}, {"model": "m", "again": "yes"}]
    assert len(sockets.asked) == asked


@KINDS
def test_queued_messages_and_handlers(sockets, tmp_path, is_async):
    """What is queued before the connection is opened is sent at once, and handlers hear the events."""

    def talk(socket: Any) -> None:
        socket.send(event("session.created", session={"id": "s"}))
        socket.recv()
        socket.recv()
        socket.send(event("session.updated", session={"id": "s"}))
        socket.close()

    sockets.talk = talk

    async def way(client: Any) -> Any:
        heard: list[Any] = []
        made = client.realtime.connect(model="m")
        made.send(_update("a"))
        made.on("session.updated", lambda item: heard.append(("updated", item)))
        async with entered(made) as connection:
            connection.on("event", lambda item: heard.append(("any", item)))
            connection.once("session.created", lambda item: heard.append(("created", item)))
            await settle(connection.send_raw(json.dumps(_update("b"))))
            await settle(connection.dispatch_events())
        return [(name, facts(item)) for name, item in heard]

    live = recorded(way, sockets, tmp_path, is_async=is_async)
    assert [name for name, _ in live] == ["created", "any", "updated", "any"]
    assert replayed(way, tmp_path, is_async=is_async) == live


@KINDS
def test_error_events_are_raised_where_nobody_handles_them(sockets, tmp_path, is_async):
    """And are events elsewhere."""

    def talk(socket: Any) -> None:
        socket.send(event("error", error={"type": "invalid_request_error", "message": "no"}))
        socket.recv()

    sockets.talk = talk

    async def way(client: Any) -> Any:
        async with entered(client.realtime.connect(model="m")) as connection:
            with pytest.raises(openai.OpenAIError) as caught:
                await settle(connection.dispatch_events())
        return str(caught.value)

    live = recorded(way, sockets, tmp_path, is_async=is_async)
    assert "no" in live
    assert replayed(way, tmp_path, is_async=is_async) == live


@KINDS
def test_the_responses_api(sockets, tmp_path, is_async):
    """One frame asks, and typed events answer; several requests go over one connection."""

    def talk(socket: Any) -> None:
        for message in socket:
            asked = json.loads(message)
            made = {"id": asked["input"], "object": "response", "model": "m", "output": [], "status": "in_progress"}
            socket.send(json.dumps({"type": "response.created", "sequence_number": 0, "response": made}))
            done = {**made, "status": "completed"}
            socket.send(json.dumps({"type": "response.completed", "sequence_number": 1, "response": done}))

    sockets.talk = talk

    async def way(client: Any) -> Any:
        heard = []
        async with entered(client.responses.connect()) as connection:
            for text in ("a", "b"):
                await settle(connection.response.create(model="m", input=text))
                heard += [await settle(connection.recv()) for _ in range(2)]
        return facts(heard)

    live = recorded(way, sockets, tmp_path, is_async=is_async)
    assert [item[1].type for item in live] == ["response.created", "response.completed"] * 2
    assert replayed(way, tmp_path, is_async=is_async) == live


@KINDS
def test_no_token_is_fetched_in_replay(sockets, tmp_path, is_async):
    """A function that gives the key is called for live connections only."""
    calls = []

    def give() -> str:
        calls.append("asked")
        return "sk-test-" + "0123456789ab" * 2

    async def give_async() -> str:
        return give()

    async def way(client: Any) -> Any:
        async with entered(client.realtime.connect(model="m")) as connection:
            return (await settle(connection.recv())).type

    key = give_async if is_async else give
    with replay(tmp_path, mode="record"):
        run(way, sockets.url, is_async=is_async, api_key=key)
    count = len(calls)
    assert count == 1
    with replay(tmp_path) as session:
        run(way, NOBODY, is_async=is_async, api_key=key)
    assert session.hits == 1
    assert len(calls) == count


@KINDS
def test_azure(sockets, tmp_path, is_async):
    """The deployment and the version are in the query; a token provider is called for live connections only."""
    calls = []

    def give() -> str:
        calls.append("asked")
        return "azure-token-" + "0123456789ab" * 2

    make = openai.AsyncAzureOpenAI if is_async else openai.AzureOpenAI
    fixed = {"azure_endpoint": "https://example.test", "api_version": "2025-01-01", "azure_ad_token_provider": give}

    async def go(url: str) -> Any:
        client = make(**fixed, websocket_base_url=url)
        try:
            async with entered(client.realtime.connect(model="m")) as connection:
                return (await settle(connection.recv())).type
        finally:
            await settle(client.close())

    with replay(tmp_path, mode="record"):
        assert run(lambda _: go(sockets.url), NOBODY, is_async=is_async) == "session.created"
    assert len(calls) == 1
    with replay(tmp_path) as session:
        assert run(lambda _: go(NOBODY), NOBODY, is_async=is_async) == "session.created"
    assert session.calls[0].query == {"api-version": "2025-01-01", "deployment": "m"}
    assert len(calls) == 1
    (file,) = tmp_path.rglob("*.json")
    assert "azure-token" not in file.read_text("utf-8")


@KINDS
def test_bad_json_is_an_error_of_the_program(sockets, tmp_path, is_async):
    """As it is live."""

    def talk(socket: Any) -> None:
        socket.send("{")
        socket.recv()

    sockets.talk = talk

    async def way(client: Any) -> Any:
        async with entered(client.realtime.connect(model="m")) as connection:
            with pytest.raises(json.JSONDecodeError) as caught:
                await settle(connection.recv())
        return str(caught.value)

    live = recorded(way, sockets, tmp_path, is_async=is_async)
    assert replayed(way, tmp_path, is_async=is_async) == live
