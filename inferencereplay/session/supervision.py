"""What a test runner has to say about the sessions that a program opens itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    from inferencereplay.session.session import Session


class Supervisor(Protocol):
    """Sees each session that `wrap` and `replay` open."""

    def open(self, directory: Any, options: Mapping[str, Any]) -> Session:
        """Make the session that the program asks for.

        Args:
            directory: as the program gave it, or `None`.
            options: the other settings that the program gave, by name.

        Raises:
            InvalidSetting: for an invalid setting.
            StoreError: if the directory cannot be used.
        """
        ...

    def meet(self, session: Session) -> None:
        """Learn of a session that the program has made itself, and uses now."""

    def end(self, session: Session) -> None:
        """Look at a session whose block ends, before its misses are raised and forgotten."""


supervisors: list[Supervisor] = []
"""Those of this process; the last one counts."""
