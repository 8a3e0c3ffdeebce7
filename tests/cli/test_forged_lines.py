"""Names and texts with control characters, which must not look like lines that a command has printed."""

from __future__ import annotations

import json

import pytest
from editing import edit

from inferencereplay.catalogue.entries import Catalogue

CAPITAL = "1c45e93e"
NAME = "a\nError: all is lost\x1b[2J\u202e"
ESCAPED = r"a\nError: all is lost\x1b[2J\u202e"
"""How an error shows the name, which may get into a log as well."""
SHOWN = "a␊Error: all is lost␛[2J\\u202e"


@pytest.fixture
def forged(shelf):
    """Name a directory of recordings so that its name looks like a line of its own; one file in it is torn."""
    directory = shelf.rename(shelf.with_name(NAME))
    torn = directory / "chat" / "completions" / f"{7:032x}.json"
    torn.write_text("{")
    return directory


@pytest.mark.parametrize("command", ["list", "stats", "check", "report", "rekey"])
def test_a_path_forges_no_line(cli, forged, tmp_path, command):
    """Wherever a command names a file."""
    done = cli(command, forged, *(["-o", tmp_path / f"{NAME}.html"] if command == "report" else []))
    assert not [line for line in (done.out + done.err).splitlines() if line.startswith("Error")]
    assert not set(done.out + done.err) & {"\x1b", "\u202e"}
    if command not in ("stats", "rekey"):  # these name files within the directory
        assert (SHOWN if command == "report" else ESCAPED) in done.out + done.err


def test_an_error_of_the_system_names_a_path_on_one_line(cli, shelf, tmp_path):
    """Here the folder in which a file should be written is missing."""
    done = cli("export", "messages", shelf, "-o", tmp_path / NAME / "x")
    assert done.err == f"Error: {tmp_path}/{SHOWN}/x: No such file or directory.\n"


def test_a_model_forges_no_line(cli, shelf, tmp_path):
    """Nor does a server's text, where it is a message of ours."""
    edit(shelf, CAPITAL, model=NAME, usage={"prompt_tokens": 1})
    (tmp_path / "prices.json").write_text(json.dumps({"models": {"x": {"input": 1}}}))
    assert f"No price is given for {SHOWN}\n" in cli("stats", shelf, "--prices", tmp_path / "prices.json").err
    key = next(entry.key for entry in Catalogue(shelf).entries() if entry.model == NAME)
    (file,) = shelf.rglob(f"{CAPITAL}*.json")
    data = json.loads(file.read_text(encoding="utf-8"))
    data["response"] |= {"status": 400, "body": {"error": {"message": NAME}}}
    file.write_text(json.dumps(data), encoding="utf-8")
    assert cli("play", key, "--dir", shelf).err.splitlines()[-1] == SHOWN


def test_what_differs_forges_no_line(cli, shelf, tmp_path):
    """A member's name may be anything."""
    body = tmp_path / "request.json"
    body.write_text(json.dumps({"messages": [], NAME: 1}))
    done = cli("why", body, "--dir", shelf)
    assert done.status == 1
    assert not [line for line in done.out.splitlines() if line.startswith("Error")]
    assert "\x1b" not in done.out
