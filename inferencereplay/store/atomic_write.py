"""Atomic writes: a temporary file in the same folder, flushed and synced, then linked or renamed into its place.

A writer holds a lock on its temporary file, by which a sweep recognizes that the writer is alive. No clock of the
process counts in this: a program may have set or frozen it.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from typing import TYPE_CHECKING

from inferencereplay.store.bounded_read import LARGEST
from inferencereplay.store.folder_lock import locked
from inferencereplay.store.liveness import HAS_LOCKS, hold_lock, is_alive

if TYPE_CHECKING:
    import io
    from collections.abc import Iterable, Iterator

STALE = 3_600
"""Seconds, by the file system's clock, in which a writer is sure to have locked the temporary file that it made."""
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL
_PERMISSIONS = 0o777


@contextlib.contextmanager
def written(temporary: str, data: bytes | Iterable[bytes], *, like: str = "", is_synced: bool = True) -> Iterator[None]:
    """Write a temporary file, to be linked or renamed in the block; it is removed at the end.

    Args:
        temporary: its name.
        data: its content, or parts of it in order, of any length together.
        like: a file whose mode and owner it gets, if that exists.
        is_synced: whether it has to survive a crash of the machine.

    Raises:
        OSError: if it cannot be written.
    """
    if isinstance(data, bytes) and len(data) > LARGEST:
        raise OSError(errno.EFBIG, f"it has {len(data):,} bytes, more than the {LARGEST:,} of the largest recording")
    old = _regular(like) if like else None
    mode = stat.S_IMODE(old.st_mode) & _PERMISSIONS if old else 0o666
    file = open(os.open(temporary, _CREATE, mode), "wb", buffering=0)  # noqa: PTH123, SIM115 - a descriptor; it stays open
    try:
        hold_lock(file.fileno())
        if old:
            _adopt(temporary, old, mode)
        for part in (data,) if isinstance(data, bytes) else data:
            _write(file, part)
        if is_synced:
            os.fsync(file.fileno())
        if not HAS_LOCKS:  # pragma: no cover - Windows, which renames no open file
            file.close()
        yield
    finally:
        with contextlib.suppress(OSError):  # mostly it was renamed; otherwise the first error is the one to raise
            os.unlink(temporary)  # noqa: PTH108
        file.close()


def _write(file: io.FileIO, data: bytes) -> None:
    """Write bytes in whole; the system may take a part of them at once."""
    rest = memoryview(data)
    while rest:
        rest = rest[file.write(rest) :]


def _regular(name: str) -> os.stat_result | None:
    """Return the state of a file, or `None` for a link, a folder, and a name that is free."""
    with contextlib.suppress(OSError):
        found = os.lstat(name)
        return found if stat.S_ISREG(found.st_mode) else None
    return None


def _adopt(temporary: str, old: os.stat_result, mode: int) -> None:
    """Give a file the owner and the mode of another one, as far as this process may."""
    if hasattr(os, "chown"):  # pragma: no branch - Windows
        for owner in ((old.st_uid, -1), (-1, old.st_gid)):
            with contextlib.suppress(OSError):
                os.chown(temporary, *owner)
    with contextlib.suppress(OSError):
        os.chmod(temporary, mode)  # noqa: PTH101 - the process's mask may have taken some of it away


def link(temporary: str, name: str) -> bool:
    """Give a file another name, or return `False` if that is taken; the first name may be gone afterwards, or not.

    Many file systems (of networks, phones, FUSE) refuse links, each with an error of its own. There the file is
    renamed, one writer at a time.
    """
    try:
        os.link(temporary, name)
    except FileExistsError:
        return False
    except OSError:
        with locked(os.path.dirname(name)):  # noqa: PTH120
            if os.path.lexists(name):
                return False
            os.replace(temporary, name)  # noqa: PTH105
    return True


def sweep(files: Iterable[tuple[int, str]], now: int) -> None:
    """Remove the temporary files of writers that died.

    Args:
        files: the time of the last change, in nanoseconds, and the path of each.
        now: the time of a file that was written just now.
    """
    for changed, file in files:
        with contextlib.suppress(OSError):
            if changed < now - STALE * 10**9 and not is_alive(file):
                os.unlink(file)  # noqa: PTH108
