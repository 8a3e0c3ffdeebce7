"""The stubs of a session: they answer in the order in which they were made."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from inferencereplay.errors import UnusedStub
from inferencereplay.locks import make_lock
from inferencereplay.stubs.stub import Stub

if TYPE_CHECKING:
    from collections.abc import Mapping

    from inferencereplay.recording.request import JSON

MOST_SHOWN = 20
"""Stubs, and lines of calls, that the message for unused stubs shows."""


class StubQueue:
    """The stubs of a session.

    Args:
        stubs: those of the parent process.
    """

    def __init__(self, stubs: tuple[Stub, ...] = ()) -> None:
        self._stubs = list(stubs)
        self._count = max((stub.number for stub in stubs), default=0)
        self._lock = make_lock()

    def add(self, given: dict[str, Any]) -> Stub:
        """Make a stub, and add it.

        Raises:
            InvalidSetting: for invalid arguments.
            TypeError: for unknown ones.
        """
        with self._lock:
            stub = Stub(self._count + 1, given)
            self._count += 1
            self._stubs.append(stub)
        return stub

    def __iter__(self) -> Any:
        return iter(tuple(self._stubs))

    def find(self, path: str, method: str, body: JSON) -> Stub | None:
        """Return the first stub that answers a request and is left; nothing is counted."""
        return next((stub for stub in self if stub.is_left and stub.matches(path, method, body)), None)

    def take(self, stub: Stub) -> bool:
        """Count an answer; `False` if another thread's call has got the last one."""
        with self._lock:
            is_left = stub.is_left
            stub.asked_here += is_left
        return is_left

    def hear(self, asked: Mapping[int, int]) -> None:
        """Count what child processes have answered, by the number of the stub."""
        for stub in self:
            stub.asked_elsewhere = asked.get(stub.number, 0)

    def forget(self) -> list[Stub]:
        """Forget all stubs, and return those that should have been asked for."""
        with self._lock:
            stubs, self._stubs = self._stubs, []
        return [stub for stub in stubs if stub.is_due]


def unused(stubs: list[Stub], calls: list[str]) -> UnusedStub:
    """Make the error for stubs that were not asked for.

    Args:
        stubs: those.
        calls: the calls of the session, a line each.
    """
    lines = [f"{len(stubs)} stub{'s were' if len(stubs) > 1 else ' was'} not asked for as often as expected:"]
    lines += _shown([repr(stub) for stub in stubs])
    lines += ["The calls were:", *_shown(calls)] if calls else ["No calls were made."]
    lines.append("A stub that may stay unused has required=False.")
    return UnusedStub("\n".join(lines), stubs=tuple(map(repr, stubs)))


def _shown(lines: list[str]) -> list[str]:
    more = [f"  … and {len(lines) - MOST_SHOWN} more"] if len(lines) > MOST_SHOWN else []
    return [*(f"  {line}" for line in lines[:MOST_SHOWN]), *more]
