"""Nothing secret reaches the disk, the log or a message, and taking it out never breaks a match."""

from __future__ import annotations

import logging
import os
import traceback
from pathlib import Path

import openai
import pytest
from conftest import ASK, Reply, cheap, chunk, completion, event, plain, sse
from openai._legacy_response import HttpxBinaryResponseContent

from inferencereplay import InvalidSetting, RecordingNotFound, Session, replay
from inferencereplay.recording.format import Failure, Provenance, Response
from inferencereplay.recording.request import Request, canonical_json
from inferencereplay.session.garbage import collect

PLANTED = {
    "key": "plain-client-key-0001",
    "organization": "acme-organization-0002",
    "project": "acme-project-0003",
    "extra_header": "extra-header-token-0004",
    "default_header": "default-header-token-0005",
    "prompt": "sk-prompt000000000000000006",
    "answer": "sk-answer000000000000000007",
    "argument": "ghp_toolargument0000000000008",
    "extra_key": "extra-body-word-0009",
    "extra_authorization": "extra-body-word-0010",
    "credentials": "hunter2:pass-word-0011",
    "password": "pass-word-0011",
    "query": "query-word-0012",
    "cookie": "sid=c00kie",
    "bearer": "AbCdEf0123456789-0013",
    "header_answer": "sk-header000000000000000014",
    "name": "sk-membername00000000000015",
}


def written(directory):
    """Return every byte below a directory, the names of files and folders with it."""
    found = []
    for folder, folders, files in os.walk(directory):
        found += [name.encode() for name in (*folders, *files)]
        found += [Path(folder, name).read_bytes() for name in files]
    return b"\n".join(found)


def leaks(text, words=PLANTED):
    text = text.encode() if isinstance(text, str) else text
    return [name for name, word in words.items() if word.encode() in text]


def made(driver, words):
    """Return what makes a client's options hold secrets, and a chat that holds some."""
    scheme, _, rest = driver.url.partition("://")
    options = {
        "api_key": words["key"],
        "organization": words["organization"],
        "project": words["project"],
        "default_headers": {"X-Auth-Token": words["default_header"]},
        "base_url": f"{scheme}://{words['credentials']}@{rest}",
    }
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": f'{{"t": "{words["argument"]}"}}'}}
    changes = {
        "messages": [
            {"role": "user", "content": f"my keys are {words['prompt']} and {words['key']}"},
            {"role": "assistant", "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "c", "content": f"Authorization: Bearer {words['bearer']}"},
        ],
        "extra_headers": {"X-Secret": words["extra_header"]},
        "extra_body": {
            "api_key": words["extra_key"],
            "nested": [{"Authorization": words["extra_authorization"], words["name"]: words["organization"]}],
        },
        "extra_query": {"api_key": words["query"]},
    }
    return options, changes


def call_for(words):
    function = {"name": "f", "arguments": f'{{"token": "{words["argument"]}", "p": "{words["project"]}"}}'}
    return [{"id": "c", "index": 0, "type": "function", "function": function}]


def reply(words, *, stream):
    text = f"say {words['answer']} to {words['organization']} with {words['key']}"
    if stream:
        made = sse(chunk(text), chunk(None, note={"cookie": "sid=c00kie"}), chunk(words["answer"], "stop"))
        made.pieces[1:1] = [(0.0, b": comment\n\n")]
        tools = chunk(None)
        tools["choices"][0]["delta"]["tool_calls"] = call_for(words)
        made.pieces[1:1] = sse(tools, is_done=False).pieces
        made.headers["openai-version"] = words["header_answer"]
        made.headers["x-secret"] = words["extra_header"]
        return made
    body = completion(text, echo={"api_key": words["extra_key"], "set-cookie": words["cookie"]})
    body["choices"][0]["message"]["tool_calls"] = call_for(words)
    return plain(body, openai_version=words["header_answer"], x_secret=words["extra_header"])


@pytest.mark.parametrize("how", [(m, s) for m in ("record", "record-if-missing") for s in (False, True)])
def test_nothing_secret_is_written_or_logged(driver, server, tmp_path, caplog, how):
    """Of secrets planted wherever there can be one, none is in a file, a file's name or the log."""
    mode, stream = how
    options, changes = made(driver, PLANTED)
    server.replies = [reply(PLANTED, stream=stream)]
    with caplog.at_level(logging.DEBUG, "inferencereplay"), replay(tmp_path, mode=mode) as session:
        live = driver(lambda client: client.chat.completions.create(**{**ASK, **changes}, stream=stream), **options)
    assert session.recorded == 1
    shown = str([item.model_dump() for item in live] if stream else live.model_dump())
    assert PLANTED["answer"] in shown
    sent = server.requests[0]
    assert PLANTED["prompt"] in str(sent[3])
    assert PLANTED["query"] in sent[1]
    files = written(tmp_path)
    assert files.count(b"[REDACTED]") > 8
    assert leaks(files) == []
    assert leaks("\n".join(item.getMessage() for item in caplog.records if item.name == "inferencereplay")) == []


@pytest.mark.parametrize("stream", [False, True])
def test_the_key_does_not_depend_on_secrets(driver, server, tmp_path, stream):
    """What was recorded with some secrets is replayed with others, by any kind of client."""
    others = {name: word.replace("000", "999").replace("-00", "-99") for name, word in PLANTED.items()}
    others["name"] = PLANTED["name"]
    for words, mode in ((PLANTED, "record"), (others, "replay"), (others, "record-if-missing")):
        options, changes = made(driver, words)
        if mode == "record":
            server.replies = [reply(words, stream=stream)]
        with replay(tmp_path, mode=mode) as session:
            driver(lambda client: client.chat.completions.create(**{**ASK, **changes}, stream=stream), **options)  # noqa: B023
        assert (session.hits, session.recorded) == ((0, 1) if mode == "record" else (1, 0))
    assert server.count == 1


def test_texts_and_failures_hold_no_secrets(tmp_path):
    """An answer that is no JSON, and the message of a broken connection, are stored without what is secret."""
    session = Session(tmp_path, mode="record", record_errors=True)
    said = " ".join((PLANTED["answer"], PLANTED["key"]))
    for number, answer in enumerate((Response(text=said), Response(status=0, failure=Failure("ReadError", said)))):
        take = session.begin(session.call(Request("POST", "/x", canonical_json(number)), lambda: (PLANTED["key"],)))
        take.keep(answer)
    assert session.recorded == 2
    assert written(tmp_path).count(b'"[REDACTED] [REDACTED]"') == 2
    assert leaks(written(tmp_path)) == []


def test_a_miss_tells_no_secrets(driver, tmp_path, caplog):
    """Neither the message of a miss nor its facts, its pickle or its traceback hold a secret, recorded or requested."""
    options, changes = made(driver, PLANTED)
    with replay(tmp_path, mode="record"):
        driver(lambda client: client.chat.completions.create(**{**ASK, **changes}), **options)
    changes["messages"][0]["content"] += " and another " + PLANTED["prompt"]
    with (
        caplog.at_level(logging.DEBUG, "inferencereplay"),
        pytest.raises(RecordingNotFound),
        replay(tmp_path),
        pytest.raises(RecordingNotFound) as caught,
    ):
        driver(lambda client: client.chat.completions.create(**{**ASK, **changes}, seed=1), **options)
    error = caught.value
    assert error.nearest
    assert "messages[0].content" in str(error)
    assert "another [REDACTED]" in str(error)
    assert leaks(str(error)) == leaks(repr(vars(error))) == []
    assert leaks("".join(traceback.format_exception_only(error))) == []
    assert leaks(caplog.text) == []


def test_a_miss_tells_no_secrets_of_recordings_with_some(client, tmp_path):
    """A recording that was stored with a secret is not shown with it, nor with a piece of it."""
    secret = "xyzzy-" + "a" * 30 + "-plugh"
    ask = {"messages": [{"role": "user", "content": f"before {secret} after {'b' * 40} old"}]}
    with replay(tmp_path, mode="record"):
        client.chat.completions.create(**{**ASK, **ask})
    ask = {"messages": [{"role": "user", "content": f"before {secret[:-4]}XXXX after {'b' * 40} new"}]}
    with (
        pytest.raises(RecordingNotFound),
        replay(tmp_path, redact=[r"xyzzy-\w+-\w+"]),
        pytest.raises(RecordingNotFound) as caught,
    ):
        client.chat.completions.create(**{**ASK, **ask})
    assert "…" in str(caught.value.differences)
    for part in ("xyzzy", "aaaa", "gh", "XXXX"):
        assert part not in str(caught.value.differences)


def test_a_refused_path_tells_no_secrets(client, tmp_path, caplog):
    """A path is told, and stored, without what is secret in it."""
    secret = PLANTED["prompt"]
    with pytest.raises(RecordingNotFound) as caught, replay(tmp_path):
        client.files.content(secret)
    assert leaks(str(caught.value) + repr(vars(caught.value))) == []
    with (
        replay(tmp_path, mode="record"),
        caplog.at_level(logging.DEBUG, "inferencereplay"),
        pytest.raises(openai.NotFoundError),
    ):
        client.files.content(secret)
    assert leaks("\n".join(item.getMessage() for item in caplog.records if item.name == "inferencereplay")) == []
    assert leaks("".join(f"{file}{file.read_text()}" for file in tmp_path.rglob("*.json"))) == []


def test_a_secret_in_a_path_names_no_folder(client, tmp_path):
    """A secret in a request's path is in no folder's name, and the recording is found again."""
    path = f"/chat/completions/{PLANTED['prompt']}"
    with replay(tmp_path, mode="record"):
        first = client.post(path, cast_to=object, body={"stream": False})
    assert leaks(written(tmp_path)) == []
    with replay(tmp_path):
        assert client.post(path, cast_to=object, body={"stream": False}) == first


def test_a_secret_in_the_base_url_is_not_written(tmp_path, server):
    """A token in the path of the base URL is taken out of where a recording says that it comes from."""
    session = Session(tmp_path, mode="record")
    origin = Provenance("", "3", f"http://host/{PLANTED['prompt']}/v1")
    session.begin(session.call(Request("POST", "/x", canonical_json({})), find_origin=lambda: origin)).keep(
        Response(body=b"{}")
    )
    assert b"http://host/[REDACTED]/v1" in written(tmp_path)
    assert leaks(written(tmp_path)) == []


def test_recorded_errors_hold_no_secrets(driver, server, tmp_path, caplog):
    """An error that quotes the client's key is stored and logged without it."""
    key = PLANTED["key"]
    message = {"error": {"message": f"Incorrect API key provided: {key}", "param": PLANTED["prompt"]}}
    with caplog.at_level(logging.DEBUG, "inferencereplay"), replay(tmp_path, mode="record", record_errors=True):
        for status in (401, 400):
            server.replies = [plain(message, status)]
            with pytest.raises(openai.APIStatusError, match=key):
                driver(lambda client: client.chat.completions.create(**ASK), api_key=key)
    assert leaks(written(tmp_path)) == []
    assert b"Incorrect API key provided: [REDACTED]" in written(tmp_path)
    assert leaks("\n".join(item.getMessage() for item in caplog.records if item.name == "inferencereplay")) == []


def test_errors_that_are_passed_on_are_logged_without_secrets(driver, server, tmp_path, caplog):
    """An error that is not stored is told in the log without the key that the server quotes."""
    key = PLANTED["key"]
    server.replies = [plain({"error": {"message": f"Incorrect API key provided: {key}"}}, 401)]
    with (
        caplog.at_level(logging.DEBUG, "inferencereplay"),
        replay(tmp_path, mode="record"),
        pytest.raises(openai.AuthenticationError, match=key),
    ):
        driver(lambda client: client.chat.completions.create(**ASK), api_key=key)
    ours = [item.getMessage() for item in caplog.records if item.name == "inferencereplay"]
    assert len(ours) == 1
    assert leaks(ours[0]) == []


# Where a secret may stand that nobody thinks of.

_OWN = "plain-client-key-0001"
_HEX = "0f1e2d3c4b5a69788796a5b4c3d2e1f0"


def test_the_names_of_events_and_headers_hold_no_secrets(server, tmp_path):
    """Not only what stands under them."""
    named = f"event: {_OWN}\n".encode() + event(chunk("x"))
    head = {"content-type": "text/event-stream", f"x-ratelimit-{_OWN}": "1"}
    server.replies = [Reply(headers=head, pieces=[(0.0, named), (0.0, event(b"[DONE]"))])]
    with openai.OpenAI(api_key=_OWN, base_url=server.url, **cheap()) as client, replay(tmp_path, mode="record"):
        list(client.chat.completions.create(**ASK, stream=True))
    text = written(tmp_path).decode()
    assert _OWN not in text
    assert '"events": ["[REDACTED]"' in text
    assert '"x-ratelimit-[REDACTED]": "1"' in text


def test_what_cannot_be_encoded_is_not_logged(server, tmp_path, caplog):
    """The encoder's error holds the whole body."""
    ask = {**ASK, "messages": [{"role": "user", "content": f"{_OWN} \ud800"}]}
    with openai.OpenAI(api_key=_OWN, base_url=server.url, **cheap()) as client, replay(tmp_path, mode="record"):
        with pytest.raises(UnicodeEncodeError):
            client.chat.completions.create(**ask)
    assert "was not recorded: UnicodeEncodeError" in caplog.text
    assert _OWN not in "".join(item.getMessage() for item in caplog.records)


def _fail(body):
    raise KeyError(body["messages"][0]["content"])


@pytest.mark.parametrize("normalize", [_fail, lambda body: [body]], ids=["raises", "returns"])
@pytest.mark.parametrize("mode", ["replay", "record"])
def test_the_error_of_normalize_tells_no_secrets(server, tmp_path, caplog, normalize, mode):
    """It is given the body as it is."""
    ask = {**ASK, "messages": [{"role": "user", "content": f"{_OWN} {PLANTED['prompt']}"}]}
    told = ""
    with openai.OpenAI(api_key=_OWN, base_url=server.url, **cheap()) as client:
        with replay(tmp_path, mode=mode, normalize=normalize):
            try:
                client.chat.completions.create(**ask)
            except InvalidSetting as error:
                told = str(error)
    told += caplog.text if mode == "record" else ""
    assert "normalize= failed" in told
    assert _OWN not in told
    assert PLANTED["prompt"] not in told


@pytest.mark.parametrize("mode", ["replay", "record"])
def test_a_request_for_bytes_tells_neither_its_query_nor_the_key(server, tmp_path, caplog, mode):
    """Its path is shown without what is secret, its query not at all."""
    told = ""
    with openai.OpenAI(api_key=_OWN, base_url=server.url, **cheap()) as client:
        try:
            with replay(tmp_path, mode=mode):
                client.post(f"/audio/{_OWN}?subscription-key={_HEX}", cast_to=HttpxBinaryResponseContent, body={})
        except RecordingNotFound as error:
            told = f"{error} {vars(error)}"
        except openai.NotFoundError:
            told = "".join(item.getMessage() for item in caplog.records) + next(tmp_path.rglob("*.json")).read_text()
    assert "/audio/[REDACTED]" in told
    assert (_HEX in told, _OWN in told) == (False, False)


def test_the_credentials_of_a_whole_url_name_no_folder(server, tmp_path):
    """Neither does the key depend on them."""
    scheme, _, rest = server.url.partition("://")
    server.replies = [plain(completion(f"not {_HEX}"))]
    for secret, mode in ((_HEX, "record"), ("another-password", "replay")):
        with (
            openai.OpenAI(api_key=_OWN, base_url="http://127.0.0.1:9/v1", **cheap()) as client,
            replay(tmp_path, mode=mode) as session,
        ):
            client.post(f"{scheme}://someone:{secret}@{rest}/chat/completions", cast_to=object, body={})
    assert session.hits == 1
    assert _HEX not in written(tmp_path).decode()


@pytest.mark.parametrize("given", ["params", "url", "default"])
def test_an_answer_that_repeats_the_query_holds_no_secret(server, tmp_path, given):
    """A value that looks like one is taken out of the answer as well; a word stays one."""
    options = {"default_query": {"code": _HEX}} if given == "default" else {}
    url = f"/chat/completions?code={_HEX}" if given == "url" else "/chat/completions"
    more = {"options": {"params": {"code": [_HEX, "documents"]}}} if given == "params" else {}
    server.replies = [plain(completion(f"{_HEX} documents"))]
    with openai.OpenAI(api_key=_OWN, base_url=server.url, **options, **cheap()) as client:
        with replay(tmp_path, mode="record"):
            client.post(url, cast_to=object, body={}, **more)
    text = written(tmp_path).decode()
    assert _HEX not in text
    assert "[REDACTED] documents" in text


def test_a_fetched_token_in_an_error_is_not_logged(server, tmp_path, caplog):
    """Nobody knew of it before the call was made."""
    server.replies = [plain({"error": {"message": "bad opaque-azure-token"}}, 401)]
    client = openai.AzureOpenAI(
        azure_endpoint=server.url, api_version="1", azure_ad_token_provider=lambda: "opaque-azure-token", **cheap()
    )
    with client, replay(tmp_path, mode="record"), pytest.raises(openai.AuthenticationError):
        client.chat.completions.create(**ASK)
    assert "bad [REDACTED]" in caplog.text
    assert "opaque-azure" not in "".join(item.getMessage() for item in caplog.records)


def test_answers_do_not_go_into_the_log(driver, server, tmp_path, caplog):
    """An answer that cannot be decoded is recorded as it was, and not quoted in the log."""
    body = event(chunk("a")) + b"data: \xff hunter2\n\n"
    server.replies = [Reply(headers={"content-type": "text/event-stream"}, body=body)]
    with (
        caplog.at_level(logging.DEBUG, "inferencereplay"),
        replay(tmp_path, mode="record"),
        pytest.raises(UnicodeDecodeError),
    ):
        driver.chat(stream=True)
    collect()
    ours = [item.getMessage() for item in caplog.records if item.name == "inferencereplay"]
    assert not [item for item in ours if "hunter2" in item]
