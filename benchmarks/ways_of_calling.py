"""Ways of calling beside plain `create`."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING, Any, NamedTuple

import openai
import pydantic
import scenes
from measuring import Row, measure, speedup_row
from scenes import SMALL, STREAM

from inferencereplay import replay, wrap

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


class Person(pydantic.BaseModel):
    """Somebody."""

    name: str
    age: int


class Way(NamedTuple):
    """A way of calling.

    Attributes:
        name: for programs.
        what: for people.
        make: makes of a client what is called.
        limit: how many times less than the SDK it has to take.
        is_long: whether it takes milliseconds.
    """

    name: str
    what: str
    make: Callable[[Any], Callable[[], Any]]
    limit: float
    is_long: bool = False


def _chat(client: Any) -> Any:
    return client.chat.completions


def _raw(client: Any) -> Callable[[], Any]:
    create = _chat(client).with_raw_response.create
    return lambda: create(**SMALL).parse()


def _raw_stream(client: Any) -> Callable[[], Any]:
    create = _chat(client).with_raw_response.create
    return lambda: list(create(**STREAM).parse())


def _streaming(client: Any) -> Callable[[], Any]:
    create = _chat(client).with_streaming_response.create

    def call() -> Any:
        with create(**SMALL) as response:
            return response.read()

    return call


def _parse(client: Any) -> Callable[[], Any]:
    chat = _chat(client) if hasattr(_chat(client), "parse") else client.beta.chat.completions
    return lambda: chat.parse(**PARSED, response_format=Person)


def _stream_helper(client: Any) -> Callable[[], Any]:
    chat = _chat(client) if hasattr(_chat(client), "stream") else client.beta.chat.completions

    def call() -> Any:
        with chat.stream(**SMALL) as stream:
            return len(list(stream))

    return call


def _responses(client: Any) -> Callable[[], Any]:
    return lambda: client.responses.create(model="m", input="Say hello")


def _responses_raw(client: Any) -> Callable[[], Any]:
    create = client.responses.with_raw_response.create
    return lambda: create(model="m", input="Say hello").parse()


def _responses_parse(client: Any) -> Callable[[], Any]:
    return lambda: client.responses.parse(model="person", input="Who?", text_format=Person)


def _models(client: Any) -> Callable[[], Any]:
    return lambda: client.models.list().data


def _moderations(client: Any) -> Callable[[], Any]:
    return lambda: client.moderations.create(input="Say hello", model="m")


def _error(client: Any) -> Callable[[], Any]:
    def call() -> Any:
        try:
            client.chat.completions.create(**{**SMALL, "model": "wrong"})
        except openai.BadRequestError as error:
            return str(error)

    return call


PARSED = {**SMALL, "model": "person"}
_WAYS = (
    Way("raw", "`with_raw_response.create(...).parse()`", _raw, 10),
    Way("raw_stream", "the same, streamed, 200 chunks", _raw_stream, 14, is_long=True),
    Way("streaming", "`with_streaming_response.create(...)`, read", _streaming, 8),
    Way("parse", "`chat.completions.parse` with a model of pydantic's", _parse, 15),
    Way("stream_helper", "`chat.completions.stream()`, 200 chunks", _stream_helper, 2.1, is_long=True),
    Way("responses", "`responses.create`", _responses, 15),
    Way("responses_raw", "`responses.with_raw_response.create(...).parse()`", _responses_raw, 10),
    Way("responses_parse", "`responses.parse` with a model of pydantic's", _responses_parse, 15),
    Way("models", "`models.list`", _models, 4),
    Way("moderations", "`moderations.create`", _moderations, 4),
    Way("error", "a recorded 400", _error, 4),
)
_HAS_RESPONSES = importlib.util.find_spec("openai.resources.responses") is not None
WAYS = tuple(way for way in _WAYS if _HAS_RESPONSES or not way.name.startswith("responses"))
"""Those that this SDK has."""


def row(way: Way, directory: Path, rounds: int) -> Row:
    """Record a way of calling, and measure it beside the SDK."""
    with replay(directory, mode="record"):
        recorded = way.make(scenes.client())()
    pair = {"replay": way.make(wrap(scenes.client(), directory, mode="replay")), "sdk": way.make(scenes.client())}
    assert pair["replay"]() == pair["sdk"]() == recorded
    return speedup_row(way.name, f"{way.what} : SDK over an in-memory transport", measure(pair, rounds), way.limit)
