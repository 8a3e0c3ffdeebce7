"""Sounds, images and videos of a recording, embedded so that the page plays and shows them."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

from inferencereplay.errors import RecordingCorrupt, StoreError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from inferencereplay.catalogue.entries import Entry
    from inferencereplay.recording.side_file import SideFile

LARGEST = 1_000_000
"""Bytes of the contents of one recording that are embedded together."""
_TYPES = {
    "aac": "audio/aac",
    "flac": "audio/flac",
    "gif": "image/gif",
    "jpg": "image/jpeg",
    "m4a": "audio/mp4",
    "mp3": "audio/mpeg",
    "mp4": "video/mp4",
    "ogg": "audio/ogg",
    "opus": "audio/ogg",
    "png": "image/png",
    "wav": "audio/wav",
    "webm": "video/webm",
    "webp": "image/webp",
}
"""What browsers play and show, by the last part of a side file's name."""


def media(entry: Entry) -> list[dict[str, Any]]:
    """Return the contents of a recording that a browser plays or shows; one that cannot be read is left out."""
    left = LARGEST
    made: list[dict[str, Any]] = []
    for side in entry.recording.side_files:
        kind = _TYPES.get(side.ending.rpartition(".")[2])
        if kind is not None and side.length <= left:
            left -= side.length
            made += _embedded(side, kind, is_sent=side in entry.recording.request.uploads)
    return made


def _embedded(side: SideFile, kind: str, *, is_sent: bool) -> Iterator[dict[str, Any]]:
    try:
        data = base64.b64encode(side.read()).decode()
    except (RecordingCorrupt, StoreError):
        return
    yield {
        "kind": kind.partition("/")[0],
        "name": side.ending[1:],
        "is_sent": is_sent,
        "url": f"data:{kind};base64,{data}",
    }
