"""What becomes of a call that goes to the network: it is numbered, and its answer stored without what is secret."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import unquote

import msgspec

from inferencereplay.locks import make_lock
from inferencereplay.recording import format as files
from inferencereplay.recording.format import Provenance, RecordedRequest, Recording, Response
from inferencereplay.redaction.payloads import redact_request, redact_response

if TYPE_CHECKING:
    from inferencereplay.recording.request import Request
    from inferencereplay.redaction.redactor import Redactor
    from inferencereplay.session.variants import Variants
    from inferencereplay.store.interface import Store

log = logging.getLogger("inferencereplay")

REPEATABLE = frozenset((400, 404, 413, 422))
"""The error statuses that the same request will get again; the others pass."""
_FIRST_ERROR = 400


class PendingRecording(NamedTuple):
    """A call that went to the network, and whose answer is to be stored.

    Attributes:
        raw: the request as it was before secrets were taken out of it, if there were any.
    """

    keeper: Recorder
    request: Request
    key: str
    call: int
    secrets: tuple[str, ...]
    origin: Provenance
    raw: Request | None

    @property
    def redactor(self) -> Redactor:
        """Knows what this call must not show."""
        return self.keeper.redactor.with_literals(self.secrets)

    def hide(self, text: str) -> str:
        """Return a text, such as one for the log, without what is secret."""
        return self.redactor.text(text)

    def knowing(self, secrets: tuple[str, ...]) -> PendingRecording:
        """Return the same with more to take out, which was not known before the call was made."""
        return self._replace(secrets=tuple(sorted({*self.secrets, *secrets}, key=len, reverse=True)))

    def keep(self, response: Response) -> str:
        """Store the answer; see `Recorder.keep`."""
        return self.keeper.keep(self, response)

    def drop(self) -> None:
        """Forget the call: it came to nothing that can be stored."""
        self.keeper.drop(self)


class Recorder:
    """The recording half of a session.

    Args:
        store: where recordings go.
        variants: numbers them.
        redactor: tells what is secret.
        record_errors: whether errors that will pass are stored as well.

    Attributes:
        recorded: recordings that were stored.
    """

    def __init__(self, store: Store, variants: Variants, redactor: Redactor, *, record_errors: bool) -> None:
        self.variants = variants
        self.redactor = redactor
        self.recorded = 0
        self._store = store
        self._record_errors = record_errors
        self._lock = make_lock()

    def begin(self, request: Request, secrets: tuple[str, ...], origin: Provenance) -> PendingRecording:
        """Number a prepared request that goes to the network."""
        redacted = redact_request(request, self.redactor.with_literals(secrets))
        key = redacted.key
        call = self.variants.begin(redacted.path, key)
        return PendingRecording(self, redacted, key, call, secrets, origin, None if redacted is request else request)

    def stores_status(self, status: int) -> bool:
        """Whether an answer of that status is stored; 0 stands for a connection that failed."""
        return self._record_errors or _FIRST_ERROR > status > 0 or status in REPEATABLE

    def keep(self, take: PendingRecording, response: Response) -> str:
        """Store the answer to a call; a failure is logged, never raised.

        Returns:
            Why it was not stored, for people; empty if it was.
        """
        method, path = take.request.method, take.request.path
        if response.failure and not response.is_stream and not self._record_errors:
            log.warning("%s was not recorded, for its connection broke (record_errors=True keeps it)", path)
            self.drop(take)
            return "its connection broke"
        try:
            take = self._renumbered(take)
            path = take.request.path
            data = self._encode(take, response)
        except Exception as error:  # noqa: BLE001 - a failing recorder never breaks what it records
            log.warning("%s %s was not recorded: %s", method, path, take.hide(repr(error)))
            self.drop(take)
            return take.hide(repr(error))
        try:
            is_stored = self._store_answer(take, data, is_whole=response.is_whole)
        except Exception as error:  # noqa: BLE001 - as above
            told = take.hide(str(error))
            log.warning("%s %s was not recorded in %s: %s", method, path, self._store.directory, told)
            return told
        if not is_stored:
            log.info("%s %s was not recorded: a recording that goes before stands there", method, path)
            return "a recording that goes before stands there"
        with self._lock:
            self.recorded += 1
        return ""

    def drop(self, take: PendingRecording) -> None:
        """Forget a call that came to nothing."""
        self.variants.give_up(take.request.path, take.key, take.call)

    def _renumbered(self, take: PendingRecording) -> PendingRecording:
        """Begin again where the key was made with a secret that nobody knew of yet."""
        if redact_request(take.request, take.redactor) is take.request:
            return take
        self.drop(take)
        return self.begin(take.raw or take.request, take.secrets, take.origin)

    def _encode(self, take: PendingRecording, response: Response) -> bytes:
        redact_response(response, take.redactor)
        request = take.request
        held = RecordedRequest(request.method, request.path, msgspec.Raw(request.body), request.query)
        at = take.origin.at or time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        origin = msgspec.structs.replace(take.origin, at=at, base_url=take.hide(unquote(take.origin.base_url)))
        return files.encode(Recording(files.VERSION, take.key, held, response, origin))

    def _store_answer(self, take: PendingRecording, data: bytes, *, is_whole: bool) -> bool:
        is_stored = self.variants.store(take.request.path, take.key, take.call, data, is_whole=is_whole)
        if take.raw and is_whole:
            # What a session that knew of fewer secrets stored of this request holds one, and would be found first.
            self.variants.remove(take.raw.path, take.raw.key)
        return is_stored
