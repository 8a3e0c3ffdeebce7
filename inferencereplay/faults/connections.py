"""How a broken connection looks to a program: the HTTP library's exceptions, with those that led to them.

The texts are those of httpx and httpx2, with httpcore, h11, AnyIO and trio underneath, as they were seen with openai
1.40, 1.109, 2.54 and 3.57; a test compares them with what a server on loopback causes.
"""

from __future__ import annotations

import errno
import os
from typing import NamedTuple

from inferencereplay.recording.format import Cause, Failure


class Network(NamedTuple):
    """What an attempt of a client runs on.

    Attributes:
        kind: `sync`, `asyncio` or `trio`.
        host: the server's.
        port: the server's.
    """

    kind: str
    host: str = ""
    port: int = 0


def refused(network: Network) -> Failure:
    """Nobody listens."""
    code, reason = errno.ECONNREFUSED, os.strerror(errno.ECONNREFUSED)
    if network.kind == "sync":
        message = f"[Errno {code}] {reason}"
        return _failure("ConnectError", message, Cause("ConnectionRefusedError", message, is_context=True))
    if network.kind == "asyncio":
        message = "All connection attempts failed"
        called = f"[Errno {code}] Connect call failed {(network.host, network.port)!r}"
        causes = Cause("OSError", message, is_context=True), Cause("ConnectionRefusedError", called)
        return _failure("ConnectError", message, *causes)
    message = f"all attempts to connect to {network.host}:{network.port} failed"
    return _failure("ConnectError", message, Cause("OSError", message, is_context=True))


def reset(network: Network) -> Failure:
    """The server resets the connection."""
    told = f"[Errno {errno.ECONNRESET}] {os.strerror(errno.ECONNRESET)}"
    cause = Cause("ConnectionResetError", told, is_context=network.kind == "sync")
    if network.kind == "sync":
        return _failure("ReadError", told, cause)
    message = f"socket connection broken: {told}" if network.kind == "trio" else ""
    package = "trio" if network.kind == "trio" else "anyio"
    return _failure("ReadError", message, Cause(f"{package}.BrokenResourceError", message, is_context=True), cause)


def timed_out(phase: str, network: Network) -> Failure:
    """The client's time-out for a phase passes: `connect`, `read`, `write` or `pool`."""
    name = f"{phase.capitalize()}Timeout"
    if phase == "pool":
        return _failure(name, "")
    message = "timed out" if network.kind == "sync" else ""
    cause = "trio.TooSlowError" if network.kind == "trio" else "TimeoutError"
    return _failure(name, message, Cause(cause, message, is_context=True))


def disconnected() -> Failure:
    """The server closes the connection before it answers."""
    return _failure("RemoteProtocolError", "Server disconnected without sending a response.")


def cut_stream() -> Failure:
    """The server closes the connection in the middle of a body whose length is not known."""
    return _cut("incomplete chunked read")


def cut_body(received: int, expected: int) -> Failure:
    """The server closes the connection in the middle of a body; both numbers are bytes."""
    return _cut(f"received {received} bytes, expected {expected}")


def _cut(detail: str) -> Failure:
    message = f"peer closed connection without sending complete message body ({detail})"
    return _failure("RemoteProtocolError", message, Cause("h11.RemoteProtocolError", message, is_context=True))


def _failure(name: str, message: str, *causes: Cause) -> Failure:
    return Failure(name, message, [Cause(f"httpcore.{name}", message), *causes])
