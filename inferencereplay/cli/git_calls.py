"""`git-merge` and `git-textconv`, which git calls once `git-setup` has told it to."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, NamedTuple

import click

from inferencereplay.catalogue.entries import load, parse
from inferencereplay.cli import options, terminal
from inferencereplay.cli.showing import show_conversation
from inferencereplay.errors import RecordingCorrupt

if TYPE_CHECKING:
    from pathlib import Path

    from inferencereplay.catalogue.entries import Entry

_MEND = "take either side: `git checkout --ours FILE`, or --theirs"


@click.command(name="git-textconv", hidden=True)
@click.argument("file", type=options.PATH)
def git_textconv(file: Path) -> int:
    """Print a recording for `git diff`: a conversation without what varies by nature, or else the file itself."""
    try:
        entry = load(file)
    except RecordingCorrupt:  # git diff has to go on
        sys.stdout.buffer.write(file.read_bytes())
        return 0
    show_conversation(entry, is_constant=True)
    return 0


@click.command(name="git-merge", hidden=True)
@click.argument("base", type=options.PATH)
@click.argument("ours", type=options.PATH)
@click.argument("theirs", type=options.PATH)
@click.argument("path")
def git_merge(base: Path, ours: Path, theirs: Path, path: str) -> int:
    """Merge two recordings of one request for git: the one that was recorded later is written to OURS.

    If it is not clear which one is right, OURS stays as it is, and the exit status is 1: git reports a conflict.
    """
    contents = [file.read_bytes() for file in (base, ours, theirs)]
    chosen = choose(*contents)
    if chosen.reason:
        terminal.note(f"{path}: {chosen.reason}; {_MEND}.")
        return 1
    if chosen.is_theirs:
        ours.write_bytes(contents[2])
    return 0


class Choice(NamedTuple):
    """Which side of a merge is taken, or the reason why none is."""

    is_theirs: bool = False
    reason: str = ""


def choose(base: bytes, ours: bytes, theirs: bytes) -> Choice:
    """Choose between two versions of a recording.

    A whole answer is taken before an incomplete one, else the one that was recorded later. An answer that was edited by
    hand has the date of the one it was made of, and a merge must not lose it.

    Args:
        base: the version that both were made of; empty if there was none.
        ours: one version.
        theirs: the other one.
    """
    first, second = _read(ours), _read(theirs)
    if first is None or second is None:
        return Choice(reason="a side cannot be read as a recording")
    if _key(first) != _key(second):
        return Choice(reason="the two sides have different requests")
    if _is_edited(first, second) or any(_is_edited(side, _read(base)) for side in (first, second)):
        return Choice(reason="a side was edited by hand")
    whole = [side.recording.response.is_whole for side in (first, second)]
    if whole[0] != whole[1]:
        return Choice(is_theirs=whole[1])
    dates = [side.recorded_at for side in (first, second)]
    if dates[0] is None or dates[1] is None:
        return Choice(reason="a side does not say when it was recorded")
    return Choice(is_theirs=dates[1] > dates[0])


def _read(data: bytes) -> Entry | None:
    try:
        return parse(data, "")
    except RecordingCorrupt:
        return None


def _key(entry: Entry) -> str:
    try:
        return entry.request.key
    except RecordingCorrupt:
        return ""


def _is_edited(entry: Entry, other: Entry | None) -> bool:
    """Whether two versions differ although they were recorded at one moment."""
    if other is None or not entry.recording.recorded.at:
        return False
    is_of_one_moment = entry.recording.recorded.at == other.recording.recorded.at
    return is_of_one_moment and entry.recording.response != other.recording.response
