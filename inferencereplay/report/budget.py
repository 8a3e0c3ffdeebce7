"""The limits of a report, and the notices on recordings beyond them.

A browser opens a page of tens of megabytes at once, and one of hundreds not at all.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from inferencereplay.report.described import Content, Facts

MOST_ROWS = 10_000
MOST_BYTES = 32_000_000
"""Of the content of all recordings together, as JSON."""
LARGEST = 2_000_000
"""Bytes of the content of one recording, its long texts shortened."""
MOST_NAMED = 100
"""Files that a notice lists."""
_LISTS = ("messages", "tools", "offsets", "blocks", "pieces", "media")
_EMPTY: Content = {"query": {}, "settings": {}, "body": None, **{name: [] for name in _LISTS}}
_UNREADABLE = "Not readable as a recording: {}."
_NOT_LISTED = f"Not listed, because a report has room for {MOST_ROWS:,} rows: {{}}. The totals count them."
_NO_CONTENT = (
    "Listed without the conversation, because a report has room for "
    f"{MOST_BYTES // 1_000_000} MB of them, and {LARGEST // 1_000_000} MB each: {{}}."
)


class Budget:
    """Takes recordings up to the limits, and notes those that are left out.

    Attributes:
        recordings: those in the report: facts, and content if there was room for it.
    """

    def __init__(self) -> None:
        self.recordings: list[dict[str, Any]] = []
        self._left = MOST_BYTES
        self._without_rows: list[str] = []
        self._without_content: list[str] = []
        self._unreadable: list[str] = []

    def take(self, facts: Facts, content: Content) -> None:
        """Add a recording."""
        if len(self.recordings) >= MOST_ROWS:
            self._without_rows.append(facts["file"])
            return
        size = len(json.dumps(content, separators=(",", ":")))
        if size <= min(LARGEST, self._left):
            self._left -= size
            self.recordings.append({**facts, **content, "left_out": ""})
            return
        self._without_content.append(facts["file"])
        reason = f"This recording's conversation is left out, because it has {size:,} bytes. "
        self.recordings.append({**facts, **_EMPTY, "left_out": f"{reason}{_see(facts['file'])}"})

    def refuse(self, name: str, reason: str) -> None:
        """Note a file that cannot be used."""
        self._unreadable.append(f"{name}: {reason}")

    @property
    def unreadable(self) -> int:
        """How many files could not be used."""
        return len(self._unreadable)

    def notices(self) -> list[dict[str, Any]]:
        """Return a text for each reason for leaving files out, and the first `MOST_NAMED` of these files."""
        told = (
            (_UNREADABLE, self._unreadable),
            (_NOT_LISTED, self._without_rows),
            (_NO_CONTENT, self._without_content),
        )
        return [_notice(text.format(_count(files)), files) for text, files in told if files]


def _see(file: str) -> str:
    return f"`inferencereplay show {file}` shows it."


def _count(files: list[str]) -> str:
    return f"{len(files):,} {'file' if len(files) == 1 else 'files'}"


def _notice(text: str, files: list[str]) -> dict[str, Any]:
    more = [f"… and {len(files) - MOST_NAMED:,} more"] if len(files) > MOST_NAMED else []
    return {"text": text, "files": [file.encode("utf-8", "replace").decode() for file in files[:MOST_NAMED]] + more}
