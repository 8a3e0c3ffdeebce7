"""A call that may meet faults: the SDK's own request loop runs, and each of its attempts meets the next fault.

An attempt without a fault ends the loop, and the call goes on as any other: it is replayed, recorded or refused.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import types
from asyncio import _get_running_loop
from typing import TYPE_CHECKING, Any

from inferencereplay.errors import InvalidSetting
from inferencereplay.faults.altered_answers import NAME, alter, replace_answer, time_out
from inferencereplay.faults.connections import Network, timed_out
from inferencereplay.faults.plan import Asked
from inferencereplay.recording.control_characters import visible
from inferencereplay.recording.format import Response
from inferencereplay.recording.request import Request
from inferencereplay.sdk import calls, private, steps
from inferencereplay.sdk.calls import Answer
from inferencereplay.sdk.capture import ResponseCapture
from inferencereplay.sdk.content import plain_content
from inferencereplay.sdk.http_exchange import HttpExchange
from inferencereplay.sdk.http_replay import kept_headers
from inferencereplay.sdk.steps import Step, send
from inferencereplay.session.decision import LetThrough, Play
from inferencereplay.session.question import Question
from inferencereplay.session.settings import Mode

if TYPE_CHECKING:
    from collections.abc import Callable

    from inferencereplay.faults.fault import Fault
    from inferencereplay.faults.plan import CallFaults, FaultPlan
    from inferencereplay.pacing.pacer import Pacer
    from inferencereplay.sdk.calls import ClientCall
    from inferencereplay.sdk.steps import Flow
    from inferencereplay.session.call import Call
    from inferencereplay.session.session import Session

log = logging.getLogger("inferencereplay")


def answer(session: Session, plan: FaultPlan, call: ClientCall, request: Callable[..., Any]) -> Flow:
    """Answer a call of a session with faults; see `calls.answer`.

    Raises:
        Exception: what the SDK makes of the faults, or what `calls.answer` raises.
    """
    faults = begin_faults(session, plan, _asked(session, call), call)
    method = getattr(request, "__func__", None)  # a mock in the place of the SDK's method has none
    if not faults or method is None:
        return (yield from calls.answer(session, call, request))
    attempts = _Attempts(session, call, request, faults)
    try:
        made = yield from _attempt(attempts, method)
    except BaseException:
        attempts.note(is_over=True)
        raise
    attempts.note(is_over=not call.is_unread)
    return made


def begin_faults(session: Session, plan: FaultPlan, asked: Asked, call: Call) -> CallFaults | None:
    """Return the faults that a call or a connection may meet; `None` if a predicate fails, which breaks no recording.

    Args:
        session: whose faults they are.
        plan: the session's.
        asked: what it asks for.
        call: the same, for messages.

    Raises:
        InvalidSetting: if a predicate fails, in `replay`.
    """
    try:
        return plan.begin(asked)
    except InvalidSetting as error:
        message = call.redactor.text(str(error))
        if session.mode is Mode.REPLAY:
            raise InvalidSetting(message) from error.__cause__
        log.warning("%s meets no fault: %s", call.line, visible(message))
        return None


def _attempt(attempts: _Attempts, method: Callable[..., Any]) -> Flow:
    """Let the SDK make its attempts."""
    call = attempts.call
    sender = private.make_sender(call.client, attempts.sender(), attempts.note_delay)
    asked = private.ask(call.options, "stream" if call.is_unread else "true")
    options = {"stream": call.stream, "stream_cls": call.stream_cls, **call.rest}
    try:
        raw = yield send(types.MethodType(method, sender), call.cast_to, asked, **options)
    except _Unhurt as end:
        return (yield from _go_on(attempts, end))
    except Exception as error:
        private.restore(error, call.options)
        raise
    response, retries = private.http_response(raw), private.retries_taken(raw)
    private.restore(response, call.options)
    return (yield send(private.process, call, response, retries))


def _asked(session: Session, call: ClientCall) -> Asked:
    """Read what a call asks for; an upload has only a path."""
    request = keyed = Request(call.options.method.upper(), call.options.url, b"null")
    if private.sends_json(call.options):
        with contextlib.suppress(Exception):  # `calls.decide` meets the error again, and handles it
            request = keyed = call.request = private.read_request(call.client, call.options)
            keyed = session.prepare(request)
    path = "/" + request.path.partition("?")[0].lstrip("/")
    question = Question(request)
    return Asked(path, keyed.key, question.model, lambda: question.body)


class _Unhurt(BaseException):
    """Ends the SDK's loop before an attempt that meets no fault, or that cannot be answered.

    It is no `Exception`, for older versions of the SDK try again after any of those.

    Attributes:
        error: why the attempt cannot be answered.
        pacer: sets the time of each chunk; `None` for the session's.
    """

    def __init__(self, error: Exception | None = None, pacer: Pacer | None = None) -> None:
        super().__init__()
        self.error = error
        self.pacer = pacer


def _go_on(attempts: _Attempts, end: _Unhurt) -> Flow:
    """Answer a call outside of the SDK's loop."""
    if end.error is not None:
        raise end.error
    session, call, retries, held = attempts.session, attempts.call, attempts.count - 1, attempts.held
    if held is not None:
        return (yield from calls.play(session, call, held, end.pacer or session.pacer(held.recorded), retries))
    yield from attempts.decide()
    return (yield from calls.carry_out(session, call, attempts.decision, attempts.request, retries))


class _Attempts:
    """The attempts of one call.

    Args:
        session: whose faults they are.
        call: the call.
        request: the SDK's own method, bound to the client.
        faults: those that the call may meet.

    Attributes:
        count: attempts up to now.
        decision: the session's, once it `is_decided`.
        held: the recorded answer, once it was needed.
    """

    def __init__(self, session: Session, call: ClientCall, request: Callable[..., Any], faults: CallFaults) -> None:
        self.session = session
        self.call = call
        self.request = request
        self.count = 0
        self.decision: Any = None
        self.is_decided = False
        self.held: Answer | None = None
        self._began = session.clock.now()
        self._faults = faults
        self._delay = 0.0

    def note(self, *, is_over: bool) -> None:
        """Note the attempts among the session's calls.

        Args:
            is_over: whether the answer is complete, or has failed.
        """
        noted = self.decision and self.decision.noted
        if not self.is_decided:
            noted = self.session.note_fault(self.call, self._began)
        if noted is not None:
            noted.attempts += self.count - 1
            if is_over:
                noted.end()

    def note_delay(self, seconds: float) -> None:
        """Note how long the SDK waits before the next attempt."""
        self._delay = seconds

    def sender(self) -> Callable[..., Any]:
        """Return the function that sends an HTTP request of the SDK's."""

        def send_sync(request: Any, *, stream: bool = False, **_: Any) -> Any:
            return steps.run(self._send(request, "sync", is_unread=stream))

        async def send_async(request: Any, *, stream: bool = False, **_: Any) -> Any:
            kind = "trio" if _get_running_loop() is None else "asyncio"
            return await steps.run_async(self._send(request, kind, is_unread=stream))

        return send_async if isinstance(self.call.client, private.AsyncAPIClient) else send_sync

    def _send(self, request: Any, kind: str, *, is_unread: bool) -> Flow:
        """Return the HTTP response of an attempt.

        Raises:
            _Unhurt: for an attempt without a fault.
            Exception: of the HTTP library, where the connection breaks.
        """
        self.count += 1
        yield from self._wait(self._delay)
        self._delay = 0.0
        network = Network(kind, request.url.host, request.url.port or 443)
        due = self._faults.next_attempt()
        made, headers = yield from self._meet(due, network)
        pacer = None
        if made is not None and made.failure and not made.status:
            yield from self._wait(self._patience(made.failure.type, request))
        elif slow := next((fault for place, fault in due if fault.kind == "slow" and self._faults.take(place)), None):
            made, pacer = yield from self._slow(slow, made, request, network)
        if made is None:
            raise _Unhurt(pacer=pacer)
        return (yield from self._deliver(made, headers, request, pacer, is_unread=is_unread))

    def _meet(self, due: list[tuple[int, Fault]], network: Network) -> Flow:
        """Return the answer that the first of the faults makes, and headers of its; `None` if none happens."""
        for place, fault in due:
            if fault.kind == "slow":
                continue
            if fault.needs_answer:
                recorded = yield from self._recorded()
                made = None if recorded is None else alter(fault, recorded, _content(recorded), network)
            else:
                made = replace_answer(fault, network)
            if made is not None and self._faults.take(place):
                return made, fault.arguments.get("headers") or {}
        return None, {}

    def _slow(self, slow: Fault, made: Response | None, request: Any, network: Network) -> Flow:
        """Wait for a slow answer; return it, if it is not the recorded one, and its pacer."""
        first, between = slow.arguments["first"], slow.arguments["between"]
        limit = private.timeouts_of(request).get("read")
        if limit is not None and first > limit:
            yield calls.sleep(self.session, limit)
            return Response(0, failure=timed_out("read", network)), None
        yield calls.sleep(self.session, first)
        answer = made or (yield from self._recorded())
        if answer is None or not answer.is_stream:
            return made, None
        if limit is not None and between > limit and len(answer.chunks) > 1:
            made, between = time_out(answer, network), 0.0
        return made, self.session.slow_pacer(len((made or answer).chunks), between)

    def _wait(self, seconds: float) -> Flow:
        seconds = self.session.fault_seconds(seconds)
        if seconds > 0:
            yield calls.sleep(self.session, seconds)

    def _patience(self, failure: str, request: Any) -> float:
        """Return the seconds after which a failure comes: a client's own time-out."""
        phase = failure.removesuffix("Timeout").lower()
        return private.timeouts_of(request).get(phase) or 0.0

    def _recorded(self) -> Flow:
        """Return the answer that a fault alters; `None` if there is none that it could alter.

        Raises:
            _Unhurt: if the call cannot be answered.
        """
        if not self.is_decided:
            try:
                yield from self.decide()
                self.held = yield from self._hold()
            except Exception as error:  # noqa: BLE001 - it is raised outside of the SDK's loop
                raise _Unhurt(error) from None
        recorded = self.held and self.held.recorded
        return recorded if recorded and recorded.status and not recorded.is_unanswered else None

    def decide(self) -> Flow:
        """Let the session decide, once."""
        if not self.is_decided:
            self.is_decided = True
            self.decision = yield from calls.decide(self.session, self.call)

    def _hold(self) -> Flow:
        """Return the answer that the session has decided for; a live one is recorded as a whole."""
        if isinstance(self.decision, LetThrough):
            return None
        if isinstance(self.decision, Play):
            return (yield from calls.hold(self.session, self.call, self.decision))
        return Answer((yield from self._record()), NAME)

    def _record(self) -> Flow:
        call = self.call
        kept: list[Response] = []
        response, _ = yield from calls.record_live(call, self.decision, self.request)
        with private.mapped_errors(response.request):
            yield Step(response.read, response.aread)
        library = private.http_library(call.client)
        is_stream = call.stream and private.raw_mode(call.options) != "stream"
        capture = ResponseCapture(response, 0.0, library, kept.append, lambda: None, is_stream=is_stream)
        capture.add_all(response.content)
        capture.finish()
        if not kept:  # neither JSON nor text, as the log says
            headers = kept_headers(response.headers)
            kept.append(Response(response.status_code, headers, end="done", rest=response.content, sentinel=False))
        return kept[0]

    def _deliver(
        self, made: Response, headers: dict[str, str], request: Any, pacer: Pacer | None, *, is_unread: bool
    ) -> Flow:
        """Send an HTTP request of the SDK's, and return what a fault has made of the answer."""
        pacer = pacer or self.session.pacer(made)
        if pacer and not is_unread:
            yield Step(functools.partial(pacer.wait, -1), functools.partial(pacer.wait_async, -1))
        library, hooks = private.http_library(self.call.client), private.event_hooks(self.call.client)
        late = pacer if is_unread else None
        end = self.held.end if self.held and is_unread else None
        exchange = HttpExchange(made, library, request, late, NAME, hooks, end, headers)
        response = yield Step(exchange.send, exchange.send_async)
        if not is_unread:
            yield Step(response.read, response.aread)
        return response


def _content(recorded: Response) -> bytes:
    return b"" if recorded.is_stream else plain_content(recorded)
