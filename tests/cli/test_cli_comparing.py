"""`diff` and `why`."""

from __future__ import annotations

import importlib
import io
import json
import sys
from pathlib import Path

import pytest
from editing import edit

from inferencereplay import replay

GIVEN = Path(__file__).parents[1] / "recordings" / "llama_stack"
STORY, CAPITAL = "40fcf34a", "1c45e93e"
BODY = {
    "model": "SmolLM2-135M-Instruct.Q4_1",
    "messages": [{"role": "user", "content": "What is the capital of France? Answer with its name only."}],
    "temperature": 0.0,
}


@pytest.fixture
def other(shelf, tmp_path):
    """Copy the capital's recording, to be edited."""
    (file,) = shelf.rglob(f"{CAPITAL}*.json")
    folder = tmp_path / "other"
    folder.mkdir()
    (folder / file.name).write_bytes(file.read_bytes())
    return folder


def test_equal_recordings_do_not_differ(cli, shelf, other):
    """Nothing is printed, and the status is 0, as `diff` has it."""
    (copy,) = other.iterdir()
    done = cli("diff", CAPITAL, copy, "--dir", shelf)
    assert (done.status, done.out, done.err) == (0, "", "")


def test_a_difference_has_its_json_path(cli, shelf, other):
    """In the request and in the answer, together or apart."""
    choice = {"index": 0, "message": {"role": "assistant", "content": "Paris"}, "finish_reason": "length"}
    file = edit(other, CAPITAL, messages=[{"role": "user", "content": "Why?"}], choices=[choice])
    done = cli("diff", CAPITAL, file, "--dir", shelf)
    assert done.status == 1
    lines = done.out.splitlines()
    asked = 'request.body.messages[0].content: "What is the capital of France? Answer with its name only." → "Why?"'
    answered = 'response.body.choices[0].finish_reason: "stop" → "length"'
    assert asked in lines
    assert answered in lines
    request = cli("diff", CAPITAL, file, "--dir", shelf, "--request").out.splitlines()
    assert request == [asked]
    answer = cli("diff", CAPITAL, file, "--dir", shelf, "--answer").out.splitlines()
    assert [*request, *answer] == lines
    found = json.loads(cli("diff", CAPITAL, file, "--dir", shelf, "--request", "--json").out)
    assert [(item["path"], item["b"]) for item in found] == [("request.body.messages[0].content", "Why?")]


def test_streams_are_compared_by_what_they_add_up_to(cli, shelf, other):
    """Other chunks with the same text are no difference; a plain answer and a stream can be compared as well."""
    (story,) = shelf.rglob(f"{STORY}*.json")
    data = json.loads(story.read_text(encoding="utf-8"))
    first, second = data["response"]["chunks"][1:3]
    joined = first["choices"][0]["delta"]
    joined["content"] += second["choices"][0]["delta"]["content"]
    del data["response"]["chunks"][2], data["response"]["offsets"][2]
    copy = other / "copy.json"
    copy.write_text(json.dumps(data), encoding="utf-8")
    assert cli("diff", STORY, copy, "--dir", shelf).out == ""
    done = cli("diff", STORY, CAPITAL, "--dir", shelf, "--json")
    assert done.status == 1
    assert cli("diff", STORY, STORY, "--dir", shelf, "--json").status == 0
    paths = [item["path"] for item in json.loads(done.out)]
    assert "response.choices[0].message.parts[0].text" in paths
    assert {"path": "request.body.stream", "a": True} in json.loads(done.out)
    edit(other, CAPITAL, seed=None)
    (null,) = other.rglob(f"{CAPITAL}*.json")
    done = cli("diff", CAPITAL, null, "--dir", shelf, "--request", "--json")
    assert json.loads(done.out) == [{"path": "request.body.seed", "b": None}], "null is not what is absent"


def test_an_answer_that_is_text(cli, shelf, other):
    """Is compared as text."""
    (file,) = other.iterdir()
    data = json.loads(file.read_text(encoding="utf-8"))
    data["response"].pop("body")
    data["response"]["text"] = "<html>"
    file.write_text(json.dumps(data), encoding="utf-8")
    assert 'response.text: absent → "<html>"' in cli("diff", CAPITAL, file, "--dir", shelf).out


def test_files_need_no_directory(cli, shelf, other, monkeypatch):
    """Where both sides are files, there need be no directory of recordings."""
    monkeypatch.chdir(shelf.parent)
    (first,), (second,) = shelf.rglob(f"{CAPITAL}*.json"), other.iterdir()
    assert cli("diff", first, second).status == 0


def test_why_names_the_recording_that_would_answer(cli, shelf, tmp_path, monkeypatch):
    """For a body as JSON, equal numbers written otherwise, from standard input, and for a recording."""
    file = tmp_path / "request.json"
    file.write_text(json.dumps(BODY))
    done = cli("why", file, "--dir", shelf)
    assert done.status == 0
    assert CAPITAL in done.out
    (recording,) = shelf.rglob(f"{STORY}*.json")
    assert STORY in cli("why", recording, "--dir", shelf).out
    assert cli("why", GIVEN / "meta-35db283fef1d.json", "--dir", GIVEN).status == 0

    class Stdin:
        buffer = io.BytesIO(json.dumps(BODY).encode())

    monkeypatch.setattr("sys.stdin", Stdin)
    assert CAPITAL in cli("why", "-", "--dir", shelf).out


def test_why_knows_a_text_completion_by_its_prompt(cli, tmp_path, client):
    """And looks for it where those are."""
    with replay(tmp_path / "kept", mode="record"):
        client.completions.create(model="m", prompt="Once")
    file = tmp_path / "request.json"
    file.write_text('{"model": "m", "prompt": "Once"}')
    assert "answers POST /completions (" in cli("why", file, "--dir", tmp_path / "kept").out


def test_why_tells_what_differs_from_the_nearest(cli, shelf, tmp_path):
    """And ends with 1, so that a script sees it."""
    file = tmp_path / "request.json"
    file.write_text(json.dumps({**BODY, "temperature": 0.5}))
    done = cli("why", file, "--dir", shelf)
    assert done.status == 1
    assert "No recording of POST /chat/completions" in done.out
    assert f"The nearest is chat/completions/{CAPITAL}" in done.out
    assert done.out.endswith("  temperature: 0 → 0.5\n")
    (tmp_path / "empty").mkdir()
    empty = cli("why", file, "--dir", tmp_path / "empty")
    assert (empty.status, len(empty.out.splitlines())) == (1, 1)
    nowhere = cli("why", file, "--dir", tmp_path / "nowhere")
    assert (nowhere.status, nowhere.out) == (2, "")
    assert "nowhere does not exist" in nowhere.err


def test_why_takes_a_key(cli, shelf, tmp_path):
    """A recording is named as for the other commands."""
    assert CAPITAL in cli("why", CAPITAL[:8], "--dir", shelf).out
    (file,) = shelf.rglob(f"{CAPITAL}*.json")
    assert CAPITAL in cli("why", file.relative_to(shelf), "--dir", shelf).out
    done = cli("why", "request.json", "--dir", shelf)
    assert done.status == 2
    assert f"There is no file 'request.json'. No recording in {shelf} is named 'request.json'" in done.err
    (tmp_path / "request.json").write_text('{"model": "m", }')
    done = cli("why", tmp_path / "request.json", "--dir", shelf)
    assert done.status == 2
    assert "neither a recording nor a request's body: " in done.err
    assert "line 1 column 16" in done.err


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("raise RuntimeError('at import')", "cannot be imported: RuntimeError('at import')"),
        ("import nothing_of_the_kind", "cannot be imported: No module named 'nothing_of_the_kind'"),
        ("def f(: pass", "cannot be imported: SyntaxError("),
        ("import sys; sys.exit(4)", "cannot be imported: SystemExit(4)"),
        ("def f(body): raise SystemExit(9)", "normalize= failed"),
        ("def f(body): raise KeyError(9)", "normalize= failed"),
        ("f = 4", "is no function"),
    ],
)
def test_a_normaliser_that_fails_is_told(cli, shelf, tmp_path, monkeypatch, text, told):
    """Whatever a module or a function of the user's does, it is one line, and the exit status 2."""
    file = tmp_path / "request.json"
    file.write_text(json.dumps(BODY))
    (tmp_path / "theirs.py").write_text(text)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "theirs", raising=False)
    importlib.invalidate_caches()
    done = cli("why", file, "--dir", shelf, "--normalize", "theirs:f")
    assert (done.status, done.out) == (2, "")
    assert told in done.err
    assert "'..:f' cannot be imported" in cli("why", file, "--dir", shelf, "--normalize", "..:f").err


def test_why_with_the_settings_of_the_session(cli, shelf, tmp_path, client, monkeypatch):
    """What the session ignores, normalises and takes out is ignored, normalised and taken out here."""
    with replay(tmp_path / "kept", mode="record", ignore="user", redact="secret-\\d+"):
        client.chat.completions.create(model="m", messages=[{"role": "user", "content": "secret-1"}], user="ann")
    file = tmp_path / "request.json"
    body = {"model": "m", "messages": [{"role": "user", "content": "secret-2"}], "user": "bob"}
    file.write_text(json.dumps(body))
    settings = ("--ignore", "user", "--redact", r"secret-\d+")
    assert cli("why", file, "--dir", tmp_path / "kept", *settings).status == 0
    assert cli("why", file, "--dir", tmp_path / "kept").status == 1
    (tmp_path / "ours.py").write_text("def plain(body):\n    body.pop('user')\n    return body\n")
    monkeypatch.chdir(tmp_path)
    normalize = ("--normalize", "ours:plain", "--redact", r"secret-\d+")
    before = list(sys.path)
    assert cli("why", file, "--dir", tmp_path / "kept", *normalize).status == 0
    assert sys.path == before


def test_a_request_that_does_not_tell_its_path(cli, shelf, tmp_path):
    """Is asked for it; what is no request at all is told."""
    file = tmp_path / "request.json"
    file.write_text('{"input": "a", "model": "m"}')
    assert "Give it by --path" in cli("why", file, "--dir", shelf).err
    assert cli("why", file, "--dir", shelf, "--path", "embeddings").status == 1
    file.write_text("[]")
    assert "neither a recording nor" in cli("why", file, "--dir", shelf).err


def test_a_damaged_recording_is_not_taken_for_a_request(cli, shelf):
    """What is wrong with it is told."""
    (recording,) = shelf.rglob(f"{CAPITAL}*.json")
    text = recording.read_text(encoding="utf-8")
    for old, new, place in (
        ('"inferencereplay": 1', '"inferencereplay": 9', "at $.inferencereplay"),
        ('"response": ', '"respond": ', "missing required field `response`"),
    ):
        recording.write_text(text.replace(old, new))
        done = cli("why", recording, "--dir", shelf)
        assert done.status == 2
        assert f"{recording}: " in done.err
        assert place in done.err


def test_only_the_method_differs(cli, shelf, tmp_path):
    """The same body by another method is another request."""
    (recording,) = shelf.rglob(f"{CAPITAL}*.json")
    file = tmp_path / "other.json"
    file.write_text(recording.read_text(encoding="utf-8").replace('"method": "POST"', '"method": "PUT"'))
    assert "differs in method or query only" in cli("why", file, "--dir", shelf).out
