"""Unused recordings: those that no test of a complete run asked for, and what becomes of them."""

from __future__ import annotations

import datetime
import os
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

from inferencereplay.errors import InferenceReplayError
from inferencereplay.store.location import is_url, located

if TYPE_CHECKING:
    from inferencereplay.pytest_plugin.tally import Tally

_FURTHER = "--inferencereplay-variants=all uses them, and --inferencereplay-rewrite removes those that no test asks for"


class Finding(NamedTuple):
    """What a run says about unused recordings.

    Attributes:
        files: the unused ones.
        doubt: why the run says nothing, or speaks of some directories only; empty if it speaks of all.
        deleted: those of them that were deleted.
        kept: why others were not.
    """

    files: list[str]
    doubt: str
    deleted: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()


def find_unused(config: pytest.Config, tally: Tally, exitstatus: int) -> Finding:
    """Compare what a run used with what there is; only a complete, passing, unfiltered run knows.

    A directory is searched if the run took in all tests of the folder that contains it. A URL is not searched: others
    use what is stored there.
    """
    unclear = doubt(config, tally, exitstatus) or (", ".join(sorted(tally.absent)) if tally.noted else "")
    if unclear:
        return Finding([], unclear)
    local = [directory for directory in tally.used if not is_url(directory)]
    searched = [directory for directory in local if holds_all(config, directory)]
    used = _used(tally)
    there = {file for directory in searched for file in _files(directory)}  # one directory may be inside another
    others = sorted(set(local) - set(searched))
    unused = sorted(file for file in there if os.path.realpath(file) not in used)
    return Finding(unused, f"the run took in a part of the tests of {', '.join(others)} only" if others else "")


def _used(tally: Tally) -> set[str]:
    """Return the paths of the recordings that were used."""
    return {
        os.path.join(os.path.realpath(directory), name)  # noqa: PTH118
        for uses in (tally.used, tally.noted)
        for directory, names in uses.items()
        if not is_url(directory)
        for name in names
    }


def delete_unused(config: pytest.Config, tally: Tally, finding: Finding, started: float) -> Finding:
    """Delete the unused recordings of directories that belong to the tests of this run alone.

    Further answers to a request that was made stay: a run for all variants uses them.

    Args:
        config: pytest's.
        tally: of the whole run.
        finding: the unused recordings.
        started: when the run began, in seconds since 1970; a file that was written later is another program's.
    """
    from inferencereplay.upkeep.numbering import split  # noqa: PLC0415 - for this option only

    if tally.absent:
        return finding._replace(kept=(finding.doubt or ", ".join(sorted(tally.absent)),))
    deleted: list[str] = []
    kept: list[str] = []
    asked = {split(file)[0] for file in _used(tally)}
    further = {file for file in finding.files if split(os.path.realpath(file))[0] in asked}
    if further:
        kept.append(f"{len(further)} answer what tests asked; {_FURTHER}")
    for directory in sorted(filter(os.path.isdir, tally.used)):
        files = {file for file in finding.files if Path(file).is_relative_to(directory)} - {*deleted} - further
        if files and not _is_inside(config, directory):
            kept.append(f"{os.path.relpath(directory)} is not in a folder of this run's tests")
        elif files:
            try:
                deleted += _delete(directory, files, started)
            except (OSError, InferenceReplayError) as error:
                kept.append(str(error))
    left = len({*finding.files} - {*deleted} - further)
    if left and not kept[bool(further) :]:
        kept.append(f"{left} cannot be read, came during the run, or lie where no session of the tests looks")
    return finding._replace(deleted=tuple(deleted), kept=tuple(kept))


def _delete(directory: str, files: set[str], started: float) -> list[str]:
    from inferencereplay.catalogue.entries import Catalogue, Entry  # noqa: PLC0415 - as above
    from inferencereplay.upkeep.pruning import remove  # noqa: PLC0415 - as above

    catalogue = Catalogue(Path(directory))
    since = datetime.datetime.fromtimestamp(started, datetime.timezone.utc)
    names = [os.path.relpath(file, directory) for file in files if catalogue.store.is_writable]
    chosen = {
        entry.name: (entry.size, entry.modified)
        for entry in catalogue.scan(names)
        if isinstance(entry, Entry)
        and entry.modified < since
        and entry.name in catalogue.store.sources(entry.path, entry.key, entry.variant)
    }
    remove(catalogue, chosen)
    return sorted(os.path.join(directory, name) for name in chosen)  # noqa: PTH118


def doubt(config: pytest.Config, tally: Tally, exitstatus: int) -> str:
    """Return why a run does not know what its tests would have used; empty if it knows."""
    if exitstatus != pytest.ExitCode.OK:
        return "the run did not pass"
    if config.getoption("lf", default=False):
        return "only the tests that failed last were run"
    if config.getoption("ignore", default=None) or config.getoption("ignore_glob", default=None):
        return "paths were ignored"
    if config.getoption("setuponly", default=False):
        return "tests were only set up"
    return ", ".join(sorted(tally.partial))


def holds_all(config: pytest.Config, directory: str) -> bool:
    """Whether the run took in all tests of the folder that contains a directory of recordings.

    A store that no folder contains may be shared with tests that are elsewhere.
    """
    if is_url(directory):
        return False
    if config.args_source is config.ArgsSource.TESTPATHS:
        return True
    return _is_inside(config, directory)


def _is_inside(config: pytest.Config, directory: str) -> bool:
    roots = [(config.invocation_params.dir / arg).resolve() for arg in config.args]
    return any(Path(directory).resolve().is_relative_to(root) for root in roots)


def _files(directory: str) -> list[str]:
    from inferencereplay.store.opening import open_store  # noqa: PLC0415 - not needed before the end of a run

    return [os.path.join(directory, name) for name in open_store(located(directory)).list()]  # noqa: PTH118
