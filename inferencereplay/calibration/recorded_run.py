"""The requests that one run of a program made, from the recordings that it left."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from inferencereplay.catalogue.conversation import parsed
from inferencereplay.catalogue.entries import Entry, Unreadable

if TYPE_CHECKING:
    import datetime
    from collections.abc import Iterable, Iterator

    from inferencereplay.recording.format import Response
    from inferencereplay.recording.request import JSON, Request

SHORTEST_SAID = 4
"""Characters of an answer's text that is looked for in later requests; a shorter one occurs by chance."""
LONGEST_SAID = 20_000


class Asked(NamedTuple):
    """A request of a run.

    Attributes:
        name: the file of its recording.
        at: when it was sent.
        request: the request.
        body: its body.
        said: the texts of its answer, the longest first: later requests may hold them.
    """

    name: str
    at: datetime.datetime
    request: Request
    body: JSON
    said: tuple[str, ...] = ()


def read_run(items: Iterable[Entry | Unreadable]) -> Iterator[Asked | Unreadable]:
    """Read the requests of a run, and pass on what cannot be read.

    Raises:
        RecordingCorrupt: if the request of a recording cannot be read.
    """
    for item in items:
        if isinstance(item, Unreadable):
            yield item
        else:
            yield Asked(item.name, item.date, item.request, parsed(item.request.body), _said(item))


def _said(entry: Entry) -> tuple[str, ...]:
    response = entry.recording.response
    found = set(_leaves(response))
    for choice in entry.conversation.choices if response.is_stream else ():
        message = choice.message
        found.update((message.text, message.reasoning))
        found.update(text for call in message.tool_calls for text in (call.id, call.arguments))
    kept = (text for text in found if SHORTEST_SAID <= len(text) <= LONGEST_SAID)
    return tuple(sorted(kept, key=len, reverse=True))


def _leaves(response: Response) -> Iterator[str]:
    """Yield the texts of an answer's JSON."""
    values = [parsed(bytes(raw)) for raw in (response.body, *response.chunks)]
    while values:
        value = values.pop()
        if isinstance(value, str):
            yield value
        elif isinstance(value, list):
            values += value
        elif isinstance(value, dict):
            values += value.values()
