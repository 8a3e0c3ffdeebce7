"""How the benchmarks measure, and what they report."""

from __future__ import annotations

import contextlib
import gc
import random
import statistics
import time
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

BLOCK = 300.0
"""Microseconds that calls which are shorter are repeated for, to be above the clock's own cost."""


class Row(NamedTuple):
    """One line of the table.

    Attributes:
        name: for programs.
        what: for people, as the next two.
        measured: figures of this run.
        target: what DESIGN.md asks for.
        is_ok: whether it is reached.
        ratio: the figure that says most when two machines or two versions are compared: the lower, the better.
        limit: what the ratio should not exceed.
        slack: how many times its limit a ratio may be on a busy machine; a real regression is farther off.
    """

    name: str
    what: str
    measured: str
    target: str
    is_ok: bool
    ratio: float
    limit: float
    slack: float = 2.0

    @property
    def is_regression(self) -> bool:
        """Whether the ratio is beyond what a busy machine accounts for."""
        return self.ratio > self.limit * self.slack


def measure(
    contenders: Mapping[str, Callable[[], Any]],
    rounds: int,
    *,
    blocks: int = 1,
    warm: int = 20,
    around: Mapping[str, Callable[[], Any]] | None = None,
) -> dict[str, float]:
    """Return the median microseconds of a call of each contender, all of them taking turns in every round.

    What is returned is the median of the first one, and for each other that times the median of its ratio to the first
    within a round: a machine whose speed changes now and then changes both sides of a ratio alike.

    Args:
        contenders: what is compared.
        rounds: each begins with a garbage collection, has none in between, and has its own order.
        blocks: measurements of a contender in a round.
        warm: calls at the beginning of such a turn that are not measured: changing a class undoes what the interpreter
            has learnt.
        around: a context manager to make for a contender's turn, which is not measured.
    """
    samples: dict[str, list[float]] = {name: [] for name in contenders}
    turns = {name: (around or {}).get(name, contextlib.nullcontext) for name in contenders}
    order, shuffler = list(contenders), random.Random(1)
    repeats = {name: _repeats(contenders[name], turns[name]) for name in order}
    for _ in range(rounds):
        shuffler.shuffle(order)
        gc.collect()
        gc.disable()
        for name in order:
            with turns[name]():
                _block(contenders[name], warm if around else 1)
                samples[name] += (_block(contenders[name], repeats[name]) for _ in range(blocks))
        gc.enable()
    first = samples[next(iter(contenders))]
    unit = statistics.median(first)
    return {
        name: unit * statistics.median(own / other for own, other in zip(values, first, strict=True))
        for name, values in samples.items()
    }


def _repeats(call: Callable[[], Any], turn: Callable[[], Any]) -> int:
    with turn():
        call()
        samples = [_block(call, 1)]
        while samples[-1] < BLOCK and len(samples) < 3:
            samples.append(_block(call, 1))
        return max(1, int(BLOCK / min(samples)))


def _block(call: Callable[[], Any], repeats: int) -> float:
    start = time.perf_counter()
    for _ in range(repeats):
        call()
    return (time.perf_counter() - start) / repeats * 1e6


def speedup_row(name: str, what: str, medians: Mapping[str, float], limit: float, slack: float = 2) -> Row:
    """Make the row of a figure that has to be at most 1/`limit` of the SDK's."""
    ours, theirs = medians["replay"], medians["sdk"]
    measured = f"1/{theirs / ours:.1f} ({ours:,.0f} µs : {theirs:,.0f} µs)"
    return Row(name, what, measured, f"≤ 1/{limit:g}", ours * limit <= theirs, ours / theirs, 1 / limit, slack)


def ratio_row(name: str, what: str, ours: float, theirs: float, limit: float, *, slack: float = 2.0) -> Row:
    """Make the row of a figure, in microseconds, that has to be at most `limit` of another."""
    measured = f"{ours / theirs:.2f} x ({ours:,.1f} µs : {theirs:,.1f} µs)"
    return Row(name, what, measured, f"≤ {limit:g} x", ours <= limit * theirs, ours / theirs, limit, slack)


def table(rows: list[Row]) -> str:
    """Return a Markdown table."""
    lines = ["| what | measured | target | |", "|---|---|---|---|"]
    lines += [f"| {row.what} | {row.measured} | {row.target} | {'ok' if row.is_ok else 'NOT'} |" for row in rows]
    return "\n".join(lines)
