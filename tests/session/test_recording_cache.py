"""Recordings that were read are kept in memory, and read anew when their file has changed."""

from __future__ import annotations

import os

import pytest
from conftest import ASK, completion, plain

from inferencereplay import RecordingNotFound, StoreError, replay
from inferencereplay.recording.request import Request
from inferencereplay.session.recording_cache import EXTRA, KeptRecordings, RecordingCache
from inferencereplay.store.directory import DirectoryStore


def said(answer):
    return answer.choices[0].message.content


def test_a_file_that_changes_behind_its_times_is_read_anew(client, tmp_path):
    """Another answer of the same size and time, as `rsync -t` leaves it, is seen."""
    with replay(tmp_path, mode="record"):
        assert said(client.chat.completions.create(**ASK)) == "answer 1"
    (file,) = tmp_path.rglob("*.json")
    with replay(tmp_path):
        assert said(client.chat.completions.create(**ASK)) == "answer 1"
        before = file.stat()
        file.write_bytes(file.read_bytes().replace(b"answer 1", b"answer 2"))
        os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
        assert said(client.chat.completions.create(**ASK)) == "answer 2"


def test_a_file_that_changes_twice_within_a_tick_is_read_anew(client, tmp_path, monkeypatch):
    """Where the kernel's clock is slow, what has just been read may change and keep its time and size."""
    with replay(tmp_path, mode="record"):
        client.chat.completions.create(**ASK)
    (file,) = tmp_path.rglob("*.json")
    same = (file.stat().st_ctime_ns, file.stat().st_size)
    monkeypatch.setattr("inferencereplay.store.directory._stamp", lambda _: same)
    with replay(tmp_path):
        assert said(client.chat.completions.create(**ASK)) == "answer 1"
        file.write_bytes(file.read_bytes().replace(b"answer 1", b"answer 2"))
        assert said(client.chat.completions.create(**ASK)) == "answer 2"
        monkeypatch.setattr("inferencereplay.session.recording_cache.SETTLED", 0)  # the tick is over
        assert said(client.chat.completions.create(**ASK)) == "answer 2"
        assert said(client.chat.completions.create(**ASK)) == "answer 2"


def test_a_recording_that_cannot_be_looked_at_but_read_is_read_anew(client, tmp_path, monkeypatch):
    """What was kept of it answers nothing: nobody can know whether the file has changed."""
    monkeypatch.setattr("inferencereplay.session.recording_cache.SETTLED", 0)
    with replay(tmp_path, mode="record"):
        client.chat.completions.create(**ASK)
    (file,) = tmp_path.rglob("*.json")
    monkeypatch.setattr("inferencereplay.store.directory.DirectoryStore.stamp", lambda *_: ())
    with replay(tmp_path):
        assert said(client.chat.completions.create(**ASK)) == "answer 1"
        file.write_bytes(file.read_bytes().replace(b"answer 1", b"answer 2"))
        assert said(client.chat.completions.create(**ASK)) == "answer 2"


def test_only_some_recordings_are_kept_in_memory(client, tmp_path, monkeypatch):
    """Decoded recordings are forgotten when they are large together, and a large one is not kept at all."""
    monkeypatch.setattr("inferencereplay.session.recording_cache.SETTLED", 0)
    with replay(tmp_path, mode="record"):
        live = [client.chat.completions.create(**ASK, seed=seed) for seed in range(4)]
    size = max(file.stat().st_size for file in tmp_path.rglob("*.json")) + EXTRA
    kept = KeptRecordings()
    monkeypatch.setattr("inferencereplay.session.recording_cache._of_process", kept)
    monkeypatch.setattr("inferencereplay.session.recording_cache.MOST_KEPT", 2 * size)
    with replay(tmp_path):
        assert [client.chat.completions.create(**ASK, seed=seed) for seed in range(4)] == live
        assert len(kept) == 2
    monkeypatch.setattr("inferencereplay.session.recording_cache.LARGEST_KEPT", 10)
    with replay(tmp_path):
        assert client.chat.completions.create(**ASK, seed=0) == live[0]
        assert len(kept) == 2


def test_a_later_session_does_not_read_again_what_an_earlier_one_has_read(client, tmp_path, monkeypatch):
    """What is kept belongs to the process: a later session looks at the file only, and sees a change of it."""
    monkeypatch.setattr("inferencereplay.session.recording_cache.SETTLED", 0)
    with replay(tmp_path, mode="record"):
        client.chat.completions.create(**ASK)
    (file,) = tmp_path.rglob("*.json")
    read = []
    load = DirectoryStore.load
    monkeypatch.setattr(DirectoryStore, "load", lambda *args: read.append(args) or load(*args))
    for _ in range(3):
        with replay(tmp_path):
            assert said(client.chat.completions.create(**ASK)) == "answer 1"
    assert len(read) == 1
    file.write_bytes(file.read_bytes().replace(b"answer 1", b"an edited answer"))
    with replay(tmp_path):
        assert said(client.chat.completions.create(**ASK)) == "an edited answer"
    assert len(read) == 2
    file.unlink()
    with pytest.raises(RecordingNotFound), replay(tmp_path):
        client.chat.completions.create(**ASK)


def test_a_file_that_vanishes_before_it_is_read_is_missing(tmp_path):
    """Between the look at a file and its reading another process may remove it."""

    class Vanishing(DirectoryStore):
        def known_stamp(self, path, key, variant):
            return (1,)

    assert RecordingCache(Vanishing(tmp_path)).read(Request("POST", "/x", b"null"), "0" * 64, 1) is None


def test_a_link_that_leads_to_itself_is_told(client, tmp_path):
    """A recording that cannot even be looked at is an error with its path, not a miss."""
    with replay(tmp_path, mode="record"):
        client.chat.completions.create(**ASK)
    (file,) = tmp_path.rglob("*.json")
    with pytest.raises(StoreError, match=f"{file.name} cannot be read"), replay(tmp_path):
        file.unlink()
        file.symlink_to(file)
        client.chat.completions.create(**ASK)


@pytest.mark.parametrize("size", [65_000, 65_536, 300_000])
def test_large_recordings_are_read_whole(client, server, tmp_path, size):
    """A file of more than one read, or of just about that, comes back as it is."""
    server.replies = [plain(completion("x" * size))]
    with replay(tmp_path, mode="record"):
        live = client.chat.completions.create(**ASK)
    (file,) = tmp_path.rglob("*.json")
    data = file.read_bytes()
    with replay(tmp_path):
        assert client.chat.completions.create(**ASK) == live
    file.write_bytes(data[:-2] + b" " * (65_536 - len(data)) + data[-2:])
    with replay(tmp_path):
        assert client.chat.completions.create(**ASK) == live


def test_a_folder_that_is_replaced_by_a_link_out_answers_nothing(client, tmp_path, monkeypatch):
    """Also if a session of the process has read its files when they were inside."""
    monkeypatch.setattr("inferencereplay.session.recording_cache.SETTLED", 0)
    inside = tmp_path / "recordings"
    with replay(inside, mode="record"):
        client.chat.completions.create(**ASK)
    with replay(inside):
        assert said(client.chat.completions.create(**ASK)) == "answer 1"
    (inside / "chat").rename(tmp_path / "elsewhere")
    (inside / "chat").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StoreError, match="leads out of"), replay(inside):
        client.chat.completions.create(**ASK)
