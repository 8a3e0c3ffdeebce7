"""Ready-made functions for `normalize=`: each takes what varies from run to run out of a request's body.

Every function returns a copy of the body. What it finds gets a number in order of first appearance, so that requests
whose ids differ are equal, and requests that use one id where others use two are not.

    >>> uuids({"messages": [{"role": "user", "content": "job 0b6d1b3c-5d1e-4c43-9c55-0a9d7a1f4b2e"}]})
    {'messages': [{'role': 'user', 'content': 'job 00000000-0000-0000-0000-000000000001'}]}

They are settings of a session by function or by name: `replay("recordings", normalize=[uuids, "timestamps"])`,
`INFERENCEREPLAY_NORMALIZE=uuids,timestamps`. A name between slashes is a regular expression, whose matches get numbers
in the same way: `normalize="/job-[0-9]+/"`; see `Matches`.
"""

from __future__ import annotations

import functools
import re
import tempfile
from typing import TYPE_CHECKING, Any

from inferencereplay.recording.difference import differences
from inferencereplay.recording.request import canonical_json

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from inferencereplay.recording.difference import Difference
    from inferencereplay.recording.request import JSON

__all__ = ["sorted_tools", "temporary_paths", "timestamps", "tool_call_ids", "uuids"]

_UUID = (
    r"(?i:(?<![0-9A-Za-z])(?:[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
    r"|[0-9a-f]{12}[1-8][0-9a-f]{3}[89ab][0-9a-f]{15})(?![0-9A-Za-z]))"
)
_CLOCK = r"\d{1,2}:\d{2}(?::\d{2}(?:[.,]\d{1,9})?)?(?:\s?[AaPp](?:\.[Mm]\.|[Mm]\b))?"
_ZONE = r"(?:\s?(?:Z|UTC|GMT|[+-]\d{2}:?\d{2}))?"
_MONTH = (
    r"(?:Jan(?:uary)?|Feb(?:ruary)?|Mar(?:ch)?|Apr(?:il)?|May|June?|July?|Aug(?:ust)?|Sept?(?:ember)?|Oct(?:ober)?"
    r"|Nov(?:ember)?|Dec(?:ember)?)\.?"
)
_WEEKDAY = r"(?:Mon|Tues?|Wed(?:nes)?|Thu(?:rs)?|Fri|Sat(?:ur)?|Sun)(?:day)?,?\s"
_DAY = r"\d{1,2}(?:st|nd|rd|th)?"
_DATE = rf"(?:(?:{_WEEKDAY})?(?:\d{{4}}-\d{{2}}-\d{{2}}|{_MONTH}\s{_DAY},?\s\d{{4}}|{_DAY}\s{_MONTH},?\s\d{{4}}))"
_CTIME = rf"{_WEEKDAY}{_MONTH}\s+\d{{1,2}}\s{_CLOCK}{_ZONE}\s\d{{4}}"
_TIMESTAMP = (
    rf"(?<![0-9A-Za-z])(?:{_CTIME}|{_DATE}(?:(?:T|,?\s(?:at\s)?){_CLOCK}{_ZONE})?|\d{{1,2}}:\d{{2}}:\d{{2}}{_ZONE})"
    r"(?![0-9A-Za-z])"
)
_TIME = "2000-01-01T00:00:00Z"
_TIME_NAMES = r"(?:.*_)?(?:at|time|timestamp|date|created|updated|now)"
_YEARS = (10**9, 10**10)
"""Seconds since 1970, from the year 2001 to 2286; milliseconds and more have more digits."""
_TEMPORARY = (
    r"(?:/private)?(?:/var)?/tmp|(?:/private)?/var/folders/[^/\s]+/[^/\s]+/T|[A-Za-z]:[\\/](?:[^\\/\s]+[\\/])+Temp"
)
_RUN = r"pytest-of-[^/\\\s]+[\\/]pytest-\d+(?:[\\/]popen-gw\d+)?"
_MAY_VARY = r"\d[:-]\d|[0-9A-Fa-f]{12}|[/\\]|Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec"
"""A part of each text in which a UUID, a time or a path is found."""
_compiled = functools.cache(re.compile)
"""Compiles an expression when it is first needed: that of times takes as long as a search of many files."""
_PART = r"[^/\\\s'\"`<>|:;,)\]}]+"


def uuids(body: JSON) -> JSON:
    """Number UUIDs in texts, with hyphens or as 32 hexadecimal digits of a version from 1 to 8.

    Lets through: requests that differ only in which UUIDs they name.
    """
    numbers: dict[str, int] = {}

    def number(found: re.Match[str]) -> str:
        value = found[0].replace("-", "").lower()
        digits = f"{numbers.setdefault(value, len(numbers) + 1):032d}"
        if "-" not in found[0]:
            return digits
        return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))

    return _in_texts(body, lambda text: _compiled(_UUID).sub(number, text))


def timestamps(body: JSON) -> JSON:
    """Replace dates and times: ISO 8601, RFC 2822, `ctime`, and English ones such as "Friday, November 27, 2026".

    Unix times are replaced in members whose name says that they are times, such as `created_at`.

    Lets through: requests that differ only in a date or a time of day, also where it is what is asked about.
    """
    return _timeless(_in_texts(body, lambda text: _compiled(_TIMESTAMP).sub(_TIME, text)))


def _timeless(value: JSON) -> JSON:
    if isinstance(value, dict):
        return {name: 0 if _is_unix_time(name, item) else _timeless(item) for name, item in value.items()}
    return [_timeless(item) for item in value] if isinstance(value, list) else value


def _is_unix_time(name: str, value: JSON) -> bool:
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not _compiled(_TIME_NAMES).fullmatch(name):
        return False
    return any(_YEARS[0] * unit <= value < _YEARS[1] * unit for unit in (1, 10**3, 10**6, 10**9))


def tool_call_ids(body: JSON) -> JSON:
    """Number the ids of tool calls, in the assistant's messages, in tool results, and in items of the Responses API.

    Lets through: requests that differ only in those ids.
    """
    numbers: dict[str, str] = {}

    def number(value: str) -> str:
        return numbers.setdefault(value, f"call_{len(numbers) + 1}")

    def renumbered(value: JSON, *, is_call: bool = False) -> JSON:
        if isinstance(value, list):
            return [renumbered(item, is_call=is_call) for item in value]
        if not isinstance(value, dict):
            return value
        is_call = is_call or _is_call(value)
        return {
            name: number(item)
            if isinstance(item, str) and (name in _CALL_IDS or (is_call and name == "id"))
            else renumbered(item, is_call=name == "tool_calls")
            for name, item in value.items()
        }

    return renumbered(body)


_CALL_IDS = ("tool_call_id", "call_id", "tool_use_id")


def _is_call(value: dict[str, JSON]) -> bool:
    """Whether an item of the Responses API is a call or its result."""
    kind = value.get("type")
    return isinstance(kind, str) and kind.endswith(("_call", "_call_output"))


def temporary_paths(body: JSON) -> JSON:
    r"""Number the folders and files in a directory for temporary ones; what is below them stays.

    Such directories are `/tmp`, `/var/tmp`, macOS's `/var/folders/…/T`, Windows' `AppData\Local\Temp`, and what this
    machine uses. A folder of pytest's counts as one, with its number of the run and its worker's name.

    Lets through: requests that differ only in the names of temporary files and folders.
    """
    numbers: dict[str, int] = {}
    pattern = _compiled(rf"(?<![\w./\\-])(?:{re.escape(tempfile.gettempdir())}|{_TEMPORARY})([\\/])({_RUN}|{_PART})")

    def number(found: re.Match[str]) -> str:
        return f"/tmp{found[1]}{numbers.setdefault(found[2], len(numbers) + 1)}"  # noqa: S108 - a text, no file

    return _in_texts(body, lambda text: pattern.sub(number, text))


def sorted_tools(body: JSON) -> JSON:
    """Sort `tools` and `functions`, which some programs keep in sets.

    Lets through: requests that differ only in the order of their tools.
    """
    if not isinstance(body, dict):
        return body
    return {
        name: sorted(item, key=canonical_json) if name in ("tools", "functions") and isinstance(item, list) else item
        for name, item in body.items()
    }


BY_NAME: dict[str, Callable[[JSON], JSON]] = {
    function.__name__: function for function in (uuids, timestamps, tool_call_ids, temporary_paths, sorted_tools)
}


class Matches:
    """Number in texts what a regular expression finds. An object of it is a function from body to body.

    Lets through: requests that differ only in what it finds.

    Args:
        pattern: a regular expression of Python's.

    Raises:
        re.error: if it is none.

    Example:
        >>> Matches("job-[0-9a-f]{4}")({"input": "job-77f0 follows job-12ab"})
        {'input': '#1 follows #2'}
    """

    def __init__(self, pattern: str) -> None:
        self._pattern = re.compile(pattern)

    def __call__(self, body: JSON) -> JSON:
        """Return a copy of a body, with the matches in its texts numbered."""
        numbers: dict[str, int] = {}

        def number(found: re.Match[str]) -> str:
            return f"#{numbers.setdefault(found[0], len(numbers) + 1)}" if found[0] else ""

        return _in_texts(body, lambda text: self._pattern.sub(number, text))


class Chain:
    """Several functions that are called one after another. An object of it is a function from body to body.

    It can be pickled if the functions can, for a child process.
    """

    def __init__(self, functions: Iterable[Callable[[JSON], JSON]]) -> None:
        self._functions = tuple(functions)

    def __call__(self, body: JSON) -> JSON:
        """Return what the functions make of a body."""
        for function in self._functions:
            body = function(body)
        return body


def compose(functions: Iterable[Callable[[JSON], JSON]]) -> Callable[[JSON], JSON]:
    """Make one function of several, which are called one after another."""
    chain = tuple(functions)
    return chain[0] if len(chain) == 1 else Chain(chain)


def named(name: str) -> Callable[[JSON], JSON] | None:
    """Return the function that a name, or a regular expression between slashes, stands for; `None` without one.

    Raises:
        re.error: for an invalid expression.
    """
    return Matches(name[1:-1]) if is_pattern(name) else BY_NAME.get(name)


def is_pattern(name: str) -> bool:
    """Whether a name is a regular expression between slashes."""
    return len(name) > len("//") and name[0] == name[-1] == "/"


def split_names(text: str) -> list[str]:
    """Split a text at the commas between names; a regular expression may hold commas of its own."""
    names, at, more = [], 0, ","
    while more and (found := _compiled(_NAME, re.DOTALL).match(text, at)):
        at, more = found.end(), found[2]
        names.append(found[1])
    return names


_NAME = r"\s*(/.*?/|[^,]*?)\s*(,|\Z)"


def that_make_equal(one: JSON, other: JSON) -> tuple[str, ...]:
    """Return the names of the ready-made functions that make two bodies equal, as few as will do; else none."""
    needed = dict(BY_NAME)
    if not all(map(_may_vary, differences(one, other))) or not _are_equal(one, other, needed.values()):
        return ()
    for name in BY_NAME:
        rest = {key: function for key, function in needed.items() if key != name}
        if _are_equal(one, other, rest.values()):
            needed = rest
    return tuple(needed)


def _may_vary(item: Difference) -> bool:
    """Whether a ready-made function may make the two sides of a difference equal."""
    if item.path.endswith('"') or re.match(r"(?:tools|functions)(?![\w$-])", item.path):
        return True  # of a name that may be anything, or of tools in another order
    name, one, other = re.split(r"[.\[]", item.path)[-1], item.recorded, item.requested
    if isinstance(one, str) and isinstance(other, str):
        return name in (*_CALL_IDS, "id") or any(map(_compiled(_MAY_VARY).search, (one, other)))
    return _is_unix_time(name, one) or _is_unix_time(name, other)


def _are_equal(one: JSON, other: JSON, functions: Iterable[Callable[[JSON], JSON]]) -> bool:
    chain = tuple(functions)
    made = [compose(chain)(body) if chain else body for body in (one, other)]
    return canonical_json(made[0]) == canonical_json(made[1])


def _in_texts(value: JSON, change: Callable[[str], str]) -> Any:
    """Copy a value with all its texts changed, in the order in which canonical JSON has them."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, list):
        return [_in_texts(item, change) for item in value]
    if isinstance(value, dict):
        return {name: _in_texts(value[name], change) for name in sorted(value)}
    return value
