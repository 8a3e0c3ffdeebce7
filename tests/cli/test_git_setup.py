"""`git-setup`, and what git calls then: `git-textconv` and `git-merge`."""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path

import pytest
from repositories import commit, git
from written import ask, plain, write

from inferencereplay.cli.git_calls import choose
from inferencereplay.recording.format import Response

BASE, EARLY, LATE = "2026-11-01T00:00:00Z", "2026-11-02T00:00:00.5Z", "2026-11-03T00:00:00Z"
SHARED = "-text -merge diff=inferencereplay linguist-generated=true"
FOLDER = "tests/my recordings"


def answered(text, number=1, **more):
    """Return an answer whose ids and times are those of an attempt."""
    call = {"id": f"call_{number}", "type": "function", "function": {"name": "weather", "arguments": "{}"}}
    message = {"role": "assistant", "content": text, "tool_calls": [call]}
    usage = {"prompt_tokens": 7, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": number}}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    made = plain({"id": f"c-{number}", "created": number, "choices": [choice], "usage": usage}, elapsed=float(number))
    return Response(**{name: getattr(made, name) for name in made.__struct_fields__} | more)


def put(folder, text, at, *, question="a", number=1, **more):
    """Write a recording; return its file."""
    return write(folder / FOLDER, ask(question), answered(text, number, **more), at=at)


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """Make a repository with one recording, whose branch `topic` has another answer to it."""
    root = tmp_path / "r"
    git(tmp_path, "init", "-q", "r")
    monkeypatch.chdir(root)
    put(root, "base", BASE)
    commit(root, "base")
    git(root, "switch", "-qc", "topic")
    put(root, "early", EARLY)
    commit(root, "topic")
    git(root, "switch", "-q", "main")
    return root


def test_what_it_writes_is_said_and_taken_back(cli, repository):
    """Lines of attributes and settings; a second time changes nothing; `--undo` leaves no trace."""
    before = (repository / ".git/config").read_text()
    own = repository / ".git/info/attributes"
    done = cli("git-setup", FOLDER)
    assert done.status == 0
    script = Path(sys.executable).with_name("inferencereplay")
    pattern = '"/tests/my recordings/**/*.json"'
    assert (repository / ".gitattributes").read_text() == f"{pattern} {SHARED}\n"
    assert own.read_text() == f"{pattern} merge=inferencereplay\n"
    assert git(repository, "config", "diff.inferencereplay.textconv") == f"{shlex.quote(str(script))} git-textconv"
    assert git(repository, "config", "merge.inferencereplay.driver").endswith(" git-merge %O %A %B %P")
    said = done.out.splitlines()
    assert said[0] == f"added to     {repository}/.gitattributes: {pattern} {SHARED}"
    assert said[1].startswith(f"added to     {own}: ")
    assert [line.split()[3] for line in said[2:]] == [
        *("diff.inferencereplay.textconv", "merge.inferencereplay.name", "merge.inferencereplay.driver")
    ]
    again = cli("git-setup", "--dir", FOLDER)
    assert again.out.startswith(f"in place     {repository}/.gitattributes")
    assert own.read_text().count("\n") == 1
    undone = cli("git-setup", FOLDER, "--undo")
    assert [line.split()[0] for line in undone.out.splitlines()] == ["removed", "removed", "git", "git"]
    assert not (repository / ".gitattributes").exists()
    assert not own.exists()
    assert (repository / ".git/config").read_text() == before
    assert cli("git-setup", FOLDER, "--undo").out == ""


def test_lines_of_others_stay(cli, repository):
    """Also without an end of the last line; several directories share the settings."""
    attributes = repository / ".gitattributes"
    attributes.write_text("*.png binary")
    cli("git-setup", ".")
    cli("git-setup", "other[1]")
    assert attributes.read_text() == f"*.png binary\n/**/*.json {SHARED}\n/other\\[1\\]/**/*.json {SHARED}\n"
    assert "config" not in cli("git-setup", ".", "--undo").out
    assert git(repository, "config", "merge.inferencereplay.driver")
    assert "config" in cli("git-setup", "other[1]", "--undo").out
    assert attributes.read_text() == "*.png binary\n"


def test_lines_of_others_stay_to_the_byte(cli, repository):
    """Ends of lines among them; our own line may have got one of Windows."""
    attributes = repository / ".gitattributes"
    before = b"*.txt text\r\n# one \x0c line\r\n# caf\xe9\n*.bin binary"
    attributes.write_bytes(before)
    cli("git-setup", FOLDER)
    cli("git-setup", FOLDER)
    after = attributes.read_bytes()
    assert after.startswith(before + b"\n")
    assert after.count(b"inferencereplay") == 1
    attributes.write_bytes(after[:-1] + b"\r\n")
    assert cli("git-setup", FOLDER).out.startswith("in place ")
    cli("git-setup", FOLDER, "--undo")
    assert attributes.read_bytes() == before + b"\n"


@pytest.mark.parametrize("name", ["plain", "with blank", 'a "quoted" name', "back\\slash", "star*", "ü", "line\nfeed"])
def test_git_finds_the_files_of_any_directory(cli, repository, name):
    """Of just that one, at any depth."""
    cli("git-setup", name)
    for path, value in ((f"{name}/a.json", "inferencereplay"), (f"{name}/b/c/d.json", "inferencereplay")):
        assert git(repository, "check-attr", "-z", "merge", "--", path).split("\0")[2] == value
    assert git(repository, "check-attr", "-z", "merge", "--", "starry/a.json").split("\0")[2] == "unspecified"


def test_without_the_script_python_is_called(cli, repository, monkeypatch):
    """As in an environment that has none."""
    monkeypatch.setattr("shutil.which", lambda *_, **__: None)
    cli("git-setup", FOLDER)
    assert git(repository, "config", "diff.inferencereplay.textconv").endswith(" -m inferencereplay git-textconv")


def test_outside_of_a_repository(cli, tmp_path, monkeypatch):
    """An error, and nothing is written."""
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    done = cli("git-setup", tmp_path)
    assert (done.status, done.out) == (2, "")
    assert "not a git repository" in done.err
    assert list(tmp_path.iterdir()) == []


def test_a_diff_shows_conversations(cli, repository):
    """Without what varies by nature; what is no recording is shown as it is."""
    cli("git-setup", FOLDER)
    file = put(repository, "base", LATE, number=2)
    shown = git(repository, "diff", "--", FOLDER)
    assert not re.search(r"^[-+](?!--|\+\+)", shown, re.MULTILINE)
    assert "c-2" in git(repository, "diff", "--no-textconv", "--", FOLDER)
    put(repository, "other", LATE, number=2)
    assert "\n-base\n+other\n" in git(repository, "diff", "--", FOLDER)
    file.write_text("torn")
    assert "\n+torn" in git(repository, "diff", "--", FOLDER)


def test_the_text_of_a_recording(cli, tmp_path):
    """Has what `show` has, but for the name, the date, ids and times."""
    file = put(tmp_path, "hello", BASE, number=3)
    whole, text = cli("show", file).out, cli("git-textconv", file).out
    assert "call_3" in whole
    assert "3 cached" in whole
    assert "2026-11-01" in whole
    for part in ("call_3", "cached", "2026", "timing", file.name):
        assert part not in text
    assert "POST /chat/completions" in text
    assert "→ weather({})" in text
    assert "7 in, 2 out" in text


@pytest.mark.parametrize(("at", "text"), [(LATE, "ours"), (BASE.replace("01T", "02T"), "early")])
def test_a_merge_takes_what_was_recorded_later(cli, repository, at, text):
    """On either side."""
    cli("git-setup", FOLDER)
    commit(repository, "attributes")
    file = put(repository, "ours", at)
    commit(repository, "ours")
    git(repository, "merge", "-q", "topic", "-m", "both")
    assert f'"content": "{text}"' in file.read_text()
    assert git(repository, "status", "--short") == ""


def test_a_conflict_leaves_our_side(cli, repository):
    """Where an answer was edited by hand; git and `check` say so, and the file holds no marks."""
    cli("git-setup", FOLDER)
    commit(repository, "attributes")
    file = put(repository, "edited", BASE)
    commit(repository, "ours")
    said = git(repository, "merge", "topic", status=1)
    assert f"{FOLDER}/chat/completions/{file.name}: a side was edited by hand; take either side: " in said
    assert "CONFLICT" in said
    assert '"content": "edited"' in file.read_text()
    git(repository, "checkout", "--theirs", "--", FOLDER)
    assert '"content": "early"' in file.read_text()


def test_without_the_driver_a_clone_has_a_conflict(cli, repository):
    """The attributes that are committed never let git mix two answers."""
    cli("git-setup", FOLDER)
    commit(repository, "attributes")
    (repository / ".git/info/attributes").unlink()
    file = put(repository, "ours", LATE)
    commit(repository, "ours")
    assert "CONFLICT" in git(repository, "merge", "topic", status=1)
    assert '"content": "ours"' in file.read_text()


def data(folder, *arguments, **more):
    return put(folder, *arguments, **more).read_bytes()


@pytest.mark.parametrize(
    ("ours", "theirs", "chosen"),
    [
        (("a", EARLY), ("b", LATE), "theirs"),
        (("a", LATE), ("b", EARLY), "ours"),
        (("a", "2026-11-03T02:00:00+02:00"), ("b", EARLY), "ours"),
        (("a", BASE), ("b", LATE), "a side was edited by hand"),
        (("a", LATE), ("b", LATE), "a side was edited by hand"),
        (("a", ""), ("b", LATE), "a side does not say when it was recorded"),
        (("a", LATE), ("b", "soon"), "a side does not say when it was recorded"),
    ],
    ids=range(7),
)
def test_which_side_is_taken(tmp_path, ours, theirs, chosen):
    """The later one, unless a reason speaks against both."""
    base = data(tmp_path, "base", BASE)
    found = choose(base, data(tmp_path, *ours), data(tmp_path, *theirs))
    assert (found.reason or ("theirs" if found.is_theirs else "ours")) == chosen


def test_sides_that_do_not_belong_together(tmp_path):
    """Another request, a file that is no recording, a request that cannot be read."""
    one, late = data(tmp_path, "a", EARLY), data(tmp_path, "b", LATE)
    assert choose(b"", one, late).is_theirs  # both branches added it
    assert choose(b"torn", one, late).is_theirs
    assert choose(b"", one, data(tmp_path, "b", LATE, question="b")).reason == "the two sides have different requests"
    assert choose(b"", one, late[:-9]).reason == "a side cannot be read as a recording"
    deep = one.replace(b'"model": "m"', b'"model": ' + b"[" * 2_000 + b"]" * 2_000)
    assert choose(b"", one, deep).reason


def test_a_whole_answer_is_taken_before_an_incomplete_one(tmp_path):
    """Though that is later."""
    whole = data(tmp_path, "a", EARLY)
    left = data(tmp_path, "a", LATE, end="closed", left=1.0, body=Response().body, elapsed=None)
    assert choose(b"", left, whole).is_theirs
    assert choose(b"", whole, left) == (False, "")


def test_the_commands_that_git_calls(cli, tmp_path):
    """A file that is no recording is printed as it is; a merge writes to our side, or leaves it."""
    torn = tmp_path / "torn.json"
    torn.write_text("torn\n")
    assert cli("git-textconv", torn).out == "torn\n"
    files = [tmp_path / name for name in ("base", "ours", "theirs")]
    for file, at in zip(files, (BASE, EARLY, LATE), strict=True):
        file.write_bytes(data(tmp_path, file.name, at))
    theirs = files[2].read_bytes()
    done = cli("git-merge", *files, "a.json")
    assert (done.status, done.err, files[1].read_bytes()) == (0, "", theirs)
    files[2].write_bytes(data(tmp_path, "earlier", EARLY))
    done = cli("git-merge", *files, "a.json")
    assert (done.status, done.err, files[1].read_bytes()) == (0, "", theirs)
    files[2].write_bytes(data(tmp_path, "edited", BASE))
    done = cli("git-merge", *files, "a.json")
    assert (done.status, files[1].read_bytes()) == (1, theirs)
    assert done.err.startswith("a.json: a side was edited by hand; take either side: `git checkout --ours FILE`")
    number = data(tmp_path, "a", EARLY).replace(b'"model": "m"', b'"model": ' + b"9" * 5_000)
    assert choose(b"", number, data(tmp_path, "a", LATE)).reason == "the two sides have different requests"
