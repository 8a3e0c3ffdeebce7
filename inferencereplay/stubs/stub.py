"""An answer by hand, what it is for, and how often it was asked for."""

from __future__ import annotations

import time
from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from inferencereplay.errors import InvalidSetting
from inferencereplay.pacing.pacer import Pace, check_pace
from inferencereplay.recording.format import Response
from inferencereplay.stubs import chat_answers, embeddings_answers, responses_answers, text_answers
from inferencereplay.stubs.arguments import (
    CHAT,
    TEXT,
    StubOptions,
    endpoints,
    read_content,
    read_matching,
    read_times,
    read_usage,
)
from inferencereplay.stubs.error_answers import HandmadeError
from inferencereplay.stubs.said import Said, read

if TYPE_CHECKING:
    from inferencereplay.recording.request import JSON, Request

LONGEST_SHOWN = 60
"""Characters of an argument that the `repr` of a stub shows."""
_HIDDEN = {"times": 1, "required": True, "save": False}
"""Arguments whose `repr` says nothing, by that value."""


class StubResponse(Response):
    """The answer of a stub, with the pace that it has whatever the session's speed.

    Attributes:
        pace: `None` for that of the session.
    """

    pace: Pace | None = None


class Stub:
    """An answer by hand, as `Session.stub` returns it.

    Attributes:
        number: which of the session's stubs it is, from 1.
        asked: how often it has answered, in child processes too as far as the session has heard of them.
        asked_here: how often in this process.
        asked_elsewhere: how often in child processes.
        times: how often it answers; `None` for any number of times.
    """

    def __init__(self, number: int, given: dict[str, Any]) -> None:
        unknown = [name for name in given if name not in ("text", *StubOptions.__annotations__)]
        if unknown:
            message = (
                f"unexpected keyword argument {unknown[0]!r}. Valid are text, {', '.join(StubOptions.__annotations__)}."
            )
            raise TypeError(message)
        self.number = number
        self.asked_here = self.asked_elsewhere = 0
        self.times = read_times(given.get("times", 1))
        self.saves = _flag(given, "save", default=False)
        self._is_required = _flag(given, "required", default=True)
        given = {name: tuple(value) if isinstance(value, Iterator) else value for name, value in given.items()}
        self._given = given = {name: value for name, value in given.items() if value is not None}
        self._content = read_content(given)
        read_matching(given, self._content)
        self._pace = check_pace(given.get("pace"))
        self._created = int(time.time())

    def __repr__(self) -> str:
        shown = [f"{name}={_shortened(value)}" for name, value in self._given.items() if not _is_hidden(name, value)]
        wanted = "for any number of times" if self.times is None else f"of {self.times}"
        return f"<Stub {self.number}: {', '.join(shown)}; asked {self.asked} {wanted}>"

    @property
    def asked(self) -> int:
        """How often it has answered."""
        return self.asked_here + self.asked_elsewhere

    @property
    def is_due(self) -> bool:
        """Whether it was not asked for as often as it should have been."""
        return self._is_required and self.asked < (1 if self.times is None else self.times)

    @property
    def is_left(self) -> bool:
        """Whether it can answer once more."""
        return self.times is None or self.asked_here < self.times

    @property
    def has_pace(self) -> bool:
        """Whether it has a pace of its own."""
        return self._pace is not None

    def matches(self, path: str, method: str, body: JSON) -> bool:
        """Whether it is the answer to a request.

        Raises:
            InvalidSetting: if its predicate fails.
        """
        given, possible = self._given, endpoints(self._content)
        path = path.partition("?")[0]
        if path != given.get("on", path) or (possible is not None and (path not in possible or method != "POST")):
            return False
        if "model" in given:
            model = body.get("model") if isinstance(body, dict) else None
            if not isinstance(model, str) or not fnmatchcase(model, given["model"]):
                return False
        return "when" not in given or self._applies(body)

    def _applies(self, body: JSON) -> bool:
        try:
            return bool(self._given["when"](body))
        except Exception as error:
            message = (
                f"when= of stub {self.number} failed: {error!r}. It gets the body, and returns whether it is meant."
            )
            raise InvalidSetting(message) from error

    def answer(self, request: Request) -> StubResponse:
        """Make its answer to a request."""
        asked = read(request, f"{self.number}.{self.asked_here}", self._created)
        content, path = self._content, request.path.partition("?")[0]
        if isinstance(content, HandmadeError):
            made = content.answer(asked)
        elif not isinstance(content, Said):
            made = embeddings_answers.answer(content, read_usage(self._given.get("usage")), asked)
        else:
            room = {CHAT: chat_answers, TEXT: text_answers}.get(path, responses_answers)
            made = room.answer(content, asked)
        members = {name: getattr(made, name) for name in Response.__struct_fields__}
        return StubResponse(**members, pace=self._pace)

    def response_to_save(self, response: Response) -> Response:
        """Return a copy of an answer as a recording holds it: with the times that follow from its pace."""
        members = {name: getattr(response, name) for name in Response.__struct_fields__}
        if self._pace is not None:
            first, between = self._pace
            if response.is_stream:
                members["offsets"] = [first + between * index for index in range(len(response.chunks))]
            else:
                members["elapsed"] = first
        return Response(**members)


def _is_hidden(name: str, value: object) -> bool:
    return name in _HIDDEN and _HIDDEN[name] == value  # an array of numbers cannot be compared


def _shortened(value: object) -> str:
    shown = repr(value).replace("\n", "")  # which arrays have
    return shown if len(shown) <= LONGEST_SHOWN else f"{shown[: LONGEST_SHOWN - 1]}…"


def _flag(given: dict[str, Any], name: str, *, default: bool) -> bool:
    value = given.get(name, default)
    if not isinstance(value, bool):
        message = f"{name}={value!r} is neither True nor False."
        raise InvalidSetting(message)
    return value
