"""Side files: content that is no text, in a file beside the recording that names it.

Its name is the recording's, with `.json` replaced by an ending: the first 16 digits of the content's SHA-256, and what
the content is, as in `<32 hex>.0123456789abcdef.mp3`. A recording that gets another number takes its side files along.
"""

from __future__ import annotations

import hashlib
import io
import re
import tempfile
from typing import TYPE_CHECKING, Annotated, BinaryIO

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from typing_extensions import Self

ENDING = re.compile(r"\.[0-9a-f]{16}\.[a-z0-9]{1,8}")
BLOCK = 1024 * 1024
"""Bytes that are read at once."""
MOST_HELD = 16 * 1024 * 1024
"""Bytes of one content that are held in memory; what is longer is in a temporary file without a name."""
_NAMED = re.compile(rb'"ending"\s*:\s*"(\.[0-9a-f]{16}\.[a-z0-9]{1,8})"')
_KINDS = {
    "application/gzip": "gz",
    "application/jsonl": "jsonl",
    "application/pdf": "pdf",
    "application/sdp": "sdp",
    "application/x-ndjson": "jsonl",
    "application/x-tar": "tar",
    "application/zip": "zip",
    "audio/aac": "aac",
    "audio/flac": "flac",
    "audio/mp3": "mp3",
    "audio/mp4": "m4a",
    "audio/mpeg": "mp3",
    "audio/ogg": "ogg",
    "audio/opus": "opus",
    "audio/pcm": "pcm",
    "audio/wav": "wav",
    "audio/wave": "wav",
    "audio/webm": "webm",
    "audio/x-wav": "wav",
    "image/gif": "gif",
    "image/jpeg": "jpg",
    "image/png": "png",
    "image/webp": "webp",
    "text/csv": "csv",
    "text/html": "html",
    "video/mp4": "mp4",
    "video/webm": "webm",
}
_STARTS = (
    (b"\x89PNG\r\n", "png"),
    (b"\xff\xd8\xff", "jpg"),
    (b"GIF8", "gif"),
    (b"ID3", "mp3"),
    (b"\xff\xfb", "mp3"),
    (b"OggS", "ogg"),
    (b"fLaC", "flac"),
    (b"%PDF", "pdf"),
    (b"PK\x03\x04", "zip"),
    (b"\x1f\x8b", "gz"),
)
"""How contents begin whose type the server does not say."""


class SideFile(msgspec.Struct, dict=True):
    """A side file, as its recording names it.

    Attributes:
        ending: of its name; see above.
        length: bytes.
        sha256: of the content, 64 hexadecimal digits.
    """

    ending: str
    length: Annotated[int, msgspec.Meta(ge=0)]
    sha256: str

    def bind(self, source: Callable[[], BinaryIO]) -> None:
        """Set where the content is: a function that opens it."""
        vars(self)["source"] = source

    def open(self) -> BinaryIO:
        """Open the content.

        Raises:
            RecordingCorrupt: if the file is gone, torn, or another one.
            StoreError: if it cannot be read.
        """
        source: Callable[[], BinaryIO] = self.__dict__["source"]
        return source()

    def check(self) -> None:
        """Compare the content with what the recording says of it; errors are those of `open`."""
        self.open().close()

    def blocks(self) -> Iterator[bytes]:
        """Yield the content in blocks; errors are those of `open`."""
        with self.open() as file:
            yield from read_blocks(file)

    def read(self) -> bytes:
        """Return the content; errors are those of `open`."""
        with self.open() as file:
            content = file.read(self.length)  # at once, into memory of that size
            return content if len(content) == self.length else content + file.read()


def side_file(content: bytes | HashedFile, content_type: str) -> SideFile:
    """Make a side file of a content.

    Args:
        content: bytes, or a file, which is read anew from its beginning whenever the content is asked for.
        content_type: what the content is, as a header says it.
    """
    if isinstance(content, bytes):
        made = _made(content[:16], len(content), hashlib.sha256(content).hexdigest(), content_type)
        made.bind(lambda: io.BytesIO(content))
        return made
    made = _made(content.start, content.length, content.sha256, content_type)
    made.bind(lambda: _Again(content))  # type: ignore[return-value, arg-type]
    return made


def _made(start: bytes, length: int, digest: str, content_type: str) -> SideFile:
    return SideFile(f".{digest[:16]}.{extension(content_type, start)}", length, digest)


class HeldFile(tempfile.SpooledTemporaryFile):  # type: ignore[type-arg]  # which it takes from Python 3.11 on
    """A file in memory that goes to the disk if it becomes large; it has no name, and is gone with the process."""

    def __init__(self) -> None:
        super().__init__(MOST_HELD)

    def __del__(self) -> None:
        """Close it: nobody else does, for its content may be asked for until then."""
        self.close()


class HashedFile(HeldFile):
    """Such a file whose SHA-256 is known once it is written: large contents are not read for it once more.

    Attributes:
        start: the first bytes.
        length: bytes up to now.
    """

    def __init__(self) -> None:
        super().__init__()
        self.start = b""
        self.length = 0
        self._digest = hashlib.sha256()

    def append(self, data: bytes) -> None:
        """Write at the end."""
        self.start += data[: 16 - len(self.start)]
        self.length += len(data)
        self._digest.update(data)
        self.write(data)

    @property
    def sha256(self) -> str:
        """SHA-256 up to now, 64 hexadecimal digits."""
        return self._digest.hexdigest()


class _Again:
    """A file that is read from its beginning, and stays open."""

    def __init__(self, file: HeldFile) -> None:
        file.seek(0)
        self.read = file.read

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Leave the file open: it may be read once more."""

    close = __exit__


def read_blocks(file: BinaryIO | HeldFile) -> Iterator[bytes]:
    """Yield the rest of a file in blocks."""
    while block := file.read(BLOCK):
        yield block


def extension(content_type: str, start: bytes) -> str:
    """Return the last part of a side file's name.

    Args:
        content_type: as a header says it.
        start: the first bytes, by which a content is known whose type is not.
    """
    kind = content_type.partition(";")[0].strip().lower()
    if found := _KINDS.get(kind):
        return found
    if kind.startswith("text/") or kind.endswith("json"):
        return "txt"
    if start[:4] == b"RIFF":
        return "webp" if start[8:12] == b"WEBP" else "wav"
    return next((name for begin, name in _STARTS if start.startswith(begin)), "bin")


def endings_in(data: bytes) -> set[str]:
    """Return the endings of the side files that a recording's file names."""
    return {ending.decode() for ending in _NAMED.findall(data)}
