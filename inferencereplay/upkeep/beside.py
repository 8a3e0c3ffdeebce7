"""The side files of recordings, as commands move and remove them: before a recording comes, and after it goes."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from inferencereplay.recording.side_file import ENDING, endings_in
from inferencereplay.store.atomic_write import STALE
from inferencereplay.store.files import recording_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from inferencereplay.store.files import Files


def side_name(name: str, ending: str) -> str:
    """Return the name of a side file of a recording."""
    return name.removesuffix(".json") + ending


def copy_sides(files: Files, name: str, to: str) -> None:
    """Give the side files of a recording the name of another one as well.

    Raises:
        OSError: if one cannot be written.
        StoreError: if one cannot be read.
    """
    for ending in _endings(files, name):
        content = files.read(side_name(name, ending))
        if content is not None:
            files.add(side_name(to, ending), content.data, like=side_name(name, ending))


def remove(files: Files, name: str) -> None:
    """Remove a recording, and then its side files.

    Raises:
        OSError: if one cannot be removed.
    """
    endings = _endings(files, name)
    files.remove(name)
    for ending in endings:
        files.remove(side_name(name, ending))


def remove_orphans(files: Files) -> None:
    """Remove side files that no recording names, but for new ones, whose recordings may come just now.

    Raises:
        OSError: if one cannot be removed.
        StoreError: if the place, or a recording, cannot be read.
    """
    for name in [*orphans(files)]:
        state = files.state(name)
        if state is not None and time.time_ns() - state.modified > STALE * 10**9:
            files.remove(name)


def orphans(files: Files) -> Iterator[str]:
    """Yield the names of side files that no recording names.

    Raises:
        StoreError: if the place, or a recording, cannot be read.
    """
    for name in files.names():
        recording = recording_of(name)
        ending = name[len(recording) - len(".json") :]
        if recording != name and ENDING.fullmatch(ending) and ending not in _endings(files, recording):
            yield name


def _endings(files: Files, name: str) -> set[str]:
    content = files.read(name)
    return set() if content is None else endings_in(content.data)
