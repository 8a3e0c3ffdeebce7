"""Several directories in commands: `--dir` again and again, and the variable."""

from __future__ import annotations

import json
import os
import pickle
from pathlib import Path

import msgspec
import pytest
from conftest import ASK
from written import ask, said, write

from inferencereplay import Session
from inferencereplay.catalogue.concurrency import at_once
from inferencereplay.catalogue.layered import LayeredCatalogue, open_catalogue
from inferencereplay.errors import StoreError
from inferencereplay.session.settings import VARIABLES, split_layers
from inferencereplay.verification.replacing import replace_answer

GIVEN = Path(__file__).parents[1] / "recordings" / "llama_stack"


@pytest.fixture
def layers(tmp_path, monkeypatch):
    """Make two directories, `a` and `b`, with one request in both and one of its own in each."""
    for directory, texts in (("a", ("both", "own")), ("b", ("both", "shared"))):
        for text in texts:
            write(tmp_path / directory, ask(text), said(f"{text} of {directory}"))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "a", tmp_path / "b"


def listed(cli, *arguments):
    done = cli(*arguments, "--json")
    assert done.status == 0, done.err
    return [row["name"] for row in json.loads(done.out)]


def test_directories_are_named_one_after_the_other(cli, layers, monkeypatch):
    """Before the command or after it, which counts more; or in the variable."""
    a, b = layers
    both = [str(a), str(a), str(b), str(b)]
    assert [name.partition("/chat/")[0] for name in listed(cli, "list", "-d", "a", "--dir", "b")] == both
    assert [name.partition("/chat/")[0] for name in listed(cli, "-d", "a", "-d", "b", "list")] == both
    assert all(name.startswith("chat/") for name in listed(cli, "-d", "a", "-d", "b", "list", "-d", "b"))
    assert all(name.startswith("chat/") for name in listed(cli, "list", "b", "-d", "a"))
    for text in ("a,b", "a\nb\n"):
        monkeypatch.setenv("INFERENCEREPLAY_DIR", text)
        assert [name.partition("/chat/")[0] for name in listed(cli, "list")] == both


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["list", "-d", "a", "-d", "a"], "Error: --dir names a twice. Each layer has to be another directory."),
        (["list", "-d", ""], ": --dir='' is no path of a directory. Give a str or a pathlib.Path."),
        (["list", "ftp://x/y"], "Error: Invalid value for '[DIR]': DIR='ftp://x/y': the scheme 'ftp' is not known."),
        (
            ["copy", "a", "s3://u:p@x/y"],
            "'TO': DIR='s3://x/y': it comes with a user or a password.",
        ),
        (["import", "vcr", ".", "s3://"], "Error: Invalid value for 'DST': DIR='s3://': it names no bucket"),
    ],
    ids=["twice", "empty", "scheme", "password", "bucket"],
)
def test_a_place_that_is_none_is_refused(cli, layers, arguments, message):
    """By the name of the option or the argument; no secret of a URL is shown."""
    done = cli(*arguments)
    assert done.status == 2
    assert message in done.err
    assert "u:p" not in done.err


def test_the_first_layer_that_has_a_key_is_shown(cli, layers):
    """By a path too, and by the name in a layer."""
    a, b = layers
    name = next(file.relative_to(a) for file in a.rglob("*.json") if "both" in file.read_text())
    key = name.name[:12]
    assert "both of a" in cli("show", key, "-d", "a", "-d", "b").out
    assert "both of b" in cli("show", key, "-d", "b", "-d", "a").out
    assert "both of a" in cli("show", name, "-d", "a", "-d", "b").out
    assert "both of b" in cli("show", b / name, "-d", "a", "-d", "b").out
    assert cli("show", "b" / name, "-d", "a", "-d", "b", "--raw").out == (b / name).read_text()
    assert cli("show", "", "-d", "a", "-d", "b").status == 2


def test_a_prefix_of_keys_of_two_layers_is_ambiguous(cli, layers):
    """Of two keys; the same key in both is one."""
    catalogue = open_catalogue(layers)
    assert isinstance(catalogue, LayeredCatalogue)
    names = [name for digit in "0123456789abcdef" for name in catalogue.candidates(digit)]
    assert len(names) == 3
    assert sum(name.startswith(str(layers[0])) for name in names) == 2
    assert catalogue.full_name("x") == "x"
    assert catalogue.title.endswith("/a, " + "/".join(layers[1].parts[-2:]))


def test_layers_of_llama_stack_are_read(cli, layers):
    """Beside ours."""
    a, _ = layers
    count = len(listed(cli, "list", GIVEN))
    names = listed(cli, "list", "-d", a, "-d", GIVEN)
    assert len(names) == count + 2
    assert cli("check", "-d", a, "-d", GIVEN).status == cli("check", GIVEN).status
    theirs = next(name for name in names if name.startswith(str(GIVEN)))
    shown = json.loads(cli("list", "-d", a, "-d", GIVEN, "--json").out)
    key = next(row["key"] for row in shown if row["name"] == theirs)
    assert cli("show", key, "-d", a, "-d", GIVEN, "--request").status == 0
    for command in (["prune", "--older-than", "1d"], ["rekey"]):
        done = cli(*command, "-d", a, "-d", GIVEN)
        assert (done.status, f"{GIVEN} is llama-stack's" in done.err) == (2, True)


def test_a_report_and_why_name_layers(cli, layers):
    """The page shows the last parts of their paths only."""
    a, b = layers
    done = cli("report", "-d", "a", "-d", "b", "-o", "report.html")
    assert done.out.startswith("4 recordings")
    page = Path("report.html").read_text()
    assert str(a) not in page
    assert f"{a.parent.name}/a/chat/completions/" in page
    Path("request.json").write_text(json.dumps(ask("shared")))
    assert cli("why", "request.json", "-d", "a", "-d", "b").out.startswith(f"{b}/chat/completions/")
    Path("request.json").write_text(json.dumps(ask("shareb")))
    done = cli("why", "request.json", "-d", "a", "-d", "b")
    assert f"in {a}, {b}" in done.out.replace("a, b", f"{a}, {b}")
    assert f"The nearest is {b}/chat/completions/" in done.out
    done = cli("report", "-d", "a", "-d", "b", "-o", next(b.rglob("*.json")))
    assert (done.status, "is a recording. Give another file." in done.err) == (2, True)


def test_an_edited_file_is_filed_anew_in_its_layer(cli, layers):
    """The command that is told names the layer's directory."""
    _, b = layers
    file = next(file for file in b.rglob("*.json") if "shared" in file.read_text())
    file.write_text(
        file.read_text()
        .replace('"content":"shared"', '"content":"edited"')
        .replace('"content": "shared"', '"content": "edited"')
    )
    Path("request.json").write_text(json.dumps(ask("edited")))
    done = cli("why", "request.json", "-d", "a", "-d", "b")
    assert (done.status, f"inferencereplay rekey {b}" in done.out) == (1, True)
    assert cli("rekey", "-d", "a", "-d", "b").out.startswith(f"{b}/chat/completions/")
    assert cli("why", "request.json", "-d", "a", "-d", "b").status == 0


def test_new_is_stored_in_the_first_layer(cli, layers):
    """Where sessions write."""
    done = cli("new", "chat", "--model", "m", "--user", "new", "--text", "NEW", "-d", "a", "-d", "b")
    assert done.out.startswith(f"{layers[0]}/chat/completions/")


def test_run_hands_layers_on(cli, layers, monkeypatch):
    """As absolute paths, a line each; the layer that is written by its number, whatever it was named by."""
    a, b = layers
    for variable in VARIABLES.values():
        monkeypatch.delenv(variable, raising=False)
    given = []
    monkeypatch.setattr(os, "execvpe", lambda *call: given.append(call[2]))
    cli("run", "-d", "a", "-d", "b", "--write-to", "b", "--prefetch", "used.txt", "--", "true")
    made = given.pop()
    assert split_layers(made["INFERENCEREPLAY_DIR"]) == (str(a), str(b))
    assert (made["INFERENCEREPLAY_WRITE_TO"], made["INFERENCEREPLAY_PREFETCH"]) == ("1", str(a.parent / "used.txt"))
    assert made["INFERENCEREPLAY_RUN"] == f"--write-to 1 --prefetch {a.parent}/used.txt"
    monkeypatch.setenv("INFERENCEREPLAY_WRITE_TO", "b")
    cli("run", "-d", "a", "-d", "b", "--", "true")
    assert given.pop()["INFERENCEREPLAY_WRITE_TO"] == "1"
    done = cli("run", "-d", "a", "-d", "b", "--write-to", "c", "--", "true")
    assert (done.status, "is no layer. The layers are 0 (a), 1 (b)" in done.err) == (2, True)
    cli("run", "-d", "a,c", "--write-to", "0", "--", "true")
    assert split_layers(given.pop()["INFERENCEREPLAY_DIR"]) == (f"{a.parent}/a,c",)


def test_a_server_answers_from_layers(layers, serve):
    """Also by a profile, and it knows the models of all."""
    served = serve([*layers], match="load-tools")
    for text, answer in (("both", "both of a"), ("shared", "shared of b")):
        answered = served.ask("/v1/chat/completions", {**ask(text), "stream_options": {}})
        assert json.loads(answered.content)["choices"][0]["message"]["content"] == answer
    assert ASK["model"] in served.ask("/v1/models", None).content.decode()


def test_an_answer_is_replaced_in_its_layer(layers):
    """A newer one takes the place of the old one where that is."""
    _, b = layers
    catalogue = open_catalogue(layers)
    entry = next(entry for entry in catalogue.entries() if entry.name.startswith(str(b)))
    new = msgspec.structs.replace(entry.recording, response=said("newer"))
    assert replace_answer(catalogue, entry, new) == ""
    assert "newer" in Path(entry.name).read_text()
    assert "changed while" in replace_answer(catalogue, entry, new)


def test_work_on_many_ends_at_an_error_or_when_nobody_wants_more():
    """Results come in order; after an error nothing further is begun."""
    begun = []

    def work(number):
        begun.append(number)
        if number == 5:
            raise StoreError("down")
        return -number

    assert [*at_once(work, range(5))] == [0, -1, -2, -3, -4]
    begun.clear()
    with pytest.raises(StoreError, match="down"):
        [*at_once(work, range(1_000), 2)]
    assert len(begun) < 20
    begun.clear()
    results = at_once(work, range(6, 1_000), 2)
    assert next(results) == -6
    results.close()
    assert len(begun) < 20


def test_layers_can_be_opened_again_by_another_process(layers):
    """As `check` and `list` do on all processors."""
    catalogue = pickle.loads(pickle.dumps(open_catalogue(layers)))
    assert len([*catalogue.names()]) == 4
    assert [*catalogue.names()] == [*open_catalogue(layers).names()]
    assert Session([*layers]).store.directory == str(catalogue.directory)
    with pytest.raises(StoreError, match="does not exist"):
        open_catalogue(["c", "d"])
    assert len([*open_catalogue(["c", layers[0]]).names()]) == 2
    assert not isinstance(open_catalogue([layers[0]]), LayeredCatalogue)
