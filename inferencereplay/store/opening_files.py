"""From a directory or a URL to the files of recordings there, by their names."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from inferencereplay.store.folder_files import FolderFiles
from inferencereplay.store.location import StoreURL

if TYPE_CHECKING:
    from inferencereplay.store.files import Files
    from inferencereplay.store.location import Location


def open_files(place: Location) -> Files:
    """Open the files of a place, which need not exist yet; the network is not asked for anything.

    Raises:
        InvalidSetting: if a URL cannot be opened.
    """
    if not isinstance(place, StoreURL):
        return FolderFiles(place.absolute())
    engine = importlib.import_module("inferencereplay.object_stores.opening_urls")  # above this package; few need it
    files: Files = engine.open_url(place).files()
    return files
