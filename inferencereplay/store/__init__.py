"""Where recordings live."""

from __future__ import annotations

import errno
import itertools
import os
from typing import TYPE_CHECKING, Any, Protocol

from inferencereplay.errors import InvalidSetting, StoreError
from inferencereplay.store.directory import DirectoryStore
from inferencereplay.store.inside import is_inside
from inferencereplay.store.llama_stack import LlamaStackStore
from inferencereplay.store.llama_stack_file import is_llama_stack

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from inferencereplay.request import JSON, Request

SAMPLE = 8
"""Files that are looked at to tell whose directory it is."""


class Store(Protocol):
    """Recordings as bytes in the file format, by path, key and variant (counted from 1)."""

    @property
    def directory(self) -> str:
        """Where it is, for messages."""
        ...

    @property
    def is_writable(self) -> bool:
        """Whether recordings can be put into it."""
        ...

    def get(self, path: str, key: str, variant: int) -> bytes | None:
        """Return a recording, or `None` if there is none."""
        ...

    def stamp(self, path: str, key: str, variant: int) -> tuple[Any, ...] | None:
        """Return, at little cost, what is another after every change of a recording, or `None` if there is none.

        Its first item is the time of the last change, in nanoseconds since 1970: two changes within a tick of the
        kernel's clock may have the same. It is empty if the recording cannot be looked at.
        """
        ...

    def put(self, path: str, key: str, variant: int, data: bytes, *, replace: bool | Callable[[bytes], bool]) -> bool:
        """Store a recording whole or not at all; return `False` if one is there that `replace` does not let go."""
        ...

    def delete(self, path: str, key: str, variant: int) -> None:
        """Remove a recording if it is there."""
        ...

    def sources(self, path: str, key: str, variant: int) -> tuple[str, ...]:
        """Return the names, relative to the directory, of the files that a recording comes from."""
        ...

    def list(self) -> Iterator[str]:
        """Yield the names of all recordings, relative to the directory."""
        ...

    def newest(self, path: str, limit: int) -> Iterator[tuple[str, JSON]]:
        """Yield name and request body of the recordings of `path`, newest first, at most `limit`."""
        ...


def open_store(
    directory: Path,
    test_id: str | None = None,
    prepare: Callable[[Request], Request] = lambda request: request,
    *,
    is_recorded: bool = False,
) -> Store:
    """Open a directory of recordings, ours or the llama-stack recorder's.

    Args:
        directory: it need not exist yet.
        test_id: which of llama-stack's recordings of one request to take.
        prepare: what is applied to a request before it is looked up; ours were stored under it, llama-stack's were not.
        is_recorded: whether a program is being recorded, which a directory that cannot be used must not break: it is
            told of each answer that cannot be stored.

    Raises:
        StoreError: if it is a file, or cannot be looked into, and nothing is recorded.
        InvalidSetting: if a `test_id` is given for a directory that is not llama-stack's.
    """
    directory = directory.absolute()  # for the program may change its working directory
    try:
        sample = [_read(file) for file in itertools.islice(_json_files(str(directory), str(directory)), SAMPLE)]
    except FileNotFoundError:
        sample = []
    except OSError as error:
        if not is_recorded:
            raise StoreError(_reason(directory, error)) from error
        sample = []
    if not any(b'"inferencereplay"' in data[:200] for data in sample) and any(map(is_llama_stack, sample)):
        return LlamaStackStore(directory, test_id, prepare)
    if test_id is not None:
        message = f"test_id={test_id!r} picks among llama-stack's recordings, and {directory} holds none."
        raise InvalidSetting(message)
    return DirectoryStore(directory)


def _reason(directory: Path, error: OSError) -> str:
    if error.errno == errno.ENOTDIR:
        there = next(path for path in (directory, *directory.parents) if path.exists())
        return f"{there} is a file. Give the directory that holds the recordings."
    mend = "Look at its permissions" if error.errno == errno.EACCES else "Give another directory"
    return f"{error.filename} cannot be read: {error.strerror}. {mend}."


def _json_files(directory: str, root: str) -> Iterator[str]:
    """Yield files as the file system gives them, without listing a huge directory to its end."""
    folders = []
    with os.scandir(directory) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                folders.append(entry.path)
            elif entry.name.endswith(".json") and _is_readable(entry, root):
                yield entry.path
    for folder in folders:
        yield from _json_files(folder, root)


def _is_readable(entry: os.DirEntry[str], root: str) -> bool:
    """Whether it is a file (a pipe would block) of the directory, even if by way of a link."""
    return entry.is_file() and (not entry.is_symlink() or is_inside(entry.path, root))


def _read(file: str) -> bytes:
    try:
        with open(file, "rb") as opened:  # noqa: PTH123
            return opened.read()
    except OSError:
        return b""
