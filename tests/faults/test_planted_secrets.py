"""Secrets of many kinds, planted in every place where one can stand: none is written, logged or raised."""

from __future__ import annotations

import base64
import itertools
import json
import logging
import os
import pickle
import re
import traceback
from pathlib import Path
from urllib.parse import quote

import openai
import pytest
from conftest import ASK, Reply, cheap, chunk, completion, plain, sse
from fuzz import GIVEN
from length import IS_FULL

from inferencereplay import RecordingNotFound, replay
from inferencereplay.redaction.redactor import Redactor

_MIXED = "aB3dE5gH7jK9mN1pQ2rS4tU6vW8xY0zAbCdEfGhIjKlMnOpQrStUvWxYz0123456789"
SIZES = (0, 10_000, 7, 1) if IS_FULL else (0, 7)
"""Characters of a stream's pieces; 0 for a plain answer."""
_HEX = "0f1e2d3c4b5a69788796a5b4c3d2e1f0"
_PEM = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASC" + _MIXED[:32]

SHAPED = {
    "OpenAI": "sk-" + _MIXED[:20] + "T3BlbkFJ" + _MIXED[20:40],
    "OpenAI project": "sk-proj-" + _MIXED[:30] + "_-" + _MIXED[30:60],
    "OpenAI service account": "sk-svcacct-" + _MIXED[:60],
    "OpenAI admin": "sk-admin-" + _MIXED[:60],
    "OpenAI session": "sess-" + _MIXED[:40],
    "OpenAI ephemeral": "ek_" + _HEX,
    "OpenAI webhook": "whsec_" + _MIXED[:32],
    "OpenAI organisation": "org-" + _MIXED[:24],
    "OpenAI project id": "proj_" + _MIXED[:24],
    "Anthropic": "sk-ant-api03-" + _MIXED[:60] + "-AA",
    "OpenRouter": "sk-or-v1-" + _HEX * 2,
    "DeepSeek": "sk-" + _HEX,
    "Langfuse": "sk-lf-1a2b3c4d-5e6f-7a8b-9c0d-1e2f3a4b5c6d",
    "Azure OpenAI, 84 characters": _MIXED[:52] + "JQQJ99" + "BCAC" + "YeBjFXJ3w3AAABAC" + "OGAbcdXy",
    "Google API": "AIza" + _MIXED[:35],
    "Google OAuth": "ya29." + _MIXED[:60],
    "Google client": "GOCSPX-" + _MIXED[:28],
    "Google service account": f"-----BEGIN PRIVATE KEY-----\n{_PEM}\n{_PEM}\n-----END PRIVATE KEY-----",
    "AWS access": "AKIAIOSFODNN7ABCDEFG",
    "AWS temporary access": "ASIAIOSFODNN7ABCDEFG",
    "AWS session": "IQoJb3JpZ2luX2VjE" + _MIXED + _MIXED,
    "AWS Bedrock": "ABSK" + base64.b64encode(_MIXED.encode()).decode(),
    "GitHub": "ghp_" + _MIXED[:36],
    "GitHub OAuth": "gho_" + _MIXED[:36],
    "GitHub app": "ghs_" + _MIXED[:36],
    "GitHub fine-grained": "github_pat_" + _MIXED[:22] + "_" + _MIXED[:59],
    "GitLab": "glpat-" + _MIXED[:20],
    "GitLab runner": "glrt-" + _MIXED[:20],
    "Slack bot": "xoxb-012345678901-0123456789012-" + _MIXED[:24],
    "Slack user": "xoxp-012345678901-012345678901-" + _HEX,
    "Slack app": "xapp-1-A0123456789-0123456789012-" + _HEX,
    "Stripe": "sk_live_" + _MIXED[:24],
    "Stripe restricted": "rk_live_" + _MIXED[:24],
    "Hugging Face": "hf_" + _MIXED[:34],
    "Groq": "gsk_" + _MIXED[:52],
    "xAI": "xai-" + _MIXED[:60],
    "Perplexity": "pplx-" + _MIXED[:48],
    "NVIDIA": "nvapi-" + _MIXED[:60],
    "Cerebras": "csk-" + _MIXED[:40].lower(),
    "Replicate": "r8_" + _MIXED[:37],
    "Fireworks": "fw_" + _MIXED[:24],
    "Together": "tgp_v1_" + _MIXED[:43],
    "Databricks": "dapi" + _HEX,
    "npm": "npm_" + _MIXED[:36],
    "PyPI": "pypi-AgEIcHlwaS5vcmc" + _MIXED,
    "SendGrid": "SG." + _MIXED[:22] + "." + _MIXED[:43],
    "Twilio": "SK" + _HEX,
    "Tavily": "tvly-" + _MIXED[:32],
    "LangSmith": "lsv2_pt_" + _HEX + "_0123456789",
    "DigitalOcean": "dop_v1_" + _HEX * 2,
    "Linear": "lin_api_" + _MIXED[:40],
    "Vault": "hvs.CAESI" + _MIXED[:60],
    "Gemini": "AQ.Ab8RN6" + _MIXED[:44],
    "Pinecone": "pcsk_" + _MIXED[:6] + "_" + _MIXED[:63],
    "GitLab feed": "glft-" + _MIXED[:20],
    "LangSmith service": "lsv2_sk_" + _HEX + "_0123456789",
    "JWT": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0." + _MIXED[:43],
    "bearer": "Bearer " + _MIXED[:32],
    "basic": "Basic " + base64.b64encode(b"aladdin:opensesame").decode(),
    "URL with credentials": "https://maintainer:" + _MIXED[:24] + "@h.io",
}
"""Secrets that can be told wherever they stand."""

NAMED = {
    "Azure OpenAI, 32 digits": ("api-key", _HEX),
    "Mistral": ("MISTRAL_API_KEY", _MIXED[:32]),
    "Cohere": ("cohere_api_key", _MIXED[:40]),
    "Weights & Biases": ("wandbApiKey", _HEX + "01234567"),
    "AWS secret": ("aws_secret_access_key", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"),
    "Twilio": ("auth_token", _HEX),
    "Authorization": ("Authorization", "hmac-" + _MIXED[:24]),
    "cookie": ("Cookie", "sid-" + _MIXED[:24]),
    "password": ("password", "correct-horse-9-battery-staple"),
    "password of a database": ("DB_PASSWORD", "Winterabend-2024-Haus"),
    "OAuth client": ("client_secret", _MIXED[:24]),
    "refresh": ("refresh_token", "1//0" + _MIXED[:40]),
}
"""Secrets that can be told by their name only."""

OWN = {
    "key": "plain-client-key-0001",
    "odd key": 'quoted"key/with+all=0002',
    "organization": "acme-organization-0003",
    "project": "acme-project-0004",
    "header": "default-header-word-0005",
    "extra header": "extra-header-word-0006",
    "password of the URL": "pass-word-0007",
    "cookie": "sid=tok-abcdef-0008",
}
"""Secrets of the client and the call, which can be told because they are known."""


def _other(secret):
    """Return another secret of the same kind."""
    turned = str.maketrans("0123456789abcdefABCDEF", "1234567890bcdefaBCDEFA")
    middle = len(secret) // 2
    return secret[:middle] + secret[middle : middle + 6].translate(turned) + secret[middle + 6 :]


def _windows(secret):
    """Return every piece of ten characters that tells something of a secret: not the part that its kind is known by."""
    random = secret[len(secret) // 3 :]
    pieces = {random[at : at + 10] for at in range(len(random) - 9)}
    return {piece for piece in pieces if not re.search(r"-----|KEY|@", piece)}


def _all_forms(secret):
    """Yield how a text could hold a secret, or a piece of it."""
    yield from _windows(secret)
    for text in (secret, _other(secret)):
        yield from (text, quote(text), quote(text, safe=""), json.dumps(text)[1:-1], json.dumps(json.dumps(text))[3:-3])
        for before in ("", "a", "ab"):  # the middle of its base64, wherever it begins in what is encoded
            yield base64.b64encode((before + text).encode()).decode()[4:-4]
            yield base64.urlsafe_b64encode((before + text).encode()).decode()[4:-4]


def leaked(text, secret):
    text = text.decode("utf-8", "surrogateescape") if isinstance(text, bytes) else text
    return sorted({form for form in _all_forms(secret) if form in text})


def written(directory):
    """Return every byte below a directory, with all names, and what the pieces of each answer add up to."""
    found = []
    for folder, folders, files in os.walk(directory):
        found += [name.encode() for name in (*folders, *files)]
        found += [Path(folder, name).read_bytes() for name in files]
        for name in files:
            held = json.loads(Path(folder, name).read_bytes())["response"]
            chunks = held.get("chunks", [held.get("body")])
            found += _added_up([item for item in chunks if isinstance(item, dict)])
    return b"\n".join(found)


def _added_up(chunks):
    choices = [choice for item in chunks for choice in item.get("choices", ())]
    deltas = [choice["delta"] for choice in choices if "delta" in choice]
    yield "".join(delta.get("content") or "" for delta in deltas).encode()
    calls = [call for delta in deltas for call in delta.get("tool_calls") or ()]
    yield "".join(call["function"]["arguments"] for call in calls).encode()
    tokens = [token for choice in choices if choice.get("logprobs") for token in choice["logprobs"]["content"]]
    for said in (tokens, [likely for token in tokens for likely in token["top_logprobs"]]):
        yield "".join(token["token"] for token in said).encode()
        yield bytes(itertools.chain.from_iterable(token["bytes"] for token in said))


def asking(text, argument):
    """Return the arguments of a chat that holds `text` wherever text can stand, and `argument` as a tool's argument."""
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": argument}}
    return {
        "model": "m",
        "messages": [
            {"role": "system", "content": f"Use {text} now."},
            {"role": "user", "content": [{"type": "text", "text": f"({text})"}, {"type": "text", "text": text}]},
            {"role": "assistant", "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "c", "content": json.dumps({"out": json.dumps({"k": [text]})})},
        ],
        "tools": [{"type": "function", "function": {"name": "f", "description": text, "parameters": {"title": text}}}],
        "user": text,
        "extra_body": {"metadata": {"a": text}, "nested": [{"a": {"b": [text]}}], text: 1},
        "extra_query": {"q": text},
        "extra_headers": {"X-Thing": "x"},
    }


def _tokens(*pieces):
    """Return pieces of a text as tokens, with their bytes, and themselves as what was likely."""
    said = [{"token": piece, "bytes": [*piece.encode()], "logprob": -0.5} for piece in pieces]
    return {"content": [{**item, "top_logprobs": [item]} for item in said], "refusal": None}


def answering(text, argument):
    """Return a plain answer that holds `text` wherever text can stand."""
    body = completion(f"say {text}!", echo={"deep": [{"x": text}], text: 0})
    function = {"name": "f", "arguments": argument}
    body["choices"][0]["message"]["tool_calls"] = [{"id": "c", "type": "function", "function": function}]
    body["choices"][0]["logprobs"] = _tokens("say ", *(text[at : at + 7] for at in range(0, len(text), 7)), "!")
    return body


def streaming(text, argument, size):
    """Return a stream of it, in pieces of so many characters."""
    pieces = [f"say {text}!"[at : at + size] for at in range(0, len(text) + 5, size)]
    calls = [argument[at : at + size] for at in range(0, len(argument), size)]
    made = [chunk(piece) for piece in pieces]
    for item, piece in zip(made, pieces, strict=True):
        item["choices"][0]["logprobs"] = _tokens(piece)
    for piece in calls:
        made.append(chunk(None))
        made[-1]["choices"][0]["delta"]["tool_calls"] = [{"index": 0, "function": {"arguments": piece}}]
    return sse(*made, chunk(None, "stop", note=[text]))


def _all_logged(caplog):
    ours = [item for item in caplog.records if item.name.startswith("inferencereplay")]
    return "\n".join(item.getMessage() + str(item.exc_text) + repr(item.args) for item in ours)


def _raised(error):
    chained = "".join(traceback.format_exception_only(error))
    return "\n".join((str(error), repr(error), repr(vars(error)), str(pickle.dumps(error)), chained))


def _plant(server, tmp_path, caplog, make, secret, **options):
    """Record what `make` makes of a secret in every way, and look for it in all that is written, logged and raised.

    `make` makes the arguments of a chat, and the text and tool argument of its answer, of a secret. What was recorded
    has to be found with another secret of the kind.
    """
    caplog.set_level(logging.DEBUG)
    everything = []
    for size in SIZES:
        folder = tmp_path / str(size)
        for planted, mode in ((secret, "record"), (_other(secret), "replay"), (_other(secret), "record-if-missing")):
            ask, text, argument = make(planted)
            reply = streaming(text, argument, size) if size else plain(answering(text, argument), openai_version=text)
            reply.headers = {name: value.replace("\n", " ") for name, value in reply.headers.items()}
            if mode == "record":
                server.replies = [reply]
            more = {name: value(planted) if callable(value) else value for name, value in options.items()}
            with (
                replay(folder, mode=mode) as session,
                openai.OpenAI(**{"base_url": server.url, "api_key": "client-0000", **more, **cheap()}) as client,
            ):
                made = client.chat.completions.create(**ask, stream=bool(size))
                list(made) if size else made
            assert (session.recorded, session.hits) == ((1, 0) if mode == "record" else (0, 1)), mode
            with (
                pytest.raises(RecordingNotFound) as caught,
                replay(folder),
                openai.OpenAI(**{"base_url": server.url, "api_key": "client-0000", **more, **cheap()}) as client,
            ):
                client.chat.completions.create(**{**ask, "seed": 5, "model": f"x {text}"}, stream=bool(size))
            everything.append(_raised(caught.value))
        everything.append(written(folder).decode())
    everything.append(_all_logged(caplog))
    assert [leaked(text, secret) for text in everything] == [[]] * len(everything)
    assert "[REDACTED]" in everything[-2]


@pytest.mark.parametrize("kind", SHAPED)
def test_secrets_with_a_shape(server, tmp_path, caplog, kind):
    """Wherever it stands, in a request or an answer, whole or in pieces of a stream."""

    def make(secret):
        argument = json.dumps({"q": secret, "n": {"deep": json.dumps([f"x {secret}"])}})
        return asking(secret, argument), secret, argument

    _plant(server, tmp_path, caplog, make, SHAPED[kind])


@pytest.mark.parametrize("kind", NAMED)
def test_secrets_with_a_name(server, tmp_path, caplog, kind):
    """As a member, in JSON within text however deep, in settings and headers within text, in pieces of a stream."""
    name, secret = NAMED[kind]

    def make(secret):
        inner = json.dumps({"config": {name: secret}, "x": 1})
        text = f"{inner} and {json.dumps(inner)} and {json.dumps(json.dumps(inner))} and {{{name!r}: {secret!r}}}"
        text = text if kind == "password" else f"{text}\n{name}={secret}\n{name}: {secret}\n"
        ask = asking(text, inner)
        ask["extra_body"] |= {name: secret, "list": [{"headers": {name: [secret]}}]}
        return ask, text, inner

    _plant(server, tmp_path, caplog, make, secret)


@pytest.mark.parametrize("kind", OWN)
def test_secrets_of_the_client(server, tmp_path, caplog, kind):
    """What the client or the call authenticates with, as it is and as base64, URLs and JSON write it."""
    scheme, _, rest = server.url.partition("://")
    places = {
        "key": {"api_key": str},
        "odd key": {"api_key": str},
        "organization": {"organization": str},
        "project": {"project": str},
        "header": {"default_headers": lambda secret: {"X-Auth-Token": secret}},
        "extra header": {},
        "password of the URL": {"base_url": lambda secret: f"{scheme}://someone:{secret}@{rest}"},
        "cookie": {"default_headers": lambda secret: {"Cookie": f"theme=dark; {secret}; x=1"}},
    }

    def make(secret):
        encoded = [base64.b64encode(f"{before}{secret}:x".encode()).decode() for before in ("", "a:", "ab:")]
        encoded.append(base64.urlsafe_b64encode(f"ü{secret}".encode()).decode())
        text = " ".join([secret, quote(secret), quote(secret, safe=""), json.dumps(json.dumps(secret)), *encoded])
        ask = asking(text, json.dumps({"q": text}))
        if kind == "extra header":
            ask["extra_headers"] = {"X-Secret": secret}
        return ask, text, json.dumps({"q": text})

    _plant(server, tmp_path, caplog, make, OWN[kind], **places[kind])


@pytest.mark.parametrize("kind", SHAPED)
def test_errors_texts_and_urls(server, tmp_path, caplog, kind):
    """A recorded error, an answer that is no JSON and the base URL hold none either; nor what is logged of errors."""
    caplog.set_level(logging.DEBUG)
    secret = SHAPED[kind]
    error = {"error": {"message": f"no {secret}", "param": secret, "code": secret, "type": json.dumps({"k": secret})}}
    text = Reply(headers={"content-type": "text/plain"}, body=f"<p>{secret}</p>".encode())
    replies = [plain(error, 400), plain(error, 401), plain(error, 500), text]
    base_url = server.url.replace("/v1", f"/{quote(secret, safe='')}/v1")
    options = {"api_key": "client-0000", "base_url": base_url, "max_retries": 0}
    for keeps in (False, True):
        server.replies = [*replies]
        with (
            replay(tmp_path / str(keeps), mode="record", record_errors=keeps),
            openai.OpenAI(**options, **cheap()) as client,
        ):
            for seed in range(4):
                try:
                    client.chat.completions.create(**ASK, seed=seed)
                except openai.APIStatusError as caught:
                    assert caught.body["param"] == secret
    assert len(list(tmp_path.rglob("*.json"))) == 2 + 4
    assert leaked(written(tmp_path), secret) == []
    assert leaked(_all_logged(caplog), secret) == []


def test_there_are_more_than_fifty_kinds():
    """They are told apart by more than their names."""
    values = {*SHAPED.values(), *(value for _, value in NAMED.values()), *OWN.values()}
    assert len(values) > 70


def test_no_false_alarms():
    """Nothing is taken out of the given recordings, in whatever way they are looked through."""
    redactor, files = Redactor(), [file for folder in GIVEN for file in folder.rglob("*.json")]
    for file in files:
        raw = file.read_bytes()
        value = json.loads(raw)
        assert redactor.value(value) is value, file.name
        assert redactor.text(raw.decode()) == raw.decode(), file.name
        assert redactor.json(raw) is raw, file.name
    assert len(files) >= 14
