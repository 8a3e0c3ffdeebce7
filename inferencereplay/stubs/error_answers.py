"""Errors by hand: the answer of a server that refuses, or a connection that fails."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from inferencereplay.errors import InvalidSetting
from inferencereplay.recording.format import Failure, Response

if TYPE_CHECKING:
    from inferencereplay.stubs.said import Asking

_CONNECTIONS = {
    "APIConnectionError": Failure("ConnectError", "All connection attempts failed"),
    "APITimeoutError": Failure("ReadTimeout", "The read operation timed out"),
}
"""What leads to the SDK's errors that have no status."""
_SAID = {
    400: ("The request is invalid.", "invalid_request_error", None),
    401: ("Incorrect API key provided.", "invalid_request_error", "invalid_api_key"),
    403: ("You are not allowed to do that.", "invalid_request_error", None),
    404: ("The model does not exist or you do not have access to it.", "invalid_request_error", "model_not_found"),
    429: ("Rate limit reached. Please try again later.", "requests", "rate_limit_exceeded"),
}
"""The message, type and code of an error, by status."""
_SERVER = ("The server had an error while processing your request.", "server_error", None)
_FIRST, _FIRST_OF_SERVER, _LAST = 400, 500, 599


class HandmadeError(msgspec.Struct):
    """An error by hand.

    Attributes:
        status: the HTTP status; 0 for a connection that fails.
        failure: what broke it.
        message: of the error; `None` for the usual one.
        code: of the error, such as `"context_length_exceeded"`; `None` for the usual one.
    """

    status: int
    failure: Failure | None = None
    message: str | None = None
    code: str | None = None

    def answer(self, asked: Asking) -> Response:
        """Make the answer that a server would send."""
        if self.failure is not None:
            failure = msgspec.structs.replace(self.failure, message=self.message or self.failure.message)
            return Response(status=0, failure=failure)
        message, kind, code = _SAID.get(self.status, _SERVER if self.status >= _FIRST_OF_SERVER else _SAID[_FIRST])
        error = {"message": self.message or message, "type": kind, "param": None, "code": self.code or code}
        made = asked.plain({"error": error})
        made.status = self.status
        return made


def read_error(error: Any, message: str | None, code: str | None) -> HandmadeError:
    """Read `error`: a status from 400 to 599, or a class of the SDK's errors.

    Raises:
        InvalidSetting: for anything else.
    """
    if isinstance(error, type) and error.__name__ in _CONNECTIONS:
        if code is not None:
            text = f"code={code!r}: a connection that fails brings no code."
            raise InvalidSetting(text)
        return HandmadeError(0, _CONNECTIONS[error.__name__], message)
    status = 500 if getattr(error, "__name__", "") == "InternalServerError" else getattr(error, "status_code", error)
    if isinstance(status, int) and not isinstance(status, bool) and _FIRST <= status <= _LAST:
        return HandmadeError(status, None, message, code)
    text = (
        f"error={error!r} is no error. Give an HTTP status from {_FIRST} to {_LAST}, or a class of the SDK's errors, "
        "such as openai.RateLimitError, openai.APITimeoutError or openai.APIConnectionError."
    )
    raise InvalidSetting(text)
