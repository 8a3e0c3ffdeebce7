"""Files that a request sends, and contents of an answer that are no text, each in one line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from inferencereplay.catalogue.conversation.parts import Choice, Message, Part, elements, members, string

if TYPE_CHECKING:
    from collections.abc import Iterator

    from inferencereplay.recording.format import Response
    from inferencereplay.recording.request import JSON
    from inferencereplay.recording.side_file import SideFile

_KINDS = {
    **dict.fromkeys(("aac", "flac", "m4a", "mp3", "ogg", "opus", "pcm", "wav"), "audio"),
    **dict.fromkeys(("gif", "jpg", "png", "webp"), "image"),
    **dict.fromkeys(("mp4", "webm"), "video"),
}


def is_file(value: JSON) -> bool:
    """Whether a member of a form is a file, or a list of files."""
    first = next(iter(elements(value)), value)
    return "sha256" in members(first) and "length" in members(first)


def sent_files(body: JSON) -> Iterator[Message]:
    """Yield a message for the files of a form."""
    parts = [_sent(members(item)) for value in members(body).values() if is_file(value) for item in _listed(value)]
    if parts:
        yield Message("user", tuple(parts))


def kind_of_file(side: SideFile) -> str:
    """Return what a side file is: `audio`, `image`, `video` or `file`."""
    return _KINDS.get(side.ending.rpartition(".")[2], "file")


def received(body: JSON, response: Response) -> tuple[Choice, ...]:
    """Return the answer of an endpoint for files, images or audio; nothing for any other one."""
    sides = [*response.base64, *([] if response.binary is None else [response.binary])]
    parts = [Part(kind_of_file(side), f"{side.length:,} bytes, {side.ending[1:]}") for side in sides]
    if text := string(members(body).get("text")) or (response.text or "" if response.status < 300 else ""):  # noqa: PLR2004
        parts.insert(0, Part("text", text))
    return (Choice(0, Message("assistant", tuple(parts)), ""),) if parts else ()


def _listed(value: JSON) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _sent(file: dict[str, Any]) -> Part:
    told = [string(file.get("filename")), string(file.get("content_type")), f"{file.get('length')} bytes"]
    return Part("file", f"{', '.join(filter(None, told))}, SHA-256 {string(file.get('sha256'))[:12]}…")
