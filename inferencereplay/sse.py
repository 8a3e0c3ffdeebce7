"""Server-sent events: from bytes to events.

The rules are the HTML standard's (https://html.spec.whatwg.org/multipage/server-sent-events.html), in the reading
of the `openai` package: an event that has only an id or a retry time counts, with empty data.
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
        self._rest = b""
        self._name: str | None = None
        self._data: list[str] = []
        self._is_event = False

    def feed(self, data: bytes) -> list[Event]:
        """Return the events that `data` completes; what is not complete waits for more.

        Raises:
            UnicodeDecodeError: if a line is no UTF-8.
        """
        text = self._rest + data
        # A carriage return at the end waits: the line feed that may belong to it has not arrived.
        text, held = (text[:-1], b"\r") if text.endswith(b"\r") else (text, b"")
        *lines, rest = _LINE_END.split(text)
        self._rest = rest + held
        return [event for line in lines if (event := self._line(line.decode()))]

    def _line(self, line: str) -> Event | None:
        if not line:
            return self._dispatch()
        field, _, value = line.partition(":")
        value = value[1:] if value.startswith(" ") else value
        if field == "event":
            self._name = value
        elif field == "data":
            self._data.append(value)
        self._is_event = self._is_event or (field in ("event", "data", "id", "retry") and bool(value or field == "data"))
        return None

    def _dispatch(self) -> Event | None:
        if not self._is_event:
            return None
        event = Event(self._name or None, "\n".join(self._data))
        self._name, self._data, self._is_event = None, [], False
        return event
