"""The shapes of tokens: each is found, and data that the API hands out is left alone."""

from __future__ import annotations

import base64
import json
import random
import string

import pytest
import renew_token_prefixes
from test_redactor import PEM, SECRETS

from inferencereplay.redaction.opaque_data import LONGEST_TOKEN
from inferencereplay.redaction.redactor import REDACTED, Redactor
from inferencereplay.redaction.shapes import API_NAMES, SHAPES
from inferencereplay.redaction.token_prefixes import TOKEN_PREFIXES

MIXED = "aB3dE5gH7jK9mN1pQ2rS4tU6vW8xY0zAbCdEfGhIjKlMnOpQrStUvWxYz0123456789" * 3
HEX = "0f1e2d3c4b5a69788796a5b4c3d2e1f0"
LINES = f"MIIEvQIBADANBgkqhkiG9w0BAQEFAASC{MIXED[:32]}\n{MIXED[:64]}\n{MIXED[:20]}=="
FURTHER = (
    "sk-helicone-abcdefg-hijklmn-opqrstu-vwxyzab",
    "sk_prod_" + MIXED[:24],
    "sk_" + MIXED[:43],
    "xoxd-" + MIXED[:30] + "%2B" + MIXED[:30] + "%2F",
    "AQ.Ab" + MIXED[:48],
    "1//0" + MIXED[:60],
    "api_org_" + MIXED[:34],
    "tgp_v1_" + MIXED[:20] + "-" + MIXED[:20] + "_",
    "whsec_" + MIXED[:20] + "+/" + MIXED[:20] + "=",
    "lsv2_sk_" + HEX + "_0123456789",
    "shpss_" + HEX,
    "shpca_" + HEX,
    "dckr_oat_" + MIXED[:32],
    "fm2_" + MIXED[:60],
    "fc-" + HEX,
    "e2b_" + HEX + "01234567",
    "dp.st.dev." + MIXED[:43],
    MIXED[:14] + ".atlasv1." + MIXED[:64],
    "MTE" + MIXED[:23] + ".Gh1jK2." + MIXED[:38],
    "AIzaSy" + MIXED[:33],
    "FwoGZX" + MIXED[:80],
    "bedrock-api-key-" + MIXED[:80],
    "asIA"[:0] + "ABSK" + MIXED[:100],
)
BEHIND = (
    ("https://hooks.slack.com/services/", "T0123ABCD/B0123ABCD/abcdefABCDEF0123456789", ""),
    ("https://hooks.slack.com/workflows/", "T0123ABCD/A0123ABCD/123456789012345678/abcdefABCDEF0123456789", ""),
    ("https://hooks.slack.com/triggers/", "T0123ABCD/1234567890/abcdefABCDEF0123456789", ""),
    ("https://discord.com/api/webhooks/", "123456789012345678/" + MIXED[:68], ""),
    ("https://a.webhook.office.com/", f"webhookb2/{HEX}@{HEX}/IncomingWebhook/{HEX}/{HEX}", ""),
    ("https://host/a?sv=1&sig=", MIXED[:43], "&b=1"),
    ("https://host/a?Expires=1&Signature=", MIXED[:60] + "~-_", "&Key-Pair-Id=APKA"),
    ("https://host/a?AWSAccessKeyId=x&Signature=", MIXED[:26] + "%2B=", "&Expires=1"),
    ("https://host/a?X-Amz-Signature=", HEX * 2, "&x=1"),
    ("SignedHeaders=host, Signature=", HEX * 2, ""),
    ("https://host/a?signature=", HEX, ""),
    ("https://host/a?x=1&SIGNATURE=", HEX, ""),
    ("https://host/a?key=", MIXED[:32], "&q=b"),
    ("https://host/a?x=1&code=", MIXED[:54] + "==", ""),
    ("http://", "user:pw", "@host"),
    ("http:\\/\\/", "user:pw", "@host"),
    ("http%3A%2F%2F", "user%3Apw", "%40host"),
    ("http%3a%2f%2f", "user%3apw", "%40host"),
    ("Cookie: ", "sid=0123456789abcdef; theme=dark", ""),
    ("curl -u ", "user:0123456789abcdef", " https://host"),
    ("bot ", "123456789:AA" + MIXED[:33], ""),
    ("", PEM.format(""), ""),
    ("", PEM.format("RSA ").replace("\n", "\n> "), ""),
    ("", PEM.format("EC ").partition("-----END")[0].rstrip().replace("\n", '\\n"\n    "'), ""),
    ("headless: ", LINES, ""),
    ("", "MIIEpAIBAAKCAQEA" + MIXED[:60], ""),
    ("", "MHcCAQEEI" + MIXED[:60], ""),
    ("", "MIGHAgEAMBMG" + MIXED[:60], ""),
    ("", "MC4CAQAwBQYDK2Vw" + MIXED[:60], ""),
    ("", "b3BlbnNzaC1rZXktdjE" + MIXED[:60], ""),
    (
        "PuTTY-User-Key-File-3: ssh-rsa\nPrivate-Lines: ",
        f"2\n{MIXED[:64]}\n{MIXED[:20]}==\nPrivate-MAC: {HEX}",
        "\nend",
    ),
)
"""What a secret is known by, the secret, what follows."""


def token(prefix, characters, least):
    """Return a token of a provider's, of the shortest length that is asked for."""
    low, high, digits = ("a-z" in characters), ("A-Z" in characters), ("0-9" in characters)
    chosen = MIXED if low and high else MIXED.lower() if low else MIXED.upper() if high else HEX * 6
    chosen = chosen if digits else "".join(filter(str.isalpha, chosen))
    return prefix + (chosen * 3)[:least]


@pytest.mark.parametrize("row", TOKEN_PREFIXES, ids=lambda row: row[0])
def test_each_kind_of_a_provider_is_found(row):
    """As short as it may be, and longer; in a sentence, in JSON within JSON, and in one of many chunks."""
    for longer in (0, 5):
        secret = token(row[0], row[1], row[2] + longer)
        text = f"the key {secret}, please"
        for given in (text, json.dumps({"a": json.dumps([text])})):
            assert Redactor().text(given) == given.replace(secret, REDACTED)
            assert secret not in Redactor().json(json.dumps([given]).encode()).decode()


@pytest.mark.parametrize("secret", FURTHER, ids=lambda secret: secret[:8])
def test_each_further_kind_is_found(secret):
    """The ones that the source of the beginnings lacks, or asks more of."""
    text = f"the key {secret}, please"
    assert Redactor().text(text) == f"the key {REDACTED}, please"
    assert secret not in Redactor().json(json.dumps([text]).encode()).decode()


@pytest.mark.parametrize(("before", "secret", "after"), BEHIND, ids=range(len(BEHIND)))
def test_what_is_known_by_the_text_around_it(before, secret, after):
    """URLs of hooks, signatures, credentials, cookies and private keys, whole, quoted or without their first line."""
    text = before + secret + after
    assert Redactor().text(text) == before + REDACTED + after
    assert secret[-30:] not in Redactor().json(json.dumps([text]).encode()).decode()


def test_each_shape_has_an_example():
    """No shape is untested, and each example holds what is searched for first."""
    examples = [*SECRETS, *FURTHER, *("".join(item) for item in BEHIND), *(token(*row) for row in TOKEN_PREFIXES)]
    for shape in SHAPES:
        assert [
            text for text in examples if any(part in text for part in shape.literals) and shape.pattern.search(text)
        ]


def test_no_token_in_a_run_is_shorter_than_a_run():
    """Else the search for long runs would pass it over."""
    for secret in (*SECRETS, *FURTHER, *(token(*row) for row in TOKEN_PREFIXES)):
        for surroundings in ("{}", "{} {}", "“{}”", "\n{}\n"):
            raw = json.dumps(surroundings.format(*[secret] * 2), ensure_ascii=False).encode()
            assert not Redactor().is_clean(raw)


@pytest.mark.parametrize("escape", ["\n", "\t", "\b", "\f", '"', "\\", "/", "é", " "], ids=ascii)
def test_json_is_read_where_it_may_hold_a_token(escape):
    """Whatever JSON escapes before or behind a token does not hide it."""
    for secret in (*SECRETS, *FURTHER):
        for text in (escape + secret, secret + escape, f"word{escape}{secret}{escape}word"):
            redacted = Redactor().value([text])
            assert json.loads(Redactor().json(json.dumps([text]).encode())) == redacted
            assert json.loads(Redactor().json(json.dumps([text], ensure_ascii=False).encode())) == redacted


def test_the_names_of_an_answer_are_no_tokens():
    """They are left out of the search, which a text around them does not change."""
    for name in API_NAMES:
        assert all(
            Redactor().text(text.format(name.decode())) == text.format(name.decode()) for text in ("{}", "a {} b")
        )


@pytest.mark.parametrize(
    "text", ["completion_tokens", "https://example.org/a", "Basic things", "see ://", "a task-force"]
)
def test_json_with_a_part_of_a_token_is_not_read_whole(text):
    """Only the text that may hold one is."""
    assert Redactor().is_clean(json.dumps({"a": [text], "b": {"c": "d"}}).encode())


# Opaque data.

LETTERS = string.ascii_letters + string.digits


def urlsafe(chance, count):
    return base64.urlsafe_b64encode(chance.randbytes(count)).decode().rstrip("=")


OPAQUE = {
    "encrypted_content": lambda chance: "gAAAAA" + urlsafe(chance, 1402),
    "thought_signature": lambda chance: base64.b64encode(chance.randbytes(chance.randint(400, 2_000))).decode(),
    "previous_response_id": lambda chance: "resp_" + chance.randbytes(25).hex(),
    "call_id": lambda chance: "call_" + "".join(chance.choices(LETTERS, k=24)),
    "tool_call_id": lambda chance: "call_" + urlsafe(chance, 18),
    "file_id": lambda chance: "file-" + "".join(chance.choices(LETTERS, k=22)),
    "id": lambda chance: "rs_" + chance.randbytes(25).hex(),
    "digest": lambda chance: chance.randbytes(32).hex(),
}
SHORT = sorted({literal for shape in SHAPES for literal in shape.literals if literal and len(literal) < 6})


@pytest.mark.parametrize("kind", OPAQUE)
def test_opaque_tokens_survive_everywhere(kind):
    """Those that the API hands out and wants back: as a member, in text, and in JSON within text."""
    chance, redactor = random.Random(kind), Redactor()
    for _ in range(100):
        value = OPAQUE[kind](chance)
        for text in (
            value,
            f"see {value}, {kind}={value}!",
            json.dumps({kind: value}),
            json.dumps([json.dumps(value)]),
        ):
            assert redactor.text(text) is text
            raw = json.dumps({"a": [text]}).encode()
            assert redactor.json(raw) is raw


@pytest.mark.parametrize("literal", [text for text in SHORT if text.replace("-", "").replace("_", "").isalnum()])
@pytest.mark.parametrize("at", [0, 1, 3, 40, 700])
def test_a_short_beginning_in_opaque_data_is_chance(literal, at):
    """At its first character, behind a sign, anywhere: 1,876 characters of it are no token."""
    chance = random.Random(literal)
    sign = "-" if "-" in literal or "_" in literal else "_"
    for _ in range(5):
        data = urlsafe(chance, 1407)
        data = data[: max(at - 1, 0)] + (sign if at else "") + literal + data[at + len(literal) :]
        text = f"content {data} end"
        assert Redactor().text(text) is text


@pytest.mark.parametrize("id_", ["call_", "resp_", "msg_", "file-", "rs_", "toolu_"])
def test_an_id_holds_no_token(id_):
    """What begins as the API's ids do is one, though it goes on as a token begins."""
    text = f"{id_}sk-{MIXED[:20]} and {id_}ek_{MIXED[:24]}"
    assert Redactor().text(text) is text


@pytest.mark.parametrize(
    "before", ["my_", "OPENAI_API_KEY_", "prod-2024-", "theKey_", "https://host/v1/", "/36249/", "--"]
)
def test_a_name_before_a_token_does_not_save_it(before):
    """Words and numbers, with hyphens and the like between them, are no data."""
    for secret in (f"sk-{MIXED[:40]}", f"hf_{MIXED[:34]}", f"AIza{MIXED[:35]}"):
        assert Redactor().text(f"x {before}{secret} y") == f"x {before}{REDACTED} y"


def test_the_longest_token():
    """A run that is longer is no token, if two or three letters are all that tells it."""
    fits = "sk-" + "a1" * ((LONGEST_TOKEN - 4) // 2)
    assert Redactor().text(f"x {fits}") == f"x {REDACTED}"
    assert Redactor().text(f"x {fits}aa11") == f"x {fits}aa11"
    assert Redactor().text(f"x sk-proj-{fits}aa11") == f"x {REDACTED}"


def test_a_private_key_is_no_data():
    """A long one is Base64 throughout, as an image is, but for its beginning."""
    key = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASC" + MIXED * 8
    assert Redactor().text(key) == REDACTED
    assert Redactor().json(json.dumps([key]).encode()) == b'["[REDACTED]"]'


# The source of the beginnings.

RULES = r"""
[[rules]]
id = "plain"
regex = '''\b(abc_[a-z0-9]{30})(?:['"\x60\s;]|\\[nr]|$)'''
[[rules]]
id = "branches"
regex = '''(?i)\b((?:de|fg)[st]_x?(?:[a-f]{2}|[0-9]{4})[\w-]{40,50})\b'''
[[rules]]
id = "hexadecimal"
regex = '''hex_(?i)[a-f0-9]{64}'''
[[rules]]
id = "shortened"
regex = '''abc_[A-Z0-9]{25}'''
[[rules]]
id = "beside a word"
regex = '''(?i)(?:beamer)[\w]{0,20}=(b_[a-z0-9]{44})'''
[[rules]]
id = "anything"
regex = '''xyz_.{20}'''
[[rules]]
id = "too short"
regex = '''xyz_[a-z]{5}'''
[[rules]]
id = "a hash"
regex = '''4b1d[A-Za-z0-9]{38}'''
[[rules]]
id = "spaces"
regex = '''Fly V1 [A-Za-z0-9]{38}|[^a]{20}'''
[[rules]]
id = "a path"
path = '''x'''
"""


def test_the_beginnings_are_taken_from_rules(capsys):
    """From TOML, alone or within a program; what has no beginning of its own is named with the reason."""
    made = [
        ("abc_", "A-Za-z0-9", 20),
        ("des_", "A-Za-z0-9_-", 20),
        ("des_x", "A-Za-z0-9_-", 20),
        ("det_", "A-Za-z0-9_-", 20),
        ("det_x", "A-Za-z0-9_-", 20),
        ("fgs_", "A-Za-z0-9_-", 20),
        ("fgs_x", "A-Za-z0-9_-", 20),
        ("fgt_", "A-Za-z0-9_-", 20),
        ("fgt_x", "A-Za-z0-9_-", 20),
        ("hex_", "A-Fa-f0-9", 64),
    ]
    for data in (RULES, "\x7fELF\0" + RULES + "\nmore of the program = ''''\0\0"):
        assert renew_token_prefixes.table(renew_token_prefixes.rules_in(data.encode())) == made
    named = {line.partition(":")[0] for line in capsys.readouterr().err.splitlines()}
    assert named == {"beside a word", "anything", "too short", "a hash", "spaces", "a path"}


def test_the_module_is_what_the_script_writes(tmp_path, monkeypatch, capsys):
    """A line for each beginning; the widest of equal ones."""
    target, source = tmp_path / "token_prefixes.py", tmp_path / "rules.toml"
    source.write_text(RULES, encoding="utf-8")
    monkeypatch.setattr(renew_token_prefixes, "TARGET", target)
    renew_token_prefixes.main(str(source))
    space = {}
    exec(target.read_text(encoding="utf-8"), space)
    assert space["TOKEN_PREFIXES"][-1] == ("hex_", "A-Fa-f0-9", 64)
    assert capsys.readouterr().out == "10 beginnings\n"
    assert tuple(sorted(TOKEN_PREFIXES)) == TOKEN_PREFIXES
