"""The ways of calling the SDK, each written once for clients of every kind; each returns plain facts to compare."""

from __future__ import annotations

import inspect
import json
from typing import TYPE_CHECKING, Any

import openai
import pydantic
import pytest
from conftest import ASK, HAS_RESPONSES, Driver, Reply, cheap, chunk, completion, plain, run_to_the_end, sse
from openai.types.chat import ChatCompletion, ChatCompletionMessage
from replies import events, function_call, message, named, reasoning, response

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
        return run_to_the_end(main, driver.kind)
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


async def failing(client: Any) -> Any:
    """Make a small chat that fails, and say what the exception is."""
    with pytest.raises(openai.APIError) as caught:
        await settle(client.chat.completions.create(**ASK))
    return error_facts(caught.value)


async def create(client: Any) -> Any:
    return facts(await settle(client.chat.completions.create(**ASK)))


async def text(client: Any) -> Any:
    return facts(await settle(client.completions.create(model="m", prompt="Once")))


async def stream(client: Any) -> Any:
    made = await settle(client.chat.completions.create(**ASK, stream=True))
    told = type(made), made.__orig_class__, headers(made.response), made.response.status_code
    return told, facts(await items(made)), made.response.elapsed.total_seconds() > 0


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


async def parse_beta(client: Any) -> Any:
    made = await settle(client.beta.chat.completions.parse(**ASK, response_format=Person))
    return facts(made), made.choices[0].message.parsed


async def parse_tools(client: Any) -> Any:
    chat = client.chat.completions
    chat = chat if hasattr(chat, "parse") else client.beta.chat.completions
    made = await settle(chat.parse(**ASK, tools=[openai.pydantic_function_tool(Person)]))
    return facts(made), made.choices[0].message.tool_calls[0].function.parsed_arguments


def stream_helper(**more: Any) -> Callable[[Any], Any]:
    async def way(client: Any) -> Any:
        chat = client.chat.completions
        chat = chat if hasattr(chat, "stream") else client.beta.chat.completions
        async with entered(chat.stream(**ASK, **more)) as made:
            events = [(type(event), event.model_dump()) for event in await items(made)]
            return events, facts(await settle(made.get_final_completion()))

    return way


async def raw_of_client(client: Any) -> Any:
    made = await settle(client.with_raw_response.chat.completions.create(**ASK))
    return headers(made), facts(made.parse())


async def copied(client: Any) -> Any:
    made = client.with_options(timeout=3, default_headers={"x-mine": "1"}, max_retries=1).copy()
    return facts(await settle(made.chat.completions.create(**ASK, timeout=2)))


async def conversation(client: Any) -> Any:
    """Hand an answer's own message back, in a tuple, with what came from an iterator."""
    said = ChatCompletionMessage(role="assistant", content=None, tool_calls=[])
    asked = (*ASK["messages"], said, {"role": "user", "content": ({"type": "text", "text": "Ä"},)})
    return facts(await settle(client.chat.completions.create(model="m", messages=(item for item in asked))))


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


def embeddings(**more: Any) -> Callable[[Any], Any]:
    async def way(client: Any) -> Any:
        return facts(await settle(client.embeddings.create(model="m", input=["a", "b"], **more)))

    return way


async def embeddings_raw(client: Any) -> Any:
    made = await settle(client.embeddings.with_raw_response.create(model="m", input=("a", "b")))
    return headers(made), made.text, facts(made.parse())


async def responses(client: Any) -> Any:
    made = await settle(client.responses.create(model="m", input="Hello", temperature=1.0))
    return facts(made), made.output_text


async def responses_raw(client: Any) -> Any:
    made = await settle(client.responses.with_raw_response.create(model="m", input="Hello"))
    return headers(made), made.text, facts(made.parse())


async def responses_stream(client: Any) -> Any:
    asked = [{"role": "user", "content": [{"type": "input_text", "text": "Hello"}]}]
    made = await settle(client.responses.create(model="m", input=asked, stream=True))
    return type(made), headers(made.response), facts(await items(made))


async def responses_streaming(client: Any) -> Any:
    manager = client.responses.with_streaming_response.create(model="m", input="Hello", stream=True)
    async with entered(manager) as made:
        return headers(made), await items(made.iter_lines())


async def responses_parse(client: Any) -> Any:
    made = await settle(client.responses.parse(model="m", input="Hello", text_format=Person))
    return facts(made), made.output_parsed


async def responses_tools(client: Any) -> Any:
    made = await settle(client.responses.parse(model="m", input="Hello", tools=[openai.pydantic_function_tool(Person)]))
    return facts(made), made.output[0].parsed_arguments


async def responses_helper(client: Any) -> Any:
    async with entered(client.responses.stream(model="m", input="Hello", text_format=Person)) as made:
        events = [(type(event), event.model_dump()) for event in await items(made)]
        return events, facts(await settle(made.get_final_response()))


async def moderations(client: Any) -> Any:
    return facts(await settle(client.moderations.create(input="Hello", model="m")))


async def model_of_id(client: Any) -> Any:
    return facts(await settle(client.models.retrieve("m/1")))


async def delete(client: Any) -> Any:
    return facts(await settle(client.models.delete("m")))


async def files(client: Any) -> Any:
    page = await settle(client.files.list(purpose="batch", extra_query={"a": ["ä", "b"]}))
    return type(page), facts(page.data)


async def batch(client: Any) -> Any:
    way = {"completion_window": "24h", "endpoint": "/v1/chat/completions", "input_file_id": "f"}
    return facts(await settle(client.batches.create(**way, metadata={"a": "b"})))


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

CODED = json.loads(VECTORS.body)
CODED["data"] = [{"object": "embedding", "index": i, "embedding": code} for i, code in enumerate(("AACAPgAAgL8=", ""))]
CODED = plain(CODED)
CALL = {"id": "c", "type": "function", "function": {"name": "Person", "arguments": '{"name": "Ann", "age": 3}'}}
CALLED = {"role": "assistant", "content": None, "tool_calls": [CALL]}
CALLS = plain(completion("", choices=[{"index": 0, "message": CALLED, "finish_reason": "tool_calls"}]))
TOOLS = sse(
    chunk(None, choices=[{"index": 0, "delta": {"role": "assistant", "tool_calls": [{"index": 0, **CALL}]}}]),
    chunk(None, "tool_calls"),
)
LOGPROBS = [{"token": "N", "logprob": -0.5, "bytes": [78], "top_logprobs": []}]


def delta(said: dict[str, Any], *, logprobs: Any = None, finish: str | None = None) -> dict[str, Any]:
    """Return a chunk of a streamed chat with whatever a server may say in it."""
    return chunk(None, choices=[{"index": 0, "delta": said, "logprobs": logprobs, "finish_reason": finish}])


REFUSAL = sse(
    delta({"role": "assistant", "content": "No"}, logprobs={"content": LOGPROBS, "refusal": None}),
    delta({"refusal": "I will"}, logprobs={"content": None, "refusal": LOGPROBS}),
    delta({"refusal": " not."}, logprobs={"content": None, "refusal": LOGPROBS}),
    delta({}, finish="stop"),
)
PIECES = sse(chunk('{"name": "An'), chunk('n", "age": 3}'), chunk(None, "stop"), chunk(None, choices=[], usage=None))
RESPONSE = plain(response(reasoning(), message("Äh 😀")))
EVENTS = named(*events('{"name": "An', 'n", "age": 3}'))
UNKNOWN = named(
    *events("a"), {"type": "response.newer_than_you", "x": 1, "error": None}, {"type": "response.b", "error": {}}
)
MODERATION = {"id": "modr-1", "model": "m", "results": [{"flagged": True, "categories": {"new": True}}]}
FILE = {"id": "f", "object": "file", "bytes": 1, "created_at": 1, "filename": "a", "purpose": "x"}
BATCH = {"id": "b", "object": "batch", "endpoint": "/v1/chat/completions", "status": "validating", "created_at": 1}

WAYS: dict[str, tuple[Callable[[Any], Any], Reply]] = {
    "create": (create, ANSWER),
    "create, the answer indented": (create, Reply(body=b'{\n  "id": "x",\n  "choices": []\n}')),
    "create, no choices and nulls": (create, plain({"id": None, "choices": None, "created": None})),
    "create, a message of an answer in an iterator": (conversation, ANSWER),
    "create, by a copy": (copied, ANSWER),
    "text": (text, plain(TEXT)),
    "stream": (stream, STREAM),
    "text stream": (text_stream, sse(TEXT, TEXT)),
    "stream, half of it": (stream_with, STREAM),
    "parse": (parse, PARSED),
    "parse, beta": (parse_beta, PARSED),
    "parse, tools": (parse_tools, CALLS),
    "stream()": (stream_helper(), STREAM),
    "stream(), a model": (stream_helper(response_format=Person), PIECES),
    "stream(), tools": (stream_helper(tools=[openai.pydantic_function_tool(Person)]), TOOLS),
    "stream(), a refusal and logprobs": (stream_helper(logprobs=True), REFUSAL),
    "raw": (raw, ANSWER),
    "raw, of the client": (raw_of_client, ANSWER),
    "raw stream": (raw_stream, STREAM),
    **{
        f"streaming, {read}": (streaming(read), ANSWER)
        for read in ("iter_lines", "iter_text", "iter_bytes", "read", "text", "json", "parse")
    },
    "streaming stream": (streaming_stream, STREAM),
    "streaming stream, lines": (streaming_lines, STREAM),
    "post": (post, ANSWER),
    "post, object": (post_object, ANSWER),
    "embeddings": (embeddings(), VECTORS),
    "embeddings, in base64": (embeddings(), CODED),
    "embeddings, floats asked for": (embeddings(encoding_format="float", dimensions=2), VECTORS),
    "embeddings, base64 asked for": (embeddings(encoding_format="base64"), CODED),
    "embeddings, raw": (embeddings_raw, CODED),
    "models": (models, MODELS),
    "models, one": (model_of_id, plain({"id": "m/1", "object": "model", "created": 1, "owned_by": "x"})),
    "models, one deleted": (delete, plain({"id": "m", "object": "model", "deleted": True})),
    "moderations": (moderations, plain(MODERATION)),
    "files": (files, plain({"object": "list", "data": [FILE], "has_more": False})),
    "batches": (batch, plain(BATCH)),
    "extras": (extras, ANSWER),
}
if HAS_RESPONSES:
    WAYS |= {
        "responses": (responses, RESPONSE),
        "responses, raw": (responses_raw, RESPONSE),
        "responses, stream": (responses_stream, EVENTS),
        "responses, stream of unknown events": (responses_stream, UNKNOWN),
        "responses, streaming lines": (responses_streaming, EVENTS),
        "responses, parse": (responses_parse, plain(response(message('{"name": "Ann", "age": 3}')))),
        "responses, tools": (responses_tools, plain(response(function_call("Person", '{"name": "Ann", "age": 3}')))),
        "responses, stream()": (responses_helper, EVENTS),
    }


async def read_stream(client: Any) -> Any:
    """Read a stream to its end, or to the error that it ends with."""
    made = await settle(client.chat.completions.create(**ASK, stream=True))
    got: list[Any] = []
    try:
        while True:
            got.append(facts(await following(made)))
    except StopAsyncIteration:
        return got, None
    except Exception as error:  # noqa: BLE001 - it is compared
        return got, error_facts(error)
