"""The recordings of one key in a store: which gives way to which, how gaps close, and when old ones are removed."""

from __future__ import annotations

import contextlib
import enum
from typing import TYPE_CHECKING

from inferencereplay.errors import RecordingCorrupt, StoreError
from inferencereplay.store.address import LONGEST_GAP, Address

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from inferencereplay.store.interface import WritableStore


class Outcome(enum.IntEnum):
    """What became of an answer that was to be stored; false if it is not in the store."""

    REFUSED = 0
    """A recording with precedence is there."""
    STORED = 1
    UNCHANGED = 2
    """An equal answer is there."""


def never(*_: object) -> bool:
    """Return that it is not so."""
    return False


class VariantFiles:
    """The variants of one key.

    Args:
        store: where they live.
        path: the request's.
        key: the request's.
        replaces: whether new ones take the place of old ones (`record`).
        is_whole: returns whether a recording's bytes are complete.
        has_expired: returns whether a recording's bytes give way to any complete answer.
    """

    def __init__(  # noqa: PLR0913 - the address, and which recording gives way
        self,
        store: WritableStore,
        path: str,
        key: str,
        *,
        replaces: bool,
        is_whole: Callable[[bytes], bool],
        has_expired: Callable[[bytes], bool] = never,
    ) -> None:
        self._store = store
        self._path = path
        self._key = key
        self._replaces = replaces
        self._is_whole = is_whole
        self._has_expired = has_expired

    def address(self, number: int) -> Address:
        """Return the place of a variant."""
        return Address(self._path, self._key, number)

    def stamps(self) -> dict[int, object]:
        """Return the stamps of all variants by number, also of those after a gap that a killed process left."""
        found: dict[int, object] = {}
        last, number = 0, 1
        while numbers := range(number, last + 2 + LONGEST_GAP):
            for number, stamp in zip(numbers, self._store.stamps(self._path, self._key, numbers), strict=True):
                if stamp:  # it is empty for a file that cannot be looked at, nor be replaced then
                    last, found[number] = number, stamp
            number = numbers.stop
        return found

    def has(self, number: int) -> bool:
        """Whether there is a variant of that number."""
        return self._store.stamp(*self.address(number)) is not None

    def get(self, number: int) -> bytes | None:
        """Return a variant's bytes, or `None` if there is none."""
        return self._store.get(*self.address(number))

    def holds(self, number: int, *, is_whole: bool) -> bool:
        """Whether an answer can be in a variant's file; an incomplete answer is not in a complete file."""
        data = self.get(number)
        return data is not None and (is_whole or not self._is_whole(data))

    def delete(self, number: int) -> None:
        """Remove a variant if it is there."""
        self._store.delete(*self.address(number))

    def keep(
        self, number: int, data: bytes, *, is_whole: bool, stays: Callable[[bytes, bytes], bool] | None
    ) -> Outcome:
        """Store a variant unless an equal one is there; see `put`.

        Args:
            number: of the variant.
            data: the recording.
            is_whole: whether it is complete.
            stays: returns whether a file stays, from its content and what would be stored.
        """
        place = self.address(number)
        with contextlib.suppress(StoreError, RecordingCorrupt):  # what cannot be read is replaced
            there = self._store.get(*place) if stays and self._replaces else None
            if stays and there is not None and not self._has_expired(there) and stays(there, data):
                return Outcome.UNCHANGED
        return Outcome(self.put(number, data, is_whole=is_whole))

    def put(self, number: int, data: bytes, *, is_whole: bool) -> bool:
        """Store a variant; return `False` if one is there that is more complete, or that is not to be replaced."""

        def gives_way(there: bytes) -> bool:
            if self._is_whole(there):
                return is_whole and self._has_expired(there)
            return is_whole or self._replaces or len(there) < len(data)

        place = self.address(number)
        if self._replaces and is_whole:
            self._store.replace(*place, data)
            return True
        return self._store.add(*place, data) or self._store.replace_if(*place, data, gives_way)

    def close_up(self, own: Mapping[int, bool], first: int = 1) -> dict[int, int]:
        """Move recordings down so that their numbers follow each other.

        One that may not take the place of an old one in its way is removed in `record`, and stays otherwise.

        Args:
            own: the numbers of the calls that were answered, and whether the answer is stored there; if not, a
                recording with precedence is.
            first: the number that the first of them gets.

        Returns:
            The new number of each.

        Raises:
            OSError: if a recording cannot be moved.
        """
        moved = {}
        for target, number in enumerate(sorted(own), first):
            is_moved = target == number or not own[number] or self._move(number, target)
            moved[number] = target if is_moved else number
        return moved

    def _move(self, number: int, target: int) -> bool:
        if self._store.move(*self.address(number), target):
            return True
        data = self.get(number)
        if data is None:
            return self.has(target)  # an earlier attempt that was interrupted has moved it
        if not (self.put(target, data, is_whole=self._is_whole(data)) or self._replaces):
            return False
        self.delete(number)
        return True

    def remove_old(self, old: Mapping[int, object], last: int, free: int) -> None:
        """Remove old variants after a new recording, and let those that stay follow the new ones.

        One that was replaced meanwhile stays, and so do those before it.

        Args:
            old: their stamps, as they were.
            last: the number of the last one that stays.
            free: the number that follows the last new one.

        Raises:
            OSError: if a recording cannot be moved or removed.
        """
        # From the last one down: if the process dies meanwhile, the numbers still have no gap.
        for number in sorted(old, reverse=True):
            stamp = self._store.stamp(*self.address(number))
            if number <= last or (stamp and stamp != old[number]):
                break
            self.delete(number)
        for number in sorted(number for number in old if number >= free):
            if self.has(number):
                if number != free:
                    self._store.move(*self.address(number), free)
                free += 1
