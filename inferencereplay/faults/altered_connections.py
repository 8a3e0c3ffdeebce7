"""What a fault makes of a WebSocket connection: one that cannot be opened, or a recorded one that breaks.

The texts are those of the package `websockets`, as they were seen with its version 15; a test compares them with what a
server on loopback causes.
"""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

from msgspec.structs import replace

from inferencereplay.faults.altered_answers import replace_answer
from inferencereplay.recording.format import Cause, Failure, Response
from inferencereplay.recording.frames import ABNORMAL, CLIENT, SERVER, Frame

if TYPE_CHECKING:
    from inferencereplay.faults.connections import Network
    from inferencereplay.faults.fault import Fault

KEEPALIVE = 40.0
"""Seconds after which `websockets` gives up a silent connection: a ping each 20 s, and 20 s to wait for its pong."""
_GIVEN_UP = Frame(CLIENT, close=1011, reason="keepalive ping timeout")
_BROKEN = Frame(SERVER, close=ABNORMAL)


def replace_connection(fault: Fault, network: Network) -> Response:
    """Return what comes in the place of a connection: a failure, or a server's refusal."""
    if fault.kind == "refused":
        told = f"[Errno {errno.ECONNREFUSED}] {os.strerror(errno.ECONNREFUSED)}"
        if network.kind == "asyncio":
            told = f"[Errno {errno.ECONNREFUSED}] Connect call failed {(network.host, network.port)!r}"
        return _failed("ConnectionRefusedError", told)
    if fault.kind == "timeout":
        return timed_out(network)
    if fault.kind in ("cut", "reset"):
        causes = "connection closed while reading HTTP status line", "stream ends after 0 bytes, before end of line"
        found = [Cause("EOFError", text) for text in causes]
        return Response(0, failure=Failure("InvalidMessage", "did not receive a valid HTTP response", found))
    return replace_answer(fault, network)


def timed_out(network: Network) -> Response:
    """Return a connection that is not opened in time."""
    what = "during opening handshake" if network.kind == "asyncio" else "while waiting for handshake response"
    return _failed("TimeoutError", f"timed out {what}")


def _failed(kind: str, message: str) -> Response:
    return Response(0, failure=Failure(kind, message))


def alter_connection(fault: Fault, recorded: Response) -> Response | None:
    """Return what becomes of a recorded connection; `None` if the fault cannot happen to it.

    Args:
        fault: one that comes after some messages of the server.
        recorded: the recorded answer; it is not changed.
    """
    after, frames = fault.arguments.get("after"), recorded.frames
    if frames is None or after is None or fault.kind not in ("cut", "reset", "timeout"):
        return None
    places = [index for index, frame in enumerate(frames) if frame.sender == SERVER and frame.is_message]
    if after > len(places):
        return None
    kept = places[after - 1] + 1 if after else 0
    ends = [_GIVEN_UP, _BROKEN] if fault.kind == "timeout" else [_BROKEN]
    offsets = recorded.offsets[:kept]
    if recorded.offsets:
        last = offsets[-1] if offsets else recorded.elapsed or 0.0
        offsets += [last + (KEEPALIVE if fault.kind == "timeout" else 0.0)] * len(ends)
    return replace(
        recorded, end="error", left=None, failure=_failure(fault.kind), frames=[*frames[:kept], *ends], offsets=offsets
    )


def _failure(kind: str) -> Failure:
    if kind == "timeout":
        message = f"sent {_GIVEN_UP.close} (internal error) {_GIVEN_UP.reason}; no close frame received"
        return Failure("ConnectionClosedError", message)
    told = f"[Errno {errno.ECONNRESET}] {os.strerror(errno.ECONNRESET)}"
    causes = [Cause("ConnectionResetError", told)] if kind == "reset" else []
    return Failure("ConnectionClosedError", "no close frame received or sent", causes)


def slow_down(recorded: Response, between: float) -> Response:
    """Return a recorded connection whose server takes so many seconds for each of its messages."""
    offsets, now = [], recorded.elapsed or 0.0
    for frame in recorded.frames or ():
        now += between if frame.sender == SERVER and frame.is_message else 0.0
        offsets.append(now)
    return replace(recorded, offsets=offsets)
