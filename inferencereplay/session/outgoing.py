"""Whether a call of the SDK is on its way to the network with a session's leave."""

from __future__ import annotations

import contextlib
from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_is_sending: ContextVar[bool] = ContextVar("inferencereplay_sending", default=False)
_under_way: list[None] = []


@contextlib.contextmanager
def sending() -> Iterator[None]:
    """Tell that the SDK may reach the network here meanwhile: in this context, and in tasks that begin in it."""
    token = _is_sending.set(True)
    _under_way.append(None)
    try:
        yield
    finally:
        _under_way.pop()
        _is_sending.reset(token)


def is_sending() -> bool:
    """Whether the SDK may reach the network in this context."""
    return _is_sending.get()


def is_any_under_way() -> bool:
    """Whether the SDK may reach the network anywhere: event loops look up names in threads without the context."""
    return bool(_under_way)
