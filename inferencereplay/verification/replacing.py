"""A recording whose answer is replaced by a newer one, in its place and under its number."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from inferencereplay.catalogue.file_content import interpret
from inferencereplay.errors import RecordingCorrupt
from inferencereplay.recording.format import encode

if TYPE_CHECKING:
    from inferencereplay.catalogue.entries import Catalogue, Entry
    from inferencereplay.recording.format import Recording


def replace_answer(catalogue: Catalogue, entry: Entry, new: Recording) -> str:
    """Store a new answer in the place of a recording's; the old file stays until the new one is whole.

    Args:
        catalogue: the directory or the layers, of our layout.
        entry: the recording as it was read.
        new: the recording of the new answer.

    Returns:
        Why it was not stored, for people; empty if it was.

    Raises:
        OSError: if it cannot be written; nothing is changed then.
        StoreError: as above, and if the old file cannot be read.
    """
    part, name = catalogue.locate(entry.name)
    recording = entry.recording
    data = encode(msgspec.structs.replace(recording, response=new.response, recorded=new.recorded))
    with part.files.locked():  # no other command replaces it now
        there = part.files.read(name)
        if there is None or not _holds(there.data, entry.name, recording):
            return "its file was changed while it was asked"
        part.files.replace(name, data)
    return ""


def _holds(data: bytes, name: str, recording: Recording) -> bool:
    try:
        return interpret(data, name) == recording
    except RecordingCorrupt:
        return False
