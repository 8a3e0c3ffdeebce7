"""How two texts differ that are one text of two runs: by ids, times, paths, numbers, or by their words."""

from __future__ import annotations

import itertools
import re
from typing import TYPE_CHECKING, NamedTuple

from inferencereplay.calibration.pairing import WORD
from inferencereplay.normalizers import Matches, compose, named, temporary_paths, that_make_equal, timestamps, uuids

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

KINDS = {
    "uuids": "UUID",
    "timestamps": "time",
    "temporary_paths": "temporary path",
    "tool_call_ids": "tool call id",
    "sorted_tools": "order",
}
"""What each ready-made normalizer takes out."""
MOST_PATTERNS = 20
"""Regular expressions that are made for one program; what varies more than that is no id."""
LONGEST = 20_000
"""Characters of the longest text whose words are compared."""
_SHORTEST_ID = 6
_MOST_CONTEXT = 4
"""Words and signs before a number, at most, that tell it from other numbers."""
_SPECIAL = re.compile(r"[.^$*+?{}\[\]\\|()]")
_CLASSES = (
    ("[0-9]", "number"),
    ("[0-9:]", "time of day"),
    ("[0-9.:,]", "number"),
    ("[0-9a-f]", "random id"),
    ("[0-9A-F]", "random id"),
    ("[0-9A-Za-z]", "random id"),
    ("[0-9A-Za-z_-]", "random id"),
)
"""The letters of numbers and ids, the fewest first, and what they are."""


class Way(NamedTuple):
    """What varies in a text, and the name of the normalizer that takes it out: a ready-made one, or `/pattern/`."""

    kind: str
    normalizer: str


class TextVariation:
    """Finds out how texts differ, and keeps the regular expressions that it makes for what has no name."""

    def __init__(self) -> None:
        self.patterns: dict[str, str] = {}
        """The kind of what each one finds."""
        self._found: list[tuple[Way, ...]] = []

    def ways(self, one: str, other: str) -> tuple[Way, ...]:
        """Return what takes out all in which two texts differ; empty if nothing does."""
        known = next((ways for ways in self._found if _are_equal(one, other, ways)), None)
        if known is not None:
            return _fewest(one, other, known)
        ready = that_make_equal({"text": one}, {"text": other})
        found = tuple(Way(KINDS[name], name) for name in ready) or self._by_words(one, other)
        if found and len(self._found) < MOST_PATTERNS:
            self._found.append(found)
        return found

    def _by_words(self, one: str, other: str) -> tuple[Way, ...]:
        if max(len(one), len(other)) > LONGEST:
            return ()
        left, right = _reduced(one), _reduced(other)
        used = [pattern for pattern in self.patterns if Matches(pattern)({"text": left}) != {"text": left}]
        left, right = (_without(text, used) for text in (left, right))
        made = {} if left == right else _patterns(left, right)
        ways = [Way(KINDS[function.__name__], function.__name__) for function in _READY]
        ways += [Way({**self.patterns, **made}[pattern], f"/{pattern}/") for pattern in (*used, *made)]
        if len(made) + len(self.patterns) > MOST_PATTERNS or not _are_equal(one, other, ways):
            return ()
        needed = _fewest(one, other, ways)
        self.patterns.update({pattern: kind for pattern, kind in made.items() if Way(kind, f"/{pattern}/") in needed})
        return needed


def _fewest(one: str, other: str, ways: Sequence[Way]) -> tuple[Way, ...]:
    needed = [*ways]
    for way in ways:
        rest = [item for item in needed if item != way]
        if _are_equal(one, other, rest):
            needed = rest
    return tuple(needed)


def _are_equal(one: str, other: str, ways: Iterable[Way]) -> bool:
    functions = [function for way in ways if (function := named(way.normalizer))]
    normalize = compose(functions)
    return bool(normalize({"text": one}) == normalize({"text": other}))


def _reduced(text: str) -> str:
    return str(compose(_READY)({"text": text})["text"])


_READY = (uuids, timestamps, temporary_paths)


def _without(text: str, patterns: Iterable[str]) -> str:
    return str(compose(map(Matches, patterns))({"text": text})["text"])


def _patterns(one: str, other: str) -> dict[str, str]:
    """Return regular expressions for the words in which two texts differ, and their kinds; empty if they are prose."""
    left, right = WORD.findall(one), WORD.findall(other)
    if len(left) != len(right):
        return {}
    found: dict[str, str] = {}
    for place, (old, new) in enumerate(zip(left, right, strict=True)):
        if old == new:
            continue
        made = _pattern(old, new, _context(left[:place], right[:place]))
        if made is None:
            return {}
        found[made[0]] = made[1]
    return found


def _context(left: Sequence[str], right: Sequence[str]) -> str:
    """Return what stands before a word in both texts, on its line, back to a letter; empty without one."""
    context = ""
    for old, new in itertools.islice(zip(reversed(left), reversed(right), strict=True), _MOST_CONTEXT):
        if old != new or "\n" in old:
            break
        context = old + context
        if any(map(str.isalpha, context)):
            return context
    return ""


def _pattern(old: str, new: str, before: str) -> tuple[str, str] | None:
    """Return a regular expression for an id or a number, with what stands before it, and the kind."""
    start = _shared(old, new)
    head, ends = old[:start], (old[start:], new[start:])
    fitting = (item for item in _CLASSES if all(re.fullmatch(f"{item[0]}+", end) for end in ends))
    letters, kind = next(fitting, ("", "text"))
    is_id = kind == "random id"
    if not letters or (is_id and not _are_random(*ends)):
        return None
    is_fixed = is_id and len(ends[0]) == len(ends[1])
    context = head or ("" if is_fixed else before)
    if not is_id and not any(map(str.isalpha, context)):
        return None  # it would take out all numbers
    escaped = _SPECIAL.sub(lambda sign: "\\" + sign[0], context)
    boundary = r"\b" if not context or context[0].isalnum() else ""
    return (
        f"{boundary}{escaped}{letters}{{{len(ends[0])}}}\\b" if is_fixed else f"{boundary}{escaped}{letters}+\\b",
        kind,
    )


def _shared(old: str, new: str) -> int:
    """Return where the last part of two words begins, if the parts before are one and the same."""
    start = 0
    for found in re.finditer(r"[-_]|(?<=[A-Za-z])(?=[0-9]+\Z)", old):
        if old[: found.end()] == new[: found.end()]:
            start = found.end()
    return start


def _are_random(old: str, new: str) -> bool:
    """Whether two words look like ids: long, with digits and, if short, of one length."""
    has_digits = any(sign.isdigit() for sign in old + new)
    return has_digits and min(len(old), len(new)) >= _SHORTEST_ID and (len(old) == len(new) or len(old) > _SHORTEST_ID)
