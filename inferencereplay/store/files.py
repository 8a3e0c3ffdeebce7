"""The files of recordings by their names, as commands list, copy, rename and remove them.

A session asks a store for the recording of a request. Whoever keeps a directory in order does not have the requests,
and wants the files beside recordings as well.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

_OF_RECORDING = re.compile(r"([0-9a-f]{32}(?:~(?:[2-9]|[1-9][0-9]+))?)\.[A-Za-z0-9][A-Za-z0-9.]*")


class FileState(NamedTuple):
    """A file, without its content.

    Attributes:
        name: relative to the place, with `/`.
        size: in bytes.
        modified: when it was written, in nanoseconds since 1970.
        md5: of the content, 32 hexadecimal digits; empty if only a look into the content tells.
    """

    name: str
    size: int
    modified: int
    md5: str = ""


class Content(NamedTuple):
    """A file's content, and when it was written, in nanoseconds since 1970."""

    data: bytes
    modified: int


class Files(Protocol):
    """The files of recordings in one place. Each is written whole or not at all."""

    @property
    def place(self) -> str:
        """The path of the directory, or the URL."""
        ...

    def list(self) -> Iterator[FileState]:
        """Yield the files that belong to recordings; see `recording_of`.

        Raises:
            StoreError: if the place cannot be looked into.
        """
        ...

    def names(self) -> Iterator[str]:
        """Yield the names of these files alone, which costs less; the errors are those of `list`."""
        ...

    def state(self, name: str) -> FileState | None:
        """Return the state of a file; `None` if there is none."""
        ...

    def locked(self) -> AbstractContextManager[None]:
        """Keep other commands out meanwhile, where that can be."""
        ...

    def read(self, name: str, *, follows_links: bool = True) -> Content | None:
        """Read a file; `None` if there is none.

        Args:
            name: the file's.
            follows_links: whether the target of a link is read, where there are links; otherwise a link is an error.

        Raises:
            StoreError: if it cannot be read.
        """
        ...

    def add(self, name: str, data: bytes, *, like: str = "") -> bool:
        """Write a file; return `False` if there is one already.

        Args:
            name: the file's.
            data: its content.
            like: the name of a file whose mode and owner it gets, where files have these.

        Raises:
            OSError: if it cannot be written.
        """
        ...

    def replace(self, name: str, data: bytes) -> None:
        """Write a file in the place of one that is there.

        Raises:
            OSError: if it cannot be written.
        """
        ...

    def move(self, name: str, to: str) -> bool:
        """Give a file another name; return `False` if that is taken, or the file is gone.

        Raises:
            OSError: if it cannot be renamed.
        """
        ...

    def remove(self, name: str) -> None:
        """Remove a file if it is there; a side file stays if a recording names it, or one that is being stored may.

        Raises:
            OSError: if it cannot be removed.
        """
        ...

    def sweep(self) -> None:
        """Remove what writers that died have left half written; what belongs to a living one stays.

        Raises:
            OSError: if the place cannot be written to.
        """
        ...


def recording_of(name: str) -> str:
    """Return the name of the recording that a file belongs to: its own, or beside it; empty for any other file.

    A file beside a recording has its name with another ending, as `<32 hex>~2.mp3` has.
    """
    folder, _, file = name.rpartition("/")
    found = _OF_RECORDING.fullmatch(file)
    return f"{folder}/{found[1]}.json".removeprefix("/") if found else ""


def as_name(path: str) -> str:
    """Return a relative path as a name, with `/`."""
    return path.replace(os.sep, "/")
