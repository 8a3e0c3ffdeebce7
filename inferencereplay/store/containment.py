"""Whether a file or folder is inside a directory, its links followed.

A recording may come with a stranger's pull request, and a link in it must not make a replay read a file elsewhere.
"""

from __future__ import annotations

import os


def is_inside(path: str, directory: str) -> bool:
    """Whether `path`, its links followed, is in `directory` or is the directory itself."""
    root = os.path.realpath(directory)
    real = os.path.realpath(path)
    return real == root or real.startswith(os.path.join(root, ""))  # noqa: PTH118 - ends in a separator
