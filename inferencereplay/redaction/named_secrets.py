r"""Secrets that the name before them tells, in text.

The text may be JSON once more, however often its quotes are escaped, by JSON, a URL or HTML; settings, headers, command
lines, markup, programs. A name in quotes before a value in quotes is a member: it tells as it does in JSON. Elsewhere
the value has to look like the value of a setting: no word, no expression of a program, no placeholder.
"""

from __future__ import annotations

import functools
import re
from typing import TYPE_CHECKING

from inferencereplay.redaction.secret_names import HINTS, LONGEST_SETTING, is_attribute, is_setting, secret_test_for

if TYPE_CHECKING:
    from collections.abc import Callable

_LONGEST_NAME = 64
"""Characters of a name that are looked at."""

_QUOTE = r"(?:\\*[\"'`]|&quot;|&\#(?:34|39|x22|x27);|%2[27]|\\+u002[27])"
_GAP = r"(?:\s|%20|\+|\\{1,63}[nrt])"
_COLON = "(?:\uff1a|\\\\+uff1a)"
"""A colon as wide as the characters of Chinese."""
_BEFORE_KEY = (
    *("api", "access", "secret", "account", "subscription", "private"),
    *("signing", "encryption", "deploy", "license", "auth", "openai"),
)
"""Words before `key` that make it the name of a secret."""
_KEY = "|".join(f"(?<={word}{sign}key)" for word in _BEFORE_KEY for sign in ("", r"[\ _.-]", "__"))
_ANY_SIGN = re.compile("[:=|> %&]")
_HINTS_IN_JSON = tuple(hint.encode() for hint in HINTS)
_LOWER = {code: code + 32 for code in range(65, 91)}

_NAME_CHARACTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-"
_ESCAPE = re.compile(r"\\([nrt]|u[0-9A-Fa-f]{4})|%[0-9A-Fa-f]{2}")
_FIRST_WORD = re.compile(r"(?:(?<![A-Za-z])|(?<=[a-z]))(?i:api|access|secret|private) \Z")
_COMMANDS = ("ENV ", "setenv ", "setx ", "define ")
_TO_VALUE = re.compile(
    rf"""
    (?P<close>{_QUOTE})? (?P<bracket>\[\w{{0,8}}\]|\])? \*{{0,2}}
    (?:
        (?P<sign>
            [\ \t]{{0,8}}
            (?: :[\ ]?[A-Za-z&][\w.\[\]|,\ &'<>?]{{0,40}}?[\ ]?= | :=|=>|=|:|{_COLON}|\||is(?=\ )|%3[ADad])
            \*{{0,2}}{_GAP}{{0,8}}
        )
        | (?P<comma>,\s{{0,8}}(?:{_QUOTE}value{_QUOTE}\s{{0,8}}:\s{{0,8}})?(?={_QUOTE}))
        | (?P<attribute>\s{{1,8}}value=(?={_QUOTE}))
        | (?P<space>[\ \t]{{1,8}})
        | (?P<tag>>|&gt;)
    )
    (?:(?:[Tt]oken|[Aa]pi[_-]?[Kk]ey|[Kk]ey)(?:\ |%20))?
    (?:(?:\w{{1,40}}(?:\.|::)){{0,3}}(?:Secret\w{{0,12}}|String(?:::from)?|Some)\()?
    (?:[bru]{{1,2}}(?=\\{{0,63}}["']))?
    (?P<open>{_QUOTE})?
    """,
    re.ASCII | re.VERBOSE,
)
"""From the end of a name to where the value begins."""
_QUOTED_NAME = re.compile(r"[\w .-]{4,64}")
_IN_WORD = r"(?:[^\s\"'`<>\\,;&|)\]}%]|%(?![0-9A-Fa-f]{2}))"
_WORD = re.compile(rf"{_IN_WORD}{{1,{LONGEST_SETTING}}}(?!{_IN_WORD})")
_IN_TAG = re.compile(r"[^<&\s]{8,4000}(?=(?:<|&lt;)/)")
_DIGIT = re.compile(r"[^<&\s]{0,40}?\d", re.ASCII)
_LONG_VALUE = re.compile(r"(?=[\w.~+/-]{0,40}?\d)[\w.~+/-]{16,}=*(?![\w.~+/=(\[-])", re.ASCII)
"""Sixteen characters with a digit, which are no call in a program."""


def name_hints(parts: bytes) -> list[bytes]:
    """Return with what the names of secrets may end in JSON.

    Args:
        parts: what stands in it between quotation marks, with quotation marks between.
    """
    lowered = parts.lower()
    return [hint for hint in _HINTS_IN_JSON if hint in lowered and _end_in_json(hint).search(lowered)]


def may_name(raw: bytes, hints: list[bytes]) -> bool:
    """Whether JSON may hold the name of a secret, which ends with one of `name_hints`."""
    lowered = raw.lower()
    return any(_sign_in_json(hint).search(lowered) for hint in hints)


def _sign(space: str = r"\s{0,8}", width: int = 1) -> str:
    """Return what matches the sign of a value behind a name; `width` is the most that a character takes."""
    return (
        rf"(?:{_QUOTE}|\*\*|\[\w{{0,8}}\]|\])*(?:\s|%20|\\+[nrt])*"
        rf"(?:[:=|>}}]|{_COLON}|,{space}{_QUOTE}|&gt;|%3[ad]|is\ |value="
        rf"|(?<=[\ \t])(?:{_QUOTE}|(?=\S{{0,{40 * width}}}(?:\d|-\S{{1,{20 * width}}}-)))\S{{6}})"
    )


@functools.cache
def _end_in_json(hint: bytes) -> re.Pattern[bytes]:
    """Return what matches the end of a name: no letter and no digit, for no sign begins with one but for two."""
    return re.compile(hint + rb"(?=[^a-z0-9_-]|is |value=|\Z)")


@functools.cache
def _sign_in_json(hint: bytes) -> re.Pattern[bytes]:
    """Return what matches the end of a name with what follows where a value does; the end alone is searched first."""
    return re.compile(hint + _sign(space=r"\s*", width=4).encode())  # however JSON is laid out, in bytes of UTF-8


@functools.cache
def _sign_in_text(hint: str) -> re.Pattern[str]:
    """Return what matches the end of a name with what follows where a value does; `key` after certain words only."""
    return re.compile(f"{hint}(?:{_KEY if hint == 'key' else ''}){_sign()}", re.ASCII)


@functools.cache
def _key_in_text() -> re.Pattern[str]:
    """Return what matches `key` after those words, which is rare: the rest of the expression takes long to compile."""
    return re.compile(rf"(?:{'|'.join(_BEFORE_KEY)})(?:__|[ _.-])?key")


def redact_named(text: str, redact: Callable[[str], str], is_redacted: Callable[[str], bool]) -> str:
    """Return a text without the values of which it says by a name that they are secrets.

    Args:
        text: what is looked through.
        redact: returns what takes the place of a value.
        is_redacted: whether a value has been redacted before.
    """
    made, done = [], 0
    for end in _ends_of_names(text):
        first, last = _value_after(text, end)
        if first < last and first >= done and not is_redacted(text[first:last]):
            made += [text[done:first], redact(text[first:last])]
            done = last
    return "".join((*made, text[done:])) if made else text


def _ends_of_names(text: str) -> list[int]:
    """Return where in a text what may be the name of a secret ends, in order."""
    if not _ANY_SIGN.search(text):
        return []
    lowered = text.lower()
    if len(lowered) != len(text):  # as that of the Turkish İ is
        lowered = text.translate(_LOWER)
    present = [hint for hint in HINTS if hint in lowered and (hint != "key" or _key_in_text().search(lowered))]
    return sorted(found.start() + len(hint) for hint in present for found in _sign_in_text(hint).finditer(lowered))


def _value_after(text: str, end: int) -> tuple[int, int]:
    """Return where the secret begins and ends that stands under the name that ends at `end`; nothing if none does."""
    found = _TO_VALUE.match(text, end)
    if not found:
        return 0, 0
    begin, is_quoted = _begin_of_name(text, end, found["close"])
    name = text[begin:end]
    is_secret = secret_test_for(name) or secret_test_for(name[name.rfind(".") + 1 :])
    if not is_secret or not _is_notation(text, begin, found, is_quoted=is_quoted):
        return 0, 0
    first = found.end()
    if found["tag"]:
        return first, _end_in_tag(text, first, name, is_secret)
    last = _end_of_value(text, first, found["open"])
    if is_quoted and found["sign"] and found["open"] and not found["bracket"]:  # a member
        return (first, last) if is_secret(text[first:last]) else (0, 0)
    is_word = text[first:last].isalpha() or (found["comma"] and not _DIGIT.match(text[first:last]))
    if is_word or (not found["open"] and is_attribute(text[first:last])):
        return 0, 0
    long = _LONG_VALUE.match(text, first)
    if long and is_secret(long[0]):
        return first, long.end()
    is_literal = bool(found["open"] and not found["comma"])  # rather than a word in a list of names
    return (first, last) if is_setting(name, text[first:last], is_quoted=is_literal) else (0, 0)


def _end_in_tag(text: str, first: int, name: str, is_secret: Callable[[str], object]) -> int:
    """Return where a secret between tags ends that begins at `first`; there if it is none."""
    value = _IN_TAG.match(text, first)
    if not value:
        return first
    is_told = _DIGIT.match(value[0]) and is_secret(value[0])
    return value.end() if is_told or is_setting(name, value[0], is_quoted=True) else first


def _begin_of_name(text: str, end: int, quote: str | None) -> tuple[int, bool]:
    """Return where the name that ends at `end` begins, and whether that is behind the quotation mark that closes it."""
    lowest = max(0, end - _LONGEST_NAME)
    opened = text.rfind(quote, lowest, end) if quote else -1
    if opened >= 0 and _QUOTED_NAME.fullmatch(text, opened + len(quote or ""), end):
        return opened + len(quote or ""), True
    window = text[lowest:end]
    begin = end - len(window) + len(window.rstrip(_NAME_CHARACTERS))
    before = text[begin - 1 : begin]
    escape = _ESCAPE.match(text, begin - 1, end) if before and before in "\\%" else None
    word = _FIRST_WORD.search(text, max(0, begin - 8), begin) if before == " " else None
    if escape:
        return escape.end(), False
    return (word.start() if word else begin), False


def _is_notation(text: str, begin: int, found: re.Match[str], *, is_quoted: bool) -> bool:
    """Whether what stands before a name and behind it belongs together."""
    if found["tag"]:
        return text[begin - 1 : begin] == "<" or text[max(0, begin - 4) : begin] == "&lt;"
    if found["space"]:
        return text.startswith("--", begin) or text[max(0, begin - 7) : begin].endswith(_COMMANDS)
    return is_quoted or not (found["comma"] or found["attribute"])


def _end_of_value(text: str, first: int, quote: str | None) -> int:
    """Return where a value ends: at the quotation mark that closes it; without one at what ends a word."""
    found = (_closing(quote) if quote else _WORD).match(text, first)
    return found.end() if found else first


@functools.lru_cache(maxsize=256)
def _closing(quote: str) -> re.Pattern[str]:
    """Return what matches up to the next quotation mark of a kind that is not escaped once more."""
    if len(quote) == 1:
        return re.compile(rf"(?:[^{quote}\\]|\\.)+")
    return re.compile(rf"(?:(?!(?<!\\){re.escape(quote)})[^\n])+")
