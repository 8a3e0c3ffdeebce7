"""Side files: none without its recording and no recording without them, whatever happens in between."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import signal
import threading
import time
import types
from typing import TYPE_CHECKING, Any

import pytest
from conftest import Reply

from inferencereplay import RecordingCorrupt, Session, StoreError, replay
from inferencereplay.catalogue.entries import Catalogue
from inferencereplay.recording.side_file import side_file
from inferencereplay.redaction.redactor import Redactor
from inferencereplay.session.variant_files import VariantFiles
from inferencereplay.store import side_folder
from inferencereplay.store.bounded_read import open_here
from inferencereplay.store.directory import DirectoryStore
from inferencereplay.store.folder_files import FolderFiles
from inferencereplay.store.liveness import hold_lock, take_lock
from inferencereplay.upkeep.checking import check
from inferencereplay.upkeep.copying import Copying
from inferencereplay.upkeep.pruning import remove
from inferencereplay.upkeep.rekeying import rekey

if TYPE_CHECKING:
    from pathlib import Path

SOUND = b"\xff\xfb" * 500
ASK: dict[str, Any] = {"model": "tts-1", "voice": "alloy", "input": "Hi"}
OLD = 1_000_000_000


def sound(*, fill: int = 0) -> Reply:
    return Reply(headers={"content-type": "audio/mpeg"}, body=SOUND + bytes([fill]))


def sides(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.mp3"))


def kinds(folder: Path) -> set[str]:
    return {problem.kind for _, found in check(Catalogue(folder), Redactor()) for problem in found}


@pytest.fixture
def recorded(client, server, tmp_path):
    """Record three variants of one request; return the directory."""
    server.replies = [sound(fill=number) for number in range(3)]
    with replay(tmp_path, mode="record"):
        for _ in range(3):
            client.audio.speech.create(**ASK)
    return tmp_path


def heard(client: Any, folder: Any, count: int = 3) -> list[int]:
    with replay(folder):
        return [client.audio.speech.create(**ASK).content[-1] for _ in range(count)]


def test_a_kill_before_the_recording_leaves_what_a_later_recorder_removes(client, server, tmp_path, monkeypatch):
    """Its side file is an orphan, which `check` tells, and which a recorder takes away once its writer must be dead."""
    server.replies = [sound()]

    def record() -> None:
        monkeypatch.setattr(VariantFiles, "keep", lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL))
        with replay(tmp_path, mode="record"):
            client.audio.speech.create(**ASK)

    process = multiprocessing.get_context("fork").Process(target=record)
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    (orphan,) = sides(tmp_path)
    assert list(tmp_path.rglob("*.json")) == []
    assert kinds(tmp_path) == {"orphan"}
    server.replies = [sound(fill=1), sound(fill=2)]
    with replay(tmp_path, mode="record"):
        client.audio.speech.create(**ASK, speed=1)
    assert orphan.exists(), "it is new, and its recording may come just now"
    os.utime(orphan, (OLD, OLD))
    with replay(tmp_path, mode="record"):
        client.audio.speech.create(**ASK, speed=2)
    assert orphan not in sides(tmp_path)
    assert len(sides(tmp_path)) == 2
    assert kinds(tmp_path) == set()


def test_an_answer_that_is_not_stored_leaves_nothing(client, server, tmp_path, monkeypatch):
    """Whether a recording has precedence or the disk is full."""
    server.replies = [sound(), sound(fill=1)]

    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched, replay(tmp_path, mode="record"):
        patched.setattr(DirectoryStore, "replace", full)
        assert client.audio.speech.create(**ASK).content == SOUND + b"\0"
    assert (sides(tmp_path), list(tmp_path.rglob("*.json"))) == ([], [])
    with monkeypatch.context() as patched, replay(tmp_path, mode="record") as session:
        patched.setattr("os.link", full)
        patched.setattr("os.replace", full)
        assert client.audio.speech.create(**ASK).content == SOUND + b"\1"
    assert (session.recorded, list(tmp_path.rglob("*.*"))) == (0, [])


def test_two_recorders_of_one_answer_share_its_side_file(server, client, tmp_path):
    """What one of them has just written the other one does not remove."""
    store, side = DirectoryStore(tmp_path), side_file(SOUND, "audio/mpeg")
    place = "/audio/speech", "0" * 64, 1
    with store.put_side(*place, side):
        with store.put_side(*place, side):
            pass
        store.drop_side(*place, side)
        (file,) = sides(tmp_path)
    store.drop_side(*place, side)
    assert sides(tmp_path) == []
    with store.put_side(*place, side):
        file.write_bytes(b"torn")
        with store.put_side(*place, side):
            assert file.read_bytes() == SOUND


def test_many_writers_and_removers(tmp_path):
    """Whoever has put a side file finds it, as long as it is held."""
    place, side = ("/x", "0" * 64, 1), side_file(SOUND, "audio/mpeg")
    failures = []

    def work() -> None:
        store = DirectoryStore(tmp_path)
        for _ in range(25):
            with store.put_side(*place, side):
                if not sides(tmp_path):
                    failures.append(1)
            store.drop_side(*place, side)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (failures, sides(tmp_path)) == ([], [])


def test_check_tells_what_is_wrong_with_side_files(recorded):
    """One that is gone, and one that is another content."""
    assert kinds(recorded) == set()
    first, second, _ = sides(recorded)
    first.unlink()
    second.write_bytes(SOUND + b"x")
    problems = [problem for _, found in check(Catalogue(recorded), Redactor()) for problem in found]
    assert [problem.kind for problem in problems] == ["side file", "side file"]
    assert first.name in "".join(problem.message for problem in problems)


def test_prune_removes_them_and_closing_a_gap_takes_them_along(client, recorded):
    """And what no recording names."""
    catalogue = Catalogue(recorded)
    stray = sides(recorded)[0].with_name(f"{'0' * 32}.{'1' * 16}.mp3")
    stray.write_bytes(b"x")
    os.utime(stray, (OLD, OLD))
    first = next(entry for entry in catalogue.entries() if entry.variant == 1)
    remove(catalogue, {first.name: (first.size, first.modified)})
    assert heard(client, recorded, 2) == [1, 2]
    assert len(sides(recorded)) == 2
    assert kinds(recorded) == set()


def test_a_new_orphan_stays_and_a_missing_side_file_is_no_obstacle(client, recorded):
    """The one may be a recording's that comes just now; without the other one the recording moves all the same."""
    stray = sides(recorded)[0].with_name(f"{'0' * 32}.{'1' * 16}.mp3")
    stray.write_bytes(b"x")
    remove(Catalogue(recorded), {})
    assert stray.exists()
    stray.unlink()
    sides(recorded)[0].unlink()
    moves = list(rekey(Catalogue(recorded), Session(recorded, mode="replay", ignore="input"), is_dry=False))
    assert [move.problem for move in moves] == ["", "", ""]
    assert kinds(recorded) == {"side file"}


def test_the_memory_of_what_was_compared_is_bounded(client, recorded, monkeypatch):
    """It is forgotten as a whole."""
    for file in sides(recorded):
        os.utime(file, (1, 1))
    monkeypatch.setattr(side_folder, "_MOST_CHECKED", 1)
    monkeypatch.setattr(side_folder, "_SETTLED", -1)
    monkeypatch.setattr(side_folder, "_checked", {})
    assert heard(client, recorded) == [0, 1, 2]
    assert len(side_folder._checked) == 1


def test_rekey_takes_them_along(client, recorded):
    """A request has another key with other settings; each variant keeps its content."""
    moves = list(rekey(Catalogue(recorded), Session(recorded, mode="replay", ignore="input"), is_dry=False))
    assert (len(moves), [move.problem for move in moves]) == (3, ["", "", ""])
    with replay(recorded, ignore="input"):
        made = [client.audio.speech.create(**(ASK | {"input": "else"})).content[-1] for _ in range(3)]
    assert made == [0, 1, 2]
    assert kinds(recorded) == set()
    assert len(sides(recorded)) == 3


def test_copies_have_them(client, recorded, tmp_path_factory):
    """A recording never comes without them."""
    target = tmp_path_factory.mktemp("copy")
    copying = Copying(FolderFiles(recorded), FolderFiles(target))
    list(copying.run(copying.plan()))
    assert heard(client, target) == [0, 1, 2]


def test_layers_have_them(client, server, recorded, tmp_path_factory):
    """Variants that are joined by a new one are copied with theirs."""
    upper = tmp_path_factory.mktemp("upper")
    server.replies = [sound(fill=9)]
    with replay([upper, recorded], mode="record-if-missing", exhausted="record"):
        made = [client.audio.speech.create(**ASK).content[-1] for _ in range(4)]
    assert made == [0, 1, 2, 9]
    assert heard(client, upper, 4) == [0, 1, 2, 9]
    assert kinds(upper) == set()


def test_a_side_file_that_cannot_be_read_is_told(client, recorded, monkeypatch):
    """Its error names it."""
    first = sides(recorded)[0]
    first.unlink()
    os.mkfifo(first)
    with pytest.raises(Exception, match="no regular file"):
        heard(client, recorded, 1)


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("length", [2, 20_000], ids=["short", "long"])
def test_a_side_file_elsewhere_is_not_read(client, server, tmp_path, version, length):
    """Neither of a short request, which is read, nor of a long one, which is only compared."""
    server.replies = [sound()]
    ask = {**ASK, "input": "x" * length}
    with replay(tmp_path / "held", mode="record"):
        client.audio.speech.create(**ask)
    (file,) = tmp_path.rglob("*.json")
    other = tmp_path / "other.txt"
    other.write_bytes(b"private")
    named = json.loads(file.read_text())["response"]["binary"]
    digest = hashlib.sha256(other.read_bytes()).hexdigest()
    text = file.read_text().replace(named["ending"], "/../../../../other.txt").replace(named["sha256"], digest)
    text = text.replace(f'"length": {named["length"]}', '"length": 7')
    file.write_text(text.replace('"inferencereplay": 2', f'"inferencereplay": {version}'))
    file.with_suffix("").mkdir()  # through which the name would lead
    with replay(tmp_path / "held"), pytest.raises(RecordingCorrupt, match="side file"):
        client.audio.speech.create(**ask)


def _in_another_layout(file: Path) -> None:
    file.write_text(json.dumps(json.loads(file.read_text()), separators=(" , ", " : ")))


def _in_another_order(file: Path) -> None:
    held = json.loads(file.read_text())
    file.write_text(json.dumps({name: held[name] for name in reversed(held)}))


def _in_conflict(file: Path) -> None:
    file.write_text(f"<<<<<<< HEAD\n{file.read_text()}=======\n{{}}\n>>>>>>> other\n")


def _elsewhere(file: Path) -> None:
    file.unlink()
    file.symlink_to(file.parent / "not there at the moment")


@pytest.mark.parametrize("change", [_in_another_layout, _in_another_order, _in_conflict, _elsewhere])
def test_a_recorder_takes_no_side_file_for_an_orphan_whose_recording_it_cannot_read(client, server, tmp_path, change):
    server.replies = [sound(), sound(fill=1)]
    with replay(tmp_path, mode="record"):
        client.audio.speech.create(**ASK)
    (side,), (file,) = sides(tmp_path), tmp_path.rglob("*.json")
    os.utime(side, (OLD, OLD))
    change(file)
    with replay(tmp_path, mode="record"):
        client.audio.speech.create(**ASK, speed=2)
    assert side.read_bytes() == SOUND + b"\0"


def _pipe(side: Path) -> None:
    side.unlink()
    os.mkfifo(side)


def _link(side: Path) -> None:
    side.rename(side.parent / "there")
    side.symlink_to(side.parent / "there")


def _exchanged(side: Path) -> None:
    side.write_bytes(SOUND + b"1")


def _torn(side: Path) -> None:
    side.write_bytes(SOUND)


@pytest.mark.parametrize("change", [_pipe, _link, _exchanged, _torn])
def test_what_is_in_the_place_of_a_side_file_is_replaced_when_it_is_recorded_again(client, server, tmp_path, change):
    """A replay says so before that; nobody waits for the other end of a pipe."""
    server.replies = [sound(), sound()]
    with replay(tmp_path, mode="record"):
        client.audio.speech.create(**ASK)
    (side,) = sides(tmp_path)
    change(side)
    with replay(tmp_path), pytest.raises((RecordingCorrupt, StoreError), match=r"regular file|is a link|differs|bytes"):
        client.audio.speech.create(**ASK)
    with replay(tmp_path, mode="record"):
        client.audio.speech.create(**ASK)
    assert heard(client, tmp_path, 1) == [0]
    assert kinds(tmp_path) == set()


def test_a_pipe_that_is_named_as_an_orphan_stops_no_recorder(client, server, tmp_path):
    server.replies = [sound(), sound(fill=1)]
    with replay(tmp_path, mode="record"):
        client.audio.speech.create(**ASK)
    pipe = sides(tmp_path)[0].with_name(f"{'0' * 32}.0123456789abcdef.mp3")
    os.mkfifo(pipe)
    os.utime(pipe, (OLD, OLD))
    with replay(tmp_path, mode="record"):
        client.audio.speech.create(**ASK, speed=2)
    assert not pipe.exists()


@pytest.mark.parametrize("kind", ["application/jsonl", "audio/mpeg"])
def test_a_secret_in_a_side_file_of_text_is_found(client, server, tmp_path, kind, monkeypatch):
    """As one that an older version, or a person, has left there."""
    content = b"key sk-proj-0123456789abcdefghijABCDEFGHIJ\n" + b"\0" * (kind == "audio/mpeg")
    server.replies = [Reply(headers={"content-type": kind}, body=content)]
    monkeypatch.setattr("inferencereplay.session.recorder.without_secrets", lambda side, *_: side)
    with replay(tmp_path, mode="record"):
        client.files.content("file-1")
    found = [problem for _, problems in check(Catalogue(tmp_path), Redactor()) for problem in problems]
    assert [problem.kind for problem in found] == ["secret"] * (kind == "application/jsonl")
    assert all("at its side file ." in problem.message for problem in found)
    (side,) = (file for file in tmp_path.rglob("*.*") if file.suffix != ".json")
    side.write_bytes(content[:-1])
    assert kinds(tmp_path) == {"side file"}


def test_no_side_file_is_stored_where_a_link_leads_out(tmp_path):
    """As no recording is."""
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "files").symlink_to(tmp_path / "elsewhere")
    store = DirectoryStore(tmp_path / "kept")
    with pytest.raises(StoreError, match="leads out"):
        store.put_side("/files", "0" * 64, 1, side_file(b"sound", "mp3"))
    assert not any((tmp_path / "elsewhere").iterdir())


def test_a_side_file_that_is_gone_is_not_held(tmp_path):
    """Another process may remove it between two looks."""
    assert side_folder._held(str(tmp_path / "none.mp3")) is None


def test_prune_leaves_a_side_file_of_a_recorder_that_is_at_work(recorded):
    """It may have taken over an old one that no recording names yet; one whose recording is there by then stays too."""
    stray = sides(recorded)[0].with_name(f"{'0' * 32}.{hashlib.sha256(b'x').hexdigest()[:16]}.mp3")
    stray.write_bytes(b"x")
    os.utime(stray, (OLD, OLD))
    store = DirectoryStore(recorded)
    with store.put_side("/audio/speech", "0" * 64, 1, side_file(b"x", "audio/mpeg")):
        remove(Catalogue(recorded), {})
        assert stray.exists()
    files = Catalogue(recorded).files
    files.remove(sides(recorded)[1].relative_to(recorded).as_posix())
    assert len(sides(recorded)) == 4
    remove(Catalogue(recorded), {})
    assert not stray.exists()
    assert kinds(recorded) == set()


def test_prune_removes_what_a_dead_recorder_left_half_written(recorded, tmp_path_factory):
    """A temporary file of a recording or a side file; one that is new, or whose writer is alive, stays."""
    folder = recorded / "audio" / "speech"
    dead, living, new, other = (folder / f".{digit * 32}.{digit * 16}.tmp" for digit in "1234")
    other = other.with_name("notes.tmp")
    for file in (dead, living, new, other):
        file.write_bytes(b"half")
    for file in (dead, living, other):
        os.utime(file, (OLD, OLD))
    with living.open("rb") as held:
        hold_lock(held.fileno())
        remove(Catalogue(recorded), {})
    assert [file.exists() for file in (dead, living, new, other)] == [False, True, True, True]
    remove(Catalogue(recorded), {})
    assert not living.exists()
    assert kinds(recorded) == set()
    nowhere = tmp_path_factory.mktemp("empty") / "nowhere"
    FolderFiles(nowhere).sweep()
    assert not nowhere.exists()


def test_a_side_file_that_another_process_is_removing_is_not_held(tmp_path):
    """That process has the lock for itself until the file is gone."""
    file = tmp_path / "sound.mp3"
    file.write_bytes(b"sound")
    with file.open("rb") as opened:
        assert take_lock(opened.fileno(), is_shared=False)
        assert side_folder._held(str(file)) is None
    descriptor = side_folder._held(str(file))
    assert descriptor is not None
    os.close(descriptor)


@pytest.mark.parametrize("is_replaced", [False, True], ids=["removed", "replaced"])
def test_a_side_file_that_goes_while_it_is_opened_is_not_held(tmp_path, monkeypatch, is_replaced):
    """The lock of what was opened would keep nothing: another file, or none, has its name by then."""
    file = tmp_path / "sound.mp3"
    file.write_bytes(b"sound")
    opened = []

    def open_late(name):
        opened.append(open_here(name))
        file.unlink()
        if is_replaced:
            file.write_bytes(b"sound")
        return opened[-1]

    monkeypatch.setattr(side_folder, "open_here", open_late)
    assert side_folder._held(str(file)) is None
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(opened[0])


def test_a_side_file_is_written_again_after_another_process_has_removed_it(tmp_path, monkeypatch):
    """Who stores a recording waits for that, and does not rely on a file that goes away."""
    file = tmp_path / "sound.mp3"
    file.write_bytes(b"sound")
    remover = open_here(str(file))
    assert take_lock(remover, is_shared=False)
    waited = []

    def finish_removing(seconds):
        waited.append(seconds)
        file.unlink()
        os.close(remover)

    monkeypatch.setattr(side_folder, "time", types.SimpleNamespace(**{**vars(time), "sleep": finish_removing}))
    with side_folder.kept_side(str(file), side_file(b"sound", "audio/mpeg"), str(tmp_path / "new.tmp")):
        assert len(waited) == 1
        assert file.read_bytes() == b"sound"
        with file.open("rb") as opened:
            assert not take_lock(opened.fileno(), is_shared=False), "nobody may remove it now"
