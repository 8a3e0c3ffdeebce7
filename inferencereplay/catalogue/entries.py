"""The recordings of a directory, or of a URL, for people: list them, search them, look one up.

Files are read when they are asked for, so that a directory may hold a hundred thousand.
"""

from __future__ import annotations

import datetime
import errno
import functools
import hashlib
import io
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

import msgspec

from inferencereplay.catalogue.concurrency import at_once
from inferencereplay.catalogue.conversation import (
    CONNECTION,
    gist,
    kind_of,
    parsed,
    read_conversation,
    read_gist,
    read_tokens,
)
from inferencereplay.catalogue.file_content import UnusableFile, interpret, read_file
from inferencereplay.errors import AmbiguousRecording, RecordingCorrupt, StoreError, UnknownRecording
from inferencereplay.recording.format import VERSION, Recording, corrupt, stored_request
from inferencereplay.store.address import DIGITS, parse_file_name
from inferencereplay.store.bounded_read import FOLLOWS_NO_LINK, read_with_state
from inferencereplay.store.containment import is_inside
from inferencereplay.store.files import recording_of
from inferencereplay.store.llama_stack import walk
from inferencereplay.store.location import StoreURL, parse_location
from inferencereplay.store.opening import open_store
from inferencereplay.store.opening_files import open_files
from inferencereplay.store.side_folder import open_side, side_path

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from inferencereplay.catalogue.conversation import Conversation, Usage
    from inferencereplay.recording.request import JSON, Request
    from inferencereplay.recording.side_file import SideFile
    from inferencereplay.store.files import Content, Files
    from inferencereplay.store.location import Location

_REFERENCE = re.compile(r"(?P<key>[0-9a-f]{1,64})(?:~(?P<variant>[1-9][0-9]*))?")
MOST_CANDIDATES = 20
"""Names that the error for an ambiguous prefix lists."""


class Entry(msgspec.Struct, frozen=True, dict=True):
    """One file with a recording.

    Attributes:
        name: relative to the catalogue's directory, or the given path.
        recording: the content; that of a llama-stack file is converted.
        size: bytes of the file.
        modified_ns: when the file was last written, in nanoseconds since 1970.
    """

    name: str
    recording: Recording
    size: int
    modified_ns: int

    @property
    def modified(self) -> datetime.datetime:
        """When the file was last written (UTC)."""
        return moment(self.modified_ns)

    @property
    def key(self) -> str:
        """The key in the file."""
        return self.recording.key

    @property
    def variant(self) -> int:
        """The number of the variant, from the file's name; 1 for a llama-stack file."""
        if "~" not in self.name:  # as nearly always
            return 1
        found = parse_file_name(os.path.basename(self.name))  # noqa: PTH119 - a hundred thousand times
        return found[1] if found else 1

    @property
    def path(self) -> str:
        """The request's path, such as `/chat/completions`."""
        return self.recording.request.path

    @property
    def whole_size(self) -> int:
        """Bytes of the file and of its side files."""
        sides = self.recording.side_files
        return self.size + sum({side.ending: side.length for side in sides}.values()) if sides else self.size

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
        """The recording as a conversation."""
        return read_conversation(self.recording)

    @property
    def kind(self) -> str:
        """The kind of the conversation; like the next two it takes less time to read than the whole."""
        return CONNECTION if self.recording.request.method == "WEBSOCKET" else kind_of(self.path, self.body)

    @property
    def gist(self) -> str:
        """The last text of the user, or the first text of anybody; empty if there is none."""
        kind = self.kind
        return gist(self.conversation.messages) if kind == CONNECTION else read_gist(kind, self.body)

    @property
    def usage(self) -> Usage:
        """The tokens that the answer counts."""
        return read_tokens(self.recording.response)

    @property
    def model(self) -> str:
        """The model that the request names, otherwise the one of the answer; may be empty."""
        named = self.body.get("model") if isinstance(self.body, dict) else None
        return named if isinstance(named, str) else self.conversation.model

    @property
    def recorded_at(self) -> datetime.datetime | None:
        """When its request was sent (UTC), or `None` if the file does not hold it; see `is_coarse`."""
        return self.recording.recorded.moment

    @property
    def is_coarse(self) -> bool:
        """Whether it says only in whole seconds when it was stored: an old or imported file."""
        return "." not in self.recording.recorded.at

    @property
    def date(self) -> datetime.datetime:
        """When it was recorded or, if the file does not hold that, last written."""
        return self.recorded_at or self.modified


class Unreadable(NamedTuple):
    """A file that cannot be used, and why."""

    name: str
    reason: str


class Catalogue:
    """The recordings of a directory, ours or llama-stack's, or of a URL.

    Args:
        directory: an existing one.

    Attributes:
        directory: the absolute path, or the URL.
        is_local: whether all files are on this machine.

    Raises:
        StoreError: if it does not exist, is a file, or cannot be read.
        InvalidSetting: if a URL cannot be opened.
    """

    def __init__(self, directory: str | os.PathLike[str]) -> None:
        self.directory: Location = parse_location(directory).absolute()
        self.is_local = not isinstance(self.directory, StoreURL)
        if isinstance(self.directory, Path) and not self.directory.exists():
            message = (
                f"{self.directory} does not exist. Give the directory that holds the recordings, or make some: "
                "inferencereplay run --mode record-if-missing -- COMMAND"
            )
            raise StoreError(message)
        self.store = open_store(self.directory)
        self._inside = f"{self.directory}{os.sep if self.is_local else '/'}"
        self._holds_folder = functools.lru_cache(1_000)(lambda folder: is_inside(folder, str(self.directory)))

    def __reduce__(self) -> tuple[type[Catalogue], tuple[Any, ...]]:
        """Let another process open the same directory."""
        return Catalogue, (self.directory,)

    @property
    def title(self) -> str:
        """The last parts of the directory, for people who are to know no more of the path."""
        return "/".join(
            self.directory.parts[-2:] if isinstance(self.directory, Path) else self.directory.split("/")[-2:]
        )

    @property
    def parts(self) -> tuple[Catalogue, ...]:
        """The catalogues of the layers, in order; of one directory, itself."""
        return (self,)

    @functools.cached_property
    def files(self) -> Files:
        """The files by their names."""
        return open_files(self.directory)

    def locate(self, name: str) -> tuple[Catalogue, str]:
        """Return the layer of a file, and the file's name there."""
        return self, name

    def full_name(self, name: str) -> str:
        """Return the path or the URL of a file of the directory."""
        return self._inside + name

    def names(self) -> Iterator[str]:
        """Yield the names of all files, relative to the directory, without reading them."""
        if not self.is_local:
            yield from (name for name in self.files.names() if recording_of(name) == name)
            return
        if not self.store.is_foreign:
            yield from self.store.list()
        else:
            yield from sorted(walk(str(self.directory)))

    def read(self, name: str) -> Entry:
        """Read one file of the directory.

        Raises:
            RecordingCorrupt: if it cannot be used, or is a link that leads out of the directory.
            StoreError: if a URL cannot be read.
        """
        if not self.is_local:
            found = self._fetch(name)
            recording = interpret(found.data, self._inside + name)
            for side in recording.side_files:
                side.bind(functools.partial(self._fetch_side, name, side))
            return Entry(name, recording, len(found.data), found.modified)
        return _entry(self._read_file(name), self._inside + name, name)

    def _fetch_side(self, name: str, side: SideFile) -> BinaryIO:
        """Open a side file that is not local."""
        data = self._fetch(side_path(name, side.ending)).data
        if len(data) != side.length or hashlib.sha256(data).hexdigest() != side.sha256:
            place = side_path(self._inside + name, side.ending)
            raise corrupt(place, "$", "it is another content than the recorded one", "Record it again")
        return io.BytesIO(data)

    def checked_content(self, name: str) -> bytes:
        """Return the content of one file of the directory; the errors are those of `read`."""
        return self._read_file(name)[0] if self.is_local else self._fetch(name).data

    def _fetch(self, name: str) -> Content:
        found = self.files.read(name)
        if found is None:
            raise corrupt(self._inside + name, "$", "it was removed meanwhile", "Look again")
        return found

    def _read_file(self, name: str) -> tuple[bytes, os.stat_result]:
        file = self._inside + name
        is_held = self._holds_folder(os.path.dirname(file))  # noqa: PTH120 - a hundred thousand times
        if is_held and FOLLOWS_NO_LINK:
            try:
                return read_with_state(file, follows_links=False)
            except OSError:
                pass  # a link, or what cannot be read
        if not is_held or (os.path.islink(file) and not is_inside(file, str(self.directory))):  # noqa: PTH114
            raise corrupt(file, "$", "it is a link that leads out of the directory", "Put a copy there")
        return _content(file)

    def content(self, name: str) -> bytes:
        """Return the bytes of a file that was found.

        Raises:
            OSError: if it cannot be read any more.
        """
        if isinstance(self.directory, Path):
            return Path(self.directory, name).read_bytes()
        found = self.files.read(name)
        if found is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), self.full_name(name))
        return found.data

    def scan(self, names: Iterable[str] | None = None) -> Iterator[Entry | Unreadable]:
        """Read one file after the other, by default all; each that cannot be used is an `Unreadable`."""
        given = self.names() if names is None else names
        return map(self._read_or_tell, given) if self.is_local else at_once(self._read_or_tell, given)

    def _read_or_tell(self, name: str) -> Entry | Unreadable:
        try:
            return self.read(name)
        except RecordingCorrupt as error:
            return Unreadable(name, str(error))

    def entries(self) -> Iterator[Entry]:
        """Yield the files that can be read."""
        return (item for item in self.scan() if isinstance(item, Entry))

    def find(self, reference: str) -> Entry:
        """Return one recording.

        Args:
            reference: the beginning of a key, with `~2` for the second variant; or a file, by its name in the catalogue
                or by its path.

        Raises:
            UnknownRecording: if there is none.
            AmbiguousRecording: if there are several; the message lists them.
            RecordingCorrupt: if the file cannot be used.
        """
        if (found := self.find_file(reference)) is not None:
            return found
        if Path(reference).is_file():
            return load(reference)
        names = self.candidates(reference.lower())
        if not names:
            message = f"No recording in {self.directory} is named {reference!r} or has a key that begins so."
            raise UnknownRecording(message)
        if len(names) > 1:
            raise _ambiguous(reference, names)
        return self.read(names[0])

    def find_file(self, reference: str) -> Entry | None:
        """Return the recording of a file, by its name in the catalogue or by its path; `None` if it has none here."""
        if not isinstance(self.directory, Path):
            name = reference.removeprefix(self._inside)
            is_name = name != reference or parse_file_name(name.rpartition("/")[2]) is not None
            return self.read(name) if is_name and self.files.state(name) else None
        for file in (self.directory / reference, Path(reference)):
            if file.is_file() and self.directory in file.absolute().parents:
                return self.read(os.path.relpath(file, self.directory))
        return None

    def candidates(self, reference: str) -> list[str]:
        """Return the files that fit a prefix: one of each key, of the variant with that number or the first."""
        found = _REFERENCE.fullmatch(reference)
        if not found:
            return []
        digits, wanted = found["key"], int(found["variant"] or 1)
        if self.store.is_foreign:
            keys: dict[str, list[str]] = {}
            for entry in self.entries():
                if entry.key.startswith(digits):
                    keys.setdefault(entry.key, []).append(entry.name)
            return [names[wanted - 1] for names in keys.values() if len(names) >= wanted]
        end = f"~{wanted}.json" if wanted > 1 else ".json"
        return [name for name in self.names() if _is_named(name, digits, end) and self._has_key(name, digits)]

    def _has_key(self, name: str, digits: str) -> bool:
        """Compare a prefix that is longer than the file's name with the key in the file."""
        return len(digits) <= DIGITS or self.read(name).key.startswith(digits)


def load(file: str | os.PathLike[str]) -> Entry:
    """Read a single file.

    Raises:
        RecordingCorrupt: if it is neither a recording of ours nor of llama-stack's.
    """
    name = os.fspath(file)
    return _entry(_content(name), name, name)


def parse(data: bytes, name: str) -> Entry:
    """Make an entry of a content without a file.

    Raises:
        RecordingCorrupt: if it is neither a recording of ours nor of llama-stack's.
    """
    return Entry(name, interpret(data, name), len(data), 0)


def _content(file: str) -> tuple[bytes, os.stat_result]:
    try:
        return read_file(file)
    except UnusableFile as error:
        raise corrupt(file, "$", str(error), error.mend) from error


def _entry(content: tuple[bytes, os.stat_result], file: str, name: str) -> Entry:
    data, found = content
    recording = interpret(data, file)
    if recording.inferencereplay != VERSION:
        for side in recording.side_files:
            side.bind(functools.partial(open_side, file, side))
    return Entry(name, recording, len(data), found.st_mtime_ns)


def moment(nanoseconds: int) -> datetime.datetime:
    """Return the date of a number of nanoseconds since 1970 (UTC)."""
    return datetime.datetime.fromtimestamp(nanoseconds / 1e9, datetime.timezone.utc)


def _is_named(name: str, digits: str, end: str) -> bool:
    file = os.path.basename(name)  # noqa: PTH119 - a hundred thousand times
    return file.startswith(digits[:DIGITS]) and file[DIGITS:] == end


def _ambiguous(reference: str, names: list[str]) -> AmbiguousRecording:
    more = f"\n  … and {len(names) - MOST_CANDIDATES} more" if len(names) > MOST_CANDIDATES else ""
    listed = "".join(f"\n  {name}" for name in names[:MOST_CANDIDATES])
    message = f"{len(names)} recordings begin with {reference!r}. Give more digits of one of them:{listed}{more}"
    return AmbiguousRecording(message, candidates=tuple(names))
