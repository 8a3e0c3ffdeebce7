"""How deeply JSON is nested, told without recursion: what is too deep for that is handled as text."""

from __future__ import annotations

import re

DEEPEST = 100
"""Brackets within each other; to look through more takes too many of the calls that a program has left."""
_BRACKETS = re.compile(rb'"(?:[^"\\]|\\.)*"?|([\[{])|([\]}])', re.DOTALL)


def is_deep(raw: bytes) -> bool:
    """Whether JSON is nested more deeply than `DEEPEST`; of any other text, that says nothing."""
    if raw.count(b"[") + raw.count(b"{") <= DEEPEST:
        return False
    depth = 0
    for found in _BRACKETS.finditer(raw):
        if found.lastindex == 1:
            depth += 1
            if depth > DEEPEST:
                return True
        elif found.lastindex:
            depth -= 1
    return False
