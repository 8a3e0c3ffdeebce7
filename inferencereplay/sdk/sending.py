"""Which noted call the SDK is sending, so that its attempts are counted."""

from __future__ import annotations

import weakref
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

import msgspec

from inferencereplay.recording.request import Request
from inferencereplay.redaction.header_secrets import literals_of
from inferencereplay.redaction.payloads import redact_request
from inferencereplay.redaction.redactor import Redactor
from inferencereplay.sdk import private
from inferencereplay.sdk.steps import Step
from inferencereplay.session import outgoing

if TYPE_CHECKING:
    from contextvars import Token

    from inferencereplay.session.calls_log import LoggedCall
    from inferencereplay.session.session import Session

_current: ContextVar[LoggedCall | None] = ContextVar("inferencereplay_sending", default=None)


def count_attempt() -> bool:
    """Count an attempt of the call that is being sent; return whether there is one."""
    noted = _current.get()
    if noted is not None:
        noted.attempts += 1
    return noted is not None


class sending:  # noqa: N801 - used like a function
    """Count the attempts of a call meanwhile, and note its end unless somebody else does.

    Args:
        noted: the call.
        is_whole: whether the answer is complete at the end.
    """

    __slots__ = ("_is_whole", "_noted", "_outer")

    def __init__(self, noted: LoggedCall | None, *, is_whole: bool) -> None:
        self._noted = noted
        self._is_whole = is_whole

    def __enter__(self) -> None:
        self._outer = _current.get()
        _current.set(self._noted)

    def __exit__(self, kind: object, error: object, traceback: object) -> None:
        _current.set(self._outer)
        if self._is_whole and self._noted is not None:
            self._noted.end()


def counted(step: Step, noted: LoggedCall | None, *, is_whole: bool) -> Step:
    """Return a step that sends a call, and counts its attempts."""

    def run() -> Any:
        with sending(noted, is_whole=is_whole):
            return step.run()

    async def run_async() -> Any:
        with sending(noted, is_whole=is_whole):
            return await step.run_async()

    return Step(run, run_async)


class LiveRequest(msgspec.Struct, eq=False):  # a class of its own would take three times as long to make
    """A request in `live` mode: it is read when somebody asks, so that the call costs next to nothing more.

    The client is not kept; its key is, which has to be hidden.

    Attributes:
        client: of the call.
        key: the client's.
        options: those of the SDK's request options that tell the request.
    """

    client: weakref.ref[Any]
    key: Any
    options: Any

    __repr__ = object.__repr__  # which shows no key

    @property
    def method(self) -> str:
        """The HTTP method."""
        return self._read().method

    @property
    def path(self) -> str:
        """The path relative to the base URL."""
        return self._read().path

    @property
    def body(self) -> bytes:
        """The JSON of the body."""
        return self._read().body

    @property
    def query(self) -> dict[str, Any]:
        """The query, by name."""
        return self._read().query

    def _read(self) -> Request:
        """Read the request, without the secrets of its client."""
        client, options = self.client(), self.options
        try:
            request = private.read_request(client, options)
            literals = private.secrets(client, options) if client is not None else literals_of([self.key])
            return redact_request(request, Redactor().with_literals(literals))
        except Exception:  # noqa: BLE001 - what the SDK could not send either
            return Request(options.method.upper(), options.url, b"null")


def begin_live(
    session: Session, client: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[LoggedCall, LoggedCall | None, Token[bool]]:
    """Note a call in `live` mode, let it reach the network, and count its attempts, until `end_live`.

    A context manager would take half a microsecond more.

    Args:
        session: notes it.
        client: of the call.
        args: those of `request`.
        kwargs: the same.

    Returns:
        What `end_live` is given.
    """
    options = args[1] if len(args) > 1 else kwargs["options"]
    key = getattr(client, "api_key", None)
    noted = session.note_live(LiveRequest(weakref.ref(client), key, private.without_files(options)))
    outer = _current.get()
    _current.set(noted)
    return noted, outer, outgoing.begin()


def end_live(noted: LoggedCall, outer: LoggedCall | None, token: Token[bool]) -> None:
    """Undo `begin_live`."""
    outgoing.end(token)
    _current.set(outer)
    noted.end()
