"""The files of recordings in a directory, by their names."""

from __future__ import annotations

import contextlib
import math
import os
import secrets
from typing import TYPE_CHECKING

from inferencereplay.errors import StoreError
from inferencereplay.store.address import DIGITS
from inferencereplay.store.atomic_write import link, sweep, written
from inferencereplay.store.bounded_read import read_with_state, way_out
from inferencereplay.store.containment import is_inside
from inferencereplay.store.directory import TEMPORARY, move
from inferencereplay.store.files import Content, FileState, as_name, recording_of
from inferencereplay.store.folder_listing import aged, listed
from inferencereplay.store.folder_lock import locked
from inferencereplay.store.liveness import HAS_LOCKS
from inferencereplay.store.side_folder import drop_side

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_GONE = (FileNotFoundError, NotADirectoryError)


class FolderFiles:
    """The files of recordings in a directory; see `Files`.

    Args:
        directory: it need not exist until something is put into it.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.place = str(directory)

    def list(self) -> Iterator[FileState]:
        """Yield the files that belong to recordings, folder by folder, in the order of their names."""
        yield from filter(None, map(self.state, self.names()))

    def names(self) -> Iterator[str]:
        """Yield their names."""
        inside = len(os.path.join(self.place, ""))  # noqa: PTH118 - with the separator
        for folder, folders, files in os.walk(self.place, onerror=_report):
            folders.sort()
            inner = as_name(f"{folder}{os.sep}"[inside:])
            for file in sorted(files):
                if recording_of(file):
                    yield inner + file

    def state(self, name: str) -> FileState | None:
        """Return the state of a file; `None` if there is none."""
        try:
            found = os.lstat(self._path(name))
        except _GONE:
            return None
        return FileState(name, found.st_size, found.st_mtime_ns)

    def locked(self) -> contextlib.AbstractContextManager[None]:
        """Keep other commands out meanwhile."""
        return locked(self.place, math.inf)

    def read(self, name: str, *, follows_links: bool = True) -> Content | None:
        """Read a file; `None` if there is none. The error is a `StoreError`, also for a link that leads out."""
        path = self._path(name)
        if not is_inside(path, self.place):
            raise self._led_out(path)
        try:
            data, found = read_with_state(path, follows_links=follows_links)
        except _GONE:
            return None
        except OSError as error:
            message = f"{path} cannot be read: {error.strerror}. {way_out(error)}."
            raise StoreError(message) from error
        return Content(data, found.st_mtime_ns)

    def add(self, name: str, data: bytes, *, like: str = "") -> bool:
        """Write a file; return `False` if there is one already."""
        with self._written(name, data, like=self._path(like) if like else "") as (temporary, path):
            return link(temporary, path)

    def replace(self, name: str, data: bytes) -> None:
        """Write a file in the place of one that is there; that one's mode and owner stay."""
        with (
            self._written(name, data, like=self._path(name)) as (temporary, path),
            locked(os.path.dirname(path)),  # noqa: PTH120 - no other writer may have read it, and replace it now
        ):
            os.replace(temporary, path)  # noqa: PTH105

    def move(self, name: str, to: str) -> bool:
        """Give a file another name; return `False` if that is taken, or the file is gone."""
        return move(self._path(name), self._path(to))

    def remove(self, name: str) -> None:
        """Remove a file if it is there; a side file stays if a recording names it, or one that is being stored may."""
        recording = recording_of(name)
        if recording not in ("", name) and HAS_LOCKS:
            drop_side(self._path(recording), name[len(recording) - len(".json") :])
            return
        with contextlib.suppress(*_GONE):
            os.unlink(self._path(name))  # noqa: PTH108

    def sweep(self) -> None:
        """Remove the temporary files of writers that died."""
        if not os.path.isdir(self.place):  # noqa: PTH112
            return
        temporary = self._temporary(self.place, "0" * DIGITS)
        with written(temporary, b"", is_synced=False):
            now = os.stat(temporary).st_mtime_ns  # noqa: PTH116 - by the clock of the file system
            for folder, _, _ in os.walk(self.place):
                sweep(aged(listed(folder, TEMPORARY.fullmatch)), now)

    @contextlib.contextmanager
    def _written(self, name: str, data: bytes, *, like: str) -> Iterator[tuple[str, str]]:
        """Write a temporary file; yield its path and that of the file."""
        path = self._path(name)
        folder = os.path.dirname(path)  # noqa: PTH120
        if not is_inside(folder, self.place):
            raise self._led_out(folder)
        os.makedirs(folder, exist_ok=True)  # noqa: PTH103
        temporary = self._temporary(folder, os.path.basename(path))  # noqa: PTH119
        with written(temporary, data, like=like):
            yield temporary, path

    @staticmethod
    def _temporary(folder: str, file: str) -> str:
        """Return a name as those of a session's temporary files, which removes those of writers that died."""
        return f"{folder}{os.sep}.{file[:DIGITS]}.{secrets.token_hex(8)}.tmp"

    def _path(self, name: str) -> str:
        return f"{self.place}{os.sep}{name.replace('/', os.sep)}"

    def _led_out(self, path: str) -> StoreError:
        return StoreError(f"{path} is, or is reached by, a link that leads out of {self.place}. Put a copy there.")


def _report(error: OSError) -> None:
    if not isinstance(error, _GONE):
        message = f"{error.filename} cannot be looked into: {error.strerror}. Look at its permissions."
        raise StoreError(message) from error
