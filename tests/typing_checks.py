"""What type checkers see: `wrap` keeps a client's type, a decorated function its signature. Never executed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator

import openai
from openai import AsyncAzureOpenAI, AsyncOpenAI, AsyncStream, AzureOpenAI, OpenAI, Stream
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from typing_extensions import assert_type

from inferencereplay import Mode, Pace, RecordingNotFound, Session, replay, unwrap, wrap


class Subclass(OpenAI):
    extra: int = 1


assert_type(wrap(OpenAI()), OpenAI)
assert_type(wrap(AsyncOpenAI(), "recordings", mode="record-if-missing", speed=1), AsyncOpenAI)
assert_type(wrap(AzureOpenAI(), mode=Mode.RECORD, speed="inf"), AzureOpenAI)
assert_type(wrap(AsyncAzureOpenAI(), Session("recordings")), AsyncAzureOpenAI)
assert_type(wrap(Subclass(), pace=Pace(first=0.3, between=0.05), ignore=("user",), redact=("secret",)).extra, int)
assert_type(unwrap(wrap(AsyncOpenAI())), AsyncOpenAI)
assert_type(unwrap(Subclass()), Subclass)
wrap(openai)

wrap(OpenAI(), speeed=1)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]  # no such setting
wrap(OpenAI(), pace=0.3)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]  # a Pace is wanted

client = wrap(OpenAI())
chat = client.chat.completions.create(model="m", messages=[])
assert_type(chat, ChatCompletion)
stream = client.chat.completions.create(model="m", messages=[], stream=True)
assert_type(stream, Stream[ChatCompletionChunk])

with replay("recordings") as session:
    assert_type(session, Session)
    assert_type(session.hits, int)
    assert_type(session.misses, int)
    assert_type(session.recorded, int)
    assert_type(session.unused(), list[str])
    assert_type(session.mode, Mode)
    assert_type(session.speed, float)
with replay(session):
    pass


async def use_async_client() -> None:
    async with replay("recordings", mode="record") as inside:
        assert_type(inside, Session)
    client = wrap(AsyncOpenAI())
    chunks = await client.chat.completions.create(model="m", messages=[], stream=True)
    assert_type(chunks, AsyncStream[ChatCompletionChunk])
    assert_type(await coroutine(1), str)


@replay("recordings")
def plain(count: int, *, name: str = "") -> bytes:
    return name.encode() * count


@replay()
async def coroutine(count: int) -> str:
    return str(count)


@replay("recordings", speed=10)
def generator(count: int) -> Iterator[int]:
    yield count


@replay("recordings")
async def async_generator(count: int) -> AsyncIterator[int]:
    yield count


class Case:
    @replay("recordings")
    def method(self, count: int) -> float:
        return float(count)


assert_type(plain(1, name="a"), bytes)
assert_type(generator(1), Iterator[int])
assert_type(async_generator(1), AsyncIterator[int])
assert_type(Case().method(1), float)
kept: Callable[[int], Iterator[int]] = generator

plain("1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]  # the parameters are checked


def read(error: RecordingNotFound) -> None:
    assert_type(error.path, str)
    assert_type(error.key, str)
