"""Rows of the comparison on a whole suite under pytest.

The 300 tests of `suite_calls.py` make a call each: plain, streamed, with tools, parsed, embeddings, LangChain's. Each
contender's own pytest plugin records them from one real server, into its own files. Then the server goes, and pytest
runs them from the recordings, a process each time, in turns. The sum of the call phases and the time of the whole
process are compared with those of the same tests whose client has an in-memory transport, without a plugin.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from contenders import CONTENDERS
from loopback import serving
from reporting import REFERENCE, Cell

if TYPE_CHECKING:
    from comparison import Comparison

TITLES = {"suite_calls": "a suite under pytest: its calls", "suite_process": "the same: the whole process"}
_HERE = Path(__file__).parent


class Plugin(NamedTuple):
    """A contender's plugin.

    Attributes:
        module: that pytest loads, if any.
        marker: of its tests.
        recording: the option that has it record.
    """

    module: str
    marker: str
    recording: str


PLUGINS = {
    REFERENCE: Plugin("", "plain", ""),
    "ours": Plugin("inferencereplay.pytest_plugin", "inferencereplay", "--inferencereplay-mode=record"),
    "vcr": Plugin("pytest_recording.plugin", "vcr", "--record-mode=all"),
    "cassetter": Plugin("cassetter.pytest_plugin", "vcr", "--record-mode=all"),
    "llm_cassette": Plugin("llm_cassette.pytest_plugin", "cassette", "--replay-mode=record"),
}


class FailedError(Exception):
    """A suite did not pass; the message is pytest's last line."""


def run(plugin: Plugin, folder: Path, url: str, each: int, *options: str) -> tuple[float, float]:
    """Run the tests with one plugin in a process; return microseconds: of the call phases together, and of all of it.

    Raises:
        FailedError: if a test does not pass.
    """
    if not folder.exists():
        folder.mkdir(parents=True)
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
    loaded = ["-p", plugin.module] if plugin.module else []
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *loaded, *filter(None, options)]
    start = time.perf_counter()
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - start
    if done.returncode:
        raise FailedError((done.stdout + done.stderr).strip().rpartition("\n")[2])
    return json.loads(out.read_text("utf-8")) * 1e6, seconds * 1e6


def compare(comparison: Comparison) -> list[Cell]:
    """Record with the server, replay without it, in turns."""
    each, rounds = (10, 2) if comparison.is_quick else (50, 5)
    failed = {name: "it has no pytest plugin that records" for name in CONTENDERS if name not in PLUGINS}
    samples: dict[str, list[tuple[float, float]]] = {name: [] for name in PLUGINS}
    with serving() as url:
        urls = {name: "" if name == REFERENCE else url for name in PLUGINS}
        for name, plugin in PLUGINS.items():
            _run(comparison, name, urls[name], each, failed, plugin.recording)
    for _ in range(rounds):
        for name, taken in samples.items():
            taken.extend(_run(comparison, name, urls[name], each, failed))
    return [
        Cell(row, name, None, failed[name])
        if name in failed
        else Cell(row, name, statistics.median(taken[position] for taken in samples[name]), "")
        for position, row in enumerate(TITLES)
        for name in CONTENDERS
    ]


def _run(
    comparison: Comparison, name: str, url: str, each: int, failed: dict[str, str], *options: str
) -> list[tuple[float, float]]:
    """Run a suite unless it has failed before, and note if it does now."""
    if name not in failed:
        try:
            return [run(PLUGINS[name], comparison.root / "suite" / name, url, each, *options)]
        except FailedError as error:
            failed[name] = f"{'recording' if options else 'replaying'} the suite: {error}"
    return []
