"""The counts of what child processes did, as far as they have told it."""

from __future__ import annotations

from collections import Counter


class ChildCounts:
    """The counts.

    Attributes:
        hits: calls that a recording answered.
        misses: calls that no recording could answer.
        recorded: recordings that were stored.
        unchanged: answers that equal the stored ones.
        let_through: calls that went to the network, and were not stored.
        stubs: how often answers by hand were given, by the number of the stub.
        used: the names of the recordings that answered a call or were stored.
        faults: how often faults happened, by their places in the session's list.
    """

    def __init__(self) -> None:
        self.hits = self.misses = self.recorded = self.unchanged = self.let_through = 0
        self.stubs: Counter[int] = Counter()
        self.used: set[str] = set()
        self.faults: Counter[int] = Counter()


NO_CHILDREN = ChildCounts()
"""Those of a session without child processes; they stay as they are."""
