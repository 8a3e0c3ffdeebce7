"""What the server sends: the answer of a recording, or an error in the form of the OpenAI API."""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import msgspec

from inferencereplay.recording.format import corrupt
from inferencereplay.sdk.content import plain_content
from inferencereplay.sdk.file_pieces import FilePieces
from inferencereplay.sdk.http_replay import SENTINEL, check_content, kept_headers, stream_pieces

if TYPE_CHECKING:
    from inferencereplay.recording.format import Response

Headers = list[tuple[bytes, bytes]]
_CONTROL = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
_PHRASES = {status.value: status.phrase for status in HTTPStatus}
LARGEST_JOINED = 64 * 1024
"""Bytes of an answer up to which it is copied into one piece, which is written faster."""
_NO_CONTENT = frozenset((204, 304))
_LARGEST_STATUS = 599


@dataclass(frozen=True)
class Answer:
    """An answer, whole.

    Attributes:
        status: the HTTP status; 0 if the connection breaks without an answer.
        headers: with the length of the content, but for a status that has none.
        pieces: the content; of a stream that has to keep its pace, the bytes of each event.
        file: the recorded answer whose content is in a large file, and not in `pieces`.
        is_stream: whether the pieces come one by one.
        is_broken: whether the connection breaks after the content.
        reason: the phrase after the status, if it is not the usual one.
    """

    status: int
    headers: Headers
    pieces: list[bytes]
    is_stream: bool = False
    is_broken: bool = False
    reason: str | None = None
    file: Response | None = None

    @property
    def size(self) -> int:
        """The bytes of the content."""
        return sum(map(len, self.pieces))

    @functools.cached_property
    def head(self) -> bytes:
        """The status line and the headers, as HTTP/1.1 sends them."""
        phrase = _PHRASES.get(self.status, "") if self.reason is None else self.reason
        lines = [b"HTTP/1.1 %d %b" % (self.status, phrase.encode("ascii", "ignore"))]
        lines += [b"%b: %b" % header for header in self.headers]
        return b"\r\n".join(lines) + b"\r\n\r\n"

    @functools.cached_property
    def wire(self) -> list[bytes]:
        """The whole answer as HTTP/1.1 sends it; nothing if the connection breaks without one."""
        if not self.status:
            return []
        parts = [self.head, *self.pieces]
        return [b"".join(parts)] if self.size < LARGEST_JOINED else parts


def recorded_answer(recorded: Response, name: str, *, is_paced: bool = False) -> Answer:
    """Make the answer of a recording that has one.

    Args:
        recorded: its response.
        name: the file, for messages.
        is_paced: whether the events of a stream are sent one by one.

    Raises:
        RecordingCorrupt: if it cannot be sent by HTTP, or its side file is not the recorded one.
    """
    if not recorded.status:
        return Answer(0, [(b"content-length", b"1")], [], is_broken=True)
    check_content(recorded, name)
    if recorded.status > _LARGEST_STATUS:
        raise corrupt(name, "$.response.status", f"{recorded.status} cannot be sent by HTTP")
    is_broken = recorded.failure is not None or recorded.end == "closed"
    headers = _headers(recorded, name)
    if not is_small(recorded) and recorded.binary is not None:
        recorded.binary.check()
        headers.append((b"content-length", b"%d" % (recorded.binary.length + is_broken)))
        return Answer(recorded.status, headers, [], True, is_broken, recorded.reason, recorded)  # noqa: FBT003 - a stream
    if recorded.binary is not None:
        pieces = [*FilePieces(recorded)]
    else:
        pieces = _stream(recorded, is_broken=is_broken) if recorded.is_stream else [plain_content(recorded)]
    is_stream = recorded.is_stream or bool(recorded.pieces)
    if not is_paced and len(pieces) > 1:
        pieces = [b"".join(pieces)]
    if recorded.status not in _NO_CONTENT:
        # A connection that breaks delivers less than it has promised.
        headers.append((b"content-length", b"%d" % (sum(map(len, pieces)) + is_broken)))
    return Answer(recorded.status, headers, pieces, is_stream, is_broken, recorded.reason)


def is_small(recorded: Response) -> bool:
    """Whether the content of a recorded answer is in memory, or in a small file."""
    return recorded.binary is None or recorded.binary.length <= LARGEST_JOINED


def _stream(recorded: Response, *, is_broken: bool) -> list[bytes]:
    """Return the bytes of each event; what is no event of its own comes with the last one."""
    pieces = list(stream_pieces(recorded)) or [b""]
    pieces[-1] += recorded.rest + SENTINEL * (recorded.sentinel and not is_broken)
    return pieces


def _headers(recorded: Response, name: str) -> Headers:
    made = [
        (name.encode("latin-1", "replace"), value.encode("latin-1", "replace"))
        for name, value in kept_headers(recorded.headers).items()
    ]
    for header, value in made:
        if _CONTROL.search(header + value):
            raise corrupt(name, "$.response.headers", f"{header.decode()} has a control character")
    return made


def json_answer(status: int, content: Any, *headers: tuple[bytes, bytes]) -> Answer:
    """Make an answer of JSON."""
    body = msgspec.json.encode(content)
    return _plain(status, b"application/json", body, headers)


def text_answer(content: bytes) -> Answer:
    """Make an answer of plain text."""
    return _plain(200, b"text/plain; version=0.0.4; charset=utf-8", content, ())


def _plain(status: int, kind: bytes, body: bytes, headers: tuple[tuple[bytes, bytes], ...]) -> Answer:
    known = [(b"content-type", kind), (b"content-length", b"%d" % len(body))]
    return Answer(status, [*known, *headers], [body])


def error_answer(status: int, message: str, code: str, *, is_final: bool = True, **facts: Any) -> Answer:
    """Make an error as the OpenAI API sends it.

    Args:
        status: the HTTP status.
        message: for people.
        code: what happened, for programs; it is the type as well.
        is_final: whether SDKs are told not to try again.
        **facts: further members of the error.
    """
    error = {"message": message, "type": code, "param": None, "code": code, **facts}
    return json_answer(status, {"error": error}, (b"x-should-retry", b"false" if is_final else b"true"))
