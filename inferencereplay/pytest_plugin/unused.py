"""Unused recordings: those that no test of a complete run asked for."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

from inferencereplay.store.location import is_url, located

if TYPE_CHECKING:
    from inferencereplay.pytest_plugin.tally import Tally


class Finding(NamedTuple):
    """What a run says about unused recordings.

    Attributes:
        files: the unused ones.
        doubt: why the run says nothing, or speaks of some directories only; empty if it speaks of all.
    """

    files: list[str]
    doubt: str


def find_unused(config: pytest.Config, tally: Tally, exitstatus: int) -> Finding:
    """Compare what a run used with what there is; only a complete, passing, unfiltered run knows.

    A directory is searched if the run took in all tests of the folder that contains it. A URL is not searched: others
    use what is stored there.
    """
    unclear = doubt(config, tally, exitstatus)
    if unclear:
        return Finding([], unclear)
    local = [directory for directory in tally.used if not is_url(directory)]
    searched = [directory for directory in local if holds_all(config, directory)]
    used = {
        os.path.join(os.path.realpath(directory), name)  # noqa: PTH118
        for uses in (tally.used, tally.noted)
        for directory, names in uses.items()
        if not is_url(directory)
        for name in names
    }
    there = {file for directory in searched for file in _files(directory)}  # one directory may be inside another
    others = sorted(set(local) - set(searched))
    unused = sorted(file for file in there if os.path.realpath(file) not in used)
    return Finding(unused, f"the run took in a part of the tests of {', '.join(others)} only" if others else "")


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
    roots = [(config.invocation_params.dir / arg).resolve() for arg in config.args]
    return any(Path(directory).resolve().is_relative_to(root) for root in roots)


def _files(directory: str) -> list[str]:
    from inferencereplay.store.opening import open_store  # noqa: PLC0415 - not needed before the end of a run

    return [os.path.join(directory, name) for name in open_store(located(directory)).list()]  # noqa: PTH118
