"""Where a command finds its recordings: by its argument, its option, the option before it, or in `tests/recordings`."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from inferencereplay.cli import terminal

STORY = "40fcf34a"
NOTE = "There is no recordings here: reading tests/recordings.\n"


@pytest.fixture
def project(shelf, tmp_path, monkeypatch):
    """Be in a project whose recordings are its tests'."""
    place = tmp_path / "project"
    place.mkdir()
    shutil.copytree(shelf, place / "tests" / "recordings")
    monkeypatch.chdir(place)
    return place


@pytest.mark.parametrize(
    "command",
    [
        ("list",),
        ("stats",),
        ("check",),
        ("show", STORY),
        ("diff", STORY, STORY),
        ("why", STORY),
        ("prune", "--older-than", "9w"),
    ],
    ids=" ".join,
)
def test_recordings_of_the_tests_are_found(cli, project, command):
    """Where there are none here; standard error says so."""
    done = cli(*command)
    assert done.err.startswith(NOTE)
    assert done.status == 0
    (project / "recordings").mkdir()
    assert NOTE not in cli(*command).err


def test_a_directory_that_is_named_is_the_one(cli, project, monkeypatch):
    """By an argument, an option or the environment, even if it is named like the default one."""
    for place in (("list", "recordings"), ("list", "--dir", "recordings"), ("-d", "recordings", "list")):
        done = cli(*place)
        assert (done.status, "recordings does not exist" in done.err, NOTE in done.err) == (2, True, False)
    monkeypatch.setenv("INFERENCEREPLAY_DIR", "recordings")
    assert cli("list").status == 2
    monkeypatch.setenv("INFERENCEREPLAY_DIR", "tests/recordings")
    assert cli("list").err == ""
    (file,) = (project / "tests" / "recordings").rglob(f"{STORY}*.json")
    monkeypatch.delenv("INFERENCEREPLAY_DIR")
    assert cli("show", file).err == ""


def test_what_is_written_is_not_written_there(cli, project):
    """A new recording goes to the default directory."""
    assert cli("new", "chat", "--model", "m", "--user", "Hello", "--text", "Hi").status == 0
    assert len(list((project / "recordings").rglob("*.json"))) == 1


@pytest.mark.parametrize("command", ["show", "play", "why"])
def test_the_directory_follows_the_key(cli, shelf, tmp_path, monkeypatch, command):
    """As an argument, as with the commands for a whole directory."""
    monkeypatch.chdir(tmp_path)
    options = ["--speed", "inf"] if command == "play" else []
    done = cli(command, STORY, shelf, *options)
    assert (done.status, done.err) == (0, "")
    assert done.out == cli(command, STORY, "--dir", shelf, *options).out


def test_the_directory_comes_before_the_command(cli, shelf, tmp_path, monkeypatch):
    """It counts unless the command has one itself, and before the environment."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("INFERENCEREPLAY_DIR", "nowhere")
    expected = cli("list", shelf, "--json").out
    assert len(json.loads(expected)) > 1
    for place in (("-d", shelf, "list"), ("--dir", shelf, "list"), ("-d", "other", "list", "-d", shelf)):
        assert cli(*place, "--json").out == expected
    assert cli("-d", "other", "list", shelf, "--json").out == expected
    monkeypatch.setenv("HOME", str(shelf.parent))
    assert cli("-d", f"~/{shelf.name}", "list", "--json").out == expected


def test_a_command_without_a_directory_says_so(cli, tmp_path):
    """It would be ignored otherwise."""
    done = cli("-d", tmp_path, "import", "vcr", "cassettes")
    assert done.status == 2
    assert "Error: import has no option --dir. See 'inferencereplay import --help'." in done.err
    assert cli("-d", tmp_path, "no-such-command").status == 2
    assert Path(tmp_path).exists()


@pytest.mark.parametrize(
    ("room", "widths"),
    [
        (40, [12, 7, 6, 9]),
        (60, [12, 13, 6, 23]),
        (80, [12, 17, 9, 36]),
        (120, [12, 17, 22, 63]),
        (300, [12, 17, 32, 100]),
    ],
)
def test_the_text_of_a_list_gets_what_there_is(room, widths):
    """It tells more than the path and the model, which get what they need when there is more."""
    names = ("KEY", "PATH", "MODEL", "TEXT")
    row = ("k" * 12, "p" * 17, "m" * 32, "t" * 100)
    assert terminal._widths(names, [row], room, ("PATH", "MODEL")) == widths
