"""Recordings written straight into a directory, for tests of what reads them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import msgspec

from inferencereplay.recording.format import VERSION, Provenance, RecordedRequest, Recording, Response, encode
from inferencereplay.recording.request import Request, canonical_json

if TYPE_CHECKING:
    from pathlib import Path


def write(
    directory: Path,
    body: Any,
    response: Response,
    *,
    path: str = "/chat/completions",
    at: str = "2026-11-25T10:00:00Z",
    **query: str,
) -> Path:
    """Put a recording where a session would; return the file."""
    canonical = canonical_json(body)
    key = Request("POST", path, canonical, query).key
    held = RecordedRequest("POST", path, msgspec.Raw(canonical), query)
    file = directory / path.strip("/") / f"{key[:32]}.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(encode(Recording(VERSION, key, held, response, Provenance(at, "3.54.0", "http://localhost/v1"))))
    return file


def ask(text: str, **more: Any) -> dict[str, Any]:
    """Return the body of a small chat."""
    return {"model": "m", "messages": [{"role": "user", "content": text}], **more}


def plain(body: Any, status: int = 200, elapsed: float | None = 0.5) -> Response:
    """Return a plain answer."""
    return Response(status, {"content-type": "application/json"}, elapsed=elapsed, body=raw(body))


def said(text: str, **more: Any) -> Response:
    """Return a plain answer of a chat."""
    choice = {"index": 0, "message": {"role": "assistant", "content": text, **more}, "finish_reason": "stop"}
    usage = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
    return plain({"object": "chat.completion", "model": "m", "choices": [choice], "usage": usage})


def streamed(*deltas: str | dict[str, Any], offsets: tuple[float, ...] | None = None, **more: Any) -> Response:
    """Return a streamed answer of a chat: the texts or deltas of its chunks, 0.25 s apart unless said otherwise."""
    chunks = [
        {"choices": [{"index": 0, "delta": delta if isinstance(delta, dict) else {"content": delta}}]}
        for delta in deltas
    ]
    times = [0.5 + 0.25 * index for index in range(len(chunks))] if offsets is None else [*offsets]
    headers = {"content-type": "text/event-stream"}
    return Response(
        200, headers, end=more.pop("end", "done"), offsets=times, chunks=[raw(item) for item in chunks], **more
    )


def raw(value: Any) -> msgspec.Raw:
    """Return JSON as a recording keeps it."""
    return msgspec.Raw(json.dumps(value).encode())
