# /// script
# dependencies = []
# ///
"""The `openai` package of Python, as a client of the server: no call is patched in its process."""

from __future__ import annotations

import asyncio
from typing import Any

import openai
import pydantic
from serving import KEPT, KEY, compare, miss

ASK: dict[str, Any] = {"model": "gpt-test", "messages": [{"role": "user", "content": "Hello"}]}
UNKNOWN = {**ASK, "model": "no-such-model"}
RESPONSE = {"model": "gpt-test", "input": "Hello"}
TOOL = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}}}


class Person(pydantic.BaseModel):
    """Somebody."""

    name: str
    age: int


def _error(call: Any) -> Any:
    try:
        return call()
    except openai.APIStatusError as error:
        return error, error.status_code, error.body, error.request_id


def _raw(client: openai.OpenAI) -> Any:
    made = client.chat.completions.with_raw_response.create(**ASK, seed=2)
    return made.status_code, {name: made.headers[name] for name in KEPT}, made.text, made.parse()


def _left(client: openai.OpenAI) -> Any:
    with client.chat.completions.create(**ASK, seed=4, stream=True) as stream:
        return next(stream)


async def _asynchronous(url: str) -> Any:
    async with openai.AsyncOpenAI(base_url=url, api_key=KEY) as client:
        plain = await client.chat.completions.create(**ASK, seed=5)
        stream = await client.chat.completions.create(**ASK, seed=5, stream=True)
        return plain, [chunk async for chunk in stream]


def client(url: str) -> dict[str, Any]:
    """Return what a program sees of each request."""
    with openai.OpenAI(base_url=url, api_key=KEY) as made:
        chats = made.chat.completions
        return {
            "a plain answer": chats.create(**ASK),
            "the same request again": chats.create(**ASK),
            "its raw response": _raw(made),
            "a stream": list(chats.create(**ASK, stream=True)),
            "a stream with usage": list(chats.create(**ASK, stream=True, stream_options={"include_usage": True})),
            "tools": chats.create(**ASK, tools=[TOOL]),
            "tools, streamed": list(chats.create(**ASK, tools=[TOOL], stream=True)),
            "parse()": chats.parse(**ASK, response_format=Person),
            "an error": _error(lambda: chats.create(**UNKNOWN)),
            "an error of a stream": _error(lambda: list(chats.create(**UNKNOWN, stream=True))),
            "a stream that is left": _left(made),
            "asynchronous": asyncio.run(_asynchronous(url)),
            "the Responses API": made.responses.create(**RESPONSE),
            "the Responses API, streamed": list(made.responses.create(**RESPONSE, stream=True)),
            "embeddings": made.embeddings.create(model="gpt-test", input=["a", "b"]),
        }


def missed(url: str) -> tuple[str, str]:
    """Return status and message of an error."""
    with openai.OpenAI(base_url=url, api_key=KEY) as made:
        error, status, *_ = _error(lambda: made.chat.completions.create(**ASK))
    return f"{status} as {type(error).__name__}", str(error)


compare(f"openai {openai.__version__} of Python", client)
miss(f"openai {openai.__version__} of Python", missed)
