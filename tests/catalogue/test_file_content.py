"""Files read up to a limit, and only files."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from inferencereplay import RecordingCorrupt
from inferencereplay.catalogue import file_content
from inferencereplay.catalogue.entries import Catalogue, Unreadable, load
from inferencereplay.catalogue.file_content import UnusableFile, read_file
from inferencereplay.report import build_report

CAPITALS = Path(__file__).parents[2] / "examples" / "recordings" / "capitals"


@pytest.fixture
def shelf(tmp_path):
    """Copy a directory of recordings, and name a place in it that looks like a recording."""
    shutil.copytree(CAPITALS, tmp_path / "kept")
    return tmp_path / "kept", tmp_path / "kept" / "chat" / "completions" / f"{7:032x}.json"


def sparse(file):
    """Make a file of 200 GB that takes no room on the disk."""
    file.touch()
    os.truncate(file, 200_000_000_000)


def large(file):
    """Make a file of a byte more than is read, see below."""
    file.write_bytes(b"x" * 1_000_001)


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        pytest.param(large, "it has 1,000,001 bytes, and at most 1,000,000 are read", id="large"),
        pytest.param(os.mkfifo, "it is no regular file", id="pipe"),
        pytest.param(lambda file: file.symlink_to("/dev/zero"), "it is a link that leads out", id="device"),
    ],
)
def test_what_is_no_recording_is_listed_with_the_reason(cli, monkeypatch, shelf, make, reason):
    """At once and in little memory, by every command; the other recordings are read."""
    directory, file = shelf
    monkeypatch.setattr(file_content, "LARGEST", 1_000_000)
    count = len(list(Catalogue(directory).scan()))
    make(file)
    found = [item for item in Catalogue(directory).scan() if isinstance(item, Unreadable)]
    assert len(found) == 1
    assert f"{file}: {reason}" in found[0].reason
    assert reason.encode() in build_report(directory)
    for command in ("list", "stats", "check"):
        done = cli(command, directory)
        assert done.status == 1
        assert file.name in done.out + done.err
    assert len(list(Catalogue(directory).entries())) == count


def test_a_device_is_not_read():
    """It has no end."""
    with pytest.raises(RecordingCorrupt, match="it is no regular file, at \\$"):
        load("/dev/zero")


def test_a_sparse_file_is_not_read(tmp_path):
    """It takes no room on the disk and would take all of the memory."""
    sparse(tmp_path / "a.json")
    with pytest.raises(RecordingCorrupt, match="it has 200,000,000,000 bytes, and at most 1,073,741,824 are read"):
        load(tmp_path / "a.json")


def test_the_largest_file(tmp_path, monkeypatch):
    """Is read whole, and one of a byte more is not."""
    monkeypatch.setattr(file_content, "LARGEST", 10)
    (tmp_path / "a").write_bytes(b"0123456789")
    assert read_file(tmp_path / "a")[0] == b"0123456789"
    (tmp_path / "a").write_bytes(b"0123456789a")
    with pytest.raises(UnusableFile, match="it has 11 bytes"):
        read_file(tmp_path / "a")


@pytest.mark.parametrize("command", ["why", "show", "diff"])
def test_a_file_that_a_command_is_given(cli, tmp_path, command):
    """Is read up to the limit as well."""
    sparse(tmp_path / "request.json")
    for file in (tmp_path / "request.json", "/dev/zero"):
        done = cli(command, file, *([file] if command == "diff" else []), "--dir", CAPITALS)
        assert done.status == 2
        assert "200,000,000,000 bytes" in done.err or "/dev/zero" in done.err
        assert "Traceback" not in done.err


def test_a_table_of_prices_without_an_end(cli, tmp_path):
    """Is refused too."""
    sparse(tmp_path / "prices.json")
    done = cli("stats", CAPITALS, "--prices", tmp_path / "prices.json")
    assert done.status == 2
    assert "is no table of prices (it has 200,000,000,000 bytes" in done.err
