"""The forms in which a secret may stand in a text: as it is, and as base64, URLs and JSON write it."""

from __future__ import annotations

import base64
import functools
import json
import re
from urllib.parse import quote, quote_plus

SHORTEST_FORM = 10
"""Characters of a base64 form; a shorter one could be part of anything."""

MOST_ESCAPED = 4
"""How often JSON may stand within the text of JSON."""
_PERCENT = re.compile("%[0-9A-F]{2}")
_DOTNET = re.compile("[&'+<>`]")
_GSON = re.compile("[&'<=>]")
"""What .NET's System.Text.Json and Java's Gson write as `\\u…` without need."""


@functools.lru_cache(maxsize=256)
def encodings_of(literals: tuple[str, ...]) -> tuple[str, ...]:
    """Return the literals and what they look like elsewhere, the longest first."""
    found = {form for literal in literals for form in _forms(literal)}
    return tuple(sorted(found, key=lambda form: (-len(form), form)))


def _forms(literal: str) -> set[str]:
    quoted = {quote(literal), quote(literal, safe=""), quote_plus(literal)}
    quoted |= {_PERCENT.sub(lambda found: found[0].lower(), form) for form in quoted}
    return {literal, *_json_forms(literal), *quoted, *_base64_forms(literal.encode("utf-8", "replace"))}


def _json_forms(literal: str) -> set[str]:
    """Return what JSON writes, and JSON within the text of JSON: each language has its own habits of escaping."""
    plain = json.dumps(literal)[1:-1]
    found = level = {
        plain,
        plain.replace("/", "\\/"),  # PHP
        _DOTNET.sub(lambda sign: f"\\u{ord(sign[0]):04X}", plain),
        _GSON.sub(lambda sign: f"\\u{ord(sign[0]):04x}", plain),
    }
    for _ in range(MOST_ESCAPED - 1):
        level = {json.dumps(form)[1:-1] for form in level}
        found = found | level
    return found


def _base64_forms(data: bytes) -> set[str]:
    """Return the characters that base64 writes for `data` whatever stands around it, for each place it can begin at.

    Three bytes are four characters, so there are three such places; the characters at the ends that neighbouring bytes
    have a part in are left out.
    """
    found = set()
    for before in range(3):
        padded = bytes(before) + data
        first, last = -(-before * 8 // 6), len(padded) * 8 // 6
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            found.add(encode(padded + bytes(-len(padded) % 3)).decode()[first:last])
    return {form for form in found if len(form) >= SHORTEST_FORM}
