"""What varies between two requests that are one request of two runs, and what can be done about it."""

from __future__ import annotations

import functools
import operator
import re
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from inferencereplay.calibration.text_variation import KINDS, TextVariation, Way
from inferencereplay.errors import InvalidSetting
from inferencereplay.normalizers import BY_NAME, compose
from inferencereplay.recording.difference import ABSENT, Difference
from inferencereplay.recording.request import canonical_json
from inferencereplay.session.settings import parse_ignore, parse_normalize

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from inferencereplay.calibration.recorded_run import Asked
    from inferencereplay.recording.request import JSON

IGNORE, NORMALIZE, REPLAY = "ignore", "normalize", "replay"
"""The remedies: two settings, and none, because a replay gives the recorded answer, from which the value comes."""
CONTENT = frozenset(
    (
        *("messages", "input", "prompt", "instructions", "suffix", "tools", "functions", "tool_choice", "model"),
        *("response_format", "text", "previous_response_id", "conversation"),
    )
)
"""Members of a body that decide what the model says. They are never proposed for `ignore`."""
MOST_SAID = 200
"""Earlier answers whose texts are looked for in a request."""
_CALL_IDS = ("tool_call_id", "call_id", "tool_use_id", "id")
_Path: TypeAlias = "tuple[str | int, ...]"


class Variation(NamedTuple):
    """One place in which two requests differ.

    Attributes:
        where: the path into the body, without the numbers of elements; `(path)` and `(query)` are the request's own.
        kind: what varies: a UUID, a time, an order, …
        remedy: `ignore`, `normalize`, `replay`, or empty if nothing makes the two equal.
        value: the path or the name for that setting; without a remedy, what to do instead.
        example: the two values, shortened.
    """

    where: str
    kind: str
    remedy: str
    value: str
    example: str


class Analysis(NamedTuple):
    """What varies between two requests, and where the second one holds a value that comes from an answer."""

    variations: list[Variation]
    answered: list[tuple[_Path, JSON]]

    @property
    def is_solved(self) -> bool:
        """Whether each variation has a remedy."""
        return all(variation.remedy for variation in self.variations)


class Analyst:
    """Compares requests; what it made for some of them it uses for the next ones."""

    def __init__(self) -> None:
        self._texts = TextVariation()
        self._examples: dict[tuple[str, str], str] = {}

    def compare(self, one: Asked, other: Asked, said: tuple[list[Asked], list[Asked]]) -> Analysis:
        """Say what varies between two requests.

        Args:
            one: of the first run.
            other: of the second run.
            said: the requests of each run that were made before; `MOST_SAID` are enough.
        """
        context = _Context(self._texts, self._examples, (one.body, other.body), said)
        found = Analysis([], [])
        for head, old, new in (
            ("(path)", one.request.path, other.request.path),
            ("(query)", one.request.query, other.request.query),
        ):
            if old != new:
                found.variations.append(context.of_address(head, old, new))
        for path, old, new in walk(one.body, other.body):
            made = context.of_value(path, old, new)
            found.variations.extend(made)
            if any(variation.remedy == REPLAY for variation in made):
                found.answered.append((path, old))
        return found


def walk(one: JSON, other: JSON, path: _Path = ()) -> Iterator[tuple[_Path, Any, Any]]:
    """Yield each place where two bodies differ: the values there, or two lists that differ in their order."""
    if isinstance(one, dict) and isinstance(other, dict):
        for name in dict.fromkeys((*one, *other)):
            yield from walk(one.get(name, ABSENT), other.get(name, ABSENT), (*path, name))
    elif isinstance(one, list) and isinstance(other, list):
        if _are_reordered(one, other):
            yield path, one, other
            one, other = (sorted(items, key=_bare) for items in (one, other))
        for index in range(max(len(one), len(other))):
            old, new = (items[index] if index < len(items) else ABSENT for items in (one, other))
            yield from walk(old, new, (*path, index))
    elif one is ABSENT or other is ABSENT or canonical_json(one) != canonical_json(other):
        yield path, one, other


_bare_body = compose(function for name, function in BY_NAME.items() if name != "sorted_tools")


def _bare(item: JSON) -> bytes:
    return canonical_json(_bare_body(item))


def _are_reordered(one: list[JSON], other: list[JSON]) -> bool:
    if len(one) != len(other) or one == other:
        return False
    bare = [[_bare(item) for item in items] for items in (one, other)]
    return bare[0] != bare[1] and sorted(bare[0]) == sorted(bare[1])


class _Context:
    """What is known of two requests: their bodies, and the requests that were made before."""

    def __init__(
        self,
        texts: TextVariation,
        examples: dict[tuple[str, str], str],
        bodies: tuple[JSON, JSON],
        before: tuple[list[Asked], list[Asked]],
    ) -> None:
        self._texts = texts
        self._examples = examples
        self._bodies = bodies
        self._before = before

    @functools.cached_property
    def _renumbered(self) -> list[JSON]:
        return [BY_NAME["tool_call_ids"](body) for body in self._bodies]

    @functools.cached_property
    def _said(self) -> tuple[frozenset[str], frozenset[str]]:
        """The texts of the answers before that only the one, and only the other run got."""
        one, other = (frozenset(text for asked in run for text in asked.said) for run in self._before)
        return one - other, other - one

    def of_address(self, head: str, old: Any, new: Any) -> Variation:
        """Say why the paths, or the queries, of two requests differ."""
        example = _example(old, new)
        if isinstance(old, str) and self._without_answers(old, 0) == self._without_answers(new, 1):
            return _from_an_answer(head, example)
        return Variation(head, "address", "", "let the program ask one address in every run", example)

    def of_value(self, path: _Path, old: Any, new: Any) -> list[Variation]:
        """Say why two values differ that stand at one place."""
        names = [part for part in path if isinstance(part, str)]
        where, example = ".".join(names), _example(old, new)
        if isinstance(old, list) and isinstance(new, list):
            return [_of_order(names, where, example)]
        if names and names[-1] in _CALL_IDS and self._is_renumbered(path):
            return [Variation(where, KINDS["tool_call_ids"], NORMALIZE, "tool_call_ids", example)]
        if isinstance(old, str) and old in self._said[0] and isinstance(new, str) and new in self._said[1]:
            return [_from_an_answer(where, example)]
        if _can_be_ignored(names):
            return [Variation(where, self._kind(names[-1], old, new), IGNORE, where, example)]
        if isinstance(old, str) and isinstance(new, str) and (found := self._of_text(where, old, new, example)):
            return found
        kind = self._kind(names[-1] if names else "", old, new)
        if kind == "time":
            return [Variation(where, kind, NORMALIZE, "timestamps", example)]
        return [Variation(where, kind, "", _ADVICE[kind], example)]

    def _of_text(self, where: str, old: str, new: str, example: str) -> list[Variation]:
        left, right = self._without_answers(old, 0), self._without_answers(new, 1)
        if left != old and right != new:
            ways = self._texts.ways(left, right)
            if ways or left == right:
                return [_from_an_answer(where, example), *self._normalized(where, ways, left, right)]
        return self._normalized(where, self._texts.ways(old, new), old, new)

    def _normalized(self, where: str, ways: Sequence[Way], old: str, new: str) -> list[Variation]:
        """Return a variation for each normalizer, with an example in which the others have been applied."""
        found = []
        for way in ways:
            sign = where, way.normalizer
            if sign not in self._examples:
                others = parse_normalize([item.normalizer for item in ways if item is not way])
                self._examples[sign] = _example(*(others({"": text})[""] if others else text for text in (old, new)))
            found.append(Variation(where, way.kind, NORMALIZE, way.normalizer, self._examples[sign]))
        return found

    def _is_renumbered(self, path: _Path) -> bool:
        one, other = (_value_at(body, path) for body in self._renumbered)
        return one is not ABSENT and bool(one == other)

    def _without_answers(self, text: str, run: int) -> str:
        for part in sorted((part for part in self._said[run] if part in text), key=len, reverse=True):
            text = text.replace(part, "\0")
        return text

    def _kind(self, name: str, old: Any, new: Any) -> str:
        if old is ABSENT or new is ABSENT:
            return "only in one run"
        if isinstance(old, str) and isinstance(new, str):
            if ways := self._texts.ways(old, new):
                return ", ".join(dict.fromkeys(way.kind for way in ways))
            if re.sub("[0-9]+", "0", old) == re.sub("[0-9]+", "0", new):
                return "number"
            words = [sorted(re.findall(r"\w+", text)) for text in (old, new)]
            return "order within a text" if words[0] == words[1] else "text"
        times = [BY_NAME["timestamps"]({name: value}) for value in (old, new)]
        if times[0] == times[1]:
            return "time"
        is_number = all(isinstance(item, (int, float)) and not isinstance(item, bool) for item in (old, new))
        return "number" if is_number else "value"


_ADVICE = {
    "order": "let the program sort it",
    "order within a text": "let the program sort it",
    "only in one run": "let the program send it in every run, or in none",
    "text": "let the program say one text, or write a function for normalize=",
    "number": "let the program send one number, or write a function for normalize=",
    "value": "let the program send one value, or write a function for normalize=",
}
"""What to do about a variation for which no setting is proposed."""


def _from_an_answer(where: str, example: str) -> Variation:
    return Variation(where, "from the model's answer", REPLAY, "a replay gives the recorded answer", example)


def _of_order(names: list[str], where: str, example: str) -> Variation:
    if names in (["tools"], ["functions"]):
        return Variation(where, "order", NORMALIZE, "sorted_tools", example)
    if _can_be_ignored(names):
        return Variation(where, "order", IGNORE, where, example)
    return Variation(where, "order", "", _ADVICE["order"], example)


def _can_be_ignored(names: list[str]) -> bool:
    """Whether a path leads to something that does not decide what the model says, and can be written as a setting."""
    if not names or names[0] in CONTENT or any("," in name or "." in name for name in names):
        return False
    try:
        parse_ignore(".".join(names))
    except InvalidSetting:
        return False
    return True


def _value_at(body: JSON, path: _Path) -> Any:
    try:
        return functools.reduce(operator.getitem, path, body)
    except (KeyError, IndexError, TypeError):  # of lists in another order
        return ABSENT


def _example(old: Any, new: Any) -> str:
    return str(Difference("", old, new)).removeprefix(": ")
