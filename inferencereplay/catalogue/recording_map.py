"""Which test used which recording: the file that pytest's `--inferencereplay-map` writes.

    {"inferencereplay_map": 1, "tests": {"tests/test_a.py::test_it": {"tests/recordings": ["chat/completions/….json"]}}}

A test is named as pytest names it. Directories are relative to the folder of the file, with `/`; a URL stays as it is.
Names are relative to their directory.
"""

from __future__ import annotations

import difflib
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

from inferencereplay.errors import InvalidSetting
from inferencereplay.store.atomic_write import written
from inferencereplay.store.location import is_url

if TYPE_CHECKING:
    from collections.abc import Iterable

FORMAT = "inferencereplay_map"
VERSION = 1
DEFAULT_FILE = "inferencereplay-map.json"
"""Where a map is looked for if no file is named."""


class RecordingMap:
    """The recordings that tests used.

    Attributes:
        tests: the names of recordings, by test and by directory.
    """

    def __init__(self) -> None:
        self.tests: dict[str, dict[str, set[str]]] = {}

    def add(self, test: str, directory: str, names: Iterable[str]) -> None:
        """Note recordings that a test used."""
        self.tests.setdefault(test, {}).setdefault(directory, set()).update(names)

    def merge(self, tests: dict[str, dict[str, list[str]]]) -> None:
        """Add what another process has dumped."""
        for test, places in tests.items():
            self.tests.setdefault(test, {})
            for directory, names in places.items():
                self.add(test, directory, names)

    def dump(self) -> dict[str, dict[str, list[str]]]:
        """Return all of it as dicts, lists and strings, in order; without what a test has not used."""
        return {
            test: {directory: sorted(names) for directory, names in sorted(places.items()) if names}
            for test, places in sorted(self.tests.items())
        }

    def write(self, file: Path) -> None:
        """Write it to a file, whole or not at all.

        Raises:
            OSError: if that cannot be done.
        """
        home = os.path.realpath(file.parent)
        told = {
            test: {_relative(directory, home): names for directory, names in places.items()}
            for test, places in self.dump().items()
        }
        text = json.dumps({FORMAT: VERSION, "tests": told}, indent=1, ensure_ascii=False) + "\n"
        temporary = f"{file}.{os.getpid()}.tmp"
        with written(temporary, text.encode("utf-8", "surrogateescape"), is_synced=False):
            os.replace(temporary, file)  # noqa: PTH105


def _relative(directory: str, home: str) -> str:
    return directory if is_url(directory) else Path(os.path.relpath(os.path.realpath(directory), home)).as_posix()


def read_map(file: Path) -> dict[str, dict[str, set[str]]]:
    """Read the names of recordings, by test and by directory, from a file; directories are absolute or URLs.

    Raises:
        InvalidSetting: if it cannot be read, or is something else.
    """
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        if content[FORMAT] != VERSION:
            message = f"{file} has version {content[FORMAT]}, and this release reads {VERSION}."
            raise InvalidSetting(message)
        return {
            test: {
                place if is_url(place) else os.path.normpath(file.parent.absolute() / place): set(names)
                for place, names in places.items()
            }
            for test, places in content["tests"].items()
        }
    except FileNotFoundError as error:
        message = f"{file} does not exist. A run of the tests writes it: pytest --inferencereplay-map={file}"
        raise InvalidSetting(message) from error
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        if isinstance(error, InvalidSetting):
            raise
        message = f"{file} is no map of recordings: {error}. pytest --inferencereplay-map={file} writes one."
        raise InvalidSetting(message) from error


def used_by(tests: dict[str, dict[str, set[str]]], wanted: str) -> dict[str, set[str]]:
    """Return what tests have used, by directory.

    Args:
        tests: what `read_map` returns.
        wanted: the id of a test, or of a file, a class or a function with parameters, for all tests in it. A path may
            be spelled in another way than pytest's, such as `./tests/`.

    Raises:
        InvalidSetting: if there is no such test.
    """
    path, sign, inside = wanted.partition("::")
    plain = Path(os.path.relpath(path or os.curdir)).as_posix() + sign + inside
    starts = tuple(name + end for name in (wanted, plain) for end in ("::", "[", "/"))
    found = [name for name in tests if name in (wanted, plain) or name.startswith(starts)]
    if not found:
        near = difflib.get_close_matches(wanted, tests, 1, 0.0)
        message = f"The map has no test {wanted!r}{f'; the nearest is {near[0]!r}' if near else ''}."
        raise InvalidSetting(message)
    used: dict[str, set[str]] = {}
    for name in found:
        for directory, names in tests[name].items():
            used.setdefault(directory, set()).update(names)
    return used
