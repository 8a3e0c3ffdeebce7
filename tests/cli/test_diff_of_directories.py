"""`diff` of two directories, and of revisions in git."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import msgspec
import pytest
from repositories import git
from written import ask, plain, streamed, write

from inferencereplay.catalogue.comparison import blob_id
from inferencereplay.cli.git_repository import Blobs, Repository
from inferencereplay.recording.format import Response
from inferencereplay.recording.frames import Frame

GIVEN = Path(__file__).parents[1] / "recordings" / "llama_stack"


def answered(text, number=1):
    """Return an answer whose ids and times are those of an attempt."""
    message = {"role": "assistant", "content": text, "tool_calls": [{"id": f"call_{number}", "type": "function"}]}
    usage = {"prompt_tokens": 7, "prompt_tokens_details": {"cached_tokens": number}}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    made = plain({"id": f"c-{number}", "created": number, "choices": [choice], "usage": usage}, elapsed=float(number))
    made.headers["x-request-id"] = f"req_{number}"
    return made


def fill(folder, **texts):
    """Write a recording for each question; a text is its answer."""
    return {question: write(folder, ask(question), answered(*said_)) for question, said_ in texts.items()}


@pytest.fixture
def pair(tmp_path):
    """Return two directories: a recording stays, one has other ids, one another text, one came, one went."""
    fill(tmp_path / "old", same=("a",), again=("b", 1), other=("c",), gone=("d",))
    fill(tmp_path / "new", same=("a",), again=("b", 2), other=("C", 2), came=("e",))
    return tmp_path / "old", tmp_path / "new"


def test_two_directories(cli, pair):
    """What came, went and changed is listed; other ids, times and headers are no change."""
    done = cli("diff", *pair)
    assert done.status == 1
    *lines, total = done.out.splitlines()
    assert total == "1 added, 1 removed, 1 changed, 2 unchanged"
    assert sorted(line.split()[0] for line in lines) == [
        "added",
        "changed",
        "removed",
        "response.body.choices[0].message.content:",
    ]
    assert '  response.body.choices[0].message.content: "c" → "C"' in lines
    assert cli("diff", pair[0], pair[0]).out == "0 added, 0 removed, 0 changed, 4 unchanged\n"
    assert cli("diff", pair[0], pair[0]).status == 0


def test_all_shows_what_varies_too(cli, pair):
    """Ids, times, headers, and the date."""
    lines = cli("diff", *pair, "--all").out.splitlines()
    assert lines[-1] == "1 added, 1 removed, 2 changed, 1 unchanged"
    shown = {line.strip().partition(":")[0] for line in lines}
    assert shown >= {"response.body.id", "response.headers.x-request-id", "response.elapsed", "response.body.created"}
    assert cli("diff", *pair, "--all", "--request").out.splitlines()[-1] == "1 added, 1 removed, 0 changed, 3 unchanged"


def test_connections(cli, tmp_path):
    """Ids of events and answers vary; what the frames say counts."""

    def put(name, text, number):
        event = {"type": "delta", "event_id": f"event_{number}", "item_id": f"item_{number}", "delta": text}
        frame = Frame("server", msgspec.Raw(json.dumps(event).encode()))
        held = Response(101, offsets=[0.5], end="closed", frames=[frame])
        file = write(tmp_path / name, {"model": "m"}, held, path="/realtime")
        file.write_text(file.read_text().replace('"method": "POST"', '"method": "WEBSOCKET"'))
        return tmp_path / name

    old = put("old", "a", 1)
    assert cli("diff", old, put("same", "a", 2)).out == "0 added, 0 removed, 0 changed, 1 unchanged\n"
    assert cli("diff", old, put("same", "a", 2), "--all").status == 1
    shown = cli("diff", old, put("other", "b", 2)).out.splitlines()
    assert shown[1:] == ['  response.frames[0].json.delta: "a" → "b"', "0 added, 0 removed, 1 changed, 0 unchanged"]


def test_as_json(cli, pair):
    """With the counts."""
    found = json.loads(cli("diff", *pair, "--json").out)
    assert found["counts"] == {"added": 1, "removed": 1, "changed": 1, "unchanged": 2}
    (changed,) = [item for item in found["changes"] if item["kind"] == "changed"]
    assert changed["differences"] == [{"path": "response.body.choices[0].message.content", "a": "c", "b": "C"}]
    assert {item["kind"]: set(item) for item in found["changes"]}["added"] == {"name", "kind"}


def test_two_recordings_hide_what_varies_too(cli, tmp_path):
    """Also of streams, whose tokens from a cache vary."""
    one = write(tmp_path / "a", ask("x"), answered("a", 1))
    other = write(tmp_path / "b", ask("x"), answered("a", 2))
    assert cli("diff", one, other).status == 0
    assert "response.body.id: " in cli("diff", one, other, "--all").out

    def stream(folder, cached, call):
        usage = {"prompt_tokens": 3, "prompt_tokens_details": {"cached_tokens": cached}}
        chunk = {"tool_calls": [{"index": 0, "id": call, "function": {"name": "f", "arguments": "{}"}}]}
        made = streamed("a", chunk, offsets=(0.1 * cached, 0.2 * cached))
        made.chunks.append(plain({"choices": [], "usage": usage}).body)
        made.offsets.append(1.0 * cached)
        return write(folder, ask("y"), made)

    one, other = stream(tmp_path / "a", 1, "call_1"), stream(tmp_path / "b", 2, "call_2")
    assert cli("diff", one, other).out == ""
    shown = cli("diff", one, other, "--all").out
    assert "tool_calls[0].id" in shown
    assert 'response.offsets: "0.' in shown
    assert "response.usage.cached: 1 → 2" in shown


def test_a_file_that_cannot_be_read(cli, pair):
    """Is told with the reason, and is a difference."""
    old, new = pair
    name = next(file.name for file in new.rglob("*.json") if (old / file.relative_to(new)).exists())
    next(new.rglob(name)).write_text("<<<<<<< HEAD\n")
    done = cli("diff", old, new)
    assert "merge conflict; take either side, at line 1" in done.out
    assert ", 1 unreadable" in done.out
    (found,) = [item for item in json.loads(cli("diff", old, new, "--json").out)["changes"] if "reason" in item]
    assert found["kind"] == "unreadable"


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """Make a repository with recordings in tests/recordings, a branch, and work that is not committed."""
    root = tmp_path / "repository with blanks"
    folder = root / "tests" / "recordings"
    fill(folder, same=("a",), again=("b", 1), other=("c",), gone=("d",))
    (folder / "notes.json").write_text("{}")
    git(tmp_path, "init", "-q", str(root))
    git(root, "add", ".")
    git(root, "commit", "-qm", "one")
    git(root, "switch", "-qc", "topic")
    fill(folder, other=("C",))
    git(root, "commit", "-qam", "two")
    git(root, "switch", "-q", "main")
    fill(folder, again=("b", 2), other=("see",), came=("e",))
    fill(folder, gone=("d",))["gone"].unlink()
    monkeypatch.chdir(root)
    return root


def test_a_revision_and_the_working_tree(cli, repository):
    """By paths after `--`, by a directory without it, from anywhere in the repository, and for one file."""
    done = cli("diff", "main", "--", "tests/recordings")
    assert done.out.splitlines()[-1] == "1 added, 1 removed, 1 changed, 2 unchanged"
    assert done.status == 1
    assert '  response.body.choices[0].message.content: "c" → "see"' in done.out
    assert "changed    tests/recordings/chat/completions/" in done.out
    for arguments in (
        ("main", "tests/recordings"),
        ("HEAD", "--dir", "tests/recordings"),
        ("HEAD", "--", "."),
        ("HEAD", "--", "tests"),
    ):
        assert cli("diff", *arguments).out.splitlines()[-1] == done.out.splitlines()[-1]
    file = next(Path("tests").rglob(f"{_digits(done.out, 'changed')}*"))
    assert cli("diff", "main", "--", file).out.splitlines()[-1] == "0 added, 0 removed, 1 changed, 0 unchanged"
    assert cli("diff", "main", "--", file.parent, "tests/recordings/notes.json").status == 1


def _digits(out, kind):
    line = next(line for line in out.splitlines() if line.startswith(kind))
    return line.rpartition("/")[2].removesuffix(".json")


def test_the_directory_is_found(cli, repository):
    """As by the other commands that read."""
    done = cli("diff", "main")
    assert done.err == "There is no recordings here: reading tests/recordings.\n"
    assert done.out.splitlines()[-1] == "1 added, 1 removed, 1 changed, 2 unchanged"


def test_two_revisions(cli, repository):
    """The working tree does not count then."""
    done = cli("diff", "main..topic", "--", "tests/recordings")
    assert done.out.splitlines()[-1] == "0 added, 0 removed, 1 changed, 3 unchanged"
    assert '"c" → "C"' in done.out
    assert '"C" → "c"' in cli("diff", "topic..", "--", "tests/recordings").out
    assert '"c" → "C"' in cli("diff", "..topic", "--", "tests/recordings").out
    git(repository, "add", ".")
    git(repository, "commit", "-qam", "three")
    assert (
        cli("diff", "main..topic", "--", "tests/recordings").out.splitlines()[-1]
        == "1 added, 1 removed, 1 changed, 2 unchanged"
    )
    assert (
        cli("diff", "main...topic", "--", "tests/recordings").out.splitlines()[-1]
        == "0 added, 0 removed, 1 changed, 3 unchanged"
    )


def test_a_hook_of_a_linked_working_tree(cli, repository, monkeypatch):
    """Git runs it with the variable `GIT_DIR`."""
    git(repository, "worktree", "add", "-q", "../linked", "topic")
    monkeypatch.chdir("../linked")
    expected = cli("diff", "main", "--", "tests/recordings").out
    assert expected.splitlines()[-1] == "0 added, 0 removed, 1 changed, 3 unchanged"
    monkeypatch.setenv("GIT_DIR", git(Path(), "rev-parse", "--absolute-git-dir"))
    assert cli("diff", "main", "--", "tests/recordings").out == expected


def test_a_folder_named_like_an_option(cli, repository):
    """Git takes it for a path."""
    shutil.move("tests/recordings", "--name-only")
    git(repository, "add", ".")
    git(repository, "commit", "-qm", "moved")
    assert cli("diff", "HEAD", "--", "--name-only").out == "0 added, 0 removed, 0 changed, 4 unchanged\n"


def test_files_that_are_gone_or_new_everywhere(cli, repository):
    """A directory that only one side has."""
    shutil.move("tests/recordings", "tests/moved")
    assert cli("diff", "main", "--", "tests/recordings").out.splitlines()[-1].startswith("0 added, 4 removed")
    assert cli("diff", "main", "--", "tests/moved").out.splitlines()[-1].startswith("4 added, 0 removed")


def test_recordings_of_llama_stack(cli, tmp_path, monkeypatch):
    """Their names are any; a link in the repository is none of them."""
    root = tmp_path / "r"
    root.mkdir()
    for file in sorted(GIVEN.glob("*.json"))[:3]:
        shutil.copy(file, root)
    (root / "link.json").symlink_to(next(root.iterdir()).name)
    git(root, "init", "-q")
    git(root, "add", ".")
    git(root, "commit", "-qm", "one")
    (root / "link.json").unlink()
    monkeypatch.chdir(root)
    assert cli("diff", "HEAD", "--", ".").out == "0 added, 0 removed, 0 changed, 3 unchanged\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("nowhere", "--", "tests"), "'nowhere' is no revision of "),
        (("main..nowhere", "--", "tests"), "'nowhere' is no revision of "),
        (("--", "tests"), "Missing argument"),
        (("main", "topic", "--", "tests"), "Give two recordings, two directories, or a revision and paths"),
        (("a", "b", "c"), "Give two recordings, two directories, or a revision and paths"),
        (("main", "--", "tests", "/"), " is outside of the repository "),
        (("main", "--", "empty"), "There are no recordings at empty in main and in the working tree."),
        (("main..topic", "--", "empty"), "There are no recordings at empty in main..topic."),
        (("main...apart", "--", "tests"), "main...apart: the two have no common commit in "),
        (("-x", "--", "tests"), "No such option"),
        (("main", "-d", "empty"), "There are no recordings at empty in main and in the working tree."),
    ],
    ids=lambda item: " ".join(item) if isinstance(item, tuple) else "",
)
def test_what_is_wrong_is_said(cli, repository, arguments, message):
    """One clear error each, with status 2."""
    empty = git(repository, "hash-object", "-t", "tree", "/dev/null")
    git(repository, "branch", "apart", git(repository, "commit-tree", empty, "-m", "apart"))
    done = cli("diff", *arguments)
    assert done.status == 2
    assert message in done.err
    assert "Traceback" not in done.err


def test_without_a_repository(cli, pair, tmp_path, monkeypatch):
    """And without git."""
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    done = cli("diff", "main", "--", pair[0])
    assert (done.status, "not a git repository" in done.err) == (2, True)
    monkeypatch.setenv("PATH", str(tmp_path))
    done = cli("diff", "main", "--", pair[0])
    assert (done.status, done.err) == (
        2,
        "Error: git cannot be run: No such file or directory. Install it, or give two directories.\n",
    )


def test_a_content_that_the_repository_does_not_hold(cli, repository):
    """As in a partial clone."""
    for blob in git(repository, "rev-parse", "HEAD:tests/recordings/chat/completions").split():
        file = next(repository.joinpath(".git/objects").glob(f"{blob[:2]}/{blob[2:]}"))
        assert file.is_file()
    listed = git(repository, "ls-tree", "-r", "HEAD").splitlines()
    for line in listed:
        blob = line.split()[2]
        (repository / ".git/objects" / blob[:2] / blob[2:]).unlink()
    done = cli("diff", "main", "--", "tests/recordings")
    assert done.status == 2
    assert "git does not have the content " in done.err


@pytest.mark.parametrize("kind", ["sha1", "sha256"])
def test_the_ids_of_contents_are_those_of_git(tmp_path, kind):
    """In repositories of both kinds."""
    git(tmp_path, "init", "-q", f"--object-format={kind}")
    (tmp_path / "a").write_bytes(b"content\n")
    blob = git(tmp_path, "hash-object", "-w", "a")
    assert blob_id(b"content\n", blob) == blob
    with Blobs(Repository(tmp_path / "not there" / "yet")) as blobs:
        assert [blobs.read(blob) for _ in range(3)] == [b"content\n"] * 3


def test_a_url_is_in_no_repository(cli):
    """Its revisions are not git's."""
    done = cli("diff", "main", "--dir", "https://example.org/recordings")
    assert done.status == 2
    assert "https://example.org/recordings is in no repository of git." in done.err
