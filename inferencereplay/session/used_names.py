"""The names of the recordings in use, as a run of the tests writes them and commands read them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from inferencereplay.errors import InvalidSetting
from inferencereplay.store.location import is_url

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


def read_used(file: Path, starts: Sequence[str], *, is_distant: bool = False) -> set[str]:
    """Read a file of names of recordings in use: one a line; `#` begins a comment.

    A line is a name that is relative to a directory of recordings; or a path, relative to the file's own folder, or a
    URL, which begins with the directory. What is elsewhere is left out. A name that is not understood is a recording
    that is removed. So the ways of editors and tools are understood: Windows' ends of lines and its mark at the
    beginning, blanks around names, `./` before them.

    Args:
        file: that is read.
        starts: the paths or URLs of the directories, each with the separator after it.
        is_distant: whether files that are beside this one are left out.

    Returns:
        The names, relative to their directories.

    Raises:
        InvalidSetting: if it names none, which would make everything unused.
    """
    try:
        text = file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        message = f"{file} cannot be read: {error}."
        raise InvalidSetting(message) from error
    folder = os.path.abspath(file.parent)  # noqa: PTH100 - links are not followed
    lines = [line for line in map(str.strip, text.split("\n")) if line and not line.startswith("#")]
    if is_distant:
        lines = [line for line in lines if is_url(line) or not os.path.lexists(f"{folder}{os.sep}{line}")]
    names = {name for line in lines if (name := _name(line, folder, starts))}
    if not names and not is_distant:
        message = f"{file} names no recording, so that all of them would be unused. Let a run of the tests write it."
        raise InvalidSetting(message)
    return names


def _name(line: str, folder: str, starts: Sequence[str]) -> str:
    """Return a name relative to its directory; empty for one that is elsewhere."""
    place = line if is_url(line) else os.path.normpath(f"{folder}{os.sep}{line}")
    if os.path.isabs(line):  # noqa: PTH117
        place = os.path.normpath(line)
    for start in starts:
        if place.startswith(start):
            return place[len(start) :]
    return "" if is_url(line) or os.path.isabs(line) else os.path.normpath(line)  # noqa: PTH117
