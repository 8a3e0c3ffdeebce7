"""What can go wrong, and when: the faults that a user names."""

from __future__ import annotations

import fnmatch
import json
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Literal, TypedDict

from inferencereplay.errors import InvalidSetting

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from inferencereplay.recording.request import JSON

PHASES = ("connect", "read", "write", "pool")
FINISHES = ("length", "content_filter")
_FIRST_ERROR, _LAST_ERROR = 400, 599
_LONGEST = 1_000_000
"""Seconds, as in a `Pace`."""
_UNNAMED = ("status",)
"""The arguments that are given without a name where they are shown."""


class Match(TypedDict, total=False):
    """When a fault happens; every kind of fault takes these by keyword, and `Fault` describes each."""

    times: int | None
    on: str | Iterable[str] | None
    when: Callable[[JSON], object] | None
    model: str | None
    nth: int | Iterable[int] | None
    probability: float | None
    seed: int


_MATCH: dict[str, Any] = {
    "times": 1,
    "on": None,
    "when": None,
    "model": None,
    "nth": None,
    "probability": None,
    "seed": 0,
}


class _UnknownFault(InvalidSetting, AttributeError):  # noqa: N818 - as its base
    """A kind of fault that there is not."""


class _Kinds(type):
    """The class of `Fault`: it tells the kinds of faults to a caller who misspells one."""

    if not TYPE_CHECKING:  # pragma: no branch - type checkers would take any name for a kind

        def __getattr__(cls, name: str) -> Any:
            raise _UnknownFault(unknown_kind(name, f"Fault.{name}"))


class Fault(metaclass=_Kinds):
    """One failure to inject while a session replays; `replay(…, faults=[…])` takes any number of them.

    Faults meet the attempts of the SDK, which tries again after some of them. Each attempt meets the first fault of the
    list that matches and is not used up, so that a list is the order of events; `slow` comes on top of another one.

    Every kind takes these keywords as well:

    - `times`: how many attempts meet it; `None` for all. By default 1, or all with a `probability`.
    - `on`: a path such as `"/chat/completions"`, or a pattern such as `"/chat/*"`, or several of them. By default the
      session's `on`, or every path.
    - `when`: a function that gets the request's body, and returns whether it is meant.
    - `model`: the model's name, or a pattern such as `"gpt-4o*"`.
    - `nth`: which of the calls that match otherwise, from 1: a number, or several. The attempts of a call count as one.
    - `probability`: the share of attempts, from 0 to 1. It depends on the request, on how often it was made, and on
      `seed`, so that a run can be repeated, in whatever order its calls come.

    Raises:
        InvalidSetting: for an unknown kind, an invalid argument, or an impossible combination.

    Example:
        >>> with replay("recordings", faults=[Fault.status(429, times=2, retry_after=1)]) as session:
        ...     answer = OpenAI().chat.completions.create(**ask)  # the SDK tries three times
        >>> answer.choices[0].message.content, session.faults
        ('The capital of France is Paris.', {'status 429': 2})
    """

    __slots__ = ("arguments", "kind", "match")
    kind: str
    arguments: Mapping[str, Any]
    match: Mapping[str, Any]

    def __init__(self) -> None:
        message = f"Fault() is no fault. Valid are {_listed()}."
        raise InvalidSetting(message)

    # The connection.

    @classmethod
    def refused(cls, **match: Unpack[Match]) -> Fault:
        """Nobody listens at the server's address."""
        return _make("refused", {}, match)

    @classmethod
    def timeout(
        cls,
        phase: Literal["connect", "read", "write", "pool"] = "read",
        *,
        after: int | None = None,
        **match: Unpack[Match],
    ) -> Fault:
        """The client's time-out passes.

        Args:
            phase: what takes too long.
            after: chunks of a stream that come before; `None` if not even the headers come. Only a `read` has some.
            match: see the class.
        """
        if phase not in PHASES:
            _refuse("timeout", "phase", phase, f"Valid are {', '.join(map(repr, PHASES))}")
        if after is not None and phase != "read":
            _refuse("timeout", "after", after, f"phase={phase!r} comes before every chunk: it has no after=")
        return _make("timeout", {"phase": phase, "after": _count("timeout", "after", after)}, match)

    @classmethod
    def cut(cls, *, after: int | None = None, **match: Unpack[Match]) -> Fault:
        """The server closes the connection.

        Args:
            after: chunks of a stream that come before; `None` if not even the headers come. A plain answer breaks in
                its middle.
            match: see the class.
        """
        return _make("cut", {"after": _count("cut", "after", after)}, match)

    @classmethod
    def reset(cls, *, after: int | None = None, **match: Unpack[Match]) -> Fault:
        """The connection is reset.

        Args:
            after: as in `cut`.
            match: see the class.
        """
        return _make("reset", {"after": _count("reset", "after", after)}, match)

    @classmethod
    def slow(cls, *, first: float = 0.0, between: float = 0.0, **match: Unpack[Match]) -> Fault:
        """The answer takes longer: seconds by the session's clock, whatever its `speed`.

        A time that is longer than the client's time-out is a time-out.

        Args:
            first: seconds until the answer begins.
            between: seconds from one chunk to the next.
            match: see the class; `times` is `None` by default.
        """
        if not (first or between):
            _refuse("slow", "first", first, "Give first= or between=, or both, above 0")
        for name, seconds in (("first", first), ("between", between)):
            if not _is_number(seconds) or not 0 <= seconds <= _LONGEST:
                _refuse("slow", name, seconds, f"Valid are seconds from 0 to {_LONGEST}")
        return _make("slow", {"first": first, "between": between}, {"times": None, **match})

    # The server.

    @classmethod
    def status(
        cls,
        status: int,
        *,
        retry_after: float | None = None,
        headers: Mapping[str, str] | None = None,
        body: Any = None,
        **match: Unpack[Match],
    ) -> Fault:
        """The server answers with an error.

        Args:
            status: from 400 to 599.
            retry_after: seconds that the server asks the client to wait.
            headers: more headers, such as `{"x-should-retry": "false"}`.
            body: what is sent, as JSON, or as it is if it is a text; by default an error as OpenAI sends it.
            match: see the class.
        """
        if not _is_count(status) or not _FIRST_ERROR <= status <= _LAST_ERROR:
            _refuse("status", "status", status, f"Valid are {_FIRST_ERROR} to {_LAST_ERROR}")
        if not _is_json(body):
            _refuse("status", "body", body, "Give what JSON can hold, or a text")
        given = {"status": status, "retry_after": _retry_after("status", retry_after)}
        return _make("status", {**given, "headers": _headers(headers), "body": body}, match)

    @classmethod
    def rate_limit(cls, *, retry_after: float | None = 1.0, **match: Unpack[Match]) -> Fault:
        """The server answers 429 with OpenAI's headers for rate limits.

        Args:
            retry_after: seconds until the limit is lifted; `None` if the server does not say.
            match: see the class.
        """
        return _make("rate_limit", {"retry_after": _retry_after("rate_limit", retry_after)}, match)

    @classmethod
    def html(cls, status: int = 502, **match: Unpack[Match]) -> Fault:
        """A proxy answers with a page of HTML.

        Args:
            status: 200, or from 400 to 599.
            match: see the class.
        """
        if status != 200 and not (_is_count(status) and _FIRST_ERROR <= status <= _LAST_ERROR):  # noqa: PLR2004
            _refuse("html", "status", status, f"Valid are 200 and {_FIRST_ERROR} to {_LAST_ERROR}")
        return _make("html", {"status": status}, match)

    # The answer.

    @classmethod
    def empty(cls, **match: Unpack[Match]) -> Fault:
        """The answer has no content: no JSON, or a stream without events."""
        return _make("empty", {}, match)

    @classmethod
    def malformed(cls, *, after: int = 0, **match: Unpack[Match]) -> Fault:
        """The JSON of the answer is torn.

        Args:
            after: chunks of a stream that come before.
            match: see the class.
        """
        return _make("malformed", {"after": _count("malformed", "after", after)}, match)

    @classmethod
    def error_event(
        cls,
        message: str = "The server had an error while processing your request",
        *,
        after: int = 0,
        **match: Unpack[Match],
    ) -> Fault:
        """An error comes with the status 200, in a stream after some chunks.

        Args:
            message: of the error.
            after: chunks of a stream that come before.
            match: see the class.
        """
        if not isinstance(message, str):
            _refuse("error_event", "message", message, "Give a text")
        return _make("error_event", {"message": message, "after": _count("error_event", "after", after)}, match)

    @classmethod
    def no_done(cls, *, after: int | None = None, **match: Unpack[Match]) -> Fault:
        """A stream ends in order, but without its `[DONE]`.

        Args:
            after: chunks that come before; `None` for all of them.
            match: see the class.
        """
        return _make("no_done", {"after": _count("no_done", "after", after)}, match)

    @classmethod
    def finish(
        cls, reason: Literal["length", "content_filter"] = "length", *, after: int | None = None, **match: Unpack[Match]
    ) -> Fault:
        """The model stops early: half of a text comes, with that reason.

        Args:
            reason: why it stops.
            after: chunks of a stream that come before; `None` for half of them.
            match: see the class.
        """
        if reason not in FINISHES:
            _refuse("finish", "reason", reason, f"Valid are {', '.join(map(repr, FINISHES))}")
        return _make("finish", {"reason": reason, "after": _count("finish", "after", after)}, match)

    # What sessions ask.

    @property
    def name(self) -> str:
        """The kind as it is counted, with the status."""
        status = self.arguments.get("status")
        return self.kind if status is None else f"{self.kind} {status}"

    @property
    def needs_answer(self) -> bool:
        """Whether it alters the answer, instead of taking its place."""
        if self.kind in ("status", "rate_limit", "html", "refused"):
            return False
        return self.kind not in ("timeout", "cut", "reset") or self.arguments["after"] is not None

    def concerns(self, path: str, model: object, body: Callable[[], Any], on: Any) -> bool:
        """Whether it may happen to a call.

        Args:
            path: relative to the base URL, without the query.
            model: what the body names, if anything.
            body: returns the request's body.
            on: the session's setting, for a fault without one.

        Raises:
            InvalidSetting: if its predicate fails.
        """
        wanted = self.match["model"]
        if wanted is not None and not (isinstance(model, str) and fnmatch.fnmatchcase(model, wanted)):
            return False
        places = on if self.match["on"] is None else self.match["on"]
        if places is not None and not any(fnmatch.fnmatchcase(path, place) for place in places):
            return False
        return self.match["when"] is None or self._applies(body())

    def _applies(self, body: Any) -> bool:
        try:
            return bool(self.match["when"](body))
        except Exception as error:
            message = f"when= of {self!r} failed: {error!r}. It gets the body, and returns whether it is meant."
            raise InvalidSetting(message) from error

    def __repr__(self) -> str:
        kind, given = self.kind, []
        for name, value in {**self.arguments, **self.match}.items():
            if name in _UNNAMED:
                given.append(repr(value))
            elif value != _default(kind, name):
                given.append(f"{name}={value!r}")
        return f"Fault.{kind}({', '.join(given)})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Fault) and self.__reduce__() == other.__reduce__()

    __hash__ = None  # type: ignore[assignment]  # its arguments may hold a dict

    def __reduce__(self) -> tuple[Any, ...]:
        return _remake, (self.kind, dict(self.arguments), dict(self.match))


KINDS = (
    *("refused", "timeout", "cut", "reset", "slow", "status", "rate_limit", "html"),
    *("empty", "malformed", "error_event", "no_done", "finish"),
)
"""The names of all kinds of faults."""
_DEFAULTS: dict[str, dict[str, Any]] = {
    "timeout": {"phase": "read"},
    "slow": {"first": 0.0, "between": 0.0, "times": None},
    "rate_limit": {"retry_after": 1.0},
    "malformed": {"after": 0},
    "error_event": {"after": 0},
}


def _default(kind: str, name: str) -> Any:
    """Return the value of an argument that need not be shown."""
    return _DEFAULTS.get(kind, {}).get(name, _MATCH.get(name))


def _listed() -> str:
    return ", ".join(KINDS)


def unknown_kind(name: str, source: str) -> str:
    """Return the message for a kind of fault that there is not."""
    return f"{source}: there is no fault {name!r}. Valid are {_listed()}."


def _remake(kind: str, arguments: dict[str, Any], match: dict[str, Any]) -> Fault:
    fault = object.__new__(Fault)
    fault.kind, fault.arguments, fault.match = kind, arguments, match
    return fault


def _make(kind: str, arguments: dict[str, Any], match: Mapping[str, Any]) -> Fault:
    unknown = [name for name in match if name not in _MATCH]
    if unknown:
        message = f"Fault.{kind}: it has no {unknown[0]}=. Valid are {', '.join([*arguments, *_MATCH])}."
        raise InvalidSetting(message)
    times = None if match.get("probability") is not None else 1
    found = {**_MATCH, "times": times, **match}
    _check_times(kind, found)
    _check_chance(kind, found, match)
    found["on"] = check_on(found["on"], f"Fault.{kind}: on")
    if found["when"] is not None and not callable(found["when"]):
        _refuse(kind, "when", found["when"], "Give a function that gets the body, and returns whether it is meant")
    if found["model"] is not None and not isinstance(found["model"], str):
        _refuse(kind, "model", found["model"], "Give a model's name, or a pattern such as 'gpt-4o*'")
    return _remake(kind, arguments, found)


def _check_times(kind: str, found: dict[str, Any]) -> None:
    times, nth = found["times"], found["nth"]
    if times is not None and not (_is_count(times) and times > 0):
        _refuse(kind, "times", times, "Valid is a number of attempts from 1, or None for all")
    if nth is None:
        return
    numbers = (nth,) if isinstance(nth, int) else tuple(nth) if isinstance(nth, Iterable) else (nth,)
    if not numbers or not all(_is_count(number) and number > 0 for number in numbers):
        _refuse(kind, "nth", nth, "Valid is the number of a call, from 1, or several of them")
    found["nth"] = numbers


def _check_chance(kind: str, found: dict[str, Any], given: Mapping[str, Any]) -> None:
    chance, seed = found["probability"], found["seed"]
    if chance is not None and not (_is_number(chance) and 0 < chance <= 1):
        _refuse(kind, "probability", chance, "Valid is a number above 0, up to 1")
    if "seed" in given and chance is None:
        _refuse(kind, "seed", seed, "Only a fault with a probability= has a seed=")
    if not isinstance(seed, int):
        _refuse(kind, "seed", seed, "Give a whole number")


def check_on(on: Any, source: str) -> Any:
    """Return the paths of a setting `on` as a tuple, and `None` as it is.

    Raises:
        InvalidSetting: for anything else.
    """
    if on is None:
        return None
    places = (on,) if isinstance(on, str) else tuple(on) if isinstance(on, Collection) else (on,)
    if not places or not all(isinstance(place, str) and place for place in places):
        message = (
            f"{source}={on!r} is no path. Give '/chat/completions', a pattern such as '/chat/*', or several of them."
        )
        raise InvalidSetting(message)
    return tuple("/" + place.lstrip("/") if place[0] not in "*?[" else place for place in places)


def _refuse(kind: str, name: str, value: object, rule: str) -> None:
    message = f"Fault.{kind}: {name}={value!r} is not valid. {rule}."
    raise InvalidSetting(message)


def _count(kind: str, name: str, value: Any) -> Any:
    if value is not None and not (_is_count(value) and value >= 0):
        _refuse(kind, name, value, "Valid is a number of chunks from 0")
    return value


def _retry_after(kind: str, seconds: Any) -> Any:
    if seconds is not None and not (_is_number(seconds) and 0 <= seconds <= _LONGEST):
        _refuse(kind, "retry_after", seconds, f"Valid are seconds from 0 to {_LONGEST}")
    return seconds


def _is_json(body: Any) -> bool:
    try:
        json.dumps(body)
    except (TypeError, ValueError, RecursionError):
        return False
    return True


def _headers(headers: Any) -> Any:
    if headers is None:
        return None
    if not isinstance(headers, Mapping) or not all(isinstance(part, str) for item in headers.items() for part in item):
        _refuse("status", "headers", headers, "Give names and values as texts")
    if not all(
        part.isascii() and part.isprintable() and name for name, text in headers.items() for part in (name, text)
    ):
        _refuse("status", "headers", headers, "Give names and values in ASCII, without line breaks")
    return dict(headers)


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
