# /// script
# dependencies = ["pydantic-ai-slim[openai]"]
# ///
"""pydantic-ai: agents on both APIs, with tools and every way to structured output, and embeddings."""

from __future__ import annotations

from typing import Any

import pydantic
from answers import NO_MODEL
from harness import KEY, MODEL, Suite
from pydantic_ai import Agent, Embedder, NativeOutput, PromptedOutput, ToolOutput
from pydantic_ai.embeddings.openai import OpenAIEmbeddingModel
from pydantic_ai.exceptions import ModelHTTPError
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
from pydantic_ai.providers.azure import AzureProvider
from pydantic_ai.providers.openai import OpenAIProvider

suite = Suite("pydantic-ai-slim")


class Person(pydantic.BaseModel):
    """Somebody."""

    name: str
    age: int


def provider(url: str) -> OpenAIProvider:
    return OpenAIProvider(base_url=url, api_key=KEY)


def chat(url: str) -> Agent[None, str]:
    return Agent(OpenAIChatModel(MODEL, provider=provider(url)), instructions="Be brief.")


def responses(url: str) -> Agent[None, str]:
    return Agent(OpenAIResponsesModel(MODEL, provider=provider(url)), instructions="Be brief.")


def weather(city: str, days: int) -> str:
    """Tell the weather."""
    return f"{days} days of sun in {city}"


async def time_of(city: str) -> str:
    """Tell the time."""
    return f"noon in {city}"


def seen(result: Any) -> Any:
    """Show the output, every message, the usage."""
    return result.output, result.all_messages(), result.usage


for name, make in (("", chat), ("Responses API, ", responses)):

    @suite.capability(f"{name}plain", make)
    def plain(agent: Any) -> Any:
        first = agent.run_sync("Hello")
        return seen(first), seen(agent.run_sync("And now?", message_history=first.all_messages()))

    @suite.capability(f"{name}streamed", make)
    def streamed(agent: Any) -> Any:
        stream = agent.run_stream_sync("Hello")
        texts = list(stream.stream_text(delta=True, debounce_by=None))
        return texts, stream.all_messages(), stream.usage

    @suite.capability(f"{name}async", make)
    async def run(agent: Any) -> Any:
        return seen(await agent.run("Hello"))

    @suite.capability(f"{name}async streamed", make)
    async def run_stream(agent: Any) -> Any:
        async with agent.run_stream("Hello") as stream:
            texts = [text async for text in stream.stream_text(delta=True, debounce_by=None)]
            return texts, stream.all_messages(), stream.usage, stream.response

    @suite.capability(f"{name}tools", make)
    def tools(agent: Any) -> Any:
        agent.tool_plain(weather)
        agent.tool_plain(time_of)
        return seen(agent.run_sync("The weather?"))

    @suite.capability(f"{name}tools, async streamed events", make)
    async def tools_streamed(agent: Any) -> Any:
        agent.tool_plain(weather)
        agent.tool_plain(time_of)
        async with agent.run_stream_events("The weather?") as events:
            return [event async for event in events]

    for way in (ToolOutput, NativeOutput, PromptedOutput):

        @suite.capability(f"{name}structured output, {way.__name__}", make)
        def structured(agent: Any, way: Any = way) -> Any:
            return seen(agent.run_sync("Who, as JSON?", output_type=way(Person)))

    @suite.capability(f"{name}structured output, async streamed", make)
    async def structured_streamed(agent: Any) -> Any:
        async with agent.run_stream("Who?", output_type=Person) as stream:
            return [output async for output in stream.stream_output(debounce_by=None)], stream.all_messages()


def azure(url: str) -> Agent[None, str]:
    made = AzureProvider(azure_endpoint=url.removesuffix("/v1"), api_key=KEY, api_version="2024-10-21")
    return Agent(OpenAIChatModel(MODEL, provider=made))


@suite.capability("AzureProvider, plain", azure)
def azure_chat(agent: Any) -> Any:
    return seen(agent.run_sync("Hello"))


def unknown(url: str) -> Agent[None, str]:
    return Agent(OpenAIChatModel(NO_MODEL, provider=provider(url)))


@suite.capability("an error of the server", unknown)
def error(agent: Any) -> Any:
    try:
        return seen(agent.run_sync("Hello"))
    except ModelHTTPError as error:
        return error, error.status_code, error.body, error.__cause__


def without_key(url: str) -> Agent[None, str]:
    return Agent(OpenAIChatModel(MODEL, provider=OpenAIProvider(base_url=url)))


@suite.capability("plain, no API key in replay", without_key, is_keyless=True)
def keyless(agent: Any) -> Any:
    return seen(agent.run_sync("Hello"))


def embedder(url: str) -> Embedder:
    return Embedder(OpenAIEmbeddingModel("e", provider=provider(url)))


@suite.capability("embeddings", embedder)
async def embeddings(model: Embedder) -> Any:
    return await model.embed_query("Hello"), await model.embed_documents(["a", "b"])


suite.main()
