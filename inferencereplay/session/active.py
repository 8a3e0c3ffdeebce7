"""Which session answers a call.

The innermost `with replay(...)` of this context; else the client's own, from `wrap`; else the newest block open in the
process, so that threads and executors are covered; else the process's, if `inferencereplay run` started it. Without any
of them a call is live.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from inferencereplay.locks import make_lock

if TYPE_CHECKING:
    from inferencereplay.session.session import Session

OWN = "_inferencereplay_session"
"""The attribute in which a wrapped client carries its session."""


class Activation:
    """One stretch of time in which a session answers."""

    __slots__ = ("is_open", "session")

    def __init__(self, session: Session) -> None:
        self.session = session
        self.is_open = False


_Stack = tuple[Activation, Any]
_context: ContextVar[_Stack | None] = ContextVar("inferencereplay", default=None)
_lock = make_lock()
_open: list[Activation] = []
_of_process: list[Session] = []


def activate(activation: Activation) -> None:
    """Let a session answer callers without a session of their own, until `deactivate`."""
    with _lock:
        _open.append(activation)
    activation.is_open = True


def set_for_process(session: Session | None) -> None:
    """Let a session answer all callers that have no other, until the process ends; `None` ends that at once."""
    _of_process[:] = [] if session is None else [session]


def of_process() -> Session | None:
    """Return the session that `set_for_process` was given last."""
    return _of_process[0] if _of_process else None


def deactivate(activation: Activation) -> None:
    """End the use of a session, in whichever context; a second call does nothing."""
    activation.is_open = False
    with _lock:
        if activation in _open:
            _open.remove(activation)
    _context.set(_innermost_open())


def enter(*activations: Activation) -> None:
    """Let sessions answer in this context before all others, the last one first."""
    for activation in activations:
        _context.set((activation, _innermost_open()))


def leave(activation: Activation) -> tuple[Activation, ...]:
    """Undo `enter`, and return the activation with all that were entered since, so that `enter` can repeat them."""
    above = []
    stack = _context.get()
    while stack is not None and stack[0] is not activation:
        above.append(stack[0])
        stack = stack[1]
    _context.set(stack and stack[1])
    return (activation, *reversed(above))


def is_in_context(activation: Activation) -> bool:
    """Whether it was entered in this context, or in the one that this was copied from."""
    stack = _context.get()
    while stack is not None and stack[0] is not activation:
        stack = stack[1]
    return stack is not None


def _innermost_open() -> _Stack | None:
    stack = _context.get()
    while stack is not None and not stack[0].is_open:
        stack = stack[1]
    return stack


def newest() -> Session | None:
    """Return the session of this context's innermost block, or of the newest one open in the process."""
    stack = _innermost_open()
    if stack is not None:
        session: Session = stack[0].session
        return session
    opened = _open[-1:]
    return opened[0].session if opened else None


def open_sessions() -> list[Session]:
    """Return the sessions of all open blocks of the process, the oldest first, each once."""
    return list(dict.fromkeys(activation.session for activation in _open))


def session_for(client: Any) -> Session | None:
    """Return the session that answers a client's call, or `None` if the call is live."""
    stack = _context.get()
    if stack is not None:
        stack = stack if stack[0].is_open else _innermost_open()
        if stack is not None:
            return stack[0].session
    own: Session | None = client.__dict__.get(OWN)
    if own is not None:
        return own
    if _open:
        try:
            return _open[-1].session
        except IndexError:  # another thread has closed the last one since the line before
            pass
    return of_process()
