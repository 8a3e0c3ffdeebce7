"""The age of recordings, and what becomes of a call whose recording is too old (`max_age`, `on_expiry`).

The age counts from `recorded.at`, by the real clock: neither a library that freezes time nor the session's `clock`
changes it. A recording that does not say when it was made has no age, and never expires.
"""

from __future__ import annotations

import datetime
import logging
import re
from typing import TYPE_CHECKING, Any

from inferencereplay.errors import InvalidSetting, RecordingCorrupt, RecordingExpired
from inferencereplay.pacing.clocks import SYSTEM_CLOCK
from inferencereplay.recording.format import decode

if TYPE_CHECKING:
    from inferencereplay.recording.format import Recording

log = logging.getLogger("inferencereplay.age")

WARN, ERROR, RECORD = ON_EXPIRY = ("warn", "error", "record")
MOST_NAMED = 5
"""Files that the warning names."""
_DURATION = re.compile(r"([0-9]+)\s*([smhdw])")
_SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}
_SHOWN = (("d", "day"), ("h", "hour"), ("m", "minute"), ("s", "second"))


def read_duration(text: str) -> datetime.timedelta | None:
    """Read a duration such as `30d`; `None` if it is none, or longer than a `timedelta` can be."""
    found = _DURATION.fullmatch(text)
    try:
        return datetime.timedelta(seconds=int(found[1]) * _SECONDS[found[2]]) if found else None
    except (OverflowError, ValueError):  # ValueError: more digits than Python reads
        return None


def parse_age(age: Any, source: str = "max_age") -> datetime.timedelta:
    """Read an age: a text such as `30d`, a `timedelta`, or a number of seconds.

    Raises:
        InvalidSetting: for anything else, and for an age that is not above 0.
    """
    found = age if isinstance(age, datetime.timedelta) else None
    if isinstance(age, str):
        found = read_duration(age.strip())
    elif isinstance(age, (int, float)) and not isinstance(age, bool):
        try:
            found = datetime.timedelta(seconds=age)
        except (OverflowError, ValueError):  # ValueError: not a number
            found = None
    if found is not None and found > datetime.timedelta():
        return found
    rule = "Give a number with s, m, h, d or w, such as '30d', a timedelta, or a number of seconds, above 0"
    message = f"{source}={age!r} is no age. {rule}."
    raise InvalidSetting(message)


def parse_on_expiry(what: Any, source: str = "on_expiry") -> str:
    """Read what becomes of a call whose recording is too old.

    Raises:
        InvalidSetting: for anything but its names.
    """
    if what in ON_EXPIRY:
        return str(what)
    message = f"{source}={what!r} is not valid. Valid are {', '.join(map(repr, ON_EXPIRY))}."
    raise InvalidSetting(message)


def age_of(recording: Recording) -> datetime.timedelta | None:
    """Return how long ago a recording was made, or `None` if it does not say."""
    moment = recording.recorded.moment
    return None if moment is None else datetime.timedelta(seconds=SYSTEM_CLOCK.unix_time() - moment.timestamp())


def shown(age: datetime.timedelta) -> str:
    """Return an age for people, in the largest unit of which it has one: `45 days`."""
    seconds = int(age.total_seconds())
    unit, name = next((item for item in _SHOWN if seconds >= _SECONDS[item[0]]), _SHOWN[-1])
    count = seconds // _SECONDS[unit]
    return f"{count} {name}{'' if count == 1 else 's'}"


class Expiry:
    """Which recordings of a session have expired.

    Args:
        max_age: the age from which on they have.
        on_expiry: what becomes of their calls: `warn`, `error` or `record`.

    Attributes:
        expired: how old the recordings were that answered calls although they have expired, by name.
    """

    def __init__(self, max_age: datetime.timedelta, on_expiry: str) -> None:
        self.on_expiry = on_expiry
        self.expired: dict[str, datetime.timedelta] = {}
        self._max_age = max_age
        self._told = 0

    def find(self, recording: Recording) -> datetime.timedelta | None:
        """Return the age of a recording that has expired; `None` for another one."""
        age = age_of(recording)
        return age if age is not None and age > self._max_age else None

    def has_expired(self, data: bytes) -> bool:
        """Whether the bytes of a file hold a recording that has expired."""
        try:
            return self.find(decode(data, "")) is not None
        except RecordingCorrupt:
            return False

    def error(self, name: str, age: datetime.timedelta, mend: str, facts: dict[str, Any]) -> RecordingExpired:
        """Make the error for a call whose recording has expired.

        Args:
            name: the file.
            age: its.
            mend: what records it again.
            facts: of the call.
        """
        message = f"{name} is {shown(age)} old, and recordings expire after {shown(self._max_age)} (max_age).\n{mend}"
        return RecordingExpired(message, recording=name, age=age.total_seconds(), **facts)

    def tell(self, directory: str) -> None:
        """Log one warning that names the recordings that have expired since the last time.

        Args:
            directory: of the recordings.
        """
        names = [*self.expired][self._told :]
        self._told += len(names)
        if not names:
            return
        oldest = sorted(names, key=lambda name: self.expired[name], reverse=True)
        listed = ", ".join(f"{name} ({shown(self.expired[name])})" for name in oldest[:MOST_NAMED])
        log.warning(
            "%s in %s %s older than max_age (%s): %s%s. Record %s again, or give on_expiry='record' "
            "with mode='record-if-missing'.",
            "1 recording" if len(names) == 1 else f"{len(names)} recordings",
            directory,
            "is" if len(names) == 1 else "are",
            shown(self._max_age),
            listed,
            f" and {len(names) - MOST_NAMED} more" * (len(names) > MOST_NAMED),
            "it" if len(names) == 1 else "them",
        )
