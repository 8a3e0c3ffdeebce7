"""A recording as a conversation: the request, the answer and its timing, as plain data."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from inferencereplay.catalogue.conversation.answered import (
    read_choices,
    read_error,
    read_usage,
    read_usage_alone,
    summarize,
)
from inferencereplay.catalogue.conversation.asked import gist, read_gist, read_messages, read_settings, read_tools
from inferencereplay.catalogue.conversation.connection import read_connection, read_connection_tokens
from inferencereplay.catalogue.conversation.file_parts import received
from inferencereplay.catalogue.conversation.parts import (
    Choice,
    Conversation,
    Message,
    Part,
    Piece,
    Timing,
    Tool,
    ToolCall,
    Usage,
    elements,
    members,
    parsed,
    string,
)
from inferencereplay.catalogue.conversation.streamed import Streamed, read_stream

if TYPE_CHECKING:
    from inferencereplay.recording.format import Recording, Response
    from inferencereplay.recording.request import JSON

__all__ = [
    "CONNECTION",
    "Choice",
    "Conversation",
    "Message",
    "Part",
    "Piece",
    "Timing",
    "Tool",
    "ToolCall",
    "Usage",
    "gist",
    "kind_of",
    "parsed",
    "read_conversation",
    "read_gist",
    "read_tokens",
]

CONNECTION = "connection"
_FIRST_ERROR = 400
_SHORTEST = 0.1
"""Seconds in which tokens are counted; in less, a server has sent what it had."""
_KINDS = {"/completions": "completion", "/embeddings": "embedding", "/responses": "response"}


def kind_of(path: str, body: JSON = None) -> str:
    """Return the kind of conversation: `chat`, `completion`, `response`, `embedding` or `other`.

    Args:
        path: of the request; Azure's begins with the deployment.
        body: of the request, for unknown paths.
    """
    if path.endswith("/chat/completions"):
        return "chat"
    for end, kind in _KINDS.items():
        if path.endswith(end):
            return kind
    return "chat" if elements(members(body).get("messages")) else "other"


def read_conversation(recording: Recording) -> Conversation:
    """Read a recording for people. It never fails, whatever a server sent or a person edited.

    Example:
        >>> from inferencereplay.catalogue.entries import Catalogue
        >>> for entry in Catalogue("recordings").entries():
        ...     print(entry.conversation.choices[0].message.text)
        The capital of France is Paris.
    """
    request, response = recording.request, recording.response
    body = parsed(bytes(request.body))
    kind = CONNECTION if request.method == "WEBSOCKET" else kind_of(request.path, body)
    if response.frames is not None:
        messages, tools, settings, said = read_connection(request, response)
    else:
        messages, tools, settings = read_messages(kind, body), read_tools(body), read_settings(body)
        said = _streamed(response) if response.is_stream else _plain(kind, response)
    return Conversation(
        kind=kind,
        model=string(members(body).get("model")) or said.model,
        messages=messages,
        tools=tools,
        settings=settings,
        choices=said.choices,
        usage=said.usage,
        pieces=said.pieces,
        timing=_timing(response, said),
        is_stream=response.is_stream,
        end=response.end,
        status=response.status,
        error=_failure(response) or said.error,
        summary="" if said.choices or said.error or response.is_stream else summarize(parsed(bytes(response.body))),
    )


def read_tokens(response: Response) -> Usage:
    """Read the tokens of an answer, and nothing else of it."""
    if not response.is_stream:
        return read_usage_alone(bytes(response.body))
    if response.frames is not None:
        return read_connection_tokens(response.frames)
    counting = [raw for raw in map(bytes, response.chunks) if b"usage" in raw]
    return read_stream([*map(parsed, counting)], ()).usage


def _streamed(response: Response) -> Streamed:
    odd = set(response.verbatim)
    chunks = [None if index in odd else parsed(bytes(raw)) for index, raw in enumerate(response.chunks)]
    return read_stream(chunks, response.offsets)


def _plain(kind: str, response: Response) -> Streamed:
    body = parsed(bytes(response.body))
    error = ""
    if response.status >= _FIRST_ERROR:
        error = read_error(body) or response.text or f"HTTP status {response.status}"
    choices = read_choices(kind, body) or (received(body, response) if kind == "other" else ())
    return Streamed(choices, read_usage(body), (), error, string(members(body).get("model")))


def _failure(response: Response) -> str:
    return f"{response.failure.type}: {response.failure.message}".rstrip(": ") if response.failure else ""


def _timing(response: Response, said: Streamed) -> Timing:
    tokens = said.usage.output
    if not response.is_stream:
        return Timing(total=response.elapsed, tokens_per_second=_rate(response.elapsed or 0, tokens or 0))
    offsets = tuple(response.offsets)
    if not offsets:
        return Timing()
    arrivals = [piece.offset for piece in said.pieces if piece.offset is not None]
    after_first = arrivals[-1] - arrivals[0] if arrivals else 0
    return Timing(
        offsets=offsets,
        first_token=arrivals[0] if arrivals else None,
        total=offsets[-1],
        gaps=tuple(later - earlier for earlier, later in itertools.pairwise(offsets)),
        tokens_per_second=_rate(after_first, (len(arrivals) if tokens is None else tokens) - 1),
        is_estimated=tokens is None,
    )


def _rate(duration: float, tokens: int) -> float | None:
    """Return the tokens per second, if the time was long enough to say anything of the model."""
    return tokens / duration if duration >= _SHORTEST and tokens > 0 else None
