"""Being told when a module has been imported.

wrapt has hooks for this, but their finder looks for modules by `importlib.util.find_spec`, which waits for module locks
while the import system holds its global one: two threads that import parts of one package then wait for each other for
ever. This one asks the other finders themselves, as the import system would, and takes no lock.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType


class ImportWatcher:
    """A finder that says which of some modules have been imported, between `start` and `stop`.

    Args:
        names: the modules.
        tell: is called with a module when it has been executed, in the thread that imports it.
    """

    def __init__(self, names: Container[str], tell: Callable[[ModuleType], object]) -> None:
        self._names = names
        self._tell = tell

    def start(self) -> None:
        """Look at imports from now on."""
        if self not in sys.meta_path:
            sys.meta_path.insert(0, self)

    def stop(self) -> None:
        """Leave no trace in the import system."""
        if self in sys.meta_path:
            sys.meta_path.remove(self)

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Find a module as the others do, and have its loader say when it is done."""
        if fullname not in self._names:
            return None
        for finder in sys.meta_path:
            spec = None if finder is self else finder.find_spec(fullname, path, target)
            if spec is not None:
                self._listen(spec.loader)
                return spec
        return None

    def _listen(self, loader: Any) -> None:
        execute = loader.exec_module

        def exec_module(module: ModuleType) -> None:
            del loader.exec_module
            execute(module)
            self._tell(module)

        loader.exec_module = exec_module
