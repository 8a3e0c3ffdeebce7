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
from inferencereplay.sdk.body_description import BodyDescription
from inferencereplay.server import multipart

if TYPE_CHECKING:
    from collections.abc import Iterator

    from inferencereplay.recording.request import JSON
    from inferencereplay.recording.side_file import SideFile

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


class NoForm(Refused):
    """A body that says that it is a form, and is none."""


def read_request(incoming: Incoming) -> Request:
    """Return the request with its path as it came.

    Raises:
        LeadsOut: for a path with `..`.
        Refused: for a body that is to be JSON and is none, or is nested too deeply.
        NoForm: for a form that cannot be read.
    """
    check_path(incoming.path)
    body, kind = _canonical(incoming)
    return Request(incoming.method, incoming.path, body, parse_query(incoming.query), kind)


def uploads_of(incoming: Incoming) -> list[SideFile]:
    """Return the contents of the files that a request sends; errors are those of `read_request`."""
    described = BodyDescription(keeps=True)
    if incoming.body and not is_json(incoming):
        _describe(incoming, described)
    return described.uploads


def is_json(incoming: Incoming) -> bool:
    """Whether the body of a request is JSON, whatever its content type says."""
    try:
        parse_json(incoming.body)
    except ValueError:
        return False
    return True


def check_path(path: str) -> None:
    """Make sure that a path stays below the base URL.

    Raises:
        LeadsOut: for one with `..`, or a null character.
    """
    plain = unquote(path).replace("\\", "/")
    if ".." in plain.split("/") or "\0" in plain:
        raise LeadsOut(BAD_REQUEST, "The path of the request has parts that lead out of the API: '..'.")


def _canonical(incoming: Incoming) -> tuple[bytes, str]:
    """Return the canonical JSON of a body, and what the body is, as in `Request`."""
    if not incoming.body:
        return b"null", "body"
    try:
        return canonical_json(parse_json(incoming.body)), "body"
    except (ValueError, NotSerializable) as error:
        content_type = incoming.text(b"content-type")
        if not content_type or "json" in content_type:
            message = f"The body of the request is not JSON that can be recorded: {error}."
            raise Refused(BAD_REQUEST, message) from error
    made, kind = _describe(incoming, BodyDescription(keeps=False))
    return canonical_json(made), kind


def _describe(incoming: Incoming, description: BodyDescription) -> tuple[JSON, str]:
    """Describe a body that is not JSON as the recorder of the Python SDK does, and say what it is."""
    content_type = incoming.text(b"content-type")
    if not content_type.lower().startswith(multipart.KIND):
        return description.content(incoming.body, content_type), "content"
    try:
        return description.form(multipart.read_form(content_type, incoming.body)), "form"
    except ValueError as error:
        raise NoForm(BAD_REQUEST, f"its body is no form ({multipart.KIND}): {error}") from error


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
