"""The names under which secrets stand: an API key, a password, a token; and which values under them are secrets."""

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


def secret_test_for(name: str) -> Callable[[str], object] | None:
    """Return what says of a text that stands under `name` whether it is a secret; `None` if that none is."""
    return _judge(_plain(name))


@functools.lru_cache(maxsize=1_000)
def _plain(name: str) -> str:
    return name.lower().replace("-", "").replace("_", "").replace(" ", "").replace(".", "")


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


# The values of settings, in text that is not JSON: no expression of a program, no placeholder, no word.

_NO_VALUE = re.compile(
    r"[$%<{\[(*#=:?@&~/.!-]|(?i:your|none|null|true|false|https?:|file:|x{4}|env[.:]|process\.|secrets?[.(]|vault:)"
)
"""How expressions, placeholders, paths and flags begin."""
_EXPRESSION = re.compile(r"[({\[]|://|\.\.|…|->|\*{3}|\$\{")
_ATTRIBUTE = re.compile(r"[A-Za-z_]\w*(?:\??[.:]+[A-Za-z_]\w*)+", re.ASCII)
_IDENTIFIER = re.compile(r"[A-Za-z_]\w*", re.ASCII)
_CONSTANT = re.compile(r"[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+")
"""The name of a variable of the environment."""
_NUMBERED = re.compile(r"(?i:sha|md|utf|base|int|uint|float|aes|rsa|pbkdf|oauth|ipv|http|py|i18n|l10n|k8s)\d+")
_SUFFIX = re.compile(r"(?<=[A-Za-z]{3})\d{1,2}(?![A-Za-z0-9])")
_CHANCE_WORD = re.compile(r"(?:[A-Za-z]+\d+[A-Za-z][A-Za-z0-9]*|[A-Za-z]+\d{4,})")
"""A word with digits within it or four at its end, as no name in a program has them."""
_PHRASE = re.compile(r"[A-Za-z0-9]+(?:[-_!@#^+~.][A-Za-z0-9]+)*(?:-[A-Za-z0-9]+){2,}[!@#^+~]*")
"""Three words or more, with hyphens between them."""
_SHORTEST_SETTING = 6
LONGEST_SETTING = 300
"""Characters of a value that is judged as a setting's; a longer one has to look like chance."""


def is_setting(name: str, value: str, *, is_quoted: bool) -> bool:
    """Whether a value in text, after a name and a sign, is that of a password or a key.

    Args:
        name: of a secret.
        value: without its quotation marks.
        is_quoted: whether it had some; without them it may be an expression of a program.
    """
    plain = _plain(name)
    if (
        not plain.endswith((*ENDS, *PASSWORD_ENDS))
        or not _SHORTEST_SETTING <= len(value) <= LONGEST_SETTING
        or re.search(r"\s", value)
    ):
        return False
    if _NO_VALUE.match(value) or _EXPRESSION.search(value) or _CONSTANT.fullmatch(value):
        return False
    if not re.search("[0-9]", value) or not re.search("[A-Za-z]", value):
        return bool(_PHRASE.fullmatch(value)) and _plain(value) not in plain
    return is_quoted or not _IDENTIFIER.fullmatch(value) or bool(_CHANCE_WORD.fullmatch(_NUMBERED.sub("", value)))


def is_attribute(value: str) -> bool:
    """Whether a value is names with dots between them, as an expression of a program is, and none looks like chance."""
    return bool(_ATTRIBUTE.fullmatch(value)) and not looks_random(_SUFFIX.sub("", value))
