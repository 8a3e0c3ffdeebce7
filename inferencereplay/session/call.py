"""One call of the SDK, read once: what it requests, what is secret in it, and which server it is for."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from inferencereplay.recording.control_characters import visible
from inferencereplay.recording.format import Provenance
from inferencereplay.recording.request import NotSerializable, Request
from inferencereplay.recording.side_file import SideFile
from inferencereplay.redaction.payloads import redact_request
from inferencereplay.redaction.redactor import Redactor


class Call(msgspec.Struct):  # a class of its own would take three times as long to make
    """What a session knows of one call.

    Secrets are searched for when they are first needed; most replayed calls need none.

    Attributes:
        request: what the SDK would send, with the session's `ignore` and `normalize` applied.
        sent: what the SDK would send, if the session has an `ignore` or a `normalize`.
        known: the session's redactor.
        find_literals: returns the secrets of the call's client, such as its API key.
        find_origin: returns the server that the call is for.
        uploads: the contents of the files that it sends, if they are kept.
        found: the value of `redactor` once it was needed.
        safe: the value of `redacted` once it was needed.
    """

    request: Request
    known: Redactor
    find_literals: Callable[[], tuple[str, ...]] = tuple
    find_origin: Callable[[], Provenance] = Provenance
    sent: Request | None = None
    uploads: list[SideFile] = []
    found: Redactor | None = None
    safe: Request | None = None

    @property
    def redactor(self) -> Redactor:
        """A redactor that also knows the secrets of the call's client."""
        if self.found is None:
            self.found = self.known.with_literals(self.find_literals())
        return self.found

    @property
    def redacted(self) -> Request:
        """The request without secrets; the same object if it has none.

        Raises:
            NotSerializable: if it is nested too deeply to be searched.
        """
        if self.safe is None:
            self.safe = redact_request(self.request, self.redactor)
        return self.safe

    @property
    def shown(self) -> Request:
        """What the SDK would send, without secrets, for people; without its body if that cannot be searched."""
        try:
            return self.redacted if self.sent is None else redact_request(self.sent, self.redactor)
        except NotSerializable:
            return Request(self.request.method, self.path, b"null")

    @property
    def line(self) -> str:
        """Method and path for messages, without secrets and without the query."""
        return f"{self.request.method} {self.path}"

    @property
    def path(self) -> str:
        """The path for messages, without secrets and without the query."""
        return visible(self.redactor.text(self.request.path.partition("?")[0]))
