"""The recordings of several directories or URLs, as layers: each name begins with its directory."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from inferencereplay.catalogue.entries import Catalogue
from inferencereplay.store.location import parse_location
from inferencereplay.store.opening import open_store

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from inferencereplay.catalogue.entries import Entry
    from inferencereplay.store.location import Location


class LayeredCatalogue(Catalogue):
    """The recordings of layers; see `Catalogue`.

    Args:
        directories: two or more. One that does not exist is left out, as sessions do, if another one does.

    Raises:
        StoreError: if none exists, or one cannot be read.
    """

    def __init__(self, directories: Iterable[str | os.PathLike[str]]) -> None:
        places = [parse_location(directory).absolute() for directory in directories]
        self._parts = tuple(Catalogue(place) for place in places if not _is_missing(place)) or (Catalogue(places[0]),)
        self.directory = ", ".join(str(part.directory) for part in self._parts)  # type: ignore[assignment]  # for messages
        self.is_local = all(part.is_local for part in self._parts)
        self.store = open_store(tuple(part.directory for part in self._parts))

    def __reduce__(self) -> tuple[type[Catalogue], tuple[Any, ...]]:
        """Let another process open the same directories."""
        return LayeredCatalogue, (tuple(part.directory for part in self._parts),)

    @property
    def title(self) -> str:
        """The last parts of each directory."""
        return ", ".join(part.title for part in self._parts)

    @property
    def parts(self) -> tuple[Catalogue, ...]:
        """The catalogues of the layers, in order."""
        return self._parts

    def names(self) -> Iterator[str]:
        """Yield the names of all files of all layers, without reading them."""
        for part in self._parts:
            yield from map(part.full_name, part.names())

    def full_name(self, name: str) -> str:
        """Return a name, which begins with the directory already."""
        return name

    def read(self, name: str) -> Entry:
        """Read one file; errors are those of `Catalogue.read`."""
        part, inner = self.locate(name)
        return replace(part.read(inner), name=name)

    def content(self, name: str) -> bytes:
        """Return the bytes of a file; errors are those of `Catalogue.content`."""
        part, inner = self.locate(name)
        return part.content(inner)

    def locate(self, name: str) -> tuple[Catalogue, str]:
        """Return the layer of a file, and the file's name there."""
        part = max((part for part in self._parts if name.startswith(part.full_name(""))), key=_length)
        return part, name[len(part.full_name("")) :]

    def find_file(self, reference: str) -> Entry | None:
        """Return the recording of a file, by its name in the first layer that has it, or by its path."""
        for part in self._parts:
            if (found := part.find_file(reference)) is not None:
                return replace(found, name=part.full_name(found.name))
        return None

    def candidates(self, reference: str) -> list[str]:
        """Return the files that fit a prefix, of one key only that of the first layer that has it."""
        found: dict[str, str] = {}
        for part in self._parts:
            for name in part.candidates(reference):
                key = name if not part.store.is_foreign else part.read(name).key
                found.setdefault(key, part.full_name(name))
        return [*found.values()]


def open_catalogue(directory: str | os.PathLike[str] | Iterable[str | os.PathLike[str]]) -> Catalogue:
    """Open the recordings of a directory, of a URL, or of several as layers.

    Raises:
        StoreError: if none exists, or one cannot be read.
        InvalidSetting: for what is neither a path nor a URL, and for a URL that cannot be opened.
    """
    if isinstance(directory, (str, os.PathLike)):
        return Catalogue(directory)
    places = [*directory]
    return LayeredCatalogue(places) if len(places) != 1 else Catalogue(places[0])


def _length(part: Catalogue) -> int:
    return len(part.full_name(""))


def _is_missing(place: Location) -> bool:
    return isinstance(place, os.PathLike) and not os.path.exists(place)  # noqa: PTH110
