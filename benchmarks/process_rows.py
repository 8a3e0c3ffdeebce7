"""Rows of the comparison that take a process each time: requests made once, opening, misses, memory."""

from __future__ import annotations

import functools
import json
import shutil
import statistics
import subprocess
import sys
from collections import defaultdict
from typing import TYPE_CHECKING, Any

import child_process
from child_process import MEMORY, ONCE, SESSION
from contenders import CONTENDERS, NoRecordingsError
from reporting import REFERENCE, Cell
from scenes import SMALL, asking, numbered

if TYPE_CHECKING:
    from comparison import Comparison

COUNTS = (10, 1_000, 10_000, 100_000)
AMONG = 1_000
"""Recordings among which there is a miss."""
ONCE_TITLES = {name: f"{once.what}, each once" for name, once in ONCE.items()}
OPEN_TITLES = {f"open_{count}": f"open {count:,} recordings, first hit" for count in COUNTS}
MISS_TITLES = {"miss_first": f"the first miss among {AMONG:,} recordings", "miss_following": "the misses that follow"}
MEMORY_TITLES = {"memory_few": "10 MB stream, 1,000 chunks: memory", "memory_many": "the same, 40,000 chunks"}


def record_one(run: Comparison) -> None:
    """Record what every process begins with."""
    run.record("one", functools.partial(asking, arguments=numbered(SMALL, 0)))


def record_once(run: Comparison) -> None:
    record_one(run)
    for scene, once in ONCE.items():
        run.record(scene, functools.partial(asking, arguments=numbered(once.arguments, 0)))


def record_memory(run: Comparison) -> None:
    record_one(run)
    for scene, arguments in _streams(run).items():
        run.record(scene, functools.partial(asking, arguments=arguments))


def once(run: Comparison) -> list[Cell]:
    """Measure calls that are each made once, in short sessions, as most tests make them.

    Each session has a directory of its own, for some contenders load all that is in one.
    """
    cells = []
    for scene, (_, _, count) in ONCE.items():
        failed = run.failed("one") | run.failed(scene)
        for start in range(0, count, SESSION):
            numbers = range(start, start + SESSION)
            failed |= _copies(run, scene, f"{scene}/{start}", numbers, {*CONTENDERS} - {*failed, REFERENCE})
        cells += _sampled(run, "once", scene, failed)
    return cells


def opening(run: Comparison) -> list[Cell]:
    """Measure opening what holds many recordings and the first hit in it, in the middle."""
    counts = (*COUNTS[:2], COUNTS[2 if run.is_quick else 3])
    return [cell for count in counts for cell in _sampled(run, "open", f"open_{count}", _many(run, count))]


def misses(run: Comparison) -> list[Cell]:
    """Measure how long it takes to say that a request is not among many."""
    failed = _many(run, AMONG) | {REFERENCE: "it answers everything"}
    return _sampled(run, "miss", f"open_{AMONG}", failed, rows=(*MISS_TITLES,))


def memory(run: Comparison) -> list[Cell]:
    """Measure the most memory that reading a stream of 10 MB takes on top of what there was before."""
    failed = {scene: run.failed("one") | run.failed(scene) for scene in _streams(run)}
    return [cell for scene in failed for cell in _sampled(run, "memory", scene, failed[scene], rounds=1)]


def _streams(run: Comparison) -> dict[str, dict[str, Any]]:
    """Return both streams, or that of a quick run, with fewer chunks."""
    return {"memory_few": MEMORY["memory_few"]} if run.is_quick else MEMORY


@functools.cache
def _many(run: Comparison, count: int) -> dict[str, str]:
    failed = run.failed("one")
    return failed | _copies(run, "one", f"open_{count}", range(count), {*CONTENDERS} - {*failed})


def _copies(run: Comparison, recorded: str, made: str, numbers: range, names: set[str]) -> dict[str, str]:
    """Make recordings of many numbers of one of each contender; return who cannot have them, and why."""

    def reason(name: str) -> str:
        directory = run.directory(made, name)
        shutil.copytree(run.directory(recorded, name), directory, dirs_exist_ok=True)
        try:
            run.contenders[name].multiply(directory, numbers)
        except NoRecordingsError as error:
            return str(error)
        return ""

    return {name: told for name in names if (told := reason(name))}


def _sampled(
    run: Comparison, what: str, scene: str, failed: dict[str, str], *, rows: tuple[str, ...] = (), rounds: int = 5
) -> list[Cell]:
    """Let those that have not failed take turns, a process each time; return medians of the scene, or of its rows."""
    failed = dict(failed)
    samples: dict[tuple[str, str], list[float]] = defaultdict(list)
    notes: dict[str, str] = {}
    for _ in range(1 if run.is_quick else rounds):
        for name in CONTENDERS:
            if name not in failed:
                told = _child(run, what, name, scene)
                notes[name] = told.get("note", "")
                failed |= {name: told["reason"]} if "reason" in told else {}
                for row, value in told.get("values", {}).items():
                    samples[row, name].append(value)
    print(f"{scene}: {dict(samples)}", file=sys.stderr)
    return [
        Cell(row, name, None, failed[name])
        if name in failed
        else Cell(row, name, statistics.median(samples[row, name]), "", notes[name])
        for row in rows or (scene,)
        for name in CONTENDERS
    ]


def _child(run: Comparison, what: str, name: str, scene: str) -> dict[str, Any]:
    limit = 60 if run.is_quick else 600
    directory, warm = (str(run.directory(each, name)) for each in (scene, "one"))
    command = [sys.executable, child_process.__file__, what, name, directory, scene, run.url, warm]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=limit)
    except subprocess.TimeoutExpired:
        return {"reason": f"not done after {limit} s"}
    if done.returncode:
        return {"reason": done.stderr.strip().rpartition("\n")[2][:160]}
    told: dict[str, Any] = json.loads(done.stdout)
    return told
