# /// script
# dependencies = ["llama-index-llms-openai"]
# ///
"""llama-index-llms-openai: both model classes, chats and completions, tools, structured predictions and programs."""

from __future__ import annotations

import asyncio
from typing import Any

import pydantic
from harness import KEY, MODEL, Suite
from llama_index.core.agent.workflow import FunctionAgent
from llama_index.core.llms import ChatMessage
from llama_index.core.prompts import PromptTemplate
from llama_index.core.tools import FunctionTool
from llama_index.llms.openai import OpenAI, OpenAIResponses

suite = Suite("llama-index-llms-openai")
HELLO = [ChatMessage(role="user", content="Hello")]
WHO = PromptTemplate("Who is {who}, as JSON?")


class Person(pydantic.BaseModel):
    """Somebody."""

    name: str
    age: int


def weather(city: str, days: int) -> str:
    """Tell the weather."""
    return f"{days} days of sun in {city}"


def time_of(city: str) -> str:
    """Tell the time."""
    return f"noon in {city}"


TOOLS = [FunctionTool.from_defaults(weather), FunctionTool.from_defaults(time_of)]


def chat(url: str) -> OpenAI:
    return OpenAI(model=MODEL, api_base=url, api_key=KEY, max_retries=0)


def strict(url: str) -> OpenAI:
    return OpenAI(model=MODEL, api_base=url, api_key=KEY, max_retries=0, strict=True)


def responses(url: str) -> OpenAIResponses:
    return OpenAIResponses(model=MODEL, api_base=url, api_key=KEY, max_retries=0)


async def items(stream: Any) -> list[Any]:
    return [item async for item in await stream]


def converse(model: Any) -> Any:
    """Let the model call two tools at once, and tell it what they returned."""
    asked = [ChatMessage(role="user", content="The weather?")]
    first = model.chat_with_tools(TOOLS, chat_history=asked, allow_parallel_tool_calls=True)
    calls = model.get_tool_calls_from_response(first)
    told = [
        ChatMessage(
            role="tool",
            content={"weather": weather, "time_of": time_of}[call.tool_name](**call.tool_kwargs),
            additional_kwargs={"tool_call_id": call.tool_id, "call_id": call.tool_id},
        )
        for call in calls
    ]
    return first, calls, model.chat([*asked, first.message, *told], tools=[])


for name, make in (("", chat), ("Responses API, ", responses)):

    @suite.capability(f"{name}plain", make)
    def plain(model: Any) -> Any:
        return model.chat(HELLO), model.complete("Hello")

    @suite.capability(f"{name}streamed", make)
    def streamed(model: Any) -> Any:
        return list(model.stream_chat(HELLO)), list(model.stream_complete("Hello"))

    @suite.capability(f"{name}async", make)
    async def async_(model: Any) -> Any:
        return await model.achat(HELLO), await model.acomplete("Hello")

    @suite.capability(f"{name}async streamed", make)
    async def async_streamed(model: Any) -> Any:
        return await items(model.astream_chat(HELLO)), await items(model.astream_complete("Hello"))

    @suite.capability(f"{name}tools", make)
    def tools(model: Any) -> Any:
        return converse(model)

    @suite.capability(f"{name}tools, streamed", make)
    def tools_streamed(model: Any) -> Any:
        return list(model.stream_chat_with_tools(TOOLS, user_msg="The weather?"))

    @suite.capability(f"{name}tools, predict and call", make)
    async def predict_and_call(model: Any) -> Any:
        made = [model.predict_and_call(TOOLS, "The weather?"), await model.apredict_and_call(TOOLS, "The weather?")]
        return [(one.response, [(source.content, source.raw_input) for source in one.sources]) for one in made]

    @suite.capability(f"{name}tools, agent, async", make)
    async def agent(model: Any) -> Any:
        result = await FunctionAgent(tools=TOOLS, llm=model).run("The weather?")
        return result.response, result.raw, [(call.tool_name, call.tool_kwargs) for call in result.tool_calls]

    @suite.capability(f"{name}structured output", make)
    def structured(model: Any) -> Any:
        return model.structured_predict(Person, WHO, who="it"), model.as_structured_llm(Person).chat(HELLO)

    @suite.capability(f"{name}structured output, async", make)
    async def structured_async(model: Any) -> Any:
        return await model.astructured_predict(Person, WHO, who="it")

    @suite.capability(f"{name}structured output, streamed", make)
    def structured_streamed(model: Any) -> Any:
        return [made.model_dump() for made in model.stream_structured_predict(Person, WHO, who="it")]

    @suite.capability(f"{name}structured output, async streamed", make)
    async def structured_async_streamed(model: Any) -> Any:
        return [made.model_dump() for made in await items(model.astream_structured_predict(Person, WHO, who="it"))]


@suite.capability("structured output, strict tools", strict)
def structured_strict(model: OpenAI) -> Any:
    return model.structured_predict(Person, WHO, who="it"), model.chat_with_tools(TOOLS, user_msg="The weather?")


@suite.capability("plain, no API key in replay", lambda url: OpenAI(model=MODEL, api_base=url), is_keyless=True)
def keyless(model: OpenAI) -> Any:
    return model.chat(HELLO)


@suite.capability("several at once, async", chat)
async def gathered(model: OpenAI) -> Any:
    # Two at once would race for the smaller number; what they share is one client.
    made = []
    for text in ("Hello", "Goodbye"):
        made += await asyncio.gather(model.acomplete(text))
    return made


suite.main()
