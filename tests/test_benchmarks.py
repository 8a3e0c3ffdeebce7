"""The benchmarks run, and no row is far from where it should be."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import programs
import pytest
from conftest import HAS_RESPONSES

ROOT = Path(__file__).parents[1]
RESPONSES = "responses responses_raw responses_parse " if HAS_RESPONSES else ""
WAYS = f"raw raw_stream streaming parse stream_helper {RESPONSES}models moderations error"
ROWS = {
    "small_chat",
    "small_chat_once",
    "small_chat_floor",
    "large_chat",
    "large_chat_first",
    "stream",
    "embeddings_first",
    "embeddings_again",
    "first_chunk",
    "unbuffered",
    "recording_stream",
    "recording_in_memory",
    "sound",
    "sound_first",
    "recording_sound",
    "recording_sound_bound",
    "pace_of_one",
    "pace_of_many",
    "pace_of_many_at_10",
    "look_up",
    "memory",
    "miss",
    "miss_again",
    "check",
    "list",
    "stats",
    "block",
    "live_wrapped",
    "live_beside",
    "live_block",
    *WAYS.split(),
    "import",
}
SLOWED = """
import runpy, sys, time
{planted}
sys.argv = ["targets.py", "--quick", "--check", "--only", "{group}"]
sys.path.insert(0, "benchmarks")
runpy.run_path("benchmarks/targets.py", run_name="__main__")
"""
"""The guard, with a regression planted."""
CHOOSE = """
from inferencereplay.sdk import fast_replay
choose = fast_replay.choose
fast_replay.choose = lambda *given: time.sleep(0.001) or choose(*given)
"""
SLEEP = """
from inferencereplay.pacing.clocks import SystemClock
SystemClock.sleep = lambda self, seconds: time.sleep(seconds + 0.005)
"""
UNCOVERED = """
from inferencereplay.sdk import fast_replay
fast_replay.may_replay = lambda *given: False
"""
"""The fast path answers nothing."""
CAPTURE = """
from inferencereplay.sdk.capture import ResponseCapture
tap = ResponseCapture.tap
def slowed(self):
    add = tap(self)
    return lambda data: time.sleep(0.0002) or add(data)
ResponseCapture.tap = slowed
"""
WRITING = ("compare", "fidelity", "plugin", "recording", "scale", "targets")


def run(*command: str) -> subprocess.CompletedProcess[str]:
    """Run a program that finds the package here."""
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    environment = {**os.environ, "PYTHONPATH": path}
    command = (sys.executable, *command)
    return subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """Run the benchmarks once, quickly."""
    file = tmp_path_factory.mktemp("benchmarks") / "rows.json"
    done = run("benchmarks/targets.py", "--quick", "--check", "--json", str(file))
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith("| what | measured | target |")
    return {row["name"]: row for row in json.loads(file.read_text(encoding="utf-8"))}


@pytest.mark.slow
def test_every_target_is_measured(rows):
    """Every row of the target table that concerns what is built is there."""
    assert rows.keys() == ROWS


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(ROWS))
def test_no_row_is_far_from_its_target(rows, name):
    """A ratio is at most a few times its limit, whatever else the machine has to do."""
    row = rows[name]
    assert row["ratio"] <= row["limit"] * row["slack"], row


@pytest.mark.slow
@pytest.mark.parametrize(
    ("group", "planted", "told"),
    [
        ("small_chat", CHOOSE, "small_chat"),
        ("pace_of_one", SLEEP, "pace_of_one"),
        ("recording_stream", CAPTURE, "recording_stream"),
        ("ways", UNCOVERED, WAYS.replace(" ", ", ")),
    ],
)
def test_a_regression_is_told(group, planted, told):
    """What makes a call, a chunk or a recording several times slower fails the check however often it is measured.

    Each way of calling fails it that goes through the whole of the SDK again.
    """
    done = run("-c", SLOWED.format(group=group, planted=planted))
    assert done.returncode == 1
    assert f"far beyond their limits: {told}" in done.stderr


@pytest.mark.parametrize("program", ["hot_path", *WRITING])
def test_an_option_that_there_is_not_is_an_error(program):
    """Nothing is measured for who has mistyped an option."""
    done = programs.run(ROOT / f"benchmarks/{program}.py", "--nonsense", cwd=ROOT)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.endswith(f"{program}.py: error: unrecognized arguments: --nonsense\n")


@pytest.mark.parametrize(
    ("program", "given", "told"),
    [
        *[(name, ["--json", "nowhere/a.json"], "there is no directory nowhere") for name in WRITING],
        ("targets", ["--json", "tests"], "tests is a directory, not a file"),
        ("targets", ["--only", "nothing"], "invalid choice: 'nothing'"),
        ("compare", ["--only", "nothing"], "invalid choice: 'nothing'"),
        ("compare", ["--plot", "nowhere/a.svg"], "there is no directory nowhere"),
        ("compare", ["--plot", "a.bmp"], "a.bmp ends neither in .svg nor in .png"),
        ("compare", ["--from-json", "nowhere.json"], "there is no file nowhere.json"),
        ("scale", ["--most", "-5"], "invalid choice: -5"),
        ("scale", ["--most", "many"], "invalid int value: 'many'"),
        ("scale", ["--in", "nowhere"], "there is no directory nowhere"),
    ],
)
def test_a_value_that_cannot_be_used_is_told_before_anything_is_measured(program, given, told):
    """A run of a quarter of an hour does not end with a traceback because its figures cannot be written."""
    done = programs.run(ROOT / f"benchmarks/{program}.py", *given, cwd=ROOT)
    assert (done.returncode, done.stdout) == (2, "")
    assert f"error: argument {given[0]}: {told}" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_the_server_is_measured(tmp_path):
    """Each row has a figure, and no event of a stream comes before it is due."""
    out = tmp_path / "out.json"
    command = [sys.executable, "benchmarks/serving.py", "--quick", "--alone", "--json", str(out)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=300)
    rows = {name: mine for name, mine, *_ in json.loads(out.read_text())}
    assert min(rows[name] for name in rows if "least" in name) > -0.1
    assert rows["plain answers a second"] > 0
    assert "What the server itself reports (lateness when it writes): ≤ 0.1 ms" in done.stdout


@pytest.mark.slow
def test_the_parts_of_a_call_are_measured():
    """Each part of a replayed call is called as the package calls it."""
    done = run("benchmarks/hot_path.py")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count(" µs  ") == 15


@pytest.mark.slow
def test_the_plugin_is_measured(tmp_path):
    """A suite is run without a marker, with it, and with all its tests replayed."""
    file = tmp_path / "rows.json"
    done = run("benchmarks/plugin.py", "--quick", "--json", str(file))
    assert done.returncode == 0, done.stderr
    assert [name for name, *_ in json.loads(file.read_text("utf-8"))] == ["the marker", "inferencereplay_all"]
    assert done.stdout.count(" ms a test ") == 2
