"""Who may ask: an API key, and the web pages of other origins (https://fetch.spec.whatwg.org/#http-cors-protocol)."""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING

from inferencereplay.server.http_answers import Answer, error_answer

if TYPE_CHECKING:
    from collections.abc import Iterable

    from inferencereplay.server.http_answers import Headers

UNAUTHORIZED = 401
FORBIDDEN = 403
NOT_ALLOWED = 405
KEY_HEADER = b"x-inferencereplay-key"
"""The key's own header, for a server that passes on what `Authorization` holds."""
_KEY_HEADERS = frozenset((b"authorization", b"api-key", b"x-api-key", KEY_HEADER))


class Access:
    """The rules of one server.

    Args:
        api_key: what a request has to hold; `None` if anybody may ask.
        origins: of web pages that may ask, such as `http://localhost:5173`; `*` for all.
    """

    def __init__(self, api_key: str | None = None, origins: Iterable[str] = ()) -> None:
        self._key = api_key.encode() if api_key else None
        self._origins = frozenset(origin.rstrip("/").encode() for origin in origins)
        self.is_open = self._key is None and not self._origins

    def refusal(self, method: str, headers: Headers) -> Answer | None:
        """Return the answer to a request that is not allowed, or is a question about what is; `None` for any other."""
        if method == "OPTIONS":
            return self._preflight(headers)
        if self._key is None or any(self._is_key(name, value) for name, value in headers):
            return None
        message = "The API key is missing or wrong. Send it as Authorization: Bearer KEY."
        return error_answer(UNAUTHORIZED, message, "invalid_api_key")

    def refusal_of_connection(self, headers: Headers) -> Answer | None:
        """Return the answer to a WebSocket that is not allowed; a browser lets a page open it to any server."""
        if b"origin" in dict(headers) and not self.for_page(headers):
            message = "Web pages of other origins may not connect, unless --cors names the origin."
            return error_answer(FORBIDDEN, message, "invalid_request_error")
        return self.refusal("GET", headers)

    def without_key(self, headers: Headers) -> Headers:
        """Return headers without the one that holds the key."""
        return [header for header in headers if not self._is_key(*header)]

    def for_page(self, headers: Headers) -> Headers:
        """Return the headers that let the browser give an answer to the page that asked."""
        origin = dict(headers).get(b"origin")
        if origin is None or not (origin in self._origins or b"*" in self._origins):
            return []
        return [
            (b"access-control-allow-origin", origin),
            (b"access-control-expose-headers", b"*"),
            (b"vary", b"origin"),
        ]

    def _preflight(self, headers: Headers) -> Answer:
        given = dict(headers)
        if not self.for_page(headers):
            message = "OPTIONS is not answered: web pages of other origins may not ask, unless --cors names the origin."
            return error_answer(NOT_ALLOWED, message, "invalid_request_error")
        allowed = [
            (b"access-control-allow-methods", given.get(b"access-control-request-method", b"GET, POST, DELETE")),
            (b"access-control-allow-headers", given.get(b"access-control-request-headers", b"*")),
            (b"access-control-max-age", b"86400"),
        ]
        return Answer(204, allowed, [b""])

    def _is_key(self, name: bytes, value: bytes) -> bool:
        if self._key is None or name not in _KEY_HEADERS:
            return False
        scheme, _, rest = value.partition(b" ")
        return hmac.compare_digest(rest if scheme.lower() == b"bearer" else value, self._key)
