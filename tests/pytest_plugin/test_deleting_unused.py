"""`--inferencereplay-unused=delete`: what a complete run deletes, and why others delete nothing."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

import pytest
from suites import suite, summary

pytest_plugins = ["pytester"]
__all__ = ["suite"]
DELETE = "--inferencereplay-unused=delete"
TWO = "pytestmark = pytest.mark.inferencereplay\n\ndef test_a(): ask('a')\n\ndef test_b(): ask('b')\n"
LEFT = "not deleted: {} cannot be read, came during the run, or lie where no session of the tests looks"
ONE = "pytestmark = pytest.mark.inferencereplay\n\ndef test_a(): ask('a')\n"


@pytest.fixture
def old(suite):
    """A suite with an unused recording, of an hour ago."""
    suite.write(tests__test_a=TWO)
    suite.record(passed=2)
    for name in suite.files():
        os.utime(suite.path / name, (time.time() - 3600,) * 2)
    suite.write(tests__test_a=ONE)
    return suite


def test_a_complete_run_deletes_what_no_test_asked_for(old):
    """Each deleted file is listed; the next run has nothing to delete."""
    before = set(old.files())
    lines = summary(old.run(DELETE, passed=1))
    (gone,) = before - set(old.files())
    assert lines == ["1 hit, 0 misses, 0 recorded, 1 unused", "1 unused deleted:", f"  {gone}"]
    assert summary(old.run(DELETE, passed=1)) == ["1 hit, 0 misses, 0 recorded, 0 unused"]


def test_the_ini_file_can_say_so(old):
    """The setting works without an option."""
    old.ini(inferencereplay_unused="delete")
    old.run(passed=1)
    assert len(old.files()) == 1


@pytest.mark.parametrize(
    ("more", "arguments", "reason"),
    [
        ("def test_c(): pass", ("-k", "not test_c"), "tests with recordings were deselected"),
        ("def test_c(): assert not ask('a')", (), "the run did not pass"),
        ("def test_c(): pytest.skip()", (), "tests with recordings were skipped"),
        ("def test_c(): pytest.exit('enough', 0)", (), "the run was stopped"),
        ("", ("--ignore=elsewhere",), "paths were ignored"),
        ("", ("--lf",), "only the tests that failed last were run"),
        ("", ("tests/test_a.py",), "the run took in a part of the tests of "),
    ],
    ids=["deselected", "failed", "skipped", "stopped", "ignored", "last-failed", "a-file"],
)
def test_no_other_run_deletes_anything(old, more, arguments, reason):
    """It says why."""
    old.write(tests__test_a=ONE + more)
    result = old.run(DELETE, *arguments)
    assert len(old.files()) == 2
    (line,) = [line for line in summary(result) if line.startswith("not deleted: ")]
    assert reason in line


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        ({"test_b": "@pytest.mark.skip\ndef test_it(): pass"}, "tests were skipped"),
        ({"conftest": "collect_ignore = ['test_b.py']", "test_b": ""}, "test_b.py was ignored"),
        (
            {"conftest": "def pytest_collection_modifyitems(items): items[:] = items[:1]", "test_b": "def test_b(): 1"},
            "tests were left out",
        ),
        ({"conftest": "def pytest_deselected(items): pass", "test_b": "def test_b(): pass"}, "tests were deselected"),
    ],
    ids=["skipped", "ignored", "left-out", "deselected"],
)
def test_tests_without_recordings_count_too(old, files, reason):
    """Their code may use recordings by itself: a run without them is not complete."""
    old.write(**{f"tests__{name}": code for name, code in files.items()})
    arguments = ("--deselect", "tests/test_b.py::test_b") if reason == "tests were deselected" else ()
    assert summary(old.run(DELETE, *arguments))[-1] == f"not deleted: {reason}"
    assert len(old.files()) == 2


def test_what_is_not_of_these_tests_alone_stays(old):
    """A directory outside of the folders that are run may be another suite's as well."""
    old.ini(testpaths="tests", inferencereplay_dir="shared")
    (old.path / "tests" / "recordings").rename(old.path / "shared")
    lines = summary(old.run(DELETE, passed=1))
    assert lines[-1] == "not deleted: shared is not in a folder of this run's tests"
    assert len(old.files()) == 2


def test_what_came_during_the_run_stays(old):
    """Another program may have recorded it; a file that nobody can read stays as well."""
    for name in old.files():
        os.utime(old.path / name, (time.time() + 60,) * 2)
    assert summary(old.run(DELETE, passed=1))[-1] == LEFT.format(1)
    assert len(old.files()) == 2


def test_a_folder_that_cannot_be_changed(old, monkeypatch):
    """The run goes on, and says so."""

    def fail(*_):
        message = "the disk is read-only"
        raise OSError(message)

    monkeypatch.setattr("inferencereplay.upkeep.pruning.remove", fail)
    assert summary(old.run(DELETE, passed=1))[-1] == "not deleted: the disk is read-only"


@pytest.mark.parametrize("option", ["--collect-only", "--fixtures", "--setup-plan"])
def test_a_run_without_tests_deletes_nothing(old, option):
    """A block that a `conftest.py` opens when it is imported uses a directory, whatever is done with the tests."""
    old.write(conftest="from inferencereplay import replay\nwith replay('tests/recordings'): ask('a')")
    assert "not deleted: " in summary(old.run(DELETE, option))[-1]
    assert len(old.files()) == 2


def test_a_run_that_somebody_ends_early_deletes_nothing(old):
    """A plugin's loop may leave tests out after they were collected, and tell nobody."""
    old.write(
        conftest="""
        def pytest_runtestloop(session):
            session.items[0].config.hook.pytest_runtest_protocol(item=session.items[0], nextitem=None)
            return True
        """,
        tests__test_b="def test_b(): pass",
    )
    assert summary(old.run(DELETE, passed=1))[-1] == "not deleted: not all tests were run"
    assert len(old.files()) == 2


def test_a_block_that_the_code_makes_live(old):
    """What it would have used is unknown, whoever says that it is live."""
    live = "def test_live():\n    with replay('tests/recordings', mode='live'): pass"
    old.write(tests__test_a=f"from inferencereplay import replay\n{ONE}\n{live}")
    assert summary(old.run(DELETE, passed=2))[-1] == "not deleted: tests ran live"
    assert len(old.files()) == 2


def test_recordings_of_other_directories_inside_stay(old):
    """A session finds a recording at one place of its directory; others may be another suite's, or an example's."""
    (old.path / "tests" / "recordings").rename(old.path / "examples")
    old.write(tests__test_a="from inferencereplay import replay\n\ndef test_a():\n    with replay('.'): ask('a')")
    old.record(passed=1)
    assert summary(old.run(DELETE, passed=1))[-1] == LEFT.format(2)
    assert len(old.files()) == 3


def test_further_answers_stay(old):
    """A run with one answer for each request is not asked about the others; two options are, and both work."""
    old.write(tests__test_a=ONE)
    old.record("--inferencereplay-times=2", passed=2)
    for name in old.files():
        os.utime(old.path / name, (time.time() - 3600,) * 2)
    lines = summary(old.run(DELETE, passed=1))
    assert lines[-1].startswith("not deleted: 1 answer what tests asked; --inferencereplay-variants=all uses them")
    assert summary(old.run(DELETE, "--inferencereplay-variants=all", passed=2))[0].endswith(" 0 unused")
    assert len(old.files()) == 2
    old.live("--inferencereplay-rewrite", passed=1)
    assert len(old.files()) == 1


@pytest.mark.slow
def test_workers(old):
    """With xdist the run is complete if all workers were."""
    old.run(DELETE, "-n2", passed=1)
    assert len(old.files()) == 1


def test_recordings_of_another_recorder_stay(suite):
    """Files of llama-stack's are read, and never deleted."""
    source = Path(__file__).parents[1] / "recordings" / "llama_stack"
    shutil.copytree(source, suite.path / "theirs")
    count = len([*(suite.path / "theirs").rglob("*.json")])
    suite.write(test_a="@pytest.mark.inferencereplay('theirs')\ndef test_it(): pass")
    lines = summary(suite.run(DELETE, passed=1))
    assert lines[-1].startswith("not deleted: ")
    assert len([*(suite.path / "theirs").rglob("*.json")]) == count
