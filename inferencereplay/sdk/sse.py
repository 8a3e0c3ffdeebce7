"""Server-sent events: from bytes to events, by the SDK's own rules.

Those are the HTML standard's (https://html.spec.whatwg.org/multipage/server-sent-events.html), but for an event that
has only an id or a retry time: it counts, with empty data, and since an id stays until the next one, so does an empty
line after it.
"""

from __future__ import annotations

from typing import NamedTuple


class Event(NamedTuple):
    """One event: its name, if it has one, and its data."""

    name: str | None
    data: str


class EventDecoder:
    """A decoder that is fed bytes as they arrive, and returns the events that they complete.

    Attributes:
        rest: the bytes from the first event on that is not UTF-8.
    """

    def __init__(self) -> None:
        self.rest = bytearray()
        self._line = bytearray()
        self._is_after_return = False
        self._pending = bytearray()
        from inferencereplay.sdk.private import SSEDecoder  # noqa: PLC0415 - it imports openai, which takes a second

        self._sdk = SSEDecoder()

    @property
    def is_between(self) -> bool:
        """Whether the bytes up to now are whole events."""
        return not (self.rest or self._line or self._pending or self._is_after_return)

    def feed(self, data: bytes) -> list[Event]:
        """Return the events that `data` completes; the bytes of an incomplete one wait for more."""
        if self.rest:
            self.rest += data
            return []
        if data[:6] == b"data: " and data[-2:] == b"\n\n" and not (self._line or self._pending):
            text = data[6:-2]
            if b"\n" not in text and b"\r" not in text:  # one event, as it nearly always comes
                self._is_after_return = False
                try:
                    return [Event(None, text.decode())]
                except UnicodeDecodeError:
                    pass
        return self._read(self._lines(data))

    def finish(self) -> None:
        """Note that nothing follows: the SDK reads a last line that has no end."""
        line, self._line = bytes(self._line), bytearray()
        if line and not self.rest:
            self._read([line])

    def _lines(self, data: bytes) -> list[bytes]:
        """Return the lines that `data` completes. A carriage return ends one at once, a line feed after it is its."""
        if not data:
            return []
        if self._is_after_return and data.startswith(b"\n"):
            data = data[1:]
        self._is_after_return = data.endswith(b"\r")
        self._line += data
        if b"\n" not in data and b"\r" not in data:
            return []
        lines = bytes(self._line).splitlines(keepends=True)
        self._line = bytearray() if lines[-1].endswith((b"\n", b"\r")) else bytearray(lines.pop())
        return lines

    def _read(self, lines: list[bytes]) -> list[Event]:
        events = []
        for index, line in enumerate(lines):
            try:
                made = self._sdk.decode(line.decode().rstrip("\r\n"))
            except UnicodeDecodeError:
                self.rest = self._pending + b"".join(lines[index:]) + self._line
                break
            if not line.strip(b"\r\n"):
                self._pending.clear()
            elif self._pending or not line.startswith(b":"):
                self._pending += line
            if made:
                events.append(Event(made.event, made.data))
        return events
