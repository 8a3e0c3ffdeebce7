"""The pytest plugin: recordings that are too old, and answers that equal the stored ones."""

from __future__ import annotations

import re

import pytest
from conftest import completion, plain
from suites import suite, summary

pytest_plugins = ["pytester"]
__all__ = ["suite"]


def make_old(suite):
    """Let all recordings be of the year 2020."""
    for file in suite.path.rglob("recordings/**/*.json"):
        file.write_bytes(re.sub(rb'"at": "20\d\d', b'"at": "2020', file.read_bytes()))


@pytest.fixture
def two(suite):
    """Record two tests."""
    suite.write(
        test_a="""
        pytestmark = pytest.mark.inferencereplay

        def test_one():
            ask("one")

        def test_two():
            ask("two")
        """
    )
    suite.server.replies = [plain(completion(text, id="c-1")) for text in ("1", "2")]
    suite.record(passed=2)
    return suite


def test_the_summary_counts_what_is_unchanged(two):
    """The files stay as they are; an ini option turns that off."""
    before = {name: (two.path / name).read_bytes() for name in two.files()}
    two.server.replies = [plain(completion(text, id="c-2")) for text in ("1", "3")]
    assert summary(two.record(passed=2)) == ["0 hits, 0 misses, 1 recorded, 1 unchanged, 0 unused"]
    assert sum((two.path / name).read_bytes() == data for name, data in before.items()) == 1
    two.server.replies = [plain(completion(text, id="c-3")) for text in ("1", "3")]
    two.ini(inferencereplay_keep_equal="no")
    assert summary(two.record(passed=2)) == ["0 hits, 0 misses, 2 recorded, 0 unused"]


def test_the_summary_lists_what_has_expired(two):
    """Once each, and the run still knows which recordings are unused; the marker counts more than the ini option."""
    make_old(two)
    two.ini(inferencereplay_max_age="30d")
    counts, *listed = summary(two.run(passed=2))
    assert counts == "2 hits, 0 misses, 0 recorded, 0 unused"
    assert listed == [f"older than max_age: {name}" for name in sorted(two.files())]
    two.ini(inferencereplay_max_age="30d", inferencereplay_on_expiry="error")
    result = two.run(failed=2)
    assert summary(result)[1] == f"2 misses: a recording in {two.path}/recordings is older than max_age"
    result.stdout.fnmatch_lines(["*RecordingExpired: *.json is * days old, and recordings expire after 30 days*"])
    two.write(test_a="@pytest.mark.inferencereplay(max_age='9999w')\ndef test_one(): ask('one')")
    two.run(passed=1)


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("max_age", "30", "inferencereplay_max_age='30' is no age."),
        ("on_expiry", "x", "inferencereplay_on_expiry='x' is not valid. Valid are 'warn', 'error', 'record'."),
        ("keep_equal", "x", "inferencereplay_keep_equal='x' is neither yes nor no."),
    ],
)
def test_a_slip_in_the_ini_file(suite, option, value, message):
    """Stops the run."""
    suite.ini(**{f"inferencereplay_{option}": value})
    suite.write(test_a="def test_it(): pass")
    result = suite.run()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"*{message}*"])
