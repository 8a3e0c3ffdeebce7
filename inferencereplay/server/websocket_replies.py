"""WebSocket connections over HTTP: the server's frames are played when the client's messages have come.

They are answered from recordings, and never passed on: the Python SDK records them.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from inferencereplay.errors import InferenceReplayError, RecordingNotFound
from inferencereplay.pacing.clocks import SYSTEM_CLOCK
from inferencereplay.recording.frames import NO_STATUS
from inferencereplay.sdk.sockets.conversation import Conversation
from inferencereplay.sdk.sockets.frame_script import is_broken
from inferencereplay.sdk.worker_thread import in_thread
from inferencereplay.server.http_answers import Answer, error_answer, recorded_answer
from inferencereplay.server.incoming import Incoming, Refused
from inferencereplay.session.settings import Mode

if TYPE_CHECKING:
    from inferencereplay.recording.frames import Frame
    from inferencereplay.server.asgi import Receive, Send
    from inferencereplay.server.replies import Replies
    from inferencereplay.session.call import Call
    from inferencereplay.session.decision import Play
    from inferencereplay.session.session import Session

METHOD = "WEBSOCKET"
NOT_FOUND = 4404
"""The code of the close after a message that was not recorded; those from 4000 on are for applications."""
NOT_SERVED, UNUSABLE = 501, 500
_NORMAL = 1000


class _Found(NamedTuple):
    session: Session
    call: Call
    play: Play


async def answer(replies: Replies, refusal: Answer | None, scope: dict[str, Any], receive: Receive, send: Send) -> None:
    """Answer a connection.

    Args:
        replies: answers requests.
        refusal: the answer to a client that may not ask.
        scope: of ASGI.
        receive: of ASGI.
        send: of ASGI.
    """
    await receive()  # that it wants to connect
    found = refusal or await _ask(replies, _incoming(scope))
    if isinstance(found, Answer):
        await _deny(found, scope, send)
        return
    recorded = found.play.recording.response
    if found.session.is_paced and recorded.elapsed:
        await asyncio.sleep(recorded.elapsed / found.session.speed)
    if recorded.frames is None:
        found.play.end()
        await _deny(recorded_answer(recorded, found.play.name), scope, send)
        return
    offered = scope.get("subprotocols") or [None]
    await send({"type": "websocket.accept", "subprotocol": offered[0]})
    conversation = Conversation(found.session, found.call, found.play)
    receiving = asyncio.ensure_future(receive())
    try:
        await _Talk(replies, found.session, conversation, send).run(receive, receiving)
    finally:
        conversation.end()


def _incoming(scope: dict[str, Any]) -> Incoming:
    path = scope.get("raw_path") or scope["path"].encode()
    query = scope["query_string"].decode("latin-1")
    return Incoming(METHOD, path.decode("latin-1"), query, scope["headers"], b"", SYSTEM_CLOCK.now())


async def _ask(replies: Replies, incoming: Incoming) -> _Found | Answer:
    decided: list[_Found | Answer] = []
    await in_thread(lambda: decided.append(_decide(replies, incoming)))
    return decided[0]


def _decide(replies: Replies, incoming: Incoming) -> _Found | Answer:
    """Look a connection up, and count it."""
    session = replies.session_of(incoming)
    if session.mode is not Mode.REPLAY or session.is_selective:
        message = "Connections are served in replay only, without live= and only=. Record them with the Python SDK."
        return error_answer(NOT_SERVED, message, "not_served")
    try:
        call = replies.call_of(session, incoming, functools.partial(_has_recording, session))
        play: Any = session.connect(call)
    except Refused as error:
        return error_answer(error.status, error.message, "invalid_request_error")
    except RecordingNotFound as error:
        return replies.miss(session, error)
    except InferenceReplayError as error:
        return replies.unusable(error)
    replies.metrics.add("hits")
    return _Found(session, call, play)


def _has_recording(session: Session, call: Call) -> bool:
    request = call.redacted
    return next(session.connection_recorder.variants.candidates(request, request.key), None) is not None


async def _deny(denial: Answer, scope: dict[str, Any], send: Send) -> None:
    """Refuse a connection with an answer, where the server can send one."""
    if not denial.status or "websocket.http.response" not in scope.get("extensions", {}):
        await send({"type": "websocket.close", "code": _NORMAL})
        return
    await send({"type": "websocket.http.response.start", "status": denial.status, "headers": denial.headers})
    await send({"type": "websocket.http.response.body", "body": b"".join(denial.pieces)})


class _Talk:
    """A connection that is open."""

    def __init__(self, replies: Replies, session: Session, conversation: Conversation, send: Send) -> None:
        self._replies = replies
        self._session = session
        self._conversation = conversation
        self._send = send

    async def run(self, receive: Receive, receiving: asyncio.Future[dict[str, Any]]) -> None:
        """Play the server's frames, and take the client's messages, until one side ends the connection."""
        try:
            while True:
                due = self._conversation.script.due()
                left = None if due is None else due - self._conversation.clock.now()
                if left is not None and left <= 0:
                    if not await self._play(self._conversation.take()):
                        return
                    continue
                await asyncio.wait({receiving}, timeout=left)
                if receiving.done():
                    if not await self._take(receiving.result()):
                        return
                    receiving = asyncio.ensure_future(receive())
        finally:
            receiving.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await receiving

    async def _play(self, frame: Frame) -> bool:
        """Send a frame; return whether the connection goes on. One that broke breaks: it is left without a close."""
        if frame.is_message:
            content = {"text": frame.payload.decode()} if frame.is_text else {"bytes": frame.payload}
            await self._send({"type": "websocket.send", **content})
            return True
        if not is_broken(frame):
            code = _NORMAL if frame.close in (None, NO_STATUS) else frame.close
            await self._send({"type": "websocket.close", "code": code, "reason": frame.reason})
        return False

    async def _take(self, message: dict[str, Any]) -> bool:
        """Take what the client sends; return whether the connection goes on."""
        if message["type"] == "websocket.disconnect":
            return False
        text = message.get("text")
        payload = message.get("bytes") or b"" if text is None else text.encode()
        try:
            self._conversation.send(payload, is_text=text is not None)
        except InferenceReplayError as error:
            await self._refuse(error)
            return False
        return True

    async def _refuse(self, error: InferenceReplayError) -> None:
        """Say that a message was not recorded, as the API says errors, and close."""
        is_miss = isinstance(error, RecordingNotFound)
        told = self._replies.miss(self._session, error) if is_miss else self._replies.unusable(error)  # type: ignore[arg-type]
        content = msgspec.json.decode(told.pieces[0])
        event = msgspec.json.encode({"type": "error", "event_id": "event_inferencereplay", **content}).decode()
        await self._send({"type": "websocket.send", "text": event})
        await self._send({"type": "websocket.close", "code": NOT_FOUND, "reason": content["error"]["code"]})
