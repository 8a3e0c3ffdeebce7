"""The numbers of variants in the names of our files, as in `<address>.json`, `<address>~2.json`."""

from __future__ import annotations

import os
import posixpath
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from inferencereplay.store.address import file_name, parse_file_name

if TYPE_CHECKING:
    from collections.abc import Iterable

    from inferencereplay.store.files import Files
    from inferencereplay.store.location import Location


def split(name: str) -> tuple[str, int]:
    """Return the common part of the names of all variants of a key, and the number of this one."""
    folder, file = os.path.split(name)
    digits, number = parse_file_name(file) or (file, 1)
    return os.path.join(folder, digits), number  # noqa: PTH118


def join(address: str, number: int) -> str:
    """Return the name of a variant."""
    folder, digits = os.path.split(address)
    return os.path.join(folder, file_name(digits, number))  # noqa: PTH118


def collect(names: Iterable[str]) -> dict[str, list[int]]:
    """Return the numbers of each address, in order."""
    found: dict[str, list[int]] = {}
    for name in names:
        address, number = split(name)
        found.setdefault(address, []).append(number)
    return {address: sorted(numbers) for address, numbers in found.items()}


def place(name: str, expected: str) -> str:
    """Return the name that a file should have, which may be in a directory of recordings within another one.

    Args:
        name: the file's.
        expected: the name that a store in the file's own directory would give it.
    """
    folder, end = posixpath.dirname(name), posixpath.dirname(expected)
    inner = folder[: -len(end)] if folder.endswith("/" + end) else ""
    return inner + expected


def outer(directory: Location, name: str, expected: str) -> Path | None:
    """Return the directory of recordings of which this one is only a folder, if the place of a file shows that.

    Args:
        directory: absolute; a URL shows nothing.
        name: the file's, in it.
        expected: as for `place`.
    """
    folder, end = PurePosixPath(name).parent.parts, PurePosixPath(expected).parent.parts
    above = len(end) - len(folder)
    if above > 0 and isinstance(directory, Path) and (*directory.parts[-above:], *folder) == end:
        return directory.parents[above - 1]
    return None


def close_gaps(files: Files, address: str, numbers: Iterable[int]) -> list[tuple[str, str]]:
    """Move the variants of one key down so that no number is missing; a file that is in the way stays where it is.

    Args:
        files: those of the recordings.
        address: which key.
        numbers: of its variants.

    Returns:
        The old and the new name of each file that was moved.
    """
    moved = []
    for new, old in enumerate(sorted(numbers), 1):
        before, after = join(address, old), join(address, new)
        if new != old and files.move(before, after):
            moved.append((before, after))
    return moved
