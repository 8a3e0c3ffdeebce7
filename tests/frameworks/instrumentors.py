"""What instrumentors have in common: the calls that they see, and the orders in which the patches come and go.

What an instrumentor tells of a call has to be the same live, recorded and replayed, whether it was put on before the
`with replay(...)` or inside, and while it is there it has to see each call; whichever of the two is taken off first.
"""

from __future__ import annotations

import inspect
import tempfile
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import openai
import pydantic
from answers import NO_MODEL
from harness import KEY, MODEL
from openai.resources.chat.completions import AsyncCompletions, Completions
from openai.resources.embeddings import AsyncEmbeddings, Embeddings
from openai.resources.responses import AsyncResponses, Responses

from inferencereplay import replay

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from fake_server import FakeServer
    from harness import Suite

ASK: dict[str, Any] = {"model": MODEL, "messages": [{"role": "user", "content": "Hello"}]}
SAY: dict[str, Any] = {"model": MODEL, "input": "Hello"}
TOOL = {"name": "weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}}
METHODS = [
    *((client, "request") for client in (openai.OpenAI, openai.AsyncOpenAI)),
    *((cls, "create") for cls in (Embeddings, AsyncEmbeddings)),
    *(
        (cls, name)
        for cls in (Completions, AsyncCompletions, Responses, AsyncResponses)
        for name in ("create", "parse")
    ),
]
"""What is wrapped, by them or by us."""
ORDERS = (
    "instrument, enter, exit, uninstrument",
    "instrument, enter, uninstrument, exit",
    "enter, instrument, exit, uninstrument",
    "enter, instrument, uninstrument, exit",
)


class Person(pydantic.BaseModel):
    """Somebody."""

    name: str
    age: int


class Clients(NamedTuple):
    """One client of each kind."""

    sync: openai.OpenAI
    asynchronous: openai.AsyncOpenAI


class Instrumentor(Protocol):
    """Puts another library's wrappers on and takes them off again, and tells what they saw."""

    def put_on(self, clients: Clients) -> None:
        """Wrap what the library wraps."""

    def take_off(self, clients: Clients) -> None:
        """Undo it."""

    def traced(self) -> list[Any]:
        """Return what was traced since the last time, without times and ids."""


def make_clients(url: str) -> Clients:
    """Make clients of a server."""
    options: dict[str, Any] = {"base_url": url, "api_key": KEY, "max_retries": 0}
    return Clients(openai.OpenAI(**options), openai.AsyncOpenAI(**options))


def read(stream: Any) -> list[Any]:
    """Read a stream to its end."""
    return list(stream)


def fail(client: openai.OpenAI) -> Any:
    """Ask for a model that there is not, and return the error."""
    try:
        return client.chat.completions.create(**{**ASK, "model": NO_MODEL})
    except openai.NotFoundError as error:
        return error


def converse(client: openai.OpenAI) -> Any:
    """Let the model call a tool, and tell it what that returned."""
    tools: Any = [{"type": "function", "function": TOOL}]
    first = client.chat.completions.create(**ASK, tools=tools)
    message: Any = first.choices[0].message
    told = {"role": "tool", "tool_call_id": message.tool_calls[0].id, "content": "sun"}
    return first, client.chat.completions.create(**{**ASK, "messages": [*ASK["messages"], message, told]}, tools=tools)


def stream_helper(client: openai.OpenAI) -> Any:
    """Use the SDK's own helper for streams."""
    with client.chat.completions.stream(**ASK, response_format=Person) as stream:
        return [event.type for event in stream], stream.get_final_completion()


CALLS: dict[str, Callable[[openai.OpenAI], Any]] = {
    "plain": lambda client: client.chat.completions.create(**ASK),
    "plain, raw response": lambda client: client.chat.completions.with_raw_response.create(**ASK).parse(),
    "plain, error": fail,
    "streamed": lambda client: read(client.chat.completions.create(**ASK, stream=True)),
    "streamed, with usage": lambda client: read(
        client.chat.completions.create(**ASK, stream=True, stream_options={"include_usage": True})
    ),
    "tools": converse,
    "tools, streamed": lambda client: read(
        client.chat.completions.create(**ASK, stream=True, tools=[{"type": "function", "function": TOOL}])  # type: ignore[list-item]
    ),
    "structured output": lambda client: client.chat.completions.parse(**ASK, response_format=Person),
    "structured output, streamed": stream_helper,
    "Responses API, plain": lambda client: client.responses.create(**SAY),
    "Responses API, streamed": lambda client: read(client.responses.create(**SAY, stream=True)),
    "Responses API, structured output": lambda client: client.responses.parse(**SAY, text_format=Person),
    "embeddings": lambda client: client.embeddings.create(model="e", input=["a", "b"]),
}


async def read_async(stream: Awaitable[Any]) -> list[Any]:
    """Read a stream to its end."""
    return [item async for item in await stream]


async def fail_async(client: openai.AsyncOpenAI) -> Any:
    """Ask for a model that there is not, and return the error."""
    try:
        return await client.chat.completions.create(**{**ASK, "model": NO_MODEL})
    except openai.NotFoundError as error:
        return error


ASYNC_CALLS: dict[str, Callable[[openai.AsyncOpenAI], Any]] = {
    "async": lambda client: client.chat.completions.create(**ASK),
    "async, error": fail_async,
    "async streamed": lambda client: read_async(client.chat.completions.create(**ASK, stream=True)),
    "tools, async streamed": lambda client: read_async(
        client.chat.completions.create(**ASK, stream=True, tools=[{"type": "function", "function": TOOL}])  # type: ignore[list-item]
    ),
    "structured output, async": lambda client: client.chat.completions.parse(**ASK, response_format=Person),
    "Responses API, async": lambda client: client.responses.create(**SAY),
    "Responses API, async streamed": lambda client: read_async(client.responses.create(**SAY, stream=True)),
    "embeddings, async": lambda client: client.embeddings.create(model="e", input=["a", "b"]),
}


def add(suite: Suite, instrumentor: Instrumentor, *, untraced: str = "") -> None:
    """Let a suite make every call under an instrumentor, and put it on and take it off in every order.

    Args:
        suite: of the instrumentor.
        instrumentor: what it is.
        untraced: the word that is in the names of calls that the library does not trace; that it does not is checked.
    """

    def make(url: str) -> Clients:
        clients = make_clients(url)
        instrumentor.traced()
        instrumentor.put_on(clients)
        return clients

    def seen(name: str, value: Any) -> Any:
        traced = instrumentor.traced()
        if bool(traced) is bool(untraced and untraced in name):
            raise AssertionError(f"{name}: traced {traced}")
        return value, traced

    for name, call in CALLS.items():

        @suite.capability(name, make)
        def sync(clients: Clients, name: Any = name, call: Any = call) -> Any:
            try:
                return seen(name, call(clients.sync))
            finally:
                instrumentor.take_off(clients)

    for name, call in ASYNC_CALLS.items():

        @suite.capability(name, make)
        async def asynchronous(clients: Clients, name: Any = name, call: Any = call) -> Any:
            try:
                return seen(name, await call(clients.asynchronous))
            finally:
                instrumentor.take_off(clients)

    for order in ORDERS:

        @suite.check(order)
        async def in_order(server: FakeServer, order: str = order) -> None:
            await follow(order, server, instrumentor)


STEP_CALLS = ("plain", "streamed", "structured output"), ("async", "async streamed", "structured output, async")
"""The calls that are made after each step; every instrumentor sees them."""


async def follow(order: str, server: FakeServer, instrumentor: Instrumentor) -> None:
    """Put both on and take them off in one order, and make calls after each step.

    Raises:
        AssertionError: if a call is not answered, or not seen, as it should be, or something is left behind.
    """
    clients = make_clients(server.url)
    found = methods(clients)
    with tempfile.TemporaryDirectory() as directory:
        with replay(directory, mode="record"):
            await use(clients)
        block = replay(directory)
        steps: dict[str, Callable[[], Any]] = {
            "enter": block.__enter__,
            "exit": lambda: block.__exit__(None, None, None),
            "instrument": lambda: instrumentor.put_on(clients),
            "uninstrument": lambda: instrumentor.take_off(clients),
        }
        present: set[str] = set()
        for step in order.split(", "):
            steps[step]()
            present ^= {{"exit": "enter", "uninstrument": "instrument"}.get(step, step)}
            instrumentor.traced()
            before = len(server.requests)
            number = await use(clients)
            sent, traced = len(server.requests) - before, len(instrumentor.traced())
            is_seen = traced >= number if "instrument" in present else traced == 0
            if sent != (0 if "enter" in present else number) or not is_seen:
                raise AssertionError(f"after {step}: of {number} calls {sent} reached the server, {traced} were traced")
    if methods(clients) != found:
        raise AssertionError("the SDK's methods are not as they were found")


async def use(clients: Clients) -> int:
    """Make some calls, and return how many."""
    names, async_names = STEP_CALLS
    for name in names:
        CALLS[name](clients.sync)
    for name in async_names:
        await ASYNC_CALLS[name](clients.asynchronous)
    return len(names) + len(async_names)


def methods(clients: Clients) -> list[Any]:
    """Return the SDK's methods as they stand in the classes, and what stands in the clients' own dictionaries."""
    own = [sorted(vars(part)) for client in clients for part in (client.chat.completions, client.responses)]
    return [*(inspect.getattr_static(owner, name) for owner, name in METHODS), *own]
