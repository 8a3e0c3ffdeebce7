"""The capture of an answer that is bytes: its content in a file, and when each of its pieces arrived."""

from __future__ import annotations

from typing import TYPE_CHECKING

from inferencereplay.recording.side_file import HashedFile, HeldFile, side_file

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from inferencereplay.recording.format import Response

MOST_PIECES = 4096
"""Pieces that a recording tells apart; of more, neighbours are told as one, which is there when its last part is."""


class HeldPieces:
    """Pieces with the times at which they arrived, in a file; they are read back in order."""

    def __init__(self) -> None:
        self._file = HeldFile()
        self._arrivals: list[tuple[float, int]] = []

    def take(self, pieces: Iterable[tuple[float, bytes]]) -> None:
        """Take pieces."""
        for seconds, data in pieces:
            self._file.write(data)
            self._arrivals.append((seconds, len(data)))

    def __iter__(self) -> Iterator[tuple[float, bytes]]:
        self._file.seek(0)
        for seconds, size in self._arrivals:
            yield seconds, self._file.read(size)


class BytesCapture:
    """A file that is fed the pieces of an answer.

    Args:
        kept: the answer of the recording.
    """

    def __init__(self, kept: Response) -> None:
        self._kept = kept
        self._file = HashedFile()
        self._offsets: list[float] = []
        self._sizes: list[int] = []

    def __bool__(self) -> bool:
        """Whether anything has come."""
        return bool(self._sizes)

    def take(self, pieces: Iterable[tuple[float, bytes]]) -> None:
        """Take pieces, each with the time at which it arrived."""
        for seconds, data in pieces:
            if data:
                self._file.append(data)
                self._offsets.append(seconds)
                self._sizes.append(len(data))
        while len(self._sizes) > MOST_PIECES:
            self._offsets = [*self._offsets[1::2], *self._offsets[len(self._offsets) // 2 * 2 :]]
            self._sizes = [sum(self._sizes[start : start + 2]) for start in range(0, len(self._sizes), 2)]

    def finish(self) -> None:
        """Put the content into the recording's answer; what is empty is an empty text."""
        kept = self._kept
        kept.elapsed = self._offsets[-1] if self._offsets else 0.0
        if not self._sizes:
            kept.text = ""
            return
        kept.binary = side_file(self._file, kept.headers.get("content-type", ""))
        kept.offsets, kept.pieces = self._offsets, self._sizes
