"""Which requests are to be asked again, and what that takes at most."""

from __future__ import annotations

import os
import random
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from inferencereplay.catalogue.entries import Unreadable
from inferencereplay.store.address import parse_file_name
from inferencereplay.verification.bounds import bound_of
from inferencereplay.verification.eligibility import why_not
from inferencereplay.verification.outcomes import NotAsked
from inferencereplay.verification.schemas import need_library

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from inferencereplay.catalogue.entries import Entry
    from inferencereplay.catalogue.totals import Prices
    from inferencereplay.verification.eligibility import Target


class Item(NamedTuple):
    """A request that is to be asked.

    Attributes:
        name: the file, relative to the directory.
        model: of the request.
        input: tokens at most.
        output: tokens at most.
        is_open: whether `output` is an assumption, because the request sets no limit.
        cost: at most, in the currency of the prices; `None` without a price.
        mark: of the file's state.
    """

    name: str
    model: str
    input: int
    output: int
    is_open: bool
    cost: float | None
    mark: str


class Share(msgspec.Struct):
    """What the requests of one model, or all, take at most.

    Attributes:
        requests: how many.
        input: tokens.
        output: tokens.
        cost: in the currency of the prices; `None` if no request has a price.
        open: how many requests set no limit of their output.
    """

    requests: int = 0
    input: int = 0
    output: int = 0
    cost: float | None = None
    open: int = 0

    def add(self, item: Item) -> None:
        """Count one more request."""
        self.requests += 1
        self.input += item.input
        self.output += item.output
        self.open += item.is_open
        if item.cost is not None:
            self.cost = (self.cost or 0.0) + item.cost


class Plan:
    """The requests that are to be asked, in the order of their files.

    Args:
        target: the server.
        wanted: whether a recording is meant.
        prices: of the models.
        assumed: tokens of an answer whose request sets no limit.

    Attributes:
        items: to be asked.
        not_asked: requests that cannot be asked, and why.
        needs_library: whether the answer to one of them can be checked with the library for JSON schemas only.
    """

    def __init__(
        self,
        target: Target,
        wanted: Callable[[Entry], bool],
        *,
        prices: Prices | None = None,
        assumed: int,
    ) -> None:
        self.target = target
        self.items: list[Item] = []
        self.not_asked: list[NotAsked] = []
        self.needs_library = False
        self._wanted = wanted
        self._prices = prices
        self._assumed = assumed

    def add(self, entry: Entry | Unreadable) -> None:
        """Take a file of the directory into the plan."""
        if isinstance(entry, Unreadable):
            self.not_asked.append(NotAsked(entry.name, "its file cannot be used (inferencereplay check)"))
        elif self._wanted(entry):
            if reason := why_not(entry, self.target):
                self.not_asked.append(NotAsked(entry.name, reason))
            else:
                self._add(entry)

    def _add(self, entry: Entry) -> None:
        bound = bound_of(entry, self._assumed)
        price = self._prices.find(entry.model) if self._prices else None
        cost = None if price is None else bound.cost(price)
        self.items.append(Item(entry.name, entry.model, *bound, cost, mark_of(entry)))
        self.needs_library = self.needs_library or need_library(entry.body)

    def order(self) -> None:
        """Put the requests in the order of their folders, and variants in the order of their numbers."""
        self.items.sort(key=lambda item: _place(item.name))

    def sample(self, count: int, seed: int) -> None:
        """Keep so many of the requests, chosen by chance; the same ones for the same seed and files."""
        if count < len(self.items):
            chosen = random.Random(seed).sample(range(len(self.items)), count)  # noqa: S311 - a sample, no secret
            self.items = [self.items[index] for index in sorted(chosen)]

    def leave_out(self, names: Collection[str]) -> None:
        """Take out requests that were asked before."""
        self.items = [item for item in self.items if item.name not in names]

    def shares(self) -> dict[str, Share]:
        """Return what the requests of each model take at most."""
        found: dict[str, Share] = {}
        for item in self.items:
            found.setdefault(item.model, Share()).add(item)
        return found

    def total(self) -> Share:
        """Return what all requests take at most."""
        total = Share()
        for item in self.items:
            total.add(item)
        return total

    def unpriced(self) -> list[str]:
        """Return the models without a price whose requests take tokens."""
        return sorted({item.model for item in self.items if item.cost is None and item.input + item.output})


def _place(name: str) -> tuple[str, str, int]:
    folder, file = os.path.split(name)
    digits, number = parse_file_name(file) or (file, 1)
    return folder, digits, number


def mark_of(entry: Entry) -> str:
    """Return what changes with the file: its size, and when it was last written."""
    return f"{entry.size}:{entry.modified.timestamp()}"
