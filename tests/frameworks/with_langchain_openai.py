# /// script
# dependencies = ["langchain-openai"]
# [tool.frameworks]
# openai = ["2.54"]
# ///
"""langchain-openai: chat models on both APIs, tools, structured output, headers and embeddings."""

from __future__ import annotations

from typing import Any

import openai
import pydantic
from answers import NO_MODEL
from facts import headers
from harness import KEY, MODEL, Suite
from langchain_core.tools import tool
from langchain_openai import AzureChatOpenAI, ChatOpenAI, OpenAIEmbeddings

suite = Suite("langchain-openai")


class Person(pydantic.BaseModel):
    """Somebody."""

    name: str
    age: int


@tool
def weather(city: str, days: int) -> str:
    """Tell the weather."""
    return f"{days} days of sun in {city}"


@tool
def time_of(city: str) -> str:
    """Tell the time."""
    return f"noon in {city}"


def chat(url: str, **settings: Any) -> ChatOpenAI:
    return ChatOpenAI(model=MODEL, base_url=url, api_key=KEY, max_retries=0, stream_usage=True, **settings)


def responses(url: str) -> ChatOpenAI:
    return chat(url, use_responses_api=True)


def converse(model: Any) -> Any:
    """Let the model call two tools at once, and tell it what they returned."""
    messages: list[Any] = [("user", "The weather?")]
    for _ in range(2):
        messages.append(model.invoke(messages))
        messages += [
            {"weather": weather, "time_of": time_of}[call["name"]].invoke(call) for call in messages[-1].tool_calls
        ]
    return messages


for name, make in (("", chat), ("Responses API, ", responses)):

    @suite.capability(f"{name}plain", make)
    def plain(model: ChatOpenAI) -> Any:
        return model.invoke("Hello"), model.invoke("Hello")

    @suite.capability(f"{name}streamed", make)
    def streamed(model: ChatOpenAI) -> Any:
        return list(model.stream("Hello"))

    @suite.capability(f"{name}async", make)
    async def ainvoke(model: ChatOpenAI) -> Any:
        return await model.ainvoke("Hello")

    @suite.capability(f"{name}async streamed", make)
    async def astream(model: ChatOpenAI) -> Any:
        return [chunk async for chunk in model.astream("Hello")]

    @suite.capability(f"{name}tools", make)
    def tools(model: ChatOpenAI) -> Any:
        return converse(model.bind_tools([weather, time_of]))

    @suite.capability(f"{name}tools, streamed", make)
    def tools_streamed(model: ChatOpenAI) -> Any:
        return list(model.bind_tools([weather, time_of]).stream("The weather?"))

    @suite.capability(f"{name}structured output", make)
    def structured(model: ChatOpenAI) -> Any:
        return model.with_structured_output(Person, include_raw=True).invoke("Who?")

    @suite.capability(f"{name}structured output, async", make)
    async def structured_async(model: ChatOpenAI) -> Any:
        return await model.with_structured_output(Person, include_raw=True).ainvoke("Who?")

    @suite.capability(f"{name}structured output, streamed", make)
    def structured_streamed(model: ChatOpenAI) -> Any:
        return list(model.with_structured_output(Person).stream("Who?"))

    @suite.capability(f"{name}structured output, async streamed", make)
    async def structured_async_streamed(model: ChatOpenAI) -> Any:
        return [part async for part in model.with_structured_output(Person).astream("Who?")]

    @suite.capability(f"{name}tools, async streamed events", make)
    async def events(model: ChatOpenAI) -> Any:
        return [event async for event in model.bind_tools([weather]).astream_events("The weather?")]

    @suite.capability(f"{name}an error of the server", make)
    def error(model: ChatOpenAI) -> Any:
        try:
            return model.bind(model=NO_MODEL).invoke("Hello")
        except openai.NotFoundError as error:
            return error, error.body, error.request_id, headers(error.response.headers)


def azure(url: str) -> AzureChatOpenAI:
    endpoint = url.removesuffix("/v1")
    return AzureChatOpenAI(model=MODEL, azure_endpoint=endpoint, api_key=KEY, api_version="2024-10-21", max_retries=0)


@suite.capability("AzureChatOpenAI, plain, streamed", azure)
def azure_chat(model: AzureChatOpenAI) -> Any:
    return model.invoke("Hello"), list(model.stream("Hello"))


for method in ("function_calling", "json_mode"):

    @suite.capability(f"structured output, {method}", chat)
    def structured_by(model: ChatOpenAI, method: Any = method) -> Any:
        return model.with_structured_output(Person, method=method, include_raw=True).invoke("Who, as JSON?")


def with_headers(url: str) -> ChatOpenAI:
    return chat(url, include_response_headers=True)


def shown(message: Any) -> Any:
    """Show a message with the headers that recordings keep; there are others."""
    told = message.response_metadata.pop("headers", None)
    return message, told and headers(told)


@suite.capability("include_response_headers", with_headers)
def response_headers(model: ChatOpenAI) -> Any:
    return shown(model.invoke("Hello")), [shown(chunk) for chunk in model.stream("Hello")]


@suite.capability("include_response_headers, async", with_headers)
async def response_headers_async(model: ChatOpenAI) -> Any:
    return shown(await model.ainvoke("Hello")), [shown(chunk) async for chunk in model.astream("Hello")]


@suite.capability("batch, in a thread", chat)
def batch(model: ChatOpenAI) -> Any:
    # Two threads would race for the smaller number.
    return model.batch(["Hello", "Goodbye"], {"max_concurrency": 1})


suite.lacks("plain, no API key in replay", "LangChain looks for OPENAI_API_KEY itself: set it to any text")


def embedder(url: str) -> OpenAIEmbeddings:
    # The lengths are counted with a table that tiktoken downloads.
    return OpenAIEmbeddings(model="e", base_url=url, api_key=KEY, check_embedding_ctx_length=False)


@suite.capability("embeddings", embedder)
def embeddings(model: OpenAIEmbeddings) -> Any:
    return model.embed_query("Hello"), model.embed_documents(["a", "b"])


@suite.capability("embeddings, async", embedder)
async def embeddings_async(model: OpenAIEmbeddings) -> Any:
    return await model.aembed_query("Hello"), await model.aembed_documents(["a", "b"])


suite.main()
