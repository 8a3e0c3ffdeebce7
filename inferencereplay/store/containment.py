"""Whether a file or folder is inside a directory, its links followed.

A recording may come with a stranger's pull request, and a link in it must not make a replay read a file elsewhere.
"""

from __future__ import annotations

import os
import stat


def is_inside(path: str, directory: str) -> bool:
    """Whether `path`, its links followed, is in `directory` or is the directory itself."""
    if os.name != "nt" and not _has_links(path, directory):  # Windows has more kinds of links
        return True
    root = os.path.realpath(directory)
    real = os.path.realpath(path)
    return real == root or real.startswith(os.path.join(root, ""))  # noqa: PTH118 - ends in a separator


def _has_links(path: str, directory: str) -> bool:
    """Whether a part of `path` below `directory` is a link or leads upwards, or `path` is not below it at all.

    This is several times faster than to follow all links of both paths.
    """
    if path != directory and not path.startswith(directory.rstrip("/") + "/"):
        return True
    place = directory.rstrip("/")
    for part in path[len(directory) :].strip("/").split("/") if path != directory else ():
        place = f"{place}/{part}"
        try:
            if part == ".." or stat.S_ISLNK(os.lstat(place).st_mode):
                return True
        except FileNotFoundError:
            return False
        except OSError:
            return True
    return False
