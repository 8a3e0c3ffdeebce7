"""An index of requests by their lines, which tells those that are most like another one without reading them again."""

from __future__ import annotations

import bisect
import collections
import itertools
import operator
from typing import TYPE_CHECKING

from inferencereplay.recording.difference import common_length

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

NEIGHBOURS = 8
"""Lines before and after a line, in their order, that may be like it."""
LIKENESS = 0.9
"""The likeness of two lines that share all of a line but its end; `difference.Difference.weight` counts the same."""


FEW, TOGETHER = 8, 256
"""Requests that are looked at together: the first ones, and the others."""
_NEVER = b"\0"
"""What no JSON has."""


class RequestIndex:
    """The requests of a folder, each the lines of its body as a recording lays them out: a value a line.

    Lines with which all of them begin or end make no difference, and are not looked at one by one.

    Args:
        requests: names and bodies, as JSON text in the layout of a file.
    """

    def __init__(self, requests: Iterable[tuple[str, bytes]]) -> None:
        self._names: list[str] = []
        self._counts: list[int] = []
        # Most lines are in one request only. Without a list for each the garbage collector has nothing to go through.
        first: dict[bytes, int] = {}
        further: dict[bytes, list[int]] = collections.defaultdict(list)
        shared, rest = _SharedLines(), iter(requests)
        while batch := [*itertools.islice(rest, TOGETHER if self._names else FEW)]:
            texts = [text for _, text in batch]
            between = shared.between(texts)
            for number, text in enumerate(texts if between is None else between, len(self._names)):
                lost, own = shared.take(text) if between is None else ((), text.split(b"\n"))
                self._counts.append(shared.count + len(own))
                for line in lost:
                    further[line] += range(line not in first, number)
                    first.setdefault(line, 0)
                for line in own:
                    if line in first:
                        further[line].append(number)
                    else:
                        first[line] = number
            self._names += [name for name, _ in batch]
        self._shared = shared.lines
        for line in self._shared:
            first.pop(line, None)
        self._first, self._further = first, dict(further)
        self._lines = sorted((*first, *self._shared))

    @property
    def size(self) -> int:
        """About how many bytes of memory it takes."""
        further = 8 * sum(map(len, self._further.values()))
        return sum(map(len, self._lines)) + 8 * len(self._first) + further + 64 * len(self._names)

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
            ended = line + b","
            if line in self._shared or ended in self._shared:
                continue
            holders = {*self._holders(line), *self._holders(ended)}
            if len(holders) < len(self._names):  # a line of all of them makes no difference
                for number in holders:
                    likeness[number] += 1
                for number, share in self._alike(line).items():
                    if number not in holders:
                        likeness[number] += share
        numbers = sorted(range(len(self._names)), key=likeness.__getitem__, reverse=True)
        return [self._names[number] for number in numbers[:count]]

    def _holders(self, line: bytes) -> Sequence[int]:
        """Return the requests with a line that not all share, each as often as it has that."""
        first = self._first.get(line)
        return () if first is None else (first, *self._further.get(line, ()))

    def _alike(self, line: bytes) -> dict[int, float]:
        """Return the requests with lines that begin like another one, and how alike these are."""
        shares: dict[int, float] = {}
        at = bisect.bisect(self._lines, line)
        for other in self._lines[max(0, at - NEIGHBOURS) : at + NEIGHBOURS]:
            holders = self._holders(other)
            if len(holders) < len(self._names):
                share = LIKENESS * common_length(line, other) / max(len(line), len(other))
                for number in holders:
                    shares[number] = max(share, shares.get(number, 0))
        return shares


class _SharedLines:
    """The lines with which all texts begin, and those with which all of them end: of those that were taken so far.

    Attributes:
        count: how many they are.
    """

    def __init__(self) -> None:
        self._begin = self._end = b""
        self._whole: bytes | None = None
        self._are_equal = True
        self.count = 0

    @property
    def lines(self) -> set[bytes]:
        """Each of them."""
        if self._are_equal:
            return set() if self._whole is None else {*self._whole.split(b"\n")}
        return {*self._begin.split(b"\n")[:-1], *self._end.split(b"\n")[1:]}

    def between(self, texts: list[bytes]) -> list[bytes] | None:
        """Return what is between them in several texts, if all of these have them: by one search, for speed."""
        begin, end = self._begin, self._end
        joined = _NEVER.join((end, *texts, begin))
        if self._are_equal or joined.count(end + _NEVER + begin) != len(texts) + 1:
            return None
        return [*map(operator.itemgetter(slice(len(begin), -len(end) or None)), texts)]

    def take(self, text: bytes) -> tuple[Iterable[bytes], list[bytes]]:
        """Take one more text; return the lines that all before it share, but not with it, and its own others."""
        begin, end = self._begin, self._end
        if not self._are_equal and text.startswith(begin) and text.endswith(end, len(begin)):
            return (), text[len(begin) : len(text) - len(end)].split(b"\n")
        if self._are_equal and self._whole in (None, text):
            self._whole, self.count = text, text.count(b"\n") + 1
            return (), []
        lost = self._narrow(text)
        return lost, text[len(self._begin) : len(text) - len(self._end)].split(b"\n")

    def _narrow(self, text: bytes) -> list[bytes]:
        """Give up the lines that a text does not have; return them."""
        old, end, lost = self._whole or self._begin, self._end, list[bytes]()
        self._begin = _begin(old, text)
        rest = text[len(self._begin) :]
        if self._are_equal:
            self._are_equal = False
            old = old[len(self._begin) :]
            self._end = _end(old, rest)
            lost = old[: len(old) - len(self._end)].split(b"\n")
        else:
            self._end = _end(end, rest)
            lost = old[len(self._begin) :].split(b"\n")[:-1] + end[: len(end) - len(self._end)].split(b"\n")[1:]
        self._whole, self.count = None, self._begin.count(b"\n") + self._end.count(b"\n")
        return lost


def _begin(one: bytes, other: bytes) -> bytes:
    """Return the whole lines with which both begin."""
    return one[: one.rfind(b"\n", 0, common_length(one, other)) + 1]


def _end(one: bytes, other: bytes) -> bytes:
    """Return the whole lines with which both end, with the line break before them."""
    end = one[len(one) - common_length(one[::-1], other[::-1]) :]
    return end[end.find(b"\n") :] if b"\n" in end else b""
