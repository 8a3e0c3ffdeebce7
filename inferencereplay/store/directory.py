"""A directory of recordings, one file each, named by key and variant.

A reader sees complete files only, and reads no more bytes than the largest recording has.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import heapq
import os
import re
import secrets
from typing import TYPE_CHECKING, TypeVar

from inferencereplay.errors import RecordingCorrupt, StoreError
from inferencereplay.recording.base64_parts import put_back
from inferencereplay.recording.body_text import body_text
from inferencereplay.recording.format import VERSION, corrupt, decode, decode_for, lay_out, stored_request
from inferencereplay.recording.frame_audio import put_back_audio
from inferencereplay.recording.request import parse_json
from inferencereplay.store.address import DIGITS, file_name, folder_names, is_file_name
from inferencereplay.store.atomic_write import link, sweep, written
from inferencereplay.store.bounded_read import LARGEST, read_starts, read_with_state, way_out
from inferencereplay.store.containment import is_inside
from inferencereplay.store.folder_listing import aged, listed, names_in
from inferencereplay.store.folder_lock import locked
from inferencereplay.store.side_folder import (
    drop_side,
    kept_side,
    move_sides,
    open_side,
    released,
    side_path,
    sweep_sides,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from inferencereplay.recording.format import Recording
    from inferencereplay.recording.request import JSON, Request
    from inferencereplay.recording.side_file import SideFile

LARGEST_COMPARED = 16 * 1024 * 1024
"""Bytes of a file that a search for the nearest request reads."""
START_COMPARED = 16 * 1024
"""Bytes of a file that such a search reads first; they hold most requests."""
TOGETHER = 200
"""Files of which the beginnings are in memory at a time."""
MOST_REMEMBERED = 1_000
"""Folders of which a store remembers where they are."""
_Found = TypeVar("_Found")
TEMPORARY = re.compile(r"\.[0-9a-f]{32}\.[0-9a-f]{16}\.tmp")
_LINK_MET = (errno.ELOOP, errno.EMLINK)
_GONE = (FileNotFoundError, NotADirectoryError)


class DirectoryStore:
    """Recordings in our own layout: `<dir>/chat/completions/<32 hex>.json`, variants `<32 hex>~2.json`.

    Args:
        directory: it need not exist until something is put into it.
    """

    is_writable = True
    is_foreign = False

    def __init__(self, directory: Path) -> None:
        self.directory = str(directory)
        self._inside = os.path.join(self.directory, "")  # noqa: PTH118 - ends in a separator
        self._folders = _Remembered(self._make_folder)
        self._led_out = _Remembered(self._leads_out)
        self._swept: set[str] = set()

    def read(self, path: str, key: str, variant: int) -> Recording | None:
        """Return a recording, or `None` if there is none.

        Raises:
            RecordingCorrupt: if the file is torn or foreign.
            StoreError: see `get`.
        """
        name = self._file(path, key, variant)
        data = self._content(name)
        return None if data is None else self._bound(decode(data, name), name)

    def load(self, request: Request, key: str, variant: int) -> tuple[Recording, tuple[int, ...]] | None:
        """Return a recording that has to be one of `request`, and its stamp; `None` if there is none.

        Raises:
            RecordingCorrupt: if the file is torn or foreign, or holds another request.
            StoreError: see `get`.
        """
        name = self._file(request.path, key, variant)
        found = self._open(name, self._folders[request.path])
        if found is None:
            return None
        recording = decode_for(request, key, found[0], name)
        if recording.inferencereplay != VERSION:
            self._complete(recording, name)
        return recording, _stamp(found[1])

    def _complete(self, recording: Recording, name: str) -> None:
        """Put into a recording of a file what its side files hold of it, and let the others be opened."""
        self._bound(recording, name)
        if recording.response.base64:
            put_back(recording.response)
        if recording.response.audio is not None:
            put_back_audio(recording.response, name)

    def _bound(self, recording: Recording, name: str) -> Recording:
        """Return a recording of a file, whose side files can be opened."""
        if recording.inferencereplay != VERSION:
            for side in recording.side_files:
                side.bind(functools.partial(open_side, name, side))
        return recording

    def get(self, path: str, key: str, variant: int) -> bytes | None:
        """Return the content of a recording's file, or `None` if there is none.

        Raises:
            StoreError: if the file is there and cannot be read, or a link leads out of the directory.
        """
        return self._content(self._file(path, key, variant))

    def stamp(self, path: str, key: str, variant: int) -> tuple[int, ...] | None:
        """Return two times in nanoseconds, inode and size; at least one differs after every change of the file."""
        if self._led_out[self._folders[path]]:
            return ()  # `get` raises what is wrong
        try:
            found = os.stat(self._file(path, key, variant))  # noqa: PTH116
        except _GONE:
            return None
        except OSError:
            return ()  # as above
        return _stamp(found)

    known_stamp = stamp

    def stamps(self, path: str, key: str, numbers: Sequence[int]) -> Sequence[tuple[int, ...] | None]:
        """Return the stamps of several variants.

        Mostly there are none. To ask whether a file is there takes half the time of a failed look at its state.
        """
        first, *others = numbers
        found = [self.stamp(path, key, first)]
        can_ask = found[0] != ()  # the folder may not be looked into otherwise
        for number in others:
            is_there = not can_ask or os.access(self._file(path, key, number), os.F_OK)
            found.append(self.stamp(path, key, number) if is_there else None)
        return found

    def add(self, path: str, key: str, variant: int, data: bytes, *, like: str = "") -> bool:
        """Store a recording whole or not at all; return `False` if there is one already.

        Args:
            path: the request's.
            key: the request's.
            variant: its number.
            data: the recording.
            like: a file whose mode and owner it gets.

        Raises:
            OSError: if it cannot be written; nothing is changed then.
        """
        with self._written(path, key, variant, data, like=like) as (temporary, name):
            return link(temporary, name)

    def replace(self, path: str, key: str, variant: int, data: bytes) -> None:
        """Store a recording whole or not at all, in the place of one that is there; that one's mode and owner stay.

        Raises:
            OSError: if it cannot be written; nothing is changed then.
        """
        self.replace_if(path, key, variant, data)

    def replace_if(
        self, path: str, key: str, variant: int, data: bytes, gives_way: Callable[[bytes], bool] | None = None
    ) -> bool:
        """Store a recording unless one is there that does not give way; return whether it was stored.

        Args:
            path: the request's.
            key: the request's.
            variant: its number.
            data: the recording.
            gives_way: returns whether a file with that content may be replaced; without it, every file may.

        Raises:
            OSError: if it cannot be written; nothing is changed then.
        """
        with (
            self._written(path, key, variant, data) as (temporary, name),
            locked(os.path.dirname(name)),  # noqa: PTH120 - no other writer may replace it after it was read
            released(name),
        ):
            there = self.get(path, key, variant) if gives_way else None
            if gives_way and there is not None and not gives_way(there):
                return False
            os.replace(temporary, name)  # noqa: PTH105
            return True

    def delete(self, path: str, key: str, variant: int) -> None:
        """Remove a recording if it is there."""
        name = self._file(path, key, variant)
        with released(name), contextlib.suppress(FileNotFoundError, NotADirectoryError):
            os.unlink(name)  # noqa: PTH108

    def put_side(self, path: str, key: str, variant: int, side: SideFile) -> contextlib.AbstractContextManager[None]:
        """Store a side file, and keep it for its recording, which is to be stored meanwhile.

        Raises:
            OSError: if it cannot be written.
        """
        name = self._file(path, key, variant)
        folder = os.path.dirname(name)  # noqa: PTH120
        if self._led_out[folder]:
            raise self._refused_link(folder)
        os.makedirs(folder, exist_ok=True)  # noqa: PTH103
        return kept_side(side_path(name, side.ending), side, self._temporary(folder, key))

    def drop_side(self, path: str, key: str, variant: int, side: SideFile) -> None:
        """Remove a side file, unless its recording is there, or being stored."""
        drop_side(self._file(path, key, variant), side.ending)

    def move(self, path: str, key: str, variant: int, to: int) -> bool:
        """Give a recording another number; return `False` if that one is taken, or the recording is gone.

        Raises:
            OSError: if it cannot be moved.
        """
        return move(self._file(path, key, variant), self._file(path, key, to))

    def sources(self, path: str, key: str, variant: int) -> tuple[str, ...]:
        """Return the name of the file, relative to the directory."""
        return (self._file(path, key, variant)[len(self._inside) :],)

    def list(self) -> Iterator[str]:
        """Yield the names of all recordings, relative to the directory.

        Raises:
            StoreError: if a folder cannot be looked into.
        """
        for folder, folders, files in os.walk(self.directory, onerror=_report):
            folders.sort()
            inner = os.path.join(folder, "")[len(self._inside) :]  # noqa: PTH118
            for file in sorted(files + folders):  # a folder of that name is a recording that cannot be read
                if is_file_name(file):
                    yield inner + file

    def state(self, path: str) -> tuple[int, ...]:
        """Return two times and the inode of the folder of `path`; empty if there is none."""
        try:
            found = os.stat(self._folders[path])  # noqa: PTH116
        except OSError:
            return ()
        return found.st_ctime_ns, found.st_mtime_ns, found.st_ino

    def requests(self, path: str, limit: int) -> Iterator[tuple[str, bytes]]:
        """Yield name and request body of the recordings of `path`, laid out as in a file, at most the newest `limit`.

        A file that cannot be read is left out: this is for a search, and a request for that very file gets the error.
        """
        folder = self._folders[path]
        if self._led_out[folder]:
            return
        names = names_in(folder, is_file_name)
        if len(names) > limit:
            aging = aged(f"{folder}{os.sep}{name}" for name in names)
            names = [os.path.basename(file) for _, file in heapq.nlargest(limit, aging)]  # noqa: PTH119
        inside = f"{folder}{os.sep}"[len(self._inside) :]
        for first in range(0, len(names), TOGETHER):
            part = names[first : first + TOGETHER]
            starts = read_starts(folder, part, START_COMPARED)
            for name, start, text in zip(part, starts, map(body_text, starts), strict=True):
                body = text or self._laid_out(f"{folder}{os.sep}{name}", start)
                if body is not None:
                    yield inside + name, body

    def _laid_out(self, file: str, start: bytes) -> bytes | None:
        """Return the text of the request's body in a file from whose beginning it cannot be cut; `None` without one."""
        if not start or len(start) == START_COMPARED:  # it is not the whole file
            with contextlib.suppress(StoreError, RecordingCorrupt):
                start = self._content(file, LARGEST_COMPARED) or b""
            if body := body_text(start):
                return body
        request = self._request(file, start)
        return None if request is None else lay_out(request.body)

    def newest(self, names: Sequence[str]) -> Iterator[tuple[str, JSON]]:
        """Yield name and request body of the recordings with these names, newest first, without unusable ones."""
        for name in sorted(names, key=self._age, reverse=True):
            request = self._request(self._inside + name)
            if request is not None:
                yield name, parse_json(request.body)

    def _request(self, file: str, data: bytes = b"") -> Request | None:
        """Return the request in a file, whose content may be known; `None` if it cannot be used."""
        try:
            return stored_request(decode(data or self._content(file, LARGEST_COMPARED) or b"", file), file)
        except (StoreError, RecordingCorrupt):
            return None

    def _age(self, name: str) -> int:
        with contextlib.suppress(OSError):
            return os.lstat(self._inside + name).st_mtime_ns
        return 0

    @contextlib.contextmanager
    def _written(self, path: str, key: str, variant: int, data: bytes, *, like: str = "") -> Iterator[tuple[str, str]]:
        """Write a temporary file with the mode and owner of the recording it may replace, or of another file.

        Yields:
            Its name and that of the recording.
        """
        name = self._file(path, key, variant)
        folder = os.path.dirname(name)  # noqa: PTH120
        if self._led_out[folder]:
            raise self._refused_link(folder)
        if not os.path.isdir(folder):  # noqa: PTH112 - which takes less than to try
            os.makedirs(folder, exist_ok=True)  # noqa: PTH103
        temporary = self._temporary(folder, key)
        with written(temporary, data, like=like or name):
            if folder not in self._swept:
                self._swept.add(folder)
                now = os.stat(temporary).st_mtime_ns  # noqa: PTH116
                sweep(aged(listed(folder, TEMPORARY.fullmatch)), now)
                sweep_sides(folder, now)
            yield temporary, name

    @staticmethod
    def _temporary(folder: str, key: str) -> str:
        return f"{folder}{os.sep}.{key[:DIGITS]}.{secrets.token_hex(8)}.tmp"

    def _content(self, name: str, limit: int = LARGEST) -> bytes | None:
        found = self._open(name, os.path.dirname(name), limit)  # noqa: PTH120
        return None if found is None else found[0]

    def _open(self, name: str, folder: str, limit: int = LARGEST) -> tuple[bytes, os.stat_result] | None:
        """Read a file of a folder of this directory, also through a link within the directory; `None` without one."""
        if self._led_out[folder]:
            raise self._refused_link(name)
        try:
            return read_with_state(name, limit, follows_links=False)
        except _GONE:
            return None
        except OSError as error:
            if error.errno not in _LINK_MET:
                raise _unreadable(name, error) from error
        if not is_inside(name, self.directory):
            raise self._refused_link(name)
        try:
            return read_with_state(name, limit)
        except _GONE:
            return None
        except OSError as error:
            raise _unreadable(name, error) from error

    def _refused_link(self, name: str) -> StoreError:
        return StoreError(f"{name} is, or is reached by, a link that leads out of {self.directory}. Put a copy there.")

    def _file(self, path: str, key: str, variant: int) -> str:
        if variant == 1:  # as `file_name` does; inlined for the speed of every replayed call
            return f"{self._folders[path]}{os.sep}{key[:DIGITS]}.json"
        return f"{self._folders[path]}{os.sep}{file_name(key, variant)}"

    def _make_folder(self, path: str) -> str:
        return os.path.join(self.directory, *folder_names(path))  # noqa: PTH118

    def _leads_out(self, folder: str) -> bool:
        return not is_inside(folder, self.directory)


class _Remembered(dict[str, _Found]):
    """What a function returns for a text, asked once; all is forgotten when it is too much."""

    __slots__ = ("_function",)

    def __init__(self, function: Callable[[str], _Found]) -> None:
        self._function = function

    def __missing__(self, text: str) -> _Found:
        if len(self) >= MOST_REMEMBERED:
            self.clear()
        found = self[text] = self._function(text)
        return found


def _stamp(found: os.stat_result) -> tuple[int, ...]:
    return found.st_ctime_ns, found.st_mtime_ns, found.st_ino, found.st_size


def _unreadable(name: str, error: OSError) -> StoreError | RecordingCorrupt:
    if error.errno == errno.EINVAL:  # a pipe or a device
        return corrupt(name, "$", f"it cannot be read ({error.strerror})", way_out(error))
    return StoreError(f"{name} cannot be read: {error.strerror}. {way_out(error)}.")


def _report(error: OSError) -> None:
    if not isinstance(error, _GONE):
        message = f"{error.filename} cannot be looked into: {error.strerror}. Look at its permissions."
        raise StoreError(message) from error


def move(name: str, to: str) -> bool:
    """Give a recording's file, with its side files, another name; return `False` if that is taken, or the file is gone.

    Raises:
        OSError: if it cannot be moved.
    """
    try:
        sides = move_sides(name, to)
        if not link(name, to):
            return False
    except FileNotFoundError:
        return False
    with contextlib.suppress(FileNotFoundError):  # a file system without links has moved it
        os.unlink(name)  # noqa: PTH108
    for ending in sides:
        drop_side(name, ending)
    return True
