"""Requests and answers without what is secret in them."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING
from urllib.parse import urlencode

import msgspec
from msgspec.structs import replace

from inferencereplay.recording.format import Redirect
from inferencereplay.recording.frames import CLIENT, SERVER
from inferencereplay.recording.nesting import is_deep
from inferencereplay.recording.request import (
    TOO_DEEP,
    NotSerializable,
    Request,
    canonical_json,
    parse_json,
    parse_query,
)
from inferencereplay.recording.text_chunks import TextChunks
from inferencereplay.redaction.fragments import plain_texts, redact_fragments, redact_tokens

if TYPE_CHECKING:
    from inferencereplay.recording.format import RecordedRequest, Response
    from inferencereplay.recording.frames import Frame
    from inferencereplay.redaction.redactor import Redactor

_WIDE = ("utf-16-le", "utf-16-be")
"""Encodings in which text looks like no text to others: each second byte of most letters is zero."""


def redact_request(request: Request, redactor: Redactor) -> Request:
    """Return a request without what is secret; the same object if there is nothing.

    Args:
        request: prepared.
        redactor: finds what is secret.

    Raises:
        NotSerializable: if it is nested too deeply to be looked through.
    """
    body = request.body if redactor.is_clean(request.body) else _safe_body(request.body, redactor)
    query = redactor.query(request.query)
    path = redactor.text(request.path)
    if body is request.body and query is request.query and path == request.path:
        return request
    return Request(request.method, path, body, query, request.kind)


def _safe_body(raw: bytes, redactor: Redactor) -> bytes:
    try:
        body = parse_json(raw)
        safe = redactor.value(body)
    except (ValueError, RecursionError) as error:
        raise NotSerializable(TOO_DEEP) from error
    return raw if safe is body else canonical_json(safe)


def is_clean(request: RecordedRequest, response: Response, redactor: Redactor) -> bool:
    """Whether a search of an ordinary recording as a whole, which costs less than to redact it, finds nothing."""
    odd = request.query, response.redirects, response.failure, response.frames, response.rest, response.text
    if any(odd) or "location" in response.headers:
        return False
    texts = msgspec.json.encode((request.path, response.headers, response.reason, response.events))
    body, chunks = bytes(response.body), [*map(bytes, response.chunks)]
    return (
        redactor.is_clean(b"\n".join((texts, bytes(request.body), body)))
        and redact_tokens(body, redactor) is body
        and (not chunks or _redacted_chunks(chunks, plain_texts(chunks), redactor) is chunks)
    )


def _redacted_chunks(chunks: list[bytes], texts: list[str] | None, redactor: Redactor) -> list[bytes]:
    """Return the chunks of a stream without what is secret; the same list if there is nothing.

    Args:
        chunks: JSON.
        texts: what their pieces add up to, if that is known.
        redactor: finds what is secret.
    """
    if texts is not None and redactor.are_clean([*chunks, msgspec.json.encode(texts)]):  # as nearly always
        return chunks
    # Pieces first: a piece may look like a whole secret, and without it the others look like no secret.
    if texts is None or any(map(redactor.spans, texts)):
        chunks = redact_fragments(chunks, redactor)
    return redactor.jsons(chunks)


def redact_response(response: Response, redactor: Redactor) -> None:
    """Redact an answer, wherever in it a secret is."""
    response.headers = _safe_headers(response.headers, redactor)
    hops = response.redirects
    response.redirects = tuple(Redirect(hop.status, _safe_headers(hop.headers, redactor)) for hop in hops)
    response.reason = response.reason and redactor.text(response.reason)
    response.events = [None if name is None else redactor.text(name) for name in response.events]
    if response.chunks:
        raws, chunks = response.chunks, [*map(bytes, response.chunks)]
        texts = raws.texts if isinstance(raws, TextChunks) else plain_texts(chunks)
        safe = _redacted_chunks(chunks, texts, redactor)
        response.chunks = raws if safe is chunks else [*map(msgspec.Raw, safe)]
    if response.frames is not None:
        response.frames = _redacted_frames(response.frames, redactor)
    response.rest = redact_bytes(response.rest, redactor)
    if bytes(response.body):
        body = redact_tokens(bytes(response.body), redactor)
        response.body = msgspec.Raw(redactor.json(body))
    if response.text is not None:
        response.text = redactor.text(response.text)
    if response.failure:
        causes = [replace(cause, message=redactor.text(cause.message)) for cause in response.failure.causes]
        message = redactor.text(response.failure.message)
        response.failure = replace(response.failure, message=message, causes=causes)


def redact_bytes(data: bytes, redactor: Redactor) -> bytes:
    """Return bytes, which may be no text, without the secrets in them; the same object if there is nothing."""
    for encoding in _WIDE if len(data) % 2 == 0 else ():
        with contextlib.suppress(UnicodeDecodeError):
            text = data.decode(encoding)
            safe = redactor.text(text)
            if safe is not text:
                return safe.encode(encoding)
    text = data.decode("utf-8", "surrogateescape")
    safe = redactor.text(text)
    return data if safe is text else safe.encode("utf-8", "surrogateescape")


def _redacted_frames(frames: list[Frame], redactor: Redactor) -> list[Frame]:
    """Return frames without what is secret; each direction is searched by itself, for secrets may be in pieces."""
    raws: dict[int, bytes] = {}
    for sender in (CLIENT, SERVER):
        sent = [index for index, frame in enumerate(frames) if frame.sender == sender and bytes(frame.json)]
        found = redactor.jsons(redact_fragments([bytes(frames[index].json) for index in sent], redactor))
        raws.update(zip(sent, found, strict=True))
    return [
        replace(
            frame,
            json=msgspec.Raw(raws.get(index, b"")),
            text=frame.text and _redacted_text(frame.text, redactor),
            data=frame.data and redact_bytes(frame.data, redactor),
            reason=redactor.text(frame.reason),
        )
        for index, frame in enumerate(frames)
    ]


def _redacted_text(text: str, redactor: Redactor) -> str:
    """Redact a message of text, which may be JSON on several lines."""
    data = text.encode()
    if not is_deep(data):
        with contextlib.suppress(ValueError):
            value = parse_json(data)
            safe = redactor.value(value)
            return text if safe is value else canonical_json(safe).decode()
    safe = redact_bytes(data, redactor)
    return text if safe is data else safe.decode("utf-8", "replace")


def _safe_headers(headers: dict[str, str], redactor: Redactor) -> dict[str, str]:
    safe = {redactor.text(name): redactor.text(value) for name, value in headers.items()}
    url, mark, query = safe.get("location", "").partition("?")
    if mark:
        values = parse_query(query)
        hidden = redactor.query(values)
        safe["location"] = safe["location"] if hidden is values else f"{url}?{urlencode(hidden, doseq=True)}"
    return safe
