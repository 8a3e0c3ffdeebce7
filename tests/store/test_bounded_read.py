"""Reads end in time and within bounds, whatever a name leads to."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from inferencereplay.catalogue.entries import Catalogue
from inferencereplay.errors import RecordingCorrupt, StoreError
from inferencereplay.store import bounded_read
from inferencereplay.store.bounded_read import LARGEST, read, read_start, way_out
from inferencereplay.store.directory import DirectoryStore
from inferencereplay.store.llama_stack import LARGEST_FILE, LlamaStackStore
from inferencereplay.store.opening import open_store

KEY = "ab" * 32
HUGE = 200 * 10**9


def sparse(file, size=HUGE):
    """Make a file that claims a size and takes no room."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("wb") as opened:
        opened.write(b"{")
        opened.truncate(size)


@pytest.mark.parametrize("size", [0, 1, 64 * 1024 - 1, 64 * 1024, 64 * 1024 + 1, 1_000_000])
def test_a_file_is_read_whole(tmp_path, size):
    """Whatever its size, up to the limit."""
    data = os.urandom(size)
    (tmp_path / "file").write_bytes(data)
    assert read(str(tmp_path / "file")) == data
    assert read_start(str(tmp_path / "file"), 10) == data[:10]


@pytest.mark.parametrize("change", [-1, 1])
def test_a_file_that_changes_meanwhile_is_read_whole(tmp_path, monkeypatch, change):
    """Its size was another when it was looked at; what is returned is what is there now."""
    file = tmp_path / "file"
    file.write_bytes(b"0123456789")
    real = os.fstat

    def change_after(descriptor):
        found = real(descriptor)
        file.write_bytes(b"x" * (10 + change))
        return found

    monkeypatch.setattr(os, "fstat", change_after)
    data = read(str(file))
    monkeypatch.undo()
    assert data == b"x" * (10 + change)


@pytest.mark.parametrize("name", ["/dev/zero", "/dev/null"])
def test_a_device_is_no_file(name):
    """One without an end is not read for ever, and one without content is no empty recording."""
    with pytest.raises(OSError, match="it is no regular file"):
        read(name)


def test_a_file_beyond_the_limit_is_not_read(tmp_path):
    """The error tells both sizes, and the limit is the caller's."""
    sparse(tmp_path / "file")
    with pytest.raises(OSError, match="it has 200,000,000,000 bytes, and at most 1,073,741,824 are read") as caught:
        read(str(tmp_path / "file"))
    assert caught.value.errno == errno.EFBIG
    sparse(tmp_path / "file", 100_000)
    with pytest.raises(OSError, match="100,000 bytes"):
        read(str(tmp_path / "file"), 99_999)


def test_only_permissions_are_blamed_on_permissions():
    """Any other error needs another way out."""
    assert way_out(PermissionError(errno.EACCES, "")) == "Look at its permissions"
    assert way_out(OSError(errno.EFBIG, "")).startswith("Take it out of the directory")


def test_a_huge_file_beside_recordings_changes_nothing(tmp_path):
    """A directory with one can be opened, listed and searched, ours and llama-stack's."""
    sparse(tmp_path / "other.json")
    assert isinstance(open_store(tmp_path), DirectoryStore)
    (tmp_path / "a.json").write_bytes(b'{"request": {"endpoint": "/v1/models", "body": {}}, "response": {"body": []}}')
    store = open_store(tmp_path)
    assert isinstance(store, LlamaStackStore)
    assert store.passed_over() == ["other.json"]
    sparse(tmp_path / "a.json", LARGEST_FILE + 1)
    assert LlamaStackStore(tmp_path).passed_over() == ["a.json", "other.json"]


def test_a_huge_file_in_the_place_of_a_recording_is_one_error(tmp_path):
    """It names the file and its size; a search for what is near passes over it."""
    store = DirectoryStore(tmp_path)
    file = tmp_path.joinpath(*store.sources("/x", KEY, 1))
    sparse(file)
    with pytest.raises(StoreError, match=r"\.json cannot be read: it has 200,000,000,000 bytes"):
        store.get("/x", KEY, 1)
    name = str(file.relative_to(tmp_path))
    assert list(store.requests("/x", 9)) == list(store.newest([name])) == []
    with pytest.raises(RecordingCorrupt, match="it has 200,000,000,000 bytes"):
        Catalogue(tmp_path).read(str(file.relative_to(tmp_path)))


def test_no_file_is_written_that_could_not_be_read(tmp_path, monkeypatch):
    """The same limit holds for both."""
    monkeypatch.setattr("inferencereplay.store.atomic_write.LARGEST", 10)
    store = DirectoryStore(tmp_path)
    with pytest.raises(OSError, match="it has 11 bytes, more than the 10"):
        store.add("/x", KEY, 1, b"x" * 11)
    assert [*Path(tmp_path, "x").iterdir()] == []
    assert LARGEST == 2**30


@pytest.mark.parametrize("opens_from_folders", [True, False])
def test_the_beginnings_of_files_are_read_in_order(tmp_path, monkeypatch, opens_from_folders):
    """Nothing of a link, a folder, and of what is not there; on each operating system alike."""
    opens_from_folders = opens_from_folders and bounded_read.OPENS_FROM_FOLDERS  # which Windows cannot
    monkeypatch.setattr(bounded_read, "OPENS_FROM_FOLDERS", opens_from_folders)
    (tmp_path / "a").write_bytes(b"12345")
    (tmp_path / "b").write_bytes(b"1")
    (tmp_path / "link").symlink_to("a")
    (tmp_path / "folder").mkdir()
    names = ["b", "link", "gone", "a", "folder", "b"]
    assert bounded_read.read_starts(str(tmp_path), names, 3) == [b"1", b"", b"", b"123", b"", b"1"]
    assert bounded_read.read_starts(str(tmp_path / "nowhere"), names, 3) == [b""] * 6
