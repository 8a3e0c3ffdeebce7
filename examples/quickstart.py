"""Replay a recorded stream offline: no API key, no network.

A vLLM server answered this request with a streamed tool call; `recordings/tool_call` holds its answer.
"""

from __future__ import annotations

import time
from pathlib import Path

from openai import OpenAI

from inferencereplay import Pace, replay

RECORDINGS = Path(__file__).parent / "recordings" / "tool_call"
LOCATION = {"type": "string", "description": "The city and state (both required), e.g. San Francisco, CA."}
WEATHER = {
    "name": "get_weather",
    "description": "Get the current weather",
    "parameters": {"type": "object", "properties": {"location": LOCATION}, "required": ["location"]},
}


def ask_for_the_weather() -> tuple[str, str]:
    """Print a streamed answer chunk by chunk; return the name and the arguments of the tool call in it."""
    client = OpenAI()
    start = time.perf_counter()
    stream = client.chat.completions.create(
        model="meta-llama/Llama-3.2-1B-Instruct",
        messages=[
            {"role": "system", "content": [{"type": "text", "text": "Pretend you are a weather assistant."}]},
            {"role": "user", "content": [{"type": "text", "text": "What's the weather like in San Francisco, CA?"}]},
        ],
        tools=[{"type": "function", "function": WEATHER}],
        temperature=0.0,
        max_tokens=4096,
        stream=True,
    )
    name = arguments = ""
    for chunk in stream:
        delta = chunk.choices[0].delta
        milliseconds = (time.perf_counter() - start) * 1000
        print(f"  {milliseconds:5.0f} ms  {delta.to_json(indent=None, exclude_none=True)}", flush=True)
        for call in delta.tool_calls or ():
            name += call.function.name or ""
            arguments += call.function.arguments or ""
    return name, arguments


print("At once:")
with replay(RECORDINGS):
    ask_for_the_weather()

print("\nAt a visible pace:")
with replay(RECORDINGS, pace=Pace(first=0.3, between=0.05)):
    name, arguments = ask_for_the_weather()

print(f"\nThe tool call: {name}({arguments})")
