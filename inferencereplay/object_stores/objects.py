"""Objects by name: read, written under a condition, listed, removed. The only module that calls obstore.

Nothing here replaces an object without a condition: a new one is made only if there is none, and one that is there is
replaced only if it is the one that was read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from obstore.exceptions import AlreadyExistsError, BaseError, NotModifiedError, PreconditionError

from inferencereplay.errors import StoreError
from inferencereplay.object_stores.store_failures import Reason, reason
from inferencereplay.store.bounded_read import LARGEST

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_FAILED = (BaseError, OSError, ValueError)
"""What obstore raises; a `FileNotFoundError` for an object, or a bucket, that is not there."""


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


class ObjectFailure(StoreError):
    """A request to the store that failed.

    Attributes:
        reason: why.
    """

    def __init__(self, message: str, why: Reason | None = None) -> None:
        super().__init__(message)
        self.reason = why or Reason("")


class Objects:
    """The objects of one store.

    Args:
        url: its name in messages.
        opened: obstore's.
        prefix: what the names of all objects begin with.
    """

    def __init__(self, url: str, opened: Any, prefix: str = "") -> None:
        self.url = url
        self._store = opened
        self._prefix = f"{prefix}/" if prefix else ""

    def get(self, name: str, *, unlike: str | None = None) -> Found | None:
        """Read an object; `None` if there is none.

        Args:
            name: the object's.
            unlike: an e-tag; an object that has it is not read.

        Raises:
            Unchanged: if it has that e-tag.
            StoreError: if it cannot be read.
        """
        try:
            result = self._store.get(self._prefix + name, options=_options(unlike))
            version = self._checked(name, result.meta)
            return self._whole(name, bytes(result.bytes()), version)
        except _FAILED as error:
            self._check_absent(name, error)
            return None

    async def get_async(self, name: str, *, unlike: str | None = None) -> Found | None:
        """Read an object, as `get`, on asyncio's event loop."""
        try:
            result = await self._store.get_async(self._prefix + name, options=_options(unlike))
            version = self._checked(name, result.meta)
            return self._whole(name, bytes(await result.bytes_async()), version)
        except _FAILED as error:
            self._check_absent(name, error)
            return None

    def head(self, name: str) -> Version | None:
        """Return an object's version; `None` if there is none.

        Raises:
            StoreError: if it cannot be told.
        """
        try:
            return _version(self._store.head(self._prefix + name))
        except _FAILED as error:
            self._check_absent(name, error)
            return None

    def create(self, name: str, data: bytes) -> Version | None:
        """Make an object; `None` if there is one, also if another writer is making it at this moment.

        Raises:
            StoreError: if it cannot be written, or was perhaps written.
        """
        return self._put(name, data, "create")

    def exchange(self, name: str, data: bytes, there: Version) -> Version | None:
        """Write an object in the place of one that was read; `None` if that has been replaced or removed meanwhile.

        Raises:
            StoreError: if it cannot be written, or was perhaps written.
        """
        return self._put(name, data, {"e_tag": there.e_tag, "version": there.number})

    def _put(self, name: str, data: bytes, mode: Any) -> Version | None:
        try:
            put = self._store.put(self._prefix + name, data, mode=mode, use_multipart=False)
        except (AlreadyExistsError, PreconditionError):
            return None
        except FileNotFoundError as error:
            if mode != "create" and not self._is_without_bucket(error):
                return None
            raise self._failure(f"{name} cannot be written", error) from None
        except _FAILED as error:
            raise self._failure(f"{name} cannot be written", error) from None
        return Version(0, put["e_tag"], put["version"], len(data))

    def remove(self, name: str) -> None:
        """Remove an object if it is there.

        Raises:
            StoreError: if it cannot be removed.
        """
        try:
            self._store.delete(self._prefix + name)
        except FileNotFoundError:
            pass
        except _FAILED as error:
            raise self._failure(f"{name} cannot be removed", error) from None

    def list(self, folder: str = "") -> Iterator[Listed]:
        """Yield the objects of a folder and its folders.

        Raises:
            StoreError: if the listing fails or breaks off.
        """
        below = self._prefix + folder
        try:
            for page in self._store.list(below.strip("/") or None):
                for meta in page:
                    path: str = meta["path"]
                    if path.startswith(self._prefix):
                        yield Listed(path[len(self._prefix) :], _version(meta), _nanoseconds(meta))
        except _FAILED as error:
            raise self._failure("its objects cannot be listed", error) from None

    def _check_absent(self, name: str, error: Exception) -> None:
        """Raise why an object was not read, unless there is none."""
        if isinstance(error, NotModifiedError):
            raise Unchanged from None
        if isinstance(error, ObjectFailure):
            raise error
        if not isinstance(error, FileNotFoundError) or self._is_without_bucket(error):
            raise self._failure(f"{name} cannot be read", error) from None

    @staticmethod
    def _is_without_bucket(error: BaseException) -> bool:
        return "no such bucket" in reason(error).text

    def _checked(self, name: str, meta: Mapping[str, Any]) -> Version:
        version = _version(meta)
        if version.size > LARGEST:
            text = f"it has {version.size:,} bytes, and at most {LARGEST:,} are read"
            raise ObjectFailure(f"{self.url}/{name} cannot be read: {text}.")
        return version

    def _whole(self, name: str, data: bytes, version: Version) -> Found:
        if len(data) != version.size:
            text = f"the answer broke off after {len(data):,} of {version.size:,} bytes"
            raise ObjectFailure(f"{self.url}/{name} cannot be read: {text}.")
        return Found(data, version)

    def _failure(self, what: str, error: BaseException) -> ObjectFailure:
        why = reason(error)
        return ObjectFailure(f"{self.url}: {what}: {why.text}.", why)


class Unchanged(Exception):  # noqa: N818 - a signal between two modules
    """An object has the e-tag that the reader knows already."""


def _options(unlike: str | None) -> Any:
    return None if unlike is None else {"if_none_match": unlike}


def _version(meta: Mapping[str, Any]) -> Version:
    e_tag = meta["e_tag"]
    return Version(0 if e_tag else _nanoseconds(meta), e_tag, meta["version"], meta["size"])


def _nanoseconds(meta: Mapping[str, Any]) -> int:
    return int(meta["last_modified"].timestamp() * 1_000_000) * 1_000
