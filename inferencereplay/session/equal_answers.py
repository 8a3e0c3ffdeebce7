"""Answers that equal the stored ones but for what varies by nature: their files stay as they are (`keep_equal`).

A program may send an id of an answer back, as it does with the calls of tools and with `previous_response_id`. The
recording of that later request has the new id, and a replay has to give out the answer with that same id. So an answer
whose ids are new is kept in memory, and stored after all before a request is stored that holds one of them. All
sessions of a process share that: the later request may belong to another one.
"""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING, NamedTuple

from inferencereplay.errors import InferenceReplayError
from inferencereplay.locks import make_lock
from inferencereplay.recording.control_characters import visible
from inferencereplay.recording.format import decode, stored_request
from inferencereplay.recording.varying import are_equal, constant
from inferencereplay.redaction.redactor import REDACTED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from inferencereplay.recording.format import Recording
    from inferencereplay.recording.request import Request
    from inferencereplay.store.address import Address
    from inferencereplay.store.interface import WritableStore

log = logging.getLogger("inferencereplay")

MOST_HELD = 64 * 1024 * 1024
"""Bytes of answers that are kept in memory; those past it are stored although they are equal."""
_WORD = re.compile(rb"[\w-]+")
_REDACTED = REDACTED.encode()
"""A file with fewer of these than the new one holds a secret that is known now, perhaps in what varies."""


class Held(NamedTuple):
    """An answer whose file was left as it was.

    Attributes:
        store: where the file is.
        address: the file's, when it was left.
        there: its content.
        data: what would have been stored.
        words: the words of the new ids by which it is found.
        note: is called when the answer is stored after all.
    """

    store: WritableStore
    address: Address
    there: bytes
    data: bytes
    words: tuple[bytes, ...]
    note: Callable[[], object]

    @property
    def size(self) -> int:
        """The bytes that it takes."""
        return len(self.there) + len(self.data)


class HeldAnswers:
    """The answers of this process that may have to be stored after all, by the words of their ids."""

    def __init__(self) -> None:
        self._held: dict[bytes, Held] = {}
        self._size = 0
        self._lock = make_lock()

    def add(self, held: Held) -> bool:
        """Keep an answer; `False` if there are too many."""
        with self._lock:
            if self._size + held.size > MOST_HELD:
                return False
            self._size += held.size
            self._held.update(dict.fromkeys(held.words, held))
            return True

    def take(self, texts: Iterable[bytes]) -> list[Held]:
        """Return, and keep no longer, the answers of which a text holds an id."""
        if not self._held:
            return []
        words = {word for text in texts for word in _WORD.findall(text)}
        found = []
        with self._lock:
            for word in words & self._held.keys():
                if held := self._held.get(word):  # another word may have led to it
                    found.append(held)
                    self._size -= held.size
                    for name in held.words:
                        self._held.pop(name, None)
        return found


_of_process = HeldAnswers()


def store_sent_back(request: Request, *messages: bytes) -> None:
    """Store the answers of which a request, or a message that is about to be stored has an id; a failure is logged."""
    for held in _of_process.take((request.body, request.path.encode(), repr(request.query).encode(), *messages)):
        try:
            if _replace(held):
                held.note()
        except (OSError, InferenceReplayError) as error:  # noqa: PERF203 - each by itself
            log.warning("an answer in %s could not be replaced: %s", visible(held.store.directory), visible(str(error)))


def _replace(held: Held) -> bool:
    """Replace the file, which has a lower number if a gap was closed, unless it was changed meanwhile."""
    path, key, number = held.address
    for lower in range(number, 0, -1):
        if held.store.get(path, key, lower) == held.there:
            return held.store.replace_if(path, key, lower, held.data, held.there.__eq__)
    return False


def stays(store: WritableStore, address: Address, note: Callable[[], object], there: bytes, data: bytes) -> bool:
    """Whether a file stays as it is, for the new answer equals it but for what varies.

    Args:
        store: where the file is.
        address: the file's.
        note: is called if the answer is stored after all.
        there: the file's content.
        data: what would be stored.
    """
    try:
        old, new = decode(there, ""), decode(data, "")
        if not _has_request(old, new) or data.count(_REDACTED) > there.count(_REDACTED):
            return False
        first, second = (constant(new.request.path, item.response) for item in (old, new))
    except InferenceReplayError:
        return False
    if not are_equal(first, second):
        return False
    fresh = set(second.ids) - set(first.ids)
    words = [max(_WORD.findall(item.encode(errors="replace")), key=len, default=b"") for item in fresh]
    if not all(words):  # an id that no request could be searched for
        return False
    return not words or _of_process.add(Held(store, address, there, data, tuple(words), note))


def _has_request(old: Recording, new: Recording) -> bool:
    """Whether the request in the file is the one that was made; it may have been edited."""
    return old.key == new.key == stored_request(old, "").key
