# /// script
# dependencies = ["openai-agents"]
# ///
"""openai-agents: its default Responses model and its chat model, with tools, handoffs and output types; no tracing."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import httpx2
import openai
import pydantic
from agents import Agent, ModelSettings, OpenAIProvider, RunConfig, Runner, function_tool
from answers import NO_MODEL
from harness import KEY, MODEL, Suite

if TYPE_CHECKING:
    from collections.abc import Callable

suite = Suite("openai-agents")


class Person(pydantic.BaseModel):
    """Somebody."""

    name: str
    age: int


@function_tool
def weather(city: str, days: int) -> str:
    """Tell the weather."""
    return f"{days} days of sun in {city}"


@function_tool
async def time_of(city: str) -> str:
    """Tell the time."""
    return f"noon in {city}"


def config(url: str, *, is_chat: bool, key: str | None = KEY) -> RunConfig:
    provider = OpenAIProvider(api_key=key, base_url=url, use_responses=False if is_chat else None)
    settings = ModelSettings(include_usage=True)
    return RunConfig(model=MODEL, model_provider=provider, model_settings=settings, tracing_disabled=True)


def chat(url: str) -> RunConfig:
    return config(url, is_chat=True)


def responses(url: str) -> RunConfig:
    return config(url, is_chat=False)


class Forwarding(httpx2.AsyncHTTPTransport):
    """Sends to the server at `url` what a client sends to the official API."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self._url = httpx2.URL(url)

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        request.url = request.url.copy_with(scheme="http", host=self._url.host, port=self._url.port)
        return await super().handle_async_request(request)


def official(url: str, *, is_chat: bool = False) -> RunConfig:
    """Return a configuration with the official base URL, where the framework adds a random `prompt_cache_key`."""
    made = config(url, is_chat=is_chat)
    http_client = openai.DefaultAsyncHttpx2Client(transport=Forwarding(url))
    client = openai.AsyncOpenAI(api_key=KEY, base_url="https://api.openai.com/v1", http_client=http_client)
    made.model_provider = OpenAIProvider(openai_client=client, use_responses=not is_chat)
    return made


def official_chat(url: str) -> RunConfig:
    return official(url, is_chat=True)


def without_key(url: str) -> RunConfig:
    return config(url, is_chat=False, key=None)


def plain_agent() -> Agent[Any]:
    return Agent("Assistant", instructions="Be brief.")


def tool_agent() -> Agent[Any]:
    return Agent("Assistant", tools=[weather, time_of])


def typed_agent() -> Agent[Any]:
    return Agent("Assistant", output_type=Person)


def triage_agent() -> Agent[Any]:
    return Agent("Triage", handoffs=[tool_agent()])


def seen(result: Any) -> Any:
    """Show the output, the items of the run and the answers of the model with their ids and usage."""
    items = [(item.type, item.agent.name, item.raw_item, getattr(item, "output", None)) for item in result.new_items]
    return result.final_output, items, result.raw_responses, result.to_input_list(), result.last_response_id


def event(given: Any) -> Any:
    """Show an event of a streamed run."""
    if given.type == "raw_response_event":
        return given.data
    if given.type == "run_item_stream_event":
        return given.name, given.item.raw_item
    return given.type, given.new_agent.name


async def streamed(agent: Agent[Any], config: RunConfig) -> Any:
    result = Runner.run_streamed(agent, "Hello", run_config=config)
    return [event(given) async for given in result.stream_events()], seen(result)


AGENTS: dict[str, Callable[[], Agent[Any]]] = {
    "plain": plain_agent,
    "tools": tool_agent,
    "structured output": typed_agent,
    "handoff": triage_agent,
}

for api, make in (("Responses API, ", responses), ("chat completions, ", chat)):
    for name, agent in AGENTS.items():

        @suite.capability(f"{api}{name}", make)
        def sync(config: RunConfig, agent: Any = agent) -> Any:
            return seen(Runner.run_sync(agent(), "Hello", run_config=config))

        @suite.capability(f"{api}{name}, async", make)
        async def run(config: RunConfig, agent: Any = agent) -> Any:
            return seen(await Runner.run(agent(), "Hello", run_config=config))

        @suite.capability(f"{api}{name}, async streamed", make)
        async def run_streamed(config: RunConfig, agent: Any = agent) -> Any:
            return await streamed(agent(), config)

    @suite.capability(f"{api}an error of the server", make)
    async def error(config: RunConfig) -> Any:
        config.model = NO_MODEL
        try:
            return seen(await Runner.run(plain_agent(), "Hello", run_config=config))
        except openai.NotFoundError as error:
            return error, error.body, error.request_id


RANDOM = "prompt_cache_key"

for api, make in (("Responses API, ", official), ("chat completions, ", official_chat)):
    for name, agent in AGENTS.items():
        at = f'{api}official URL, ignore="{RANDOM}", {name}, async'

        @suite.capability(at, make, ignore=RANDOM)
        async def run_official(config: RunConfig, agent: Any = agent) -> Any:
            return seen(await Runner.run(agent(), "Hello", run_config=config))

        @suite.capability(f"{at} streamed", make, ignore=RANDOM)
        async def run_official_streamed(config: RunConfig, agent: Any = agent) -> Any:
            return await streamed(agent(), config)


@suite.capability("Responses API, plain, no API key in replay", without_key, is_keyless=True)
def keyless(config: RunConfig) -> Any:
    return seen(Runner.run_sync(plain_agent(), "Hello", run_config=config))


def websocket(url: str) -> RunConfig:
    made = config(url, is_chat=False)
    made.model_provider = OpenAIProvider(api_key=KEY, base_url=url, use_responses_websocket=True)
    return made


@suite.bypass("Responses API over WebSockets", websocket)
def over_websocket(config: RunConfig) -> Any:
    with contextlib.suppress(Exception):  # the server speaks no WebSocket; that it was asked is what counts
        Runner.run_sync(plain_agent(), "Hello", run_config=config)


suite.lacks("embeddings", "the framework has none")
suite.lacks("streamed in synchronous code", "the framework streams in asynchronous code only")
suite.main()
