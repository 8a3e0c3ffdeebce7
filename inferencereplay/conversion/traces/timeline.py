"""The recorded calls of a directory in the order in which they were sent, grouped into conversations."""

from __future__ import annotations

import hashlib
from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from inferencereplay.catalogue.conversation import kind_of
from inferencereplay.catalogue.entries import Entry, Unreadable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from inferencereplay.catalogue.conversation import Message
    from inferencereplay.catalogue.entries import Catalogue


class Call(NamedTuple):
    """A recorded call.

    Attributes:
        entry: the recording.
        at: when its request was sent, Unix time in seconds.
        seconds: from the first call of the timeline to this one.
        session: the name of its conversation, 32 hex digits; calls of one conversation never overlapped.
    """

    entry: Entry
    at: float
    seconds: float
    session: str


class Timeline:
    """The calls of a directory; the files are read anew each time it is iterated over.

    Args:
        catalogue: of the directory.
        accepts: whether a recording is wanted.
        counts: gets the numbers of `unreadable` files, and of each reason for leaving others out.

    Attributes:
        paths: how many calls there are of each path.
        coarse: how many calls have times in whole seconds only.
    """

    def __init__(self, catalogue: Catalogue, accepts: Callable[[Entry], bool], counts: Counter[str]) -> None:
        self.paths: Counter[str] = Counter()
        self.coarse = 0
        self._catalogue = catalogue
        self._calls: list[tuple[float, str]] = []
        for item in catalogue.scan():
            if isinstance(item, Unreadable):
                counts["unreadable"] += 1
            elif accepts(item):
                self._add(item, counts)
        self._calls.sort()

    def __iter__(self) -> Iterator[Call]:
        sessions = _Sessions()
        for at, name in self._calls:
            entry = self._catalogue.read(name)
            yield Call(entry, at, at - self._calls[0][0], sessions.find(entry, at))

    def conversations(self) -> Iterator[Call]:
        """Yield the calls conversation by conversation, in the order in which these began."""
        grouped: dict[str, list[tuple[float, float, str]]] = {}
        for call in self:
            grouped.setdefault(call.session, []).append((call.at, call.seconds, call.entry.name))
        for session, calls in grouped.items():
            for at, seconds, name in calls:
                yield Call(self._catalogue.read(name), at, seconds, session)

    def _add(self, entry: Entry, counts: Counter[str]) -> None:
        at = _sent_at(entry)
        if not isinstance(entry.body, dict) or kind_of(entry.path, entry.body) == "other":
            counts["no calls of a model"] += 1
        elif at is None:
            counts["without a time"] += 1
        else:
            self._calls.append((at, entry.name))
            self.paths[entry.path] += 1
            self.coarse += entry.is_coarse


def duration(entry: Entry) -> float:
    """Return the seconds from the request to the end of the answer, or of what was read; 0 if they are not known."""
    response = entry.recording.response
    last = response.offsets[-1] if response.offsets else 0.0
    return max(response.elapsed or 0.0, response.left or 0.0, last)


def _sent_at(entry: Entry) -> float | None:
    if entry.recorded_at is None:
        return None
    at = entry.recorded_at.timestamp()
    return at - duration(entry) if entry.is_coarse else at  # coarse ones say when the answer was stored


class _Sessions:
    """Finds the conversation that a call continues; the calls come in the order of their times."""

    def __init__(self) -> None:
        self._known: dict[bytes, str] = {}
        self._ends: dict[str, float] = {}

    def find(self, entry: Entry, at: float) -> str:
        """Return the name of the call's conversation.

        It continues another call whose messages, followed by an answer, its own begin with, if that conversation was
        at rest. Otherwise it begins a new one.
        """
        messages = entry.conversation.messages
        digests = _digests(messages)
        session = ""
        for count in range(len(messages) - 1, 0, -1):
            found = self._known.get(digests[count - 1], "") if messages[count].role == "assistant" else ""
            if found and self._ends[found] <= at:
                session = found
                break
        session = session or hashlib.blake2b(entry.name.encode("utf-8", "replace"), digest_size=16).hexdigest()
        self._ends[session] = at + duration(entry)
        if digests:
            self._known[digests[-1]] = session
        return session


def _digests(messages: tuple[Message, ...]) -> list[bytes]:
    """Return a digest of the first message, one of the first two, and so on."""
    state, made = hashlib.blake2b(digest_size=16), []
    for message in messages:
        state.update(repr(message).encode())
        made.append(state.digest())
    return made
