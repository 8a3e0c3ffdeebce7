"""Secrets that a stream sends in pieces, and ones in the tokens of an answer."""

from __future__ import annotations

import contextlib
import itertools
import json

import msgspec
import pytest
from conftest import chunk, completion
from hypothesis import given
from hypothesis import strategies as st
from openai.types import Completion
from openai.types.chat import ChatCompletion
from openai.types.responses import Response
from replies import events, message, response

from inferencereplay.recording.format import Response as Answer
from inferencereplay.recording.text_chunks import TextChunks, read_known_chunks, texts_of
from inferencereplay.redaction.fragments import redact_fragments
from inferencereplay.redaction.payloads import redact_response
from inferencereplay.redaction.redactor import REDACTED, Redactor

SECRET = "sk-proj-aB3dE5gH7jK9mN1pQ2rS4tU6"


def pieces_of(text, cuts):
    edges = [0, *sorted(cuts), len(text)]
    return [text[first:last] for first, last in itertools.pairwise(edges)]


def hidden(chunks, literals=(), patterns=()):
    raws = [json.dumps(item, ensure_ascii=False).encode() for item in chunks]
    return [json.loads(raw) for raw in redact_fragments(raws, Redactor(patterns, literals))]


def said(chunks, index=0):
    choices = [choice for item in chunks for choice in item["choices"] if choice["index"] == index]
    return "".join(choice["delta"]["content"] or "" for choice in choices)


@given(st.lists(st.integers(0, 60)))
def test_wherever_it_is_cut(cuts):
    """What the chunks add up to is what the whole text would be without the secrets, however they are cut."""
    text = f"{SECRET} is one, {SECRET}; ü {SECRET}"
    chunks = [chunk(piece) for piece in pieces_of(text, [min(cut, len(text)) for cut in cuts])]
    assert said(hidden(chunks)) == Redactor().text(text) == f"{REDACTED} is one, {REDACTED}; ü {REDACTED}"
    assert said(kept(chunks=chunks)) == said(hidden(chunks))  # though a piece may look like a whole secret


def test_what_holds_nothing_stays_as_it_is():
    """Without a secret the very same list comes back, and of several chunks only those that hold a part are changed."""
    raws = [b'{"choices": [{"index":0,"delta":{"content":"a "}}]}', b'{ "choices":[], "usage":null}', b'"text"', b"5"]
    assert redact_fragments(raws, Redactor()) is raws
    parts = [b'{"choices":[{"index":0,"delta":{"content":"%b"}}]}' % part.encode() for part in (SECRET[:9], SECRET[9:])]
    made = redact_fragments([raws[0], *parts, *raws[1:]], Redactor())
    assert [made[0], *made[3:]] == raws
    assert said([json.loads(item) for item in made[:3]]) == f"a {REDACTED}"


PIECES = st.sampled_from(
    [
        SECRET[:9],
        SECRET[9:],
        SECRET,
        "own-secret-9",
        "own-",
        "secret-9",
        "api_key",
        ": ",
        '"',
        "\\",
        "ü",
        " a",
        "x" * 1_200,
    ]
)


@given(
    st.lists(st.lists(PIECES, max_size=3).map("".join), max_size=12),
    st.sampled_from([{}, {"x_more": 1}, {"system_fingerprint": SECRET}, {"model": "own-secret-9"}, {"api_key": "u"}]),
    st.booleans(),
)
def test_a_stream_is_searched_at_once_as_it_is_piece_by_piece(pieces, more, is_named):
    """What one search over all chunks and texts finds clean is clean; elsewhere the same is redacted."""
    chunks = [{**chunk(piece), **(more if number % 2 or not is_named else {})} for number, piece in enumerate(pieces)]
    raws = [json.dumps(item, ensure_ascii=False).encode() for item in chunks]
    for patterns in ((), ("ü",)):
        redactor = Redactor(patterns, ("own-secret-9",))
        expected = redactor.jsons(redact_fragments(raws, redactor))
        answer = Answer(end="done", chunks=[*map(msgspec.Raw, raws)])
        texts = None
        with contextlib.suppress(msgspec.DecodeError):
            texts = texts_of(read_known_chunks(b"\n".join(raws)))
        answers = [
            answer,
            *([Answer(end="done", chunks=TextChunks(answer.chunks, texts))] if texts is not None else []),
        ]
        for made in answers:
            redact_response(made, redactor)
            assert [*map(bytes, made.chunks)] == expected


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
        chunks.append({"type": "response.audio.delta", "delta": "AAAA"})
        chunks.append({"type": "response.audio.transcript.delta", "delta": part})
    made = hidden(chunks)
    assert said(made[::8]) == REDACTED
    assert [item["choices"][0]["delta"]["content"] for item in made[1::8]] == [f"{part} " for part in parts]
    assert [item["choices"][0]["delta"]["tool_calls"][0]["function"]["arguments"] for item in made[2::8]] == [
        *(REDACTED, "", "")
    ]
    assert [item["delta"] for item in made[3::8]] == [REDACTED, "", ""]
    assert [item["choices"][0]["text"] for item in made[5::8]] == [REDACTED, "", ""]
    assert [item["delta"] for item in made[7::8]] == [REDACTED, "", ""]


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


def tokens_of(text, cuts=()):
    """Return the tokens of a text as chats and responses have them, each with its bytes and what else was likely."""
    said = [{"token": piece, "bytes": [*piece.encode()], "logprob": -0.5} for piece in pieces_of(text, cuts)]
    return [{**item, "top_logprobs": [{**item}, {**item, "token": " or"}]} for item in said]


def told(tokens):
    """Return what tokens add up to: as they stand, by their bytes, and by what was likely."""
    spelt = bytes(itertools.chain.from_iterable(item["bytes"] for item in tokens)).decode()
    likely = [item["top_logprobs"][0]["token"] for item in tokens if item["top_logprobs"]]
    return "".join(item["token"] for item in tokens), spelt, "".join(likely)


def kept(body=None, chunks=()):
    """Return what is stored of an answer: its body, or its chunks."""
    raws = [msgspec.Raw(json.dumps(item).encode()) for item in chunks]
    answer = Answer(body=msgspec.Raw(json.dumps(body).encode())) if body else Answer(end="done", chunks=raws)
    redact_response(answer, Redactor())
    return json.loads(bytes(answer.body)) if body else [json.loads(bytes(raw)) for raw in answer.chunks]


@given(st.lists(st.integers(0, 60)), st.integers(1, 9))
def test_tokens_wherever_they_are_cut(cuts, size):
    """A stream's tokens say what its text does, by their bytes as well; what was likely tells nothing of a secret."""
    text = f"a {SECRET} is one; ü {SECRET}."
    tokens, chunks = tokens_of(text, cuts), []
    for at in range(0, len(tokens), size):
        part = tokens[at : at + size]
        chunks.append(chunk("".join(item["token"] for item in part)))
        chunks[-1]["choices"][0]["logprobs"] = {"content": part, "refusal": None}
    made = kept(chunks=chunks)
    said, spelt, likely = told([item for one in made for item in one["choices"][0]["logprobs"]["content"]])
    assert said == spelt == Redactor().text(text)
    assert "".join(one["choices"][0]["delta"]["content"] for one in made) == said
    assert not any(SECRET[at : at + 2] in likely for at in range(len(SECRET) - 1))


CUTS = (2, 9, 20, 34)
"""Where `a sk-…, b` is cut into tokens."""


def chat(text, *, name="content"):
    body = completion(text)
    body["choices"][0]["logprobs"] = {"content": None, "refusal": None, name: tokens_of(text, CUTS)}
    return body, lambda made: made["choices"][0]["logprobs"][name]


def responded(text):
    said = message(text)
    said["content"][0]["logprobs"] = tokens_of(text, CUTS)
    return response(said, said), lambda made: made["output"][1]["content"][0]["logprobs"]


@pytest.mark.parametrize(
    ("model", "make"),
    [
        (ChatCompletion, chat),
        (ChatCompletion, lambda text: chat(text, name="refusal")),
        (Response, responded),
    ],
    ids=["content", "refusal", "responses"],
)
def test_tokens_of_a_plain_answer(model, make):
    """Those that are part of a secret lose it, and their alternatives; the others stay, and the SDK's types hold."""
    body, find = make(f"a {SECRET}, b")
    made = kept(body)
    tokens = find(made)
    assert [item["token"] for item in tokens] == ["a ", REDACTED, "", "", ", b"]
    assert tokens[0] == find(body)[0]
    assert tokens[-1] == find(body)[-1]
    assert [item["top_logprobs"] for item in tokens[1:-1]] == [[], [], []]
    assert told(tokens)[:2] == (f"a {REDACTED}, b",) * 2
    model.__pydantic_validator__.validate_json(json.dumps({**made, "usage": None}), strict=True)
    assert {**made, "choices": 0, "output": 0} == {**body, "choices": 0, "output": 0}


@pytest.mark.parametrize("likely", [True, False], ids=["alternatives", "none"])
def test_tokens_of_a_text_completion(likely):
    """Its tokens are texts, and what else was likely stands in a list beside them."""
    pieces = pieces_of(f"a {SECRET}, b", CUTS)
    columns = {
        "tokens": pieces,
        "text_offset": [0, *CUTS],
        "token_logprobs": [None, *[-0.5] * len(CUTS)],
        "top_logprobs": [None, *({piece: -0.5, "or": -1.5} for piece in pieces[1:])] if likely else None,
    }
    choices = [{"index": at, "text": "".join(pieces), "finish_reason": "stop", "logprobs": columns} for at in (0, 1)]
    body = {"id": "t", "object": "text_completion", "created": 1, "model": "m", "choices": choices}
    made = kept(body)
    top = [None, {}, {}, {}, columns["top_logprobs"][-1]] if likely else None
    for choice in made["choices"]:
        assert choice["text"] == f"a {REDACTED}, b"
        assert choice["logprobs"] == {**columns, "tokens": ["a ", REDACTED, "", "", ", b"], "top_logprobs": top}
    for choice in made["choices"]:
        choice["logprobs"].update(top_logprobs=None, token_logprobs=None)  # the SDK's type has no null in the lists
    Completion.model_validate(made)


def test_tokens_of_streamed_responses():
    """Each event that holds the text once more is a text of its own."""
    chunks = events(*pieces_of(SECRET, (9, 20)))
    tokens = iter(tokens_of(SECRET, (9, 20)))
    for item in chunks:
        if item["type"] == "response.output_text.delta":
            item["logprobs"] = [next(tokens)]
        elif item["type"].endswith(".done"):
            holder = item.get("part") or (item["item"]["content"][0] if "item" in item else item)
            holder["logprobs"] = tokens_of(SECRET, (9, 20))
    made = kept(chunks=chunks)
    held = [one["logprobs"] for one in made if "delta" in one["type"]]
    held = [[item for one in held for item in one]]
    held += [one["logprobs"] for one in made if one["type"] == "response.output_text.done"]
    held += [one["part"]["logprobs"] for one in made if one["type"] == "response.content_part.done"]
    held += [one["response"]["output"][0]["content"][0]["logprobs"] for one in made[-1:]]
    assert [told(tokens) for tokens in held] == [(REDACTED, REDACTED, "")] * 4


def test_tokens_that_hold_nothing_stay_as_they_are():
    """Nor does what is no token stop anything: the very same list comes back."""
    raws = [
        b'{"choices": [{"index":0, "logprobs" : {"content":[ {"token":"sk-", "bytes":[1]}, "odd", 5, {"token":7}]}}]}',
        b'{"logprobs": [7], "a": {"logprobs": "text"}}',
        b'{"logprobs": [ ]}',
        b'{"logprobs": null}',
    ]
    assert redact_fragments(raws, Redactor()) is raws


@pytest.mark.parametrize("other", [True, 1.0, "1"])
def test_choices_whose_indices_are_equal_and_not_the_same(other):
    """Two choices take turns whose numbers are equal in Python; a secret in one of them is found all the same."""
    secret = "github_pat_11ABCDEFG0" + "aB3" * 25
    raws = []
    for place in range(0, len(secret), 8):
        for index, text in ((1, secret[place : place + 8]), (other, " and so on")):
            choices = [{"index": index, "delta": {"content": text}}]
            raws.append(json.dumps({"id": "c", "choices": choices}).encode())
    texts: list[str] | None = None
    with contextlib.suppress(msgspec.DecodeError):
        texts = texts_of(read_known_chunks(b"\n".join(raws)))
    kept = [*map(msgspec.Raw, raws)]
    made = Answer(end="done", chunks=kept if texts is None else TextChunks(kept, texts))
    redact_response(made, Redactor(()))
    said = "".join(json.loads(bytes(raw))["choices"][0]["delta"]["content"] for raw in made.chunks)
    assert secret[-8:] not in said.replace(" and so on", "")
