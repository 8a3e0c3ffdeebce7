"""Server-sent events: from bytes to events.

The rules are the HTML standard's (https://html.spec.whatwg.org/multipage/server-sent-events.html), in the reading
of the `openai` package: an event that has only an id or a retry time counts, with empty data, and since an id stays
until the next one, so does an empty line after it.
"""

from __future__ import annotations

import re
from typing import NamedTuple

_LINE_END = re.compile(rb"\r\n|\r|\n")


class Event(NamedTuple):
    """One event: its name, if it has one, and its data."""

    name: str | None
    data: str


class EventDecoder:
    """Fed bytes as they arrive, it returns the events that they complete."""

    def __init__(self) -> None:
        self._line = bytearray()
        self._is_after_return = False
        self._name = ""
        self._data: list[str] = []
        self._id = ""
        self._has_retry = False

    def feed(self, data: bytes) -> list[Event]:
        """Return the events that `data` completes; what is not complete waits for more.

        Raises:
            UnicodeDecodeError: if a line is no UTF-8.
        """
        if data[:6] == b"data: " and data[-2:] == b"\n\n" and self._is_between_events():
            text = data[6:-2]
            if b"\n" not in text and b"\r" not in text:  # one event, as it nearly always comes
                self._is_after_return = False
                return [Event(None, text.decode())]
        return [event for line in self._lines(data) if (event := self._read(line.decode()))]

    def _is_between_events(self) -> bool:
        return not (self._line or self._name or self._data or self._has_retry)

    def _lines(self, data: bytes) -> list[bytes]:
        """Return the lines that `data` completes. A carriage return ends one at once, a line feed after it is its."""
        if not data:
            return []
        text = data[1:] if self._is_after_return and data.startswith(b"\n") else data
        self._is_after_return = data.endswith(b"\r")
        first, *others = _LINE_END.split(text) if b"\r" in text else text.split(b"\n")  # which is four times faster
        self._line += first
        if not others:
            return []
        lines = [bytes(self._line), *others[:-1]]
        self._line = bytearray(others[-1])
        return lines

    def _read(self, line: str) -> Event | None:
        if not line:
            return self._dispatch()
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if field == "event":
            self._name = value
        elif field == "data":
            self._data.append(value)
        elif field == "id" and "\0" not in value:
            self._id = value
        elif field == "retry":
            self._has_retry = self._has_retry or _is_number(value)
        return None

    def _dispatch(self) -> Event | None:
        if not (self._name or self._data or self._id or self._has_retry):
            return None
        event = Event(self._name or None, "\n".join(self._data))
        self._name, self._data, self._has_retry = "", [], False
        return event


def _is_number(text: str) -> bool:
    try:
        int(text)
    except ValueError:
        return False
    return True
