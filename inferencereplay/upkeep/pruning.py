"""Recordings that nobody needs any more: how they are found, and how they are removed."""

from __future__ import annotations

import contextlib
import datetime
import math
import os
from typing import TYPE_CHECKING

from inferencereplay.errors import InvalidSetting
from inferencereplay.store.folder_lock import locked
from inferencereplay.upkeep import numbering

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from inferencereplay.catalogue.entries import Catalogue, Entry


def read_used(file: Path) -> set[str]:
    """Read a file of names of recordings in use: one a line, relative to their directory; `#` begins a comment.

    A name that is not understood is a recording that is removed. So the ways of editors and tools are understood:
    Windows' ends of lines and its mark at the beginning, blanks around names, `./` before them.

    Raises:
        InvalidSetting: if it names none, which would make everything unused.
    """
    try:
        text = file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        message = f"{file} cannot be read: {error}."
        raise InvalidSetting(message) from error
    lines = map(str.strip, text.split("\n"))
    names = {os.path.normpath(line) for line in lines if line and not line.startswith("#")}
    if not names:
        message = f"{file} names no recording, so that all of them would be unused. Let a run of the tests write it."
        raise InvalidSetting(message)
    return names


def choose(
    catalogue: Catalogue, *, used: set[str] | None = None, before: datetime.datetime | None = None
) -> Iterator[Entry]:
    """Yield the recordings that can be removed; files that cannot be read stay.

    Args:
        catalogue: the directory.
        used: names of recordings that stay; `None` if that does not count.
        before: recordings of a later time stay; `None` if that does not count.

    Raises:
        InvalidSetting: if the directory is llama-stack's, or none of the used names is in it.
    """
    if not catalogue.store.is_writable:
        message = f"{catalogue.directory} is llama-stack's. Remove recordings there with its own tools."
        raise InvalidSetting(message)
    if used is not None and used.isdisjoint(catalogue.names()):
        message = f"None of the {len(used)} names in use is in {catalogue.directory}. Is it the right directory?"
        raise InvalidSetting(message)
    for entry in catalogue.entries():
        if (used is None or entry.name not in used) and (before is None or entry.date < before):
            yield entry


def remove(catalogue: Catalogue, chosen: Mapping[str, tuple[int, datetime.datetime]]) -> list[str]:
    """Remove recordings, and close the gaps that this leaves among the variants.

    Args:
        catalogue: the directory.
        chosen: the recordings by name, each with its size and the time when it was written. A file that has changed
            since it was chosen stays: another command has given the name to another variant.

    Returns:
        The renamed files, for people: `old → new`.

    Raises:
        OSError: if a file cannot be removed.
    """
    with locked(str(catalogue.directory), math.inf):  # of several commands one after the other
        for name, stamp in chosen.items():
            file = catalogue.directory / name
            with contextlib.suppress(FileNotFoundError):
                found = file.stat()
                if (found.st_size, datetime.datetime.fromtimestamp(found.st_mtime, datetime.timezone.utc)) == stamp:
                    file.unlink()
        touched = {numbering.split(name)[0] for name in chosen}
        left = numbering.collect(catalogue.names())
        moved = []
        for address in sorted(touched & left.keys()):
            moved += numbering.close_gaps(catalogue.directory, address, left[address])
    return [f"{before} → {after}" for before, after in moved]
