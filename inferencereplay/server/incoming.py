"""From what an HTTP client sends to the request that a recording is looked up by."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import unquote

import msgspec

from inferencereplay.recording.request import (
    NotSerializable,
    Request,
    canonical_json,
    parse_json,
    parse_query,
)
from inferencereplay.redaction.header_secrets import header_secrets, literals_of
from inferencereplay.redaction.redactor import secret_values

if TYPE_CHECKING:
    from collections.abc import Iterator

SESSION_HEADER = b"x-inferencereplay-session"
"""Which session a request belongs to; the requests without it are of one session."""
LARGEST_BODY = 64 * 1024 * 1024
"""Bytes of the largest body that is read."""
PREFIXES = ("/v1/", "/openai/v1/", "/openai/")
"""Where the base URL of a client may end; a recording's path is relative to that of the client that was recorded."""
BAD_REQUEST = 400
TOO_LARGE = 413


class Incoming(msgspec.Struct, frozen=True):
    """A request as it came.

    Attributes:
        method: upper case.
        path: percent-encoded, as it was sent.
        query: as it was sent, without the question mark.
        headers: names in lower case.
        body: whole.
        arrived: when it began to come, by the system clock.
    """

    method: str
    path: str
    query: str
    headers: list[tuple[bytes, bytes]]
    body: bytes
    arrived: float

    def header(self, name: bytes) -> bytes | None:
        """Return the value of a header; of one that is repeated, the first."""
        for given, value in self.headers:
            if given == name:
                return value
        return None

    def text(self, name: bytes) -> str:
        """Return the value of a header; empty without one."""
        return (self.header(name) or b"").decode("latin-1")

    def secrets(self) -> tuple[str, ...]:
        """Return what is secret in the headers and the query."""
        named = ((name.decode("latin-1"), value.decode("latin-1")) for name, value in self.headers)
        return literals_of([*header_secrets(named), *secret_values(parse_query(self.query))])


class Refused(Exception):  # noqa: N818 - a signal inside the server
    """A request that cannot be read.

    Attributes:
        status: of the answer.
        message: for the client.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


class LeadsOut(Refused):
    """A path that leads out of the API, which the upstream server does not get either."""


class NotJson(Refused):
    """A body that says itself that it is not JSON, such as an upload."""


def read_request(incoming: Incoming) -> Request:
    """Return the request with its path as it came.

    Raises:
        LeadsOut: for a path with `..`.
        Refused: for a body that is no JSON, or is nested too deeply.
        NotJson: for a body that need not be JSON.
    """
    check_path(incoming.path)
    return Request(incoming.method, incoming.path, _canonical(incoming), parse_query(incoming.query))


def check_path(path: str) -> None:
    """Make sure that a path stays below the base URL.

    Raises:
        LeadsOut: for one with `..`, or a null character.
    """
    plain = unquote(path).replace("\\", "/")
    if ".." in plain.split("/") or "\0" in plain:
        raise LeadsOut(BAD_REQUEST, "The path of the request has parts that lead out of the API: '..'.")


def _canonical(incoming: Incoming) -> bytes:
    if not incoming.body:
        return b"null"
    try:
        return canonical_json(parse_json(incoming.body))
    except (ValueError, NotSerializable) as error:
        kind = incoming.text(b"content-type")
        if kind and "json" not in kind:
            raise NotJson(BAD_REQUEST, f"its body is no JSON, but {kind.partition(';')[0]}") from error
        raise Refused(BAD_REQUEST, f"The body of the request is not JSON that can be recorded: {error}.") from error


def readings(path: str) -> tuple[str, ...]:
    """Return the paths under which a recording may be stored, the most likely one first."""
    return tuple(dict.fromkeys(_readings(path)))


def _readings(path: str) -> Iterator[str]:
    for prefix in PREFIXES:
        if path.startswith(prefix):
            yield path[len(prefix) - 1 :]
            break
    yield path
    if "%" in path:
        yield from _readings(unquote(path))
