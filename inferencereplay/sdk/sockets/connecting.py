"""One connection that the SDK opens: replayed, recorded, refused or let through.

It is one flow for sync and async clients, as a call is. The SDK's own function is run twice: once to see what it would
connect to, with no token fetched, and once to open the connection.
"""

from __future__ import annotations

import functools
import logging
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, NamedTuple

from websockets.asyncio.client import ClientConnection as AsyncClientConnection
from websockets.exceptions import InvalidStatus
from websockets.sync.client import ClientConnection

from inferencereplay.pacing.clocks import SYSTEM_CLOCK
from inferencereplay.recording.control_characters import visible
from inferencereplay.recording.format import Response
from inferencereplay.redaction.header_secrets import header_secrets, literals_of
from inferencereplay.sdk import calls, private
from inferencereplay.sdk.http_replay import incomplete
from inferencereplay.sdk.sockets.connection_capture import ConnectionCapture
from inferencereplay.sdk.sockets.conversation import UNHURT, Conversation
from inferencereplay.sdk.sockets.dialing import Dialer, Target, dialing, find
from inferencereplay.sdk.sockets.handshake_errors import answer_of, error_of, failure_of
from inferencereplay.sdk.sockets.replayed_connection import AsyncReplayedConnection, ReplayedConnection
from inferencereplay.sdk.steps import in_thread, send, work
from inferencereplay.session import garbage
from inferencereplay.session.call import Call
from inferencereplay.session.decision import LetThrough, Play
from inferencereplay.session.settings import Mode

if TYPE_CHECKING:
    from collections.abc import Callable

    from inferencereplay.sdk.sockets.conversation import Hurt
    from inferencereplay.sdk.steps import Flow
    from inferencereplay.session.decision import Decision
    from inferencereplay.session.recorder import PendingRecording
    from inferencereplay.session.session import Session

log = logging.getLogger("inferencereplay")
METHOD = "WEBSOCKET"
FOREIGN = "it is not a connection of the websockets package"


class Opening(NamedTuple):
    """A connection that is being opened.

    Attributes:
        session: decides what happens to it.
        manager: the SDK's object that opens it.
        connect: the SDK's own method, which returns the connection; a coroutine function of an async manager.
    """

    session: Session
    manager: Any
    connect: Callable[..., Any]

    @property
    def client(self) -> Any:
        """The client that it is opened for."""
        return private.manager_client(self.manager)

    def dial(self, dialer: Dialer) -> Flow:
        """Run the SDK's method, but let a dialer stand for the network, and fetch no token."""
        with private.without_tokens(self.manager), dialing(dialer):
            return (yield send(self.connect))


def open_connection(opening: Opening) -> Flow:
    """Open a connection.

    Raises:
        RecordingNotFound: for a connection that was not recorded, in `replay`.
        RecordingCorrupt: if the file that should answer cannot be used.
    """
    try:
        opened = yield from opening.dial(Dialer(find))
    except Target as found:
        target = found
    else:
        log.warning("A connection of %s is neither recorded nor replayed: %s", type(opening.manager).__name__, FOREIGN)
        return opened
    session, client = opening.session, opening.client
    if garbage.has_noted() and session.mode is not Mode.REPLAY:
        yield work(garbage.run_noted)
    call = Call(
        private.connection_request(client, METHOD, target.uri),
        session.redactor,
        functools.partial(private.secrets, client, SimpleNamespace(url=target.uri, headers=_headers(target.options))),
        functools.partial(private.origin, client),
    )
    decide = functools.partial(calls.ask, session, call, functools.partial(_decide, session))
    hurt = UNHURT
    if session.fault_plan is not None:
        from inferencereplay.sdk.sockets.connection_faults import ConnectionFaults  # noqa: PLC0415 - few sessions have any

        is_async = private.is_async(client)
        hurt = yield from ConnectionFaults(session, session.fault_plan, call, target, is_async=is_async).meet(decide)
        if hurt.instead is not None:
            return (yield from opening.dial(Dialer(functools.partial(_refuse, hurt.instead))))
    decision = hurt.decision or (yield from decide())
    if isinstance(decision, Play):
        return (yield from _play(opening, call, decision, target.uri, hurt))
    if not isinstance(decision, LetThrough):
        return (yield from _record(opening, decision))
    try:
        return (yield send(opening.connect))
    finally:
        decision.noted.end()


def _decide(session: Session, call: Call, *, takes_over: bool) -> Decision:  # noqa: ARG001 - nobody waits for another
    session.read(call, call.request)
    return session.connect(call)


def _headers(options: dict[str, Any]) -> dict[str, Any]:
    return dict(options.get("additional_headers") or {})


def _play(opening: Opening, call: Call, play: Play, uri: str, hurt: Hurt) -> Flow:
    """Open a connection that the recording answers, or raise what was raised while it was recorded."""
    session, recorded = opening.session, play.recording.response
    if session.is_paced and recorded.elapsed:
        yield calls.sleep(session, recorded.elapsed / session.speed)
    if recorded.is_unanswered:
        yield calls.sleep(session, session.patience(recorded))
        play.end()
        raise incomplete(recorded, play.name)
    if recorded.frames is None:
        play.end()
        return (yield from opening.dial(Dialer(functools.partial(_refuse, recorded))))
    make = AsyncReplayedConnection if private.is_async(opening.client) else ReplayedConnection
    return (yield from opening.dial(Dialer(_as_given, make(uri, Conversation(session, call, play, hurt)))))


def _as_given(_: str, options: dict[str, Any]) -> dict[str, Any]:
    return options


def _refuse(recorded: Response, _: str, __: dict[str, Any]) -> dict[str, Any]:
    raise error_of(recorded)


def _record(opening: Opening, pending: PendingRecording) -> Flow:
    """Open a live connection, and store what passes through it when it is closed."""
    start = SYSTEM_CLOCK.now()
    capture = ConnectionCapture(start, pending.keep, pending.drop, keeps_audio=opening.session.keeps_uploads)
    is_async = private.is_async(opening.client)
    default = AsyncClientConnection if is_async else ClientConnection

    def prepare(_: str, options: dict[str, Any]) -> dict[str, Any]:
        pending.learn(literals_of(header_secrets(_headers(options).items())))
        return capture.prepare(options, default)

    try:
        with dialing(Dialer(prepare)):
            opened = yield send(opening.connect)
    except Exception as error:
        yield work(functools.partial(_keep_error, pending, error, SYSTEM_CLOCK.now() - start))
        raise
    except (KeyboardInterrupt, SystemExit):
        pending.drop()
        raise
    except BaseException:  # the program cancels it: its task has no more time for writing
        left = SYSTEM_CLOCK.now() - start
        garbage.note(lambda: pending.keep(Response(status=0, end="closed", sentinel=False, left=left)))
        raise
    if not capture.open(in_thread if is_async else None):
        log.warning("%s was not recorded: %s", pending.line, FOREIGN)
        pending.drop()
    return opened


def _keep_error(pending: PendingRecording, error: Exception, seconds: float) -> None:
    """Store why a connection was not opened, unless that is transient."""
    status = error.response.status_code if isinstance(error, InvalidStatus) else 0
    if not pending.recorder.stores_status(status):
        shown = visible(pending.redactor.text(str(error)))
        log.warning("%s was not recorded: it is transient (record_errors=True stores it): %s", pending.line, shown)
        pending.recorder.skip(pending, f"an answer {status}" if status else "a connection error")
        return
    if isinstance(error, InvalidStatus):
        pending.keep(answer_of(error, seconds))
    else:
        pending.keep(Response(status=0, failure=failure_of(error)))
