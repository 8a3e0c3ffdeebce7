"""The files of a folder, by their names and their ages."""

from __future__ import annotations

import contextlib
import itertools
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

MOST_SEEN = 100_000
"""Directory entries that are looked at."""


def names_in(folder: str, is_wanted: Callable[[str], object]) -> list[str]:
    """Return such names of the files in a folder."""
    with contextlib.suppress(OSError):
        return [*itertools.islice(filter(is_wanted, os.listdir(folder)), MOST_SEEN)]  # noqa: PTH208
    return []


def listed(folder: str, is_wanted: Callable[[str], object]) -> list[str]:
    """Return the paths of the files with such names in a folder."""
    return [f"{folder}{os.sep}{name}" for name in names_in(folder, is_wanted)]


def aged(files: Iterable[str]) -> Iterator[tuple[int, str]]:
    """Yield the time of the last change, in nanoseconds, and the path of each file."""
    for file in files:
        try:
            changed = os.lstat(file).st_mtime_ns
        except OSError:  # another process removed it
            continue
        yield changed, file
