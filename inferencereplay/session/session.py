"""The decision for one call: mode, store and pacing; and the counts of one use."""

from __future__ import annotations

import copy
import functools
import itertools
import logging
import math
import weakref
from array import array
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from inferencereplay.errors import InvalidSetting, NotRecordable, RecordingExpired, RecordingNotFound
from inferencereplay.locks import make_lock
from inferencereplay.pacing.clocks import SYSTEM_CLOCK
from inferencereplay.pacing.pacer import Pace, make_pacer
from inferencereplay.pacing.timing import Timing, summarize
from inferencereplay.recording.format import VERSION, Provenance, Recording, is_whole, recorded_request
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
from inferencereplay.session.calls_log import FAULT, LIVE, MISS, STUB, CallLog
from inferencereplay.session.decision import WAIT, Decision, LetThrough, Play
from inferencereplay.session.misses import explain, explain_message, way_to_record
from inferencereplay.session.near_requests import NearRequests
from inferencereplay.session.question import Question
from inferencereplay.session.recorder import PendingRecording, Recorder
from inferencereplay.session.recording_cache import RecordingCache
from inferencereplay.session.run_variants import RunVariants
from inferencereplay.session.selection import Selection
from inferencereplay.session.settings import Mode, list_options, resolve
from inferencereplay.session.variant_files import never
from inferencereplay.session.variants import ReportingSet, Variants
from inferencereplay.store.interface import written_of
from inferencereplay.store.opening import open_store

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from typing_extensions import Unpack

    from inferencereplay.faults.fault import Fault
    from inferencereplay.faults.plan import FaultPlan
    from inferencereplay.pacing.pacer import Pacer
    from inferencereplay.recording.format import Response
    from inferencereplay.session.age import Expiry
    from inferencereplay.session.calls_log import Asked, Calls, LoggedCall
    from inferencereplay.session.child_reports import ChildReports
    from inferencereplay.session.connection_variants import ConnectionVariants
    from inferencereplay.session.run_coordinator import RunCoordinator
    from inferencereplay.session.settings import Directory, Options, Settings
    from inferencereplay.store.interface import Store
    from inferencereplay.stubs.arguments import StubOptions
    from inferencereplay.stubs.stub import Stub
    from inferencereplay.stubs.stub_queue import StubQueue

log = logging.getLogger("inferencereplay")

LEAVING = 1.0
"""Seconds that a replay waits past the recorded moment at which a stream was abandoned, for the program's time-out."""
LONGEST_UNANSWERED = 60.0
"""Seconds that a replay waits past the recorded moment at which a call was cancelled, for its cancellation."""
MOST_STUBS = 5
"""Stubs that the message of a miss names."""
_RECORDING = (Mode.RECORD, Mode.RECORD_IF_MISSING)
_ANSWERING = (Mode.REPLAY, Mode.RECORD_IF_MISSING)
_Miss = TypeVar("_Miss", bound=RecordingNotFound)


class Session:
    """A store, a mode, a speed, and the counts of one use; for several clients or blocks that are to share them.

    Args:
        directory: where recordings live; by default what `INFERENCEREPLAY_DIR` says, or `recordings`. A list of several
            is looked up in order.
        mode: `live`, `replay`, `record` or `record-if-missing`; by default what `INFERENCEREPLAY_MODE` says, or
            `replay` if there is a directory, or `live`.
        speed: how fast recorded time runs: 1 the original pace, 10 ten times faster, `inf` (the default) no waiting.
        pace: the pace of recordings that hold no timing, such as llama-stack's.
        clock: takes the place of real time, as `VirtualClock()` does in tests.
        ignore: dotted paths into the body, such as `"metadata.run_id"`, that do not count when requests are compared;
            lists are gone through. Like `normalize` and `redact` it belongs to the key: it has to be the same while
            recording and in replay.
        normalize: a function from body to body, called before requests are compared; or the name of one in
            `inferencereplay.normalizers`, such as `"uuids"`; or several of both.
        redact: regular expressions for secrets, which add to the ones that are known.
        record_errors: whether every error is stored. Without it, only errors that the same request will get again are
            stored (400, 404, 413, 422); transient ones (401, 429, 5xx, a failed connection, …) are logged.
        keep_uploads: whether the contents of files that the program sends are stored, in side files, and the audio
            that it sends over WebSockets; without it, only their names, lengths and digests are.
        exhausted: what the call after the last variant gets: the last one again (`"repeat"`), a miss (`"error"`), or a
            live call that is stored (`"record"`; in `record-if-missing` only, a miss in `replay`).
        test_id: which of a llama-stack directory's recordings of one request to take.
        live: paths such as `"/embeddings"` or `"/models/*"`, or functions that get the request and return whether it
            is meant, once or several times a call: these calls go to the network, and are not stored.
        only: the same for all that is not to go to the network: every other call does.
        keep_calls: how many of the newest calls `calls` holds.
        keep_equal: whether a file stays as it is in `record` if the new answer equals it but for what varies by nature:
            ids, times, the server's build, headers of one request.
        max_age: the age from which on recordings have expired: `"30d"` (s, m, h, d, w), a `timedelta`, or seconds. It
            counts from the moment at which a recording was made, by the real clock; one without a date never expires.
        on_expiry: what becomes of a call whose recording has expired: the recording answers, and one warning names all
            of them (`"warn"`), an error (`"error"`), or a live call whose answer replaces it (`"record"`; in
            `record-if-missing` only, as `"warn"` in `replay`).
        faults: failures that the attempts of the SDK meet, in this order; see `Fault`. They are never recorded. While
            the SDK waits before it tries again, `speed` counts, and time passes on a given `clock` in full.
        on: where faults without an `on` of their own happen: a path such as `"/chat/completions"`, a pattern, or
            several of them; by default everywhere.
        write_to: which of several directories gets the recordings: its number, from 0, or its name; by default the
            first.
        prefetch: a file of names of recordings, as pytest's option `--inferencereplay-used` writes it. Those in an
            object store are fetched together when the session is made. The file need not exist.

    Attributes:
        mode: the mode in effect.
        speed: the speed in effect; infinity for no waiting.
        hits: calls that a recording answered.
        misses: calls that no recording could answer.
        recorded: recordings that were stored.
        unchanged: live answers that equal the stored ones, whose files stayed as they were; see `keep_equal`.
        expired: the names of the recordings that answered calls although they have expired; see `max_age`.
        let_through: calls that went to the network although the mode is not `live`, and were not stored.
        stubbed: calls that an answer by hand answered; see `stub`.
        calls: the calls that were made, in order; see `Calls`.
        faults: how often each kind of fault has happened, by name; such as `{"status 429": 2}`.
        timing: how late the chunks of a paced replay came, in seconds.
        command: returns the command that records a missing request in a given mode, for the message of a miss; a test
            runner sets it. `None` for a command made of the program's own command line.

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
    def __init__(self, directory: Directory | None = None, **options: Unpack[Options]) -> None:
        settings = resolve(directory, options)
        self.settings = settings
        self.mode = settings.mode
        self.is_live = settings.mode is Mode.LIVE
        self.replays = settings.mode is not Mode.RECORD
        self.speed = settings.speed
        self.from_environment = settings.from_environment
        self.command: Callable[[str], str] | None = None
        mode = options.get("mode")
        self.own_mode = None if mode is None else str(getattr(mode, "value", mode))
        self._pace = settings.pace
        self._never_waits = math.isinf(self.speed) and self._pace is None
        self.clock = settings.clock or SYSTEM_CLOCK
        self._ignore = settings.ignore
        self._normalize = settings.normalize
        self.redactor = Redactor(settings.redact)
        self._exhausted = settings.exhausted
        self._record_errors = settings.record_errors
        self._expiry = _expiry(settings)
        self._checks_age = self._expiry is not None and self.mode in _ANSWERING
        self.keeps_uploads = settings.keep_uploads
        self._selection = Selection(settings.live, settings.only)
        self.is_selective = bool(settings.live or settings.only)
        self._keep_calls = settings.keep_calls
        self._warned: set[str] = set()
        self._joined: RunVariants | None = None
        self.is_fast = self.mode in _ANSWERING and not settings.faults
        self.store = open_store(
            settings.directory,
            settings.test_id,
            self.prepare,
            is_recorded=self.mode in _RECORDING,
            write_to=settings.write_to or 0,
        )
        if (self.mode in _RECORDING or settings.write_to is not None) and not self.store.is_writable:
            asked = f"mode={self.mode.value!r}" if self.mode in _RECORDING else f"write_to={settings.write_to}"
            message = f"{asked}: {_unwritable(written_of(self.store))} Record into another directory."
            raise InvalidSetting(message)
        if self.mode is Mode.RECORD and isinstance(settings.directory, tuple):
            self.store = self.store.written_first()  # type: ignore[attr-defined]  # a LayeredStore
        if settings.prefetch is not None and self.mode in _ANSWERING:
            from inferencereplay.session.first_use import prefetch  # noqa: PLC0415 - few sessions need it

            prefetch(self.store, settings.prefetch)
        self._own = written_of(self.store) if self.mode is Mode.RECORD else self.store
        self._cache = RecordingCache(self._own)
        self._near_requests = NearRequests(self.store)
        if self._expiry is not None:  # the session of a client that stays wrapped is never closed
            weakref.finalize(self, garbage.note, functools.partial(self._expiry.tell, self.store.directory))
        self._begin()

    def _begin(self) -> None:
        """Count, and number equal calls, from the beginning."""
        self._hits = self._misses = self._let_through = self._stubbed = 0
        self._stubs: StubQueue | None = None
        self._missed: list[RecordingNotFound] = []
        self._children: ChildReports | None = None
        self.fault_plan = _plan(self.settings)
        self._late = array("d")  # seconds, of every paced chunk
        self._lock = make_lock()
        self._log = CallLog(self.store, self.redactor, self.clock, self._keep_calls)
        variants = Variants(
            self._own,
            replaces=self.mode is Mode.RECORD,
            repeats=self._exhausted == "repeat",
            is_whole=is_whole,
            has_expired=self._has_expired,
        )
        if self.mode is Mode.RECORD:  # the session of a client that stays wrapped is never closed
            weakref.finalize(self, garbage.note, variants.finish)
        keeps_equal = self.settings.keep_equal and self.mode is Mode.RECORD
        self.recorder = Recorder(self.store, variants, record_errors=self._record_errors, keeps_equal=keeps_equal)
        self._connection_recorder: Recorder[ConnectionVariants] | None = None

    def sibling(self) -> Session:
        """Return a session with this one's directory and settings that counts, and numbers equal calls, for itself."""
        made = copy.copy(self)
        made._begin()  # noqa: SLF001 - of the same class
        return made

    def add_up(self, sibling: Session) -> None:
        """Count what a sibling has done as done by this session."""
        self._hits += sibling.hits
        self._misses += sibling.misses
        self.recorder.recorded += sibling.recorded
        self.recorder.unchanged += sibling.unchanged
        self._let_through += sibling.let_through
        self._stubbed += sibling.stubbed
        self.recorder.variants.used.update(sibling.recorder.variants.used)

    def __repr__(self) -> str:
        counts = f"hits={self.hits}, misses={self.misses}, recorded={self.recorded}"
        counts += f", unchanged={self.unchanged}" if self.unchanged else ""
        counts += f", expired={len(self.expired)}" if self.expired else ""
        counts += f", let_through={self.let_through}" if self.let_through else ""
        counts += f", stubbed={self.stubbed}" if self.stubbed else ""
        if self.faults:
            counts += f", faults={self.faults}"
        return f"<Session {self.store.directory!r} mode={self.mode.value!r} speed={self.speed:g} {counts}>"

    @property
    def hits(self) -> int:
        """How many calls a recording answered, in this process and in its children."""
        children = self._heard()
        return self._hits + (children.hits if children else 0)

    @property
    def misses(self) -> int:
        """How many calls no recording could answer, as `hits`."""
        children = self._heard()
        return self._misses + (children.misses if children else 0)

    @property
    def recorded(self) -> int:
        """How many recordings were stored, as `hits`."""
        children = self._heard()
        return self.recorder.recorded + self._recorded_connections + (children.recorded if children else 0)

    @property
    def _has_expired(self) -> Callable[[bytes], bool]:
        """What says that a recording gives way to any complete answer because of its age."""
        is_renewed = self.mode is Mode.RECORD or (
            self.mode is Mode.RECORD_IF_MISSING and self.settings.on_expiry == "record"
        )
        return never if self._expiry is None or not is_renewed else self._expiry.has_expired

    @property
    def unchanged(self) -> int:
        """How many live answers equal the stored ones, whose files stayed as they were, as `hits`."""
        children = self._heard()
        return self.recorder.unchanged + (children.unchanged if children else 0)

    @property
    def expired(self) -> list[str]:
        """The names, relative to the directory, of the recordings that answered although they have expired."""
        return [] if self._expiry is None else sorted(self._expiry.expired)

    @property
    def let_through(self) -> int:
        """How many calls went to the network although the mode is not `live`, and were not stored, as `hits`."""
        children = self._heard()
        return self._let_through + (children.let_through if children else 0)

    @property
    def stubbed(self) -> int:
        """How many calls an answer by hand answered, as `hits`."""
        children = self._heard()
        return self._stubbed + (children.stubs.total() if children else 0)

    @property
    def missed(self) -> list[RecordingNotFound]:
        """The misses that nobody has raised yet."""
        self._heard()
        return self._missed

    @missed.setter
    def missed(self, missed: list[RecordingNotFound]) -> None:
        self._missed = missed

    @property
    def is_paced(self) -> bool:
        """Whether recordings answer, and some of them have to wait."""
        return not (self.is_live or self._never_waits)

    @property
    def faults(self) -> dict[str, int]:
        """How often each kind of fault has happened, by name."""
        if self.fault_plan is None:
            return {}
        children = self._heard()
        return self.fault_plan.counts(children.faults if children else {})

    def unused_faults(self) -> list[Fault]:
        """Return the faults that have not happened."""
        if self.fault_plan is None:
            return []
        children = self._heard()
        return self.fault_plan.unused(children.faults if children else {})

    @property
    def timing(self) -> Timing:
        """How late the chunks of a paced replay came, in seconds; see `Timing`."""
        return summarize(self._late)

    @property
    def calls(self) -> Calls:
        """The calls that were made, in order: what was asked, and what became of it; see `Calls`."""
        return self._log.calls

    def join(self, run: RunCoordinator) -> None:
        """Record together with the other sessions of a run, each request once; call this before the first call.

        Recordings of the run then answer calls also in `record`. In the other modes this changes nothing.
        """
        if self.mode is Mode.RECORD:
            self.recorder.variants = self._joined = RunVariants(self._own, run, is_whole, self._has_expired)
            self.replays = True

    def unused(self) -> list[str]:
        """Return the names of the recordings that answered no call and were not stored.

        They are relative to the directory. Where there are several, each name begins with its directory.
        """
        used = set(self.used())
        return sorted(name for name in self.store.list() if name not in used)

    def used(self) -> list[str]:
        """Return the names of the recordings that answered a call or were stored, as `unused` does."""
        children = self._heard()
        used = {name for item in self.recorder.variants.used.copy() for name in self.store.sources(*item)}
        return sorted(used | children.used if children else used)

    def follow_used(self, report: Callable[[tuple[str, ...]], None], *, each: bool = False) -> None:
        """Report the names of each recording when it is first used from now on.

        Args:
            report: is called with the names, under a lock, and must not fail.
            each: whether every use is reported, and not the first only.
        """
        variants = self.recorder.variants
        reports = ReportingSet(lambda item: report(self.store.sources(*item)), each=each)
        reports.update(variants.used.copy())
        variants.used = reports

    def finish(self) -> None:
        """Store streams that the program abandoned without closing them; the SDK's are in reference cycles.

        In `record`, replaced variants are removed then.
        """
        garbage.run_noted()
        if self.recorder.variants.has_pending() or self._has_connections:
            garbage.collect()
        garbage.run_noted()
        self.recorder.variants.finish()
        if self._expiry is not None:
            self._expiry.tell(self.store.directory)

    def raise_missed(self) -> None:
        """Raise the first miss since the last time: the program has swallowed it.

        Raises:
            RecordingNotFound: if there is one.
        """
        self._heard()
        with self._lock:
            missed, self._missed = self._missed, []
        if not missed:
            return
        first, count = missed[0], len(missed)
        if count > 1:
            what = "answered" if any(isinstance(error, RecordingExpired) for error in missed) else "recorded"
            first.args = (f"{first.args[0]}\n{count} calls were not {what}; this is the first.",)
        raise first

    def forget_misses(self) -> None:
        """Forget the misses up to now: another error is being raised, or one of them."""
        self._heard()
        with self._lock:
            self._missed = []

    # Where a session begins among the variants.

    @property
    def positions(self) -> dict[str, int]:
        """How many equal calls were made, by key, in the order of the first ones."""
        return self.recorder.variants.positions

    def begin_at(self, positions: Mapping[str, int]) -> None:
        """Count calls as made before: the next equal one gets the variant after; call this before the first call.

        Args:
            positions: the number of calls, by key.
        """
        self.recorder.variants.begin_at(positions)

    def variant_counts(self) -> dict[str, int]:
        """Return how many variants there are of each request that was answered or stored, by key, in order."""
        paths = {key: path for path, key, _ in self.recorder.variants.used.copy()}
        return {key: self._count(paths[key], key) for key in self.positions if key in paths}

    def _count(self, path: str, key: str) -> int:
        numbers = itertools.count(1)
        return next(number for number in numbers if self.store.stamp(path, key, number) is None) - 1

    # Child processes.

    @property
    def run_folder(self) -> str | None:
        """The folder of the run that the session has joined, if it has."""
        return None if self._joined is None else self._joined.run_folder

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

    def _heard(self) -> ChildReports | None:
        """Hear what child processes have told."""
        if self._children is not None:
            self._missed += self._children.hear()
            if self._stubs is not None:
                self._stubs.hear(self._children.stubs)
        return self._children

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
            self.read(call, request)
        return call

    def read(self, call: Call, request: Request) -> None:
        """Give a call the request that the SDK would send; the errors are those of `prepare`."""
        call.request = request
        if self._ignore or self._normalize is not None:
            call.sent, call.request = request, self.prepare(request, call)

    def prepare(self, request: Request, call: Call | None = None) -> Request:
        """Apply `ignore` and `normalize` to a request.

        Args:
            request: as the SDK would send it.
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
                    problem = f"it returned an object of the type {type(body).__name__}"
                    raise TypeError(problem)  # noqa: TRY301 - one message for all its mistakes
            return msgspec.structs.replace(request, body=canonical_json(body))
        except Exception as error:
            message = f"normalize= failed for a request to {request.path}: {error!r}. It has to return the body."
            redactor = self.redactor if call is None else call.redactor
            raise InvalidSetting(redactor.text(message)) from error

    def decide(self, call: Call, *, takes_over: bool = False) -> Decision:
        """Decide what becomes of a call: play a recording, record the live answer, let it through, or wait.

        After a wait it is decided again.

        Args:
            call: the call.
            takes_over: whether to record even if another session of the run is recording the equal call.

        Raises:
            RecordingNotFound: for a request that was not recorded, in `replay`.
            RecordingCorrupt: if the file that should answer cannot be used.
            StoreError: if the file that should answer cannot be read.
            NotSerializable: if the request is nested too deeply to be searched.
        """
        play: Play | None = None
        while play is None and (stub := self._find_stub(call)):  # another thread may take it first
            play = self._play_stub(stub, call)
        if play is not None:
            return play
        if self.is_let_through(call):
            return self.pass_on(call)
        if play := self.play(call):
            return play
        if self.mode is Mode.REPLAY:
            raise self.miss(call)
        if self._joined is not None:
            redacted = call.redacted
            if not self._joined.reserve(redacted.path, redacted.key, takes_over=takes_over):
                return WAIT
        return self.begin(call)

    @property
    def connection_recorder(self) -> Recorder[ConnectionVariants]:
        """What stores WebSocket connections; few sessions have one."""
        if self._connection_recorder is None:
            from inferencereplay.session.connection_variants import ConnectionVariants  # noqa: PLC0415 - as it says

            variants = ConnectionVariants(
                self._own,
                self._cache,
                replaces=self.mode is Mode.RECORD,
                repeats=self._exhausted == "repeat",
                is_equal=self._have_equal_messages,
                use=self._use,
            )
            recorder = Recorder(self.store, variants, record_errors=self._record_errors)
            self._tell_recorded(recorder)
            with self._lock:
                self._connection_recorder = self._connection_recorder or recorder
        return self._connection_recorder

    def _use(self, place: tuple[str, str, int]) -> None:
        self.recorder.variants.used.add(place)  # which is another set after `follow_used`

    @property
    def _recorded_connections(self) -> int:
        return 0 if self._connection_recorder is None else self._connection_recorder.recorded

    @property
    def _has_connections(self) -> bool:
        return self._connection_recorder is not None and self._connection_recorder.variants.has_pending()

    def connect(self, call: Call) -> Decision:
        """Decide what becomes of a WebSocket connection, as `decide` does for a call."""
        if (stub := self._find_stub(call)) and (play := self._play_stub(stub, call)):
            return play
        if self.is_let_through(call):
            return self.pass_on(call)
        if self.mode in _ANSWERING and (play := self._follow(call)):
            return play
        if self.mode is Mode.REPLAY:
            raise self.miss(call)
        return self._begin_with(self.connection_recorder, call)

    def _follow(self, call: Call) -> Play | None:
        """Count a connection as answered by a recording, and return that; `None` if there is none."""
        request = call.redacted
        key = request.key
        found = self.connection_recorder.variants.choose(request, key)
        if found is None:
            return None
        number, recording = found
        play = Play(recording, request, key, number, 0, self._cache)
        if self._checks_age and self._check_age(play, call) is None:
            return None
        with self._lock:
            self._hits += 1
            play.noted = self._log.add_hit(call.shown, key, number, 0)
        return play

    def follow(self, play: Play, number: int, instead: int | None = None) -> None:
        """Note that a recording has the messages of a connection's program, perhaps another one than was chosen.

        Args:
            play: the decision for the connection.
            number: of the variant that it followed.
            instead: of the variant that it follows now.
        """
        if instead is not None:
            self.connection_recorder.variants.exchange(play.key, number, instead)
        chosen = number if instead is None else instead
        self._use((play.request.path, play.key, chosen))
        if play.noted is not None:
            play.noted.keep(play.key, chosen)

    def _have_equal_messages(self, first: Response, second: Response) -> bool:
        from inferencereplay.session.client_messages import ClientMessages, have_equal_messages  # noqa: PLC0415 - as above

        call = Call(Request("", "", b"null"), self.redactor)
        return have_equal_messages(ClientMessages(self.prepare, call), first, second)

    def play(self, call: Call, covers: Callable[[Response], bool] | None = None) -> Play | None:
        """Count a call as answered by a recording, and return that; `None` if there is none.

        Args:
            call: the call.
            covers: returns whether the caller can replay an answer; a recording for which it is false is not counted.

        Raises:
            RecordingCorrupt: if the file that should answer cannot be used.
            RecordingNotFound: if the recordings are used up and `exhausted="error"`.
            NotSerializable: if the request is nested too deeply to be searched.
        """
        if self._stubs is not None and (stub := self._find_stub(call)):
            return self._play_stub(stub, call, covers)
        if self.is_selective and self.is_let_through(call):
            return None
        while self.replays and (play := self.find(call)):
            response = play.recording.response
            if covers is not None and not covers(response):
                return None
            with self._lock:
                if self.recorder.variants.commit(play.request.path, play.key, play.number, play.call):
                    self._hits += 1
                    asked = play.request if call.sent is None else call.shown
                    if self._never_waits and not response.end and self.fault_plan is None:
                        self._log.note_hit(asked, play.key, play.number, response.retries)
                    else:
                        play.noted = self._log.add_hit(asked, play.key, play.number, response.retries)
                    return play
        return None

    def is_let_through(self, call: Call) -> bool:
        """Whether a call goes to the network whatever is recorded.

        Raises:
            InvalidSetting: if a predicate of `live` or `only` fails.
        """
        return self.is_live or (self.is_selective and self._selection.lets_through(call))

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

    def begin(self, call: Call) -> PendingRecording:
        """Number a call that goes to the network."""
        return self._begin_with(self.recorder, call)

    def _begin_with(self, recorder: Recorder[Any], call: Call) -> PendingRecording:
        pending = PendingRecording(recorder, call)
        shown = call.shown
        with self._lock:
            pending.noted = self._log.add(shown, LIVE, 0)
        return pending

    def find(self, call: Call) -> Play | None:
        """Return what would answer a call; nothing is counted.

        The request is first looked up unredacted, because redaction costs more than the rest of a replay. A recording
        under that key is the right one: only this request has that key, and a session that knew of no secret in it
        stored it. The redacted key alone is looked up where the two would mix: in a session that has joined a run, and
        where live calls follow the last variant. It is also looked up if nothing, or an incomplete recording, is found.

        Raises:
            RecordingCorrupt: if the file that should answer cannot be used.
            RecordingNotFound: if the recordings are used up and `exhausted="error"`.
            RecordingExpired: if the one that should answer is older than `max_age`, and `on_expiry="error"`.
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
        if may_store and found and found.is_closed:
            return None
        return self._check_age(found, call) if self._checks_age and found else found

    def _check_age(self, found: Play, call: Call) -> Play | None:
        """Return a recording that may answer, `None` for one that is to be replaced."""
        expiry = self._expiry
        age = None if expiry is None else expiry.find(found.recording)
        if expiry is None or age is None:
            return found
        if self._has_expired is not never:
            return None
        if expiry.on_expiry == "error":
            mend = way_to_record(self.store, Mode.RECORD.value, call.redactor, self.own_mode, self.command)
            raise self._note(expiry.error(found.name, age, mend, {**self._facts(call), "key": found.key}), call)
        expiry.expired.setdefault(self.store.sources(found.request.path, found.key, found.number)[0], age)
        return found

    def pacer(self, response: Response) -> Pacer | None:
        """Return the pacer of a stream's chunks, or of a plain answer as a whole; `None` if nothing has to wait."""
        if self._never_waits:
            return None
        if response.is_stream:
            offsets, count = response.offsets, len(response.chunks)
            if response.left is not None and len(offsets) == count:  # also if it was left before the first chunk
                offsets = [*offsets, response.left + LEAVING * self.speed]
        elif response.binary is not None and response.pieces:
            offsets, count = response.offsets, len(response.pieces)
        else:
            offsets, count = ([] if response.elapsed is None else [response.elapsed]), 1
        note = self._late.append
        pace = getattr(response, "pace", None) or self._pace
        return make_pacer(offsets, count, speed=self.speed, pace=pace, clock=self.clock, note=note)

    def note_late(self, seconds: float) -> None:
        """Note how late a frame of a WebSocket connection came."""
        self._late.append(seconds)

    def fault_seconds(self, seconds: float) -> float:
        """Return how long to wait where a client waits because of a fault: its time-out, or before it tries again."""
        return seconds if self.clock is not SYSTEM_CLOCK else seconds / self.speed

    def slow_pacer(self, count: int, between: float) -> Pacer | None:
        """Return the pacer of a stream of `count` chunks that come slowly, `between` seconds apart."""
        pace, note = Pace(0.0, between), self._late.append
        return make_pacer([], count, speed=1.0, pace=pace, clock=self.clock, note=note) if between else None

    def patience(self, response: Response) -> float:
        """Return how many seconds a replay waits for the program to cancel a call that it cancelled while recording."""
        left = 0.0 if self._never_waits else (response.left or 0.0) / self.speed
        return left + LONGEST_UNANSWERED

    # Answers by hand.

    def stub(self, text: str | None = None, **options: Unpack[StubOptions]) -> Stub:
        """Answer a call by hand, before recordings and the network, in any mode.

        Stubs answer in the order in which they are made, each once unless `times` says otherwise. The answer is what
        the endpoint would send, an object or a stream, as the call asks. One that was not asked for is an `UnusedStub`
        at the end of the block or the test.

        Args:
            text: what the model says.
            chunks: the same in pieces, as a stream gives them; a `text` is split at its words.
            tool_calls: tuples of a name, the arguments (an object, or JSON as text) and, if it matters, an id.
            refusal: the text of a refusal.
            parsed: a pydantic object, or JSON, for a call that asks for a format.
            vector: of embeddings: numbers, a list of vectors for the inputs in turn, or a size, with which equal
                inputs get equal vectors of length 1.
            error: an HTTP status, or a class of the SDK's errors, which is raised at once, without retries.
            message: the error's.
            code: the error's, such as `"context_length_exceeded"`.
            finish_reason: `"stop"`, `"length"`, `"tool_calls"` or `"content_filter"`, if not the usual one.
            usage: tokens of the prompt and of the answer; without it, an estimate.
            model: the model that it is for, or a pattern such as `"gpt-4*"`.
            when: a function that gets the body and returns whether the stub is for it, once or several times a call.
            on: the path that it is for, such as `"/chat/completions"`; without it, all that have such an answer.
            times: how often it answers; `None` for any number of times.
            pace: the times of its chunks, whatever the session's speed.
            required: whether it has to be asked for.
            save: whether the answer is stored as a recording as well, which can be edited. One that is there stays,
                unless the mode is `record`.

        Returns:
            The stub; its `asked` counts the calls that it answered.

        Raises:
            InvalidSetting: for an invalid argument, and for what does not go together.
            TypeError: for an unknown argument.

        Example:
            >>> with replay("recordings") as session:
            ...     weather = session.stub(tool_calls=[("get_weather", {"city": "Rome"})], model="gpt-4o")
            ...     answer = OpenAI().chat.completions.create(model="gpt-4o", messages=[])
            >>> answer.choices[0].message.tool_calls[0].function.arguments, weather.asked
            ('{"city": "Rome"}', 1)
        """
        from inferencereplay.stubs.stub_queue import StubQueue  # noqa: PLC0415 - only who writes answers pays for it

        if options.get("save") and not self.store.is_writable:
            message = f"save=True: {_unwritable(written_of(self.store))}"
            raise InvalidSetting(message)
        with self._lock:
            self._stubs = stubs = self._stubs or StubQueue()
        given = {"text": text, **options}
        made = stubs.add(given)
        self._never_waits = self._never_waits and not made.has_pace
        return made

    @property
    def has_stubs(self) -> bool:
        """Whether there are answers by hand."""
        return self._stubs is not None

    def stubs(self) -> tuple[Stub, ...]:
        """Return the answers by hand, for a child process to `take_over`."""
        return () if self._stubs is None else tuple(self._stubs)

    def take_over(self, stubs: tuple[Stub, ...]) -> None:
        """Answer by hand as another process would have done."""
        from inferencereplay.stubs.stub_queue import StubQueue  # noqa: PLC0415 - as above

        self._stubs = StubQueue(stubs)
        self._never_waits = self._never_waits and not any(stub.has_pace for stub in stubs)

    def raise_unused(self) -> None:
        """Forget all stubs.

        Raises:
            UnusedStub: if one was not asked for.
        """
        due = self.forget_stubs()
        if due:
            from inferencereplay.stubs.stub_queue import unused  # noqa: PLC0415 - as above

            raise unused(due, self.calls.lines())

    def forget_stubs(self) -> list[Stub]:
        """Forget all stubs, and return those that were not asked for."""
        self._heard()
        return [] if self._stubs is None else self._stubs.forget()

    def save(self, call: Call, play: Play) -> None:
        """Store the answer of a stub as a recording; a failure is logged, never raised."""
        pending = PendingRecording(self.recorder, call)
        stub, noted = play.stub, play.noted
        if stub is not None and not pending.keep(stub.response_to_save(play.recording.response)) and noted is not None:
            noted.keep(pending.key, pending.number)

    def _find_stub(self, call: Call) -> Stub | None:
        if self._stubs is None:
            return None
        asked = Question(call.request if call.sent is None else call.sent)
        try:
            return self._stubs.find(asked.path, asked.method, asked.body)
        except InvalidSetting as error:  # a predicate's error may show the body
            raise InvalidSetting(call.redactor.text(str(error))) from error.__cause__

    def _play_stub(self, stub: Stub, call: Call, covers: Callable[[Response], bool] | None = None) -> Play | None:
        """Count a call as answered by hand; `None` if the caller cannot replay that, or the stub is used up."""
        response = stub.answer(call.request)
        if covers is not None and (stub.saves or not covers(response)):
            return None
        request, shown = call.request, call.shown
        if self._stubs is None or not self._stubs.take(stub):
            return None
        with self._lock:
            self._stubbed += 1
            noted = self._log.add(shown, STUB)
        self._tell_stub(stub)
        if self._never_waits and not response.end:
            noted.end()
        key = request.key
        held = recorded_request(request)
        return Play(Recording(VERSION, key, held, response), request, key, 0, 0, self._cache, noted, stub)

    # Calls without an answer.

    def miss(self, call: Call) -> RecordingNotFound:
        """Count a call as a miss and return the error that says what differs."""
        error = explain(
            call.redacted,
            self._near_requests,
            call.redactor,
            used_up=self._first(call.request, call.redacted),
            skipped=self.recorder.skipped(call.redacted.key),
            exhausted=self._exhausted,
            own_mode=self.own_mode,
            command=self.command,
        )
        if waiting := [repr(stub) for stub in self._stubs or () if stub.is_left]:
            error.args = (f"{error.args[0]}\n{_counted_stubs(waiting)}",)
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
        reason = (
            "another library's wrapper around this client's `request`, older than the session, calls the SDK's own "
            "method. Install that wrapper inside the block."
            if is_call
            else "the program builds the request with the client's `_build_request`, and such a request belongs to no "
            "call. Make the call with the client's methods, or build the request outside of the block."
        )
        message = f"{call.line} was kept off the network, but cannot be answered: {reason}"
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

    def _peek(self, request: Request) -> Play | None:
        key = request.key
        variant = self.recorder.variants.peek(request.path, key, functools.partial(self._cache.read, request, key))
        if variant is None:
            return None
        return Play(variant.data, request, key, variant.number, variant.call, self._cache)

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

    def _tell_recorded(self, recorder: Recorder[Any]) -> None:
        """Let a recorder tell the parent's session what it stores; there is none."""

    def _tell_stub(self, stub: Stub) -> None:
        """Tell an answer by hand to the parent's session; there is none."""

    def _tell_miss(self, error: RecordingNotFound) -> None:
        """Tell a miss to the parent's session; there is none."""


def _counted_stubs(stubs: list[str]) -> str:
    """Say which answers by hand did not match a request."""
    shown = ", ".join(stubs[:MOST_STUBS])
    return (
        f"{len(stubs)} stub{'s' if len(stubs) > 1 else ''} did not match: {shown}{', …' * (len(stubs) > MOST_STUBS)}."
    )


def _expiry(settings: Settings) -> Expiry | None:
    if settings.max_age is None:
        return None
    from inferencereplay.session.age import Expiry  # noqa: PLC0415 - few sessions look at the age

    return Expiry(settings.max_age, settings.on_expiry)


def _unwritable(store: Store) -> str:
    """Say why nothing can be stored."""
    return f"{store.directory} is {'llama-stack' if store.is_foreign else 'a web server'}'s, and can be replayed only."


def _plan(settings: Settings) -> FaultPlan | None:
    if not settings.faults:
        return None
    from inferencereplay.faults.plan import FaultPlan  # noqa: PLC0415 - few sessions have faults

    return FaultPlan(settings.faults, settings.on)
