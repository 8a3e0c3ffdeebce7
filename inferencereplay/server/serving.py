"""The server under `inferencereplay serve`: uvicorn, with httptools and uvloop where they are installed."""

from __future__ import annotations

import contextlib
import functools
import gc
import importlib.util
import logging
import signal
import socket
import threading
from typing import TYPE_CHECKING, Any

import uvicorn
from uvicorn.config import WS_PROTOCOLS

from inferencereplay.server.protocol import KEEP_ALIVE, ReplayProtocol

if TYPE_CHECKING:
    from collections.abc import Iterator

    from inferencereplay.server.application import Application

GRACE = 5
"""Seconds that open streams get to end when the server is told to end."""
ENDING = (signal.SIGINT, signal.SIGTERM)
"""The signals that end a server in order."""
BACKLOG = 2_048
_OURS = {"access_log": False, "date_header": False, "server_header": False, "proxy_headers": False}


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens; with port 0 the system chooses one.

    Raises:
        OSError: if the address cannot be used.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    made = socket.create_server((host, port), family=family, backlog=BACKLOG)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return made


def url_of(listening: socket.socket) -> str:
    """Return the base URL for a client of the server on a socket."""
    host, port = listening.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}/v1"


def make_server(application: Application) -> uvicorn.Server:
    """Return a server of an application, which `run(sockets=[…])` starts."""
    protocol = functools.partial(ReplayProtocol, application)
    options: dict[str, Any] = {
        **_OURS,
        "ws": _websockets(),
        "http": protocol,
        "timeout_keep_alive": KEEP_ALIVE,
        "timeout_graceful_shutdown": GRACE,
        "log_config": None,
    }
    logging.getLogger("uvicorn").setLevel(logging.CRITICAL)  # an answer that breaks is an error to it
    return uvicorn.Server(uvicorn.Config(application, **options))


def _websockets() -> str:
    """Return which of uvicorn's ways to serve WebSockets is used: by the package `websockets`, if it is installed."""
    if importlib.util.find_spec("websockets") is None:  # pragma: no cover - the tests have it
        return "none"
    newer = "websockets-sansio"
    return newer if newer in WS_PROTOCOLS else "websockets"


def serve(application: Application, listening: socket.socket) -> None:
    """Serve until a signal ends it."""
    gc.collect()
    gc.freeze()  # collections then pass over what lasts as long as the server
    server = make_server(application)
    with _ending(server):
        server.run(sockets=[listening])


@contextlib.contextmanager
def running(application: Application) -> Iterator[str]:
    """Serve on a free port of loopback, in a thread, for the length of a block.

    Yields:
        The base URL for clients.
    """
    server = make_server(application)
    with listen("127.0.0.1", 0) as listening:
        thread = threading.Thread(target=server.run, args=([listening],), name="inferencereplay.server")
        thread.start()
        try:
            yield url_of(listening)
        finally:
            server.should_exit = True
            thread.join()


@contextlib.contextmanager
def _ending(server: uvicorn.Server) -> Iterator[None]:
    """Let a signal end the server, also before it has begun, and not the process: that has to say what was served."""

    def end(*_: object) -> None:
        server.should_exit = True

    before = {number: signal.signal(number, end) for number in ENDING}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
