"""The store of a session: opened as its settings say, or refused because nothing can be stored there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from inferencereplay.errors import InvalidSetting
from inferencereplay.session.settings import Mode
from inferencereplay.store.interface import written_of
from inferencereplay.store.opening import open_store

if TYPE_CHECKING:
    from collections.abc import Callable

    from inferencereplay.recording.request import Request
    from inferencereplay.session.settings import Settings
    from inferencereplay.store.interface import Store


def open_session_store(settings: Settings, prepare: Callable[[Request], Request]) -> Store:
    """Open the store of a session.

    Args:
        settings: the session's.
        prepare: applies `ignore` and `normalize` to a request of another format.

    Raises:
        InvalidSetting: if recordings are to be stored where that cannot be.
        StoreError: if the directory is a file, or cannot be read, in `replay`.
    """
    mode, write_to = settings.mode, settings.write_to
    is_recording = mode in (Mode.RECORD, Mode.RECORD_IF_MISSING)
    store = open_store(settings.directory, settings.test_id, prepare, is_recorded=is_recording, write_to=write_to or 0)
    if (is_recording or write_to is not None) and not store.is_writable:
        asked = f"mode={mode.value!r}" if is_recording else f"write_to={write_to}"
        message = f"{asked}: {unwritable(store)} Record into another directory."
        raise InvalidSetting(message)
    if mode is Mode.RECORD and isinstance(settings.directory, tuple):
        store = store.written_first()  # type: ignore[attr-defined]  # a LayeredStore
    if settings.prefetch is not None and mode in (Mode.REPLAY, Mode.RECORD_IF_MISSING):
        from inferencereplay.session.first_use import prefetch  # noqa: PLC0415 - few sessions need it

        prefetch(store, settings.prefetch)
    return store


def unwritable(store: Store) -> str:
    """Say why nothing can be stored."""
    written = written_of(store)
    owner = "llama-stack" if written.is_foreign else "a web server"
    return f"{written.directory} is {owner}'s, and can be replayed only."
