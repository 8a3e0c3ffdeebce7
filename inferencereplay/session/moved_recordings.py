"""Where the recordings of a request are that are not in the directory where it was looked for: it may have been moved.

The search is for the message of a miss. It looks at few folders, for a short time, and remembers what it saw.
"""

from __future__ import annotations

import collections
import functools
import itertools
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

from inferencereplay.store.address import file_name, folder_names, is_file_name

if TYPE_CHECKING:
    from collections.abc import Iterator

MOST_FOLDERS = 2_000
"""Folders that are looked at."""
LONGEST = 0.2
"""Seconds after which the search ends."""
MOST_FOUND = 3
ALIKE = 100
"""Recordings at the beginning of a folder after which no more of it is read."""
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
    folders, file, found = folder_names(path), file_name(key, 1), list[str]()
    for root in _directories(_project(directory), folders):
        if root != directory and os.path.isfile(os.path.join(root, *folders, file)):  # noqa: PTH113, PTH118
            found.append(root)
            if len(found) == MOST_FOUND:
                break
    return found


@functools.lru_cache(100)
def _project(directory: str) -> str:
    """Return the folder of the project that a directory is in; without one, the folder that the directory is in."""
    place = Path(directory).absolute()
    outer = next((parent for parent in place.parents if parent.is_dir()), place)
    folders = (outer, *outer.parents)
    return str(next((folder for folder in folders if any(map(os.path.lexists, _marks(folder)))), outer))


def _marks(folder: Path) -> Iterator[Path]:
    return (folder / name for name in _PROJECT)


@functools.lru_cache(100)
def _directories(project: str, folders: tuple[str, ...]) -> tuple[str, ...]:
    """Return the directories below a project's folder that have such a folder inside, the nearest first."""
    return tuple(_Walk(project, folders))


class _Walk:
    """Goes through the folders below another one, level by level, as far as the bounds allow.

    Args:
        project: the folder.
        folders: the names of the nested folders that are looked for.
    """

    _now = staticmethod(time.monotonic)  # no name of the module, which a library that freezes time would replace

    def __init__(self, project: str, folders: tuple[str, ...]) -> None:
        self._waiting = collections.deque([project])
        self._folders = folders

    def __iter__(self) -> Iterator[str]:
        """Yield the folders that hold the ones that are looked for."""
        end, seen = self._now() + LONGEST, 0
        while self._waiting and seen < MOST_FOLDERS and self._now() < end:
            place, seen = self._waiting.popleft(), seen + 1
            names, inner = _names_in(place)
            if not self._folders or (
                self._folders[0] in names and os.path.isdir(os.path.join(place, *self._folders))  # noqa: PTH112, PTH118
            ):
                yield place
            self._waiting += inner


def _names_in(place: str) -> tuple[set[str], list[str]]:
    """Return the names of all that is in a folder, and the paths of the folders in it to look into."""
    try:
        with os.scandir(place) as found:
            entries = [*itertools.islice(found, ALIKE)]
            if len(entries) < ALIKE or not all(is_file_name(entry.name) for entry in entries):
                entries += found
    except OSError:  # it is only a search
        return set(), []
    inner = [
        entry.path
        for entry in entries
        if entry.is_dir(follow_symlinks=False) and entry.name[0] != "." and entry.name not in _PASSED_OVER
    ]
    return {entry.name for entry in entries}, sorted(inner)
