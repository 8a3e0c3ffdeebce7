"""The capture of a live HTTP response: from its bytes to the answer in a recording.

Nothing here needs a client.
"""

from __future__ import annotations

import itertools
import logging
import weakref
from typing import TYPE_CHECKING, Any, cast

from inferencereplay.pacing.clocks import SYSTEM_CLOCK, is_time_frozen
from inferencereplay.recording.format import REDIRECTS, Redirect, Response
from inferencereplay.sdk.bytes_capture import BytesCapture, HeldPieces
from inferencereplay.sdk.content import fill
from inferencereplay.sdk.failures import failure_of
from inferencereplay.sdk.finishing import Finishing
from inferencereplay.sdk.http_replay import byte_stream, content_length, is_usual_reason, kept_headers
from inferencereplay.sdk.stream_capture import StreamCapture
from inferencereplay.session import garbage

if TYPE_CHECKING:
    import datetime
    from collections.abc import AsyncIterator, Callable, Iterable, Iterator

log = logging.getLogger("inferencereplay")

NO_CONTENT = 204
MOST_WAITING = 256 * 1024
"""Bytes of a stream that wait for its end before they are parsed; if there are more, they are parsed at once."""


def plain_response(response: Any, library: Any, seconds: float | None = None, *, is_binary: bool = False) -> Response:
    """Make the answer of a recording from a response that has been read.

    Args:
        response: of the HTTP library.
        library: `httpx2` or `httpx`.
        seconds: from the start of the call to the end of the response; by default, as the response says.
        is_binary: whether the SDK gives it out as bytes.
    """
    kept = _head(response, library, dict(response.headers.items()))
    kept.elapsed = _elapsed(response) if seconds is None else seconds
    fill(kept, response.content, is_binary=is_binary and response.is_success)
    _count_bytes(kept, response)
    return kept


def _head(response: Any, library: Any, headers: dict[str, str]) -> Response:
    """Make the answer of a recording from the status and the headers of a response."""
    kept = Response(response.status_code, kept_headers(headers))
    reason = response.extensions.get("reason_phrase")
    if reason is not None and not is_usual_reason(kept.status, reason, library):
        kept.reason = reason.decode("ascii", "ignore")
    hops = [Redirect(hop.status_code, kept_headers(hop.headers)) for hop in response.history]
    kept.redirects = tuple(hop for hop in hops if hop.status in REDIRECTS and "location" in hop.headers)
    return kept


def _elapsed(response: Any) -> float | None:
    """Return what the HTTP library measured; it measures nothing where the body was there at once, as in a mock."""
    if is_time_frozen():
        return None
    try:
        seconds: float = response.elapsed.total_seconds()
    except RuntimeError:
        return None
    return seconds


def _length(status: int, headers: dict[str, str]) -> int | None:
    """Return how many bytes a body has, before its encoding is undone, if the response says so."""
    if status == NO_CONTENT:
        return 0
    length = headers.get("content-length", "")
    return int(length) if length.isascii() and length.isdigit() else None


def _count_bytes(kept: Response, response: Any) -> None:
    """Note how many bytes the HTTP library counted, if it read any, and a replay would count others."""
    count = 0 if response is None else response.num_bytes_downloaded
    if count and kept.is_whole and count != content_length(kept):
        kept.downloaded = count


class ResponseCapture(Finishing):
    """What a response delivers, with the time of each piece, until it ends one way or another.

    Args:
        response: the HTTP response, unread.
        start: the system clock's time at the start of the call.
        library: `httpx2` or `httpx`.
        keep: stores the answer; either it or `drop` is called, once.
        drop: is called if the answer cannot be stored.
        is_stream: whether the caller asked for a stream, and the SDK parses it.
        is_binary: whether the SDK gives the content out as bytes.

    Attributes:
        kept: the answer of the recording.
        is_exhausted: whether the end was read.
        is_full: whether `spool` is to be called before more is added.
    """

    _now = staticmethod(SYSTEM_CLOCK.now)  # no name of the module, which a library that freezes time would replace

    def __init__(  # noqa: PLR0913 - what a call knows
        self,
        response: Any,
        start: float,
        library: Any,
        keep: Callable[[Response], object],
        drop: Callable[[], None],
        *,
        is_stream: bool = False,
        is_binary: bool = False,
    ) -> None:
        headers = dict(response.headers.items())
        self.kept = _head(response, library, headers)
        self._response = weakref.ref(response)
        self._encoding = headers.get("content-encoding")
        self._length = _length(self.kept.status, headers)
        self._start = start
        self._library = library
        self._keep = keep
        super().__init__(drop)
        self._is_asked = is_stream
        self._bytes = BytesCapture(self.kept) if is_binary else None
        self.is_binary = is_binary
        self._encoded = HeldPieces()
        self._is_stream = not is_binary and "event-stream" in self.kept.headers.get("content-type", "")
        self._stream = StreamCapture(self.kept)
        self._pieces: list[tuple[float, bytes]] = []
        self._size = 0
        self.is_exhausted = self.is_full = False

    def tap(self) -> Callable[[bytes], None]:
        """Return a function that notes the arrival of some bytes; one call of it costs less than one of a method."""
        now, start, note, waiting = self._now, self._start, self._pieces.append, 0

        def add(data: bytes) -> None:
            nonlocal waiting
            note((now() - start, data))
            waiting += len(data)
            if waiting > MOST_WAITING:
                waiting = 0
                self._make_room()

        return add

    def _make_room(self) -> None:
        """Parse what waits, or ask for `spool`, as far as that can be."""
        self.is_full = self._bytes is not None
        if self._is_stream and not self._encoding:
            self._read_stream()

    @property
    def _waiting(self) -> int:
        return sum(len(data) for _, data in self._pieces)

    def add_all(self, content: bytes) -> None:
        """Note a decoded body that arrived at once: a hook has read it, or it never was on a network."""
        self._encoding = None
        self.tap()(content)
        self.is_exhausted = True

    def fail(self, error: Exception) -> None:
        """Note what broke the connection."""
        self.kept.failure = failure_of(error, self._library)

    def _hand_on(self) -> None:
        self._ended = self._now() - self._start
        try:
            self._assemble()
            if self.kept.end == "closed":
                self.kept.left = self._ended
            _count_bytes(self.kept, self._response())
        except Exception as error:  # noqa: BLE001 - a failing recorder never breaks what it records
            log.warning("an answer was not recorded: %s", type(error).__name__)  # its message may hold the answer
            self._drop()
        else:
            self._keep(self.kept)

    def spool(self) -> None:
        """Hand on the pieces up to now, so that they take no more memory; it may have to write a file."""
        taken = self._encoded if self._encoding else cast("BytesCapture", self._bytes)  # or it would not be full
        taken.take(self._pieces)
        self._forget()
        self.is_full = False

    def _assemble(self) -> None:
        if self._bytes is not None:
            self._assemble_bytes(self._bytes)
            return
        if self._is_stream:
            self._read_stream()
        else:
            decoded = list(self._decoded())
            is_likely = b"".join(data for _, data in decoded[:1]).startswith((b"data:", b"event:", b":"))
            if is_likely or self._is_asked:
                self._stream.feed_all(decoded)
            if not (is_likely or self._stream):
                self._assemble_plain(decoded)
                return
        self._stream.finish(is_exhausted=self.is_exhausted, is_parsed=self._is_asked)

    def _read_stream(self) -> None:
        """Parse the pieces of a stream, and forget them."""
        self._stream.feed_all(self._decoded())
        self._forget()

    def _forget(self) -> None:
        self._size += self._waiting
        self._pieces.clear()

    def _assemble_bytes(self, taken: BytesCapture) -> None:
        taken.take(self._decoded())
        if self._is_left:
            self.kept.end, self.kept.sentinel = "closed", False
        if taken or not self._is_left:
            taken.finish()

    @property
    def _is_left(self) -> bool:
        """Whether the caller has left before the end, and more could follow."""
        return not (self.is_exhausted or self.kept.failure or self._size + self._waiting == self._length)

    def _assemble_plain(self, decoded: list[tuple[float, bytes]]) -> None:
        if self._is_left:
            self.kept.end, self.kept.sentinel = "closed", False
            return
        self.kept.elapsed = decoded[-1][0] if decoded else 0.0
        fill(self.kept, b"".join(data for _, data in decoded))

    def _decoded(self) -> Iterable[tuple[float, bytes]]:
        """Undo the content's encoding (gzip, …), as far as the HTTP library could do it for the caller."""
        return self._undone(self._encoding) if self._encoding else self._pieces

    def _undone(self, encoding: str) -> Iterator[tuple[float, bytes]]:
        try:
            yield from self._decode(encoding)
        except self._library.DecodingError as error:
            if self.kept.failure is None:
                self.fail(error)

    def _decode(self, encoding: str) -> Iterator[tuple[float, bytes]]:
        now = 0.0

        def arriving() -> Iterator[bytes]:
            nonlocal now
            for now, data in itertools.chain(self._encoded, self._pieces):  # noqa: B007 - the generator's reader looks at the time
                yield data

        scratch = self._library.Response(200, headers={"content-encoding": encoding}, content=arriving())
        for data in scratch.iter_bytes():
            yield now, data


def start_of(response: Any, fallback: float) -> float:
    """Return when the request of a response was sent, so that the SDK's retries do not count.

    Args:
        response: as the HTTP library returned it; its stream holds the time. `None` if there was none.
        fallback: the system clock's time at the start of the call.
    """
    if is_time_frozen():  # the HTTP library noted frozen time
        return fallback
    start = getattr(getattr(response, "stream", None), "_start", fallback)
    return start if isinstance(start, float) else fallback


def record_stream(
    response: Any, capture: ResponseCapture, library: Any, run_async: Callable[[Callable[[], None]], Any]
) -> None:
    """Let a capture note the bytes of a response while the caller reads them.

    Args:
        response: an HTTP response, unread; its stream is replaced.
        capture: notes the bytes.
        library: `httpx2` or `httpx`.
        run_async: runs a blocking function without blocking the event loop.
    """
    response.stream = byte_stream(_CapturedStream, library)(response.stream, capture, run_async)


class _CapturedStream:
    """The bytes of a live response, handed on as they arrive, and noted by a capture."""

    def __init__(self, inner: Any, capture: ResponseCapture, run_async: Callable[..., Any]) -> None:
        self._inner = inner
        self._capture = capture
        self._run_async = run_async
        # For a stream that is dropped without being closed, or still open when the interpreter ends.
        self._left = weakref.finalize(self, garbage.note, capture.finish)

    @property
    def elapsed(self) -> datetime.timedelta | None:
        """How long it took, once it is closed; httpx2's responses look for it here."""
        return getattr(self._inner, "elapsed", None)

    def __iter__(self) -> Iterator[bytes]:
        capture, add = self._capture, self._capture.tap()
        try:
            for data in self._inner:
                add(data)
                yield data
                if capture.is_full:
                    capture.spool()
        except Exception as error:
            self._capture.fail(error)
            self._capture.finish()  # not every version of the SDK closes what broke
            raise
        self._capture.is_exhausted = True

    async def __aiter__(self) -> AsyncIterator[bytes]:
        capture, add = self._capture, self._capture.tap()
        try:
            async for data in self._inner:
                add(data)
                yield data
                if capture.is_full:
                    await self._run_async(capture.spool)
        except Exception as error:
            self._capture.fail(error)
            await self._run_async(self._capture.finish)
            raise
        self._capture.is_exhausted = True

    def close(self) -> None:
        try:
            self._inner.close()
        finally:
            self._capture.finish()
            self._left.detach()

    async def aclose(self) -> None:
        try:
            await self._inner.aclose()
        finally:
            await self._run_async(self._capture.finish)
            self._left.detach()
