"""Which request of one run is which of another."""

from __future__ import annotations

import random
import uuid

from asking import asked, chat, run
from hypothesis import given
from hypothesis import strategies as st

from inferencereplay.calibration import pairing
from inferencereplay.calibration.pairing import pair


def texts(pairs):
    return [tuple(item.body["messages"][0]["content"] for item in two) for two in pairs]


def test_equal_requests_are_pairs_however_many():
    """The n-th of one run goes with the n-th of the other; what is left over was asked once more."""
    found = pair(run(chat("a"), chat("b"), chat("a")), run(chat("b"), chat("a")))
    assert texts(found.equal) == [("a", "a"), ("b", "b")]
    assert texts([found.alone[0]]) == [("a",)]
    assert (found.differing, found.alone[1]) == ([], [])


def test_what_normalizers_make_equal_is_a_pair_in_any_order():
    """Two runs that work concurrently do not ask in one order."""
    one = run(*(chat(f"Summarize chapter {name} of {uuid.uuid4()}") for name in "ABCDE"))
    other = run(*(chat(f"Summarize chapter {name} of {uuid.uuid4()}") for name in "EDCBA"))
    assert {(left[18], right[18]) for left, right in texts(pair(one, other).differing)} == {(c, c) for c in "ABCDE"}


def test_likeness_decides_where_no_normalizer_does():
    """Ids that have no name do not keep alike requests apart, and do not bring others together."""
    words = ["the sea", "a mountain", "old cities", "the moon", "a river"]

    def asks(order):
        return run(*(chat(f"Tell me of {word}, request {random.randrange(10**9)}") for word in order))

    found = pair(asks(words), asks(reversed(words)))
    assert len(found.differing) == len(words)
    assert all(left.split(",")[0] == right.split(",")[0] for left, right in texts(found.differing))


def test_the_order_decides_where_likeness_does_not():
    """Numbered jobs go in order."""
    found = pair(run(*(chat(f"job {n}") for n in (1, 2, 3))), run(*(chat(f"job {n}") for n in (7, 8, 9))))
    assert texts(found.differing) == [("job 1", "job 7"), ("job 2", "job 8"), ("job 3", "job 9")]


def test_unlike_requests_are_no_pair():
    """A request of one run only stays alone; so does one of another path."""
    one = [asked({"input": "a", "model": "m"}, path="/embeddings"), asked(chat("Hello"), 1)]
    other = [asked({"a": 1, "b": 2, "c": 3, "messages": []}, 1)]
    found = pair(one, other)
    assert (found.equal, found.differing) == ([], [])
    assert list(map(len, found.alone)) == [2, 1]


def test_ids_in_a_path_do_not_count():
    """For they come from earlier answers."""
    one, other = (asked({"a": 1}, path=f"/threads/thread_{number}/runs") for number in ("a1f0", "b2c9"))
    assert pair([one], [other]).differing == [(one, other)]


def test_extra_requests_at_the_beginning_do_not_spoil_the_rest():
    """However many only one run made."""
    extra = [chat(f"only here: {'abcdefghijklmnopqrst'[n]}") for n in range(20)]
    found = pair(run(chat("Hello anna")), run(*extra, chat("Hello bert")))
    assert texts(found.differing) == [("Hello anna", "Hello bert")]
    assert len(found.alone[1]) == 20


@given(st.lists(st.sampled_from("abc")), st.lists(st.sampled_from("abc")), st.randoms())
def test_nothing_is_lost(one, other, chance):
    """Each request is in one pair or alone."""
    runs = [run(*(chat(f"{text} {chance.random()}") for text in texts)) for texts in (one, other)]
    found = pair(*runs)
    for side in (0, 1):
        seen = [two[side] for two in (*found.equal, *found.differing)] + found.alone[side]
        assert sorted(map(id, seen)) == sorted(map(id, runs[side]))


def test_many_requests_are_compared_with_few(monkeypatch):
    """The time grows with their number, not with its square."""
    compared = []
    distance = pairing._distance
    monkeypatch.setattr(pairing, "_distance", lambda *two: compared.append(two) or distance(*two))
    monkeypatch.setattr(pairing, "MOST_COMPARED", 0)
    words = ["".join(random.choices("abcdefgh", k=8)) for _ in range(100)]
    found = pair(run(*(chat(f"x {word}") for word in words)), run(*(chat(f"y {word}") for word in words)))
    assert len(found.differing) == 100
    assert len(compared) <= 100 * pairing.WINDOW


def test_bodies_without_a_value_can_be_compared():
    """An empty object is an object."""
    assert pairing._distance({}, {}) == 0
    assert pairing._distance(None, {"a": [True, None, "x"]}) == 1 / 3
    assert pairing._bare([3, "a1", None, True, {"b": 2.5}]) == [0, "0", None, True, {"b": 0}]
