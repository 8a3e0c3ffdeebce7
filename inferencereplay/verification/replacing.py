"""A recording whose answer is replaced by a newer one, in its place and under its number."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from inferencereplay.catalogue.file_content import interpret
from inferencereplay.errors import RecordingCorrupt
from inferencereplay.recording.format import encode
from inferencereplay.store.directory import DirectoryStore

if TYPE_CHECKING:
    from inferencereplay.catalogue.entries import Catalogue, Entry
    from inferencereplay.recording.format import Recording


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
    (expected,) = catalogue.store.sources(entry.path, entry.key, entry.variant)
    if not entry.name.endswith(expected):
        return "its file is not in the place of its key (file it anew: inferencereplay rekey)"
    store = DirectoryStore(catalogue.directory / entry.name[: -len(expected)])
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
