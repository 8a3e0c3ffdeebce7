"""A directory of recordings, one file each, named by key and variant.

A file is written to a temporary one in the same folder, flushed and synced, then linked (nothing is overwritten) or
renamed (what was there is replaced in one step): whoever looks sees a whole file or none.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import hashlib
import heapq
import itertools
import os
import re
import secrets
import time
from typing import TYPE_CHECKING
from urllib.parse import quote

from inferencereplay.errors import RecordingCorrupt, StoreError
from inferencereplay.recording.format import decode, stored_request
from inferencereplay.recording.request import parse_json
from inferencereplay.store.containment import is_inside
from inferencereplay.store.folder_lock import locked

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from inferencereplay.recording.request import JSON

DIGITS = 32
"""Of the key's 64, in a file name: 128 bits; the whole key stands in the file."""
MOST_SEEN = 100_000
"""Directory entries that a search for the newest files looks at."""
LONGEST_PART = 200
"""Characters of a folder's name; file systems end at 255."""
STALE = 3_600
"""Seconds after which a temporary file is taken for one whose writer died."""
_NAME = re.compile(r"[0-9a-f]{32}(~([2-9]|[1-9][0-9]+))?\.json")
_TEMPORARY = re.compile(r"\.[0-9a-f]{32}\.[0-9a-f]{16}\.tmp")
_READ = os.O_RDONLY
for _flag in ("O_CLOEXEC", "O_BINARY", "O_NONBLOCK"):  # the last for a pipe, which would block
    _READ |= getattr(os, _flag, 0)
_NO_FOLLOW: int = getattr(os, "O_NOFOLLOW", 0)
"""Windows has none; there git writes a link as a file, unless it is told otherwise."""
_LINK_MET = (errno.ELOOP, errno.EMLINK)
_AT_ONCE = 64 * 1024
"""Bytes of the first read, which is the only one for most files."""
_NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)


class DirectoryStore:
    """Recordings in our own layout: `<dir>/chat/completions/<32 hex>.json`, variants `<32 hex>~2.json`.

    Args:
        directory: it need not exist until something is put into it.
    """

    is_writable = True

    def __init__(self, directory: Path) -> None:
        self.directory = str(directory)
        self._inside = os.path.join(self.directory, "")  # noqa: PTH118 - ends in a separator
        self._folder = functools.lru_cache(1_000)(self._make_folder)
        self._leads_out = functools.lru_cache(1_000)(lambda folder: not is_inside(folder, self.directory))
        self._swept: set[str] = set()

    def get(self, path: str, key: str, variant: int) -> bytes | None:
        """Return a recording, or `None` if there is none.

        Raises:
            StoreError: if the file is there and cannot be read, or a link leads out of the directory.
        """
        name = self._file(path, key, variant)
        try:
            return self._read(name)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except StoreError:
            raise
        except OSError as error:
            message = f"{name} cannot be read: {error.strerror}. Look at its permissions."
            raise StoreError(message) from error

    def stamp(self, path: str, key: str, variant: int) -> tuple[int, ...] | None:
        """Return what tells a file from a changed one: times in nanoseconds, inode and size."""
        try:
            found = os.stat(self._file(path, key, variant))  # noqa: PTH116
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError:
            return ()  # `get` tells what is wrong
        return found.st_ctime_ns, found.st_mtime_ns, found.st_ino, found.st_size

    def put(self, path: str, key: str, variant: int, data: bytes, *, replace: bool | Callable[[bytes], bool]) -> bool:
        """Store a recording whole or not at all; return `False` if one is there that does not give way.

        Args:
            path: the request's.
            key: the request's.
            variant: its number.
            data: the recording.
            replace: whether one that is there gives way, or what says so of its bytes.

        Raises:
            OSError: if it cannot be written; nothing is changed then.
        """
        name = self._file(path, key, variant)
        folder = os.path.dirname(name)  # noqa: PTH120 - as above
        if self._leads_out(folder):
            raise self._led_out(folder)
        os.makedirs(folder, exist_ok=True)  # noqa: PTH103
        if folder not in self._swept:
            self._swept.add(folder)
            _sweep(folder)
        temporary = os.path.join(folder, f".{key[:DIGITS]}.{secrets.token_hex(8)}.tmp")  # noqa: PTH118
        try:
            _write(temporary, data)
            if replace is False:
                return link(temporary, name)
            with locked(folder):  # whoever looks at what is there replaces that, and nothing newer
                there = self.get(path, key, variant) if callable(replace) else None
                if callable(replace) and there is not None and not replace(there):
                    return False
                os.replace(temporary, name)  # noqa: PTH105
                return True
        finally:
            with contextlib.suppress(OSError):  # mostly it was renamed; otherwise the first error is the one to tell
                os.unlink(temporary)  # noqa: PTH108

    def delete(self, path: str, key: str, variant: int) -> None:
        """Remove a recording if it is there."""
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            os.unlink(self._file(path, key, variant))  # noqa: PTH108

    def sources(self, path: str, key: str, variant: int) -> tuple[str, ...]:
        """Return the name of the file, relative to the directory."""
        return (self._file(path, key, variant)[len(self._inside) :],)

    def list(self) -> Iterator[str]:
        """Yield the names of all recordings, relative to the directory.

        Raises:
            StoreError: if a folder cannot be looked into.
        """
        for folder, folders, files in os.walk(self.directory, onerror=_tell):
            folders.sort()
            for file in sorted(files):
                if _NAME.fullmatch(file):
                    yield os.path.join(folder, file)[len(self._inside) :]  # noqa: PTH118

    def newest(self, path: str, limit: int) -> Iterator[tuple[str, JSON]]:
        """Yield name and request body of the recordings of `path`, newest first, at most `limit`.

        A file that cannot be read is passed over: this is for finding what is near, and whoever asks for that very
        file gets the error.
        """
        for _, file in heapq.nlargest(limit, _aged(self._folder(path), _NAME)):
            try:
                request = stored_request(decode(self._read(file), file), file)
            except (OSError, RecordingCorrupt):
                continue
            yield file[len(self._inside) :], parse_json(request.body)

    def _read(self, name: str) -> bytes:
        """Read a file of this directory; a link to another one of it counts as that."""
        if self._leads_out(os.path.dirname(name)):  # noqa: PTH120 - as above
            raise self._led_out(name)
        try:
            return _read(name, _READ | _NO_FOLLOW)
        except OSError as error:
            if error.errno not in _LINK_MET:
                raise
        if not is_inside(name, self.directory):
            raise self._led_out(name)
        return _read(name, _READ)

    def _led_out(self, name: str) -> StoreError:
        return StoreError(f"{name} is, or is reached by, a link that leads out of {self.directory}. Put a copy there.")

    def _file(self, path: str, key: str, variant: int) -> str:
        return f"{self._folder(path)}{os.sep}{key[:DIGITS]}{f'~{variant}' if variant > 1 else ''}.json"

    def _make_folder(self, path: str) -> str:
        parts = [_safe(part) for part in path.split("/") if part]
        return os.path.join(self.directory, *parts)  # noqa: PTH118


def _tell(error: OSError) -> None:
    if not isinstance(error, (FileNotFoundError, NotADirectoryError)):  # there is none, or somebody took it away
        message = f"{error.filename} cannot be looked into: {error.strerror}. Look at its permissions."
        raise StoreError(message) from error


def _aged(folder: str, name: re.Pattern[str]) -> Iterator[tuple[int, str]]:
    """Yield the time of the last change, in nanoseconds, and the path of the files that are named so."""
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in itertools.islice(entries, MOST_SEEN):
            if name.fullmatch(entry.name):
                with contextlib.suppress(FileNotFoundError):  # another process took it away
                    yield entry.stat(follow_symlinks=False).st_mtime_ns, entry.path


def _sweep(folder: str) -> None:
    """Remove what writers that died left behind."""
    oldest = (time.time() - STALE) * 1e9
    for changed, file in _aged(folder, _TEMPORARY):
        if changed < oldest:
            with contextlib.suppress(OSError):
                os.unlink(file)  # noqa: PTH108


def _safe(part: str) -> str:
    """Make one part of a request's path the name of a folder, whatever a caller put into it."""
    name = quote(part, safe="")
    if len(name) > LONGEST_PART:
        digest = hashlib.sha256(part.encode()).hexdigest()[:DIGITS]
        return f"{name[: LONGEST_PART - DIGITS - 1]}~{digest}"
    return name.replace(".", "%2E") if name.strip(".") == "" else name


def _read(name: str, flags: int) -> bytes:
    """Read a file without Python's file objects, which cost more than the read itself."""
    descriptor = os.open(name, flags)
    try:
        data = os.read(descriptor, _AT_ONCE)
        if len(data) == _AT_ONCE:  # a large file is read anew, in one piece: putting two together takes it twice
            os.lseek(descriptor, 0, os.SEEK_SET)
            with open(descriptor, "rb", buffering=0, closefd=False) as file:
                return file.read()
        return data
    finally:
        os.close(descriptor)


def _write(name: str, data: bytes) -> None:
    descriptor = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    with open(descriptor, "wb") as file:  # noqa: PTH123 - a descriptor, no path
        file.write(data)
        file.flush()
        os.fsync(descriptor)


def link(temporary: str, name: str) -> bool:
    """Give a file another name, or return `False` if that is taken; the first one may be gone then, or not."""
    try:
        os.link(temporary, name)
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        if os.path.exists(name):  # noqa: PTH110
            return False
        os.replace(temporary, name)  # noqa: PTH105 - a file system without links: the best that it can do
    return True
