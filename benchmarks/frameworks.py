"""What a replay costs a program that uses a framework, beside the framework alone.

For each framework that is installed: its call over a replay, over the SDK with an in-memory transport, and over a
`create` that returns an object that was made before. The last is what the framework itself costs. It takes turns with
the replay, call by call. One request is asked again and again, and many are asked once, in a new session every 20
calls. All times are processor time of the calling thread.

Usage: `python benchmarks/frameworks.py [NAME …]`, or `nox -s framework_costs`.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import gc
import importlib.util
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import answers
import openai
import pydantic
import scenes
from openai import _base_client
from openai.resources.chat import completions

from inferencereplay import replay

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Iterator

    Ask = Callable[[str], Any]

SESSIONS = 12
CALLS_OF_SESSION = 20
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
        make: imports the framework, and makes of the SDK's clients what is called with a text.
        chunks: how many chunks it reads.
        is_posted: whether it calls `post` of the client in the place of `create`.
    """

    package: str
    what: str
    make: Callable[[openai.OpenAI, openai.AsyncOpenAI], Ask]
    chunks: int = 0
    is_posted: bool = False


def _langchain(client: openai.OpenAI, _: openai.AsyncOpenAI) -> Any:
    from langchain_openai import ChatOpenAI  # noqa: PLC0415 - one framework may be there, and another not

    return ChatOpenAI(model="gpt-4o", http_client=client._client, **_CLIENT)  # noqa: SLF001 - as it was made


def _langchain_invoke(client: openai.OpenAI, other: openai.AsyncOpenAI) -> Ask:
    chat = _langchain(client, other)
    return chat.invoke


def _langchain_stream(client: openai.OpenAI, other: openai.AsyncOpenAI) -> Ask:
    chat = _langchain(client, other)
    return lambda text: len(list(chat.stream(text)))


def _litellm(client: openai.OpenAI, _: openai.AsyncOpenAI) -> Ask:
    os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # or the import asks the network for a list of prices
    import litellm  # noqa: PLC0415

    return lambda text: litellm.completion("openai/gpt-4o", _messages(text), client=client)


def _messages(text: str) -> list[Any]:
    return [{"role": "user", "content": text}]


def _instructor(client: openai.OpenAI, _: openai.AsyncOpenAI) -> Ask:
    import instructor  # noqa: PLC0415

    asked = instructor.from_openai(client, mode=instructor.Mode.JSON)
    return lambda text: asked.create(response_model=Person, model="person", messages=_messages(text))


def _agents(_: openai.OpenAI, client: openai.AsyncOpenAI) -> Ask:
    import agents  # noqa: PLC0415

    agents.set_tracing_disabled(disabled=True)
    agent = agents.Agent(name="a", model=agents.OpenAIChatCompletionsModel("gpt-4o", client))
    loop = asyncio.new_event_loop()
    return lambda text: loop.run_until_complete(agents.Runner.run(agent, text))


def _pydantic_ai(_: openai.OpenAI, client: openai.AsyncOpenAI) -> Ask:
    from pydantic_ai import Agent  # noqa: PLC0415
    from pydantic_ai.models.openai import OpenAIChatModel  # noqa: PLC0415
    from pydantic_ai.providers.openai import OpenAIProvider  # noqa: PLC0415

    agent = Agent(OpenAIChatModel("gpt-4o", provider=OpenAIProvider(openai_client=client)))
    asyncio.set_event_loop(asyncio.new_event_loop())
    return agent.run_sync


CALLS = (
    Call("langchain_openai", "LangChain `invoke`", _langchain_invoke),
    Call("langchain_openai", f"LangChain `stream`, {answers.CHUNKS} chunks", _langchain_stream, answers.CHUNKS),
    Call("litellm", "LiteLLM `completion`", _litellm, is_posted=True),
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


_CREATES = (completions.Completions, completions.AsyncCompletions)
_POSTS = (_base_client.SyncAPIClient, _base_client.AsyncAPIClient)


class Ready:
    """The SDK's `create`, and the `post` that LiteLLM calls, which can be made to return what they returned before.

    `create` is wrapped before a framework is made, for some frameworks keep bound methods. `post` is wrapped only for
    who calls it: where another library wraps it, a replay of `create` has to go through it.
    """

    def __init__(self) -> None:
        self._answer: Any = None
        self._is_learning = False
        self.is_answering = False
        for owner in _CREATES:
            owner.create = self._wrapper(owner, owner.create)

    @contextlib.contextmanager
    def learning(self) -> Iterator[None]:
        """Keep what they return meanwhile."""
        self._is_learning = True
        yield
        self._is_learning = False

    @contextlib.contextmanager
    def posting(self) -> Iterator[None]:
        """Wrap `post`, too."""
        originals = [owner.post for owner in _POSTS]
        for owner, post in zip(_POSTS, originals, strict=True):
            owner.post = self._wrapper(owner, post)
        yield
        for owner, post in zip(_POSTS, originals, strict=True):
            owner.post = post

    def _wrapper(self, owner: Any, method: Callable[..., Any]) -> Any:
        return (self._around_async if owner.__name__.startswith("Async") else self._around)(method)

    def _around(self, create: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(create)
        def call(this: Any, *given: Any, **arguments: Any) -> Any:
            return self._answer if self.is_answering else self._keep(create(this, *given, **arguments))

        return call

    def _around_async(self, create: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(create)
        async def call(this: Any, *given: Any, **arguments: Any) -> Any:
            return self._answer if self.is_answering else self._keep(await create(this, *given, **arguments))

        return call

    def _keep(self, answer: Any) -> Any:
        if self._is_learning:
            is_stream = isinstance(answer, openai.Stream)
            self._answer = answer = ReadyStream(list(answer), answer.response) if is_stream else answer
        return answer


def _clients() -> tuple[openai.OpenAI, openai.AsyncOpenAI]:
    sync, other = (make(transport=scenes.memory()) for make in (scenes.http.Client, scenes.http.AsyncClient))
    return openai.OpenAI(http_client=sync, **_CLIENT), openai.AsyncOpenAI(http_client=other, **_CLIENT)


class Taken(NamedTuple):
    """Median microseconds of a call.

    Attributes:
        replay: over a replay.
        ready: over a `create` that returns an object that was made before.
    """

    replay: float
    ready: float

    def beside(self, chunks: int) -> str:
        """Say what the replay takes beside the framework."""
        more = self.replay - self.ready
        return f"{more:,.0f} µs" if not chunks else f"{more / chunks:.1f} µs a chunk"


def _take_turns(ask: Ask, ready: Ready, directory: Path, sessions: Iterable[Iterable[str]]) -> Taken:
    """Ask texts, some in each session; every text twice, over a replay and over an object that is ready."""
    samples: dict[bool, list[float]] = {False: [], True: []}
    for texts in sessions:
        with replay(directory, mode="replay"):
            gc.collect()
            gc.disable()
            for number, text in enumerate(texts):
                for is_ready in (False, True) if number % 2 else (True, False):
                    ready.is_answering = is_ready
                    samples[is_ready].append(_microseconds(ask, text))
            ready.is_answering = False
            gc.enable()
    return Taken(statistics.median(samples[False]), statistics.median(samples[True]))


def _microseconds(ask: Ask, text: str) -> float:
    start = time.thread_time()
    ask(text)
    return (time.thread_time() - start) * 1e6


def row(call: Call, ready: Ready, directory: Path) -> str:
    """Record one call, measure it, and return a line of the table."""
    ask = call.make(*_clients())
    count = CALLS_OF_SESSION if not call.chunks else CALLS_OF_SESSION // 4
    sessions = [[f"{SAY} {session} {number}" for number in range(count)] for session in range(SESSIONS)]
    with replay(directory, mode="record"):
        for text in (SAY, *(text for texts in sessions for text in texts)):
            ask(text)
    with replay(directory, mode="replay"), ready.learning():
        ask(SAY)
    time.sleep(0.2)  # a file that has just been written is read again each time
    once = _take_turns(ask, ready, directory, sessions)
    again = _take_turns(ask, ready, directory, [[SAY] * count] * SESSIONS)
    sdk = statistics.median(_microseconds(ask, SAY) for _ in range(count * SESSIONS))
    limit = f"{LIMIT:.0f} µs" if not call.chunks else f"{LIMIT_OF_CHUNK:.0f} µs a chunk"
    figures = " | ".join(f"{figure:,.0f} µs" for figure in (sdk, again.replay, again.ready))
    beside = " | ".join(taken.beside(call.chunks) for taken in (again, once))
    return f"| {call.what} | {figures} | {beside} | ≤ {limit} | 1/{sdk / again.replay:.1f} |"


def main(names: list[str]) -> None:
    """Print the table."""
    print(
        "| call | over the SDK | replayed | framework alone | beside it, again | asked once | target | replay : SDK |"
    )
    print("|---|---|---|---|---|---|---|---|")
    ready = Ready()
    for call in CALLS:
        is_wanted = not names or call.package in names
        if is_wanted and importlib.util.find_spec(call.package):
            posting = ready.posting if call.is_posted else contextlib.nullcontext
            with tempfile.TemporaryDirectory() as folder, posting():
                print(row(call, ready, Path(folder)), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
