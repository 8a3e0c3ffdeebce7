"""What a session notes of its calls in one use: how many there were, and what became of each."""

from __future__ import annotations

import functools
import logging
import weakref
from array import array
from typing import TYPE_CHECKING, Any, TypeVar

from inferencereplay.errors import NotRecordable, RecordingExpired, RecordingNotFound
from inferencereplay.locks import make_lock
from inferencereplay.pacing.clocks import SYSTEM_CLOCK
from inferencereplay.recording.format import is_whole
from inferencereplay.redaction.redactor import Redactor
from inferencereplay.session import garbage
from inferencereplay.session.calls_log import FAULT, LIVE, MISS, CallLog
from inferencereplay.session.child_counts import NO_CHILDREN
from inferencereplay.session.decision import LetThrough
from inferencereplay.session.misses import explain, explain_bypass, explain_message
from inferencereplay.session.near_requests import NearRequests
from inferencereplay.session.recorder import Recorder
from inferencereplay.session.session_store import open_session_store
from inferencereplay.session.settings import Mode
from inferencereplay.session.stub_answers import unmatched
from inferencereplay.session.variant_files import never
from inferencereplay.session.variants import Variants
from inferencereplay.store.interface import written_of

if TYPE_CHECKING:
    import datetime
    from collections.abc import Callable

    from inferencereplay.faults.fault import Fault
    from inferencereplay.faults.plan import FaultPlan
    from inferencereplay.recording.request import Request
    from inferencereplay.session.age import Expiry
    from inferencereplay.session.call import Call
    from inferencereplay.session.calls_log import Asked, Calls, LoggedCall
    from inferencereplay.session.child_counts import ChildCounts
    from inferencereplay.session.child_reports import ChildReports
    from inferencereplay.session.connection_variants import ConnectionVariants
    from inferencereplay.session.settings import Settings
    from inferencereplay.stubs.stub_queue import StubQueue

log = logging.getLogger("inferencereplay")

_Miss = TypeVar("_Miss", bound=RecordingNotFound)


class CallNotes:
    """The notes of one use; the attributes are told at `Session`.

    Args:
        settings: those in effect.
        prepare: applies `ignore` and `normalize` to a request; see `Decider.prepare`.

    Raises:
        InvalidSetting: if the directory cannot be used as the settings say.
        StoreError: if it is a file, or cannot be read, in `replay`.
    """

    def __init__(self, settings: Settings, prepare: Callable[[Request], Request]) -> None:
        self.settings = settings
        self.mode = mode = settings.mode
        self.is_live = mode is Mode.LIVE
        self.own_mode: str | None = None
        self.command: Callable[[str], str] | None = None
        self.clock = settings.clock or SYSTEM_CLOCK
        self.redactor = Redactor(settings.redact)
        self._warned: set[str] = set()
        self.store = open_session_store(settings, prepare)
        self._own = written_of(self.store) if mode is Mode.RECORD else self.store
        self._near_requests = NearRequests(self.store)
        self._expiry: Expiry | None = None
        self._has_expired: Callable[[bytes], bool] = never
        """What says that a recording gives way to any complete answer because of its age."""
        if settings.max_age is not None:
            self._watch_age(settings.max_age, settings.on_expiry)
        self._begin()

    def _watch_age(self, max_age: datetime.timedelta, on_expiry: str) -> None:
        from inferencereplay.session.age import RECORD, Expiry  # noqa: PLC0415 - few sessions look at the age

        self._expiry = expiry = Expiry(max_age, on_expiry)
        if self.mode is Mode.RECORD or (self.mode is Mode.RECORD_IF_MISSING and on_expiry == RECORD):
            self._has_expired = expiry.has_expired
        # The session of a client that stays wrapped is never closed.
        weakref.finalize(self, garbage.note, functools.partial(expiry.tell, self.store.directory))

    def _begin(self) -> None:
        """Count, and number equal calls, from the beginning."""
        settings, is_recording = self.settings, self.mode is Mode.RECORD
        self._hits = self._misses = self._let_through = self._stubbed = 0
        self._stubs: StubQueue | None = None
        self._missed: list[RecordingNotFound] = []
        self._children: ChildReports | None = None
        self.fault_plan: FaultPlan | None = None
        if settings.faults:
            from inferencereplay.faults.plan import FaultPlan  # noqa: PLC0415 - few sessions have faults

            self.fault_plan = FaultPlan(settings.faults, settings.on)
        self._late = array("d")  # seconds, of every paced chunk
        self._lock = make_lock()
        self._log = CallLog(self.store, self.redactor, self.clock, settings.keep_calls)
        variants = Variants(
            self._own,
            replaces=is_recording,
            repeats=settings.exhausted == "repeat",
            is_whole=is_whole,
            has_expired=self._has_expired,
        )
        if is_recording:  # the session of a client that stays wrapped is never closed
            weakref.finalize(self, garbage.note, variants.finish)
        keeps_equal = settings.keep_equal and is_recording
        self.recorder = Recorder(self.store, variants, record_errors=settings.record_errors, keeps_equal=keeps_equal)
        self._connection_recorder: Recorder[ConnectionVariants] | None = None

    # How many calls there were.

    @property
    def hits(self) -> int:
        """How many calls a recording answered, in this process and in its children."""
        return self._hits + self._heard().hits

    @property
    def misses(self) -> int:
        """How many calls no recording could answer, as `hits`."""
        return self._misses + self._heard().misses

    @property
    def recorded(self) -> int:
        """How many recordings were stored, as `hits`."""
        connections = self._connection_recorder
        return self.recorder.recorded + (connections.recorded if connections else 0) + self._heard().recorded

    @property
    def unchanged(self) -> int:
        """How many live answers equal the stored ones, whose files stayed as they were, as `hits`."""
        connections = self._connection_recorder
        return self.recorder.unchanged + (connections.unchanged if connections else 0) + self._heard().unchanged

    @property
    def expired(self) -> list[str]:
        """The names, relative to the directory, of the recordings that answered although they have expired."""
        return [] if self._expiry is None else sorted(self._expiry.expired)

    @property
    def let_through(self) -> int:
        """How many calls went to the network although the mode is not `live`, and were not stored, as `hits`."""
        return self._let_through + self._heard().let_through

    @property
    def stubbed(self) -> int:
        """How many calls an answer by hand answered, as `hits`."""
        return self._stubbed + self._heard().stubs.total()

    @property
    def faults(self) -> dict[str, int]:
        """How often each kind of fault has happened, by name."""
        return {} if self.fault_plan is None else self.fault_plan.counts(self._heard().faults)

    def unused_faults(self) -> list[Fault]:
        """Return the faults that have not happened."""
        return [] if self.fault_plan is None else self.fault_plan.unused(self._heard().faults)

    # What became of each.

    @property
    def calls(self) -> Calls:
        """The calls that were made, in order: what was asked, and what became of it; see `Calls`."""
        return self._log.calls

    def pass_on(self, call: Call) -> LetThrough:
        """Note a call that goes to the network and is not stored."""
        shown = call.shown
        with self._lock:
            self._let_through += not self.is_live
            return LetThrough(self._log.add(shown, LIVE, 0))

    def note_live(self, asked: Asked) -> LoggedCall:
        """Note a call in `live` mode."""
        with self._lock:
            return self._log.add(asked, LIVE, 0)

    def note_fault(self, call: Call, began: float) -> LoggedCall:
        """Note a call that no recording answers, for its attempts meet faults.

        Args:
            call: the call.
            began: the clock's time at its start.
        """
        shown = call.shown
        with self._lock:
            noted = self._log.add(shown, FAULT)
        noted.began = began
        return noted

    # Calls without an answer.

    @property
    def missed(self) -> list[RecordingNotFound]:
        """The misses that nobody has raised yet."""
        self._heard()
        return self._missed

    @missed.setter
    def missed(self, missed: list[RecordingNotFound]) -> None:
        self._missed = missed

    def raise_missed(self) -> None:
        """Raise the first miss since the last time: the program has swallowed it.

        Raises:
            RecordingNotFound: if there is one.
        """
        self._heard()
        if not self._missed:
            return
        missed = self._take_missed()
        first, count = missed[0], len(missed)
        if count > 1:
            what = "answered" if any(isinstance(error, RecordingExpired) for error in missed) else "recorded"
            first.args = (f"{first.args[0]}\n{count} calls were not {what}; this is the first.",)
        raise first

    def forget_misses(self) -> None:
        """Forget the misses up to now: another error is being raised, or one of them."""
        self._heard()
        self._take_missed()

    def _take_missed(self) -> list[RecordingNotFound]:
        with self._lock:
            missed, self._missed = self._missed, []
        return missed

    def miss(self, call: Call) -> RecordingNotFound:
        """Count a call as a miss and return the error that says what differs."""
        error = explain(
            call.redacted,
            self._near_requests,
            call.redactor,
            used_up=self._first(call.request, call.redacted),
            skipped=self.recorder.skipped(call.redacted.key),
            exhausted=self.settings.exhausted,
            own_mode=self.own_mode,
            command=self.command,
        )
        if line := unmatched(self._stubs):
            error.args = (f"{error.args[0]}\n{line}",)
        return self._note(error, call)

    def miss_message(self, call: Call, name: str, reason: str, lines: tuple[str, ...] = ()) -> RecordingNotFound:
        """Count a message of a WebSocket connection that was not recorded as a miss, and return the error.

        Args:
            call: the connection.
            name: the file that is being replayed.
            reason: what was not recorded.
            lines: the differences to the recorded message.
        """
        error = explain_message(
            call, name, reason, lines, store=self.store, own_mode=self.own_mode, command=self.command
        )
        return self._note(error, call)

    def refuse(self, call: Call, reason: str) -> NotRecordable:
        """Count a call that no recording can answer as a miss and return the error."""
        message = f"{call.line} is not recordable: {reason}. Replace it in the test."
        return self._note(NotRecordable(message, **self._facts(call)), call)

    def refuse_bypass(self, call: Call, *, is_call: bool) -> RecordingNotFound:
        """Count a request that bypassed the session as a miss and return the error that keeps it off the network.

        Args:
            call: the request, as a call.
            is_call: whether the SDK makes the request for a call of its own.
        """
        message = explain_bypass(call.line, is_call=is_call)
        return self._note(RecordingNotFound(message, **self._facts(call)), call)

    def warn_bypass(self, call: Call) -> None:
        """Log that a call bypassed the session, and that the next ones will not."""
        message = (
            "%s was not recorded: another library's wrapper, older than the session, calls the SDK's own method. "
            "From now on its calls are recorded."
        )
        log.warning(message, call.line)

    def warn_once(self, call: Call, reason: str) -> None:
        """Log that calls of an endpoint go to the network unrecorded, the first time."""
        line = call.line
        with self._lock:
            is_new = line not in self._warned
            self._warned.add(line)
        if is_new:
            log.warning("%s is not recordable and goes to the network: %s", line, reason)

    def _first(self, *requests: Request) -> str | None:
        """Return the name of the first recording of a request, given unredacted and redacted; `None` without any."""
        for request in requests:
            if self.store.read(request.path, request.key, 1) is not None:
                return self.store.sources(request.path, request.key, 1)[0]
        return None

    def _facts(self, call: Call) -> dict[str, Any]:
        return {"method": call.request.method, "path": call.path, "directory": self.store.directory}

    def _note(self, error: _Miss, call: Call) -> _Miss:
        shown = call.shown
        with self._lock:
            self._misses += 1
            self._missed.append(error)
            self._log.add(shown, MISS).end()
        self._tell_miss(error)
        return error

    def _tell_miss(self, error: RecordingNotFound) -> None:
        """Tell a miss to the parent's session; there is none."""

    # What child processes tell.

    def expect_children(self) -> str:
        """Return the folder in which child processes tell what they do; empty if none can be made."""
        if self._children is None:
            from inferencereplay.session.child_reports import ChildReports  # noqa: PLC0415 - few programs start processes

            try:
                self._children = ChildReports()
            except OSError as error:
                log.warning("what child processes do is not counted: %s", error)
                return ""
        return self._children.folder

    def forget_children(self) -> None:
        """Leave the child processes up to now to another process."""
        self._children = None

    def _heard(self) -> ChildCounts:
        """Hear what child processes have told."""
        children = self._children
        if children is None:
            return NO_CHILDREN
        self._missed += children.hear()
        if self._stubs is not None:
            self._stubs.hear(children.stubs)
        return children
