"""The exchanges of a cassette, VCR.py's or cassetter's.

VCR.py (https://github.com/kevin1024/vcrpy, version 1 of its format) keeps a list of `interactions`. Bodies are texts or
bytes, the answer's under `body.string`, its status under `status.code`. Two serializers of other projects are known as
well: pydantic-ai's keeps a JSON body as `parsed_body`, and LangChain's keeps a list of `requests` and one of
`responses`.

Cassetter (https://github.com/Kludex/cassetter, version 1) keeps `interactions` too, and the type of each body: `type`
and `content` in YAML, `body_type` and `body_content` in TOML. JSON is kept as such, bytes as hexadecimal digits.
"""

from __future__ import annotations

import datetime
import email.utils
import itertools
import json
from typing import TYPE_CHECKING, Any, cast

from inferencereplay.conversion.cassettes.documents import load
from inferencereplay.conversion.cassettes.exchange import Exchange, Unconvertible

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

_OTHERS = {"grpc_interactions": "gRPC", "ws_interactions": "a WebSocket", "websocket_interactions": "a WebSocket"}
_WAY_OUT = {
    "vcr": "A serializer of its own may have written the file: load it with that, and save it with VCR.py's own",
    "cassetter": "Record it again with cassetter",
}
_RETRY = "x-stainless-retry-count"
_LONGEST = 60
"""Characters of a value that a message shows."""


def read_cassette(file: Path, maker: str) -> Iterator[Exchange | Unconvertible]:
    """Yield the exchanges in the order in which they were recorded, and a reason for each that cannot be read.

    Args:
        file: the cassette.
        maker: `vcr` or `cassetter`.

    Raises:
        Unconvertible: if the file as a whole cannot be read.
    """
    document = load(file)
    interactions = _interactions(document)
    if maker == "cassetter":  # its files are not in the order of time
        interactions = sorted(interactions, key=_age)
    found = [_read(maker, item) for item in interactions]
    for other in _READERS:
        if not any(map(_is_read, found)) and any(_is_read(_read(other, item)) for item in interactions):
            reason = f"it is a cassette of another maker: inferencereplay import {other}"
            raise Unconvertible(reason)
    for reason, group in itertools.groupby(enumerate(found, 1), lambda item: _reason(item[1])):
        numbered = list(group)
        if reason:
            yield Unconvertible(f"{_numbers(numbered)} not as {maker} writes them: {reason}. {_WAY_OUT[maker]}")
        else:
            yield from (item for _, item in numbered)
    for name, kind in _OTHERS.items():
        if document.get(name):
            yield Unconvertible(f"{len(document[name])} calls over {kind}")


def _interactions(document: dict[str, Any]) -> list[Any]:
    interactions, requests, responses = (document.get(name) for name in ("interactions", "requests", "responses"))
    if isinstance(interactions, list):
        return interactions
    if not isinstance(requests, list) or not isinstance(responses, list):
        reason = "it is no cassette: it has no list of interactions"
        raise Unconvertible(reason)
    if len(requests) != len(responses):
        reason = f"it has {len(requests)} requests and {len(responses)} responses"
        raise Unconvertible(reason)
    return [{"request": sent, "response": answer} for sent, answer in zip(requests, responses, strict=True)]


def _read(maker: str, item: Any) -> Exchange | Unconvertible:
    try:
        return _READERS[maker](item)
    except Unconvertible as error:
        return error


def _is_read(item: Exchange | Unconvertible) -> bool:
    return isinstance(item, Exchange)


def _reason(item: Exchange | Unconvertible) -> str:
    return str(item) if isinstance(item, Unconvertible) else ""


def _numbers(items: list[tuple[int, Any]]) -> str:
    first, last = items[0][0], items[-1][0]
    return f"interaction {first} is" if first == last else f"interactions {first} to {last} are"


def _vcr(item: Any) -> Exchange:
    sent = _vcr_body(item, "request", "body")
    headers = _headers(_member(item, "response.headers"))
    return Exchange(
        method=_text(item, "request.method"),
        uri=_text(item, "request.uri"),
        sent=sent,
        retry=_retry(item),
        status=_status(item, "response.status.code"),
        headers=headers,
        content=_vcr_body(item, "response", "body.string"),
        at=_time(headers.get("date", "")),
    )


def _vcr_body(item: Any, side: str, place: str) -> bytes:
    """Return a body; `parsed_body` precedes the others unless it is null, as in pydantic-ai."""
    parsed = _member(item, side).get("parsed_body")
    if parsed is not None:
        return _dumped(f"{side}.parsed_body", parsed)
    name = f"{side}.{place}"
    content = _member(item, name, is_needed=place == "body")
    if isinstance(content, (dict, list)):  # VCR.py keeps what aiohttp is given as `json=`
        return _dumped(name, content)
    if isinstance(content, bytes):
        return content
    if not isinstance(content, (str, type(None))):
        raise _unusable(name, content)
    return _encoded(name, content or "")


def _cassetter(item: Any) -> Exchange:
    return Exchange(
        method=_text(item, "request.method"),
        uri=_text(item, "request.uri"),
        sent=_cassetter_body(item, "request"),
        retry=_retry(item),
        status=_status(item, "response.status"),
        headers=_headers(_member(item, "response.headers")),
        content=_cassetter_body(item, "response"),
        at=_time(_age(item)),
    )


def _cassetter_body(item: Any, side: str) -> bytes:
    message = _member(item, side)
    if "body_type" in message:
        kind, name, content = message["body_type"], f"{side}.body_content", message.get("body_content", "")
        if kind == "json":
            kind = "text"
    else:
        body = message.get("body") or {"type": "none"}
        kind, name = _member({side: {"body": body}}, f"{side}.body.type"), f"{side}.body.content"
        content = body.get("content")
    if kind == "none":
        return b""
    if kind == "json":
        return _dumped(name, content)
    try:
        return bytes.fromhex(cast("str", content)) if kind == "binary" else _encoded(name, str(content))
    except (TypeError, ValueError) as error:
        raise _unusable(name, content) from error


_READERS: dict[str, Callable[[Any], Exchange]] = {"vcr": _vcr, "cassetter": _cassetter}


# Members of a document that anybody may have written.


def _member(item: Any, path: str, *, is_needed: bool = True) -> Any:
    """Return the member at a path of names with dots; the last one may be missing unless it is needed."""
    value, names = item, path.split(".")
    for index, name in enumerate(names):
        if not isinstance(value, dict) or (name not in value and (is_needed or index < len(names) - 1)):
            reason = f"it has no member {'.'.join(names[: index + 1])}"
            raise Unconvertible(reason)
        value = value.get(name)
    if not isinstance(value, dict) and path in ("request", "response", "response.headers"):
        raise _unusable(path, value)
    return value


def _unusable(path: str, value: Any) -> Unconvertible:
    shown = repr(value)
    shown = shown if len(shown) <= _LONGEST else f"{shown[:_LONGEST]}…"
    return Unconvertible(f"its member {path} cannot be {shown}")


def _text(item: Any, path: str) -> str:
    value = str(_member(item, path))
    _encoded(path, value)
    return value


def _encoded(path: str, text: str) -> bytes:
    """Return a text as UTF-8; JSON may hold half a surrogate pair, which cannot be sent."""
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise _unusable(path, text) from error


def _dumped(path: str, value: Any) -> bytes:
    try:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
    except (TypeError, ValueError) as error:  # bytes and the like; half a surrogate pair
        raise _unusable(path, value) from error


def _status(item: Any, path: str) -> int:
    value = _member(item, path)
    try:
        return int(value)
    except (TypeError, ValueError, OverflowError) as error:  # the last for infinity
        raise _unusable(path, value) from error


def _headers(headers: dict[str, Any]) -> dict[str, str]:
    """Return headers with names in lower case; of repeated ones the first."""
    found = {}
    for name, value in headers.items():
        if value:
            key, text = str(name).lower(), str(value[0] if isinstance(value, list) else value)
            _encoded("headers", key + text)
            found[key] = text
    return found


def _retry(item: Any) -> int | None:
    """Return the number of the SDK's attempt, counted from 0, or `None` if the header was left out."""
    headers = _member(item, "request").get("headers")
    count = _headers(headers).get(_RETRY, "") if isinstance(headers, dict) else ""
    return int(count) if count.isdecimal() and len(count) < _LONGEST else None


def _age(item: Any) -> str:
    return str(item.get("recorded_at", "")) if isinstance(item, dict) else ""


def _time(text: str) -> str:
    """Return a moment of HTTP or ISO 8601 in the form of our files; an empty text for any other text."""
    try:
        at = email.utils.parsedate_to_datetime(text) if "," in text else datetime.datetime.fromisoformat(text)
        return at.astimezone(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (ValueError, OverflowError):  # the last at the ends of the calendar
        return ""
