r"""What is taken out before anything is hashed or written.

Three kinds of text become `[REDACTED]`: shapes that tokens have (`sk-…`, `Bearer …`), values that stand under a name
such as `api_key`, and literals, among them the client's own key. Shapes follow the providers' documentation and the
rules of secret scanners. Each has a literal part that is looked for first, since that is many times cheaper.
"""

from __future__ import annotations

import functools
import itertools
import re
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from inferencereplay.errors import InvalidSetting
from inferencereplay.redaction.named_secrets import looks_random, may_name, redact_named, secret_test_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

REDACTED = "[REDACTED]"
SHORTEST_LITERAL = 8
"""Characters; a shorter client key ("test", "ollama") is taken for a dummy, and redacting it would maul the text."""
_MASK = "\udfff"
"""Stands for `REDACTED` at work, so that no pattern matches in it: half a surrogate pair, which JSON and UTF-8 lack."""
_MASKED = re.compile(f"{_MASK}+")
_SAMPLES = ("", "aZ 0.\n")
"""Texts in which a pattern that can match nothing at all, such as `x*` or `\\b`, does so."""
MOST_PASSES = 25
"""How often a text is searched before all of it is taken out."""
LONG = 1_000
"""Characters from which on a text of Base64 alone is data: an image, a sound, a vector."""
_DATA = re.compile(rf"(?:data:[\w/+.;=-]{{1,100}};base64,)?[A-Za-z0-9+/]{{{LONG},}}={{0,2}}")
_DATA_IN_JSON = re.compile(
    rb'"(?:data:[\w/+.;=-]{1,100};base64,)?[A-Za-z0-9+/]{%d,}={0,2}"|\[[-+.\deE,\s]{%d,}\]' % (LONG, LONG)
)


class Shape(NamedTuple):
    """A token's shape: what to look for first, and what to match then."""

    literals: tuple[str, ...]
    pattern: re.Pattern[str]


# Where a token begins: after anything but a letter or digit, of ASCII, for "密钥sk-…" has no space; or after an escape
# as text holds it that is JSON, Python, a URL or a mail once more; or after a terminal's colour.
_START = (
    r"(?:(?<![A-Za-z0-9])|(?<=\\[nrt])|(?<=%[0-9A-Fa-f]{2})|(?<=\\u[0-9A-Fa-f]{4})|(?<=\\x[0-9A-Fa-f]{2})"
    r"|(?<==[0-9A-F]{2})|(?<=\[\dm)|(?<=[\[;]\d\dm))"
)
# What tells a token from words with hyphens: eight characters in a row, one of them a digit, not too far behind.
_RANDOM = r"(?=[\w.~+/=-]{0,40}?(?=[A-Za-z_]{0,7}\d)\w{8})"


def _shape(pattern: str, *literals: str) -> Shape:
    return Shape(literals, re.compile(_START + pattern, re.ASCII))


SHAPES = (
    _shape(rf"(?:sk|rk|pk|sess)-(?:{_RANDOM}[\w-]+|[A-Za-z]{{20,}})", "sk-", "rk-", "pk-", "sess-"),
    _shape(r"[spr]k_(?:live|test)_[A-Za-z0-9]{16,}", "k_live_", "k_test_"),
    _shape(rf"(?:[Bb]earer|BEARER)(?:\s|%20|\+)+(?:{_RANDOM}[\w.~+/=-]*[\w~+/=-]|[A-Za-z]{{20,}})", "earer", "EARER"),
    _shape(r"(?:[Bb]asic|BASIC)(?:\s|%20|\+)+(?=[A-Za-z+/]*[0-9=])[A-Za-z0-9+/]{12,}={0,2}", "asic", "ASIC"),
    _shape(r"eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*", "eyJ"),
    _shape(r"(?:AKIA|ASIA)[A-Z0-9]{16}(?![A-Za-z0-9])", "AKIA", "ASIA"),
    _shape(r"gh[pousr]_[A-Za-z0-9]{20,}", "ghp_", "gho_", "ghu_", "ghs_", "ghr_"),
    _shape(r"github_pat_\w{20,}", "github_pat_"),
    _shape(r"gl(?:pat|rt|ptt|dt|cbt|agent)-[\w-]{16,}", "glpat-", "glrt-", "glptt-", "gldt-", "glcbt-", "glagent-"),
    _shape(rf"xox[a-z]-{_RANDOM}[\w-]{{10,}}", "xox"),
    _shape(r"AIza[\w-]{30,}", "AIza"),
    _shape(r"ya29\.[\w-]{20,}", "ya29."),
    _shape(
        r"(?:hf|gsk|npm|r8|fw|ek|whsec|tgp_v1)_[A-Za-z0-9]{20,}",
        *("hf_", "gsk_", "npm_", "r8_", "fw_", "ek_", "whsec_", "tgp_v1_"),
    ),
    _shape(
        rf"(?:dop_v1|lin_api|dckr_pat|ntn|sbp|shpat|glsa|lsv2_pt|rubygems)_{_RANDOM}[\w-]{{20,}}",
        *("dop_v1_", "lin_api_", "dckr_pat_", "ntn_", "sbp_", "shpat_", "glsa_", "lsv2_pt_", "rubygems_"),
    ),
    _shape(r"pypi-[\w-]{50,}", "pypi-"),
    _shape(r"SG\.[\w-]{16,}\.[\w-]{16,}", "SG."),
    _shape(r"SK[0-9a-f]{32}(?![A-Za-z0-9])", "SK"),
    _shape(rf"xapp-\d-{_RANDOM}[\w-]{{10,}}", "xapp-"),
    _shape(r"(?<=hooks\.slack\.com/services/)[A-Z0-9]+/[A-Z0-9]+/[A-Za-z0-9]{16,}", "hooks.slack.com/services/"),
    _shape(r"[A-Za-z0-9]{52}JQQJ9[9DH][A-Za-z0-9]{24,}(?:==)?", "JQQJ9"),
    _shape(r"(?:IQoJb3|FwoGZX)[A-Za-z0-9/+=]{60,}", "IQoJb3", "FwoGZX"),
    _shape(r"(?:ABSK|bedrock-api-key-)[A-Za-z0-9+/=]{60,}", "ABSK", "bedrock-api-key-"),
    _shape(r"GOCSPX-[\w-]{20,}", "GOCSPX-"),
    _shape(rf"(?:tvly|PMAK|dapi)-{_RANDOM}[\w-]{{16,}}", "tvly-", "PMAK-", "dapi-"),
    _shape(r"hvs\.[\w-]{20,}", "hvs."),
    _shape(rf"(?:xai|pplx|nvapi|csk)-{_RANDOM}[\w-]{{30,}}", "xai-", "pplx-", "nvapi-", "csk-"),
    _shape(r"dapi[0-9a-f]{32}", "dapi"),
    _shape(r"(?:org-|proj_)[A-Za-z0-9]{20,}", "org-", "proj_"),
    _shape(r"sk_[0-9a-f]{40,}", "sk_"),
    _shape(r"\d{8,10}:AA[\w-]{32,}", ":AA"),
    _shape(r"ATATT3[\w=-]{60,}", "ATATT3"),
    _shape(r"c2st[A-Za-z0-9+/]{30,}={0,2}", "c2st"),  # sk-… in Base64
    _shape(r"AGE-SECRET-KEY-1[0-9A-Z]{50,}", "AGE-SECRET-KEY-1"),
    _shape(r"key-[0-9a-f]{32}(?![A-Za-z0-9])", "key-"),
    _shape(rf"(?:sq0[a-z]{{3}}|NRAK|HRKU|pa)-{_RANDOM}[\w-]{{22,}}", "sq0", "NRAK-", "HRKU-", "pa-"),
    _shape(
        rf"(?:secret|esecret|jina|sntrys|sntryu|pscale_(?:tkn|pw|oauth))_{_RANDOM}[\w=+/-]{{28,}}",
        *("secret_", "jina_", "sntrys_", "sntryu_", "pscale_"),
    ),
    _shape(r"dp\.(?:pt|st|sa|ct|scim|audit)\.[A-Za-z0-9]{40,}", "dp."),
    _shape(r"[\w.~-]{3}8Q~[\w.~-]{30,}[\w~-]", "8Q~"),
    _shape(r"APA91b[\w-]{100,}", "APA91b"),
    Shape(("://",), re.compile(r"(?<=://)(?:[^\s/@:\"']*:[^\s/@\"']+|(?=[A-Za-z_-]{0,40}\d)[\w-]{20,200})(?=@)")),
    Shape((":\\/\\/",), re.compile(r"(?<=:\\/\\/)[^\s/@:\"'\\]*:[^\s/@\"'\\]+(?=@)")),
    Shape(("%3A%2F%2F", "%3a%2f%2f"), re.compile(r"(?<=%3[Aa]%2[Ff]%2[Ff])[\w.~-]*%3[Aa][\w.~%+-]{1,200}?(?=%40)")),
    Shape(("sig=", "nature="), re.compile(r"(?:(?<=[?&;]sig=)|(?<=nature=))(?=[\w%+/-]*\d)[\w%+/-]{40,}=*")),
    Shape(
        ("ookie: ",),
        re.compile(
            r"(?<=ookie: )(?=[^\r\n\"'\\]{0,1000}?=(?=[^\s;]{0,100}?\d)[^\s\"'\\;]{8})"
            r"[\w.-]+=[^\s\"'\\;]*(?:; ?[\w.-]+=[^\s\"'\\;]*)*"
        ),
    ),
    Shape(
        ("curl ",),
        re.compile(
            r"(?:(?<=[ ]-[ub][ ])|(?<=--user[ ])|(?<=--cookie[ ]))"
            r"[\"']?[\w.@-]{1,100}[:=](?=[^\s\"'\\]{0,100}?\d)[^\s\"'\\]{8,}"
        ),
    ),
    Shape(
        ("PRIVATE KEY",),
        re.compile(
            r"-----BEGIN [A-Z ]*PRIVATE KEY(?: BLOCK)?-----"
            r"(?:(?:[^-]|-(?!----BEGIN )){0,20000}?-----END [A-Z ]*PRIVATE KEY(?: BLOCK)?-----"
            r"|(?:(?:\s|\\[nr])*[A-Za-z0-9+/=]{20,})+(?:(?:\s|\\[nr])+[A-Za-z0-9+/=]*\Z)?)"
        ),
    ),
)
_SECRET_QUERY = re.compile(r"key|token|secret|password|^(code|sig|signature)(\[|$)", re.IGNORECASE)
"""Names in a query that stand for secrets: of subscription keys, signed URLs, functions."""
_SHORTEST_IN_QUERY = 16
"""Characters of a query's value that is looked for elsewhere as well."""
_HINTS = tuple(dict.fromkeys(literal for shape in SHAPES for literal in shape.literals))
_HINTS_IN_JSON = tuple(hint.encode() for hint in _HINTS)


def _one_mask(found: str) -> str:
    return _MASK if found else ""


def _same_length(found: str) -> str:
    return _MASK * len(found)


class Redactor:
    """Shapes, names and literals to take out.

    Args:
        patterns: regular expressions, as text or compiled, that add to the defaults; a single one may stand alone.
        literals: texts that are secrets as they are, the longest first.

    Raises:
        InvalidSetting: if one of them is no regular expression, or can match the empty text.
    """

    def __init__(self, patterns: Iterable[str | re.Pattern[str]] = (), literals: tuple[str, ...] = ()) -> None:
        self._patterns = [_compile(pattern) for pattern in _listed(patterns)]
        self._literals = literals

    def with_literals(self, literals: tuple[str, ...]) -> Redactor:
        """Return a redactor that also knows these texts, such as a client's keys, as secrets."""
        if not literals:
            return self
        known = Redactor((), tuple(sorted({*self._literals, *literals}, key=lambda text: (-len(text), text))))
        known._patterns = self._patterns
        return known

    def text(self, text: str) -> str:
        """Return `text` without what is secret; the same object if there is nothing.

        What was taken out before is left alone, and doing it again changes nothing. A text that is made of nothing but
        secrets, one at the end of the other, is taken out as a whole.
        """
        masked = self._masked(text.replace(REDACTED, _MASK), _one_mask)
        redacted = masked.replace(_MASK, REDACTED)
        return text if redacted == text else redacted

    def value(self, value: Any) -> Any:
        """Return JSON without what is secret; the same object if there is nothing."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            value = _hide_pair(value)
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
        """Do the same for a URL's query, where many more names stand for secrets."""
        safe = {name: _hide(value) if _SECRET_QUERY.search(name) else value for name, value in query.items()}
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
        """Do the same for many texts, such as the chunks of a stream, which cost less together."""
        if self.is_clean(b"\n".join(raws)):
            return raws
        return [self.json(raw) for raw in raws]

    def spans(self, text: str) -> list[tuple[int, int]]:
        """Return where in `text` secrets stand: begin and end of each, in order."""
        masked = self._masked(text.replace(REDACTED, _MASK * len(REDACTED)), _same_length)
        kept = [(found.start(), found.end()) for found in _MASKED.finditer(masked)]
        return [(first, last) for first, last in kept if text[first:last] != REDACTED]

    def _masked(self, text: str, cover: Callable[[str], str]) -> str:
        """Cover until nothing changes: what is taken out may uncover the beginning of something more."""
        for _ in range(MOST_PASSES):
            found = self._mask(text, cover)
            if found == text:
                return text
            text = found
        return cover(text)

    def _mask(self, text: str, cover: Callable[[str], str]) -> str:
        if len(text) >= SHORTEST_LITERAL:  # nor is any shape shorter
            for literal in self._literals:
                text = text.replace(literal, cover(literal))
            if len(text) < LONG or not _DATA.fullmatch(text):
                text = redact_named(_mask_shapes(text, cover), cover, _is_masked)
        for pattern in self._patterns:
            text = pattern.sub(lambda found: cover(found[0]), text)
        return text

    def _member(self, name: str, value: Any) -> Any:
        is_secret = secret_test_for(name)
        return self.value(_hide(value, is_secret) if is_secret else value)


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


def _hide_pair(value: dict[str, Any]) -> dict[str, Any]:
    """Take out the value of `{"name": "api-key", "value": "…"}`, as lists of headers and settings have it."""
    name = value.get("name", value.get("key"))
    is_secret = secret_test_for(name) if isinstance(name, str) and "value" in value else None
    hidden = _hide(value["value"], looks_random) if is_secret else None
    return {**value, "value": hidden} if is_secret and hidden is not value["value"] else value


def respelt(value: dict[str, Any]) -> dict[str, Any]:
    """Let the `bytes` of a token in `logprobs` say what it says."""
    token = value.get("token")
    if isinstance(token, str) and isinstance(value.get("bytes"), list):
        return {**value, "bytes": [*token.encode()]}
    return value


def _hide(value: Any, is_secret: Callable[[str], object] = bool) -> Any:
    """Take out what stands under the name of a secret: text, or a list of it, as headers may have.

    In an object, such as the schema of a parameter with that name, a text has to look like chance.
    """
    if isinstance(value, str):
        return REDACTED if value != REDACTED and is_secret(value) else value
    if isinstance(value, list):
        hidden = [_hide(item, is_secret) for item in value]
        return value if hidden == value else hidden
    if isinstance(value, dict):
        members = {name: _hide(item, looks_random) for name, item in value.items()}
        return value if members == value else members
    return value


def secret_values(query: dict[str, Any]) -> list[str]:
    """Return the values of a query that are secrets by their names and look like no word.

    Others, such as `key=title` and `code=200`, are hidden where they stand, and are words elsewhere.
    """
    values = [value for name, value in query.items() if _SECRET_QUERY.search(name)]
    texts = [text for value in values for text in (value if isinstance(value, list) else [value])]
    return [text for text in texts if len(text) >= _SHORTEST_IN_QUERY and any(map(str.isdigit, text))]


def _is_masked(text: str) -> bool:
    return not text.strip(_MASK)


def _mask_shapes(text: str, cover: Callable[[str], str]) -> str:
    for hint in _HINTS:
        if hint in text:
            break
    else:  # as nearly always
        return text
    for shape in SHAPES:
        if any(literal in text for literal in shape.literals):
            text = shape.pattern.sub(lambda found: cover(found[0]), text)
    return text


def _may_hold(raw: bytes, literals: tuple[str, ...]) -> bool:
    r"""Whether JSON text has to be read to know: it holds a part of a secret, or escapes (`\u0073k-…`) that may."""
    if b"\\" in raw and (b"\\u" in raw or b"\\/" in raw):
        return True
    distinct = set(raw.split(b'"'))  # what is repeated counts once; no hint has a quotation mark, nor has data
    once = b'"'.join(distinct)
    if any(literal in (raw if b'"' in literal else once) for literal in _in_json(literals)):
        return True
    if max(map(len, distinct)) >= LONG:
        raw = _DATA_IN_JSON.sub(b"0", raw)
        once = b'"'.join(set(raw.split(b'"')))
    for hint in _HINTS_IN_JSON:
        if hint in once:
            return True
    return may_name(raw)


@functools.lru_cache(maxsize=64)
def _in_json(literals: tuple[str, ...]) -> tuple[bytes, ...]:
    return tuple(msgspec.json.encode(literal)[1:-1] for literal in literals)


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
