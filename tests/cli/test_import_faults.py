"""`import`: cassettes of other serializers, other services' calls, and files that take more than there is."""

from __future__ import annotations

import gzip
import json
import os
import zlib

import brotli
import openai
import pytest
import yaml

from inferencereplay import replay
from inferencereplay.catalogue.entries import Catalogue
from inferencereplay.conversion.cassettes import documents, exchange

CHAT = "https://api.openai.com/v1/chat/completions"
ASKED = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}
ANSWER = {"object": "chat.completion", "choices": [{"index": 0, "message": {"role": "assistant", "content": "Ho"}}]}
WAY_OUT = "A serializer of its own may have written the file: load it with that, and save it with VCR.py's own"


BODY, TEXT = json.dumps(ASKED), json.dumps(ANSWER)


def interaction(method="POST", uri=CHAT, body=BODY, status=200, answer=TEXT, sent=None):
    """Return one call as VCR.py writes it."""
    return {
        "request": {"method": method, "uri": uri, "body": body, "headers": sent or {}},
        "response": {
            "status": {"code": status},
            "headers": {"Content-Type": ["application/json"]},
            "body": {"string": answer},
        },
    }


@pytest.fixture
def take(cli, tmp_path):
    """Import calls that stand in one cassette."""

    def take(*interactions, name="c.json", maker="vcr", document=None):
        document = {"interactions": interactions} if document is None else document
        text = json.dumps(document) if ".json" in name else yaml.safe_dump(document)
        data = text.encode()
        (tmp_path / name).write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
        return cli("import", maker, tmp_path / name, tmp_path / "out")

    return take


@pytest.fixture
def recorded(tmp_path):
    """Return what was imported."""
    return lambda: [entry.recording for entry in Catalogue(tmp_path / "out").entries()]


def ask(directory, **more):
    with replay(directory):
        return openai.OpenAI(max_retries=0).chat.completions.create(**ASKED, **more)


@pytest.mark.parametrize(
    "call",
    [
        "POST https://generativelanguage.googleapis.com/v1beta/models/gemini-2.5-pro:generateContent",
        "POST https://generativelanguage.googleapis.com/v1/models/gemini-2.5-pro:streamGenerateContent",
        "GET https://generativelanguage.googleapis.com/v1beta/models",
        "GET https://generativelanguage.googleapis.com/v1beta/files/abc",
        "POST https://generativelanguage.googleapis.com/v1beta/models/gemini-embedding-001:batchEmbedContents",
        "POST https://aiplatform.googleapis.com/v1beta1/projects/p/locations/l/publishers/google/models/m:predict",
        "POST https://api.cohere.com/v1/chat",
        "POST https://api.cohere.com/v2/chat",
        "GET https://api.cohere.com/v1/models",
        "POST https://api.anthropic.com/v1/messages",
        "DELETE https://api.anthropic.com/v1/files/file_1",
        "POST https://api.replicate.com/v1/models/owner/name/predictions",
        "POST https://router.huggingface.co/v1/models/gpt2",
        "POST https://x.org/v1/images/convert",
        "POST https://x.org/v1/audio/isolation",
        "GET https://x.org/v1/embeddings",
    ],
)
def test_other_services_calls_are_listed(take, call):
    """Also where their paths begin like those of the OpenAI API."""
    method, uri = call.split()
    done = take(interaction(method, uri))
    reason = "it is no call of the OpenAI API, judging by its URL (if it is one, give --base-url)"
    assert done.out == f"not imported  c.json {call}: {reason}\n"
    assert done.err.endswith(": 1 not imported.\n")


@pytest.mark.parametrize(
    "call",
    [
        "POST https://generativelanguage.googleapis.com/v1beta/openai/chat/completions",
        "GET https://generativelanguage.googleapis.com/v1beta/openai/models",
        "POST https://api.anthropic.com/v1/chat/completions",
        "POST https://x.org/v1beta/responses",
        "GET https://x.org/v1/models/meta-llama/Llama-3",
        "DELETE https://api.openai.com/v1/models/ft:gpt-4o-mini:acme::abc",
        "GET https://api.openai.com/v1/chat/completions/chatcmpl-1/messages",
        "POST https://api.openai.com/v1/vector_stores/vs_1/search",
        "POST https://api.openai.com/v1/images/generations",
        "POST https://api.openai.com/v1/audio/speech",
    ],
)
def test_calls_of_the_api_are_imported(take, call):
    """Whatever the server, as long as the method and the path are the API's."""
    assert take(interaction(*call.split())).err.endswith(": 1 imported.\n")


@pytest.mark.parametrize("name", ["c.yaml", "c.yaml.gz", "c.yml.gz", "c.json.gz"])
def test_parsed_bodies_of_pydantic_ai(take, tmp_path, name):
    """Its serializer keeps JSON as `parsed_body`, which counts before `body`."""
    call = interaction(body="", answer="")
    call["request"]["parsed_body"], call["response"]["parsed_body"] = ASKED, ANSWER
    assert take(call, name=name).status == 0
    assert ask(tmp_path / "out").choices[0].message.content == "Ho"


def test_a_null_for_a_parsed_body(take, tmp_path):
    """Is none, as it is for pydantic-ai."""
    call = interaction()
    call["request"]["parsed_body"] = call["response"]["parsed_body"] = None
    assert take(call).status == 0
    assert ask(tmp_path / "out").choices[0].message.content == "Ho"


def test_bodies_that_aiohttp_was_given_as_json(take, tmp_path):
    """VCR.py keeps them as they are."""
    assert take(interaction(body=ASKED)).status == 0
    assert ask(tmp_path / "out").choices[0].message.content == "Ho"


def langchain(uri="**REDACTED**", method="POST", answers=(TEXT,)):
    """Return a cassette as LangChain's serializer writes it: two lists, and URLs and headers left out."""
    calls = [interaction(method, uri, answer=answer) for answer in answers]
    for call in calls:
        call["response"]["headers"] = {"content-type": ["**REDACTED**"], "content-encoding": ["**REDACTED**"]}
    return {"requests": [call["request"] for call in calls], "responses": [call["response"] for call in calls]}


def event(value):
    return f"data: {json.dumps(value)}\n\n"


@pytest.mark.parametrize(
    ("answer", "path", "kind"),
    [
        (TEXT, "/chat/completions", "application/json"),
        (event({"object": "chat.completion.chunk"}), "/chat/completions", "text/event-stream"),
        (json.dumps({"object": "text_completion"}), "/completions", "application/json"),
        (json.dumps({"id": "r", "object": "response"}, indent=1), "/responses", "application/json"),
        (event({"type": "response.created", "response": {"object": "response"}}), "/responses", "text/event-stream"),
        (json.dumps({"object": "list", "data": [{"object": "embedding"}]}), "/embeddings", "application/json"),
    ],
)
def test_urls_that_langchain_left_out(take, recorded, answer, path, kind):
    """The answer tells the path by its object; a content type that was left out as well is put back."""
    assert take(document=langchain(answers=[answer]), name="c.yaml.gz").status == 0
    (made,) = recorded()
    assert (made.request.path, made.response.headers["content-type"]) == (path, kind)


def test_langchains_cassettes_replay(take, tmp_path):
    """With both answers to one request."""
    second = TEXT.replace("Ho", "Hu")
    assert take(document=langchain(answers=[TEXT, second]), name="c.yaml.gz").status == 0
    with replay(tmp_path / "out"):
        create = openai.OpenAI().chat.completions.with_raw_response.create
        assert [create(**ASKED).parse().choices[0].message.content for _ in range(2)] == ["Ho", "Hu"]


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        (langchain(answers=['{"type": "message"}']), "its URL was left out, and its answer is no object of the OpenAI"),
        (langchain(answers=[r'{"text": "{\"object\": \"response\"}"}']), "its URL was left out"),
        (langchain(method="GET"), "its URL was left out"),
        ({**langchain(), "responses": []}, "c.json: it has 1 requests and 0 responses"),
        ({**langchain(), "responses": 1}, "c.json: it is no cassette: it has no list of interactions"),
        ({"responses": []}, "c.json: it is no cassette: it has no list of interactions"),
        ([], "c.json: it is no cassette: it has no list of interactions"),
    ],
)
def test_what_cannot_be_told_of_two_lists(take, document, reason):
    """Is listed."""
    done = take(document=document)
    assert reason in done.out
    assert done.err.endswith(": 1 not imported.\n")


@pytest.mark.parametrize("status", [401, 408, 429, 503])
def test_errors_that_pass_are_kept(take, tmp_path, status):
    """A cassette that holds one is about it."""
    assert take(interaction(status=status)).err.endswith(": 1 imported.\n")
    with pytest.raises(openai.APIStatusError) as caught:
        ask(tmp_path / "out")
    assert caught.value.status_code == status


@pytest.mark.parametrize("counts", [(None, None, None), ("0", "1", "2")])
def test_attempts_that_the_sdk_repeated(take, recorded, counts):
    """Reached nobody: the last attempt's answer is the call's, and counts them."""
    sent = [{} if count is None else {"x-stainless-retry-count": [count]} for count in counts]
    calls = [interaction(status=status, sent=headers) for status, headers in zip((429, 503, 200), sent, strict=True)]
    done = take(*calls, interaction(uri="https://api.openai.com/v1/embeddings"))
    assert done.err.endswith(": 2 imported, 2 repeated by the SDK.\n")
    assert done.status == 0
    assert {made.request.path: (made.response.status, made.response.retries) for made in recorded()} == {
        "/chat/completions": (200, 2),
        "/embeddings": (200, 0),
    }


@pytest.mark.parametrize(
    "calls",
    [
        pytest.param([interaction(status=429), interaction(sent={"X-Stainless-Retry-Count": "0"})], id="two calls"),
        pytest.param([interaction(status=404), interaction()], id="no attempt after a 404"),
        pytest.param([interaction(status=429), interaction(body="{}")], id="another request"),
        pytest.param([interaction(status=429), interaction(answer='{"a":1}', status=200, uri=f"{CHAT}/c")], id="path"),
    ],
)
def test_errors_that_were_not_repeated(take, calls):
    """Stay, each with its own recording."""
    assert take(*calls).err.endswith(": 2 imported.\n")


def without(path, call=None):
    """Return a call without one of its members."""
    call = call or interaction()
    *outer, last = path.split(".")
    holder = call
    for name in outer:
        holder = holder[name]
    del holder[last]
    return call


def with_(path, value):
    call = interaction()
    *outer, last = path.split(".")
    holder = call
    for name in outer:
        holder = holder[name]
    holder[last] = value
    return call


@pytest.mark.parametrize(
    ("call", "reason"),
    [
        *(
            (without(path), f"it has no member {path}")
            for path in (
                *("request", "request.method", "request.uri", "request.body"),
                *("response", "response.status", "response.status.code", "response.headers", "response.body"),
            )
        ),
        (with_("request", 7), "its member request cannot be 7"),
        (with_("request.body", 7), "its member request.body cannot be 7"),
        (with_("request.parsed_body", "\ud800"), r"its member request.parsed_body cannot be '\ud800'"),
        (with_("request.uri", "\ud800"), r"its member request.uri cannot be '\ud800'"),
        (with_("request.body", "\ud800"), r"its member request.body cannot be '\ud800'"),
        (with_("response.status", 200), "it has no member response.status.code"),
        (with_("response.status.code", "x" * 99), f"its member response.status.code cannot be '{'x' * 59}…"),
        (with_("response.status.code", None), "its member response.status.code cannot be None"),
        (with_("response.body", "text"), "it has no member response.body.string"),
        (with_("response.body.string", True), "its member response.body.string cannot be True"),
        (with_("response.headers", []), "its member response.headers cannot be []"),
        (with_("response.headers.x", "\ud800"), "its member headers cannot be"),
    ],
)
def test_a_member_that_cannot_be_used_is_named(take, call, reason):
    """With what to do about it; the other calls are imported."""
    done = take(call, interaction())
    assert done.out.startswith(f"not imported  c.json: interaction 1 is not as vcr writes them: {reason}")
    assert done.out.endswith(f". {WAY_OUT}\n")
    assert done.err.endswith(": 1 imported, 1 not imported.\n")


def test_calls_with_one_fault_are_named_together(take):
    """A serializer that writes otherwise does so in every call of a cassette."""
    calls = [without("request.uri") for _ in range(3)]
    done = take(interaction(), *calls, without("response"), interaction())
    assert done.out.splitlines() == [
        f"not imported  c.json: {which} not as vcr writes them: it has no member {member}. {WAY_OUT}"
        for which, member in (("interactions 2 to 4 are", "request.uri"), ("interaction 5 is", "response"))
    ]


@pytest.mark.parametrize("number", ["1e400", "-1e400", "NaN", "[]"])
def test_a_status_that_is_no_number(cli, tmp_path, number):
    """Is named as such, in JSON and in YAML, for both makers."""
    for maker, status in (("vcr", f'{{"code": {number}}}'), ("cassetter", number)):
        text = json.dumps({"interactions": [interaction()]}).replace('{"code": 200}', status)
        text = text.replace(f'"body": {json.dumps(json.dumps(ASKED))}', '"body": {"type": "none"}')
        for name in ("c.json", "c.yaml"):
            (tmp_path / name).write_text(text.replace("1e400", ".inf") if name == "c.yaml" else text)
            done = cli("import", maker, tmp_path / name, tmp_path / "out")
            place = "response.status.code" if maker == "vcr" else "response.status"
            assert f"its member {place} cannot be " in done.out
            assert done.out.count("\n") == 1


def cassetter(**changes):
    """Return one call as cassetter writes it."""
    call = {
        "request": {"method": "POST", "uri": CHAT, "body": {"type": "json", "content": ASKED}},
        "response": {"status": 200, "headers": {}, "body": {"type": "json", "content": ANSWER}},
        "recorded_at": "2026-11-01T10:00:00Z",
    }
    call["response"] |= changes
    return call


@pytest.mark.parametrize("at", ["0001-01-01T00:00:00+23:00", "9999-12-31T23:00:00-23:00", "no time", "Mon, 1 2"])
def test_a_time_at_the_end_of_the_calendar(take, recorded, at):
    """Or that is none does not matter."""
    assert take({**cassetter(), "recorded_at": at}, maker="cassetter").status == 0
    assert len(recorded()) == 1


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({"type": "binary", "content": "xx"}, "its member response.body.content cannot be 'xx'"),
        ({"type": "binary", "content": 7}, "its member response.body.content cannot be 7"),
        ({"type": "text", "content": "\ud800"}, r"its member response.body.content cannot be '\ud800'"),
        ({"content": "xx"}, "it has no member response.body.type"),
    ],
)
def test_bodies_that_cassetter_does_not_write(take, body, reason):
    """Are named; what to do is to record them again."""
    done = take(cassetter(body=body), maker="cassetter")
    assert f"{reason}. Record it again with cassetter\n" in done.out


def test_yaml_values_that_json_has_not(cli, tmp_path):
    """Bytes and dates in a parsed body are no JSON, and NaN is none either."""
    for value, reason in (("!!binary aGk=", "its member request.parsed_body cannot be {'a': b'hi'}"), (".nan", "JSON")):
        call = yaml.safe_dump({"interactions": [with_("request.parsed_body", {"a": "VALUE"})]})
        (tmp_path / "c.yaml").write_text(call.replace("VALUE", value))
        assert reason in cli("import", "vcr", tmp_path / "c.yaml", tmp_path / "out").out


def small(monkeypatch, limit):
    """Let so many bytes be the most that is read."""
    for module in (documents, exchange):
        monkeypatch.setattr(module, "LARGEST", limit)


PACKERS = {
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "br": brotli.compress,
    "gzip, br": lambda data: brotli.compress(gzip.compress(data)),
    "br, gzip": lambda data: gzip.compress(brotli.compress(data)),
}


@pytest.mark.parametrize("encoding", PACKERS)
def test_an_answer_that_unpacks_to_very_much(cli, tmp_path, monkeypatch, encoding):
    """A few kilobytes that become many megabytes are refused as soon as they are too many."""
    small(monkeypatch, 100_000)
    block = PACKERS[encoding](b" " * 10_000_000)
    call = interaction(answer=block)
    call["response"]["headers"]["Content-Encoding"] = [encoding]
    (tmp_path / "c.yaml").write_text(yaml.safe_dump({"interactions": [call]}))
    done = cli("import", "vcr", tmp_path / "c.yaml", tmp_path / "out")
    assert ": its answer has more than 100,000 bytes when it is unpacked (" in done.out
    assert done.err.endswith(": 1 not imported.\n")


def test_a_cassette_that_unpacks_to_very_much(cli, tmp_path, monkeypatch):
    """Is refused, and one that is no gzip, or ends early."""
    small(monkeypatch, 10_000)
    whole = gzip.compress(b" " * 10_001)
    for name, data in {"large": whole, "torn": whole[:-9], "odd": b"x", "bad": whole[:12] + b"\xff" * 9}.items():
        (tmp_path / f"{name}.yaml.gz").write_bytes(data)
    lines = cli("import", "vcr", tmp_path, tmp_path / "out").out.splitlines()
    assert lines[1] == "not imported  large.yaml.gz: it has more than 10,000 bytes when it is unpacked"
    for line in (lines[0], *lines[2:]):
        assert "it is said to be compressed with gzip, and is not: " in line


def test_a_cassette_that_is_very_large(cli, tmp_path):
    """A sparse file takes no room on the disk, and would take all of the memory."""
    (tmp_path / "c.json").touch()
    os.truncate(tmp_path / "c.json", 200_000_000_000)
    done = cli("import", "vcr", tmp_path, tmp_path / "out")
    reason = "it has 200,000,000,000 bytes, and at most 256,000,000 are read"
    assert done.out == f"not imported  c.json: {reason}\n"


@pytest.mark.parametrize("name", ["cassette", "a.yaml.gz", "b.json"])
def test_directories_of_their_own_are_named_like_the_cassettes(cli, tmp_path, name):
    """Without the end of the name, if it has one."""
    data = yaml.safe_dump({"interactions": [interaction()]}).encode()
    data = json.dumps({"interactions": [interaction()]}).encode() if name == "b.json" else data
    (tmp_path / name).write_bytes(gzip.compress(data) if name.endswith("gz") else data)
    assert cli("import", "vcr", tmp_path / name, tmp_path / "out", "--separate").status == 0
    assert [file.name for file in (tmp_path / "out").iterdir()] == [name.partition(".")[0]]


def test_names_that_forge_a_line(cli, tmp_path):
    """A new line in a file's name or in a URL starts no line of the list."""
    (tmp_path / "a\nimported b.json").write_text(json.dumps({"interactions": [interaction(uri="http://x\n\x1b[2Jy")]}))
    (line,) = cli("import", "vcr", tmp_path, tmp_path / "out").out.splitlines()
    assert line.startswith("not imported  a␊imported b.json POST http://x␊␛[2Jy: ")
