"""What stores the WebSocket connections of a session, which few sessions have."""

from __future__ import annotations

from typing import TYPE_CHECKING

from inferencereplay.recording.request import Request
from inferencereplay.session.call import Call
from inferencereplay.session.client_messages import ClientMessages, have_equal_messages
from inferencereplay.session.connection_variants import ConnectionVariants
from inferencereplay.session.recorder import Recorder
from inferencereplay.session.settings import Mode
from inferencereplay.store.interface import written_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from inferencereplay.recording.format import Response
    from inferencereplay.redaction.redactor import Redactor
    from inferencereplay.session.recording_cache import RecordingCache
    from inferencereplay.session.settings import Settings
    from inferencereplay.store.interface import Store


def make_connection_recorder(  # noqa: PLR0913 - what a session knows
    store: Store,
    cache: RecordingCache,
    settings: Settings,
    redactor: Redactor,
    *,
    prepare: Callable[[Request, Call], Request],
    use: Callable[[tuple[str, str, int]], None],
    has_expired: Callable[[bytes], bool],
) -> Recorder[ConnectionVariants]:
    """Make the recorder of a session's connections.

    Args:
        store: the session's.
        cache: the session's.
        settings: the session's.
        redactor: the session's.
        prepare: applies `ignore` and `normalize` to a message; see `Decider.prepare`.
        use: is called with path, key and number of a recording that was followed or stored.
        has_expired: returns whether a stored recording gives way to any complete one with equal messages.
    """

    def are_equal(first: Response, second: Response) -> bool:
        call = Call(Request("", "", b"null"), redactor)
        return have_equal_messages(ClientMessages(prepare, call), first, second)

    replaces = settings.mode is Mode.RECORD
    variants = ConnectionVariants(
        written_of(store) if replaces else store,
        cache,
        replaces=replaces,
        repeats=settings.exhausted == "repeat",
        is_equal=are_equal,
        use=use,
        has_expired=has_expired,
    )
    keeps_equal = settings.keep_equal and replaces
    return Recorder(store, variants, record_errors=settings.record_errors, keeps_equal=keeps_equal)
