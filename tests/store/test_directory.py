"""The directory of recordings: whole files under safe names."""

from __future__ import annotations

import errno
import io
import os
import stat
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferencereplay.errors import RecordingCorrupt, StoreError
from inferencereplay.recording.format import RecordedRequest, Recording, Response, encode, lay_out
from inferencereplay.recording.request import Request, canonical_json
from inferencereplay.store import atomic_write, directory
from inferencereplay.store.atomic_write import STALE
from inferencereplay.store.directory import START_COMPARED, DirectoryStore

KEY = "ab" * 32
CHAT = "/chat/completions"


def made(body, path=CHAT):
    """Return a request's key and a whole file that holds it."""
    request = Request("POST", path, canonical_json(body))
    held = RecordedRequest("POST", path, canonical_json(body))
    return request.key, encode(Recording(1, request.key, held, Response(body=b'{"a":1}')))


def near(store, path=CHAT, limit=10):
    """Return the newest of the recordings that a search finds, by name and body."""
    return list(store.newest([name for name, _ in store.requests(path, limit)]))


def files(directory):
    return sorted(str(path.relative_to(directory)) for path in Path(directory).rglob("*") if path.is_file())


@pytest.fixture
def store(tmp_path):
    return DirectoryStore(tmp_path / "recordings")


def test_what_was_put_is_returned(store):
    """Bytes come back as they were put, by path, key and variant, and nothing comes where nothing was put."""
    assert store.get(CHAT, KEY, 1) is None
    assert store.add(CHAT, KEY, 1, b"first")
    store.replace(CHAT, KEY, 2, b"second")
    assert [store.get(CHAT, KEY, number) for number in (1, 2, 3)] == [b"first", b"second", None]
    assert store.get("/completions", KEY, 1) is None
    assert store.get(CHAT, "cd" * 32, 1) is None


def test_names_are_the_settled_ones(store):
    """A recording stands at its path under the first 32 digits of its key, later variants with their number."""
    store.add(CHAT, KEY, 1, b"1")
    store.add(CHAT, KEY, 2, b"2")
    names = [f"chat/completions/{KEY[:32]}.json", f"chat/completions/{KEY[:32]}~2.json"]
    assert files(store.directory) == names
    assert list(store.list()) == names
    assert [store.sources(CHAT, KEY, number) for number in (1, 2)] == [(name,) for name in names]


def test_many_paths_are_forgotten_and_found_again(store, monkeypatch):
    """A store remembers the folders of so many paths only."""
    monkeypatch.setattr(directory, "MOST_REMEMBERED", 2)
    for _ in range(2):
        for name in ("a", "b", "c", "d"):
            store.replace(f"/{name}", KEY, 1, name.encode())
            assert store.get(f"/{name}", KEY, 1) == name.encode()
    assert len(store._folders) <= 2


def test_put_without_replace_overwrites_nothing(store):
    """The first writer wins unless the second says that it replaces."""
    assert store.add(CHAT, KEY, 1, b"first")
    assert not store.add(CHAT, KEY, 1, b"second")
    assert store.get(CHAT, KEY, 1) == b"first"
    store.replace(CHAT, KEY, 1, b"third")
    assert store.get(CHAT, KEY, 1) == b"third"
    assert len(files(store.directory)) == 1


def test_of_many_writers_without_replace_one_wins(store):
    """Of sixteen threads that put at one place one is told that it was stored, and its bytes are there."""
    barrier = threading.Barrier(16)
    won = []

    def write(number):
        barrier.wait()
        if store.add(CHAT, KEY, 1, b"%d" % number):
            won.append(b"%d" % number)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert won == [store.get(CHAT, KEY, 1)]
    assert len(files(store.directory)) == 1


def test_delete_removes_what_is_there(store, tmp_path):
    """A recording can be removed, and removing what is not there is nothing."""
    store.add(CHAT, KEY, 1, b"1")
    store.delete(CHAT, KEY, 1)
    assert store.get(CHAT, KEY, 1) is None
    store.delete(CHAT, KEY, 1)
    (tmp_path / "file").write_text("x")
    DirectoryStore(tmp_path / "file").delete(CHAT, KEY, 1)
    assert (tmp_path / "file").read_text() == "x"


@pytest.mark.parametrize(
    "path",
    ["/../../escape", "/..", "/.", "/a/../../../b", "//", "", "/%2e%2e/x", "/a b/ü/…", "/a\\..\\b", "/C:/x", "/~/.ssh"],
)
def test_a_path_never_leaves_the_directory(tmp_path, path):
    """Whatever stands in a request's path, its file stands inside the directory, in a folder that has its own name."""
    store = DirectoryStore(tmp_path / "in" / "side")
    assert store.add(path, KEY, 1, b"here")
    assert store.get(path, KEY, 1) == b"here"
    (name,) = files(tmp_path)
    assert name == "/".join(("in", "side", *store.sources(path, KEY, 1)))
    assert list(store.list()) == list(store.sources(path, KEY, 1))


@given(st.text(st.characters(codec="utf-8"), max_size=300))
def test_any_part_of_a_path_is_one_folder_that_can_be_made(part):
    """Every text between two slashes becomes one folder's name that every file system takes."""
    store = DirectoryStore(Path("recordings"))
    (name,) = store.sources("/" + part.replace("/", "") + "/x", KEY, 1)
    folders = name.split("/")
    assert len(folders) == (3 if part.replace("/", "") else 2)
    assert all(0 < len(folder) <= 200 and folder.isascii() and folder.strip(".") for folder in folders)


@given(st.lists(st.text(st.sampled_from("ab.%~é"), min_size=1, max_size=4), min_size=2, max_size=2, unique=True))
def test_different_parts_are_different_folders(parts):
    """Two parts that differ, however little, never share a folder, long ones neither."""
    store = DirectoryStore(Path("recordings"))
    first, second = (store.sources("/" + part, KEY, 1) for part in parts)
    assert first != second
    first, second = (store.sources("/" + "x" * 300 + part, KEY, 1) for part in parts)
    assert first != second


@pytest.mark.parametrize("part", ["x" * 201, "x" * 5_000, "ü" * 100, "%" * 70])
def test_a_very_long_part_can_be_stored(store, part):
    """A part of a path that no file system would take as a name is cut, and told apart by its digest."""
    path, other = f"/files/{part}", f"/files/{part}y"
    assert store.add(path, KEY, 1, b"one")
    assert store.add(other, KEY, 1, b"two")
    assert (store.get(path, KEY, 1), store.get(other, KEY, 1)) == (b"one", b"two")


def test_a_link_in_place_of_a_recording_is_replaced_not_followed(store, tmp_path):
    """A recording that is a link to elsewhere is not read, and writing never touches what it leads to."""
    outside = tmp_path / "outside"
    outside.write_bytes(b"outside")
    link = Path(store.directory, *store.sources(CHAT, KEY, 1))
    link.parent.mkdir(parents=True)
    link.symlink_to(outside)
    with pytest.raises(StoreError, match="a link that leads out of"):
        store.get(CHAT, KEY, 1)
    assert not store.add(CHAT, KEY, 1, b"new")
    store.replace(CHAT, KEY, 1, b"new")
    assert outside.read_bytes() == b"outside"
    assert not link.is_symlink()
    assert store.get(CHAT, KEY, 1) == b"new"


def test_links_within_the_directory_are_followed(store, tmp_path):
    """A recording may be a link to another file of the directory; one that leads nowhere is none."""
    store.add(CHAT, KEY, 1, b"1")
    (file,) = Path(store.directory).rglob("*.json")
    file.with_name(f"{'cd' * 16}.json").symlink_to(file.name)
    assert store.get(CHAT, "cd" * 32, 1) == b"1"
    file.unlink()
    assert store.get(CHAT, "cd" * 32, 1) is None


def test_a_folder_that_leads_out_is_neither_read_nor_written(store, tmp_path):
    """Nor is anything below it, by whatever name."""
    DirectoryStore(tmp_path / "outside").add(CHAT, KEY, 1, b"1")
    before = files(tmp_path / "outside")
    Path(store.directory).mkdir()
    Path(store.directory, "chat").symlink_to(tmp_path / "outside" / "chat")
    for _ in range(2):
        with pytest.raises(StoreError, match="a link that leads out of"):
            store.get(CHAT, KEY, 1)
        with pytest.raises(StoreError, match="a link that leads out of"):
            store.replace(CHAT, KEY, 1, b"2")
    assert list(store.newest(store.sources(CHAT, KEY, 1))) == list(store.requests(CHAT, 9)) == list(store.list()) == []
    assert files(tmp_path / "outside") == before


def test_a_linked_directory_is_a_directory(tmp_path):
    """Recordings may live behind a link to a directory."""
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    store = DirectoryStore(tmp_path / "link")
    store.add(CHAT, KEY, 1, b"1")
    assert list(DirectoryStore(tmp_path / "real").list()) == list(store.list()) == files(tmp_path / "real")


def test_no_temporary_file_is_left_after_an_error(store):
    """If a file cannot be put into its place, the error is told and nothing else has changed."""
    name = Path(store.directory, *store.sources(CHAT, KEY, 1))
    name.mkdir(parents=True)
    with pytest.raises(OSError, match=r"\.json"):
        store.replace(CHAT, KEY, 1, b"x")
    assert not store.add(CHAT, KEY, 1, b"x")
    assert [path.name for path in name.parent.iterdir()] == [name.name]


def test_a_directory_that_became_a_file_is_told(store):
    """If the directory is a file meanwhile, reading finds nothing and writing is an `OSError`."""
    Path(store.directory).write_text("x")
    assert store.get(CHAT, KEY, 1) is None
    with pytest.raises(NotADirectoryError):
        store.add(CHAT, KEY, 1, b"x")
    assert list(store.list()) == []
    assert list(store.requests(CHAT, 10)) == []
    assert store.state(CHAT) == ()


def test_what_cannot_be_read_is_no_missing_recording(store):
    """A recording that is there and cannot be read is an error with its name, not a miss."""
    name = Path(store.directory, *store.sources(CHAT, KEY, 1))
    name.mkdir(parents=True)
    with pytest.raises(StoreError, match=f"{KEY[:32]}.json cannot be read: Is a directory"):
        store.get(CHAT, KEY, 1)


def test_a_full_disk_leaves_nothing_torn(tmp_path):
    """If a file cannot be written to its end, neither it nor a temporary one is there, and the old one stays."""
    script = """
        import resource, sys
        from pathlib import Path
        from inferencereplay.store.directory import START_COMPARED, DirectoryStore
        store = DirectoryStore(Path(sys.argv[1]))
        store.add("/x", "ab" * 32, 1, b"old")
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
        for number, write in ((1, store.replace), (1, store.add), (2, store.add)):
            try:
                write("/x", "ab" * 32, number, b"x" * 100_000)
            except OSError as error:
                print(error.errno)
    """
    run = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script), str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert run.stdout.split() == [str(errno.EFBIG)] * 3
    assert files(tmp_path) == [f"x/{KEY[:32]}.json"]
    assert (tmp_path / "x" / f"{KEY[:32]}.json").read_bytes() == b"old"


@pytest.mark.parametrize("name", ["EPERM", "EACCES", "EXDEV", "EINVAL", "ENOTTY", "ENOTSUP", "ENOSYS", "EMLINK", "EIO"])
def test_a_file_system_without_links_is_written_all_the_same(store, monkeypatch, name):
    """Where no hard links can be made, whatever the error, the first writer still wins, and files are still whole."""

    def refuse(*_):
        raise OSError(getattr(errno, name), "refused")

    monkeypatch.setattr(os, "link", refuse)
    assert store.add(CHAT, KEY, 1, b"first")
    assert not store.add(CHAT, KEY, 1, b"second")
    assert store.get(CHAT, KEY, 1) == b"first"
    assert store.move(CHAT, KEY, 1, 2)
    assert store.get(CHAT, KEY, 2) == b"first"
    assert len(files(store.directory)) == 1


def test_without_links_too_one_of_many_writers_wins(store, monkeypatch):
    """Writers that meet where no links can be made do not overwrite each other, nor what a broken link occupies."""

    def refuse(*_):
        raise OSError(errno.EPERM, "refused")

    monkeypatch.setattr(os, "link", refuse)
    for number in range(1, 6):
        barrier = threading.Barrier(8)

        def write(writer, number=number, barrier=barrier):
            barrier.wait()
            return store.add(CHAT, KEY, number, b"%d" % writer) and b"%d" % writer

        with ThreadPoolExecutor(8) as pool:
            assert {*pool.map(write, range(8))} - {False} == {store.get(CHAT, KEY, number)}
    Path(store.directory, *store.sources(CHAT, KEY, 6)).symlink_to("nowhere")
    assert not store.add(CHAT, KEY, 6, b"6")


def test_a_file_that_cannot_be_linked_nor_renamed_is_an_error(store, monkeypatch):
    """It leaves nothing behind."""

    def refuse(*_):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "link", refuse)
    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(OSError, match="Input/output error"):
        store.add(CHAT, KEY, 1, b"first")
    assert files(store.directory) == []


def test_what_a_dead_writer_left_is_swept(store):
    """Putting something into a folder removes temporary files older than an hour, once, and nothing else."""
    folder = Path(store.directory, "chat", "completions")
    folder.mkdir(parents=True)
    now = time.time()

    def leave(name, age):
        (folder / name).write_bytes(b"torn")
        os.utime(folder / name, (now - age, now - age))

    stale, fresh = f".{KEY[:32]}.{'0' * 16}.tmp", f".{KEY[:32]}.{'1' * 16}.tmp"
    leave(stale, STALE + 60)
    leave(fresh, STALE - 60)
    leave("notes.tmp", STALE + 60)
    leave(f"{KEY[:32]}~7.json", STALE + 60)
    store.add(CHAT, KEY, 1, b"1")
    assert {path.name for path in folder.iterdir()} == {fresh, "notes.tmp", f"{KEY[:32]}~7.json", f"{KEY[:32]}.json"}
    leave(stale, STALE + 60)
    store.add(CHAT, KEY, 2, b"2")
    assert (folder / stale).exists()
    DirectoryStore(Path(store.directory)).add(CHAT, KEY, 3, b"3")
    assert not (folder / stale).exists()


@pytest.mark.parametrize("clock", [0.0, 1e11], ids=["past", "future"])
def test_the_file_of_a_living_writer_is_not_swept(store, monkeypatch, clock):
    """However old it seems, and whatever the program's clock says: its writer holds a lock on it."""
    sync, found = os.fsync, []

    def meanwhile(descriptor):
        monkeypatch.setattr(os, "fsync", sync)
        (temporary,) = Path(store.directory).rglob("*.tmp")
        os.utime(temporary, (1, 1))
        assert DirectoryStore(Path(store.directory)).add(CHAT, "cd" * 32, 1, b"other")
        found.append(temporary.exists())
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", meanwhile)
    monkeypatch.setattr(time, "time", lambda: clock)
    assert store.add(CHAT, KEY, 1, b"1")
    assert found == [True]
    assert store.get(CHAT, KEY, 1) == b"1"


def test_a_frozen_clock_sweeps_nothing(store, monkeypatch):
    """A temporary file is old by the clock of the file system, not by the program's, which may be set or frozen."""
    folder = Path(store.directory, "chat", "completions")
    folder.mkdir(parents=True)
    file = folder / f".{KEY[:32]}.{'0' * 16}.tmp"
    file.write_bytes(b"under way, where there are no locks")
    monkeypatch.setattr(time, "time", lambda: 1e11)
    store.add(CHAT, KEY, 1, b"1")
    assert file.exists()


def test_what_cannot_be_swept_stands_in_nobodys_way(store):
    """A stale name that is no file cannot be removed, and recording goes on."""
    stale = Path(store.directory, "chat", "completions", f".{KEY[:32]}.{'0' * 16}.tmp")
    stale.mkdir(parents=True)
    os.utime(stale, (0, 0))
    assert store.add(CHAT, KEY, 1, b"1")
    assert stale.exists()


def test_list_names_recordings_only(store):
    """Listing names recordings in every folder, sorted, and passes over everything else."""
    digits = KEY[:32]
    names = [f"a/{digits}.json", f"a/{digits}~10.json", f"a/{digits}~2.json", f"b/c/{digits}.json", f"{digits}.json"]
    others = [f"a/{digits}~1.json", f"a/{digits}~02.json", "a/notes.json", f"a/{digits}.json.bak", f".{digits}.0.tmp"]
    for name in names + others:
        file = Path(store.directory, name)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("{}")
    assert sorted(store.list()) == sorted(names)
    assert list(DirectoryStore(Path(store.directory, "nowhere")).list()) == []


def test_newest_yields_the_newest_first(store):
    """The recordings of a path come with their bodies, the last changed first, no more than asked for."""
    for age, text in enumerate(["first", "second", "third"]):
        key, data = made({"q": text})
        store.add(CHAT, key, 1, data)
        os.utime(Path(store.directory, *store.sources(CHAT, key, 1)), (1000 - age, 1000 - age))
    key, data = made({"q": "elsewhere"}, "/completions")
    store.add("/completions", key, 1, data)
    assert [body for _, body in near(store)] == [{"q": "first"}, {"q": "second"}, {"q": "third"}]
    assert [body for _, body in near(store, limit=2)] == [{"q": "first"}, {"q": "second"}]
    assert [name for name, _ in store.requests("/completions", 2)] == list(store.sources("/completions", key, 1))


@given(st.recursive(st.integers() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))
def test_a_search_reads_bodies_as_they_are_laid_out(body):
    """Cut out of a file of ours, read from one that another program laid out, and from the rest of a large file."""
    with tempfile.TemporaryDirectory() as directory:
        store = DirectoryStore(Path(directory, "recordings"))
        key, data = made(body)
        large = data.replace(b'"recorded": {}', b'"recorded": {"at":"%s"}' % (b" " * START_COMPARED), 1)
        for number, content in enumerate([data, msgspec.json.format(data, indent=-1), large], 1):
            store.add(CHAT, key, number, content)
        texts = dict(store.requests(CHAT, 9))
    assert texts == {store.sources(CHAT, key, number)[0]: lay_out(canonical_json(body)) for number in (1, 2, 3)}


def test_the_state_of_a_path_changes_with_its_recordings(store):
    """It is the same as long as none comes, goes or is replaced; those of another path do not count."""
    key, data = made({"q": 1})
    states = [store.state(CHAT)]
    for change in (
        lambda: store.add(CHAT, key, 1, data),
        lambda: store.replace(CHAT, key, 1, data),
        lambda: store.delete(CHAT, key, 1),
    ):
        time.sleep(0.02)  # more than a tick of the file system's clock
        change()
        states.append(store.state(CHAT))
    store.add("/completions", key, 1, data)
    assert states[0] == ()
    assert len(set(states)) == len(states)
    assert store.state(CHAT) == states[-1]


def test_newest_passes_over_what_cannot_be_read(store):
    """Torn files, foreign ones and folders do not keep the readable ones from being found."""
    key, data = made({"q": 1})
    store.add(CHAT, key, 1, data)
    store.add(CHAT, "cd" * 32, 1, data[:50])
    Path(store.directory, *store.sources(CHAT, "ef" * 32, 1)).mkdir()
    Path(store.directory, *store.sources(CHAT, "ee" * 32, 1)).symlink_to("nowhere")
    assert near(store) == [(*store.sources(CHAT, key, 1), {"q": 1})]
    assert list(store.newest(["chat/completions/gone.json", *store.sources(CHAT, key, 1)])) == near(store)


def test_newest_goes_on_when_files_vanish_meanwhile(store, monkeypatch):
    """Files that another process removes between the listing and the look at them hide none of the others."""
    names = []
    for number in range(20):
        key, data = made({"q": number})
        store.add(CHAT, key, 1, data)
        names.append(Path(store.directory, *store.sources(CHAT, key, 1)))
    listing = os.listdir

    def vanishing(folder):
        listed = listing(folder)
        for name in names[::2]:
            name.unlink()
        return listed

    monkeypatch.setattr(os, "listdir", vanishing)
    assert sorted(body["q"] for _, body in near(store, limit=15)) == list(range(1, 20, 2))


def test_newest_opens_no_more_than_its_limit(tmp_path):
    """Of 3,000 recordings a search opens the newest 1,000 only."""
    script = """
        import os, sys
        from pathlib import Path
        from inferencereplay.store.directory import START_COMPARED, DirectoryStore
        store = DirectoryStore(Path(sys.argv[1]))
        opened = []
        note = lambda event, args: event == "open" and str(args[0]).endswith(".json") and opened.append(args[0])
        sys.addaudithook(note)
        found = list(store.requests("/x", 1000))
        print(len(found), len(opened), min(int(os.path.basename(file)[:32], 16) for file in opened))
    """
    _, data = made({"q": 1}, "/x")
    folder = tmp_path / "x"
    folder.mkdir()
    for number in range(3_000):
        file = folder / f"{number:032x}.json"
        file.write_bytes(data)
        os.utime(file, (number, number))
    run = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script), str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert run.stdout.split() == ["1000", "1000", "2000"]


def test_what_is_there_is_asked_whether_it_gives_way(store):
    """A function decides by the bytes that are there; where there are none it is not asked."""
    asked = []

    def gives_way(there):
        asked.append(there)
        return there == b"old"

    assert store.replace_if(CHAT, KEY, 1, b"old", gives_way)
    assert store.replace_if(CHAT, KEY, 1, b"new", gives_way)
    assert not store.replace_if(CHAT, KEY, 1, b"newest", gives_way)
    assert store.get(CHAT, KEY, 1) == b"new"
    assert asked == [b"old", b"new"]
    assert len(files(store.directory)) == 1


def test_nothing_comes_between_looking_and_replacing(store):
    """While one writer looks at what is there, nobody else replaces it."""
    store.add(CHAT, KEY, 1, b"half")
    other = threading.Thread(target=store.replace, args=(CHAT, KEY, 1, b"whole"))

    def gives_way(_):
        other.start()
        other.join(0.05)
        return other.is_alive() and store.get(CHAT, KEY, 1) == b"half"

    assert store.replace_if(CHAT, KEY, 1, b"longer half", gives_way)
    other.join()
    assert store.get(CHAT, KEY, 1) == b"whole"


def mode(file):
    return stat.S_IMODE(file.stat().st_mode)


def test_a_new_recording_keeps_the_mode_of_the_old_one(store, monkeypatch):
    """What a person made private stays private while it is written too; a link lends its mode to nobody."""
    store.add(CHAT, KEY, 1, b"old")
    (file,) = Path(store.directory).rglob("*.json")
    seen, sync = [], os.fsync

    def note(descriptor):
        seen.append(stat.S_IMODE(os.fstat(descriptor).st_mode))
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", note)
    for wanted in (0o600, 0o666, 0o444):
        file.chmod(wanted)
        store.replace(CHAT, KEY, 1, b"new")
        assert mode(file) == wanted
        assert store.replace_if(CHAT, KEY, 1, b"newer", lambda _: True)
        assert mode(file) == wanted
        assert store.move(CHAT, KEY, 1, 2)
        assert mode(file.with_name(f"{KEY[:32]}~2.json")) == wanted
        assert store.move(CHAT, KEY, 2, 1)
    assert seen == [0o600] * 2 + [0o666] * 2 + [0o444] * 2
    default = mode(file.parent) & 0o666
    file.unlink()
    file.symlink_to("nowhere")
    store.replace(CHAT, KEY, 1, b"new")
    assert mode(file) == default


@pytest.mark.parametrize("is_refused", [False, True])
def test_a_new_recording_keeps_the_owner_of_the_old_one(store, monkeypatch, is_refused):
    """As far as the process may give it away; if not, the recording is stored all the same."""
    store.add(CHAT, KEY, 1, b"old")
    (file,) = Path(store.directory).rglob("*.json")
    asked = []

    def change(name, user, group):
        asked.append((Path(name).suffix, user, group))
        if is_refused:
            raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "chown", change)
    store.replace(CHAT, KEY, 1, b"new")
    assert asked == [(".tmp", file.stat().st_uid, -1), (".tmp", -1, file.stat().st_gid)]
    assert store.get(CHAT, KEY, 1) == b"new"


def test_a_folder_in_the_place_of_a_recording_is_listed(store):
    """It is in order for nobody: whoever lists recordings meets it, and reading it is an error."""
    store.add(CHAT, KEY, 1, b"1")
    folder = Path(store.directory, *store.sources(CHAT, KEY, 2))
    folder.mkdir()
    assert list(store.list()) == [*store.sources(CHAT, KEY, 1), *store.sources(CHAT, KEY, 2)]
    with pytest.raises(StoreError, match=r"cannot be read: Is a directory\. Take it out of the directory"):
        store.get(CHAT, KEY, 2)


def test_a_recording_moves_to_a_free_number_only(store):
    """One whose place is taken stays, and so does nothing where nothing was."""
    store.add(CHAT, KEY, 1, b"1")
    store.add(CHAT, KEY, 2, b"2")
    assert not store.move(CHAT, KEY, 2, 1)
    assert not store.move(CHAT, KEY, 3, 4)
    assert store.move(CHAT, KEY, 2, 3)
    assert [store.get(CHAT, KEY, number) for number in (1, 2, 3)] == [b"1", None, b"2"]


def test_a_pipe_in_the_place_of_a_recording_is_corrupt(store):
    """It is told at once, and nobody waits for somebody who writes into it."""
    name = Path(store.directory, *store.sources(CHAT, KEY, 1))
    name.parent.mkdir(parents=True)
    os.mkfifo(name)
    with pytest.raises(RecordingCorrupt, match="it is no regular file"):
        store.get(CHAT, KEY, 1)


def test_what_the_system_takes_in_parts_is_written_in_whole(tmp_path):
    """A write may take a part of the bytes, as one of gigabytes does: the rest follows."""

    class Sluggish(io.FileIO):
        def write(self, data):
            return super().write(data[:3])

    with Sluggish(tmp_path / "file", "wb") as file:
        atomic_write._write(file, b"0123456789")
    assert (tmp_path / "file").read_bytes() == b"0123456789"


def test_stamps_are_those_of_each_number(store, tmp_path):
    """Whether a number is taken, free, or lies where nothing can be looked at."""
    for number in (1, 4):
        store.add(CHAT, KEY, number, b"x")
    (file,) = Path(store.directory).rglob(f"{KEY[:32]}.json")
    file.with_name(f"{KEY[:32]}~3.json").symlink_to("nowhere")
    file.with_name(f"{KEY[:32]}~5.json").symlink_to(f"{KEY[:32]}~4.json")
    found = store.stamps(CHAT, KEY, range(1, 7))
    assert found == [store.stamp(CHAT, KEY, number) for number in range(1, 7)]
    assert [bool(stamp) for stamp in found] == [True, False, False, True, True, False]
    outside = tmp_path / "outside"
    outside.mkdir()
    (Path(store.directory) / "embeddings").symlink_to(outside)
    assert store.stamps("/embeddings", KEY, range(1, 4)) == [()] * 3
