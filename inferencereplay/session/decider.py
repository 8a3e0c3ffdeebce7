"""The decision for one call: which recording or answer by hand answers it, or whether it goes to the network."""

from __future__ import annotations

import functools
import math
from typing import TYPE_CHECKING, Any, cast

from inferencereplay.recording.format import Provenance
from inferencereplay.session.call import Call
from inferencereplay.session.call_notes import CallNotes
from inferencereplay.session.calls_log import LIVE, STUB
from inferencereplay.session.decision import WAIT, Decision, Play
from inferencereplay.session.misses import way_to_record
from inferencereplay.session.preparation import prepared
from inferencereplay.session.recorder import PendingRecording
from inferencereplay.session.recording_cache import RecordingCache
from inferencereplay.session.selection import Selection
from inferencereplay.session.settings import Mode
from inferencereplay.session.stub_answers import find_stub, save_answer, take_stub
from inferencereplay.session.variant_files import never
from inferencereplay.store.interface import layers_of
from inferencereplay.store.location import is_url

if TYPE_CHECKING:
    from collections.abc import Callable

    from inferencereplay.recording.format import Response
    from inferencereplay.recording.request import Request
    from inferencereplay.session.calls_log import LoggedCall
    from inferencereplay.session.connection_variants import ConnectionVariants
    from inferencereplay.session.recorder import Recorder
    from inferencereplay.session.run_variants import RunVariants
    from inferencereplay.session.settings import Settings
    from inferencereplay.stubs.stub import Stub

_ANSWERING = (Mode.REPLAY, Mode.RECORD_IF_MISSING)


class Decider(CallNotes):
    """Decides what becomes of each call of one session, and notes it; the attributes are told at `Session`.

    Args:
        settings: those in effect.
    """

    def __init__(self, settings: Settings) -> None:
        self._ignore = settings.ignore
        self._normalize = settings.normalize
        super().__init__(settings, self.prepare)
        mode, is_answering = self.mode, self.mode in _ANSWERING
        self.replays = mode is not Mode.RECORD
        self.is_fast = is_answering and not settings.faults
        self.speed = settings.speed
        self._pace = settings.pace
        self._exhausted = settings.exhausted
        self.never_waits = math.isinf(settings.speed) and settings.pace is None
        self._may_store = mode is Mode.RECORD_IF_MISSING
        self._checks_age = is_answering and self._expiry is not None
        self.keeps_uploads = settings.keep_uploads
        self._selection = Selection(settings.live, settings.only)
        self.is_selective = bool(settings.live or settings.only)
        is_mixing = self._may_store and self._exhausted == "record"
        is_prepared = bool(self._ignore) or self._normalize is not None
        is_distant = any(is_url(layer.directory) for layer in layers_of(self.store))
        is_special = is_mixing or is_prepared or self.is_selective or self._checks_age or is_distant
        self._is_simple = self.is_fast and not is_special
        self._joined: RunVariants | None = None
        self._cache = RecordingCache(self._own)

    # The request.

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
            call.sent = request
            call.request = prepared(request, self._ignore, self._normalize, self.redactor, call)
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
        return prepared(request, self._ignore, self._normalize, self.redactor, call)

    # The decision.

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
        if play := self._answer_by_hand(call):
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
        if self._stubs is not None and (stub := find_stub(self._stubs, call)):
            return self._play_stub(stub, call, covers)
        if self.is_selective and self.is_let_through(call):
            return None
        while self.replays and (play := self.find(call)):
            if covers is not None and not covers(play.recording.response):
                return None
            if self._answer_with(play, play.request if call.sent is None else call.shown):
                return play
        return None

    def hit(self, request: Request, covers: Callable[[Response], bool]) -> Play | None:
        """Do what `play` does for most calls, in fewer steps; `None` for a call that `play` is to be asked about.

        The others are calls that more than the request itself decides, and those without a complete recording. An
        object store, which would be asked twice for what it does not have, is left to `play` as well.
        """
        if not self._is_simple or self._stubs is not None:
            return None
        key = request.key
        number, call = self.recorder.variants.expected(key)
        recording = self._cache.read(request, key, number)
        if recording is None or recording.response.end == "closed" or not covers(recording.response):
            return None
        with self._lock:
            if not self.recorder.variants.commit(request.path, key, number, call):
                return None
            self._hits += 1
            if self.never_waits and not recording.response.end:
                self._log.note_hit(request, key, number, recording.response.retries)
                return Play(recording, request, key, number, call, self._cache)
            noted = self._log.add_hit(request, key, number, recording.response.retries)
        return Play(recording, request, key, number, call, self._cache, noted)

    def _answer_with(self, play: Play, asked: Request) -> bool:
        """Count and note a call as answered; `False` if another thread's equal call has come first."""
        response = play.recording.response
        with self._lock:
            if not self.recorder.variants.commit(play.request.path, play.key, play.number, play.call):
                return False
            self._hits += 1
            if self.never_waits and not response.end and self.fault_plan is None:
                self._log.note_hit(asked, play.key, play.number, response.retries)
            else:
                play.noted = self._log.add_hit(asked, play.key, play.number, response.retries)
            return True

    def refuse_unrecorded(self, call: Call) -> None:
        """Raise what `decide` would raise for a call that `play` has not answered, if that is certain.

        `play` also returns `None` for a call that its caller cannot replay; nothing is raised then.

        Raises:
            RecordingNotFound: for a request that was not recorded, in `replay`.
        """
        is_certain = self.mode is Mode.REPLAY and self._stubs is None and not self.is_let_through(call)
        if is_certain and self.find(call) is None:
            raise self.miss(call)

    def is_let_through(self, call: Call) -> bool:
        """Whether a call goes to the network whatever is recorded.

        Raises:
            InvalidSetting: if a predicate of `live` or `only` fails.
        """
        return self.is_live or (self.is_selective and self._selection.lets_through(call))

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
        is_mixing = self._joined is not None or (self._may_store and self._exhausted == "record")
        found = None if is_mixing else self._peek(call.request)
        if found is None or found.recording.response.end == "closed":
            found = self._find_redacted(call, found, is_mixing=is_mixing)
        return self._check_age(found, call) if self._checks_age and found else found

    def _find_redacted(self, call: Call, found: Play | None, *, is_mixing: bool) -> Play | None:
        """Return what would answer a call without its secrets, or else what would with them: an abandoned stream."""
        redacted = call.redacted
        if is_mixing or redacted is not call.request:
            found = self._peek(redacted) or found
        if not self._may_store:
            return found
        if found is None and self._exhausted == "error" and self._first(call.request, redacted):
            raise self.miss(call)
        return None if found and found.is_closed else found

    def _peek(self, request: Request) -> Play | None:
        key = request.key
        variant = self.recorder.variants.peek(request.path, key, functools.partial(self._cache.read, request, key))
        if variant is None:
            return None
        return Play(variant.data, request, key, variant.number, variant.call, self._cache)

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

    # WebSocket connections.

    @property
    def connection_recorder(self) -> Recorder[ConnectionVariants]:
        """What stores WebSocket connections; few sessions have one."""
        if self._connection_recorder is None:
            from inferencereplay.session.connection_recorder import make_connection_recorder  # noqa: PLC0415 - as it says

            made = make_connection_recorder(
                self.store,
                self._cache,
                self.settings,
                self.redactor,
                prepare=self.prepare,
                use=self._use,
                has_expired=self._has_expired,
            )
            self._tell_recorded(made)
            with self._lock:
                self._connection_recorder = self._connection_recorder or made
        return self._connection_recorder

    def connect(self, call: Call) -> Decision:
        """Decide what becomes of a WebSocket connection, as `decide` does for a call."""
        if play := self._answer_by_hand(call):
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
        cast("LoggedCall", play.noted).keep(play.key, chosen)

    def _use(self, place: tuple[str, str, int]) -> None:
        self.recorder.variants.used.add(place)  # which is another set after `follow_used`

    def _tell_recorded(self, recorder: Recorder[Any]) -> None:
        """Let a recorder tell the parent's session what it stores; there is none."""

    # Answers by hand.

    @property
    def has_stubs(self) -> bool:
        """Whether there are answers by hand."""
        return self._stubs is not None

    def save(self, call: Call, play: Play) -> None:
        """Store the answer of a stub as a recording; a failure is logged, never raised."""
        save_answer(self.recorder, call, play)

    def _answer_by_hand(self, call: Call) -> Play | None:
        play = None
        while play is None and self._stubs is not None and (stub := find_stub(self._stubs, call)):
            play = self._play_stub(stub, call)  # another thread may take it first
        return play

    def _play_stub(self, stub: Stub, call: Call, covers: Callable[[Response], bool] | None = None) -> Play | None:
        """Count a call as answered by hand; `None` if the caller cannot replay that, or the stub is used up."""
        shown = call.shown
        play = None if self._stubs is None else take_stub(self._stubs, stub, call, self._cache, covers)
        if play is None:
            return None
        with self._lock:
            self._stubbed += 1
            play.noted = noted = self._log.add(shown, STUB)
        self._tell_stub(stub)
        if self.never_waits and not play.recording.response.end:
            noted.end()
        return play

    def _tell_stub(self, stub: Stub) -> None:
        """Tell an answer by hand to the parent's session; there is none."""
