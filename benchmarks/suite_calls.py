"""The tests of `suite.py`: calls of six kinds, each request made once; pytest runs them in a copy of this file."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import answers
import pydantic
import pytest
import scenes
from scenes import EMBEDDINGS, LARGE, SMALL, STREAM, numbered

if TYPE_CHECKING:
    from collections.abc import Iterator

    import openai
    from langchain_openai import ChatOpenAI

EACH = int(os.environ["SUITE_EACH"])
"""Tests of each kind."""
URL = os.environ["SUITE_URL"]
"""The server's, or nothing if the answers come from memory."""
pytestmark = [getattr(pytest.mark, os.environ["SUITE_MARKER"]), pytest.mark.parametrize("number", range(EACH))]


class Person(pydantic.BaseModel):
    """What a model is asked to fill in."""

    name: str
    age: int


@pytest.fixture(scope="session")
def client() -> Iterator[openai.OpenAI]:
    """Make one client for all tests, as most suites do."""
    with scenes.client(base_url=URL) if URL else scenes.client() as made:
        yield made


@pytest.fixture(scope="session")
def langchain(client: openai.OpenAI) -> ChatOpenAI:
    from langchain_openai import ChatOpenAI  # noqa: PLC0415 - the other tests do without

    connection = None if URL else client._client  # noqa: SLF001 - the one in memory
    url = str(client.base_url)
    return ChatOpenAI(model="gpt-4o", api_key=client.api_key, base_url=url, http_client=connection, max_retries=0)


def test_plain(client: openai.OpenAI, number: int) -> None:
    answer = client.chat.completions.create(**numbered(SMALL, number))
    assert answer.choices[0].message.content == "Hello there, how can I help?"


def test_streamed(client: openai.OpenAI, number: int) -> None:
    chunks = client.chat.completions.create(**numbered({**STREAM, "model": "chunks-50"}, number))
    assert "".join(chunk.choices[0].delta.content for chunk in chunks).endswith("token49 ")


def test_tools(client: openai.OpenAI, number: int) -> None:
    chat: dict[str, Any] = {**SMALL, "model": "tools", "tools": LARGE["tools"]}
    answer = client.chat.completions.create(**numbered(chat, number))
    assert answer.choices[0].message.tool_calls[0].id == answers.TOOL_CALL["id"]


def test_parse(client: openai.OpenAI, number: int) -> None:
    chat: dict[str, Any] = {**SMALL, "model": "person"}
    answer = client.chat.completions.parse(**numbered(chat, number), response_format=Person)
    assert answer.choices[0].message.parsed == Person(name="Ada", age=36)


def test_embeddings(client: openai.OpenAI, number: int) -> None:
    answer = client.embeddings.create(**numbered({**EMBEDDINGS, "input": EMBEDDINGS["input"][:5]}, number))
    assert len(answer.data) == 5


def test_langchain(langchain: ChatOpenAI, number: int) -> None:
    assert langchain.invoke(f"Say hello number {number:08}").content == "Hello there, how can I help?"
