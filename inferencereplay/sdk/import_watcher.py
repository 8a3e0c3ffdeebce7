"""A callback for modules that are imported later.

wrapt's post-import hooks cannot be used: their finder calls `importlib.util.find_spec`, which waits for module locks
while the import system holds its global lock, so that two threads that import parts of one package can block each other
for good. `ImportWatcher` calls the other finders itself, as the import system would, and takes no lock.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType


class ImportWatcher:
    """A finder that reports the import of some modules, between `start` and `stop`.

    Args:
        names: the names of the modules.
        report: is called with each module when it has been executed, in the thread that imports it.
    """

    def __init__(self, names: Container[str], report: Callable[[ModuleType], object]) -> None:
        self._names = names
        self._report = report

    def start(self) -> None:
        """Report imports from now on."""
        if self not in sys.meta_path:
            sys.meta_path.insert(0, self)

    def stop(self) -> None:
        """Remove this finder from the import system."""
        if self in sys.meta_path:
            sys.meta_path.remove(self)

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Find a module by the other finders, and have its loader report that it has been executed."""
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
            self._report(module)

        loader.exec_module = exec_module
