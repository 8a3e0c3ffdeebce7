"""Edits of recordings, as a person would make them in an editor."""

from __future__ import annotations

import json
import sys

TOO_DEEP = 700 if sys.version_info < (3, 12) else 1_100
"""Lists in one another that `json` reads, and that a function which calls itself for each cannot go through.

From 3.12 on `json` reads more of them, and a list comprehension takes no frame of its own.
"""


def edit(directory, key, **changes):
    """Change members of a recording wherever they stand, and return its file.

    `messages`, `model` and other known members of a request go into its body; the rest into the response, `choices`
    into its body.
    """
    (file,) = directory.rglob(f"{key}*.json")
    data = json.loads(file.read_text(encoding="utf-8"))
    for name, value in changes.items():
        if name in ("messages", "model", "metadata", "temperature", "seed"):
            data["request"]["body"][name] = value
        elif name == "choices":
            data["response"]["body"][name] = value
        else:
            data["response"][name] = value
    file.write_text(json.dumps(data, ensure_ascii=False, indent=1), encoding="utf-8")
    return file
