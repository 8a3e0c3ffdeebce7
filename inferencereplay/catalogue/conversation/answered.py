"""The content of a plain answer."""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING, Annotated, Any

import msgspec

from inferencereplay.catalogue.conversation.asked import read_item, read_message
from inferencereplay.catalogue.conversation.parts import (
    Choice,
    Message,
    Part,
    Usage,
    elements,
    members,
    number,
    parsed,
    string,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sized

    from inferencereplay.recording.request import JSON

_FLOAT = 4
"""Bytes of a number in a vector that is sent in Base64."""
_MOST_NAMED = 5


def read_choices(kind: str, body: JSON) -> tuple[Choice, ...]:
    """Return the answers of a plain body."""
    if kind == "response":
        return _response(members(body))
    return tuple(_choice(members(item), place) for place, item in enumerate(elements(members(body).get("choices"))))


def read_usage(body: JSON) -> Usage:
    """Return the tokens, by the names that chats use and by those of the Responses API."""
    usage = members(members(body).get("usage"))
    into = [members(usage.get(name)) for name in ("prompt_tokens_details", "input_tokens_details")]
    out = [members(usage.get(name)) for name in ("completion_tokens_details", "output_tokens_details")]
    return Usage(
        input=_first([usage], "prompt_tokens", "input_tokens"),
        output=_first([usage], "completion_tokens", "output_tokens"),
        total=number(usage.get("total_tokens")),
        cached=_first(into, "cached_tokens"),
        reasoning=_first(out, "reasoning_tokens"),
    )


_Count = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)] | None


class _Details(msgspec.Struct, gc=False):
    cached_tokens: _Count = None
    reasoning_tokens: _Count = None


class _Counts(msgspec.Struct, gc=False):
    prompt_tokens: _Count = None
    input_tokens: _Count = None
    completion_tokens: _Count = None
    output_tokens: _Count = None
    total_tokens: _Count = None
    prompt_tokens_details: _Details | None = None
    input_tokens_details: _Details | None = None
    completion_tokens_details: _Details | None = None
    output_tokens_details: _Details | None = None


class _Counted(msgspec.Struct, gc=False):
    usage: _Counts | None = None


_read_counted = msgspec.json.Decoder(_Counted).decode
_NONE, _NO_DETAILS = _Counts(), _Details()


def read_usage_alone(body: bytes) -> Usage:
    """Return the tokens as `read_usage` does, without reading the rest of a body."""
    try:
        counts = _read_counted(body).usage or _NONE
    except (ValueError, RecursionError):  # other types than servers send, or no JSON
        return read_usage(parsed(body))
    asked, given = counts.prompt_tokens_details or _NO_DETAILS, counts.input_tokens_details or _NO_DETAILS
    said, made = counts.completion_tokens_details or _NO_DETAILS, counts.output_tokens_details or _NO_DETAILS
    return Usage(
        _either(counts.prompt_tokens, counts.input_tokens),
        _either(counts.completion_tokens, counts.output_tokens),
        counts.total_tokens,
        _either(asked.cached_tokens, given.cached_tokens),
        _either(said.reasoning_tokens, made.reasoning_tokens),
    )


def _either(first: int | None, second: int | None) -> int | None:
    return second if first is None else first


def read_error(body: JSON) -> str:
    """Return the message of an error, an answer's or one within a stream."""
    error = members(body).get("error", body)
    return string(error) or string(members(error).get("message")) or string(members(body).get("message"))


def join(messages: Iterable[Message], role: str = "assistant") -> Message:
    """Join the items of an answer into one message."""
    items = list(messages)
    return Message(
        role,
        tuple(part for item in items for part in item.parts),
        tuple(call for item in items for call in item.tool_calls),
        "\n".join(item.reasoning for item in items if item.reasoning),
    )


def summarize(body: JSON) -> str:
    """Describe an answer that is no conversation in one line."""
    body = members(body)
    data = elements(body.get("data"))
    vectors = [size for item in data if (size := _dimensions(members(item).get("embedding")))]
    if vectors:
        return f"{_count(vectors, 'vector')} of {vectors[0]} dimensions"
    if results := elements(body.get("results")):
        flagged = sum(members(item).get("flagged") is True for item in results)
        return f"{_count(results, 'result')}, {flagged} flagged"
    names = [name for item in data if (name := string(members(item).get("id")))]
    if names:
        more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
        return f"{_count(names, 'object')}: {', '.join(names[:_MOST_NAMED])}{more}"
    return " ".join(filter(None, (string(body.get("object")), string(body.get("id")))))


def _count(items: Sized, noun: str) -> str:
    return f"{len(items)} {noun}{'' if len(items) == 1 else 's'}"


def _choice(item: dict[str, Any], place: int) -> Choice:
    message = read_message(item.get("message"))
    if text := string(item.get("text")):
        message = Message("assistant", (Part("text", text),))
    index = number(item.get("index"))
    return Choice(place if index is None else index, message, string(item.get("finish_reason")))


def _response(body: dict[str, Any]) -> tuple[Choice, ...]:
    items = elements(body.get("output"))
    if not items:
        return ()
    why = string(members(body.get("incomplete_details")).get("reason")) or string(body.get("status"))
    return (Choice(0, join(map(read_item, items)), why),)


def _first(holders: list[dict[str, Any]], *names: str) -> int | None:
    counts = (number(holder.get(name)) for holder in holders for name in names)
    return next((count for count in counts if count is not None), None)


def _dimensions(embedding: JSON) -> int:
    if not isinstance(embedding, str):
        return len(elements(embedding))
    try:
        return len(base64.b64decode(embedding, validate=True)) // _FLOAT
    except (binascii.Error, ValueError):
        return 0
