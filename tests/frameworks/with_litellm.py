# /// script
# dependencies = ["litellm"]
# [tool.frameworks]
# openai = ["2.54"]
# ///
"""litellm: its provider `openai/` and others that use the SDK; and those that do not, which is checked as well."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import openai
import pydantic
from answers import NO_MODEL
from facts import headers
from harness import KEY, MODEL, Suite

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # or importing it downloads a list of prices
import litellm

if TYPE_CHECKING:
    from collections.abc import Callable

suite = Suite("litellm")
WITHOUT_SDK = (
    *("amazon_nova", "cometapi", "compactifai", "databricks", "deepseek", "fireworks_ai", "groq"),
    *("hosted_vllm", "huggingface", "mistral", "openrouter", "ovhcloud", "together_ai", "xai"),
)
"""Providers that speak OpenAI's protocol, but not through the SDK."""
MESSAGES = [{"role": "user", "content": "Hello"}]
WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}, "days": {"type": "integer"}}},
    },
}


class Person(pydantic.BaseModel):
    """Somebody."""

    name: str
    age: int


def arguments(url: str, provider: str = "openai", **more: Any) -> dict[str, Any]:
    """Return the arguments of a call, after forgetting the SDK's clients that litellm keeps."""
    litellm.in_memory_llm_clients_cache.flush_cache()
    return {"model": f"{provider}/{MODEL}", "api_base": url, "api_key": KEY, **more}


def of(provider: str) -> Callable[[str], Any]:
    return lambda url: arguments(url, provider)


def with_client(url: str) -> dict[str, Any]:
    return arguments(url, client=openai.OpenAI(base_url=url, api_key=KEY))


def seen(response: Any) -> Any:
    """Show an answer with the headers that recordings keep; litellm writes `llm_provider-` before them as well."""
    given = response._hidden_params.get("additional_headers") or {}
    shown = {name.removeprefix("llm_provider-"): value for name, value in given.items()}
    return response, headers(shown), headers(getattr(response, "_response_headers", None) or {})


def complete(given: dict[str, Any], messages: Any = MESSAGES, **more: Any) -> Any:
    return litellm.completion(messages=messages, **given, **more)


@suite.capability("plain", arguments)
def plain(given: Any) -> Any:
    return seen(complete(given)), seen(complete(given))


@suite.capability("a client of one's own", with_client)
def own_client(given: Any) -> Any:
    return seen(complete(given)), list(complete(given, stream=True))


def without_key(url: str) -> dict[str, Any]:
    return {name: value for name, value in arguments(url).items() if name != "api_key"}


@suite.capability("plain, no API key in replay", without_key, is_keyless=True)
def keyless(given: Any) -> Any:
    return seen(complete(given))


@suite.capability("streamed", arguments)
def streamed(given: Any) -> Any:
    return list(complete(given, stream=True, stream_options={"include_usage": True}))


@suite.capability("async", arguments)
async def acompletion(given: Any) -> Any:
    return seen(await litellm.acompletion(messages=MESSAGES, **given))


@suite.capability("async streamed", arguments)
async def acompletion_streamed(given: Any) -> Any:
    return [chunk async for chunk in await litellm.acompletion(messages=MESSAGES, stream=True, **given)]


@suite.capability("tools", arguments)
def tools(given: Any) -> Any:
    first = complete(given, tools=[WEATHER])
    call = first.choices[0].message.tool_calls[0]
    told = {"role": "tool", "tool_call_id": call.id, "content": "sun"}
    return seen(first), seen(complete(given, [*MESSAGES, first.choices[0].message, told], tools=[WEATHER]))


@suite.capability("tools, streamed", arguments)
def tools_streamed(given: Any) -> Any:
    chunks = list(complete(given, tools=[WEATHER], stream=True))
    return chunks, litellm.stream_chunk_builder(chunks)


@suite.capability("structured output", arguments)
def structured(given: Any) -> Any:
    made = complete(given, response_format=Person)
    return seen(made), Person.model_validate_json(made.choices[0].message.content)


@suite.capability("Router", arguments)
def router(given: Any) -> Any:
    made = litellm.Router([{"model_name": "m", "litellm_params": given, "model_info": {"id": "one"}}])
    return made.completion("m", MESSAGES), made.completion("m", MESSAGES)


@suite.capability("an error of the server", arguments)
def error(given: Any) -> Any:
    try:
        return complete({**given, "model": f"openai/{NO_MODEL}"})
    except litellm.NotFoundError as error:
        return error, error.status_code, error.__cause__


@suite.capability("embeddings", arguments)
def embeddings(given: Any) -> Any:
    return litellm.embedding(input=["a", "b"], **given)


@suite.capability("embeddings, async", arguments)
async def aembedding(given: Any) -> Any:
    return await litellm.aembedding(input=["a", "b"], **given)


@suite.capability("azure/", of("azure"))
def azure(given: Any) -> Any:
    return seen(complete(given, api_version="2024-10-21")), list(complete(given, api_version="2024-10-21", stream=True))


@suite.capability("lm_studio/", of("lm_studio"))
def lm_studio(given: Any) -> Any:
    return seen(complete(given)), list(complete(given, stream=True))


@suite.bypass("litellm.responses", arguments)
def responses(given: Any) -> Any:
    return litellm.responses(input="Hello", **given)


for name in WITHOUT_SDK:

    @suite.bypass(f"{name}/", of(name))
    def bypassing(given: Any) -> Any:
        return complete(given)


suite.main()
