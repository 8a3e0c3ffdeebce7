"""A directory of recordings, one file each, named by key and variant.

A file is written to a temporary one in the same folder, flushed and synced, then linked (nothing is overwritten) or
renamed (what was there is replaced in one step): whoever looks sees a whole file or none.
"""

from __future__ import annotations

import errno
import heapq
import itertools
import os
import re
import secrets
from typing import TYPE_CHECKING
from urllib.parse import quote

from inferencereplay.errors import RecordingCorrupt, StoreError
from inferencereplay.recording import decode, stored_request
from inferencereplay.request import parse_json

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from inferencereplay.request import JSON

DIGITS = 32
"""Of the key's 64, in a file name: 128 bits; the whole key stands in the file."""
MOST_SEEN = 100_000
"""Directory entries that a search for the newest files looks at."""
_NAME = re.compile(r"[0-9a-f]{32}(~[0-9]+)?\.json")
_NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)


class DirectoryStore:
    """Recordings in our own layout: `<dir>/chat/completions/<32 hex>.json`, variants `<32 hex>~2.json`, …

    Args:
        directory: it need not exist until something is put into it.
    """

    is_writable = True

    def __init__(self, directory: Path) -> None:
        self.directory = str(directory)
        self._folders: dict[str, str] = {}

    def get(self, path: str, key: str, variant: int) -> bytes | None:
        """Return a recording, or `None` if there is none.

        Raises:
            StoreError: if the file is there and cannot be read.
        """
        name = self._file(path, key, variant)
        try:
            with open(name, "rb", buffering=0) as file:  # noqa: PTH123 - a Path costs more than the read
                return file.read()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            message = f"{name} cannot be read: {error.strerror}. Look at its permissions."
            raise StoreError(message) from error

    def put(self, path: str, key: str, variant: int, data: bytes, *, replace: bool) -> bool:
        """Store a recording whole or not at all; without `replace`, return `False` if there is one already.

        Raises:
            OSError: if it cannot be written; nothing is changed then.
        """
        name = self._file(path, key, variant)
        folder = os.path.dirname(name)  # noqa: PTH120 - as above
        os.makedirs(folder, exist_ok=True)  # noqa: PTH103
        temporary = os.path.join(folder, f".{key[:DIGITS]}.{secrets.token_hex(8)}.tmp")  # noqa: PTH118
        try:
            _write(temporary, data)
            if replace:
                os.replace(temporary, name)  # noqa: PTH105
                return True
            return _link(temporary, name)
        finally:
            _remove(temporary)

    def delete(self, path: str, key: str, variant: int) -> None:
        """Remove a recording if it is there."""
        _remove(self._file(path, key, variant))

    def sources(self, path: str, key: str, variant: int) -> tuple[str, ...]:
        """Return the name of the file, relative to the directory."""
        return (self._file(path, key, variant)[len(self.directory) + 1 :],)

    def list(self) -> Iterator[str]:
        """Yield the names of all recordings, relative to the directory."""
        for folder, folders, files in os.walk(self.directory):
            folders.sort()
            for file in sorted(files):
                if _NAME.fullmatch(file):
                    yield os.path.relpath(os.path.join(folder, file), self.directory)  # noqa: PTH118

    def newest(self, path: str, limit: int) -> Iterator[tuple[str, JSON]]:
        """Yield name and request body of the recordings of `path`, newest first, at most `limit`.

        A file that cannot be read is passed over: this is for finding what is near, and whoever asks for that very
        file gets the error.
        """
        for _, file in heapq.nlargest(limit, self._aged(self._folder(path))):
            try:
                with open(file, "rb") as opened:  # noqa: PTH123
                    request = stored_request(decode(opened.read(), file), file)
            except (OSError, RecordingCorrupt):
                continue
            yield os.path.relpath(file, self.directory), parse_json(request.body)

    def _aged(self, folder: str) -> Iterator[tuple[int, str]]:
        try:
            with os.scandir(folder) as entries:
                for entry in itertools.islice(entries, MOST_SEEN):
                    if _NAME.fullmatch(entry.name):
                        yield entry.stat(follow_symlinks=False).st_mtime_ns, entry.path
        except OSError:
            return

    def _file(self, path: str, key: str, variant: int) -> str:
        folder = self._folders.get(path)
        if folder is None:
            folder = self._folders[path] = self._folder(path)
        return f"{folder}{os.sep}{key[:DIGITS]}{f'~{variant}' if variant > 1 else ''}.json"

    def _folder(self, path: str) -> str:
        parts = [_safe(part) for part in path.split("/") if part]
        return os.path.join(self.directory, *parts)  # noqa: PTH118


def _safe(part: str) -> str:
    """Make one part of a request's path the name of a folder, whatever a caller put into it."""
    name = quote(part, safe="")
    return name.replace(".", "%2E") if name.strip(".") == "" else name


def _write(name: str, data: bytes) -> None:
    descriptor = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    with open(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(descriptor)


def _link(temporary: str, name: str) -> bool:
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


def _remove(name: str) -> None:
    try:
        os.unlink(name)  # noqa: PTH108
    except FileNotFoundError:
        return
