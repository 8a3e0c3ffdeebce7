"""What a program sees of calls that fail, for every way of calling: what came, and how it ended."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import openai
import pytest
from conftest import ASK, Driver
from misbehaving import Misbehaving
from ways import entered, facts, following, run, settle

from inferencereplay.session.garbage import collect

if TYPE_CHECKING:
    from collections.abc import Callable

KEPT = ("content-type", "x-request-id", "retry-after", "openai-processing-ms", "x-ratelimit-remaining-requests")
FACTS = ("status_code", "body", "message", "code", "param", "type", "request_id")


@pytest.fixture
def network():
    """Serve for one test."""
    server = Misbehaving()
    yield server
    server.stop()


@pytest.fixture
def caller(request, network):
    """Make calls with the kind of client that the test names."""
    return Driver(request.param, network.url)


# What can be told of an outcome.


def told(error: BaseException | None) -> Any:
    """Say what an exception is, and what caused it; what caused the HTTP library's is the socket's own."""
    if error is None:
        return None
    made = [getattr(error, name, None) for name in FACTS]
    response = getattr(error, "response", None)
    answer = None if response is None else (response.status_code, kept(response), response.text)
    cause = error.__cause__ if isinstance(error, openai.OpenAIError) else None
    return type(error), str(error), made, answer, type(cause), str(cause)


def kept(response: Any) -> dict[str, Any]:
    return {name: response.headers.get(name) for name in KEPT}


async def sequence(iterator: Any, got: list[Any]) -> None:
    """Read to the end, or to the error, keeping what came before."""
    try:
        while True:
            got.append(facts(await following(iterator)))
    except StopAsyncIteration:
        return


async def plain(client: Any, got: list[Any]) -> None:
    got.append(facts(await settle(client.chat.completions.create(**ASK))))


async def stream(client: Any, got: list[Any]) -> None:
    made = await settle(client.chat.completions.create(**ASK, stream=True))
    got.append((made.response.status_code, kept(made.response)))
    await sequence(made, got)


async def raw(client: Any, got: list[Any]) -> None:
    made = await settle(client.chat.completions.with_raw_response.create(**ASK))
    got.append((made.status_code, kept(made), made.text))
    got.append(facts(made.parse()))


async def raw_stream(client: Any, got: list[Any]) -> None:
    made = await settle(client.chat.completions.with_raw_response.create(**ASK, stream=True))
    got.append((made.status_code, kept(made)))
    await sequence(made.parse(), got)


async def streaming(client: Any, got: list[Any]) -> None:
    async with entered(client.chat.completions.with_streaming_response.create(**ASK)) as made:
        got.append((made.status_code, kept(made)))
        await sequence(made.iter_lines(), got)


async def streaming_parse(client: Any, got: list[Any]) -> None:
    async with entered(client.chat.completions.with_streaming_response.create(**ASK)) as made:
        got.append(facts(await settle(made.parse())))


async def streaming_stream(client: Any, got: list[Any]) -> None:
    async with entered(client.chat.completions.with_streaming_response.create(**ASK, stream=True)) as made:
        await sequence(await settle(made.parse()), got)


PLAIN = (plain, raw, streaming, streaming_parse)
STREAMED = (stream, raw_stream, streaming_stream)
WAYS = (*PLAIN, *STREAMED)


def outcome(caller: Driver, way: Callable[..., Any], **options: Any) -> Any:
    """Go a way, and return everything that the program saw: what came, and how it ended."""

    async def recorded(client: Any) -> Any:
        got: list[Any] = []
        try:
            await way(client, got)
        except Exception as error:  # noqa: BLE001 - it is compared
            return got, told(error)
        return got, None

    made = run(caller, recorded, **options)
    collect()
    return made
