"""What one file holds: read up to a limit, and understood as a recording of ours or of llama-stack's recorder."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING

import msgspec

from inferencereplay.recording.format import VERSION, RecordedRequest, Recording, corrupt, decode
from inferencereplay.store.llama_stack_file import UnsupportedFile, is_llama_stack, parse

if TYPE_CHECKING:
    import os
    from pathlib import Path

LARGEST = 2**30
"""Bytes of a file that is read: a recording of 100,000 chunks has a twentieth of them."""


class UnusableFile(Exception):  # noqa: N818 - a signal between modules: its text says why
    """A file that cannot be read.

    Attributes:
        mend: what to do about it.
    """

    def __init__(self, reason: str, mend: str) -> None:
        super().__init__(reason)
        self.mend = mend


def read_file(file: Path, limit: int | None = None) -> tuple[bytes, os.stat_result]:
    """Read a regular file of at most `limit` bytes, by default `LARGEST`.

    A pipe would block, a device may never end, and a sparse file takes no room on the disk and all of the memory.

    Raises:
        UnusableFile: if it is something else, too large, or cannot be opened.
    """
    try:
        found = file.stat()
        if not stat.S_ISREG(found.st_mode):
            raise UnusableFile("it is no regular file", "Move it out of the directory")
        limit = LARGEST if limit is None else limit
        if found.st_size > limit:
            reason = f"it has {found.st_size:,} bytes, and at most {limit:,} are read"
            raise UnusableFile(reason, "Move it out of the directory")
        with file.open("rb") as opened:
            return opened.read(found.st_size), found
    except OSError as error:
        msg = f"it cannot be read ({error.strerror})"
        raise UnusableFile(msg, "Look at its permissions") from error


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
