"""The parts of a conversation: plain data for those who show it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from inferencereplay.recording.request import parse_json

if TYPE_CHECKING:
    from inferencereplay.recording.request import JSON

_LONGEST_URL = 200
"""Characters of a URL that are shown; a picture as a URL has many thousands."""
_PAST_NUMBERS = 2**63


class Part(NamedTuple):
    """A part of a message.

    Attributes:
        kind: `text`, `refusal`, or what the API calls it otherwise: `image_url`, `input_audio`, `file`, …
        text: its text; of a picture the URL, shortened if it holds the picture.
    """

    kind: str
    text: str


class ToolCall(NamedTuple):
    """A call of a tool that the model asks for.

    Attributes:
        id: the one in the tool's message that answers it; may be empty.
        name: of the function.
        arguments: JSON as text, unchanged.
    """

    id: str
    name: str
    arguments: str


class Message(NamedTuple):
    """A message of one side.

    Attributes:
        role: `system`, `user`, `assistant`, `tool`, …; `prompt` and `input` where the API has no roles.
        parts: in order.
        tool_calls: in order.
        reasoning: the model's thoughts before it, if a server sends them.
        name: of the participant; may be empty.
        tool_call_id: the id of the call that a tool's message answers; otherwise empty.
    """

    role: str
    parts: tuple[Part, ...] = ()
    tool_calls: tuple[ToolCall, ...] = ()
    reasoning: str = ""
    name: str = ""
    tool_call_id: str = ""

    @property
    def text(self) -> str:
        """The text of all parts."""
        return "".join(part.text for part in self.parts)


class Tool(NamedTuple):
    """A tool that the model may call; `parameters` is a JSON schema, or `None`."""

    name: str
    description: str
    parameters: JSON


class Choice(NamedTuple):
    """One of the answers.

    Attributes:
        number: the server's index of it.
        message: its content.
        finish_reason: empty if the server gave none.
    """

    number: int
    message: Message
    finish_reason: str


class Usage(NamedTuple):
    """Tokens as the server counted them; `None` for each number that it did not send."""

    input: int | None = None
    output: int | None = None
    total: int | None = None
    cached: int | None = None
    reasoning: int | None = None


class Piece(NamedTuple):
    """The text that one chunk of a stream added.

    Attributes:
        chunk: the number of the chunk, counted from 0.
        offset: seconds from the start of the call to its arrival; `None` if unknown.
        choice: the index of its answer.
        kind: `text`, `reasoning`, `refusal` or `tool_call` (a name or a part of the arguments).
        text: never empty.
        call: the server's number of the call of a tool; 0 for other kinds.
    """

    chunk: int
    offset: float | None
    choice: int
    kind: str
    text: str
    call: int = 0


class Timing(NamedTuple):
    """The timing of an answer in seconds; values that were not recorded are `None` or empty.

    Attributes:
        offsets: from the start of the call to each chunk.
        first_token: from the start of the call to the first chunk with text.
        total: from the start of the call to the last chunk, or to the end of a plain answer.
        gaps: between one chunk and the next.
        tokens_per_second: of a stream after its first token, of a plain answer as a whole; `None` if the time was too
            short to measure.
        is_estimated: whether each piece counts as one token, because the server sent no count.
    """

    offsets: tuple[float, ...] = ()
    first_token: float | None = None
    total: float | None = None
    gaps: tuple[float, ...] = ()
    tokens_per_second: float | None = None
    is_estimated: bool = False


class Conversation(NamedTuple):
    """A recording for people.

    Attributes:
        kind: `chat`, `completion`, `response`, `embedding`, `connection` (a WebSocket), or `other`.
        model: the one that the request names, otherwise the one of the answer.
        messages: of the request; of a connection, what the program said in all its messages.
        tools: of the request.
        settings: the other members of the request's body, as JSON.
        choices: the answers; of a connection, those that it got one after the other.
        usage: tokens.
        pieces: the texts that the chunks of a stream added, in order.
        timing: of the answer.
        is_stream: whether the answer was streamed.
        end: how a stream ended: `done`, `closed` (the caller left) or `error`; empty for a plain answer.
        status: the HTTP status; 0 if the connection failed before there was one.
        error: the message of the server or of the broken connection; otherwise empty.
        summary: one line on an answer that is no text, such as `3 vectors of 384 dimensions`; otherwise empty.
    """

    kind: str
    model: str
    messages: tuple[Message, ...]
    tools: tuple[Tool, ...]
    settings: dict[str, JSON]
    choices: tuple[Choice, ...]
    usage: Usage
    pieces: tuple[Piece, ...]
    timing: Timing
    is_stream: bool
    end: str
    status: int
    error: str
    summary: str

    @property
    def text(self) -> str:
        """All texts of the request and the answers, for searching."""
        said = [*self.messages, *(choice.message for choice in self.choices)]
        lines = [line for message in said for line in _lines(message)]
        return "\n".join([*lines, self.error, self.summary])


def _lines(message: Message) -> list[str]:
    calls = [f"{call.name}({call.arguments})" for call in message.tool_calls]
    return [message.reasoning, message.text, *calls]


# JSON that anybody may have written: each function takes any value.


def members(value: JSON) -> dict[str, Any]:
    """Return an object, an empty one for any other value."""
    return value if isinstance(value, dict) else {}


def elements(value: JSON) -> list[Any]:
    """Return an array, an empty one for any other value."""
    return value if isinstance(value, list) else []


def string(value: JSON) -> str:
    """Return a text, an empty one for any other value."""
    return value if isinstance(value, str) else ""


def number(value: JSON) -> int | None:
    """Return a whole number of up to 64 bits, `None` for any other value: no count is larger."""
    is_whole = isinstance(value, int) and not isinstance(value, bool)
    return value if is_whole and -_PAST_NUMBERS <= value < _PAST_NUMBERS else None


def parsed(text: bytes) -> JSON:
    """Read JSON; return `None` for any other text."""
    try:
        return parse_json(text)
    except ValueError:
        return None


def shorten(url: str) -> str:
    """Return a URL for people; the content of a `data:` URL is counted, not shown."""
    if url.startswith("data:"):
        kind, _, data = url.partition(",")
        return f"{kind},… ({len(data)} characters)"
    return url if len(url) <= _LONGEST_URL else url[:_LONGEST_URL] + "…"
