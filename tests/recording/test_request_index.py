"""An index by lines finds the requests that are most like another one."""

from __future__ import annotations

import bisect
import copy
import random

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from inferencereplay.recording import request_index
from inferencereplay.recording.difference import common_length, differences
from inferencereplay.recording.format import lay_out
from inferencereplay.recording.request import canonical_json
from inferencereplay.recording.request_index import LIKENESS, NEIGHBOURS, RequestIndex

words = st.text("abcdef ", min_size=1, max_size=12)
turns = st.fixed_dictionaries({"role": st.sampled_from(["user", "assistant", "tool"]), "content": words})
chats = st.fixed_dictionaries(
    {"model": st.sampled_from("xyz"), "messages": st.lists(turns, min_size=1, max_size=6)},
    optional={"n": st.integers(1, 3), "temperature": st.floats(0, 1), "stop": st.lists(words, max_size=2)},
)


def text(body):
    return lay_out(canonical_json(body))


def closest(bodies, asked, count=1):
    index = RequestIndex([(str(number), text(body)) for number, body in enumerate(bodies)])
    return [int(name) for name in index.closest(text(asked), count)]


def weight(recorded, asked):
    return sum(item.weight for item in differences(recorded, asked))


@given(st.lists(chats, min_size=1, max_size=30), chats)
def test_as_many_as_are_wanted_are_returned_each_once(bodies, asked):
    """If there are fewer, all of them are."""
    assert sorted(closest(bodies, asked, len(bodies) + 5)) == list(range(len(bodies)))
    assert len(set(closest(bodies, asked, 3))) == min(3, len(bodies))


@given(st.lists(chats, min_size=1, max_size=30), chats, st.randoms())
def test_an_equal_one_is_the_closest(bodies, asked, chance):
    """Nothing is more like a request than itself."""
    bodies.insert(chance.randrange(len(bodies) + 1), asked)
    assert weight(bodies[closest(bodies, asked)[0]], asked) == 0


def conversations(count):
    """Make chats of an agent: histories of different lengths with tools, each with texts of its own."""
    chance = random.Random(1)

    def say(words):
        return " ".join(f"{chance.randrange(16**6):06x}" for _ in range(words))

    def turn(number):
        return {"role": ("user", "assistant")[number % 2], "content": say(6)}

    tools = [{"type": "function", "function": {"name": f"tool_{n}", "description": say(4)}} for n in range(5)]
    for _ in range(count):
        messages = [turn(number) for number in range(chance.randint(1, 9))]
        yield {"model": "m", "messages": messages, "tools": tools[: chance.randint(0, 5)], "seed": 7}


def edit_text(body):
    body["messages"][-1]["content"] = body["messages"][-1]["content"][:-3] + "new"


@pytest.mark.parametrize(
    "change",
    [
        edit_text,
        lambda body: body["messages"].append({"role": "tool", "content": "the result"}),
        lambda body: body["messages"].insert(0, {"role": "system", "content": "Be brief."}),
        lambda body: body.update(seed=8, temperature=0.5),
        lambda body: body.pop("seed"),
    ],
    ids=["text", "more", "before", "settings", "less"],
)
def test_the_one_of_many_that_was_changed_is_found(change):
    """The closest one is the one that was changed, whatever was."""
    bodies = list(conversations(200))
    for number in range(0, len(bodies), 20):
        changed = copy.deepcopy(bodies[number])
        change(changed)
        assert closest(bodies, changed) == [number]


def test_of_texts_the_one_that_shares_its_beginning_is_closest():
    """Among a thousand chats that all differ in one text only."""
    bodies = [{"model": "m", "messages": [{"role": "user", "content": f"number {n:04}0 of many"}]} for n in range(1000)]
    for number in (0, 123, 999):
        asked = {"model": "m", "messages": [{"role": "user", "content": f"number {number:04}5 of many"}]}
        assert closest(bodies, asked) == [number]


def test_what_has_too_much_is_farther():
    """A request that holds all of another one and more is not as close as the one without the rest."""
    asked = {"messages": ["a", "b"], "model": "m"}
    assert closest([{**asked, "messages": ["a", "b", "c", "d"]}, {**asked, "n": 2}, asked], asked, 3) == [2, 1, 0]


def test_a_line_with_a_comma_is_the_line_without():
    """The last member of an object has none."""
    assert closest([{"a": 1, "b": 2, "c": 3}, {"a": 1, "b": 1, "d": 3}], {"a": 1, "b": 2}) == [0]


class PlainIndex:
    """The same search without the shortcuts: each line of each request is looked at."""

    def __init__(self, texts):
        self.texts = [text.split(b"\n") for text in texts]
        self.lines = sorted({line for lines in self.texts for line in lines})

    def holders(self, line):
        return [number for number, lines in enumerate(self.texts) for _ in range(lines.count(line))]

    def likeness(self, text):
        asked, everyone = text.split(b"\n"), len(self.texts)
        likeness = [-max(0.0, len(lines) - len(asked)) for lines in self.texts]
        for line in {line.removesuffix(b",") for line in asked}:
            held = {*self.holders(line), *self.holders(line + b",")}
            if len(held) < everyone:
                shares = {}
                at = bisect.bisect(self.lines, line)
                for other in self.lines[max(0, at - NEIGHBOURS) : at + NEIGHBOURS]:
                    if len(self.holders(other)) < everyone:
                        share = LIKENESS * common_length(line, other) / max(len(line), len(other))
                        shares |= {number: max(share, shares.get(number, 0)) for number in self.holders(other)}
                for number in range(everyone):
                    likeness[number] += 1 if number in held else shares.get(number, 0)
        return [round(one, 9) for one in likeness]


lines = st.sampled_from([b"a", b"aa", b"aa,", b"ab", b" b", b"b", b"b,", b"c", b"{", b"}"])
texts = st.builds(
    lambda begin, middles, end: [b"\n".join((*begin[:some], *own, *end[other:])) for some, own, other in middles],
    st.lists(lines, max_size=4),
    st.lists(st.tuples(st.integers(0, 4), st.lists(lines, min_size=1, max_size=3), st.integers(0, 4)), max_size=12),
    st.lists(lines, max_size=4),
)


@example([b"a\nb\nc", b"a\nb\nb", b"a\nc\nc", b"a\nab\nc"], b"b\naa")
@given(texts, st.lists(lines, min_size=1, max_size=8).map(b"\n".join))
def test_lines_that_all_share_are_left_out_for_speed_only(texts, asked):
    """The closest are those of a search through all of them, however many are looked at together."""
    likeness = PlainIndex(texts).likeness(asked)
    for few, together in ((1, 2), (3, 4), (request_index.FEW, request_index.TOGETHER)):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(request_index, "FEW", few)
            patch.setattr(request_index, "TOGETHER", together)
            index = RequestIndex((str(number), text) for number, text in enumerate(texts))
        found = [int(name) for name in index.closest(asked, 5)]
        assert [likeness[number] for number in found] == sorted(likeness, reverse=True)[:5]


def test_the_size_is_that_of_the_distinct_lines():
    """Text that many have in common is kept once."""
    one = RequestIndex([("a", text({"q": "x" * 10_000}))]).size
    many = RequestIndex([(str(number), text({"q": "x" * 10_000, "n": number})) for number in range(100)]).size
    assert 10_000 < one < many < 2 * one
