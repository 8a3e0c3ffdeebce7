"""The pytest plugin: the calls of a failed test, and calls that go to the network by the settings."""

from __future__ import annotations

import pytest
from suites import suite, summary

pytest_plugins = ["pytester"]
__all__ = ["suite"]


def test_a_failed_test_shows_its_calls(suite):
    """The newest of them, whatever became of them; a test without calls shows none."""
    suite.write(
        test_a="""
        def test_some(inferencereplay):
            for number in range(22):
                ask(f"question {number}")
            assert len(inferencereplay.calls.chat) == 1

        def test_none(inferencereplay):
            assert len(inferencereplay.calls) == 1
        """
    )
    result = suite.record(failed=2)
    printed = result.stdout.str()
    assert printed.count("inferencereplay: calls") == 1
    assert "<1 recorded" in printed
    assert "<2 recorded POST /chat/completions m 'question 1'>\n" not in printed
    assert "<3 recorded POST /chat/completions m 'question 2'>\n" in printed
    assert "<22 recorded POST /chat/completions m 'question 21'>\n" in printed
    assert "assert 22 == 1" in printed


@pytest.mark.parametrize("workers", [[], ["-n", "1"]], ids=["alone", "workers"])
def test_the_summary_tells_of_live_calls(suite, workers):
    """Nothing is said of unused recordings then, and the marker takes the setting."""
    suite.write(
        test_a="""
        @pytest.mark.inferencereplay(live=lambda question: "live" in str(question.body), keep_calls=1)
        def test_one(inferencereplay):
            ask("live")
            ask("recorded")
            assert [call.number for call in inferencereplay.calls] == [2]
        """
    )
    assert summary(suite.record(*workers, passed=1)) == ["0 hits, 0 misses, 1 recorded, 1 live"]
    assert summary(suite.live("--inferencereplay-unused=report", *workers, passed=1)) == [
        "1 hit, 0 misses, 0 recorded, 1 live",
        "unused recordings were not looked for: calls went to the network",
    ]
    assert len(suite.files()) == 1
