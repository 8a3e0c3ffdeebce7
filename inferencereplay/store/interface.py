"""The interface between a session and the place where its recordings live."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager

    from inferencereplay.recording.format import Recording
    from inferencereplay.recording.request import JSON, Request
    from inferencereplay.recording.side_file import SideFile


class Store(Protocol):
    """A source of recordings, by path, key and variant (counted from 1)."""

    @property
    def directory(self) -> str:
        """The path of the directory, or the URL, for messages."""
        ...

    @property
    def is_writable(self) -> bool:
        """Whether it is a `WritableStore`."""
        ...

    @property
    def is_foreign(self) -> bool:
        """Whether its files are another recorder's, read as they are."""
        ...

    def read(self, path: str, key: str, variant: int) -> Recording | None:
        """Return a recording, or `None` if there is none."""
        ...

    def load(self, request: Request, key: str, variant: int) -> tuple[Recording, tuple[Any, ...]] | None:
        """Return a recording after a check that it is one of `request`, and its stamp; `None` if there is none."""
        ...

    def stamp(self, path: str, key: str, variant: int) -> tuple[Any, ...] | None:
        """Return, at little cost, a value that differs after every change of a recording; `None` if there is none.

        Its first item is the time of the last change, in nanoseconds since 1970: two changes within a tick of the
        kernel's clock may have the same. It is 0 where the other items tell any two changes apart. The last item is
        the size in bytes. The stamp is empty if the recording cannot be looked at.
        """
        ...

    def stamps(self, path: str, key: str, numbers: Sequence[int]) -> Sequence[tuple[Any, ...] | None]:
        """Return the stamps of several variants, at the cost of one where they are far away."""
        ...

    def known_stamp(self, path: str, key: str, variant: int) -> tuple[Any, ...] | None:
        """Return the stamp of a recording that `load` would return at no cost; `None` where it has to be looked at.

        A distant store answers by what it read some time ago.
        """
        ...

    def sources(self, path: str, key: str, variant: int) -> tuple[str, ...]:
        """Return the names, relative to the directory, of the files that a recording comes from."""
        ...

    def list(self) -> Iterator[str]:
        """Yield the names of all recordings, relative to the directory."""
        ...

    def state(self, path: str) -> tuple[int, ...]:
        """Return what stays equal as long as no recording of `path` comes or goes; empty if there can be none.

        A distant store notices after a minute what others do. The first item is the time of the last change, as in a
        stamp.
        """
        ...

    def requests(self, path: str, limit: int) -> Iterator[tuple[str, bytes]]:
        """Yield name and request body of the recordings of `path`, as it is laid out in a file.

        If there are more than `limit`, the newest are taken. One that cannot be read is left out.
        """
        ...

    def newest(self, names: Sequence[str]) -> Iterator[tuple[str, JSON]]:
        """Yield name and request body of the recordings with these names, newest first, without unusable ones."""
        ...


class SideFiles(Protocol):
    """A store that keeps side files: binary content beside recordings, which name it."""

    def put_side(self, path: str, key: str, variant: int, side: SideFile) -> AbstractContextManager[None]:
        """Store a side file, and keep it from being removed while its recording is stored.

        Args:
            path: the request's.
            key: the request's.
            variant: the recording's number.
            side: the side file; its content can be opened.
        """
        ...

    def drop_side(self, path: str, key: str, variant: int, side: SideFile) -> None:
        """Remove a side file, unless its recording is there and names it, or is being stored."""
        ...


class WritableStore(Store, Protocol):
    """A store that takes recordings, as bytes in the file format; each is stored whole or not at all."""

    def get(self, path: str, key: str, variant: int) -> bytes | None:
        """Return the bytes of a recording, or `None` if there is none."""
        ...

    def add(self, path: str, key: str, variant: int, data: bytes) -> bool:
        """Store a recording; return `False` if there is one already."""
        ...

    def replace(self, path: str, key: str, variant: int, data: bytes) -> None:
        """Store a recording, in the place of one that is there."""
        ...

    def replace_if(self, path: str, key: str, variant: int, data: bytes, gives_way: Callable[[bytes], bool]) -> bool:
        """Store a recording; return `False` if one is there for which `gives_way` is false."""
        ...

    def move(self, path: str, key: str, variant: int, to: int) -> bool:
        """Give a recording another number; return `False` if that one is taken, or the recording is gone."""
        ...

    def delete(self, path: str, key: str, variant: int) -> None:
        """Remove a recording if it is there."""
        ...


def layers_of(store: Store) -> tuple[Store, ...]:
    """Return the stores that a store looks into, in order: the layers of a `LayeredStore`, else itself."""
    return getattr(store, "layers", None) or (store,)


def written_of(store: Store) -> Store:
    """Return the store that new recordings go to: one of the layers of a `LayeredStore`, else itself."""
    written: Store = getattr(store, "written", store)
    return written


def located_in(store: Store, name: str) -> tuple[Store, str]:
    """Return the layer of a recording, and the recording's name there."""
    if not hasattr(store, "layers"):
        return store, name
    number, inner = store.locate(name)  # type: ignore[attr-defined]  # a LayeredStore
    return layers_of(store)[number], inner


def full_name(store: Store, name: str) -> str:
    """Return the name of a recording with its directory; the names of a `LayeredStore` have it already."""
    return name if hasattr(store, "layers") else f"{store.directory}/{name}"
