"""What is taken out before anything is hashed or written."""

from __future__ import annotations

import itertools
import json
import re
import time
import traceback

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from inferencereplay.errors import InvalidSetting
from inferencereplay.redaction.redactor import (
    MOST_PASSES,
    REDACTED,
    SHORTEST_LITERAL,
    Literals,
    Redactor,
    secret_values,
)
from inferencereplay.redaction.secret_names import ENDS, HINTS, NAMES, PASSWORD_ENDS, RANDOM_ENDS
from inferencereplay.redaction.shapes import LONG

SECRETS = (
    "sk-0123456789abcdef0123456789abcdef",
    "sk-abcd1234efgh",
    "sk-proj-aB3_x-9Zq8Lm2Vt7Rw1Yp",
    "sk-ant-api03-Zx9Yw8Vu7Ts6Rq5Po4",
    "sk-or-v1-4f0c3b2a1d0e9f8a7b6c5d4e3f2a1b0c",
    "sk-lf-1a2b3c4d-5e6f-7a8b-9c0d-1e2f3a4b5c6d",
    "sk-ABCDEFGHIJKLMNOPQRSTUVWX",
    "rk-0123456789abcdef",
    "pk-lf-1a2b3c4d-5e6f-7a8b-9c0d-1e2f3a4b5c6d",
    "sess-0123456789abcdef0123456789abcdef01234567",
    "sk_live_0123456789abcdefABCDEFGH",
    "rk_test_0123456789abcdefABCDEFGH",
    "Bearer 0123456789abcdef",
    "bearer aB3.x-9Zq8Lm2Vt7Rw1Yp~+/==",
    "BEARER ABCDEFGHIJKLMNOPQRSTUVWX",
    "Basic dXNlcjpwYXNzd29yZA==",
    "basic YWxhZGRpbjpvcGVuc2VzYW1l",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.dozjgNryP4J3jVmNHl0w5N",
    "AKIAIOSFODNN7EXAMPLE",
    "ASIAIOSFODNN7EXAMPLE",
    "ghp_0123456789abcdefABCDEFGH0123456789ab",
    "gho_0123456789abcdefABCDEFGH0123456789ab",
    "ghu_0123456789abcdefABCDEFGH0123456789ab",
    "ghs_0123456789abcdefABCDEFGH0123456789ab",
    "ghr_0123456789abcdefABCDEFGH0123456789ab",
    "github_pat_11ABCDEFG0123456789_abcdefghijklmnop",
    "glpat-0123456789abcdefABCD",
    "xoxb-0123456789-0123456789-abcdef",
    "xoxp-0123456789-0123456789-abcdef",
    "AIzaSyA0123456789abcdefABCDEFGH0123456789",
    "ya29.a0AfH6SMBx0123456789abcdef",
    "hf_abcdefghijABCDEFGHIJ0123456789abcd",
    "gsk_abcdefghijABCDEFGHIJ0123456789abcd",
    "npm_abcdefghijABCDEFGHIJ0123456789abcd",
    "r8_abcdefghijABCDEFGHIJ0123456789abcd",
    "fw_abcdefghijABCDEFGHIJ0123456789abcd",
    "ek_abcdefghijABCDEFGHIJ0123456789abcd",
    "whsec_abcdefghijABCDEFGHIJ0123456789abcd",
    "tgp_v1_abcdefghijABCDEFGHIJ0123456789abcd",
    "xai-abcdefghijABCDEFGHIJ0123456789abcdefghij",
    "pplx-abcdefghijABCDEFGHIJ0123456789abcdefghij",
    "nvapi-abcdefghij-ABCDEFGHIJ_0123456789abcdefghij",
    "csk-abcdefghijabcdefghij0123456789abcdefghij",
    "dapi0123456789abcdef0123456789abcdef",
    "glrt-0123456789abcdefABCD",
    "dop_v1_0123456789abcdef0123456789abcdef",
    "lin_api_abcdefghijABCDEFGHIJ0123456789",
    "pypi-AgEIcHlwaS5vcmcCJDAxMjM0NTY3LTg5YWItY2RlZi0wMTIzLTQ1Njc4OWFiY2RlZg",
    "SG.abcdefghij0123456789AB.abcdefghijABCDEFGHIJ0123456789abcdefghij012",
    "SK0123456789abcdef0123456789abcdef",
    "xapp-1-A0123456789-0123456789012-abcdef0123456789",
    "B" * 52 + "JQQJ99ALACYeBjFXJ3w3AAABACOGAbcd",
    "IQoJb3JpZ2luX2VjEHQaCXVzLWVhc3QtMSJHMEUCIQD0123456789abcdefghijABCDEFGHIJ",
    "ABSKQmVkcm9ja0FQSUtleS0wMTIzNDU2Nzg5YWJjZGVmZ2hpamtsbW5vcHFyc3R1dnd4eXo=",
    "GOCSPX-abcdefghijABCDEFGHIJ01234567",
    "tvly-dev-abcdefghijABCDEFGHIJ0123456789",
    "hvs.CAESIabcdefghijABCDEFGHIJ0123456789",
    "org-AbCdEfGhIjKlMnOpQrStUvWx",
    "proj_AbCdEfGhIjKlMnOpQrStUvWx",
    "sk_0123456789abcdef0123456789abcdef0123456789abcdef",
    "123456789:AAabcdefghijABCDEFGHIJ0123456789abc",
    "ATATT3xFfGF0" + "abcdefghijABCDEFGHIJ0123456789" * 2,
    "c2stcHJvai1hQjNkRTVnSDdqSzltTjFwUTJyUzR0VTZ2Vzh4WTB6QQ==",
    "AGE-SECRET-KEY-1QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7LQPZRY9X8GF2TVDW0S3",
    "key-0f1e2d3c4b5a69788796a5b4c3d2e1f0",
    "sq0atp-aB3dE5gH7jK9mN1pQ2rS4t",
    "NRAK-ABCDEFGHIJKLMNOPQRSTUVW1234",
    "HRKU-01234567-89ab-cdef-0123-456789abcdef",
    "pa-aB3dE5gH7jK9mN1pQ2rS4tU6vW8xY0zAbCdEfGhIjKl",
    "secret_aB3dE5gH7jK9mN1pQ2rS4tU6vW8xY0zAbCdEfGhIjKl",
    "esecret_aB3dE5gH7jK9mN1pQ2rS4tU6vW8xY0",
    "jina_aB3dE5gH7jK9mN1pQ2rS4tU6vW8xY0zAbCdEfGhIjKl",
    "sntrys_eyJpYXQiOjE3MDAwMDAwMDAuMCwidXJsIjoi_aB3dE5gH7jK9mN1pQ2rS4t",
    "pscale_tkn_aB3dE5gH7jK9mN1pQ2rS4tU6vW8xY0",
    "dp.pt.aB3dE5gH7jK9mN1pQ2rS4tU6vW8xY0zAbCdEfGhIjKl",
    "abc8Q~aB3dE5gH7jK9mN1pQ2rS4tU6vW8xY0zAbC",
    "APA91b" + "aB3dE5gH7jK9mN1pQ2rS4tU6vW8xY0zAbCdEfGhIjKl" * 3,
)
SURROUNDINGS = (
    "{}",
    "The key is {}.",
    "My key is {}, please keep it.",
    "({}) [{}] <{}> '{}' \"{}\" `{}` *{}*",
    "key={};key:{}",
    "--key={} --name x",
    "\n{}\n",
    "我的密钥是{}。",
    "é{}é",
    '{{"text": "line\\n{}"}}',
    "line\\r\\n{}\\tend",
    "https://api.example/?a=1&key={}&b=2#x",
    "key%3D{}%20",
    "my_{}",
    '{{"a": "\\u94a5{}"}}',
    "\\u003d{}",
    "b'\\xc3\\xa9{}'",
    "key=3D{}",
    "\x1b[32m{}\x1b[0m",
    "\x1b[1;31m{}\x1b[0m",
)
PEM = "-----BEGIN {0}PRIVATE KEY-----\n" + "MIIEvQ0123456789abcdefghijABCD+/\n" * 3 + "-----END {0}PRIVATE KEY-----"
secrets = st.sampled_from(SECRETS)
texts = st.text(st.characters(exclude_categories=["Cs"]))
parts = [" ", "-", "_", ":", "/", "@", "://", REDACTED, "sk-", "Bearer ", "api-key", "0f1e2d3c4b5a69788796a5b4c3d2e1f0"]
mixtures = st.lists(secrets | texts | st.sampled_from(parts))
members = st.sampled_from(
    ["api_key", "Authorization", "content", "sk-abcd1234efgh", "x", "logprobs", "name", "key", "value", "bot_token"]
)
documents = st.recursive(
    mixtures.map("".join) | st.none() | st.booleans() | st.integers(-(2**60), 2**60),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(members, inner, max_size=3),
    max_leaves=8,
)


@pytest.fixture(scope="module")
def redactor():
    return Redactor()


# Shapes.


def test_a_token_is_found_wherever_it_stands(redactor):
    """In prose of any language, in code, in JSON within text, in URLs: the token goes, what is around it stays."""
    for secret, surroundings in itertools.product(SECRETS, SURROUNDINGS):
        text = surroundings.format(*[secret] * 9)
        assert redactor.text(text) == surroundings.format(*[REDACTED] * 9), text


@pytest.mark.parametrize("secret", SECRETS)
def test_a_token_is_found_in_one_of_many_chunks(redactor, secret):
    """Chunks are searched together, and what they repeat only once."""
    chunk = b'{"id": "chatcmpl-1", "choices": [{"index": 0, "delta": {"content": "%b"}}]}'
    raws = [chunk % text for text in (b"a", b"b", f"({secret})".encode(), b"a")]
    assert redactor.jsons(raws) == [*raws[:2], redactor.json(raws[2]), raws[3]]
    assert secret.encode() not in redactor.jsons(raws)[2]


def test_a_redactor_with_a_clients_secrets_is_made_once(redactor):
    """The same one comes back for the same secrets, and another one for others; neither shows them."""
    known, other = (("a-secret-of-a-client",), ("a-secret-of-another",))
    made = redactor.with_literals(known)
    assert redactor.with_literals(known) is made
    assert redactor.with_literals(other).text(f"{known[0]} {other[0]}") == f"{known[0]} {REDACTED}"
    assert redactor.with_literals(known).text(f"{known[0]} {other[0]}") == f"{REDACTED} {other[0]}"
    assert known[0] not in repr(vars(redactor))


PIECES = st.sampled_from(
    ["a", " the", '"', "\\", "\n", "é", "key", "api_key", ": ", "=", "sk-abcd1234efgh", "Bearer abcdef1234567890"]
)


@given(
    st.lists(st.lists(PIECES, max_size=6).map("".join), min_size=1, max_size=12),
    st.lists(PIECES, max_size=4).map("".join),
    st.lists(PIECES, max_size=4).map("".join),
    st.booleans(),
)
def test_many_chunks_are_redacted_as_each_by_itself_is(texts, before, after, is_name):
    """However much of them they share, before what differs and after it, in names and in values."""
    items = [{"id": before, **({text: after} if is_name else {"delta": text}), "end": after} for text in texts]
    raws = [json.dumps(item, ensure_ascii=False).encode() for item in items]
    redactor = Redactor()
    assert redactor.jsons(raws) == [redactor.json(raw) for raw in raws]


@pytest.mark.parametrize(
    ("shared", "secret"),
    [
        ('{"api_key"', ': "S3cretvalue12345"}'),
        ('say "', "a" * LONG + "_github_pat_11ABCDEFG0123456789ab_" + "c1" * 30),
    ],
)
def test_chunks_are_cut_in_no_text(redactor, shared, secret):
    """A quotation mark in a text, which several have in common, separates no name from its value."""
    texts = [*"abcde", f"{shared} and", f"{shared} so on", *"fgh", shared + secret]
    raws = [json.dumps({"type": "done", "arguments": text}).encode() for text in texts]
    found = redactor.jsons(raws)
    assert [json.loads(raw)["arguments"] for raw in found] == [redactor.text(text) for text in texts]
    assert found[-1] != raws[-1]


def test_a_literal_with_quotes_is_found_in_one_of_many_chunks():
    """It is not cut where the texts are."""
    secret = 'my "very own" secret'
    raws = [json.dumps({"a": "same", "b": text, "c": "same"}).encode() for text in ("x", secret, *"abcdefgh")]
    assert b"own" not in b"".join(Redactor(literals=(secret,)).jsons(raws))


@pytest.mark.parametrize("kind", ["", "RSA ", "EC ", "OPENSSH ", "ENCRYPTED "])
def test_a_private_key_goes_as_a_whole(redactor, kind):
    """All its lines, also where the line ends are escaped, where it is cut off, and where there are two."""
    key = PEM.format(kind)
    assert redactor.text(f"before\n{key}\nafter") == f"before\n{REDACTED}\nafter"
    assert redactor.text(f"{key}\n\n{key}") == f"{REDACTED}\n\n{REDACTED}"
    assert redactor.text(key.replace("\n", "\\n")) == REDACTED
    assert {redactor.text(key[:end]) for end in range(key.index("MII") + 20, key.index("-----END"))} == {REDACTED}


@pytest.mark.parametrize(
    ("url", "safe"),
    [
        ("http://user:pw@host:80/a", f"http://{REDACTED}@host:80/a"),
        ("postgres://u:p%40ss,w@db/x", f"postgres://{REDACTED}@db/x"),
        ("http://localhost:8000/v1", "http://localhost:8000/v1"),
        ("http://localhost:8000/a@b", "http://localhost:8000/a@b"),
        ("http://user@host/a", "http://user@host/a"),
        ("redis://:p4ss@cache/0", f"redis://{REDACTED}@cache/0"),
        ("http:\\/\\/user:pw@host", f"http:\\/\\/{REDACTED}@host"),
        ("?next=http%3A%2F%2Fuser%3Apw%40host%2Fa", f"?next=http%3A%2F%2F{REDACTED}%40host%2Fa"),
    ],
)
def test_a_url_loses_its_password(redactor, url, safe):
    """User and password go, host and port stay."""
    assert redactor.text(f"see {url}, please") == f"see {safe}, please"


@pytest.mark.parametrize(
    "text",
    [
        "A risk-averse, task-oriented, disk-based, pk-constrained person asks.",
        "scikit-learn's sk-estimator-id-1, sk-container-id-12, sk-toggleable__content and sk-learn-v0.24",
        "The locale sk-SK, the CSS class sk-folding-cube-animation-delay, and sk-",
        "He is the bearer of bad news; bearer securities, 1990. Bearer $TOKEN, bearer {key}",
        "Bearer authentication is used.",
        "basic responsibilities, basic internationalization; Basic read/write/execute/permissions. BASIC programming",
        "user-defined functions, user-AgentOfTheBrowser, org-mode, org-level-administrators-only, proj_dir",
        "XAI: https://example.org/xai-explainable-artificial-intelligence-survey-of-the-field",
        "A PEM file begins with -----BEGIN PRIVATE KEY-----, then come lines of base64, and it ends.",
        "npm_config_registry, hf_hub_download, gsk_glands, fw_update_available, week_of_the_year, r8_",
        "key, see eyJ or eyJhbGciOi.x; the akin AKIA prefix; xoxo-hugs-and-kisses? ya29.short; AIza",
        "chatcmpl-AbCdEfGh0123456789IjKlMnOpQr call_0123456789abcdefABCDEFGH fp_44709d6fcb",
        "req_0123456789abcdef0123456789",
        "resp_0123456789abcdef0123456789abcdef msg_0123456789abcdef0123456789 file-0123456789abcdefABCDEFGH",
        "3fa85f64-5717-4562-b3fc-2c963f66afa6 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==",
        "max_tokens prompt_tokens Authorization: required; the password is what one knows; api_key=None; cookie jar",
        "C:\\tasks\\risk-management\\new_keys, time 10:30@noon, ratio 3://4, mailto:someone@example.org",
    ],
)
def test_words_are_not_taken_for_tokens(redactor, text):
    """Normal prose, identifiers, ids and hashes stay as they are, and the very same object comes back."""
    assert redactor.text(text) is text
    assert redactor.value([text])[0] is text


@given(mixtures.map("".join), st.lists(st.sampled_from(["client-key", "REDACTED", "abcd1234"])))
@example("://sk-abcd1234efgh:x@", [])
@example("Bearer [REDACTED]", ["REDACTED"])
@example("dapi0123456789abcdef0123456789abcdefsk-0123456789abcdef", [])
def test_doing_it_again_changes_nothing(text, literals):
    """What was taken out while recording and is sent again while replaying gives the same key."""
    redactor = Redactor([r"[A-Z]{8}"])
    once = redactor.with_literals(tuple(literals)).text(text)
    assert redactor.with_literals(tuple(literals)).text(once) == once


# Literals.


DATA = "SK0123456789abcdef0123456789abcdef/AKIA0123456789ABCDEF+" * 20
"""Base64 that has the shapes of tokens in it, as much of it as a small image."""


@pytest.mark.parametrize("text", [DATA, DATA + "==", f"data:image/png;base64,{DATA}="])
def test_data_is_searched_for_literals_only(redactor, text):
    """Images, sounds and vectors are no text: what looks like a token in them is chance."""
    assert redactor.text(text) is text
    raw = json.dumps({"input": ["a" * LONG * 10], "vector": text, "b": 1}).encode()
    assert redactor.json(raw) is raw
    secret = text[300:330]
    assert secret not in redactor.with_literals((secret,)).text(text)
    assert secret.encode() not in redactor.with_literals((secret,)).json(raw)
    assert redactor.with_literals((secret,)).json(json.dumps({"a": text}).encode()) == redactor.with_literals(
        (secret,)
    ).json(json.dumps({"a": text}).encode() + b" " * LONG * 10)


@pytest.mark.parametrize("around", ["{} ", "{}-", "x_{}", "[{}", "{}.", '"{}'])
def test_what_is_not_data_alone_is_text(redactor, around):
    """As much of it as there is, a character that is no Base64 makes it a text that is looked through."""
    assert "AKIA0123" not in redactor.text(around.format(DATA))
    for times in (1, 10):
        assert b"AKIA0123" not in redactor.json(json.dumps([around.format(DATA) * times]).encode())


def test_numbers_beside_a_secret(redactor):
    """What is left out of the search is only the numbers, not what stands beside them."""
    raw = json.dumps([[0.25] * LONG * 2, "AKIA0123456789ABCDEF", [1e-7] * LONG * 2]).encode()
    assert redactor.json(raw) == msgspec.json.encode([[0.25] * LONG * 2, REDACTED, [1e-7] * LONG * 2])


def test_literals_are_taken_out():
    """The client's own key goes, whatever its shape, from text, values and names."""
    redactor = Redactor()
    literals = ("azure-resource-key", "another one")
    assert redactor.with_literals(literals).text("a azure-resource-key, another one!") == f"a {REDACTED}, {REDACTED}!"
    assert redactor.with_literals(literals).value({"azure-resource-key": ["another one"]}) == {REDACTED: [REDACTED]}
    assert redactor.with_literals(literals).json(b'{"a":"azure-resource-key"}') == b'{"a":"[REDACTED]"}'


@pytest.mark.parametrize("literal", ['quoted"key', "back\\slash", "schlüssel", "sla/shes", "tab\tbed12"])
@pytest.mark.parametrize("ensure_ascii", [True, False])
def test_literals_are_found_however_json_writes_them(literal, ensure_ascii):
    """Escapes do not hide a key."""
    raw = json.dumps({"a": f"x{literal}y"}, ensure_ascii=ensure_ascii).encode()
    for written in (raw, raw.replace(b"/", b"\\/")):
        assert Redactor((), (literal,)).json(written) == b'{"a":"x[REDACTED]y"}'


# Names.


@pytest.mark.parametrize(
    "name", ["api_key", "API-Key", "apiKey", "Authorization", "x-api-key", "Set-Cookie", "password"]
)
def test_values_under_a_secret_name_are_taken_out(redactor, name):
    """However the name is written and however deep it stands, text goes, and a list of texts."""
    value = {"a": [{"headers": {name: "short", "x": "short"}}], name: ["a", ["b"], 1]}
    assert redactor.value(value) == {
        "a": [{"headers": {name: REDACTED, "x": "short"}}],
        name: [REDACTED, [REDACTED], 1],
    }
    assert json.loads(redactor.json(json.dumps(value).encode())) == redactor.value(value)


@pytest.mark.parametrize(
    "value",
    [
        {"properties": {"password": {"type": "string"}, "api_key": {"type": "string"}}},
        {"password": None, "cookie": "", "authorization": REDACTED, "api_key": [], "access_token": 5, "cookies": "x"},
        {"token": "hello", "secret": "santa", "keys": "a", "max_tokens": 5},
    ],
    ids=["a schema", "nothing to hide", "other names"],
)
def test_what_is_no_secret_stays_under_any_name(redactor, value):
    """A schema may name a password, and an empty one is none."""
    value = json.loads(json.dumps(value))
    assert redactor.value(value) is value


_HEX = "0f1e2d3c4b5a69788796a5b4c3d2e1f0"


@pytest.mark.parametrize(
    "text",
    [
        *("tool --api-key={}", "tool --api-key {}", 'tool --api-key "{}" x', "curl -H 'Authorization: Token {}'"),
        *("<apiKey>{}</apiKey>", "&lt;apiKey&gt;{}&lt;/apiKey&gt;", "{{&quot;api_key&quot;: &quot;{}&quot;}}"),
        *("%7B%22api_key%22%3A%20%22{}%22%7D", "q=api_key%3D{}", "Authorization%3A%20Bearer%20{}", "Bearer+{}"),
        *(':api_key => "{}"', 'apiKey := "{}"', "const apiKey: string = '{}'", 'api_key: str = "{}"', "api_key:   {}"),
        *('os.environ["OPENAI_API_KEY"] = "{}"', "| API_KEY | {} |", "Ocp-Apim-Subscription-Key: {}", "DB_PASSWORD={}"),
        *("AccountName=x;AccountKey={};E=y", '{{"db_password": "{}"}}', "AWS_SESSION_TOKEN={}"),
        *("GITHUB_TOKEN={}", "export HF_TOKEN='{}'", "JWT_SECRET: {}", "OPENAI_KEY={}", "signing-key: {}"),
        *("ENV API_KEY {}", "setenv API_KEY {}", 'monkeypatch.setenv("API_KEY", "{}")', "tool --token {}"),
        *("My API key: {}", "my api key is {} now", "**API Key**: {}", '{{"api key": "{}"}}', '{{"bot_token": "{}"}}'),
        *('{{"name": "Authorization", "value": "{}"}}', '{{\\"key\\": \\"x-api-key\\", \\"value\\": \\"{}\\"}}'),
        *("https://{}@github.com/a/b", "https://a.b/?token={}&a=b", '["api_key", "{}"]'),
    ],
)
def test_a_name_tells_in_any_notation(redactor, text):
    """In command lines, markup, programs, tables and URLs the value goes, and the rest stays."""
    made, whole = redactor.text(text.format(_HEX)), text.format(REDACTED)
    assert made in (whole, whole.replace(f"Bearer%20{REDACTED}", REDACTED).replace(f"Bearer+{REDACTED}", REDACTED))
    assert _HEX not in redactor.json(json.dumps({"a": text.format(_HEX)}).encode()).decode()


@pytest.mark.parametrize("outer", ["arguments", "foreign_key", "api_name"])
@pytest.mark.parametrize("depth", range(5))
def test_a_name_tells_within_the_value_of_another(redactor, outer, depth):
    """JSON in the text of a member in the text of a member: the outer one does not hide the inner one."""
    text = json.dumps({outer: json.dumps({"api_key": "short one"}), "b": 1})
    for _ in range(depth):
        text = json.dumps(text)
    assert "short one" not in redactor.text(text)


@pytest.mark.parametrize(
    "text",
    [
        *("password = self._decode_base64(value)", "authorization = base64.decodebytes(given)", "the api key is long"),
        *(
            '{"forgot_password": "Forgot your password?"}',
            "Set-Cookie: eggs=scrambled; Path=/bar",
            "<token>word</token>",
        ),
    ],
)
def test_a_name_before_a_word_or_a_call_is_no_secret(redactor, text):
    """Programs and labels stay as they are."""
    assert redactor.text(text) is text
    value = {"forgot_password": "Forgot your password?", "db_password": ["letmein"]}
    assert redactor.value(value) is value


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("curl -u user:0123456789abcdef https://a.b", "curl -u [REDACTED] https://a.b"),
        ("curl https://a.b --user 'user:0123456789abcdef'", "curl https://a.b --user [REDACTED]'"),
        ("curl -b sid=0123456789abcdef https://a.b", "curl -b [REDACTED] https://a.b"),
        ("curl -u user https://a.b", "curl -u user https://a.b"),
        ("docker run -u 0123456789:0123456789 x", "docker run -u 0123456789:0123456789 x"),
        ("Cookie: theme=dark; sid=0123456789abcdef", "Cookie: [REDACTED]"),
        ("cookie: sid=0123456789abcdef; theme=dark\nx: y", "cookie: [REDACTED]\nx: y"),
    ],
)
def test_what_a_command_or_a_header_brings_along(redactor, text, left):
    """User names with passwords and cookies go, wherever among others they stand."""
    assert redactor.text(text) == left


@pytest.mark.parametrize(
    "name", ["token", "github_token", "HF_TOKEN", "JWT_SECRET", "signing-key", "openaiKey", "api.key"]
)
def test_under_a_name_that_may_be_harmless_the_value_tells(redactor, name):
    """What looks like chance goes, words, dates, names and numbers stay."""
    harmless = ["the-quick-brown-fox-2024", "2026-11-26T10:00:00", "claude-3-5-sonnet-20241022", "12345678901234567890"]
    if name != "api.key":
        assert redactor.value({name: harmless}) == {name: harmless}
    assert redactor.value({name: _HEX}) == {name: REDACTED}
    assert (
        redactor.json(json.dumps({name: _HEX}).encode()) == json.dumps({name: REDACTED}, separators=(",", ":")).encode()
    )


@pytest.mark.parametrize(
    "name", ["next_page_token", "pageToken", "continuation_token", "prompt_cache_key", "token_type"]
)
def test_places_in_a_list_are_no_secrets(redactor, name):
    """The next request repeats them, or they tell requests apart."""
    assert redactor.value({name: _HEX}) == {name: _HEX}
    assert redactor.text(f"{name}={_HEX}") == f"{name}={_HEX}"


@pytest.mark.parametrize("name", ["name", "key"])
@pytest.mark.parametrize("value", [_HEX, [_HEX], {"a": _HEX}])
def test_pairs_of_name_and_value(redactor, name, value):
    """Lists of headers and settings name what a value is in the member beside it."""
    hidden = json.loads(json.dumps(value).replace(_HEX, REDACTED))
    for pair in ({name: "x-api-key", "value": value}, {"value": value, name: "Authorization"}):
        assert redactor.value(pair) == {**pair, "value": hidden}
        assert json.loads(redactor.json(json.dumps(pair).encode())) == {**pair, "value": hidden}
    for pair in ({name: "color", "value": value}, {name: "api-key", "value": "a word"}, {name: 5, "value": value}):
        assert redactor.value(pair) is pair


def test_the_bytes_of_a_token_follow_it(redactor):
    """The entries of `logprobs` spell out what they say; where there are no bytes, none come."""
    spelt = {"token": f"({SECRETS[0]})", "bytes": [*f"({SECRETS[0]})".encode()], "logprob": -0.5}
    safe = {"token": f"({REDACTED})", "bytes": [*f"({REDACTED})".encode()], "logprob": -0.5}
    assert redactor.value([spelt, {**spelt, "bytes": None}]) == [safe, {**safe, "bytes": None}]
    assert redactor.value({**spelt, "token": "a", "x": SECRETS[0]}) == {**spelt, "token": "a", "x": REDACTED}
    assert redactor.value({"token": [SECRETS[0]], "bytes": [1]}) == {"token": [REDACTED], "bytes": [1]}


def test_an_object_under_the_name_of_a_secret(redactor):
    """What looks like chance in it goes; a schema stays."""
    assert redactor.value({"api_key": {"value": _HEX, "owner": "anna"}}) == {
        "api_key": {"value": REDACTED, "owner": "anna"}
    }
    schema = {"api_key": {"type": "string", "description": "Your key, from the page of 2024.", "minLength": 20}}
    assert redactor.value(schema) is schema


def test_the_names_are_the_ones_that_json_is_searched_for():
    """Every name ends in a way that is looked for before JSON is read."""
    assert [name for name in (*NAMES, *ENDS, *PASSWORD_ENDS, *RANDOM_ENDS) if not name.endswith(HINTS)] == []


# JSON.


@given(documents, st.booleans(), st.sampled_from([(), ("client-key",), ("abcd1234",)]))
def test_json_is_redacted_as_its_value_is(document, ensure_ascii, literals):
    """Looking at the bytes first never misses anything, and where nothing is found the bytes stay the same object."""
    redactor = Redactor()
    raw = json.dumps(document, ensure_ascii=ensure_ascii).encode()
    redacted = redactor.with_literals(literals).json(raw)
    assert json.loads(redacted) == redactor.with_literals(literals).value(document)
    assert (redacted is raw) is (redactor.with_literals(literals).value(document) == document)
    assert redactor.with_literals(literals).jsons([raw, b"1"]) == [redacted, b"1"]


@given(documents, st.sampled_from([(), ("abcd1234",)]))
def test_a_value_is_the_same_object_where_nothing_is_found(document, literals):
    """A session tells by that whether it has to hash again; what is given is never changed."""
    before = json.dumps(document)
    redacted = Redactor().with_literals(literals).value(document)
    assert (redacted is document) is (redacted == document)
    assert json.dumps(document) == before


@pytest.mark.parametrize("raw", [b'{"a":  1.0, "n": 1E5 }', b'"text"', b"null", b'["\\n\\"", 12345678901234567890123]'])
def test_json_without_secrets_is_not_touched(redactor, raw):
    """Neither white space nor the spelling of a number changes."""
    assert redactor.json(raw) is raw
    assert redactor.jsons([raw])[0] is raw
    assert Redactor(["never there"]).json(raw) is raw


@pytest.mark.parametrize(
    "raw",
    [b'{"a":"\\u0073k-abcd1234efgh"}', b'{"a":"s\\u006B-abcd1234efgh"}', b'{"a":"\\u0073\\u006b\\u002dabcd1234efgh"}'],
)
def test_escapes_do_not_hide_a_token(redactor, raw):
    """JSON has many ways to write one text."""
    assert redactor.json(raw) == b'{"a":"[REDACTED]"}'


@pytest.mark.parametrize(
    "raw", [b'{"\\u0061pi_key":"short"}', b'{"api_key" : "short"}', b'{"a":1,"API\\u002dKEY":"short"}']
)
def test_escapes_do_not_hide_a_name(redactor, raw):
    """Nor do they hide what a value stands under."""
    assert list(json.loads(redactor.json(raw)).values())[-1] == REDACTED


def test_an_escaped_url_loses_its_password(redactor):
    """PHP and others write a slash with a backslash before it."""
    assert json.loads(redactor.json(b'"http:\\/\\/user:pw@host"')) == f"http://{REDACTED}@host"


# Patterns of the caller's.


@pytest.mark.parametrize(
    "patterns",
    [
        *("employee-[0-9]+", ["employee-[0-9]+"], ("employee-[0-9]+", "x{20}"), iter(["employee-[0-9]+"])),
        *(re.compile("EMPLOYEE-[0-9]+", re.IGNORECASE), {re.compile("employee-[0-9]+")}),
    ],
    ids=lambda patterns: type(patterns).__name__ + str(len(repr(patterns))),
)
def test_patterns_add_to_the_defaults(patterns):
    """One may stand alone, as text or compiled; short matches count, and the known shapes stay."""
    redactor = Redactor(patterns)
    raw = b'{"a":"employee-7 has sk-abcd1234efgh","b":"employee-8"}'
    assert redactor.json(raw) == b'{"a":"[REDACTED] has [REDACTED]","b":"[REDACTED]"}'
    assert redactor.jsons([raw]) == [redactor.json(raw)]
    assert redactor.jsons([b'"employee-9"']) == [b'"[REDACTED]"']


def test_a_bare_text_is_one_pattern():
    """`redact="abc"` means abc, not a, b and c."""
    redactor = Redactor("abc")
    assert redactor.text("a b c abc") == f"a b c {REDACTED}"


def test_a_pattern_that_matches_between_characters_does_nothing_there():
    """One that slips through, for it needs what is around it, takes out text only."""
    assert Redactor(["(?=q)|quux[0-9]"]).text("q quux7") == f"q {REDACTED}"


@pytest.mark.parametrize(
    ("patterns", "reason"),
    [
        (["("], r"redact='\(' is no regular expression for text: missing \)"),
        (["a{99999999999}"], "is no regular expression for text: the repetition number is too large"),
        ([re.compile(b"a")], "is no regular expression for text: cannot use a bytes pattern"),
        (b"abc", "redact=b'abc' is no regular expression for text: cannot use a bytes pattern"),
        ([None], "redact=None is no regular expression for text"),
        ([1], "redact=1 is no regular expression for text"),
        ([["a"]], "is no regular expression for text"),
        (None, "redact=None is no list of regular expressions"),
        (5, "redact=5 is no list of regular expressions"),
        ("", "redact='' matches the empty text, so it would match everywhere"),
        (["x*"], "matches the empty text"),
        ([r"\b"], "matches the empty text"),
        (["$"], "matches the empty text"),
        (["(?=a)"], "matches the empty text"),
        (["(" * 5_000 + "a" + ")" * 5_000], "is no regular expression for text"),
    ],
    ids=range(15),
)
def test_a_bad_pattern_is_told(patterns, reason):
    """The message says which one, and why."""
    with pytest.raises(InvalidSetting, match=reason):
        Redactor(patterns)


# Time.


@pytest.mark.parametrize(
    "text",
    [
        "sk-" * 20_000,
        "sk-a-" * 10_000,
        "sk-" + "a" * 19 + "-a" * 30_000,
        "Bearer " * 10_000,
        "Basic " + "a" * 50_000,
        "eyJ" * 20_000,
        "://" * 20_000,
        "://a:" * 10_000,
        "-----BEGIN PRIVATE KEY-----" * 300,
        "xox" * 20_000,
        "a" * 100_000,
        "dapi0123456789abcdef0123456789abcdef" * 300,
        "%3A%2F%2Fa%3A" * 9_000,
        "'api_key':" * 10_000,
        "--api-key " * 10_000,
        "<api_key>" * 10_000,
        "key" + "\\" * 50_000,
        "api_key: value\n" * 10_000,
        "password=" * 10_000,
        'token: "token: ' * 10_000,
        "api_key=" + "a-" * 30_000,
        "x_" * 20_000 + "sk-" * 20_000,
        "ek_aaaaaaaaaaaaaaaaaaaaa-" * 4_000,
        "api_key: str | None | " * 5_000,
        "xoxd-" * 20_000,
        "MHcCAQEE" * 10_000,
        "-----BEGIN PRIVATE KEY-----\n" + "A" * 20 * 5_000,
    ],
    ids=range(27),
)
def test_no_text_takes_long(redactor, text):
    """A text of what looks like the beginnings of tokens is searched in time that grows with its length only."""

    def seconds(text):
        begin = time.process_time()
        redactor.text(text)
        return time.process_time() - begin

    quarter = max(min(seconds(text[: len(text) // 4]) for _ in range(3)), 0.002)
    assert min(seconds(text) for _ in range(3)) < 12 * quarter


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1), (1, 2, 0)])
def test_names_that_become_equal_are_kept_apart(order):
    """Of members whose names are secrets none is lost, and the result does not tell the order of the secrets."""
    names = [f"sk-proj-{digit}aB3dE5gH7jK9mN1pQ2rS4tU6" for digit in "123"]
    value = {name: [at] for name, at in zip(names, order, strict=True)} | {"[REDACTED] 2": "old", "x": 1}
    hidden = Redactor().value(value)
    assert hidden == {"[REDACTED]": [0], "[REDACTED] 3": [1], "[REDACTED] 4": [2], "[REDACTED] 2": "old", "x": 1}
    assert Redactor().value(hidden) is hidden


@pytest.mark.parametrize("unit", ["-----BEGIN PRIVATE KEY-----", "-----BEGIN PRIVATE KEY-----\n" + "A" * 25 + "\n"])
def test_beginnings_of_keys_without_an_end_take_time_in_proportion(unit):
    """None looks through all that follow it."""

    def seconds(count):
        begin = time.process_time()
        Redactor().text(unit * count)
        return time.process_time() - begin

    ordinary = time.process_time()
    Redactor().text("-----BEGIN PUBLIC KEY----- PRIVATE KEY '" * 2_000)
    ordinary = time.process_time() - ordinary
    assert min(seconds(2_000) for _ in range(3)) < 30 * ordinary


@pytest.mark.parametrize("name", ["api_token", "slackApiToken", "oauth-token", "API_SECRET", "consumer_secret"])
def test_tokens_and_secrets_of_an_interface(name):
    """They are told by their names, unlike a page's token."""
    assert Redactor().value({name: "planted", "page_token": "3"}) == {name: REDACTED, "page_token": "3"}


def test_the_shortest_secrets_count():
    """What is as long as a limit is within it."""
    literal = "k" * SHORTEST_LITERAL
    assert Redactor((), (literal,)).text(literal) == REDACTED
    assert secret_values({"sig": "1" * 16, "code": "2" * 15, "q": "3" * 16}) == ["1" * 16]


@pytest.mark.parametrize("text", [("$aact_prod_" + "a1" * 20) * 500, ("api_key=" + "a1B" * 13) * 500])
def test_secrets_without_end_are_redacted_as_a_whole(monkeypatch, text):
    """Where each that is redacted uncovers another one, the text is searched so often, and no oftener."""
    searched = []
    once = Redactor._redacted_once
    monkeypatch.setattr(Redactor, "_redacted_once", lambda *given: searched.append(1) or once(*given))
    assert Redactor().text(text) == "[REDACTED]"
    assert Redactor().spans(text) == [(0, len(text))]
    assert len(searched) == 2 * MOST_PASSES
    assert Redactor().text(text[: len(text) // 500 * 3]) != "[REDACTED]"


@pytest.mark.parametrize(
    "text", ['\\"api_key\\": \\"\\' * 500, ("api_key=" + "a1B" * 13 + " ") * 500, ("sk-proj-" + "a1" * 20 + ".") * 500]
)
def test_many_secrets_are_redacted_at_once(monkeypatch, text):
    """A second pass finds nothing more, but for what stands at its very end."""
    searched = []
    once = Redactor._redacted_once
    monkeypatch.setattr(Redactor, "_redacted_once", lambda *given: searched.append(1) or once(*given))
    assert "a1" not in Redactor().text(text)
    assert len(searched) <= 3


def test_a_redactor_shows_no_secret(monkeypatch):
    """Neither does what holds its literals, as locals in a traceback are shown."""
    redactor = Redactor(["a.c"]).with_literals(("planted-literal", "planted-other"))
    assert repr(redactor) == "<Redactor: 1 patterns, <2 secrets>>"
    assert "planted" not in repr(vars(redactor))
    assert repr(Literals(("planted",))) == "<1 secret>"
    monkeypatch.setattr("inferencereplay.redaction.redactor.redact_shapes", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError) as caught:
        redactor.text("x planted-literal")
    frames = [frame for frame, _ in traceback.walk_tb(caught.value.__traceback__)]
    ours = [frame.f_locals for frame in frames if frame.f_code.co_filename.endswith("redaction/redactor.py")]
    assert len(ours) == 3
    assert "planted" not in repr(ours[1:]).replace("'x planted-literal'", "")  # which was given


@pytest.mark.parametrize("spaces", range(0, 20, 3))
def test_a_pair_is_found_however_json_is_laid_out(redactor, spaces):
    """A recording's file has many spaces between a name and its value."""
    value = [{"name": "api-key", "value": SECRETS[-1].replace("-", "") + "Zx9Yw8Vu7Ts6"}]
    raw = json.dumps(value).replace(", ", ",\n" + " " * spaces).encode()
    assert json.loads(redactor.json(raw)) == [{"name": "api-key", "value": REDACTED}]


def test_what_was_clean_once_hides_nothing_later(monkeypatch):
    """Parts that were clean are not searched again; a secret between them is found, as is one of a client."""
    monkeypatch.setattr("inferencereplay.redaction.redactor.MOST_KNOWN", 3)
    plain, secret = b'{"counts":["token",5],"said":"%b"}', "correct horse battery"
    first, second = Redactor(), Redactor((), (secret,))
    for text in (b"one", b"two", secret.encode(), b"three", SECRETS[0].encode(), b"one"):
        found = [not redactor.is_clean(plain % text) for redactor in (first, second)]
        assert found == [text == SECRETS[0].encode(), text in (SECRETS[0].encode(), secret.encode())]
    assert not first.is_clean(b'{"token":"said"}')


def test_a_redactor_that_learns_nothing_is_itself():
    """And it says whether it knows a text."""
    redactor = Redactor((), ("a long secret",))
    assert redactor.with_literals(("a long secret",)) is redactor
    assert redactor.with_literals(()) is redactor
    assert (redactor.knows("a long secret"), redactor.knows("a long")) == (True, False)
