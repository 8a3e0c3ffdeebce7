"""The counts of a run, which workers hand to the controller, the reasons of its misses, and what the log warned of."""

from __future__ import annotations

import logging
from collections import Counter
from typing import TYPE_CHECKING, Any

from inferencereplay.catalogue.recording_map import RecordingMap
from inferencereplay.errors import RecordingExpired
from inferencereplay.store.interface import full_name, layers_of, located_in
from inferencereplay.store.location import is_missing

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from inferencereplay.errors import RecordingNotFound
    from inferencereplay.session.session import Session
    from inferencereplay.store.interface import Store


COUNTED = ("hits", "misses", "recorded", "unchanged", "let_through", "stubbed")
"""The counts of a session."""


class Tally:
    """The counts of a process, or of the whole run.

    Attributes:
        counts: the counts of sessions, by the names in `COUNTED`.
        used: the names of the recordings that were used, by directory.
        noted: the same of sessions that the program opened, also in directories that are none of this run's.
        reasons: how often misses had a reason: the lines that each say one difference, or one line that says all.
        faults: how often faults happened, by name.
        idle: how often a fault did not happen in its session, by what it is.
        warnings: how often the log warned of something, such as an answer that could not be stored.
        expired: the recordings that answered although they are older than `max_age`, with their directories.
        map: which test used which recording; `None` if nobody asks.
        blocked: how often connections were kept off the network, by host.
        cut: the tests of which not all variants were run.
        partial: why the run says nothing about recordings that were not used.
        absent: which tests without recordings were not run: code of theirs may use some all the same.
    """

    def __init__(self, *, is_mapping: bool = False) -> None:
        self.map = RecordingMap() if is_mapping else None
        self.counts: Counter[str] = Counter()
        self.used: dict[str, set[str]] = {}
        self.noted: dict[str, set[str]] = {}
        self.reasons: Counter[tuple[str, ...]] = Counter()
        self.faults: Counter[str] = Counter()
        self.idle: Counter[str] = Counter()
        self.warnings: Counter[str] = Counter()
        self.expired: set[str] = set()
        self.blocked: Counter[str] = Counter()
        self.cut: set[str] = set()
        self.partial: set[str] = set()
        self.absent: set[str] = set()

    def __bool__(self) -> bool:
        return bool(self.used or self.blocked) or self.counts.total() > 0

    def note_use(self, store: Store, names: Iterable[str]) -> None:
        """Note the recordings that a session of the program used."""
        for directory, inner in by_layer(store, names).items():
            self.noted.setdefault(directory, set()).update(inner)

    def note_test(self, test: str, store: Store, names: Iterable[str]) -> None:
        """Note the recordings that a test used, if somebody asks for that."""
        if self.map is not None:
            for directory, inner in by_layer(store, names).items():
                self.map.add(test, directory, inner)

    def add_session(self, session: Session) -> None:
        """Add what a session did, when it is over."""
        self.counts.update({name: getattr(session, name) for name in COUNTED})
        for directory, names in by_layer(session.store, session.used()).items():
            self.used.setdefault(directory, set()).update(names)
        self.expired.update(full_name(session.store, name) for name in session.expired)
        self.faults.update(session.faults)
        self.idle.update(map(repr, session.unused_faults()))
        if session.is_live:
            self.partial.add("tests ran live")
        if session.let_through:
            self.partial.add("calls went to the network")

    def add_misses(self, misses: Iterable[RecordingNotFound]) -> None:
        """Add the reasons of misses."""
        self.reasons.update(map(reason, misses))

    def add_warning(self, message: str) -> None:
        """Add a warning of the log; the run then does not know which recordings would have been used."""
        self.warnings[message] += 1
        self.partial.add("there were warnings")

    def add(self, dumped: dict[str, Any]) -> None:
        """Add what another process dumped."""
        self.counts.update(dumped["counts"])
        self.reasons.update({tuple(lines): count for lines, count in dumped["reasons"]})
        self.faults.update(dumped["faults"])
        self.idle.update(dumped["idle"])
        self.warnings.update(dumped["warnings"])
        self.expired.update(dumped["expired"])
        self.blocked.update(dumped["blocked"])
        self.cut.update(dumped["cut"])
        self.partial.update(dumped["partial"])
        self.absent.update(dumped["absent"])
        if self.map is not None:
            self.map.merge(dumped["map"])
        for mine, other in ((self.used, dumped["used"]), (self.noted, dumped["noted"])):
            for directory, names in other.items():
                mine.setdefault(directory, set()).update(names)

    def dump(self) -> dict[str, Any]:
        """Return all of it as lists, dicts, strings and numbers, which is what workers can send."""
        return {
            "counts": dict(self.counts),
            "reasons": [[list(lines), count] for lines, count in self.reasons.items()],
            "faults": dict(self.faults),
            "idle": dict(self.idle),
            "warnings": dict(self.warnings),
            "expired": sorted(self.expired),
            "blocked": dict(self.blocked),
            "cut": sorted(self.cut),
            "partial": sorted(self.partial),
            "absent": sorted(self.absent),
            "map": {} if self.map is None else self.map.dump(),
            "used": {directory: sorted(names) for directory, names in self.used.items()},
            "noted": {directory: sorted(names) for directory, names in self.noted.items()},
        }


def by_layer(store: Store, names: Iterable[str]) -> dict[str, list[str]]:
    """Return names of recordings by directory, and relative to it."""
    layers = layers_of(store)
    if len(layers) == 1:
        return {store.directory: [*names]}
    used: dict[str, list[str]] = {layer.directory: [] for layer in getattr(store, "searched", layers)}
    for name in names:
        layer, inner = located_in(store, name)
        used.setdefault(layer.directory, []).append(inner)
    return used


class Listener(logging.Handler):
    """Counts the warnings in the log: a test that passes does not show its log."""

    def __init__(self, tally: Tally) -> None:
        super().__init__(logging.WARNING)
        self._tally = tally

    def emit(self, record: logging.LogRecord) -> None:
        """Add a warning, unless the summary tells it by itself."""
        if record.name != "inferencereplay.age":
            self._tally.add_warning(record.getMessage())


def reason(miss: RecordingNotFound) -> tuple[str, ...]:
    """Return why a request was not found: a line for each difference, or one line that says all."""
    if isinstance(miss, RecordingExpired):
        return (f"a recording in {miss.directory} is older than max_age",)
    if miss.differences:
        return tuple(line for line in miss.differences if not line.startswith("…"))
    if not miss.key:
        return (f"{miss.method} {miss.path} is not recordable",)
    if miss.nearest:
        return (f"the recordings of {miss.path} in {miss.directory} are used up, or differ in method or query only",)
    if all(map(is_missing, (miss.directory, *miss.directory.split(", ")))):  # of layers
        return (f"{miss.directory} does not exist",)
    return (f"nothing is recorded for {miss.path} in {miss.directory}",)


def causes(reasons: Counter[tuple[str, ...]]) -> Iterator[tuple[int, str]]:
    """Yield the fewest lines that explain all misses, greatest first, and the number of misses that each explains.

    A changed system prompt is one line in all the misses that it causes, whatever else differs in some of them.
    """
    left = dict(reasons)
    while left:
        shared: Counter[str] = Counter()
        for lines, count in left.items():
            shared.update(dict.fromkeys(lines, count))
        line, count = shared.most_common(1)[0]
        yield count, line
        left = {lines: count for lines, count in left.items() if line not in lines}
