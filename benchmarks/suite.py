"""Measure a whole suite: `python benchmarks/suite.py [--quick] [--json FILE]`.

The 300 tests of `suite_calls.py` make a call each: plain, streamed, with tools, parsed, embeddings, LangChain's. Each
contender's own pytest plugin records them from one real server, into its own files. Then the server goes, and pytest
runs them from the recordings, a process each time, in turns. The sum of the call phases and the time of the whole
process are compared. `requirements-compare.txt` says what has to be installed.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import command_line
from loopback import serving

KINDS = 6
_HERE = Path(__file__).parent


class Plugin(NamedTuple):
    """A contender's plugin.

    Attributes:
        name: for people.
        module: that pytest loads.
        marker: of its tests.
        recording: the option that has it record.
    """

    name: str
    module: str
    marker: str
    recording: str


PLUGINS = (
    Plugin("inferencereplay", "inferencereplay.pytest_plugin", "inferencereplay", "--inferencereplay-mode=record"),
    Plugin("pytest-recording (VCR.py)", "pytest_recording.plugin", "vcr", "--record-mode=all"),
    Plugin("cassetter", "cassetter.pytest_plugin", "vcr", "--record-mode=all"),
)


class Taken(NamedTuple):
    """Seconds of the call phases together, and of the whole process; and the tests that passed."""

    calls: float
    process: float
    passed: int


def run(plugin: Plugin, folder: Path, url: str, each: int, *options: str) -> Taken:
    """Run the tests with one plugin in a process.

    Raises:
        RuntimeError: if a test does not pass; with what pytest says.
    """
    if not folder.exists():
        folder.mkdir()
        shutil.copyfile(_HERE / "suite_calls.py", folder / "test_calls.py")
        shutil.copyfile(_HERE / "suite_conftest.py", folder / "conftest.py")
        (folder / "pytest.ini").write_text(f"[pytest]\nmarkers =\n    {plugin.marker}\n", "utf-8")
    out = folder / "out.json"
    told = {"EACH": str(each), "URL": url, "MARKER": plugin.marker, "OUT": str(out)}
    environment = {
        **os.environ,
        **{f"SUITE_{name}": value for name, value in told.items()},
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        "PYTHONPATH": os.pathsep.join(filter(None, (str(_HERE), os.environ.get("PYTHONPATH")))),
    }
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", plugin.module, *options]
    start = time.perf_counter()
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - start
    if done.returncode:
        message = f"{plugin.name}: {done.stdout[-2_000:]}{done.stderr[-2_000:]}"
        raise RuntimeError(message)
    found = json.loads(out.read_text("utf-8"))
    return Taken(found["calls"], seconds, found["passed"])


def measure(root: Path, each: int, rounds: int) -> dict[str, Taken]:
    """Record with the server, replay without it; return medians."""
    with serving() as url:
        for number, plugin in enumerate(PLUGINS):
            run(plugin, root / str(number), url, each, plugin.recording)
    samples: dict[str, list[Taken]] = {plugin.name: [] for plugin in PLUGINS}
    for _ in range(rounds):
        for number, plugin in enumerate(PLUGINS):
            samples[plugin.name].append(run(plugin, root / str(number), url, each))
    return {
        name: Taken(*(statistics.median(values) for values in zip(*taken, strict=True)))
        for name, taken in samples.items()
    }


def table(medians: dict[str, Taken]) -> str:
    """Return a Markdown table, with ratios to the first."""
    ours = medians[PLUGINS[0].name]
    lines = [f"| {ours.passed:.0f} tests | " + " | ".join(medians) + " |", "|---|" + "---|" * len(medians)]
    for what, position in (("the calls of the tests", 0), ("the whole process", 1)):
        texts = (f"{taken[position]:.2f} s ({taken[position] / ours[position]:.1f} x)" for taken in medians.values())
        lines.append(f"| {what} | " + " | ".join(texts) + " |")
    return "\n".join(lines)


def main() -> None:
    """Measure and print."""
    parser = command_line.parser(__doc__)
    parser.add_argument("--quick", action="store_true", help="60 tests, fewer rounds")
    options = parser.parse_args()
    if lacking := command_line.missing():
        parser.error(lacking)
    with tempfile.TemporaryDirectory() as root:
        medians = measure(Path(root), 10 if options.quick else 50, 2 if options.quick else 7)
    if options.json:
        options.json.write_text(json.dumps({name: taken._asdict() for name, taken in medians.items()}, indent=1) + "\n")
    print(table(medians))


if __name__ == "__main__":
    main()
