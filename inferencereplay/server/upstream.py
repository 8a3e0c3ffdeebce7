"""Requests that go on to the upstream server, and the recording of its answers.

What is stored, and how, is decided by the same code as for calls of the SDK.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from inferencereplay.errors import InvalidSetting
from inferencereplay.pacing.clocks import SYSTEM_CLOCK
from inferencereplay.recording.control_characters import visible
from inferencereplay.recording.format import Provenance, Response
from inferencereplay.recording.request import parse_json
from inferencereplay.sdk import private
from inferencereplay.sdk.calls import keep_plain
from inferencereplay.sdk.capture import ResponseCapture, record_stream, start_of
from inferencereplay.sdk.failures import failure_of
from inferencereplay.sdk.worker_thread import in_thread
from inferencereplay.server.asgi import send_answer, send_body, send_start
from inferencereplay.server.http_answers import error_answer
from inferencereplay.server.incoming import BAD_REQUEST, SESSION_HEADER, readings

if TYPE_CHECKING:
    from inferencereplay.server.asgi import Send
    from inferencereplay.server.incoming import Incoming
    from inferencereplay.server.metrics import Metrics
    from inferencereplay.session.recorder import PendingRecording

log = logging.getLogger("inferencereplay")

BAD_GATEWAY = 502
_FIRST_ERROR = 300
_OF_ONE_CONNECTION = frozenset(
    (
        b"connection",
        b"content-length",
        b"expect",
        b"host",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    )
)
"""Headers that are for one connection, not for the next one (RFC 9110, 7.6.1), or that the HTTP library sets."""
_SENTINEL = re.compile(rb"(?:^|[\r\n])data: ?\[DONE\]\s*$")
_ACCEPTS_BYTES = ("application/binary", "application/octet-stream", "application/sdp", "audio/", "image/", "video/")
_BYTES = (*_ACCEPTS_BYTES, "application/zip", "application/pdf", "application/gzip", "application/x-tar")
_OF_CONTENT = frozenset((b"content-encoding", b"content-length"))


class Upstream:
    """The server that requests are passed on to.

    Args:
        url: its base URL, such as `https://api.openai.com/v1`.
        metrics: counts what is stored.

    Raises:
        InvalidSetting: if it is no URL of HTTP.
    """

    def __init__(self, url: str, metrics: Metrics) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
            message = (
                f"upstream={url!r} is no base URL. Give one as a client has it, such as https://api.openai.com/v1."
            )
            raise InvalidSetting(message)
        self.url = url.rstrip("/")
        self._shown = private.without_credentials(self.url)
        self._metrics = metrics
        self._library = private.default_http_library()
        self._made: Any = None

    def origin(self, incoming: Incoming) -> Provenance:
        """Return where the recording of a request comes from; the version of the SDK is what its client tells."""
        language, version = incoming.text(b"x-stainless-lang"), incoming.text(b"x-stainless-package-version")
        told = version if language == "python" or not version else f"{language} {version}".strip()
        return Provenance("", told, self._shown)

    async def close(self) -> None:
        """Close all connections."""
        if self._made is not None:
            await self._made.aclose()
            self._made = None

    async def forward(self, incoming: Incoming, pending: PendingRecording | None, send: Send) -> None:
        """Pass a request on, and its answer back; store that on the way.

        Args:
            incoming: the request.
            pending: stores the answer; `None` if it is not to be stored.
            send: takes the answer.
        """
        start = SYSTEM_CLOCK.now()
        try:
            response = await self._client.send(self._request(incoming), stream=True)
            plain = None if pending is None or _is_captured(response, incoming, pending) else pending
            if plain:
                await response.aread()
        except self._library.RequestError as error:
            await in_thread(functools.partial(self._keep_failure, pending, error, incoming))
            message = f"{self._shown} cannot be reached: {type(error).__name__}: {error}"
            await send_answer(error_answer(BAD_GATEWAY, message, "upstream_unreachable", is_final=False), send)
            return
        except self._library.InvalidURL as error:
            if pending is not None:
                pending.drop()
            await send_answer(
                error_answer(BAD_REQUEST, f"The URL cannot be passed on: {error}.", "invalid_request_error"), send
            )
            return
        except asyncio.CancelledError:
            if pending is not None:
                left = SYSTEM_CLOCK.now() - start
                kept = Response(status=0, end="closed", sentinel=False, left=left)
                await in_thread(functools.partial(self._keep, pending, kept))
            raise
        if plain:
            await self._pass_plain(response, incoming, plain, send)
            return
        capture = None if pending is None else self._capture(response, incoming, pending, start)
        try:
            await _pass_through(response, capture, send)
        except self._library.RequestError:
            log.info("the connection to %s broke", self._shown)  # and so does the caller's, for its answer has no end
        finally:
            await response.aclose()

    @property
    def _client(self) -> Any:
        if self._made is None:
            timeout, limits = self._library.Timeout(600, connect=30), self._library.Limits(max_connections=None)
            self._made = self._library.AsyncClient(timeout=timeout, limits=limits, follow_redirects=True)
        return self._made

    def _request(self, incoming: Incoming) -> Any:
        """Make the request with the caller's own headers, and none of the HTTP library's."""
        known = [part.strip() for part in self._client.headers["accept-encoding"].split(",")]
        headers = []
        for name, value in incoming.headers:
            if name == b"accept-encoding":
                asked = [part.strip() for part in value.decode("latin-1").split(",")]
                accepted = [part for part in asked if part.partition(";")[0] in known]
                headers.append((name, ", ".join(accepted or ["identity"]).encode()))
            elif name not in _OF_ONE_CONNECTION and name != SESSION_HEADER:
                headers.append((name, value))
        query = f"?{incoming.query}" if incoming.query else ""
        url = f"{self.url}{readings(incoming.path)[0]}{query}"
        return self._library.Request(incoming.method, url, headers=headers, content=incoming.body or None)

    def _capture(self, response: Any, incoming: Incoming, pending: PendingRecording, start: float) -> ResponseCapture:
        """Store a stream while it passes through."""
        pending.learn(private.secrets_sent(response, pending.redactor))
        began, is_binary = start_of(response, start), _is_binary(response, incoming)
        is_stream, keep = not is_binary and _asks_for_stream(pending), functools.partial(self._keep, pending)
        capture = ResponseCapture(
            response, began, self._library, keep, pending.drop, is_stream=is_stream, is_binary=is_binary
        )
        capture.kept.retries = _retries(incoming)
        record_stream(response, capture, self._library, in_thread)
        return capture

    def _keep(self, pending: PendingRecording, answer: Response) -> None:
        pending.keep(answer)
        self._metrics.add("recorded", pending.is_stored)

    async def _pass_plain(self, response: Any, incoming: Incoming, pending: PendingRecording, send: Send) -> None:
        """Store an answer that was read, and pass it back."""
        await response.aclose()
        await in_thread(functools.partial(self._keep_plain, pending, response, incoming))
        headers = [header for header in _headers(response) if header[0] not in _OF_CONTENT]
        headers.append((b"content-length", b"%d" % len(response.content)))
        await send_start(response.status_code, headers, send)
        await send_body(response.content, send, more=False)

    def _keep_plain(self, pending: PendingRecording, response: Any, incoming: Incoming) -> None:
        status = response.status_code
        if pending.recorder.stores_status(status):
            keep_plain(pending, response, self._library, _retries(incoming))
            self._metrics.add("recorded", pending.is_stored)
        else:
            self._skip(pending, f"an answer {status}", f"status {status}")

    def _keep_failure(self, pending: PendingRecording | None, error: Exception, incoming: Incoming) -> None:
        if pending is None:
            return
        if pending.recorder.stores_status(0):
            failure = failure_of(error, self._library)
            self._keep(pending, Response(status=0, failure=failure, retries=_retries(incoming)))
        else:
            self._skip(pending, "a connection error", repr(error))

    def _skip(self, pending: PendingRecording, answer: str, shown: str) -> None:
        shown = visible(pending.redactor.text(shown))
        log.warning("%s was not recorded: it is transient (record_errors=True stores it): %s", pending.line, shown)
        pending.recorder.skip(pending, answer)


async def _pass_through(response: Any, capture: ResponseCapture | None, send: Send) -> None:
    """Pass each part of an answer back when it comes.

    What is recorded is stored before the caller sees the end: the last piece of a stated length, or `[DONE]`.
    """
    headers = [header for header in _headers(response) if capture is None or header[0] != b"content-length"]
    await send_start(response.status_code, headers, send)
    line_start = True
    async for piece in response.aiter_raw():
        if (
            capture is not None
            and not capture.is_binary
            and _SENTINEL.search(piece)
            and (line_start or b"\ndata" in piece)
        ):
            await in_thread(capture.finish)
        line_start = piece.endswith((b"\n", b"\r"))
        await send_body(piece, send, more=True)
    await response.aclose()
    await send_body(b"", send, more=False)


def _headers(response: Any) -> list[tuple[bytes, bytes]]:
    """Return the headers of an answer that are for the caller as well."""
    kept = [(name.lower(), value) for name, value in response.headers.raw]
    is_framed = b"transfer-encoding" in dict(kept)
    length = [header for header in kept if header[0] == b"content-length" and not is_framed]
    return [header for header in kept if header[0] not in _OF_ONE_CONNECTION] + length


def _is_captured(response: Any, incoming: Incoming, pending: PendingRecording) -> bool:
    """Whether an answer is stored while it passes through: a stream, or bytes; the SDK reads errors itself."""
    is_sent = "event-stream" in response.headers.get("content-type", "")
    is_streamed = is_sent or _asks_for_stream(pending) or _is_binary(response, incoming)
    return response.status_code < _FIRST_ERROR and is_streamed


def _asks_for_stream(pending: PendingRecording) -> bool:
    """Whether the SDK would return a stream; in a form, all values are texts."""
    body = parse_json(pending.call.request.body)
    return isinstance(body, dict) and body.get("stream") in (True, "true")


def _is_binary(response: Any, incoming: Incoming) -> bool:
    """Whether an answer is bytes to its client, as all SDKs tell by what they accept; or is by its type."""
    kind = response.headers.get("content-type", "")
    return incoming.text(b"accept").startswith(_ACCEPTS_BYTES) or kind.startswith(_BYTES)


def _retries(incoming: Incoming) -> int:
    """Return how often the SDK of the caller has tried before."""
    told = incoming.text(b"x-stainless-retry-count")
    return int(told) if told.isascii() and told.isdigit() else 0
