"""From directories and URLs to the store that reads them: ours, llama-stack's, an object store, or layers."""

from __future__ import annotations

import contextlib
import errno
import importlib
import itertools
import os
from typing import TYPE_CHECKING

from inferencereplay.errors import InvalidSetting, StoreError
from inferencereplay.store.bounded_read import read, read_start
from inferencereplay.store.containment import is_inside
from inferencereplay.store.directory import DirectoryStore
from inferencereplay.store.llama_stack import LlamaStackStore, as_it_is
from inferencereplay.store.llama_stack_file import is_llama_stack
from inferencereplay.store.location import StoreURL

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from inferencereplay.recording.request import Request
    from inferencereplay.store.interface import Store
    from inferencereplay.store.location import Location

SAMPLE = 8
"""Files that are read to recognize the format of a directory."""
_LARGEST_SAMPLE = 16 * 1024 * 1024
"""Bytes of the largest file that is read for that."""
_START = 200
"""Bytes of the beginning, where a recording of ours names its format."""
_MOST_RECOGNIZED = 1_000
_recognized: dict[str, tuple[str, tuple[int, ...]]] = {}
"""A recording of ours in each directory that was opened before, and its state; while that stays, nothing is listed."""


def open_store(
    directory: Location | tuple[Location, ...],
    test_id: str | None = None,
    prepare: Callable[[Request], Request] = as_it_is,
    *,
    is_recorded: bool = False,
    write_to: int = 0,
) -> Store:
    """Open a directory of recordings, ours or the llama-stack recorder's, or an object store, or several as layers.

    Args:
        directory: it need not exist yet; a URL is opened without asking the network. Several are looked up in order.
        test_id: which of llama-stack's recordings of one request to take.
        prepare: is applied to the requests in llama-stack's files, before they are looked up.
        is_recorded: whether a program is being recorded. A directory that cannot be used must not break it: a warning
            is logged for each answer that cannot be stored.
        write_to: the number, from 0, of the layer that recordings are written to.

    Raises:
        StoreError: if it is a file, or cannot be looked into, and nothing is recorded.
        InvalidSetting: if a `test_id` is given, and no directory is llama-stack's; or a URL cannot be opened.
    """
    if isinstance(directory, tuple):
        from inferencereplay.store.layers import LayeredStore  # noqa: PLC0415 - few sessions have layers

        opened = [_open(layer, test_id, prepare, is_recorded=is_recorded) for layer in directory]
        store: Store = LayeredStore(opened, write_to)
    else:
        store = _open(directory, test_id, prepare, is_recorded=is_recorded)
        opened = [store]
    if test_id is not None and not any(layer.is_foreign for layer in opened):
        message = f"test_id={test_id!r} picks among llama-stack's recordings, and {store.directory} holds none."
        raise InvalidSetting(message)
    return store


def _open(
    directory: Location, test_id: str | None, prepare: Callable[[Request], Request], *, is_recorded: bool
) -> Store:
    if isinstance(directory, StoreURL):
        return _open_url(directory, is_recorded=is_recorded)
    directory = directory.absolute()  # for the program may change its working directory
    if _is_recognized(str(directory)):
        return DirectoryStore(directory)
    try:
        sample = [*itertools.islice(_json_files(str(directory), str(directory)), SAMPLE)]
    except FileNotFoundError:
        sample = []
    except OSError as error:
        if not is_recorded:
            raise StoreError(_reason(directory, error)) from error
        sample = []
    own = next(filter(_is_ours, sample), None)
    if own is not None:
        _recognize(str(directory), own)
    elif any(map(_is_theirs, sample)):
        return LlamaStackStore(directory, test_id, prepare)
    return DirectoryStore(directory)


def _open_url(url: StoreURL, *, is_recorded: bool) -> Store:
    engine = importlib.import_module("inferencereplay.object_stores.opening_urls")  # above this package; few need it
    opened: Store = engine.open_url(url, is_recorded=is_recorded)
    return opened


def _recognize(directory: str, file: str) -> None:
    if len(_recognized) >= _MOST_RECOGNIZED:
        _recognized.clear()
    with contextlib.suppress(OSError):
        _recognized[directory] = file, _state(file)


def _is_recognized(directory: str) -> bool:
    """Whether the recording by which the directory was recognized before is still the same."""
    known = _recognized.get(directory)
    with contextlib.suppress(OSError):
        return known is not None and _state(known[0]) == known[1]
    return False


def _state(file: str) -> tuple[int, ...]:
    found = os.stat(file)  # noqa: PTH116 - several times faster than pathlib
    return found.st_dev, found.st_ino, found.st_ctime_ns, found.st_mtime_ns, found.st_size


def _reason(directory: Path, error: OSError) -> str:
    if error.errno == errno.ENOTDIR:
        there = next(path for path in (directory, *directory.parents) if path.exists())
        return f"{there} is a file. Give the directory that holds the recordings."
    mend = "Look at its permissions" if error.errno == errno.EACCES else "Give another directory"
    return f"{error.filename} cannot be read: {error.strerror}. {mend}."


def _json_files(directory: str, root: str) -> Iterator[str]:
    """Yield the paths of JSON files in the file system's order, without listing a huge directory to its end."""
    folders = []
    with os.scandir(directory) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                folders.append(entry.path)
            elif entry.name.endswith(".json") and _is_readable(entry, root):
                yield entry.path
    for folder in folders:
        yield from _json_files(folder, root)


def _is_readable(entry: os.DirEntry[str], root: str) -> bool:
    """Whether it is a regular file of the directory, even if by way of a link."""
    return entry.is_file() and (not entry.is_symlink() or is_inside(entry.path, root))


def _is_ours(file: str) -> bool:
    with contextlib.suppress(OSError):
        return b'"inferencereplay"' in read_start(file, _START)
    return False


def _is_theirs(file: str) -> bool:
    with contextlib.suppress(OSError):
        return is_llama_stack(read(file, _LARGEST_SAMPLE))
    return False
