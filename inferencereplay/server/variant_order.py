"""In which order equal requests get the variants of a recording.

In order, as in Python, they get the first, the second, …, and then what `exhausted` says. Load tools make the same
request more often than it was recorded: `cycle` begins again after the last variant, `random` takes any.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

from inferencereplay.errors import InvalidSetting
from inferencereplay.recording.format import is_whole
from inferencereplay.session.settings import Mode
from inferencereplay.session.variants import Variant, Variants

if TYPE_CHECKING:
    from collections.abc import Callable

    from inferencereplay.session.session import Session

IN_ORDER, CYCLE, RANDOM = ORDERS = ("in-order", "cycle", "random")


class CyclingVariants(Variants):
    """Variants that begin again after the last one."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._latest: dict[str, int] = {}

    def peek(self, path: str, key: str, read: Callable[[int], Any] | None = None) -> Variant | None:
        """Return what would answer the next call; see `Variants`."""
        read = read or self._files(path, key).get
        call = self._calls.get(key, 0) + 1
        latest = self._latest.get(key, 0)
        number = latest + 1
        data = None if latest and latest == self._last.get(key) else read(number)
        if data is None and latest != self._last.get(key):
            data, number = self._past_gap(read, number)
        if data is None and latest:
            self._last[key] = latest
            data, number = read(1), 1
            if data is None:
                data, number = self._past_gap(read, 1)
        return None if data is None else Variant(data, number, call)

    def commit(self, path: str, key: str, number: int, call: int) -> bool:
        """Count the call; see `Variants`."""
        is_counted = super().commit(path, key, number, call)
        if is_counted:
            self._latest[key] = number
        return is_counted


class RandomVariants(Variants):
    """Variants of which each call gets any."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._known: dict[str, list[int]] = {}

    def peek(self, path: str, key: str, read: Callable[[int], Any] | None = None) -> Variant | None:
        """Return what would answer the next call; see `Variants`."""
        files = self._files(path, key)
        numbers = self._known.get(key)
        for _ in range(2):  # again, if the one that was chosen has been removed
            if not numbers:
                numbers = self._known[key] = [*files.stamps()]
            if not numbers:
                return None
            number = random.choice(numbers)  # noqa: S311 - nothing depends on it that is secret
            data = (read or files.get)(number)
            if data is not None:
                return Variant(data, number, self._calls.get(key, 0) + 1)
            numbers = None
        return None


_CLASSES = {CYCLE: CyclingVariants, RANDOM: RandomVariants}


def check_order(order: str, mode: Mode) -> str:
    """Return `order` if it is one, and fits the mode.

    Raises:
        InvalidSetting: if it does not.
    """
    if order not in ORDERS:
        message = f"variants={order!r} is no order. Valid are {', '.join(map(repr, ORDERS))}."
        raise InvalidSetting(message)
    if order != IN_ORDER and mode is Mode.RECORD:
        message = f"variants={order!r} is for replaying. In mode='record' no recording answers."
        raise InvalidSetting(message)
    return order


def put_in_order(session: Session, order: str) -> Session:
    """Let a session that has answered no call give its variants in an order."""
    if order != IN_ORDER:
        if session.settings.max_age is not None and session.settings.on_expiry == "record":
            what = "does not say which recording a new one replaces, as on_expiry='record' needs"
            message = f"variants={order!r} {what}. Take variants={IN_ORDER!r}."
            raise InvalidSetting(message)
        variants = _CLASSES[order](session.store, replaces=False, repeats=True, is_whole=is_whole)
        session.recorder.variants = variants
    return session
