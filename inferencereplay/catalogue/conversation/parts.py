"""What a conversation is made of: plain data, for whoever shows it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from inferencereplay.recording.request import parse_json

if TYPE_CHECKING:
    from inferencereplay.recording.request import JSON

_LONGEST_URL = 200
"""Characters of a URL that are shown; a picture inside one has many thousands."""
_PAST_NUMBERS = 2**63


class Part(NamedTuple):
    """A part of a message.

    Attributes:
        kind: `text`, `refusal`, or what the API calls it otherwise: `image_url`, `input_audio`, `file`, …
        text: what it says; of a picture its URL, shortened if the picture is inside of it.
    """

    kind: str
    text: str


class ToolCall(NamedTuple):
    """A call of a tool that the model asks for.

    Attributes:
        id: which a tool's message refers to; may be empty.
        name: the function's.
        arguments: JSON text, as the model wrote it.
    """

    id: str
    name: str
    arguments: str


class Message(NamedTuple):
    """What one side said.

    Attributes:
        role: `system`, `user`, `assistant`, `tool`, …; `prompt` and `input` where the API has no roles.
        parts: in order.
        tool_calls: in order.
        reasoning: what the model thought before, where a server tells.
        name: of the participant; empty if there is none.
        tool_call_id: the call that a tool's message answers; empty if there is none.
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
        number: its index, as the server gives it.
        message: what it says.
        finish_reason: empty where the server gave none.
    """

    number: int
    message: Message
    finish_reason: str


class Usage(NamedTuple):
    """Tokens, as the server counted them; `None` for what it did not say."""

    input: int | None = None
    output: int | None = None
    total: int | None = None
    cached: int | None = None
    reasoning: int | None = None


class Piece(NamedTuple):
    """What one chunk of a stream added.

    Attributes:
        chunk: which chunk, counted from 0.
        offset: seconds from the start of the call to its arrival; `None` if not known.
        choice: the index of the answer that it belongs to.
        kind: `text`, `reasoning`, `refusal` or `tool_call` (a name or a part of the arguments).
        text: never empty.
        call: which of the answer's calls of tools, as the server numbers them; 0 for other kinds.
    """

    chunk: int
    offset: float | None
    choice: int
    kind: str
    text: str
    call: int = 0


class Timing(NamedTuple):
    """When an answer came, in seconds; `None`, or empty, for what was not recorded.

    Attributes:
        offsets: from the start of the call to each chunk.
        first_token: to the first chunk that said anything.
        total: to the last chunk, or to the end of a plain answer.
        gaps: between one chunk and the next.
        tokens_per_second: of a stream after its first token, of a plain answer as a whole.
        is_estimated: whether that takes each piece for one token, since the server gave no count.
    """

    offsets: tuple[float, ...] = ()
    first_token: float | None = None
    total: float | None = None
    gaps: tuple[float, ...] = ()
    tokens_per_second: float | None = None
    is_estimated: bool = False


class Conversation(NamedTuple):
    """A recording as a person reads it.

    Attributes:
        kind: `chat`, `completion`, `response`, `embedding`, or `other`.
        model: as the request names it; as the answer does where the request does not.
        messages: what was sent.
        tools: what the model was told it may call.
        settings: the other members of the request's body, as JSON.
        choices: what came back.
        usage: tokens.
        pieces: what each chunk of a stream added, in order.
        timing: when.
        is_stream: whether the answer was streamed.
        end: how a stream ended: `done`, `closed` (the caller left) or `error`; empty for a plain answer.
        status: the HTTP status; 0 if the connection failed before there was one.
        error: the server's message, or what broke the connection; empty if all went well.
        summary: one line on an answer that is no text, such as `3 vectors of 384 dimensions`; else empty.
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
        """Everything that was said on either side, for searching."""
        said = [*self.messages, *(choice.message for choice in self.choices)]
        lines = [line for message in said for line in _lines(message)]
        return "\n".join([*lines, self.error, self.summary])


def _lines(message: Message) -> list[str]:
    calls = [f"{call.name}({call.arguments})" for call in message.tool_calls]
    return [message.reasoning, message.text, *calls]


# JSON that anybody may have written, read without trust.


def members(value: JSON) -> dict[str, Any]:
    """Return an object, an empty one for whatever else it is."""
    return value if isinstance(value, dict) else {}


def elements(value: JSON) -> list[Any]:
    """Return an array, an empty one for whatever else it is."""
    return value if isinstance(value, list) else []


def string(value: JSON) -> str:
    """Return a text, an empty one for whatever else it is."""
    return value if isinstance(value, str) else ""


def number(value: JSON) -> int | None:
    """Return a whole number of up to 64 bits, `None` for whatever else it is: no count is larger, and a float ends."""
    is_whole = isinstance(value, int) and not isinstance(value, bool)
    return value if is_whole and -_PAST_NUMBERS <= value < _PAST_NUMBERS else None


def parsed(text: bytes) -> JSON:
    """Read JSON, `None` for what is none."""
    try:
        return parse_json(text)
    except ValueError:
        return None


def shorten(url: str) -> str:
    """Return a URL for people: what is inside a `data:` URL is counted, not shown."""
    if url.startswith("data:"):
        kind, _, data = url.partition(",")
        return f"{kind},… ({len(data)} characters)"
    return url if len(url) <= _LONGEST_URL else url[:_LONGEST_URL] + "…"
