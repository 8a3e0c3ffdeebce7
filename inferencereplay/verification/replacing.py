"""A recording whose answer is replaced by a newer one, in its place and under its number."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, cast

import msgspec

from inferencereplay.catalogue.file_content import interpret
from inferencereplay.errors import RecordingCorrupt
from inferencereplay.recording.format import encode
from inferencereplay.store.directory import DirectoryStore

if TYPE_CHECKING:
    from inferencereplay.catalogue.entries import Catalogue, Entry
    from inferencereplay.recording.format import Recording
    from inferencereplay.store.interface import WritableStore


def replace_answer(catalogue: Catalogue, entry: Entry, new: Recording) -> str:
    """Store a new answer in the place of a recording's; the old file stays until the new one is whole.

    Args:
        catalogue: the directory, of our layout.
        entry: the recording as it was read.
        new: the recording of the new answer.

    Returns:
        Why it was not stored, for people; empty if it was.

    Raises:
        OSError: if it cannot be written; nothing is changed then.
    """
    part, name = catalogue.locate(entry.name)
    (expected,) = part.store.sources(entry.path, entry.key, entry.variant)
    if not name.endswith(expected) or (name != expected and not part.is_local):
        return "its file is not in the place of its key (file it anew: inferencereplay rekey)"
    is_inner = name != expected  # a directory within a directory
    inner = DirectoryStore(Path(part.directory, name[: -len(expected)])) if is_inner else part.store
    store = cast("WritableStore", inner)
    recording = entry.recording
    data = encode(msgspec.structs.replace(recording, response=new.response, recorded=new.recorded))
    is_stored = store.replace_if(
        entry.path, entry.key, entry.variant, data, lambda there: _holds(there, entry.name, recording)
    )
    return "" if is_stored else "its file was changed while it was asked"


def _holds(data: bytes, name: str, recording: Recording) -> bool:
    try:
        return interpret(data, name) == recording
    except RecordingCorrupt:
        return False
