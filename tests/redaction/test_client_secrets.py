"""What a client or a call authenticates with is known, redacted, and does not change what is found."""

from __future__ import annotations

import sys
import types

import openai
import pytest
from conftest import ASK, cheap, completion, plain

from inferencereplay import (
    RecordingNotFound,
    replay,
)
from inferencereplay.sdk import private


def written(directory):
    return b"".join(file.read_bytes() for file in directory.rglob("*.json"))


def said(answer):
    return answer.choices[0].message.content


@pytest.mark.parametrize("length", range(150, 200, 5))
def test_a_long_command_line_shows_no_part_of_a_secret(tmp_path, monkeypatch, length):
    """What is secret is taken out of the command of a miss before that is cut."""
    key = "hunterpasswordabcdefghijkl"
    monkeypatch.setattr(sys, "orig_argv", ["python", "app.py", "x" * length, key, "tail" * 20])
    with pytest.raises(RecordingNotFound) as caught, replay(tmp_path):
        openai.OpenAI(api_key=key, **cheap()).chat.completions.create(**ASK)
    assert "app.py xxx" in str(caught.value)
    assert "hunter" not in str(caught.value)


@pytest.mark.skipif(not hasattr(openai.OpenAI, "_refresh_api_key"), reason="keys that are fetched came later")
def test_a_key_that_is_fetched_for_the_call_is_not_written(server, tmp_path):
    """What the SDK fetches while the call is made is taken out of request and answer, under one key."""
    key = "plainsecretkey987"
    ask = {**ASK, "messages": [{"role": "user", "content": f"my key is {key}"}]}
    server.replies = [plain(completion(f"your key is {key}")) for _ in range(2)]
    with openai.OpenAI(api_key=lambda: key, base_url=server.url, max_retries=0) as client:
        with replay(tmp_path, mode="record"):
            answers = [client.chat.completions.create(**ask) for _ in range(2)]
        assert key in said(answers[0])
        assert key.encode() not in written(tmp_path)
        assert len({file.name[:32] for file in tmp_path.rglob("*.json")}) == 1


def test_parts_of_secret_headers_and_of_a_query_are_not_written(server, tmp_path):
    """A token is a secret without its scheme too, a cookie without its name, and so is a key in the query."""
    options = {
        "default_headers": {"Authorization": "Bearer zzsecretzz", "Cookie": "sid=cookiesecret1; theme=dark"},
        "default_query": {"subscription-key": "querysecret123"},
    }
    url = server.url.replace("http://", "http://user:passwordsecret@")
    server.replies = [plain(completion("zzsecretzz cookiesecret1 passwordsecret"))]
    with openai.OpenAI(api_key="x", base_url=url, max_retries=0, **options) as client:
        with replay(tmp_path, mode="record"):
            client.chat.completions.create(**ASK, user="zzsecretzz")
        with replay(tmp_path):
            assert client.chat.completions.create(**ASK, user="zzsecretzz")
    for secret in (b"zzsecretzz", b"cookiesecret1", b"passwordsecret", b"querysecret"):
        assert secret not in written(tmp_path)
    assert b'"subscription-key": "[REDACTED]"' in written(tmp_path)


def test_end_users_are_no_secrets(client, tmp_path):
    """Two end users are two requests."""
    with replay(tmp_path, mode="record-if-missing"):
        first = client.chat.completions.create(**ASK, user="user-aaaaaaaaaaaaaaaaaaaaaaaa")
        assert client.chat.completions.create(**ASK, user="user-bbbbbbbbbbbbbbbbbbbbbbbb") != first


def test_secrets_in_headers_of_any_mapping_are_known_in_replay(client, tmp_path):
    """A client's default headers need not be a dict for what was taken out of a request to be found again."""
    secret = "hunter2-correct-horse"
    made = client.with_options(default_headers=types.MappingProxyType({"X-Api-Key": secret}))
    made._custom_headers = types.MappingProxyType(dict(made._custom_headers))  # as the constructor takes it
    with replay(tmp_path, mode="record"):
        made.chat.completions.create(**ASK, user=secret)
    assert secret.encode() not in written(tmp_path)
    with replay(tmp_path) as session:
        made.chat.completions.create(**ASK, user=secret)
        made.chat.completions.with_raw_response.create(**ASK, user=secret)
    assert session.hits == 2


SIGNED = (
    "AWS4-HMAC-SHA256 Credential=opaque-id/20260101/us-east-1/bedrock/aws4_request, "
    "SignedHeaders=content-type;host;x-amz-date, Signature=5d672d79c15b13162d9279b0855cfba6"
)


@pytest.mark.parametrize(
    ("signature", "secrets"),
    [
        (SIGNED, ["5d672d79c15b13162d9279b0855cfba6"]),
        (
            'Digest username="j", response="6629fae49393a05397450978507c4ef1", algorithm=MD5',
            ["6629fae49393a05397450978507c4ef1"],
        ),
        ("Negotiate YIIJvwYGKwYBBQUCoIIJszCCCa8=", ["YIIJvwYGKwYBBQUCoIIJszCCCa8"]),
    ],
)
def test_the_words_of_a_signature_are_no_secrets(server, tmp_path, signature, secrets):
    """Of what signs a request on its way only the values are taken out, or a chat about such words would be missed."""
    chat = "Negotiate the Credential and the Signature of content-type, host, x-amz-date: response, username, algorithm"
    server.replies = [plain(completion(" ".join(secrets)))]
    make = cheap()["http_client"]

    def sign(request):
        request.headers["authorization"] = signature
        return request

    client = openai.OpenAI(api_key="x", base_url=server.url, max_retries=0, http_client=make)
    with client:
        make.auth = sign
        with replay(tmp_path, mode="record"):
            client.chat.completions.create(**ASK, user=chat)
        make.auth = None
        with replay(tmp_path) as session:
            client.chat.completions.create(**ASK, user=chat)
    assert session.hits == 1
    assert chat.encode() in written(tmp_path)
    assert not [secret for secret in secrets if secret.encode() in written(tmp_path)]


def test_what_the_http_client_adds_to_each_request_is_known_in_replay(server, tmp_path):
    """A header or cookie of the HTTP client's own is taken out of requests, and they are found again."""
    said_so = "jane.doe@company.example, oatmeal-cookie"
    with openai.OpenAI(api_key="x", base_url=server.url, max_retries=0, **cheap()) as client:
        client._client.headers["x-auth-user"] = "jane.doe@company.example"
        client._client.cookies.set("taste", "oatmeal-cookie")
        with replay(tmp_path, mode="record"):
            client.chat.completions.create(**ASK, user=said_so)
        with replay(tmp_path) as session:
            client.chat.completions.create(**ASK, user=said_so)
            client.chat.completions.with_raw_response.create(**ASK, user=said_so)
    assert session.hits == 2
    assert b"jane.doe" not in written(tmp_path)
    assert b"oatmeal" not in written(tmp_path)


def test_base_urls_of_many_clients_are_forgotten(tmp_path, monkeypatch):
    """The password of each is known, also once there have been more than are remembered."""
    monkeypatch.setattr(private, "_MOST_BASE_URLS", 2)
    with replay(tmp_path):
        for number in (1, 2, 3, 1):
            client = openai.OpenAI(api_key="x", base_url=f"http://user:passwordsecret{number}@h/v1", **cheap())
            assert f"passwordsecret{number}" in private.secrets(client)
            assert private.origin(client).base_url == "http://h/v1"
            assert len(private._base_urls) <= 2
