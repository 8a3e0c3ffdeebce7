"""The decision for one call: mode, store and pacing; and the counts of one use."""

from __future__ import annotations

import functools
import logging
import math
import weakref
from array import array
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from inferencereplay.errors import InvalidSetting, NotRecordable, RecordingNotFound
from inferencereplay.locks import make_lock
from inferencereplay.pacing.clocks import SYSTEM_CLOCK
from inferencereplay.pacing.pacer import make_pacer
from inferencereplay.pacing.timing import Timing, summarize
from inferencereplay.recording.format import Provenance, is_whole
from inferencereplay.recording.request import (
    TOO_DEEP,
    NotSerializable,
    Request,
    canonical_json,
    parse_json,
    without,
)
from inferencereplay.redaction.redactor import Redactor
from inferencereplay.session import garbage
from inferencereplay.session.call import Call
from inferencereplay.session.decision import WAIT, Decision, Play
from inferencereplay.session.misses import explain
from inferencereplay.session.recorder import PendingRecording, Recorder
from inferencereplay.session.recording_cache import RecordingCache
from inferencereplay.session.run_variants import RunVariants
from inferencereplay.session.settings import Mode, list_options, resolve
from inferencereplay.session.variants import Followed, Variants
from inferencereplay.store.opening import open_store

if TYPE_CHECKING:
    import os
    from collections.abc import Callable

    from typing_extensions import Unpack

    from inferencereplay.pacing.pacer import Pacer
    from inferencereplay.recording.format import Response
    from inferencereplay.session.run_coordinator import RunCoordinator
    from inferencereplay.session.settings import Options

log = logging.getLogger("inferencereplay")

NO_JSON = "what it sends or returns is not JSON"
LEAVING = 1.0
"""Seconds that a stream waits for its program to leave it, past the recorded one: a time-out begins before a call."""
LONGEST_UNANSWERED = 60.0
"""Seconds that a call waits for its program to leave it, past the recorded moment."""
_RECORDING = (Mode.RECORD, Mode.RECORD_IF_MISSING)
_Miss = TypeVar("_Miss", bound=RecordingNotFound)


class Session:
    """A store, a mode, a speed, and the counts of one use; for several clients or blocks that are to share them.

    Args:
        directory: where recordings live; by default what `INFERENCEREPLAY_DIR` says, or `recordings`.
        mode: `live`, `replay`, `record` or `record-if-missing`; by default what `INFERENCEREPLAY_MODE` says, or
            `replay` if there is a directory, or `live`.
        speed: how fast recorded time runs: 1 the original pace, 10 ten times faster, `inf` (the default) no waiting.
        pace: the pace of recordings that hold no timing, such as llama-stack's.
        clock: takes the place of real time, as `VirtualClock()` does in tests.
        ignore: dotted paths into the body, such as `"metadata.run_id"`, that do not count when requests are compared;
            lists are gone through. Like `normalize` and `redact` it belongs to the key: it has to be the same while
            recording and in replay.
        normalize: a function from body to body, called before requests are compared.
        redact: regular expressions for secrets, which add to the ones that are known.
        record_errors: whether every error is stored; without it only those that repeat are (400, 404, 413, 422), and
            none that may pass (401, 429, 5xx, a connection that failed, …).
        exhausted: what the call after the last variant gets: the last one again (`"repeat"`), a miss (`"error"`), or a
            live call that is stored (`"record"`; in `record-if-missing` only, a miss in `replay`).
        test_id: which of a llama-stack directory's recordings of one request to take.

    Attributes:
        mode: what was decided.
        speed: what was decided; infinity for no waiting.
        hits: calls that a recording answered.
        misses: calls that no recording could answer.
        recorded: recordings that were stored.
        timing: how near to its time each chunk of a paced replay came.
        command: returns what to run to have missing recordings made in a mode, where a program knows better than
            this package, as a test runner does; it is for the message of a miss.

    Raises:
        InvalidSetting: for an invalid setting; the message lists what is valid.
        StoreError: if the directory is a file, or cannot be read, in `replay`.

    Example:
        >>> session = Session("recordings", mode="replay")
        >>> client = wrap(OpenAI(api_key="none"), session)
        >>> answer = client.chat.completions.create(**ask)
        >>> session.hits, session.misses, session.recorded, session.unused()
        (1, 0, 0, [])
    """

    @list_options
    def __init__(self, directory: str | os.PathLike[str] | None = None, **options: Unpack[Options]) -> None:
        settings = resolve(directory, options)
        self.mode = settings.mode
        self.is_live = settings.mode is Mode.LIVE
        self.replays = settings.mode is not Mode.RECORD
        self.speed = settings.speed
        self.from_environment = settings.from_environment
        self.hits = self.misses = 0
        self.missed: list[RecordingNotFound] = []
        self.command: Callable[[str], str] | None = None
        mode = options.get("mode")
        self._own_mode = None if mode is None else str(getattr(mode, "value", mode))
        self._pace = settings.pace
        self._never_waits = math.isinf(self.speed) and self._pace is None
        self.clock = settings.clock or SYSTEM_CLOCK
        self._late = array("d")  # seconds, of every paced chunk
        self._ignore = settings.ignore
        self._normalize = settings.normalize
        self.redactor = Redactor(settings.redact)
        self._exhausted = settings.exhausted
        self._lock = make_lock()
        self._warned: set[str] = set()
        self._joined: RunVariants | None = None
        self.store = open_store(settings.directory, settings.test_id, self.prepare, is_recorded=self.mode in _RECORDING)
        if self.mode in _RECORDING and not self.store.is_writable:
            message = f"mode={self.mode.value!r}: {self.store.directory} is llama-stack's, and can be replayed only."
            raise InvalidSetting(message + " Record into another directory.")
        self._cache = RecordingCache(self.store)
        variants = Variants(
            self.store,
            replaces=self.mode is Mode.RECORD,
            repeats=settings.exhausted == "repeat",
            is_whole=is_whole,
        )
        if self.mode is Mode.RECORD:  # nobody closes the session of a client that stays wrapped
            weakref.finalize(self, garbage.note, variants.finish)
        self.recorder = Recorder(self.store, variants, record_errors=settings.record_errors)

    def __repr__(self) -> str:
        counts = f"hits={self.hits}, misses={self.misses}, recorded={self.recorded}"
        return f"<Session {self.store.directory!r} mode={self.mode.value!r} speed={self.speed:g} {counts}>"

    @property
    def recorded(self) -> int:
        """How many recordings were stored."""
        return self.recorder.recorded

    @property
    def timing(self) -> Timing:
        """How late the chunks came that had a time of their own to come at, in seconds; see `Timing`."""
        return summarize(self._late)

    def join(self, run: RunCoordinator) -> None:
        """Record together with the other sessions of a run, each request once; to be said before the first call.

        What the run has recorded answers then also in `record`. In the other modes it changes nothing.
        """
        if self.mode is Mode.RECORD:
            self.recorder.variants = self._joined = RunVariants(self.store, run, is_whole)
            self.replays = True

    def unused(self) -> list[str]:
        """Return the names, relative to the directory, of the recordings that answered no call and were not stored."""
        used = set(self.used())
        return sorted(name for name in self.store.list() if name not in used)

    def used(self) -> list[str]:
        """Return the names, relative to the directory, of the recordings that answered a call or were stored."""
        return sorted({name for item in self.recorder.variants.used.copy() for name in self.store.sources(*item)})

    def follow_used(self, tell: Callable[[tuple[str, ...]], None]) -> None:
        """Have the names of each recording told when it is used for the first time; to be said before the first call.

        It is called under a lock, and must not fail.
        """
        self.recorder.variants.used = Followed(lambda item: tell(self.store.sources(*item)))

    def finish(self) -> None:
        """Store streams that the program abandoned without closing them; the SDK's are in reference cycles.

        In `record`, replaced variants are removed then.
        """
        garbage.run_noted()
        if self.recorder.variants.has_pending():
            garbage.collect()
        garbage.run_noted()
        self.recorder.variants.finish()

    def tell_misses(self) -> None:
        """Raise the first miss: if nobody has heard of it until now, the program swallowed it.

        Raises:
            RecordingNotFound: if there was one since the last time.
        """
        with self._lock:
            missed, self.missed = self.missed, []
        if not missed:
            return
        first, count = missed[0], len(missed)
        if count > 1:
            first.args = (f"{first.args[0]}\n{count} calls were not recorded; this is the first.",)
        raise first

    def forget_misses(self) -> None:
        """Tell of none of the misses up to now: another error went before them, or it was one of them itself."""
        with self._lock:
            self.missed = []

    # The decision.

    def call(
        self,
        request: Request,
        find_literals: Callable[[], tuple[str, ...]] = tuple,
        find_origin: Callable[[], Provenance] = Provenance,
    ) -> Call:
        """Read a call: what it sends, and how to find its client's secrets and server if they are needed.

        Raises:
            InvalidSetting: if `normalize` fails or returns something that is not JSON.
            NotSerializable: if the request is nested too deeply to be searched.
        """
        call = Call(request, self.redactor, find_literals, find_origin)
        if self._ignore or self._normalize is not None:
            call.request = self.prepare(request, call)
        return call

    def prepare(self, request: Request, call: Call | None = None) -> Request:
        """Apply `ignore` and `normalize` to a request.

        Args:
            request: what is sent.
            call: whose secrets are redacted in the message of an error.

        Raises:
            InvalidSetting: if `normalize` fails or returns something that is not JSON.
            NotSerializable: if the request is nested too deeply to be searched.
        """
        if not self._ignore and self._normalize is None:
            return request
        try:
            body = without(parse_json(request.body), self._ignore)
        except (ValueError, RecursionError) as error:
            raise NotSerializable(TOO_DEEP) from error
        try:
            if self._normalize is not None and body is not None:
                body = self._normalize(body)
                if not isinstance(body, dict):
                    told = f"it returned an object of the type {type(body).__name__}"
                    raise TypeError(told)  # noqa: TRY301 - one message for all its mistakes
            return msgspec.structs.replace(request, body=canonical_json(body))
        except Exception as error:
            message = f"normalize= failed for a request to {request.path}: {error!r}. It has to return the body."
            redactor = self.redactor if call is None else call.redactor
            raise InvalidSetting(redactor.text(message)) from error

    def decide(self, call: Call, *, takes_over: bool = False) -> Decision:
        """Decide what becomes of a call: play a recording, record the live answer, or wait and decide again.

        Args:
            call: the call.
            takes_over: whether to record even if another session of the run is recording the equal call.

        Raises:
            RecordingNotFound: for a request that was not recorded, in `replay`.
            RecordingCorrupt: if the file that should answer cannot be used.
            StoreError: if the file that should answer cannot be read.
            NotSerializable: if the request is nested too deeply to be searched.
        """
        if play := self.play(call):
            return play
        if self.mode is Mode.REPLAY:
            raise self.miss(call)
        if self._joined is not None:
            redacted = call.redacted
            if not self._joined.reserve(redacted.path, redacted.key, takes_over=takes_over):
                return WAIT
        return self.begin(call)

    def play(self, call: Call, covers: Callable[[Response], bool] | None = None) -> Play | None:
        """Count a call as answered by a recording, and return that; `None` if there is none.

        Args:
            call: the call.
            covers: whether the caller can give out an answer; one that it cannot give out is not counted.

        Raises:
            RecordingCorrupt: if the file that should answer cannot be used.
            RecordingNotFound: if the recordings are used up and `exhausted="error"`.
            NotSerializable: if the request is nested too deeply to be searched.
        """
        while self.replays and (play := self.find(call)):
            if covers is not None and not covers(play.recording.response):
                return None
            with self._lock:
                if self.recorder.variants.commit(play.request.path, play.key, play.number, play.call):
                    self.hits += 1
                    return play
        return None

    def begin(self, call: Call) -> PendingRecording:
        """Number a call that goes to the network."""
        return PendingRecording(self.recorder, call)

    def find(self, call: Call) -> Play | None:
        """Return what would answer a call; nothing is counted.

        A request is looked up as it is before it is searched for secrets, which costs more than the rest. A recording
        found that way is right: only this very request can have been stored there, by a session that knew of no secret
        in it. It is passed over where it would mix with the recordings of the redacted key: if it is incomplete, and if
        live calls follow the last variant or the last one of the run.

        Raises:
            RecordingCorrupt: if the file that should answer cannot be used.
            RecordingNotFound: if the recordings are used up and `exhausted="error"`.
            NotSerializable: if the request is nested too deeply to be searched.
        """
        may_store = self.mode is Mode.RECORD_IF_MISSING
        is_mixing = self._joined is not None or (may_store and self._exhausted == "record")
        found = None if is_mixing else self._peek(call.request)
        if found is None or found.is_closed:
            redacted = call.redacted
            if is_mixing or redacted is not call.request:
                found = self._peek(redacted) or found
            if may_store and found is None and self._exhausted == "error" and self._first(call.request, redacted):
                raise self.miss(call)
        return None if may_store and found and found.is_closed else found

    def pacer(self, response: Response) -> Pacer | None:
        """Return what the chunks of a stream, or a plain answer as a whole, wait by."""
        if self._never_waits:
            return None
        if response.is_stream:
            offsets, count = response.offsets, len(response.chunks)
            if response.left is not None and len(offsets) == count:  # also if it was left before the first chunk
                offsets = [*offsets, response.left + LEAVING * self.speed]
        else:
            offsets, count = ([] if response.elapsed is None else [response.elapsed]), 1
        note = self._late.append
        return make_pacer(offsets, count, speed=self.speed, pace=self._pace, clock=self.clock, note=note)

    def patience(self, response: Response) -> float:
        """Return how many seconds a call that was left before its answer waits until it is left again."""
        left = 0.0 if self._never_waits else (response.left or 0.0) / self.speed
        return left + LONGEST_UNANSWERED

    # Calls without an answer.

    def miss(self, call: Call) -> RecordingNotFound:
        """Count a call as a miss and return the error that says what differs."""
        error = explain(
            call.redacted,
            self.store,
            call.redactor,
            used_up=self._first(call.request, call.redacted),
            skipped=self.recorder.skipped(call.redacted.key),
            exhausted=self._exhausted,
            own_mode=self._own_mode,
            command=self.command,
        )
        return self._note(error)

    def refuse(self, call: Call, reason: str = NO_JSON) -> NotRecordable:
        """Count a call that no recording can answer as a miss and return the error."""
        message = f"{call.line} is not recordable: {reason}. Replace it in the test."
        return self._note(NotRecordable(message, **self._facts(call)))

    def refuse_bypass(self, call: Call, *, is_call: bool) -> RecordingNotFound:
        """Count a request that bypassed the session as a miss and return the error that keeps it off the network.

        Args:
            call: what is requested.
            is_call: whether the SDK makes the request for a call of its own.
        """
        reason = (
            "another library's wrapper around this client's `request`, older than the session, calls the SDK's own "
            "method. Put it on inside the block."
            if is_call
            else "the program builds the request with the client's `_build_request`, and such a request belongs to no "
            "call. Make the call with the client's methods, or build the request outside of the block."
        )
        message = f"{call.line} was kept off the network, but cannot be answered: {reason}"
        return self._note(RecordingNotFound(message, **self._facts(call)))

    def warn_bypass(self, call: Call) -> None:
        """Log that a call bypassed the session, and that the next ones will not."""
        message = (
            "%s was not recorded: another library's wrapper, older than the session, calls the SDK's own method. "
            "From now on its calls are recorded."
        )
        log.warning(message, call.line)

    def warn_once(self, call: Call, reason: str = NO_JSON) -> None:
        """Log that calls of an endpoint go to the network unrecorded, the first time."""
        line = call.line
        with self._lock:
            is_new = line not in self._warned
            self._warned.add(line)
        if is_new:
            log.warning("%s is not recordable and goes to the network: %s", line, reason)

    def _peek(self, request: Request) -> Play | None:
        key = request.key
        variant = self.recorder.variants.peek(request.path, key, functools.partial(self._cache.read, request, key))
        if variant is None:
            return None
        return Play(variant.data, request, key, variant.number, variant.call, self._cache)

    def _first(self, *requests: Request) -> str | None:
        """Return the name of the first recording of what may be one request, with secrets and without."""
        for request in requests:
            if self.store.read(request.path, request.key, 1) is not None:
                return self.store.sources(request.path, request.key, 1)[0]
        return None

    def _facts(self, call: Call) -> dict[str, Any]:
        return {"method": call.request.method, "path": call.path, "directory": self.store.directory}

    def _note(self, error: _Miss) -> _Miss:
        with self._lock:
            self.misses += 1
            self.missed.append(error)
        return error
