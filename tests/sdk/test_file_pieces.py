"""The pieces of a replayed answer that is bytes."""

from __future__ import annotations

import asyncio

from inferencereplay.recording.format import Response
from inferencereplay.recording.side_file import side_file
from inferencereplay.sdk.file_pieces import FilePieces


def test_small_pieces_are_read_together():
    """In async code one read in a thread serves all that it has read; after the last piece there is nothing to read."""
    side = side_file(b"onetwo", "audio/mpeg")
    opened = []

    def open_counted():
        opened.append(1)
        return type(side).open(side)

    pieces = FilePieces(Response(binary=side, pieces=[3, 3], offsets=[0.1, 0.2]))
    pieces._side = type("Counted", (), {"open": staticmethod(open_counted)})()

    async def way():
        got = []
        for _ in range(2):
            await pieces.read_async()
            got.append(next(pieces))
        await pieces.read_async()
        return got, next(pieces, None)

    assert asyncio.run(way()) == ([b"one", b"two"], None)
    assert opened == [1]


def test_pieces_that_nobody_read_are_closed():
    """Their file was never opened."""
    pieces = FilePieces(Response(binary=side_file(b"one", "audio/mpeg"), pieces=[3], offsets=[0.1]))
    pieces.close()
    assert pieces._file is None
