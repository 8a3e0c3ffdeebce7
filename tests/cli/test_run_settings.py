"""`run` and the settings: options, the environment, what the program's end says, and the help of all commands."""

from __future__ import annotations

import os

import click
import pytest

from inferencereplay import RecordingNotFound, Session, environment
from inferencereplay.cli.app import group
from inferencereplay.recording.request import Request
from inferencereplay.session.settings import VARIABLES


@pytest.fixture
def handed(cli, monkeypatch, tmp_path):
    """Run a command with options, and return the environment that it gets."""
    for variable in VARIABLES.values():
        monkeypatch.delenv(variable, raising=False)
    given = []
    monkeypatch.setattr(os, "execvpe", lambda *call: given.append(call[2]))
    monkeypatch.chdir(tmp_path)

    def handed(*options):
        done = cli("run", *options, "--", "true")
        assert done.status == 0, done.err
        return {name: value for name, value in given.pop().items() if name.startswith("INFERENCEREPLAY_")}

    return handed


@pytest.mark.parametrize(
    ("options", "variable", "text", "repeated"),
    [
        (["--mode", "record"], "MODE", "record", "1"),
        (["--speed", "2"], "SPEED", "2", "--speed 2"),
        (["--pace", "0.3", "0.02"], "PACE", "0.3,0.02", "--pace 0.3 0.02"),
        (["--ignore", "user", "--ignore", "metadata.run_id"], "IGNORE", "user,metadata.run_id", None),
        (["--redact", "a, b"], "REDACT", "a, b", "--redact 'a, b'"),
        (["--record-errors"], "RECORD_ERRORS", "true", "--record-errors"),
        (["--no-record-errors"], "RECORD_ERRORS", "false", "--no-record-errors"),
        (["--keep-equal"], "KEEP_EQUAL", "true", "--keep-equal"),
        (["--no-keep-equal"], "KEEP_EQUAL", "false", "--no-keep-equal"),
        (["--max-age", "30d"], "MAX_AGE", "30d", "--max-age 30d"),
        (["--on-expiry", "error"], "ON_EXPIRY", "error", "--on-expiry error"),
        (["--exhausted", "error"], "EXHAUSTED", "error", "--exhausted error"),
        (["--test-id", "t"], "TEST_ID", "t", "--test-id t"),
        (["--live", "/a", "--live", "/b"], "LIVE", "/a,/b", "--live /a,/b"),
        (["--only", "/a"], "ONLY", "/a", "--only /a"),
        (["--faults", "cut(after=3)"], "FAULTS", "cut(after=3)", "--faults 'cut(after=3)'"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_each_setting_has_an_option(handed, monkeypatch, tmp_path, options, variable, text, repeated):
    """The command gets it as a variable, whatever that held before; what to run for recording repeats it."""
    monkeypatch.setenv(f"INFERENCEREPLAY_{variable}", "replay" if variable == "MODE" else "1")
    made = handed(*options)
    run = made.pop("INFERENCEREPLAY_RUN")
    assert made == {
        "INFERENCEREPLAY_MODE": "replay",
        "INFERENCEREPLAY_DIR": str(tmp_path / "recordings"),
        "INFERENCEREPLAY_DEFAULT_DIR": str(tmp_path / "recordings"),  # nobody has named it
        f"INFERENCEREPLAY_{variable}": text,
    }
    assert run == (repeated or "--ignore user,metadata.run_id")


def test_what_the_environment_says_reaches_the_command(handed, monkeypatch, tmp_path):
    """Where no option says otherwise."""
    given = {"MODE": "record", "SPEED": "3", "IGNORE": "a,b.c", "EXHAUSTED": "error", "RECORD_ERRORS": "yes"}
    for name, text in given.items():
        monkeypatch.setenv(f"INFERENCEREPLAY_{name}", text)
    monkeypatch.setenv("INFERENCEREPLAY_DIR", "kept")
    made = {name.removeprefix("INFERENCEREPLAY_"): value for name, value in handed().items()}
    assert made == {**given, "DIR": str(tmp_path / "kept"), "RUN": "1"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--mode", "x"], "Error: --mode='x' is no mode."),
        (["--speed", "0"], "Error: --speed='0' is no speed."),
        (["--pace", "1", "-1"], "Error: --pace='1.0,-1.0' is no pace."),
        (["--ignore", "a..b"], "Error: --ignore='a..b' is no path into a request's body."),
        (["--redact", "("], "Error: --redact='(' is no regular expression"),
        (["--max-age", "30"], "Error: --max-age='30' is no age."),
        (["--exhausted", "x"], "Error: --exhausted='x' is not valid. Valid are 'repeat', 'error', 'record'."),
    ],
)
def test_a_slip_in_an_option_stops_the_run(cli, monkeypatch, options, message):
    """By the option's name; in a variable, by the variable's."""
    name = options[0][2:].upper().replace("-", "_")
    for variable in VARIABLES.values():
        monkeypatch.delenv(variable, raising=False)
    done = cli("run", *options, "--", "true")
    assert done.status == 2
    assert done.err.startswith(message)
    text = ",".join(options[1:])
    monkeypatch.setenv(f"INFERENCEREPLAY_{name}", text)
    done = cli("run", "--", "true")
    assert done.status == 2
    assert done.err.startswith(f"Error: INFERENCEREPLAY_{name}={text!r} is no")


def test_a_switch_in_the_environment_that_is_none(cli, monkeypatch):
    """Is an error too."""
    monkeypatch.setenv("INFERENCEREPLAY_RECORD_ERRORS", "perhaps")
    done = cli("run", "--", "true")
    assert (done.status, "INFERENCEREPLAY_RECORD_ERRORS='perhaps' is neither yes nor no" in done.err) == (2, True)


def test_a_miss_under_run_repeats_the_options(handed, monkeypatch, tmp_path):
    """The command that records has the settings of the one that missed."""
    for name, value in handed("--ignore", "user", "--mode", "replay", "--record-errors").items():
        monkeypatch.setenv(name, value)
    session = Session(tmp_path)
    error = session.miss(session.call(Request("POST", "/chat/completions", b"{}")))
    where = f"inferencereplay run --mode record-if-missing --dir {tmp_path}"
    assert f"{where} --ignore user --record-errors -- " in str(error)


class Missed(Session):
    """A session whose program swallowed misses."""

    def __init__(self, *missed):
        super().__init__("recordings", mode="replay")
        self._missed = list(missed)


def test_a_swallowed_miss_takes_few_lines(capsys, tmp_path):
    """Of what differs the places alone are named; the values would fill the screen."""
    lines = ["POST /x was not recorded in d.", "The nearest recording is f; it differs (recorded → requested) in"]
    found = [f'messages[{number}].content: "a" → "b"' for number in range(8)]
    text = "\n".join([*lines, *(f"  {line}" for line in found), "To record it, run", "  command"])
    error = RecordingNotFound(text, differences=tuple(found))
    environment.finish(Missed(error, error), os.getpid())
    assert capsys.readouterr().err.splitlines() == [
        "inferencereplay: 2 calls were not recorded, and the program went on. The first:",
        "POST /x was not recorded in d.",
        f"The nearest recording is f; it differs in {', '.join(line.partition(': ')[0] for line in found)}.",
        "To record it, run",
        "  command",
    ]


def test_one_swallowed_miss_without_a_neighbour(capsys):
    """Is told as it is."""
    environment.finish(Missed(RecordingNotFound("POST /x was not recorded in d.\nTo record it, run\n  x")), os.getpid())
    assert capsys.readouterr().err.splitlines() == [
        "inferencereplay: 1 call was not recorded, and the program went on:",
        "POST /x was not recorded in d.",
        "To record it, run",
        "  x",
    ]


@pytest.mark.parametrize("columns", [80, 100])
def test_no_line_of_the_help_ends_within_a_sentence(cli, monkeypatch, columns):
    """The list of commands shows the first sentence of each, whole."""
    monkeypatch.setenv("COLUMNS", str(columns))
    done = cli("--help")
    listed = done.out.partition("Commands:\n")[2].splitlines()
    assert len(listed) == sum(not command.hidden for command in group.commands.values()) > 15
    for line in listed:
        assert line.endswith("."), line
        assert not line.endswith(".."), line


def test_every_option_is_explained():
    """With a sentence, or what its choices say."""
    for command in group.commands.values():
        for option in command.params:
            if isinstance(option, click.Option):
                assert option.help or isinstance(option.type, click.Choice), (command.name, option.opts)
