"""The search for many short texts at once finds what a search for each of them finds."""

from __future__ import annotations

import random
import re
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferencereplay.redaction import literal_search, shapes
from inferencereplay.redaction.literal_search import LiteralSearch
from inferencereplay.redaction.shapes import API_NAMES, SHAPES

LITERALS = sorted({literal for shape in SHAPES for literal in shape.literals if literal})
SEARCH = LiteralSearch(LITERALS)
PARTS = st.one_of(
    st.sampled_from(LITERALS),
    st.sampled_from([literal[:-1] for literal in LITERALS] + [literal[1:] for literal in LITERALS]),
    st.text("-_./=~+%$\\ skghpAK:", max_size=4),
    st.text(max_size=3),
)


def naive(text: str) -> set[str]:
    return {literal for literal in LITERALS if literal in text}


@given(st.lists(PARTS, max_size=12).map("".join))
def test_it_finds_what_a_search_for_each_finds(text):
    """In any text, and within a long one of which signs are frequent or rare."""
    assert SEARCH.present(text) == naive(text)
    for around in ("word " * 200, "-_.=/" * 200):
        assert SEARCH.present(around + text + around) == naive(around + text + around)


@pytest.mark.parametrize("sign", ["", *sorted("-_./=~+%$\\")])
def test_each_text_is_found_by_itself(sign):
    """Behind nothing, behind a sign, and in words."""
    for literal in LITERALS:
        for text in (sign + literal, f"{'word ' * 400}{sign}{literal}{' word' * 400}"):
            assert literal in SEARCH.present(text)


def test_a_long_text_is_not_searched_for_each(monkeypatch):
    """What stands before a sign leaves few texts; where signs are frequent, cutting would take longer."""
    cuts = []

    def note(parts):
        cuts.append(len(parts))
        return _ends(parts)

    _ends = literal_search._ends
    monkeypatch.setattr(literal_search, "_ends", note)
    assert LiteralSearch(["ab-", "cd-"]).present("word " * 400 + "ab-" + "word " * 400) == {"ab-"}
    assert cuts == [1]
    assert LiteralSearch(["ab-", "cd-"]).present("-" * 400 + "cd-") == {"cd-"}
    assert cuts == [1]


@pytest.mark.parametrize("seed", range(5))
def test_runs_are_the_long_words_of_token_characters(seed):
    """Each once, wherever a text begins or ends; the API's own names are left out."""
    chance = random.Random(seed)
    words = ["".join(chance.choices(string.ascii_letters + "_.~+/=$%-", k=chance.randrange(30))) for _ in range(200)]
    words += ["chat.completion.chunk", "x" * 14, "y" * 15]
    chance.shuffle(words)
    raw = "".join(word + chance.choice((" ", '"', "\n", "é", ",", ":", "\\")) for word in words).encode()[:-1]
    found = {run.encode() for run in shapes._long_runs(raw).split("\n")}
    assert found == set(re.findall(rb"[A-Za-z0-9_.~+/=$%-]{15,}", raw)) - API_NAMES
    assert b"y" * 15 in found
