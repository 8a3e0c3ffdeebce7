"""Recording one live call: it gets a number when it starts, and its answer is stored without secrets."""

from __future__ import annotations

import contextlib
import datetime
import functools
import logging
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar, cast
from urllib.parse import unquote

import msgspec

from inferencereplay.locks import make_lock
from inferencereplay.pacing.clocks import SYSTEM_CLOCK
from inferencereplay.recording import format as files
from inferencereplay.recording.base64_parts import exchange, take_out
from inferencereplay.recording.control_characters import visible
from inferencereplay.recording.format import Recording, Response, recorded_request
from inferencereplay.recording.frames import CLIENT
from inferencereplay.redaction.payloads import redact_request, redact_response
from inferencereplay.session import garbage
from inferencereplay.session.safe_content import without_secrets
from inferencereplay.session.variant_files import Outcome
from inferencereplay.store.address import Address
from inferencereplay.store.interface import layers_of, written_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from inferencereplay.recording.request import Request
    from inferencereplay.recording.side_file import SideFile
    from inferencereplay.redaction.redactor import Redactor
    from inferencereplay.session.call import Call
    from inferencereplay.session.calls_log import LoggedCall
    from inferencereplay.session.variants import Beside, Claim, Stays
    from inferencereplay.store.interface import SideFiles, Store, WritableStore

log = logging.getLogger("inferencereplay")

REPEATABLE = frozenset((400, 404, 413, 422))
"""The error statuses that the same request will get again; the others are transient."""
_FIRST_ERROR = 400
MOST_SKIPPED = 1_000
_skipped: dict[tuple[str, str], str] = {}
"""The answers of this process that were not stored, by directory and key."""


class Numbering(Protocol):
    """What numbers calls under way: `Variants`, or `ConnectionVariants`."""

    def begin(self, path: str, key: str) -> Claim:
        """Number a call, until `store` or `give_up` ends it."""
        ...

    def store(  # noqa: PLR0913 - as `Variants` has it
        self,
        path: str,
        key: str,
        call: int,
        data: bytes,
        *,
        is_whole: bool,
        stays: Stays | None,
        beside: Beside,
    ) -> Outcome:
        """Store the answer to a call, within `beside` its number."""
        ...

    def stored_as(self, call: int) -> int:
        """Return the number under which it was stored."""
        ...

    def give_up(self, path: str, key: str, call: int) -> None:
        """End a call."""
        ...

    def remove(self, path: str, key: str) -> None:
        """Remove what a session that knew fewer secrets has stored."""
        ...


_Numbering = TypeVar("_Numbering", bound=Numbering)


class PendingRecording:
    """A live call whose answer is to be stored.

    Args:
        recorder: stores it.
        call: the call.

    Attributes:
        sent_at: when the request was sent, Unix time in seconds; the moment of its number until more is known.
        is_stored: whether the answer is in the store.
        is_unchanged: whether it was there already; see `keep_equal`.
        noted: the call among the session's.
    """

    __slots__ = (
        "_is_over",
        "call",
        "is_stored",
        "is_unchanged",
        "key",
        "noted",
        "number",
        "recorder",
        "redactor",
        "request",
        "sent_at",
    )

    def __init__(self, recorder: Recorder[Any], call: Call) -> None:
        self._is_over = True
        self.is_stored = self.is_unchanged = False
        self.noted: LoggedCall | None = None
        self.recorder = recorder
        self.call = call
        self.redactor = call.redactor
        self.sent_at = SYSTEM_CLOCK.unix_time()
        self._begin(call.redacted)

    def _begin(self, request: Request) -> None:
        self.request = request
        self.key = request.key
        self.number = self.recorder.variants.begin(request.path, self.key)
        self._is_over = False

    def __del__(self) -> None:
        """Give the number back if an interrupt came before anybody could: nobody else can end the call any more."""
        if not self._is_over:
            garbage.note(self.drop)

    @property
    def line(self) -> str:
        """Method and path for messages, without secrets and without the query."""
        return self.redactor.text(self.call.line)

    def learn(self, literals: tuple[str, ...]) -> None:
        """Redact these texts too: secrets that were not known before the call was made."""
        before, self.redactor = self.redactor, self.redactor.with_literals(literals)
        if self.noted is not None and self.redactor is not before:
            self.noted.hide(self.redactor)

    def renumber(self) -> None:
        """Begin again if the key was made with a secret that was not known then."""
        if self.redactor is self.call.redactor:
            return
        if redact_request(self.request, self.redactor) is not self.request:
            self.drop()
            self._begin(redact_request(self.call.request, self.redactor))

    def keep(self, response: Response) -> str:
        """Store the answer; see `Recorder.keep`."""
        reason = self.recorder.keep(self, response)
        self._is_over = True
        self.is_stored = not reason
        if self.noted is not None and self.is_stored:
            self.noted.keep(self.key, self.recorder.variants.stored_as(self.number))
        self._end()
        return reason

    def drop(self) -> None:
        """Give the number back: the call has no answer that can be stored."""
        self.recorder.variants.give_up(self.request.path, self.key, self.number)
        self._is_over = True
        self._end()

    def _end(self) -> None:
        if self.noted is not None:
            self.noted.end()


class Recorder(Generic[_Numbering]):
    """Stores the answers of a session's live calls.

    Args:
        store: where recordings go.
        variants: numbers them.
        record_errors: whether transient errors are stored too.
        keeps_equal: whether a file stays if it has an equal answer.

    Attributes:
        recorded: recordings that were stored.
        unchanged: answers that equal the stored ones, whose files stayed as they were.
    """

    def __init__(self, store: Store, variants: _Numbering, *, record_errors: bool, keeps_equal: bool = False) -> None:
        self.variants = variants
        self.recorded = self.unchanged = 0
        self._keeps_equal = keeps_equal
        self._store = store
        self._record_errors = record_errors
        self._lock = make_lock()

    def stores_status(self, status: int) -> bool:
        """Whether an answer of that status is stored; 0 means a connection that failed."""
        return self._record_errors or _FIRST_ERROR > status > 0 or status in REPEATABLE

    def skip(self, pending: PendingRecording, answer: str) -> None:
        """Do not store an answer, because it is transient; a miss of this process says so."""
        if len(_skipped) >= MOST_SKIPPED:
            _skipped.clear()
        _skipped[written_of(self._store).directory, pending.key] = answer
        pending.drop()

    def skipped(self, key: str) -> str:
        """Return the answer to a request that was not stored, such as `429`; empty if there was none."""
        answers = (_skipped.get((layer.directory, key), "") for layer in layers_of(self._store))
        return next(filter(None, answers), "")

    def keep(self, pending: PendingRecording, response: Response) -> str:
        """Store the answer to a call; a failure is logged, never raised.

        Returns:
            Why it was not stored, for people; empty if it was.
        """
        is_stored = False
        try:
            reason = self._store_answer(pending, response)
            is_stored = not reason
        except Exception as error:  # noqa: BLE001 - a failing recorder never breaks what it records
            reason = visible(pending.redactor.text(str(error) if isinstance(error, OSError) else repr(error)))
            log.warning(
                "%s was not recorded in %s: %s", pending.line, visible(written_of(self._store).directory), reason
            )
        finally:
            if not is_stored:  # also if an interrupt came in between
                pending.drop()
        place = Address(pending.request.path, pending.key, self.variants.stored_as(pending.number))
        self._count(place, recorded=is_stored and not pending.is_unchanged, unchanged=pending.is_unchanged)
        return reason

    def _count(self, place: Address, *, recorded: int, unchanged: int) -> None:  # noqa: ARG002 - a child tells it
        with self._lock:
            self.recorded += recorded
            self.unchanged += unchanged

    def _store_answer(self, pending: PendingRecording, response: Response) -> str:
        if response.failure and not response.is_stream and not self._record_errors:
            reason = "its connection broke"
            log.warning("%s was not recorded: %s (record_errors=True stores it)", pending.line, reason)
            return reason
        pending.renumber()
        recording = self._recording(pending, response)
        is_whole = response.is_whole
        outcome = self._store_whole(pending, recording)
        pending.is_unchanged = outcome is Outcome.UNCHANGED
        raw = pending.call.request
        if is_whole and raw.key != pending.key:
            # A session that knew fewer secrets may have stored one under this key, where it would be found first.
            self.variants.remove(raw.path, raw.key)
        if outcome:
            self._tell_hidden(pending)
            return ""
        reason = "a recording with precedence already exists"
        log.info("%s was not recorded: %s", pending.line, reason)
        return reason

    def _tell_hidden(self, pending: PendingRecording) -> None:
        """Warn of a recording that no session will find: a layer above holds another one of the request."""
        hidden_by = getattr(self._store, "hidden_by", None)
        if hidden_by and (layer := hidden_by(pending.request.path, pending.key)):
            place = written_of(self._store).directory
            message = "%s was recorded in %s, but %s is looked up first and has a recording of it"
            log.warning(message, pending.line, visible(place), visible(layer.directory))

    def _store_whole(self, pending: PendingRecording, recording: Recording) -> Outcome:
        """Store a recording after its side files; one that is not stored leaves none behind."""
        path, key, number = pending.request.path, pending.key, pending.number
        data, is_whole = files.encode(recording), recording.response.is_whole
        sides = recording.side_files
        beside = functools.partial(self._beside, path, key, sides) if sides else contextlib.nullcontext
        stays = self._find_equal(pending, recording) if self._keeps_equal else None
        return self.variants.store(path, key, number, data, is_whole=is_whole, stays=stays, beside=beside)

    def _find_equal(self, pending: PendingRecording, recording: Recording) -> Stays:
        """Return what says whether a file stays because its answer is equal."""
        from inferencereplay.session import equal_answers  # noqa: PLC0415 - in `record` only

        sent = [frame.payload for frame in recording.response.frames or () if frame.sender == CLIENT]
        equal_answers.store_sent_back(pending.request, *sent)
        store = cast("WritableStore", written_of(self._store))

        def stays(there: bytes, data: bytes) -> bool:
            place = Address(pending.request.path, pending.key, self.variants.stored_as(pending.number))
            renew = functools.partial(self._count, place, recorded=1, unchanged=-1)
            return equal_answers.stays(store, place, renew, there, data)

        return stays

    @contextlib.contextmanager
    def _beside(self, path: str, key: str, sides: list[SideFile], number: int) -> Iterator[None]:
        """Store side files, and remove those that no recording of that number names at the end."""
        store = cast("SideFiles", written_of(self._store))
        try:
            with contextlib.ExitStack() as kept:
                for side in sides:
                    kept.enter_context(store.put_side(path, key, number, side))
                yield
        finally:
            for side in sides:
                store.drop_side(path, key, number, side)

    def _recording(self, pending: PendingRecording, response: Response) -> Recording:
        if response.binary is not None:
            self._redact_binary(response, pending)
        redact_response(response, pending.redactor)
        take_out(response)
        _redact_taken(response, pending.redactor)
        request, origin = pending.request, pending.call.find_origin()
        held = recorded_request(request)
        held.uploads = [without_secrets(side, pending.redactor, "") for side in pending.call.uploads]
        at = origin.at or _timestamp(pending.sent_at)
        base_url = pending.redactor.text(unquote(origin.base_url))
        origin = msgspec.structs.replace(origin, at=at, base_url=base_url)
        return Recording(files.VERSION, pending.key, held, response, origin)

    @staticmethod
    def _redact_binary(response: Response, pending: PendingRecording) -> None:
        """Redact the text in an answer of bytes; its pieces are of other sizes then."""
        content_type = response.headers.get("content-type", "")
        safe = without_secrets(response.binary, pending.redactor, content_type)  # type: ignore[arg-type]
        if safe is not response.binary:
            response.binary, response.pieces, response.offsets = safe, [], []


def _redact_taken(response: Response, redactor: Redactor) -> None:
    """Redact the text in what was taken out of an answer; the parts of audio keep their places."""
    for side in response.base64:
        if (safe := without_secrets(side, redactor, "")) is not side:
            exchange(response, side, safe)
    audio = response.audio
    if audio is not None and (safe := without_secrets(audio, redactor, "audio/pcm", keeps_length=True)) is not audio:
        exchange(response, audio, safe)


def _timestamp(seconds: float) -> str:
    """Return Unix time as ISO 8601, always with microseconds: whole seconds are those of older files."""
    at = datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc)
    return at.isoformat(timespec="microseconds").removesuffix("+00:00") + "Z"
