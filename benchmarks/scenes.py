"""What the benchmarks ask, and the recordings of it."""

from __future__ import annotations

import array
import base64
import functools
import importlib
import itertools
import json
import os
import random
from typing import TYPE_CHECKING, Any

import answers
import msgspec
import openai

from inferencereplay.recording.format import VERSION, RecordedRequest, Recording, Response, decode, encode
from inferencereplay.recording.request import Request, canonical_json
from inferencereplay.store.address import DIGITS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

http = importlib.import_module("httpx2" if int(openai.__version__.partition(".")[0]) >= 3 else "httpx")
PATH = "/chat/completions"
_WORDS = "the quick brown fox jumps over the lazy dog, and then some more text follows here; with commas. ".split()  # noqa: SIM905 - it reads better
_random = random.Random(1)


def _text(words: int) -> str:
    return " ".join(_random.choice(_WORDS) for _ in range(words))


def _tool(number: int) -> dict[str, Any]:
    properties = {f"p{i}": {"type": "string", "description": _text(6), "minimum": 0.5} for i in range(6)}
    parameters = {"type": "object", "properties": properties, "required": ["p0", "p1"]}
    function = {"name": f"tool_{number}", "description": _text(20), "parameters": parameters}
    return {"type": "function", "function": function}


SMALL: dict[str, Any] = {
    "model": "gpt-4o",
    "messages": [{"role": "user", "content": "Say hello"}],
    "temperature": 0.7,
}
LARGE: dict[str, Any] = {
    "model": "gpt-4o",
    "messages": [{"role": ("user", "assistant")[i % 2], "content": _text(110)} for i in range(60)],
    "tools": [_tool(i) for i in range(20)],
    "temperature": 0.7,
}
STREAM: dict[str, Any] = {**SMALL, "stream": True}
EMBEDDINGS: dict[str, Any] = {"model": "text-embedding-3-small", "input": [_text(40) for _ in range(100)]}


def client(**options: Any) -> openai.OpenAI:
    """Make a client over an in-memory transport, or with `base_url=` of a real server."""
    if "base_url" not in options:
        options = {**options, "base_url": "http://memory/v1", "http_client": http.Client(transport=memory())}
    return openai.OpenAI(api_key="sk-benchmark-0123456789", max_retries=0, **options)


def memory() -> Any:
    """Make a transport that answers without a network, at next to no cost: what is asked again is remembered."""

    @functools.lru_cache(8)
    def answer(path: str, sent: bytes) -> tuple[answers.Answer, bytes]:
        made = answers.answer(path, json.loads(sent or b"{}"))
        return made, b"".join(made.pieces)

    def handle(request: Any) -> Any:
        made, content = answer(request.url.path, request.content)
        headers = {"content-type": made.kind, "x-request-id": answers.REQUEST_ID}
        return http.Response(made.status, headers=headers, content=content)

    return http.MockTransport(handle)


def numbered(arguments: dict[str, Any], number: int) -> dict[str, Any]:
    """Return a request that differs in its last message, or in its first text to embed."""
    if "input" in arguments:
        first, *others = arguments["input"]
        return {**arguments, "input": [f"{first} number {number:08}", *others]}
    *rest, last = arguments["messages"]
    return {**arguments, "messages": [*rest, {**last, "content": f"{last['content']} number {number:08}"}]}


def asking(client: Any, arguments: dict[str, Any]) -> Callable[[], Any]:
    """Return what asks for embeddings, or for a chat, which is read to its end if it is streamed."""
    if "input" in arguments:
        return lambda: client.embeddings.create(**arguments)
    create = client.chat.completions.create
    return (lambda: list(create(**arguments))) if "stream" in arguments else (lambda: create(**arguments))


# Recordings.


def plain() -> Response:
    """Return a plain answer."""
    return Response(headers={"content-type": "application/json"}, body=msgspec.Raw(json.dumps(answers.CHAT).encode()))


def streamed(offsets: Iterable[float]) -> Response:
    """Return a stream whose chunks are due at `offsets`, in seconds."""
    due = list(offsets)
    chunks = [msgspec.Raw(answers.chunk(i)) for i in range(len(due))]
    return Response(headers={"content-type": "text/event-stream"}, end="done", offsets=due, chunks=chunks)


def random_offsets(count: int, first: float, between: float) -> list[float]:
    """Return offsets whose gaps are random, `between` seconds on average."""
    gaps = (_random.uniform(0.0, 2 * between) for _ in range(count - 1))
    return list(itertools.accumulate(gaps, initial=first))


def record(directory: Path, arguments: dict[str, Any], response: Response) -> Path:
    """Write a recording of a chat and return its file."""
    request = Request("POST", PATH, canonical_json(arguments))
    held = RecordedRequest("POST", PATH, msgspec.Raw(request.body))
    file = _file(directory, request.key)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(encode(Recording(VERSION, request.key, held, response)))
    return file


def record_embeddings(directory: Path, arguments: dict[str, Any]) -> None:
    """Write a recording of embeddings that the SDK asks for in base64; no two of them are equal."""
    request = Request("POST", "/embeddings", canonical_json({**arguments, "encoding_format": "base64"}))
    held = RecordedRequest("POST", request.path, msgspec.Raw(request.body))
    vector = base64.b64encode(array.array("f", [_random.random()]).tobytes())
    body = _vectors_in_base64().replace(b"AAAAAA==", vector)
    response = Response(headers={"content-type": "application/json"}, body=msgspec.Raw(body))
    file = directory / "embeddings" / f"{request.key[:DIGITS]}.json"
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(encode(Recording(VERSION, request.key, held, response)))


@functools.cache
def _vectors_in_base64() -> bytes:
    first = {"object": "embedding", "index": 100, "embedding": "AAAAAA=="}
    return answers.vectors(100, is_base64=True).replace(b'"data": [', b'"data": [' + json.dumps(first).encode() + b", ")


def record_many(directory: Path, count: int) -> None:
    """Write recordings of `numbered(SMALL, 0)` and onwards."""
    multiply(record(directory, numbered(SMALL, 0), plain()), range(1, count))


def multiply(file: Path, numbers: range) -> None:
    """Write, beside a recording of `numbered(…, 0)`, copies of it with other numbers and keys."""
    data, folder = file.read_bytes(), str(file.parent)
    held = decode(data, file.name)
    first = Request(held.request.method, held.request.path, canonical_json(json.loads(bytes(held.request.body))))
    assert first.key == held.key, "the recording's key is another"
    for number in numbers:
        mark = b"number %08d" % number
        key = Request(first.method, first.path, first.body.replace(b"number 00000000", mark)).key
        made = data.replace(b"number 00000000", mark).replace(first.key.encode(), key.encode())
        descriptor = os.open(f"{folder}{os.sep}{key[:DIGITS]}.json", os.O_WRONLY | os.O_CREAT, 0o644)
        os.write(descriptor, made)
        os.close(descriptor)


def _file(directory: Path, key: str) -> Path:
    return directory.joinpath(*PATH.strip("/").split("/"), f"{key[:DIGITS]}.json")
