"""Which request of one run is which of another: by their keys, by their likeness, by their order."""

from __future__ import annotations

import collections
import re
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeVar

from inferencereplay.normalizers import BY_NAME, compose
from inferencereplay.recording.difference import differences
from inferencereplay.recording.request import canonical_json

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Sequence

    from inferencereplay.calibration.recorded_run import Asked
    from inferencereplay.recording.request import JSON

Item = TypeVar("Item")
WINDOW = 8
"""Requests of the other run that one is compared with at least: those that come next."""
MOST_COMPARED = 10_000
"""Pairs that are compared, if there are not more requests than these allow in their windows."""
FARTHEST = 0.6
"""The part of their values in which two requests differ that count as one request of two runs."""
WORD = re.compile(
    r"[0-9]+(?:[.:,][0-9]+)+(?![0-9A-Za-z_-])|[0-9A-Za-z_]+(?:-[0-9A-Za-z_]+)*|\s+|.",
    re.DOTALL,
)
"""A number or a time of day with its signs; a word, which may be an id with hyphens; white space; or a sign."""


class Progress(Protocol):
    """Shows how far a loop is: it gets the items, their number and what is done, and yields the items."""

    def __call__(self, items: Iterable[Item], total: int, what: str, /) -> Iterable[Item]:
        """Yield the items."""
        ...


def untold(items: Iterable[Item], _total: int, _what: str, /) -> Iterable[Item]:
    """Show nothing."""
    return items


class Pairs(NamedTuple):
    """The requests of two runs.

    Attributes:
        equal: the pairs that have one key.
        differing: the others.
        alone: the requests that only the first run made, and those of the second.
    """

    equal: list[tuple[Asked, Asked]]
    differing: list[tuple[Asked, Asked]]
    alone: tuple[list[Asked], list[Asked]]


def pair(first: Iterable[Asked], second: Iterable[Asked], progress: Progress = untold) -> Pairs:
    """Pair the requests of two runs.

    Those with one key are pairs; then those that the ready-made normalizers make equal; then those that are equal but
    for their numbers and ids, and those of one path, by their likeness. Where that does not decide, their order does.
    """
    left, right = (sorted(run, key=lambda asked: asked.at) for run in (first, second))
    equal, left, right = _match(left, right, lambda asked: asked.request.key, progress)
    differing: list[tuple[Asked, Asked]] = []
    for sign, is_alike in ((_normalized, False), (_skeleton, True), (_place, True)):
        found, left, right = _match(left, right, sign, progress, is_alike=is_alike)
        differing += found
    return Pairs(equal, sorted(differing, key=lambda two: two[0].at), (left, right))


def _match(
    left: list[Asked],
    right: list[Asked],
    sign: Callable[[Asked], Hashable],
    progress: Progress,
    *,
    is_alike: bool = False,
) -> tuple[list[tuple[Asked, Asked]], list[Asked], list[Asked]]:
    """Pair those with one sign; return the pairs and the rest of both."""
    groups: dict[Hashable, tuple[list[Asked], list[Asked]]] = collections.defaultdict(lambda: ([], []))
    for side, run in enumerate((left, right)):
        for asked in progress(run, len(run), "pairing"):
            groups[sign(asked)][side].append(asked)
    found: list[tuple[Asked, Asked]] = []
    for ones, others in groups.values():
        found += _alike(ones, others, progress) if is_alike else zip(ones, others, strict=False)
    taken = {id(asked) for two in found for asked in two}
    return found, [item for item in left if id(item) not in taken], [item for item in right if id(item) not in taken]


def _alike(left: Sequence[Asked], right: Sequence[Asked], progress: Progress) -> list[tuple[Asked, Asked]]:
    """Pair each with the one that is most like it, of those that come next in the other run."""
    rest, found = list(right), []
    window = max(WINDOW, MOST_COMPARED // max(1, len(left)))
    for one in progress(left, len(left), "pairing"):
        near = [(_distance(one.body, other.body), place) for place, other in enumerate(rest[:window])]
        if near and min(near)[0] <= FARTHEST:
            found.append((one, rest.pop(min(near)[1])))
    return found


def _distance(one: JSON, other: JSON) -> float:
    """Return the part of their values in which two bodies differ: 0 for none, 1 for all."""
    unlike = sum(_unlike(item.recorded, item.requested) for item in differences(one, other))
    return unlike / max(1, _count(one), _count(other))


def _unlike(one: JSON, other: JSON) -> float:
    if not (isinstance(one, str) and isinstance(other, str)):
        return 1
    words = [collections.Counter(WORD.findall(text)) for text in (one, other)]
    return 1 - (words[0] & words[1]).total() / max(counter.total() for counter in words)


def _count(value: JSON) -> int:
    if isinstance(value, dict):
        return sum(map(_count, value.values()))
    return sum(map(_count, value)) if isinstance(value, list) else 1


_all = compose(BY_NAME.values())


def _normalized(asked: Asked) -> Hashable:
    return _place(asked), canonical_json(_all(asked.body))


def _skeleton(asked: Asked) -> Hashable:
    return _place(asked), canonical_json(_bare(_all(asked.body)))


def _place(asked: Asked) -> Hashable:
    """Return method and path; ids in the path come from earlier answers, and do not count."""
    return asked.request.method, _bare(asked.request.path)


def _bare(value: JSON) -> JSON:
    """Copy a value without numbers and words with digits, and with its plain lists in one order."""
    if isinstance(value, str):
        return _DIGITS.sub("0", value)
    if isinstance(value, dict):
        return {name: _bare(item) for name, item in value.items()}
    if isinstance(value, list):
        bare = [_bare(item) for item in value]
        return bare if any(isinstance(item, (dict, list)) for item in bare) else sorted(bare, key=canonical_json)
    return value if value is None or isinstance(value, bool) else 0


_DIGITS = re.compile(r"[0-9A-Za-z_-]*[0-9][0-9A-Za-z_-]*")
