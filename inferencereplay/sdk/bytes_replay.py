"""The fast path of a `create` whose answers are bytes: speech."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from inferencereplay.sdk import fast_replay, private
from inferencereplay.sdk.answers import BytesWay, bytes_way

if TYPE_CHECKING:
    from collections.abc import Callable

    from inferencereplay.recording.format import Response
    from inferencereplay.sdk.fast_replay import Choice
    from inferencereplay.session.session import Session


class Found(NamedTuple):
    """The recording that answers a call of `create`, and how the caller wants it."""

    choice: Choice
    way: BytesWay

    @property
    def recorded(self) -> Response:
        """The recorded answer."""
        return self.choice.play.recording.response

    async def read_async(self) -> None:
        """Read the content without blocking the event loop; errors are those of `answer`."""
        await self.way.read_async(self.choice)

    def answer(self, session: Session, client: Any, read_options: Callable[[], Any]) -> Any:
        """Return what the SDK returns; see `BytesWay.answer`."""
        return self.way.answer(session, client, self.choice, read_options)


def choose(sends: fast_replay.Sending, session: Session, resource: Any, arguments: dict[str, Any]) -> Found | None:
    """Choose the recording that answers a call of `create`, or `None` if the call is not for the fast path.

    Raises:
        RecordingCorrupt: if the file that should answer cannot be used.
    """
    headers, client = arguments.get("extra_headers"), resource._client  # noqa: SLF001
    way = bytes_way(private.BytesContent, private.asked_mode(headers) if headers else None)
    choice = None if way is None else fast_replay.choose(session, client, sends, arguments, way.covers)
    return None if way is None or choice is None else Found(choice, way)
