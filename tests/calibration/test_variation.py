"""What varies between two requests, and what can be done about it."""

from __future__ import annotations

import uuid

import pytest
from asking import asked, chat

from inferencereplay.calibration import variation
from inferencereplay.calibration.variation import Analyst


def compared(one, other, said=((), ()), **more):
    """Return where, kind, remedy and value of each variation; `said` are the texts of earlier answers."""
    before = tuple([asked(chat("before"), said=texts)] for texts in said)
    analysis = Analyst().compare(asked(one, 1, **more), asked(other, 1, **more), before)
    assert all(item.example for item in analysis.variations)
    assert analysis.is_solved == all(item.remedy for item in analysis.variations)
    return [tuple(item[:4]) for item in analysis.variations]


@pytest.mark.parametrize(
    ("more", "others", "expected"),
    [
        ({"user": "0a1b2c3d"}, {"user": "99ffe012"}, ("user", "random id", "ignore", "user")),
        (
            {"metadata": {"run_id": "00000000-0000-4000-8000-00000000000a"}},
            {"metadata": {"run_id": "00000000-0000-4000-8000-00000000000b"}},
            ("metadata.run_id", "UUID", "ignore", "metadata.run_id"),
        ),
        ({"seed": 1}, {"seed": 2}, ("seed", "number", "ignore", "seed")),
        ({"store": True}, {"store": False}, ("store", "value", "ignore", "store")),
        ({"user": "anna"}, {}, ("user", "only in one run", "ignore", "user")),
        ({"user": "anna"}, {"user": "bert"}, ("user", "text", "ignore", "user")),
        ({"stop": ["a", "b"]}, {"stop": ["b", "a"]}, ("stop", "order", "ignore", "stop")),
        (
            {"metadata": {"at": 1_700_000_000}},
            {"metadata": {"at": 1_700_000_001}},
            ("metadata.at", "time", "ignore", "metadata.at"),
        ),
        (
            {"model": "n"},
            {"model": "o"},
            ("model", "text", "", "let the program say one text, or write a function for normalize="),
        ),
        (
            {"metadata": {"a.b": "1"}},
            {"metadata": {"a.b": "2"}},
            ("metadata.a.b", "number", "", "let the program send one number, or write a function for normalize="),
        ),
        (
            {"metadata": {"7": "x"}},
            {"metadata": {"7": "y"}},
            ("metadata.7", "text", "", "let the program say one text, or write a function for normalize="),
        ),
    ],
)
def test_members_that_do_not_decide_what_is_said_are_ignored(more, others, expected):
    """The members that decide it are never proposed, nor a path that no setting can hold."""
    assert compared(chat("Hello", **more), chat("Hello", **others)) == [expected]


def test_texts_of_messages_are_normalized():
    """One variation for each normalizer that is needed."""
    texts = [f"job {uuid.uuid4()} on 2026-11-2{day}" for day in (1, 2)]
    assert compared(*map(chat, texts)) == [
        ("messages.content", "UUID", "normalize", "uuids"),
        ("messages.content", "time", "normalize", "timestamps"),
    ]


def test_tools_in_another_order():
    """They are sorted; what varies inside them is told as well."""
    tools = [{"type": "function", "function": {"name": name, "description": f"of {uuid.uuid4()}"}} for name in "abc"]
    again = [{"type": "function", "function": {"name": name, "description": f"of {uuid.uuid4()}"}} for name in "cab"]
    found = compared(chat("x", tools=tools), chat("x", tools=again))
    assert found[0] == ("tools", "order", "normalize", "sorted_tools")
    assert set(found[1:]) == {("tools.function.description", "UUID", "normalize", "uuids")}


def test_another_order_inside_of_what_is_said_needs_the_program():
    """No setting sorts it, in a list or in a text."""
    one, other = ({"type": "object", "required": names} for names in (["a", "b"], ["b", "a"]))
    tools = [[{"type": "function", "function": {"name": "f", "parameters": schema}}] for schema in (one, other)]
    (found,) = compared(*(chat("x", tools=each) for each in tools))
    assert found == ("tools.function.parameters.required", "order", "", "let the program sort it")
    (found,) = compared(chat("one of red, blue"), chat("one of blue, red"))
    assert found == ("messages.content", "order within a text", "", "let the program sort it")


def test_ids_of_tool_calls_are_numbered():
    """In the assistant's message and in the result."""

    def talk(id_):
        call = {"id": id_, "type": "function", "function": {"name": "f", "arguments": "{}"}}
        return {
            "model": "m",
            "messages": [{"role": "assistant", "tool_calls": [call]}, {"role": "tool", "tool_call_id": id_}],
        }

    found = compared(talk("call_Qx1"), talk("call_Zp2"), (["call_Qx1"], ["call_Zp2"]))
    assert found == [
        ("messages.tool_calls.id", "tool call id", "normalize", "tool_call_ids"),
        ("messages.tool_call_id", "tool call id", "normalize", "tool_call_ids"),
    ]


def test_what_comes_from_an_answer_needs_nothing():
    """A replay gives the recorded answer, and the program asks with it, whole or within other words."""
    said = (["It is sunny."], ["It rains a lot."])
    reason = "a replay gives the recorded answer"
    remedy = ("from the model's answer", "replay", reason)
    assert compared(chat("It is sunny."), chat("It rains a lot."), said) == [("messages.content", *remedy)]
    one, other = chat("Why? It is sunny. (try 1)"), chat("Why? It rains a lot. (try 2)")
    assert compared(one, other, said) == [
        ("messages.content", *remedy),
        ("messages.content", "number", "normalize", r"/\btry [0-9]+\b/"),
    ]
    assert compared(chat("Why? It is sunny."), chat("Why? It rains a lot."), said) == [("messages.content", *remedy)]
    whole = {"model": "m", "input": "x", "previous_response_id": "resp_a"}
    ids = (["resp_a"], ["resp_b"])
    assert compared(whole, {**whole, "previous_response_id": "resp_b"}, ids) == [("previous_response_id", *remedy)]
    assert compared(chat("It snows."), chat("It rains a lot."), said)[0][2] == ""
    assert compared(chat("It is sunny. Why?"), chat("It rains a lot. How?"), said)[0][2] == ""


def test_an_address_that_varies():
    """It comes from an answer, or nothing can be done."""
    analyst = Analyst()
    one, other = (asked({}, 1, path=f"/threads/{id_}/runs") for id_ in ("thread_a1", "thread_b2"))
    before = tuple([asked({}, said=[id_])] for id_ in ("thread_a1", "thread_b2"))
    (found,) = analyst.compare(one, other, before).variations
    assert (found.where, found.remedy) == ("(path)", "replay")
    (found,) = analyst.compare(one, other, ([], [])).variations
    assert (found.where, found.kind, found.remedy) == ("(path)", "address", "")
    one, other = (asked({}, 1, query={"page": page}) for page in "12")
    (found,) = analyst.compare(one, other, ([], [])).variations
    assert (found.where, found.remedy) == ("(query)", "")


def test_times_as_numbers_and_other_numbers():
    """In messages a number is what is said, unless its name says that it is a time."""
    one, other = ({"input": [{"created_at": 1_700_000_000 + number, "n": 1}]} for number in (1, 2))
    assert compared(one, other) == [("input.created_at", "time", "normalize", "timestamps")]
    (found,) = compared({"input": [{"n": 1}]}, {"input": [{"n": 2}]})
    assert found[1:3] == ("number", "")


def test_messages_of_one_run_only():
    """One more is told as such; so is a body that is something else."""
    longer = {"model": "m", "messages": [*chat("x")["messages"], {"role": "user", "content": "y"}]}
    (found,) = compared(chat("x"), longer)
    assert found[:3] == ("messages", "only in one run", "")
    (found,) = compared(["a"], "a")
    assert found[:3] == ("", "value", "")


def test_elements_that_were_sorted_are_not_looked_up_elsewhere():
    """A path that a body does not have leads nowhere."""
    assert variation._value_at({"a": [1]}, ("a", 0)) == 1
    assert variation._value_at({"a": [1]}, ("a", 1)) is variation.ABSENT
    assert variation._value_at({"a": [1]}, ("b", "c")) is variation.ABSENT
    assert variation._value_at(1, ("b",)) is variation.ABSENT
