"""The llama-stack (now ogx) test recorder's directories, replayed as they are."""

from __future__ import annotations

import contextlib
import heapq
import logging
import os
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from inferencereplay.locks import make_reentrant_lock
from inferencereplay.recording.format import VERSION, RecordedRequest, Recording, corrupt, lay_out
from inferencereplay.recording.request import NotSerializable, parse_json
from inferencereplay.store.bounded_read import read
from inferencereplay.store.containment import is_inside
from inferencereplay.store.llama_stack_file import MODELS, UnsupportedFile, answered, parse, union

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from inferencereplay.errors import RecordingCorrupt
    from inferencereplay.recording.request import JSON, Request
    from inferencereplay.store.llama_stack_file import Kept

log = logging.getLogger("inferencereplay")

LARGEST_FILE = 64 * 1024 * 1024
"""Bytes of the largest file that is read; a larger one is passed over."""
MOST_NAMED = 20
"""Files that the warning names."""


class _Entry(NamedTuple):
    """The files that hold the variants of one key or, for a list of models, the one answer between them."""

    path: str
    names: tuple[str, ...]


def as_it_is(request: Request) -> Request:
    """Return a request unchanged, as a session without `ignore` and `normalize` prepares it."""
    return request


class LlamaStackStore:
    """Recordings of the llama-stack test recorder, to be replayed only.

    The index (names and keys, no contents) is built on first use. A file that cannot be parsed is left out,
    and one warning names them all.

    Args:
        directory: nested folders belong to it, links that lead out of it do not.
        test_id: take the recordings of this test where a request has some, else those of no test. Lists of models
            are shared by all tests, as they are in llama-stack.
        prepare: is applied to the requests in the files, before they are looked up.
    """

    is_writable = False
    is_foreign = True

    def __init__(
        self, directory: Path, test_id: str | None = None, prepare: Callable[[Request], Request] = as_it_is
    ) -> None:
        self.directory = str(directory)
        self._prepare = prepare
        self._test_id = test_id
        self._lock = make_reentrant_lock()  # a handler of the warning may ask for a recording
        self._index: dict[str, _Entry] | None = None
        self._passed_over: Sequence[str] = ()

    def read(self, path: str, key: str, variant: int) -> Recording | None:
        """Return a recording in our own format, or `None` if there is none.

        Raises:
            RecordingCorrupt: if a file vanished or changed since the index was built.
        """
        names = self.sources(path, key, variant)
        return self._joined(path, key, names) if names else None

    def load(self, request: Request, key: str, variant: int) -> tuple[Recording, tuple[Any, ...]] | None:
        """Return a recording and its stamp, or `None` if there is none.

        Raises:
            RecordingCorrupt: if a file vanished or changed since the index was built.
        """
        stamp = self.stamp(request.path, key, variant)
        recording = self.read(request.path, key, variant)
        return None if recording is None or stamp is None else (recording, stamp)

    def _joined(self, path: str, key: str, names: Iterable[str]) -> Recording:
        """Make one recording of the files that hold it."""
        kept = [self._again(name, key) for name in names]
        request = kept[0].request
        response = union([item.response for item in kept]) if path == MODELS else kept[0].response
        held = RecordedRequest(request.method, path, msgspec.Raw(request.body), request.query)
        return Recording(VERSION, key, held, response)

    def stamp(self, path: str, key: str, variant: int) -> tuple[Any, ...] | None:
        """Return the last change, the states of the files, and their size, or `None` if there are none."""
        stamps = tuple(self._stamp(name) for name in self.sources(path, key, variant))
        return (max(stamps)[0], stamps, sum(stamp[-1] for stamp in stamps)) if stamps else None

    known_stamp = stamp

    def stamps(self, path: str, key: str, numbers: Sequence[int]) -> Sequence[tuple[Any, ...] | None]:
        """Return the stamps of several variants."""
        return [self.stamp(path, key, number) for number in numbers]

    def _stamp(self, name: str) -> tuple[int, ...]:
        try:
            found = os.stat(os.path.join(self.directory, name))  # noqa: PTH116, PTH118
        except OSError:
            return (0, 0)
        return found.st_ctime_ns, found.st_mtime_ns, found.st_ino, found.st_size

    def sources(self, path: str, key: str, variant: int) -> tuple[str, ...]:
        """Return the names, relative to the directory, of the files that a recording comes from."""
        entry = self._entries().get(key)
        if entry is None or entry.path != path or variant < 1:
            return ()
        if path == MODELS:
            return entry.names if variant == 1 else ()
        return entry.names[variant - 1 : variant]

    def list(self) -> Iterator[str]:
        """Yield the names of all recordings, relative to the directory; with a `test_id`, of those it can take."""
        yield from sorted({name for entry in self._entries().values() for name in entry.names})

    def state(self, path: str) -> tuple[int, ...]:
        """Return the same always: the index is built once."""
        return 0, sum(entry.path == path for entry in self._entries().values())

    def requests(self, path: str, limit: int) -> Iterator[tuple[str, bytes]]:
        """Yield name and request body of the recordings of `path`, laid out as in our files, at most `limit`."""
        names = {name for entry in self._entries().values() if entry.path == path for name in entry.names}
        for name in heapq.nlargest(limit, sorted(names), key=self._age):
            with contextlib.suppress(UnsupportedFile):
                yield name, lay_out(self._prepare(self._read(name).request).body)

    def newest(self, names: Sequence[str]) -> Iterator[tuple[str, JSON]]:
        """Yield name and request body of the recordings with these names, newest first, without unusable ones."""
        for name in sorted(sorted(names), key=self._age, reverse=True):
            with contextlib.suppress(UnsupportedFile):
                yield name, parse_json(self._prepare(self._read(name).request).body)

    def recordings(self) -> Iterator[tuple[str, Recording]]:
        """Yield every recording with the name of its first file; errors are those of `read`."""
        for key, entry in self._entries().items():
            for names in [entry.names] if entry.path == MODELS else [(name,) for name in entry.names]:
                yield names[0], self._joined(entry.path, key, names)

    def passed_over(self) -> Sequence[str]:
        """Return the names of the files that cannot be parsed."""
        self._entries()
        return self._passed_over

    # The index.

    def _entries(self) -> dict[str, _Entry]:
        with self._lock:
            if self._index is None:
                self._index, self._passed_over = self._build()
                if self._passed_over:
                    self._warn(self._passed_over)
            return self._index

    def _build(self) -> tuple[dict[str, _Entry], Sequence[str]]:
        found: dict[str, tuple[str, dict[str, str | None]]] = {}
        passed_over = []
        for name in sorted(walk(self.directory)):
            try:
                kept = self._read(name)
                requests = [*map(self._prepare, answered(kept.request))]
            except (UnsupportedFile, NotSerializable):
                passed_over.append(name)
                continue
            for request in requests:
                found.setdefault(request.key, (request.path, {}))[1][name] = kept.test_id
        entries = {key: _Entry(path, self._chosen(path, tests)) for key, (path, tests) in found.items()}
        return {key: entry for key, entry in entries.items() if entry.names}, passed_over

    def _chosen(self, path: str, tests: dict[str, str | None]) -> tuple[str, ...]:
        if self._test_id is None or path == MODELS:
            return tuple(tests)
        own = tuple(name for name, test in tests.items() if test == self._test_id)
        return own or tuple(name for name, test in tests.items() if test is None)

    def _warn(self, names: Sequence[str]) -> None:
        named = ", ".join(map(repr, names[:MOST_NAMED]))
        more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
        log.warning("%s: these files are no recordings of llama-stack: %s%s", self.directory, named, more)

    # Its files.

    def _read(self, name: str) -> Kept:
        file = self._full(name)
        if not is_inside(file, self.directory):
            raise UnsupportedFile
        try:
            return parse(read(file, LARGEST_FILE))
        except OSError as error:
            raise UnsupportedFile from error

    def _again(self, name: str, key: str) -> Kept:
        """Read a file that the index knows, and make sure that it is still the same request's."""
        try:
            kept = self._read(name)
        except UnsupportedFile as error:
            raise self._changed(name, "it was changed or removed, and cannot be read any more") from error
        for request in map(self._prepare, answered(kept.request)):
            if request.key == key:
                return kept._replace(request=request)
        raise self._changed(name, "it was changed, and holds another request now")

    def _changed(self, name: str, reason: str) -> RecordingCorrupt:
        mend = "Restore it from version control, or open the directory anew"
        return corrupt(self._full(name), "$", reason, mend)

    def _age(self, name: str) -> int:
        try:
            return os.stat(self._full(name)).st_mtime_ns  # noqa: PTH116
        except OSError:
            return 0

    def _full(self, name: str) -> str:
        return os.path.join(self.directory, name)  # noqa: PTH118


def walk(directory: str) -> Iterator[str]:
    """Yield the names of all JSON files, and of the folders that cannot be looked into."""
    unreadable: list[OSError] = []
    for folder, _, files in os.walk(directory, onerror=unreadable.append):
        paths = (os.path.join(folder, file) for file in files if file.endswith(".json"))  # noqa: PTH118
        yield from (os.path.relpath(path, directory) for path in paths)
    yield from (os.path.relpath(error.filename, directory) for error in unreadable)
