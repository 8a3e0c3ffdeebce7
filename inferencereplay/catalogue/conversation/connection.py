"""A WebSocket connection as a conversation: what the program said, and the answers that it got, in turn."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from inferencereplay.catalogue.conversation.answered import read_choices, read_error, read_usage
from inferencereplay.catalogue.conversation.asked import read_item, read_messages, read_settings, read_tools
from inferencereplay.catalogue.conversation.parts import (
    Choice,
    Message,
    Part,
    Piece,
    Tool,
    Usage,
    members,
    number,
    parsed,
    string,
)
from inferencereplay.catalogue.conversation.streamed import DELTAS, Streamed
from inferencereplay.recording.frames import CLIENT

if TYPE_CHECKING:
    from collections.abc import Iterable

    from inferencereplay.recording.format import RecordedRequest, Response
    from inferencereplay.recording.frames import Frame
    from inferencereplay.recording.request import JSON

_SPOKEN = {
    **DELTAS,
    "response.text.delta": "text",
    "response.audio_transcript.delta": "audio",
    "response.output_audio_transcript.delta": "audio",
    "session.output_transcript.delta": "audio",
}
_ARGUMENTS = "response.function_call_arguments.delta"
_ENDS = frozenset(("response.done", "response.completed", "response.incomplete", "response.failed"))
_AUDIO = "input_audio_buffer.append"


class Talk(NamedTuple):
    """What a connection holds: the program's side, and the answers."""

    messages: tuple[Message, ...]
    tools: tuple[Tool, ...]
    settings: dict[str, JSON]
    said: Streamed


def read_connection(request: RecordedRequest, response: Response) -> Talk:
    """Read the frames of a connection. It never fails, whatever a server sent or a person edited."""
    asked, answered = _Asked(), _Answered(string(request.query.get("model")))
    for index, frame in enumerate(response.frames or ()):
        event = members(parsed(frame.payload)) if frame.is_message else {}
        if frame.sender == CLIENT:
            asked.add(event)
        else:
            answered.add(index, response.offsets[index] if response.offsets else None, event)
    choices = tuple(answered.choices[turn] for turn in sorted(answered.choices))
    said = Streamed(choices, answered.usage, tuple(answered.pieces), answered.error, answered.model)
    return Talk(tuple(asked.messages()), asked.tools, asked.settings, said)


def read_connection_tokens(frames: Iterable[Frame]) -> Usage:
    """Add up the tokens of the answers of a connection."""
    answered = _Answered("")
    for frame in frames:
        if frame.sender != CLIENT and b'"usage"' in frame.payload:
            answered.add(0, None, members(parsed(frame.payload)))
    return answered.usage


class _Asked:
    """The program's side."""

    def __init__(self) -> None:
        self._messages: list[Message] = []
        self._heard = 0
        self.tools: tuple[Tool, ...] = ()
        self.settings: dict[str, JSON] = {}

    def add(self, event: dict[str, Any]) -> None:
        kind = string(event.get("type"))
        if kind == _AUDIO:
            self._heard += number(members(event.get("audio")).get("length")) or 0
            return
        self._end_audio()
        if kind == "session.update":
            self._configure(members(event.get("session")))
        elif kind == "conversation.item.create":
            self._messages.append(read_item(event.get("item")))
        elif kind == "response.create":
            self._configure(members(event.get("response")) or {name: event[name] for name in event if name != "type"})

    def messages(self) -> list[Message]:
        self._end_audio()
        return self._messages

    def _configure(self, body: dict[str, Any]) -> None:
        self._messages += read_messages("response", body)
        self.tools = read_tools(body) or self.tools
        self.settings |= {name: value for name, value in read_settings(body).items() if name != "event_id"}

    def _end_audio(self) -> None:
        """Show audio that came in many pieces as one message."""
        if self._heard:
            self._messages.append(Message("user", (Part("input_audio", f"{self._heard} bytes"),)))
        self._heard = 0


class _Answered:
    """The server's side: an answer for each response."""

    def __init__(self, model: str) -> None:
        self.model = model
        self.error = ""
        self.usage = Usage()
        self.pieces: list[Piece] = []
        self.choices: dict[int, Choice] = {}
        self._turn = 0

    def add(self, index: int, offset: float | None, event: dict[str, Any]) -> None:
        kind, response = string(event.get("type")), members(event.get("response"))
        text = string(event.get("delta"))
        if kind in _SPOKEN or kind == _ARGUMENTS:
            if text:
                place = number(event.get("output_index")) or 0
                piece = "tool_call" if kind == _ARGUMENTS else _SPOKEN[kind]
                self.pieces.append(Piece(index, offset, self._turn, piece, text, place if kind == _ARGUMENTS else 0))
        elif kind == "error":
            self.error = read_error(event)
        elif kind in _ENDS:
            self._end(response)

    def _end(self, response: dict[str, Any]) -> None:
        self.model = self.model or string(response.get("model"))
        self.usage = Usage(*map(_sum, self.usage, read_usage(response)))
        said = read_choices("response", response) or self._assembled(string(response.get("status")))
        for choice in said:
            self.choices[self._turn] = Choice(self._turn, choice.message, choice.finish_reason)
        self._turn += bool(said)

    def _assembled(self, status: str) -> tuple[Choice, ...]:
        """Make an answer of its pieces, if its end does not repeat it."""
        texts: dict[str, str] = {}
        for piece in self.pieces:
            if piece.choice == self._turn:
                texts[piece.kind] = texts.get(piece.kind, "") + piece.text
        parts = tuple(Part(kind, text) for kind, text in texts.items())
        return (Choice(0, Message("assistant", parts), status),) if parts else ()


def _sum(first: int | None, second: int | None) -> int | None:
    return second if first is None else first + (second or 0)
