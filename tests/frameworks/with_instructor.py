# /// script
# dependencies = ["instructor>=1.17"]
# [tool.frameworks]
# openai = ["2.54"]
# ///
# Left to itself, pip takes an instructor of 2024 so that it can have the newest openai.
"""instructor: OpenAI's modes, partial and iterable streams, validation retries, sync and async."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import instructor
import openai
import pydantic
from answers import NO_MODEL
from harness import KEY, MODEL, Suite
from instructor import Mode
from instructor.core import InstructorRetryException

if TYPE_CHECKING:
    from collections.abc import Callable

suite = Suite("instructor")
MODES = {
    "tools": Mode.TOOLS,
    "strict tools": Mode.TOOLS_STRICT,
    "JSON": Mode.JSON,
    "JSON schema": Mode.JSON_SCHEMA,
    "Responses API": Mode.RESPONSES_TOOLS,
}


class Person(pydantic.BaseModel):
    """Somebody."""

    name: str
    age: int


class Adult(Person):
    """Somebody whom the model never names, for it says that everybody is three."""

    @pydantic.field_validator("age")
    @classmethod
    def _is_of_age(cls, age: int) -> int:
        if age < 18:
            raise ValueError("too young")
        return age


def ask(model: Any = Person) -> dict[str, Any]:
    return {"model": MODEL, "messages": [{"role": "user", "content": "Who, as JSON?"}], "response_model": model}


def sync(mode: Mode) -> Callable[[str], Any]:
    return lambda url: instructor.from_openai(openai.OpenAI(base_url=url, api_key=KEY), mode=mode)


def asynchronous(mode: Mode) -> Callable[[str], Any]:
    return lambda url: instructor.from_openai(openai.AsyncOpenAI(base_url=url, api_key=KEY), mode=mode)


for mode_name, mode in MODES.items():
    name = f"structured output, {mode_name}"

    @suite.capability(name, sync(mode))
    def create(client: Any) -> Any:
        return client.create(**ask()), client.create_with_completion(**ask())

    @suite.capability(f"{name}, streamed in parts", sync(mode))
    def partial(client: Any) -> Any:
        return list(client.create_partial(**ask()))

    @suite.capability(f"{name}, iterable", sync(mode))
    def iterable(client: Any) -> Any:
        return list(client.create_iterable(**ask()))

    @suite.capability(f"{name}, async", asynchronous(mode))
    async def create_async(client: Any) -> Any:
        return await client.create(**ask()), await client.create_with_completion(**ask())

    @suite.capability(f"{name}, async streamed in parts", asynchronous(mode))
    async def partial_async(client: Any) -> Any:
        return [part async for part in client.create_partial(**ask())]


def unpatched(url: str) -> Any:
    return instructor.patch(openai.OpenAI(base_url=url, api_key=KEY))


@suite.capability("structured output, instructor.patch", unpatched)
def patched(client: Any) -> Any:
    return client.chat.completions.create(**ask())


@suite.capability("an error of the server", sync(Mode.TOOLS))
def error(client: Any) -> Any:
    try:
        return client.create(**{**ask(), "model": NO_MODEL})
    except InstructorRetryException as error:
        return error, error.n_attempts


def without_key(url: str) -> Any:
    return instructor.from_provider(f"openai/{MODEL}", base_url=url)


@suite.capability("structured output, no API key in replay", without_key, is_keyless=True)
def keyless(client: Any) -> Any:
    return client.create(messages=ask()["messages"], response_model=Person)


@suite.capability("structured output, retried after validation", sync(Mode.TOOLS))
def retries(client: Any) -> Any:
    try:
        return client.create(**ask(Adult), max_retries=3)
    except InstructorRetryException as error:
        return error.n_attempts, error.messages, error.last_completion, error.total_usage


suite.lacks("plain", "the framework asks for structured output only")
suite.main()
