"""What changed between two recordings, or between two sets of them: directories, or revisions of one.

Unless all is asked for, what varies by nature does not count: see `recording.varying`. A stream is compared by what it
adds up to.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from inferencereplay.catalogue.conversation import CONNECTION, parsed
from inferencereplay.catalogue.conversation.parts import members
from inferencereplay.recording.difference import differences
from inferencereplay.recording.frames import encode
from inferencereplay.recording.varying import without_varying

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from inferencereplay.catalogue.entries import Entry
    from inferencereplay.recording.difference import Difference
    from inferencereplay.recording.frames import Frame
    from inferencereplay.recording.request import JSON

ADDED, REMOVED, CHANGED, UNCHANGED, UNREADABLE = "added", "removed", "changed", "unchanged", "unreadable"
SIDES = ("request", "response")
_SHA1_DIGITS = 40
_ANSWERED = "/responses"
"""A path whose answers a model writes, as those that come over a connection."""


class Version(NamedTuple):
    """One version of a file.

    Attributes:
        read: returns its content.
        blob: the id by which git knows the content; empty if that is not known.
    """

    read: Callable[[], bytes]
    blob: str = ""


class Change(NamedTuple):
    """What became of one file.

    Attributes:
        name: the file.
        kind: `added`, `removed`, `changed`, `unchanged` or `unreadable`.
        differences: of one that was changed.
        reason: why one cannot be read.
    """

    name: str
    kind: str
    differences: tuple[Difference, ...] = ()
    reason: str = ""


def compare(first: Entry, second: Entry, what: str = "", *, is_all: bool = False) -> list[Difference]:
    """Return the differences between two recordings.

    Args:
        first: one recording.
        second: the other one.
        what: `request` or `response`, to compare that only.
        is_all: whether what varies by nature counts too.
    """
    is_assembled = first.recording.response.is_stream or second.recording.response.is_stream
    one, other = (_sides(entry, is_assembled=is_assembled, is_all=is_all) for entry in (first, second))
    names = (what,) if what else (*one,)
    return [*differences({name: one[name] for name in names}, {name: other[name] for name in names})]


def _sides(entry: Entry, *, is_assembled: bool, is_all: bool) -> dict[str, JSON]:
    request, answer = entry.recording.request, _answer(entry, is_assembled=is_assembled)
    asked: JSON = {"method": request.method, "path": request.path, "query": request.query, "body": entry.body}
    if is_all:
        recorded: JSON = msgspec.to_builtins(entry.recording.recorded)
        return {"request": asked, "response": answer | _network(entry), "recorded": recorded}
    if is_assembled and isinstance(usage := answer.get("usage"), dict):
        answer["usage"] = {name: value for name, value in usage.items() if name != "cached"}
    path = entry.path if entry.kind != CONNECTION else _ANSWERED
    return {"request": asked, "response": without_varying(path, answer)}


def _answer(entry: Entry, *, is_assembled: bool) -> dict[str, JSON]:
    response, talk = entry.recording.response, entry.conversation
    answer: dict[str, JSON] = {"status": response.status}
    if response.frames is not None:
        return answer | {"end": response.end, "frames": [*map(_frame, response.frames)]}
    if is_assembled:
        held = {"choices": talk.choices, "usage": talk.usage, "error": talk.error, "end": talk.end}
        return answer | {name: _named(value) for name, value in held.items()}
    if response.text is not None:
        return answer | {"text": response.text}
    return answer | {"body": parsed(bytes(response.body))}


def _frame(frame: Frame) -> JSON:
    """Return a frame without the id that each event has anew."""
    plain = parsed(encode(frame))
    members(members(plain).get("json")).pop("event_id", None)
    return plain


def _network(entry: Entry) -> dict[str, JSON]:
    """Return what the network added: headers, times, attempts; the times of chunks as one text."""
    response = entry.recording.response
    held = msgspec.to_builtins({**msgspec.structs.asdict(response), "body": None, "chunks": None, "frames": None})
    names = ("headers", "redirects", "elapsed", "left", "retries", "downloaded")
    times = ", ".join(f"{offset:.6f}" for offset in response.offsets)
    return {name: held[name] for name in names} | {"offsets": times, "chunks": response.arrivals}


def _named(value: Any) -> JSON:
    """Turn named tuples into objects."""
    if isinstance(value, tuple):
        fields = getattr(value, "_fields", None)
        named = [_named(item) for item in value]
        return dict(zip(fields, named, strict=True)) if fields else named
    return value


def changes(
    old: Mapping[str, Version],
    new: Mapping[str, Version],
    read: Callable[[bytes, str], Entry],
    compared: Callable[[Entry, Entry], list[Difference]],
) -> Iterator[Change]:
    """Yield what became of each file, in the order of the names.

    Args:
        old: the versions of files before, by name.
        new: those after.
        read: makes a recording of a file's content and its name; raises a `ValueError` if it cannot.
        compared: returns the differences between two recordings.
    """
    for name in sorted({*old, *new}):
        before, after = old.get(name), new.get(name)
        if before is None or after is None:
            yield Change(name, ADDED if before is None else REMOVED)
            continue
        try:
            found = _compare_versions(name, before, after, read, compared)
        except ValueError as error:
            yield Change(name, UNREADABLE, reason=str(error))
        else:
            yield Change(name, CHANGED if found else UNCHANGED, found)


def _compare_versions(
    name: str,
    before: Version,
    after: Version,
    read: Callable[[bytes, str], Entry],
    compared: Callable[[Entry, Entry], list[Difference]],
) -> tuple[Difference, ...]:
    if before.blob and before.blob == after.blob:
        return ()
    data = after.read()
    if before.blob and before.blob == blob_id(data, before.blob):
        return ()
    there = before.read()
    return () if there == data else (*compared(read(there, name), read(data, name)),)


def blob_id(data: bytes, like: str) -> str:
    """Return the id that git gives to a content, of as many digits as another one.

    The format: https://git-scm.com/book/en/v2/Git-Internals-Git-Objects, "Object Storage".
    """
    content = b"blob %d\0%b" % (len(data), data)
    if len(like) == _SHA1_DIGITS:
        return hashlib.sha1(content, usedforsecurity=False).hexdigest()
    return hashlib.sha256(content).hexdigest()
