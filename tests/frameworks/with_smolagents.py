# /// script
# dependencies = ["smolagents[openai]"]
# ///
"""smolagents: its OpenAI model by itself, and its two kinds of agents."""

from __future__ import annotations

import json
from typing import Any

from harness import KEY, MODEL, Suite
from smolagents import ChatMessage, CodeAgent, OpenAIModel, Tool, ToolCallingAgent

suite = Suite("smolagents")
HELLO = [ChatMessage(role="user", content=[{"type": "text", "text": "Hello"}])]
PERSON = {
    "type": "json_schema",
    "json_schema": {
        "name": "person",
        "schema": {"type": "object", "properties": {"name": {"type": "string"}, "age": {"type": "integer"}}},
    },
}


class Weather(Tool):
    name = "weather"
    description = "Tell the weather."
    inputs = {"city": {"type": "string", "description": "where"}}  # noqa: RUF012 - as the framework has it
    output_type = "string"

    def forward(self, city: str) -> str:
        return f"sun in {city}"


def chat(url: str) -> OpenAIModel:
    return OpenAIModel(MODEL, api_base=url, api_key=KEY)


@suite.capability("plain", chat)
def plain(model: OpenAIModel) -> Any:
    return model.generate(HELLO), model(HELLO)


@suite.capability("plain, no API key in replay", lambda url: OpenAIModel(MODEL, api_base=url), is_keyless=True)
def keyless(model: OpenAIModel) -> Any:
    return model.generate(HELLO)


@suite.capability("streamed", chat)
def streamed(model: OpenAIModel) -> Any:
    return list(model.generate_stream(HELLO))


@suite.capability("tools", chat)
def tools(model: OpenAIModel) -> Any:
    return model.generate(HELLO, tools_to_call_from=[Weather()])


@suite.capability("tools, streamed", chat)
def tools_streamed(model: OpenAIModel) -> Any:
    return list(model.generate_stream(HELLO, tools_to_call_from=[Weather()]))


@suite.capability("structured output", chat)
def structured(model: OpenAIModel) -> Any:
    made = model.generate(HELLO, response_format=PERSON)
    return made, json.loads(made.content)


@suite.capability("structured output, streamed", chat)
def structured_streamed(model: OpenAIModel) -> Any:
    return list(model.generate_stream(HELLO, response_format=PERSON))


def steps(agent: Any) -> Any:
    """Run an agent, and show what its steps were, without their times."""
    result = agent.run("The weather?", max_steps=2)
    shown = []
    for step in agent.memory.steps:
        told = step.dict()
        told.pop("timing", None)
        shown.append(told)
    return result, shown


for is_streamed in (False, True):
    suffix = ", streamed" * is_streamed

    @suite.capability(f"tools, agent{suffix}", chat)
    def tool_agent(model: OpenAIModel, is_streamed: Any = is_streamed) -> Any:
        agent = ToolCallingAgent([Weather()], model, stream_outputs=is_streamed, verbosity_level=-1, max_tool_threads=1)
        return steps(agent)

    @suite.capability(f"code agent{suffix}", chat)
    def code_agent(model: OpenAIModel, is_streamed: Any = is_streamed) -> Any:
        return steps(CodeAgent([Weather()], model, stream_outputs=is_streamed, verbosity_level=-1))


suite.lacks("async", "the framework has no asynchronous models")
suite.lacks("Responses API", "the framework knows chat completions only")
suite.main()
