"""A server on loopback that sends exactly the bytes it was told to, and then does what no server should."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

RESET = "reset"
"""A step: the connection is reset instead of closed."""
HANG = "hang"
"""A step: the connection stays open, and nothing more comes."""

Step = "bytes | float | str"


def head(status: int = 200, **headers: str) -> bytes:
    """Return a response's head; the body ends with the connection unless the headers say otherwise."""
    named = {"x-request-id": "req_7", "connection": "close", **headers}
    lines = [f"HTTP/1.1 {status} Said", *(f"{name.replace('_', '-')}: {value}" for name, value in named.items())]
    return "\r\n".join([*lines, "", ""]).encode()


def events(**headers: str) -> bytes:
    """Return the head of a stream whose body comes in chunks."""
    return head(content_type="text/event-stream", transfer_encoding="chunked", **headers)


def chunked(*pieces: bytes) -> list[bytes]:
    """Return each piece as a chunk of HTTP's."""
    return [b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces]


END = b"0\r\n\r\n"
"""The end of a body in chunks."""


def whole(body: bytes, status: int = 200, **headers: str) -> list[bytes]:
    """Return a plain response that is in order."""
    headers = {"content_type": "application/json", "content_length": str(len(body)), **headers}
    return [head(status, **headers), body]


class Misbehaving:
    """A server that answers the n-th request with the n-th script, and all later ones with the last.

    A script is a list of steps: bytes are sent, a number is slept for (seconds), `RESET` and `HANG` are done. At the
    end of a script the connection is closed.

    Attributes:
        url: the base URL for a client.
        count: requests so far.
    """

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._scripts: Sequence[Sequence[Step]] = ()
        self._over = threading.Event()
        self._threads: list[threading.Thread] = []
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}/v1"
        self.count = 0
        self._start(self._serve)

    def play(self, *scripts: Sequence[Step]) -> None:
        """Take new scripts, and count from the first."""
        self._scripts, self.count = scripts, 0

    def stop(self) -> None:
        self._over.set()
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        for thread in self._threads:
            thread.join()

    def _start(self, function, *arguments) -> None:
        thread = threading.Thread(target=function, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._socket.accept()
                self._start(self._answer, connection)

    def _answer(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if not _read_request(connection):
                return
            script = self._scripts[min(self.count, len(self._scripts) - 1)]
            self.count += 1
            for step in script:
                self._take(step, connection)

    def _take(self, step: Step, connection: socket.socket) -> None:
        if isinstance(step, bytes):
            connection.sendall(step)
        elif step == RESET:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        elif step == HANG:
            self._wait_for_leaving(connection)
        else:
            time.sleep(step)

    def _wait_for_leaving(self, connection: socket.socket) -> None:
        connection.settimeout(0.05)
        while not self._over.is_set():
            with contextlib.suppress(TimeoutError):
                if not connection.recv(1):
                    return


def _read_request(connection: socket.socket) -> bytes:
    """Read a request to its end, which HTTP wants before it is answered."""
    data = b""
    while b"\r\n\r\n" not in data:
        piece = connection.recv(65_536)
        if not piece:
            return b""
        data += piece
    before, _, body = data.partition(b"\r\n\r\n")
    length = next(
        (int(line.split(b":")[1]) for line in before.split(b"\r\n") if line.lower().startswith(b"content-length")), 0
    )
    while len(body) < length:
        body += connection.recv(65_536)
    return data
