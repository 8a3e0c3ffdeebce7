"""A server in a thread, as `inferencereplay serve` starts it, and HTTP clients that show every byte."""

from __future__ import annotations

import http.client
import json
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from inferencereplay.server import serving

if TYPE_CHECKING:
    from collections.abc import Iterator

    from inferencereplay.server.application import Application


@dataclass
class Served:
    """A server.

    Attributes:
        application: what it serves.
        port: on loopback.
    """

    application: Application
    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def ask(self, path: str, body: Any = None, method: str = "POST", **headers: str) -> Answered:
        """Make a request with a connection of its own and read the answer to its end, or to where it breaks."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        data = body if isinstance(body, (bytes, type(None))) else json.dumps(body).encode()
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, data, {"content-type": "application/json", **named})
        answer = connection.getresponse()
        try:
            content, is_broken = answer.read(), False
        except http.client.IncompleteRead as error:
            content, is_broken = error.partial, True
        connection.close()
        return Answered(answer.status, {name.lower(): value for name, value in answer.getheaders()}, content, is_broken)

    def count(self, name: str) -> int:
        """Return a count of the server's."""
        return self.application.metrics.total(name)


@dataclass
class Answered:
    """An answer."""

    status: int
    headers: dict[str, str]
    content: bytes
    is_broken: bool = False
    error: dict[str, Any] = field(init=False)

    def __post_init__(self) -> None:
        is_error = self.content.startswith(b'{"error":')
        self.error = json.loads(self.content)["error"] if is_error else {}


@contextmanager
def serving_of(application: Application) -> Iterator[Served]:
    """Serve in a thread."""
    with serving.running(application) as url:
        yield Served(application, int(url.rpartition(":")[2].removesuffix("/v1")))
