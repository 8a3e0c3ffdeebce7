"""The capture of a live connection: each frame is noted as `websockets` sends or receives it, and passed on at once.

The methods of the connection's protocol object are wrapped, so that frames which the program never reads are seen too,
and nothing else of the library changes.
"""

from __future__ import annotations

import functools
import logging
import weakref
from typing import TYPE_CHECKING, Any

from websockets.frames import Opcode
from websockets.protocol import State

from inferencereplay.pacing.clocks import SYSTEM_CLOCK
from inferencereplay.recording import frames as recorded
from inferencereplay.recording.format import Response
from inferencereplay.recording.frame_audio import take_out_audio
from inferencereplay.recording.frames import ABNORMAL, CLIENT, NO_STATUS, SERVER, SWITCHING, Frame
from inferencereplay.sdk.finishing import Finishing
from inferencereplay.sdk.http_replay import kept_headers
from inferencereplay.sdk.sockets.handshake_errors import failure_of
from inferencereplay.session import garbage

if TYPE_CHECKING:
    from collections.abc import Callable

log = logging.getLogger("inferencereplay")

_DATA = (Opcode.TEXT, Opcode.BINARY, Opcode.CONT)


class ConnectionCapture(Finishing):
    """What both sides send, with the time of each frame, until the connection ends one way or another.

    Args:
        start: the system clock's time at the start of the call.
        keep: stores the answer; either it or `drop` is called, once.
        drop: is called if the answer cannot be stored.
        keeps_audio: whether the audio that the program sends is stored.
    """

    def __init__(
        self, start: float, keep: Callable[[Response], object], drop: Callable[[], None], *, keeps_audio: bool
    ) -> None:
        self._keeps_audio = keeps_audio
        self._start = start
        self._keep = keep
        super().__init__(drop)
        self._noted: list[tuple[float, str, Any]] = []
        self._opened = 0.0
        self._headers: dict[str, str] = {}
        self._ended: float | None = None
        self._error: BaseException | None = None
        self._is_left = self._is_open = False
        self._made: Any = None

    def prepare(self, options: dict[str, Any], default: Any) -> dict[str, Any]:
        """Return the options with which `websockets` makes a connection that this object hears.

        Args:
            options: those that the SDK gives.
            default: the class of connections without a class among the options.
        """
        make = options.get("create_connection") or default
        return {**options, "create_connection": functools.partial(self._create, make)}

    def _create(self, make: Callable[..., Any], *args: Any, **options: Any) -> Any:
        self._made = make(*args, **options)
        self._hear(self._made.protocol)
        return self._made

    def _hear(self, protocol: Any) -> None:
        self._noted, self._ended = [], None  # of a connection that was redirected, nothing is kept
        self._protocol: Any = weakref.ref(protocol)
        note, now = self._noted.append, SYSTEM_CLOCK.now
        send, receive, receive_eof = protocol.send_frame, protocol.recv_frame, protocol.receive_eof

        def send_frame(frame: Any) -> None:
            send(frame)
            note((now(), CLIENT, frame))

        def recv_frame(frame: Any) -> None:
            note((now(), SERVER, frame))  # before it is answered
            receive(frame)

        def hear_eof() -> None:
            receive_eof()
            self._end(protocol)

        protocol.send_frame, protocol.recv_frame, protocol.receive_eof = send_frame, recv_frame, hear_eof

    def open(self, run_async: Callable[[Callable[[], None]], Any] | None) -> bool:
        """Note that the connection is open, and store the recording when it is closed; `False` if there is none.

        Args:
            run_async: for an asynchronous connection: runs a blocking function without blocking the event loop.
        """
        connection, self._made = self._made, None
        if connection is None:
            return False
        self._opened = SYSTEM_CLOCK.now() - self._start
        self._is_open = True
        self._headers = kept_headers(dict(connection.response.headers.raw_items()))
        self._connection = weakref.ref(connection)
        close = functools.partial(type(connection).close, connection)
        connection.close = self._closing(close) if run_async is None else self._closing_async(close, run_async)
        # For a connection that is dropped without being closed, or still open when the interpreter ends.
        weakref.finalize(connection, garbage.note, self.finish)
        if self._ended is not None:
            garbage.note(self.finish)
        return True

    def _closing(self, close: Callable[..., Any]) -> Callable[..., Any]:
        def close_and_finish(*args: Any, **options: Any) -> None:
            self._leave()
            try:
                close(*args, **options)
            finally:
                self.finish()

        return close_and_finish

    def _closing_async(self, close: Callable[..., Any], run_async: Callable[..., Any]) -> Callable[..., Any]:
        async def close_and_finish(*args: Any, **options: Any) -> None:
            self._leave()
            try:
                await close(*args, **options)
            finally:
                await run_async(self.finish)

        return close_and_finish

    def _leave(self) -> None:
        """Note that the program closes the connection, unless that has ended."""
        self._is_left = self._is_left or self._ended is None

    def _end(self, protocol: Any) -> None:
        """Note the end; the file is written later, for a thread of the library's, or the event loop, must not wait."""
        if self._ended is None and protocol is self._protocol() and protocol.state is State.CLOSED:
            self._error = protocol.close_exc
            self._ended = SYSTEM_CLOCK.now()
            if self._is_open:
                garbage.note(self.finish)

    def _hand_on(self) -> None:
        try:
            response = self._assemble()
        except Exception as error:  # noqa: BLE001 - a failing recorder never breaks what it records
            log.warning("a connection was not recorded: %s", type(error).__name__)  # its message may hold frames
            self._drop()
        else:
            self._keep(response)

    def _assemble(self) -> Response:
        frames = _join(self._noted)
        self._noted.clear()
        response = Response(SWITCHING, self._headers, elapsed=self._opened)
        if self._ended is None and not self._is_left:
            response.end, response.left = "closed", SYSTEM_CLOCK.now() - self._start
        elif self._is_left or any(frame.sender == SERVER and frame.close is not None for _, frame in frames):
            response.end = "done"
        else:
            response.end, response.failure = "error", failure_of(self._error, self._connection())
            frames.append((self._ended or SYSTEM_CLOCK.now(), Frame(SERVER, close=ABNORMAL)))
        response.offsets = [max(0.0, at - self._start) for at, _ in frames]
        response.frames = [frame for _, frame in frames]
        take_out_audio(response, keeps_clients=self._keeps_audio)
        return response


def _join(noted: list[tuple[float, str, Any]]) -> list[tuple[float, Frame]]:
    """Make frames of a recording: parts of messages are joined, and come when the last one did."""
    begun: dict[str, list[Any]] = {CLIENT: [], SERVER: []}
    joined = []
    for at, sender, frame in noted:
        if frame.opcode is Opcode.CLOSE:
            joined.append((at, _close(sender, bytes(frame.data))))
        elif frame.opcode in _DATA:
            parts = begun[sender]
            parts.append(frame)
            if frame.fin:
                payload = b"".join(bytes(part.data) for part in parts)
                is_binary = parts[0].opcode is Opcode.BINARY
                joined.append((at, recorded.message(sender, payload, is_binary=is_binary)))
                parts.clear()
    return joined


def _close(sender: str, data: bytes) -> Frame:
    if not data:
        return Frame(sender, close=NO_STATUS)
    return Frame(sender, close=int.from_bytes(data[:2], "big"), reason=data[2:].decode())
