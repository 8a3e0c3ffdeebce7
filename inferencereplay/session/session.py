"""The session: a store, a mode, a speed, and one use of them, from its opening to its end."""

from __future__ import annotations

import copy
import itertools
from typing import TYPE_CHECKING

from inferencereplay.errors import InvalidSetting
from inferencereplay.pacing.clocks import SYSTEM_CLOCK
from inferencereplay.pacing.pacer import Pace, make_pacer
from inferencereplay.pacing.timing import Timing, summarize
from inferencereplay.recording.format import is_whole
from inferencereplay.session import garbage
from inferencereplay.session.decider import Decider
from inferencereplay.session.run_variants import RunVariants
from inferencereplay.session.session_store import unwritable
from inferencereplay.session.settings import Mode, list_options, resolve
from inferencereplay.session.variants import ReportingSet

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from typing_extensions import Unpack

    from inferencereplay.pacing.pacer import Pacer
    from inferencereplay.recording.format import Response
    from inferencereplay.session.run_coordinator import RunCoordinator
    from inferencereplay.session.settings import Directory, Options
    from inferencereplay.stubs.arguments import StubOptions
    from inferencereplay.stubs.stub import Stub

LEAVING = 1.0
"""Seconds that a replay waits past the recorded moment at which a stream was abandoned, for the program's time-out."""
LONGEST_UNANSWERED = 60.0
"""Seconds that a replay waits past the recorded moment at which a call was cancelled, for its cancellation."""


class Session(Decider):
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
        super().__init__(settings)
        self.from_environment = settings.from_environment
        mode = options.get("mode")
        self.own_mode = None if mode is None else str(getattr(mode, "value", mode))

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

    # Its beginning and its end.

    def join(self, run: RunCoordinator) -> None:
        """Record together with the other sessions of a run, each request once; call this before the first call.

        Recordings of the run then answer calls also in `record`. In the other modes this changes nothing.
        """
        if self.mode is Mode.RECORD:
            self.recorder.variants = self._joined = RunVariants(self._own, run, is_whole, self._has_expired)
            self.replays = True

    @property
    def run_folder(self) -> str | None:
        """The folder of the run that the session has joined, if it has."""
        return None if self._joined is None else self._joined.run_folder

    def finish(self) -> None:
        """Store streams that the program abandoned without closing them; the SDK's are in reference cycles.

        In `record`, replaced variants are removed then.
        """
        garbage.run_noted()
        connections = self._connection_recorder
        if self.recorder.variants.has_pending() or (connections and connections.variants.has_pending()):
            garbage.collect()
        garbage.run_noted()
        self.recorder.variants.finish()
        if self._expiry is not None:
            self._expiry.tell(self.store.directory)

    # The pace.

    @property
    def is_paced(self) -> bool:
        """Whether recordings answer, and some of them have to wait."""
        return not (self.is_live or self.never_waits)

    @property
    def timing(self) -> Timing:
        """How late the chunks of a paced replay came, in seconds; see `Timing`."""
        return summarize(self._late)

    def pacer(self, response: Response) -> Pacer | None:
        """Return the pacer of a stream's chunks, or of a plain answer as a whole; `None` if nothing has to wait."""
        if self.never_waits:
            return None
        if response.binary is not None and response.pieces:
            offsets, count = response.offsets, len(response.pieces)
        elif response.is_stream:
            offsets, count = response.offsets, len(response.chunks)
            if response.left is not None and len(offsets) == count:  # also if it was left before the first chunk
                offsets = [*offsets, response.left + LEAVING * self.speed]
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
        left = 0.0 if self.never_waits else (response.left or 0.0) / self.speed
        return left + LONGEST_UNANSWERED

    # Which recordings it used.

    def unused(self) -> list[str]:
        """Return the names of the recordings that answered no call and were not stored.

        They are relative to the directory. Where there are several, each name begins with its directory.
        """
        used = set(self.used())
        return sorted(name for name in self.store.list() if name not in used)

    def used(self) -> list[str]:
        """Return the names of the recordings that answered a call or were stored, as `unused` does."""
        told = self._heard().used
        used = {name for item in self.recorder.variants.used.copy() for name in self.store.sources(*item)}
        return sorted(used | told)

    def follow_used(self, report: Callable[[tuple[str, ...]], None], *, each: bool = False) -> None:
        """Report the names of each recording when it is first used from now on.

        Args:
            report: is called with the names, under a lock, and must not fail.
            each: whether every use is reported, and not the first only.
        """
        variants, sources = self.recorder.variants, self.store.sources  # not the session: that has to end some day
        reports = ReportingSet(lambda item: report(sources(*item)), each=each)
        reports.update(variants.used.copy())
        variants.used = reports

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
            message = f"save=True: {unwritable(self.store)}"
            raise InvalidSetting(message)
        with self._lock:
            self._stubs = stubs = self._stubs or StubQueue()
        given = {"text": text, **options}
        made = stubs.add(given)
        self.never_waits = self.never_waits and not made.has_pace
        return made

    def stubs(self) -> tuple[Stub, ...]:
        """Return the answers by hand, for a child process to `take_over`."""
        return () if self._stubs is None else tuple(self._stubs)

    def take_over(self, stubs: tuple[Stub, ...]) -> None:
        """Answer by hand as another process would have done."""
        from inferencereplay.stubs.stub_queue import StubQueue  # noqa: PLC0415 - as above

        self._stubs = StubQueue(stubs)
        self.never_waits = self.never_waits and not any(stub.has_pace for stub in stubs)

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
        if self._stubs is None:
            return []
        self._heard()
        return self._stubs.forget()
