"""Side files in an object store: objects beside the recording that names them, by name and content the same for all.

There are no locks. So one that no recording names is removed only after its recording was replaced or removed: what is
left takes room, but a recording without its side file would be lost.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import io
from typing import TYPE_CHECKING, BinaryIO

from inferencereplay.errors import StoreError
from inferencereplay.recording.format import corrupt
from inferencereplay.recording.side_file import endings_in

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from inferencereplay.object_stores.cached_objects import CachedObjects
    from inferencereplay.object_stores.objects import Found
    from inferencereplay.recording.format import Recording
    from inferencereplay.recording.side_file import SideFile

_MEND = "Restore it from a copy, or delete the recording and record it again"


def side_name(name: str, ending: str) -> str:
    """Return the name of a side file of a recording."""
    return name.removesuffix(".json") + ending


def bind(
    cached: CachedObjects, recording: Recording, name: str, fetch_all: Callable[[Sequence[str]], Iterable[Found | None]]
) -> None:
    """Let the side files of a recording be opened; what is not cached is fetched.

    Args:
        cached: the objects.
        recording: whose they are.
        name: the recording's.
        fetch_all: asks for objects by their names, or raises what cannot be asked.
    """
    sides = {side_name(name, side.ending): side for side in recording.side_files}
    missing = [side for side in sides if cached.look(side) is None]
    fetched = dict(zip(missing, fetch_all(missing), strict=True)) if missing else {}
    for place, side in sides.items():
        kept = fetched.get(place) if cached.look(place) is None else None
        side.bind(functools.partial(_open, cached, f"{cached.objects.url}/{name}", place, side, kept))


def _open(cached: CachedObjects, recording: str, name: str, side: SideFile, found: Found | None) -> BinaryIO:
    """Open a side file, once its content is known to be the recorded one."""
    found = found or cached.look(name) or cached.get(name)
    if found is None:
        raise corrupt(recording, "$", f"its side file {name} is missing", _MEND)
    if len(found.data) != side.length or hashlib.sha256(found.data).hexdigest() != side.sha256:
        raise corrupt(recording, "$", f"its side file {name} is another content than the recorded one", _MEND)
    return io.BytesIO(found.data)


def copy(cached: CachedObjects, write: Callable[[str, bytes], object], name: str, to: str, data: bytes) -> None:
    """Copy the side files that a recording names, before it gets another name.

    Raises:
        StoreError: if one cannot be copied.
    """
    for ending in endings_in(data):
        found = cached.objects.get(side_name(name, ending))
        if found is not None:
            write(side_name(to, ending), found.data)


def remove(cached: CachedObjects, name: str, data: bytes, kept: bytes = b"") -> None:
    """Remove the side files that a recording named, and that what took its place does not; one may stay."""
    for ending in endings_in(data) - endings_in(kept):
        with contextlib.suppress(StoreError):
            cached.remove(side_name(name, ending))
