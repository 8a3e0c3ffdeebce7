"""Whether a call of the SDK is on its way to the network with a session's leave."""

from __future__ import annotations

from contextvars import ContextVar, Token

_is_sending: ContextVar[bool] = ContextVar("inferencereplay_sending", default=False)
_under_way: list[None] = []


class sending:  # noqa: N801 - used like a function
    """Tell that the SDK may reach the network here meanwhile: in this context, and in tasks that begin in it."""

    __slots__ = ("_token",)

    def __enter__(self) -> None:
        self._token = begin()

    def __exit__(self, kind: object, error: object, traceback: object) -> None:
        end(self._token)


def begin() -> Token[bool]:
    """Tell that the SDK may reach the network here, until `end` gets what this returns."""
    _under_way.append(None)
    return _is_sending.set(True)


def end(token: Token[bool]) -> None:
    """Undo `begin`."""
    _under_way.pop()
    _is_sending.reset(token)


def is_sending() -> bool:
    """Whether the SDK may reach the network in this context."""
    return _is_sending.get()


def is_any_under_way() -> bool:
    """Whether the SDK may reach the network anywhere: event loops look up names in threads without the context."""
    return bool(_under_way)
