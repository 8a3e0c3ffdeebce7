"""The calls of a session, in the order in which they were made: what was asked, and what became of it.

A call costs the fast path a fraction of a microsecond: its canonical bytes are kept, and parsed when somebody asks.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from inferencereplay.recording.control_characters import visible
from inferencereplay.recording.request import NotSerializable, Request
from inferencereplay.redaction.payloads import redact_request
from inferencereplay.redaction.redactor import Redactor
from inferencereplay.session.question import Question
from inferencereplay.store.interface import Store

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import SupportsIndex

    from inferencereplay.pacing.clocks import Clock
    from inferencereplay.recording.request import JSON

HIT, MISS, RECORDED, LIVE, STUB, FAULT = OUTCOMES = ("hit", "miss", "recorded", "live", "stub", "fault")
"""What becomes of a call: a recording, a miss, a live answer that was stored, one that was not, an answer by hand, or a
fault in the place of each answer."""
LONGEST_GIST = 48
"""Characters of a request's text that the `repr` of a call shows."""


class Asked(Protocol):
    """A request, perhaps one that is read only when somebody looks at it."""

    @property
    def method(self) -> str:
        """The HTTP method."""
        ...

    @property
    def path(self) -> str:
        """The path relative to the base URL."""
        ...

    @property
    def body(self) -> bytes:
        """The JSON of the body; `null` where there is none."""
        ...

    @property
    def query(self) -> dict[str, Any]:
        """The query, by name."""
        ...


class Shared(msgspec.Struct, eq=False):
    """What the calls of a session share."""

    store: Store
    redactor: Redactor
    now: Callable[[], float]
    began: float


class LoggedCall(msgspec.Struct, eq=False):
    """One call of a program, as `session.calls` holds it.

    Attributes:
        number: which of the session's calls it is, from 1.
        outcome: `"hit"` (a recording answered), `"miss"`, `"recorded"` (a live answer that was stored), `"live"` (one
            that was not, or not yet), `"stub"` (an answer by hand) or `"fault"` (each attempt met a fault, and none an
            answer).
        attempts: how often the SDK sent it, its retries among them; for a recording, how often it did then.
        method: the HTTP method.
        path: relative to the base URL, such as `"/chat/completions"`.
        query: the query, by name.
        body: the JSON body as Python objects, without secrets, as in files; `None` where it is no JSON. Each access
            makes a new one.
        model: the body's member `model`; `None` if it is no text.
        recording: the name of the recording that answered or was stored, relative to the directory, or `None`;
            where there are several directories, it begins with its own.
        started: when it was made, in seconds since the session was, by the session's clock.
        ended: when its answer was complete, alike; `None` as long as it is not. Of a live stream that is not stored,
            when it began.
    """

    shared: Shared
    asked: Asked
    number: int
    outcome: str
    began: float
    finished: float | None = None
    attempts: int = 1
    key: str = ""
    variant: int = 0

    @property
    def method(self) -> str:
        """The HTTP method."""
        return self._question.method

    @property
    def path(self) -> str:
        """The path relative to the base URL."""
        return self._question.path

    @property
    def query(self) -> dict[str, Any]:
        """The query, by name."""
        return self._question.query

    @property
    def body(self) -> JSON:
        """The JSON body as Python objects; each access makes a new one."""
        return self._question.body

    @property
    def model(self) -> str | None:
        """The body's member `model`."""
        return self._question.model

    @property
    def recording(self) -> str | None:
        """The name of the recording that answered or was stored."""
        return self.shared.store.sources(self.asked.path, self.key, self.variant)[0] if self.variant else None

    @property
    def started(self) -> float:
        """Seconds from the making of the session to that of the call."""
        return self.began - self.shared.began

    @property
    def ended(self) -> float | None:
        """Seconds from the making of the session to the end of the answer."""
        return None if self.finished is None else self.finished - self.shared.began

    def __eq__(self, other: object) -> bool:
        return isinstance(other, LoggedCall) and (self.shared, self.number) == (other.shared, other.number)

    def __ne__(self, other: object) -> bool:  # which msgspec's structs have of their own
        return not self == other

    def __hash__(self) -> int:
        return hash(self.number)

    def end(self) -> None:
        """Note that the answer is complete, or that the call has failed; only the first time counts."""
        if self.finished is None:
            self.finished = self.shared.now()

    def hide(self, redactor: Redactor) -> None:
        """Hide secrets that were not known before the call was made."""
        self.asked = redact_request(_request(self.asked), redactor)

    def keep(self, key: str, variant: int) -> None:
        """Note under which key and number the answer was stored."""
        self.key, self.variant = key, variant
        self.outcome = RECORDED if self.outcome == LIVE else self.outcome

    def __repr__(self) -> str:
        asked = self._question
        gist = _shortened(_gist(asked.body))
        parts = [self.number, self.outcome, asked.method, asked.path, *filter(None, [asked.model, gist and repr(gist)])]
        tries = f", {self.attempts} attempts" if self.attempts > 1 else ""
        return visible(f"<{' '.join(map(str, parts))}{tries}>")

    @property
    def _question(self) -> Question:
        """The request without what the session knows as secret; the client's own secrets are removed already."""
        asked = _request(self.asked)
        try:
            return Question(redact_request(asked, self.shared.redactor))
        except NotSerializable:
            return Question(Request(asked.method, self.shared.redactor.text(asked.path), b"null"))


def _request(asked: Asked) -> Request:
    return Request(asked.method, asked.path, asked.body, asked.query, getattr(asked, "kind", "body"))


def _gist(body: JSON) -> str:
    """Return the last text that a request sends, of whichever endpoint."""
    if not isinstance(body, dict):
        return ""
    found = next((body[name] for name in ("messages", "input", "prompt") if body.get(name)), "")
    while not isinstance(found, str):
        if isinstance(found, list) and found:
            found = found[-1]
        elif isinstance(found, dict):
            found = next((found[name] for name in ("content", "text", "output") if found.get(name)), "")
        else:
            return ""
    return found


def _shortened(text: str) -> str:
    return text if len(text) <= LONGEST_GIST else f"{text[: LONGEST_GIST - 1]}…"


class Calls(tuple[LoggedCall, ...]):  # noqa: SLOT001 - no slots of a tuple's subclass can hold `dropped`
    """Calls in the order in which they were made; a tuple that can be narrowed.

    Attributes:
        dropped: how many earlier calls of the session were not kept, because there were more than `keep_calls`.

    Example:
        >>> with replay("recordings") as session:
        ...     answer = OpenAI().chat.completions.create(**ask)
        >>> session.calls.chat[0]
        <1 hit POST /chat/completions SmolLM2-135M-Instruct.Q4_1 'What is the capital of France? Answer with its …'>
        >>> session.calls.chat[0].body["temperature"], len(session.calls.embeddings)
        (0, 0)
    """

    dropped: int

    def __new__(cls, calls: Iterable[LoggedCall] = (), dropped: int = 0) -> Calls:  # noqa: PYI034 - Self is of 3.11
        """Make one of the calls, and the number of those that were not kept."""
        made = super().__new__(cls, calls)
        made.dropped = dropped
        return made

    @property
    def chat(self) -> Calls:
        """Those of chat completions."""
        return self.where(path="/chat/completions")

    @property
    def completions(self) -> Calls:
        """Those of text completions."""
        return self.where(path="/completions")

    @property
    def responses(self) -> Calls:
        """Those of the Responses API."""
        return self.where(path="/responses")

    @property
    def embeddings(self) -> Calls:
        """Those of embeddings."""
        return self.where(path="/embeddings")

    def where(
        self,
        predicate: Callable[[LoggedCall], object] | None = None,
        *,
        path: str | None = None,
        model: str | None = None,
        outcome: str | None = None,
    ) -> Calls:
        """Return the calls to which all that is given applies.

        Args:
            predicate: returns whether a call is wanted.
            path: such as `"/chat/completions"`, or a pattern such as `"/models/*"`.
            model: its name, or a pattern such as `"gpt-4*"`.
            outcome: `"hit"`, `"miss"`, `"recorded"`, `"live"`, `"stub"` or `"fault"`.

        Raises:
            ValueError: if there is no such outcome.
        """
        if outcome is not None and outcome not in OUTCOMES:
            message = f"outcome={outcome!r} is none. Valid are {', '.join(map(repr, OUTCOMES))}."
            raise ValueError(message)
        wanted = (
            call
            for call in self
            if (path is None or fnmatchcase(call.path, path))
            and (model is None or fnmatchcase(call.model or "", model))
            and (outcome is None or call.outcome == outcome)
            and (predicate is None or predicate(call))
        )
        return Calls(wanted, self.dropped)

    def __getitem__(self, place: SupportsIndex | slice) -> Any:
        """Return one call, or some."""
        found = super().__getitem__(place)
        return Calls(found, self.dropped) if isinstance(found, tuple) else found

    def __repr__(self) -> str:
        return f"Calls({', '.join(self.lines())})"

    def __str__(self) -> str:
        return "\n".join(self.lines()) or "no calls"

    def lines(self) -> list[str]:
        """Return a line for each call, after one for those that were not kept."""
        count = self.dropped
        lost = [f"… {count} earlier call{'s were' if count > 1 else ' was'} not kept"] if count else []
        return [*lost, *map(repr, self)]


class CallLog:
    """Where a session notes its calls, each once; the newest ones are kept. Its methods need the session's lock.

    Args:
        store: where recordings live.
        redactor: the session's.
        clock: the session's.
        keep: how many calls are kept.

    Attributes:
        total: how many calls there were.
    """

    def __init__(self, store: Store, redactor: Redactor, clock: Clock, keep: int) -> None:
        self._now = clock.now
        self._shared = Shared(store, redactor, clock.now, clock.now())
        self._kept: deque[LoggedCall | tuple[Asked, str, int, int, int, float]] = deque(maxlen=keep)
        self._keep = self._kept.append
        self.total = 0

    @property
    def calls(self) -> Calls:
        """The calls that are kept."""
        kept = [item if isinstance(item, LoggedCall) else self._hit(*item) for item in tuple(self._kept)]
        return Calls(kept, kept[0].number - 1 if kept else self.total)

    def note_hit(self, asked: Asked, key: str, variant: int, retries: int) -> None:
        """Note a call that a recording answers at once.

        Args:
            asked: its request. That of the recording is as safe as the file is.
            key: the recording's.
            variant: the recording's number.
            retries: how often the SDK sent it again while it was recorded.
        """
        self.total = total = self.total + 1
        self._keep((asked, key, variant, retries, total, self._now()))  # a tuple is made in no time

    def add_hit(self, asked: Asked, key: str, variant: int, retries: int) -> LoggedCall:
        """Note a call that a recording answers, like `note_hit`; the answer is not complete yet."""
        self.total += 1
        noted = self._hit(asked, key, variant, retries, self.total, self._now())
        noted.finished = None
        self._keep(noted)
        return noted

    def _hit(self, asked: Asked, *facts: Any) -> LoggedCall:
        key, variant, retries, number, at = facts
        return LoggedCall(self._shared, asked, number, HIT, at, at, 1 + retries, key, variant)

    def add(self, asked: Asked, outcome: str, attempts: int = 1) -> LoggedCall:
        """Note a call.

        Args:
            asked: its request, without secrets.
            outcome: what becomes of it.
            attempts: 0 for one whose attempts are counted as it is sent.
        """
        self.total += 1
        noted = LoggedCall(self._shared, asked, self.total, outcome, self._now(), None, attempts)
        self._keep(noted)
        return noted
