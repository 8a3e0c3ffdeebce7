"""All recordings of a directory, read for people: to list, to search and to look up.

Nothing is read before it is asked for, and one file at a time, so that a directory may hold a hundred thousand.
"""

from __future__ import annotations

import datetime
import fnmatch
import functools
import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from inferencereplay.catalogue.conversation import parsed, read_conversation
from inferencereplay.errors import AmbiguousRecording, RecordingCorrupt, StoreError, UnknownRecording
from inferencereplay.recording.format import VERSION, RecordedRequest, Recording, corrupt, decode, stored_request
from inferencereplay.store.address import DIGITS, parse_file_name
from inferencereplay.store.bounded_read import read, way_out
from inferencereplay.store.containment import is_inside
from inferencereplay.store.llama_stack import walk
from inferencereplay.store.llama_stack_file import UnsupportedFile, is_llama_stack, parse
from inferencereplay.store.opening import open_store

if TYPE_CHECKING:
    from collections.abc import Iterator

    from inferencereplay.catalogue.conversation import Conversation
    from inferencereplay.recording.request import JSON, Request

_REFERENCE = re.compile(r"(?P<key>[0-9a-f]{1,64})(?:~(?P<variant>[1-9][0-9]*))?")
MOST_CANDIDATES = 20
"""Names that the error of an ambiguous prefix lists."""


@dataclass(frozen=True)
class Entry:
    """One file that holds a recording.

    Attributes:
        name: relative to the catalogue's directory, or the path as it was given.
        recording: what it holds; a llama-stack file in our words.
        size: bytes.
        modified: when the file was written last (UTC).
    """

    name: str
    recording: Recording
    size: int
    modified: datetime.datetime

    @property
    def key(self) -> str:
        """The key as the file has it."""
        return self.recording.key

    @property
    def variant(self) -> int:
        """The number of the variant, as the name of a file of ours says."""
        found = parse_file_name(Path(self.name).name)
        return found[1] if found else 1

    @property
    def path(self) -> str:
        """The request's path, such as `/chat/completions`."""
        return self.recording.request.path

    @functools.cached_property
    def request(self) -> Request:
        """The request in canonical form.

        Raises:
            RecordingCorrupt: if its body cannot be read.
        """
        return stored_request(self.recording, self.name)

    @functools.cached_property
    def body(self) -> JSON:
        """The request's body, or `None`."""
        return parsed(bytes(self.recording.request.body))

    @functools.cached_property
    def conversation(self) -> Conversation:
        """The recording as a person reads it."""
        return read_conversation(self.recording)

    @property
    def model(self) -> str:
        """The model that the request names, or the answer where the request does not; may be empty."""
        named = self.body.get("model") if isinstance(self.body, dict) else None
        return named if isinstance(named, str) else self.conversation.model

    @property
    def recorded_at(self) -> datetime.datetime | None:
        """When it was recorded (UTC), if the file says so."""
        try:
            at = datetime.datetime.fromisoformat(self.recording.recorded.at.replace("Z", "+00:00"))
        except ValueError:
            return None
        return at.replace(tzinfo=at.tzinfo or datetime.timezone.utc)

    @property
    def date(self) -> datetime.datetime:
        """When it was recorded or, where the file does not say so, written."""
        return self.recorded_at or self.modified


class Unreadable(NamedTuple):
    """A file that cannot be used, and why."""

    name: str
    reason: str


@dataclass(frozen=True)
class Filter:
    """Which entries are wanted; what is empty lets everything through.

    Attributes:
        model: a part of the model's name, or a pattern such as `gpt-*`; upper and lower case are alike.
        path: the same for the request's path.
        since: not before this moment.
        until: before this moment.
        text: words that were said on either side; upper and lower case are alike.
    """

    model: str = ""
    path: str = ""
    since: datetime.datetime | None = None
    until: datetime.datetime | None = None
    text: str = ""

    def accepts(self, entry: Entry) -> bool:
        """Whether an entry is wanted; what costs least is looked at first."""
        return (
            _matches(self.path, entry.path)
            and (self.since is None or entry.date >= self.since)
            and (self.until is None or entry.date < self.until)
            and (not self.model or _matches(self.model, entry.model))
            and (not self.text or self.text.casefold() in entry.conversation.text.casefold())
        )


EVERYTHING = Filter()


class Catalogue:
    """The recordings of a directory, ours or llama-stack's.

    Args:
        directory: it has to exist.

    Raises:
        StoreError: if it does not exist, is a file, or cannot be read.
    """

    def __init__(self, directory: str | os.PathLike[str]) -> None:
        self.directory = Path(directory).expanduser().absolute()
        if not self.directory.exists():
            message = (
                f"{self.directory} does not exist. Give the directory that holds the recordings, or make some: "
                "inferencereplay run --mode record-if-missing -- COMMAND"
            )
            raise StoreError(message)
        self.store = open_store(self.directory)
        self._holds_folder = functools.lru_cache(1_000)(lambda folder: is_inside(folder, str(self.directory)))

    def names(self) -> Iterator[str]:
        """Yield the names of all files, relative to the directory, without reading them."""
        if self.store.is_writable:
            yield from self.store.list()
        else:
            yield from sorted(walk(str(self.directory)))

    def read(self, name: str) -> Entry:
        """Read one file of the directory.

        Raises:
            RecordingCorrupt: if it cannot be used, or is a link that leads out of the directory.
        """
        file = self.directory / name
        leads_out = file.is_symlink() and not is_inside(str(file), str(self.directory))
        if leads_out or not self._holds_folder(str(file.parent)):
            raise corrupt(str(file), "$", "it is a link that leads out of the directory", "Put a copy there")
        return _read(file, name)

    def scan(self) -> Iterator[Entry | Unreadable]:
        """Read one file after the other; what cannot be used is reported in its place."""
        for name in self.names():
            try:
                yield self.read(name)
            except RecordingCorrupt as error:  # noqa: PERF203 - each file by itself
                yield Unreadable(name, str(error))

    def entries(self, wanted: Filter = EVERYTHING) -> Iterator[Entry]:
        """Yield what can be read and is wanted."""
        for item in self.scan():
            if isinstance(item, Entry) and wanted.accepts(item):
                yield item

    def find(self, reference: str) -> Entry:
        """Return the recording that a person means.

        Args:
            reference: the beginning of a key, with `~2` for the second variant; or a file, as the catalogue names it
                or as a path.

        Raises:
            UnknownRecording: if there is none.
            AmbiguousRecording: if there are several; the message lists them.
            RecordingCorrupt: if the file cannot be used.
        """
        for file in (self.directory / reference, Path(reference)):
            if file.is_file():
                return self.read(os.path.relpath(file, self.directory)) if self._holds(file) else load(reference)
        names = self._candidates(reference.lower())
        if not names:
            message = f"No recording in {self.directory} is named {reference!r}, nor does a key begin so."
            raise UnknownRecording(message)
        if len(names) > 1:
            raise _ambiguous(reference, names)
        return self.read(names[0])

    def _holds(self, file: Path) -> bool:
        return self.directory in file.absolute().parents

    def _candidates(self, reference: str) -> list[str]:
        """Return the files that a prefix may mean: one of each key, the first variant unless it says which."""
        found = _REFERENCE.fullmatch(reference)
        if not found:
            return []
        digits, wanted = found["key"], int(found["variant"] or 1)
        if not self.store.is_writable:
            keys: dict[str, list[str]] = {}
            for entry in self.entries():
                if entry.key.startswith(digits):
                    keys.setdefault(entry.key, []).append(entry.name)
            return [names[wanted - 1] for names in keys.values() if len(names) >= wanted]
        end = f"~{wanted}.json" if wanted > 1 else ".json"
        return [name for name in self.names() if _is_named(name, digits, end) and self._has_key(name, digits)]

    def _has_key(self, name: str, digits: str) -> bool:
        """Look into the file where the prefix is longer than its name."""
        return len(digits) <= DIGITS or self.read(name).key.startswith(digits)


def load(file: str | os.PathLike[str]) -> Entry:
    """Read a file that belongs to no directory.

    Raises:
        RecordingCorrupt: if it is no recording, neither ours nor llama-stack's.
    """
    return _read(Path(file), os.fspath(file))


def _read(file: Path, name: str) -> Entry:
    try:
        found = file.stat()
        if not stat.S_ISREG(found.st_mode):
            raise corrupt(str(file), "$", "it is no regular file", "Take it out of the directory")
        data = read(str(file))
    except OSError as error:
        raise corrupt(str(file), "$", f"it cannot be read ({error.strerror})", way_out(error)) from error
    modified = datetime.datetime.fromtimestamp(found.st_mtime, datetime.timezone.utc)
    return Entry(name, interpret(data, str(file)), len(data), modified)


def interpret(data: bytes, name: str) -> Recording:
    """Make a recording of a file's content, ours or llama-stack's.

    Args:
        data: the content.
        name: the file, for messages.

    Raises:
        RecordingCorrupt: if it is neither.
    """
    if b'"inferencereplay"' in data[:200] or not is_llama_stack(data):
        return decode(data, name)
    try:
        kept = parse(data)
    except UnsupportedFile as error:
        mend = "Record it again, or leave it to llama-stack"
        raise corrupt(name, "$", "it is a llama-stack recording that cannot be replayed", mend) from error
    request = kept.request
    held = RecordedRequest(request.method, request.path, msgspec.Raw(request.body), request.query)
    return Recording(VERSION, request.key, held, kept.response)


def _is_named(name: str, digits: str, end: str) -> bool:
    file = os.path.basename(name)  # noqa: PTH119 - a hundred thousand times
    return file.startswith(digits[:DIGITS]) and file[DIGITS:] == end


def _ambiguous(reference: str, names: list[str]) -> AmbiguousRecording:
    more = f"\n  … and {len(names) - MOST_CANDIDATES} more" if len(names) > MOST_CANDIDATES else ""
    listed = "".join(f"\n  {name}" for name in names[:MOST_CANDIDATES])
    message = f"{len(names)} recordings begin with {reference!r}. Give more digits of one of them:{listed}{more}"
    return AmbiguousRecording(message, candidates=tuple(names))


def _matches(wanted: str, text: str) -> bool:
    wanted, text = wanted.casefold(), text.casefold()
    return fnmatch.fnmatchcase(text, wanted) if any(sign in wanted for sign in "*?[") else wanted in text
