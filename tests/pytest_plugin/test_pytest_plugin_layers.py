"""The pytest plugin: several directories as layers, and the file of what the tests use."""

from __future__ import annotations

import pytest
from suites import suite, summary

pytest_plugins = ["pytester"]
__all__ = ["suite"]

ASKS = """
    pytestmark = pytest.mark.inferencereplay

    def test_one():
        assert ask("one") == "answer 1"

    def test_two():
        assert ask("two") == "answer 2"
    """
TWO = """
@pytest.mark.inferencereplay({settings})
def test_it():
    assert [ask("one"), ask("two")] == ["answer 1", "answer 2"]
"""


def layers(suite):
    """Return how many recordings there are in each directory."""
    counts = {}
    for name in suite.files():
        place = name.partition("/chat/")[0]
        counts[place] = counts.get(place, 0) + 1
    return counts


@pytest.fixture
def lower(suite):
    """Record the first request into a directory that others share."""
    suite.write(test_a='@pytest.mark.inferencereplay("shared")\ndef test_it(): ask("one")')
    suite.record(passed=1)
    (suite.path / "test_a.py").unlink()
    assert layers(suite) == {"shared": 1}
    return suite


@pytest.mark.parametrize("how", ["marker", "ini", "environment", "fixture"])
def test_layers_can_be_given_everywhere(lower, monkeypatch, how):
    """Missing ones go to the first; the summary counts each layer's, and names what is unused with its layer."""
    if how == "ini":
        lower.ini(inferencereplay_dir="\n  own\n  shared")
    elif how == "environment":
        monkeypatch.setenv("INFERENCEREPLAY_DIR", f"{lower.path}/own,{lower.path}/shared")
    elif how == "fixture":
        lower.write(conftest='@pytest.fixture\ndef inferencereplay_config(): return {"directory": ["own", "shared"]}')
    lower.write(test_a=TWO.format(settings='["own", "shared"]' if how == "marker" else ""))
    lower.live("--inferencereplay-mode=record-if-missing", passed=1)
    assert layers(lower) == {"own": 1, "shared": 1}
    (lower.path / "shared" / "chat" / "completions" / f"{'a' * 32}.json").write_text("{}")
    assert summary(lower.run(passed=1)) == [
        "2 hits, 0 misses, 0 recorded, 1 unused",
        f"unused: shared/chat/completions/{'a' * 32}.json",
    ]


@pytest.mark.parametrize("write_to", ["1", "'shared'", "marker", "ini"])
def test_write_to_names_the_layer(lower, write_to):
    """By its number, or by its name, which is relative as the directory is."""
    given = "" if write_to == "ini" else f", write_to={'1' if write_to == 'marker' else write_to}"
    if write_to == "ini":
        lower.ini(inferencereplay_dir="\n  own\n  shared", inferencereplay_write_to="shared")
        lower.write(tests__test_a=TWO.format(settings=""))
    else:
        lower.write(test_a=TWO.format(settings=f'["own", "shared"]{given}'))
    lower.live("--inferencereplay-mode=record-if-missing", passed=1)
    assert layers(lower) == {"shared": 2}
    lower.ini(inferencereplay_dir="\n  own\n  shared", inferencereplay_write_to="1")
    lower.run(passed=1)


def test_record_writes_to_one_layer_and_leaves_the_others(lower):
    """As one run: equal requests of two tests are recorded once, and old variants of the layer go."""
    lower.write(
        test_a="""
        pytestmark = pytest.mark.inferencereplay(["own", "shared"])

        def test_it(): assert ask("one") == "answer 2"

        def test_again(): assert ask("one") == "answer 2"
        """
    )
    assert summary(lower.record(passed=2))[0] == "1 hit, 0 misses, 1 recorded, 0 unused"  # others' are not looked at
    assert layers(lower) == {"own": 1, "shared": 1}
    lower.run(passed=2)


def test_a_layer_that_is_none_is_refused(suite):
    """The message lists the layers."""
    suite.write(test_a='@pytest.mark.inferencereplay(["a", "b"], write_to=2)\ndef test_it(): pass')
    suite.run(errors=1).stdout.fnmatch_lines(
        ["*write_to=2 is no layer. The layers are 0 (*/a), 1 (*/b): give a number*"]
    )


# The names of what is used.


def used(suite, name="used.txt"):
    """Return the lines of the file, without the first, which is a comment."""
    head, *lines = (suite.path / name).read_text().splitlines()
    assert head.startswith("# The recordings that the tests use")
    return lines


def test_the_names_of_what_is_used_are_written(suite):
    """With their directories, relative to the file; of a run by workers too."""
    suite.write(tests__test_a=ASKS)
    suite.record("--inferencereplay-used=used.txt", passed=2)
    names = sorted(name for name in suite.files())
    assert used(suite) == names
    (suite.path / "used.txt").unlink()
    suite.run("--inferencereplay-used=used.txt", "-n", "2", passed=2)
    assert used(suite) == names
    suite.run("--inferencereplay-used=lists/of/used.txt", passed=2)
    assert used(suite, "lists/of/used.txt") == [f"../../{name}" for name in names]
    assert not list(suite.path.rglob("*.tmp"))


def test_a_part_of_the_tests_adds_its_names(suite):
    """A complete run writes the file anew: what is not used any more is gone."""
    suite.ini(inferencereplay_used="used.txt", testpaths=".")
    suite.write(test_a=ASKS)
    suite.record(passed=2)
    names = used(suite)
    (suite.path / "used.txt").write_text(f"# a comment\n\n{names[0]}\nrecordings/of/another.json\n")
    suite.run("-k", "test_two", passed=1)
    assert used(suite) == sorted({*names, "recordings/of/another.json"})
    suite.run(passed=2)
    assert used(suite) == names


def test_sessions_that_a_test_opens_itself_count_too(suite):
    """With what the tests of markers use."""
    suite.write(
        test_a="""
        import inferencereplay

        @pytest.mark.inferencereplay
        def test_one():
            assert ask("one") == "answer 1"

        def test_two():
            with inferencereplay.replay("own", mode="record-if-missing"):
                assert ask("two") == "answer 2"
        """
    )
    suite.record("--inferencereplay-used=used.txt", passed=2)
    assert [name.partition("/")[0] for name in used(suite)] == ["own", "recordings"]


def test_names_that_cannot_be_written_are_a_warning(suite):
    """The tests pass all the same."""
    suite.write(test_a=ASKS)
    suite.record(passed=2)
    (suite.path / "used.txt").mkdir()
    lines = summary(suite.run("--inferencereplay-used=used.txt", passed=2))
    assert "the names of the used recordings were not written: " in lines[1]


def test_what_is_fetched_beforehand_can_be_named_by_itself(suite, monkeypatch):
    """By a marker, relative to the test's file, or by the environment."""
    suite.write(
        test_a="""
        @pytest.mark.inferencereplay(prefetch="names.txt")
        def test_marker(inferencereplay):
            import pathlib
            assert inferencereplay.settings.prefetch == pathlib.Path(__file__).with_name("names.txt")

        @pytest.mark.inferencereplay(["own", "shared"])
        def test_environment(inferencereplay):
            assert str(inferencereplay.settings.prefetch) == "/some/names.txt"
        """
    )
    monkeypatch.setenv("INFERENCEREPLAY_PREFETCH", "/some/names.txt")
    suite.run("--inferencereplay-used=used.txt", passed=2)
