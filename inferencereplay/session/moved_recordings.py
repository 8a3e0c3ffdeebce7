"""Where the recordings of a request are that are not in the directory where it was looked for: it may have been moved.

The search is for the message of a miss. It looks at few folders, for a short time, and remembers what it saw.
"""

from __future__ import annotations

import collections
import functools
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

from inferencereplay.store.directory import DirectoryStore

if TYPE_CHECKING:
    from collections.abc import Iterator

MOST_FOLDERS = 2_000
"""Folders that are looked at."""
LONGEST = 0.2
"""Seconds after which the search ends."""
MOST_FOUND = 3
_PROJECT = (".git", ".hg", "pyproject.toml", "setup.py", "setup.cfg", "pytest.ini", "tox.ini")
"""What lies in the folder of a project."""
_PASSED_OVER = ("node_modules", "__pycache__", "site-packages", "venv", "build", "dist")


def find(directory: str, path: str, key: str) -> list[str]:
    """Return directories of the same project that hold a recording with a key, the nearest to its folder first.

    Args:
        directory: where it was looked for.
        path: the request's.
        key: the request's.
    """
    (name,) = DirectoryStore(Path(directory)).sources(path, key, 1)
    folder, file = os.path.split(name)
    found = []
    for root in _directories(_project(directory), folder):
        if root != directory and os.path.isfile(os.path.join(root, folder, file)):  # noqa: PTH113, PTH118
            found.append(root)
            if len(found) == MOST_FOUND:
                break
    return found


def _project(directory: str) -> str:
    """Return the folder of the project that a directory is in; without one, the folder that the directory is in."""
    place = Path(directory).absolute()
    outer = next((parent for parent in place.parents if parent.is_dir()), place)
    folders = (outer, *outer.parents)
    return str(next((folder for folder in folders if any(map(os.path.lexists, _marks(folder)))), outer))


def _marks(folder: Path) -> Iterator[Path]:
    return (folder / name for name in _PROJECT)


@functools.lru_cache(100)
def _directories(project: str, folder: str) -> tuple[str, ...]:
    """Return the directories below a project's folder that have such a folder inside, the nearest first."""
    return tuple(place for place in _Walk(project) if os.path.isdir(os.path.join(place, folder)))  # noqa: PTH112, PTH118


class _Walk:
    """Goes through the folders below another one, level by level, as far as the bounds allow."""

    _now = staticmethod(time.monotonic)  # no name of the module, which a library that freezes time would replace

    def __init__(self, project: str) -> None:
        self._waiting = collections.deque([project])

    def __iter__(self) -> Iterator[str]:
        end, seen = self._now() + LONGEST, 0
        while self._waiting and seen < MOST_FOLDERS and self._now() < end:
            place, seen = self._waiting.popleft(), seen + 1
            yield place
            self._waiting += _folders_in(place)


def _folders_in(place: str) -> list[str]:
    try:
        with os.scandir(place) as entries:
            return sorted(
                entry.path
                for entry in entries
                if not entry.name.startswith(".")
                and entry.name not in _PASSED_OVER
                and entry.is_dir(follow_symlinks=False)
            )
    except OSError:  # it is only a search
        return []
