"""What a replay costs a program that uses a framework, beside the framework alone.

For each framework that is installed: its call over a replay, over the SDK with an in-memory transport, and over a
`create` that returns an object that was made before. The last is what the framework itself costs.

Usage: `python benchmarks/frameworks.py [NAME …]`, or `nox -s framework_costs`.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import importlib.util
import os
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import answers
import openai
import pydantic
import scenes
from measuring import measure
from openai import _base_client
from openai.resources.chat import completions

from inferencereplay import replay

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

ROUNDS = 60
LIMIT = 80.0
"""Microseconds that a replayed call may take beside what the framework takes alone."""
LIMIT_OF_CHUNK = 6.0
"""The same for each chunk of a stream."""
SAY = "Say hello"
_CLIENT = {"api_key": "sk-benchmark-0123456789", "base_url": "http://memory/v1", "max_retries": 0}


class Person(pydantic.BaseModel):
    """Somebody."""

    name: str
    age: int


class Call(NamedTuple):
    """A framework's call.

    Attributes:
        package: what has to be installed.
        what: the call, for people.
        make: imports the framework, and makes of the SDK's clients what is called.
        chunks: how many chunks it reads.
    """

    package: str
    what: str
    make: Callable[[openai.OpenAI, openai.AsyncOpenAI], Callable[[], Any]]
    chunks: int = 0


def _langchain(client: openai.OpenAI, _: openai.AsyncOpenAI) -> Any:
    from langchain_openai import ChatOpenAI  # noqa: PLC0415 - one framework may be there, and another not

    return ChatOpenAI(model="gpt-4o", http_client=client._client, **_CLIENT)  # noqa: SLF001 - as it was made


def _langchain_invoke(client: openai.OpenAI, other: openai.AsyncOpenAI) -> Callable[[], Any]:
    chat = _langchain(client, other)
    return lambda: chat.invoke(SAY)


def _langchain_stream(client: openai.OpenAI, other: openai.AsyncOpenAI) -> Callable[[], Any]:
    chat = _langchain(client, other)
    return lambda: len(list(chat.stream(SAY)))


def _litellm(client: openai.OpenAI, _: openai.AsyncOpenAI) -> Callable[[], Any]:
    os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # or the import asks the network for a list of prices
    import litellm  # noqa: PLC0415

    messages = [{"role": "user", "content": SAY}]
    return lambda: litellm.completion("openai/gpt-4o", messages, client=client)


def _instructor(client: openai.OpenAI, _: openai.AsyncOpenAI) -> Callable[[], Any]:
    import instructor  # noqa: PLC0415

    asked = instructor.from_openai(client, mode=instructor.Mode.JSON)
    messages: Any = [{"role": "user", "content": SAY}]
    return lambda: asked.create(response_model=Person, model="person", messages=messages)


def _agents(_: openai.OpenAI, client: openai.AsyncOpenAI) -> Callable[[], Any]:
    import agents  # noqa: PLC0415

    agents.set_tracing_disabled(disabled=True)
    agent = agents.Agent(name="a", model=agents.OpenAIChatCompletionsModel("gpt-4o", client))
    loop = asyncio.new_event_loop()
    return lambda: loop.run_until_complete(agents.Runner.run(agent, SAY))


def _pydantic_ai(_: openai.OpenAI, client: openai.AsyncOpenAI) -> Callable[[], Any]:
    from pydantic_ai import Agent  # noqa: PLC0415
    from pydantic_ai.models.openai import OpenAIChatModel  # noqa: PLC0415
    from pydantic_ai.providers.openai import OpenAIProvider  # noqa: PLC0415

    agent = Agent(OpenAIChatModel("gpt-4o", provider=OpenAIProvider(openai_client=client)))
    asyncio.set_event_loop(asyncio.new_event_loop())
    return lambda: agent.run_sync(SAY)


CALLS = (
    Call("langchain_openai", "LangChain `invoke`", _langchain_invoke),
    Call("langchain_openai", f"LangChain `stream`, {answers.CHUNKS} chunks", _langchain_stream, answers.CHUNKS),
    Call("litellm", "LiteLLM `completion`", _litellm),
    Call("instructor", "instructor `create`", _instructor),
    Call("agents", "openai-agents `Runner.run`", _agents),
    Call("pydantic_ai", "pydantic-ai `run_sync`", _pydantic_ai),
)


class ReadyStream:
    """A stream of chunks that were made before, for sync and async code."""

    def __init__(self, chunks: list[Any], response: Any) -> None:
        self._chunks = chunks
        self.response = response

    def __iter__(self) -> Iterator[Any]:
        return iter(self._chunks)

    async def __aiter__(self) -> AsyncIterator[Any]:
        for chunk in self._chunks:
            yield chunk

    def __enter__(self) -> ReadyStream:  # noqa: PYI034 - typing has Self from 3.11 on
        return self

    def __exit__(self, *_: object) -> None:
        """End it."""

    def close(self) -> None:
        """End it, too."""


_METHODS: tuple[tuple[Any, str], ...] = (
    (completions.Completions, "create"),
    (completions.AsyncCompletions, "create"),
    (_base_client.SyncAPIClient, "post"),
    (_base_client.AsyncAPIClient, "post"),
)


class Ready:
    """The SDK's `create`, and the `post` that LiteLLM calls, which can be made to return what they returned before.

    It is put around the SDK's methods before a framework is made, for some frameworks keep bound methods.
    """

    def __init__(self) -> None:
        self._answer: Any = None
        self._is_learning = self._is_answering = False
        for owner, name in _METHODS:
            make = self._around_async if owner.__name__.startswith("Async") else self._around
            setattr(owner, name, make(getattr(owner, name)))

    @contextlib.contextmanager
    def learning(self) -> Iterator[None]:
        """Keep what they return meanwhile."""
        self._is_learning = True
        yield
        self._is_learning = False

    @contextlib.contextmanager
    def answering(self) -> Iterator[None]:
        """Let them return it again meanwhile."""
        self._is_answering = True
        yield
        self._is_answering = False

    def _around(self, create: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(create)
        def call(this: Any, *given: Any, **arguments: Any) -> Any:
            return self._answer if self._is_answering else self._keep(create(this, *given, **arguments))

        return call

    def _around_async(self, create: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(create)
        async def call(this: Any, *given: Any, **arguments: Any) -> Any:
            return self._answer if self._is_answering else self._keep(await create(this, *given, **arguments))

        return call

    def _keep(self, answer: Any) -> Any:
        if self._is_learning:
            is_stream = isinstance(answer, openai.Stream)
            self._answer = answer = ReadyStream(list(answer), answer.response) if is_stream else answer
        return answer


def _clients() -> tuple[openai.OpenAI, openai.AsyncOpenAI]:
    sync, other = (make(transport=scenes.memory()) for make in (scenes.http.Client, scenes.http.AsyncClient))
    return openai.OpenAI(http_client=sync, **_CLIENT), openai.AsyncOpenAI(http_client=other, **_CLIENT)


def row(call: Call, ready: Ready, directory: Path) -> str:
    """Record one call, measure it in three ways in turns, and return a line of the table."""
    run = call.make(*_clients())
    with replay(directory, mode="record"):
        run()
    with replay(directory), ready.learning():
        run()
    around = {"ready": ready.answering, "replay": lambda: replay(directory, mode="replay")}
    medians = measure(dict.fromkeys(("ready", "replay", "sdk"), run), ROUNDS, around=around)
    beside = medians["replay"] - medians["ready"]
    shown = f"{beside:,.0f} µs" if not call.chunks else f"{beside / call.chunks:.1f} µs a chunk"
    limit = f"{LIMIT:.0f} µs" if not call.chunks else f"{LIMIT_OF_CHUNK:.0f} µs a chunk"
    figures = " | ".join(f"{medians[name]:,.0f} µs" for name in ("sdk", "replay", "ready"))
    return f"| {call.what} | {figures} | {shown} | ≤ {limit} | 1/{medians['sdk'] / medians['replay']:.1f} |"


def main(names: list[str]) -> None:
    """Print the table."""
    print("| call | over the SDK | replayed | framework alone | replay beside it | target | replay : SDK |")
    print("|---|---|---|---|---|---|---|")
    ready = Ready()
    for call in CALLS:
        is_wanted = not names or call.package in names
        if is_wanted and importlib.util.find_spec(call.package):
            with tempfile.TemporaryDirectory() as folder:
                print(row(call, ready, Path(folder)), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
