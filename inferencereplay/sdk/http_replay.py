"""The wire road: from a recording and an HTTP request to the HTTP response that the SDK reads.

Nothing here needs a client.
"""

from __future__ import annotations

import codecs
import datetime
import email.message
import functools
import re
import weakref
from typing import TYPE_CHECKING, Any

import msgspec

from inferencereplay.errors import IncompleteRecording
from inferencereplay.pacing.event_loop import give_turn
from inferencereplay.recording.format import corrupt

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from inferencereplay.pacing.pacer import Pacer
    from inferencereplay.recording.format import Failure, Response

HEADERS = frozenset(
    (
        "content-type",
        "x-request-id",
        "openai-processing-ms",
        "openai-version",
        "openai-poll-after-ms",
        "retry-after",
        "retry-after-ms",
    )
)
HEADER_PREFIX = "x-ratelimit-"
MOST_LAID_OUT = 64
"""How many times as large as its JSON an answer may get by white space; deep nesting would make it thousands."""
_STRUCTURE = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"|[\[{\]},]')


def build_response(response: Response, library: Any, request: Any, pacer: Pacer | None, name: str) -> Any:
    """Build the HTTP response that `response` was made of.

    A stream, and a plain answer alike, is unread; it takes its time while it is read.

    Args:
        response: what was recorded.
        library: `httpx2` or `httpx`.
        request: the library's request that it answers.
        pacer: what it waits by, if at all.
        name: the file, for messages.

    Raises:
        RecordingCorrupt: if the answer's JSON would be many times as large as it is laid out, or its charset is one for
            the names of hosts.
    """
    if spaces := excessive_spaces(response):
        raise corrupt(name, "$.response.indent", f"laid out with it, the answer would have {spaces} spaces")
    if response.text is not None and is_for_hosts(used := charset(response)):
        raise corrupt(name, '$.response.headers["content-type"]', f"no text is written in {used}")
    pieces = stream_pieces(response) if response.is_stream else iter((plain_content(response),))
    played = byte_stream(_Replayed, library)(response, pieces, pacer, library, name)
    headers = [(name.encode(), value.encode()) for name, value in kept_headers(response.headers).items()]
    built = library.Response(response.status, headers=headers, stream=played, request=request)
    played.attach(built)
    return built


def excessive_spaces(response: Response) -> int:
    """Count the white space of an edited file's answer before memory is taken for it; 0 if there is not too much."""
    if response.indent <= 0:
        return 0
    body = bytes(response.body)
    if body.count(b"[") + body.count(b"{") < MOST_LAID_OUT:
        return 0
    size = depth = 0
    for mark in _STRUCTURE.findall(body):
        depth += (mark in b"[{") - (mark in b"]}")
        size += depth * response.indent
    return size if size > MOST_LAID_OUT * len(body) else 0


def kept_headers(headers: Any) -> dict[str, str]:
    """Return the headers on the allow-list, with names in lower case."""
    pairs = ((name.lower(), value) for name, value in headers.items())
    return {name: value for name, value in pairs if name in HEADERS or name.startswith(HEADER_PREFIX)}


def plain_content(response: Response) -> bytes:
    """Return the bytes of a plain answer, laid out as they were sent."""
    body = bytes(response.body)
    if not body:
        return _encode(response.text or "", charset(response))
    return msgspec.json.format(body, indent=response.indent)


def charset(response: Response) -> str:
    """Return the charset in which a text is sent, as the HTTP libraries see it."""
    return _charset(response.headers.get("content-type", ""))


@functools.lru_cache(maxsize=64)
def _charset(content_type: str) -> str:
    message = email.message.Message()
    message["content-type"] = content_type
    named = message.get_content_charset("utf-8")
    try:
        codecs.lookup(named)
    except (LookupError, ValueError):
        return "utf-8"
    return named


def is_for_hosts(known: str) -> bool:
    """Whether a charset is one for the names of hosts, which takes time by the square of a text's length."""
    return codecs.lookup(known).name in ("punycode", "idna")


def _encode(text: str, known: str) -> bytes:
    """Encode a text as it was sent."""
    try:
        return text.encode(known)
    except (LookupError, ValueError):
        return text.encode()


def stream_pieces(response: Response) -> Iterator[bytes]:
    """Yield the bytes of each event of a stream."""
    verbatim = set(response.verbatim)
    for index, chunk in enumerate(response.chunks):
        data = msgspec.json.decode(chunk, type=str).encode() if index in verbatim else bytes(chunk)
        name = response.events[index] if response.events else None
        head = b"event: %b\n" % name.encode() if name is not None else b""
        yield head + b"data: " + data.replace(b"\n", b"\ndata: ") + b"\n\n"


def failure_error(failure: Failure, library: Any, request: Any) -> Exception:
    """Make the HTTP library's exception that broke a connection, one of its own whatever the name says."""
    cls = error_class(failure, library) or library.ReadError
    error: Exception = cls(failure.message, request=request)
    return error


def error_class(failure: Failure, library: Any) -> Any:
    """Look a failure's class up among the HTTP library's own errors; `None` if it is none of them."""
    cls = getattr(library, failure.type, None)
    return cls if isinstance(cls, type) and issubclass(cls, library.RequestError) else None


@functools.cache
def byte_stream(kind: type, library: Any) -> Any:
    """Make a class of byte streams, sync and async, that one HTTP library takes for its own."""
    return type(kind.__name__, (kind, library.SyncByteStream, library.AsyncByteStream), {})


class _Replayed:
    """The bytes of a replayed response, each when it is due."""

    def __init__(
        self, response: Response, pieces: Iterator[bytes], pacer: Pacer | None, library: Any, name: str
    ) -> None:
        self._recorded = response
        self._pieces = pieces
        self._pacer = pacer
        self._library = library
        self._name = name
        self._is_closed = False

    def attach(self, response: Any) -> None:
        self._response = weakref.ref(response)

    def __iter__(self) -> Iterator[bytes]:
        for index, piece in enumerate(self._pieces):
            if self._pacer:
                self._pacer.wait(index)
            self._check()
            yield piece
        yield from self._end()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for index, piece in enumerate(self._pieces):
            await (self._pacer.wait_async(index) if self._pacer else give_turn())
            self._check()
            yield piece
        for piece in self._end():
            yield piece

    def _check(self) -> None:
        if self._is_closed:
            response = self._response()
            raise self._library.ReadError("the stream was closed", request=response and response.request)

    def _end(self) -> Iterator[bytes]:
        recorded = self._recorded
        if recorded.rest:
            yield recorded.rest
        if recorded.end == "closed":
            raise incomplete(recorded, self._name)
        if recorded.failure:
            response = self._response()
            raise failure_error(recorded.failure, self._library, response and response.request)
        if recorded.is_stream and recorded.sentinel:
            yield b"data: [DONE]\n\n"

    def close(self) -> None:
        self._is_closed = True
        response = self._response()
        if response is not None:
            response.elapsed = datetime.timedelta(seconds=elapsed(self._recorded))

    async def aclose(self) -> None:
        self.close()


def elapsed(response: Response) -> float:
    """Return the recorded seconds from the start of the call to its last byte, as far as they are known."""
    return response.elapsed or (response.offsets[-1] if response.offsets else 0.0)


def incomplete(response: Response, name: str) -> IncompleteRecording:
    """Make the error for a replay that wants more than was recorded."""
    count = len(response.chunks)
    kept = f"{count} chunks" if count else f"{len(response.rest)} bytes"
    message = (
        f"{name} ends after {kept}: whoever read the answer while it was recorded left it there. "
        'Record it again (mode="record-if-missing" does), reading to the end.'
    )
    return IncompleteRecording(message, path=name, chunks=count)
