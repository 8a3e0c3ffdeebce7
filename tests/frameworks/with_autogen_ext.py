# /// script
# dependencies = ["autogen-ext[openai]", "autogen-agentchat"]
# ///
"""autogen-ext: OpenAIChatCompletionClient by itself and under an agent; everything of it is asynchronous."""

from __future__ import annotations

from typing import Any

import pydantic
from autogen_agentchat.agents import AssistantAgent
from autogen_core.models import SystemMessage, UserMessage
from autogen_core.tools import FunctionTool
from autogen_ext.models.openai import OpenAIChatCompletionClient
from harness import KEY, MODEL, Suite

suite = Suite("autogen-ext")
HELLO = [SystemMessage(content="Be brief."), UserMessage(content="Hello", source="user")]


class Person(pydantic.BaseModel):
    """Somebody."""

    name: str
    age: int


async def weather(city: str, days: int) -> str:
    """Tell the weather."""
    return f"{days} days of sun in {city}"


async def time_of(city: str) -> str:
    """Tell the time."""
    return f"noon in {city}"


TOOLS = [FunctionTool(weather, "Tell the weather."), FunctionTool(time_of, "Tell the time.")]


def keyless(url: str) -> OpenAIChatCompletionClient:
    return OpenAIChatCompletionClient(model=f"{MODEL}-2024-07-18", base_url=url)


def chat(url: str) -> OpenAIChatCompletionClient:
    # It warns if the server answers with another name than this one.
    return OpenAIChatCompletionClient(model=f"{MODEL}-2024-07-18", base_url=url, api_key=KEY, max_retries=0)


@suite.capability("async", chat)
async def create(model: Any) -> Any:
    return await model.create(HELLO), model.actual_usage(), model.total_usage()


@suite.capability("async, no API key in replay", keyless, is_keyless=True)
async def create_keyless(model: Any) -> Any:
    return await model.create(HELLO)


@suite.capability("async streamed", chat)
async def create_stream(model: Any) -> Any:
    return [item async for item in model.create_stream(HELLO, include_usage=True)], model.total_usage()


@suite.capability("tools, async", chat)
async def tools(model: Any) -> Any:
    return await model.create(HELLO, tools=TOOLS), await model.create(HELLO, tools=TOOLS, tool_choice=TOOLS[0])


@suite.capability("tools, async streamed", chat)
async def tools_streamed(model: Any) -> Any:
    return [item async for item in model.create_stream(HELLO, tools=TOOLS)]


@suite.capability("structured output, async", chat)
async def structured(model: Any) -> Any:
    return await model.create(HELLO, json_output=Person), await model.create(HELLO, json_output=True)


@suite.capability("structured output, async streamed", chat)
async def structured_streamed(model: Any) -> Any:
    return [item async for item in model.create_stream(HELLO, json_output=Person)]


def shown(item: Any) -> Any:
    """Show a message or a result."""
    return [shown(message) for message in item.messages] if hasattr(item, "messages") else item


@suite.capability("tools, agent, async", chat)
async def agent(model: Any) -> Any:
    assistant = AssistantAgent("a", model, tools=TOOLS, reflect_on_tool_use=True)
    return shown(await assistant.run(task="The weather?"))


@suite.capability("tools, agent, async streamed", chat)
async def agent_streamed(model: Any) -> Any:
    assistant = AssistantAgent("a", model, tools=TOOLS, reflect_on_tool_use=True, model_client_stream=True)
    return [shown(item) async for item in assistant.run_stream(task="The weather?")]


@suite.capability("structured output, agent, async", chat)
async def agent_structured(model: Any) -> Any:
    assistant = AssistantAgent("a", model, output_content_type=Person)
    return shown(await assistant.run(task="Who?"))


suite.lacks("plain", "the framework is asynchronous only")
suite.lacks("streamed", "the framework is asynchronous only")
suite.lacks("Responses API", "OpenAIChatCompletionClient knows chat completions only")
suite.main()
