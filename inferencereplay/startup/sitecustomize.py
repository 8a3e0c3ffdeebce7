"""Every Python that `inferencereplay run` starts imports this module, because its folder comes first in PYTHONPATH.

It costs a few microseconds until the program imports `openai`; then the session of the environment begins. The
`sitecustomize` that Python would have imported otherwise is imported as well. Every Python process pays for the imports
of this module, so it imports nothing but the interpreter's own machinery.
"""

from __future__ import annotations

import importlib.machinery
import importlib.util
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from importlib.machinery import ModuleSpec
    from types import ModuleType
    from typing import Any

_FOLDER = __file__.rpartition("sitecustomize")[0].rstrip("/\\")


class Finder:
    """The first of the finders until `openai` is imported; it leaves the finding to the others."""

    @classmethod
    def find_spec(cls, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        """Return the spec that the others find, with a loader that begins the session."""
        if name != "openai":
            return None
        others = (finder for finder in sys.meta_path if finder is not cls)
        spec = next((found for finder in others if (found := finder.find_spec(name, path, target))), None)
        if spec is not None and spec.loader is not None:
            spec.loader = Loader(spec.loader)  # type: ignore[assignment]  # it has a loader's methods
        return spec


class Loader:
    """Loads a module, and begins the session.

    Args:
        loader: the module's own.
    """

    def __init__(self, loader: Any) -> None:
        self._loader = loader

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)

    def create_module(self, spec: Any) -> Any:
        """Let the module's own loader make the module."""
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        """Run the module. If the session cannot begin, the import fails, so that no call reaches the network."""
        if module.__spec__ is not None:
            module.__spec__.loader = module.__loader__ = self._loader
        self._loader.exec_module(module)
        begin()
        sys.meta_path.remove(Finder)


def begin() -> None:
    """Open the session of this process."""
    try:
        from inferencereplay import environment  # noqa: PLC0415 - only for programs that import openai
    except ImportError as error:
        message = (
            f"inferencereplay run: {sys.executable} cannot import inferencereplay, and calls would reach the "
            f"network ({error}). Install it there, from its checkout: {sys.executable} -m pip install ."
        )
        raise RuntimeError(message) from error
    environment.start()


def import_next() -> None:
    """Import the next `sitecustomize` on the path."""
    places = [place for place in sys.path if place.rstrip("/\\") != _FOLDER]
    spec = importlib.machinery.PathFinder.find_spec("sitecustomize", places)
    if spec is not None and spec.loader is not None:
        module = importlib.util.module_from_spec(spec)
        sys.modules["sitecustomize"] = module
        spec.loader.exec_module(module)


if __name__ == "sitecustomize":
    if "openai" in sys.modules:
        begin()
    else:
        sys.meta_path.insert(0, Finder)
    import_next()
