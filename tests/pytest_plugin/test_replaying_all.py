"""`inferencereplay_all`: every test of a suite is replayed, and single ones are left alone."""

from __future__ import annotations

import pytest
from suites import suite, summary

pytest_plugins = ["pytester"]
__all__ = ["suite"]


def test_tests_without_a_marker_are_replayed(suite):
    """A forgotten marker reaches no server; an option of a marker still counts, and classes of unittest are covered."""
    suite.ini(inferencereplay_all="true")
    suite.write(
        tests__test_a="""
        import unittest

        @pytest.fixture(scope="module")
        def lasting():
            return ask("lasting")

        def test_plain(lasting):
            assert ask() == "answer 2"

        @pytest.mark.inferencereplay("other")
        def test_marked():
            assert ask()

        class TestOld(unittest.TestCase):
            def test_old(self):
                assert ask() == "answer 2"
        """
    )
    suite.run("-k", "plain", errors=1)
    suite.record(passed=3)
    assert {name.split("/chat")[0] for name in suite.files()} == {"tests/recordings", "tests/other"}
    assert summary(suite.run(passed=3)) == ["4 hits, 0 misses, 0 recorded, 0 unused"]
    suite.write(tests__test_a="def test_new(): swallow('new')")
    suite.run(failed=1)


def test_a_marker_leaves_a_test_alone(suite):
    """`enabled=False` is for a test, a class or a module; the nearest marker counts. What lasts for it is live."""
    suite.ini(inferencereplay_all="true")
    suite.write(
        test_a="""
        from inferencereplay import current_session

        pytestmark = pytest.mark.inferencereplay(enabled=False)

        @pytest.fixture(scope="module")
        def lasting():
            return ask("lasting")

        def test_live(lasting):
            assert current_session() is None
            assert ask()

        @pytest.mark.inferencereplay(enabled=True, speed=2)
        def test_replayed(inferencereplay):
            assert inferencereplay.speed == 2
        """
    )
    suite.record(passed=2)
    assert (suite.files(), suite.server.count) == ({}, 2)


def test_a_marker_leaves_a_test_alone_without_the_setting(suite):
    """A module is marked, and one of its tests is not to be."""
    suite.write(
        test_a="""
        pytestmark = pytest.mark.inferencereplay

        @pytest.mark.inferencereplay(enabled=False)
        def test_it(): assert ask()
        """
    )
    suite.record(passed=1)
    assert suite.files() == {}
    suite.write(test_a="@pytest.mark.inferencereplay(enabled='no')\ndef test_it(): pass")
    assert "enabled='no' is neither True nor False" in suite.run().stderr.str()


def test_imports_are_replayed(suite):
    """A module that asks when it is imported gets recordings; a miss is its error, even if it swallows it."""
    suite.ini(inferencereplay_all="true")
    suite.write(test_a="SAID = ask()\n\ndef test_it(): assert SAID == 'answer 1'")
    suite.record(passed=1)
    assert summary(suite.run(passed=1)) == ["1 hit, 0 misses, 0 recorded, 0 unused"]
    for code in ("swallow()", "ask('unknown')"):
        suite.write(test_a=f"{code}\n\ndef test_it(): pass")
        result = suite.run(errors=1)
        result.stdout.fnmatch_lines(["*pytest test_a.py --inferencereplay-mode=record-if-missing"])


def test_doctests_are_replayed(suite):
    """Tests that are no functions have sessions, too."""
    suite.ini(inferencereplay_all="true", addopts="--doctest-modules")
    suite.write(module='def f():\n    """Ask.\n\n    >>> ask()\n    \'answer 1\'\n    """')
    suite.record(passed=1)
    suite.run(passed=1)
    assert suite.server.count == 1


@pytest.mark.parametrize("value", ["false", "true"])
def test_the_setting_is_off_by_default(suite, value):
    """Without it tests are left alone."""
    suite.ini(inferencereplay_all=value)
    suite.write(test_a="def test_it(): ask()")
    suite.live("--inferencereplay-mode=record-if-missing", passed=1)
    assert bool(suite.files()) == (value == "true")
