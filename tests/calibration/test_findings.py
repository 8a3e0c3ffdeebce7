"""Two runs compared."""

from __future__ import annotations

import datetime
import uuid

import pytest
from asking import START, asked, chat, run

from inferencereplay.calibration import findings
from inferencereplay.calibration.findings import compare
from inferencereplay.calibration.proposal import Proposal

NOTHING = Proposal()


@pytest.fixture
def compared(tmp_path):
    """Compare two runs, and note what progress was told of."""

    def compared(first, second, given=NOTHING, known=()):
        def progress(items, total, what):
            compared.told.append((total, what))
            return items

        return compare(first, second, given=given, directory=str(tmp_path), progress=progress, known=known)

    compared.told = []
    return compared


def jobs(*, user):
    return run(chat("same"), *(chat(f"job {letter}: {uuid.uuid4()}", user=user) for letter in "abc"))


def test_two_runs(compared):
    """Each variation once, with its number; the settings make all pairs equal, and collide with nothing."""
    found = compared(jobs(user="anna"), jobs(user="bert"))
    assert (len(found.pairs.equal), len(found.pairs.differing)) == (1, 3)
    assert [(place.variation.value, place.pairs) for place in found.places] == [("uuids", 3), ("user", 3)]
    assert found.proposal == found.added == Proposal(("user",), ("uuids",))
    assert (found.unsolved, found.collisions, found.is_calibrated) == ([], [], True)
    assert compared.told[0] == (4, "pairing")
    assert compared.told[-3:] == [(3, "comparing"), (3, "checking"), (4, "looking for collisions")]


def test_equal_runs_need_nothing(compared):
    """And nothing is proposed."""
    found = compared(run(chat("a")), run(chat("a")))
    assert (found.proposal, found.places, found.is_calibrated) == (Proposal(), [], True)


def test_the_settings_that_the_runs_had_stay(compared):
    """What is found is added to them, once."""
    given = Proposal(("metadata.x", "user"), ("timestamps",))
    found = compared(jobs(user="anna"), jobs(user="bert"), given)
    assert found.proposal == Proposal(("metadata.x", "user"), ("timestamps", "uuids"))
    assert found.added == Proposal(("user",), ("uuids",))


def test_what_stays_different_is_told(compared):
    """A text that says something else; a request that only one run made."""
    found = compared(run(chat("The sea is blue"), chat("a")), run(chat("The sea is green")))
    assert len(found.unsolved) == 1
    assert list(map(len, found.pairs.alone)) == [1, 0]
    assert not found.is_calibrated
    assert compared(run(chat("a"), chat("a")), run(chat("a"))).is_calibrated is False


def test_a_proposal_that_is_not_enough_is_no_solution(compared, monkeypatch):
    """It is checked by keys, whatever was thought of each place."""
    monkeypatch.setattr(findings, "propose", lambda _: Proposal())
    assert len(compared(jobs(user="anna"), jobs(user="anna")).unsolved) == 3


def test_collisions_with_the_same_run_and_with_known_recordings(compared):
    """Both are told; those of the other run are the same ones."""
    first, second = (run(chat(f"a {uuid.uuid4()}"), chat(f"a {uuid.uuid4()}")) for _ in range(2))
    (group,) = compared(first, second).collisions
    assert len(group) == 2
    known = asked(chat(f"a {uuid.uuid4()}"), name="known")
    (group,) = compared(first[:1], second[:1], known=[known]).collisions
    assert group[0].name == "known"


@pytest.mark.parametrize("text", ["{day}", "{day:%B} {day.day}, {day.year}", "{day.day} {day:%b} {day.year}"])
def test_the_days_date_differs_tomorrow(compared, text):
    """Both runs are of one day, so that only the date itself tells."""
    body = chat("Today is " + text.format(day=START.date()))
    found = compared(run(body), run(body))
    (place,) = found.places
    assert (place.variation.kind, place.pairs) == ("today's date", 2)
    assert found.proposal == Proposal((), ("timestamps",))
    assert found.is_calibrated


def test_other_dates_stay(compared):
    """They are what is said; and where times vary anyhow, nothing more is to be told."""
    body = chat("On 2001-01-01")
    assert compared(run(body), run(body)).places == []
    days = [START.date() + datetime.timedelta(days=days) for days in (0, 5)]
    found = compared(*(run(chat(f"{START.date()} and {day}")) for day in days))
    assert [place.variation.kind for place in found.places] == ["time"]
    assert compared([], []).places == []
