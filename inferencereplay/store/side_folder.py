"""Side files in a folder: written before the recording that names them, checked when they are read, removed after it.

Whoever stores a recording holds a lock on each of its side files meanwhile. Whoever removes one that no recording names
any more leaves it if there is such a lock: its recording may come just now.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import re
import time
from typing import TYPE_CHECKING, BinaryIO

from inferencereplay.errors import StoreError
from inferencereplay.recording.format import corrupt
from inferencereplay.recording.side_file import MOST_HELD, endings_in, read_blocks
from inferencereplay.store.atomic_write import STALE, link, written
from inferencereplay.store.bounded_read import open_here, open_regular, read, read_start, way_out
from inferencereplay.store.folder_listing import aged, listed
from inferencereplay.store.liveness import HAS_LOCKS, take_lock

if TYPE_CHECKING:
    from collections.abc import Iterator

    from inferencereplay.recording.side_file import SideFile

_SIDE = re.compile(r"([0-9a-f]{32}(?:~[0-9]+)?)(\.[0-9a-f]{16}\.[a-z0-9]{1,8})")
_FIRST_VERSION = re.compile(rb'\{\s*"inferencereplay": ?1\s*,')
_START = 60
"""Bytes of a file that tell the version of its format, in our layout."""
_SETTLED = 100_000_000
"""Nanoseconds after which no change can have the time of the last one."""
_MOST_CHECKED = 10_000
_TRIES = 100
_PAUSE = 0.002
_checked: dict[str, tuple[int, ...]] = {}
"""The side files whose content was compared with its SHA-256, by path and SHA-256, and their states."""


def side_path(file: str, ending: str) -> str:
    """Return the path of a side file of a recording's file."""
    return file.removesuffix(".json") + ending


def open_side(file: str, side: SideFile) -> BinaryIO:
    """Open a side file of a recording's file, once its content is known to be the recorded one.

    Raises:
        RecordingCorrupt: if it is gone, torn, or another one.
        StoreError: if it cannot be read.
    """
    path = side_path(file, side.ending)
    mend = "Restore it from version control, or delete the recording and record it again"
    try:
        opened = open_regular(path)
    except FileNotFoundError as error:
        raise corrupt(file, "$", f"its side file {os.path.basename(path)} is missing", mend) from error  # noqa: PTH119
    except OSError as error:
        message = f"{path} cannot be read: {error.strerror}. {way_out(error)}."
        raise StoreError(message) from error
    try:
        return _compared(path, side, opened)
    except _OtherContentError as error:
        raise corrupt(file, "$", f"its side file {os.path.basename(path)} {error}", mend) from None  # noqa: PTH119


class _OtherContentError(Exception):
    """What a side file has instead of the recorded content."""


def _compared(path: str, side: SideFile, opened: BinaryIO) -> BinaryIO:
    """Return a file with the recorded content: the opened one, or what was read of it to be compared.

    Raises:
        _OtherContentError: if it has another content; the file is closed then.
    """
    with contextlib.ExitStack() as closing:
        closing.callback(opened.close)
        found = os.fstat(opened.fileno())
        if found.st_size != side.length:
            message = f"has {found.st_size:,} bytes, and the recording names {side.length:,}"
            raise _OtherContentError(message)
        state = found.st_ctime_ns, found.st_mtime_ns, found.st_ino, found.st_dev
        place = f"{side.sha256} {path}"
        if _checked.get(place) == state:
            closing.pop_all()
            return opened
        digest, compared = _hashed(opened, side.length)
        if digest != side.sha256:
            message = "is another content than the recorded one: its SHA-256 differs"
            raise _OtherContentError(message)
        if time.time_ns() - found.st_ctime_ns > _SETTLED:
            if len(_checked) >= _MOST_CHECKED:
                _checked.clear()
            _checked[place] = state
        if compared is opened:
            closing.pop_all()
        return compared


def _hashed(opened: BinaryIO, length: int) -> tuple[str, BinaryIO]:
    """Return the SHA-256 of a file, and the content again: of all but large ones, the very bytes that were hashed."""
    if length <= MOST_HELD:
        content = opened.read(length)
        return hashlib.sha256(content).hexdigest(), io.BytesIO(content)
    digest = hashlib.sha256()
    for block in read_blocks(opened):
        digest.update(block)
    opened.seek(0)
    return digest.hexdigest(), opened


@contextlib.contextmanager
def kept_side(path: str, side: SideFile, temporary: str) -> Iterator[None]:
    """Write a side file unless it is there already, and keep it from being removed while its recording is stored.

    Args:
        path: its path.
        side: its content.
        temporary: the name of a file to write first.

    Raises:
        OSError: if it cannot be written.
    """
    with contextlib.ExitStack() as held:
        for _ in range(_TRIES):  # pragma: no branch - nobody removes it so often
            if _is_other(path, side):  # a person has changed it
                with written(temporary, side.blocks()):
                    os.replace(temporary, path)  # noqa: PTH105
            elif not os.path.lexists(path):
                with written(temporary, side.blocks()):
                    link(temporary, path)
            if (descriptor := _held(path)) is not None:
                held.callback(os.close, descriptor)
                break
            time.sleep(_PAUSE)  # another process is removing it
        yield


def _is_other(path: str, side: SideFile) -> bool:
    """Whether something else is in the place of a side file."""
    try:
        _compared(path, side, open_regular(path)).close()
    except _OtherContentError:
        return True
    except OSError as error:
        return not isinstance(error, FileNotFoundError)
    return False


def _held(path: str) -> int | None:
    """Open a file and take its lock, together with others; return `None` if it is removed meanwhile."""
    try:
        descriptor = open_here(path)
    except FileNotFoundError:
        return None
    if not HAS_LOCKS:  # pragma: no cover - Windows
        return descriptor
    if take_lock(descriptor, is_shared=True):
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.lstat(path), os.fstat(descriptor)):
                return descriptor
    os.close(descriptor)
    return None


def drop_side(file: str, ending: str) -> None:
    """Remove a side file of a recording's file, unless the recording names it, or one that is being stored may."""
    path = side_path(file, ending)
    with contextlib.suppress(OSError):
        descriptor = open_here(path)
        try:
            if take_lock(descriptor, is_shared=False) and ending not in named_sides(file):
                os.unlink(path)  # noqa: PTH108
        finally:
            os.close(descriptor)


def named_sides(file: str) -> set[str]:
    """Return the endings of the side files that a recording's file names; of most, only the beginning is read.

    Raises:
        OSError: if it is there, and cannot be read: nobody may take its side files for orphans then.
    """
    if not os.path.lexists(file):
        return set()
    return set() if _FIRST_VERSION.match(read_start(file, _START)) else endings_in(read(file))


@contextlib.contextmanager
def released(file: str) -> Iterator[None]:
    """Remove the side files that a recording named, and its successor does not, once the file has been changed."""
    before: set[str] = set()
    with contextlib.suppress(OSError):
        before = named_sides(file)
    yield
    for ending in before:
        drop_side(file, ending)


def move_sides(file: str, to: str) -> list[str]:
    """Give the side files of a recording's file the name of another one as well; return their endings."""
    endings = sorted(named_sides(file))
    for ending in endings:
        link(side_path(file, ending), side_path(to, ending))
    return endings


def sweep_sides(folder: str, now: int) -> None:
    """Remove the side files of a folder that no recording names: their writers died before they stored one.

    Args:
        folder: which.
        now: the time of a file that was written just now, in nanoseconds.
    """
    for changed, path in aged(listed(folder, _SIDE.fullmatch)):
        found = _SIDE.fullmatch(os.path.basename(path))  # noqa: PTH119
        if found and changed < now - STALE * 10**9:
            drop_side(f"{folder}{os.sep}{found[1]}.json", found[2])
