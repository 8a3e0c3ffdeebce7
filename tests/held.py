"""Recordings read back from a directory, each with all that is promised of it made sure of."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from inferencereplay.recording.format import check_request, decode, stored_request

if TYPE_CHECKING:
    from pathlib import Path


def question_and_text(directory: Path, name: str) -> tuple[str, str]:
    """Return what a chat's recording holds, and make sure that it is whole and stands at its address."""
    recording = decode((directory / name).read_bytes(), name)
    request = stored_request(recording, name)
    check_request(recording, request, request.key, name)
    assert request.key.startswith(name.rpartition("/")[2][:32])
    response = recording.response
    assert response.is_whole
    if response.is_stream:
        pieces = [json.loads(bytes(chunk))["choices"][0]["delta"]["content"] for chunk in response.chunks]
        text = "".join(piece or "" for piece in pieces)
    else:
        text = json.loads(bytes(response.body))["choices"][0]["message"]["content"]
    return json.loads(request.body)["messages"][0]["content"], text
