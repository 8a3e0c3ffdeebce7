"""Recordings that nobody needs any more: how they are found, and how they are removed."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from msgspec.structs import replace

from inferencereplay.catalogue.concurrency import THREADS, at_once
from inferencereplay.catalogue.entries import Entry, moment
from inferencereplay.errors import InvalidSetting
from inferencereplay.upkeep import beside, numbering

if TYPE_CHECKING:
    import datetime
    from collections.abc import Iterator, Mapping

    from inferencereplay.catalogue.entries import Catalogue
    from inferencereplay.store.files import Files


def choose(
    catalogue: Catalogue, *, used: set[str] | None = None, before: datetime.datetime | None = None
) -> Iterator[Entry]:
    """Yield the recordings that can be removed; files that cannot be read stay.

    Args:
        catalogue: the directory, or layers.
        used: names of recordings that stay, relative to their directory; `None` if that does not count.
        before: recordings of a later time stay; `None` if that does not count.

    Raises:
        InvalidSetting: if a directory is llama-stack's, or none of the used names is there.
    """
    for part in catalogue.parts:
        if not part.store.is_writable:
            owner = "llama-stack" if part.store.is_foreign else "a web server"
            message = f"{part.directory} is {owner}'s. Remove recordings there with its own tools."
            raise InvalidSetting(message)
    if used is not None and not any(name in used for part in catalogue.parts for name in part.names()):
        message = f"None of the {len(used)} names in use is in {catalogue.directory}. Is it the right directory?"
        raise InvalidSetting(message)
    for part in catalogue.parts:
        names = (name for name in part.names() if used is None or name not in used)
        for entry in part.scan(names):
            if isinstance(entry, Entry) and (before is None or entry.date < before):
                yield entry if part is catalogue else replace(entry, name=part.full_name(entry.name))


def remove(catalogue: Catalogue, chosen: Mapping[str, tuple[int, datetime.datetime]]) -> list[str]:
    """Remove recordings with their side files, and close the gaps that this leaves among the variants.

    Stray side files go too, and what a recorder that died has left half written.

    Args:
        catalogue: the directory, or layers.
        chosen: the recordings by name, each with its size and the time when it was written. A file that has changed
            since it was chosen stays: another command has given the name to another variant.

    Returns:
        The renamed files, for people: `old → new`.

    Raises:
        OSError: if a file cannot be removed.
    """
    moved = []
    for part in catalogue.parts:
        start = "" if part is catalogue else part.full_name("")
        mine = {name[len(start) :]: stamp for name, stamp in chosen.items() if name.startswith(start)}
        with part.files.locked():  # of several commands one after the other
            for _ in at_once(functools.partial(_remove, part.files), mine.items(), THREADS if not part.is_local else 1):
                pass
            part.files.sweep()
            beside.remove_orphans(part.files)
            touched = {numbering.split(name)[0] for name in mine}
            left = numbering.collect(part.names()) if touched else {}
            for address in sorted(touched & left.keys()):
                gaps = numbering.close_gaps(part.files, address, left[address])
                moved += [f"{start}{old} → {start}{new}" for old, new in gaps]
    return moved


def _remove(files: Files, chosen: tuple[str, tuple[int, datetime.datetime]]) -> None:
    name, stamp = chosen
    found = files.state(name)
    if found is not None and (found.size, moment(found.modified)) == stamp:
        beside.remove(files, name)
