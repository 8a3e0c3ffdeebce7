"""The fast path: from a recording to the SDK's objects, without an HTTP request, a response or server-sent events.

It covers `create`. A call that it does not cover takes the SDK path, and for every request both paths give the same key
and equal objects.
"""

from __future__ import annotations

import functools
import inspect
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from inferencereplay.errors import InvalidSetting, StoreError
from inferencereplay.pacing.event_loop import give_turn
from inferencereplay.recording.request import NotSerializable, Request, canonical_json
from inferencereplay.sdk import private
from inferencereplay.sdk.content import excessive_spaces
from inferencereplay.session.decision import Play

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Mapping

    from inferencereplay.pacing.pacer import Pacer
    from inferencereplay.recording.format import Response
    from inferencereplay.sdk.model_builder import EventBuilder, ModelBuilder
    from inferencereplay.session.session import Session

_OK = 200
_TOGETHER = 20
"""Chunks that are searched at once."""
_UNSET = frozenset(private.UNSET)


class Sending:
    """What one `create` method sends.

    Args:
        path: relative to the base URL.
        create: the SDK's method; only arguments that it knows are covered.
        adds: members of the body that the SDK adds by itself.
    """

    def __init__(self, path: str, create: Callable[..., Any], adds: Mapping[str, Any] = MappingProxyType({})) -> None:
        parameters = {name: known for name, known in inspect.signature(create).parameters.items() if name != "self"}
        self.path = path
        self.names = frozenset(parameters)
        self.needs = frozenset(name for name, known in parameters.items() if known.default is inspect.Parameter.empty)
        self.adds = adds


class Endpoint(Sending):
    """What one `create` method sends and returns.

    Args:
        path: see `Sending`, as `create` and `adds`.
        create: as above.
        build_model: makes a plain answer of its JSON, an object of its class.
        chunk: the type of a stream's chunk.
        build_chunk: makes a chunk of its JSON.
        stream: `openai.Stream[…]` or `openai.AsyncStream[…]` of such chunks; `None` where there are no streams.
        events: the prefix of the names of a stream's events; `None` where they have no names.
        covers: returns whether `build_model` can build a plain answer of its JSON.
        adds: as above.
    """

    def __init__(  # noqa: PLR0913 - what endpoints differ in
        self,
        path: str,
        create: Callable[..., Any],
        build_model: ModelBuilder,
        *,
        chunk: Any = None,
        build_chunk: ModelBuilder | EventBuilder | None = None,
        stream: Any = None,
        events: str | None = None,
        covers: Callable[[bytes], bool] | None = None,
        adds: Mapping[str, Any] = MappingProxyType({}),
    ) -> None:
        super().__init__(path, create, adds)
        self.model = build_model.cls
        self.build_model = build_model
        self.chunk = chunk
        self.build_chunk = build_chunk and build_chunk.__call__  # a bound method is called faster than an object
        self.stream = stream
        self.events = events
        self.covers = covers

    def covers_plain(self, response: Response) -> bool:
        """Whether the fast path can give out a plain answer."""
        if response.status != _OK or response.end:
            return False
        body = bytes(response.body)
        if body[:1] != b"{" or (response.indent > 0 and excessive_spaces(response)):
            return False
        return self.covers is None or self.covers(body)

    def covers_stream(self, response: Response) -> bool:
        """Whether the fast path can give out a stream."""
        if response.status != _OK or response.end != "done" or response.verbatim or response.rest or response.redirects:
            return False
        return _are_plain(response.events, self) and not any(map(_raises, _suspects(response.chunks)))


class Choice(msgspec.Struct):  # which is made faster than a NamedTuple
    """What answers a call of `create`.

    Attributes:
        play: the session's decision.
        request: what the SDK would send, with nothing redacted.
    """

    play: Play
    request: Request


def choose(
    session: Session,
    client: Any,
    endpoint: Sending,
    arguments: dict[str, Any],
    covers: Callable[[Response], bool],
) -> Choice | None:
    """Choose the recording that answers a call of `create`, or `None` if the call is not for the fast path.

    Raises:
        RecordingCorrupt: if the file that should answer cannot be used.
        RecordingNotFound: for a request that was not recorded, in `replay`.
    """
    if not may_replay(session, client) or not endpoint.names.issuperset(arguments):
        return None
    if arguments.get("extra_query") is not None:
        return None
    try:
        sent = read_body(arguments, endpoint.adds)
        body = canonical_json(sent, private.convert)
        query = private.read_query(client) if client.default_query else {}
        request = Request("POST", endpoint.path, body, query)
        play = session.hit(request, covers)
        if play is None:
            call = session.call(request, functools.partial(private.secrets, client))
            play = session.play(call, covers)
            if play is None and _may_send(endpoint, arguments) and canonical_json(sent) == body:
                session.refuse_unrecorded(call)  # what the SDK refuses, or sends in another form, is left to it
    except (InvalidSetting, NotSerializable, StoreError):  # the SDK path handles it, and raises the error
        return None
    return None if play is None else Choice(play, request)


def _may_send(endpoint: Sending, arguments: Mapping[str, Any]) -> bool:
    """Whether the SDK takes arguments for those of a request, of which no header holds a secret."""
    return endpoint.needs <= arguments.keys() and private.are_modes(arguments.get("extra_headers"))


def may_replay(session: Session, client: Any) -> bool:
    """Whether the fast path may answer calls of a client."""
    if not session.is_fast or private.checks_strictly(client):
        return False
    return not any(private.event_hooks(client).values())  # they run where there is a request


def read_body(arguments: Mapping[str, Any], adds: Mapping[str, Any] = MappingProxyType({})) -> Mapping[str, Any]:
    """Return the body that the SDK makes of keyword arguments, and of what it adds; it is not to be changed."""
    if not adds and private.NOT_BODY.isdisjoint(arguments) and _UNSET.isdisjoint(map(type, arguments.values())):
        return arguments
    body = {
        name: value
        for name, value in arguments.items()
        if name not in private.NOT_BODY and not isinstance(value, private.UNSET)
    }
    if adds:
        body = {**adds, **body}
    extra = arguments.get("extra_body")
    return body if extra is None else {**body, **extra}


def _are_plain(names: list[str | None], endpoint: Endpoint) -> bool:
    """Whether the SDK gives out events of these names by their data alone."""
    prefix = endpoint.events
    return all(name is None or (prefix is not None and name.startswith(prefix)) for name in names)


def _suspects(chunks: list[msgspec.Raw]) -> Iterator[msgspec.Raw]:
    """Yield the chunks that may hold a member `error`; no server spells one with escapes, but one could.

    They are joined to few texts, which are searched faster than many, and none of which is a copy of them all.
    """
    for start in range(0, len(chunks), _TOGETHER):
        together = chunks[start : start + _TOGETHER]
        if _may_hold_error(b"\n".join(together)):
            yield from together


def _may_hold_error(chunks: bytes) -> bool:
    if b'"error"' in chunks:
        return True
    return b"\\" in chunks and (b"\\u006" in chunks or b"\\u007" in chunks)  # one byte is found ten times as fast


class _Event(msgspec.Struct):
    error: msgspec.Raw = msgspec.Raw(b"null")


_read_event = msgspec.json.Decoder(_Event).decode
_FALSE = frozenset((b"null", b"false", b'""', b"0", b"[]", b"{}"))


def _raises(chunk: bytes) -> bool:
    """Whether the SDK may raise the member `error` of an event, which it does for one that is true."""
    try:
        return bytes(_read_event(chunk).error) not in _FALSE
    except msgspec.DecodeError:  # no object
        return False


def model(endpoint: Endpoint, play: Play) -> Any:
    """Build the object of a plain answer."""
    response = play.recording.response
    built = endpoint.build_model(bytes(response.body))
    private.set_request_id(built, response.headers)
    return built


class Chunks(NamedTuple):
    """The chunks of a stream, and how they are replayed.

    Attributes:
        raws: the JSON of each.
        build: makes a chunk of its JSON.
        pacer: sets the time of each; `None` if they do not wait.
        response: the stream's HTTP response; it is closed at the end, as a live one is.
        library: `httpx2` or `httpx`.
    """

    raws: list[msgspec.Raw]
    build: Any
    pacer: Pacer | None
    response: Any
    library: Any


def iterate_sync(unread: Iterator[Any], chunks: Chunks) -> Iterator[Any]:
    """Yield the chunks when they are due.

    Args:
        unread: the SDK's own iterator over the response, for one that was closed before it was read.
        chunks: the chunks.

    Raises:
        Exception: if the program closes the response meanwhile; as live, an error of the HTTP library or the SDK.
    """
    raws, build, pacer, response, library = chunks
    if response.is_closed or response.is_stream_consumed:  # or read by the program, which the SDK's iterator tells
        yield from unread
        return
    response.is_stream_consumed, played = True, response.stream
    try:
        for index, raw in enumerate(map(bytes, raws)):
            if pacer:
                pacer.wait(index)
            if response.is_closed:
                raise private.close_error(response, library)
            yield build(raw)
        played.pass_over()
    finally:
        response.close()


class AsyncIteration:
    """Yields the chunks when they are due, in async code.

    It is no generator: trio warns of one that is dropped half-read.

    Args:
        unread: the SDK's own iterator over the response, for one that was closed before it was read.
        chunks: the chunks.
    """

    def __init__(self, unread: AsyncIterator[Any], chunks: Chunks) -> None:
        self._unread = unread
        raws, self._build, self._pacer, self._response, self._library = chunks
        self._played = self._response.stream
        self._raws = enumerate(raws)
        self._is_begun = False

    def __aiter__(self) -> AsyncIteration:
        return self

    async def __anext__(self) -> Any:
        if not self._is_begun:
            if self._response.is_closed or self._response.is_stream_consumed:
                return await self._unread.__anext__()
            self._is_begun = self._response.is_stream_consumed = True
        for index, raw in self._raws:
            try:
                await (self._pacer.wait_async(index) if self._pacer else give_turn())
            except BaseException:  # a cancelled `anext` ends the stream, as live
                self._raws = enumerate(())
                raise
            if self._response.is_closed:
                self._raws = enumerate(())
                raise private.close_error(self._response, self._library)
            return self._build(bytes(raw))
        if not self._response.is_closed:
            self._played.pass_over()
            await self._response.aclose()
        raise StopAsyncIteration

    async def aclose(self) -> None:
        """Close the response, as the SDK's own iterator does."""
        await self._response.aclose()
