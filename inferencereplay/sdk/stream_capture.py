"""The events of a recorded stream: from the bytes that arrived to chunks, as they are in a recording."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import msgspec

from inferencereplay.recording.text_chunks import TextChunks, read_known_chunks, texts_of
from inferencereplay.sdk.sse import Event, EventDecoder

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from inferencereplay.recording.format import Response
    from inferencereplay.recording.text_chunks import TextChunk

SENTINEL = "[DONE]"
_SENTINEL = SENTINEL.encode()
_OPENING, _CLOSING = set(b"{"), set(b"}")
_read_lines = msgspec.json.Decoder().decode_lines
_SLICE = 64 * 1024
"""Bytes that are parsed at once; to parse more would keep other threads waiting."""
_PORTION = 512 * 1024
"""Bytes that are taken together."""


class StreamCapture:
    """A parser that is fed the bytes of a stream, and keeps the events; comments take no memory.

    Args:
        kept: the answer of the recording.

    Attributes:
        is_done: whether the stream closed with `data: [DONE]`. What follows does not count.
    """

    def __init__(self, kept: Response) -> None:
        self._kept = kept
        self._used: EventDecoder | None = None
        self._texts: list[str] | None = None
        self.is_done = False

    @property
    def _decoder(self) -> EventDecoder:
        """The decoder of what is not simple; most streams need none."""
        self._used = self._used or EventDecoder()
        return self._used

    def __bool__(self) -> bool:
        """Whether there was any event."""
        return bool(self.is_done or self._kept.chunks or (self._used and self._used.rest))

    def feed_all(self, pieces: Iterable[tuple[float, bytes]]) -> None:
        """Take pieces, each with the time at which it arrived."""
        for some in [pieces] if isinstance(pieces, list) else _portions(pieces):
            if not self._feed_whole(some):
                for seconds, data in some:
                    self.feed(seconds, data)

    def _feed_whole(self, pieces: Sequence[tuple[float, bytes]]) -> bool:
        """Take pieces that are an event each, as they nearly always are, at once; `False` if one of them is not."""
        if not pieces or pieces[0][1][:6] != b"data: ":  # as comments, which would be joined for nothing
            return False
        datas = [data for _, data in pieces]
        raws = [data[6:-2] for data in datas]
        if b"data: %b\n\n" % b"\n\ndata: ".join(raws) != b"".join(datas):
            return False
        if self.is_done or (self._used and not self._used.is_between):
            return False
        is_done = raws[-1].startswith(_SENTINEL)
        raws = raws[:-1] if is_done else raws
        raws = [raw.strip(b" \t") for raw in raws]
        kept, read = self._kept, _read_chunks(raws)
        if read is None:
            return False
        self._texts = None if kept.chunks or not read else texts_of(read)
        kept.events += [None] * len(raws) if kept.events else []
        kept.chunks += map(msgspec.Raw, raws)
        kept.offsets += [seconds for seconds, _ in pieces[: len(raws)]]
        self.is_done = is_done
        return True

    def feed(self, seconds: float, data: bytes) -> None:
        """Take bytes that arrived at one time."""
        for start in range(0, len(data), _SLICE):
            for event in self._decoder.feed(data[start : start + _SLICE] if len(data) > _SLICE else data):
                if self.is_done:
                    return
                if event.data.startswith(SENTINEL):
                    self.is_done = True
                    return
                self._add(event, seconds)

    def finish(self, *, is_exhausted: bool, is_parsed: bool) -> None:
        """Note how the stream ended.

        Args:
            is_exhausted: whether the server ended it.
            is_parsed: whether the SDK parsed it.
        """
        kept = self._kept
        if self._texts is not None:
            kept.chunks = TextChunks(kept.chunks, self._texts)
        if self.is_done:
            kept.end, kept.sentinel, kept.failure = "done", True, None
            return
        decoder = self._decoder
        if is_exhausted:
            decoder.finish()
        kept.rest, kept.sentinel = bytes(decoder.rest), False
        if kept.failure:
            kept.end = "error"
        elif is_exhausted or kept.rest or (is_parsed and kept.verbatim) or _has_error_event(kept):
            kept.end = "done"  # the SDK reads no further than to an event at which it raises
        else:
            kept.end = "closed"

    def _add(self, event: Event, seconds: float) -> None:
        kept, self._texts = self._kept, None
        data = event.data.encode()
        try:
            msgspec.json.decode(data)
            chunk = msgspec.json.format(data, indent=-1) if b"\n" in data else data.strip()
        except (msgspec.DecodeError, RecursionError):
            kept.verbatim.append(len(kept.chunks))
            chunk = msgspec.json.encode(event.data)
        if event.name is not None and not kept.events:
            kept.events = [None] * len(kept.chunks)
        if kept.events or event.name is not None:
            kept.events.append(event.name)
        kept.chunks.append(msgspec.Raw(chunk))
        kept.offsets.append(seconds)


def _read_chunks(raws: list[bytes]) -> Sequence[TextChunk] | None:
    """Read chunks that are an object of JSON each; none if they are no texts, `None` if one of them is something else.

    A line may hold two values and a value may reach over two lines, but not where one brace follows upon another.
    """
    if not raws:
        return []
    together = b"".join(raws)
    if b"" in raws or b"\n" in together or b"\r" in together:
        return None
    if {raw[0] for raw in raws} != _OPENING or {raw[-1] for raw in raws} != _CLOSING:
        return None
    text = b"\n".join(raws)
    with contextlib.suppress(msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        read = read_known_chunks(text)
        return read if len(read) == len(raws) else None
    with contextlib.suppress(msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        text.decode()
        return [] if len(_read_lines(text)) == len(raws) else None
    return None


def _portions(pieces: Iterable[tuple[float, bytes]]) -> Iterator[list[tuple[float, bytes]]]:
    """Yield pieces together, as many as are held in memory at once: what was compressed may be large."""
    portion, size = [], 0
    for piece in pieces:
        portion.append(piece)
        size += len(piece[1])
        if size > _PORTION:
            yield portion
            portion, size = [], 0
    yield portion


def _has_error_event(kept: Response) -> bool:
    """Whether the SDK raises an error that the server sent as an event."""
    names = kept.events or [None] * len(kept.chunks)
    return any(
        _is_error(bytes(chunk)) for name, chunk in zip(names, kept.chunks, strict=True) if name in (None, "error")
    )


def _is_error(chunk: bytes) -> bool:
    event = msgspec.json.decode(chunk) if b"error" in chunk else None
    return isinstance(event, dict) and bool(event.get("error"))
