"""Where recordings live."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator

    from inferencereplay.request import JSON


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

    def put(self, path: str, key: str, variant: int, data: bytes, *, replace: bool) -> bool:
        """Store a recording whole or not at all; without `replace`, return `False` if there is one already."""
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
