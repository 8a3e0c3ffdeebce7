"""Opaque data: images, sounds and vectors in Base64, and tokens that the API hands out and wants back.

They hold every short beginning of a token by chance, once in some thousand texts. What is redacted in them is damage.
"""

from __future__ import annotations

import re

LONG = 1_000
"""Characters from which on a text of Base64 alone is data: an image, a sound, a vector, an encrypted thought."""
LONGEST_TOKEN = 400
"""Characters; a longer run of Base64 is no token of a kind that two or three letters tell."""

_BASE64 = f"(?:[A-Za-z0-9+/]{{{LONG},}}|[A-Za-z0-9_-]{{{LONG},}})={{0,2}}"
_DATA = re.compile(rf"(?:data:[\w/+.;=-]{{1,100}};base64,)?(?!MI[IG]|M[HC]|b3Blbn){_BASE64}")  # which begin a key
_DATA_IN_JSON = re.compile(
    rb'(?<!\\)"(?:data:[\w/+.;=-]{1,100};base64,)?(?!MI[IG]|M[HC]|b3Blbn)%b"|\[[-+.\deE,\s]{%d,}\]'
    % (_BASE64.encode(), LONG)
)
"""A text that is data, in whole: a quotation mark within a text is escaped. Or a list of numbers."""

_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
_ALPHABETS = {"-": _ALPHABET + "-_", "_": _ALPHABET + "-_", "+": _ALPHABET + "+/", "/": _ALPHABET + "+/"}
_OUTSIDE = re.compile(r"[^\w+/-]", re.ASCII)
_NOT_URL_SAFE = re.compile(r"[^\w-]", re.ASCII)
_NAME = re.compile(r"[-_+/]*(?:(?:[A-Z]?[a-z]+(?:[A-Z][a-z]+)*\d{0,4}|[A-Z]+\d{0,4}|\d+)[-_+/]+)*")
"""What a name before a token looks like (`my_sk-…`), a folder of a URL, or nothing: words and short numbers."""
_IDS = frozenset(
    f"{kind}{sign}"
    for kind in (
        *("asst", "batch", "call", "chatcmpl", "ci", "cmpl", "cntr", "conv", "ctc", "evt", "fc", "file", "ft", "ftjob"),
        *("fp", "gen", "id", "item", "mcp", "mcpl", "modr", "msg", "part", "req", "resp", "response", "rs", "run"),
        *("session", "step", "thread", "tool", "toolu", "upload", "vs", "ws"),
    )
    for sign in "-_"
)
"""How the API's ids begin."""


def is_data(text: str) -> bool:
    """Whether a text is one long run of Base64, with nothing before or behind it but what says what it is."""
    return len(text) >= LONG and bool(_DATA.fullmatch(text))


def may_be_data(part: bytes) -> bool:
    """Whether what stands between two quotation marks of JSON may be, or hold, what `without_data` takes out."""
    return len(part) >= LONG and (b" " not in part or b"[" in part)


def without_data(raw: bytes) -> bytes:
    """Return JSON with a number in the place of each text that is data, and of each list of numbers."""
    return _DATA_IN_JSON.sub(b"0", raw)


def is_chance(found: re.Match[str]) -> bool:
    """Whether what looks like a token is a part of other data: of an id, or of a run longer than any token."""
    text, start, end = found.string, found.start(), found.end()
    is_url_safe = "-" in found[0] or "_" in found[0]
    before = ""
    if start and text[start - 1] in ("-_" if is_url_safe else "-_+/"):
        window = text[max(0, start - LONGEST_TOKEN) : start]
        before = window[len(window.rstrip(_ALPHABETS[text[start - 1]])) :]
    after = (_NOT_URL_SAFE if is_url_safe else _OUTSIDE).search(text, end, end + LONGEST_TOKEN)
    last = after.start() if after else min(len(text), end + LONGEST_TOKEN)
    is_long = len(before) + last - start > LONGEST_TOKEN
    return is_long or before.lower() in _IDS or not _NAME.fullmatch(before)
