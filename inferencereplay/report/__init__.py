"""The report: a directory of recordings as one HTML file that needs no network and nothing to install.

    from inferencereplay.report import write_report

    write_report("recordings", "report.html")

The content of recordings is data: the page gets it as JSON, and shows it as text only. The command line uses it.
"""

from __future__ import annotations

import contextlib
import datetime
import importlib.metadata
import os
import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from msgspec.structs import replace

from inferencereplay.catalogue.entries import Unreadable
from inferencereplay.catalogue.layered import open_catalogue
from inferencereplay.errors import StoreError
from inferencereplay.report.assemble import assemble
from inferencereplay.report.budget import Budget
from inferencereplay.report.counts import Counts
from inferencereplay.report.described import describe

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from inferencereplay.catalogue.entries import Catalogue, Entry

    Place = str | os.PathLike[str]
    Follow = Callable[[Iterator[Entry | Unreadable], int], Iterable[Entry | Unreadable]]

__all__ = ["Written", "build_report", "write_report"]


def _as_they_come(items: Iterator[Entry | Unreadable], total: int) -> Iterator[Entry | Unreadable]:  # noqa: ARG001
    return items


class Written(NamedTuple):
    """The result of writing a report.

    Attributes:
        file: its path.
        size: bytes.
        recordings: how many recordings the directory holds.
        unreadable: how many files could not be read.
        notices: a line for each reason why files are not in it.
    """

    file: Path
    size: int
    recordings: int
    unreadable: int
    notices: tuple[str, ...]


def write_report(
    directory: Place | Iterable[Place],
    file: str | os.PathLike[str],
    *,
    follow: Follow = _as_they_come,
) -> Written:
    """Write a report on a directory of recordings, ours or llama-stack's; an existing file is replaced.

    Args:
        directory: the recordings: a path, a URL, or several of them as layers.
        file: the report.
        follow: gets the items that are read and their number, and yields the items again, as a progress bar does.

    Raises:
        StoreError: if the directory cannot be read, or the file cannot be written.

    Example:
        >>> written = write_report("recordings", "report.html")
        >>> written.file.name, written.recordings, written.unreadable
        ('report.html', 1, 0)
    """
    target = Path(file).expanduser().absolute()
    page, data, unreadable = _build(open_catalogue(directory), follow)
    try:
        _write(target, page)
    except OSError as error:
        message = f"{target} cannot be written: {error.strerror}. Give another file."
        raise StoreError(message) from error
    notices = tuple(notice["text"] for notice in data["notices"])
    return Written(target, len(page), data["totals"]["recordings"], unreadable, notices)


def build_report(directory: Place | Iterable[Place]) -> bytes:
    """Return the report as UTF-8.

    Raises:
        StoreError: if the directory cannot be read.
    """
    return _build(open_catalogue(directory), _as_they_come)[0]


def _build(catalogue: Catalogue, follow: Follow) -> tuple[bytes, dict[str, Any], int]:
    budget, totals = Budget(), Counts()
    for item in follow(catalogue.scan(), sum(1 for _ in catalogue.names())):
        if isinstance(item, Unreadable):
            budget.refuse(_shortened(catalogue, item.name), _shortened(catalogue, item.reason))
        else:
            totals.add(item)
            is_layer = len(catalogue.parts) > 1
            shown = replace(item, name=_shortened(catalogue, item.name)) if is_layer else item
            budget.take(*describe(shown))
    data = {
        # No more of the path, because a report is shown to others.
        "directory": catalogue.title.encode("utf-8", "replace").decode(),
        "version": importlib.metadata.version("inferencereplay"),
        "made": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "totals": totals.summary(),
        "notices": budget.notices(),
        "recordings": sorted(budget.recordings, key=lambda recording: recording["at"], reverse=True),
    }
    return assemble(data), data, budget.unreadable


def _shortened(catalogue: Catalogue, text: str) -> str:
    """Remove the directory from names in a text; of layers, all but its last parts."""
    for part in catalogue.parts:
        text = text.replace(part.full_name(""), "" if part is catalogue else f"{part.title}/")
    return text


def _write(target: Path, page: bytes) -> None:
    """Write a file whole or not at all; a pipe or a device is not replaced."""
    if target.exists() and not target.is_file():
        target.write_bytes(page)
        return
    target = Path(os.path.realpath(target))
    temporary = target.with_name(f".{target.name[:100]}.{secrets.token_hex(8)}.tmp")
    try:
        temporary.write_bytes(page)
        temporary.replace(target)
    finally:
        with contextlib.suppress(OSError):  # it was renamed; otherwise the first error is raised
            temporary.unlink()
