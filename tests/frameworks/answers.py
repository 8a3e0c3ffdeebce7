"""What the fake server answers: chats, the Responses API and embeddings, each numbered, so that no two are alike.

The number stands in the ids, the texts, the arguments of tool calls, the times and the usage. Whatever has a JSON
schema, a tool's arguments or a structured answer, gets an instance of it: `instance` fills strings with the number.

A model with tools calls as many as it is offered the first time, unless it may not call several at once; a model that
has to call one goes through them in the order in which they are given; one that has been told the results answers.
"""

from __future__ import annotations

import base64
import json
import struct
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

JSON = Any
EPOCH = 1_700_000_000
"""Seconds since 1970 at which the first answer is made."""
NO_MODEL = "no-such-model"
"""The model that the server does not have."""
PERSON = {"type": "object", "properties": {"name": {"type": "string"}, "age": {"type": "integer"}}}
"""What is answered where JSON is asked for without a schema."""


def instance(schema: JSON, number: int, root: JSON = None) -> JSON:
    """Return a value that fits a JSON schema, with the answer's number in its strings."""
    root = schema if root is None else root
    if "$ref" in schema:
        found = root
        for part in schema["$ref"].removeprefix("#/").split("/"):
            found = found[part]
        return instance(found, number, root)
    for name in ("anyOf", "oneOf", "allOf"):
        if name in schema:
            return instance(schema[name][0], number, root)
    if "enum" in schema or "const" in schema:
        return schema.get("const", schema.get("enum", [None])[0])
    kind = schema.get("type")
    kind = kind[0] if isinstance(kind, list) else kind
    if kind == "object" or "properties" in schema:
        return {name: instance(part, number, root) for name, part in schema.get("properties", {}).items()}
    if kind == "array":
        return [instance(schema.get("items", {"type": "string"}), number, root)] * 2
    return {"integer": 3, "number": 2.5, "boolean": True, "null": None}.get(kind, f"text {number}")


def pieces(text: str) -> list[str]:
    """Cut a text into pieces as a model does, a few characters each."""
    return [text[start : start + 7] for start in range(0, len(text), 7)]


# Chat completions.


def chat(body: JSON, number: int) -> JSON:
    """Return a chat completion."""
    message: dict[str, Any] = {"role": "assistant", "content": None, "refusal": None, "annotations": []}
    calls = _chat_calls(body, number)
    if calls:
        message["tool_calls"] = calls
    else:
        message["content"] = _chat_text(body, number)
    finish = "tool_calls" if calls else "stop"
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": finish}
    return {**_chat_head(body, number, "chat.completion"), "choices": [choice], "usage": _chat_usage(number)}


def chat_chunks(body: JSON, number: int) -> Iterator[JSON]:
    """Yield the chunks of a streamed chat completion."""
    head = _chat_head(body, number, "chat.completion.chunk")
    wants_usage = bool((body.get("stream_options") or {}).get("include_usage"))

    def chunk(delta: JSON, finish: str | None = None) -> JSON:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        return {**head, "choices": [choice], **({"usage": None} if wants_usage else {})}

    calls = _chat_calls(body, number)
    yield chunk({"role": "assistant", "content": None if calls else "", "refusal": None})
    for index, call in enumerate(calls):
        function = call["function"]
        yield chunk({"tool_calls": [{"index": index, **call, "function": {**function, "arguments": ""}}]})
        for piece in pieces(function["arguments"]):
            yield chunk({"tool_calls": [{"index": index, "function": {"arguments": piece}}]})
    for piece in [] if calls else pieces(_chat_text(body, number)):
        yield chunk({"content": piece})
    yield chunk({}, "tool_calls" if calls else "stop")
    if wants_usage:
        yield {**head, "choices": [], "usage": _chat_usage(number)}


def _chat_head(body: JSON, number: int, kind: str) -> JSON:
    made = {"id": f"chatcmpl-{number}", "object": kind, "created": EPOCH + number, "model": body["model"]}
    return {**made, "service_tier": "default", "system_fingerprint": f"fp_{number}"}


def _chat_usage(number: int) -> JSON:
    details = {
        "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0},
    }
    return {"prompt_tokens": 7, "completion_tokens": number, "total_tokens": 7 + number, **details}


def _chat_text(body: JSON, number: int) -> str:
    form = body.get("response_format") or {}
    if form.get("type") == "json_schema":
        return json.dumps(instance(form["json_schema"]["schema"], number))
    if form.get("type") == "json_object":
        return json.dumps(instance(PERSON, number))
    return f"This is answer {number}, with an ä and a 😀."


def _chat_calls(body: JSON, number: int) -> list[JSON]:
    tools = {tool["function"]["name"]: tool["function"].get("parameters", {}) for tool in body.get("tools") or ()}
    step = sum(message["role"] == "assistant" for message in body["messages"])
    choice = body.get("tool_choice")
    choice = choice["function"]["name"] if isinstance(choice, dict) else choice
    names = chosen(list(tools), choice, step, is_parallel=body.get("parallel_tool_calls") is not False)
    return [
        {
            "id": f"call_{number}_{index}",
            "type": "function",
            "function": {"name": name, "arguments": json.dumps(instance(tools[name], number))},
        }
        for index, name in enumerate(names)
    ]


def chosen(names: list[str], choice: str | None, step: int, *, is_parallel: bool) -> list[str]:
    """Return which tools the model calls.

    Args:
        names: what it is offered.
        choice: one of them, `"none"`, `"required"`, `"auto"` or `None`.
        step: how often it has had its say before.
        is_parallel: whether it may call several at once.
    """
    if choice in names:
        return [str(choice)]
    if not names or choice == "none":
        return []
    if choice == "required":
        return [names[min(step, len(names) - 1)]]
    if step:
        return []
    return names if is_parallel else names[:1]


# The Responses API.


def response(body: JSON, number: int, status: str = "completed") -> JSON:
    """Return a response; one that is `in_progress` has no output yet."""
    is_done = status == "completed"
    usage = {"input_tokens": 7, "output_tokens": number, "total_tokens": 7 + number}
    usage.update(input_tokens_details={"cached_tokens": 0}, output_tokens_details={"reasoning_tokens": 0})
    return {
        "id": f"resp_{number}",
        "object": "response",
        "created_at": EPOCH + number,
        "status": status,
        "error": None,
        "incomplete_details": None,
        "instructions": body.get("instructions"),
        "metadata": body.get("metadata") or {},
        "model": body["model"],
        "output": _output(body, number) if is_done else [],
        "parallel_tool_calls": body.get("parallel_tool_calls") is not False,
        "previous_response_id": body.get("previous_response_id"),
        "temperature": body.get("temperature", 1.0),
        "text": body.get("text") or {"format": {"type": "text"}},
        "tool_choice": body.get("tool_choice", "auto"),
        "tools": body.get("tools") or [],
        "top_p": 1.0,
        "truncation": "disabled",
        "usage": usage if is_done else None,
    }


def response_events(body: JSON, number: int) -> Iterator[JSON]:
    """Yield the events of a streamed response; each is named by its `type`."""
    for sequence, event in enumerate(_events(body, number)):
        yield {**event, "sequence_number": sequence}


def _events(body: JSON, number: int) -> Iterator[JSON]:
    yield {"type": "response.created", "response": response(body, number, "in_progress")}
    yield {"type": "response.in_progress", "response": response(body, number, "in_progress")}
    for index, item in enumerate(_output(body, number)):
        at = {"item_id": item["id"], "output_index": index}
        yield from _call_events(item, at) if item["type"] == "function_call" else _message_events(item, at)
        yield {"type": "response.output_item.done", "output_index": index, "item": item}
    yield {"type": "response.completed", "response": response(body, number)}


def _call_events(item: JSON, at: JSON) -> Iterator[JSON]:
    begun = {**item, "arguments": "", "status": "in_progress"}
    yield {"type": "response.output_item.added", "output_index": at["output_index"], "item": begun}
    for piece in pieces(item["arguments"]):
        yield {"type": "response.function_call_arguments.delta", **at, "delta": piece}
    done = {"name": item["name"], "arguments": item["arguments"]}
    yield {"type": "response.function_call_arguments.done", **at, **done}


def _message_events(item: JSON, at: JSON) -> Iterator[JSON]:
    begun = {**item, "content": [], "status": "in_progress"}
    yield {"type": "response.output_item.added", "output_index": at["output_index"], "item": begun}
    part, where = item["content"][0], {**at, "content_index": 0}
    yield {"type": "response.content_part.added", **where, "part": {**part, "text": ""}}
    for piece in pieces(part["text"]):
        yield {"type": "response.output_text.delta", **where, "delta": piece, "logprobs": []}
    yield {"type": "response.output_text.done", **where, "text": part["text"], "logprobs": []}
    yield {"type": "response.content_part.done", **where, "part": part}


def _output(body: JSON, number: int) -> list[JSON]:
    tools = {tool["name"]: tool.get("parameters") or {} for tool in body.get("tools") or () if "name" in tool}
    items = body["input"] if isinstance(body["input"], list) else []
    step = sum(item.get("type") == "function_call_output" for item in items)
    choice = body.get("tool_choice")
    choice = choice.get("name") if isinstance(choice, dict) else choice
    names = chosen(list(tools), choice, step, is_parallel=body.get("parallel_tool_calls") is not False)
    if not names:
        part = {"type": "output_text", "text": _text(body, number), "annotations": [], "logprobs": []}
        message = {"id": f"msg_{number}", "type": "message", "role": "assistant", "status": "completed"}
        return [{**message, "content": [part]}]
    return [
        {
            "id": f"fc_{number}_{index}",
            "type": "function_call",
            "call_id": f"call_{number}_{index}",
            "name": name,
            "arguments": json.dumps(instance(tools[name], number)),
            "status": "completed",
        }
        for index, name in enumerate(names)
    ]


def _text(body: JSON, number: int) -> str:
    form = (body.get("text") or {}).get("format") or {}
    if form.get("type") == "json_schema":
        return json.dumps(instance(form["schema"], number))
    if form.get("type") == "json_object":
        return json.dumps(instance(PERSON, number))
    return f"This is answer {number}, with an ä and a 😀."


# Embeddings.


def embeddings(body: JSON, number: int) -> JSON:
    """Return a vector of three numbers for each input, as floats or base64."""
    given = body["input"]
    is_one = isinstance(given, str) or isinstance(given[0], int)
    vectors = [[0.25, -1.5, number + index] for index in range(1 if is_one else len(given))]
    is_text = body.get("encoding_format") == "base64"
    data = [
        {"object": "embedding", "index": index, "embedding": _base64(vector) if is_text else vector}
        for index, vector in enumerate(vectors)
    ]
    usage = {"prompt_tokens": number, "total_tokens": number}
    return {"object": "list", "data": data, "model": body["model"], "usage": usage}


def _base64(vector: list[float]) -> str:
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
