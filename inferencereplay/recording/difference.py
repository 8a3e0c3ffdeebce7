"""What differs between two requests, in lines for people."""

from __future__ import annotations

import itertools
import json
import math
import re
from typing import TYPE_CHECKING, Any, AnyStr, NamedTuple

from inferencereplay.recording.control_characters import visible

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from inferencereplay.recording.request import JSON

ABSENT: Any = type("Absent", (), {"__repr__": lambda _: "absent"})()
MOST_LINES = 12
BEFORE = 16
"""Characters that are shown before the place where two strings part."""
AFTER = 48
"""Characters that are shown from there on."""
_LEAVES = frozenset((str, int, float, bool, type(None)))
_PLAIN_NAME = re.compile(r"[\w$-]{1,64}")


class Difference(NamedTuple):
    """One JSON path at which two requests differ; `ABSENT` on the side that lacks it."""

    path: str
    recorded: JSON
    requested: JSON

    def __str__(self) -> str:
        recorded, requested = self.recorded, self.requested
        if isinstance(recorded, str) and isinstance(requested, str):
            start = max(0, common_length(recorded, requested) - BEFORE)
            return f"{self.path}: {_part(recorded, start)} → {_part(requested, start)}"
        return f"{self.path}: {_short(recorded)} → {_short(requested)}"

    @property
    def weight(self) -> float:
        """How much it counts: 1, or less for strings that are alike for a part."""
        if isinstance(self.recorded, str) and isinstance(self.requested, str):
            longest = max(len(self.recorded), len(self.requested))
            return 1 - 0.9 * common_length(self.recorded, self.requested) / longest
        return 1


def differences(recorded: JSON, requested: JSON, path: str = "") -> Iterator[Difference]:
    """Yield every path at which `requested` differs from `recorded`; equal numbers are equal, however written."""
    if isinstance(recorded, dict) and isinstance(requested, dict):
        for name in dict.fromkeys((*recorded, *requested)):
            old, new = recorded.get(name, ABSENT), requested.get(name, ABSENT)
            if not _are_same(old, new):
                yield from differences(old, new, f"{path}.{_step(name)}" if path else _step(name))
    elif isinstance(recorded, list) and isinstance(requested, list):
        for index, (old, new) in enumerate(itertools.zip_longest(recorded, requested, fillvalue=ABSENT)):
            if not _are_same(old, new):
                yield from differences(old, new, f"{path}[{index}]")
    elif recorded != requested or isinstance(recorded, bool) is not isinstance(requested, bool):
        yield Difference(path or "body", recorded, requested)


def _are_same(one: JSON, other: JSON) -> bool:
    """Whether two values need no closer look; most members of two requests are equal texts."""
    kind = type(one)
    return kind is type(other) and kind in _LEAVES and one == other


def nearest(requested: JSON, candidates: Iterable[tuple[str, JSON]]) -> tuple[str, tuple[str, ...]] | None:
    """Find the candidate that differs least, and say how.

    Args:
        requested: the body of the request that was not recorded.
        candidates: names and bodies; of equally near ones the first counts.

    Returns:
        Its name and a line for each difference (no more than `MOST_LINES`), or `None` if there is no candidate.
    """
    name, least, found = "", math.inf, None
    for candidate, body in candidates:
        weight, items = _weigh(differences(body, requested), least)
        if weight < least:
            name, least, found = candidate, weight, items
    if found is None:
        return None
    lines = [str(item) for item in found[:MOST_LINES]]
    if len(found) > MOST_LINES:
        lines.append(f"… and {len(found) - MOST_LINES} more")
    return name, tuple(lines)


def _weigh(items: Iterable[Difference], limit: float) -> tuple[float, list[Difference]]:
    """Return the weight of `items` and their list, as far as it takes to weigh `limit`."""
    weight, found = 0.0, []
    for item in items:
        weight += item.weight
        found.append(item)
        if weight >= limit:
            break
    return weight, found


def _step(name: str) -> str:
    """Return a name as a path shows it: quoted if it could be taken for anything else."""
    return name if _PLAIN_NAME.fullmatch(name) else _part(name, 0)


def common_length(first: AnyStr, second: AnyStr) -> int:
    """Return how many characters or bytes two texts share at their beginning."""
    shortest = min(len(first), len(second))
    if first[:shortest] == second[:shortest]:
        return shortest
    low, high = 0, shortest
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if first[:middle] == second[:middle] else (low, middle)
    return low


def _part(text: str, start: int) -> str:
    end = start + BEFORE + AFTER
    shown = visible(json.dumps(text[start:end], ensure_ascii=False)[1:-1])
    return f'"{"…" if start else ""}{shown}{"…" if end < len(text) else ""}"'


def _short(value: JSON) -> str:
    if value is ABSENT:
        return "absent"
    if isinstance(value, str):
        return _part(value, 0)
    text = visible(json.dumps(value, ensure_ascii=False))
    return text if len(text) <= BEFORE + AFTER else text[: BEFORE + AFTER] + "…"
