"""The connections of `websockets` that a recording answers, sync and async.

They are objects of the library's own classes without a socket. The library's protocol object in them makes the
exceptions and the states of closed connections.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from websockets.asyncio.client import ClientConnection as AsyncClientConnection
from websockets.client import ClientProtocol
from websockets.datastructures import Headers
from websockets.exceptions import ConcurrencyError
from websockets.frames import Close, Opcode
from websockets.frames import Frame as WireFrame
from websockets.http11 import Response as HandshakeResponse
from websockets.protocol import State
from websockets.sync.client import ClientConnection
from websockets.uri import parse_uri

from inferencereplay.pacing.clocks import SYSTEM_CLOCK, is_time_frozen
from inferencereplay.pacing.event_loop import give_turn
from inferencereplay.recording.frames import NO_STATUS, SWITCHING
from inferencereplay.sdk.sockets.frame_script import is_broken
from inferencereplay.sdk.sockets.handshake_errors import causes

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from inferencereplay.errors import InferenceReplayError
    from inferencereplay.recording.frames import Frame
    from inferencereplay.sdk.sockets.conversation import Conversation

ALONE = 5.0
"""Seconds to wait in an event loop with a single task, which may be under a time-out."""
_BYTES = (bytes, bytearray, memoryview)


class _Replayed:
    """What the two kinds of connections share: nothing here waits."""

    def __init__(self, uri: str, conversation: Conversation) -> None:
        """Begin with an open connection; the library's `__init__`, which wants a socket, is not called."""
        self._conversation = conversation
        self._miss: InferenceReplayError | None = None
        self._is_receiving = False
        self.protocol: Any = ClientProtocol(parse_uri(uri), state=State.OPEN)
        self.id, self.logger, self.debug = self.protocol.id, self.protocol.logger, self.protocol.debug
        self.latency = 0.0
        self.request: Any = self.protocol.connect()
        self.response: Any = HandshakeResponse(SWITCHING, "Switching Protocols", Headers(conversation.headers))
        self.recv_exc: BaseException | None = None

    @property
    def local_address(self) -> Any:
        """There is no socket."""
        return None

    remote_address = local_address

    def _look(self) -> tuple[Frame | None, float | None]:
        """Return the server's next message, or how long to wait for it; neither if it is still locked.

        Raises:
            ConnectionClosed: if the connection is closed.
            RecordingNotFound: if the program has sent what was not recorded.
        """
        if self._miss is not None:
            raise self._miss
        due = None if self.protocol.close_sent else self._conversation.script.due()
        if due is None and self.protocol.state is not State.OPEN:
            raise self.protocol.close_exc from self.recv_exc
        if due is None:
            return None, None
        left = due - self._conversation.clock.now()
        if left > 0:
            return None, left
        frame = self._conversation.take()
        if frame.is_message:
            return frame, None
        self._hear_close(frame)
        raise self.protocol.close_exc from self.recv_exc

    def _say(self, payload: bytes, *, is_text: bool) -> None:
        """Send a message.

        Raises:
            ConnectionClosed: if the connection is closed.
            RecordingNotFound: if it was not recorded.
        """
        if self._miss is not None:
            raise self._miss
        if self.protocol.state is not State.OPEN:
            raise self.protocol.close_exc from self.recv_exc
        script = self._conversation.script
        if script.expected is None and script.closes():
            self._hear_closing()
            raise self.protocol.close_exc from self.recv_exc
        try:
            self._conversation.send(payload, is_text=is_text)
        except Exception as error:
            self._miss = error  # type: ignore[assignment]  # whichever it is, the connection is of no more use
            raise

    def _hear_closing(self) -> None:
        """Skip the messages that come before the server's close."""
        frame = self._conversation.take()
        while frame.is_message:
            frame = self._conversation.take()
        self._hear_close(frame)

    def _hear_close(self, frame: Frame) -> None:
        """Let the library close the connection, as the server does, or as the network breaks."""
        own = self._conversation.script.own_close
        if is_broken(frame):
            if own is not None:
                self.protocol.send_close(own.close, own.reason)
            failure = self._conversation.failure
            self.recv_exc = next(iter(causes(failure)), None) if failure is not None else None
        else:
            self._receive_close(frame)
        self.protocol.receive_eof()
        self._conversation.end()

    def _close(self, code: int, reason: str) -> None:
        """Let the library close the connection, as the program does."""
        if self.protocol.state is not State.OPEN:
            return
        self.protocol.send_close(code, reason)
        script = self._conversation.script
        if script.echo is not None:
            self._receive_close(script.echo)
        elif not script.is_left:
            self.protocol.receive_data(_wire_close(code, reason))
        self.protocol.receive_eof()
        self._conversation.end()

    def _receive_close(self, frame: Frame) -> None:
        self.protocol.receive_data(_wire_close(frame.close or NO_STATUS, frame.reason))

    def _give_up(self) -> InferenceReplayError:
        """Make the error for a program that waits for what is not to come."""
        self._miss = self._conversation.ends_here()
        return self._miss


def _wire_close(code: int, reason: str) -> bytes:
    data = b"" if code == NO_STATUS else Close(code, reason).serialize()
    return WireFrame(Opcode.CLOSE, data).serialize(mask=False)


def _decoded(frame: Frame, *, decode: bool | None) -> str | bytes:
    is_str = frame.is_text if decode is None else decode
    return frame.payload.decode() if is_str else frame.payload


def _joined(parts: Iterable[Any], *, text: bool | None) -> tuple[bytes, bool]:
    """Return the message of which these are parts, and whether it is text."""
    made = [*parts]
    if not all(isinstance(part, (str, *_BYTES)) for part in made):
        message = "iterable must contain bytes or str"
        raise TypeError(message)
    is_text = (bool(made) and isinstance(made[0], str)) if text is None else text
    return b"".join(part.encode() if isinstance(part, str) else bytes(part) for part in made), is_text


def _parts(message: Any) -> Iterable[Any]:
    if isinstance(message, (str, *_BYTES)):
        return (message,)
    if isinstance(message, Mapping):
        problem = "data is a dict-like object"
        raise TypeError(problem)
    if not isinstance(message, Iterable):
        problem = "data must be str, bytes, or iterable"
        raise TypeError(problem)
    return message


class ReplayedConnection(_Replayed, ClientConnection):
    """A replayed connection of sync code; threads may share it."""

    def __init__(self, uri: str, conversation: Conversation) -> None:
        super().__init__(uri, conversation)
        self._changed = threading.Condition()

    def recv(  # pyright: ignore[reportIncompatibleMethodOverride]  # it has overloads
        self,
        timeout: float | None = None,
        decode: bool | None = None,  # noqa: FBT001 - as websockets
    ) -> Any:
        """Receive the next message; see `websockets`."""
        until = None if timeout is None else SYSTEM_CLOCK.now() + timeout
        with self._changed:
            if self._is_receiving:
                message = "cannot call recv while another thread is already running recv or recv_streaming"
                raise ConcurrencyError(message)
            self._is_receiving = True
            try:
                return _decoded(self._next(until), decode=decode)
            finally:
                self._is_receiving = False

    def _next(self, until: float | None) -> Frame:
        while True:
            frame, left = self._look()
            if frame is not None:
                return frame
            if until is not None:
                rest = until - SYSTEM_CLOCK.now()
                if rest <= 0:
                    message = f"timed out in {rest:.1f}s" if rest else "timed out"
                    raise TimeoutError(message)
                self._changed.wait(rest if left is None else min(rest, left))
            elif left is None:
                self._wait_for_program()
            elif self._conversation.clock is SYSTEM_CLOCK:
                self._changed.wait(left)
            else:
                self._sleep(left)

    def _wait_for_program(self) -> None:
        """Wait for what another thread does; if there is no other, nothing can come."""
        patience = 0.0 if threading.active_count() == 1 else self._conversation.patience
        if not self._changed.wait(patience):
            raise self._give_up()

    def _sleep(self, seconds: float) -> None:
        """Wait by a clock that is not the system's, without keeping others from sending."""
        self._changed.release()
        try:
            self._conversation.clock.sleep(seconds)
        finally:
            self._changed.acquire()

    def recv_streaming(self, decode: bool | None = None) -> Iterator[Any]:  # noqa: FBT001 - as websockets
        """Receive the next message in parts; it comes in one."""
        yield self.recv(decode=decode)

    def send(self, message: Any, text: bool | None = None) -> None:  # noqa: FBT001 - as websockets
        """Send a message; see `websockets`."""
        payload, is_text = _joined(_parts(message), text=text)
        with self._changed:
            try:
                self._say(payload, is_text=is_text)
            finally:
                self._changed.notify_all()

    def close(self, code: int = 1000, reason: str = "") -> None:
        """Close the connection."""
        with self._changed:
            self._close(code, reason)
            self._changed.notify_all()

    def ping(self, data: Any = None, ack_on_close: bool = False) -> threading.Event:  # noqa: ARG002, FBT001, FBT002 - as there
        """Send a ping, which is answered at once."""
        answered = threading.Event()
        answered.set()
        return answered

    def pong(self, data: Any = b"") -> None:
        """Send a pong, which nobody waits for."""


class AsyncReplayedConnection(_Replayed, AsyncClientConnection):
    """A replayed connection of async code."""

    def __init__(self, uri: str, conversation: Conversation) -> None:
        super().__init__(uri, conversation)
        self.loop = asyncio.get_running_loop()
        self._waiting: list[asyncio.Future[None]] = []
        self._closed: asyncio.Future[None] = self.loop.create_future()

    async def recv(self, decode: bool | None = None) -> Any:  # noqa: FBT001 - as websockets
        """Receive the next message; see `websockets`."""
        if self._is_receiving:
            message = "cannot call recv while another coroutine is already running recv or recv_streaming"
            raise ConcurrencyError(message)
        self._is_receiving = True
        try:
            await give_turn()
            while True:
                frame, left = self._look()
                if frame is not None:
                    return _decoded(frame, decode=decode)
                await self._wait(left)
        finally:
            self._is_receiving = False
            if self.protocol.state is State.CLOSED and not self._closed.done():
                self._closed.set_result(None)

    async def _wait(self, left: float | None) -> None:
        """Wait until a frame is due, or the program has done something."""
        changed = self.loop.create_future()
        self._waiting.append(changed)
        try:
            if left is None:
                done, _ = await asyncio.wait([changed], timeout=self._patience())
                if not done:
                    raise self._give_up()
            elif self._conversation.clock is SYSTEM_CLOCK and not is_time_frozen():
                await asyncio.wait([changed], timeout=left)
            else:
                await self._sleep(left, changed)
        finally:
            self._waiting.remove(changed)

    def _patience(self) -> float:
        return ALONE if len(asyncio.all_tasks()) == 1 else self._conversation.patience

    async def _sleep(self, seconds: float, changed: asyncio.Future[None]) -> None:
        sleeping = asyncio.ensure_future(self._conversation.clock.sleep_async(seconds))
        try:
            await asyncio.wait([changed, sleeping], return_when=asyncio.FIRST_COMPLETED)
        finally:
            sleeping.cancel()

    def _tell(self) -> None:
        for changed in self._waiting:
            if not changed.done():
                changed.set_result(None)

    async def recv_streaming(self, decode: bool | None = None) -> AsyncIterator[Any]:  # noqa: FBT001 - as websockets
        """Receive the next message in parts; it comes in one."""
        yield await self.recv(decode)

    async def send(self, message: Any, text: bool | None = None) -> None:  # noqa: FBT001 - as websockets
        """Send a message; see `websockets`."""
        parts = [part async for part in message] if isinstance(message, AsyncIterable) else _parts(message)
        payload, is_text = _joined(parts, text=text)
        try:
            self._say(payload, is_text=is_text)
        finally:
            self._tell()

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Close the connection."""
        self._close(code, reason)
        if not self._closed.done():
            self._closed.set_result(None)
        self._tell()

    async def wait_closed(self) -> None:
        """Wait until the connection is closed."""
        await asyncio.shield(self._closed)

    async def ping(self, data: Any = None) -> asyncio.Future[float]:  # noqa: ARG002 - as websockets
        """Send a ping, which is answered at once."""
        answered: asyncio.Future[float] = self.loop.create_future()
        answered.set_result(0.0)
        return answered

    async def pong(self, data: Any = b"") -> None:
        """Send a pong, which nobody waits for."""
