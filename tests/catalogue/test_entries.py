"""All recordings of a directory: listed, searched and looked up."""

from __future__ import annotations

import datetime
import os
import pickle
import shutil
from pathlib import Path

import pytest

from inferencereplay import AmbiguousRecording, RecordingCorrupt, StoreError, UnknownRecording, replay
from inferencereplay.catalogue.entries import Catalogue, Entry, Unreadable, load
from inferencereplay.catalogue.filtering import Filter

ROOT = Path(__file__).parents[2]
GIVEN = ROOT / "tests" / "recordings" / "llama_stack"
CAPITALS = ROOT / "examples" / "recordings" / "capitals"
KEY = "1c45e93eb1514e90dd39dd89aba3ed3f"


@pytest.fixture
def directory(tmp_path, client):
    """Record five calls: two chats (one of them twice), a stream and a text completion."""
    with replay(tmp_path / "kept", mode="record"):
        for text in ("Hello", "Hello", "Grüße"):
            client.chat.completions.create(model="gpt-a", messages=[{"role": "user", "content": text}])
        list(client.chat.completions.create(model="gpt-b", messages=[{"role": "user", "content": "Hi"}], stream=True))
        client.completions.create(model="babbage", prompt="Once")
    return tmp_path / "kept"


def names(catalogue, **wanted):
    return [entry.name for entry in catalogue.entries() if Filter(**wanted).accepts(entry)]


def test_ours_are_listed(directory):
    """Each file is there once, with its key, variant, request, date, model and size."""
    catalogue = Catalogue(directory)
    entries = list(catalogue.entries())
    assert [entry.name for entry in entries] == list(catalogue.names())
    assert len(entries) == 5
    for entry in entries:
        file = directory / entry.name
        assert entry.size == file.stat().st_size
        assert entry.request.key == entry.key
        assert file.name.startswith(entry.key[:32])
        assert entry.recorded_at == entry.date
        assert abs(entry.date - datetime.datetime.now(datetime.timezone.utc)) < datetime.timedelta(minutes=5)
    assert sorted(entry.model for entry in entries) == ["babbage", "gpt-a", "gpt-a", "gpt-a", "gpt-b"]
    assert sorted(entry.variant for entry in entries) == [1, 1, 1, 1, 2]


def test_llama_stacks_are_listed():
    """Their files are read one by one, in our words, without an index."""
    catalogue = Catalogue(GIVEN)
    entries = list(catalogue.entries())
    assert len(entries) == len(list(GIVEN.glob("*.json")))
    assert {entry.variant for entry in entries} == {1}
    assert {entry.recorded_at for entry in entries} == {None}
    assert {entry.path for entry in entries} >= {"/chat/completions", "/completions", "/embeddings", "/models"}
    for entry in entries:
        assert entry.date == entry.modified
        assert entry.request.key == entry.key


def test_filters(directory):
    """Model, path, date and text, alone and together."""
    catalogue = Catalogue(directory)
    assert len(names(catalogue, model="gpt")) == 4
    assert len(names(catalogue, model="GPT-?")) == 4
    assert len(names(catalogue, model="gpt-?x")) == 0
    assert len(names(catalogue, path="chat")) == 4
    assert len(names(catalogue, path="/completions")) == 5
    assert len(names(catalogue, path="/c*")) == 5
    assert len(names(catalogue, text="GRÜSSE")) == 1
    assert len(names(catalogue, text="answer 4 and MORE")) == 1
    assert len(names(catalogue, text="Hello", model="babbage")) == 0
    now = datetime.datetime.now(datetime.timezone.utc)
    day = datetime.timedelta(days=1)
    assert len(names(catalogue, since=now - day, until=now + day)) == 5
    assert len(names(catalogue, since=now + day)) == 0
    assert len(names(catalogue, until=now - day)) == 0


def test_unreadable_files_are_reported(directory):
    """A torn file, a directory in a file's place and a dangling link stop nobody."""
    torn = directory / "chat" / "completions" / ("a" * 32 + ".json")
    torn.write_text('{"inferencereplay": 1, ')
    torn.with_name("b" * 32 + ".json").symlink_to("nowhere")
    os.mkfifo(torn.with_name("c" * 32 + ".json"))
    found = list(Catalogue(directory).scan())
    bad = {Path(item.name).name[0]: item.reason for item in found if isinstance(item, Unreadable)}
    assert "cannot be read as a recording" in bad["a"]
    assert "cannot be read (No such file or directory)" in bad["b"]
    assert "no regular file" in bad["c"]
    assert len([item for item in found if isinstance(item, Entry)]) == 5
    assert len(list(Catalogue(directory).entries())) == 5
    with pytest.raises(RecordingCorrupt, match="cannot be read as a recording"):
        Catalogue(directory).find("a" * 8)


def test_what_llama_stack_keeps_and_nobody_understands_is_reported(tmp_path):
    """A recording of another provider's API is named, not guessed at."""
    shutil.copy(GIVEN / "meta-35db283fef1d.json", tmp_path)
    (tmp_path / "odd.json").write_text('{"request": {"endpoint": "/x", "body": {"q": 1}}, "response": {"body": {}}}')
    read, bad = Catalogue(tmp_path).scan()
    assert isinstance(read, Entry)
    assert "llama-stack recording that cannot be replayed" in bad.reason


def test_a_recording_is_found_by_name_or_key(directory, monkeypatch):
    """The beginning of a key, the whole key, a variant, a name in the directory, a path."""
    catalogue = Catalogue(directory)
    twice = next(entry for entry in catalogue.entries() if entry.variant == 2)
    key = twice.key
    assert catalogue.find(key[:8]).variant == 1
    assert catalogue.find(key[:8].upper() + "~2").name == twice.name
    assert catalogue.find(key).key == key
    assert catalogue.find(twice.name).name == twice.name
    assert catalogue.find(str(directory / twice.name)).name == twice.name
    monkeypatch.chdir(directory.parent)
    assert catalogue.find(f"kept/{twice.name}").name == twice.name
    elsewhere = shutil.copy(directory / twice.name, directory.parent / "copy.json")
    assert catalogue.find(elsewhere).key == key
    for wrong in (key[:40] + "0" * 24, key[:8] + "~3", "no such", "", "0" * 65):
        with pytest.raises(UnknownRecording, match="or has a key that begins so"):
            catalogue.find(wrong)


def test_a_prefix_of_several_keys_is_ambiguous(tmp_path):
    """The error lists the candidates, as far as a screen takes them, and pickles."""
    folder = tmp_path / "chat" / "completions"
    folder.mkdir(parents=True)
    for number in range(30):
        (folder / f"ab{number:030x}.json").write_text('{"inferencereplay": 1}')
    with pytest.raises(AmbiguousRecording, match="30 recordings begin with 'ab'") as caught:
        Catalogue(tmp_path).find("ab")
    message = str(caught.value)
    assert f"chat/completions/ab{0:030x}.json" in message
    assert message.endswith("… and 10 more")
    assert len(caught.value.candidates) == 30
    assert pickle.loads(pickle.dumps(caught.value)).candidates == caught.value.candidates
    with pytest.raises(AmbiguousRecording, match="14 recordings begin") as few:
        Catalogue(tmp_path).find("ab" + "0" * 28 + "1")
    assert "more" not in str(few.value).partition(":")[2]


def test_llama_stacks_are_found():
    """By the key of the request that they answer, or by their names."""
    catalogue = Catalogue(GIVEN)
    entry = catalogue.read("meta-35db283fef1d.json")
    assert catalogue.find(entry.key[:10]).name == entry.name
    assert catalogue.find("meta-35db283fef1d.json").key == entry.key
    with pytest.raises(UnknownRecording):
        catalogue.find(entry.key[:10] + "~7")


def test_a_directory_that_is_not_there(tmp_path):
    """Neither is it made, nor is it taken for an empty one."""
    with pytest.raises(StoreError, match="does not exist"):
        Catalogue(tmp_path / "nowhere")
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="is a file"):
        Catalogue(tmp_path / "file")


def test_a_file_by_itself():
    """A file that belongs to no directory is read, ours or llama-stack's."""
    ours = load(CAPITALS / "chat" / "completions" / f"{KEY}.json")
    assert ours.key.startswith(KEY)
    assert load(GIVEN / "meta-35db283fef1d.json").model.startswith("llama3.2")
    with pytest.raises(RecordingCorrupt, match="cannot be read as a recording"):
        load(ROOT / "pyproject.toml")


def test_dates_that_people_write(tmp_path):
    """A date without a zone is UTC; what is none counts for nothing."""
    file = CAPITALS / "chat" / "completions" / f"{KEY}.json"
    text = file.read_text(encoding="utf-8")
    at = load(file).recording.recorded.at
    for written, expected in [("2026-01-02T03:04:05", 3), ("2026-01-02T03:04:05+02:00", 1), ("yesterday", None)]:
        copy = tmp_path / file.name
        copy.write_text(text.replace(at, written), encoding="utf-8")
        found = load(copy).recorded_at
        assert expected == (found and found.astimezone(datetime.timezone.utc).hour)


def test_models_are_named_by_the_answer_where_the_request_does_not():
    """Lists of models name none; their model is empty, not an error."""
    listing = next(entry for entry in Catalogue(GIVEN).entries() if entry.path == "/models")
    assert (listing.model, listing.body) == ("", None)


def test_a_link_that_leads_out_is_not_read(directory, tmp_path):
    """It is reported as any file that cannot be used; a link within the directory counts as what it leads to."""
    catalogue = Catalogue(directory)
    first, second, *_ = catalogue.names()
    elsewhere = tmp_path / "elsewhere.json"
    (directory / first).rename(elsewhere)
    (directory / first).symlink_to(elsewhere)
    (unreadable,) = [item for item in catalogue.scan() if isinstance(item, Unreadable)]
    assert (unreadable.name, "leads out of the directory" in unreadable.reason) == (first, True)
    (directory / first).unlink()
    (directory / first).symlink_to(directory / second)
    assert len(list(catalogue.entries())) == 5
    (directory / second).rename(directory / first)
    (directory / second).symlink_to(elsewhere)
    (directory / "folder").symlink_to(tmp_path)
    for named in (second, str(directory / second), "folder/elsewhere.json"):
        with pytest.raises(RecordingCorrupt, match="leads out of the directory"):
            catalogue.find(named)
