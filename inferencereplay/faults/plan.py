"""The faults of a session: which of them an attempt meets, and how often each has happened."""

from __future__ import annotations

import random
from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple

from inferencereplay.locks import make_lock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from inferencereplay.faults.fault import Fault


class Asked(NamedTuple):
    """What a call asks for, as far as faults depend on it.

    Attributes:
        path: relative to the base URL, without the query.
        key: the request's.
        model: what the body names, if anything.
        body: returns the request's body.
    """

    path: str
    key: str
    model: object
    body: Callable[[], Any]


class FaultPlan:
    """The faults of one session.

    Args:
        faults: in the order in which they are to happen.
        on: where a fault without an `on` of its own happens.

    Attributes:
        tell: is called with the place in the list of each, if it is set.
    """

    def __init__(self, faults: Sequence[Fault], on: Any) -> None:
        self.tell: Callable[[int], object] | None = None
        self._faults = tuple(faults)
        self._on = on
        self._happened = [0] * len(self._faults)
        self._calls = [0] * len(self._faults)
        self._equal: Counter[str] = Counter()
        self._lock = make_lock()

    def begin(self, asked: Asked) -> CallFaults:
        """Count a call, and return the faults that it may meet."""
        matching = [
            (place, fault)
            for place, fault in enumerate(self._faults)
            if fault.concerns(asked.path, asked.model, asked.body, self._on)
        ]
        possible = []
        with self._lock:
            self._equal[asked.key] += 1
            for place, fault in matching:
                self._calls[place] += 1
                if fault.match["nth"] is None or self._calls[place] in fault.match["nth"]:
                    possible.append((place, fault))
            return CallFaults(self, possible, f"{asked.key}:{self._equal[asked.key]}")

    def has_left(self, place: int) -> bool:
        """Whether the fault at a place of the list is not used up."""
        times = self._faults[place].match["times"]
        return times is None or self._happened[place] < times

    def take(self, place: int) -> bool:
        """Count the fault at a place of the list; `False` if it is used up."""
        with self._lock:
            if not self.has_left(place):
                return False
            self._happened[place] += 1
        if self.tell is not None:
            self.tell(place)
        return True

    def counts(self, elsewhere: Mapping[int, int]) -> dict[str, int]:
        """Return how often faults have happened, by name.

        Args:
            elsewhere: how often they have in child processes, by their places in the list.
        """
        found: Counter[str] = Counter()
        for fault, count in self._counted(elsewhere):
            found[fault.name] += count
        return dict(+found)

    def unused(self, elsewhere: Mapping[int, int]) -> list[Fault]:
        """Return the faults that have not happened; see `counts`."""
        return [fault for fault, count in self._counted(elsewhere) if not count]

    def _counted(self, elsewhere: Mapping[int, int]) -> Iterator[tuple[Fault, int]]:
        for place, fault in enumerate(self._faults):
            yield fault, self._happened[place] + elsewhere.get(place, 0)


class CallFaults:
    """The faults that the attempts of one call may meet.

    Args:
        plan: the session's.
        possible: the faults that match the call, and their places in the list.
        name: tells the call from the others, for chance.
    """

    def __init__(self, plan: FaultPlan, possible: list[tuple[int, Fault]], name: str) -> None:
        self._plan = plan
        self._possible = possible
        self._name = name
        self._attempt = 0

    def __bool__(self) -> bool:
        return any(self._plan.has_left(place) for place, _ in self._possible)

    def next_attempt(self) -> list[tuple[int, Fault]]:
        """Begin another attempt, and return the faults that it may meet, in order."""
        self._attempt += 1
        return [item for item in self._possible if self._plan.has_left(item[0]) and self._happens(*item)]

    def take(self, place: int) -> bool:
        """Count a fault; `False` if it is used up."""
        return self._plan.take(place)

    def _happens(self, place: int, fault: Fault) -> bool:
        chance = fault.match["probability"]
        if chance is None:
            return True
        draw = random.Random(f"{fault.match['seed']}:{place}:{self._name}:{self._attempt}")  # noqa: S311 - no secret
        return bool(draw.random() < chance)
