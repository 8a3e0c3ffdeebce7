"""The messages of ASGI, of which the application makes its answers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeAlias

from inferencereplay.pacing.clocks import SYSTEM_CLOCK
from inferencereplay.server.http_answers import Answer, error_answer
from inferencereplay.server.incoming import LARGEST_BODY, TOO_LARGE, Incoming

if TYPE_CHECKING:
    from inferencereplay.server.http_answers import Headers

Receive: TypeAlias = Callable[[], Awaitable[dict[str, Any]]]
Send: TypeAlias = Callable[[dict[str, Any]], Awaitable[None]]


async def read_incoming(scope: dict[str, Any], receive: Receive) -> Incoming | Answer | None:
    """Read a request whole; return the answer to one that is too large, `None` if the client has left."""
    arrived, pieces, size = SYSTEM_CLOCK.now(), [], 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        pieces.append(message.get("body", b""))
        size += len(pieces[-1])
        if size > LARGEST_BODY:
            return error_answer(TOO_LARGE, f"The body has more than {LARGEST_BODY:,} bytes.", "invalid_request_error")
        if not message.get("more_body"):
            break
    path = scope.get("raw_path") or scope["path"].encode()
    query = scope["query_string"].decode("latin-1")
    return Incoming(scope["method"], path.decode("latin-1"), query, scope["headers"], b"".join(pieces), arrived)


async def wait_for_leaving(receive: Receive) -> None:
    """Return when the client has left."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def send_start(status: int, headers: Headers, send: Send) -> None:
    """Send the status and the headers."""
    await send({"type": "http.response.start", "status": status, "headers": headers})


async def send_body(content: bytes, send: Send, *, more: bool) -> None:
    """Send a part of the content."""
    await send({"type": "http.response.body", "body": content, "more_body": more})


async def send_answer(answer: Answer, send: Send) -> None:
    """Send an answer at once; one that breaks is left unended, and the server breaks the connection.

    ASGI knows no way to break a connection without an answer: one that breaks after the headers has to do.
    """
    await send_start(answer.status or 200, answer.headers, send)
    await send_body(b"".join(answer.pieces), send, more=answer.is_broken)
