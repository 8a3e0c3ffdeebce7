r"""The shapes of tokens: what a secret looks like wherever it stands.

Most kinds of tokens begin in a way of their own (`token_prefixes.py`). Here are the kinds that the source of those
lacks or asks more of, and secrets that need a pattern: headers, URLs, cookies, private keys. Each has a literal part
that is searched for first, which is many times cheaper; and most lie within a run of characters longer than most words.
"""

from __future__ import annotations

import functools
import re
from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from inferencereplay.redaction.literal_search import LiteralSearch
from inferencereplay.redaction.opaque_data import LONG, is_chance, may_be_data, without_data
from inferencereplay.redaction.token_prefixes import TOKEN_PREFIXES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_SURE = 7
"""Characters of a beginning that does not occur by chance, not in a million texts of 2,000 characters of Base64."""
_SHORTEST_RUN = 15
"""Characters of the shortest token that is looked for in runs only."""
_SHORT = 40
"""Characters of a text of which it is remembered whether it may hold a token."""


class Shape(NamedTuple):
    """A token's shape: what to look for first, and what to match then."""

    literals: tuple[str, ...]
    expression: str
    is_in_run: bool = True
    """Whether it lies within a run of characters without a space, a quotation mark, a comma or a colon."""
    is_narrow: bool = False
    """Whether so few characters may follow its literal part that Base64 does not hold it by chance."""
    offset: int | None = 0
    """How many characters before its literal part it begins; less than 0 if behind, `None` if that varies."""

    @property
    def pattern(self) -> re.Pattern[str]:
        """What to match; compiled when it is first wanted."""
        return _compiled(self.expression)

    def is_sure(self, literal: str) -> bool:
        """Whether a token with this literal part does not occur in Base64 by chance."""
        return self.is_narrow or len(literal) >= _SURE or not literal.replace("-", "").replace("_", "").isalnum()


@functools.cache
def _compiled(expression: str) -> re.Pattern[str]:
    return re.compile(expression, re.ASCII)


# Where a token begins: after anything but a letter or digit, of ASCII, for "密钥sk-…" has no space; or after an escape
# as text holds it that is JSON, Python, a URL or a mail once more; or after a terminal's colour.
_START = (
    r"(?:(?<![A-Za-z0-9])|(?<=\\[nrt])|(?<=%[0-9A-Fa-f]{2})|(?<=\\u[0-9A-Fa-f]{4})|(?<=\\x[0-9A-Fa-f]{2})"
    r"|(?<==[0-9A-F]{2})|(?<=\[\dm)|(?<=[\[;]\d\dm))"
)
# What tells a token from words with hyphens: eight characters in a row, one of them a digit, not too far behind.
_RANDOM = r"(?=[\w.~+/=-]{0,40}?(?=[A-Za-z_]{0,7}\d)\w{8})"
# The same with a letter, and without underscores, where identifiers begin alike.
_MIXED = r"(?=[\w.~+/=-]{0,40}?(?=[A-Za-z]{0,7}\d)(?=\d{0,7}[A-Za-z])[A-Za-z0-9]{8})"


def _shape(
    expression: str, *literals: str, is_in_run: bool = True, is_narrow: bool = False, offset: int | None = 0
) -> Shape:
    return Shape(literals, _START + expression, is_in_run, is_narrow, offset)


def _behind(literal: str, expression: str, *, is_in_run: bool = True) -> Shape:
    """Return the shape of what stands behind a text that is none of it."""
    return Shape((literal,), expression, is_in_run, is_narrow=False, offset=-len(literal))


def _beginning(prefix: str, characters: str, least: int) -> Shape:
    mixed = _MIXED if "0-9" in characters and "A-F" not in characters and "a-f" not in characters else ""
    is_narrow = not ("A-Z" in characters and "a-z" in characters)
    last = f"[{characters.replace('.', '')}]" if "." in characters else ""  # a full stop at the end is a sentence's
    expression = rf"{re.escape(prefix)}{mixed}[{characters}]{{{least - bool(last)},}}{last}"
    return _shape(expression, prefix, is_narrow=is_narrow)


_LINE_END = r"(?:\s|\\+[nr]|[>\"'+,|#*]|\\+[\"'])"
SHAPES = (
    _shape(rf"(?:sk|rk|pk|sess)-(?:{_RANDOM}[\w-]+|[A-Za-z]{{20,}})", *("sk-", "rk-", "pk-", "sess-"), is_in_run=False),
    _shape(r"sk-helicone-[\w-]{16,}", "sk-helicone-"),
    _shape(r"[spr]k_(?:live|test|prod)_[A-Za-z0-9]{16,}", "k_live_", "k_test_", "k_prod_", offset=1),
    _shape(
        rf"(?:[Bb]earer|BEARER)(?:\s|%20|\+)+(?:{_RANDOM}[\w.~+/=-]*[\w~+/=-]|[A-Za-z]{{20,}})",
        *("earer", "EARER"),
        is_in_run=False,
        is_narrow=True,
        offset=1,
    ),
    _shape(
        r"(?:[Bb]asic|BASIC)(?:\s|%20|\+)+(?=[A-Za-z+/]*[0-9=])[A-Za-z0-9+/]{12,}={0,2}",
        *("asic", "ASIC"),
        is_in_run=False,
        is_narrow=True,
        offset=1,
    ),
    _shape(r"eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*", "eyJ", is_narrow=True),
    _shape(r"(?:AKIA|ASIA)[A-Z0-9]{16}(?![A-Za-z0-9])", "AKIA", "ASIA", is_narrow=True),
    _shape(r"gl(?:pat|rt|ptt|dt|cbt|agent)-[\w-]{16,}", "glpat-", "glrt-", "glptt-", "gldt-", "glcbt-", "glagent-"),
    _shape(rf"xox[a-z]-{_RANDOM}[\w-]{{10,}}", "xox"),
    _shape(r"xoxd-(?=[\w%+/-]*\d)[\w%+/-]{20,}={0,2}", "xoxd-"),
    _shape(r"AIza[\w-]{30,}", "AIza"),
    _shape(r"AQ\.A[\w-]{40,}", "AQ.A"),
    _shape(r"ya29\.[\w-]{20,}", "ya29."),
    _shape(r"1//0[\w-]{30,}", "1//0"),
    _shape(
        r"(?:hf|gsk|npm|r8|fw|ek|whsec|tgp_v1|api_org)_[A-Za-z0-9]{20,}",
        *("hf_", "gsk_", "npm_", "r8_", "fw_", "ek_", "whsec_", "tgp_v1_", "api_org_"),
    ),
    _shape(r"whsec_[A-Za-z0-9+/]{20,}={0,2}", "whsec_"),
    _shape(
        rf"(?:do[opr]_v1|lin_api|dckr_[op]at|ntn|sbp|shp(?:at|ca|pa|ss)|glsa|lsv2_[ps][tk]|rubygems|fm1r|fm2)_{_RANDOM}"
        r"[\w-]{20,}",
        *("doo_v1_", "dop_v1_", "dor_v1_", "lin_api_", "dckr_pat_", "dckr_oat_", "ntn_", "sbp_", "shpat_", "shpca_"),
        *("shppa_", "shpss_", "glsa_", "lsv2_pt_", "lsv2_sk_", "rubygems_", "fm1r_", "fm2_"),
    ),
    _shape(r"pypi-[\w-]{50,}", "pypi-"),
    _shape(r"SG\.[\w-]{16,}\.[\w-]{16,}", "SG."),
    _shape(r"SK[0-9a-f]{32}(?![A-Za-z0-9])", "SK", is_narrow=True),
    _shape(rf"xapp-\d-{_RANDOM}[\w-]{{10,}}", "xapp-"),
    *(
        _behind(f"hooks.slack.com/{kind}/", r"[\w-]+/[\w-]+/[\w/-]{16,}")
        for kind in ("services", "workflows", "triggers")
    ),
    _behind("/api/webhooks/", r"\d{17,20}/[\w-]{60,}"),
    _behind(".webhook.office.com/", r"webhookb2/[\w@/-]{60,}"),
    _shape(r"[A-Za-z0-9]{52}JQQJ9[9DH][A-Za-z0-9]{24,}(?:==)?", "JQQJ9", offset=52),
    _shape(r"(?:IQoJb3|FwoGZX)[A-Za-z0-9/+=]{60,}", "IQoJb3", "FwoGZX", is_narrow=True),
    _shape(r"(?:ABSK|bedrock-api-key-)[A-Za-z0-9+/=]{60,}", "ABSK", "bedrock-api-key-"),
    _shape(r"GOCSPX-[\w-]{20,}", "GOCSPX-"),
    _shape(rf"(?:tvly|PMAK|dapi)-{_RANDOM}[\w-]{{16,}}", "tvly-", "PMAK-", "dapi-"),
    _shape(rf"(?:xai|pplx|nvapi|csk)-{_RANDOM}[\w-]{{30,}}", "xai-", "pplx-", "nvapi-", "csk-"),
    _shape(r"(?:org-|proj_)[A-Za-z0-9]{20,}", "org-", "proj_"),
    _shape(rf"sk_{_MIXED}[A-Za-z0-9]{{40,}}", "sk_"),
    _shape(r"(?:fc-[0-9a-f]{32}|e2b_[0-9a-f]{40})(?![A-Za-z0-9])", "fc-", "e2b_", is_narrow=True),
    _shape(r"\d{8,10}:AA[\w-]{32,}", ":AA", is_in_run=False, offset=None),
    _shape(r"ATATT3[\w=-]{60,}", "ATATT3", is_narrow=True),
    _shape(r"c2st[A-Za-z0-9+/]{30,}={0,2}", "c2st"),  # sk-… in Base64
    _shape(r"AGE-SECRET-KEY-1[0-9A-Z]{50,}", "AGE-SECRET-KEY-1"),
    _shape(r"key-[0-9a-f]{32}(?![A-Za-z0-9])", "key-", is_narrow=True),
    _shape(rf"(?:sq0[a-z]{{3}}|NRAK|HRKU|pa)-{_RANDOM}[\w-]{{22,}}", "sq0", "NRAK-", "HRKU-", "pa-"),
    _shape(
        rf"(?:secret|esecret|jina|sntrys|sntryu|pscale_(?:tkn|pw|oauth))_{_RANDOM}[\w=+/-]{{28,}}",
        *("secret_", "esecret_", "jina_", "sntrys_", "sntryu_", "pscale_"),
    ),
    _shape(r"dp\.(?:pt|st|sa|ct|scim|audit)\.(?:[\w-]{2,35}\.)?[A-Za-z0-9]{40,}", "dp."),
    _shape(r"[\w.~-]{3}\dQ~[\w.~-]{30,}[\w~-]", "Q~", offset=4),
    _shape(r"[A-Za-z0-9]{14}\.atlasv1\.[\w=-]{60,}", ".atlasv1.", offset=14),
    _shape(r"[MNO][\w-]{22,28}\.[\w-]{6}\.(?=[\w-]*\d)[\w-]{27,45}(?![\w.-])", "", offset=None),  # Discord's
    _shape(r"APA91b[\w-]{100,}", "APA91b", is_narrow=True),
    _behind("://", r"(?:[^\s/@:\"']*:[^\s/@\"']+|(?=[A-Za-z_-]{0,40}\d)[\w-]{20,200})(?=@)", is_in_run=False),
    _behind(":\\/\\/", r"[^\s/@:\"'\\]*:[^\s/@\"'\\]+(?=@)", is_in_run=False),
    *(_behind(sign, r"[\w.~-]*%3[Aa][\w.~%+-]{1,200}?(?=%40)", is_in_run=False) for sign in ("%3A%2F%2F", "%3a%2f%2f")),
    _behind("sig=", r"(?<=[?&;]sig=)(?=[\w%+/-]*\d)[\w%+/-]{40,}=*"),
    *(
        _behind(sign, rf"(?<=[?&;,\s-]{sign})(?=[\w%+/~-]*\d)[\w%+/~-]{{26,}}=*")
        for sign in ("Signature=", "signature=", "SIGNATURE=")
    ),
    *(_behind(sign, rf"(?<=[?&;]{sign}){_MIXED}[\w.~+/%-]{{20,}}={{0,2}}") for sign in ("key=", "code=")),
    _behind(
        "ookie: ",
        r"(?=[^\r\n\"'\\]{0,1000}?=(?=[^\s;]{0,100}?\d)[^\s\"'\\;]{8})"
        r"[\w.-]+=[^\s\"'\\;]*(?:; ?[\w.-]+=[^\s\"'\\;]*)*",
        is_in_run=False,
    ),
    Shape(
        ("curl ",),
        r"(?:(?<=[ ]-[ub][ ])|(?<=--user[ ])|(?<=--cookie[ ]))"
        r"[\"']?[\w.@-]{1,100}[:=](?=[^\s\"'\\]{0,100}?\d)[^\s\"'\\]{8,}",
        is_in_run=False,
        offset=None,
    ),
    Shape(
        ("-----BEGIN ",),
        r"-----BEGIN [A-Z ]{0,40}PRIVATE KEY(?: BLOCK)?-----"
        r"(?:(?:[^-]|-(?!----BEGIN )){0,20000}?-----END [A-Z ]{0,40}PRIVATE KEY(?: BLOCK)?-----"
        rf"|(?:{_LINE_END}*[A-Za-z0-9+/=]{{20,}})+(?:{_LINE_END}+[A-Za-z0-9+/=]*\Z)?)",
        is_in_run=False,
    ),
    *(  # RSA, EC, Ed25519 and OpenSSH keys whose first line is lost
        _shape(
            rf"{beginning}[A-Za-z0-9+/]{{20,}}(?:{_LINE_END}+[A-Za-z0-9+/=]{{20,}})*={{0,2}}", literal, offset=offset
        )
        for beginning, literal, offset in (
            ("MII[A-Za-z0-9+/]{2}AIBAAK", "AIBAAK", 5),
            ("MII[A-Za-z0-9+/]{2}QIBADANBgkqhkiG9w0BAQEFAASC", "QIBADANBgkqhkiG9w0BAQEFAASC", 5),
            *((text, text, 0) for text in ("MHcCAQEE", "MIGHAgEAM", "MC4CAQAwBQYDK2Vw", "b3BlbnNzaC1rZXktdjE")),
        )
    ),
    _behind(
        "Private-Lines: ",
        rf"\d{{1,4}}(?:{_LINE_END}+(?:Private-MAC: )?[A-Za-z0-9+/=]{{4,}}(?![A-Za-z0-9:-]))+",
        is_in_run=False,
    ),
    *(_beginning(*row) for row in TOKEN_PREFIXES),
)
_BY_LITERAL = defaultdict[tuple[bool, str], list[Shape]](list)
for _each in SHAPES:
    for _literal in _each.literals:
        _BY_LITERAL[_each.is_in_run, _literal].append(_each)
_LITERALS = LiteralSearch({text for shape in SHAPES if not shape.is_in_run for text in shape.literals})
_RUN_LITERALS = LiteralSearch({text for shape in SHAPES if shape.is_in_run for text in shape.literals if text})
_DISCORD = re.compile(r"[MNO][A-Za-z0-9_-]{22,28}\.[A-Za-z0-9_-]{6}\.[A-Za-z0-9_-]{27}")
"""The one kind of token that has no fixed part but its dots."""

_MARKS = bytes(97 if chr(code).isalnum() or chr(code) in "_.~+/=$%-" else 32 for code in range(128)) + b" " * 128
_RUN = re.compile(b"a" * _SHORTEST_RUN + b"a*")
API_NAMES = frozenset(
    (
        *(b"chat.completion", b"chat.completion.chunk", b"completion_tokens", b"completion_tokens_details"),
        *(b"prompt_tokens_details", b"input_tokens_details", b"output_tokens_details", b"system_fingerprint"),
        *(b"accepted_prediction_tokens", b"rejected_prediction_tokens", b"reasoning_tokens", b"reasoning_content"),
        *(b"parallel_tool_calls", b"response.output_text.delta", b"sequence_number", b"content_filter_results"),
    )
)
"""Runs of which nearly every answer has some, and none is a token."""


def redact_shapes(text: str, redact: Callable[[str], str]) -> str:
    """Return a text without what has the shape of a token.

    Args:
        text: what is looked through.
        redact: returns what takes the place of a token.
    """
    if len(text) <= _SHORT and not _may_hold_token(text):
        return text
    present = _present(text, _runs_of(text))
    if not any(present):  # as nearly always
        return text
    made, done = [], 0
    for first, last in sorted(_found(text, *present), key=lambda span: (span[0], -span[1])):
        if first >= done:
            made += [text[done:first], redact(text[first:last])]
            done = last
    return "".join((*made, text[done:])) if made else text


@functools.lru_cache(1_000)
def _may_hold_token(text: str) -> bool:
    """Whether a short text, such as a name or a header, may hold a token; the same ones come again and again."""
    return any(_present(text, _runs_of(text)))


def _runs_of(text: str) -> str:
    return _long_runs(text.encode("utf-8", "surrogatepass")) if len(text) >= _SHORTEST_RUN else ""


def _found(text: str, anywhere: set[str], in_runs: set[str]) -> Iterator[tuple[int, int]]:
    """Yield where in a text each shape is, of which literal parts stand in it; some are parts of others."""
    for is_in_run, present in ((False, anywhere), (True, in_runs)):
        for literal in present:
            for shape in _BY_LITERAL[is_in_run, literal]:
                for found in _places(text, shape, literal):
                    if shape.is_sure(literal) or not is_chance(found):
                        yield found.span()


def _places(text: str, shape: Shape, literal: str) -> Iterator[re.Match[str]]:
    """Yield where a shape is in a text: to look for the literal first takes a tenth of the time."""
    if shape.offset is None:
        yield from shape.pattern.finditer(text)
        return
    at = text.find(literal)
    while at >= 0:
        found = shape.pattern.match(text, at - shape.offset) if at >= shape.offset else None
        if found:
            yield found
        at = text.find(literal, max(at + 1, found.end() if found else 0))


def json_may_hold_token(raw: bytes, distinct: set[bytes]) -> bool:
    """Whether JSON has to be read to know that it holds no token.

    Args:
        raw: JSON.
        distinct: what stands between its quotation marks.
    """
    if max(map(len, distinct)) >= LONG and any(map(may_be_data, distinct)):
        distinct = set(without_data(raw).split(b'"'))
    once = b'"'.join(distinct)
    runs = _long_runs(once)
    present = [literal.encode() for literal in set[str]().union(*_present(once.decode("latin-1"), runs))]
    return bool(present) and any(_holds_token(part) for part in distinct if any(text in part for text in present))


def _holds_token(part: bytes) -> bool:
    """Whether a part of JSON between two quotation marks holds a token, or is only a part of a text."""
    try:
        text = msgspec.json.decode(b'"%b"' % part, type=str)
    except msgspec.DecodeError:
        return True
    return redact_shapes(text, lambda _: "") != text


def _present(text: str, runs: str) -> tuple[set[str], set[str]]:
    """Return the literal parts of tokens in a text, and those in its long runs, where an empty one is Discord's."""
    in_runs = _RUN_LITERALS.present(runs) if runs else set()
    return _LITERALS.present(text), in_runs | {""} if "." in runs and _DISCORD.search(runs) else in_runs


def _long_runs(raw: bytes) -> str:
    """Return the runs of characters that tokens are made of, as long as tokens are, a line each."""
    spans = (found.span() for found in _RUN.finditer(raw.translate(_MARKS)))
    return b"\n".join({raw[first:last] for first, last in spans} - API_NAMES).decode()
