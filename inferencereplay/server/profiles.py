"""Profiles of matching: what a client may change in a request that a recording answers all the same.

Load tools change the body that they are given. A profile leaves out, on both sides, what they change.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from inferencereplay.errors import InvalidSetting
from inferencereplay.recording.request import canonical_json, parse_json, without

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from inferencereplay.recording.request import JSON, Request

EXACT = "exact"


class Profile(NamedTuple):
    """A profile.

    Attributes:
        what: what it lets through, for people.
        names: members of the body that do not count.
        change: makes bodies alike that mean the same.
    """

    what: str
    names: tuple[str, ...] = ()
    change: Callable[[JSON], JSON] | None = None


def _joined_parts(body: JSON) -> JSON:
    """Write the text of messages as a string where it is the only part of a list."""
    if not isinstance(body, dict):
        return body
    return {
        name: [_joined(item) for item in value] if name in ("messages", "input") and isinstance(value, list) else value
        for name, value in body.items()
    }


def _joined(message: JSON) -> JSON:
    content = message.get("content") if isinstance(message, dict) else None
    if not isinstance(content, list) or len(content) != 1 or not isinstance(content[0], dict):
        return message
    part = content[0]
    is_text = part.keys() == {"type", "text"} and part["type"] in ("text", "input_text")
    return {**message, "content": part["text"]} if is_text else message


_LIMITS = ("max_tokens", "max_completion_tokens", "max_output_tokens", "min_tokens")
_USAGE = ("stream_options", "continuous_usage_stats")
PROFILES = {
    EXACT: Profile("Nothing: the request has to be the recorded one."),
    "model": Profile("Another model.", ("model",)),
    "limits": Profile(f"Other limits of tokens, and ignore_eos: {', '.join(_LIMITS)}.", (*_LIMITS, "ignore_eos")),
    "usage": Profile(f"Another wish for usage in streams: {', '.join(_USAGE)}.", _USAGE),
    "parts": Profile("A message's text as a string or as a list with this one part.", (), _joined_parts),
    "load-tools": Profile(
        "All of the above: what AIPerf, GuideLLM and vLLM's own benchmark change.",
        ("model", "ignore_eos", *_LIMITS, *_USAGE),
        _joined_parts,
    ),
}


def check_profiles(names: str | Iterable[str]) -> tuple[Profile, ...]:
    """Return the profiles of some names.

    Raises:
        InvalidSetting: for a name that is none.
    """
    chosen = (names,) if isinstance(names, str) else tuple(names)
    for name in chosen:
        if name not in PROFILES:
            message = f"match={name!r} is no profile. Valid are {', '.join(map(repr, PROFILES))}."
            raise InvalidSetting(message)
    return tuple(PROFILES[name] for name in chosen if name != EXACT)


def loosened(request: Request, profiles: tuple[Profile, ...]) -> Request:
    """Return a request without what some profiles let through."""
    body = functools.reduce(_without, profiles, parse_json(request.body))
    return msgspec.structs.replace(request, body=canonical_json(body))


def _without(body: JSON, profile: Profile) -> JSON:
    rest = without(body, profile.names)
    return rest if profile.change is None else profile.change(rest)
