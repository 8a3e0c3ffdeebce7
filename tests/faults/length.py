"""How long the tests with injected faults run.

The normal run injects few faults of each kind. The full length is

    FAULTS_LENGTH=full python -m pytest tests/faults -rP

where `-rP` shows what each test printed: how many faults it injected and what became of them.
"""

from __future__ import annotations

import itertools
import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

IS_FULL = os.environ.get("FAULTS_LENGTH") == "full"


def times(short: int, full: int) -> int:
    """Return how often: `short` in the normal run, `full` at full length."""
    return full if IS_FULL else short


def report(text: str) -> None:
    """Say what became of the faults."""
    print(text)  # noqa: T201 - pytest shows it if it is asked to


def combine(each: Iterable[Any], *others: Iterable[Any]) -> list[tuple[Any, ...]]:
    """Combine `each` with all of the others at full length, and with one combination of them in turn otherwise."""
    if IS_FULL:
        return list(itertools.product(each, *others))
    return [(item, *rest) for item, rest in zip(each, itertools.cycle(itertools.product(*others)))]
