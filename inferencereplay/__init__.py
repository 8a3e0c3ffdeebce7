"""Record the calls of an OpenAI client once; replay them offline, in microseconds, as if they were real.

    from inferencereplay import replay

    with replay("recordings"):
        ...  # every call of every OpenAI client is answered from recordings
"""

from __future__ import annotations

from inferencereplay.api import replay, unwrap, wrap
from inferencereplay.errors import (
    IncompleteRecording,
    InferenceReplayError,
    InvalidClient,
    InvalidSetting,
    NotRecordable,
    RecordingCorrupt,
    RecordingNotFound,
    StoreError,
)
from inferencereplay.pacing import Pace
from inferencereplay.session import Session
from inferencereplay.settings import Mode

__all__ = [
    "IncompleteRecording",
    "InferenceReplayError",
    "InvalidClient",
    "InvalidSetting",
    "Mode",
    "NotRecordable",
    "Pace",
    "RecordingCorrupt",
    "RecordingNotFound",
    "Session",
    "StoreError",
    "replay",
    "unwrap",
    "wrap",
]
__version__ = "0.1.0"
