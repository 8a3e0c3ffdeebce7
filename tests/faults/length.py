"""How long the tests with injected faults run.

The normal run injects few faults of each kind. The full length is

    INFERENCEREPLAY_FAULTS=full python -m pytest tests/faults -rP

where `-rP` shows what each test printed: how many faults it injected and what became of them.
"""

from __future__ import annotations

import os

IS_FULL = os.environ.get("INFERENCEREPLAY_FAULTS") == "full"


def times(short: int, full: int) -> int:
    """Return how often: `short` in the normal run, `full` at full length."""
    return full if IS_FULL else short
