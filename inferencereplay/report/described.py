"""One recording for the page: the facts of its row, and the content that the row opens."""

from __future__ import annotations

import itertools
import json
import re
from typing import TYPE_CHECKING, Any

from inferencereplay.catalogue.conversation import parsed
from inferencereplay.report.media import media
from inferencereplay.report.shortened import shorten, shortened

if TYPE_CHECKING:
    from collections.abc import Iterator

    from inferencereplay.catalogue.conversation import Choice, Conversation, Message
    from inferencereplay.catalogue.entries import Entry

LONGEST_TITLE = 160
"""Characters."""
LONGEST_FACT = 500
"""Characters of a model's name, a path, the message of an error: ten thousand rows have to be of bounded size."""

_NUMBERS = re.compile(r"\[\n[^\[\]{}\"]*\]")
"""A list of numbers in indented JSON, such as a vector; JSON strings have no line feeds."""

Facts = dict[str, Any]
Content = dict[str, Any]
Block = dict[str, Any]
_Pieces = list[list[Any]]
"""The chunk, the block and the text."""


def describe(entry: Entry) -> tuple[Facts, Content]:
    """Return the facts of a recording, a few hundred bytes, and its content, which may be large."""
    said, response = entry.conversation, entry.recording.response
    blocks, pieces = _answer(entry)
    facts = {
        "key": entry.key,
        "at": entry.recording.recorded.at,
        "method": entry.recording.request.method,
        "path": entry.path,
        "model": entry.model,
        "title": _title(entry),
        "status": said.status,
        "end": said.end,
        "failure": said.error,
        "finish": next((choice.finish_reason for choice in said.choices if choice.finish_reason), ""),
        "is_stream": said.is_stream,
        "first": said.timing.first_token if said.is_stream else None,
        "seconds": said.timing.total,
        "chunks": response.arrivals,
        "size": entry.whole_size,
        "tokens": _tokens(said),
        "rate": said.timing.tokens_per_second,
        "is_estimated": said.timing.is_estimated,
    }
    content = {
        "query": entry.recording.request.query,
        "messages": [_message(message) for message in said.messages],
        "tools": [{"name": tool.name, "description": shorten(tool.description)} for tool in said.tools],
        "settings": said.settings,
        # A person may have edited the times; the player must not run backwards.
        "offsets": [round(offset, 6) for offset in itertools.accumulate(said.timing.offsets, max)],
        "blocks": blocks,
        "pieces": pieces,
        "body": entry.body,
    }
    # The name of a file identifies it, and systems limit its length.
    kept = {
        "file": entry.name.encode("utf-8", "replace").decode(),
        **{name: _cut(fact) for name, fact in facts.items()},
    }
    return shortened(kept), {**shortened(content), "media": media(entry)}


def _cut(fact: Any) -> Any:
    return f"{fact[: LONGEST_FACT - 1]}…" if isinstance(fact, str) and len(fact) > LONGEST_FACT else fact


def _title(entry: Entry) -> str:
    """Return the beginning of the last question, or a summary of the recording."""
    messages = entry.conversation.messages
    asked = [message for message in messages if message.role == "user"] or messages
    texts = "".join(part.text for part in asked[-1].parts if part.kind == "text") if asked else ""
    words = " ".join(texts[: 4 * LONGEST_TITLE].split())
    title = words or entry.conversation.summary or f"{entry.recording.request.method} {entry.path}"
    return title if len(title) <= LONGEST_TITLE else title[: LONGEST_TITLE - 1] + "…"


def _tokens(said: Conversation) -> list[int] | None:
    usage = said.usage
    return None if usage.input is None and usage.output is None else [usage.input or 0, usage.output or 0]


def _message(message: Message) -> dict[str, Any]:
    parts = [{"kind": "reasoning", "name": "Reasoning", "text": message.reasoning}] if message.reasoning else []
    parts += [{"kind": part.kind, "name": part.kind, "text": part.text} for part in message.parts]
    parts += [{"kind": "tool", "name": call.name, "text": call.arguments} for call in message.tool_calls]
    return {"role": message.role, "name": message.name or message.tool_call_id, "parts": parts}


# The answer: blocks, one below the other, and pieces, which fill the blocks in order of time.


def _answer(entry: Entry) -> tuple[list[Block], _Pieces]:
    said = entry.conversation
    blocks, pieces = _streamed(said) if said.pieces else ([], [])
    if not blocks:
        for choice in said.choices:
            for block, text in _blocks(choice):
                pieces.append([max(0, entry.recording.response.arrivals - 1), len(blocks), text])
                blocks.append(block)
    if not blocks and (text := _raw(entry)):
        return [{"choice": 0, "kind": "json", "name": said.summary}], [[0, 0, text]]
    return blocks, pieces


def _blocks(choice: Choice) -> Iterator[tuple[Block, str]]:
    """Yield the parts of a plain answer."""
    message = choice.message
    if message.reasoning:
        yield {"choice": choice.number, "kind": "reasoning", "name": ""}, message.reasoning
    for part in message.parts:
        yield {"choice": choice.number, "kind": part.kind, "name": ""}, part.text
    for call in message.tool_calls:
        yield {"choice": choice.number, "kind": "tool", "name": call.name}, call.arguments


def _streamed(said: Conversation) -> tuple[list[Block], _Pieces]:
    """Sort the pieces of a stream into blocks: one for each kind, one for each call of a tool."""
    names = _names(said)
    places: dict[tuple[int, str, int], int] = {}
    blocks: list[Block] = []
    pieces: _Pieces = []
    for piece in said.pieces:
        name = names.get((piece.choice, piece.call), "") if piece.kind == "tool_call" else ""
        where = (piece.choice, piece.kind, piece.call)
        if where not in places:
            places[where] = len(blocks)
            kind = "tool" if piece.kind == "tool_call" else piece.kind
            blocks.append({"choice": piece.choice, "kind": kind, "name": name})
        # A tool's name is the title of its block; its arguments are the text.
        pieces.append([piece.chunk, places[where], "" if name and piece.text == name else piece.text])
    return blocks, pieces


def _names(said: Conversation) -> dict[tuple[int, int], str]:
    """Return the names of the called tools, by answer and by the server's number of the call."""
    numbers: dict[int, set[int]] = {}
    for piece in said.pieces:
        if piece.kind == "tool_call":
            numbers.setdefault(piece.choice, set()).add(piece.call)
    return {
        (choice.number, number): call.name
        for choice in said.choices
        for number, call in zip(sorted(numbers.get(choice.number, ())), choice.message.tool_calls, strict=False)
    }


def _raw(entry: Entry) -> str:
    """Return an answer that is no conversation unchanged: vectors, lists of models, errors."""
    response = entry.recording.response
    if response.text is not None:
        return response.text
    body = parsed(bytes(response.body)) if bytes(response.body) else None
    text = "" if body is None else json.dumps(shortened(body), indent=2, ensure_ascii=False)
    return _NUMBERS.sub(lambda found: " ".join(found[0].split()), text)
