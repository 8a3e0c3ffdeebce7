"""An index of requests by their lines, which tells those that are most like another one without reading them again."""

from __future__ import annotations

import bisect
import collections
import heapq
from typing import TYPE_CHECKING

from inferencereplay.recording.difference import common_length

if TYPE_CHECKING:
    from collections.abc import Iterable

NEIGHBOURS = 8
"""Lines before and after a line, in their order, that may be like it."""
LIKENESS = 0.9
"""The likeness of two lines that share all of a line but its end; `difference.Difference.weight` counts the same."""


class RequestIndex:
    """The requests of a folder, each the lines of its body as a recording lays them out: a value a line.

    Args:
        requests: names and bodies, as JSON text in the layout of a file.
    """

    def __init__(self, requests: Iterable[tuple[str, bytes]]) -> None:
        self._names: list[str] = []
        self._counts: list[int] = []
        holders: dict[bytes, list[int]] = collections.defaultdict(list)
        for number, (name, text) in enumerate(requests):
            lines = text.split(b"\n")
            self._names.append(name)
            self._counts.append(len(lines))
            for line in lines:
                holders[line].append(number)
        self._holders = dict(holders)
        self._lines = sorted(holders)

    @property
    def size(self) -> int:
        """About how many bytes of memory it takes."""
        return sum(map(len, self._lines)) + 8 * sum(self._counts)

    def closest(self, text: bytes, count: int) -> list[str]:
        """Return the names of the requests that share most lines with another one, no more than `count`.

        Where they lie in the body does not count, so that a message more at the beginning is one line that differs.

        Args:
            text: the other one's body, laid out in the same way.
            count: how many are returned.
        """
        asked = text.split(b"\n")
        surplus = {lines: max(0.0, lines - len(asked)) for lines in set(self._counts)}
        likeness = [-surplus[lines] for lines in self._counts]
        for line in {line.removesuffix(b",") for line in asked}:
            holders = {*self._holders.get(line, ()), *self._holders.get(line + b",", ())}
            if len(holders) < len(self._names):  # a line of all of them makes no difference
                for number in holders:
                    likeness[number] += 1
                for number, share in self._alike(line).items():
                    if number not in holders:
                        likeness[number] += share
        numbers = heapq.nlargest(count, range(len(self._names)), key=likeness.__getitem__)
        return [self._names[number] for number in numbers]

    def _alike(self, line: bytes) -> dict[int, float]:
        """Return the requests with lines that begin like another one, and how alike these are."""
        shares: dict[int, float] = {}
        at = bisect.bisect(self._lines, line)
        for other in self._lines[max(0, at - NEIGHBOURS) : at + NEIGHBOURS]:
            holders = self._holders[other]
            if len(holders) < len(self._names):
                share = LIKENESS * common_length(line, other) / max(len(line), len(other))
                for number in holders:
                    shares[number] = max(share, shares.get(number, 0))
        return shares
