"""JSON for the page: of limited size, with values that JavaScript has."""

from __future__ import annotations

import hashlib
import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from inferencereplay.recording.request import JSON

LONGEST_TEXT = 20_000
"""Characters of one text; a page of a book has 3,000, a picture as text a million."""
KEPT = 2_000
"""Characters that are kept of the end of a longer text."""
DEEPEST = 40
"""Levels of nesting."""
_EXACT = 2**53
"""The first integer whose neighbour JavaScript has not."""


def shorten(text: str) -> str:
    """Return a text without its middle if it is too long.

    The SHA-256 of the middle stands there, so that texts which differ only there still differ.
    """
    if len(text) <= LONGEST_TEXT:
        return text
    cut = text[LONGEST_TEXT - KEPT : -KEPT]
    digest = hashlib.sha256(cut.encode("utf-8", "surrogatepass")).hexdigest()
    mark = f" […{len(cut):,} characters left out, SHA-256 {digest[:16]}…] "
    return text[: LONGEST_TEXT - KEPT] + mark + text[-KEPT:]


def shortened(value: JSON, depth: int = 0) -> JSON:
    """Copy JSON with long texts shortened, and with numbers that JavaScript would change as texts."""
    if isinstance(value, str):
        return shorten(value)
    if isinstance(value, (dict, list)) and depth == DEEPEST:
        return "[…nested more deeply]"
    if isinstance(value, dict):
        return {shorten(name): shortened(item, depth + 1) for name, item in value.items()}
    if isinstance(value, list):
        return [shortened(item, depth + 1) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, int) and abs(value) >= _EXACT:
        return str(value)
    return value
