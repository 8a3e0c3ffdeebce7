"""Secrets replaced by `[REDACTED]`, in text and JSON, before anything is hashed, written, logged or raised.

Three kinds of text are secrets: those with the shape of a token (`sk-…`, `Bearer …`), values under a name such as
`api_key`, and literals, among them the client's own key.
"""

from __future__ import annotations

import functools
import itertools
import re
from typing import TYPE_CHECKING, Any

import msgspec

from inferencereplay.recording.difference import common_length
from inferencereplay.redaction.named_secrets import may_name, name_hints, redact_named
from inferencereplay.redaction.opaque_data import is_data
from inferencereplay.redaction.secret_names import looks_random, secret_test_for
from inferencereplay.redaction.shapes import json_may_hold_token, redact_shapes
from inferencereplay.redaction.user_patterns import compiled

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

REDACTED = "[REDACTED]"
SHORTEST_LITERAL = 8
"""Characters; a shorter client key ("test", "ollama") is taken for a dummy, and redacting it would maul the text."""
_MASK = "\udfff"
"""Stands for `REDACTED` at work, so that no pattern matches in it: half a surrogate pair, which JSON and UTF-8 lack."""
_FEW = 8
"""JSON texts that are joined as they are."""
_KEPT = re.compile(rb'(?:[^"]*"){3}')
"""What is kept of an end that JSON texts share."""
_MASKED = re.compile(f"{_MASK}+")
MOST_KNOWN, LONGEST_KNOWN = 4_000, 64
"""Parts of JSON that are remembered as clean, and bytes of the longest."""
MOST_PASSES = 25
"""How often a text is searched before all of it is redacted."""
_SECRET_QUERY = re.compile(r"key|token|secret|password|^(code|sig|signature)(\[|$)", re.IGNORECASE)
"""Names in a query that stand for secrets: of subscription keys, signed URLs, functions."""
_SHORTEST_IN_QUERY = 16
"""Characters of a query's value that is looked for elsewhere as well."""


def _one_mask(found: str) -> str:
    return _MASK if found else ""


def _same_length(found: str) -> str:
    return _MASK * len(found)


class Literals(tuple[str, ...]):
    """Texts that are secrets, which the locals in a traceback do not show."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"<{len(self)} secret{'' if len(self) == 1 else 's'}>"


class Redactor:
    """What replaces secrets: by their shapes, their names, and the literals that it knows.

    Args:
        patterns: regular expressions, as text or compiled, that add to the defaults; a single one may stand alone.
        literals: texts that are secrets as they are, the longest first.

    Raises:
        InvalidSetting: if one of them is no regular expression, or can match the empty text.
    """

    def __init__(self, patterns: Iterable[str | re.Pattern[str]] = (), literals: tuple[str, ...] = ()) -> None:
        self._patterns = compiled(patterns)
        self._literals = Literals(literals)
        self._last: tuple[tuple[str, ...], Redactor] | None = None
        """What `with_literals` returned last, which mostly is asked for again: a client's keys stay the same."""

    def __repr__(self) -> str:
        return f"<Redactor: {len(self._patterns)} patterns, {self._literals!r}>"

    def with_literals(self, literals: tuple[str, ...]) -> Redactor:
        """Return a redactor that also knows these texts, such as a client's keys; itself if it knows all."""
        last = self._last
        if last is not None and last[0] == literals:
            return last[1]
        together = {*self._literals, *literals}
        if len(together) == len(self._literals):
            return self
        known = Redactor((), Literals(sorted(together, key=lambda text: (-len(text), text))))
        known._patterns = self._patterns
        self._last = Literals(literals), known
        return known

    def knows(self, text: str) -> bool:
        """Whether a text is known as a secret."""
        return text in self._literals

    def text(self, text: str) -> str:
        """Return `text` without what is secret; the same object if there is nothing.

        What was redacted before is left alone, and to redact again changes nothing. A text of nothing but secrets, one
        at the end of the other, is redacted as a whole.
        """
        masked = self._redacted(text.replace(REDACTED, _MASK), _one_mask)
        redacted = masked.replace(_MASK, REDACTED)
        return text if redacted == text else redacted

    def value(self, value: Any) -> Any:
        """Return JSON without what is secret; the same object if there is nothing."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            value = _redacted_pair(value)
            members = [(self.text(name), self._member(name, item)) for name, item in value.items()]
            items = dict(members)
            if len(items) < len(value):
                items = _apart(members)
            if all(items.get(name, items) is item for name, item in value.items()):
                return value
            return items if items.get("token") == value.get("token") else respelt(items)
        if isinstance(value, list):
            elements = [self.value(item) for item in value]
            return value if all(new is old for new, old in zip(elements, value, strict=True)) else elements
        return value

    def query(self, query: dict[str, Any]) -> dict[str, Any]:
        """Return a URL's query without what is secret; many more names stand for secrets there."""
        safe = {name: _redacted_member(value) if _SECRET_QUERY.search(name) else value for name, value in query.items()}
        safe = self.value(safe)
        return query if safe == query else safe

    def is_clean(self, raw: bytes) -> bool:
        """Whether a search of JSON text, which costs less than to read it, tells that nothing in it is secret."""
        return not self._patterns and not _may_hold(raw, self._literals)

    def json(self, raw: bytes) -> bytes:
        """Return JSON text without what is secret; the very same bytes if there is nothing."""
        if self.is_clean(raw):
            return raw
        value = msgspec.json.decode(raw)
        redacted = self.value(value)
        return raw if redacted is value else msgspec.json.encode(redacted)

    def jsons(self, raws: list[bytes]) -> list[bytes]:
        """Return many JSON texts without what is secret, such as the chunks of a stream, which cost less together."""
        return raws if self.are_clean(raws) else [self.json(raw) for raw in raws]

    def are_clean(self, raws: list[bytes]) -> bool:
        """Whether a search of JSON texts tells that nothing in them is secret; see `is_clean`."""
        if self._patterns:
            return False
        together = b"\n".join if any('"' in literal for literal in self._literals) else _joined
        return self.is_clean(together(raws))

    def spans(self, text: str) -> list[tuple[int, int]]:
        """Return where in `text` secrets stand: begin and end of each, in order."""
        masked = self._redacted(text.replace(REDACTED, _MASK * len(REDACTED)), _same_length)
        kept = [(found.start(), found.end()) for found in _MASKED.finditer(masked)]
        return [(first, last) for first, last in kept if text[first:last] != REDACTED]

    def _redacted(self, text: str, replacement: Callable[[str], str]) -> str:
        """Redact until nothing changes: what is redacted may uncover the beginning of another secret."""
        for _ in range(MOST_PASSES):
            found = self._redacted_once(text, replacement)
            if found == text:
                return text
            text = found
        return replacement(text)

    def _redacted_once(self, text: str, replacement: Callable[[str], str]) -> str:
        if len(text) >= SHORTEST_LITERAL:  # nor is any shape shorter
            text = _without_literals(text, self._literals, replacement)
            if not is_data(text):
                text = redact_named(redact_shapes(text, replacement), replacement, _is_masked)
        for pattern in self._patterns:
            text = pattern.sub(lambda found: replacement(found[0]), text)
        return text

    def _member(self, name: str, value: Any) -> Any:
        is_secret = secret_test_for(name)
        return self.value(_redacted_member(value, is_secret) if is_secret else value)


def _apart(members: list[tuple[str, Any]]) -> dict[str, Any]:
    """Number names that have become equal; by what stands under them, for the secrets' own order must not show."""
    taken, given = {name for name, _ in members}, set[str]()
    names: dict[int, str] = {}
    for at in sorted(range(len(members)), key=lambda at: msgspec.json.encode(members[at][1], order="deterministic")):
        name = members[at][0]
        if name in given:
            numbered = (f"{members[at][0]} {number}" for number in itertools.count(2))
            name = next(free for free in numbered if free not in taken)
        taken.add(name)
        given.add(name)
        names[at] = name
    return {names[at]: item for at, (_, item) in enumerate(members)}


def _redacted_pair(value: dict[str, Any]) -> dict[str, Any]:
    """Redact the value of `{"name": "api-key", "value": "…"}`, as lists of headers and settings have it."""
    name = value.get("name", value.get("key"))
    is_secret = secret_test_for(name) if isinstance(name, str) and "value" in value else None
    redacted = _redacted_member(value["value"], looks_random) if is_secret else None
    return {**value, "value": redacted} if is_secret and redacted is not value["value"] else value


def respelt(value: dict[str, Any]) -> dict[str, Any]:
    """Return an entry of `logprobs` whose `bytes` are those of its token."""
    token = value.get("token")
    if isinstance(token, str) and isinstance(value.get("bytes"), list):
        return {**value, "bytes": [*token.encode()]}
    return value


def _redacted_member(value: Any, is_secret: Callable[[str], object] = bool) -> Any:
    """Redact what stands under the name of a secret: text, or a list of it, as headers may have.

    In an object, such as the schema of a parameter with that name, a text has to look like chance.
    """
    if isinstance(value, str):
        return REDACTED if value != REDACTED and is_secret(value) else value
    if isinstance(value, list):
        redacted = [_redacted_member(item, is_secret) for item in value]
        return value if redacted == value else redacted
    if isinstance(value, dict):
        members = {name: _redacted_member(item, looks_random) for name, item in value.items()}
        return value if members == value else members
    return value


def secret_values(query: dict[str, Any]) -> list[str]:
    """Return the values of a query that are secrets by their names and look like no word.

    Others, such as `key=title` and `code=200`, are redacted where they stand, and are words elsewhere.
    """
    values = [value for name, value in query.items() if _SECRET_QUERY.search(name)]
    texts = [text for value in values for text in (value if isinstance(value, list) else [value])]
    return [text for text in texts if len(text) >= _SHORTEST_IN_QUERY and any(map(str.isdigit, text))]


def _without_literals(text: str, literals: Literals, replacement: Callable[[str], str]) -> str:
    for literal in literals:
        text = text.replace(literal, replacement(literal))
    return text


def _is_masked(text: str) -> bool:
    return not text.strip(_MASK)


def _joined(raws: list[bytes]) -> bytes:
    """Join JSON texts: of those that begin and end as one of them does, only what is in between, and that one in whole.

    They are cut at quotation marks, of which some follow what is kept, so that names stay before their values; the
    first cut is at none that is escaped, for what stands before that is of the same text.
    """
    if len(raws) < _FEW:
        return b"\n".join(raws)
    one, other = raws[len(raws) // 2 : len(raws) // 2 + 2]  # the first and the last ones are often others
    begin = one.rfind(b'"', 0, common_length(one, other)) + 1
    while one[begin - 2 : begin] == b'\\"':
        begin = one.rfind(b'"', 0, begin - 1) + 1
    head, shared = one[:begin], _common_end(one[begin:], other[begin:])
    kept = _KEPT.match(shared)
    cut = len(shared) - kept.end() if kept else 0
    ends = [
        raw[begin : len(raw) - cut] if raw.startswith(head) and raw.endswith(shared, begin) else raw for raw in raws
    ]
    return b'"\n"'.join((one, *ends))


def _common_end(one: bytes, other: bytes) -> bytes:
    """Return the end that both have."""
    return one[len(one) - common_length(one[::-1], other[::-1]) :]


def _may_hold(raw: bytes, literals: tuple[str, ...]) -> bool:
    r"""Whether JSON may hold a secret: it has a part of one, or escapes (`\u0073k-…`)."""
    if b"\\" in raw and (b"\\u" in raw or b"\\/" in raw):
        return True
    known = _clean_parts(literals)
    distinct = set(raw.split(b'"')) - known  # what is repeated counts once; no hint has a quotation mark, nor has data
    once = b'"'.join(distinct)
    if any(literal in (raw if b'"' in literal else once) for literal in _in_json(literals)):
        return True
    if not distinct:
        return False
    hints = name_hints(once)
    if json_may_hold_token(raw, distinct) or (hints and may_name(raw, hints)):
        return True
    if len(known) > MOST_KNOWN:
        known.clear()
    known.update(part for part in distinct if len(part) <= LONGEST_KNOWN and not (hints and name_hints(part)))
    return False


@functools.lru_cache(maxsize=8)
def _clean_parts(literals: tuple[str, ...]) -> set[bytes]:  # noqa: ARG001 - what the parts do not hold
    """Return parts of JSON, between quotation marks, that no secret can begin or end in: most come again and again."""
    return set()


@functools.lru_cache(maxsize=64)
def _in_json(literals: tuple[str, ...]) -> tuple[bytes, ...]:
    return tuple(msgspec.json.encode(literal)[1:-1] for literal in literals)
