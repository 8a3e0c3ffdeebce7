"""What a recording says of a body that is no JSON: the fields and files of a form, or other content.

A file is told by its length and its SHA-256. What can be read only once is read into a temporary file, and sent from
there.
"""

from __future__ import annotations

import hashlib
import io
from typing import TYPE_CHECKING, Any

from inferencereplay.recording.request import NotSerializable
from inferencereplay.recording.side_file import BLOCK, HashedFile, side_file

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from inferencereplay.recording.request import JSON
    from inferencereplay.recording.side_file import SideFile


class BodyDescription:
    """The description of one body.

    Args:
        keeps: whether the contents of files are kept.

    Attributes:
        uploads: the contents that are kept.
        instead: what is to be sent in the place of files that can be read only once, by the `id` of each.
    """

    def __init__(self, *, keeps: bool) -> None:
        self._keeps = keeps
        self.uploads: list[SideFile] = []
        self.instead: dict[int, Any] = {}

    def content(self, content: Any, content_type: str) -> JSON:
        """Describe content that is no form.

        Raises:
            NotSerializable: if nobody can read it twice.
        """
        if not isinstance(content, bytes):
            message = f"its content is an object of the type {type(content).__name__}"
            raise NotSerializable(message)
        return self._described({"content_type": content_type}, content, content_type)

    def form(self, fields: Iterable[Any]) -> JSON:
        """Describe a form: a file has a `file`, a `filename` and `headers`, any other field a `value`."""
        made: dict[str, JSON] = {}
        for field in fields:
            value = self._part(field) if hasattr(field, "file") else field.value
            there = made.get(field.name)
            if field.name not in made:
                made[field.name] = value
            elif isinstance(there, list):
                there.append(value)
            else:
                made[field.name] = [there, value]
        return made

    def _part(self, field: Any) -> JSON:
        """Describe a file, or a field with a content type, which the HTTP library takes for a file without a name."""
        content_type = next((value for name, value in field.headers.items() if name.lower() == "content-type"), "")
        made = {"content_type": content_type} if content_type else {}
        content = field.file.encode() if isinstance(field.file, str) else field.file
        if field.filename:
            return self._described({"filename": field.filename, **made}, content, content_type)
        try:
            return {**made, "text": content.decode()}
        except (AttributeError, UnicodeDecodeError):
            return self._described(made, content, content_type)

    def _described(self, made: dict[str, JSON], content: Any, content_type: str) -> JSON:
        if isinstance(content, bytes):
            side = side_file(content, content_type)
            if self._keeps:
                self.uploads.append(side)
            return {**made, "length": side.length, "sha256": side.sha256}
        length, digest, held = self._read(content)
        if held is not None and self._keeps:
            self.uploads.append(side_file(held, content_type))
        return {**made, "length": length, "sha256": digest}

    def _read(self, file: Any) -> tuple[int, str, HashedFile | None]:
        """Read a file as the HTTP library does: from its beginning, if it can go there."""
        can_repeat = _rewound(file)
        held = None if can_repeat and not self._keeps else HashedFile()
        length, digest = 0, hashlib.sha256()
        for block in _blocks(file):
            if held is not None:
                held.append(block)
            else:
                length += len(block)
                digest.update(block)
        if not can_repeat and held is not None:
            self.instead[id(file)] = _Once(held, getattr(file, "name", None))
        return (length, digest.hexdigest(), None) if held is None else (held.length, held.sha256, held)


def _rewound(file: Any) -> bool:
    """Go to the beginning of a file; return whether that is possible."""
    try:
        file.seek(0)
    except (AttributeError, io.UnsupportedOperation):
        return False
    return True


def _blocks(file: Any) -> Iterator[bytes]:
    while block := file.read(BLOCK):
        yield block.encode() if isinstance(block, str) else block


class _Once:
    """A file that is read once from its beginning: like the one that the program has given, it has no length."""

    def __init__(self, held: HashedFile, name: Any) -> None:
        self._held = held
        self._place = 0
        if name is not None:
            self.name = name

    def read(self, size: int = -1) -> bytes:
        """Read some bytes; the content may be read from elsewhere in between."""
        self._held.seek(self._place)
        data: bytes = self._held.read(size)
        self._place += len(data)
        return data
