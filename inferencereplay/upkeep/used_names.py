"""The names of the recordings in use, as a run of the tests writes them and commands read them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from inferencereplay.errors import InvalidSetting
from inferencereplay.store.location import is_url

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


def read_used(file: Path) -> set[str]:
    """Read a file of names of recordings in use: one a line; `#` begins a comment.

    A name is relative to the directory of the recordings, or begins with it. A path that does is relative to the file's
    own folder. A name that is not understood is a recording that is removed. So the ways of editors and tools are
    understood: Windows' ends of lines and its mark at the beginning, blanks around names, `./` before them.

    Raises:
        InvalidSetting: if it names none, which would make everything unused.
    """
    try:
        text = file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        message = f"{file} cannot be read: {error}."
        raise InvalidSetting(message) from error
    lines = map(str.strip, text.split("\n"))
    names = {_spelled(line) for line in lines if line and not line.startswith("#")}
    if not names:
        message = f"{file} names no recording, so that all of them would be unused. Let a run of the tests write it."
        raise InvalidSetting(message)
    folder = os.path.abspath(file.parent)  # noqa: PTH100 - links are not followed
    paths = {os.path.normpath(f"{folder}{os.sep}{name}") for name in names if not is_url(name)}
    return names | paths


def _spelled(name: str) -> str:
    return name if is_url(name) else os.path.normpath(name)


def relative(names: Iterable[str], start: str) -> set[str]:
    """Return names that may be relative to a directory: those that begin with it, without it, and those with none.

    Args:
        names: as `read_used` returns them.
        start: the path or the URL of the directory, with the separator after it.
    """
    inside = {name[len(start) :] for name in names if name.startswith(start)}
    return inside | {name for name in names if not is_url(name) and not os.path.isabs(name)}  # noqa: PTH117
