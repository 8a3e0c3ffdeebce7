"""The SDK path: from a recording and an HTTP request to the HTTP response that the SDK reads.

Nothing here needs a client.
"""

from __future__ import annotations

import datetime
import functools
import weakref
from typing import TYPE_CHECKING, Any

import msgspec

from inferencereplay.errors import IncompleteRecording
from inferencereplay.pacing.event_loop import give_turn
from inferencereplay.recording.control_characters import visible
from inferencereplay.recording.format import corrupt
from inferencereplay.sdk.content import charset, excessive_spaces, is_for_hosts, plain_content
from inferencereplay.sdk.failures import raise_failure
from inferencereplay.sdk.file_pieces import FilePieces
from inferencereplay.sdk.late import late

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from inferencereplay.pacing.pacer import Pacer
    from inferencereplay.recording.format import Response

HEADERS = frozenset(
    (
        "content-type",
        "x-request-id",
        "openai-processing-ms",
        "openai-version",
        "openai-poll-after-ms",
        "retry-after",
        "retry-after-ms",
        "location",
    )
)
HEADER_PREFIX = "x-ratelimit-"
SENTINEL = b"data: [DONE]\n\n"
_RENAMED = frozenset((413, 414, 416, 422))
"""The statuses whose phrase is not the same in all versions of the HTTP libraries."""


def build_response(  # noqa: PLR0913 - what an answer is made of
    response: Response,
    library: Any,
    request: Any,
    pacer: Pacer | None,
    name: str,
    *,
    end: Callable[[], None] | None = None,
    content: bytes | None = None,
) -> Any:
    """Build the HTTP response that `response` was made of.

    Its content is unread, and waits for the pacer while it is read, be it a stream or not.

    Args:
        response: the recorded answer.
        library: `httpx2` or `httpx`.
        request: the library's request that it answers.
        pacer: sets the time of each piece; `None` if nothing has to wait.
        name: the file, for messages.
        end: is called when the response is closed.
        content: of a side file that has been read.

    Raises:
        RecordingCorrupt: if the indentation would make the answer many times as large as its JSON, or if its charset is
            one for host names.
    """
    pieces = _pieces(response, name, content)
    played = byte_stream(_Replayed, library)(response, pieces, pacer, library, name, end=end)
    built = _over(played, response, library, request)
    played.attach(built)
    return built


def build_late(  # noqa: PLR0913 - the same
    response: Response,
    library: Any,
    request: Any,
    pacer: Pacer | None,
    name: str,
    *,
    end: Callable[[], None] | None = None,
) -> Any:
    """Return what `build_response` does, made when somebody looks at it; to read or to close it is no look.

    Raises:
        RecordingCorrupt: see `build_response`.
    """
    played = byte_stream(_Replayed, library)(response, _pieces(response, name), pacer, library, name, end=end)
    headers = functools.partial(build_headers, response, library)
    make = functools.partial(_over, played, response, library, request)
    made = late(library.Response, make, _readers, headers=headers)
    made.stream, made._request = played, request  # noqa: SLF001 - what the library reads to close one
    made.is_closed = made.is_stream_consumed = False
    played.attach(made)
    return made


def _readers(cls: type) -> dict[str, Any]:
    """Return the methods that read all of a late response, of a class of the HTTP library's."""
    library: Any = cls

    @functools.wraps(library.read)
    def read(self: Any) -> Any:
        content = _read_at_once(self)
        return library.read(self) if content is None else content

    @functools.wraps(library.aread)
    async def aread(self: Any) -> Any:
        await give_turn()
        content = _read_at_once(self)
        return await library.aread(self) if content is None else content

    return {"read": read, "aread": aread}


def _read_at_once(response: Any) -> bytes | None:
    """Do what the library does to read a response; `None`, and nothing is done, if that is left to the library."""
    if response.is_closed or response.is_stream_consumed:
        return None
    played = response.stream
    content: bytes | None = played.read_at_once()
    if content is not None:
        response.is_stream_consumed = response.is_closed = True
        response._content, response._num_bytes_downloaded = content, len(content)  # noqa: SLF001 - as the library does
        played.close()
    return content


def _pieces(response: Response, name: str, content: bytes | None = None) -> Iterator[bytes]:
    """Return the bytes of a replayed response, in pieces.

    Raises:
        RecordingCorrupt: see `build_response`.
    """
    check_content(response, name)
    if content is not None:
        return iter((content,))
    if response.binary is not None:
        return FilePieces(response)
    return stream_pieces(response) if response.is_stream else iter((plain_content(response),))


def _over(played: Any, response: Response, library: Any, request: Any) -> Any:
    """Build the HTTP response over its bytes."""
    extensions = {} if response.reason is None else {"reason_phrase": response.reason.encode()}
    headers = build_headers(response, library)
    return library.Response(response.status, headers=headers, stream=played, request=request, extensions=extensions)


def build_headers(response: Response, library: Any) -> Any:
    """Build the library's headers of a recorded answer."""
    return library.Headers([(name.encode(), value.encode()) for name, value in kept_headers(response.headers).items()])


def check_content(response: Response, name: str) -> None:
    """Make sure that an edited file costs neither memory nor time out of proportion to its size.

    Raises:
        RecordingCorrupt: see `build_response`.
    """
    if spaces := excessive_spaces(response):
        raise corrupt(name, "$.response.indent", f"laid out with it, the answer would have {spaces} spaces")
    if response.text and is_for_hosts(used := charset(response)):
        raise corrupt(name, '$.response.headers["content-type"]', f"no text is written in {used}")


def kept_headers(headers: Any) -> dict[str, str]:
    """Return the headers on the allow-list, with names in lower case."""
    return {
        name: value
        for given, value in headers.items()
        if (name := given.lower()) in HEADERS or name.startswith(HEADER_PREFIX)
    }


def is_usual_reason(status: int, reason: bytes, library: Any) -> bool:
    """Whether a reason phrase is the one that every version of an HTTP library gives a status by itself."""
    return status not in _RENAMED and reason == library.codes.get_reason_phrase(status).encode()


def content_length(response: Response) -> int:
    """Return how many bytes a replay delivers in all."""
    if response.binary is not None:
        return response.binary.length
    if not response.is_stream:
        return len(plain_content(response))
    if response.events or response.verbatim:
        size = sum(map(len, stream_pieces(response)))
    else:
        size = sum(map(len, response.chunks)) + len(b"data: \n\n") * len(response.chunks)
    return size + len(response.rest) + len(SENTINEL) * response.sentinel


def stream_pieces(response: Response) -> Iterator[bytes]:
    """Yield the bytes of each event of a stream."""
    verbatim = set(response.verbatim)
    for index, chunk in enumerate(response.chunks):
        if index in verbatim:
            data = msgspec.json.decode(chunk, type=str).encode().replace(b"\n", b"\ndata: ")
        else:
            data = bytes(chunk)
            if b"\n" in data:  # a formatter has laid it out
                data = msgspec.json.format(data, indent=-1)
        name = response.events[index] if response.events else None
        head = b"event: %b\n" % name.encode() if name is not None else b""
        yield head + b"data: " + data + b"\n\n"


@functools.cache
def byte_stream(kind: type, library: Any) -> Any:
    """Make a class of byte streams, sync and async, that one HTTP library takes for its own."""
    return type(kind.__name__, (kind, library.SyncByteStream, library.AsyncByteStream), {})


class _Replayed:
    """The bytes of a replayed response, each when it is due."""

    def __init__(  # noqa: PLR0913 - what an answer is made of
        self,
        response: Response,
        pieces: Iterator[bytes],
        pacer: Pacer | None,
        library: Any,
        name: str,
        *,
        end: Callable[[], None] | None,
    ) -> None:
        self._recorded = response
        self._on_close = end
        self._pieces = pieces
        self._pacer = pacer
        self._library = library
        self._name = name
        self._count = len(response.pieces) or len(response.chunks) or 1
        self._is_closed = self._is_complete = self._is_passed_over = False
        is_timed = response.left is not None and len(response.offsets) == len(response.chunks)
        self._leaving_pacer = pacer if is_timed else None

    def attach(self, response: Any) -> None:
        self._response = weakref.ref(response)

    def pass_over(self) -> None:
        """Count as read to the end: somebody has given out the chunks without their bytes."""
        self._is_passed_over = True

    def read_at_once(self) -> bytes | None:
        """Return all the bytes of an answer that is whole and has nothing to wait for; `None` of any other."""
        recorded = self._recorded
        if self._pacer or recorded.end or recorded.rest or recorded.failure or recorded.binary:
            return None
        self._is_complete = True
        return b"".join(self._pieces)

    def __iter__(self) -> Iterator[bytes]:
        for index, piece in enumerate(self._pieces):
            if self._pacer and index < self._count:
                self._pacer.wait(index)
            self._check()
            yield piece
        if self._leaving_pacer:
            self._leaving_pacer.wait(len(self._recorded.chunks))
        yield from self._end()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        await self._read_ahead()
        for index, piece in enumerate(self._pieces):
            await (self._pacer.wait_async(index) if self._pacer and index < self._count else give_turn())
            self._check()
            yield piece
            await self._read_ahead()
        if self._leaving_pacer:
            await self._leaving_pacer.wait_async(len(self._recorded.chunks))
        for piece in self._end():
            yield piece

    async def _read_ahead(self) -> None:
        if isinstance(self._pieces, FilePieces):
            await self._pieces.read_async()

    def _check(self) -> None:
        if self._is_closed:
            response = self._response()
            raise self._library.ReadError("the stream was closed", request=response and response.request)

    def _end(self) -> Iterator[bytes]:
        recorded = self._recorded
        self._is_complete = True
        if recorded.rest:
            yield recorded.rest
        if recorded.end == "closed":
            self._check()  # a program that closes the stream here as well gets the error that it got live
            raise incomplete(recorded, self._name)
        if recorded.failure:
            response = self._response()
            raise_failure(recorded.failure, self._library, response and response.request)
        if recorded.is_stream and recorded.sentinel:
            yield SENTINEL

    def close(self) -> None:
        self._is_closed = True
        if isinstance(self._pieces, FilePieces):
            self._pieces.close()
        if self._on_close is not None:
            self._on_close()
        response = self._response()
        if response is not None:
            response.elapsed = datetime.timedelta(seconds=elapsed(self._recorded))
            downloaded = self._recorded.downloaded
            if self._is_passed_over and downloaded is None:
                downloaded = content_length(self._recorded)
            if downloaded is not None and (self._is_complete or self._is_passed_over):
                response._num_bytes_downloaded = downloaded  # noqa: SLF001 - nothing public sets it

    async def aclose(self) -> None:
        self.close()


def elapsed(response: Response) -> float:
    """Return the recorded seconds from the start of the call to its last byte, as far as they are known."""
    return response.elapsed or (response.offsets[-1] if response.offsets else 0.0)


def incomplete(response: Response, name: str) -> IncompleteRecording:
    """Make the error for a program that reads further than its recording goes."""
    if response.is_unanswered:
        message = (
            f"{visible(name)} holds no answer: the program left the call after {response.left or 0:.3f} s, before one "
            'came, and waits for it now. Record it again (mode="record-if-missing" does), waiting for the answer.'
        )
        return IncompleteRecording(message, path=name)
    count = len(response.chunks)
    length = len(response.rest) if response.binary is None else response.binary.length
    kept = f"{count} chunks" if count else f"{length} bytes"
    message = (
        f"{visible(name)} ends after {kept}: the program stopped reading there while it was recorded. "
        'Record it again (mode="record-if-missing" does), reading to the end.'
    )
    return IncompleteRecording(message, path=name, chunks=count)
