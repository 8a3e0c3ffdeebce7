"""Whether a message of the program is the recorded one, and how the two differ.

Messages are compared as JSON, without `event_id`, which programs make anew for each message. Audio is compared by its
digest. `ignore` and `normalize` apply to each message, and secrets are redacted in both. What is no JSON, or is nested
too deeply to be read, is compared byte by byte.
"""

from __future__ import annotations

import contextlib
import hashlib
from typing import TYPE_CHECKING, Any

import msgspec

from inferencereplay.recording.difference import differences
from inferencereplay.recording.frame_audio import AUDIO, digest
from inferencereplay.recording.frames import CLIENT
from inferencereplay.recording.nesting import is_deep
from inferencereplay.recording.request import Request, canonical_json, parse_json
from inferencereplay.recording.varying import EVENT_ID
from inferencereplay.redaction.payloads import redact_bytes

if TYPE_CHECKING:
    from collections.abc import Callable

    from inferencereplay.recording.format import Response
    from inferencereplay.recording.frames import Frame
    from inferencereplay.session.call import Call

MOST_LINES = 12
_read = msgspec.json.Decoder().decode


class ClientMessages:
    """Compares the messages of one connection.

    Args:
        prepare: applies `ignore` and `normalize` to a request; see `Session.prepare`.
        call: the connection, which knows its client's secrets.
    """

    def __init__(self, prepare: Callable[[Request, Call], Request], call: Call) -> None:
        self._prepare = prepare
        self._call = call

    def is_equal(self, frame: Frame, payload: bytes, *, is_text: bool) -> bool:
        """Whether a message is the recorded one."""
        if payload == frame.payload and is_text == frame.is_text:
            return True
        if is_text != frame.is_text:
            return False
        recorded, sent = _value(frame.payload), _value(payload)
        if isinstance(recorded, bytes) or isinstance(sent, bytes):
            redactor = self._call.redactor
            return redact_bytes(frame.payload, redactor) == redact_bytes(payload, redactor)
        return bool(recorded == sent) or self._prepared(recorded) == self._prepared(sent)

    def differences(self, frame: Frame, payload: bytes, *, is_text: bool) -> tuple[str, ...]:
        """Return how a message differs from the recorded one, in lines for people."""
        if is_text != frame.is_text:
            kinds = ("binary", "text")
            return (f"a message of {kinds[frame.is_text]} → a message of {kinds[is_text]}",)
        recorded, sent = _value(frame.payload), _value(payload)
        if isinstance(recorded, bytes) or isinstance(sent, bytes):
            safe = redact_bytes(payload, self._call.redactor)
            return (f"{_told(frame.payload)} → {_told(safe)}",)
        found = [
            str(item) for item in differences(parse_json(self._prepared(recorded)), parse_json(self._prepared(sent)))
        ]
        more = (f"… and {len(found) - MOST_LINES} more",) if len(found) > MOST_LINES else ()
        return (*found[:MOST_LINES], *more)

    def _prepared(self, value: Any) -> bytes:
        """Return the canonical JSON of a message as it is compared."""
        request = Request(self._call.request.method, self._call.request.path, canonical_json(value))
        if isinstance(value, dict):
            request = self._prepare(request, self._call)
        return canonical_json(self._call.redactor.value(parse_json(request.body)))


def have_equal_messages(messages: ClientMessages, first: Response, second: Response) -> bool:
    """Whether the program sent the same in two recorded connections, or both were refused."""
    sent = [
        [frame for frame in response.frames or () if frame.sender == CLIENT and frame.is_message]
        for response in (first, second)
    ]
    return len(sent[0]) == len(sent[1]) and all(
        messages.is_equal(one, other.payload, is_text=other.is_text) for one, other in zip(*sent, strict=True)
    )


def described(payload: bytes) -> str:
    """Name a message by its type, or by its length."""
    value = _value(payload)
    kind = value.get("type") if isinstance(value, dict) else None
    return repr(kind) if isinstance(kind, str) else f"a message of {len(payload)} bytes"


def _value(payload: bytes) -> Any:
    """Return a message as it is compared: JSON as Python objects, or the bytes of any other."""
    value = _decoded(payload)
    if isinstance(value, dict):
        value.pop(EVENT_ID, None)
        audio = value.get(AUDIO)
        if isinstance(audio, str):
            value[AUDIO] = digest(audio)
        elif isinstance(audio, dict):
            audio.pop("start", None)
    return value


def _decoded(payload: bytes) -> Any:
    with contextlib.suppress(msgspec.DecodeError, UnicodeDecodeError):
        if not is_deep(payload):
            return _read(payload)
    return payload


def _told(payload: bytes) -> str:
    return f"{len(payload)} bytes of SHA-256 {hashlib.sha256(payload).hexdigest()[:12]}…"
