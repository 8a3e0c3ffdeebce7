"""The way back of the wire road: from what an HTTP response delivers to the answer in a recording.

Nothing here needs a client.
"""

from __future__ import annotations

import codecs
import logging
import re
import time
import weakref
from typing import TYPE_CHECKING, Any

import msgspec

from inferencereplay.locks import make_lock
from inferencereplay.recording.format import Failure, Response
from inferencereplay.sdk.http_replay import byte_stream, charset, is_for_hosts, kept_headers
from inferencereplay.sdk.sse import Event, EventDecoder
from inferencereplay.session import garbage

if TYPE_CHECKING:
    import datetime
    from collections.abc import AsyncIterator, Callable, Iterator

log = logging.getLogger("inferencereplay")

NO_CONTENT = 204
SENTINEL = "[DONE]"
INDENTS = (-1, 0, 2, 4)
"""The layouts of a JSON body that come back as they were: none, one line with spaces, indented by 2 or 4."""
_BLANK_LINE = re.compile(rb"(?:\r\n|\r(?!\n)|\n){2}")


def plain_response(response: Any, seconds: float | None = None) -> Response:
    """Make a recording's answer of a response that has been read.

    Raises:
        ValueError: if its content is neither JSON nor text that its charset gives back.
    """
    kept = Response(response.status_code, kept_headers(response.headers))
    kept.elapsed = _elapsed(response) if seconds is None else seconds
    _fill(kept, response.content, charset(kept))
    return kept


def _elapsed(response: Any) -> float | None:
    """Return what the HTTP library measured; it measures nothing where the body was there at once, as in a mock."""
    try:
        seconds: float = response.elapsed.total_seconds()
    except RuntimeError:
        return None
    return seconds


def _length(response: Any) -> int | None:
    """Return how many bytes a body has, before its encoding is undone, if the response says so."""
    if response.status_code == NO_CONTENT:
        return 0
    length = response.headers.get("content-length", "")
    return int(length) if length.isascii() and length.isdigit() else None


def _fill(kept: Response, content: bytes, encoding: str) -> None:
    try:
        msgspec.json.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        kept.text = "" if is_for_hosts(encoding) else content.decode(encoding)
        if kept.text.encode(encoding) != content:
            message = f"{encoding} does not give back the same bytes"
            raise ValueError(message) from None
        return
    kept.body = msgspec.Raw(content.strip())
    kept.indent = next((indent for indent in INDENTS if msgspec.json.format(content, indent=indent) == content), -1)


class ResponseCapture:
    """What a response delivers, with the time of each piece, until it ends one way or another.

    Args:
        response: the HTTP response, unread.
        start: `time.perf_counter()` at the start of the call.
        library: `httpx2` or `httpx`.
        keep: takes the answer; it or `drop` is called, once.
        drop: is called if there is nothing that can be kept.
    """

    def __init__(
        self, response: Any, start: float, library: Any, keep: Callable[[Response], object], drop: Callable[[], None]
    ) -> None:
        self.kept = Response(response.status_code, kept_headers(response.headers))
        self._encoding = response.headers.get("content-encoding")
        self._length = _length(response)
        self._start = start
        self._library = library
        self._keep = keep
        self._drop = drop
        self._pieces: list[tuple[float, bytes]] = []
        self._lock = make_lock()
        self._is_finished = False
        self.is_exhausted = False

    def add(self, data: bytes) -> None:
        """Note the arrival of some bytes."""
        self._pieces.append((time.perf_counter() - self._start, data))

    def add_all(self, content: bytes) -> None:
        """Note a body that was there at once, its encoding undone: a hook has read it, or it never was on a network."""
        self._encoding = None
        self.add(content)
        self.is_exhausted = True

    def fail(self, error: Exception) -> None:
        """Note what broke the connection."""
        self.kept.failure = Failure(type(error).__name__, str(error))

    def finish(self) -> None:
        """Hand on what there is; the first call counts, and none ever raises."""
        with self._lock:
            if self._is_finished:
                return
            self._is_finished = True
        try:
            self._assemble()
        except Exception as error:  # noqa: BLE001 - a failing recorder never breaks what it records
            log.warning("an answer was not recorded: %s", type(error).__name__)  # its message may hold the answer
            self._drop()
        else:
            self._keep(self.kept)

    def _assemble(self) -> None:
        decoded = self._decoded()
        is_stream = "event-stream" in self.kept.headers.get("content-type", "")
        if not is_stream and not b"".join(data for _, data in decoded[:1]).startswith((b"data:", b"event:", b":")):
            self._assemble_plain(decoded)
            return
        self.kept.end = "error" if self.kept.failure else "done" if self.is_exhausted else "closed"
        self.kept.sentinel = False
        length = self._readable_length(b"".join(data for _, data in decoded))
        decoder = EventDecoder()
        for seconds, data in decoded:
            for event in decoder.feed(data[:length]):
                if event.data.startswith(SENTINEL):
                    self.kept.end, self.kept.sentinel, self.kept.failure = "done", True, None
                    return
                self._add_event(event, seconds)
            self.kept.rest += data[length:]
            length = max(0, length - len(data))
        if self.kept.end == "closed" and (self.kept.rest or _is_error_event(self.kept)):
            self.kept.end = "done"  # the SDK raises there, and reads no further

    def _readable_length(self, data: bytes) -> int:
        """Return how much of a stream's bytes is text, up to the first event that is none.

        A character that is cut where the connection broke is no fault of the text's.
        """
        try:
            codecs.getincrementaldecoder("utf-8")().decode(data, final=self.is_exhausted)
        except UnicodeDecodeError as error:
            return max((blank.end() for blank in _BLANK_LINE.finditer(data, 0, error.start)), default=0)
        return len(data)

    def _assemble_plain(self, decoded: list[tuple[float, bytes]]) -> None:
        if not (self.is_exhausted or self.kept.failure or self._is_all_there()):
            self.kept.end, self.kept.sentinel = "closed", False
            return
        self.kept.elapsed = decoded[-1][0] if decoded else 0.0
        _fill(self.kept, b"".join(data for _, data in decoded), charset(self.kept))

    def _is_all_there(self) -> bool:
        """Whether nothing more can follow, though its reader left before being told so."""
        return self._length is not None and sum(len(data) for _, data in self._pieces) == self._length

    def _decoded(self) -> list[tuple[float, bytes]]:
        """Undo the content's encoding (gzip, …), as far as the HTTP library could do it for the caller."""
        if not self._encoding:
            return self._pieces
        decoded: list[tuple[float, bytes]] = []
        try:
            decoded.extend(self._decode(self._encoding))
        except self._library.DecodingError as error:
            if self.kept.failure is None:
                self.fail(error)
        return decoded

    def _decode(self, encoding: str) -> Iterator[tuple[float, bytes]]:
        now = 0.0

        def arriving() -> Iterator[bytes]:
            nonlocal now
            for now, data in self._pieces:  # noqa: B007 - the generator's reader looks at the time
                yield data

        scratch = self._library.Response(200, headers={"content-encoding": encoding}, content=arriving())
        for data in scratch.iter_bytes():
            yield now, data

    def _add_event(self, event: Event, seconds: float) -> None:
        kept = self.kept
        data = event.data.encode()
        try:
            msgspec.json.decode(data)
            chunk = msgspec.json.format(data, indent=-1) if b"\n" in data else data.strip()
        except (msgspec.DecodeError, RecursionError):
            kept.verbatim.append(len(kept.chunks))
            chunk = msgspec.json.encode(event.data)
        if event.name is not None and not kept.events:
            kept.events = [None] * len(kept.chunks)
        if kept.events or event.name is not None:
            kept.events.append(event.name)
        kept.chunks.append(msgspec.Raw(chunk))
        kept.offsets.append(seconds)


def _is_error_event(kept: Response) -> bool:
    last = msgspec.json.decode(kept.chunks[-1]) if kept.chunks else None
    return isinstance(last, dict) and bool(last.get("error"))


def start_of(response: Any, fallback: float) -> float:
    """Return when the request of an unread response was sent, so that the SDK's retries do not count.

    Args:
        response: as the HTTP library returned it; its stream holds the time.
        fallback: `time.perf_counter()` at the start of the call.
    """
    start = getattr(response.stream, "_start", fallback)
    return start if isinstance(start, float) else fallback


def record_stream(
    response: Any, tape: ResponseCapture, library: Any, run_async: Callable[[Callable[[], None]], Any]
) -> None:
    """Put a tape between a response and its bytes.

    Args:
        response: an HTTP response, unread; its stream is replaced.
        tape: what notes the bytes.
        library: `httpx2` or `httpx`.
        run_async: runs a blocking function without blocking the event loop.
    """
    response.stream = byte_stream(_Taped, library)(response.stream, tape, library, run_async)


class _Taped:
    """The bytes of a live response, handed on as they come, with a tape that notes them."""

    def __init__(self, inner: Any, tape: ResponseCapture, library: Any, run_async: Callable[..., Any]) -> None:
        self._inner = inner
        self._tape = tape
        self._errors = library.RequestError
        self._run_async = run_async
        # Dropped without being closed, or still open when the interpreter ends: what there is is kept.
        weakref.finalize(self, garbage.note, tape.finish)

    @property
    def elapsed(self) -> datetime.timedelta | None:
        """How long it took, once it is closed; httpx2's responses look for it here."""
        return getattr(self._inner, "elapsed", None)

    def __iter__(self) -> Iterator[bytes]:
        try:
            for data in self._inner:
                self._tape.add(data)
                yield data
        except self._errors as error:
            self._tape.fail(error)
            self._tape.finish()  # not every version of the SDK closes what broke
            raise
        self._tape.is_exhausted = True

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for data in self._inner:
                self._tape.add(data)
                yield data
        except self._errors as error:
            self._tape.fail(error)
            await self._run_async(self._tape.finish)
            raise
        self._tape.is_exhausted = True

    def close(self) -> None:
        try:
            self._inner.close()
        finally:
            self._tape.finish()

    async def aclose(self) -> None:
        try:
            await self._inner.aclose()
        finally:
            await self._run_async(self._tape.finish)
