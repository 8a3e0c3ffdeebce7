"""The outcomes of a run, kept until it is complete, so that a second run goes on where one was stopped."""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
from typing import TYPE_CHECKING, Any

import msgspec

from inferencereplay.verification.outcomes import UNANSWERED, Outcome

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

LONGEST = 24 * 3600
"""Seconds after which an answer is asked for anew: a server may change."""


class Journal:
    """A file of outcomes, a line each; it is there only between a run that was stopped and the one that completes it.

    Args:
        folder: of the user's, for such files.
        conditions: what a run has to have in common with the one that was stopped: the directory, the server, what
            counts as a change.

    Attributes:
        file: the file.
        failure: why outcomes cannot be kept, for people; otherwise empty.
    """

    def __init__(self, folder: Path, conditions: Mapping[str, Any]) -> None:
        name = hashlib.sha256(msgspec.json.encode(conditions, order="deterministic")).hexdigest()[:32]
        self.file = folder / f"{name}.jsonl"
        self.failure = ""
        self._descriptor: int | None = None

    def load(self, marks: Mapping[str, str]) -> list[Outcome]:
        """Return the outcomes of the run that was stopped.

        An outcome is left out if its file has changed since, if it is older than a day, or if there was no answer.

        Args:
            marks: the files' states by name.
        """
        found: dict[str, Outcome] = {}
        try:
            lines = self.file.read_bytes().splitlines()
        except OSError:
            return []
        for line in lines:
            with contextlib.suppress(msgspec.DecodeError, UnicodeDecodeError):  # the last one, of a run that was killed
                outcome = msgspec.json.decode(line, type=Outcome)
                found[outcome.name] = outcome
        return [outcome for name, outcome in found.items() if _counts(outcome, marks.get(name))]

    def add(self, outcome: Outcome) -> None:
        """Keep an outcome, if the file can be written."""
        if self.failure:
            return
        try:
            if self._descriptor is None:
                self.file.parent.mkdir(parents=True, exist_ok=True)
                flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
                self._descriptor = os.open(self.file, flags, 0o600)
            os.write(self._descriptor, b"\n" + msgspec.json.encode(outcome))
        except OSError as error:
            self.failure = f"{self.file} cannot be written ({error.strerror})"

    def close(self) -> None:
        """Close the file; it stays."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def forget(self) -> None:
        """Remove the file: the run is complete."""
        self.close()
        with contextlib.suppress(OSError):
            self.file.unlink()


def _counts(outcome: Outcome, mark: str | None) -> bool:
    return outcome.mark == mark and outcome.verdict != UNANSWERED and 0 <= time.time() - outcome.at < LONGEST
