"""What was read from object stores, kept in a folder of the user's: one file an object, with the e-tag it is of.

Any number of processes share it, and it may be deleted at any time. A file is written under another name and renamed;
one that is torn all the same, as after a crash of the machine, does not have its checksum and counts as none.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import secrets
import stat
import time
import zlib
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from inferencereplay.object_stores.objects import Found, Version
from inferencereplay.store.bounded_read import read_with_state

if TYPE_CHECKING:
    from inferencereplay.object_stores.cache_settings import CacheSettings

_MAGIC = b"inferencereplay cache 1 "
SHARDS = 16
"""Folders, each of which is kept below its part of the size."""
LARGEST_PART = 4
"""An object of more than this part of a folder's size is not kept."""
CHECKED_EVERY = 16
"""Part of a folder's size that a process writes before it looks again how full the folder is."""
KEPT_AFTER_EVICTION = 0.9
"""Part of a folder's size that is left when files are removed from it."""
USED_EVERY = 3_600 * 10**9
"""Nanoseconds after which the time of the last use is noted again."""
STALE = 3_600 * 10**9
"""Nanoseconds after which a temporary file has no writer any more."""


_FILE = re.compile(r"[0-9a-f]{63}(?:\.[0-9a-f]{16}(\.tmp))?")
"""The names of the cache's files, and of those that are being written."""


class _Header(msgspec.Struct):
    e_tag: str | None
    number: str | None
    modified: int
    size: int
    checksum: int


_user = getattr(os, "geteuid", int)  # on Windows every file has the user 0
_read_header = msgspec.json.Decoder(_Header).decode
_write_header = msgspec.json.Encoder().encode


class Cached(NamedTuple):
    """An object in the cache.

    Attributes:
        found: its content and version.
        checked: when the store was last asked, in nanoseconds since 1970.
        file: where it is.
    """

    found: Found
    checked: int
    file: str


class ObjectCache:
    """The cache of one store's objects.

    Args:
        settings: where it is, and how large.
        store: tells the store from all others.
    """

    now = staticmethod(time.time_ns)  # no name of the module, which a library that freezes time would replace

    def __init__(self, settings: CacheSettings, store: str) -> None:
        self._folder = settings.folder
        self._shard_size = settings.size // SHARDS
        self._start = hashlib.sha256(store.encode())
        self._left: dict[str, int] = {}

    def read(self, name: str) -> Cached | None:
        """Return what is known of an object; `None` if nothing is."""
        file = self._file(name)
        try:
            data, state = read_with_state(file, follows_links=False)
        except OSError:
            return None
        found = _parse(data) if state.st_uid == _user() else None  # what others of the machine write is not trusted
        if found is None:
            return None
        now = self.now()
        if now - state.st_atime_ns > USED_EVERY:
            self._touch(file, now, state.st_mtime_ns)
        return Cached(found, state.st_mtime_ns, file)

    def confirm(self, cached: Cached) -> int:
        """Note that an object has not changed; return the time."""
        now = self.now()
        self._touch(cached.file, now, now)
        return now

    def keep(self, name: str, found: Found, *, is_checked: bool = True) -> None:
        """Keep an object that was read or written; a failure is passed over.

        Args:
            name: of the object.
            found: its content and version.
            is_checked: whether it counts unasked for some time.
        """
        data, version = found
        if len(data) * LARGEST_PART > self._shard_size:
            return
        header = _Header(version.e_tag, version.number, version.modified, version.size, zlib.crc32(data))
        content = b"".join((_MAGIC, _write_header(header), b"\n", data))
        file = self._file(name)
        with contextlib.suppress(OSError):
            self._write(file, content, None if is_checked else (self.now(), 0))
            self._account(os.path.dirname(file), len(content))  # noqa: PTH120

    def doubt(self, name: str) -> None:
        """Let the store be asked about an object at the next read; it answers while the store cannot be asked."""
        self._touch(self._file(name), self.now(), 0)

    def forget(self, name: str) -> None:
        """Forget what is known of an object."""
        with contextlib.suppress(OSError):
            os.unlink(self._file(name))  # noqa: PTH108

    def _file(self, name: str) -> str:
        digest = self._start.copy()
        digest.update(f"\0{name}".encode())
        digits = digest.hexdigest()
        return f"{self._folder}{os.sep}{digits[0]}{os.sep}{digits[1:]}"

    @staticmethod
    def _touch(file: str, used: int, checked: int) -> None:
        with contextlib.suppress(OSError):
            os.utime(file, ns=(used, checked))

    @staticmethod
    def _write(file: str, content: bytes, times: tuple[int, int] | None) -> None:
        temporary = f"{file}.{secrets.token_hex(8)}.tmp"
        make = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
        try:
            descriptor = os.open(temporary, make, 0o600)
        except FileNotFoundError:  # the first file, or somebody has deleted the cache
            os.makedirs(os.path.dirname(file), mode=0o700, exist_ok=True)  # noqa: PTH103, PTH120
            descriptor = os.open(temporary, make, 0o600)
        try:
            with open(descriptor, "wb", buffering=0) as opened:  # noqa: PTH123 - a descriptor
                opened.write(content)
            if times is not None:
                os.utime(temporary, ns=times)
            os.replace(temporary, file)  # noqa: PTH105
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(temporary)  # noqa: PTH108
            raise

    def _account(self, folder: str, size: int) -> None:
        """Look how full a folder is: at the first file of this process, and whenever much was written."""
        left = self._left.get(folder, 0) - size
        if left < 0:
            left = evict(folder, self._shard_size, self.now()) // CHECKED_EVERY
        self._left[folder] = left


def evict(folder: str, limit: int, now: int) -> int:
    """Remove the files of a folder that were used least recently until the others take less than `limit` bytes.

    A file of another name is not the cache's: a user may have named a folder that holds other things as well.

    Returns:
        How many bytes are left to `limit`; at least a part of it, so that not every file is followed by a look.
    """
    files, total = [], 0
    with os.scandir(folder) as entries:
        for entry in entries:
            with contextlib.suppress(OSError):  # another process removes it
                state = entry.stat(follow_symlinks=False)
                named = _FILE.fullmatch(entry.name)
                if named is None or not stat.S_ISREG(state.st_mode):
                    continue
                if named[1] and now - state.st_mtime_ns > STALE:
                    os.unlink(entry.path)  # noqa: PTH108
                    continue
                files.append((state.st_atime_ns, state.st_size, entry.path))
                total += state.st_size
    if total > limit:
        for _, size, path in sorted(files):
            if total <= limit * KEPT_AFTER_EVICTION:
                break
            with contextlib.suppress(OSError):
                os.unlink(path)  # noqa: PTH108
            total -= size
    return max(limit - total, limit // CHECKED_EVERY)


def _parse(data: bytes) -> Found | None:
    """Return the object in a file; `None` if it is torn or foreign."""
    end = data.find(b"\n", len(_MAGIC), 4_096)
    if end < 0 or not data.startswith(_MAGIC):
        return None
    try:
        header = _read_header(data[len(_MAGIC) : end])
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    content = data[end + 1 :]
    if zlib.crc32(content) != header.checksum or header.size != len(content):
        return None
    return Found(content, Version(header.modified, header.e_tag, header.number, header.size))
