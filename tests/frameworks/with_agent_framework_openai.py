# /// script
# dependencies = ["agent-framework-openai"]
# ///
"""agent-framework-openai: agents and clients on both APIs, and embeddings; everything of it is asynchronous."""

from __future__ import annotations

from typing import Any

import pydantic
from agent_framework import Agent, tool
from agent_framework.openai import OpenAIChatClient, OpenAIChatCompletionClient, OpenAIEmbeddingClient
from harness import KEY, MODEL, Suite

suite = Suite("agent-framework-openai")


class Person(pydantic.BaseModel):
    """Somebody."""

    name: str
    age: int


def tools() -> list[Any]:
    """Make the tools anew: the Responses client writes into their schemas, and chats would send what it wrote."""

    @tool
    def weather(city: str, days: int) -> str:
        """Tell the weather."""
        return f"{days} days of sun in {city}"

    @tool
    async def time_of(city: str) -> str:
        """Tell the time."""
        return f"noon in {city}"

    return [weather, time_of]


def chat(url: str) -> OpenAIChatCompletionClient:
    return OpenAIChatCompletionClient(model=MODEL, base_url=url, api_key=KEY)


def responses(url: str) -> OpenAIChatClient:
    return OpenAIChatClient(model=MODEL, base_url=url, api_key=KEY)


for name, make in (("", chat), ("Responses API, ", responses)):

    @suite.capability(f"{name}async", make)
    async def run(client: Any) -> Any:
        agent = Agent(client, "Be brief.")
        return (await agent.run("Hello")).to_dict(), (await client.get_response("Hello")).to_dict()

    @suite.capability(f"{name}async streamed", make)
    async def run_streamed(client: Any) -> Any:
        stream = Agent(client, "Be brief.").run("Hello", stream=True)
        return [update.to_dict() async for update in stream], (await stream.get_final_response()).to_dict()

    @suite.capability(f"{name}tools, async", make)
    async def with_tools(client: Any) -> Any:
        return (await Agent(client, tools=tools()).run("The weather?")).to_dict()

    @suite.capability(f"{name}tools, async streamed", make)
    async def with_tools_streamed(client: Any) -> Any:
        stream = Agent(client, tools=tools()).run("The weather?", stream=True)
        return [update.to_dict() async for update in stream]

    @suite.capability(f"{name}structured output, async", make)
    async def structured(client: Any) -> Any:
        result = await Agent(client).run("Who?", options={"response_format": Person})
        return result.value, result.to_dict()

    @suite.capability(f"{name}structured output, async streamed", make)
    async def structured_streamed(client: Any) -> Any:
        stream = Agent(client).run("Who?", stream=True, options={"response_format": Person})
        return [update.to_dict() async for update in stream], (await stream.get_final_response()).value


suite.lacks("no API key in replay", "the framework looks for OPENAI_API_KEY itself: set it to any text")


def embedder(url: str) -> OpenAIEmbeddingClient:
    return OpenAIEmbeddingClient(model="e", base_url=url, api_key=KEY)


@suite.capability("embeddings, async", embedder)
async def embeddings(client: OpenAIEmbeddingClient) -> Any:
    return [one.vector for one in await client.get_embeddings(["Hello", "Goodbye"])]


suite.lacks("plain", "the framework is asynchronous only")
suite.lacks("streamed", "the framework is asynchronous only")
suite.main()
