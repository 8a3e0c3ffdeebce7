"""What a directory holds, for what no key finds: the models, and requests that differ from the recorded ones."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, NamedTuple

from inferencereplay.catalogue.layered import open_catalogue
from inferencereplay.errors import InferenceReplayError, StoreError
from inferencereplay.recording.request import NotSerializable, parse_json
from inferencereplay.server.profiles import loosened

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from inferencereplay.catalogue.entries import Entry
    from inferencereplay.recording.request import Request
    from inferencereplay.server.profiles import Profile


class _Held(NamedTuple):
    model: Any
    name: str
    request: Request


class Contents:
    """The recordings of a directory, each read once.

    Args:
        directories: they need not exist yet; several are layers.
        profiles: what does not count when requests are compared.
        prepare: is applied to recorded requests, as to those that are looked up.

    Attributes:
        is_exact: whether everything counts.
    """

    def __init__(
        self, directories: tuple[str, ...], profiles: tuple[Profile, ...], prepare: Callable[[Request], Request]
    ) -> None:
        self._directories = directories
        self._profiles = profiles
        self._prepare = prepare
        self._seen: set[str] = set()
        self._held: dict[str, list[_Held]] = {}
        self._models: dict[str, int] = {}
        self.is_exact = not profiles
        if profiles:
            self.refresh()

    def refresh(self) -> bool:
        """Read the recordings that are new; return whether there were any."""
        before = len(self._seen)
        with contextlib.suppress(StoreError):  # a look-up tells what is wrong with the directory
            catalogue = open_catalogue(self._directories)
            for name in catalogue.names():
                if name not in self._seen:
                    self._seen.add(name)
                    with contextlib.suppress(InferenceReplayError, ValueError, NotSerializable):
                        self._add(catalogue.read(name))
        return len(self._seen) > before

    def models(self) -> dict[str, Any]:
        """Return the models of all requests as `GET /models` does."""
        self.refresh()
        return {"object": "list", "data": [self._model(name) for name in sorted(self._models)]}

    def model(self, name: str) -> dict[str, Any] | None:
        """Return one as `GET /models/NAME` does; `None` if no request names it."""
        self.refresh()
        return self._model(name) if name in self._models else None

    def like(self, request: Request) -> Iterator[Request]:
        """Yield the recorded requests that differ only in what does not count; those of the same model come first."""
        with contextlib.suppress(ValueError, NotSerializable, RecursionError):
            model = _model_of(request)
            found = self._held.get(loosened(request, self._profiles).key, ())
            for held in sorted(found, key=lambda held: (held.model != model, held.name)):
                yield held.request

    def _add(self, entry: Entry) -> None:
        request = self._prepare(entry.request)
        model = _model_of(request)
        if isinstance(model, str):
            date = int(entry.date.timestamp())
            self._models[model] = min(date, self._models.get(model, date))
        if self._profiles and entry.variant == 1:
            key = loosened(request, self._profiles).key
            self._held.setdefault(key, []).append(_Held(model, entry.name, entry.request))

    def _model(self, name: str) -> dict[str, Any]:
        return {"id": name, "object": "model", "created": self._models[name], "owned_by": "inferencereplay"}


def _model_of(request: Request) -> Any:
    body = parse_json(request.body)
    return body.get("model") if isinstance(body, dict) else None
