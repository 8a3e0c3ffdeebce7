"""One request, asked again: the new answer is compared with the stored one, and replaces it if that is wanted."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from inferencereplay.catalogue.conversation import read_conversation, read_tokens
from inferencereplay.errors import RecordingCorrupt
from inferencereplay.recording.control_characters import visible
from inferencereplay.redaction.payloads import redact_response
from inferencereplay.session.recorder import REPEATABLE
from inferencereplay.verification.bounds import cost_of
from inferencereplay.verification.changes import compare
from inferencereplay.verification.outcomes import CHANGED, SAME, UNANSWERED, Outcome
from inferencereplay.verification.replacing import replace_answer
from inferencereplay.verification.verification_plan import mark_of

if TYPE_CHECKING:
    from inferencereplay.catalogue.entries import Catalogue, Entry
    from inferencereplay.catalogue.totals import Prices
    from inferencereplay.recording.format import Recording, Response
    from inferencereplay.redaction.redactor import Redactor
    from inferencereplay.verification.changes import Thresholds
    from inferencereplay.verification.live_answers import LiveServer
    from inferencereplay.verification.verification_plan import Item

_FIRST_ERROR = 400


@dataclass(frozen=True)
class Asking:
    """How requests are asked again.

    Attributes:
        catalogue: the directory.
        server: answers.
        thresholds: what counts as a change.
        redactor: finds secrets: a stored answer may be older than what is known of them.
        prices: of the models.
        replaces: whether a changed recording is replaced.
        replaces_by_errors: whether an error may take the place of an answer.
    """

    catalogue: Catalogue
    server: LiveServer
    thresholds: Thresholds
    redactor: Redactor
    prices: Prices | None = None
    replaces: bool = False
    replaces_by_errors: bool = False

    async def ask(self, item: Item) -> Outcome:
        """Ask a request again.

        Raises:
            OSError: if a file cannot be replaced; nothing is changed then.
        """
        outcome = Outcome(item.name, "", item.model, UNANSWERED, mark=item.mark, at=time.time())
        try:
            entry = self.catalogue.read(item.name)
        except RecordingCorrupt as error:  # it was there when the plan was made
            outcome.reason = str(error)
            return outcome
        outcome.path = entry.path
        new = await self.server.ask(entry)
        outcome.reason = "its answer was not recorded" if new is None else _failure(new.response, entry)
        if new is not None and not outcome.reason:
            self._compare(outcome, entry, new)
        return outcome

    def _compare(self, outcome: Outcome, entry: Entry, new: Recording) -> None:
        old = msgspec.structs.replace(entry.recording.response)
        try:
            redact_response(old, self.redactor)
        except (ValueError, RecursionError):
            outcome.reason = "its recorded answer cannot be searched for secrets (inferencereplay check)"
            return
        found = compare(msgspec.structs.replace(entry.recording, response=old), new.response, self.thresholds)
        outcome.verdict = CHANGED if found.changes else SAME
        outcome.changes, outcome.similarity = found.changes, found.similarity
        outcome.recorded, outcome.now = found.old, found.new
        usage = read_tokens(new.response)
        outcome.input, outcome.output = usage.input, usage.output
        price = self.prices.find(entry.model) if self.prices else None
        outcome.cost = None if price is None else cost_of(usage, price)
        if found.changes and self.replaces:
            self._replace(outcome, entry, new)

    def _replace(self, outcome: Outcome, entry: Entry, new: Recording) -> None:
        is_worse = new.response.status >= _FIRST_ERROR > entry.recording.response.status
        if is_worse and not self.replaces_by_errors:
            outcome.reason = "its new answer is an error (--errors replaces it all the same)"
            return
        outcome.reason = replace_answer(self.catalogue, entry, new)
        outcome.is_replaced = not outcome.reason
        if outcome.is_replaced:
            outcome.mark = mark_of(self.catalogue.read(entry.name))


def _failure(response: Response, entry: Entry) -> str:
    """Return why an answer is none: it says nothing of the model, and the next one may be another."""
    error = visible(read_conversation(msgspec.structs.replace(entry.recording, response=response)).error)
    if response.binary is not None:
        return "its answer is neither JSON nor text"
    if response.status == 0 or not response.is_whole:
        return error or "it broke off"
    if response.status >= _FIRST_ERROR and response.status not in REPEATABLE:
        return f"{response.status} {error}"
    return ""
