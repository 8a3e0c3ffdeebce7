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


def test_stubs_answer_in_tests(suite):
    """A fixture may make them, the summary counts them, and nothing has to be recorded."""
    suite.write(
        test_a="""
        @pytest.fixture
        def rome(inferencereplay):
            return inferencereplay.stub("Rome")

        def test_stub(inferencereplay, rome):
            assert ask("capital?") == "Rome"
            assert rome.asked == inferencereplay.stubbed == 1
        """
    )
    for run in (suite.run, suite.record):
        assert summary(run(passed=1)) == ["0 hits, 0 misses, 0 recorded, 1 by hand, 0 unused"]
    assert suite.files() == {}


def test_an_unused_stub_fails_the_test(suite):
    """That test alone, once; one that fails anyway, is skipped or expected to fail, has no further error."""
    suite.write(
        test_a="""
        def test_unused(inferencereplay):
            inferencereplay.stub("Rome", model="gpt-4")

        def test_failing(inferencereplay):
            inferencereplay.stub("Rome")
            assert not "failed"

        def test_skipped(inferencereplay):
            inferencereplay.stub("Rome")
            pytest.skip()

        @pytest.mark.xfail(strict=True)
        def test_expected(inferencereplay):
            inferencereplay.stub("Rome")

        def test_other(inferencereplay):
            inferencereplay.stub("Rome", required=False)
        """
    )
    result = suite.run(failed=2, skipped=1, xfailed=1, passed=1)
    result.stdout.fnmatch_lines(
        ["1 stub was not asked for as often as expected:", "  <Stub 1: text='Rome', model='gpt-4'; asked 0 of 1>"]
    )
    assert "error" not in result.stdout.lines[-1]


def test_a_stub_is_saved_in_a_run(suite):
    """Also where the tests of a run record together."""
    suite.write(
        test_a="""
        def test_stub(inferencereplay):
            inferencereplay.stub("Rome", save=True, required=False)
            assert ask("capital?") == "Rome"
        """
    )
    suite.record(passed=1)
    assert list(suite.files().values()) == ["Rome"]
    assert summary(suite.run(passed=1)) == ["0 hits, 0 misses, 0 recorded, 1 by hand, 0 unused"]


def test_a_fixture_that_lasts_has_stubs_of_its_own(suite):
    """They are told when it is made."""
    suite.write(
        test_a="""
        import inferencereplay

        @pytest.fixture(scope="module")
        def lasting():
            inferencereplay.current_session().stub("Rome")
            return ask("capital?")

        @pytest.fixture(scope="module")
        def unused():
            inferencereplay.current_session().stub("Rome")

        @pytest.mark.inferencereplay
        def test_lasting(lasting):
            assert lasting == "Rome"

        @pytest.mark.inferencereplay
        def test_unused(unused):
            pass
        """
    )
    result = suite.run(passed=1, errors=1)
    result.stdout.fnmatch_lines(["E * inferencereplay.errors.UnusedStub: 1 stub was not asked for*"])
