"""Work on many recordings is spread over processes, and its results are those of one process."""

from __future__ import annotations

import functools
import os

import pytest

from inferencereplay.catalogue import processes as spreading
from inferencereplay.catalogue.entries import Catalogue
from inferencereplay.catalogue.filtering import Filter
from inferencereplay.catalogue.processes import AT_ONCE, FEWEST, portions, processes
from inferencereplay.catalogue.totals import Price, Prices, add_up
from inferencereplay.redaction.redactor import Redactor
from inferencereplay.upkeep.checking import check


def processes_of(items):
    return [os.getpid()] * len(items)


def test_portions_hold_all_names_in_order():
    """Their boundaries do not depend on the machine."""
    names = [str(number) for number in range(2 * AT_ONCE + 1)]
    assert [len(part) for part in portions(names)] == [AT_ONCE, AT_ONCE, 1]
    assert [name for part in portions(names) for name in part] == names
    assert portions([]) == []


@pytest.mark.parametrize(("count", "processors"), [(FEWEST - 1, 4), (FEWEST, 1)])
def test_few_files_and_one_processor_are_left_to_this_process(monkeypatch, count, processors):
    """To start processes would take longer."""
    monkeypatch.setattr(spreading, "_processors", lambda: processors)
    with processes(count) as spread:
        assert list(spread(processes_of, ["ab"])) == [[os.getpid()] * 2]


def test_many_files_are_spread_and_come_back_in_order(monkeypatch):
    """Other processes do the work."""
    monkeypatch.setattr(spreading, "_processors", lambda: 2)
    with processes(FEWEST) as spread:
        assert os.getpid() not in next(iter(spread(processes_of, ["a"])))
        assert list(spread(str.upper, "abcdef" * 20)) == list("ABCDEF" * 20)


@pytest.mark.parametrize("error", [ImportError, OSError, NotImplementedError])
def test_where_no_process_can_start_this_one_works(monkeypatch, error):
    """Some systems have no semaphores, and some have no room for another process."""

    def fail(*_):
        raise error

    monkeypatch.setattr(spreading, "_processors", lambda: 2)
    monkeypatch.setattr(spreading, "ProcessPoolExecutor", fail)
    with processes(FEWEST) as spread:
        assert list(spread(processes_of, ["a"])) == [[os.getpid()]]


def test_the_processors_of_this_process_count(monkeypatch):
    """Those that it may use, where the system tells, or all."""
    assert 1 <= spreading._processors() <= os.cpu_count()
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    assert spreading._processors() == os.cpu_count()
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert spreading._processors() == 1


def test_totals_and_checks_are_the_same_in_many_processes(shelf, monkeypatch):
    """To the last digit of the cost."""
    monkeypatch.setattr(spreading, "AT_ONCE", 1)
    monkeypatch.setattr(spreading, "FEWEST", 1)
    monkeypatch.setattr(spreading, "_processors", lambda: 3)
    catalogue, prices = Catalogue(shelf), Prices({"*": Price(0.1, 0.3)})
    count = functools.partial(add_up, catalogue, Filter().accepts, prices)
    alone = count(), list(check(catalogue, Redactor(["Paris"])))
    with processes(9) as spread:
        assert (count(spread), list(check(catalogue, Redactor(["Paris"]), spread))) == alone
    assert alone[0].all.recordings > 1
    assert any(problems for _, problems in alone[1])
