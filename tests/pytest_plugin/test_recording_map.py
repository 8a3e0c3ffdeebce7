"""`--inferencereplay-map`: which test used which recording."""

from __future__ import annotations

import json

import pytest
from suites import suite, summary

pytest_plugins = ["pytester"]
__all__ = ["suite"]
MAP = "--inferencereplay-map=map.json"
SUITE = """
from inferencereplay import replay

@pytest.fixture(scope="module")
def lasting():
    ask("lasting")
    yield
    ask("bye")

@pytest.mark.inferencereplay
def test_marked(lasting):
    ask("marked")

@pytest.mark.inferencereplay
def test_too(lasting):
    pass

def test_block():
    with replay("blocks"):
        ask("block")

@pytest.mark.parametrize("text", ["a", "b"])
def test_many(inferencereplay, text):
    ask(text)
    ask("marked")

def test_nothing(inferencereplay):
    pass
"""


@pytest.mark.parametrize("options", [(), pytest.param(("-n2", "--dist=loadfile"), marks=pytest.mark.slow)])
def test_each_test_has_its_recordings(suite, options):
    """By marker, block and fixture; a fixture's recordings belong to all of its tests. Workers add theirs."""
    suite.write(tests__test_a=SUITE)
    suite.record(passed=6)
    (block,) = (name for name in suite.files() if name.startswith("blocks/"))
    suite.run(MAP, *options, passed=6)
    content = json.loads((suite.path / "map.json").read_text("utf-8"))
    assert content["inferencereplay_map"] == 1
    tests = content["tests"]
    assert list(tests) == sorted(tests)
    named = {test.partition("::")[2]: [len(names) for names in places.values()] for test, places in tests.items()}
    wanted = {"test_marked": [3], "test_too": [2], "test_block": [1], "test_many[a]": [2], "test_many[b]": [2]}
    assert named == {**wanted, "test_nothing": []}
    assert tests["tests/test_a.py::test_block"] == {"blocks": [block.removeprefix("blocks/")]}


@pytest.mark.parametrize("name", ["", "there/map.json", "."])
def test_a_file_that_cannot_be_written_stops_the_run(suite, name):
    """Before the tests are run."""
    result = suite.run(f"--inferencereplay-map={name}")
    assert "Give the name of a file" in result.stderr.str()


def test_a_file_that_cannot_be_written_later_is_told(suite):
    """The run ends as it would."""
    suite.write(test_a="import pathlib\ndef test_it(inferencereplay): pathlib.Path('folder').rename('gone')")
    (suite.path / "folder").mkdir()
    lines = summary(suite.run("--inferencereplay-map=folder/map.json", passed=1))
    assert "1 warning: --inferencereplay-map=folder/map.json could not be written" in lines[1]
