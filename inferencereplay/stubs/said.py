"""What a stub says, whichever endpoint is asked."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Any

import msgspec

from inferencereplay.recording.format import Response
from inferencereplay.recording.request import parse_json

if TYPE_CHECKING:
    from collections.abc import Iterable

    from inferencereplay.recording.request import Request

_WORD = re.compile(r"\s*\S{1,24}|\s+")
"""A word with the space before it, as models make tokens; a very long one comes in parts."""
_CHARACTERS = 4
"""Of a token, about."""


class ToolCall(msgspec.Struct):
    """A call of a tool.

    Attributes:
        name: the tool's.
        arguments: JSON; not necessarily valid, as a model's may be.
        id: the call's; empty for one that is made.
    """

    name: str
    arguments: str
    id: str = ""


class Said(msgspec.Struct):
    """What a model says.

    Attributes:
        pieces: the text, as it is streamed; empty for none.
        tool_calls: in order.
        refusal: the text of a refusal.
        finish_reason: empty for the usual one.
        usage: the tokens of the prompt and of the answer; `None` for an estimate.
    """

    pieces: tuple[str, ...] = ()
    tool_calls: tuple[ToolCall, ...] = ()
    refusal: str = ""
    finish_reason: str = ""
    usage: tuple[int, int] | None = None

    @property
    def text(self) -> str | None:
        """The whole text; `None` for none."""
        return "".join(self.pieces) if self.pieces else None

    @property
    def finish(self) -> str:
        """Why the answer ends."""
        return self.finish_reason or ("tool_calls" if self.tool_calls else "stop")


class Asking(msgspec.Struct):
    """The request that is answered.

    Attributes:
        body: parsed.
        seed: a text that all ids of the answer are made of, so that a repetition is equal.
        created: seconds since 1970.
    """

    body: dict[str, Any]
    seed: str
    created: int

    @property
    def model(self) -> str:
        """The model that was asked for."""
        return str(self.body.get("model", "stub"))

    @property
    def is_streamed(self) -> bool:
        """Whether a stream was asked for."""
        return bool(self.body.get("stream"))

    def id(self, prefix: str, digits: int, *place: object) -> str:
        """Return an id of the usual form."""
        text = " ".join(map(str, (self.seed, prefix, *place)))
        return prefix + hashlib.sha256(text.encode()).hexdigest()[:digits]

    def tokens(self, said: Said) -> tuple[int, int]:
        """Return the tokens of the prompt and of the answer, roughly, unless the stub says."""
        if said.usage is not None:
            return said.usage
        asked = sum(_length(self.body.get(name)) for name in ("messages", "input", "prompt", "instructions", "tools"))
        told = len(said.pieces) + len(words(said.refusal))
        told += sum(1 + len(words(call.arguments)) for call in said.tool_calls)
        return max(1, asked // _CHARACTERS), told

    def plain(self, body: dict[str, Any]) -> Response:
        """Return a plain answer."""
        return Response(headers=self.headers("application/json"), body=msgspec.Raw(msgspec.json.encode(body)))

    def stream(self, chunks: Iterable[dict[str, Any]], *, is_named: bool = False) -> Response:
        """Return a streamed answer; one whose events have names has no `[DONE]` at its end."""
        made = list(chunks)
        return Response(
            headers=self.headers("text/event-stream; charset=utf-8"),
            end="done",
            sentinel=not is_named,
            events=[chunk["type"] for chunk in made] if is_named else [],
            chunks=[msgspec.Raw(msgspec.json.encode(chunk)) for chunk in made],
        )

    def headers(self, content_type: str) -> dict[str, str]:
        """Return the headers that an answer of a kind has."""
        return {"content-type": content_type, "x-request-id": self.id("req_", 32)}


def read(request: Request, number: str, created: int) -> Asking:
    """Read a request.

    Args:
        request: the request.
        number: which of a session's answers by hand this is, as a text.
        created: seconds since 1970.
    """
    body = parse_json(request.body)
    return Asking(body if isinstance(body, dict) else {}, f"{request.key} {number}", created)


def words(text: str) -> list[str]:
    """Split a text at the beginnings of words; joined, they are the text."""
    return _WORD.findall(text)


def _length(value: Any) -> int:
    """Count the characters of all texts in JSON."""
    if isinstance(value, str):
        return len(value)
    if isinstance(value, dict):
        return sum(map(_length, value.values()))
    return sum(map(_length, value)) if isinstance(value, list) else 0
