"""One recorded HTTP exchange, and what it is in our words."""

from __future__ import annotations

import re
from types import SimpleNamespace
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

from inferencereplay.recording.request import NotSerializable, Request, canonical_json, parse_json, parse_query
from inferencereplay.sdk.capture import ResponseCapture

if TYPE_CHECKING:
    from inferencereplay.recording.format import Response

_ENDPOINTS = frozenset(
    (
        *(
            "assistants",
            "audio",
            "batches",
            "chat",
            "completions",
            "containers",
            "conversations",
            "embeddings",
            "evals",
        ),
        *("files", "fine_tuning", "images", "models", "moderations", "responses", "threads", "uploads"),
        *("vector_stores", "videos"),
    )
)
"""The first parts of the paths of the OpenAI API."""
_BASES = (
    re.compile(r"(?P<base>.*?/deployments/[^/]+)(?P<path>/.+)"),  # Azure; its SDK adds the deployment by itself
    re.compile(r"(?P<base>.*?/v[0-9]+(?:alpha|beta)?[0-9]*(?:/openai)?)(?P<path>/.+)"),
    re.compile(r"(?P<base>.*?)(?P<path>/(?:chat/completions|completions|embeddings|models|responses))"),
)
_STATUSES = range(100, 1_000)
_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1f\x7f]")


class Exchange(NamedTuple):
    """What a cassette holds of one call.

    Attributes:
        method: upper case.
        uri: whole, with the query.
        sent: the request's body.
        status: the HTTP status.
        headers: of the answer, names in lower case.
        content: the answer's body, possibly still compressed.
        at: when it was recorded, ISO 8601; may be empty.
    """

    method: str
    uri: str
    sent: bytes
    status: int
    headers: dict[str, str]
    content: bytes
    at: str

    def __str__(self) -> str:
        return f"{self.method} {self.uri.partition('#')[0].partition('?')[0]}"


class Unconvertible(Exception):  # noqa: N818 - a signal between modules: its text says why
    """What a cassette holds is none of our business, or cannot be told in our words."""


class Target(NamedTuple):
    """Where a call went: the base URL, the path relative to it, the query."""

    base_url: str
    path: str
    query: str


def read_request(exchange: Exchange, base_url: str) -> tuple[Request, str]:
    """Return the request, as the SDK would have made it, and its base URL.

    Args:
        exchange: what was recorded.
        base_url: of the calls that count; empty to tell it by the form of the URL.

    Raises:
        Unconvertible: if it is no call of the OpenAI API, or its body is no JSON.
    """
    target = _split(exchange.uri, base_url)
    try:
        body = canonical_json(parse_json(exchange.sent) if exchange.sent else None)
    except (ValueError, NotSerializable) as error:
        reason = f"its request is no JSON: {error}"
        raise Unconvertible(reason) from error
    return Request(exchange.method.upper(), target.path, body, parse_query(target.query)), target.base_url


def read_response(exchange: Exchange) -> Response:
    """Return the answer; it has no timing.

    Raises:
        Unconvertible: if it is neither JSON nor text, or compressed in a way that nothing installed undoes, or if its
            status is none.
    """
    if exchange.status not in _STATUSES:
        reason = f"{exchange.status} is no HTTP status"
        raise Unconvertible(reason)
    kept: list[Response] = []
    told = {"extensions": {}, "history": (), "num_bytes_downloaded": 0}
    head = SimpleNamespace(status_code=exchange.status, headers=exchange.headers, **told)
    tape = ResponseCapture(head, 0.0, None, kept.append, lambda: None)
    tape.add_all(_unpacked(exchange))
    tape.finish()
    if not kept:
        reason = "its answer is neither JSON nor text"
        raise Unconvertible(reason)
    kept[0].offsets, kept[0].elapsed = [], None
    return kept[0]


def _split(uri: str, base_url: str) -> Target:
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
        reason = f"its URL is none: {error}"
        raise Unconvertible(reason) from error
    for pattern in _BASES:
        found = pattern.fullmatch(parts.path)
        if found and found["path"].split("/")[1] in _ENDPOINTS:
            return Target(f"{parts.scheme}://{parts.netloc}{found['base']}", found["path"], query)
    reason = "its URL is none of the OpenAI API's (if it is, give --base-url)"
    raise Unconvertible(reason)


def _unpacked(exchange: Exchange) -> bytes:
    """Undo the content's encoding as the SDK's HTTP library does, unless the recorder has, and left the header."""
    encoding = exchange.headers.get("content-encoding", "")
    if encoding in ("", "identity") or _is_text(exchange.content):
        return exchange.content
    from inferencereplay.sdk.private import default_http_library  # noqa: PLC0415 - it imports openai, which takes a second

    library = default_http_library()
    packed = library.Response(200, headers={"content-encoding": encoding}, content=iter([exchange.content]))
    try:
        content = b"".join(packed.iter_bytes())
    except library.DecodingError as error:
        reason = f"its answer is said to be compressed ({encoding}), and is not"
        raise Unconvertible(reason) from error
    if content == exchange.content:  # as the library leaves what it does not know
        way_out = f"pip install '{library.__name__}[brotli,zstd]'"
        reason = f"its answer is compressed ({encoding}), and nothing here undoes that: {way_out}"
        raise Unconvertible(reason)
    return content


def _is_text(content: bytes) -> bool:
    """Whether it is text, which no compressed data is: control characters are not to be found in JSON and events."""
    try:
        return not _CONTROL.search(content.decode())
    except UnicodeDecodeError:
        return False
