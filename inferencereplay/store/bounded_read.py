"""Bounded reads: a file of any size, a device or a folder costs an error, never the memory or the time of a session."""

from __future__ import annotations

import errno
import os
import stat
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from collections.abc import Iterable

LARGEST = 2**30
"""Bytes of the largest file that is read as a recording, and of the largest one that is written."""
_FLAGS = os.O_RDONLY
for _flag in ("O_CLOEXEC", "O_BINARY", "O_NONBLOCK"):  # the last for a pipe, which would block
    _FLAGS |= getattr(os, _flag, 0)
_NO_FOLLOW: int = getattr(os, "O_NOFOLLOW", 0)
"""0 on Windows, where git writes a link as a file by default."""
FOLLOWS_NO_LINK = bool(_NO_FOLLOW)
"""Whether `follows_links=False` makes a link an error."""
OPENS_FROM_FOLDERS = os.open in os.supports_dir_fd
"""Whether a file can be opened by the descriptor of its folder, and its name."""


def read(name: str, limit: int = LARGEST, *, follows_links: bool = True) -> bytes:
    """Read a file without Python's file objects, which cost more than the read itself.

    Raises:
        OSError: if it cannot be read, is no regular file, or has more bytes than `limit`.
    """
    return read_with_state(name, limit, follows_links=follows_links)[0]


def read_with_state(name: str, limit: int = LARGEST, *, follows_links: bool = True) -> tuple[bytes, os.stat_result]:
    """Read a file, and return its state before that as well.

    Raises:
        OSError: see `read`.
    """
    descriptor = os.open(name, _FLAGS if follows_links else _FLAGS | _NO_FOLLOW)
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode) or found.st_size > limit:
            raise _refusal(found, limit)
        data = os.read(descriptor, found.st_size + 1)
        if len(data) != found.st_size:  # it changes, or the system gives less at once
            os.lseek(descriptor, 0, os.SEEK_SET)
            with open(descriptor, "rb", buffering=0, closefd=False) as file:
                data = file.read()
        return data, found
    finally:
        os.close(descriptor)


def open_regular(name: str) -> BinaryIO:
    """Open a regular file that is no link.

    Raises:
        OSError: if it is something else, or cannot be opened.
    """
    try:
        descriptor = open_here(name)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise OSError(errno.ELOOP, "it is a link, and no link is followed") from error
        raise
    found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode):
        os.close(descriptor)
        raise _refusal(found, 0)
    return open(descriptor, "rb", buffering=0)  # noqa: PTH123 - a descriptor


def open_here(name: str) -> int:
    """Open what has a name, without waiting for it, and without following a link; return the descriptor."""
    return os.open(name, _FLAGS | _NO_FOLLOW)


def read_start(name: str, count: int) -> bytes:
    """Read the first bytes of a file."""
    descriptor = os.open(name, _FLAGS)
    try:
        return os.read(descriptor, count)
    finally:
        os.close(descriptor)


def read_starts(folder: str, names: Iterable[str], count: int) -> list[bytes]:
    """Return the first bytes of files of a folder, in order; none of a link, and of what cannot be read.

    A search reads many files. To open a file from its folder takes less time than by its whole path.
    """
    flags, opened, read_from, closed = _FLAGS | _NO_FOLLOW, os.open, os.read, os.close
    starts: list[bytes] = []
    try:
        place = opened(folder, os.O_RDONLY) if OPENS_FROM_FOLDERS else None
    except OSError:
        return [b"" for _ in names]
    before = f"{folder}{os.sep}" if place is None else ""
    try:
        for name in names:
            data = b""
            try:
                descriptor = opened(before + name, flags, dir_fd=place)
                try:
                    data = read_from(descriptor, count)
                finally:
                    closed(descriptor)
            except OSError:
                pass
            starts.append(data)
    finally:
        if place is not None:
            closed(place)
    return starts


def way_out(error: OSError) -> str:
    """Return an advice for the message about a file that could not be read."""
    if error.errno in (errno.EACCES, errno.EPERM):
        return "Look at its permissions"
    return "Take it out of the directory, or restore it from version control"


def _refusal(found: os.stat_result, limit: int) -> OSError:
    if stat.S_ISDIR(found.st_mode):
        return IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    if not stat.S_ISREG(found.st_mode):
        return OSError(errno.EINVAL, "it is no regular file")
    return OSError(errno.EFBIG, f"it has {found.st_size:,} bytes, and at most {limit:,} are read")
