"""Export conversations to other formats."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

from inferencereplay.catalogue.conversation.parts import elements, members
from inferencereplay.catalogue.entries import Unreadable

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable, Iterable, Iterator

    from inferencereplay.catalogue.conversation import Message
    from inferencereplay.catalogue.entries import Entry
    from inferencereplay.recording.request import JSON

_CONVERSATIONS = ("chat", "completion", "response")


class Format(NamedTuple):
    """A format of conversations.

    Attributes:
        convert: returns a recording as JSON and an empty text, or `None` and the reason why it has none.
        opening: the text before the first conversation.
        between: the text between two conversations.
        closing: the text after the last conversation.
        nothing: the text if there is no conversation.
    """

    convert: Callable[[Entry], tuple[JSON, str]]
    opening: str
    between: str
    closing: str
    nothing: str


def write(format_: Format, items: Iterable[Entry | Unreadable], counts: Counter[str]) -> Iterator[str]:
    """Yield the text of a file, conversation by conversation.

    Args:
        format_: one of `FORMATS`.
        items: recordings.
        counts: gets the numbers of `exported` and `unreadable` ones, and of each reason for leaving others out.
    """
    lead = format_.opening
    for item in items:
        made, reason = (None, "unreadable") if isinstance(item, Unreadable) else _converted(format_, item)
        counts[reason or "exported"] += 1
        if not reason:
            yield lead + json.dumps(made, ensure_ascii=True)
            lead = format_.between
    yield format_.closing if counts["exported"] else format_.nothing


def _converted(format_: Format, entry: Entry) -> tuple[JSON, str]:
    talk = entry.conversation
    if talk.kind not in _CONVERSATIONS:
        return None, "no conversations"
    if talk.error or not talk.choices:
        return None, "errors"
    if not entry.recording.response.is_whole:
        return None, "incomplete"
    return format_.convert(entry)


def _training(entry: Entry) -> tuple[JSON, str]:
    """Make an example for fine-tuning: the request's messages, unchanged, and the first answer."""
    talk, body = entry.conversation, members(entry.body)
    if talk.kind != "chat":
        return None, "no chats"
    made: dict[str, JSON] = {"messages": [*elements(body.get("messages")), _message(talk.choices[0].message)]}
    made |= {name: body[name] for name in ("tools", "parallel_tool_calls", "functions") if name in body}
    return made, ""


def _all(entry: Entry) -> tuple[JSON, str]:
    talk = entry.conversation
    tools = [tool._asdict() for tool in talk.tools]
    answers = [_message(choice.message) for choice in talk.choices]
    made = {"key": entry.key, "model": entry.model, "messages": [_message(item) for item in talk.messages]}
    return made | ({"tools": tools} if tools else {}) | {"answers": answers}, ""


def _message(message: Message) -> JSON:
    """Make a message of the chat API; other parts than texts are named in brackets."""
    made: dict[str, JSON] = {"role": message.role}
    content = "".join(
        part.text if part.kind in ("text", "refusal") else f"[{part.kind}: {part.text}]" for part in message.parts
    )
    made["content"] = content if message.parts or not message.tool_calls else None
    if message.reasoning:
        made["reasoning_content"] = message.reasoning
    if message.name:
        made["name"] = message.name
    if message.tool_call_id:
        made["tool_call_id"] = message.tool_call_id
    if message.tool_calls:
        made["tool_calls"] = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
            for call in message.tool_calls
        ]
    return made


FORMATS = {
    "openai-jsonl": Format(_training, "", "\n", "\n", ""),
    "messages": Format(_all, "[\n", ",\n", "\n]\n", "[]\n"),
}
