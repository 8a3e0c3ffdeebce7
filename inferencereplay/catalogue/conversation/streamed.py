"""The content of a streamed answer: its pieces, and the answers assembled from them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from inferencereplay.catalogue.conversation.answered import read_choices, read_error, read_usage
from inferencereplay.catalogue.conversation.asked import read_reasoning
from inferencereplay.catalogue.conversation.parts import (
    Choice,
    Message,
    Part,
    Piece,
    ToolCall,
    Usage,
    elements,
    members,
    number,
    string,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from inferencereplay.recording.request import JSON

DELTAS = {
    "response.output_text.delta": "text",
    "response.refusal.delta": "refusal",
    "response.reasoning_text.delta": "reasoning",
    "response.reasoning_summary_text.delta": "reasoning",
    "response.audio.transcript.delta": "audio",
}
"""The kind of text in each event of the Responses API that adds some."""
_ARGUMENTS = ("response.function_call_arguments.delta", "response.custom_tool_call_input.delta")
_CALLS = ("function_call", "custom_tool_call")
_ENDS = ("response.completed", "response.incomplete", "response.failed")


class Streamed(NamedTuple):
    """The content of a stream."""

    choices: tuple[Choice, ...]
    usage: Usage
    pieces: tuple[Piece, ...]
    error: str
    model: str


class _Delta(NamedTuple):
    """The text that a chunk adds to one answer."""

    choice: int
    kind: str
    text: str
    call: int = 0


class _Growing:
    """An unfinished answer."""

    def __init__(self) -> None:
        self.role = "assistant"
        self.texts: dict[str, list[str]] = {}
        self.calls: dict[int, list[str]] = {}
        self.finish_reason = ""

    def add(self, kind: str, text: str) -> None:
        self.texts.setdefault(kind, []).append(text)

    def call(self, index: int, name: str, arguments: str, identity: str) -> None:
        """Add to a call of a tool; servers repeat its id and its name, or send them once."""
        call = self.calls.setdefault(index, ["", "", ""])
        call[0] = call[0] or identity
        call[1] = call[1] or name
        call[2] += arguments

    def choice(self, index: int) -> Choice:
        parts = tuple(
            Part(kind, "".join(texts)) for kind, texts in self.texts.items() if kind != "reasoning" and any(texts)
        )
        calls = tuple(ToolCall(*self.calls[place]) for place in sorted(self.calls))
        reasoning = "".join(self.texts.get("reasoning", ()))
        return Choice(index, Message(self.role, parts, calls, reasoning), self.finish_reason)


class _Assembly:
    """All answers of one stream, with its tokens, its error and its model."""

    def __init__(self) -> None:
        self.growing: dict[int, _Growing] = {}
        self.usage = Usage()
        self.error = self.model = ""
        self.final: tuple[Choice, ...] = ()

    def of(self, index: int) -> _Growing:
        return self.growing.setdefault(index, _Growing())

    def choices(self) -> tuple[Choice, ...]:
        return self.final or tuple(self.growing[index].choice(index) for index in sorted(self.growing))


def read_stream(chunks: Sequence[JSON], offsets: Sequence[float]) -> Streamed:
    """Assemble the chunks of a stream.

    Args:
        chunks: of a chat, a text completion or the Responses API; what is no object counts for nothing.
        offsets: seconds to each chunk; empty if not known.
    """
    assembly = _Assembly()
    pieces = []
    for index, chunk in enumerate(chunks):
        offset = offsets[index] if index < len(offsets) else None
        pieces += [Piece(index, offset, *delta) for delta in _read(members(chunk), assembly) if delta.text]
    return Streamed(assembly.choices(), assembly.usage, tuple(pieces), assembly.error, assembly.model)


def _read(chunk: dict[str, Any], assembly: _Assembly) -> Iterator[_Delta]:
    assembly.model = assembly.model or string(chunk.get("model"))
    kind = string(chunk.get("type"))
    if kind.startswith("response."):
        yield from _read_event(kind, chunk, assembly)
        return
    if kind == "error" or "error" in chunk:
        assembly.error = read_error(chunk)
    if members(chunk.get("usage")):
        assembly.usage = read_usage(chunk)
    for place, item in enumerate(map(members, elements(chunk.get("choices")))):
        index = number(item.get("index"))
        yield from _read_choice(item, place if index is None else index, assembly)


def _read_choice(item: dict[str, Any], index: int, assembly: _Assembly) -> Iterator[_Delta]:
    delta, growing = members(item.get("delta")), assembly.of(index)
    growing.role = string(delta.get("role")) or growing.role
    growing.finish_reason = string(item.get("finish_reason")) or growing.finish_reason
    said = (
        ("reasoning", read_reasoning(delta)),
        ("text", string(delta.get("content")) or string(item.get("text"))),
        ("refusal", string(delta.get("refusal"))),
        ("audio", string(members(delta.get("audio")).get("transcript"))),
    )
    for kind, text in said:
        if text:
            growing.add(kind, text)
            yield _Delta(index, kind, text)
    yield from _read_calls(delta, index, growing)


def _read_calls(delta: dict[str, Any], choice: int, growing: _Growing) -> Iterator[_Delta]:
    calls = [*elements(delta.get("tool_calls"))]
    if members(delta.get("function_call")):
        calls.append({"index": 0, "function": delta["function_call"]})
    for place, call in enumerate(map(members, calls)):
        inner = members(call.get("function")) or members(call.get("custom"))
        given = number(call.get("index"))
        index = place if given is None else given
        name, arguments = string(inner.get("name")), string(inner.get("arguments")) or string(inner.get("input"))
        growing.call(index, name, arguments, string(call.get("id")))
        yield _Delta(choice, "tool_call", name, index)
        yield _Delta(choice, "tool_call", arguments, index)


def _read_event(kind: str, event: dict[str, Any], assembly: _Assembly) -> Iterator[_Delta]:
    """Read an event of the Responses API, which has one answer of many items."""
    text, place = string(event.get("delta")), number(event.get("output_index")) or 0
    item, response = members(event.get("item")), members(event.get("response"))
    assembly.model = assembly.model or string(response.get("model"))
    if kind in DELTAS:
        assembly.of(0).add(DELTAS[kind], text)
        yield _Delta(0, DELTAS[kind], text)
    elif kind in _ARGUMENTS:
        assembly.of(0).call(place, "", text, "")
        yield _Delta(0, "tool_call", text, place)
    elif kind == "response.output_item.added" and item.get("type") in _CALLS:
        assembly.of(0).call(place, string(item.get("name")), "", string(item.get("call_id")))
        yield _Delta(0, "tool_call", string(item.get("name")), place)
    elif kind in _ENDS:
        assembly.final = read_choices("response", response)
        assembly.usage = read_usage(response)
        assembly.error = read_error(response) if members(response.get("error")) else ""
