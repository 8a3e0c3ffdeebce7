"""From an HTTP request to its answer: the session decides, as for a call of the SDK."""

from __future__ import annotations

import functools
import logging
import time
from collections import OrderedDict
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import msgspec

from inferencereplay.errors import InferenceReplayError, RecordingNotFound
from inferencereplay.pacing.clocks import SYSTEM_CLOCK
from inferencereplay.pacing.pacer import Pacer
from inferencereplay.recording.request import NotSerializable, Request
from inferencereplay.redaction.payloads import redact_request
from inferencereplay.sdk.http_replay import incomplete
from inferencereplay.server.http_answers import Answer, error_answer, is_small, json_answer, recorded_answer
from inferencereplay.server.incoming import (
    SESSION_HEADER,
    LeadsOut,
    NoForm,
    Refused,
    check_path,
    read_request,
    readings,
    uploads_of,
)
from inferencereplay.server.variant_order import put_in_order
from inferencereplay.session.call import Call
from inferencereplay.session.decision import LetThrough, Play, Wait
from inferencereplay.session.recorder import PendingRecording
from inferencereplay.session.run_coordinator import PATIENCE, PAUSE
from inferencereplay.session.settings import Mode
from inferencereplay.store import at_hand

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from inferencereplay.recording.format import Provenance, Recording, Response
    from inferencereplay.server.contents import Contents
    from inferencereplay.server.incoming import Incoming
    from inferencereplay.server.metrics import Metrics
    from inferencereplay.session.session import Session

log = logging.getLogger("inferencereplay")

MOST_SESSIONS = 10_000
"""Named sessions that are kept; the one that was used longest ago is forgotten, and begins anew when it comes again."""
MOST_READ = 1_000
"""Requests whose reading is kept."""
LARGEST_READ = 4 * 1024
"""Bytes of the largest body whose reading is kept."""
MOST_READY = 32 * 1024 * 1024
"""Bytes of all answers that are kept ready."""
LARGEST_AT_ONCE = 4 * 1024 * 1024
"""Bytes of the largest body that is read on the event loop."""
MODELS = "/models/"
MOST_TOLD = 100
"""Misses, and files that cannot be used, that are logged; a load tool may make any number of requests."""
NOT_FOUND = 404
UNUSABLE = 500


class Forward(msgspec.Struct, frozen=True):
    """The decision that a request goes to the upstream server.

    Attributes:
        pending: stores the answer; `None` if it is not to be stored.
    """

    pending: PendingRecording | None = None


class Reply(msgspec.Struct, frozen=True):
    """What is to be sent, and when.

    Attributes:
        answer: what.
        pacer: when each piece is due; `None` if nothing has to wait.
    """

    answer: Answer
    pacer: Pacer | None = None


class Replies:
    """Answers requests from the recordings of a session and its siblings.

    Args:
        session: the one of the requests that name none.
        metrics: counts.
        order: in which equal requests get their variants.
        contents: what the directory holds.
        find_origin: returns where a recording of a request comes from.
        keeps_misses: whether the session keeps its misses, which somebody will raise.
    """

    def __init__(  # noqa: PLR0913 - the options of a server
        self,
        session: Session,
        metrics: Metrics,
        order: str,
        contents: Contents,
        find_origin: Callable[[Incoming], Provenance],
        *,
        keeps_misses: bool,
    ) -> None:
        self.session = put_in_order(session, order)
        self.metrics = metrics
        self._order = order
        self._contents = contents
        self._find_origin = find_origin
        self._keeps_misses = keeps_misses
        self._told = 0
        self._named: OrderedDict[bytes, Session] = OrderedDict()
        self._read: dict[tuple[str, str, str, bytes, bytes | None], tuple[Request, ...]] = {}
        self._ready: dict[tuple[str, int], tuple[Recording, Answer]] = {}
        self._ready_size = 0

    def session_of(self, incoming: Incoming) -> Session:
        """Return the session that a request belongs to, by its header."""
        name = incoming.header(SESSION_HEADER)
        if not name or self.session.mode is Mode.RECORD:  # a second session would replace what the first has recorded
            return self.session
        session = self._named.get(name)
        if session is None:
            session = self._named[name] = put_in_order(self.session.sibling(), self._order)
            if len(self._named) > MOST_SESSIONS:
                self._named.popitem(last=False)
        else:
            self._named.move_to_end(name)
        return session

    def finish(self) -> None:
        """Store the answers of requests that were left, and put the recordings in order."""
        for session in (self.session, *self._named.values()):
            session.finish()

    def add_up(self) -> None:
        """Count for the first session what the others have done."""
        for session in self._named.values():
            self.session.add_up(session)
        self._named.clear()

    def play(self, incoming: Incoming) -> Reply | None:
        """Return the recorded answer and count it; `None` if there is none, or it cannot be found by a mere look-up.

        It is called on the event loop: it never waits for an object store, and reads no large file.
        """
        if len(incoming.body) > LARGEST_AT_ONCE:
            return None
        if not at_hand.opened:
            return self._play(incoming, is_small)
        try:
            with at_hand.only({}):
                return self._play(incoming, is_small)
        except at_hand.NotAtHand:
            return None

    def _play(self, incoming: Incoming, covers: Callable[[Response], bool] | None = None) -> Reply | None:
        session = self.session_of(incoming)
        if session.is_live:
            return None
        try:
            requests = self._requests(session, incoming)
            for request in requests if self._contents.is_exact else self._alike(session, requests):
                if play := session.play(self._call(session, incoming, request), covers):
                    return self._hit(session, incoming, play)
        except (Refused, NotSerializable, InferenceReplayError):
            return None
        return None

    def decide(self, incoming: Incoming) -> Reply | Forward:
        """Decide what becomes of a request that `play` did not answer; this may read a thousand files."""
        session = self.session_of(incoming)
        try:
            return self._decide(session, incoming)
        except (NoForm, NotSerializable) as error:
            return self._unrecordable(session, incoming, str(error))
        except Refused as error:
            if session.mode is not Mode.REPLAY and not isinstance(error, LeadsOut):
                return Forward()  # its server says what is wrong with it
            self.metrics.add("refused")
            return Reply(error_answer(error.status, error.message, "invalid_request_error"))
        except RecordingNotFound as error:
            return Reply(self.miss(session, error))
        except InferenceReplayError as error:
            return Reply(self.unusable(error))

    def _decide(self, session: Session, incoming: Incoming) -> Reply | Forward:
        if session.is_live:
            check_path(incoming.path)
            return Forward()
        if not self._contents.is_exact:
            self._contents.refresh()
            if reply := self._play(incoming):
                return reply
        call = self._call(session, incoming, self._requests(session, incoming)[0])
        is_ours = session.mode is Mode.REPLAY and not session.is_let_through(call)
        if is_ours and (answer := self._models(incoming)):
            return Reply(answer)
        decision = _decision(session, call)
        if isinstance(decision, Play):
            return self._hit(session, incoming, decision)
        if not isinstance(decision, PendingRecording):
            return Forward()
        if session.keeps_uploads:
            call.uploads = uploads_of(incoming)
        return Forward(decision)

    def call_of(self, session: Session, incoming: Incoming, is_recorded: Callable[[Call], bool]) -> Call:
        """Return a request as a call, under the first of its paths that is recorded; errors are those of a request."""
        calls = [self._call(session, incoming, request) for request in self._requests(session, incoming)]
        return next(filter(is_recorded, calls), calls[0])

    def _alike(self, session: Session, requests: tuple[Request, ...]) -> Iterator[Request]:
        """Yield the requests whose recordings may answer, the most likely one first."""
        yield from requests
        for request in requests:
            yield from self._contents.like(redact_request(request, session.redactor))

    def _call(self, session: Session, incoming: Incoming, request: Request) -> Call:
        return Call(request, session.redactor, incoming.secrets, functools.partial(self._find_origin, incoming))

    def _models(self, incoming: Incoming) -> Answer | None:
        """Return the answer about models, made of the requests that were recorded."""
        path = unquote(readings(incoming.path)[0])
        if incoming.method != "GET" or not f"{path}/".startswith(MODELS):
            return None
        name = path[len(MODELS) :]
        found = self._contents.model(name) if name else self._contents.models()
        return None if found is None else json_answer(200, found)

    def _requests(self, session: Session, incoming: Incoming) -> tuple[Request, ...]:
        """Return the requests that a recording is looked up by, prepared; the most likely one first.

        Raises:
            Refused: for a request that cannot be read.
            InvalidSetting: if `normalize` fails.
        """
        name = (incoming.method, incoming.path, incoming.query, incoming.body, incoming.header(b"content-type"))
        found = self._read.get(name)
        if found is None:
            request = read_request(incoming)
            found = tuple(
                session.prepare(msgspec.structs.replace(request, path=path)) for path in readings(incoming.path)
            )
            if len(incoming.body) <= LARGEST_READ:
                if len(self._read) >= MOST_READ:
                    self._read.clear()
                self._read[name] = found
        return found

    def _hit(self, session: Session, incoming: Incoming, play: Play) -> Reply:
        recorded = play.recording.response
        if recorded.is_unanswered:
            self.metrics.add("hits")
            until = Pacer([session.patience(recorded)], 1.0, session.clock, self.metrics.note_late)
            return Reply(error_answer(UNUSABLE, str(incomplete(recorded, play.name)), "recording_incomplete"), until)
        pacer = session.pacer(recorded)
        if pacer is not None:
            pacer.note = self.metrics.note_late
            if session.clock is SYSTEM_CLOCK:
                pacer.start = incoming.arrived  # the look-up takes none of the recorded time
        answer = self._ready_answer(play, is_paced=pacer is not None)  # it may be one that HTTP cannot send
        self.metrics.add("hits")
        return Reply(answer, pacer)

    def _ready_answer(self, play: Play, *, is_paced: bool) -> Answer:
        """Return the answer of a recording, which is made once for as long as its file stays as it is."""
        place = (play.key, play.number)
        known = self._ready.get(place)
        if known is not None and known[0] is play.recording:
            return known[1]
        answer = recorded_answer(play.recording.response, play.name, is_paced=is_paced)
        self._ready_size += answer.size
        if self._ready_size > MOST_READY:
            self._ready.clear()
            self._ready_size = answer.size
        self._ready[place] = play.recording, answer
        return answer

    def _unrecordable(self, session: Session, incoming: Incoming, reason: str) -> Reply | Forward:
        request = Request(incoming.method, readings(incoming.path)[0], b"null")
        call = self._call(session, incoming, request)
        if not session.is_let_through(call):
            if session.mode is Mode.REPLAY:
                return Reply(self.miss(session, session.refuse(call, reason)))
            session.warn_once(call, reason)
        return Forward()

    def unusable(self, error: InferenceReplayError) -> Answer:
        """Count a recording that cannot be used, and return the answer that says why."""
        self.metrics.add("misses")
        self._tell(str(error))
        return error_answer(UNUSABLE, str(error), "recording_unusable")

    def miss(self, session: Session, error: RecordingNotFound) -> Answer:
        """Count a miss, and return the answer that says what differs."""
        self.metrics.add("misses")
        if not self._keeps_misses:
            session.forget_misses()
            self._tell(str(error).partition("\nTo record it")[0])
        elif session is not self.session:
            self.session.missed.append(error)
        facts: dict[str, Any] = {"key": error.key, "nearest": error.nearest, "differences": error.differences}
        return error_answer(NOT_FOUND, str(error), "recording_not_found", **facts)

    def _tell(self, why: str) -> None:
        """Log why a request has no answer, but not for each of a million requests."""
        self._told += 1
        if self._told <= MOST_TOLD:
            log.warning("%s", why)


def _decision(session: Session, call: Call) -> Play | PendingRecording | LetThrough:
    """Return the session's decision, once another session of a test run has recorded the equal call."""
    deadline = SYSTEM_CLOCK.now() + PATIENCE
    while True:
        decision = session.decide(call, takes_over=SYSTEM_CLOCK.now() > deadline)
        if not isinstance(decision, Wait):
            return decision
        time.sleep(PAUSE)
