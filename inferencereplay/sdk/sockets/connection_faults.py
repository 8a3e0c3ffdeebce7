"""A WebSocket connection that may meet faults: it cannot be opened, breaks off, or is slow."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from inferencereplay.faults.altered_connections import alter_connection, replace_connection, slow_down, timed_out
from inferencereplay.faults.connections import Network
from inferencereplay.faults.plan import Asked
from inferencereplay.sdk import calls
from inferencereplay.sdk.fault_injection import begin_faults
from inferencereplay.sdk.sockets.conversation import UNHURT, Hurt
from inferencereplay.session.decision import Play

if TYPE_CHECKING:
    from collections.abc import Callable

    from inferencereplay.faults.fault import Fault
    from inferencereplay.faults.plan import FaultPlan
    from inferencereplay.recording.format import Response
    from inferencereplay.sdk.sockets.dialing import Target
    from inferencereplay.sdk.steps import Flow
    from inferencereplay.session.call import Call
    from inferencereplay.session.session import Session

OPEN_TIMEOUT = 10.0
"""Seconds that `websockets` waits for a connection unless told otherwise."""
_SCHEMES = {"ws": 80, "wss": 443}


class ConnectionFaults:
    """The faults that a connection may meet; it is one attempt.

    Args:
        session: whose faults they are.
        plan: the session's.
        call: the connection.
        target: what the SDK wants to connect to.
        is_async: whether the client is asynchronous.
    """

    def __init__(self, session: Session, plan: FaultPlan, call: Call, target: Target, *, is_async: bool) -> None:
        parts = urlsplit(target.uri)
        port = parts.port or _SCHEMES.get(parts.scheme, 0)
        self._network = Network("asyncio" if is_async else "sync", parts.hostname or "", port)
        self._timeout = target.options.get("open_timeout", OPEN_TIMEOUT)
        self._session, self._call, self._began = session, call, session.clock.now()
        self._faults = begin_faults(session, plan, _asked(session, call), call)

    def meet(self, decide: Callable[[], Flow]) -> Flow:
        """Return what the faults make of the connection, a `Hurt`; what they replace is noted and waited for.

        Args:
            decide: lets the session decide.
        """
        due = [] if self._faults is None else self._faults.next_attempt()
        hurt = UNHURT
        for place, fault in (item for item in due if item[1].kind != "slow"):
            if not fault.needs_answer and self._take(place):
                made = replace_connection(fault, self._network)
                return (yield from self._replace(made, is_late=fault.kind == "timeout"))
            if fault.needs_answer and hurt.decision is None:
                hurt = hurt._replace(decision=(yield from decide()))
            recorded = hurt.decision.recording.response if isinstance(hurt.decision, Play) else None
            if recorded is not None and alter_connection(fault, recorded) is not None and self._take(place):
                hurt = hurt._replace(alter=functools.partial(_altered, fault))
                break
        return (yield from self._slow(due, hurt))

    def _take(self, place: int) -> bool:
        return self._faults is not None and self._faults.take(place)

    def _replace(self, made: Response, *, is_late: bool) -> Flow:
        if is_late and self._timeout is not None:
            yield calls.sleep(self._session, self._session.fault_seconds(self._timeout))
        self._session.note_fault(self._call, self._began).end()
        return Hurt(made)

    def _slow(self, due: list[tuple[int, Fault]], hurt: Hurt) -> Flow:
        slow = next((fault for place, fault in due if fault.kind == "slow" and self._take(place)), None)
        if slow is None:
            return hurt
        first, between = slow.arguments["first"], slow.arguments["between"]
        if self._timeout is not None and first > self._timeout and hurt.decision is None:
            yield calls.sleep(self._session, self._timeout)
            return (yield from self._replace(timed_out(self._network), is_late=False))
        yield calls.sleep(self._session, first)
        if not between:
            return hurt
        alter = hurt.alter
        return hurt._replace(alter=lambda recorded: slow_down(alter(recorded), between), speed=1.0)


def _altered(fault: Fault, recorded: Response) -> Response:
    """Return what becomes of whichever variant is followed; one that is shorter ends as it did."""
    made = alter_connection(fault, recorded)
    return recorded if made is None else made


def _asked(session: Session, call: Call) -> Asked:
    """Read what a connection asks for; its query stands for a body."""
    request = call.request
    return Asked(request.path, session.prepare(request).key, request.query.get("model"), lambda: dict(request.query))
