"""What a session decides for a call: play a recording, record the live answer, let the call through, or wait."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import msgspec

from inferencereplay.recording.format import Recording
from inferencereplay.recording.request import Request
from inferencereplay.session.calls_log import LoggedCall
from inferencereplay.session.recording_cache import RecordingCache

if TYPE_CHECKING:
    from inferencereplay.session.recorder import PendingRecording
    from inferencereplay.stubs.stub import Stub  # noqa: TC004 - nothing decodes it, and few sessions need it


class Play(msgspec.Struct):  # which is made four times faster than a NamedTuple
    """The decision to answer a call from a recording.

    Attributes:
        recording: what answers.
        request: the request as it was looked up, perhaps redacted.
        key: the request's.
        number: of the variant.
        call: which of the session's equal calls this is, from 1.
        cache: where the recording comes from.
        noted: the call among the session's, once it counts.
        stub: the answer by hand that it is, if it is one.
    """

    recording: Recording
    request: Request
    key: str
    number: int
    call: int
    cache: RecordingCache
    noted: LoggedCall | None = None
    stub: Stub | None = None

    def end(self) -> None:
        """Note that the answer is complete."""
        if self.noted is not None:
            self.noted.end()

    @property
    def name(self) -> str:
        """The file, for messages."""
        if self.stub is not None:
            return repr(self.stub)
        return self.cache.name(self.request.path, self.key, self.number)

    @property
    def is_closed(self) -> bool:
        """Whether it is a stream that was abandoned while it was recorded."""
        return self.recording.response.end == "closed"


class LetThrough(msgspec.Struct):
    """The decision to let a call through to the network, and not to store its answer.

    Attributes:
        noted: the call among the session's.
    """

    noted: LoggedCall


class Wait:
    """The decision to wait: another session of the run is recording the equal call, and its answer serves both."""


WAIT = Wait()
Decision: TypeAlias = "Play | PendingRecording | LetThrough | Wait"
