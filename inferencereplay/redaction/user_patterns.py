"""The regular expressions that a user gives with `redact=`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from inferencereplay.errors import InvalidSetting

if TYPE_CHECKING:
    from collections.abc import Iterable

_SAMPLES = ("", "aZ 0.\n")
"""Texts in which a pattern that can match nothing at all, such as `x*` or `\\b`, does so."""


def compiled(patterns: Iterable[str | re.Pattern[str]]) -> list[re.Pattern[str]]:
    """Return regular expressions compiled.

    Args:
        patterns: texts or compiled ones; or a single one.

    Raises:
        InvalidSetting: if one of them is no regular expression, or can match the empty text.
    """
    return [_compile(pattern) for pattern in _listed(patterns)]


def _listed(patterns: Any) -> tuple[Any, ...]:
    if isinstance(patterns, (str, bytes, re.Pattern)):
        return (patterns,)
    try:
        return tuple(patterns)
    except TypeError:
        message = f"redact={patterns!r} is no list of regular expressions."
        raise InvalidSetting(message) from None


def _compile(pattern: Any) -> re.Pattern[str]:
    try:
        compiled = re.compile(pattern)
        is_empty = any(not found[0] for sample in _SAMPLES for found in compiled.finditer(sample))
    except (re.error, TypeError, OverflowError, RecursionError) as error:
        message = f"redact={pattern!r} is no regular expression for text: {error}."
        raise InvalidSetting(message) from error
    if is_empty:
        message = f"redact={pattern!r} matches the empty text, so it would match everywhere."
        raise InvalidSetting(message)
    return compiled
