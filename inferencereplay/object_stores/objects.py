"""Objects by name: read, written under a condition, listed, removed. The only module that calls obstore.

Nothing here replaces an object without a condition: a new one is made only if there is none, and one that is there is
replaced only if it is the one that was read.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
import time
import weakref
from typing import TYPE_CHECKING, Any, NamedTuple

from obstore.exceptions import AlreadyExistsError, BaseError, NotModifiedError, PreconditionError

from inferencereplay.errors import StoreError
from inferencereplay.object_stores.store_failures import Reason, reason
from inferencereplay.store.bounded_read import LARGEST

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

MOST_CONNECTIONS = 32
"""Requests at once, of a process's threads together, and of each event loop."""
OUTAGE = 5.0
"""Seconds for which a store that could not be reached is not asked again."""
_FAILED = (BaseError, OSError, ValueError)
"""What obstore raises; a `FileNotFoundError` for an object, or a bucket, that is not there."""


_PANICS = ("PanicException", "RustPanic")
"""What a panic within obstore raises; no `Exception`, and in no module that can be imported."""
_INVALID = (
    "obstore broke down, as it does if the endpoint or a credential is not valid. Look for blanks, line ends and a "
    "missing https:// in their variables"
)


class Version(NamedTuple):
    """What tells one content of an object from another.

    Attributes:
        modified: when it was written, in nanoseconds since 1970; 0 if there is an e-tag, which says it exactly.
        e_tag: by which it is replaced; `None` from a server that gives none.
        number: of the version, where the store has such.
        size: in bytes.
    """

    modified: int
    e_tag: str | None
    number: str | None
    size: int


class Found(NamedTuple):
    """An object that was read."""

    data: bytes
    version: Version


class Listed(NamedTuple):
    """An object in a listing, and when it was written, in nanoseconds since 1970."""

    name: str
    version: Version
    age: int


class Unchanged(Exception):  # noqa: N818 - a signal between modules
    """An object has the e-tag that the reader knows already."""


class _Absent(Exception):  # noqa: N818 - a signal within this module
    """There is no such object."""


class RequestError(StoreError):
    """A request to a store that failed.

    Attributes:
        reason: why.
    """

    def __init__(self, message: str, why: Reason) -> None:
        super().__init__(message)
        self.reason = why


class _Process:
    """What all stores of a process share, and a forked child has to make anew.

    Attributes:
        slots: are held by requests under way.
        is_usable: whether obstore works; it does not in a child that was forked after it was used.
    """

    def __init__(self) -> None:
        self.slots = threading.BoundedSemaphore(MOST_CONNECTIONS)
        self.is_used = False
        self.is_usable = True

    def forked(self) -> None:  # pragma: no cover - runs in forked children, whose coverage is not measured
        """Begin anew in a child."""
        self.slots = threading.BoundedSemaphore(MOST_CONNECTIONS)
        self.is_usable = not self.is_used


_process = _Process()
if hasattr(os, "register_at_fork"):  # pragma: no branch - Windows has no forks
    os.register_at_fork(after_in_child=_process.forked)
_limits: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Semaphore] = weakref.WeakKeyDictionary()


class Objects:
    """The objects of one store.

    Args:
        url: its name in messages.
        opened: obstore's.
        prefix: what the names of all objects begin with.
    """

    _now = staticmethod(time.monotonic)  # no name of the module, which a library that freezes time would replace

    def __init__(self, url: str, opened: Any, prefix: str = "") -> None:
        self.url = url
        self._store = opened
        self._prefix = f"{prefix}/" if prefix else ""
        self._outage: tuple[float, Reason] | None = None

    def get(self, name: str, unlike: str | None = None) -> Found | None:
        """Read an object; `None` if there is none.

        Args:
            name: the object's.
            unlike: an e-tag; an object that has it is not read.

        Raises:
            Unchanged: if it has that e-tag.
            StoreError: if it cannot be read.
        """
        with contextlib.suppress(_Absent), _process.slots, self._request(f"{name} cannot be read"):
            result = self._store.get(self._prefix + name, options=_options(unlike))
            version = _checked(result.meta)
            return _whole(bytes(result.bytes()), version)
        return None

    async def get_async(self, name: str, unlike: str | None = None) -> Found | None:
        """Read an object, as `get`, on asyncio's event loop."""
        with contextlib.suppress(_Absent):
            async with _limit():
                with self._request(f"{name} cannot be read"):
                    result = await self._store.get_async(self._prefix + name, options=_options(unlike))
                    version = _checked(result.meta)
                    return _whole(bytes(await result.bytes_async()), version)
        return None

    def head(self, name: str) -> Version | None:
        """Return an object's version; `None` if there is none.

        Raises:
            StoreError: if it cannot be told.
        """
        with contextlib.suppress(_Absent), _process.slots, self._request(f"{name} cannot be looked at"):
            return _version(self._store.head(self._prefix + name))
        return None

    def listed(self, name: str) -> Listed | None:
        """Return what a listing says of an object; `None` if there is none.

        Raises:
            StoreError: if it cannot be told.
        """
        with contextlib.suppress(_Absent), _process.slots, self._request(f"{name} cannot be looked at"):
            meta = self._store.head(self._prefix + name)
            return Listed(name, _version(meta), _nanoseconds(meta))
        return None

    async def head_async(self, name: str) -> Version | None:
        """Return an object's version, as `head`, on asyncio's event loop."""
        with contextlib.suppress(_Absent):
            async with _limit():
                with self._request(f"{name} cannot be looked at"):
                    return _version(await self._store.head_async(self._prefix + name))
        return None

    def create(self, name: str, data: bytes) -> Version | None:
        """Make an object; `None` if there is one, also if another writer is making it at this moment.

        Raises:
            StoreError: if it was not written, or it is not known whether it was.
        """
        with contextlib.suppress(_Absent), _process.slots, self._request(f"{name} cannot be written", is_write=True):
            return self._put(name, data, "create")
        return None

    def exchange(self, name: str, data: bytes, there: Version) -> Version | None:
        """Write an object in the place of one that was read; `None` if that has been replaced or removed meanwhile.

        Raises:
            StoreError: if it was not written, or it is not known whether it was.
        """
        versions = {"e_tag": there.e_tag, "version": there.number}
        mode = {name: value for name, value in versions.items() if value is not None}
        with contextlib.suppress(_Absent), _process.slots, self._request(f"{name} cannot be written", is_write=True):
            return self._put(name, data, mode)
        return None

    def _put(self, name: str, data: bytes, mode: Any) -> Version | None:
        try:
            put = self._store.put(self._prefix + name, data, mode=mode, use_multipart=False)
        except (AlreadyExistsError, PreconditionError):
            return None
        return Version(0, put["e_tag"], put["version"], len(data))

    def remove(self, name: str) -> None:
        """Remove an object if it is there.

        Raises:
            StoreError: if it cannot be removed.
        """
        with contextlib.suppress(_Absent), _process.slots, self._request(f"{name} cannot be removed"):
            self._store.delete(self._prefix + name)

    def list(self, folder: str = "") -> Iterator[Listed]:
        """Yield the objects of a folder and its folders.

        Raises:
            StoreError: if the listing fails or breaks off.
        """
        inside = len(self._prefix)
        pages = iter(self._store.list((self._prefix + folder).strip("/") or None))
        while True:
            page: Any = ()
            with contextlib.suppress(_Absent), _process.slots, self._request("its objects cannot be listed"):
                page = next(pages, ())
            yield from (Listed(meta["path"][inside:], _version(meta), _nanoseconds(meta)) for meta in page)
            if not page:
                return

    @contextlib.contextmanager
    def _request(self, what: str, *, is_write: bool = False) -> Iterator[None]:
        """Make of obstore's errors ours, which show nothing of a request but the name of the object."""
        if self._outage is not None and self._now() < self._outage[0]:
            raise self._error(what, self._outage[1])
        if not _process.is_usable:
            raise self._error(what, Reason(_FORKED, is_outage=True))
        _process.is_used = True
        try:
            yield
            self._outage = None
        except NotModifiedError:
            raise Unchanged from None
        except _FAILED as error:
            why = error.reason if isinstance(error, _BrokenAnswerError) else reason(error)
            if isinstance(error, FileNotFoundError) and not why.is_bucket:
                raise _Absent from None
            if why.is_outage and not (is_write and why.is_unclear):  # what is there is to be read back
                self._outage = self._now() + OUTAGE, why
            raise self._error(what, why) from None
        except BaseException as error:
            if type(error).__name__ not in _PANICS:
                raise
            raise self._error(what, Reason(_INVALID)) from None

    def _error(self, what: str, why: Reason) -> RequestError:
        return RequestError(f"{self.url}: {what}: {why.text}.", why)


_FORKED = (
    "obstore cannot be used in a process that was forked after its parent had used it. Start the process by "
    'multiprocessing\'s "spawn" or "forkserver"'
)


class _BrokenAnswerError(ValueError):
    """An answer that is not what it says."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.reason = Reason(text)


def _limit() -> asyncio.Semaphore:
    """Return what requests of this event loop hold while they are under way."""
    loop = asyncio.get_running_loop()
    limit = _limits.get(loop)
    if limit is None:
        limit = _limits[loop] = asyncio.Semaphore(MOST_CONNECTIONS)
    return limit


def _checked(meta: Mapping[str, Any]) -> Version:
    version = _version(meta)
    if version.size > LARGEST:
        text = f"it has {version.size:,} bytes, and at most {LARGEST:,} are read"
        raise _BrokenAnswerError(text)
    return version


def _whole(data: bytes, version: Version) -> Found:
    if len(data) != version.size:
        text = f"the answer broke off after {len(data):,} of {version.size:,} bytes"
        raise _BrokenAnswerError(text)
    return Found(data, version)


def _options(unlike: str | None) -> Any:
    return None if unlike is None else {"if_none_match": unlike}


def _version(meta: Mapping[str, Any]) -> Version:
    e_tag = meta["e_tag"]
    return Version(0 if e_tag else _nanoseconds(meta), e_tag, meta["version"], meta["size"])


def _nanoseconds(meta: Mapping[str, Any]) -> int:
    return int(meta["last_modified"].timestamp() * 1_000_000) * 1_000
