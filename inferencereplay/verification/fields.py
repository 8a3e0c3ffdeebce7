"""Which fields of an answer came or went."""

from __future__ import annotations

import fnmatch
from typing import TYPE_CHECKING, Any

from inferencereplay.catalogue.conversation.parts import members, parsed, string

if TYPE_CHECKING:
    from collections.abc import Iterable

    from inferencereplay.recording.format import Response
    from inferencereplay.recording.request import JSON

_MAPS = ("metadata", "choices[].logprobs.top_logprobs[]")
"""Objects whose names are content; the second is that of a text completion, in which a chat has a list."""
_MESSAGES = ("choices[].message", "choices[].delta")
_CONTENT = frozenset(("content", "refusal", "tool_calls", "function_call"))
"""Members of a message that are compared as what they say."""
Fields = dict[str, set[str]]
"""The names of members by the path of the objects that have them; those of a list are taken together."""


def came_and_went(old: Response, new: Response, ignored: Iterable[str] = ()) -> tuple[list[str], list[str]]:
    """Return the paths of fields that only the new answer has, and of those that only the old one has.

    A field counts where both answers have the object that it belongs to; one that is null counts as absent. The chunks
    of a stream are taken together; the events of the Responses API are by their types.

    Args:
        old: an answer.
        new: another one, of the same form.
        ignored: patterns of paths that do not count, such as `timings*`.
    """
    before, after = _fields(old), _fields(new)
    came = {_path(place, name) for place in before.keys() & after.keys() for name in after[place] - before[place]}
    went = {_path(place, name) for place in before.keys() & after.keys() for name in before[place] - after[place]}
    patterns = [pattern.replace("[", "[[]") for pattern in ignored]
    return _sorted(came, patterns), _sorted(went, patterns)


def _sorted(paths: Iterable[str], patterns: list[str]) -> list[str]:
    return sorted(path for path in paths if not any(fnmatch.fnmatchcase(path, pattern) for pattern in patterns))


def _path(place: str, name: str) -> str:
    return f"{place}.{name}" if place else name


def _fields(response: Response) -> Fields:
    found: Fields = {}
    if not response.is_stream:
        _collect(parsed(bytes(response.body)), "", found)
        return found
    for raw in response.chunks:
        chunk = parsed(bytes(raw))
        kind = string(members(chunk).get("type"))
        if kind:
            found.setdefault("", set()).add(kind)
        _collect(chunk, kind, found)
    return found


def _collect(value: JSON, place: str, found: Fields) -> None:
    waiting: list[tuple[str, Any]] = [(place, value)]
    while waiting:
        path, item = waiting.pop()
        if isinstance(item, dict):
            if path in _MAPS and "logprob" not in item:
                continue
            names = {name for name, inner in item.items() if inner is not None}
            found.setdefault(path, set()).update(names - _CONTENT if path.endswith(_MESSAGES) else names)
            waiting += [(_path(path, name), inner) for name, inner in item.items() if isinstance(inner, (dict, list))]
        elif isinstance(item, list):
            waiting += [(f"{path}[]", inner) for inner in item if isinstance(inner, (dict, list))]
