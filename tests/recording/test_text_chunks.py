"""The chunks of streams of texts are read as JSON is, and say what their pieces add up to."""

from __future__ import annotations

import contextlib
import json
from collections import defaultdict

import msgspec
import pytest
from conftest import chunk
from hypothesis import example, given
from hypothesis import strategies as st

from inferencereplay.recording.text_chunks import read_known_chunks, read_text_chunks, texts_of

USAGE = {"prompt_tokens": 3, "queue_time": 0.5, "prompt_tokens_details": {"cached_tokens": None}}
ODD = st.sampled_from(['"', "\\", "{", "}", "1e999", "9" * 400, "\\ud800", "\x00", "é", ":", ",", " ", "null", "0x1"])


def line(item):
    return json.dumps(item, ensure_ascii=False).encode()


@given(st.integers(0, 250), st.integers(0, 9), ODD)
@example(40, 0, "1e999")
def test_what_is_read_is_json(at, length, odd):
    """Wherever something odd stands in a chunk: what is read at once is read one value after the other as well."""
    text = json.dumps({**chunk("Hi"), "usage": USAGE, "created": 17}, ensure_ascii=False)
    data = (text[:at] + odd + text[at + length :]).encode("utf-8", "surrogatepass")
    with contextlib.suppress(msgspec.DecodeError):
        read_known_chunks(data)
        assert isinstance(msgspec.json.decode(data), dict)
        assert b"logprobs" not in data.replace(b'"logprobs": null', b"")


@given(
    st.lists(
        st.tuples(
            st.sampled_from([0, 1, None]),
            st.dictionaries(st.sampled_from(["role", "content", "x"]), st.none() | st.text(max_size=3)),
            st.text(max_size=3),
        ),
        max_size=9,
    )
)
def test_texts_are_those_of_each_choice_and_member(choices):
    """Each text is what its pieces are, one after the other; empty ones are left out."""
    together = defaultdict[tuple[object, str], str](str)
    for index, delta, text in choices:
        for name, piece in {**delta, "text": text}.items():
            together[index, name] += piece or ""
    data = b"\n".join(
        line({"id": "1", "choices": [{"index": index, "delta": delta, "text": text}]}) for index, delta, text in choices
    )
    for read in (read_known_chunks, read_text_chunks):
        assert sorted(texts_of(read(data))) == sorted(filter(None, together.values()))


@pytest.mark.parametrize(
    "more",
    [{"x_more": 1}, {"usage": {"a": "text"}}, {"choices": [{"index": 0, "delta": {}, "logprobs": {"content": []}}]}],
    ids=["member", "usage", "logprobs"],
)
def test_what_has_more_is_not_known(more):
    """Nothing in a known chunk is left unread, so one with another member is none."""
    with pytest.raises(msgspec.DecodeError):
        read_known_chunks(line({**chunk("Hi"), **more}))
    assert texts_of(read_text_chunks(line({**chunk("Hi"), "x_more": 1}))) == ["Hi"]
