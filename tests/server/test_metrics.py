"""Counts that worker processes share."""

from __future__ import annotations

from inferencereplay.server.metrics import Metrics


def test_all_workers_are_counted_together():
    """Each writes its own counts, and any tells the sum."""
    metrics = Metrics(3)
    for worker in range(3):
        metrics.use(worker)
        metrics.add("hits", worker + 1)
        metrics.note_late(0.002)
    assert metrics.total("hits") == 6
    assert "\ninferencereplay_lateness_seconds_count 3\n" in metrics.text().decode()
    assert "\ninferencereplay_lateness_seconds_sum 0.006000\n" in metrics.text().decode()


def test_the_histogram_is_cumulative():
    """As Prometheus wants it; what is later than all bounds is in the last bucket."""
    metrics = Metrics()
    for seconds in (0.00005, 0.0001, 0.2, 9):
        metrics.note_late(seconds)
    lines = metrics.text().decode().splitlines()
    counts = {line.split('"')[1]: line.split()[-1] for line in lines if "_bucket" in line}
    assert (counts["0.0001"], counts["0.1"], counts["0.25"], counts["2.5"], counts["+Inf"]) == ("2", "2", "3", "3", "4")


def test_the_summary_says_how_late_nearly_all_were():
    """By the bound of a bucket."""
    metrics = Metrics()
    assert metrics.summary() == "0 requests, 0 hits, 0 misses, 0 recorded"
    metrics.note_late(0.004)
    assert metrics.summary().endswith("99 % of 1 timed events late by at most 5 ms")
    metrics.note_late(60)
    assert metrics.summary().endswith("99 % of 2 timed events late by more than 2500 ms")
