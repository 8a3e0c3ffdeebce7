"""What the benchmarks are answered, by the real server and by the transport in memory alike."""

from __future__ import annotations

import array
import base64
import functools
import json
import random
from typing import Any, NamedTuple

CHUNKS = 200
DIMENSIONS = 1536
REQUEST_ID = "req_1"


class Answer(NamedTuple):
    """An answer: its status, its content's type, and the pieces of its content."""

    status: int
    kind: str
    pieces: tuple[bytes, ...]


def answer(path: str, asked: dict[str, Any]) -> Answer:
    """Return what is answered to a request, which is empty if it has no body."""
    is_base64 = asked.get("encoding_format") == "base64"
    is_stream, inputs = bool(asked.get("stream")), len(asked.get("input", ()))
    return _answered(path, asked.get("model", ""), inputs, is_stream=is_stream, is_base64=is_base64)


@functools.lru_cache(32)
def _answered(path: str, model: str, inputs: int, *, is_stream: bool, is_base64: bool) -> Answer:
    if is_stream:
        return Answer(200, "text/event-stream", (*map(event, chunks_of(model)), event(b"[DONE]")))
    if path.endswith("/embeddings"):
        return Answer(200, "application/json", (vectors(inputs, is_base64=is_base64),))
    return Answer(400 if model == "wrong" else 200, "application/json", (json.dumps(_content(path, model)).encode(),))


def _content(path: str, model: str) -> Any:
    if path.endswith("/models"):
        return {"object": "list", "data": [{"id": f"model-{number}", **_MODEL} for number in range(3)]}
    if path.endswith("/moderations"):
        result = {"flagged": False, "categories": _CATEGORIES, "category_scores": dict.fromkeys(_CATEGORIES, 0.01)}
        return {"id": "m-1", "model": "m", "results": [result]}
    if path.endswith("/responses"):
        return _response(PERSON if model == "person" else "Hello there")
    if model == "wrong":
        return {"error": {"message": "there is no such model", "type": "invalid_request_error", **_WHERE}}
    return {**CHAT, "choices": [{**_CHOICE, "message": {**_CHOICE["message"], **_SAID.get(model, {})}}]}


# Chats.

PERSON = '{"name": "Ada", "age": 36}'
TOOL_CALL = {"id": "call_1", "type": "function", "function": {"name": "tool_1", "arguments": '{"p0": "a", "p1": "b"}'}}
_SAID: dict[str, dict[str, Any]] = {
    "person": {"content": PERSON},
    "tools": {"content": None, "tool_calls": [TOOL_CALL]},
}
"""What two models say: one fills in a schema, one calls a tool."""
_WHERE = {"code": "c", "param": "p"}
_CHOICE: dict[str, Any] = {
    "index": 0,
    "message": {"role": "assistant", "content": "Hello there, how can I help?", "refusal": None},
    "finish_reason": "stop",
    "logprobs": None,
}
CHAT = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1700000000,
    "model": "gpt-4o",
    "choices": [_CHOICE],
    "usage": {"prompt_tokens": 9, "completion_tokens": 9, "total_tokens": 18},
    "system_fingerprint": "fp_1",
}


def chunk(number: int) -> bytes:
    """Return the JSON of one chunk of a stream."""
    choice = {"index": 0, "delta": {"content": f"token{number} "}, "logprobs": None, "finish_reason": None}
    head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1700000000, "model": "gpt-4o"}
    return json.dumps({**head, "system_fingerprint": "fp_1", "choices": [choice]}).encode()


def event(data: bytes) -> bytes:
    """Return one server-sent event."""
    return b"data: " + data + b"\n\n"


def chunks_of(model: str) -> list[bytes]:
    """Return the chunks that a model streams: `chunks-2000` so many, `bytes-1000-10000` so many of that size."""
    kind, *numbers = model.split("-")
    if kind == "chunks":
        return [chunk(i) for i in range(int(numbers[0]))]
    if kind == "bytes":
        count, size = map(int, numbers)
        return [chunk(i).replace(b"token", b"x" * max(0, size - len(chunk(i))) + b"token") for i in range(count)]
    return [chunk(i) for i in range(CHUNKS)]


# The rest.

_CATEGORIES = dict.fromkeys(("harassment", "hate", "self-harm", "sexual", "violence"), False)
_MODEL = {"object": "model", "created": 1700000000, "owned_by": "somebody"}


def vectors(count: int, *, is_base64: bool) -> bytes:
    """Return the answer to a request for embeddings, the same each time."""
    data, chosen = [], random.Random(count)
    for index in range(count):
        values = array.array("f", (chosen.uniform(-1, 1) for _ in range(DIMENSIONS)))
        vector = base64.b64encode(values.tobytes()).decode() if is_base64 else values.tolist()
        data.append({"object": "embedding", "index": index, "embedding": vector})
    usage = {"prompt_tokens": 800, "total_tokens": 800}
    return json.dumps({"object": "list", "data": data, "model": "text-embedding-3-small", "usage": usage}).encode()


def _response(text: str) -> dict[str, Any]:
    said = {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
    message = {"type": "message", "id": "msg_1", "status": "completed", "role": "assistant", "content": [said]}
    usage = {"input_tokens": 3, "output_tokens": 4, "total_tokens": 7}
    usage |= {
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens_details": {"reasoning_tokens": 0},
    }
    head = {"id": "resp_1", "object": "response", "created_at": 1700000000, "status": "completed", "model": "m"}
    head |= {"error": None, "incomplete_details": None, "instructions": None, "max_output_tokens": None}
    head |= {"parallel_tool_calls": True, "previous_response_id": None, "store": True, "temperature": 1.0}
    head |= {"reasoning": {"effort": None, "summary": None}, "text": {"format": {"type": "text"}}, "tools": []}
    head |= {"tool_choice": "auto", "top_p": 1.0, "truncation": "disabled", "user": None, "metadata": {}}
    return {**head, "output": [message], "usage": usage}


@functools.cache
def sound() -> bytes:
    """Return 10 MB that cannot be compressed."""
    return random.Random(1).randbytes(10 * 1024 * 1024)
