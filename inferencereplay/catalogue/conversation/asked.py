"""The messages, tools and settings of a request."""

from __future__ import annotations

import itertools
import json
from typing import TYPE_CHECKING, Any

from inferencereplay.catalogue.conversation.file_parts import is_file, sent_files
from inferencereplay.catalogue.conversation.parts import (
    Message,
    Part,
    Tool,
    ToolCall,
    elements,
    members,
    shorten,
    string,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from inferencereplay.recording.request import JSON

_TEXT = ("text", "input_text", "output_text", "summary_text", "reasoning_text")
_DEEPEST = 40
"""Levels of nesting that are shown; Python's limit is some hundreds."""
_SHOWN_APART = frozenset(("messages", "model", "tools", "functions", "input", "instructions", "prompt"))


def read_messages(kind: str, body: JSON) -> tuple[Message, ...]:
    """Return the messages of a request.

    Args:
        kind: of the conversation.
        body: of the request.
    """
    body = members(body)
    if kind == "chat":
        return tuple(read_message(item) for item in elements(body.get("messages")))
    if kind == "response":
        return tuple(_response_input(body))
    name = "prompt" if kind == "completion" else "input"
    asked = [Message(name, (Part("text", text),)) for text in _texts(body.get(name))]
    if kind != "other":
        return tuple(asked)
    prompt = [Message("prompt", (Part("text", text),)) for text in _texts(body.get("prompt"))]
    return (*asked, *prompt, *sent_files(body))


def read_gist(kind: str, body: JSON) -> str:
    """Return the last text of the user, or the first text of anybody; empty if there is none. Arguments as above."""
    if kind != "chat":
        return gist(read_messages(kind, body))
    items = elements(members(body).get("messages"))  # of many messages, nearly all need not be read
    asked = (_text_of(item) for item in reversed(items) if members(item).get("role") == "user")
    said = map(_text_of, items)
    return next(filter(None, itertools.chain(asked, said)), "")


def _text_of(item: JSON) -> str:
    content = members(item).get("content")
    if isinstance(content, str) and not (item.get("refusal") or item.get("audio")):  # as nearly always
        return content
    return read_message(item).text


def gist(messages: Sequence[Message]) -> str:
    """Return the last text of the user, or the first text of anybody; empty if there is none."""
    asked = (message.text for message in reversed(messages) if message.role == "user")
    return next(filter(None, itertools.chain(asked, (message.text for message in messages))), "")


def read_tools(body: JSON) -> tuple[Tool, ...]:
    """Return the tools of a chat or of the Responses API, and the functions that chats had before tools."""
    body = members(body)
    return tuple(_tool(members(item)) for item in [*elements(body.get("tools")), *elements(body.get("functions"))])


def read_settings(body: JSON) -> dict[str, JSON]:
    """Return the other members of the body, such as `temperature`."""
    return {name: value for name, value in members(body).items() if name not in _SHOWN_APART and not is_file(value)}


def read_message(item: JSON) -> Message:
    """Read a message of a chat, from a request or an answer."""
    item = members(item)
    calls = [*elements(item.get("tool_calls")), *([item["function_call"]] if item.get("function_call") else [])]
    parts = [*read_parts(item.get("content"))]
    if refusal := string(item.get("refusal")):
        parts.append(Part("refusal", refusal))
    if transcript := string(members(item.get("audio")).get("transcript")):
        parts.append(Part("audio", transcript))
    return Message(
        role=string(item.get("role")),
        parts=tuple(parts),
        tool_calls=tuple(_tool_call(members(call)) for call in calls),
        reasoning=read_reasoning(item),
        name=string(item.get("name")),
        tool_call_id=string(item.get("tool_call_id")),
    )


def read_parts(content: JSON) -> Iterator[Part]:
    """Yield the parts of a message's content, which is a text or a list."""
    if isinstance(content, str):
        content = [content] if content else []
    for item in elements(content):
        yield Part("text", item) if isinstance(item, str) else _part(members(item))


def read_reasoning(item: dict[str, Any]) -> str:
    """Return a model's thoughts: `reasoning_content` of DeepSeek, vLLM and others, `reasoning` of OpenRouter."""
    return string(item.get("reasoning_content")) or string(item.get("reasoning"))


def read_item(item: JSON) -> Message:
    """Read an item of the Responses API's input or output."""
    item = members(item)
    kind = string(item.get("type")) or "message"
    if kind == "message":
        return Message(string(item.get("role")), tuple(read_parts(item.get("content"))))
    if kind in ("function_call", "custom_tool_call"):
        arguments = string(item.get("arguments")) or string(item.get("input"))
        return Message(
            "assistant", tool_calls=(ToolCall(string(item.get("call_id")), string(item.get("name")), arguments),)
        )
    if kind in ("function_call_output", "custom_tool_call_output"):
        parts = tuple(read_parts(item.get("output")))
        return Message("tool", parts, tool_call_id=string(item.get("call_id")))
    if kind == "reasoning":
        thoughts = [*read_parts(item.get("summary")), *read_parts(item.get("content"))]
        return Message("assistant", reasoning="\n".join(part.text for part in thoughts))
    return Message(string(item.get("role")), (Part(kind, _rest(item)),))


def _response_input(body: dict[str, Any]) -> Iterator[Message]:
    if instructions := string(body.get("instructions")):
        yield Message("system", (Part("text", instructions),))
    given = body.get("input")
    if isinstance(given, str):
        yield Message("user", (Part("text", given),))
    yield from map(read_item, elements(given))


def _texts(given: JSON) -> Iterator[str]:
    """Yield the texts of a prompt or of an input for embeddings; tokens come as a list of numbers."""
    if isinstance(given, str):
        yield given
    items = elements(given)
    if items and all(isinstance(item, int) for item in items):
        yield json.dumps(items)
        return
    for item in items:
        yield item if isinstance(item, str) else json.dumps(_brief(item), ensure_ascii=False)


def _tool(item: dict[str, Any]) -> Tool:
    inner = members(item.get("function")) or item
    name = string(inner.get("name")) or string(inner.get("type"))
    return Tool(name, string(inner.get("description")), inner.get("parameters"))


def _tool_call(item: dict[str, Any]) -> ToolCall:
    inner = members(item.get("function")) or members(item.get("custom")) or item
    arguments = string(inner.get("arguments")) or string(inner.get("input"))
    return ToolCall(string(item.get("id")), string(inner.get("name")), arguments)


def _part(item: dict[str, Any]) -> Part:
    kind = string(item.get("type"))
    if kind in _TEXT or (not kind and "text" in item):
        return Part("text", string(item.get("text")))
    if kind == "refusal":
        return Part(kind, string(item.get("refusal")))
    inner = item.get("image_url")
    url = string(inner) or string(members(inner).get("url"))
    return Part(kind or "unknown", shorten(url) if url else _rest(item))


def _rest(item: dict[str, Any]) -> str:
    """Return the other members of an item, with long texts such as audio shortened."""
    return json.dumps(_brief({name: value for name, value in item.items() if name != "type"}), ensure_ascii=False)


def _brief(value: JSON, depth: int = 0) -> JSON:
    if isinstance(value, (dict, list)) and depth == _DEEPEST:
        return "[…nested more deeply]"
    if isinstance(value, dict):
        return {name: _brief(item, depth + 1) for name, item in value.items()}
    if isinstance(value, list):
        return [_brief(item, depth + 1) for item in value]
    return shorten(value) if isinstance(value, str) else value
