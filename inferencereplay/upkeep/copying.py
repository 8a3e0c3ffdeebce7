"""Recordings copied from one place to another: what is missing there, and nothing else.

A file is written whole or not at all, and under its own name. So a copy that was interrupted is gone on with by the
same command, and sessions may record into both places meanwhile. What belongs to a recording comes before it: whoever
finds the recording finds all of it.
"""

from __future__ import annotations

import functools
import hashlib
from typing import TYPE_CHECKING, NamedTuple

from inferencereplay.catalogue.concurrency import at_once
from inferencereplay.errors import StoreError
from inferencereplay.store.files import recording_of
from inferencereplay.store.location import is_url

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from inferencereplay.store.files import Files, FileState

COPIED, REPLACED, THERE, DIFFERS, MISSING, FAILED = OUTCOMES = (
    *("copied", "replaced", "there already", "another content", "not found", "failed"),
)
"""What became of a file: the last three leave something to do."""


class Copied(NamedTuple):
    """What became of one file.

    Attributes:
        name: the file's.
        outcome: one of `OUTCOMES`.
        size: bytes that were written.
        reason: why it failed, for people.
    """

    name: str
    outcome: str
    size: int = 0
    reason: str = ""


class Copying:
    """A copy that is to be made.

    Args:
        source: the place that is read.
        target: the place that is written.
        overwrites: whether a file of another content in the target is replaced.
        is_dry: whether nothing is written.
    """

    def __init__(self, source: Files, target: Files, *, overwrites: bool = False, is_dry: bool = False) -> None:
        self._source = source
        self._target = target
        self._overwrites = overwrites
        self._is_dry = is_dry
        self._states: dict[str, FileState] = {}

    def plan(self, used: Iterable[str] | None = None) -> list[list[str]]:
        """Return the names of the files to look at, those of each recording together and the recording last.

        Args:
            used: the names of the recordings that are meant; `None` for all.

        Raises:
            StoreError: if the source cannot be looked into.
        """
        wanted = None if used is None else set(used)
        grouped: dict[str, list[str]] = {name: [] for name in sorted(wanted or ())}
        for state in self._source.list():
            recording = recording_of(state.name)
            if wanted is None or recording in wanted:
                self._states[state.name] = state
                grouped.setdefault(recording, []).append(state.name)
        return [
            sorted({*names, recording}, key=lambda name: (name == recording, name))
            for recording, names in grouped.items()
        ]

    def run(self, plan: Sequence[Sequence[str]]) -> Iterator[Copied]:
        """Copy, several recordings at once, and yield what became of each file.

        Raises:
            StoreError: if a URL cannot be read; what was copied before is there.
            OSError: if the target cannot be written.
        """
        there = {state.name: state for state in self._target.list()}
        for copied in at_once(functools.partial(self._copy_all, there), plan):
            yield from copied

    def _copy_all(self, there: dict[str, FileState], names: Sequence[str]) -> list[Copied]:
        copied: list[Copied] = []
        for name in names:
            copied.append(self._copy_or_tell(name, there.get(name)))
            if copied[-1].outcome == FAILED:
                break  # a recording without what belongs to it would be no whole one
        return copied

    def _copy_or_tell(self, name: str, there: FileState | None) -> Copied:
        try:
            return self._copy(name, self._states.get(name), there)
        except StoreError as error:
            if any(is_url(place) and place in str(error) for place in (self._source.place, self._target.place)):
                raise  # the next one would fail as well
            return Copied(name, FAILED, reason=str(error))

    def _copy(self, name: str, mine: FileState | None, there: FileState | None) -> Copied:
        if mine is None:
            return Copied(name, MISSING)
        if there is not None:
            if self._are_equal(mine, there):
                return Copied(name, THERE)
            if not self._overwrites:
                return Copied(name, DIFFERS)
        if self._is_dry:
            return Copied(name, COPIED if there is None else REPLACED, mine.size)
        data = _data(self._source, name)
        if data is None:
            return Copied(name, MISSING)
        if there is None and self._target.add(name, data):
            return Copied(name, COPIED, len(data))
        if there is None and not self._overwrites:  # somebody else has written it meanwhile
            return Copied(name, THERE if _data(self._target, name) == data else DIFFERS)
        self._target.replace(name, data)
        return Copied(name, REPLACED, len(data))

    def _are_equal(self, mine: FileState, there: FileState) -> bool:
        """Compare two files, without reading one from afar where its state tells enough."""
        if mine.size != there.size:
            return False
        sums = [_md5(files, state) for files, state in ((self._source, mine), (self._target, there))]
        if sums[0] and sums[0] == sums[1]:  # unequal ones may be no sums of the content
            return True
        return _data(self._source, mine.name) == _data(self._target, there.name)


def _data(files: Files, name: str) -> bytes | None:
    content = files.read(name)
    return None if content is None else content.data


def _md5(files: Files, state: FileState) -> str:
    """Return the MD5 of a file, which only tells whether it has changed; empty where it would have to be fetched."""
    if state.md5 or is_url(files.place):
        return state.md5
    return hashlib.md5(_data(files, state.name) or b"", usedforsecurity=False).hexdigest()
