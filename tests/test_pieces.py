"""Secrets that a stream sends in pieces."""

from __future__ import annotations

import itertools
import json

import pytest
from conftest import chunk
from hypothesis import given
from hypothesis import strategies as st

from inferencereplay.pieces import hide_pieces
from inferencereplay.redact import REDACTED, Redactor

SECRET = "sk-proj-aB3dE5gH7jK9mN1pQ2rS4tU6"


def pieces_of(text, cuts):
    edges = [0, *sorted(cuts), len(text)]
    return [text[first:last] for first, last in itertools.pairwise(edges)]


def hidden(chunks, literals=(), patterns=()):
    raws = [json.dumps(item, ensure_ascii=False).encode() for item in chunks]
    return [json.loads(raw) for raw in hide_pieces(raws, Redactor(patterns), literals)]


def said(chunks, index=0):
    choices = [choice for item in chunks for choice in item["choices"] if choice["index"] == index]
    return "".join(choice["delta"]["content"] or "" for choice in choices)


@given(st.lists(st.integers(0, 60)))
def test_wherever_it_is_cut(cuts):
    """What the chunks add up to is what the whole text would be without the secrets, however they are cut."""
    text = f"{SECRET} is one, {SECRET}; ü {SECRET}"
    chunks = [chunk(piece) for piece in pieces_of(text, [min(cut, len(text)) for cut in cuts])]
    assert said(hidden(chunks)) == Redactor().text(text) == f"{REDACTED} is one, {REDACTED}; ü {REDACTED}"


def test_what_holds_nothing_stays_as_it_is():
    """Without a secret the very same list comes back, and of several chunks only those that hold a part are changed."""
    raws = [b'{"choices": [{"index":0,"delta":{"content":"a "}}]}', b'{ "choices":[], "usage":null}', b'"text"', b"5"]
    assert hide_pieces(raws, Redactor(), ()) is raws
    parts = [b'{"choices":[{"index":0,"delta":{"content":"%b"}}]}' % part.encode() for part in (SECRET[:9], SECRET[9:])]
    made = hide_pieces([raws[0], *parts, *raws[1:]], Redactor(), ())
    assert [made[0], *made[3:]] == raws
    assert said([json.loads(item) for item in made[:3]]) == f"a {REDACTED}"


def test_texts_are_kept_apart():
    """Choices, tool calls and the texts of the Responses API that run side by side are each a text of their own."""
    parts = pieces_of(SECRET, [5, 12])
    chunks = []
    for part in parts:
        chunks.append(chunk(part))
        chunks.append(chunk(f"{part} "))
        chunks[-1]["choices"][0]["index"] = 1
        tool = chunk(None)
        tool["choices"][0]["delta"]["tool_calls"] = [{"index": 1, "function": {"arguments": part}}, "odd"]
        chunks.append(tool)
        chunks.append({"type": "response.output_text.delta", "item_id": "a", "output_index": 0, "delta": part})
        chunks.append({"type": "response.output_text.delta", "item_id": "b", "output_index": 1, "delta": f"{part}-"})
        chunks.append({"choices": [{"index": 0, "text": part}, "odd"]})
    made = hidden(chunks)
    assert said(made[::6]) == REDACTED
    assert [item["choices"][0]["delta"]["content"] for item in made[1::6]] == [f"{part} " for part in parts]
    assert [item["choices"][0]["delta"]["tool_calls"][0]["function"]["arguments"] for item in made[2::6]] == [
        *(REDACTED, "", "")
    ]
    assert [item["delta"] for item in made[3::6]] == [REDACTED, "", ""]
    assert [item["choices"][0]["text"] for item in made[5::6]] == [REDACTED, "", ""]


@pytest.mark.parametrize(
    ("parts", "literals", "patterns", "whole"),
    [
        (["the own ", "key-of-", "client."], ("key-of-client",), (), f"the own {REDACTED}."),
        (["employee", "-", "7 left"], (), ["employee-[0-9]+"], f"{REDACTED} left"),
        (['{"api_k', 'ey": "sho', 'rt"}'], (), (), f'{{"api_key": "{REDACTED}"}}'),
        (["[REDA", "CTED] and ", SECRET], (), (), f"{REDACTED} and {REDACTED}"),
    ],
    ids=["literal", "pattern", "name", "done before"],
)
def test_every_kind_is_found(parts, literals, patterns, whole):
    """Literals, the caller's patterns and names within text as well as shapes; what was taken out is left alone."""
    assert said(hidden([chunk(part) for part in parts], literals, patterns)) == whole
