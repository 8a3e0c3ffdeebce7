"""The comparison with others measures every row, of those that are installed here."""

from __future__ import annotations

import json
from pathlib import Path

import programs
import pytest
from test_benchmarks import WAYS

ROOT = Path(__file__).parents[1]
LACKING = """
import importlib.metadata, runpy, sys
version = importlib.metadata.version
def without(name):
    if name in ("vcrpy", "respx"):
        raise importlib.metadata.PackageNotFoundError(name)
    return "1"
importlib.metadata.version = without
sys.argv = ["compare.py"]
sys.path.insert(0, "benchmarks")
runpy.run_path("benchmarks/compare.py", run_name="__main__")
"""
"""The comparison where two of those that it compares are not installed."""
ALIKE = """
import json, sys
sys.path.insert(0, "benchmarks")
import loopback, scenes
from ways_of_calling import WAYS
with loopback.serving() as url:
    server, memory = scenes.client(base_url=url), scenes.client()
    print(json.dumps({way.name: way.make(server)() == way.make(memory)() for way in WAYS}))
"""
TABLE = """
import sys
sys.path.insert(0, "benchmarks")
from types import SimpleNamespace
from reporting import Cell, as_table
names = {name: SimpleNamespace(name=name, note="none") for name in ("sdk", "ours", "other")}
cells = [Cell("a", "sdk", 600.0, ""), Cell("a", "ours", 15.0, ""), Cell("a", "other", None, "to the network")]
print(as_table(cells, {"a": "a chat", "b": "not measured"}, names))
"""
COMPARED = """
import sys
sys.path.insert(0, "benchmarks")
import command_line, contenders
for name in ("vcr", "cassetter", "llm_cassette", "respx"):
    del contenders.CONTENDERS[name]
command_line.missing = str
import call_rows, compare, process_rows, suite
call_rows.SCENES = [scene for scene in call_rows.SCENES if not scene.name.startswith("langchain")]
process_rows.COUNTS = (10, 1_000, 1_000)
suite.PLUGINS = {name: suite.PLUGINS[name] for name in ("sdk", "ours")}
assert {*compare.DRAWN} < {*compare.TITLES}
compare.main()
"""
"""The comparison of what needs no further packages."""
GROUPS = {
    "suite": {"suite_calls", "suite_process"},
    "once": {"small_once", "large_once", "stream_once", "embeddings_once"},
    "calls": {"small_chat", "large_chat", "stream_200", "stream_2000", "embeddings", *WAYS.split()},
    "recording": {"record_first", "record_stream"},
    "misses": {"miss_first", "miss_following"},
    "opening": {"open_10", "open_1000"},
    "memory": {"memory_few"},
}
LACKS = {"suite", "calls"}
"""Groups with rows that a dict of what `create` returned cannot have."""


def test_what_is_compared_has_to_be_installed():
    """The comparison says what is lacking and what installs it."""
    done = programs.run("-c", LACKING, cwd=ROOT)
    assert (done.returncode, done.stdout) == (2, "")
    asked = "`pip install -r benchmarks/requirements-compare.txt` installs them"
    assert done.stderr.endswith(f"error: not installed: respx, vcrpy; {asked}\n")


@pytest.mark.parametrize(
    ("ratio", "words"), [(1 / 12.4, "12 x faster"), (0.2, "5.0 x faster"), (0.99, "equal"), (1.4, "1.4 x slower")]
)
def test_a_ratio_is_put_in_words(ratio, words):
    """A comparison says how many times faster or slower a contender is, not a fraction."""
    code = f"import sys; sys.path.insert(0, 'benchmarks'); import reporting; print(reporting.times({ratio}))"
    done = programs.run("-c", code, cwd=ROOT)
    assert done.stdout.strip() == words


def test_the_server_and_the_transport_in_memory_answer_alike():
    """What is recorded from the server is what the SDK alone is given, in every way of calling."""
    done = programs.run("-c", ALIKE, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == dict.fromkeys(WAYS.split(), True)


def test_a_table_has_only_what_was_measured():
    """A row that was not measured is not shown; a contender that could not do one is, with the reason."""
    done = programs.run("-c", TABLE, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[2] == "| a chat | 600 µs | 15 µs (40 x faster) | - (1) |"
    assert lines[4] == "1. to the network"
    assert "not measured" not in done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("group", [*GROUPS])
def test_every_row_is_measured(group, tmp_path):
    """Each row has a figure of ours, and the answers are those of the server; whoever has none, has a reason."""
    file = tmp_path / "cells.json"
    options = ["--quick", "--only", group, "--json", str(file)]
    done = programs.run("-c", COMPARED, *options, cwd=ROOT, PYTEST_ADDOPTS="-k 'not langchain'")
    assert done.returncode == 0, done.stderr
    cells = json.loads(file.read_text("utf-8"))
    assert {cell["scene"] for cell in cells} == GROUPS[group]
    ours = {cell["scene"]: cell for cell in cells if cell["contender"] == "ours"}
    assert all(cell["value"] > 0 for cell in ours.values()), ours
    assert all((cell["value"] is None) == bool(cell["reason"]) for cell in cells)
    has_reason = any(cell["reason"] for cell in cells if cell["contender"] == "create_level")
    assert has_reason == (group in LACKS)
