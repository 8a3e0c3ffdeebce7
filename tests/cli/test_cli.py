"""The command line as a whole: help, exit status, pipes, terminals, and what recordings cannot do to them."""

from __future__ import annotations

import importlib
import io
import json
import os
import pty
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from inferencereplay.cli import main
from inferencereplay.cli.app import group
from inferencereplay.cli.terminal import one_line, safe, seconds, size, sparkline

STORY, FRANCE = "40fcf34a", "1c45e93e"
COMMANDS = [
    "list",
    "show",
    "play",
    "diff",
    "why",
    "run",
    "check",
    "stats",
    "prune",
    "rekey",
    "import",
    "export",
    "report",
]
INTERACTION = {
    "request": {"method": "POST", "uri": "https://api.openai.com/v1/completions", "body": "{}", "headers": {}},
    "response": {"status": {"code": 200}, "headers": {}, "body": {"string": "{}"}},
}
HOSTILE = "\x1b[31mred\x1b]0;title\x07 [bold]markup[/bold] :smile: \x9b2J \u202egnitsop \x7f"


def spawn(*arguments, **options):
    command = [sys.executable, "-m", "inferencereplay", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, **options)


def on_a_terminal(*arguments, **environment):
    """Run a command with a terminal for its output and return what it wrote there."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "inferencereplay", *map(str, arguments)]
    kept = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "FORCE_COLOR")}
    env = {**kept, "TERM": "xterm-256color", "COLUMNS": "100", **environment}
    with subprocess.Popen(command, stdout=theirs, stderr=theirs, env=env, close_fds=True) as process:
        os.close(theirs)
        written = b""
        while True:
            try:
                data = os.read(ours, 65536)
            except OSError:  # the other end is closed
                break
            if not data:
                break
            written += data
    os.close(ours)
    assert process.returncode == 0
    return written.decode()


@pytest.fixture
def hostile(shelf):
    """Put a recording into the shelf whose every text tries to steer the terminal."""
    (file,) = (shelf / "chat" / "completions").glob("1c45*")
    data = json.loads(file.read_text(encoding="utf-8"))
    data["response"]["body"]["choices"][0]["message"]["content"] = HOSTILE
    data["response"]["body"]["choices"][0]["message"]["reasoning_content"] = HOSTILE
    data["response"]["headers"]["x-request-id"] = HOSTILE
    data["request"]["body"]["messages"][0]["content"] = HOSTILE
    data["request"]["body"]["model"] = HOSTILE
    data["request"]["body"]["tools"] = [{"type": "function", "function": {"name": HOSTILE, "description": HOSTILE}}]
    file.write_text(json.dumps(data, ensure_ascii=False), encoding="utf-8")
    return file


@pytest.mark.parametrize("command", ["import", "export"])
def test_the_last_line_says_what_is_wrong(cli, command):
    """Also where there are choices to list."""
    last = cli(command).err.splitlines()[-1]
    assert last.startswith("Error: Missing argument ")
    assert re.search(r" Choose from: [a-z-]+(, [a-z-]+)+$", last)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_with_an_example(cli, name):
    """Help says what a command does and shows one use of it."""
    done = cli(name, "--help")
    assert done.status == 0
    assert f"Usage: inferencereplay {name}" in done.out
    assert "Example" in done.out
    assert f"inferencereplay {name}" in done.out.partition("Example")[2].replace("\n", " ")


def test_without_a_command_the_help_is_shown(cli):
    """On standard error, for it was no success."""
    done = cli()
    assert (done.status, done.out) == (2, "")
    assert done.err.startswith("Usage: inferencereplay [OPTIONS] COMMAND")
    assert "Error" not in done.err
    assert "Commands:" in done.err


def test_every_command_is_tested():
    """A new command is put into the list above."""
    assert set(COMMANDS) <= set(group.commands)


def test_help_imports_neither_the_sdk_nor_a_test_runner():
    """Starting up is quick."""
    code = (
        "import sys; from inferencereplay.cli import main; main(['--help']); "
        "print([name for name in ('openai', 'pytest', 'yaml', 'httpx2', 'pydantic', 'wrapt') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_the_program_and_the_module_are_the_same():
    """`python -m inferencereplay` is the installed program."""
    program = Path(sys.executable).with_name("inferencereplay")
    done = subprocess.run([program, "--version"], capture_output=True, text=True, check=True)
    assert done.stdout == spawn("--version").stdout
    assert done.stdout.startswith("inferencereplay, version")


@pytest.mark.parametrize("missing", ["click", "rich"])
def test_without_the_extra_one_line_says_what_to_install(missing):
    """Neither a traceback nor a success."""
    code = f"import sys; sys.modules['{missing}'] = None; from inferencereplay.cli import main; sys.exit(main())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr == f"The command line needs the package {missing}: pip install 'inferencereplay[cli]'\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("list", "nowhere"), "does not exist"),
        (("list", "--nonsense"), "No such option"),
        (("nonsense",), "No such command"),
        (("list", "--since", "yesterday"), "is no date"),
        (("list", "--since", "99999999999d"), "is no date|is no duration"),
        (("prune", "--older-than", "30"), "is no duration"),
        (("run", "--mdoe", "record", "--", "true"), "No such option"),
        (("prune", "--older-than", "99999999999999d"), "is no duration"),
        (("show", STORY, "--dir", "nowhere"), "does not exist"),
        (("rekey", ".", "--normalize", "no.such:thing"), "cannot be imported"),
        (("rekey", ".", "--normalize", "os:sep"), "is no function"),
        (("rekey", ".", "--normalize", "/(?:/"), "no regular expression"),
        (("rekey", ".", "--redact", "("), "no regular expression"),
    ],
)
def test_what_cannot_be_done_ends_with_2_and_one_error(cli, arguments, message):
    """The error goes to standard error; there is no traceback."""
    done = cli(*arguments)
    assert done.status == 2
    assert done.out == ""
    assert "Traceback" not in done.err
    assert done.err.count("Error: ") == 1
    assert any(part in done.err for part in message.split("|"))


def test_the_module_by_itself_does_nothing(capsys):
    """It can be imported."""
    importlib.import_module("inferencereplay.__main__")
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("missing", ["click", "rich"])
def test_the_missing_extra_in_this_process(cli, monkeypatch, missing):
    """As above."""
    monkeypatch.setitem(sys.modules, missing, None)
    assert cli("list").err == f"The command line needs the package {missing}: pip install 'inferencereplay[cli]'\n"


def test_an_early_end_of_the_reader_in_this_process(cli, monkeypatch, shelf, tmp_path):
    """What is still in the buffer goes nowhere."""
    with (tmp_path / "out").open("w", encoding="utf-8") as file:
        monkeypatch.setattr("sys.stdout", file)

        def leave(*_, **__):
            raise BrokenPipeError

        monkeypatch.setattr("inferencereplay.cli.terminal.show_rows", leave)
        assert main(["list", str(shelf)]) == 0
        file.write("lost")
    assert (tmp_path / "out").read_text() == ""


def test_output_that_is_no_file(cli, monkeypatch, shelf):
    """As a notebook's: there is nothing to set."""
    monkeypatch.setattr("sys.stdout", io.StringIO())
    assert main(["list", str(shelf)]) == 0
    assert "KEY" in sys.stdout.getvalue()


def test_an_interrupt_ends_with_130(cli, monkeypatch, shelf):
    """As the shell expects of whoever is interrupted."""

    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("inferencereplay.cli.listing.open_catalogue", interrupt)
    assert cli("list", shelf).status == 130
    monkeypatch.setattr("inferencereplay.cli.app.run", interrupt)
    assert cli("list", shelf).status == 130


def test_an_interrupt_while_starting_up_is_no_traceback():
    """Importing takes most of the time of a short command."""
    code = """
        import sys

        class Interrupt:
            def find_spec(self, name, path=None, target=None):
                if name == "inferencereplay.catalogue.entries":
                    raise KeyboardInterrupt

        sys.meta_path.insert(0, Interrupt())
        from inferencereplay.cli import main

        sys.exit(main(["list"]))
    """
    command = [sys.executable, "-c", textwrap.dedent(code)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


def test_a_reader_that_leaves_early_is_no_error(tmp_path):
    """`inferencereplay list | head -1` ends quietly and well."""
    folder = tmp_path / "chat" / "completions"
    folder.mkdir(parents=True)
    text = '{"inferencereplay":1,"key":"%064x","request":{"method":"POST","path":"/chat/completions"},%s}'
    answer = '"response":{"body":{},"headers":{"x-request-id":"' + "x" * 200 + '"}}'
    for number in range(2000):
        (folder / f"{number:032x}.json").write_text(text % (number, answer))
    command = f"'{sys.executable}' -m inferencereplay list '{tmp_path}' | head -1"
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {command}"], capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("KEY\t")


@pytest.fixture
def into_nowhere(cli, monkeypatch):
    """Run a command whose reader has left: both streams lead to pipes that nobody reads."""

    def run(*arguments):
        for name in ("stdout", "stderr"):
            ours, theirs = os.pipe()
            os.close(ours)
            monkeypatch.setattr(f"sys.{name}", os.fdopen(theirs, "w", encoding="utf-8"))
        try:
            return main([str(argument) for argument in arguments])
        finally:
            sys.stdout.close()
            sys.stderr.close()
            monkeypatch.undo()

    return run


def test_work_is_not_left_half_done_when_the_reader_leaves(into_nowhere, shelf, tmp_path):
    """`rekey | head -1`, `prune --yes | head -1` and `import | head -1` do all they were told to do."""
    before = sorted(file.name for file in shelf.rglob("*.json"))
    assert into_nowhere("rekey", shelf, "--ignore", "temperature", "--ignore", "stream_options") == 0
    after = sorted(file.name for file in shelf.rglob("*.json"))
    assert len(after) == len(before)
    assert not set(after) & set(before)
    cassettes = tmp_path / "cassettes"
    cassettes.mkdir()
    for name in ("a", "b"):
        (cassettes / f"{name}.json").write_text("{}")
    (cassettes / "c.json").write_text(json.dumps({"interactions": [INTERACTION]}))
    assert into_nowhere("import", "vcr", cassettes, tmp_path / "imported") == 1
    assert len(list((tmp_path / "imported").rglob("*.json"))) == 1
    assert into_nowhere("prune", shelf, "--older-than", "0s", "--yes") == 0
    assert not list(shelf.rglob("*.json"))


def test_a_verdict_stays_when_the_reader_leaves(into_nowhere, shelf):
    """`check | head -1` does not let a pipeline pass."""
    (file,) = shelf.rglob(f"{STORY}*.json")
    assert into_nowhere("check", shelf) == 0
    assert into_nowhere("show", STORY, "--dir", shelf) == 0
    assert into_nowhere("diff", file, "1c45e93e", "--dir", shelf) == 1
    assert into_nowhere("diff", file, "1c45e93e", "--dir", shelf, "--json") == 1
    file.write_text("{")
    assert into_nowhere("check", shelf) == 1
    assert into_nowhere("check", shelf, "--json") == 1


def test_streams_that_were_closed():
    """There is nothing to write to, or to read, and no traceback."""
    ours = f"'{sys.executable}' -m inferencereplay"
    for command, status in (
        (f"{ours} list examples/recordings/story >&-", 0),
        (f"{ours} list nowhere >&- 2>&-", 2),
        (f"{ours} why - --dir examples/recordings/story <&-", 2),
    ):
        done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False, timeout=60)
        assert (done.returncode, done.stdout) == (status, "")
        assert "Traceback" not in done.stderr


def test_streams_that_were_closed_in_this_process(cli, monkeypatch, shelf):
    """As above."""
    for name in ("stdin", "stdout", "stderr"):
        monkeypatch.setattr(f"sys.{name}", None)
    assert main(["why", "-", "--dir", str(shelf)]) == 2
    for stream in (sys.stdin, sys.stdout, sys.stderr):
        stream.close()


def test_a_pipe_gets_no_colours_and_whole_lines(shelf):
    """Tab-separated, of whatever width."""
    done = spawn("list", shelf)
    assert "\x1b" not in done.stdout
    assert [len(line.split("\t")) for line in done.stdout.splitlines()] == [7, 7, 7]
    assert "Tell me a story in three sentences about a fox who finds a book." in done.stdout


def test_a_terminal_gets_colours_and_a_table_unless_asked_not_to(shelf):
    """NO_COLOR is heeded."""
    coloured = on_a_terminal("show", STORY, "--dir", shelf)
    assert "\x1b[" in coloured
    plain = on_a_terminal("show", STORY, "--dir", shelf, NO_COLOR="1")
    assert "\x1b[3" not in plain
    assert "a fox emerged" in plain
    table = on_a_terminal("list", shelf, NO_COLOR="1").replace("\x1b[1m", "").replace("\x1b[0m", "")
    assert "\t" not in table
    assert {len(line.rstrip()) for line in table.splitlines()[1:]} == {100}
    assert "40fcf34a4a58 " in table, "a key was cut"


@pytest.mark.parametrize(
    "arguments",
    [
        ("list",),
        ("stats",),
        ("show", "FILE"),
        ("show", "FILE", "--raw"),
        ("show", "FILE", "--request"),
        ("play", "FILE", "--speed", "inf"),
        ("why", "FILE"),
        ("diff", "FILE", STORY),
        ("check",),
    ],
    ids=" ".join,
)
def test_recordings_cannot_steer_a_terminal(cli, monkeypatch, hostile, shelf, arguments):
    """No escape sequence, markup or reordering of a recording is obeyed, not even with colours on."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    given = [hostile if item == "FILE" else item for item in arguments]
    place = ("--dir", shelf) if len(given) > 1 else (shelf,)
    done = cli(*given, *place)
    assert done.status in (0, 1)
    for text in (done.out, done.err):
        assert "\x1b[31mred" not in text
        assert "\x1b]0" not in text
        assert not set(text) & {"\x07", "\x9b", "\u202e", "\x7f"}
        if "markup" in text:
            assert "[bold]markup" in text


def test_a_narrow_terminal_loses_nothing(shelf):
    """Keys, numbers and dates are whole, whatever the width; the bars of gaps fit on their line."""
    table = on_a_terminal("list", shelf, NO_COLOR="1", COLUMNS="40")
    heads = ("KEY", "DATE", "PATH", "MODEL", "ANSWER", "SIZE", "TEXT")
    for part in (*heads, "40fcf34a4a58 ", "2026-11-23 01:20:50", "95 chunks", "25.6 kB", "/chat…"):
        assert part in table
    assert "SmolLM2-…" in on_a_terminal("stats", shelf, NO_COLOR="1", COLUMNS="20")
    shown = on_a_terminal("show", STORY, "--dir", shelf, NO_COLOR="1", COLUMNS="40").splitlines()
    (gaps,) = (line for line in shown if "gaps" in line)
    assert gaps.endswith("longest 42 ms")
    assert len(gaps.replace("\x1b[2m", "").replace("\x1b[0m", "")) == 40


def test_texts_are_made_safe():
    """What steers a terminal becomes visible; lines, tabs and all other characters stay."""
    assert safe("a\tb\nGrüße 😊") == "a\tb\nGrüße 😊"
    assert safe("\x1b[1m\r\x00\x85\u2066\ud800") == "␛[1m␍␀\\x85\\u2066\ufffd"
    assert one_line(" a\n b\x1b ") == "a b␛"


def test_a_terminal_that_knows_few_characters():
    """What it cannot show is spelt out, and is no error."""
    done = spawn("show", STORY, "--dir", "examples/recordings/story", env={**os.environ, "PYTHONIOENCODING": "ascii"})
    assert done.returncode == 0
    assert re.search(r"gaps    [_.=+*%#-]{60}  longest", done.stdout)
    done = spawn("diff", STORY, FRANCE, "--dir", "examples/recordings", env={**os.environ, "PYTHONIOENCODING": "ascii"})
    assert "120 \\u2192 absent" in done.stdout


@pytest.mark.parametrize(("encoding", "bars"), [("utf-8", "▁▂█"), ("latin-1", "_.#")])
def test_bars_are_of_characters_that_the_terminal_knows(monkeypatch, encoding, bars):
    """A row of escapes would say nothing."""
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(io.BytesIO(), encoding=encoding))
    assert sparkline([0, 1, 8]) == bars


def test_numbers_for_people():
    """Sizes, durations and bars."""
    assert [size(count) for count in (0, 1023, 1024, 5_000_000, 7 * 1024**3, 1024**5)] == [
        *("0 B", "1023 B", "1.0 kB", "4.8 MB", "7.0 GB", "1048576.0 GB"),
    ]
    assert [seconds(value) for value in (0.0204, 2.5)] == ["20 ms", "2.50 s"]
    assert sparkline([]) == ""
    assert sparkline([0, 0]) == "▁▁"
    assert sparkline([0, 1, 8]) == "▁▂█"
    assert len(sparkline([1] * 1000)) == 60
    assert sparkline([0] * 100 + [1] + [0] * 99, width=2) == "▁█"
