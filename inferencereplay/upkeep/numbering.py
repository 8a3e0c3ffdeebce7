"""The numbers of variants in the names of our files, as in `<address>.json`, `<address>~2.json`."""

from __future__ import annotations

import contextlib
import posixpath
import re
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from inferencereplay.store.directory import link

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

_NAME = re.compile(r"(?P<address>.*?)(?:~(?P<number>[0-9]+))?\.json", re.DOTALL)


def split(name: str) -> tuple[str, int]:
    """Return what the variants of one key have in common, and the number of this one."""
    found = _NAME.fullmatch(name)
    return (found["address"], int(found["number"] or 1)) if found else (name, 1)


def join(address: str, number: int) -> str:
    """Return the name of a variant."""
    return f"{address}{f'~{number}' if number > 1 else ''}.json"


def collect(names: Iterable[str]) -> dict[str, list[int]]:
    """Return the numbers of each address, in order."""
    found: dict[str, list[int]] = {}
    for name in names:
        address, number = split(name)
        found.setdefault(address, []).append(number)
    return {address: sorted(numbers) for address, numbers in found.items()}


def place(name: str, expected: str) -> str:
    """Return the name that a file should have, which may stand in a directory of recordings within another one.

    Args:
        name: the file's.
        expected: what a store in the file's own directory would call it.
    """
    folder, end = posixpath.dirname(name), posixpath.dirname(expected)
    inner = folder[: -len(end)] if folder.endswith("/" + end) else ""
    return inner + expected


def outer(directory: Path, name: str, expected: str) -> Path | None:
    """Return the directory of recordings that this one is only a folder of, if the place of a file tells so.

    Args:
        directory: absolute.
        name: the file's, in it.
        expected: as for `place`.
    """
    folder, end = PurePosixPath(name).parent.parts, PurePosixPath(expected).parent.parts
    above = len(end) - len(folder)
    if above > 0 and (*directory.parts[-above:], *folder) == end:
        return directory.parents[above - 1]
    return None


def close_gaps(directory: Path, address: str, numbers: Iterable[int]) -> list[tuple[str, str]]:
    """Move the variants of one key down so that no number is missing; what stands in the way stays where it is.

    Args:
        directory: of the recordings.
        address: which key.
        numbers: of the variants that are there.

    Returns:
        The old and the new name of each file that was moved.
    """
    moved = []
    for new, old in enumerate(sorted(numbers), 1):
        before, after = join(address, old), join(address, new)
        if new != old and link(str(directory / before), str(directory / after)):
            with contextlib.suppress(FileNotFoundError):  # a file system without links has moved it
                (directory / before).unlink()
            moved.append((before, after))
    return moved
