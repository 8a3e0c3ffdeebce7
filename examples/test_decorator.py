"""Test functions that call a model, without calling it.

    pytest examples/test_decorator.py

The recording was made by these very tests, against `examples/llm_server.py`:

    export OPENAI_BASE_URL=http://127.0.0.1:... OPENAI_API_KEY=none
    INFERENCEREPLAY_MODE=record-if-missing pytest examples/test_decorator.py
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from openai import AsyncOpenAI, OpenAI

from inferencereplay import RecordingNotFound, replay

RECORDINGS = Path(__file__).parent / "recordings" / "capitals"


# The program under test: functions without any code for recordings.


def request(country: str) -> dict[str, Any]:
    """Return the request for a country's capital."""
    question = {"role": "user", "content": f"What is the capital of {country}? Answer with its name only."}
    return {"model": "SmolLM2-135M-Instruct.Q4_1", "messages": [question], "temperature": 0}


def last_word(text: str) -> str:
    """Return the last word of an answer: "Paris" of "The capital of France is Paris."."""
    return text.rstrip(".").rpartition(" ")[2]


def capital(country: str) -> str:
    """Ask for a country's capital."""
    answer = OpenAI().chat.completions.create(**request(country))
    return last_word(answer.choices[0].message.content or "")


async def capital_async(country: str) -> str:
    """Ask for a country's capital."""
    answer = await AsyncOpenAI().chat.completions.create(**request(country))
    return last_word(answer.choices[0].message.content or "")


# The tests.


@replay(RECORDINGS)
def test_capital() -> None:
    """The model knows France."""
    assert capital("France") == "Paris"


@pytest.fixture
def anyio_backend() -> str:
    """Run asynchronous tests on asyncio; anyio, a dependency of openai, has the plugin."""
    return "asyncio"


@pytest.mark.anyio
@replay(RECORDINGS)
async def test_capital_async() -> None:
    """The decorator works on an `async def` too."""
    assert await capital_async("France") == "Paris"


def test_another_country() -> None:
    """A request that was not recorded is an error that says what differs, and never a call to the network."""
    with pytest.raises(RecordingNotFound, match="France"), replay(RECORDINGS, mode="replay"):
        capital("Atlantis")
