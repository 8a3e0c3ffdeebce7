"""The decision for one call: mode, store and pacing; and the counts of one use."""

from __future__ import annotations

import functools
import logging
import math
import weakref
from array import array
from typing import TYPE_CHECKING, TypeVar

import msgspec

from inferencereplay.errors import InvalidSetting, NotRecordable, RecordingNotFound
from inferencereplay.locks import make_lock
from inferencereplay.pacing.clocks import check_clock
from inferencereplay.pacing.pacer import check_pace, make_pacer
from inferencereplay.pacing.timing import Timing, summarize
from inferencereplay.recording.format import Recording, is_whole
from inferencereplay.recording.request import (
    JSON,
    TOO_DEEP,
    NotSerializable,
    Request,
    canonical_json,
    parse_json,
    without,
)
from inferencereplay.redaction.payloads import redact_request
from inferencereplay.redaction.redactor import Redactor
from inferencereplay.session.garbage import collect
from inferencereplay.session.misses import explain
from inferencereplay.session.recorder import Recorder
from inferencereplay.session.recording_cache import RecordingCache
from inferencereplay.session.run_variants import RunVariants
from inferencereplay.session.settings import Mode, check_behaviour, parse_ignore, resolve
from inferencereplay.session.variants import Followed, Variants
from inferencereplay.store.opening import open_store

if TYPE_CHECKING:
    import os
    import re
    from collections.abc import Callable, Iterable

    from inferencereplay.pacing.clocks import Clock
    from inferencereplay.pacing.pacer import Pace, Pacer
    from inferencereplay.recording.format import Provenance, Response
    from inferencereplay.session.recorder import PendingRecording
    from inferencereplay.session.run_coordinator import RunCoordinator

log = logging.getLogger("inferencereplay")

NO_JSON = "what it sends or returns is no JSON"
_RECORDING = (Mode.RECORD, Mode.RECORD_IF_MISSING)
_Miss = TypeVar("_Miss", bound=RecordingNotFound)


class Found(msgspec.Struct, frozen=True):  # which is made four times faster than a NamedTuple
    """A recording that may answer a call."""

    recording: Recording
    request: Request
    key: str
    reader: RecordingCache
    number: int
    call: int

    @property
    def name(self) -> str:
        """The file, for messages."""
        return self.reader.name(self.request.path, self.key, self.number)

    @property
    def is_closed(self) -> bool:
        """Whether it is a stream that was abandoned while it was recorded."""
        return self.recording.response.end == "closed"


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
        InvalidSetting: for a setting that is none; the message lists what is valid.
        StoreError: if the directory is a file, or cannot be read, in `replay`.

    Example:
        >>> session = Session("recordings", mode="replay")
        >>> client = wrap(OpenAI(api_key="none"), session)
        >>> answer = client.chat.completions.create(**ask)
        >>> session.hits, session.misses, session.recorded, session.unused()
        (1, 0, 0, [])
    """

    def __init__(  # noqa: PLR0913 - the settings
        self,
        directory: str | os.PathLike[str] | None = None,
        *,
        mode: Mode | str | None = None,
        speed: float | str | None = None,
        pace: Pace | None = None,
        clock: Clock | None = None,
        ignore: Iterable[str] = (),
        normalize: Callable[[JSON], JSON] | None = None,
        redact: Iterable[str | re.Pattern[str]] = (),
        record_errors: bool = False,
        exhausted: str = "repeat",
        test_id: str | None = None,
    ) -> None:
        settings = resolve(directory, mode, speed)
        check_behaviour(exhausted, record_errors, normalize)
        self.mode = settings.mode
        self.is_live = settings.mode is Mode.LIVE
        self.answers = settings.mode is not Mode.RECORD
        self.speed = settings.speed
        self.from_environment = settings.from_environment
        self.hits = self.misses = 0
        self.missed: list[RecordingNotFound] = []
        self.command: Callable[[str], str] | None = None
        self._own_mode = None if mode is None else str(getattr(mode, "value", mode))
        self._pace = check_pace(pace)
        self._never_waits = math.isinf(self.speed) and pace is None
        self._clock = check_clock(clock)
        self._late = array("d")  # seconds, of every paced chunk
        self._ignore = parse_ignore(ignore)
        self._normalize = normalize
        self._redactor = Redactor(redact)
        self._exhausted = exhausted
        self._lock = make_lock()
        self._warned: set[str] = set()
        self._joined: RunVariants | None = None
        self.store = open_store(settings.directory, test_id, self.prepare, is_recorded=self.mode in _RECORDING)
        if self.mode in _RECORDING and not self.store.is_writable:
            message = f"mode={self.mode.value!r}: {self.store.directory} is llama-stack's, and can be replayed only."
            raise InvalidSetting(message + " Record into another directory.")
        self._reader = RecordingCache(self.store)
        variants = Variants(
            self.store,
            replaces=self.mode is Mode.RECORD,
            repeats=exhausted == "repeat",
            is_whole=is_whole,
        )
        if self.mode is Mode.RECORD:  # of a client that stays wrapped nobody says when it is over
            weakref.finalize(self, variants.finish_apart)
        self.keeper = Recorder(self.store, variants, self._redactor, record_errors=record_errors)

    @property
    def recorded(self) -> int:
        """How many recordings were stored."""
        return self.keeper.recorded

    @property
    def timing(self) -> Timing:
        """How late the chunks came that had a time of their own to come at, in seconds; see `Timing`."""
        return summarize(self._late)

    def join(self, run: RunCoordinator) -> None:
        """Record together with the other sessions of a run, each request once; to be said before the first call.

        What the run has recorded answers then also in `record`. In the other modes it changes nothing.
        """
        if self.mode is Mode.RECORD:
            self.keeper.variants = self._joined = RunVariants(self.store, run, is_whole)
            self.answers = True

    def unused(self) -> list[str]:
        """Return the names, relative to the directory, of the recordings that answered no call and were not stored."""
        used = set(self.used())
        return sorted(name for name in self.store.list() if name not in used)

    def used(self) -> list[str]:
        """Return the names, relative to the directory, of the recordings that answered a call or were stored."""
        return sorted({name for item in self.keeper.variants.used.copy() for name in self.store.sources(*item)})

    def follow_used(self, tell: Callable[[tuple[str, ...]], None]) -> None:
        """Have the names of each recording told when it is used for the first time; to be said before the first call.

        It is called under a lock, and must not fail.
        """
        self.keeper.variants.used = Followed(lambda item: tell(self.store.sources(*item)))

    def finish(self) -> None:
        """Have streams stored that were left early and nobody holds any more; the SDK's stand in reference cycles.

        In `record`, what was replaced is removed then.
        """
        if self.keeper.variants.has_pending():
            collect()
        self.keeper.variants.finish()

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

    # What the two roads ask for.

    def prepare(self, request: Request, secrets: Callable[[], tuple[str, ...]] = tuple) -> Request:
        """Apply `ignore` and `normalize`.

        Args:
            request: what is asked for.
            secrets: returns the literals to take out of the message of an error.

        Raises:
            InvalidSetting: if `normalize` fails or returns something that is no JSON.
            NotPlain: if it is nested too deeply to be looked through.
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
                    raise TypeError(told)  # noqa: TRY301 - one message for all that it does wrong
            return msgspec.structs.replace(request, body=canonical_json(body))
        except Exception as error:
            message = f"normalize= failed for a request to {request.path}: {error!r}. It has to return the body."
            raise InvalidSetting(self.hide(message, secrets())) from error

    def find(self, request: Request, secrets: Callable[[], tuple[str, ...]]) -> Found | None:
        """Return what would answer a prepared request, which `serve` makes it do.

        A request is looked for as it stands before it is searched for secrets, which costs more than the rest. What is
        found that way is right: only this very request can have been stored there, by a session that knew of no secret
        in it. It is passed over where it would mix with what is stored under the redacted key: where it is incomplete,
        and where live calls are to follow the last variant or the last one of the run.

        Args:
            request: what is to be answered.
            secrets: returns the literals to take out.

        Raises:
            RecordingCorrupt: if the file that should answer cannot be used.
            RecordingNotFound: if the recordings are used up and `exhausted="error"`.
            NotPlain: if it is nested too deeply to be looked through.
        """
        may_store = self.mode is Mode.RECORD_IF_MISSING
        is_mixing = self._joined is not None or (may_store and self._exhausted == "record")
        found = None if is_mixing else self._peek(request)
        if found is None or found.is_closed:
            redacted = self.redact(request, secrets())
            if is_mixing or redacted is not request:
                found = self._peek(redacted) or found
            if may_store and found is None and self._exhausted == "error" and self._first(request, redacted):
                raise self.miss(request, secrets())
        return None if may_store and found and found.is_closed else found

    def serve(self, found: Found) -> bool:
        """Count a call as answered; `False` if another thread's equal call came first, and one has to look again."""
        with self._lock:
            is_next = self.keeper.variants.commit(found.request.path, found.key, found.number, found.call)
            self.hits += is_next
            return is_next

    def pacer(self, response: Response) -> Pacer | None:
        """Return what the chunks of a stream, or a plain answer as a whole, wait by."""
        if self._never_waits:
            return None
        if response.is_stream:
            offsets, count = response.offsets, len(response.chunks)
        else:
            offsets, count = ([] if response.elapsed is None else [response.elapsed]), 1
        note = self._late.append
        return make_pacer(offsets, count, speed=self.speed, pace=self._pace, clock=self._clock, note=note)

    def miss(self, request: Request, secrets: tuple[str, ...]) -> RecordingNotFound:
        """Count a prepared request as a miss and return the error that says what differs."""
        redacted = self.redact(request, secrets)
        error = explain(
            redacted,
            self.store,
            self._redactor.with_literals(secrets),
            used_up=self._first(request, redacted),
            exhausted=self._exhausted,
            own_mode=self._own_mode,
            command=self.command,
        )
        return self._note(error)

    def hide(self, text: str, secrets: tuple[str, ...] = ()) -> str:
        """Return a text, such as one for the log, without what is secret."""
        return self._redactor.with_literals(secrets).text(text)

    def redact_url(self, url: str, secrets: tuple[str, ...] = ()) -> str:
        """Do so for a URL or path, and leave out the query, of which only a session of such a request knows all."""
        return self.hide(url.partition("?")[0], secrets)

    def refuse(self, method: str, path: str, reason: str = NO_JSON, *, secrets: tuple[str, ...] = ()) -> NotRecordable:
        """Count a request that no recording can answer as a miss and return the error."""
        path = self.redact_url(path, secrets)
        message = f"{method} {path} is not recordable: {reason}. Replace it in the test."
        return self._note(NotRecordable(message, method=method, path=path, directory=self.store.directory))

    def bypassed(self, method: str, path: str, secrets: tuple[str, ...]) -> RecordingNotFound:
        """Count a request that went round us to the network, where it is stopped, as a miss and return the error."""
        path = self.redact_url(path, secrets)
        message = (
            f"{method} {path} was kept off the network, but cannot be answered: another library's wrapper around "
            "this client's `request`, older than the session, calls the SDK's own method. Put it on inside the block."
        )
        return self._note(RecordingNotFound(message, method=method, path=path, directory=self.store.directory))

    def warn_bypassed(self, method: str, path: str, secrets: tuple[str, ...]) -> None:
        """Log that a call went round us to the network, and that those which follow will not."""
        message = (
            "%s %s was not recorded: another library's wrapper, older than the session, calls the SDK's own method. "
            "From now on its calls are recorded."
        )
        log.warning(message, method, self.redact_url(path, secrets))

    def warn_once(self, method: str, path: str, reason: str = NO_JSON, *, secrets: tuple[str, ...] = ()) -> None:
        """Log that an endpoint is let through unrecorded, the first time."""
        path = self.redact_url(path, secrets)
        with self._lock:
            is_new = path not in self._warned
            self._warned.add(path)
        if is_new:
            message = "%s %s is not recordable and goes to the network: %s"
            log.warning(message, method, path, reason)

    def redact(self, request: Request, secrets: tuple[str, ...]) -> Request:
        """Return a request without what is secret; the same object if there is nothing.

        Raises:
            NotPlain: if it is nested too deeply to be looked through.
        """
        return redact_request(request, self._redactor.with_literals(secrets))

    def reserve(self, request: Request, secrets: tuple[str, ...], *, takes_over: bool) -> bool:
        """Make sure that a prepared request may go to the network; `False` if another session of the run is at it."""
        if self._joined is None:
            return True
        redacted = self.redact(request, secrets)
        return self._joined.reserve(redacted.path, redacted.key, takes_over=takes_over)

    def begin(self, request: Request, secrets: tuple[str, ...], origin: Provenance) -> PendingRecording:
        """Number a prepared request that goes to the network."""
        return self.keeper.begin(request, secrets, origin)

    # Inside.

    def _peek(self, request: Request) -> Found | None:
        key = request.key
        variant = self.keeper.variants.peek(request.path, key, functools.partial(self._reader.read, request, key))
        if variant is None:
            return None
        return Found(variant.data, request, key, self._reader, variant.number, variant.call)

    def _first(self, *requests: Request) -> str | None:
        """Return the name of the first recording of what may be one request, with secrets and without."""
        for request in requests:
            if self.store.get(request.path, request.key, 1) is not None:
                return self.store.sources(request.path, request.key, 1)[0]
        return None

    def _note(self, error: _Miss) -> _Miss:
        with self._lock:
            self.misses += 1
            self.missed.append(error)
        return error
