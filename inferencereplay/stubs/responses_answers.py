"""Answers by hand of the Responses API: https://platform.openai.com/docs/api-reference/responses-streaming."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from inferencereplay.stubs.said import words

if TYPE_CHECKING:
    from collections.abc import Iterator

    from inferencereplay.recording.format import Response
    from inferencereplay.stubs.said import Asking, Said

_INCOMPLETE = {"length": "max_output_tokens", "content_filter": "content_filter"}
"""The reason of an incomplete response for a chat's reason to finish."""
_DEFAULTS: dict[str, Any] = {
    "instructions": None,
    "max_output_tokens": None,
    "metadata": {},
    "parallel_tool_calls": True,
    "previous_response_id": None,
    "reasoning": {"effort": None, "summary": None},
    "store": True,
    "temperature": 1.0,
    "text": {"format": {"type": "text"}},
    "tool_choice": "auto",
    "tools": [],
    "top_p": 1.0,
    "truncation": "disabled",
    "user": None,
}
"""What a response repeats of the request, and what it says where the request says nothing."""


def answer(said: Said, asked: Asking) -> Response:
    """Make the answer that a server would send: a stream if the request asks for one."""
    if not asked.is_streamed:
        return asked.plain(_whole(said, asked))
    events = enumerate(_events(said, asked))
    return asked.stream(({**event, "sequence_number": number} for number, event in events), is_named=True)


def _whole(said: Said, asked: Asking) -> dict[str, Any]:
    reason = _INCOMPLETE.get(said.finish)
    items = [item for item, _ in _items(said, asked, "incomplete" if reason else "completed")]
    given, told = asked.tokens(said)
    usage = {
        "input_tokens": given,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": told,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": given + told,
    }
    details = {"reason": reason} if reason else None
    return _response(asked, "incomplete" if reason else "completed", items, usage, details)


def _response(
    asked: Asking, status: str, output: list[dict[str, Any]], usage: dict[str, Any] | None, details: Any
) -> dict[str, Any]:
    repeated = {
        name: default if asked.body.get(name) is None else asked.body[name] for name, default in _DEFAULTS.items()
    }
    return {
        "id": asked.id("resp_", 48),
        "object": "response",
        "created_at": asked.created,
        "status": status,
        "error": None,
        "incomplete_details": details,
        "model": asked.model,
        "output": output,
        "usage": usage,
        **repeated,
    }


def _items(said: Said, asked: Asking, status: str) -> Iterator[tuple[dict[str, Any], list[str]]]:
    """Yield the items of the output, and the pieces in which each is streamed."""
    if said.pieces or said.refusal or not said.tool_calls:
        message = {"id": asked.id("msg_", 48), "type": "message", "status": status, "role": "assistant"}
        yield {**message, "content": [_part(said)]}, [*said.pieces, *words(said.refusal)]
    for place, call in enumerate(said.tool_calls):
        item = {"id": asked.id("fc_", 48, place), "type": "function_call", "status": status, "name": call.name}
        made = {**item, "call_id": call.id or asked.id("call_", 24, place), "arguments": call.arguments}
        yield made, words(call.arguments)


def _part(said: Said) -> dict[str, Any]:
    if said.refusal:
        return {"type": "refusal", "refusal": said.refusal}
    return {"type": "output_text", "text": said.text or "", "annotations": [], "logprobs": []}


def _events(said: Said, asked: Asking) -> Iterator[dict[str, Any]]:
    begun, whole = _response(asked, "in_progress", [], None, None), _whole(said, asked)
    yield {"type": "response.created", "response": begun}
    yield {"type": "response.in_progress", "response": begun}
    for place, (item, pieces) in enumerate(_items(said, asked, whole["status"])):
        yield from _item_events(place, item, pieces)
    yield {"type": f"response.{whole['status']}", "response": whole}


def _item_events(place: int, item: dict[str, Any], pieces: list[str]) -> Iterator[dict[str, Any]]:
    at = {"output_index": place}
    is_message = item["type"] == "message"
    empty: dict[str, Any] = {"content": []} if is_message else {"arguments": ""}
    yield {"type": "response.output_item.added", **at, "item": {**item, **empty, "status": "in_progress"}}
    inner = _message_events(item["content"][0], pieces) if is_message else _call_events(item, pieces)
    for event in inner:
        yield {**event, **at, "item_id": item["id"]}
    yield {"type": "response.output_item.done", **at, "item": item}


def _message_events(part: dict[str, Any], pieces: list[str]) -> Iterator[dict[str, Any]]:
    at = {"content_index": 0}
    kind, member = ("refusal", "refusal") if part["type"] == "refusal" else ("output_text", "text")
    more: dict[str, Any] = {} if kind == "refusal" else {"logprobs": []}
    yield {"type": "response.content_part.added", **at, "part": {**part, member: ""}}
    for piece in pieces:
        yield {"type": f"response.{kind}.delta", **at, "delta": piece, **more}
    yield {"type": f"response.{kind}.done", **at, member: part[member], **more}
    yield {"type": "response.content_part.done", **at, "part": part}


def _call_events(item: dict[str, Any], pieces: list[str]) -> Iterator[dict[str, Any]]:
    for piece in pieces:
        yield {"type": "response.function_call_arguments.delta", "delta": piece}
    yield {
        "type": "response.function_call_arguments.done",
        "arguments": item["arguments"],
        "name": item["name"],
    }
