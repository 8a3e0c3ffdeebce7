"""What the message of a miss says to do: it fits the place, and the reason."""

from __future__ import annotations

import json
import sys
import types
from pathlib import Path

import pytest
from conftest import ASK

from inferencereplay import RecordingCorrupt, RecordingNotFound, Session, replay
from inferencereplay.recording.request import Request, canonical_json
from inferencereplay.session import misses, moved_recordings
from inferencereplay.session.near_requests import NearRequests
from inferencereplay.store.opening import open_store

CHAT = "/chat/completions"


def miss(directory, body=ASK, **options):
    """Return the miss of a request that a session of a directory has not recorded."""
    session = Session(directory, **options)
    return session.miss(session.call(Request("POST", CHAT, canonical_json(body))))


@pytest.fixture(autouse=True)
def _forget_folders():
    moved_recordings._directories.cache_clear()
    moved_recordings._project.cache_clear()


@pytest.fixture
def edited(recorded):
    """Record a request, and edit it in its file; return the directory, the file and the new request's body."""
    directory, _ = recorded
    (file,) = directory.rglob("*.json")
    held = json.loads(file.read_text())
    held["request"]["body"]["seed"] = 7
    file.write_text(json.dumps(held, indent=2))
    return directory, file, held["request"]["body"]


# Edited files.


def test_an_edited_request_is_no_miss_that_differs(edited, cli, client):
    """The message says what to run, and that mends it."""
    directory, file, body = edited
    error = miss(directory, body)
    assert f"chat/completions/{file.name} holds this very request under another key: it was edited" in str(error)
    assert str(error).endswith(f"To file it under its key, run\n  inferencereplay rekey {directory}")
    assert (error.is_edited, error.differences) == (True, ())
    assert cli("rekey", directory).status == 0
    with replay(directory):
        assert client.chat.completions.create(**body).choices


def test_an_edited_request_is_told_where_it_was(edited, client):
    """The request that it was before finds the file, and hears the same."""
    with pytest.raises(RecordingCorrupt, match="file it anew with `inferencereplay rekey`"), replay(edited[0]):
        client.chat.completions.create(**ASK)


def test_an_edited_request_is_told_by_why(edited, cli, tmp_path):
    """As by the miss."""
    directory, file, body = edited
    asked = tmp_path / "asked.txt"
    asked.write_text(json.dumps(body))
    done = cli("why", asked, "--dir", directory)
    assert done.status == 1
    assert f"The nearest is chat/completions/{file.name}" not in done.out
    assert f"{file.name} holds this very request under another key. It was edited:" in done.out
    assert f"file it anew by: inferencereplay rekey {directory}" in done.out


def test_a_file_that_was_renamed_is_as_good_as_edited(recorded):
    """Its name is not its key's."""
    (file,) = recorded[0].rglob("*.json")
    file.rename(file.with_name(f"{'0' * 32}.json"))
    assert miss(recorded[0]).is_edited


def test_what_differs_in_the_query_is_not_edited(recorded):
    """Nor is what cannot be read any more, or is llama-stack's."""
    directory, _ = recorded
    (file,) = directory.rglob("*.json")
    near = NearRequests(open_store(directory, None))
    request = Request("POST", CHAT, canonical_json(ASK), {"api-version": "1"})
    assert not near.is_edited(request, file.name)
    other = Request("POST", CHAT, canonical_json({**ASK, "seed": 1}))
    assert near.is_edited(other, file.name)
    assert not near.is_edited(other, "a.json")
    assert not near.is_edited(other, f"{'0' * 32}.json")
    file.write_text("torn")
    assert not near.is_edited(other, file.name)


# Directories that were moved.


@pytest.fixture
def project(tmp_path, client, monkeypatch):
    """Make a project with recordings in a folder of its tests."""
    (tmp_path / "pyproject.toml").touch()
    (tmp_path / ".hidden").mkdir()
    with replay(tmp_path / "tests" / "unit" / "recordings", mode="record"):
        client.chat.completions.create(**ASK)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("place", ["recordings", "other/deep/recordings", "tests/recordings"])
def test_a_directory_that_was_moved_is_found(project, place):
    """Wherever in the project it is looked for; it is named by its path from here."""
    told = "It is recorded in tests/unit/recordings: was the directory moved? Give that one."
    assert told in str(miss(project / place, mode="replay"))
    assert "was the directory moved?" not in str(miss(project / place, {**ASK, "seed": 1}, mode="replay"))


def test_from_elsewhere_it_has_its_whole_path(project, tmp_path_factory, monkeypatch):
    """There is no shorter one; also where the working directory is gone."""
    gone = tmp_path_factory.mktemp("gone")
    monkeypatch.chdir(gone)
    whole = f"It is recorded in {project}/tests/unit/recordings:"
    assert whole in str(miss(project / "recordings", mode="replay"))
    gone.rmdir()
    assert whole in str(miss(project / "recordings", mode="replay"))


def test_only_a_few_are_named(project):
    """The nearest to the project's folder."""
    made = project / "tests" / "unit" / "recordings"
    for name in ("a", "b", "c", "d", "venv", ".git"):
        (project / name).mkdir()
        (project / name / "chat").symlink_to(made / "chat")
    text = str(miss(project / "recordings", mode="replay"))
    assert "It is recorded in a and in b and in c: was" in text


def test_the_search_is_bounded(project, monkeypatch):
    """By folders, and by time; what cannot be looked into is passed over."""
    found = moved_recordings.find
    where = (str(project / "recordings"), CHAT, miss(project / "recordings", mode="replay").key)
    assert found(*where) == [str(project / "tests/unit/recordings")]
    for bound in ("MOST_FOLDERS", "LONGEST"):
        moved_recordings._directories.cache_clear()
        with monkeypatch.context() as patch:
            patch.setattr(moved_recordings, bound, 0)
            assert found(*where) == []
    assert moved_recordings._names_in(str(project / "nowhere")) == (set(), [])


def test_of_a_folder_full_of_recordings_only_the_beginning_is_read(project, monkeypatch):
    """It holds no folders; any other one is read to its end."""
    monkeypatch.setattr(moved_recordings, "ALIKE", 3)
    full = project / "full"
    full.mkdir()
    for number in range(3):
        (full / f"{number:032x}.json").touch()
    (full / "folder").mkdir()
    names, inner = moved_recordings._names_in(str(full))
    assert len(names) == 3 or inner  # whichever the system names first
    for file in full.glob("*.json"):
        file.rename(file.with_suffix(".txt"))
    assert moved_recordings._names_in(str(full))[1] == [str(full / "folder")]


def test_folders_are_looked_through_once(project, monkeypatch):
    """A thousand misses cost one search."""
    text = str(miss(project / "recordings", mode="replay"))
    monkeypatch.setattr(moved_recordings, "_names_in", lambda _: pytest.fail("it is searched again"))
    assert str(miss(project / "recordings", mode="replay")) == text


def test_without_a_project_its_own_folder_is_searched(tmp_path, client, monkeypatch):
    """Not all that is above it."""
    monkeypatch.setattr(moved_recordings, "_PROJECT", ())
    with replay(tmp_path / "new" / "recordings", mode="record"):
        client.chat.completions.create(**ASK)
    assert f"It is recorded in {tmp_path}/new/recordings" in str(miss(tmp_path / "recordings", mode="replay"))
    (tmp_path / "new" / "other").mkdir()
    assert "was the directory moved?" not in str(miss(tmp_path / "new" / "other" / "recordings", mode="replay"))


def test_the_directory_itself_is_not_told(project):
    """Where its recordings are used up, or are not the ones of that path."""
    place = project / "tests" / "unit" / "recordings"
    assert moved_recordings.find(str(place), CHAT, miss(place).key) == []


# Where the program runs.


@pytest.fixture
def notebook(monkeypatch):
    """Be in a notebook: IPython's shell has a kernel."""
    shell = types.SimpleNamespace(kernel=object())
    monkeypatch.setitem(sys.modules, "IPython", types.SimpleNamespace(get_ipython=lambda: shell))


@pytest.mark.usefixtures("notebook")
def test_in_a_notebook_the_cell_is_changed(tmp_path):
    """Its command line is nothing that anybody could run."""
    text = str(miss(tmp_path))
    assert text.endswith("To record it, say mode='record-if-missing' in the cell, and run that again.")
    text = str(miss(tmp_path, mode="replay"))
    assert text.endswith(
        "To record it, change mode='replay' to mode='record-if-missing' in the cell, and run that again."
    )


def test_a_child_of_a_notebook_says_so_too(tmp_path, monkeypatch):
    """It knows the command line of its parent."""
    monkeypatch.setattr(misses, "program", ["python", "-m", "ipykernel_launcher", "-f", "kernel.json"])
    assert str(miss(tmp_path)).endswith("in the cell, and run that again.")


def test_at_a_prompt_the_session_is_begun_anew(tmp_path, monkeypatch):
    """There is no script to run."""
    monkeypatch.setattr(sys, "ps1", ">>> ", raising=False)
    assert "say mode='record-if-missing' where the session begins, and run" in str(miss(tmp_path))


@pytest.mark.usefixtures("notebook")
def test_a_command_that_the_session_knows_counts_first(tmp_path):
    """As pytest's, also for tests in a notebook."""
    session = Session(tmp_path)
    session.command = lambda mode: f"pytest --inferencereplay-mode={mode}"
    error = session.miss(session.call(Request("POST", CHAT, canonical_json(ASK))))
    assert isinstance(error, RecordingNotFound)
    assert str(error).endswith("To record it, run\n  pytest --inferencereplay-mode=record-if-missing")


def test_ipython_that_is_only_imported_is_no_notebook(tmp_path, monkeypatch):
    """Many programs import it."""
    monkeypatch.setitem(sys.modules, "IPython", types.SimpleNamespace(get_ipython=lambda: None))
    assert "INFERENCEREPLAY_MODE=record-if-missing " in str(miss(tmp_path))
    assert Path(tmp_path).exists()
