"""Images and sounds that an answer holds as Base64: taken out into side files, and put back.

In the recording, the ending of the side file stands in the place of the text, so that people can read the rest.
"""

from __future__ import annotations

import base64
import functools
import re
from typing import TYPE_CHECKING

import msgspec

from inferencereplay.recording.side_file import extension, side_file

if TYPE_CHECKING:
    from collections.abc import Callable

    from inferencereplay.recording.format import Response
    from inferencereplay.recording.side_file import SideFile

LONGEST = 64 * 1024
"""Characters of the longest text that stays in a recording."""
_TEXT = re.compile(rb'"(data:[\w/+.;=-]{1,100};base64,)?([A-Za-z0-9+/]{%d,}={0,2})"' % (LONGEST + 1))
_START = 64
"""Characters whose bytes tell what a content is."""


def take_out(response: Response) -> None:
    """Move long texts of Base64 that are images or sounds into side files."""
    found: dict[str, SideFile] = {}
    if max(map(len, (response.body, *response.chunks))) <= LONGEST:  # as nearly always
        response.base64 = []
        return

    def moved(match: re.Match[bytes]) -> bytes:
        side = _side_file(match[2])
        if side is None or side.ending.encode() in match.string:
            return match[0]
        found[side.ending] = side
        return b'"%b%b"' % (match[1] or b"", side.ending.encode())

    _change(response, functools.partial(_TEXT.sub, moved))
    response.base64 = [*found.values()]


def _side_file(text: bytes) -> SideFile | None:
    """Make a side file of a text; `None` if it would not come back the same, or is none of the known kinds."""
    if extension("", base64.b64decode(text[:_START])) == "bin" or len(text) % 4:
        return None
    content = base64.b64decode(text)
    return side_file(content, "") if base64.b64encode(content) == text else None


def exchange(response: Response, side: SideFile, safe: SideFile) -> None:
    """Let an answer name another side file where it names one, after that was redacted."""
    old, new = side.ending.encode(), safe.ending.encode()
    response.base64 = [safe if item is side else item for item in response.base64]
    response.audio = safe if response.audio is side else response.audio
    _change(response, lambda raw: raw.replace(old, new))
    for frame in response.frames or ():
        frame.json = msgspec.Raw(bytes(frame.json).replace(old, new))


def put_back(response: Response) -> None:
    """Put the texts back that were taken out.

    Raises:
        RecordingCorrupt: if a side file is gone, torn, or another one.
        StoreError: if it cannot be read.
    """
    texts = [(side.ending.encode() + b'"', base64.b64encode(side.read()) + b'"') for side in response.base64]

    def whole(raw: bytes) -> bytes:
        for ending, text in texts:
            raw = raw.replace(ending, text)
        return raw

    _change(response, whole)


def _change(response: Response, change: Callable[[bytes], bytes]) -> None:
    response.body = msgspec.Raw(change(bytes(response.body)))
    response.chunks = [msgspec.Raw(change(bytes(chunk))) for chunk in response.chunks]
