"""What one file holds: read up to a limit, and understood as a recording of ours or of llama-stack's recorder."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from inferencereplay.recording.format import VERSION, Recording, corrupt, decode, recorded_request
from inferencereplay.store.bounded_read import LARGEST, read_with_state, way_out
from inferencereplay.store.llama_stack_file import UnsupportedFile, is_llama_stack, parse

if TYPE_CHECKING:
    from pathlib import Path


class UnusableFile(Exception):  # noqa: N818 - a signal between modules: its text says why
    """A file that cannot be read.

    Attributes:
        mend: what to do about it.
    """

    def __init__(self, reason: str, mend: str) -> None:
        super().__init__(reason)
        self.mend = mend


def read_file(file: str | Path, limit: int = LARGEST) -> tuple[bytes, os.stat_result]:
    """Read a regular file of at most `limit` bytes.

    Raises:
        UnusableFile: if it is something else, too large, or cannot be opened.
    """
    try:
        return read_with_state(os.fspath(file), limit)
    except OSError as error:
        told = str(error.strerror)
        reason = told if told.startswith("it ") else f"it cannot be read ({told})"  # the first is ours
        raise UnusableFile(reason, way_out(error)) from error


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
    held = recorded_request(request)
    return Recording(VERSION, request.key, held, kept.response)
