"""The recordings of every contender, each made once by its own recorder, and which of them could not be made."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import contenders
from contenders import CONTENDERS

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


class Comparison:
    """A run of the comparison.

    Attributes:
        root: a directory for all that is written.
        is_quick: whether to do with less of everything.
        contenders: by name.
        clients: of each contender.
        plain: a client of the real server.
        live: what that server answers without any contender, by scene.
    """

    def __init__(self, root: Path, url: str, *, is_quick: bool) -> None:
        self.root = root
        self.url = url
        self.is_quick = is_quick
        self.contenders = {name: make() for name, make in CONTENDERS.items()}
        self.clients = {name: contenders.client(name, url) for name in CONTENDERS}
        self.plain = contenders.client("plain", url)
        self.live: dict[str, Any] = {}
        self._failed: dict[tuple[str, str], str] = {}

    def directory(self, scene: str, name: str) -> Path:
        """Return the directory of a contender's recordings, which is there from then on."""
        directory = self.root / scene / name
        directory.mkdir(parents=True, exist_ok=True)
        return directory

    def record(self, scene: str, make: Callable[[Any], Callable[[], Any]]) -> None:
        """Have every contender record what is called, once."""
        for name, contender in self.contenders.items():
            if not (self.root / scene / name).exists():
                try:
                    with contender.recording(self.directory(scene, name)):
                        make(self.clients[name])()
                except Exception as error:  # noqa: BLE001 - whatever others raise
                    self._failed[scene, name] = f"recording: {told(error)}"

    def failed(self, scene: str) -> dict[str, str]:
        """Return which contenders could not record, and why."""
        return {name: self._failed[scene, name] for name in CONTENDERS if (scene, name) in self._failed}


def told(error: BaseException) -> str:
    """Say in one line what an exception says, with what is behind it."""
    text = f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"
    cause = error
    while behind := cause.__cause__ or cause.__context__:
        cause = behind
    text = text if cause is error else f"{text} ({type(cause).__name__}: {cause})"
    return re.sub(r"/\S*/", "", text)[:200]  # without the temporary directory
