"""What a server of the Responses API sends, with members that the SDK does not know and ones that are null."""

from __future__ import annotations

import json
from typing import Any

from conftest import Reply


def response(*output: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Return a response with the given items."""
    return {
        "id": "resp_1",
        "object": "response",
        "created_at": 1700000000,
        "status": "completed",
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "metadata": {},
        "model": "m",
        "output": list(output),
        "parallel_tool_calls": True,
        "temperature": 1.0,
        "tool_choice": "auto",
        "tools": [],
        "top_p": 1.0,
        "usage": {
            "input_tokens": 1,
            "input_tokens_details": {"cached_tokens": 0},
            "output_tokens": 2,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": 3,
        },
        "x_unknown": {"a": [1, None, ""]},
        **more,
    }


def message(text: str) -> dict[str, Any]:
    """Return an item that is a message."""
    part = {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
    return {"id": "msg_1", "type": "message", "status": "completed", "role": "assistant", "content": [part]}


def reasoning() -> dict[str, Any]:
    """Return an item that is a summary of thoughts."""
    return {"id": "rs_1", "type": "reasoning", "summary": [{"type": "summary_text", "text": "Hm."}], "x_unknown": 1}


def function_call(name: str, arguments: str) -> dict[str, Any]:
    """Return an item that calls a tool."""
    made = {"id": "fc_1", "type": "function_call", "status": "completed", "call_id": "call_1"}
    return {**made, "name": name, "arguments": arguments}


def events(*texts: str) -> list[dict[str, Any]]:
    """Return the events of a message that comes in pieces, and one that no SDK knows."""
    begun, whole = message(""), message("".join(texts))
    at = {"output_index": 0, "item_id": "msg_1", "content_index": 0}
    part = begun["content"][0]
    made: list[dict[str, Any]] = [
        {"type": "response.created", "response": response(status="in_progress", usage=None)},
        {"type": "response.in_progress", "response": response(status="in_progress", usage=None)},
        {
            "type": "response.output_item.added",
            "output_index": 0,
            "item": {**begun, "content": [], "status": "in_progress"},
        },
        {"type": "response.content_part.added", **at, "part": part},
        *({"type": "response.output_text.delta", **at, "delta": text, "logprobs": []} for text in texts),
        {"type": "response.output_text.done", **at, "text": "".join(texts), "logprobs": []},
        {"type": "response.content_part.done", **at, "part": whole["content"][0]},
        {"type": "response.output_item.done", "output_index": 0, "item": whole},
        {"type": "response.completed", "response": response(whole)},
    ]
    return [{**event, "sequence_number": number} for number, event in enumerate(made)]


def named(*events: dict[str, Any]) -> Reply:
    """Return a streamed reply whose events bear their type as their name; there is no `[DONE]`."""
    pieces = [f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode() for event in events]
    return Reply(headers={"content-type": "text/event-stream"}, pieces=[(0.0, piece) for piece in pieces])
