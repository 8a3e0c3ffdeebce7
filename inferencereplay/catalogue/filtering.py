"""Which entries a person wants to see."""

from __future__ import annotations

import fnmatch
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import datetime

    from inferencereplay.catalogue.entries import Entry


@dataclass(frozen=True)
class Filter:
    """Conditions that an entry has to meet, all of them; an empty one is met by every entry.

    Attributes:
        model: a part of the model's name, or a pattern such as `gpt-*`; upper and lower case are alike.
        path: a part of the request's path, or a pattern.
        since: the earliest moment of recording.
        until: the moment before which it was recorded.
        text: words of the request or of the answer; upper and lower case are alike.
    """

    model: str = ""
    path: str = ""
    since: datetime.datetime | None = None
    until: datetime.datetime | None = None
    text: str = ""

    def accepts(self, entry: Entry) -> bool:
        """Whether an entry meets the conditions, the cheapest one first."""
        return (
            (not self.path or _matches(self.path, entry.path))
            and (self.since is None or entry.date >= self.since)
            and (self.until is None or entry.date < self.until)
            and (not self.model or _matches(self.model, entry.model))
            and (not self.text or self.text.casefold() in entry.conversation.text.casefold())
        )


def _matches(wanted: str, text: str) -> bool:
    wanted, text = wanted.casefold(), text.casefold()
    return fnmatch.fnmatchcase(text, wanted) if any(sign in wanted for sign in "*?[") else wanted in text
