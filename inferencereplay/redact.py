"""What is taken out before anything is hashed or written.

Three kinds of text become `[REDACTED]`: shapes that tokens have (`sk-…`, `Bearer …`), values that stand under a name
such as `api_key`, and literals, among them the client's own key. Shapes follow the providers' documentation and the
rules of secret scanners; each has a literal part that is looked for first, since that is many times cheaper.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from inferencereplay.errors import InvalidSetting

if TYPE_CHECKING:
    from collections.abc import Iterable

REDACTED = "[REDACTED]"
SHORTEST_LITERAL = 8
"""Characters; a shorter client key ("test", "ollama") is taken for a dummy, and redacting it would maul the text."""


class Shape(NamedTuple):
    """A token's shape: what to look for first, and what to match then."""

    literals: tuple[str, ...]
    pattern: re.Pattern[str]


def _shape(pattern: str, *literals: str) -> Shape:
    return Shape(literals, re.compile(pattern))


SHAPES = (
    _shape(r"\b(?:sk|rk|pk)-(?:(?=[\w-]*\d)[\w-]{8,}|[\w-]{20,})", "sk-", "rk-", "pk-"),
    _shape(r"\b(?:[Bb]earer|BEARER)\s+(?:(?=[^\s\"']*\d)[\w.~+/=-]{8,}|[\w.~+/=-]{20,})", "earer", "EARER"),
    _shape(r"\b[Bb]asic\s+[A-Za-z0-9+/]{16,}={0,2}", "asic "),
    _shape(r"\beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*", "eyJ"),
    _shape(r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b", "AKIA", "ASIA"),
    _shape(r"\bgh[pousr]_[A-Za-z0-9]{20,}", "ghp_", "gho_", "ghu_", "ghs_", "ghr_"),
    _shape(r"\bgithub_pat_\w{20,}", "github_pat_"),
    _shape(r"\bglpat-[\w-]{16,}", "glpat-"),
    _shape(r"\bxox[a-z]-[\w-]{10,}", "xox"),
    _shape(r"\bAIza[\w-]{30,}", "AIza"),
    _shape(r"\bya29\.[\w-]{20,}", "ya29."),
    _shape(r"\b(?:hf|gsk|npm|r8|fw|tgp_v1)_[A-Za-z0-9]{20,}", "hf_", "gsk_", "npm_", "r8_", "fw_", "tgp_v1_"),
    _shape(r"\b(?:xai|pplx|nvapi|csk|dapi)-?[A-Za-z0-9_-]{30,}", "xai-", "pplx-", "nvapi-", "csk-", "dapi"),
    _shape(r"\b(?:org-|proj_|user-)[A-Za-z0-9]{20,}", "org-", "proj_", "user-"),
    _shape(r"(?<=://)[^\s/@:\"']+:[^\s/@\"']+(?=@)", "://"),
    _shape(r"-----BEGIN [A-Z ]*PRIVATE KEY-----(?:.|\n)*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", "PRIVATE KEY-----"),
)
NAMES = frozenset(
    "authorization proxy_authorization api_key apikey x_api_key openai_api_key azure_ad_token access_token "
    "refresh_token client_secret secret_key password cookie set_cookie".split()
)


class Redactor:
    """Shapes, names and literals to take out.

    Args:
        patterns: regular expressions, as text or compiled, that add to the defaults.

    Raises:
        InvalidSetting: if one of them is no regular expression, or matches the empty text.
    """

    def __init__(self, patterns: Iterable[str | re.Pattern[str]] = ()) -> None:
        given = (patterns,) if isinstance(patterns, (str, re.Pattern)) else tuple(patterns)
        self._shapes = (*SHAPES, *(Shape((), _compile(pattern)) for pattern in given))

    def text(self, text: str, literals: Iterable[str] = ()) -> str:
        """Return `text` without what is secret."""
        for literal in literals:
            text = text.replace(literal, REDACTED)
        for shape in self._shapes:
            if not shape.literals or any(literal in text for literal in shape.literals):
                text = shape.pattern.sub(REDACTED, text)
        return text

    def value(self, value: Any, literals: Iterable[str] = ()) -> Any:
        """Return JSON without what is secret; the same object if there is nothing."""
        if isinstance(value, str):
            return self.text(value, literals)
        if isinstance(value, dict):
            items = {self.text(name, literals): self._member(name, item, literals) for name, item in value.items()}
            same = len(items) == len(value) and all(items.get(name, items) is item for name, item in value.items())
            return value if same else items
        if isinstance(value, list):
            elements = [self.value(item, literals) for item in value]
            return value if all(new is old for new, old in zip(elements, value)) else elements
        return value

    def json(self, raw: bytes, literals: Iterable[str] = ()) -> bytes:
        """Return JSON text without what is secret; the very same bytes if there is nothing."""
        value = msgspec.json.decode(raw)
        redacted = self.value(value, literals)
        return raw if redacted is value else msgspec.json.encode(redacted)

    def _member(self, name: str, value: Any, literals: Iterable[str]) -> Any:
        if isinstance(value, str) and value and name.lower().replace("-", "_") in NAMES:
            return REDACTED if value != REDACTED else value
        return self.value(value, literals)


def _compile(pattern: str | re.Pattern[str]) -> re.Pattern[str]:
    try:
        compiled = re.compile(pattern)
        matches_nothing = compiled.search("") is not None
    except (re.error, TypeError) as error:
        message = f"redact={pattern!r} is no regular expression for text: {error}."
        raise InvalidSetting(message) from error
    if matches_nothing:
        message = f"redact={pattern!r} matches the empty text, so it would match everywhere."
        raise InvalidSetting(message)
    return compiled
