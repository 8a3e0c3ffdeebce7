"""The pieces of a replayed answer that is bytes, read from its side file as they are asked for."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, BinaryIO

from inferencereplay.sdk.steps import in_thread

if TYPE_CHECKING:
    from inferencereplay.recording.format import Response

AT_ONCE = 1024 * 1024
"""Bytes that are read together where the pieces are smaller."""
LARGEST = 16 * 1024 * 1024
"""Bytes of the largest piece of an answer that was recorded as a whole."""


class FilePieces:
    """An iterator over the pieces of an answer; its file is opened when the first one is asked for.

    Args:
        response: the recorded answer.
    """

    def __init__(self, response: Response) -> None:
        assert response.binary is not None  # noqa: S101 - for the type checker
        self._side = response.binary
        self._sizes = response.pieces
        self._left = self._side.length
        self._next = self._place = 0
        self._block = b""
        self._file: BinaryIO | None = None

    def __iter__(self) -> FilePieces:
        return self

    def __next__(self) -> bytes:
        """Return the next piece.

        Raises:
            RecordingCorrupt: if the file is gone, or another one.
        """
        size = self._size()
        if not size:
            self.close()
            raise StopIteration
        if self._is_short(size):
            self._read(size)
        piece = self._block if size == len(self._block) else self._block[self._place : self._place + size]
        self._place += size
        self._next += 1
        self._left -= size
        return piece

    async def read_async(self) -> None:
        """Read what the next piece needs, without blocking the event loop; errors are those of `__next__`."""
        size = self._size()
        if size and self._is_short(size):
            await in_thread(functools.partial(self._read, size))

    def close(self) -> None:
        """Close the file, and forget what was read of it."""
        self._block, self._place = b"", 0
        if self._file is not None:
            self._file.close()

    def _size(self) -> int:
        if self._sizes:
            return self._sizes[self._next] if self._next < len(self._sizes) else 0
        return min(self._left, LARGEST)

    def _is_short(self, size: int) -> bool:
        return len(self._block) - self._place < size

    def _read(self, size: int) -> None:
        if self._file is None:
            self._file = self._side.open()
        rest = self._block[self._place :]
        self._block, self._place = rest + self._file.read(max(size, AT_ONCE) - len(rest)), 0
