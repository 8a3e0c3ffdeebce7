"""One recorded HTTP exchange, and its conversion to a request and an answer of ours."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

from inferencereplay.recording.request import NotSerializable, Request, canonical_json, parse_json, parse_query
from inferencereplay.sdk.capture import ResponseCapture

if TYPE_CHECKING:
    from inferencereplay.recording.format import Response

LARGEST = 256_000_000
"""Bytes of a cassette, and of an answer in it, when they are unpacked."""
_ENDPOINTS = re.compile(
    r"POST /(?:completions|embeddings|moderations|images/(?:generations|edits|variations))"
    r"|POST /audio/(?:speech|transcriptions|translations)"
    r"|(?:GET|DELETE) /models(?:/[^/]+){0,2}"  # other servers' names have a slash
    r"|[A-Z]+ /(?:chat/completions|assistants|batches|containers|conversations|evals|files|fine_tuning|responses"
    r"|skills|threads|uploads|vector_stores|videos)(?:/.*)?"
)
"""The method and the path of the OpenAI API's calls. Other services have `/chat` and `/models/…:generateContent`."""
_ITS_OWN = re.compile(r"POST /(?:chat/completions|completions|embeddings|responses)")
"""Calls that a server has only if it follows OpenAI's API."""
_SHARED = re.compile(r".*/v[0-9]+(?:alpha|beta)[0-9]*|https?://api\.(?:anthropic|cohere)\.(?:com|ai)/v[0-9]+")
"""Bases under which models, files and batches are another API's: Google's is the one with betas."""
_OBJECTS = {
    b"chat.completion": "/chat/completions",
    b"chat.completion.chunk": "/chat/completions",
    b"text_completion": "/completions",
    b"response": "/responses",
    b"embedding": "/embeddings",
}
"""The path of a call by the object that it answers with."""
_OBJECT = re.compile(rb'"object"\s*:\s*"(' + b"|".join(map(re.escape, _OBJECTS)) + rb')"')
_BASES = (
    re.compile(r"(?P<base>.*?/deployments/[^/]+)(?P<path>/.+)"),  # Azure; its SDK adds the deployment by itself
    re.compile(r"(?P<base>.*?/v[0-9]+(?:alpha|beta)?[0-9]*(?:/openai)?)(?P<path>/.+)"),
    re.compile(r"(?P<base>.*?)(?P<path>/(?:chat/completions|completions|embeddings|models|responses))"),
)
_STATUSES = range(100, 1_000)
_RETRIED = (408, 409, 429)
"""Statuses after which the SDK tries again, as it does after every error of a server."""
_FIRST_SERVER_ERROR = 500
_PIECE = 64
"""Bytes that are unpacked at once; Brotli, which compresses most, makes at most 128 MB of them."""
_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1f\x7f]")


class Exchange(NamedTuple):
    """One call in a cassette.

    Attributes:
        method: upper case.
        uri: with the query.
        sent: the request's body.
        retry: the number of the SDK's attempt at the call, counted from 0; `None` if unknown.
        status: the HTTP status.
        headers: of the answer, names in lower case.
        content: the answer's body, possibly still compressed.
        at: when it was recorded, ISO 8601; may be empty.
    """

    method: str
    uri: str
    sent: bytes
    retry: int | None
    status: int
    headers: dict[str, str]
    content: bytes
    at: str

    def __str__(self) -> str:
        return f"{self.method} {self.uri.partition('#')[0].partition('?')[0]}"

    def is_retried_by(self, later: Exchange | Unconvertible | None) -> bool:
        """Whether the next exchange is the SDK's next attempt at the same call: then this answer reached nobody."""
        return (
            isinstance(later, Exchange)
            and self[:3] == later[:3]
            and (self.status in _RETRIED or self.status >= _FIRST_SERVER_ERROR)
            and later.retry != 0
        )


class Unconvertible(Exception):  # noqa: N818 - a signal between modules: its text says why
    """A cassette, or one exchange of it, that cannot become a recording."""


class _Head:
    """The members of an HTTP response that `ResponseCapture` reads."""

    def __init__(self, exchange: Exchange) -> None:
        self.status_code = exchange.status
        self.headers = exchange.headers
        self.extensions: dict[str, Any] = {}
        self.history = ()
        self.num_bytes_downloaded = 0


class Target(NamedTuple):
    """The target of a call: the base URL, the path relative to it, the query."""

    base_url: str
    path: str
    query: str


def read_request(exchange: Exchange, base_url: str) -> tuple[Request, str]:
    """Return the request, as the SDK would have made it, and its base URL.

    Args:
        exchange: the recorded one.
        base_url: the beginning of the URLs of the wanted calls; empty to recognize them by their form.

    Raises:
        Unconvertible: if it is no call of the OpenAI API, or its body is no JSON.
    """
    method = exchange.method.upper()
    target = _split(method, exchange.uri, base_url) if "/" in exchange.uri else _target_by_answer(method, exchange)
    try:
        body = canonical_json(parse_json(exchange.sent) if exchange.sent else None)
    except (ValueError, NotSerializable) as error:
        reason = f"its request is no JSON: {error}"
        raise Unconvertible(reason) from error
    return Request(method, target.path, body, parse_query(target.query)), target.base_url


def read_response(exchange: Exchange) -> Response:
    """Return the answer; it has no timing.

    Raises:
        Unconvertible: if it cannot be stored, if no installed package can unpack it, or if its status is invalid.
    """
    if exchange.status not in _STATUSES:
        reason = f"{exchange.status} is no HTTP status"
        raise Unconvertible(reason)
    kept: list[Response] = []
    head = _Head(exchange)
    capture = ResponseCapture(head, 0.0, None, kept.append, lambda: None)
    capture.add_all(_unpacked(exchange))
    capture.finish()
    if not kept:
        reason = "its answer cannot be stored"
        raise Unconvertible(reason)
    made = kept[0]
    made.offsets, made.elapsed = [], None
    if "/" not in made.headers.get("content-type", "/"):  # a redacted one: the SDK makes no object then
        made.headers["content-type"] = "text/event-stream" if made.is_stream else "application/json"
    return made


def _split(method: str, uri: str, base_url: str) -> Target:
    address, _, query = uri.partition("?")
    if base_url:
        base = base_url.rstrip("/")
        if not address.startswith(base + "/"):
            reason = f"it does not begin with {base}"
            raise Unconvertible(reason)
        return Target(base, address[len(base) :], query)
    try:
        parts = urlsplit(address)
    except ValueError as error:
        reason = f"its URL is invalid: {error}"
        raise Unconvertible(reason) from error
    for pattern in _BASES:
        found = pattern.fullmatch(parts.path)
        if not found:
            continue
        base = f"{parts.scheme}://{parts.netloc}{found['base']}"
        if (_ITS_OWN if _SHARED.fullmatch(base) else _ENDPOINTS).fullmatch(f"{method} {found['path']}"):
            return Target(base, found["path"], query)
    reason = "it is no call of the OpenAI API, judging by its URL (if it is one, give --base-url)"
    raise Unconvertible(reason)


def _target_by_answer(method: str, exchange: Exchange) -> Target:
    """Return the target of a call without its URL, which LangChain's cassettes leave out."""
    found = _OBJECT.search(exchange.content) if method == "POST" else None
    if not found:
        reason = "its URL was left out, and its answer is no object of the OpenAI API"
        raise Unconvertible(reason)
    return Target("", _OBJECTS[found[1]], "")


def _unpacked(exchange: Exchange) -> bytes:
    """Undo the content's encodings, unless the recorder has undone them and left the header."""
    encodings = exchange.headers.get("content-encoding", "")
    if encodings in ("", "identity") or _is_text(exchange.content):
        return exchange.content
    content = exchange.content
    for encoding in reversed(encodings.split(",")):  # one after the other, so that the limit holds for each
        content = _decoded(content, encoding.strip())
    return content


def _decoded(data: bytes, encoding: str) -> bytes:
    from inferencereplay.sdk.private import default_http_library  # noqa: PLC0415 - it imports openai, which takes a second

    library = default_http_library()
    pieces = (data[start : start + _PIECE] for start in range(0, len(data), _PIECE))
    packed = library.Response(200, headers={"content-encoding": encoding}, content=pieces)
    content = bytearray()
    try:
        for piece in packed.iter_bytes():
            content += piece
            if len(content) > LARGEST:
                reason = f"its answer has more than {LARGEST:,} bytes when it is unpacked ({encoding})"
                raise Unconvertible(reason)
    except library.DecodingError as error:
        reason = f"its answer is said to be compressed ({encoding}), and is not"
        raise Unconvertible(reason) from error
    if content == data:  # the library leaves an unknown encoding
        way_out = f"pip install '{library.__name__}[brotli,zstd]'"
        reason = f"its answer is compressed ({encoding}), and nothing here undoes that: {way_out}"
        raise Unconvertible(reason)
    return bytes(content)


def _is_text(content: bytes) -> bool:
    """Whether it is text and so not compressed: JSON and events have no control characters."""
    try:
        return not _CONTROL.search(content.decode())
    except UnicodeDecodeError:
        return False
