"""Connections that could not be opened, or broke: from an exception to a recording, and back to the exception."""

from __future__ import annotations

import http
import itertools
from types import SimpleNamespace
from typing import Any

import websockets.exceptions
from websockets.datastructures import Headers
from websockets.exceptions import InvalidStatus
from websockets.http11 import Response as HandshakeResponse

from inferencereplay.recording.format import Cause, Failure, Response
from inferencereplay.sdk import failures
from inferencereplay.sdk.content import fill, plain_content
from inferencereplay.sdk.http_replay import kept_headers

LIBRARY: Any = SimpleNamespace(**vars(websockets.exceptions), RequestError=websockets.exceptions.WebSocketException)
"""What stands for the HTTP library."""


def failure_of(error: BaseException | None, connection: Any = None) -> Failure:
    """Return what a recording holds of an exception.

    Args:
        error: as `websockets` raised it, or would have.
        connection: the one that broke, which knows what its socket raised.
    """
    made = failures.failure_of(error or EOFError(), LIBRARY)
    below = getattr(connection, "recv_exc", None)
    if below is not None and not made.causes:
        told = failures.failure_of(below, LIBRARY)
        made.causes = [Cause(told.type, told.message), *told.causes]
    return made


def answer_of(error: InvalidStatus, seconds: float) -> Response:
    """Make the answer of a recording from a server's refusal to open a connection."""
    refusal = error.response
    kept = Response(refusal.status_code, kept_headers(dict(refusal.headers.raw_items())), elapsed=seconds)
    if refusal.reason_phrase != _phrase(kept.status):
        kept.reason = refusal.reason_phrase
    fill(kept, bytes(refusal.body or b""))
    return kept


def error_of(response: Response) -> Exception:
    """Make the exception that `websockets` raises for a recorded refusal."""
    if response.failure is not None:
        return failure_error(response.failure)
    headers = Headers(response.headers)
    reason = _phrase(response.status) if response.reason is None else response.reason
    return InvalidStatus(HandshakeResponse(response.status, reason, headers, plain_content(response)))


def failure_error(failure: Failure) -> Exception:
    """Make the exception of a failure, with those that led to it."""
    error = _make(failure.type, failure.message) or websockets.exceptions.WebSocketException(failure.message)
    for outer, inner in itertools.pairwise([error, *causes(failure)]):
        outer.__cause__ = inner
    return error


def causes(failure: Failure) -> list[Exception]:
    """Make the exceptions that led to a failure, as far as their classes are known."""
    made = []
    for cause in failure.causes:
        error = _make(cause.type, cause.message)
        if error is None:
            break
        made.append(error)
    return made


def _make(name: str, message: str) -> Exception | None:
    cls = failures.error_class(Failure(name), LIBRARY)
    return None if cls is None else failures.make(cls, message)


def _phrase(status: int) -> str:
    try:
        return http.HTTPStatus(status).phrase
    except ValueError:
        return ""
