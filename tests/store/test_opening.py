"""Opening a directory: whose it is, and whether it can be used."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from inferencereplay.errors import InvalidSetting, StoreError
from inferencereplay.store import opening
from inferencereplay.store.directory import DirectoryStore
from inferencereplay.store.llama_stack import LlamaStackStore
from inferencereplay.store.opening import SAMPLE, open_store

KEY = "ab" * 32
LLAMA_STACK = b'{"request": {"endpoint": "/v1/models", "body": {}}, "response": {"body": {}}}'


def test_a_missing_or_empty_directory_is_ours(tmp_path):
    """A directory that does not exist, and one with nothing in it, is ours, and is not made by opening it."""
    assert isinstance(open_store(tmp_path / "missing" / "too"), DirectoryStore)
    assert list(tmp_path.iterdir()) == []
    assert isinstance(open_store(tmp_path), DirectoryStore)


def test_a_directory_of_llama_stack_is_recognized(tmp_path):
    """Files of llama-stack's recorder, in nested folders too, make a directory theirs."""
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "x.json").write_bytes(LLAMA_STACK)
    store = open_store(tmp_path, "test")
    assert isinstance(store, LlamaStackStore)
    assert not store.is_writable


def test_a_directory_with_a_recording_of_ours_is_ours(tmp_path):
    """One recording of our own among the files that are looked at decides, whatever else lies there."""
    (tmp_path / "a.json").write_bytes(LLAMA_STACK)
    (tmp_path / "b.json").write_bytes(b'{\n  "inferencereplay": 1}')
    (tmp_path / "c.json").write_bytes(b"no JSON \xff")
    assert isinstance(open_store(tmp_path), DirectoryStore)


def test_a_directory_is_recognized_anew_when_its_recording_changes(tmp_path):
    """What was found at the first opening counts while the recording by which it was found stays the same."""
    file = tmp_path / "b.json"
    file.write_bytes(b'{\n  "inferencereplay": 1}')
    assert isinstance(open_store(tmp_path), DirectoryStore)
    (tmp_path / "a.json").write_bytes(LLAMA_STACK)
    assert isinstance(open_store(tmp_path), DirectoryStore)
    file.write_bytes(LLAMA_STACK)
    assert isinstance(open_store(tmp_path), LlamaStackStore)
    file.unlink()
    assert isinstance(open_store(tmp_path), LlamaStackStore)


def test_what_was_recognized_is_bounded(tmp_path, monkeypatch):
    """A process that opens very many directories does not remember them all."""
    monkeypatch.setattr(opening, "_recognized", {})
    monkeypatch.setattr(opening, "_MOST_RECOGNIZED", 2)
    for name in "abc":
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.json").write_bytes(b'{\n  "inferencereplay": 1}')
        open_store(tmp_path / name)
    assert list(opening._recognized) == [str(tmp_path / "c")]


def test_only_a_few_files_are_looked_at(tmp_path, monkeypatch):
    """A directory of many files is recognized by a few of them."""
    for number in range(10 * SAMPLE):
        (tmp_path / f"{number}.json").write_bytes(LLAMA_STACK)
        (tmp_path / f"{number}.txt").write_bytes(LLAMA_STACK)
    opened = []
    real = os.open

    def counting(file, *args, **kwargs):
        opened.append(file)
        return real(file, *args, **kwargs)

    monkeypatch.setattr(os, "open", counting)
    store = open_store(tmp_path)
    monkeypatch.undo()
    assert isinstance(store, LlamaStackStore)
    assert len(set(opened)) == SAMPLE


def test_what_is_no_file_is_not_waited_for(tmp_path):
    """A pipe, a broken link and a loop of links named like recordings are passed over."""
    os.mkfifo(tmp_path / "pipe.json")
    (tmp_path / "broken.json").symlink_to("nowhere")
    (tmp_path / "loop").symlink_to(tmp_path)
    assert isinstance(open_store(tmp_path), DirectoryStore)


def test_a_file_that_cannot_be_opened_tells_nothing(tmp_path, monkeypatch):
    """A file that is gone or locked when it is looked at does not keep the directory from being opened."""
    (tmp_path / "a.json").write_bytes(LLAMA_STACK)
    real = os.open

    def vanish(file, *args, **kwargs):
        (tmp_path / "a.json").unlink(missing_ok=True)
        return real(file, *args, **kwargs)

    monkeypatch.setattr(os, "open", vanish)
    store = open_store(tmp_path)
    monkeypatch.undo()
    assert isinstance(store, DirectoryStore)


@pytest.mark.parametrize("below", ["", "deeper", "deeper/still"])
def test_a_file_is_no_directory(tmp_path, below):
    """A file in place of the directory, or of one above it, is named at once."""
    (tmp_path / "file").write_text("x")
    with pytest.raises(StoreError, match=r"/file is a file\. Give the directory"):
        open_store(tmp_path / "file" / below)


def test_a_directory_that_cannot_be_read_is_told(tmp_path):
    """A directory that cannot be looked into is an error that says why."""
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(StoreError, match=r"/loop cannot be read: Too many levels of symbolic links"):
        open_store(tmp_path / "loop")
    assert open_store(tmp_path / "loop", is_recorded=True).directory == str(
        tmp_path / "loop"
    )  # it warns at each answer


def test_a_test_id_needs_llama_stack(tmp_path):
    """A `test_id` for a directory that is not llama-stack's is an error, for it would pick nothing."""
    with pytest.raises(InvalidSetting, match=r"test_id='x' picks among llama-stack's recordings, and .* holds none"):
        open_store(tmp_path, "x")


def test_a_relative_directory_stays_where_it_was_opened(tmp_path, monkeypatch):
    """A program that changes its working directory goes on with the same recordings."""
    monkeypatch.chdir(tmp_path)
    store = open_store(Path("recordings"))
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    store.add("/x", KEY, 1, b"1")
    assert (tmp_path / "recordings" / "x" / f"{KEY[:32]}.json").exists()
    shutil.rmtree(tmp_path / "recordings")
    assert store.get("/x", KEY, 1) is None


def test_reading_and_writing_leave_nothing_open(tmp_path):
    """A session may have many thousands of recordings."""
    store = DirectoryStore(tmp_path)
    opened = {*Path("/dev/fd").iterdir()}
    for number in range(1, 4):
        assert store.add("/x", KEY, number, b"{}")
        assert store.get("/x", KEY, number) == b"{}"
    assert {*Path("/dev/fd").iterdir()} <= opened


def test_a_recording_has_reached_the_disk_before_it_has_its_name(tmp_path, monkeypatch):
    """Or a machine that stops would leave a name with nothing behind it."""
    store, synced = DirectoryStore(tmp_path), []
    sync = os.fsync

    def note(descriptor):
        synced.append((os.fstat(descriptor).st_size, [*store.list()]))
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", note)
    store.add("/x", KEY, 1, b"{}")
    assert synced[0] == (2, [])
    assert len([*store.list()]) == 1
