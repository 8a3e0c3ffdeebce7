"""The ASGI application (https://asgi.readthedocs.io/en/latest/specs/www.html), for any server that runs on asyncio."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from inferencereplay.pacing.clocks import SYSTEM_CLOCK
from inferencereplay.sdk.worker_thread import in_thread
from inferencereplay.server.answers import Answer, error_answer, json_answer, text_answer
from inferencereplay.server.deadlines import Deadlines
from inferencereplay.server.incoming import LARGEST_BODY, TOO_LARGE
from inferencereplay.server.metrics import Metrics
from inferencereplay.server.replies import Forward, Incoming, Replies, Reply
from inferencereplay.session.session import Session

if TYPE_CHECKING:
    import os
    from collections.abc import Awaitable, Callable

    from typing_extensions import Unpack

    from inferencereplay.pacing.pacer import Pacer
    from inferencereplay.session.settings import Options

    Receive = Callable[[], Awaitable[dict[str, Any]]]
    Send = Callable[[dict[str, Any]], Awaitable[None]]

PATIENCE = 30.0
"""Seconds in which a request has to be complete, and a client has to read some of its answer."""
HEALTHY = json_answer(200, {"status": "ok"})


def app(directory: str | os.PathLike[str], **options: Unpack[Options]) -> Application:
    """Make an ASGI application that answers from the recordings of a directory.

    Args:
        directory: where the recordings live.
        **options: the settings of a `Session`; the mode is `replay` if none is given.

    Raises:
        InvalidSetting: for an invalid setting.
        StoreError: if the directory cannot be used.
    """
    options.setdefault("mode", "replay")
    return Application(Session(directory, **options), Metrics())


class Application:
    """The application.

    Args:
        session: the session of the requests that name none.
        metrics: counts.
    """

    def __init__(self, session: Session, metrics: Metrics) -> None:
        self.session = session
        self.metrics = metrics
        self.replies = Replies(session, metrics)
        self.patience = PATIENCE
        self._deadlines: Deadlines | None = None

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        """Answer a request, or follow the life of the server."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["type"] == "http":
            await self._answer(scope, receive, send)
        else:
            await send({"type": "websocket.close", "code": 1003, "reason": "WebSockets are not recorded"})

    @property
    def deadlines(self) -> Deadlines:
        """What is due on this event loop."""
        if self._deadlines is None:
            self._deadlines = Deadlines(asyncio.get_running_loop())
        return self._deadlines

    async def _live(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.shutdown":
                await self.close()
                await send({"type": "lifespan.shutdown.complete"})
                return
            await send({"type": "lifespan.startup.complete"})

    async def close(self) -> None:
        """Give back what the event loop lent, and put the recordings in order."""
        if self._deadlines is not None:
            self._deadlines.close()
            self._deadlines = None
        await in_thread(self.session.finish)

    async def _answer(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        self.metrics.add("requests")
        fixed = self.fixed(scope["path"])
        if fixed is not None:
            await _send(fixed, send)
            return
        incoming = await _read(scope, receive)
        if isinstance(incoming, Answer):
            self.metrics.add("refused")
            await _send(incoming, send)
        elif incoming is not None:
            reply = self.replies.play(incoming) or await self._decide(incoming)
            if isinstance(reply, Reply):
                await self._play(reply, receive, send)

    def fixed(self, path: str) -> Answer | None:
        """Return the answer to a request that is about the server itself."""
        if path == "/health":
            return HEALTHY
        return text_answer(self.metrics.text()) if path == "/metrics" else None

    def at_once(self, incoming: Incoming) -> Reply | None:
        """Return the answer to a request, and count it, if a recording is found by a mere look-up."""
        if self.fixed(incoming.path) is not None:
            return None
        reply = self.replies.play(incoming)
        if reply is not None:
            self.metrics.add("requests")
        return reply

    async def _decide(self, incoming: Incoming) -> Reply | Forward:
        decided: list[Reply | Forward] = []
        await in_thread(lambda: decided.append(self.replies.decide(incoming)))
        return decided[0]

    # Sending.

    async def _play(self, reply: Reply, receive: Receive, send: Send) -> None:
        """Send an answer in time, unless the client leaves before."""
        if reply.pacer is None:
            await _send(reply.answer, send)
            return
        playing = asyncio.ensure_future(self._send_in_time(reply.answer, reply.pacer, send))
        leaving = asyncio.ensure_future(_left(receive))
        try:
            await asyncio.wait((playing, leaving), return_when=asyncio.FIRST_COMPLETED)
        finally:
            playing.cancel()
            leaving.cancel()
        await asyncio.gather(playing, leaving, return_exceptions=True)

    async def _send_in_time(self, answer: Answer, pacer: Pacer, send: Send) -> None:
        if not answer.is_stream:
            await self._until(pacer, -1)
            await _send(answer, send)
            return
        self.metrics.add("streams_open")
        try:
            await send(_start(answer))
            for index, piece in enumerate(answer.pieces):
                await self._until(pacer, index)
                await send(_body(piece, more=True))
            if answer.is_broken:
                await self.deadlines.wait(pacer.due(-1))
            else:
                await send(_body(b"", more=False))
        finally:
            self.metrics.add("streams_open", -1)

    async def _until(self, pacer: Pacer, index: int) -> None:
        due = pacer.due(index)
        pacer.note(await self.deadlines.wait(due) - due)


async def _read(scope: dict[str, Any], receive: Receive) -> Incoming | Answer | None:
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


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _start(answer: Answer) -> dict[str, Any]:
    # ASGI knows no way to break a connection without an answer: one that breaks after the headers has to do.
    return {"type": "http.response.start", "status": answer.status or 200, "headers": answer.headers}


def _body(content: bytes, *, more: bool) -> dict[str, Any]:
    return {"type": "http.response.body", "body": content, "more_body": more}


async def _send(answer: Answer, send: Send) -> None:
    """Send an answer at once; one that breaks is left unended, and the server breaks the connection."""
    await send(_start(answer))
    await send(_body(b"".join(answer.pieces), more=answer.is_broken))
