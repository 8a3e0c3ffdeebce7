"""The ways of calling the SDK, each written once for clients of every kind; each returns plain facts to compare."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

import anyio
import openai
import pydantic
from conftest import ASK, Driver, Reply, cheap, chunk, completion, plain, sse
from openai.types.chat import ChatCompletion

if TYPE_CHECKING:
    from collections.abc import Callable

DEAD = "http://127.0.0.1:9/v1"
"""A base URL where nobody answers."""
KEPT = ("content-type", "x-request-id")


class Person(pydantic.BaseModel):
    name: str
    age: int


async def settle(value: Any) -> Any:
    """Await what has to be awaited."""
    return await value if inspect.isawaitable(value) else value


async def items(stream: Any) -> list[Any]:
    """Read to the end."""
    return [item async for item in stream] if hasattr(stream, "__aiter__") else list(stream)


async def following(stream: Any) -> Any:
    """Read one."""
    if hasattr(stream, "__anext__"):
        return await stream.__anext__()
    try:
        return next(stream)
    except StopIteration:  # which no coroutine may raise
        raise StopAsyncIteration from None


class entered:  # noqa: N801 - used like a function
    """Enter a context manager of either kind."""

    def __init__(self, manager: Any) -> None:
        self.manager = manager

    async def __aenter__(self) -> Any:
        if hasattr(self.manager, "__aenter__"):
            return await self.manager.__aenter__()
        return self.manager.__enter__()

    async def __aexit__(self, *error: object) -> Any:
        if hasattr(self.manager, "__aexit__"):
            return await self.manager.__aexit__(*error)
        return self.manager.__exit__(*error)


def run(driver: Driver, way: Callable[[Any], Any], **options: Any) -> Any:
    """Make a client of the driver's kind and go `way` with it."""
    options = {"api_key": "sk-test-0123456789abcdef", "base_url": driver.url, "max_retries": 0, **options}
    options = {**cheap(is_async=driver.is_async), **options}

    async def main() -> Any:
        client = openai.AsyncOpenAI(**options) if driver.is_async else openai.OpenAI(**options)
        try:
            return await way(client)
        finally:
            await settle(client.close())

    if driver.is_async:
        return anyio.run(main, backend=driver.kind)
    try:
        main().send(None)
    except StopIteration as stop:
        return stop.value
    raise AssertionError("a synchronous client does not wait")


def facts(value: Any) -> Any:
    """Say what an object is, as far as anybody could tell it from another."""
    if isinstance(value, pydantic.BaseModel):
        known = value.model_fields_set & type(value).model_fields.keys()
        return type(value), value, value.model_dump(), known, value.to_dict(), getattr(value, "_request_id", None)
    if isinstance(value, list):
        return [facts(item) for item in value]
    return value


def headers(response: Any) -> dict[str, str]:
    """Return the headers that recordings keep."""
    return {name: response.headers.get(name) for name in KEPT}


def error_facts(error: BaseException) -> Any:
    """Say what an exception is."""
    names = ("status_code", "body", "request_id", "code", "param", "type", "message")
    made = [getattr(error, name, None) for name in names]
    response = getattr(error, "response", None)
    return type(error), str(error), made, None if response is None else (headers(response), response.text)


async def create(client: Any) -> Any:
    return facts(await settle(client.chat.completions.create(**ASK)))


async def text(client: Any) -> Any:
    return facts(await settle(client.completions.create(model="m", prompt="Once")))


async def stream(client: Any) -> Any:
    made = await settle(client.chat.completions.create(**ASK, stream=True))
    return type(made), headers(made.response), made.response.status_code, facts(await items(made))


async def text_stream(client: Any) -> Any:
    made = await settle(client.completions.create(model="m", prompt="Once", stream=True))
    return type(made), facts(await items(made))


async def stream_with(client: Any) -> Any:
    async with entered(await settle(client.chat.completions.create(**ASK, stream=True))) as made:
        first = await following(made)
    return facts(first)


async def parse(client: Any) -> Any:
    chat = client.chat.completions
    chat = chat if hasattr(chat, "parse") else client.beta.chat.completions
    made = await settle(chat.parse(**ASK, response_format=Person))
    return type(made), made, made.choices[0].message.parsed, getattr(made, "_request_id", None)


async def stream_helper(client: Any) -> Any:
    chat = client.chat.completions
    chat = chat if hasattr(chat, "stream") else client.beta.chat.completions
    async with entered(chat.stream(**ASK)) as made:
        events = [event.type for event in await items(made)]
        return events, facts(await settle(made.get_final_completion()))


async def raw(client: Any) -> Any:
    made = await settle(client.chat.completions.with_raw_response.create(**ASK))
    told = (type(made), headers(made), made.text, made.status_code, made.request_id, made.http_version)
    return told, made.elapsed.total_seconds() > 0, facts(made.parse()), getattr(made, "retries_taken", 0)


async def raw_stream(client: Any) -> Any:
    made = await settle(client.chat.completions.with_raw_response.create(**ASK, stream=True))
    return type(made), headers(made), facts(await items(made.parse()))


def streaming(read: str) -> Callable[[Any], Any]:
    async def way(client: Any) -> Any:
        manager = client.chat.completions.with_streaming_response.create(**ASK)
        async with entered(manager) as made:
            value = getattr(made, read)()
            is_many = hasattr(value, "__next__") or hasattr(value, "__anext__")
            value = await items(value) if is_many else await settle(value)
            if read == "iter_bytes":
                value = b"".join(value)
            return type(made), headers(made), made.status_code, facts(value)

    return way


async def streaming_stream(client: Any) -> Any:
    async with entered(client.chat.completions.with_streaming_response.create(**ASK, stream=True)) as made:
        return facts(await items(await settle(made.parse())))


async def streaming_lines(client: Any) -> Any:
    async with entered(client.chat.completions.with_streaming_response.create(**ASK, stream=True)) as made:
        return await items(made.iter_lines())


async def post(client: Any) -> Any:
    return facts(await settle(client.post("/chat/completions", body=ASK, cast_to=ChatCompletion)))


async def post_object(client: Any) -> Any:
    return await settle(client.post("chat/completions", body=ASK, cast_to=object))


async def embeddings(client: Any) -> Any:
    return facts(await settle(client.embeddings.create(model="m", input=["a", "b"])))


async def models(client: Any) -> Any:
    page = client.models.list()
    return [facts(item) for item in await items(page)]


async def extras(client: Any) -> Any:
    more = {"extra_body": {"top_k": 3, "temperature": 1}, "extra_query": {"a": [1, 2], "b": "ä"}}
    return facts(await settle(client.chat.completions.create(**ASK, **more, extra_headers={"x-mine": "1"})))


ANSWER = plain(completion("Äh 😀"))
PARSED = plain(completion('{"name": "Ann", "age": 3}'))
STREAM = sse(chunk("Ä"), chunk("b", x_unknown=1), chunk(None, "stop"))
TEXT = {"id": "t", "object": "text_completion", "created": 1, "model": "m"}
TEXT["choices"] = [{"index": 0, "text": "x", "finish_reason": "stop", "logprobs": None}]
VECTOR = {"object": "embedding", "index": 0, "embedding": [0.25, 1]}
VECTORS = plain({"object": "list", "model": "m", "data": [VECTOR], "usage": {"prompt_tokens": 1, "total_tokens": 1}})
MODELS = plain({"object": "list", "data": [{"id": "a", "object": "model", "created": 1, "owned_by": "x"}]})

WAYS: dict[str, tuple[Callable[[Any], Any], Reply]] = {
    "create": (create, ANSWER),
    "create, the answer indented": (create, Reply(body=b'{\n  "id": "x",\n  "choices": []\n}')),
    "create, no choices and nulls": (create, plain({"id": None, "choices": None, "created": None})),
    "text": (text, plain(TEXT)),
    "stream": (stream, STREAM),
    "text stream": (text_stream, sse(TEXT, TEXT)),
    "stream, half of it": (stream_with, STREAM),
    "parse": (parse, PARSED),
    "stream()": (stream_helper, STREAM),
    "raw": (raw, ANSWER),
    "raw stream": (raw_stream, STREAM),
    **{
        f"streaming, {read}": (streaming(read), ANSWER)
        for read in ("iter_lines", "iter_bytes", "read", "json", "parse")
    },
    "streaming stream": (streaming_stream, STREAM),
    "streaming stream, lines": (streaming_lines, STREAM),
    "post": (post, ANSWER),
    "post, object": (post_object, ANSWER),
    "embeddings": (embeddings, VECTORS),
    "models": (models, MODELS),
    "extras": (extras, ANSWER),
}
