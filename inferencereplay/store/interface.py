"""What a session needs of the place where its recordings live."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from inferencereplay.recording.request import JSON


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
