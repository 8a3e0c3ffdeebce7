"""The connections of `inferencereplay serve`: uvicorn's, with a short way for requests that a recording answers.

uvicorn reads and writes HTTP; a task and the messages of ASGI for each request cost three times as much as the answer.
A request that a mere look-up answers is answered where it was read; each other one goes its usual way.
"""

from __future__ import annotations

import asyncio
import functools
import math
import socket
import struct
from typing import TYPE_CHECKING, Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from inferencereplay.pacing.clocks import SYSTEM_CLOCK
from inferencereplay.server.http_answers import error_answer
from inferencereplay.server.incoming import Incoming

if TYPE_CHECKING:
    from inferencereplay.pacing.pacer import Pacer
    from inferencereplay.server.application import Application
    from inferencereplay.server.replies import Reply

MOST_HELD = 256 * 1024
"""Bytes of a body up to which the short way may be taken."""
LARGEST_HEAD = 1024 * 1024
"""Bytes of a request that are no body: its first line, its headers, and the headers that may follow a chunked body."""
REQUEST_TIMEOUT = 408
HEAD_TOO_LARGE = 431
_RESET = struct.pack("ii", 1, 0)
"""What breaks a connection at its end: l_onoff and l_linger."""
KEEP_ALIVE = 75
"""Seconds that a connection without a request stays open; longer than clients keep theirs."""


class ReplayProtocol(HttpToolsProtocol):
    """One connection.

    Args:
        application: answers.
        *args: uvicorn's.
        **kwargs: uvicorn's.
    """

    parser: Any  # uvicorn's is `None` once the connection is lost

    def __init__(self, application: Application, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._application = application
        self._held: list[bytes] | None = None
        self._size = 0
        self._stream: PacedAnswer | None = None
        self._since = self._idle_since = math.inf
        self._unsent = 0
        self._head_size = 0

    # A connection that hangs.

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's
        """Begin, and see to it that the client does not keep the server waiting."""
        super().connection_made(transport)
        self._since = SYSTEM_CLOCK.now()
        self._application.deadlines.add(self._since + self._application.patience, self._look)

    def _look(self, now: float) -> float | None:
        """End a connection whose client sends half a request, or does not read its answer."""
        if self.transport.is_closing():
            return None
        if now - self._since >= self._application.patience:
            if self.parser is not None and self.headers is not None:
                self.transport.writelines(_too_slow().wire)
            self.transport.close()
            return None
        if now - self._idle_since >= KEEP_ALIVE:
            self.transport.close()
            return None
        unsent = self.transport.get_write_buffer_size()
        if unsent and unsent == self._unsent:
            # Without this the kernel would keep what it has taken.
            self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            self.transport.abort()
            return None
        self._unsent = unsent
        return min(now, self._since) + self._application.patience

    # Reading.

    def data_received(self, data: bytes) -> None:
        """Read on, unless the headers have no end: nothing else bounds them."""
        self._head_size += len(data)
        super().data_received(data)
        if self._head_size > LARGEST_HEAD and not self.transport.is_closing():
            message = f"The request has more than {LARGEST_HEAD:,} bytes beside its body."
            self.transport.writelines(error_answer(HEAD_TOO_LARGE, message, "invalid_request_error").wire)
            self.transport.close()

    def on_message_begin(self) -> None:
        """Note when a request begins. What ASGI needs of it is made when it goes that way."""
        self.url, self.headers, self.expect_100_continue = b"", [], False
        self._since, self._idle_since = SYSTEM_CLOCK.now(), math.inf

    def on_headers_complete(self) -> None:
        """Hold a request until it is complete, if it may be answered at once."""
        is_free = self.cycle is None or self.cycle.response_complete
        if is_free and not self.expect_100_continue and not self.flow.write_paused and self._is_simple():
            self._held, self._size = [], 0
        else:
            self._begin()

    def _is_simple(self) -> bool:
        parser = self.parser
        is_current = parser.get_http_version() == "1.1" and parser.should_keep_alive() and not parser.should_upgrade()
        return is_current and self.url.startswith(b"/") and parser.get_method() != b"HEAD"

    def on_body(self, body: bytes) -> None:
        """Keep a part of the body, but not too much."""
        self._since, self._head_size = SYSTEM_CLOCK.now(), 0
        if self._held is None:
            super().on_body(body)
            return
        self._held.append(body)
        self._size += len(body)
        if self._size > MOST_HELD:
            self._pass_on()

    def on_message_complete(self) -> None:
        """Answer at once, or let the application do it."""
        arrived, self._since, self._head_size = self._since, math.inf, 0
        if self._held is not None:
            path, _, query = self.url.decode("latin-1").partition("?")
            method = self.parser.get_method().decode("ascii")
            incoming = Incoming(method, path, query, self.headers, b"".join(self._held), arrived)
            reply = self._application.at_once(incoming)
            if reply is not None:
                self._held = None
                self._answer(reply)
                return
            self._pass_on()
        super().on_message_complete()

    def _pass_on(self) -> None:
        """Give the application what has been read."""
        held, self._held = self._held, None
        self._begin()
        for body in held or ():
            super().on_body(body)

    def _begin(self) -> None:
        """Let the application answer, as uvicorn does once it has read the headers."""
        url, headers, is_expecting = self.url, self.headers, self.expect_100_continue
        super().on_message_begin()
        self.url, self.expect_100_continue = url, is_expecting
        self.headers += headers
        super().on_headers_complete()

    # Answering.

    def _answer(self, reply: Reply) -> None:
        if reply.pacer is None:
            self.transport.writelines(reply.answer.wire)
            self.end(is_broken=reply.answer.is_broken)
        else:
            self._stream = self.cycle = PacedAnswer(self, reply, reply.pacer)  # type: ignore[assignment]  # see there
            self._stream.start()

    def end(self, *, is_broken: bool) -> None:
        """Go on to the next request, or break the connection."""
        self._stream = None
        if is_broken:
            self.transport.close()
        elif self.pipeline:
            self.on_response_complete()
        else:
            self.server_state.total_requests += 1
            self._idle_since = SYSTEM_CLOCK.now()  # which `_look` reads; a timer for each answer costs as much as it

    @property
    def application(self) -> Application:
        """What answers."""
        return self._application

    def resume_writing(self) -> None:
        """Go on with a stream whose client reads again."""
        super().resume_writing()
        if self._stream is not None:
            self._stream.resume()

    def connection_lost(self, exc: Exception | None) -> None:
        """End a stream whose client has left."""
        super().connection_lost(exc)
        if self._stream is not None:
            self._stream.leave()
            self._stream = None


class PacedAnswer:
    """An answer that is sent in time. To uvicorn it is a request that is being answered (`RequestResponseCycle`).

    Attributes:
        response_complete: whether the end was sent.
        disconnected: whether the client has left.
        keep_alive: whether the connection stays open after it.
        message_event: uvicorn's; nobody waits for it.
    """

    def __init__(self, protocol: ReplayProtocol, reply: Reply, pacer: Pacer) -> None:
        self.response_complete = self.disconnected = False
        self.keep_alive = True
        self.message_event = asyncio.Event()
        self._protocol = protocol
        self._metrics = protocol.application.metrics
        self._answer = reply.answer
        self._pacer = pacer
        self._sent = 0
        self._is_waiting = False
        self._pieces = self._answer.pieces if self._answer.is_stream else [b"".join(self._answer.wire)]

    def start(self) -> None:
        """Send what is not to wait."""
        if self._answer.is_stream:
            self._metrics.add("streams_open")
            self._protocol.transport.write(self._answer.head)
        self._plan()

    def _plan(self) -> None:
        first = self._pacer.due(self._sent if self._answer.is_stream else -1)
        self._protocol.application.deadlines.add(first, self._send)

    def _send(self, now: float) -> float | None:
        """Send what is due, and return when there will be more."""
        if self.response_complete:
            return None
        if self._protocol.flow.write_paused:
            self._is_waiting = True
            return None
        if not self._answer.is_stream:
            self._pacer.note(now - self._pacer.due(-1))
            self._protocol.transport.write(self._pieces[0])
            self._end()
            return None
        pieces, pacer, first = self._pieces, self._pacer, self._sent
        index = first
        while index < len(pieces) and (due := pacer.due(index)) <= now:
            pacer.note(now - due)
            index += 1
        self._sent = index
        if index > first:
            self._protocol.transport.writelines(pieces[first:index])
        if index < len(pieces):
            return pacer.due(index)
        if self._answer.is_broken and (end := pacer.due(-1)) > now:
            return end
        self._end()
        return None

    def resume(self) -> None:
        """Send on, if something was due while the client did not read."""
        if self._is_waiting:
            self._is_waiting = False
            self._plan()

    def _end(self) -> None:
        self.leave()
        protocol = self._protocol
        protocol.end(is_broken=self._answer.is_broken or not self.keep_alive)

    def leave(self) -> None:
        """Send no more."""
        self.response_complete = True
        if self._answer.is_stream:
            self._metrics.add("streams_open", -1)


@functools.cache
def _too_slow() -> Any:
    return error_answer(REQUEST_TIMEOUT, "The request was not sent to its end in time.", "invalid_request_error")
