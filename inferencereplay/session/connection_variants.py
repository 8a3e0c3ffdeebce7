"""Which recording a WebSocket connection follows, and under which number a new one is stored.

Connections with the same path and query have the same key, and differ in what the program sends. So no recording takes
the place of one in which the program sends something else, and a connection may change over to the variant that has the
program's messages.
"""

from __future__ import annotations

import contextlib
import itertools
from typing import TYPE_CHECKING, cast

from inferencereplay.errors import RecordingCorrupt
from inferencereplay.locks import make_lock
from inferencereplay.recording.format import decode, is_whole
from inferencereplay.session.variant_files import Outcome, VariantFiles, never
from inferencereplay.session.variants import Claim

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from inferencereplay.recording.format import Recording, Response
    from inferencereplay.recording.request import Request
    from inferencereplay.session.recording_cache import RecordingCache
    from inferencereplay.session.variants import Beside, Stays
    from inferencereplay.store.interface import Store, WritableStore


class ConnectionVariants:
    """The variants of one session.

    Args:
        store: where recordings live.
        cache: reads them.
        replaces: whether a new recording takes the place of one with equal messages (`record`).
        repeats: whether a recording that was followed before is followed again when there is no other.
        is_equal: returns whether the program sent the same in two recorded connections.
        use: is called with path, key and number of a recording that was followed or stored.
        has_expired: returns whether a stored recording gives way to any complete one with equal messages.
    """

    def __init__(  # noqa: PLR0913 - what a session knows
        self,
        store: Store,
        cache: RecordingCache,
        *,
        replaces: bool,
        repeats: bool,
        is_equal: Callable[[Response, Response], bool],
        use: Callable[[tuple[str, str, int]], None],
        has_expired: Callable[[bytes], bool] = never,
    ) -> None:
        self._store = cast("WritableStore", store)
        self._cache = cache
        self._replaces = replaces
        self._repeats = repeats
        self._is_equal = is_equal
        self._use = use
        self._has_expired = has_expired
        self._lock = make_lock()
        self._followed: dict[str, list[int]] = {}
        self._numbers: dict[int, int] = {}
        self._own: set[tuple[str, int]] = set()
        self._pending: dict[int, Claim] = {}
        self._begun = 0

    # Replaying.

    def choose(self, request: Request, key: str) -> tuple[int, Recording] | None:
        """Choose the recording that a new connection follows; `None` if there is none, or none is left."""
        with self._lock:
            found = next(self.candidates(request, key), None)
            if found is not None:
                self._followed.setdefault(key, []).append(found[0])
            return found

    def candidates(self, request: Request, key: str) -> Iterator[tuple[int, Recording]]:
        """Yield the recordings that a connection may follow: first those that none has followed."""
        followed = self._followed.get(key, [])
        for number, recording in self._all(request, key):
            if number not in followed:
                yield number, recording
        for number in dict.fromkeys(reversed(followed)) if self._repeats else ():
            again = self._cache.read(request, key, number)
            if again is not None:
                yield number, again

    def exchange(self, key: str, old: int, new: int) -> None:
        """Note that a connection follows another recording than the one that was chosen."""
        with self._lock:
            followed = self._followed[key]
            followed.remove(old)
            followed.append(new)

    def _all(self, request: Request, key: str) -> Iterator[tuple[int, Recording]]:
        files = self._files(request.path, key)
        read = ((number, self._cache.read(request, key, number)) for number in sorted(files.stamps()))
        return ((number, recording) for number, recording in read if recording is not None)

    # Recording; the methods are those that a recorder calls of `Variants`.

    def begin(self, path: str, key: str) -> Claim:  # noqa: ARG002 - the number depends on what will be sent
        """Begin with a connection that goes to the network, until `store` or `give_up` ends it."""
        with self._lock:
            self._begun += 1
            claim = self._pending[self._begun] = Claim(self._begun)
            return claim

    def has_pending(self) -> bool:
        """Whether a connection is open."""
        return bool(self._pending)

    def give_up(self, path: str, key: str, call: int) -> None:  # noqa: ARG002 - as `Variants` has it
        """End a connection."""
        self._pending.pop(call, None)

    def store(  # noqa: PLR0913 - as `Variants` has it
        self,
        path: str,
        key: str,
        call: int,
        data: bytes,
        *,
        is_whole: bool,
        stays: Stays | None = None,
        beside: Beside = contextlib.nullcontext,
    ) -> Outcome:
        """Store a recording, if none with precedence exists, and the connection has not ended.

        Args:
            path: the request's.
            key: the request's.
            call: what `begin` returned.
            data: the recording.
            is_whole: whether it is complete.
            stays: returns whether a file stays because its frames are equal; `stored_as` tells its number then.
            beside: returns what stores its side files, from the number that it gets.

        Raises:
            OSError: if it cannot be written.
        """
        if self._pending.pop(call, None) is None:
            return Outcome.REFUSED
        with self._lock:
            files, response = self._files(path, key), decode(data, "").response
            stamps = files.stamps()
            for number in sorted(stamps):
                if (key, number) not in self._own and self._holds(files, number, response):
                    self._note(files, key, number, call)
                    return self._replace(files, number, data, beside, is_whole=is_whole, stays=stays)
            free = itertools.count(max(stamps, default=0) + 1)
            number = next(number for number in free if self._add(files, number, data, beside))
            self._note(files, key, number, call)
            return Outcome.STORED

    def _replace(  # noqa: PLR0913 - as `store` has it
        self,
        files: VariantFiles,
        number: int,
        data: bytes,
        beside: Beside,
        *,
        is_whole: bool,
        stays: Stays | None,
    ) -> Outcome:
        with beside(number):
            return files.keep(number, data, is_whole=is_whole, stays=stays)

    def _add(self, files: VariantFiles, number: int, data: bytes, beside: Beside) -> bool:
        with beside(number):
            return self._store.add(*files.address(number), data)

    def stored_as(self, call: int) -> int:
        """Return the number under which a recording was stored."""
        return self._numbers.get(call, 0)

    def remove(self, path: str, key: str) -> None:
        """Remove nothing: under the key that the unredacted request would have, connections differ as well."""

    def _holds(self, files: VariantFiles, number: int, response: Response) -> bool:
        """Whether a variant is the recording of a connection in which the program sent the same."""
        try:
            return self._is_equal(decode(files.get(number) or b"", "").response, response)
        except RecordingCorrupt:
            return False

    def _note(self, files: VariantFiles, key: str, number: int, call: int) -> None:
        self._own.add((key, number))
        self._numbers[int(call)] = number
        self._use(files.address(number))

    def _files(self, path: str, key: str) -> VariantFiles:
        return VariantFiles(
            self._store, path, key, replaces=self._replaces, is_whole=is_whole, has_expired=self._has_expired
        )
