"""Secrets that the name before them tells: settings, programs, command lines, markup, JSON in text."""

from __future__ import annotations

import json

import hypothesis
import pytest
from hypothesis import strategies as st

from inferencereplay.redaction import named_secrets
from inferencereplay.redaction.redactor import REDACTED, Redactor

HEX = "0f1e2d3c4b5a69788796a5b4c3d2e1f0"
VALUES = ("winter2024!", "Sommer-2026", "my-very-secret-key", "hunter2hunter2", HEX)
FORMS = (
    *("DB_PASSWORD={}", "mysql --password={}", "api_key={}", "password: {}", 'PASSWORD="{}"', "password='{}'"),
    *('Mistral(api_key="{}")', 'export MISTRAL_API_KEY="{}"', 'self._api_key = "{}"', "_authToken={}"),
    *("//registry/:_authToken={}", 'api_key: str | None = "{}"', 'let api_key: &str = "{}"', '#define API_KEY "{}"'),
    *('api_key = SecretStr("{}")', "我的api_key: {}", "密码password={}", 'os.environ["MISTRAL_API_KEY"] = "{}"'),
    *("client = Client(api_key='{}', x=1)", '$env:API_KEY = "{}"', "ENV API_KEY={}", "ENV API_KEY {}"),
    *('curl -H "api-key: {}"', "'api_key' => '{}'", '<add key="ApiKey" value="{}"/>'),
    *("<apiKey>{}</apiKey>", "<password>{}</password>", 'apiKey := "{}"', 'const apiKey: string = "{}";'),
    *('static final String API_KEY = "{}";', 'const char* api_key = "{}";', 'char api_key[] = "{}";', 'api_key: "{}"'),
    *("--api-key {}", '--api-key="{}"', "password is {}", "API key: {}", 'headers["api-key"] = "{}"', 'api_key=b"{}"'),
    *("a\nAPI_KEY={}\nb", "?api_key={}&x=1", 'setx API_KEY "{}"', "spring.datasource.password={}", "API key\uff1a{}"),
    *('let apiKey = String::from("{}");', "PGPASSWORD={} psql", '"api_key": "{}"', "{{'api_key': '{}'}}"),
    *("\x1b[1mAPI_KEY={}", "OPENAI__API__KEY={}", "İ api_key={}"),
)


@pytest.mark.parametrize("form", FORMS, ids=range(len(FORMS)))
@pytest.mark.parametrize("value", VALUES)
def test_the_value_of_a_setting_is_redacted(form, value):
    """Whether it has a digit or sixteen characters or not: it alone goes; plain, and in JSON in JSON, however deep."""
    redactor = Redactor()
    assert redactor.text(form.format(value)) == form.format(REDACTED)
    for as_ascii in (True, False):
        text = form.format(value)
        for _ in range(5):
            text = json.dumps({"code": text, "n": [1]}, ensure_ascii=as_ascii)
            assert value not in redactor.text(text)
            assert value not in redactor.json(json.dumps([text], ensure_ascii=as_ascii).encode()).decode()
            assert value not in redactor.json(text.encode()).decode()


@pytest.mark.parametrize("form", ["define('API_KEY', '{}')", 'setenv("API_KEY", "{}")', '["api_key", "{}"]'])
def test_a_list_of_names_and_values(form):
    """Words with hyphens there are names as well, so a value has a digit."""
    assert Redactor().text(form.format("Sommer-2026")) == form.format(REDACTED)
    assert Redactor().text(form.format("x-goog-api-key")) == form.format("x-goog-api-key")


@pytest.mark.parametrize("value", ["ключ" * 9 + "S3cretvalue12345", "пароль" * 4 + "-" + "ы" * 19 + "-x1"])
def test_a_value_of_other_letters_is_found_in_json(value):
    """They take several bytes each, and the search of JSON counts bytes."""
    text = f"run --api-key {value} now"
    assert Redactor().text(text) == f"run --api-key {REDACTED} now"
    raw = json.dumps([text], ensure_ascii=False).encode()
    assert json.loads(Redactor().json(raw)) == [f"run --api-key {REDACTED} now"]


def test_tool_arguments_hold_programs():
    """Agents put code into them, and get its output back."""
    code = json.dumps({"code": 'Mistral(api_key="hunter2hunter2")\npassword = "winter2024!"  # it is\n'})
    output = json.dumps({"stdout": 'export MISTRAL_API_KEY="hunter2hunter2"\n', "code": code})
    safe = json.loads(Redactor().text(output))
    assert json.loads(safe["code"]) == {"code": f'Mistral(api_key="{REDACTED}")\npassword = "{REDACTED}"  # it is\n'}
    assert safe["stdout"] == f'export MISTRAL_API_KEY="{REDACTED}"\n'


@pytest.mark.parametrize("quote", ["\\u0022", "&quot;", "&#34;", "%22"])
def test_quotation_marks_of_other_languages(quote):
    """As .NET, HTML and URLs write them."""
    assert (
        Redactor().text(f"{quote}api_key{quote}: {quote}ab{quote}")
        == f"{quote}api_key{quote}: {quote}{REDACTED}{quote}"
    )


LEFT = (
    *("password=None", "token = next(tokens)", "the password: is required", 'password = os.environ["X"]'),
    *("password=password", "api_key=api_key", "password = getpass.getpass()", "api_key=settings.api_key1"),
    *(
        "password: str",
        "password: Optional[str] = None",
        "password=password1, x",
        "api_key=os.getenv('OPENAI_API_KEY')",
    ),
    *('api_key=os.environ.get("API_KEY_2")', "password = hashlib.sha256(x)", "password=${DB_PASSWORD1}"),
    *("password={{ vault_pw1 }}", "--password <password1>", "api_key=YOUR_API_KEY_1", "api_key=your-api-key-here"),
    *("password=self.password2", "password: sha256", "password=args.password1.value", 'api_key = "OPENAI_API_KEY"'),
    *("if password == 'x1': pass", "password must be 8characters", "the api key is 12", "password1 = password2"),
    *("password_hash=abc123456", "tokens: 1234567", "password => :required", "api_key=...", "passwd=pw[0]"),
    *("secret_key=base64.b64encode(k)", "password=b64_value", "password: 123456", "password=%(pw1)s"),
    *("password = f'{{pw1}}'", "API_KEY=$API_KEY1", '("username", "password", "password1")', "api_key=/run/secrets/x1"),
    *('TOKENS = ("api-token", "gss-api-token")', 'GSS_API_TOKEN: "gss-api-token"', '"secret_key": cfg2.secret_key'),
    *("the api_key, then", "<password>letmein please</password>", "<token>", "api_key=abc", 'api_key="two words 1"'),
    *("access key value", "'api_key', '1'", "api_key:", "api_key is", "the key: value1234", "password 12345678"),
)


@pytest.mark.parametrize("text", LEFT, ids=range(len(LEFT)))
def test_prose_and_programs_stay(text):
    """Expressions, names, placeholders and labels are no values, plain or in JSON."""
    redactor = Redactor()
    for given in (text, json.dumps({"a": text}), json.dumps([json.dumps({"a": text})])):
        assert redactor.text(given) is given
    assert redactor.value({"a": text})["a"] is text


parts = st.sampled_from(
    ["api", "access", "OpenAI", "secret", "_", "__", "-", " ", ".", "key", "KEY", ": ", "=", "a1b2c3d4e5f6", '"']
)


@hypothesis.given(st.lists(parts, max_size=8).map("".join))
def test_keys_are_looked_for_where_one_of_the_words_stands_before(text):
    """The quick look at a text misses nothing that the long expression finds."""
    lowered = text.lower()
    if named_secrets._sign_in_text("key").search(lowered):
        assert named_secrets._key_in_text().search(lowered)
