"""`copy`: what is missing in another place, and nothing else."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
from pathlib import Path

import pytest
from written import ask, said, write

from inferencereplay.store.files import FileState, recording_of
from inferencereplay.store.folder_files import FolderFiles
from inferencereplay.upkeep import copying
from inferencereplay.upkeep.copying import Copied, Copying


def contents(directory):
    files = (file for file in directory.rglob("*") if file.is_file())
    return {file.relative_to(directory).as_posix(): file.read_bytes() for file in files}


@pytest.fixture
def places(tmp_path):
    """Make a directory with three recordings, and the place of another one."""
    for text in ("one", "two", "three"):
        write(tmp_path / "from", ask(text), said(text.upper()))
    return tmp_path / "from", tmp_path / "to"


def names(directory):
    return sorted(contents(directory))


def test_what_is_missing_is_copied(cli, places):
    """To the byte, with exit status 0; the same again finds all of it there."""
    source, target = places
    done = cli("copy", source, target)
    assert (done.status, done.out) == (0, "")
    assert done.err.startswith("3 copied; ")
    assert contents(target) == contents(source)
    (target / names(target)[0]).unlink()
    assert cli("copy", source, target).err.startswith("1 copied, 2 there already; ")
    assert cli("copy", source, target).err.startswith("3 there already; 0 B.")
    assert contents(target) == contents(source)


def test_a_dry_run_writes_nothing(cli, places):
    """It lists what would be copied."""
    source, target = places
    done = cli("copy", source, target, "--dry-run")
    assert (done.status, done.out.splitlines()) == (0, names(source))
    assert done.err.startswith("Would be: 3 copied; ")
    assert not target.exists()


def test_another_content_is_reported_and_stays(cli, places):
    """Until it is to be replaced."""
    source, target = places
    cli("copy", source, target)
    first, second, _ = names(target)
    (target / first).write_bytes(b"longer than it was, and another text")
    changed = bytearray((target / second).read_bytes())
    changed[-3] ^= 1
    (target / second).write_bytes(changed)  # of the same size
    before = contents(target)
    done = cli("copy", source, target)
    assert (done.status, done.out.splitlines()) == (1, [f"another content  {name}" for name in (first, second)])
    assert done.err.splitlines()[0].startswith("1 there already, 2 another content; 0 B.")
    assert contents(target) == before
    done = cli("copy", source, target, "--overwrite", "--dry-run")
    assert (done.status, done.out.splitlines(), contents(target)) == (0, [first, second], before)
    done = cli("copy", source, target, "--overwrite")
    assert (done.status, done.err.splitlines()[0].partition(";")[0]) == (0, "2 replaced, 1 there already")
    assert contents(target) == contents(source)


@pytest.mark.parametrize("how", ["relative", "path of the directory", "path from the file"])
def test_only_what_is_used_is_copied(cli, places, tmp_path, how):
    """By a file of names, which a run has written; a name of no recording is told."""
    source, target = places
    first = names(source)[0]
    starts = {"relative": "", "path of the directory": f"{source}/", "path from the file": "from/"}
    gone = first.replace(first[-6], "0" if first[-6] != "0" else "1")
    used = tmp_path / "used.txt"
    used.write_text(f"# of the last run\n{starts[how]}{first}\n")
    assert cli("copy", source, target, "--used", used).status == 0
    assert names(target) == [first]
    used.write_text(f"{gone}\n{first}\nhttps://elsewhere/{first}\n/elsewhere/{first}\n")
    done = cli("copy", source, target, "--used", used)
    assert (done.status, done.out) == (1, f"not found  {gone}\n")
    assert done.err.startswith("1 there already, 1 not found; ")


def test_a_line_that_is_torn_is_told(cli, places, tmp_path):
    """It names a recording that is not found: what a user wants copied is never left out in silence."""
    source, target = places
    used = tmp_path / "used.txt"
    used.write_text(f"{names(source)[0]}\n{names(source)[1][:-8]}")
    done = cli("copy", source, target, "--used", used)
    assert (done.status, done.out) == (1, f"not found  {names(source)[1][:-8]}\n")
    assert done.err.startswith("1 copied, 1 not found; ")


@pytest.mark.parametrize("name", [".", "inner/copy", "link", "link/inner"])
def test_nothing_is_copied_onto_or_into_itself(cli, places, tmp_path, name):
    """The next copy would copy the copies."""
    source, _ = places
    (tmp_path / "from" / "link").symlink_to(source)
    before = names(source)
    done = cli("copy", source, source / name)
    assert (done.status, done.out) == (2, "")
    assert ("FROM and TO are both" if name in (".", "link") else "is inside FROM") in done.err
    assert names(source) == before


def test_what_belongs_to_a_recording_comes_along_and_before_it(places, monkeypatch):
    """A file beside it has its name with another ending; no other file is copied."""
    source, target = places
    first = names(source)[0]
    (source / first.replace(".json", ".mp3")).write_bytes(b"sound")
    (source / first.replace(".json", "~2.json")).write_bytes(b"{}")
    (source / first.replace(".json", "~2.mp3")).write_bytes(b"more")
    (source / "notes.md").write_text("x")
    (source / "chat" / f".{'a' * 32}.{'b' * 16}.tmp").write_text("x")
    written = []
    add = FolderFiles.add
    monkeypatch.setattr(FolderFiles, "add", lambda self, name, data: written.append(name) or add(self, name, data))
    copy = Copying(FolderFiles(source), FolderFiles(target))
    plan = copy.plan([first, first.replace(".json", "~2.json")])
    assert plan == [
        [first.replace(".json", ".mp3"), first],
        [first.replace(".json", f"~2{end}") for end in (".mp3", ".json")],
    ]
    assert [copied.outcome for copied in copy.run(plan)] == ["copied"] * 4
    assert sorted(written) == names(target)
    assert written.index(plan[0][0]) < written.index(plan[0][1])


def test_a_file_that_cannot_be_read_is_told_and_the_others_are_copied(cli, places):
    """A recording whose file beside it cannot be read is not copied either."""
    source, target = places
    first, second, third = names(source)
    for file in (source / first, source / second.replace(".json", ".mp3")):
        file.unlink(missing_ok=True)
        file.symlink_to("/etc/hostname")
    done = cli("copy", source, target)
    assert (done.status, names(target)) == (1, [third])
    assert done.out.count("leads out of") == done.out.count("failed  ") == 2
    assert done.err.startswith("1 copied, 2 failed; ")


def test_a_copy_that_was_interrupted_is_gone_on_with(cli, places, monkeypatch):
    """The same command copies the rest; nothing half is there."""
    source, target = places
    add = FolderFiles.add

    def interrupted(self, name, data):
        if name == names(source)[1]:
            raise KeyboardInterrupt
        return add(self, name, data)

    monkeypatch.setattr(FolderFiles, "add", interrupted)
    assert cli("copy", source, target).status == 130
    assert contents(target).items() < contents(source).items()
    monkeypatch.undo()
    assert cli("copy", source, target).status == 0
    assert contents(target) == contents(source)


def test_a_folder_that_leads_out_or_cannot_be_listed_is_told(cli, places, tmp_path, monkeypatch):
    """Nothing is written elsewhere."""
    source, target = places
    (tmp_path / "elsewhere").mkdir()
    target.mkdir()
    (target / "chat").symlink_to(tmp_path / "elsewhere")
    done = cli("copy", source, target)
    assert "leads out of" in done.err + done.out
    assert done.status in (1, 2)
    assert contents(tmp_path / "elsewhere") == {}
    scandir = os.scandir

    def refuse(folder):
        if str(folder).endswith("completions"):
            raise PermissionError(errno.EACCES, "Permission denied", folder)
        return scandir(folder)

    monkeypatch.setattr(os, "scandir", refuse)
    done = cli("copy", source, tmp_path / "new")
    assert (done.status, done.err) == (
        2,
        f"Error: {source}/chat/completions cannot be looked into: Permission denied. Look at its permissions.\n",
    )


def test_a_place_that_cannot_be_read_or_written_is_told(cli, places, tmp_path):
    """With exit status 2."""
    source, target = places
    shutil.copytree(source, target)
    (target / names(source)[0]).write_text("x")
    done = cli("copy", source, source)
    assert (done.status, done.err.splitlines()[-1]) == (2, f"Error: FROM and TO are both {source}.")
    done = cli("copy", tmp_path / "nothing", target)
    assert (done.status, done.err) == (
        2,
        f"Error: {tmp_path}/nothing does not exist. Give the directory that holds the recordings.\n",
    )
    (tmp_path / "file").write_text("x")
    assert cli("copy", source, tmp_path / "file").status == 2


def test_llama_stack_has_files_of_its_own(cli, places, tmp_path):
    """They are imported, and never written."""
    source, _ = places
    theirs = tmp_path / "theirs"
    shutil.copytree(Path(__file__).parents[1] / "recordings" / "llama_stack", theirs)
    done = cli("copy", theirs, tmp_path / "to")
    assert (done.status, done.err) == (
        2,
        f"Error: {theirs} is llama-stack's. Import it first: inferencereplay import llama-stack {theirs} DIR\n",
    )
    done = cli("copy", source, theirs)
    assert (done.status, done.err) == (
        2,
        f"Error: {theirs} is llama-stack's, and is never written. Copy to another directory.\n",
    )


def test_another_writer_may_come_first(places):
    """What it has written stays, and is compared."""
    source, target = places
    first, second, third = names(source)

    class Raced(FolderFiles):
        def add(self, name, data, *, like=""):
            super().add(name, {first: data, second: b"other"}.get(name, data))
            return name == third

    outcomes = {name: copied.outcome for name, copied in _run(source, Raced(target))}
    assert outcomes == {first: "there already", second: "another content", third: "copied"}
    shutil.rmtree(target)
    outcomes = {name: copied.outcome for name, copied in _run(source, Raced(target), overwrites=True)}
    assert outcomes == {first: "replaced", second: "replaced", third: "copied"}
    assert contents(target) == contents(source)


def test_a_file_that_vanishes_meanwhile_is_not_found(places):
    """Somebody prunes the source."""
    source, target = places

    class Pruned(FolderFiles):
        def read(self, name, *, follows_links=True):
            return None

    copy = Copying(Pruned(source), FolderFiles(target))
    assert {copied.outcome for copied in copy.run(copy.plan())} == {"not found"}


def _run(source, target, **settings):
    copy = Copying(FolderFiles(source), target, **settings)
    return [(copied.name, copied) for copied in copy.run(copy.plan())]


def test_sums_that_places_tell_save_the_reading(places, monkeypatch):
    """As object stores do, which tell the MD5 of what they hold; without one, both are read."""
    source, target = places
    shutil.copytree(source, target)
    reads = []

    class Far(FolderFiles):
        def __init__(self, directory, has_sums):
            super().__init__(directory)
            self._has_sums = has_sums
            self.far, self.place = self.place, f"s3://{directory.name}"

        def _path(self, name):
            return f"{self.far}/{name}"

        def list(self):
            self.place, before = self.far, self.place
            states = [*super().list()]
            self.place = before
            sums = {state.name: hashlib.md5(Path(self._path(state.name)).read_bytes()).hexdigest() for state in states}
            return (state._replace(md5=sums[state.name] if self._has_sums else "") for state in states)

        def read(self, name, *, follows_links=True):
            reads.append(name)
            self.place, before = self.far, self.place
            try:
                return super().read(name)
            finally:
                self.place = before

    for one, other, count in (
        (FolderFiles(source), Far(target, has_sums=True), 0),
        (Far(source, has_sums=True), FolderFiles(target), 0),
        (Far(source, has_sums=True), Far(target, has_sums=True), 0),
        (Far(source, has_sums=True), Far(target, has_sums=False), 6),
        (FolderFiles(source), Far(target, has_sums=False), 3),
    ):
        reads.clear()
        copy = Copying(one, other)
        monkeypatch.setattr(copying, "at_once", map)  # two threads would disagree about the place
        assert {copied.outcome for copied in copy.run(copy.plan())} == {"there already"}
        assert len(reads) == count
    name = names(target)[0]
    (target / name).write_bytes((target / name).read_bytes().replace(b"elapsed", b"ELAPSED"))
    copy = Copying(Far(source, has_sums=False), Far(target, has_sums=False))
    assert {copied.name for copied in copy.run(copy.plan()) if copied.outcome == "another content"} == {name}


@pytest.mark.parametrize(
    ("name", "recording"),
    [
        (f"chat/{'a' * 32}.json", f"chat/{'a' * 32}.json"),
        (f"chat/{'a' * 32}~2.mp3", f"chat/{'a' * 32}~2.json"),
        (f"{'a' * 32}.tar.gz", f"{'a' * 32}.json"),
        (f"chat/{'a' * 31}.json", ""),
        (f"chat/{'a' * 32}~1.json", ""),
        (f"chat/.{'a' * 32}.{'b' * 16}.tmp", ""),
        (f"chat/{'a' * 32}", ""),
        ("notes.json", ""),
    ],
)
def test_a_file_belongs_to_the_recording_of_its_name(name, recording):
    """The one of its variant; any other file belongs to none."""
    assert recording_of(name) == recording


def test_what_became_of_a_file_has_no_reason_unless_it_failed():
    """A value that says what was done."""
    assert Copied("a", "copied", 3) == ("a", "copied", 3, "")
    assert FileState("a", 1, 2).md5 == ""
