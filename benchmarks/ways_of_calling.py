"""Ways of calling beside plain `create`, each with what an in-memory transport answers."""

from __future__ import annotations

import json
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
WAYS = (
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

_JSON = '{"name": "Ann", "age": 3}'
_FALSE = dict.fromkeys(("harassment", "hate", "self-harm", "sexual", "violence"), False)
_MODEL = {"object": "model", "created": 1_700_000_000, "owned_by": "somebody"}


def _response(text: str) -> dict[str, Any]:
    said = {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
    message = {"type": "message", "id": "msg_1", "status": "completed", "role": "assistant", "content": [said]}
    usage = {"input_tokens": 3, "output_tokens": 4, "total_tokens": 7}
    usage |= {
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens_details": {"reasoning_tokens": 0},
    }
    head = {"id": "resp_1", "object": "response", "created_at": 1_700_000_000, "status": "completed", "model": "m"}
    head |= {"error": None, "incomplete_details": None, "instructions": None, "max_output_tokens": None}
    head |= {"parallel_tool_calls": True, "previous_response_id": None, "store": True, "temperature": 1.0}
    head |= {"reasoning": {"effort": None, "summary": None}, "text": {"format": {"type": "text"}}, "tools": []}
    head |= {"tool_choice": "auto", "top_p": 1.0, "truncation": "disabled", "user": None, "metadata": {}}
    return {**head, "output": [message], "usage": usage}


def _content(path: str, sent: dict[str, Any]) -> Any:
    is_person = sent.get("model") == "person"
    if path.endswith("/models"):
        return {"object": "list", "data": [{"id": f"model-{number}", **_MODEL} for number in range(3)]}
    if path.endswith("/moderations"):
        scores = dict.fromkeys(_FALSE, 0.01)
        return {
            "id": "m-1",
            "model": "m",
            "results": [{"flagged": False, "categories": _FALSE, "category_scores": scores}],
        }
    if path.endswith("/responses"):
        return _response(_JSON if is_person else "Hello there")
    if sent.get("model") == "wrong":
        return {
            "error": {"message": "there is no such model", "type": "invalid_request_error", "code": "c", "param": "p"}
        }
    choice = {**scenes.ANSWER["choices"][0], "message": {"role": "assistant", "content": _JSON, "refusal": None}}
    return {**scenes.ANSWER, "choices": [choice]} if is_person else scenes.ANSWER


def transport() -> Any:
    """Make a transport that answers every way of calling from memory."""
    made: dict[tuple[str, bytes], tuple[int, str, bytes]] = {}

    def answer(path: str, content: bytes) -> tuple[int, str, bytes]:
        sent = json.loads(content or b"{}")
        if sent.get("stream"):
            return 200, "text/event-stream", b"".join(scenes.answer(path, sent)[1])
        status = 400 if sent.get("model") == "wrong" else 200
        return status, "application/json", json.dumps(_content(path, sent)).encode()

    def handle(request: Any) -> Any:
        asked = request.url.path, request.content
        if asked not in made:
            made[asked] = answer(*asked)
        status, kind, content = made[asked]
        return scenes.http.Response(status, headers={"content-type": kind, "x-request-id": "req_1"}, content=content)

    return scenes.http.MockTransport(handle)


def client() -> openai.OpenAI:
    """Make a client over it."""
    http_client = scenes.http.Client(transport=transport())
    return openai.OpenAI(
        api_key="sk-benchmark-0123456789", base_url="http://memory/v1", max_retries=0, http_client=http_client
    )


def row(way: Way, directory: Path, rounds: int) -> Row:
    """Record a way of calling, and measure it beside the SDK."""
    with replay(directory, mode="record"):
        recorded = way.make(client())()
    pair = {"replay": way.make(wrap(client(), directory, mode="replay")), "sdk": way.make(client())}
    assert pair["replay"]() == pair["sdk"]() == recorded
    return speedup_row(way.name, f"{way.what} : SDK over an in-memory transport", measure(pair, rounds), way.limit)
