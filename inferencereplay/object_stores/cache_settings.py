"""Where what was read from object stores is kept, how much of it, and for how long it counts unasked."""

from __future__ import annotations

import os
import re
from typing import NamedTuple

from inferencereplay.errors import InvalidSetting

FOLDER = "INFERENCEREPLAY_CACHE"
"""The variable for the folder, or `off`; by default the user's cache folder."""
SIZE = "INFERENCEREPLAY_CACHE_SIZE"
"""The variable for the most bytes, such as `500MB`."""
AGE = "INFERENCEREPLAY_CACHE_AGE"
"""The variable for how long a cached recording answers before the store is asked whether it has changed: `10m`."""
DEFAULT_SIZE = "1GB"
DEFAULT_AGE = "1h"
_OFF = ("off", "no", "false", "0")
_BYTES = {"": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
_SECONDS = {"": 1, "S": 1, "M": 60, "H": 3_600, "D": 86_400}
_AMOUNT = re.compile(r"([0-9]{1,15})\s*([A-Za-z]*)")


class CacheSettings(NamedTuple):
    """The settings of the cache.

    Attributes:
        folder: where it is; empty for none.
        size: bytes.
        age: nanoseconds.
    """

    folder: str
    size: int
    age: int


def read_settings() -> CacheSettings:
    """Read the settings from the environment.

    Raises:
        InvalidSetting: for an invalid value.
    """
    folder = os.environ.get(FOLDER, "").strip()
    size = _amount(SIZE, DEFAULT_SIZE, _BYTES, "a number of bytes, such as 500MB or 2GB")
    age = _amount(AGE, DEFAULT_AGE, _SECONDS, "a duration, such as 30s, 10m, 1h or 7d")
    is_on = folder.lower() not in _OFF and size > 0
    place = os.path.abspath(os.path.expanduser(folder)) if folder else ""  # noqa: PTH100, PTH111 - it stays after a chdir
    return CacheSettings(place or _users() if is_on else "", size, age * 10**9)


def _users() -> str:
    from platformdirs import user_cache_dir  # noqa: PLC0415 - the extra `stores` has it

    return os.path.join(user_cache_dir("inferencereplay", appauthor=False), "objects")  # noqa: PTH118


def _amount(variable: str, default: str, units: dict[str, int], valid: str) -> int:
    text = os.environ.get(variable) or default
    found = _AMOUNT.fullmatch(text.strip())
    if found is None or found[2].upper() not in units:
        message = f"{variable}={text!r} is not valid. Give {valid}."
        raise InvalidSetting(message)
    return int(found[1]) * units[found[2].upper()]
