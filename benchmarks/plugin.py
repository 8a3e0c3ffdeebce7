"""Measure what pytest's plugin costs a test without calls: `python benchmarks/plugin.py [--quick] [--json FILE]`.

One suite is run with no marker, with the marker, and with `inferencereplay_all`, in turns. What a test costs more than
one without a marker is the plugin's. Processor time is measured, of whole processes.
"""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import command_line

TESTS = 2_000
SUITE = """
import openai, pytest

@pytest.mark.inferencereplay
def test_one():  # so that each suite makes a session, and imports what that needs
    pass

{mark}
@pytest.mark.parametrize("number", range({tests}))
def test_it(number):
    pass
"""
MARK = "@pytest.mark.inferencereplay"
KINDS = {"no marker": ("", "false"), "the marker": (MARK, "false"), "inferencereplay_all": ("", "true")}
"""The marker of a suite, and its `inferencereplay_all`."""
PYTEST = (sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "inferencereplay.pytest_plugin")


def write(folder: Path, mark: str, value: str, tests: int) -> None:
    """Write a suite."""
    folder.mkdir()
    (folder / "test_it.py").write_text(SUITE.format(mark=mark, tests=tests), encoding="utf-8")
    (folder / "pytest.ini").write_text(f"[pytest]\ninferencereplay_all = {value}\n", encoding="utf-8")


def seconds(folder: Path) -> float:
    """Run a suite, and return its processor time."""
    environment = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(PYTEST, cwd=folder, env=environment, check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    """Print milliseconds a test."""
    parser = command_line.parser(__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer tests and rounds")
    given = parser.parse_args()
    tests, rounds = (TESTS // 5, 2) if given.quick else (TESTS, 5)
    taken: dict[str, list[float]] = {name: [] for name in KINDS}
    with tempfile.TemporaryDirectory() as place:
        for number, kind in enumerate(KINDS.values()):
            write(Path(place, str(number)), *kind, tests)
        for _ in range(rounds):
            for number, times in enumerate(taken.values()):
                times.append(seconds(Path(place, str(number))))
    plain = taken.pop("no marker")
    rows = [(name, *_added(plain, times, tests)) for name, times in taken.items()]
    for name, median, least in rows:
        print(f"{name:20} {median:.2f} ms a test (the least: {least:.2f})")
    if given.json:
        given.json.write_text(json.dumps(rows), encoding="utf-8")


def _added(plain: list[float], times: list[float], tests: int) -> tuple[float, float]:
    """Return the milliseconds that a test takes longer, by the medians and by the shortest runs."""
    found = [(measure(times) - measure(plain)) * 1000 / tests for measure in (statistics.median, min)]
    return found[0], found[1]


if __name__ == "__main__":
    main()
