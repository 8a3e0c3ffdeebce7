"""The pytest plugin: tests that run once for each recorded variant, and tests that record several."""

from __future__ import annotations

import re
import textwrap

import pytest
from suites import suite, summary

from inferencereplay.pytest_plugin.tally import Tally

pytest_plugins = ["pytester"]
__all__ = ["suite"]
IF_MISSING = "--inferencereplay-mode=record-if-missing"

SEEN = """
def note(*texts):
    with open("seen", "a") as file:
        file.write(" ".join(texts) + "\\n")

"""


def noting(code):
    """Return a module whose tests can note what they saw."""
    return SEEN + textwrap.dedent(code)


def seen(suite):
    """Return what the tests noted since the last time."""
    file = suite.path / "seen"
    lines = file.read_text().splitlines() if file.exists() else []
    file.unlink(missing_ok=True)
    return lines


def outcomes(result):
    """Return the ids of the runs as `-v` shows them, with a letter for each key, and their outcomes."""
    found = re.findall(r"::(\S+) (PASSED|FAILED|SKIPPED|ERROR)", result.stdout.str())
    names: dict[str, str] = {}

    def letter(match):
        return names.setdefault(match[0], "abcdef"[len(names)])

    return [(re.sub(r"\b[0-9a-f]{8}(?=~)", letter, name), outcome) for name, outcome in found]


ONE = """
@pytest.mark.inferencereplay(variants="all", times=3)
def test_one():
    note(ask())
"""


def test_a_test_runs_once_for_each_variant(suite):
    """`times` records several answers, `variants` tries the program against each; the ids name the variant."""
    suite.write(tests__test_a=noting(ONE))
    result = suite.record("-v", passed=3)
    assert outcomes(result) == [(f"test_one{name}", "PASSED") for name in ("", "[time-2]", "[time-3]")]
    assert summary(result) == ["0 hits, 0 misses, 3 recorded, 0 unused"]
    assert seen(suite) == ["answer 1", "answer 2", "answer 3"]
    assert list(suite.files().values()) == ["answer 1", "answer 2", "answer 3"]
    result = suite.run("-v", passed=3)
    assert outcomes(result) == [("test_one", "PASSED"), ("test_one[a~2]", "PASSED"), ("test_one[a~3]", "PASSED")]
    key = next(iter(suite.files())).rpartition("/")[2][:8]
    result.stdout.fnmatch_lines([f"*::test_one?{key}~3? PASSED*"])
    assert "100%" in result.stdout.str()
    assert seen(suite) == ["answer 1", "answer 2", "answer 3"]
    assert summary(result) == ["3 hits, 0 misses, 0 recorded, 0 unused"]


def test_without_the_options_a_test_runs_once(suite):
    """Several recordings of one request are what they always were; the command line asks for more."""
    suite.write(
        tests__test_a=noting("""
        @pytest.mark.inferencereplay
        def test_one():
            note(ask())
        """)
    )
    suite.record("--inferencereplay-times=2", passed=2)
    suite.run(passed=1)
    assert seen(suite) == ["answer 1", "answer 2", "answer 1"]
    suite.run("--inferencereplay-variants=all", passed=2)
    suite.run("--inferencereplay-variants=0", passed=1)
    suite.run("--inferencereplay-variants=5", "--inferencereplay-times=9", passed=2)


TREE = """
@pytest.mark.inferencereplay(variants="all", times=2)
def test_agent():
    first = ask("plan")
    second = ask(f"do {first}")
    note(first, "/", second)
"""


def test_what_a_test_asks_may_depend_on_the_answers(suite):
    """Each run of a recording is a whole conversation, and each of these is replayed."""
    suite.write(tests__test_a=noting(TREE))
    suite.record(passed=2)
    assert seen(suite) == ["answer 1 / answer 2", "answer 3 / answer 4"]
    suite.run(passed=2)
    assert seen(suite) == ["answer 1 / answer 2", "answer 3 / answer 4"]


def test_what_was_not_recorded_after_a_variant_is_a_miss_of_its_run(suite):
    """The message says what records it; `record-if-missing` then asks for what the other variants lead to."""
    suite.write(tests__test_a=noting(TREE.replace("times=2", "times=1")))
    suite.record(passed=1)
    suite.write(tests__test_b=TREE.partition("    second")[0])
    suite.live(IF_MISSING, "tests/test_b.py", "--inferencereplay-times=2", passed=2)
    (suite.path / "tests/test_b.py").unlink()
    result = suite.run("-v", passed=1, failed=1)
    assert outcomes(result)[:2] == [("test_agent", "PASSED"), ("test_agent[a~2]", "FAILED")]
    result.stdout.fnmatch_lines(["*pytest tests/test_a.py::test_agent --inferencereplay-mode=record-if-missing"])
    seen(suite)
    suite.live(IF_MISSING, passed=2)
    before = seen(suite)
    suite.run(passed=2)
    assert seen(suite) == before
    assert len({line.partition(" / ")[0] for line in before}) == 2


MANY = """
@pytest.mark.inferencereplay(variants={variants}, times=3)
def test_many():
    note(ask("a"), ask("b"), ask("c"))
"""


def test_a_run_that_is_stopped_has_no_more_variants_than_runs(suite):
    """With `-x` the summary does not say that a larger number of runs would help."""
    suite.write(tests__test_a=noting(MANY.format(variants="'all'")))
    suite.record(passed=3)
    suite.write(tests__test_a=noting(MANY.format(variants="'all'") + "    assert ask('a') == 'nothing'\n"))
    assert "more variants" not in suite.run("-x", failed=1).stdout.str()


def test_combinations_are_run_and_bounded(suite):
    """First the runs with one other variant, then those with two; the summary says if there are more."""
    suite.write(tests__test_a=noting(MANY.format(variants="'all'")))
    suite.record(passed=3)
    seen(suite)
    result = suite.run("-v", passed=27)
    found = [name for name, _ in outcomes(result)]
    assert found[:7] == ["test_many", *(f"test_many[{letter}~{number}]" for letter in "abc" for number in (2, 3))]
    assert found[7:9] == ["test_many[a~2+b~2]", "test_many[a~2+b~3]"]
    assert len(set(found)) == 27
    assert len(set(seen(suite))) == 27
    suite.write(tests__test_a=noting(MANY.format(variants=8)))
    result = suite.run(passed=8)
    assert (
        summary(result)[-1]
        == "there are more variants than runs of tests/test_a.py::test_many: variants=N says how many"
    )


def test_equal_calls_of_a_run_go_on_from_its_variant(suite):
    """The second equal call gets the variant after, and past the last one the last again."""
    suite.write(
        tests__test_a=noting("""
        @pytest.mark.inferencereplay(variants="all")
        def test_twice():
            note(ask(), ask())
        """)
    )
    suite.record("--inferencereplay-times=2", passed=2)
    assert seen(suite) == ["answer 1 answer 2", "answer 3 answer 4"]
    suite.run(passed=4)
    assert seen(suite) == [f"answer {first} answer {min(first + 1, 4)}" for first in (1, 2, 3, 4)]


def test_record_if_missing_fills_up(suite):
    """With `times`, what is recorded answers, and the rest is asked for."""
    suite.write(tests__test_a=noting(ONE))
    suite.record("--inferencereplay-times=2", passed=2)
    seen(suite)
    result = suite.live(IF_MISSING, passed=3)
    assert seen(suite) == ["answer 1", "answer 2", "answer 3"]
    assert summary(result) == ["2 hits, 0 misses, 1 recorded, 0 unused"]


def test_each_run_is_a_test_of_its_own(suite):
    """With its own fixtures, id and outcome; fixtures that outlive a test are made once."""
    suite.write(
        conftest="""
        def pytest_runtest_teardown(item, nextitem):
            assert nextitem is None or nextitem.name
        """,
        tests__test_a=noting("""
        made = []

        @pytest.fixture(scope="module")
        def lasting():
            made.append("module")

        @pytest.fixture
        def own(tmp_path):
            made.append("own")
            assert not list(tmp_path.iterdir())
            (tmp_path / "file").touch()

        @pytest.mark.inferencereplay(variants="all", times=3)
        @pytest.mark.parametrize("text", ["x", "y"])
        def test_one(lasting, own, text):
            assert ask(text) != "answer 2"

        @pytest.mark.inferencereplay(variants="all", times=3)
        class TestClass:
            def test_method(self, lasting):
                ask()

        def test_last():
            assert made == ["module", *["own"] * 6]
        """),
    )
    suite.record(passed=9, failed=1)
    result = suite.run("-v", passed=9, failed=1)
    assert outcomes(result) == [
        *(("test_one[x]", "PASSED"), ("test_one[x-a~2]", "FAILED"), ("test_one[x-a~3]", "PASSED")),
        *((f"test_one[y{name}]", "PASSED") for name in ("", "-b~2", "-b~3")),
        *((f"TestClass::test_method{name}", "PASSED") for name in ("", "[c~2]", "[c~3]")),
        ("test_last", "PASSED"),
    ]
    result.stdout.fnmatch_lines(["FAILED *::test_one?x-*~2? - AssertionError*"])
    assert suite.run("-x", passed=1, failed=1)


def test_a_test_that_does_not_run_is_not_repeated(suite):
    """A fixture that fails, a skip, a set-up alone, and a test without recordings are told once."""
    suite.write(
        tests__test_a="""
        @pytest.fixture
        def broken():
            raise ValueError

        @pytest.mark.inferencereplay(times=3)
        def test_broken(broken):
            pass

        @pytest.mark.skip
        @pytest.mark.inferencereplay(times=3)
        def test_skipped():
            pass

        def test_other():
            pass
        """
    )
    suite.record(errors=1, skipped=1, passed=1)
    suite.record("--setup-plan", "--inferencereplay-times=3", "-k", "other")
    suite.run("--inferencereplay-mode=live", "--inferencereplay-variants=all", "-k", "other", passed=1)


def test_a_live_run_is_one_run(suite):
    """There are no variants, and nothing is recorded."""
    suite.write(tests__test_a=noting(ONE))
    suite.live("--inferencereplay-mode=live", passed=1)


def test_unittest_and_coroutines(suite):
    """Methods of `unittest` run several times as well."""
    suite.write(
        tests__test_a="""
        import unittest

        @pytest.mark.inferencereplay(variants="all", times=2)
        class TestCase(unittest.TestCase):
            def setUp(self):
                self.made = ask()

            def test_method(self):
                assert self.made.startswith("answer")
        """
    )
    suite.record(passed=2)
    suite.run(passed=2)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ("variants='al'", "variants='al' is not valid. Valid are 'all', and the number of runs at most."),
        ("variants=-1", "variants=-1 is not valid"),
        ("variants=True", "variants=True is not valid"),
        ("times=0", "times=0 is not valid. Valid is a number of runs from 1."),
        ("times='x'", "times='x' is not valid"),
    ],
)
def test_what_is_no_number_of_runs_stops_the_run(suite, options, told):
    """One line says what is valid."""
    suite.write(tests__test_a=f"@pytest.mark.inferencereplay({options})\ndef test_a(): pass")
    result = suite.run()
    assert told in result.stdout.str() + result.stderr.str()
    assert result.ret != 0


def test_the_command_line_is_checked(suite):
    """So is an option of `inferencereplay_config`, which comes too late for this."""
    for option in ("times=0", "variants=none"):
        result = suite.run(f"--inferencereplay-{option}")
        assert "is not valid" in result.stderr.str()
    suite.write(
        tests__test_a="""
        @pytest.fixture
        def inferencereplay_config():
            return {"times": 3}

        def test_a(inferencereplay):
            pass
        """
    )
    suite.run(errors=1).stdout.fnmatch_lines(["*unknown option times. Valid are directory, *"])


def test_workers_tell_which_tests_have_more_variants(suite):
    """The controller names them."""
    tally, other = Tally(), Tally()
    tally.cut.add("a")
    other.add(tally.dump())
    assert other.cut == {"a"}


@pytest.mark.slow
def test_workers_run_variants(suite):
    """The workers find the runs, the controller names them, and the progress is of all of them."""
    suite.write(tests__test_a=noting(ONE), tests__test_b=noting(ONE.replace("ask()", 'ask("b")')))
    suite.record("-n2", passed=6)
    result = suite.run("-n2", "-v", passed=6)
    assert len(re.findall(r"PASSED tests/test_[ab].py::test_one\[[0-9a-f]{8}~[23]\]", result.stdout.str())) == 4
    assert "100%" in result.stdout.str()
    assert summary(result) == ["6 hits, 0 misses, 0 recorded, 0 unused"]
