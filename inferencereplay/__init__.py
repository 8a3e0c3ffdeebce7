"""Record the calls of an OpenAI client once; replay them offline, in microseconds, as if they were real.

    from inferencereplay import replay

    with replay("recordings"):
        ...  # every call of every OpenAI client is answered from recordings

Importing the package imports nothing else: each name is fetched when it is first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from inferencereplay.api import current_session, replay, unwrap, wrap
    from inferencereplay.errors import (
        AmbiguousRecording,
        IncompleteRecording,
        InferenceReplayError,
        InvalidClient,
        InvalidSetting,
        NetworkBlocked,
        NotRecordable,
        RecordingCorrupt,
        RecordingExpired,
        RecordingNotFound,
        StoreError,
        UnknownRecording,
        UnusedStub,
    )
    from inferencereplay.faults.fault import Fault
    from inferencereplay.pacing.clocks import VirtualClock
    from inferencereplay.pacing.pacer import Pace
    from inferencereplay.pacing.timing import Timing
    from inferencereplay.session.session import Session
    from inferencereplay.session.settings import Mode

__all__ = [
    "AmbiguousRecording",
    "Fault",
    "IncompleteRecording",
    "InferenceReplayError",
    "InvalidClient",
    "InvalidSetting",
    "Mode",
    "NetworkBlocked",
    "NotRecordable",
    "Pace",
    "RecordingCorrupt",
    "RecordingExpired",
    "RecordingNotFound",
    "Session",
    "StoreError",
    "Timing",
    "UnknownRecording",
    "UnusedStub",
    "VirtualClock",
    "current_session",
    "replay",
    "unwrap",
    "wrap",
]
__version__ = "0.1.0"

_MODULES = {
    "Fault": "faults.fault",
    "Mode": "session.settings",
    "Pace": "pacing.pacer",
    "Session": "session.session",
    "Timing": "pacing.timing",
    "VirtualClock": "pacing.clocks",
    "current_session": "api",
    "replay": "api",
    "unwrap": "api",
    "wrap": "api",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)
    from importlib import import_module  # noqa: PLC0415 - paid for when a name is fetched

    value = getattr(import_module(f"{__name__}.{_MODULES.get(name, 'errors')}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
