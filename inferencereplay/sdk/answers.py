"""What the SDK makes of a recorded answer, made without the SDK: models, streams, raw responses, errors.

The HTTP objects behind them are made when somebody looks at them.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, NamedTuple

from inferencereplay.sdk import fast_replay, private, steps
from inferencereplay.sdk.content import excessive_spaces
from inferencereplay.sdk.fast_replay import AsyncIteration, Chunks, iterate_sync
from inferencereplay.sdk.http_replay import build_headers, build_late, build_response
from inferencereplay.sdk.late import late

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import NoReturn

    from inferencereplay.pacing.pacer import Pacer
    from inferencereplay.recording.format import Response
    from inferencereplay.recording.request import Request
    from inferencereplay.sdk.fast_replay import Choice, Endpoint
    from inferencereplay.session.decision import Play
    from inferencereplay.session.session import Session

OK = 200
SHORT = 64 * 1024
"""Bytes of a content that is read sooner than a thread has begun."""
PLAINLY = (None, False)
"""How a caller asks for neither a raw response nor a stream."""
_ERRORS = range(300, 1000)
"""The statuses that the SDK raises an error for; one of a redirect that leads nowhere is among them."""


class Way(NamedTuple):
    """How a caller wants the answer of an endpoint.

    Attributes:
        endpoint: builds the models.
        mode: how it asks for a raw response: `"true"` for one that is read, `"stream"` for one that is not, or `None`.
        is_stream: whether it asks for a stream.
        is_parsed: whether a raw response that is read holds its model from the beginning; otherwise the SDK parses it.
    """

    endpoint: Endpoint
    mode: str | None
    is_stream: bool
    is_parsed: bool = True

    def covers(self, response: Response) -> bool:
        """Whether the caller can be given an answer without the SDK path."""
        if response.status != OK:
            return _is_error(response)
        if self.is_stream:
            return self.endpoint.covers_stream(response)
        if self.mode == "stream":
            return _is_plain(response)
        return self.endpoint.covers_plain(response) and (self.mode is None or not response.redirects)

    def is_due_at_once(self, play: Play) -> bool:
        """Whether the whole answer is read before the caller gets it."""
        return play.recording.response.status != OK or not (self.is_stream or self.mode == "stream")

    async def read_async(self, choice: Choice) -> None:
        """Read nothing: the whole answer is in the recording."""

    def answer(self, session: Session, client: Any, choice: Choice, read_options: Callable[[], Any]) -> Any:
        """Return what the SDK returns.

        Args:
            session: sets the pace.
            client: whose call it is.
            choice: the recording, and the request that it answers.
            read_options: returns the SDK's options of the call, as far as they can still be had.

        Raises:
            APIStatusError: if a status is recorded that the SDK raises it for.
        """
        play = choice.play
        is_ok = play.recording.response.status == OK
        if is_ok and self.mode is None and not self.is_stream:
            return fast_replay.model(self.endpoint, play)
        answer = _Answer(play, session, client, choice.request, read_options)
        if not is_ok:
            return answer.raise_error()
        return answer.stream(self.endpoint) if self.mode is None else answer.raw(self)


def ways_of(endpoint: Endpoint) -> dict[tuple[str | None, bool], Way]:
    """Return the ways in which an endpoint may be asked, by how it is asked for a raw response and for a stream."""
    ways = {(mode, False): Way(endpoint, mode, is_stream=False) for mode in (None, "true", "stream")}
    if endpoint.stream is not None:
        ways |= {(mode, True): Way(endpoint, mode, is_stream=True) for mode in (None, "true", "stream")}
    return ways


def way_of(ways: Mapping[tuple[str | None, bool], Way], arguments: Mapping[str, Any]) -> Way | None:
    """Return the way in which arguments of `create` ask; `None` if it is none of these."""
    headers, stream = arguments.get("extra_headers"), arguments.get("stream")
    if not headers and not stream:
        return ways[PLAINLY]
    return ways.get((private.asked_mode(headers) if headers else None, bool(stream)))


class BytesWay:
    """How a caller wants an answer that is bytes, for one call; see `Way`.

    Args:
        cast_to: the SDK's class of such answers, which it makes of an HTTP response.
        mode: `"true"` or `None`, as in `Way`.
    """

    def __init__(self, cast_to: Any, mode: str | None) -> None:
        self._cast_to = cast_to
        self._mode = mode
        self._content: bytes | None = None

    def covers(self, response: Response) -> bool:
        """Whether the caller can be given an answer without the SDK path."""
        return response.status == OK and response.binary is not None and _is_plain(response)

    def is_due_at_once(self, play: Play) -> bool:  # noqa: ARG002 - as `Way` has it
        """Whether the whole answer is read before the caller gets it."""
        return True

    async def read_async(self, choice: Choice) -> None:
        """Read the content without blocking the event loop; errors are those of `answer`."""
        side = choice.play.recording.response.binary
        is_short = side is not None and side.length <= SHORT
        await steps.read_async(functools.partial(self._read, choice), is_short=is_short)

    def answer(self, session: Session, client: Any, choice: Choice, read_options: Callable[[], Any]) -> Any:
        """Return what the SDK returns; see `Way.answer`.

        Raises:
            RecordingCorrupt: if the side file is gone, torn, or another one.
        """
        content = self._read(choice)
        choice.play.end()
        answer = _Answer(choice.play, session, client, choice.request, read_options)
        response = answer.late_response(content)
        return answer.raw_of(response, self._cast_to) if self._mode else self._cast_to(response)

    def _read(self, choice: Choice) -> bytes:
        if self._content is None:
            side = choice.play.recording.response.binary
            assert side is not None  # noqa: S101 - for the type checker
            self._content = side.read()
        return self._content


def bytes_way(cast_to: Any, mode: Any) -> BytesWay | None:
    """Return how a caller wants an answer that is bytes, if the fast path can give it so."""
    return BytesWay(cast_to, mode) if mode in (None, "true") else None


def _is_plain(response: Response) -> bool:
    """Whether the SDK can be given an answer without the redirects and failures that belong to a connection."""
    return not (response.is_stream or response.failure or response.redirects or excessive_spaces(response))


def _is_error(response: Response) -> bool:
    return response.status in _ERRORS and _is_plain(response)


class _Answer(NamedTuple):
    """A recording, and the call that it answers.

    Attributes:
        play: the session's decision.
        session: sets the pace.
        client: whose call it is.
        request: what the SDK would send, with nothing redacted.
        read_options: returns the SDK's options of the call, as far as they can still be had.
    """

    play: Play
    session: Session
    client: Any
    request: Request
    read_options: Callable[[], Any]

    def raise_error(self) -> NoReturn:
        """Raise the SDK's error.

        Raises:
            APIStatusError: of the class that belongs to the status.
        """
        response = self.read_response()
        try:
            response.raise_for_status()
        except private.http_library(self.client).HTTPStatusError:
            raise private.status_error(self.client, response) from None
        raise AssertionError(response)  # pragma: no cover - it raises for each of `_ERRORS`

    def raw(self, way: Way) -> Any:
        """Return the SDK's raw response."""
        endpoint, recorded = way.endpoint, self.play.recording.response
        parsed: Any = None
        if way.is_stream:
            parsed = self.stream(endpoint)
            response = parsed.response
        elif way.mode == "stream":
            response = self._unread(self.session.pacer(recorded), build_late)
        else:
            response = self.late_response()
            parsed = fast_replay.model(endpoint, self.play) if way.is_parsed else None
        return private.raw_response(
            way.mode,
            parsed,
            raw=response,
            client=self.client,
            cast_to=endpoint.model,
            stream=way.is_stream,
            stream_cls=endpoint.stream,
            options=private.LateOptions(self.options),
            retries_taken=recorded.retries,
        )

    def raw_of(self, response: Any, cast_to: Any) -> Any:
        """Return the SDK's raw response around one whose content was read, and is bytes."""
        return private.raw_response(
            "true",
            cast_to(response),
            raw=response,
            client=self.client,
            cast_to=cast_to,
            stream=False,
            stream_cls=None,
            options=private.LateOptions(self.options),
            retries_taken=self.play.recording.response.retries,
        )

    def options(self) -> Any:
        """Return the SDK's options, as they were when the call was made."""
        return private.unchanged_options(self.client, self.request, self.read_options)

    def stream(self, endpoint: Endpoint) -> Any:
        """Build the SDK's stream, over an HTTP response that is made only if the program looks at it."""
        recorded = self.play.recording.response
        pacer = self.session.pacer(recorded)
        response = self._unread(pacer, build_late)
        options = private.LateOptions(self.options)
        stream = private.build_stream(endpoint.stream, endpoint.chunk, response, self.client, options)
        library = private.http_library(self.client)
        chunks = Chunks(recorded.chunks, endpoint.build_chunk, pacer, response, library)
        iterate = AsyncIteration if private.is_async(self.client) else iterate_sync
        stream._iterator = iterate(stream._iterator, chunks)  # noqa: SLF001
        return stream

    def late_response(self, content: bytes | None = None) -> Any:
        """Return the HTTP response, as it is when it was read; its content, if that is no part of the recording."""
        library = private.http_library(self.client)
        parts: dict[str, Any] = {"headers": functools.partial(build_headers, self.play.recording.response, library)}
        if content is not None:
            parts[private.HELD_CONTENT] = lambda: content
        return late(library.Response, functools.partial(self.read_response, content), **parts)

    def read_response(self, content: bytes | None = None) -> Any:
        """Build the HTTP response, and read it."""
        response = self._unread(None, functools.partial(build_response, content=content))
        response.read()
        return response

    def _unread(self, pacer: Pacer | None, build: Callable[..., Any]) -> Any:
        """Return the HTTP response before it is read."""
        library = private.http_library(self.client)
        play, request = self.play, self._late_request(library)
        return build(play.recording.response, library, request, pacer, play.name, end=play.end)

    def _late_request(self, library: Any) -> Any:
        """Return the HTTP request that the SDK would have sent."""
        return late(library.Request, self._request, **private.request_parts(self.client, self.request))

    def _request(self) -> Any:
        return private.http_request(self.client, self.options(), self.play.recording.response.retries)
