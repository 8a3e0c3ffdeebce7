"""One call of `request`, through which every call of the SDK passes: replayed, recorded, refused or let through.

A call is one flow for sync and async clients. It asks the session for a decision and carries it out.
"""

from __future__ import annotations

import functools
import logging
from typing import TYPE_CHECKING, Any, NamedTuple

import openai

from inferencereplay.errors import InferenceReplayError, InvalidSetting, StoreError
from inferencereplay.pacing.clocks import SYSTEM_CLOCK
from inferencereplay.recording.control_characters import visible
from inferencereplay.recording.format import Failure, Response
from inferencereplay.recording.request import NotSerializable, Request
from inferencereplay.sdk import private
from inferencereplay.sdk.capture import ResponseCapture, plain_response, record_stream, start_of
from inferencereplay.sdk.failures import failure_of, is_known
from inferencereplay.sdk.http_exchange import HttpExchange
from inferencereplay.sdk.http_replay import incomplete
from inferencereplay.sdk.sending import counted
from inferencereplay.sdk.steps import TURN, Step, in_thread, pause, send, work
from inferencereplay.sdk.steps import decide as asks
from inferencereplay.sdk.uploads import ReadBody, read_body
from inferencereplay.session import garbage
from inferencereplay.session.call import Call
from inferencereplay.session.decision import Decision, LetThrough, Play, Wait
from inferencereplay.session.run_coordinator import PATIENCE, PAUSE
from inferencereplay.session.settings import Mode

if TYPE_CHECKING:
    from collections.abc import Callable

    from inferencereplay.pacing.pacer import Pacer
    from inferencereplay.sdk.steps import Flow
    from inferencereplay.session.recorder import PendingRecording
    from inferencereplay.session.session import Session

log = logging.getLogger("inferencereplay")


class ClientCall(Call, kw_only=True):
    """A call of a client's `request`, with how the caller wants the answer.

    Attributes:
        client: whose `request` is called.
        options: the SDK's request options.
        cast_to: the type of the answer.
        stream: whether the caller wants a stream.
        stream_cls: the type of the stream.
        rest: further arguments of some versions of the SDK.
    """

    client: Any
    options: Any
    cast_to: Any
    stream: bool
    stream_cls: Any
    rest: dict[str, Any]

    @property
    def is_unread(self) -> bool:
        """Whether the caller reads the response itself."""
        return self.stream or private.raw_mode(self.options) == "stream"


def read_call(  # noqa: PLR0913 - the arguments of `request`, in any of its versions
    session: Session,
    client: Any,
    cast_to: Any,
    options: Any,
    *,
    stream: bool = False,
    stream_cls: Any = None,
    **rest: Any,
) -> ClientCall:
    """Read a call without its body, which `decide` reads: only the method and the path."""
    return ClientCall(
        Request(options.method.upper(), options.url, b"null"),
        session.redactor,
        functools.partial(private.secrets, client, options),
        functools.partial(private.origin, client),
        client=client,
        options=options,
        cast_to=cast_to,
        stream=stream,
        stream_cls=stream_cls,
        rest=rest,
    )


def answer(session: Session, call: ClientCall, request: Callable[..., Any]) -> Flow:
    """Answer a call.

    Args:
        session: decides what happens to the call.
        call: the call.
        request: the SDK's own method, bound to the client.

    Raises:
        RecordingNotFound: for a request that was not recorded, in `replay`.
        RecordingCorrupt: if the file that should answer cannot be used.
    """
    decision = yield from decide(session, call)
    return (yield from carry_out(session, call, decision, request))


def carry_out(session: Session, call: ClientCall, decision: Any, request: Callable[..., Any], retries: int = 0) -> Flow:
    """Carry out what the session has decided.

    Args:
        session: which decided.
        call: the call.
        decision: what `decide` returned.
        request: the SDK's own method, bound to the client.
        retries: how often the SDK has tried again before.
    """
    if isinstance(decision, LetThrough):
        options = {"stream": call.stream, "stream_cls": call.stream_cls, **call.rest}
        sent = send(request, call.cast_to, call.options, **options)
        return (yield counted(sent, decision.noted, is_whole=True))
    if isinstance(decision, Play):
        held = yield from hold(session, call, decision)
        return (yield from play(session, call, held, session.pacer(held.recorded), retries))
    return (yield from _record(call, decision, request))


def decide(session: Session, call: ClientCall) -> Flow:
    """Return the session's decision once it need not wait."""
    if garbage.has_noted() and session.mode is not Mode.REPLAY:
        yield work(garbage.run_noted)
    try:
        if private.sends_json(call.options):
            request = private.read_request(call.client, call.options)
        else:
            held: list[ReadBody] = []
            yield work(functools.partial(_read_body, session, call, held))
            request, call.options, call.uploads = held[0]
        session.read(call, request)
    except Exception as error:  # noqa: BLE001 - a failing recorder never breaks what it records
        return let_through(session, call, error)
    return (yield from ask(session, call, session.decide))


def ask(session: Session, call: Call, choose: Callable[..., Decision]) -> Flow:
    """Return the session's decision for a call that was read, once it need not wait.

    Args:
        session: whose mode counts for what fails.
        call: the call.
        choose: the method of the session that decides.
    """
    deadline = SYSTEM_CLOCK.now() + PATIENCE
    try:
        while True:
            takes_over = SYSTEM_CLOCK.now() > deadline
            decision = yield asks(functools.partial(choose, call, takes_over=takes_over))
            if not isinstance(decision, Wait):
                return decision
            yield pause(PAUSE)
    except InferenceReplayError as error:
        if not isinstance(error, (StoreError, InvalidSetting)):
            raise
        return let_through(session, call, error)
    except Exception as error:  # noqa: BLE001 - a failing recorder never breaks what it records
        return let_through(session, call, error)


def _read_body(session: Session, call: ClientCall, held: list[ReadBody]) -> None:
    keeps = session.keeps_uploads and session.mode is not Mode.REPLAY
    held.append(read_body(call.client, call.options, keeps=keeps))


def let_through(session: Session, call: Call, error: Exception) -> LetThrough:
    """Log why a call goes to the network unrecorded; in `replay`, raise the error instead."""
    if session.mode is not Mode.REPLAY:
        # An encoder's error holds the whole text that it could not encode, which `repr` would show.
        shown = str(error) if isinstance(error, StoreError) else f"{type(error).__name__}: {error}"
        log.warning("%s was not recorded: %s", call.line, visible(call.redactor.text(shown)))
    elif isinstance(error, NotSerializable):
        raise session.refuse(call, str(error)) from error
    else:
        raise error
    return session.pass_on(call)


# Playing.


def _nothing() -> None:
    """End an answer that nobody waits for."""


class Answer(NamedTuple):
    """What answers a call.

    Attributes:
        recorded: the answer.
        name: the file, for messages.
        end: is called when the answer is complete, or has failed; by default nothing happens then.
    """

    recorded: Response
    name: str
    end: Callable[[], None] = _nothing


def hold(session: Session, call: ClientCall, decision: Play) -> Flow:
    """Return the answer of a decision; one by hand is stored if it is to be."""
    if decision.stub is not None and decision.stub.saves:
        yield work(functools.partial(session.save, call, decision))
    return Answer(decision.recording.response, decision.name, decision.end)


def play(session: Session, call: ClientCall, answer: Answer, pacer: Pacer | None, retries: int = 0) -> Flow:
    """Give the SDK the HTTP response of a recording, or raise the error of a connection that failed.

    Args:
        session: whose clock counts.
        call: the call.
        answer: what answers.
        pacer: sets the time of each chunk.
        retries: how often the SDK has tried again before, without the recorded retries.
    """
    try:
        return (yield from _play(session, call, answer, pacer, retries))
    except BaseException:
        answer.end()
        raise


def _play(session: Session, call: ClientCall, answer: Answer, pacer: Pacer | None, retries: int) -> Flow:
    recorded, name, end = answer
    if recorded.binary is not None:
        yield work(recorded.binary.check)
    if recorded.is_unanswered:
        yield sleep(session, session.patience(recorded))
        raise incomplete(recorded, name)
    retries += recorded.retries
    library = private.http_library(call.client)
    request = private.http_request(call.client, call.options, retries)
    is_read_late = call.is_unread and _is_success(recorded.status)  # the SDK reads errors itself
    if pacer and not is_read_late:  # the response is complete when its last byte is due
        yield Step(functools.partial(pacer.wait, -1), functools.partial(pacer.wait_async, -1))
    elif not is_read_late:
        yield TURN
    hooks = private.event_hooks(call.client)
    exchange = HttpExchange(recorded, library, request, pacer if is_read_late else None, name, hooks, end)
    with private.mapped_errors(request):
        response = yield Step(exchange.send, exchange.send_async)
        if not is_read_late:
            yield Step(response.read, response.aread)
    if not _is_success(recorded.status):
        try:
            response.raise_for_status()
        except library.HTTPStatusError:
            raise private.status_error(call.client, response) from None
    return (yield send(private.process, call, response, retries))


def sleep(session: Session, seconds: float) -> Step:
    """Return the step that waits by the session's clock."""
    clock = session.clock
    return Step(functools.partial(clock.sleep, seconds), functools.partial(clock.sleep_async, seconds))


def _is_success(status: int) -> bool:
    return 200 <= status < 300  # noqa: PLR2004 - the rest is an error to the SDK, redirects that lead nowhere as well


# Recording.


def _record(call: ClientCall, pending: PendingRecording, request: Callable[..., Any]) -> Flow:
    """Make a call live, store its answer, and let the SDK parse it."""
    response, retries = yield from record_live(call, pending, request)
    if not private.is_response(response):  # something stands in for `request`
        return response
    return (yield send(private.process, call, response, retries))


def record_live(call: ClientCall, pending: PendingRecording, request: Callable[..., Any]) -> Flow:
    """Make a call live and store its answer; return the HTTP response and the number of the SDK's retries."""
    start = SYSTEM_CLOCK.now()
    try:
        return (yield from _make_live(call, pending, request, start))
    except (Exception, KeyboardInterrupt, SystemExit):  # at whatever point
        pending.drop()
        raise
    except BaseException:  # the program cancels the call: its task has no more time for writing
        left = SYSTEM_CLOCK.now() - start
        garbage.note(lambda: pending.keep(Response(status=0, end="closed", sentinel=False, left=left)))
        raise


def _make_live(call: ClientCall, pending: PendingRecording, request: Callable[..., Any], start: float) -> Flow:
    """Make a call live, as `record_live` says."""
    # An unread response only where the caller reads it: otherwise the SDK's retries cover the body too.
    options = private.ask(call.options, "stream" if call.is_unread else "true")
    try:
        sent = send(request, call.cast_to, options, stream=call.stream, stream_cls=call.stream_cls, **call.rest)
        raw = yield counted(sent, pending.noted, is_whole=False)
    except Exception as error:
        if _is_answer(call, error):
            _note_sent(pending, getattr(error, "response", None), start)
            private.restore(error, call.options)
            yield work(functools.partial(_keep_error, call, pending, error))
        raise
    response = private.http_response(raw)
    if not private.is_response(response):
        pending.drop()
        return response, 0
    retries = private.retries_taken(raw)
    began = _note_sent(pending, response, start)
    private.restore(response, call.options)
    if not call.is_unread:
        library = private.http_library(call.client)
        is_binary = private.returns_bytes(call.cast_to)
        yield work(functools.partial(keep_plain, pending, response, library, retries, is_binary=is_binary))
    elif capture := _capture(call, pending, response, began, retries):
        yield work(capture.finish)
    return response, retries


def _note_sent(pending: PendingRecording, response: Any, start: float) -> float:
    """Note when the request was sent that got the answer; return that time by the system's clock."""
    began = start_of(response, start)
    pending.sent_at += began - start
    return began


def _capture(
    call: ClientCall, pending: PendingRecording, response: Any, began: float, retries: int
) -> ResponseCapture | None:
    """Capture an unread response while its caller reads it; return the capture if the response was read already."""
    library = private.http_library(call.client)
    pending.learn(private.secrets_sent(response, pending.redactor))
    is_stream = call.stream and private.raw_mode(call.options) != "stream"
    is_binary = private.returns_bytes(call.cast_to)
    capture = ResponseCapture(
        response, began, library, pending.keep, pending.drop, is_stream=is_stream, is_binary=is_binary
    )
    capture.kept.retries = retries
    if not response.is_closed:
        record_stream(response, capture, library, in_thread)
        return None
    capture.add_all(response.content)
    return capture


def _is_answer(call: ClientCall, error: Exception) -> bool:
    """Whether an error is the outcome of this call's request, and a replay can raise it again."""
    if isinstance(error, openai.APIStatusError):
        return not private.is_foreign_answer(error)
    if isinstance(error, openai.APIConnectionError):
        return True
    return private.is_sent(error, call.client) and is_known(error, private.http_library(call.client))


def _keep_error(call: ClientCall, pending: PendingRecording, error: Exception) -> None:
    """Store an error, unless it is transient."""
    library, retries = private.http_library(call.client), private.retries_taken(error)
    pending.learn(private.secrets_sent(error, pending.redactor))
    status = error.status_code if isinstance(error, openai.APIStatusError) else 0
    if not pending.recorder.stores_status(status):
        shown = visible(pending.redactor.text(str(error)))
        log.warning("%s was not recorded: it is transient (record_errors=True stores it): %s", pending.line, shown)
        pending.recorder.skip(pending, f"an answer {status}" if status else "a connection error")
    elif isinstance(error, openai.APIStatusError):
        keep_plain(pending, error.response, library, retries)
    else:
        pending.keep(Response(status=0, failure=_failure(error, library), retries=retries))


def _failure(error: Exception, library: Any) -> Failure:
    if not isinstance(error, openai.APIConnectionError):
        return failure_of(error, library)
    if error.__cause__ is None or isinstance(error.__cause__, openai.OpenAIError):  # older SDKs wrap their own errors
        return Failure(type(error).__name__, error.message)
    return failure_of(error.__cause__, library)


def keep_plain(
    pending: PendingRecording, response: Any, library: Any, retries: int, *, is_binary: bool = False
) -> None:
    """Store an answer that was read; `is_binary` if the SDK gives it out as bytes."""
    try:
        kept = plain_response(response, library, is_binary=is_binary)
    except Exception as error:  # noqa: BLE001 - a failing recorder never breaks what it records
        kind = type(error).__name__  # its message may hold the answer
        log.warning("%s was not recorded: its answer cannot be stored (%s)", pending.line, kind)
        pending.drop()
    else:
        kept.retries = retries
        pending.learn(private.secrets_sent(response, pending.redactor))
        pending.keep(kept)
