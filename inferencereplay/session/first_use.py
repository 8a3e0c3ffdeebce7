"""What a run used last time, fetched from object stores together before the first call of this one asks for it."""

from __future__ import annotations

import contextlib
import logging
import sys
from typing import TYPE_CHECKING, Any

from inferencereplay.errors import InvalidSetting
from inferencereplay.session.used_names import read_used
from inferencereplay.store.interface import layers_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from inferencereplay.store.interface import Store

log = logging.getLogger("inferencereplay")

LONG = 200
"""Recordings from which on a bar shows how far it is."""
_done: set[tuple[str, str]] = set()
"""The files and the stores for which this process has done it."""


def prefetch(store: Store, file: Path) -> None:
    """Fetch the recordings that a file names; a failure is logged, for the call that needs one gets the error.

    Args:
        store: where recordings live; directories need no fetching.
        file: of names, see `read_used`; it need not exist before a run has written it.
    """
    for layer in layers_of(store):
        place = str(file.absolute()), layer.directory
        prefetch = getattr(layer, "prefetch", None)
        if prefetch is None or place in _done or not file.exists():
            continue
        _done.add(place)
        try:
            names = read_used(file, [f"{layer.directory}/"], is_distant=True)
        except InvalidSetting as error:
            log.warning("nothing was fetched beforehand: %s", error)
            continue
        with _progress(len(names), f"fetching from {layer.directory}") as report:
            fetched = prefetch(sorted(names), report)
        if fetched.failed:
            message = "%d of %d recordings were not fetched beforehand: %s"
            log.warning(message, fetched.failed, len(names), fetched.error)


@contextlib.contextmanager
def _progress(total: int, what: str) -> Iterator[Callable[[str], object]]:
    """Give what is called for each recording; it moves a bar, if standard error is a terminal and rich is installed."""
    bar: Any = None
    if total >= LONG and sys.stderr.isatty():
        with contextlib.suppress(ImportError):
            from rich.console import Console  # noqa: PLC0415 - the extra `cli` has it
            from rich.progress import Progress  # noqa: PLC0415 - as above

            bar = Progress(console=Console(stderr=True), transient=True)
    if bar is None:
        yield str
        return
    with bar:
        task = bar.add_task(what.replace("[", r"\["), total=total)
        yield lambda _: bar.advance(task)
