"""Rows of the target table on answers that are bytes: 10 MB of sound, replayed and recorded."""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
from typing import TYPE_CHECKING, Any

import scenes
from measuring import Row, measure, ratio_row

from inferencereplay import wrap
from inferencereplay.store import side_folder

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

PACED = "pause-0-8"
"""The model whose answer takes 0.8 s, as over a line of 100 Mbit/s."""


def _speaking(client: Any, model: str) -> Callable[[], bytes]:
    ask = {"model": model, "voice": "alloy", "input": "Hi"}
    return lambda: client.audio.speech.create(**ask).content


def sound(run: Any) -> list[Row]:
    """Measure replays of a sound: while its content is known to be the recorded one, and when it has to be compared."""
    with scenes.client(base_url=run.url) as client:
        wrap(client, run.directory, mode="record")
        _speaking(client, "m")()
    (file,) = run.directory.rglob("*.mp3")
    time.sleep(0.15)  # what has just been written is compared anew each time
    replay = _speaking(wrap(scenes.client(), run.directory, mode="replay"), "m")

    def first() -> None:
        side_folder._checked.clear()  # noqa: SLF001 - as in a new process
        replay()

    def read_and_hash() -> None:
        hashlib.sha256(file.read_bytes())

    medians = measure({"read": file.read_bytes, "again": replay}, run.rounds(30, 8))
    once = measure({"least": read_and_hash, "first": first}, run.rounds(15, 5))
    what = "replaying 10 MB of sound{} : reading {}the file"
    return [
        ratio_row("sound", what.format("", ""), medians["again"], medians["read"], 1.3),
        ratio_row("sound_first", what.format(" for the first time", "and hashing "), once["first"], once["least"], 1.1),
    ]


def recording_sound(run: Any) -> list[Row]:
    """Measure what recording adds to a sound that comes over a network; as fast as memory, to what has to be done."""
    with contextlib.ExitStack() as open_clients:
        plain, recording = (open_clients.enter_context(scenes.client(base_url=run.url)) for _ in range(2))
        wrap(recording, run.directory, mode="record")
        turns = {"plain": _speaking(plain, PACED), "recording": _speaking(recording, PACED)}
        medians = measure(turns, run.rounds(5, 2))
        kept, ask = run.directory / "kept", _speaking(plain, "m")
        at_once = {"least": lambda: _keep(ask(), kept), "recording": _speaking(recording, "m")}
        unpaced = measure(at_once, run.rounds(15, 5))
    what = "recording 10 MB of sound at 100 Mbit/s : not recording it"
    bound = "recording 10 MB of sound over loopback : not recording, but hashing it, and syncing two files"
    return [
        ratio_row("recording_sound", what, medians["recording"], medians["plain"], 1.1, slack=1.5),
        ratio_row("recording_sound_bound", bound, unpaced["recording"], unpaced["least"], 1.2),
    ]


def _keep(content: bytes, file: Path) -> None:
    """Do the least that a recorder can do: hash, and write two files that survive a crash of the machine."""
    digest = hashlib.sha256(content).hexdigest()
    for data in (content, digest.encode()):
        with file.open("wb") as opened:
            opened.write(data)
            opened.flush()
            os.fsync(opened.fileno())
        file.rename(file.with_suffix(f".{len(data)}.{time.monotonic_ns()}"))
