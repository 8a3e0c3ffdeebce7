# /// script
# dependencies = []
# ///
"""curl: bodies and headers as they are on the wire."""

from __future__ import annotations

import json
import subprocess
from typing import Any

from serving import KEPT, KEY, compare, miss

ASK = {"model": "gpt-test", "messages": [{"role": "user", "content": "Hello"}]}


def curl(url: str, body: Any, path: str = "/chat/completions") -> dict[str, Any]:
    """Return status, headers and body as curl prints them."""
    command = ("curl", "-sS", "-i", "-N", "--max-time", "60", f"{url}{path}", "-H", f"Authorization: Bearer {KEY}")
    command += ("-H", "content-type: application/json", "-d", json.dumps(body))
    done = subprocess.run(command, capture_output=True, check=True)
    head, _, content = done.stdout.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in lines)
    return {
        "status": first.split(" ", 1)[1],
        "headers": {name: headers.get(name) for name in KEPT},
        "body": content.decode(),
    }


def client(url: str) -> dict[str, Any]:
    """Return what curl sees of each request."""
    tool = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}}}
    return {
        "a plain answer": curl(url, ASK),
        "the same request again": curl(url, ASK),
        "a stream": curl(url, {**ASK, "stream": True}),
        "a stream with usage": curl(url, {**ASK, "stream": True, "stream_options": {"include_usage": True}}),
        "a tool": curl(url, {**ASK, "tools": [tool]}),
        "an error": curl(url, {**ASK, "model": "no-such-model"}),
        "named events": curl(url, {"model": "gpt-test", "input": "Hello", "stream": True}, "/responses"),
        "embeddings": curl(url, {"model": "gpt-test", "input": ["a", "b"]}, "/embeddings"),
        "without /v1": curl(url.removesuffix("/v1"), {**ASK, "seed": 1}),
    }


def missed(url: str) -> tuple[str, str]:
    """Return status and message of an error."""
    seen = curl(url, ASK)
    return seen["status"], json.loads(seen["body"])["error"]["message"]


compare("curl", client)
miss("curl", missed)
