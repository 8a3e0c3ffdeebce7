"""The fast path below `create`: from the SDK's options of any call to its answer, without an HTTP request.

It covers what `create` does not: other endpoints, and methods that were captured before they were patched.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, get_args, get_origin

from inferencereplay.errors import InvalidSetting, StoreError
from inferencereplay.recording.request import NotSerializable
from inferencereplay.sdk import private
from inferencereplay.sdk.answers import OK, BytesWay, Way, bytes_way
from inferencereplay.sdk.fast_replay import Choice, Endpoint, may_replay
from inferencereplay.sdk.model_builder import AnyModelBuilder, EventBuilder

if TYPE_CHECKING:
    from collections.abc import Callable

    from inferencereplay.recording.format import Response
    from inferencereplay.session.session import Session

_MODES = ("true", "stream", None)


class ParsedWay(Way):
    """How a caller wants an answer that its own parser reads, as of a call of `parse`."""

    __slots__ = ()

    def answer(self, session: Session, client: Any, choice: Choice, read_options: Callable[[], Any]) -> Any:
        """Return what the parser makes of the SDK's object.

        Raises:
            APIStatusError: if a status is recorded that the SDK raises it for.
            Exception: whatever the parser raises.
        """
        recorded = choice.play.recording.response
        if recorded.status != OK:
            return super().answer(session, client, choice, read_options)
        made = private.parser(read_options())(self.endpoint.build_model(bytes(recorded.body)))
        if isinstance(made, private.BaseModel):
            private.set_request_id(made, recorded.headers)
        return made


class Found(NamedTuple):
    """The recording that answers a call of `request`.

    Attributes:
        choice: the recording.
        way: how the caller wants it.
        read_options: returns the SDK's options of the call.
    """

    choice: Choice
    way: Way | BytesWay
    read_options: Callable[[], Any]

    @property
    def recorded(self) -> Response:
        """The recorded answer."""
        return self.choice.play.recording.response

    @property
    def is_due_at_once(self) -> bool:
        """Whether the whole answer is read before the caller gets it."""
        return self.way.is_due_at_once(self.choice.play)

    async def read_async(self) -> None:
        """Read what is to be read of the answer without blocking the event loop; errors are those of `answer`."""
        await self.way.read_async(self.choice)

    def answer(self, session: Session, client: Any) -> Any:
        """Return what the SDK returns.

        Raises:
            APIStatusError: if a status is recorded that the SDK raises it for.
            Exception: whatever the call's own parser raises.
            RecordingCorrupt: if the side file of an answer that is bytes is gone, torn, or another one.
        """
        return self.way.answer(session, client, self.choice, self.read_options)


def choose(  # noqa: PLR0913 - the arguments of `request`, in any of its versions
    session: Session,
    client: Any,
    cast_to: Any,
    options: Any,
    *,
    stream: bool = False,
    stream_cls: Any = None,
    read_options: Callable[[], Any] | None = None,
    **_: Any,
) -> Found | None:
    """Choose the recording that answers a call of `request`, or `None` if the call is not for the fast path.

    Args:
        session: answers.
        client: whose call it is.
        cast_to: the type of the answer.
        options: the SDK's, or `private.PostOptions`.
        stream: whether the call asks for a stream.
        stream_cls: the class of the stream.
        read_options: returns the SDK's options, if the others are not.

    Raises:
        RecordingCorrupt: if the file that should answer cannot be used.
        RecordingNotFound: for a request that was not recorded, in `replay`.
    """
    if not may_replay(session, client) or not private.sends_json(options):
        return None
    way: Way | BytesWay | None
    if private.returns_bytes(cast_to):
        way = bytes_way(cast_to, private.mode_of(options))
    else:
        way = _way(cast_to, options, stream_cls, is_stream=stream)
    choice = None if way is None else _choose(session, client, options, way.covers)
    return None if way is None or choice is None else Found(choice, way, read_options or (lambda: options))


def choose_posted(session: Session, client: Any, path: str, arguments: dict[str, Any]) -> Found | None:
    """Choose the recording that answers a call of `post`, as `choose` does."""
    return choose(
        session,
        client,
        arguments["cast_to"],
        private.PostOptions(path, arguments),
        stream=bool(arguments.get("stream")),
        stream_cls=arguments.get("stream_cls"),
        read_options=functools.partial(private.posted_options, client, path, arguments),
    )


def _choose(session: Session, client: Any, options: Any, covers: Callable[[Response], bool]) -> Choice | None:
    try:
        request = private.read_plain_request(client, options)
    except Exception:  # noqa: BLE001 - the SDK path meets it again, and handles it
        return None
    try:
        play = session.hit(request, covers)
        if play is None:
            call = session.call(request, functools.partial(private.secrets, client, options))
            play = session.play(call, covers)
            if play is None and not private.is_asked(options):
                session.refuse_unrecorded(call)
    except (InvalidSetting, NotSerializable, StoreError):  # the SDK path handles it, and raises the error
        return None
    return None if play is None else Choice(play, request)


def _way(cast_to: Any, options: Any, stream_cls: Any, *, is_stream: bool) -> Way | None:
    """Return how the caller wants the answer, if the fast path can give it so."""
    mode, parser = private.mode_of(options), private.parser(options)
    if mode not in _MODES or not isinstance(cast_to, type):  # a class of the call's own for its raw response, or none
        return None
    if is_stream and (parser is not None or not private.has_plain_events(options)):
        return None
    return _known_way(cast_to, stream_cls if is_stream else None, mode, is_stream, parser is None)


@functools.lru_cache(1_000)
def _known_way(
    cast_to: Any,
    stream_cls: Any,
    mode: str | None,
    is_stream: bool,  # noqa: FBT001 - a name of an argument makes the cache slower
    is_parsed: bool,  # noqa: FBT001 - the same
) -> Way | None:
    endpoint = _endpoint(cast_to, stream_cls)
    if endpoint is None or (is_stream and endpoint.build_chunk is None):
        return None
    kind = Way if is_parsed or mode is not None else ParsedWay
    return kind(endpoint, mode, is_stream=is_stream, is_parsed=is_parsed)


@functools.lru_cache(256)
def _endpoint(cast_to: Any, stream_cls: Any) -> Endpoint | None:
    """Return what builds the answers of a type, and the events of a stream's; `None` of a type that is no model."""
    if not private.is_model(cast_to):
        return None
    build = AnyModelBuilder(cast_to)
    (chunk,) = get_args(stream_cls) or (None,)
    if private.is_model(chunk):
        return Endpoint("", _nothing, build, chunk=chunk, build_chunk=AnyModelBuilder(chunk), stream=stream_cls)
    if get_origin(chunk) is Annotated:
        events = EventBuilder(chunk)
        return Endpoint("", _nothing, build, chunk=chunk, build_chunk=events, stream=stream_cls, events="response.")
    return Endpoint("", _nothing, build, stream=stream_cls)


def _nothing() -> None:
    """Stand for a `create` method: the arguments have been read already."""
