"""The file of the names of the recordings that tests use: what the next run fetches, and `copy` and `prune` read."""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import TYPE_CHECKING

from inferencereplay.pytest_plugin.unused import doubt
from inferencereplay.store.location import is_url

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pytest

    from inferencereplay.pytest_plugin.tally import Tally

_NAME = "inferencereplay_used"
_HEAD = "# The recordings that the tests use; pytest --inferencereplay-used writes this file.\n"


def add_used_option(parser: pytest.Parser, group: pytest.OptionGroup) -> None:
    """Declare the options."""
    told = "Write the names of the recordings that tests use; the next run fetches those of an object store together."
    group.addoption("--inferencereplay-used", metavar="FILE", help=told)
    parser.addini(_NAME, "A file for the names of the recordings that tests use, relative to the ini file.")


def used_file(config: pytest.Config) -> Path | None:
    """Return the path of the file; `None` if none is wanted."""
    given = config.getoption(_NAME)
    if given:
        return Path(config.invocation_params.dir, given).absolute()
    given = config.getini(_NAME)
    root = config.inipath.parent if config.inipath else config.rootpath
    return Path(root, given) if given else None


def write_used(config: pytest.Config, tally: Tally, exitstatus: int) -> None:
    """Write the names that a run used. One that is not complete adds its own to those that are there.

    Raises:
        OSError: if it cannot be written.
    """
    file = used_file(config)
    if file is None:
        return
    names = set(_names(tally, file.parent))
    if doubt(config, tally, exitstatus) and file.exists():
        names |= {line for line in file.read_text(encoding="utf-8").splitlines() if line and not line.startswith("#")}
    file.parent.mkdir(parents=True, exist_ok=True)
    temporary = file.with_name(f".{file.name}.{secrets.token_hex(8)}.tmp")
    try:
        temporary.write_text(_HEAD + "".join(f"{name}\n" for name in sorted(names)), encoding="utf-8")
        temporary.replace(file)
    finally:
        temporary.unlink(missing_ok=True)


def _names(tally: Tally, folder: Path) -> Iterator[str]:
    """Yield the names with their directories: URLs as they are, paths relative to the folder of the file."""
    used = {directory: names | tally.noted.get(directory, set()) for directory, names in tally.used.items()}
    for directory, names in used.items():
        place = directory if is_url(directory) else Path(os.path.relpath(directory, folder)).as_posix()
        yield from (f"{place}/{name.replace(os.sep, '/')}" for name in names)
