"""One call of `request`, through which every call of the SDK passes: replayed, recorded, refused or let through.

The decisions are made once, in plain functions; what surrounds them stands twice, for `def` and `async def`.
"""

from __future__ import annotations

import functools
import logging
import threading
import time
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import openai

from inferencereplay.errors import StoreError
from inferencereplay.recording.format import Failure, Response
from inferencereplay.recording.request import NotSerializable
from inferencereplay.sdk import private
from inferencereplay.sdk.capture import ResponseCapture, plain_response, record_stream, start_of
from inferencereplay.sdk.http_replay import build_response, error_class, failure_error
from inferencereplay.session.run_coordinator import PATIENCE, PAUSE
from inferencereplay.session.settings import Mode

if TYPE_CHECKING:
    from collections.abc import Callable

    from inferencereplay.pacing.pacer import Pacer
    from inferencereplay.recording.request import Request
    from inferencereplay.session.recorder import PendingRecording
    from inferencereplay.session.session import Found, Session

log = logging.getLogger("inferencereplay")


class Call(NamedTuple):
    """The arguments of `request`."""

    cast_to: Any
    options: Any
    stream: bool
    stream_cls: Any
    rest: dict[str, Any]

    @property
    def is_unread(self) -> bool:
        """Whether the caller reads the response itself."""
        return self.stream or private.raw_mode(self.options) == "stream"


def read_call(cast_to: Any, options: Any, *, stream: bool = False, stream_cls: Any = None, **rest: Any) -> Call:
    """Name the arguments of `request`, in any of its versions."""
    return Call(cast_to, options, stream, stream_cls, rest)


def _is_success(status: int) -> bool:
    return 200 <= status < 300  # noqa: PLR2004 - the rest is an error to the SDK, redirects that lead nowhere as well


class Replayed(NamedTuple):
    """An answer from a recording, before its time has passed."""

    response: Any
    pacer: Pacer | None
    failure: Exception | None
    retries: int = 0


class Busy(NamedTuple):
    """Another session of the run is just about to record the equal call: its answer is the one to wait for.

    Attributes:
        again: decides once more.
    """

    again: Callable[[], Decision]


Decision: TypeAlias = "Replayed | PendingRecording | Busy | None"


def decide(session: Session, client: Any, call: Call) -> Decision:
    """Say what becomes of a call: an answer, a take to record it with, a wait, or `None` to let it through.

    Raises:
        RecordingNotFound: for a request that was not recorded, in `replay`.
        RecordingCorrupt: if the file that should answer cannot be used.
    """
    if not private.is_recordable(call.cast_to, call.options):
        _refuse(session, client, call)
        return None
    try:
        request = session.prepare(
            private.read_request(client, call.options), lambda: private.secrets(client, call.options)
        )
    except Exception as error:  # noqa: BLE001 - a failing recorder never breaks what it records
        _let_through(session, client, call, error)
        return None
    return _answer(session, client, call, request, time.monotonic() + PATIENCE)


def _answer(session: Session, client: Any, call: Call, request: Request, deadline: float) -> Decision:
    try:
        return _decide(session, client, call, request, deadline)
    except (StoreError, NotSerializable) as error:
        _let_through(session, client, call, error)
        return None


def _decide(
    session: Session, client: Any, call: Call, request: Request, deadline: float
) -> Replayed | PendingRecording | Busy:
    secrets = private.secrets(client, call.options)
    while session.answers and (found := session.find(request, lambda: secrets)):
        if session.serve(found):
            return replayed(session, client, call, found)
    if session.mode is Mode.REPLAY:
        raise session.miss(request, secrets)
    if not session.reserve(request, secrets, takes_over=time.monotonic() > deadline):
        return Busy(functools.partial(_answer, session, client, call, request, deadline))
    return session.begin(request, secrets, private.origin(client))


def _let_through(session: Session, client: Any, call: Call, error: Exception) -> None:
    """Log why a call goes to the network unrecorded; in `replay`, where none does, raise the error."""
    secrets = private.secrets(client, call.options)
    if session.mode is not Mode.REPLAY:
        # An error of an encoder's holds the whole text that it could not encode, which `repr` would show.
        told = str(error) if isinstance(error, StoreError) else f"{type(error).__name__}: {error}"
        url = session.redact_url(call.options.url, secrets)
        log.warning("%s was not recorded: %s", url, session.hide(told, secrets))
        return
    if isinstance(error, NotSerializable):
        raise session.refuse(call.options.method.upper(), call.options.url, str(error), secrets=secrets) from error
    raise error


def wait_sync(decision: Decision) -> Replayed | PendingRecording | None:
    """Decide again until it is not another session's turn any more."""
    while isinstance(decision, Busy):
        time.sleep(PAUSE)
        decision = decision.again()
    return decision


async def wait_async(decision: Decision) -> Replayed | PendingRecording | None:
    """Do the same in asynchronous code."""
    while isinstance(decision, Busy):
        import anyio  # noqa: PLC0415 - 30 ms to import, and only who has to wait needs it

        await anyio.sleep(PAUSE)
        decision = decision.again()
    return decision


def _refuse(session: Session, client: Any, call: Call) -> None:
    method, secrets = call.options.method.upper(), private.secrets(client, call.options)
    if session.mode is Mode.REPLAY:
        raise session.refuse(method, call.options.url, secrets=secrets)
    session.warn_once(method, call.options.url, secrets=secrets)


def replayed(session: Session, client: Any, call: Call, found: Found) -> Replayed:
    """Make the HTTP response of a recording, or the error of a connection that failed."""
    recorded = found.recording.response
    library = private.http_library(client)
    request = private.http_request(client, call.options, recorded.retries)
    pacer = session.pacer(recorded)
    is_read_late = call.is_unread and _is_success(recorded.status)  # the SDK reads errors itself
    if recorded.failure and not (is_read_late or recorded.is_stream):
        return Replayed(None, pacer, connection_error(recorded.failure, library, request))
    response = build_response(recorded, library, request, pacer if is_read_late else None, found.name)
    # A stream that the caller wants read, or an error: all of it is there when its last byte is due.
    return Replayed(response, None if is_read_late else pacer, None, recorded.retries)


def connection_error(failure: Failure, library: Any, request: Any) -> openai.APIConnectionError:
    """Make the SDK's error for a connection that failed before there was an answer, with the HTTP library's below."""
    has_cause = error_class(failure, library) is not None
    message = "" if has_cause else failure.message
    error = openai.APIConnectionError(message=message or "Connection error.", request=request)
    if "Timeout" in failure.type:
        error = openai.APITimeoutError(request=request)
    error.__cause__ = failure_error(failure, library, request) if has_cause else None
    return error


def finish(client: Any, call: Call, answer: Replayed) -> Any:
    """Hand a read or to-be-read response to the SDK; a coroutine for an async client.

    Raises:
        openai.APIStatusError: for a recorded error.
    """
    if not _is_success(answer.response.status_code):
        raise private.status_error(client, answer.response) from None
    return private.process(client, call, answer.response, answer.retries)


def replay_sync(client: Any, call: Call, answer: Replayed) -> Any:
    """Answer a call from a recording."""
    if answer.pacer:
        answer.pacer.wait(-1)
    if answer.failure:
        raise answer.failure
    if not (call.is_unread and _is_success(answer.response.status_code)):
        answer.response.read()
    return finish(client, call, answer)


async def replay_async(client: Any, call: Call, answer: Replayed) -> Any:
    """Do the same in asynchronous code."""
    if answer.pacer:
        await answer.pacer.wait_async(-1)
    if answer.failure:
        raise answer.failure
    if not (call.is_unread and _is_success(answer.response.status_code)):
        await answer.response.aread()
    return await finish(client, call, answer)


# Recording.


def record_sync(wrapped: Callable[..., Any], client: Any, call: Call, take: PendingRecording) -> Any:
    """Make a call live and keep its answer."""
    start = time.perf_counter()
    try:
        raw = wrapped(call.cast_to, _asked(call), stream=call.stream, stream_cls=call.stream_cls, **call.rest)
    except (openai.APIStatusError, openai.APIConnectionError) as error:
        _error_job(client, call, take, error)()
        raise
    except BaseException:
        take.drop()
        raise
    _answer_job(client, call, take, raw, start)()
    return private.process(client, call, private.http_response(raw), private.retries_taken(raw))


async def record_async(wrapped: Callable[..., Any], client: Any, call: Call, take: PendingRecording) -> Any:
    """Do the same in asynchronous code; files are written in a thread."""
    start = time.perf_counter()
    try:
        raw = await wrapped(call.cast_to, _asked(call), stream=call.stream, stream_cls=call.stream_cls, **call.rest)
    except (openai.APIStatusError, openai.APIConnectionError) as error:
        await in_thread(_error_job(client, call, take, error))
        raise
    except BaseException:
        take.drop()
        raise
    await in_thread(_answer_job(client, call, take, raw, start))
    return await private.process(client, call, private.http_response(raw), private.retries_taken(raw))


async def in_thread(job: Callable[[], object]) -> None:
    """Run a blocking function to its end, once, without blocking the event loop, even if the task is cancelled."""
    import anyio.to_thread  # noqa: PLC0415 - 30 ms to import, and only asynchronous recording needs it

    first = threading.Lock()

    def run() -> None:
        if first.acquire(blocking=False):
            job()

    try:
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(run)
    except BaseException:
        run()  # asyncio's own cancellation goes through the shield, and may come before the thread has begun
        raise


def _asked(call: Call) -> Any:
    """Ask for an unread response only where the caller reads it: otherwise the SDK's retries cover the body too."""
    return private.ask(call.options, "stream" if call.is_unread else "true")


def _answer_job(client: Any, call: Call, take: PendingRecording, raw: Any, start: float) -> Callable[[], object]:
    """Put a tape on an unread response, or return what writes a read one."""
    response = private.http_response(raw)
    private.restore(response, call.options)
    if not call.is_unread:
        return lambda: _keep_plain(take, response, private.retries_taken(raw))
    library = private.http_library(client)
    take = take.knowing(private.sent(response))
    tape = ResponseCapture(response, start_of(response, start), library, take.keep, take.drop)
    tape.kept.retries = private.retries_taken(raw)
    if response.is_closed:
        tape.add_all(response.content)
        return tape.finish
    record_stream(response, tape, library, in_thread)
    return _nothing


def _error_job(
    client: Any, call: Call, take: PendingRecording, error: openai.APIStatusError | openai.APIConnectionError
) -> Callable[[], object]:
    """Return what keeps an error, or forgets it if it is one that passes."""
    take = take.knowing(private.sent(error))
    status = error.status_code if isinstance(error, openai.APIStatusError) else 0
    private.restore(error, call.options)
    if not take.keeper.stores_status(status):
        told = take.hide(str(error))
        log.warning("%s: %s was not recorded, for it may pass (record_errors=True keeps it)", take.request.path, told)
        return take.drop
    if isinstance(error, openai.APIStatusError):
        response = error.response
        return lambda: _keep_plain(take, response, private.retries_taken(error))
    failure = Failure(type(error.__cause__).__name__, str(error.__cause__))
    if error_class(failure, private.http_library(client)) is None:
        failure = Failure(type(error).__name__, error.message)
    return lambda: take.keep(Response(status=0, failure=failure, retries=private.retries_taken(error)))


def _keep_plain(take: PendingRecording, response: Any, retries: int) -> None:
    try:
        kept = plain_response(response)
    except Exception as error:  # noqa: BLE001 - a failing recorder never breaks what it records
        kind = type(error).__name__  # its message may hold the answer
        log.warning("%s was not recorded: its answer is neither JSON nor text (%s)", take.request.path, kind)
        take.drop()
    else:
        kept.retries = retries
        take.knowing(private.sent(response)).keep(kept)


def _nothing() -> None:
    """Have nothing to write yet."""
