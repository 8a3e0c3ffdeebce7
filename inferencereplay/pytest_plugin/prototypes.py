"""Sessions for tests that have equal settings, made of one another.

Most tests of a file have the same settings. Reading and checking them for each test, and opening the directory, would
take longer than all else that the plugin does for a test.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from inferencereplay.pytest_plugin.configuration import NAME, settings_for
from inferencereplay.session.settings import VARIABLES, Mode

if TYPE_CHECKING:
    from collections.abc import Mapping

    from inferencereplay.session.session import Session

_VARIABLES = tuple(VARIABLES.values())


class _Known(NamedTuple):
    """A session that answers no call, with what its settings were read from: no other object gets the id of that."""

    marks: tuple[pytest.Mark, ...]
    given: Mapping[str, Any]
    copy: dict[str, Any]
    session: Session


class Prototypes:
    """The sessions of which those of tests are made."""

    def __init__(self) -> None:
        self._known: dict[tuple[Any, ...], _Known] = {}

    def session(self, item: pytest.Item, given: Any, **defaults: Any) -> Session:
        """Return a new session for a test.

        Args:
            item: the test.
            given: what `inferencereplay_config` returns.
            defaults: settings that the test's own beat.

        Raises:
            pytest.skip.Exception: in `live` mode, for a test whose faults alter recorded answers.
            pytest.UsageError: for invalid options.
            InvalidSetting: for an invalid setting.
            StoreError: if the directory cannot hold recordings.
        """
        marks = tuple(item.iter_markers(NAME))
        read = tuple(map(os.environ.get, _VARIABLES))
        key = (item.path.parent, id(given), *map(id, marks), *read, *sorted(defaults.items()))
        known = self._known.get(key)
        if known is None or known.copy != (given or {}):
            settings = {**defaults, **settings_for(item.config, item, item.path.parent, given)}
            skip_altered(settings)
            made = make_session(settings)
            if not made.store.is_writable:  # what is read of llama-stack's directory stays for one test
                return made
            known = self._known[key] = _Known(marks, given, dict(given or {}), made)
        return known.session.sibling()


def skip_altered(settings: Mapping[str, Any]) -> None:
    """Skip a test whose faults alter recorded answers, in `live` mode: there are none, and it would test nothing.

    Raises:
        pytest.skip.Exception: which skips it.
    """
    if settings.get("mode") is Mode.LIVE and settings.get("faults"):
        pytest.skip("its faults alter recorded answers, and this run is live")


def make_session(settings: Mapping[str, Any]) -> Session:
    """Make a session; in `live` mode, where there are no recordings that they could alter, without faults.

    Raises:
        InvalidSetting: for an invalid setting.
        StoreError: if the directory cannot hold recordings.
    """
    from inferencereplay.session.session import Session  # noqa: PLC0415 - brings what a session needs

    if settings["mode"] is Mode.LIVE:
        settings = {name: value for name, value in settings.items() if name not in ("faults", "on")}
    return Session(**settings)
