"""What a session is told: mode, speed and directory, from arguments and from the environment.

An argument beats the environment, which beats the default.
"""

from __future__ import annotations

import enum
import math
import os
from pathlib import Path
from typing import Any, NamedTuple

from inferencereplay.errors import InvalidSetting

DEFAULT_DIRECTORY = "recordings"
VARIABLES = {"directory": "INFERENCEREPLAY_DIR", "mode": "INFERENCEREPLAY_MODE", "speed": "INFERENCEREPLAY_SPEED"}
EXHAUSTED = ("repeat", "error", "record")
_VCR = {"none": "replay", "once": "record-if-missing", "new_episodes": "record-if-missing", "all": "record"}


class Mode(str, enum.Enum):
    """What happens to a call; wherever a mode is given, its name does as well, and VCR.py's names for it.

    Example:
        >>> Mode("new_episodes").value
        'record-if-missing'
    """

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
    from_environment: bool


def resolve(directory: str | os.PathLike[str] | None, mode: Mode | str | None, speed: float | str | None) -> Settings:
    """Decide what arguments (`None` for those not given) and the environment say together.

    Raises:
        InvalidSetting: for a mode or a speed that is none, or a directory that is no path.
    """
    from_environment = directory is None and mode is None
    directory, directory_source = _given("directory", directory)
    mode, mode_source = _given("mode", mode)
    speed, speed_source = _given("speed", speed)
    if mode is None:
        mode = Mode.LIVE if directory is None else Mode.REPLAY
    chosen = parse_mode(mode, mode_source)
    return Settings(
        parse_directory(DEFAULT_DIRECTORY if directory is None else directory, directory_source),
        chosen,
        parse_speed(math.inf if speed is None else speed, speed_source),
        from_environment and chosen is not Mode.LIVE,
    )


def _given(name: str, argument: Any) -> tuple[Any, str]:
    """Return an argument, or what the environment says in its place, and what to call it in a message."""
    if argument is not None:
        return argument, name
    variable = VARIABLES[name]
    return os.environ.get(variable) or None, variable


def parse_mode(mode: Mode | str, source: str = "mode") -> Mode:
    """Read a mode by its name, ours or VCR.py's.

    Raises:
        InvalidSetting: for any other name.
    """
    try:
        return Mode(mode)
    except ValueError:
        valid = ", ".join(repr(item.value) for item in Mode)
        message = (
            f"{source}={mode!r} is no mode. Valid are {valid}, and VCR.py's 'none', 'once', 'new_episodes', 'all'."
        )
        raise InvalidSetting(message) from None


def parse_speed(speed: float | str, source: str = "speed") -> float:
    """Read a speed: a number above 0, or `inf`.

    Raises:
        InvalidSetting: for anything else.
    """
    try:
        if isinstance(speed, (bool, bytes)):
            raise TypeError  # noqa: TRY301 - one message for everything that is no speed
        value = float(speed)
    except (TypeError, ValueError, OverflowError):
        value = math.nan
    if not value > 0:
        valid = "1 is the original pace, 10 ten times faster, 0.5 half as fast, inf without waiting"
        message = f"{source}={speed!r} is no speed. Valid is a number above 0: {valid}."
        raise InvalidSetting(message)
    return value


def check_behaviour(exhausted: str, record_errors: bool, normalize: Any) -> None:  # noqa: FBT001 - settings
    """Look at the settings that are taken as they are.

    Raises:
        InvalidSetting: for one that is none.
    """
    if exhausted not in EXHAUSTED:
        message = f"exhausted={exhausted!r} is none of {', '.join(map(repr, EXHAUSTED))}."
        raise InvalidSetting(message)
    if not isinstance(record_errors, bool):
        message = f"record_errors={record_errors!r} is neither True nor False."
        raise InvalidSetting(message)
    if normalize is not None and not callable(normalize):
        message = f"normalize={normalize!r} cannot be called. Give a function from a request's body to a body."
        raise InvalidSetting(message)


def parse_ignore(ignore: Any) -> tuple[str, ...]:
    """Read dotted paths into a request's body; a single one may stand alone.

    Raises:
        InvalidSetting: for anything else.
    """
    try:
        paths = (ignore,) if isinstance(ignore, str) else tuple(ignore)
    except TypeError:
        paths = (ignore,)  # told below
    for path in paths:
        if not isinstance(path, str) or not all(part and not part.isdigit() for part in path.split(".")) or "[" in path:
            rule = "Give names with dots, such as 'metadata.run_id'; a list is gone through, as in 'messages.name'"
            message = f"ignore={path!r} is no path into a request's body. {rule}."
            raise InvalidSetting(message)
    return paths


def parse_directory(directory: str | os.PathLike[str], source: str) -> Path:
    """Read a path; it need not exist.

    Raises:
        InvalidSetting: for what is none.
    """
    try:
        text = os.fspath(directory)
        if not isinstance(text, str) or not text or "\0" in text:
            raise TypeError  # noqa: TRY301 - one message for everything that is no path
        os.fsencode(text)
        return Path(text).expanduser()
    except (TypeError, UnicodeEncodeError, RuntimeError):  # the last for a home that nobody has, as in "~nobody"
        message = f"{source}={directory!r} is no path of a directory. Give a str or a pathlib.Path."
        raise InvalidSetting(message) from None
