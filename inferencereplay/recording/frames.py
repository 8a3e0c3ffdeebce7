"""The frames of a recorded WebSocket connection: who sent each one, and what it holds.

A frame here is a whole message, or a close. Pings and pongs are not recorded, and the parts of a fragmented message are
joined.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Annotated

import msgspec

from inferencereplay.recording.nesting import is_deep

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

SWITCHING = 101
"""The HTTP status with which a server opens a WebSocket connection."""
CLIENT, SERVER = "client", "server"
NO_STATUS, ABNORMAL = 1005, 1006
"""The codes of RFC 6455 for a close without a code, and for a connection that broke without a close."""
Code = Annotated[int, msgspec.Meta(ge=1000, le=4999)]
_CODES = {*range(1000, 1004), *range(1005, 1015), *range(3000, 5000)}
"""Those that a connection can be closed with, and the two above."""
_LONGEST_REASON = 123
"""Bytes: a control frame of RFC 6455 has up to 125, two of which are the code."""


class Frame(msgspec.Struct, omit_defaults=True):
    """A message or a close.

    Attributes:
        sender: `client` or `server`.
        json: the JSON of a message that is JSON on one line, and not nested too deeply, exactly as it was sent.
        text: any other message of text.
        data: a message that is neither, Base64 in the file.
        is_binary: whether `json` or `text` was sent as a binary message.
        close: the code of a close; 1006 for a connection that broke, which the server has not closed.
        reason: the reason of a close.
    """

    sender: str = msgspec.field(name="from")
    json: msgspec.Raw = msgspec.Raw(b"")
    text: str | None = None
    data: bytes | None = msgspec.field(name="base64", default=None)
    is_binary: bool = msgspec.field(name="binary", default=False)
    close: Code | None = None
    reason: str = ""

    @property
    def payload(self) -> bytes:
        """The message as it was sent."""
        if self.text is not None:
            return self.text.encode()
        return bytes(self.json) if self.data is None else self.data

    @property
    def is_text(self) -> bool:
        """Whether it was sent as a text message."""
        return self.data is None and not self.is_binary

    @property
    def is_message(self) -> bool:
        """Whether it is a message, and no close."""
        return self.close is None


def message(sender: str, payload: bytes, *, is_binary: bool) -> Frame:
    """Make the frame of a message."""
    try:
        text = payload.decode()
    except UnicodeDecodeError:
        return Frame(sender, data=payload)
    is_one_line = payload.strip() == payload and b"\n" not in payload and b"\r" not in payload
    if is_one_line and not is_deep(payload):
        with contextlib.suppress(msgspec.DecodeError):
            msgspec.json.decode(payload)
            return Frame(sender, json=msgspec.Raw(payload), is_binary=is_binary)
    return Frame(sender, text=text, is_binary=is_binary)


def encode(frame: Frame) -> bytes:
    """Write a frame on one line."""
    members = [b'"from": ' + msgspec.json.encode(frame.sender)]
    if frame.is_binary:
        members.append(b'"binary": true')
    if bytes(frame.json):
        members.append(b'"json": ' + bytes(frame.json))
    elif frame.text is not None:
        members.append(b'"text": ' + msgspec.json.encode(frame.text))
    elif frame.data is not None:
        members.append(b'"base64": ' + msgspec.json.encode(frame.data))
    if frame.close is not None:
        members.append(b'"close": %d' % frame.close)
    if frame.reason:
        members.append(b'"reason": ' + msgspec.json.encode(frame.reason))
    return b"{" + b", ".join(members) + b"}"


def problems(frames: Sequence[Frame], offsets: Sequence[float], end: str) -> Iterator[tuple[str, str]]:
    """Yield where the frames of a connection that ended so contradict themselves or that, and how."""
    if end == "done" and not any(frame.close not in (None, ABNORMAL) for frame in frames):
        yield "$.response.frames", "the connection is 'done', and neither side closes it"
    if end == "error" and (not frames or frames[-1].close != ABNORMAL):
        yield "$.response.frames", f"the connection broke, and its last frame has not the 'close' {ABNORMAL}"
    if offsets and len(offsets) != len(frames):
        yield "$.response.offsets", f"{len(offsets)} offsets for {len(frames)} frames"
    for index, frame in enumerate(frames):
        held = (len(bytes(frame.json)) > 0) + (frame.text is not None) + (frame.data is not None)
        place = f"$.response.frames[{index}]"
        if frame.sender not in (CLIENT, SERVER):
            yield place, f"{frame.sender!r} is neither 'client' nor 'server'"
        elif held + (frame.close is not None) != 1:
            yield place, "a frame has one of 'json', 'text', 'base64' and 'close'"
        elif frame.close is not None and frame.close not in _CODES:
            yield place, f"no connection is closed with {frame.close}"
        elif len(frame.reason.encode()) > _LONGEST_REASON:
            yield place, f"the reason of a close has at most {_LONGEST_REASON} bytes"
