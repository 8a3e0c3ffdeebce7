"""The audio that went over a WebSocket connection: taken out of the frames into one side file, and put back.

What the program sent is replaced by its digest, for it is only compared. What the server sent is replaced by its place
in the side file, if it is long in all.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from typing import TYPE_CHECKING, Any

import msgspec

from inferencereplay.recording.format import corrupt
from inferencereplay.recording.frames import CLIENT, SERVER
from inferencereplay.recording.side_file import HashedFile, side_file

if TYPE_CHECKING:
    from collections.abc import Iterator

    from inferencereplay.recording.format import Response
    from inferencereplay.recording.frames import Frame
    from inferencereplay.recording.side_file import SideFile

AUDIO = "audio"
"""The member of a client's message that holds audio as Base64."""
LONGEST = 64 * 1024
"""Characters of a connection's audio from the server that stay in its frames."""
_SOUNDS = "audio.delta"
"""How the types of the server's messages end whose `delta` is audio; that of a transcript may look like Base64 too."""
_read = msgspec.json.Decoder().decode


def digest(audio: str) -> dict[str, Any] | str:
    """Return the digest of Base64: SHA-256 and length in bytes of what it stands for; other text as it is."""
    content = _content(audio)
    return audio if content is None else {"sha256": hashlib.sha256(content).hexdigest(), "length": len(content)}


def take_out_audio(response: Response, *, keeps_clients: bool) -> None:
    """Take audio out of frames.

    Args:
        response: whose frames are changed, and which gets the side file if there is one.
        keeps_clients: whether the side file holds also what the program sent.
    """
    frames, held = response.frames or [], HashedFile()
    for frame in frames:
        if frame.sender == CLIENT and b'"audio"' in bytes(frame.json):
            _digest_client(frame, held if keeps_clients else None)
    found = [*_from_server(frames)]
    taken = found if sum(len(text) for _, text, _ in found) > LONGEST else []
    places = []
    for _, _, content in taken:
        places.append((held.length, len(content)))
        held.append(content)
    response.audio = side_file(held, "audio/pcm") if held.length else None
    for (frame, text, _), place in zip(taken, places, strict=True):
        frame.json = msgspec.Raw(bytes(frame.json).replace(text, _place(response.audio, *place)))


def _place(side: SideFile | None, start: object, length: object) -> bytes:
    """Return what stands in the place of Base64; the digest in the ending tells it from all that a server sends."""
    ending = "" if side is None else side.ending
    return f'{{"audio": "{ending}", "start": {start}, "length": {length}}}'.encode()


def put_back_audio(response: Response, name: str) -> None:
    """Put the server's audio back.

    Args:
        response: whose frames are changed.
        name: the file, for messages.

    Raises:
        RecordingCorrupt: if the side file is gone, torn, or another one, or ends before what a frame names.
        StoreError: if it cannot be read.
    """
    content = b"" if response.audio is None else response.audio.read()
    wanted = re.escape(_place(response.audio, "N", "N")).replace(b"N", rb"(\d{1,15})")

    def text(place: re.Match[bytes]) -> bytes:
        start, length = int(place[1]), int(place[2])
        if start + length > len(content):
            raise corrupt(name, "$.response.frames", f"its audio ends before {start + length:,} bytes")
        return b'"%b"' % base64.b64encode(content[start : start + length])

    for frame in response.frames or ():
        if frame.sender == SERVER:
            frame.json = msgspec.Raw(re.sub(wanted, text, bytes(frame.json), count=1))


def _digest_client(frame: Frame, held: HashedFile | None) -> None:
    value = _read(frame.json)
    audio = value.get(AUDIO) if isinstance(value, dict) else None
    if not isinstance(audio, str) or isinstance(told := digest(audio), str):
        return
    if held is not None:
        told["start"] = held.length
        held.append(base64.b64decode(audio))
    frame.json = msgspec.Raw(msgspec.json.encode({**value, AUDIO: told}))


def _from_server(frames: list[Frame]) -> Iterator[tuple[Frame, bytes, bytes]]:
    """Yield each frame of the server with audio, the quoted text in it, and what that stands for."""
    for frame in frames:
        raw = bytes(frame.json)
        if frame.sender == SERVER and b"audio" in raw and b'"delta"' in raw:
            value = _read(raw)
            is_audio = isinstance(value, dict) and str(value.get("type")).endswith(_SOUNDS)
            text = value.get("delta") if is_audio else None
            content = _content(text) if isinstance(text, str) and text else None
            if content is not None:
                quoted = b'"%b"' % base64.b64encode(content)
                if raw.count(quoted) == 1:
                    yield frame, quoted, content


def _content(text: str) -> bytes | None:
    """Return what Base64 stands for; `None` for other text."""
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
