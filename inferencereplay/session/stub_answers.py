"""The stubs of a session and its calls: which one answers a call, as a decision, and how its answer is stored."""

from __future__ import annotations

from typing import TYPE_CHECKING

from inferencereplay.errors import InvalidSetting
from inferencereplay.recording.format import VERSION, Recording, recorded_request
from inferencereplay.session.decision import Play
from inferencereplay.session.question import Question
from inferencereplay.session.recorder import PendingRecording

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from inferencereplay.recording.format import Response
    from inferencereplay.session.call import Call
    from inferencereplay.session.recorder import Recorder
    from inferencereplay.session.recording_cache import RecordingCache
    from inferencereplay.stubs.stub import Stub
    from inferencereplay.stubs.stub_queue import StubQueue

MOST_STUBS = 5
"""Stubs that the message of a miss names."""


def find_stub(stubs: StubQueue, call: Call) -> Stub | None:
    """Return the stub that answers a call, if one does; nothing is counted.

    Raises:
        InvalidSetting: if a predicate fails.
    """
    asked = Question(call.request if call.sent is None else call.sent)
    try:
        return stubs.find(asked.path, asked.method, asked.body)
    except InvalidSetting as error:  # a predicate's error may show the body
        raise InvalidSetting(call.redactor.text(str(error))) from error.__cause__


def take_stub(
    stubs: StubQueue, stub: Stub, call: Call, cache: RecordingCache, covers: Callable[[Response], bool] | None
) -> Play | None:
    """Let a stub answer a call; `None` if the caller cannot replay that, or the stub is used up.

    Args:
        stubs: those of the session.
        stub: the one that was found.
        call: the call.
        cache: the session's.
        covers: see `Decider.play`.
    """
    request = call.request
    response = stub.answer(request)
    if covers is not None and (stub.saves or not covers(response)):
        return None
    if not stubs.take(stub):
        return None
    recording = Recording(VERSION, request.key, recorded_request(request), response)
    return Play(recording, request, request.key, 0, 0, cache, stub=stub)


def save_answer(recorder: Recorder[Any], call: Call, play: Play) -> None:
    """Store the answer of a stub as a recording; a failure is logged, never raised."""
    pending = PendingRecording(recorder, call)
    stub, noted = play.stub, play.noted
    if stub is not None and not pending.keep(stub.response_to_save(play.recording.response)) and noted is not None:
        noted.keep(pending.key, pending.number)


def unmatched(stubs: StubQueue | None) -> str:
    """Say which stubs that are left did not match a request; empty without any."""
    left = [repr(stub) for stub in stubs or () if stub.is_left]
    if not left:
        return ""
    shown = ", ".join(left[:MOST_STUBS])
    return f"{len(left)} stub{'s' if len(left) > 1 else ''} did not match: {shown}{', …' * (len(left) > MOST_STUBS)}."
