"""What the ready-made normalizers take out of a request, and what they leave in it."""

from __future__ import annotations

import copy
import datetime
import email.utils
import pickle
import re
import tempfile
import time
import uuid

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from inferencereplay import normalizers
from inferencereplay.normalizers import (
    BY_NAME,
    compose,
    named,
    sorted_tools,
    split_names,
    temporary_paths,
    that_make_equal,
    timestamps,
    tool_call_ids,
    uuids,
)
from inferencereplay.recording.difference import differences
from inferencereplay.recording.request import canonical_json


def chat(text: str) -> dict[str, object]:
    return {"model": "m", "messages": [{"role": "user", "content": text}]}


def text_of(body: dict[str, object]) -> str:
    return body["messages"][0]["content"]  # type: ignore[index]


FIRST = "00000000-0000-0000-0000-000000000001"
SECOND = "00000000-0000-0000-0000-000000000002"


@given(st.uuids(), st.uuids())
def test_uuids_are_numbered_in_order(one, other):
    """Equal ones get equal numbers, in whatever way they are written."""
    made = text_of(uuids(chat(f"{one} and {other}, then {str(one).upper()}")))
    assert made == f"{FIRST} and {FIRST if one == other else SECOND}, then {FIRST}"


def test_uuids_without_hyphens():
    """A UUID as `uuid4().hex` writes it is found; a hash of the same length is none."""
    assert text_of(uuids(chat(uuid.UUID(int=5, version=4).hex))) == FIRST.replace("-", "")
    hashed = "d41d8cd98f00b204e9800998ecf8427e"
    assert text_of(uuids(chat(hashed))) == hashed
    longer = f"x{uuid.uuid4()}"
    assert text_of(uuids(chat(longer))) == longer


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-28",
        "2026-11-28T17:30:00Z",
        "2026-11-28T17:30:00.123456+02:00",
        "2026-11-28 17:30:00",
        "2026-11-28 17:30",
        "Friday, November 27, 2026",
        "Fri Nov 27 2026",
        "Nov. 3rd, 2026 at 5:04 PM",
        "27 November 2026",
        "3 May 2026, 17:30 UTC",
        "17:30:12",
        "17:30:12 UTC",
        email.utils.formatdate(1_800_000_000),
        email.utils.formatdate(1_800_000_000, usegmt=True),
        time.ctime(1_800_000_000),
        "Sat Nov 28 17:30:00 UTC 2026",
        datetime.datetime(2026, 1, 2, tzinfo=datetime.timezone.utc).isoformat(),
        str(datetime.datetime(2026, 1, 2, 3, 4, 5)),  # noqa: DTZ001 - as programs write it
    ],
)
def test_dates_and_times_are_replaced(text):
    """All of it, and nothing around it."""
    assert text_of(timestamps(chat(f"It is {text}. Go on."))) == "It is 2000-01-01T00:00:00Z. Go on."


@pytest.mark.parametrize(
    "text",
    ["3:20", "1.2.3", "20261128", "May 3", "In 2026 and 2027", "10.0.0.1:8080", "v2026-11-28b", "Marching 3, 2026"],
)
def test_what_only_looks_like_a_time_stays(text):
    """Ratios, versions, years and addresses are what they are."""
    assert text_of(timestamps(chat(text))) == text


def test_unix_times_are_replaced_where_a_name_says_so():
    """Numbers in other members, and other numbers in such members, stay."""
    body = {"metadata": {"created_at": 1_764_345_600, "time": 1_764_345_600_123.5, "id": 1_764_345_600, "at": 3}}
    expected = {"metadata": {"created_at": 0, "time": 0, "id": 1_764_345_600, "at": 3, "is_at": True}}
    body["metadata"]["is_at"] = True
    assert timestamps(body) == expected


def test_ids_of_tool_calls_are_numbered_with_their_results():
    """In chats and in items of the Responses API; other ids stay."""

    def body(one: str, other: str) -> dict[str, object]:
        function = {"name": "f", "arguments": '{"id": "x"}'}
        return {
            "messages": [
                {"role": "assistant", "tool_calls": [{"id": one, "type": "function", "function": function}]},
                {"role": "tool", "tool_call_id": one, "content": "1"},
            ],
            "input": [
                {"type": "function_call", "id": f"fc_{other}", "call_id": other, "name": "f", "arguments": "{}"},
                {"type": "function_call_output", "call_id": other, "output": "1"},
                {"type": "message", "id": "msg_1"},
            ],
            "previous_response_id": "resp_1",
        }

    made = tool_call_ids(body("call_abc", "call_xyz"))
    assert made == tool_call_ids(body("call_1234", "call_5"))
    assert made["messages"][1]["tool_call_id"] == made["messages"][0]["tool_calls"][0]["id"] == "call_1"
    assert made["input"][0]["call_id"] == made["input"][1]["call_id"] != made["input"][0]["id"]
    assert made["input"][2] == {"type": "message", "id": "msg_1"}
    assert made["previous_response_id"] == "resp_1"
    assert tool_call_ids(body("a", "a")) != tool_call_ids(body("a", "b"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/tmp/tmpab12/x.txt", "/tmp/1/x.txt"),
        ("'/tmp/a' '/tmp/b' '/tmp/a/c'", "'/tmp/1' '/tmp/2' '/tmp/1/c'"),
        ("/tmp/pytest-of-me/pytest-374/test_x0/f, ok", "/tmp/1/test_x0/f, ok"),
        ("/tmp/pytest-of-me/pytest-9/popen-gw0/test_x0/f", "/tmp/1/test_x0/f"),
        ("/private/var/folders/zz/abc_d/T/tmpx/y", "/tmp/1/y"),
        ("/var/tmp/x", "/tmp/1"),
        (r"C:\Users\me\AppData\Local\Temp\tmpq\z", r"/tmp\1\z"),
        ("/home/tmp/x", "/home/tmp/x"),
        ("/tmp", "/tmp"),
        ("src/tmp/x", "src/tmp/x"),
    ],
)
def test_temporary_paths_are_numbered(text, expected):
    """What is below a temporary folder stays, for it is a name that the program gave."""
    assert text_of(temporary_paths(chat(text))) == expected


def test_the_temporary_directory_of_this_machine_counts(monkeypatch):
    """`TMPDIR` may lead anywhere."""
    monkeypatch.setattr(tempfile, "tempdir", "/scratch/job.7")
    assert text_of(temporary_paths(chat("/scratch/job.7/tmp1/f"))) == "/tmp/1/f"


def test_tools_are_sorted():
    """By all that they say; what is no list of tools stays."""
    one, other = {"type": "function", "function": {"name": "a"}}, {"type": "function", "function": {"name": "b"}}
    assert sorted_tools({"tools": [other, one], "functions": [2, 1], "stop": ["b", "a"]}) == {
        "tools": [one, other],
        "functions": [1, 2],
        "stop": ["b", "a"],
    }
    assert sorted_tools({"tools": None}) == {"tools": None}
    assert sorted_tools(None) is None


bodies = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=12,
)


@given(st.sampled_from(sorted(BY_NAME)), st.dictionaries(st.text(max_size=8), bodies, max_size=4))
def test_every_one_takes_any_body_and_leaves_it_alone(name, body):
    """A copy is returned, and normalizing it again changes nothing."""
    before = copy.deepcopy(body)
    made = BY_NAME[name](body)
    assert body == before
    assert BY_NAME[name](made) == made


def test_several_are_called_in_order():
    """One alone is itself."""
    assert compose([uuids]) is uuids
    both = compose([lambda body: {**body, "a": 1}, lambda body: {**body, "b": body["a"]}])
    assert both({}) == {"a": 1, "b": 1}


def test_what_would_make_two_bodies_equal():
    """Only what is needed is named, and nothing if they differ all the same."""
    one = {"tools": [1, 2], "user": f"{uuid.uuid4()} on 2026-11-28", "seed": 1}
    other = {"tools": [2, 1], "user": f"{uuid.uuid4()} on 2026-11-29", "seed": 1}
    assert that_make_equal(one, other) == ("uuids", "timestamps", "sorted_tools")
    assert that_make_equal(one, {**other, "seed": 2}) == ()


varying = st.sampled_from(
    [
        *("0b6d1b3c-5d1e-4c43-9c55-0a9d7a1f4b2e", "1B6D1B3C5D1E4C439C550A9D7A1F4B2E", "on 2026-11-28", "at 10:15"),
        *(
            "May 5, 2026",
            "3rd Jan 2026",
            "at 10:15:00Z",
            "in /tmp/ab12/x",
            "C:\\\\Users\\\\a\\\\Temp\\\\b",
            "/tmp/cd34/x",
        ),
        *(
            "call_1",
            "call_2",
            "a word",
            "1234",
            "12:5",
            "a-b",
            "Sun Mar  1 10:15:00 2026",
            1764300000,
            1764300001,
            1,
            None,
        ),
    ]
)
small = st.dictionaries(
    st.sampled_from(["id", "call_id", "created_at", "x y_at", "a.b", "text", "tools", "functions", "tool_calls"]),
    varying | st.lists(varying, max_size=2) | st.dictionaries(st.sampled_from(["id", "type", "date", "x"]), varying),
    max_size=4,
)


@example({"x y_at": 1764300000}, {"x y_at": 1764300001})
@given(small, small)
def test_what_can_never_be_equal_is_seen_without_the_functions(one, other):
    """Whatever all of them make equal may vary, by the look at what differs."""
    attempted = compose(list(BY_NAME.values()))
    for first, second in ((one, other), (one, uuids(one)), (other, timestamps(other)), (one, attempted(one))):
        if canonical_json(attempted(first)) == canonical_json(attempted(second)):
            assert all(map(normalizers._may_vary, differences(first, second)))


def test_all_are_exported():
    """By their own names, each with a sentence on what it lets through."""
    assert set(BY_NAME) == set(normalizers.__all__)
    assert all("Lets through:" in function.__doc__ for function in BY_NAME.values())


# Regular expressions, and several functions at once.


def test_matches_are_numbered_in_order_of_first_appearance():
    """As ids are: equal ones alike, in the order of canonical JSON."""
    number = named("/job-[0-9]+/")
    assert number({"b": "job-7", "a": ["job-9 after job-7", 3]}) == {"a": ["#1 after #2", 3], "b": "#2"}
    assert number({"text": "no job"}) == {"text": "no job"}


def test_an_empty_match_adds_nothing():
    """A careless expression leaves texts as they are."""
    assert named("/x*/")({"text": "axb"}) == {"text": "a#1b"}


def test_names():
    """A ready-made one, or an expression between slashes; anything else is none."""
    assert named("uuids") is uuids
    assert (named("uuid"), named("/"), named("//"), named("")) == (None, None, None, None)
    with pytest.raises(re.error):
        named("/(/")


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("uuids", ["uuids"]),
        (" uuids , timestamps ", ["uuids", "timestamps"]),
        ("/a{1,2}/", ["/a{1,2}/"]),
        ("uuids, /a{1,2}/ ,/b\nc/,timestamps", ["uuids", "/a{1,2}/", "/b\nc/", "timestamps"]),
        ("/a/b,c/", ["/a/b,c/"]),
        ("/a", ["/a"]),
        ("", [""]),
        ("uuids,", ["uuids", ""]),
        (",uuids", ["", "uuids"]),
    ],
)
def test_a_list_of_names_is_split_at_its_commas(text, names):
    """An expression keeps its own."""
    assert split_names(text) == names


def test_several_functions_reach_a_child_process():
    """They can be pickled, and do the same there."""
    chain = compose([uuids, named("/job-[0-9]+/")])
    body = {"text": f"job-7 {uuid.uuid4()}"}
    assert pickle.loads(pickle.dumps(chain))(body) == chain(body) == {"text": f"#1 {FIRST}"}
