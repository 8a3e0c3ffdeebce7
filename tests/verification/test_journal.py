"""The outcomes that a run which was stopped leaves for the next one."""

from __future__ import annotations

import time

from inferencereplay.verification.changes import Change
from inferencereplay.verification.journal import LONGEST, Journal
from inferencereplay.verification.outcomes import CHANGED, SAME, UNANSWERED, Outcome


def outcome(name, verdict=SAME, mark="1", **more):
    return Outcome(name, "/chat/completions", "m", verdict, mark=mark, at=more.pop("at", time.time()), **more)


def test_what_was_found_is_known_again(tmp_path):
    """An outcome counts once, the last one; one of a changed file, of no answer, or of yesterday does not."""
    journal = Journal(tmp_path / "new" / "folder", {"directory": "a"})
    marks = dict.fromkeys("abcdef", "1")
    assert journal.load(marks) == []
    found = outcome("a", CHANGED, changes=[Change("status", "200", "404")])
    old, early = time.time() - LONGEST - 5, time.time() + 99
    for item in (
        outcome("a"),
        found,
        outcome("b", UNANSWERED),
        outcome("c", mark="0"),
        outcome("d", at=old),
        outcome("e", at=early),
        outcome("gone"),
    ):
        journal.add(item)
    journal.close()
    assert Journal(tmp_path / "new" / "folder", {"directory": "a"}).load(marks) == [found]
    assert Journal(tmp_path / "new" / "folder", {"directory": "b"}).load(marks) == []


def test_a_line_that_was_cut_off(tmp_path):
    """A run was killed while it wrote; the next one writes on a line of its own."""
    journal = Journal(tmp_path, {})
    journal.add(outcome("a"))
    journal.close()
    journal.file.write_bytes(journal.file.read_bytes() + b'\n{"name": "b", "pa\xff')
    journal.add(outcome("c"))
    assert [item.name for item in journal.load({"a": "1", "b": "1", "c": "1"})] == ["a", "c"]
    assert journal.file.stat().st_mode & 0o077 == 0
    journal.forget()
    assert not journal.file.exists()
    journal.forget()


def test_a_folder_that_cannot_be_written(tmp_path):
    """The run goes on, and says that another one could not."""
    (tmp_path / "file").write_text("")
    journal = Journal(tmp_path / "file" / "folder", {})
    assert not journal.failure
    for name in "ab":
        journal.add(outcome(name))
        assert journal.failure == f"{journal.file} cannot be written (Not a directory)"
    assert journal.load({"a": "1"}) == []
    journal.forget()
