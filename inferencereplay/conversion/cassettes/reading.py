"""The exchanges of a cassette, VCR.py's or cassetter's.

Both keep a list of `interactions`. VCR.py (https://github.com/kevin1024/vcrpy, version 1 of its format) has bodies as
texts or bytes, the answer's under `body.string`, its status under `status.code`. Cassetter
(https://github.com/Kludex/cassetter, version 1) says what a body is: `type` and `content` in YAML, `body_type` and
`body_content` in TOML; JSON is kept as such, bytes as hexadecimal digits.
"""

from __future__ import annotations

import datetime
import email.utils
from typing import TYPE_CHECKING, Any

import msgspec

from inferencereplay.conversion.cassettes.documents import load
from inferencereplay.conversion.cassettes.exchange import Exchange, Unconvertible

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

_OTHERS = {"grpc_interactions": "gRPC", "ws_interactions": "a WebSocket", "websocket_interactions": "a WebSocket"}


def read_cassette(file: Path, maker: str) -> Iterator[Exchange | Unconvertible]:
    """Yield the exchanges in the order in which they were recorded; what cannot be read comes as the reason.

    Args:
        file: the cassette.
        maker: `vcr` or `cassetter`.

    Raises:
        Unconvertible: if the file as a whole cannot be read.
    """
    document = load(file)
    interactions = document["interactions"]
    if maker == "cassetter":  # which sorts them otherwise
        interactions = sorted(interactions, key=_age)
    found = [_understood(maker, item) for item in interactions]
    for other in _READERS:
        if not any(found) and any(_understood(other, item) for item in interactions):
            reason = f"it is a cassette of another maker: inferencereplay import {other}"
            raise Unconvertible(reason)
    for number, exchange in enumerate(found, 1):
        yield exchange or Unconvertible(f"interaction {number} is not as {maker} writes them")
    for name, kind in _OTHERS.items():
        if document.get(name):
            yield Unconvertible(f"{len(document[name])} calls over {kind}")


def _understood(maker: str, item: Any) -> Exchange | None:
    try:
        return _READERS[maker](item)
    except (KeyError, TypeError, ValueError, AttributeError):
        return None


def _vcr(item: dict[str, Any]) -> Exchange:
    request, response = item["request"], item["response"]
    headers = _headers(response["headers"])
    return Exchange(
        method=_text(request["method"]),
        uri=_text(request["uri"]),
        sent=_bytes(request["body"]),
        status=int(response["status"]["code"]),
        headers=headers,
        content=_bytes(response["body"].get("string")),
        at=_time(headers.get("date", "")),
    )


def _cassetter(item: dict[str, Any]) -> Exchange:
    request, response = item["request"], item["response"]
    return Exchange(
        method=_text(request["method"]),
        uri=_text(request["uri"]),
        sent=_body(request),
        status=int(response["status"]),
        headers=_headers(response["headers"]),
        content=_body(response),
        at=_time(_age(item)),
    )


_READERS: dict[str, Callable[[Any], Exchange]] = {"vcr": _vcr, "cassetter": _cassetter}


def _age(item: Any) -> str:
    return str(item.get("recorded_at", "")) if isinstance(item, dict) else ""


def _time(text: str) -> str:
    """Return a moment, as HTTP or ISO 8601 write it, as our files have it; nothing for what is none."""
    try:
        at = email.utils.parsedate_to_datetime(text) if "," in text else datetime.datetime.fromisoformat(text)
    except ValueError:
        return ""
    return at.astimezone(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def _body(message: dict[str, Any]) -> bytes:
    if "body_type" in message:
        return _content(message["body_type"], message.get("body_content", ""), is_text=True)
    body = message.get("body") or {"type": "none"}
    return _content(body["type"], body.get("content"), is_text=False)


def _content(kind: str, content: Any, *, is_text: bool) -> bytes:
    if kind == "none":
        return b""
    if kind == "json":
        return str(content).encode() if is_text else msgspec.json.encode(content)
    return bytes.fromhex(content) if kind == "binary" else str(content).encode()


def _text(value: Any) -> str:
    """Return what can be written: JSON may hold half a surrogate pair."""
    text = str(value)
    text.encode()
    return text


def _bytes(content: Any) -> bytes:
    return content if isinstance(content, bytes) else (content or "").encode()


def _headers(headers: dict[str, Any]) -> dict[str, str]:
    """Return headers with names in lower case; of repeated ones the first."""
    return {
        _text(name).lower(): _text(value[0] if isinstance(value, list) else value)
        for name, value in headers.items()
        if value
    }
