"""Answers by hand of chat completions: https://platform.openai.com/docs/api-reference/chat/object."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from inferencereplay.stubs.said import words

if TYPE_CHECKING:
    from collections.abc import Iterator

    from inferencereplay.recording.format import Response
    from inferencereplay.stubs.said import Asking, Said


def answer(said: Said, asked: Asking) -> Response:
    """Make the answer that a server would send: a stream if the request asks for one."""
    if asked.is_streamed:
        return asked.stream(_chunks(said, asked))
    choices = [
        {"index": index, "message": _message(said, asked, index), "logprobs": None, "finish_reason": said.finish}
        for index in range(count(asked))
    ]
    head = _head(asked, "chat.completion")
    return asked.plain({**head, "choices": choices, "usage": usage(said, asked), "system_fingerprint": None})


def count(asked: Asking) -> int:
    """Return how many choices a request asks for."""
    wanted = asked.body.get("n")
    return wanted if isinstance(wanted, int) and wanted > 0 else 1


def usage(said: Said, asked: Asking) -> dict[str, Any]:
    """Return the tokens of all choices."""
    prompt, completion = asked.tokens(said)
    completion *= 1 if said.usage else count(asked)
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": 0,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def _head(asked: Asking, kind: str) -> dict[str, Any]:
    return {"id": asked.id("chatcmpl-", 29), "object": kind, "created": asked.created, "model": asked.model}


def _message(said: Said, asked: Asking, index: int) -> dict[str, Any]:
    made: dict[str, Any] = {"role": "assistant", "content": said.text, "refusal": said.refusal or None}
    if said.tool_calls:
        made["tool_calls"] = [
            {
                "id": _call_id(said, asked, index, place),
                "type": "function",
                "function": _function(call.name, call.arguments),
            }
            for place, call in enumerate(said.tool_calls)
        ]
    return made


def _call_id(said: Said, asked: Asking, index: int, place: int) -> str:
    return said.tool_calls[place].id or asked.id("call_", 24, index, place)


def _function(name: str, arguments: str) -> dict[str, str]:
    return {"name": name, "arguments": arguments}


def _chunks(said: Said, asked: Asking) -> Iterator[dict[str, Any]]:
    head = {**_head(asked, "chat.completion.chunk"), "system_fingerprint": None}
    options = asked.body.get("stream_options")
    has_usage = isinstance(options, dict) and bool(options.get("include_usage"))
    tail: dict[str, Any] = {"usage": None} if has_usage else {}
    for index in range(count(asked)):
        for delta in _deltas(said, asked, index):
            yield {**head, "choices": [_choice(index, delta, None)], **tail}
        yield {**head, "choices": [_choice(index, {}, said.finish)], **tail}
    if has_usage:
        yield {**head, "choices": [], "usage": usage(said, asked)}


def _choice(index: int, delta: dict[str, Any], finish: str | None) -> dict[str, Any]:
    return {"index": index, "delta": delta, "logprobs": None, "finish_reason": finish}


def _deltas(said: Said, asked: Asking, index: int) -> Iterator[dict[str, Any]]:
    first: dict[str, Any] = {"role": "assistant", "content": "" if said.pieces else None, "refusal": None}
    yield first
    for piece in said.pieces:
        yield {"content": piece}
    for piece in words(said.refusal):
        yield {"refusal": piece}
    for place, call in enumerate(said.tool_calls):
        begun = {"id": _call_id(said, asked, index, place), "type": "function", "function": _function(call.name, "")}
        yield {"tool_calls": [{"index": place, **begun}]}
        for piece in words(call.arguments):
            yield {"tool_calls": [{"index": place, "function": {"arguments": piece}}]}
