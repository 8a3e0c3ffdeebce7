"""`import` and `export`."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import sys
import zlib
from collections import Counter
from pathlib import Path

import brotli
import openai
import pytest
import yaml
from editing import TOO_DEEP, edit

from inferencereplay import replay
from inferencereplay.catalogue.entries import Catalogue
from inferencereplay.conversion.cassettes.exchange import Unconvertible
from inferencereplay.conversion.cassettes.interactions import read_cassette
from inferencereplay.recording.format import encode
from inferencereplay.sdk.capture import ResponseCapture

HTTP = next(base.__module__ for base in openai.DefaultHttpxClient.__mro__ if base.__name__ == "Client")
"""The HTTP library of the SDK."""
GIVEN = Path(__file__).parents[1] / "recordings" / "llama_stack"
CASSETTES = Path(__file__).parents[1] / "recordings" / "cassettes"
STORY, CAPITAL = "40fcf34a", "1c45e93e"
SOURCES = [("vcr", "vcr.yaml"), ("cassetter", "cassetter.yaml"), ("cassetter", "cassetter.toml")]
TRICKY = [
    *("yes", "on", "2026-01-01", "1_000", "0o17", "1e3", "12:30:45", "null", "~", "0x1F", ".5", "1.", " pad "),
    *("multi\nline\n", "\u0085x", "é\u2028", 1e-7, 1e22, 12345678901234567890123, True, None, "true", "#c", "- a"),
    *("a: b", "", "'", '"', "\t", "=", "<<", "!!x", "&a", "*a", "%d", "@x", "`"),
]
"""Values that a YAML reader of the wrong version, or one that is careless, takes for something else."""


def entries(directory):
    return list(Catalogue(directory).entries())


def exchange(**changes):
    """Return an interaction as VCR.py writes it."""
    made = {
        "request": {
            "method": "POST",
            "uri": "https://api.openai.com/v1/chat/completions",
            "body": '{"model":"m","messages":[{"role":"user","content":"Hi"}]}',
            "headers": {},
        },
        "response": {"status": {"code": 200}, "headers": {"Content-Type": ["application/json"]}},
    }
    made["response"]["body"] = {"string": '{"choices":[{"index":0,"message":{"role":"assistant","content":"Ho"}}]}'}
    for name, value in changes.items():
        place = "request" if name in ("method", "uri", "body") else "response"
        made[place][{"string": "body", "code": "status"}.get(name, name)] = (
            {"string": value} if name == "string" else {"code": value} if name == "code" else value
        )
    return made


def cassette(folder, *interactions, name="c.json", **more):
    folder.mkdir(exist_ok=True)
    file = folder / name
    file.write_text(json.dumps({"version": 1, "interactions": list(interactions), **more}))
    return file


def deep_recording(depth):
    """Return a file of ours whose request is nested so deeply."""
    head = f'{{"inferencereplay":1,"key":"{0:064x}","request":{{"method":"POST","path":"/x","body":'
    return f'{head}{"[" * depth}"api_key="{"]" * depth}}},"response":{{"text":""}}}}'


@pytest.mark.parametrize(("maker", "name"), SOURCES)
def test_real_cassettes_replay_as_they_were_recorded(cli, tmp_path, maker, name):
    """Calls that VCR.py and cassetter recorded of a real client are answered alike, offline."""
    done = cli("import", maker, CASSETTES / name, tmp_path)
    assert done.status == 1
    assert done.err == f"{tmp_path}: 10 imported, 1 not imported.\n"
    assert "/v1/nothing: it is no call of the OpenAI API" in done.out
    text = "".join(file.read_text(encoding="utf-8") for file in tmp_path.rglob("*.json"))
    assert "sk-test" not in text
    assert "c00kie" not in text
    with replay(tmp_path):
        client = openai.OpenAI()

        def ask(content, **more):
            return client.chat.completions.create(model="m", messages=[{"role": "user", "content": content}], **more)

        assert ask("Grüße", temperature=0).choices[0].message.content == "answer 1"
        assert [chunk.choices[0].delta.content for chunk in ask("Hi", stream=True)] == ["answer 2", " and more", None]
        assert [ask("zip").choices[0].message.content for _ in range(2)] == ["zipped", "answer 8"]
        assert client.embeddings.create(model="m", input="x").data[0].embedding == [0.25, -1.0, 4]
        assert [model.id for model in client.models.list()] == ["answer 5"]
        strange = ask("2026-01-01", seed=12345678901234567890)
        sound = client.post("/audio/speech", cast_to=openai.HttpxBinaryResponseContent, body={"a": 1})
        assert sound.content == bytes(range(256))
        with pytest.raises(openai.NotFoundError):
            client.files.list()
    expected = TRICKY if maker == "vcr" else [*TRICKY[:18], 1.2345678901234568e22, *TRICKY[19:]]
    assert strange.tricky == expected
    for entry in entries(tmp_path):
        assert entry.recorded_at.year == 2026
        assert entry.recording.recorded.base_url.startswith("http://127.0.0.1:")
        assert entry.conversation.timing.offsets == ()
        assert entry.conversation.timing.total is None
    assert cli("check", tmp_path).status == 0


@pytest.mark.parametrize(("maker", "name"), [("cassetter", "vcr.yaml"), ("vcr", "cassetter.yaml")])
def test_a_cassette_of_the_other_maker(cli, tmp_path, maker, name):
    """Is told for the file as a whole, with the command that takes it over."""
    done = cli("import", maker, CASSETTES / name, tmp_path)
    reason = f"it is a cassette of another maker: inferencereplay import {name.partition('.')[0]}"
    assert done.out == f"not imported  {name}: {reason}\n"


def test_importing_again_changes_nothing(cli, tmp_path):
    """What is there is left as it is."""
    cli("import", "vcr", CASSETTES / "vcr.yaml", tmp_path)
    before = {file: file.read_bytes() for file in tmp_path.rglob("*.json")}
    done = cli("import", "vcr", CASSETTES / "vcr.yaml", tmp_path)
    assert done.err == f"{tmp_path}: 10 there already, 1 not imported.\n"
    assert {file: file.read_bytes() for file in tmp_path.rglob("*.json")} == before


def test_json_cassettes_of_vcr(cli, tmp_path):
    """VCR.py's other format."""
    document = yaml.safe_load((CASSETTES / "vcr.yaml").read_text(encoding="utf-8"))
    plain = [item for item in document["interactions"] if isinstance(item["response"]["body"]["string"], str)]
    (tmp_path / "c.json").write_text(json.dumps({"interactions": plain, "version": 1}))
    done = cli("import", "vcr", tmp_path / "c.json", tmp_path / "out")
    assert "8 imported" in done.err


def test_errors_are_imported_whatever_their_status(cli, tmp_path):
    """Whoever kept them in a cassette wants them."""
    cli("import", "vcr", CASSETTES / "vcr.yaml", tmp_path)
    assert {200, 404, 500} == {entry.recording.response.status for entry in entries(tmp_path)}


def test_two_cassettes_with_two_answers(cli, tmp_path):
    """The second answer is reported, or each cassette gets a directory of its own."""
    source = tmp_path / "cassettes"
    cassette(source, exchange(), name="a.json")
    cassette(source, exchange(string='{"choices":[]}'), name="b.json")
    cassette(source, exchange(), name="c.json")
    done = cli("import", "vcr", source, tmp_path / "out")
    assert done.status == 1
    assert "not imported  b.json POST /chat/completions: chat/completions/" in done.out
    assert "has another answer to the same request; --separate keeps both" in done.out
    assert done.err == f"{tmp_path / 'out'}: 1 imported, 1 there already, 1 not imported.\n"
    apart = cli("import", "vcr", source, tmp_path / "apart", "--separate")
    assert apart.status == 0
    assert sorted(file.name for file in (tmp_path / "apart").iterdir()) == ["a", "b", "c"]


def test_the_first_cassette_by_name_wins(cli, tmp_path):
    """Whatever order the disk has them in; answers that differ in their status alone are two, too."""
    source = tmp_path / "cassettes"
    for number in range(9, 0, -1):
        cassette(source, exchange(code=200 if number == 1 else 404), name=f"{number}.json")
    done = cli("import", "vcr", source, tmp_path / "out")
    assert [line.split()[2] for line in done.out.splitlines()] == [f"{number}.json" for number in range(2, 10)]
    assert entries(tmp_path / "out")[0].recording.response.status == 200


def test_folders_of_cassettes(cli, tmp_path):
    """Are kept apart as they stand, as pytest-recording's are: a folder a module, a cassette a test."""
    source = tmp_path / "cassettes"
    source.mkdir()
    cassette(source / "test_a", exchange(), name="test_one.json")
    cassette(source / "test_b", exchange(string="{}"), name="test_one.json")
    assert cli("import", "vcr", source, tmp_path / "out", "--separate").err.endswith("2 imported.\n")
    for name in ("test_a", "test_b"):
        assert len(entries(tmp_path / "out" / name / "test_one")) == 1


def test_a_method_in_small_letters(cli, tmp_path):
    """Is the one that a client sends."""
    cli("import", "vcr", cassette(tmp_path, exchange(method="post")), tmp_path / "out")
    with replay(tmp_path / "out"):
        made = openai.OpenAI().chat.completions.create(model="m", messages=[{"role": "user", "content": "Hi"}])
    assert made.choices[0].message.content == "Ho"


@pytest.mark.parametrize(
    ("uri", "path", "base"),
    [
        ("https://api.openai.com/v1/chat/completions", "/chat/completions", "https://api.openai.com/v1"),
        ("https://x.com/v1beta/openai/chat/completions", "/chat/completions", "https://x.com/v1beta/openai"),
        ("https://x.com/v1beta/openai/batches", "/batches", "https://x.com/v1beta/openai"),
        ("https://x.com/openai/v1/responses", "/responses", "https://x.com/openai/v1"),
        (
            "https://x.azure.com/openai/deployments/gpt-4o/chat/completions?api-version=2024-02-01",
            "/chat/completions",
            "https://x.azure.com/openai/deployments/gpt-4o",
        ),
        ("http://localhost:11434/chat/completions", "/chat/completions", "http://localhost:11434"),
        ("https://x.com/v1/models/gpt-4", "/models/gpt-4", "https://x.com/v1"),
    ],
)
def test_urls_are_understood(cli, tmp_path, uri, path, base):
    """The path is the one that a client's key is made of, whatever the server."""
    method = "GET" if "/models" in uri else "POST"
    assert cli("import", "vcr", cassette(tmp_path, exchange(uri=uri, method=method)), tmp_path / "out").status == 0
    (entry,) = entries(tmp_path / "out")
    assert (entry.path, entry.recording.recorded.base_url) == (path, base)
    query = {"api-version": "2024-02-01"} if "api-version" in uri else {}
    assert entry.recording.request.query == query


@pytest.mark.parametrize("change", [{"method": "G\ud800"}, {"uri": "https://x.com/v1/models/\ud800"}])
def test_what_nobody_can_have_sent(cli, tmp_path, change):
    """JSON may hold half a surrogate pair, which no request and no file does."""
    done = cli("import", "vcr", cassette(tmp_path, exchange(**change), exchange()), tmp_path / "out")
    assert "interaction 1 is not as vcr writes them" in done.out
    assert "1 imported, 1 not imported" in done.err


def test_azure_cassettes_replay(cli, tmp_path):
    """What an Azure client asks for is found."""
    uri = "https://x.openai.azure.com/openai/deployments/m/chat/completions?api-version=2024-02-01"
    cli("import", "vcr", cassette(tmp_path, exchange(uri=uri)), tmp_path / "out")
    with replay(tmp_path / "out"):
        client = openai.AzureOpenAI(
            api_key="none", api_version="2024-02-01", azure_endpoint="https://x.openai.azure.com"
        )
        made = client.chat.completions.create(model="m", messages=[{"role": "user", "content": "Hi"}])
    assert made.choices[0].message.content == "Ho"


def test_a_base_url_decides_what_counts(cli, tmp_path):
    """Also where the form of the URL does not tell."""
    file = cassette(
        tmp_path,
        exchange(uri="http://llm.local/api/chat/completions"),
        *(exchange(uri=f"http://llm.local/{path}/chat/completions") for path in ("other", "apis")),
    )
    done = cli("import", "vcr", file, tmp_path / "out", "--base-url", "http://llm.local/api/")
    assert "1 imported, 2 not imported" in done.err
    assert done.out.count("it does not begin with http://llm.local/api\n") == 2


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"uri": "https://api.anthropic.com/v1/messages"}, "it is no call of the OpenAI API"),
        ({"body": "user=x"}, "its request is no JSON"),
        ({"body": '{"a": NaN}'}, "its request is no JSON"),
        (
            {"headers": {"content-encoding": ["compress"]}, "string": "\x0b\x02"},
            f"its answer is compressed (compress), and nothing here undoes that: pip install '{HTTP}[brotli,zstd]'",
        ),
        (
            {"headers": {"content-encoding": ["gzip"]}, "string": "\x0b\x02"},
            "its answer is said to be compressed (gzip), and is not",
        ),
        ({"code": 42}, "42 is no HTTP status"),
        ({"code": True}, "1 is no HTTP status"),
        ({"code": 10**20}, f"{10**20} is no HTTP status"),
        (
            {"uri": "https://[bad/v1/embeddings?a#b"},
            "POST https://[bad/v1/embeddings: its URL is invalid: Invalid IPv6 URL",
        ),
        ({"uri": "https://[zz]/v1/embeddings"}, "its URL is invalid: 'zz' does not appear to be an IPv4"),
        (
            {"uri": "http://ex\u2100mple.com:80/v1/embeddings?\u2100"},
            "POST http://ex\u2100mple.com:80/v1/embeddings: its",
        ),
    ],
)
def test_what_cannot_be_taken_over_is_listed_with_the_reason(cli, tmp_path, changes, reason):
    """And the rest is taken over."""
    body = '{"model":"m","messages":[]}'
    file = cassette(tmp_path, exchange(**changes), exchange(body=body))
    done = cli("import", "vcr", file, tmp_path / "out")
    assert done.status == 1
    assert reason in done.out
    assert "1 imported, 1 not imported" in done.err


PLAIN = exchange()["response"]["body"]["string"]
EVENTS = 'event: x\ndata: {"choices":[{"index":0,"delta":{"content":"Ho"}}]}\n\ndata: [DONE]\n\n'


@pytest.mark.parametrize("text", [PLAIN, EVENTS], ids=["plain", "events"])
@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "compress"])
def test_what_the_recorder_has_unpacked_already(cli, tmp_path, encoding, text):
    """Some leave the header in place."""
    headers = {"content-encoding": [encoding], "content-type": "application/json", "date": []}
    file = cassette(tmp_path, exchange(headers=headers, string=text))
    assert cli("import", "vcr", file, tmp_path / "out").status == 0
    assert entries(tmp_path / "out")[0].conversation.choices[0].message.text == "Ho"


PACKERS = {
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "br": brotli.compress,
    "gzip, br": lambda data: brotli.compress(gzip.compress(data)),
}


@pytest.mark.parametrize("text", [PLAIN, EVENTS], ids=["plain", "events"])
@pytest.mark.parametrize("encoding", PACKERS)
def test_compressed_answers(cli, tmp_path, encoding, text):
    """Are unpacked as the client would do it; VCR.py keeps them as they came."""
    made = exchange(headers={"Content-Encoding": [encoding]}, string=PACKERS[encoding](text.encode()))
    (tmp_path / "c.yaml").write_text(yaml.safe_dump({"interactions": [made]}))
    assert cli("import", "vcr", tmp_path / "c.yaml", tmp_path / "out").status == 0
    assert entries(tmp_path / "out")[0].conversation.choices[0].message.text == "Ho"


@pytest.mark.parametrize("headers", [{}, {"Content-Encoding": ["identity"]}])
def test_an_answer_that_is_no_text(cli, tmp_path, headers):
    """Its bytes are in a file beside the recording."""
    made = exchange(headers=headers, string=b"\x89PNG\xff")
    (tmp_path / "c.yaml").write_text(yaml.safe_dump({"interactions": [made]}))
    assert cli("import", "vcr", tmp_path / "c.yaml", tmp_path / "out").status == 0
    (recording,) = (tmp_path / "out").rglob("*.json")
    (side,) = (file for file in recording.parent.iterdir() if file != recording)
    assert side.read_bytes() == b"\x89PNG\xff"


def test_an_answer_that_cannot_be_stored_is_told(cli, tmp_path, monkeypatch):
    """Whatever the reason; its error is not shown, for its message may hold the answer."""
    monkeypatch.setattr(ResponseCapture, "_assemble", lambda _: 1 / 0)
    (tmp_path / "c.yaml").write_text(yaml.safe_dump({"interactions": [exchange()]}))
    done = cli("import", "vcr", tmp_path / "c.yaml", tmp_path / "out")
    assert done.out.endswith(": its answer cannot be stored\n")
    assert done.status == 1


def test_what_other_libraries_sent(cli, tmp_path):
    """Files and iterators stand in VCR.py's cassettes under tags of Python's; what else has one is not made."""
    sent = exchange(uri="http://x.org/upload")
    (tmp_path / "c.yaml").write_text(
        "interactions:\n"
        "- request: {method: POST, uri: 'http://x.org/upload', headers: {}, body: "
        "!!python/object/new:_io.BytesIO {state: !!python/tuple [!!binary aGVsbG8=, 0, null]}}\n"
        f"  response: {json.dumps(sent['response'])}\n"
        "- request: {method: POST, uri: 'http://x.org/v1/embeddings', headers: {}, body: "
        "!!python/object/new:_io.BytesIO {state: !!python/tuple [!!binary eyJtIjoyfQ==, 0, null]}}\n"
        f"  response: {json.dumps(sent['response'])}\n"
        "- request: {method: POST, uri: !!python/unicode 'https://x.org/v1/chat/completions', headers: {}, body: "
        '!!python/object/apply:builtins.iter {args: [[!!binary eyJtIjo=, !!python/str "1}"]]}}\n'
        f"  response: {json.dumps(sent['response'])}\n"
    )
    done = cli("import", "vcr", tmp_path / "c.yaml", tmp_path / "out")
    assert done.out == (
        "not imported  c.yaml POST http://x.org/upload: it is no call of the OpenAI API, "
        "judging by its URL (if it is one, give --base-url)\n"
    )
    assert [entry.body for entry in entries(tmp_path / "out")] == [{"m": 1}, {"m": 2}]
    for tag in ("object/apply:os.system [x]", "object/new:_io.BytesIO {}", "object/apply:builtins.iter {args: 1}"):
        (tmp_path / "c.yaml").write_text(f"interactions: [!!python/{tag}]")
        assert "it is no YAML that can be read" in cli("import", "vcr", tmp_path / "c.yaml", tmp_path / "out").out


def test_broken_cassettes_are_told(cli, tmp_path):
    """File by file, and interaction by interaction; the others are taken over."""
    source = tmp_path / "cassettes"
    cassette(source, exchange(), {"request": None}, "x", name="good.json", grpc_interactions=[{}, {}])
    cassette(source, "x", name="odd.json")
    (source / "broken.yaml").write_text("a: [")
    (source / "broken.json").write_text("{")
    (source / "broken.toml").write_text("=")
    (source / "other.yml").write_text("- a\n- !!python/object:os.system x\n")
    (source / "plain.yaml").write_text("a: 0x1F\nb: 0o17\nc: -.inf\nd: 12\n")
    (source / "notes.txt").write_text("not a cassette")
    (source / "dangling.json").symlink_to("nowhere")
    for maker in ("vcr", "cassetter"):
        done = cli("import", maker, source, tmp_path / maker)
        assert done.status == 1
        for reason in (
            "broken.yaml: it is no YAML that can be read",
            "broken.json: it is no JSON",
            "other.yml: it is no YAML that can be read",
            "plain.yaml: it is no cassette",
            "dangling.json: it cannot be read (No such file or directory)",
            f"odd.json: interaction 1 is not as {maker} writes them",
        ):
            assert reason in done.out
        assert "broken.toml: " in done.out
        assert "notes.txt" not in done.out
    again = cli("import", "vcr", source / "good.json", tmp_path / "again")
    assert "1 imported" in again.err
    assert "good.json: interaction 3 is not as vcr writes them: it has no member request. A serializer" in again.out
    assert "good.json: 2 calls over gRPC" in again.out


def test_only_files_of_the_source_are_read(cli, tmp_path):
    """No pipe, which would block for ever, and no link that leads out of the directory, unless it is named."""
    source = tmp_path / "cassettes"
    elsewhere = cassette(tmp_path / "elsewhere", exchange())
    cassette(source, exchange(), name="a.json")
    (source / "inside.json").symlink_to("a.json")
    (source / "outside.json").symlink_to(elsewhere)
    (source / "folder.json").mkdir()
    os.mkfifo(source / "pipe.json")
    done = cli("import", "vcr", source, tmp_path / "out")
    assert done.err == f"{tmp_path / 'out'}: 1 imported, 1 there already, 2 not imported.\n"
    assert f"outside.json: it is a link that leads out of {source}; put a copy there" in done.out
    assert "pipe.json: it is no regular file" in done.out
    (tmp_path / "link").symlink_to(source)
    assert "1 there already" in cli("import", "vcr", source / "outside.json", tmp_path / "out").err
    assert "2 there already, 2 not imported" in cli("import", "vcr", tmp_path / "link", tmp_path / "out").err


def test_a_request_that_is_nested_too_deeply(cli, tmp_path):
    """Is told by every command that needs its key, and stops none of them."""
    deep = cassette(tmp_path, exchange(body="[" * TOO_DEEP + '"api_key="' + "]" * TOO_DEEP), exchange())
    done = cli("import", "vcr", deep, tmp_path / "out")
    assert "it is nested too deeply" in done.out
    assert "1 imported, 1 not imported" in done.err
    (tmp_path / "out" / f"{0:032x}.json").write_text(deep_recording(TOO_DEEP))
    filed = cli("rekey", tmp_path / "out")
    assert filed.status == 1
    assert "it is nested too deeply" in filed.out
    asked = cli("why", tmp_path / "out" / f"{0:032x}.json", "--dir", tmp_path / "out")
    assert asked.status == 2
    assert f"{0:032x}.json" in asked.err
    assert "it is nested too deeply" in asked.err
    body = tmp_path / "body.json"
    body.write_text('{"messages": ' + "[" * TOO_DEEP + '"api_key="' + "]" * TOO_DEEP + "}")
    asked = cli("why", body, "--dir", tmp_path / "out")
    assert asked.status == 2
    assert "body.json holds a request that cannot be looked up: it is nested too deeply." in asked.err
    assert cli("show", f"{0:032x}", "--dir", tmp_path / "out", "--request").out.count("[") == TOO_DEEP


def test_without_pyyaml_yaml_is_told_apart(cli, tmp_path, monkeypatch):
    """Only the YAML cassettes need it."""
    monkeypatch.setitem(sys.modules, "yaml", None)
    done = cli("import", "vcr", CASSETTES / "vcr.yaml", tmp_path)
    assert "pip install 'inferencereplay[cli]'" in done.out


def test_toml_without_what_reads_it(cli, tmp_path, monkeypatch):
    """Python 3.10 has no reader of its own."""

    def missing(*_):
        raise ImportError

    monkeypatch.setattr("msgspec.toml.decode", missing)
    assert "pip install tomli" in cli("import", "cassetter", CASSETTES / "cassetter.toml", tmp_path).out


def test_what_cannot_be_written_is_told(cli, tmp_path):
    """A file in the way of the directory's folders."""
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "chat").write_text("")
    done = cli("import", "vcr", cassette(tmp_path, exchange()), tmp_path / "out")
    assert (
        f"it could not be written: [Errno 20] Not a directory: '{tmp_path / 'out' / 'chat' / 'completions'}'\n"
        in done.out
    )


def test_an_empty_source(cli, tmp_path):
    """Nothing is found, which is no success."""
    done = cli("import", "vcr", tmp_path, tmp_path / "out")
    assert (done.status, done.err) == (1, f"{tmp_path / 'out'}: nothing was found.\n")


def test_llama_stacks_recordings_replay_alike(cli, tmp_path):
    """Every request that their directory answers, ours answers with the same."""
    done = cli("import", "llama-stack", GIVEN, tmp_path)
    assert done.status == 0
    with replay(GIVEN) as theirs, replay(tmp_path) as ours:
        numbers = Counter()
        for _, there in theirs.store.recordings():
            numbers[there.key] += 1
            here = ours.store.get(there.request.path, there.key, numbers[there.key])
            old, new = json.loads(encode(there)), json.loads(here)
            assert (old["request"], old["response"]) == (new["request"], new["response"])
    assert numbers.total() >= 14
    assert cli("check", tmp_path).status == 0


def test_what_llama_stack_holds_and_nobody_understands(cli, tmp_path):
    """Is listed, file by file."""
    source = tmp_path / "theirs"
    source.mkdir()
    shutil.copy(GIVEN / "meta-35db283fef1d.json", source)
    (source / "odd.json").write_text('{"request": {"endpoint": "/x", "body": {"q": 1}}, "response": {"body": {}}}')
    (source / "torn.json").write_text("{")
    (source / "dangling.json").symlink_to("nowhere")
    os.mkfifo(source / "pipe.json")
    for number in range(8):  # the files that tell whose directory it is
        shutil.copy(GIVEN / "meta-35db283fef1d.json", source / f"{number}.json")
    (source / "more").mkdir()
    (source / "more" / "ours.json").write_text(deep_recording(4))
    (source / "outside.json").symlink_to(GIVEN / "meta-35db283fef1d.json")
    done = cli("import", "llama-stack", source, tmp_path / "out")
    assert done.status == 1
    for line in (
        "odd.json: it is a llama-stack recording that cannot be replayed",
        "torn.json: it cannot be read as a recording",
        "dangling.json: it cannot be read (No such file or directory)",
        f"outside.json: it is a link that leads out of {source}; put a copy there",
        "pipe.json: it is no regular file",
        "ours.json: it is no recording of llama-stack's recorder",
    ):
        assert f"not imported  {line}" in done.out or f"not imported  more/{line}" in done.out
    assert cli("import", "llama-stack", tmp_path / "out", tmp_path / "more").status == 2


def test_cassetter_sorts_its_calls_otherwise(cli, tmp_path):
    """They are taken in the order in which they were made, at their own time; of repeated headers the first counts."""
    request = {"method": "POST", "uri": "https://x.org/v1/completions", "body": {"type": "json", "content": {"m": 1}}}
    calls = [
        {
            "request": request,
            "response": {
                "status": 200,
                "headers": {"content-type": ["application/json", "text/plain"]},
                "body": {"type": "json", "content": {"n": hour}},
            },
            "recorded_at": f"2026-11-26T{hour:02}:00:00+02:00",
        }
        for hour in (9, 8)
    ]
    (tmp_path / "c.yaml").write_text(yaml.safe_dump({"interactions": calls}))
    assert cli("import", "cassetter", tmp_path / "c.yaml", tmp_path / "out").status == 0
    found = [entry.recording for entry in entries(tmp_path / "out")]
    assert [json.loads(bytes(item.response.body)) for item in found] == [{"n": 8}, {"n": 9}]
    assert [item.recorded.at for item in found] == ["2026-11-26T06:00:00Z", "2026-11-26T07:00:00Z"]
    assert {item.response.headers["content-type"] for item in found} == {"application/json"}


def test_an_error_within_a_stream_is_no_example(cli, shelf):
    """Whatever came before it."""
    (file,) = shelf.rglob(f"{STORY}*.json")
    data = json.loads(file.read_text(encoding="utf-8"))
    edit(shelf, STORY, chunks=[*data["response"]["chunks"][:-1], {"error": {"message": "overloaded"}}])
    assert cli("export", "openai-jsonl", shelf).err == "1 exported; left out: errors (1).\n"


def test_what_belongs_to_the_tools_and_a_refusal(cli, shelf):
    """Whether calls may be parallel is part of an example; a refusal is what was said."""
    (file,) = shelf.rglob(f"{CAPITAL}*.json")
    data = json.loads(file.read_text(encoding="utf-8"))
    data["request"]["body"]["parallel_tool_calls"] = False
    data["response"]["body"]["choices"][0]["message"] = {"role": "assistant", "content": None, "refusal": "No."}
    file.write_text(json.dumps(data), encoding="utf-8")
    made = json.loads(cli("export", "openai-jsonl", shelf, "--text", "No.").out)
    assert made["parallel_tool_calls"] is False
    assert made["messages"][-1] == {"role": "assistant", "content": "No."}


def test_chats_for_fine_tuning(cli, shelf, tmp_path):
    """A line of JSON each: the request's messages and the answer, with the tools."""
    done = cli("export", "openai-jsonl", shelf)
    assert done.status == 0
    lines = [json.loads(line) for line in done.out.splitlines()]
    assert [line["messages"][-1]["role"] for line in lines] == ["assistant", "assistant"]
    assert lines[0]["messages"][-1]["content"] == "The capital of France is Paris."
    assert done.err == "2 exported.\n"
    out = tmp_path / "train.jsonl"
    assert cli("export", "openai-jsonl", shelf, "-o", out).out == ""
    assert out.read_text() == done.out
    lost = cli("export", "openai-jsonl", shelf, "-o", tmp_path / "no" / "train.jsonl")
    assert (lost.status, lost.err) == (2, f"Error: {tmp_path}/no/train.jsonl: No such file or directory.\n")
    nothing = cli("export", "openai-jsonl", shelf, "--text", "nothing")
    assert (nothing.out, nothing.err) == ("", "no recording fits.\n")
    tools = [json.loads(line) for line in cli("export", "openai-jsonl", GIVEN).out.splitlines()]
    call = next(line for line in tools if "tools" in line)
    assert call["messages"][-1]["content"] is None
    assert call["messages"][-1]["tool_calls"][0]["function"]["name"] == "get_weather"


@pytest.mark.parametrize("command", [["export", "aiperf"], ["export", "messages"], ["report"]])
def test_no_recording_is_replaced_by_a_file_that_is_written(cli, shelf, command):
    """However the file is named; another file in the directory may be written."""
    file = next(shelf.rglob("*.json"))
    before = file.read_bytes()
    for name in (file, file.parent / ".." / file.parent.name / file.name):
        done = cli(*command, shelf, "-o", name)
        assert (done.status, "is a recording. Give another file." in done.err) == (2, True)
    assert file.read_bytes() == before
    assert cli(*command, shelf, "-o", shelf / "made.txt").status == 0


def test_all_conversations(cli, shelf, client):
    """A JSON array, with key, model, messages, tools and every answer; what is left out is counted."""
    done = cli("export", "messages", GIVEN)
    made = json.loads(done.out)
    assert {"key", "model", "messages", "answers"} <= made[0].keys()
    assert any("tools" in item for item in made)
    for count in ("exported", "errors", "no conversations"):
        assert count in done.err
    assert cli("export", "messages", shelf, "--text", "nothing").out == "[]\n"
    edit(shelf, STORY, end="closed")
    (shelf / ("a" * 32 + ".json")).write_text("{")
    done = cli("export", "messages", shelf)
    assert done.status == 1
    assert done.err == "1 exported; left out: incomplete (1), unreadable (1).\n"


def test_everything_that_a_message_holds_is_exported(cli, shelf):
    """Names, ids of tool calls, thoughts; parts that are no text are named."""
    edit(
        shelf,
        CAPITAL,
        messages=[
            {"role": "user", "name": "ann", "content": [{"type": "image_url", "image_url": {"url": "http://x/y"}}]},
            {"role": "tool", "tool_call_id": "c1", "content": "42"},
        ],
        choices=[{"message": {"role": "assistant", "reasoning": "hm", "content": "a"}}],
    )
    (made,) = json.loads(cli("export", "messages", shelf, "--text", "hm\na").out)
    assert made["messages"] == [
        {"role": "user", "content": "[image_url: http://x/y]", "name": "ann"},
        {"role": "tool", "content": "42", "tool_call_id": "c1"},
    ]
    assert made["answers"] == [{"role": "assistant", "content": "a", "reasoning_content": "hm"}]
    done = cli("export", "openai-jsonl", GIVEN, "--path", "/completions")
    assert "no chats" in done.err


@pytest.mark.parametrize("maker", ["vcr", "cassetter"])
@pytest.mark.parametrize("kind", ["aliases", "itself"])
def test_aliases_take_no_memory(tmp_path, maker, kind):
    """A small file of aliases of aliases is refused before any of them is written out, and one that holds itself."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    bomb = "*a11" if kind == "aliases" else "&self [*self]"
    lines.append(f"interactions: [{{request: {{method: POST, uri: {bomb}, body: {{type: json, content: {bomb}}}}}}}]")
    (tmp_path / "bomb.yaml").write_text(
        "\n".join(lines if kind == "aliases" else lines[-1:]).replace(
            "body: {type: json, content: &self [*self]}", "body: x"
        )
    )
    with pytest.raises(Unconvertible, match="aliases stand for many times"):
        list(read_cassette(tmp_path / "bomb.yaml", maker))


@pytest.mark.parametrize("depth", [400, 900, 5_000])
def test_a_deep_cassette_is_refused(tmp_path, depth):
    """However deep it is, that is told."""
    (tmp_path / "deep.json").write_text('{"interactions": [' + "[" * depth + "]" * depth + "]}")
    try:
        found = list(read_cassette(tmp_path / "deep.json", "vcr"))
    except Unconvertible as error:
        found = [error]
    assert [type(item) for item in found] == [Unconvertible]
