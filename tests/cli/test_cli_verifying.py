"""`verify` and `refresh`, against a server on loopback whose answers vary."""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from pathlib import Path

import msgspec
import openai
import pytest
import replies
from conftest import ASK, Reply, chunk, completion, plain, sse
from editing import TOO_DEEP, edit
from ways import CODED, EVENTS, MODELS, MODERATION, STREAM, TEXT, VECTORS
from written import ask, raw, said, write
from written import plain as answered

from inferencereplay import replay
from inferencereplay.recording.format import Failure, Response, decode, stored_request
from inferencereplay.recording.request import canonical_json
from inferencereplay.verification.live_answers import LiveServer

GIVEN = Path(__file__).parents[1] / "recordings" / "llama_stack"
KEY = "sk-test-0123456789abcdef"


@pytest.fixture(autouse=True)
def _user(monkeypatch, tmp_path):
    """Keep the runs that were stopped out of the user's own folder."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "user"))
    monkeypatch.setenv("HOME", str(tmp_path / "user"))


@pytest.fixture
def stopped(tmp_path):
    """Return the files of the runs that were stopped."""
    return lambda: [*(tmp_path / "user").rglob("*.jsonl")]


@pytest.fixture
def kept(tmp_path, client):
    """Record a chat, a stream, and two variants of another chat."""
    with replay(tmp_path / "kept", mode="record"):
        client.chat.completions.create(**ASK)
        list(client.chat.completions.create(**ASK, stream=True))
        for _ in range(2):
            client.chat.completions.create(model="m", messages=[{"role": "user", "content": "Again"}])
    return tmp_path / "kept"


def answer(server, choose):
    """Let the server answer what a function says of a body; where it says nothing, as always."""
    usual = type(server)._numbered

    def numbered(path, body, *more):
        chosen = choose(body)
        return (
            usual(server, path, body, *more)
            if chosen is None
            else chosen
            if isinstance(chosen, Reply)
            else plain(chosen)
        )

    server._numbered = numbered


def headers(request):
    return {name.lower(): value for name, value in request[2].items()}


def contents(directory):
    return {str(file.relative_to(directory)): file.read_bytes() for file in directory.rglob("*") if file.is_file()}


def outcomes(done):
    """Return what was found of each recording."""
    return {item["name"]: item for item in json.loads(done.out)["outcomes"]}


def reasons(done):
    return {item["name"]: item["reason"] for item in json.loads(done.out)["not_asked"]}


def texts(directory):
    """Return the answers of chats by their files."""
    found = {}
    for name, data in contents(directory).items():
        response = decode(data, name).response
        if not response.is_stream:
            found[name] = json.loads(bytes(response.body))["choices"][0]["message"]["content"]
    return found


def test_only_a_plan_without_yes(cli, kept, server):
    """How many requests, models and tokens; nothing is asked, and the status says so."""
    asked = server.count
    done = cli("verify", kept, "--base-url", server.url)
    assert (done.status, server.count) == (2, asked)
    assert done.out.splitlines() == [
        f"4 requests to ask at {server.url}",
        "Tokens and cost at most:",
        "REQUESTS\tINPUT\tOUTPUT\tCOST\tMODEL",
        f"4\t{3 + len(canonical_json({**ASK, 'stream': True}))}\t65536\t\tm",
        "4 requests set no limit: --assume-output is taken for each answer",
    ]
    assert done.err == "Nothing was asked. Ask with --yes.\n"


def test_the_plan_has_costs(cli, tmp_path, server):
    """An upper bound: the tokens that were counted, the limits of the requests, and the prices."""
    kept, prices = tmp_path / "kept", tmp_path / "prices.json"
    write(kept, ask("a", max_tokens=100, n=2), said("x"))
    write(kept, ask("b", max_completion_tokens=5), answered({"choices": []}))
    write(kept, {"model": "e", "input": "ab"}, answered({}), path="/embeddings")
    write(kept, {"model": "t", "prompt": "ab", "best_of": 3}, answered({}), path="/completions")
    write(kept, {"model": "gpt", "input": "ab"}, answered({}), path="/responses")
    prices.write_text('{"models": {"m": {"input": 1e6, "output": 2e6}, "gpt": {"input": 0, "output": 1}}}')
    done = cli("verify", kept, "--base-url", server.url, "--prices", prices, "--assume-output", 1000)
    bytes_of = len('{"max_completion_tokens":5,"messages":[{"content":"b","role":"user"}],"model":"m"}')
    assert done.out.splitlines()[3:] == [
        f"2\t{7 + bytes_of}\t205\t{7 + bytes_of + 2 * 205:.2f} USD\tm",
        "1\t26\t0\t\te",
        "1\t28\t1000\t0.001000 USD\tgpt",
        "1\t39\t48\t\tt",
        f"In all: {7 + bytes_of + 93} tokens in, 1253 out, {7 + bytes_of + 410 + 0.001:.2f} USD",
        "1 request set no limit: --assume-output is taken for each answer",
        "No price is given for e, t",
    ]
    plan = json.loads(cli("verify", kept, "--base-url", server.url, "--prices", prices, "--json").out)["plan"]
    assert (plan["requests"], plan["currency"], plan["models"]["m"]["output"]) == (5, "USD", 205)


def test_verify_writes_nothing(cli, kept, server):
    """What changed is told, and the status says that something did."""
    before = contents(kept)
    answer(server, lambda body: completion("x", model="m-2") if body == ASK else None)
    done = cli("verify", kept, "--base-url", server.url, "--yes", "--concurrency", 1)
    assert done.status == 1
    assert contents(kept) == before
    assert "\n  model: m → m-2\n" in done.out
    assert done.out.splitlines()[-1].startswith("4 requests asked: 3 the same, 1 changed")
    answer(server, lambda _: None)
    same = cli("verify", kept, "--base-url", server.url, "--yes")
    assert (same.status, same.out.splitlines()[-1]) == (0, "4 requests asked: 4 the same, 0 changed")
    assert "time to first token: " in same.out


def test_refresh_replaces_what_changed(cli, kept, server, client):
    """In its place, under its number and key; what is the same stays to the byte."""
    before, old = contents(kept), texts(kept)
    (second,) = [name for name in before if "~2" in name]
    first = second.replace("~2", "")
    (other,) = before.keys() & old.keys() - {first, second}
    answers = {other: "the same", first: "one " * 40, second: "two " * 40}
    again = iter((answers[first], answers[second]))
    answer(server, lambda body: completion(next(again)) if "temperature" not in body else None)
    done = cli("refresh", kept, "--base-url", server.url, "--yes", "--concurrency", 1)
    assert done.status == 0
    assert done.out.splitlines()[-1] == "4 requests asked: 2 the same, 2 changed, 2 replaced"
    after = contents(kept)
    assert {name for name in before if before[name] != after[name]} == {first, second}
    assert texts(kept) == {**answers, other: old[other]}
    for name in (first, second):
        one, new = decode(before[name], name), decode(after[name], name)
        assert (one.key, bytes(one.request.body)) == (new.key, bytes(new.request.body))
        assert one.recorded.at < new.recorded.at
    with replay(kept):
        asked = {"model": "m", "messages": [{"role": "user", "content": "Again"}]}
        made = [client.chat.completions.create(**asked).choices[0].message.content for _ in range(2)]
    assert made == [answers[first], answers[second]]
    assert cli("check", kept).status == 0


KINDS = {
    "chat": ("/chat/completions", ask("a"), plain(completion("x"))),
    "chat stream": ("/chat/completions", ask("a", stream=True), STREAM),
    "text": ("/completions", {"model": "m", "prompt": "a"}, plain(TEXT)),
    "text stream": ("/completions", {"model": "m", "prompt": "a", "stream": True}, sse(TEXT, TEXT)),
    "embeddings": ("/embeddings", {"model": "m", "input": "a"}, VECTORS),
    "embeddings, coded": ("/embeddings", {"model": "m", "input": "a", "encoding_format": "base64"}, CODED),
    "moderations": ("/moderations", {"model": "m", "input": "a"}, plain(MODERATION)),
    "models": ("/models", None, MODELS),
    "error": ("/chat/completions", ask("b"), plain({"error": {"message": "no", "code": "c"}}, 404)),
    "responses": ("/responses", {"model": "m", "input": "a"}, plain(replies.response(replies.message("a")))),
    "responses stream": ("/responses", {"model": "m", "input": "a", "stream": True}, EVENTS),
    "plain text": ("/chat/completions", ask("c"), Reply(headers={"content-type": "text/plain"}, body=b"hello")),
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_endpoint(cli, tmp_path, server, client, kind):
    """The same answer is the same, however it comes; the request that is sent is the one that was recorded."""
    path, body, reply = KINDS[kind]
    more = {"stream": True, "stream_cls": openai.Stream[object]} if body and "stream" in body else {}
    server.renumber(reply, reply)
    with replay(tmp_path / "kept", mode="record"):
        try:
            call = client.get if body is None else client.post
            made = call(
                path, cast_to=object, options={"params": {"a": ["1", "2"]}}, **more, **({"body": body} if body else {})
            )
            list(made) if more else None
        except openai.APIStatusError:
            assert kind == "error"
    done = cli("verify", tmp_path / "kept", "--base-url", server.url, "--yes", "--json", "--similarity", 1)
    assert (done.status, json.loads(done.out)["summary"]["same"]) == (0, 1)
    one, two = server.requests
    assert (one[0], one[1], one[3]) == (two[0], two[1], two[3])


def left(**more):
    return Response(200, end="closed", sentinel=False, chunks=[raw({"a": 1})], offsets=[0.1], **more)


REASONS = {
    "secret": (ask("[REDACTED]"), said("a"), {}, "a secret was taken out of its request"),
    "secret in the query": (ask("a"), said("a"), {"code": "[REDACTED]"}, "a secret was taken out of its request"),
    "file": (
        ask([{"type": "file", "file": {"file_id": "file-1"}}]),
        said("a"),
        {},
        "it names a file that was uploaded",
    ),
    "previous": ({"previous_response_id": "r"}, said("a"), {}, "it goes on from an answer that the server held"),
    "background": ({"background": True}, said("a"), {}, "it runs in the background"),
    "left": (ask("a"), left(), {}, "its program left the answer before the end"),
    "failed": (ask("a"), Response(0, failure=Failure("ReadError")), {}, "its answer is a connection that failed"),
    "passes": (ask("a"), answered({}, 429), {}, "its answer is an error that passes (429)"),
}


@pytest.mark.parametrize("case", REASONS)
def test_requests_that_cannot_be_asked_again(cli, tmp_path, server, case):
    """They are listed with the reason."""
    body, response, query, reason = REASONS[case]
    write(tmp_path / "kept", body, response, **query)
    done = cli("verify", tmp_path / "kept", "--base-url", server.url, "--yes")
    assert done.status == 2
    assert f"1 not asked: {reason}" in done.out
    assert done.err == "There is nothing to ask.\n"
    assert server.count == 0


def test_connections_and_uploads_are_not_asked(cli, tmp_path, server):
    """A WebSocket is no request, and a file that was uploaded is not in the recording."""
    write(tmp_path, {"model": "m"}, Response(101, end="closed", frames=[], sentinel=False), path="/responses")
    write(tmp_path, {"model": "m"}, answered({"text": "a"}), path="/audio/transcriptions")
    assert sorted(reasons(cli("verify", tmp_path, "--base-url", server.url, "--json")).values()) == [
        "a file was uploaded with it",
        "it is a connection over which both sides sent frames (a WebSocket)",
    ]


@pytest.mark.parametrize(
    "path",
    [
        *("{url}/chat/completions", "/files?a=/chat/completions", "/files#/chat/completions"),
        *("//a/responses", "/../admin/responses", "/a/%2E./%2e%2e/b/responses", "/..\\b/responses"),
    ],
)
def test_a_path_leads_nowhere_else(cli, tmp_path, server, path):
    """A file that somebody else wrote sends the key to no other server, and reaches no other endpoint."""
    write(tmp_path / "kept", ask("a"), said("a"))
    (file,) = tmp_path.rglob("*.json")
    held = json.loads(file.read_text())
    held["request"]["path"] = path.format(url=server.url)
    held["key"] = stored_request(decode(json.dumps(held).encode(), ""), "").key
    file.unlink()
    (file.parent / f"{held['key'][:32]}.json").write_text(json.dumps(held))
    done = cli("verify", tmp_path / "kept", "--base-url", "http://127.0.0.1:9/v1", "--yes")
    assert (done.status, server.count) == (2, 0)
    assert "1 not asked: its path leads elsewhere" in done.out


def test_what_is_shown_is_redacted(cli, tmp_path, server):
    """A recording that was made before a secret was known still holds it."""
    write(tmp_path / "kept", ask("a"), said("The word is zebra-1."))
    done = cli(
        "verify", tmp_path / "kept", "--base-url", server.url, "--yes", "--similarity", 1, "--redact", "zebra-[0-9]"
    )
    assert done.status == 1
    assert "The word is [REDACTED]." in done.out
    assert "zebra" not in done.out


@pytest.mark.parametrize(
    "value", ['[1e999, "api_key="]', "[" * TOO_DEEP + '"x"' + "]" * TOO_DEEP], ids=["huge", "deep"]
)
def test_an_answer_that_cannot_be_searched_is_not_compared(cli, tmp_path, server, value):
    """Its differences might show a secret."""
    body = msgspec.Raw(b'{"sk-test-0123456789abcdef": %b}' % value.encode())
    write(tmp_path / "kept", ask("a"), Response(body=body))
    done = cli("verify", tmp_path / "kept", "--base-url", server.url, "--yes")
    assert done.status == 2
    assert "its recorded answer cannot be searched for secrets (inferencereplay check)" in done.out


def test_a_tool_with_a_file_id_is_asked(cli, tmp_path, server):
    """A JSON schema names no file, nor does a word in a text."""
    parameters = {"type": "object", "properties": {"file_id": {"type": "string"}}}
    tools = [{"type": "function", "function": {"name": "f", "parameters": parameters}}]
    write(tmp_path / "kept", ask('"file_id": [redacted]', tools=tools), said("a"))
    assert cli("verify", tmp_path / "kept", "--base-url", server.url, "--yes").status == 1
    assert server.count == 1


def test_requests_that_change_something_are_not_asked(cli, tmp_path, server, client):
    """Neither a deletion nor a batch; and neither a file that was edited or cannot be read."""
    server.renumber(plain({"id": "m", "deleted": True}), plain({"id": "b"}), plain(completion("a")))
    with replay(tmp_path, mode="record"):
        client.models.delete("m")
        client.post("/batches", cast_to=object, body={"a": 1})
        client.chat.completions.create(**ASK)
    (chat,) = (tmp_path / "chat").rglob("*.json")
    edit(chat.parent, chat.stem, model="n")
    write(tmp_path, ask("x"), said("a")).write_text("{")
    broken = write(tmp_path, ask("y", temperature=1.5), said("a"))
    broken.write_bytes(broken.read_bytes().replace(b"1.5", b"1e999"))
    done = cli("verify", tmp_path, "--base-url", server.url, "--json")
    told = sorted(reasons(done).values())
    assert told.pop(0).startswith(str(broken.relative_to(tmp_path)))
    assert told == [
        "it may change something on the server",
        "it may change something on the server",
        "its file cannot be used (inferencereplay check)",
        "its request was edited (file it anew: inferencereplay rekey)",
    ]


def test_what_was_said_to_one_server_is_not_told_to_another(cli, kept, server, monkeypatch):
    """Unless the user names the server; the one of OPENAI_BASE_URL is asked for what was recorded from it."""
    asked = server.count
    done = cli("verify", kept, "--yes")
    assert (done.status, server.count) == (2, asked)
    assert f"4 not asked: it was recorded from {server.url} (name the server to ask: --base-url)" in done.out
    monkeypatch.setenv("OPENAI_BASE_URL", server.url + "/")
    assert cli("verify", kept, "--yes").status == 0
    assert server.count == asked + 4


def test_the_key_of_the_environment(cli, tmp_path, server, monkeypatch):
    """It is sent, and stands in no answer that is stored or compared; a server of one's own needs none."""
    write(tmp_path / "kept", ask("a"), said("Your key is [REDACTED]!"))
    key = "local-key-4711-abcdef"
    monkeypatch.setenv("OPENAI_API_KEY", key)
    server.renumber(*[plain(json.loads(bytes(said(f"Your key is {key}!").body)))] * 2)
    options = ("--base-url", server.url, "--yes", "--similarity", 1)
    assert cli("verify", tmp_path / "kept", *options).status == 0
    assert headers(server.requests[0])["authorization"] == f"Bearer {key}"
    monkeypatch.delenv("OPENAI_API_KEY")
    secret = plain(json.loads(bytes(said("Your key is zebra-1!").body)))
    server.renumber(secret, secret)
    assert cli("verify", tmp_path / "kept", *options, "--redact", "zebra-[0-9]").status == 0
    assert cli("verify", tmp_path / "kept", *options).status == 1
    assert headers(server.requests[-1])["authorization"] == "Bearer none"


def test_openai_needs_a_key(cli, tmp_path):
    """One error says what to set, and nothing is sent."""
    write(tmp_path, ask("a"), said("a"))
    done = cli("verify", tmp_path, "--base-url", "https://api.openai.com/v1", "--yes")
    assert done.status == 2
    assert done.err == (
        "Error: https://api.openai.com/v1 needs a key. Set OPENAI_API_KEY, or name another server by --base-url.\n"
    )


@pytest.mark.parametrize("url", ["ftp://a/v1", "localhost:8000", "http://[/", "http://a?b=c"])
def test_a_url_that_is_none(cli, tmp_path, url):
    """It is refused before anything is read."""
    done = cli("verify", tmp_path, "--base-url", url)
    assert done.status == 2
    assert "--base-url is no base URL" in done.err


def test_credentials_in_the_url_are_not_shown(cli, kept, server):
    """They are for the server only."""
    url = server.url.replace("//", "//ann:h1dden@")
    done = cli("verify", kept, "--base-url", url, "--yes", "--markdown")
    assert done.status == 0
    assert "h1dden" not in done.out + done.err + cli("verify", kept, "--base-url", url).out


def test_a_secret_in_the_url_is_not_shown(cli, tmp_path, server, client, monkeypatch):
    """A gateway may have one in its path; requests that were recorded there are asked there all the same."""
    url = server.url.replace("/v1", f"/{KEY}/v1")
    server.replies = [plain(completion("a"))] * 2
    with replay(tmp_path / "kept", mode="record"):
        client.with_options(base_url=url).chat.completions.create(**ASK)
    monkeypatch.setenv("OPENAI_BASE_URL", url)
    for more in ((), ("--json",), ("--yes",)):
        done = cli("verify", tmp_path / "kept", *more)
        assert KEY not in done.out + done.err
    assert server.count == 2


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--json", "--markdown"), "Give --json or --markdown, not both."),
        (("--max-cost", "1"), "--max-cost needs the prices of the models: --prices FILE."),
        (("--redact", "("), "redact"),
        (("--sample", "0"), "'--sample'"),
        (("--rate", "0"), "'--rate'"),
        (("--rate", "nan"), "Invalid value for '--rate': 'nan' is no number."),
        (("--max-cost", "nan"), "'nan' is no number."),
        (("--similarity", "2"), "'--similarity'"),
        (("--older-than", "soon"), "'soon' is no duration"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_wrong_options(cli, kept, arguments, told):
    """Each gets one error."""
    for command in ("verify", "refresh"):
        done = cli(command, kept, *arguments)
        assert done.status == 2
        assert told in done.err


def test_an_answer_that_says_nothing(cli, kept, server):
    """A passing error, a broken stream and a server that is gone are no change; the next run asks only for these."""
    before = contents(kept)
    overloaded = plain({"error": {"message": "overloaded"}}, 503, x_should_retry="false")
    cut = sse(chunk("a"), is_cut=True, is_done=False)
    names = sorted(before, key=lambda name: (name.replace("~2", ""), "~2" in name))
    is_stream = [decode(before[name], name).response.is_stream for name in names]
    server.renumber(*(cut if stream else overloaded for stream in is_stream))
    done = cli("refresh", kept, "--base-url", server.url, "--yes", "--json", "--concurrency", 1)
    assert (done.status, contents(kept)) == (2, before)
    told = sorted(item["reason"].partition(" ")[0] for item in outcomes(done).values())
    assert told == ["503", "503", "503", "RemoteProtocolError:"]
    asked = server.count
    assert cli("refresh", kept, "--base-url", server.url, "--yes").status == 0
    assert server.count == asked + 4


def test_a_home_that_cannot_be_written(cli, kept, server, tmp_path):
    """As in a container: all are asked, and where it matters it is told that another run could not go on."""
    (tmp_path / "user").write_text("")
    arguments = ("verify", kept, "--base-url", server.url, "--yes")
    done = cli(*arguments)
    assert (done.status, done.err, server.count) == (0, "", 8)
    done = cli(*arguments, "--max-requests", 1)
    assert done.err.startswith("The same command asks all again: ")
    assert done.err.endswith(".jsonl cannot be written (Not a directory).\n")


def test_it_gives_up(cli, tmp_path, server):
    """If the first requests get no answer, the others are not asked."""
    for index in range(9):
        write(tmp_path / "kept", ask(str(index)), said("a"))
    server.replies = [plain({"error": {"message": "no such key"}}, 401)] * 9
    done = cli("verify", tmp_path / "kept", "--base-url", server.url, "--yes", "--concurrency", 1)
    assert (done.status, server.count) == (2, 5)
    assert "4 not asked: the first 5 requests got no answer: " in done.out
    assert "401 no such key" in done.out
    assert done.out.splitlines()[-1] == "5 requests asked: 0 the same, 0 changed, 5 without an answer, 4 not asked"


def test_an_error_replaces_no_answer(cli, kept, server):
    """A model that is gone would otherwise take all its recordings along."""
    before = contents(kept)
    gone = plain({"error": {"message": "no model m", "code": "model_not_found"}}, 404)
    server.renumber(*[gone] * 4)
    done = cli("refresh", kept, "--base-url", server.url, "--yes")
    assert (done.status, contents(kept)) == (1, before)
    assert "m: its new answer is an error (--errors replaces it all the same)\n  status: 200 → 404" in done.out
    server.renumber(*[gone] * 4)
    assert cli("refresh", kept, "--base-url", server.url, "--yes", "--errors", "--anew").status == 0
    assert {decode(data, name).response.status for name, data in contents(kept).items()} == {404}
    server.renumber(*[plain({"error": {"message": "no"}}, 400)] * 4)
    assert cli("refresh", kept, "--base-url", server.url, "--yes").status == 0
    assert {decode(data, name).response.status for name, data in contents(kept).items()} == {400}


def test_an_answer_of_bytes(cli, kept, server, monkeypatch):
    """One in place of JSON is told, and replaces nothing; neither does one that could not be recorded."""
    before = contents(kept)
    bytes_ = Reply(headers={"content-type": "audio/mpeg"}, body=b"\xff\xfe\xfd\x00")
    answer(server, lambda body: None if body.get("stream") else bytes_)
    done = cli("refresh", kept, "--base-url", server.url, "--yes")
    assert (done.status, contents(kept)) == (2, before)
    assert done.out.count("its answer is neither JSON nor text") == 3
    monkeypatch.setattr("inferencereplay.store.directory.DirectoryStore.list", lambda _: iter(()))
    (file,) = [file for file in kept.rglob("*.json") if '"stream": true' in file.read_text()]
    monkeypatch.setattr(
        "inferencereplay.catalogue.entries.Catalogue.names", lambda _: iter((str(file.relative_to(kept)),))
    )
    assert "its answer was not recorded" in cli("verify", kept, "--base-url", server.url, "--yes", "--anew").out


def test_a_recording_of_bytes_is_not_asked(cli, tmp_path, server, client):
    """Its content is beside it."""
    server.renumber(Reply(headers={"content-type": "audio/mpeg"}, body=b"\xff\xfe\xfd\x00"))
    with replay(tmp_path, mode="record"):
        client.files.content("file-1").read()
    (reason,) = reasons(cli("verify", tmp_path, "--base-url", server.url, "--json")).values()
    assert reason == "its answer is bytes in a side file"
    assert server.count == 1


def test_limits_of_number(cli, kept, server, stopped):
    """The same command goes on where the limit stopped it, and the results of both are told together."""
    command = ("verify", kept, "--base-url", server.url, "--yes", "--max-requests", 3)
    asked = server.count
    done = cli(*command)
    assert (done.status, server.count) == (0, asked + 3)
    assert "1 not asked: --max-requests is reached: " in done.out
    assert len(stopped()) == 1
    again = cli(*command)
    assert server.count == asked + 4
    assert again.out.startswith(f"1 request to ask at {server.url} (3 more were asked in the run that was stopped)\n")
    assert again.out.splitlines()[-1] == "4 requests asked: 4 the same, 0 changed"
    assert stopped() == []
    cli(*command)
    assert server.count == asked + 7
    assert cli(*command, "--anew").status == 0
    assert server.count == asked + 10


def test_limits_of_money(cli, tmp_path, server):
    """No request is made that might pass the limit; what the others have cost counts, once it is known."""
    kept, prices = tmp_path / "kept", tmp_path / "prices.json"
    for index in range(5):
        write(kept, ask(str(index), max_tokens=3), said("a"))  # 7 tokens in and 3 out at most
    prices.write_text('{"models": {"m": {"input": 1e6, "output": 1e6}}, "currency": "EUR"}')
    server.renumber(plain(completion("a")), plain({**completion("a"), "usage": None}))  # costs 3; unknown, so 10
    command = ("verify", kept, "--base-url", server.url, "--yes", "--prices", prices, "--max-cost", 26)
    done = cli(*command)
    assert server.count == 4  # 3 + 10 + 3 + 3, and 10 more would be too much
    assert "1 not asked: --max-cost would be passed: " in done.out
    assert "cost: 9.00 EUR" in done.out
    prices.write_text('{"models": {"n": {"input": 1}}}')
    assert "has no price for m." in cli(*command).err


def test_a_rate(cli, kept, server):
    """Requests start no faster than it says."""
    start = time.monotonic()
    assert cli("verify", kept, "--base-url", server.url, "--yes", "--rate", 20).status == 0
    assert time.monotonic() - start >= 3 / 20


def test_samples(cli, tmp_path, server):
    """The same seed gives the same requests."""
    for index in range(20):
        write(tmp_path / "kept", ask(str(index)), said("a"))

    def sampled(*seed):
        command = ("verify", tmp_path / "kept", "--base-url", server.url, "--yes", "--sample", 4, "--json")
        return [*outcomes(cli(*command, *seed))]

    first = sampled()
    assert len(first) == 4
    assert sampled() == first != sampled("--seed", 1)
    assert (
        len(outcomes(cli("verify", tmp_path / "kept", "--base-url", server.url, "--yes", "--sample", 99, "--json")))
        == 20
    )


def test_filters(cli, tmp_path, server):
    """By model, path and age; the younger date counts."""
    write(tmp_path, ask("a"), said("a"), at="2026-01-01T00:00:00Z")
    write(tmp_path, {**ask("b"), "model": "n"}, said("a"), at="2099-01-01T00:00:00Z")
    write(tmp_path, {"model": "n", "input": "a"}, answered({}), path="/embeddings", at="2026-01-01T00:00:00Z")

    def planned(*options):
        return json.loads(cli("verify", tmp_path, "--base-url", server.url, "--json", *options).out)["plan"]["requests"]

    assert planned() == 3
    assert planned("--model", "n") == 2
    assert planned("--model", "n", "--path", "*/completions") == 1
    assert planned("--older-than", "1d") == 2
    assert planned("--older-than", "1d", "--until", "2025-12-31") == 0


def test_an_interrupt_leaves_all_in_order(cli, tmp_path, server, stopped):
    """A second run goes on: what was replaced, and what was the same, is not asked again."""
    kept = tmp_path / "kept"
    for index in range(8):
        write(kept, ask(str(index)), said("x" * 100 if index % 2 else "x"))

    def interrupt(_):
        if server.count == 5:
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.3)

    answer(server, interrupt)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    command = ("refresh", kept, "--base-url", server.url, "--yes", "--concurrency", 1, "--ignore-field", "*")
    try:
        done = cli(*command)
    finally:
        signal.signal(signal.SIGINT, before)
    assert done.status == 130
    assert done.err == "Stopped: 4 of 8 were asked. The same command goes on with the others.\n"
    assert len(stopped()) == 1
    assert [file for file in kept.rglob("*") if file.is_file() and file.suffix != ".json"] == []
    again = cli(*command)
    assert (again.status, server.count) == (0, 5 + 4)
    assert again.out.splitlines()[-1] == "8 requests asked: 4 the same, 4 changed, 4 replaced"
    assert stopped() == []
    assert cli("check", kept).status == 0


def test_a_file_that_was_changed_meanwhile_stays(cli, kept, server):
    """Somebody has edited it, or removed it, while the server answered; one is written over by nobody."""

    def meddle(body):
        for file in kept.rglob("*.json"):
            file.write_text("{}" if "stream" in file.read_text() else file.read_text().replace('"answer', '"edited'))
        return sse(chunk("a" * 99)) if body.get("stream") else completion("a" * 99)

    answer(server, meddle)
    done = cli("refresh", kept, "--base-url", server.url, "--yes", "--json", "--concurrency", 9)
    assert done.status == 1
    assert {item["reason"] for item in outcomes(done).values()} == {"its file was changed while it was asked"}
    assert {text[:6] for text in texts_of(kept)} == {"edited"}


def texts_of(directory):
    files = [file for file in directory.rglob("*.json") if file.read_text() != "{}"]
    return [json.loads(file.read_text())["response"]["body"]["choices"][0]["message"]["content"] for file in files]


def test_a_file_that_is_gone_before_its_turn(cli, kept, server):
    """It is told, and the others are asked."""

    def remove(_):
        for file in kept.rglob("*~2.json"):
            file.unlink()

    answer(server, remove)
    done = cli("verify", kept, "--base-url", server.url, "--yes", "--concurrency", 1)
    assert done.status == 2
    assert "3 the same" in done.out


def test_folders_of_recordings_are_refreshed_in_their_places(cli, kept, tmp_path, server):
    """Below a directory that holds several, also a file that is not in the place of its key."""
    (tmp_path / "suite").mkdir()
    shutil.move(kept, tmp_path / "suite" / "test_a")
    lost = tmp_path / "suite" / "elsewhere"
    lost.mkdir()
    (second,) = (tmp_path / "suite").rglob("*~2.json")
    shutil.copy(second.with_name(second.name.replace("~2", "")), lost)
    before = {name: decode(data, name).key for name, data in contents(tmp_path / "suite").items()}
    server.renumber(*[Reply(404, body=b"{}")] * 9)
    assert cli("refresh", tmp_path / "suite", "--base-url", server.url, "--yes", "--errors").status == 0
    after = {name: decode(data, name) for name, data in contents(tmp_path / "suite").items()}
    assert {name: recording.key for name, recording in after.items()} == before
    assert {recording.response.status for recording in after.values()} == {404}


def test_a_folder_that_cannot_be_written(cli, kept, server, monkeypatch):
    """One error says where, and the old file is there."""
    before = contents(kept)

    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied", "kept")

    monkeypatch.setattr("inferencereplay.store.folder_files.FolderFiles.replace", refuse)
    server.renumber(*[plain(completion("a" * 99))] * 4)
    done = cli("refresh", kept, "--base-url", server.url, "--yes", "--path", "/chat")
    assert (done.status, done.err, contents(kept)) == (2, "Error: kept: Permission denied.\n", before)


def test_directories_of_llama_stack(cli, tmp_path, server):
    """`verify` reads them, whatever their files are called; `refresh` refuses."""
    shutil.copytree(GIVEN, tmp_path / "given")
    before = contents(tmp_path / "given")
    done = cli("verify", tmp_path / "given", "--base-url", server.url, "--yes", "--json")
    assert done.status in (1, 2)
    assert len(outcomes(done)) + len(reasons(done)) == len([*GIVEN.rglob("*.json")])
    assert server.count >= len(outcomes(done)) > 0
    refused = cli("refresh", tmp_path / "given", "--base-url", server.url, "--yes")
    assert refused.status == 2
    assert "is llama-stack's, and its files are never written. `verify` reads them." in refused.err
    assert contents(tmp_path / "given") == before
    assert "it does not say which server it was recorded from" in cli("verify", tmp_path / "given").out


def test_azure(cli, tmp_path, server, monkeypatch):
    """A request that names the version of Azure's API is sent as Azure wants it."""
    azure = {"azure_endpoint": server.url.removesuffix("/v1"), "api_version": "2026-01-01", "api_key": "k" * 20}
    with openai.AzureOpenAI(**azure) as client, replay(tmp_path / "kept", mode="record"):
        client.chat.completions.create(**ASK)
    monkeypatch.setenv("AZURE_OPENAI_API_KEY", "a" * 20)
    monkeypatch.setenv("AZURE_OPENAI_ENDPOINT", azure["azure_endpoint"])
    done = cli("verify", tmp_path / "kept", "--base-url", f"{azure['azure_endpoint']}/openai", "--yes")
    assert done.status == 0
    one, two = server.requests
    assert (one[1], one[3]) == (two[1], two[3])
    assert headers(two)["api-key"] == "a" * 20
    monkeypatch.setenv("OPENAI_BASE_URL", f"{azure['azure_endpoint']}/openai")
    assert "1 not asked: it is for Azure (name the server to ask: --base-url)" in cli("verify", tmp_path / "kept").out


def test_the_key_of_azure_is_for_azure(cli, tmp_path, server, monkeypatch):
    """A file that somebody else wrote names a version of Azure's API, and another server gets its own key only."""
    write(tmp_path / "kept", ask("a"), said("a"), **{"api-version": "2026-01-01"})
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("AZURE_OPENAI_API_KEY", "a" * 20)
    monkeypatch.setenv("AZURE_OPENAI_AD_TOKEN", "t" * 20)
    monkeypatch.setenv("AZURE_OPENAI_ENDPOINT", "https://a.example")
    cli("verify", tmp_path / "kept", "--base-url", server.url, "--yes")
    (request,) = server.requests
    assert request[1].endswith("/chat/completions?api-version=2026-01-01")
    assert headers(request)["authorization"] == f"Bearer {KEY}"
    assert not {"a" * 20, "t" * 20} & {value.removeprefix("Bearer ") for value in headers(request).values()}


@pytest.mark.parametrize(
    ("url", "is_azure"),
    [
        ("https://me.openai.azure.com/openai", True),
        ("https://me.azure-api.net", True),
        ("https://openai.azure.com.example/v1", False),
        ("https://azure.com@a.example/v1", False),
    ],
)
def test_the_hosts_of_azure(monkeypatch, url, is_azure):
    """By the end of the name."""
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    assert LiveServer(url)._is_azure == is_azure


def test_the_environment_of_sessions_does_not_count(cli, kept, server, monkeypatch):
    """What a program's sessions let through is recorded here; their invalid settings are not read."""
    others = {"IGNORE": "messages[0]", "NORMALIZE": "nothing", "FAULTS": "nothing", "ONLY": "/models"}
    for name, value in {"MODE": "replay", "TEST_ID": "a", "LIVE": "/chat/completions", **others}.items():
        monkeypatch.setenv(f"INFERENCEREPLAY_{name}", value)
    assert cli("verify", kept, "--base-url", server.url, "--yes").status == 0


def test_secrets_of_the_environment(cli, tmp_path, server, monkeypatch):
    """The pattern of sessions counts for the recorded answer too, whose file may be older than the pattern."""
    write(tmp_path / "kept", ask("a"), said("it is internal-1234"))
    answer(server, lambda _: json.loads(bytes(said("it is internal-1234").body)))
    monkeypatch.setenv("INFERENCEREPLAY_REDACT", r"internal-\d+")
    done = cli("verify", tmp_path / "kept", "--base-url", server.url, "--yes", "--similarity", 1, "--json")
    assert "internal" not in done.out
    assert "text, similarity 0" not in done.out


def test_schemas_need_their_library(cli, tmp_path, server, monkeypatch):
    """Nothing is asked that could not be checked."""
    schema = {"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "object"}}}
    write(tmp_path, ask("a", response_format=schema), said("{}"))
    monkeypatch.setattr("inferencereplay.verification.schemas.find_spec", lambda _: None)
    done = cli("verify", tmp_path, "--base-url", server.url, "--yes")
    assert done.status == 2
    assert "pip install 'inferencereplay[verify]'" in done.err
    assert server.count == 0
    monkeypatch.undo()
    assert cli("verify", tmp_path, "--base-url", server.url).status == 2


def test_markdown(cli, kept, server):
    """A table of what changed, in which no answer of a server is Markdown or HTML."""
    write(kept, ask("gone"), left())
    answer(server, lambda body: completion("x", model="<b>|[a](b)@ann") if body == ASK else None)
    done = cli("refresh", kept, "--base-url", server.url, "--yes", "--markdown")
    lines = done.out.splitlines()
    assert lines[0] == "### inferencereplay refresh"
    assert lines[2].startswith("4 asked, ")
    assert lines[2].endswith("1 not asked.")
    assert any(line.endswith(r"| `m` | model | `m` | `<b>\|[a](b)@ann` |") for line in lines)
    assert "| not asked | reason | recordings |" in lines
    server.renumber(*[Reply(500, {"x-should-retry": "false"}, b"{}")] * 4)
    failed = cli("verify", kept, "--base-url", server.url, "--yes", "--markdown")
    assert "| no answer | model | reason |" in failed.out


def test_markdown_of_many(cli, tmp_path, server):
    """A comment has room for so many lines."""
    for index in range(120):
        write(tmp_path / "kept", ask(str(index)), said("a"))
    done = cli(
        "verify", tmp_path / "kept", "--base-url", server.url, "--yes", "--markdown", "--path", "/chat/completions"
    )
    assert done.status == 1
    assert "\n… and " in done.out
    assert len(done.out.splitlines()) < 120


def test_progress(cli, kept, server, monkeypatch):
    """A terminal has a bar while requests are asked."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    done = cli("verify", kept, "--base-url", server.url, "--yes")
    assert done.status == 0
    assert "asking" in done.err
    assert "4/4" in done.err
    assert "asking" not in done.out


def test_many_at_once(cli, tmp_path, server):
    """Hundreds of requests, variants among them, each with its own answer."""
    kept = tmp_path / "kept"
    for index in range(150):
        write(kept, ask(str(index)), said("a"))
    answer(server, lambda body: json.loads(bytes(said(f"{body['messages'][0]['content']} " * 60).body)))
    done = cli("refresh", kept, "--base-url", server.url, "--yes", "--concurrency", 20)
    assert (done.status, server.count) == (0, 150)
    for name, data in contents(kept).items():
        recording = decode(data, name)
        (asked,) = json.loads(bytes(recording.request.body))["messages"]
        text = json.loads(bytes(recording.response.body))["choices"][0]["message"]["content"]
        assert text.split()[0] == asked["content"]
