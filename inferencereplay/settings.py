"""What a session is told: mode, speed and directory, from arguments and from the environment.

An argument beats the environment, which beats the default.
"""

from __future__ import annotations

import enum
import math
import os
from pathlib import Path
from typing import NamedTuple

from inferencereplay.errors import InvalidSetting

DEFAULT_DIRECTORY = "recordings"
EXHAUSTED = ("repeat", "error", "record")
_VCR = {"none": "replay", "once": "record-if-missing", "new_episodes": "record-if-missing", "all": "record"}


class Mode(str, enum.Enum):
    """What happens to a call; VCR.py's names are accepted, as in `Mode("new_episodes")`."""

    LIVE = "live"
    """Everything goes to the network, nothing is stored."""
    REPLAY = "replay"
    """Recordings answer; a request that was not recorded is an error, and nothing reaches the network."""
    RECORD = "record"
    """Everything goes to the network and is stored; what the key had before is replaced."""
    RECORD_IF_MISSING = "record-if-missing"
    """Recordings answer; a request that was not recorded goes to the network and is stored."""

    @classmethod
    def _missing_(cls, value: object) -> Mode | None:
        return cls(_VCR[value]) if isinstance(value, str) and value in _VCR else None


class Settings(NamedTuple):
    """Mode, directory and speed, decided.

    Attributes:
        directory: where recordings live.
        mode: what happens to a call.
        speed: how fast recorded time runs; infinity for no waiting.
        is_ambient: whether the environment alone switched replaying or recording on.
    """

    directory: Path
    mode: Mode
    speed: float
    is_ambient: bool


def resolve(directory: str | os.PathLike[str] | None, mode: Mode | str | None, speed: float | str | None) -> Settings:
    """Decide what arguments (`None` for those not given) and the environment say together.

    Raises:
        InvalidSetting: for a mode or a speed that is none, or a directory that is no path.
    """
    is_ambient = directory is None and mode is None
    if directory is None:
        directory = os.environ.get("INFERENCEREPLAY_DIR") or None
    if mode is None:
        mode = os.environ.get("INFERENCEREPLAY_MODE") or None
        source = "INFERENCEREPLAY_MODE"
    else:
        source = "mode"
    if speed is None:
        speed = os.environ.get("INFERENCEREPLAY_SPEED") or math.inf
        speed_source = "INFERENCEREPLAY_SPEED"
    else:
        speed_source = "speed"
    if mode is None:
        mode = Mode.LIVE if directory is None else Mode.REPLAY
    chosen = parse_mode(mode, source)
    return Settings(
        _path(DEFAULT_DIRECTORY if directory is None else directory),
        chosen,
        parse_speed(speed, speed_source),
        is_ambient and chosen is not Mode.LIVE,
    )


def parse_mode(mode: Mode | str, source: str = "mode") -> Mode:
    """Read a mode by its name, ours or VCR.py's.

    Raises:
        InvalidSetting: for any other name.
    """
    try:
        return Mode(mode)
    except ValueError:
        valid = ", ".join(repr(item.value) for item in Mode)
        message = f"{source}={mode!r} is no mode. Valid are {valid}, and VCR.py's 'none', 'once', 'new_episodes', 'all'."
        raise InvalidSetting(message) from None


def parse_speed(speed: float | str, source: str = "speed") -> float:
    """Read a speed: a number above 0, or `inf`.

    Raises:
        InvalidSetting: for anything else.
    """
    try:
        if isinstance(speed, bool):
            raise TypeError  # noqa: TRY301 - one message for everything that is no speed
        value = float(speed)
    except (TypeError, ValueError, OverflowError):
        value = math.nan
    if not value > 0:
        valid = "1 is the original pace, 10 ten times faster, 0.5 half as fast, inf without waiting"
        message = f"{source}={speed!r} is no speed. Valid is a number above 0: {valid}."
        raise InvalidSetting(message)
    return value


def _path(directory: str | os.PathLike[str]) -> Path:
    try:
        text = os.fspath(directory)
    except TypeError:
        text = None  # type: ignore[assignment]  # told below, with everything else that is no path
    if not isinstance(text, str) or not text or "\0" in text:
        message = f"directory={directory!r} is no path of a directory. Give a str or a pathlib.Path."
        raise InvalidSetting(message)
    return Path(text).expanduser()
