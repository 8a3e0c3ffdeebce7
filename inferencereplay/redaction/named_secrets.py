r"""Secrets that are told by the name that stands before them.

In JSON a member's name tells. In texts it is JSON once more, however often its quotes are escaped, by JSON, a URL or
HTML; and settings, headers, command lines and markup: there the value has to look like no word.
"""

from __future__ import annotations

import functools
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

NAMES = frozenset(
    (
        *("authorization", "proxyauthorization", "password", "passwd", "passphrase", "cookie", "setcookie"),
        *("apikey", "xapikey", "openaiapikey", "xgoogapikey", "secretkey", "privatekey", "ocpapimsubscriptionkey"),
        *("secretaccesskey", "awssecretaccesskey", "clientsecret", "idtoken", "privatetoken", "xamzsecuritytoken"),
        *("authtoken", "xauthtoken", "accesstoken", "refreshtoken", "sessiontoken", "azureadtoken", "bearertoken"),
    )
)
"""In lower case, without hyphens and underscores."""
ENDS = (
    *("apikey", "secretkey", "accesskey", "secretaccesskey", "accountkey", "subscriptionkey", "privatekey"),
    *("accesstoken", "authtoken", "refreshtoken", "sessiontoken", "bearertoken", "apitoken", "oauthtoken"),
    *("clientsecret", "signingsecret", "webhooksecret", "appsecret", "apisecret", "consumersecret"),
)
"""How longer names end that stand for secrets, such as `AZURE_OPENAI_API_KEY`."""
PASSWORD_ENDS = ("password", "passwd", "passphrase")
"""How names end that stand for one, as `db_password`, or for a label, as `forgot_password`: their values tell."""
RANDOM_ENDS = ("token", "secret", "signingkey", "encryptionkey", "deploykey", "licensekey", "authkey", "openaikey")
"""How names end under which both secrets and harmless texts stand; there a value has to look like chance."""
_HARMLESS_ENDS = ("pagetoken", "nexttoken", "continuationtoken", "synctoken")
"""Names of places in a list, which the next request repeats."""
HINTS = ("key", "token", "secret", "authorization", "password", "passwd", "passphrase", "cookie")
"""How the name of a secret ends, in lower case."""
_NO_WORD = re.compile(r"(?=\S*\d)\S{6,}")
_CHANCE = re.compile(
    r"(?=[\w.~+/=-]{0,40}?(?=[A-Za-z]{0,7}\d)(?=\d{0,7}[A-Za-z])[A-Za-z0-9]{8})[\w.~+/=-]{20,}", re.ASCII
)
"""Twenty characters without a space, eight in a row with a digit and a letter: no words with hyphens, no date."""

_QUOTE = r"(?:\\*[\"'`]|&quot;|&#(?:34|39|x22|x27);|%2[27])"
_SIGN = (
    rf"(?:{_QUOTE}|\*\*|\])*(?:\s|%20)*"
    r"(?:[:=|>}]|,\s{0,8}\\*[\"']|&gt;|%3[ad]|is |(?<= )\\*[\"']?(?=\S{0,40}\d)\S{16})"
)
_SIGNS = tuple((end, re.compile(end + _SIGN)) for end in HINTS)
"""The same with what follows where a value does; the ends alone are looked for first."""
_SIGNS_IN_JSON = tuple((end.encode(), re.compile(sign.pattern.encode())) for end, sign in _SIGNS)

_END = r"(?![\w-])(?i:" + "|".join(f"(?<={end})" for end in HINTS) + ")"
_NAME = rf"(?P<name>(?:(?i:api|access|secret|private)[ ])?[A-Za-z][\w-]{{2,63}}){_END}"
_QUOTED_NAME = rf"(?P<name>[\w .-]{{4,64}}){_END}"
_VALUE = r"(?=(?P<value>(?=[\w.~+/-]{0,40}?\d)[\w.~+/-]{16,}=*)(?![\w.~+/=(\[-]))"  # which is no call in a program
_NAMED = (
    # "api_key": "…", as it stands in JSON.
    re.compile(rf'"{_QUOTED_NAME}"\s*(?::|=>)\s*"' + r'(?=(?P<value>(?:[^"\\]|\\.)+))'),
    # The same with its quotes escaped, once or more often, or single ones.
    re.compile(
        rf"(?P<quote>(?<!\\)\\{{1,63}}[\"']|'|&quot;|&#(?:34|39|x22|x27);|%2[27]){_QUOTED_NAME}(?P=quote)"
        r"(?:\s|%20|\+)*(?::|=>|%3[Aa])(?:\s|%20|\+)*(?P=quote)"
        r"(?=(?P<value>(?:(?!(?P=quote))[^\n])+))"
    ),
    # API_KEY=…, api-key: …, --api-key=…, api_key: str = "…", | API_KEY | … |, Authorization: Token …
    re.compile(
        r"(?:(?<![\w\\-])-{0,2}|(?<=\\[nrt])|(?<=%[0-9A-Fa-f]{2})|(?<=\\u[0-9A-Fa-f]{4}))"
        rf"{_NAME}(?:[\"']\])?\*{{0,2}}[ \t]{{0,8}}"
        r"(?::[ ]?[A-Za-z][\w.]{0,30}[ ]=|:=|=>|=|:|\||is(?=[ ])|%3[ADad])\*{0,2}(?:[ \t]|%20|\+){0,8}"
        r"(?:(?:[Tt]oken|[Aa]pi[_-]?[Kk]ey|[Kk]ey)(?:[ ]|%20))?(?:[\"'`]|%2[27])?"
        rf"{_VALUE}"
    ),
    # --api-key …, ENV API_KEY …, setenv API_KEY …
    re.compile(rf"(?<![\w-])(?:--|ENV[ ]|setenv[ ]){_NAME}[ ]{{1,4}}[\"']?{_VALUE}"),
    # setenv("API_KEY", "…"), and {"name": "api-key", "value": "…"}, whose quotes may be escaped.
    re.compile(
        rf"(?P<quote>\\{{0,63}}[\"']){_QUOTED_NAME}(?P=quote),\s{{0,8}}"
        rf"(?:(?P=quote)value(?P=quote)\s{{0,8}}:\s{{0,8}})?(?P=quote){_VALUE}"
    ),
    # <apiKey>…</apiKey>
    re.compile(rf"(?:<|&lt;){_NAME}(?:>|&gt;)(?=(?P<value>(?=[^<&\s]{{0,40}}?\d)[^<&\s]{{8,4000}})(?:<|&lt;)/)"),
)
"""Each finds where a value begins; what it is stands in a look-ahead, for it may hold names itself."""


def secret_test_for(name: str) -> Callable[[str], object] | None:
    """Return what says of a text that stands under `name` whether it is a secret; `None` if that none is."""
    return _judge(name.lower().replace("-", "").replace("_", "").replace(" ", "").replace(".", ""))


@functools.lru_cache(maxsize=1_000)
def _judge(plain: str) -> Callable[[str], object] | None:
    if plain in NAMES or plain.endswith(ENDS):
        return bool
    if plain.endswith(PASSWORD_ENDS):
        return _NO_WORD.fullmatch
    return looks_random if plain.endswith(RANDOM_ENDS) and not plain.endswith(_HARMLESS_ENDS) else None


def looks_random(text: str) -> bool:
    """Whether a text looks like no word, name, number or date, but like what a generator of secrets makes."""
    return bool(_CHANCE.fullmatch(text))


def may_name(raw: bytes) -> bool:
    """Whether JSON may hold the name of a secret."""
    lowered = raw.lower()
    return any(end in lowered and sign.search(lowered) for end, sign in _SIGNS_IN_JSON)


def redact_named(text: str, cover: Callable[[str], str], is_hidden: Callable[[str], bool]) -> str:
    """Take out what a text says of a secret by its name.

    Args:
        text: what is looked through.
        cover: returns what takes the place of a value.
        is_hidden: whether a value has been taken out before.
    """
    if not any(sign in text for sign in ":=|> %&"):
        return text
    lowered = text.lower()
    if not any(end in lowered and sign.search(lowered) for end, sign in _SIGNS):
        return text

    for pattern in _NAMED:
        text = _cover(text, pattern, cover, is_hidden)
    return text


def _cover(text: str, pattern: re.Pattern[str], cover: Callable[[str], str], is_hidden: Callable[[str], bool]) -> str:
    made, at = [], 0
    for found in pattern.finditer(text):
        value, is_secret = found["value"], secret_test_for(found["name"])
        if found.start("value") >= at and is_secret and is_secret(value) and not is_hidden(value):
            made += [text[at : found.start("value")], cover(value)]
            at = found.end("value")
    return "".join((*made, text[at:])) if made else text
