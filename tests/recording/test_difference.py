"""What differs between two requests, in lines for people."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferencereplay.recording.difference import ABSENT, MOST_LINES, Difference, differences, nearest
from inferencereplay.recording.request import canonical_json

leaves = st.none() | st.booleans() | st.integers(-3, 3) | st.floats(-3, 3) | st.text("ab", max_size=3)
values = st.recursive(leaves, lambda inner: st.lists(inner) | st.dictionaries(st.text("ab.", max_size=2), inner))


def lines(recorded, requested):
    return [str(item) for item in differences(recorded, requested)]


@given(values, values)
def test_there_is_a_difference_where_the_key_differs_and_nowhere_else(recorded, requested):
    """Two bodies are without a difference if and only if they have the same canonical JSON."""
    is_same = canonical_json(recorded) == canonical_json(requested)
    assert (lines(recorded, requested) == []) is is_same


@pytest.mark.parametrize(
    ("recorded", "requested", "line"),
    [
        ({"a": 1}, {"a": 2}, "a: 1 → 2"),
        ({"a": {"b": 1}}, {"a": {"b": 2}}, "a.b: 1 → 2"),
        ({"a": [{"b": 1}, {"b": 1}]}, {"a": [{"b": 1}, {"b": 2}]}, "a[1].b: 1 → 2"),
        ([[1]], [[2]], "[0][0]: 1 → 2"),
        (None, {"a": 1}, 'body: null → {"a": 1}'),
        ({"a.b": 1, "": 1}, {"a.b": 2, "": 1}, '"a.b": 1 → 2'),
        ({"": 1}, {"": 2}, '"": 1 → 2'),
        ({"a\n": {"b-c": 1}}, {"a\n": {"b-c": 2}}, '"a\\n".b-c: 1 → 2'),
    ],
)
def test_a_line_begins_with_the_path(recorded, requested, line):
    """Names are joined by dots, indices stand in brackets, and a name that could mislead is quoted."""
    assert lines(recorded, requested) == [line]


@pytest.mark.parametrize(
    ("recorded", "requested", "line"),
    [
        (1, True, "a: 1 → true"),
        (0, False, "a: 0 → false"),
        (1, "1", 'a: 1 → "1"'),
        (1.5, None, "a: 1.5 → null"),
        ("x", ["x"], 'a: "x" → ["x"]'),
        ([], {}, "a: [] → {}"),
    ],
)
def test_another_type_is_a_difference(recorded, requested, line):
    """What Python holds for equal, 1 and True, is not the same request."""
    assert lines({"a": recorded}, {"a": requested}) == [line]


def test_equal_numbers_are_no_difference():
    """1 and 1.0 have the same key, so they are not named."""
    assert lines({"a": 1, "b": 0.0}, {"a": 1.0, "b": 0}) == []


def test_what_is_absent_is_called_so():
    """A member or an element that one side lacks is told from one that is null."""
    assert lines({"a": None}, {"b": [1]}) == ["a: null → absent", "b: absent → [1]"]
    assert lines([1], [1, 2, "x"]) == ["[1]: absent → 2", '[2]: absent → "x"']
    assert lines([1, 2], []) == ["[0]: 1 → absent", "[1]: 2 → absent"]
    assert repr(ABSENT) == "absent"


def test_long_texts_are_cut_to_where_they_differ():
    """A little of what they share stands before it, and the rest is left out."""
    same = "x" * 100
    (line,) = lines({"a": same + "one" + same}, {"a": same + "two"})
    assert line == f'a: "…{"x" * 16}one{"x" * 45}…" → "…{"x" * 16}two"'


@given(st.text("ab", max_size=200), st.text("ab", max_size=200))
def test_texts_are_shown_where_they_part(first, second):
    """Both sides of the line differ, and neither is longer than it has to be."""
    for line in lines(first, second):
        left, right = line.removeprefix("body: ").split(" → ")
        assert left != right
        assert max(len(left), len(right)) <= 64 + len('"……"')


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("line\nbreak", '"line\\nbreak"'),
        ("x" * 65, '"' + "x" * 64 + '…"'),
        ({"a": "y" * 100}, '{"a": "' + "y" * 57 + "…"),
        ("é\u0001", '"é\\u0001"'),
    ],
)
def test_a_value_takes_one_short_line(value, shown):
    """Long ones are cut, and line breaks are escaped."""
    assert lines({"a": 1}, {"a": value}) == [f"a: 1 → {shown}"]


def test_the_nearest_is_the_one_that_differs_least():
    """Fewer differences are nearer, and of two texts the one that shares more."""
    asked = {"model": "m", "messages": ["Tell me of the sea"], "n": 1}
    candidates = [
        ("far", {"model": "other", "messages": []}),
        ("near", {"model": "m", "messages": ["Tell me of the sky"], "n": 1}),
        ("middle", {"model": "m", "messages": ["What is that"], "n": 1}),
    ]
    expected = ("near", ('messages[0]: "Tell me of the sky" → "Tell me of the sea"',))
    assert nearest(asked, candidates) == expected
    assert nearest(asked, reversed(candidates)) == expected


@given(st.lists(values, min_size=1, max_size=5), values)
def test_nothing_is_nearer_than_the_nearest(bodies, asked):
    """Giving up early on a candidate that is farther never changes the result."""
    weights = [sum(item.weight for item in differences(body, asked)) for body in bodies]
    name, _ = nearest(asked, [(str(index), body) for index, body in enumerate(bodies)])
    assert int(name) == weights.index(min(weights))


def test_the_first_of_equally_near_ones_is_taken():
    """The store gives the newest first."""
    assert nearest({"a": 1}, [("new", {"a": 2}), ("old", {"a": 3})]) == ("new", ("a: 2 → 1",))


def test_a_candidate_that_is_equal_has_no_differences():
    """It is named all the same: its variants may be used up."""
    assert nearest({"a": 1}, [("other", {"a": 2}), ("same", {"a": 1.0})]) == ("same", ())


def test_without_candidates_nothing_is_near():
    """There may be no recording at all."""
    assert nearest({"a": 1}, []) is None


def test_many_differences_are_counted_and_not_listed():
    """A miss stays readable."""
    found = nearest({str(index): 1 for index in range(30)}, [("a", {})])
    assert found is not None
    assert len(found[1]) == MOST_LINES + 1
    assert found[1][-1] == f"… and {30 - MOST_LINES} more"
    exactly = nearest({str(index): 1 for index in range(MOST_LINES)}, [("a", {})])
    assert exactly is not None
    assert len(exactly[1]) == MOST_LINES


@pytest.mark.parametrize(
    ("recorded", "requested", "weight"),
    [(1, 2, 1), ("abcd", "abce", 0.325), ("", "a", 1), ("a", 1, 1), (ABSENT, "a", 1), ("a", "aa", 0.55)],
)
def test_texts_weigh_by_what_they_do_not_share(recorded, requested, weight):
    """Everything else weighs one."""
    assert Difference("a", recorded, requested).weight == pytest.approx(weight)
