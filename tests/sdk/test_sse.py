"""Server-sent events: from bytes to events."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from openai._streaming import SSEDecoder

from inferencereplay.sdk.sse import Event, EventDecoder

PARTS = (
    *("\r", "\n", "\r\n", "\n\n", ":", " ", ": a comment", "\0"),
    *("data", "data:", "data: ", 'data: {"a": 1}', "data: [DONE]", "event: e", "event:", "id: 1", "id:", "id: \0"),
    *("retry: 10", "retry:", "retry: x", "retry: 1_0", "dataset: x", "x", "é", "\u2028", "\x85", "😀"),
)
streams = st.lists(st.sampled_from(PARTS)).map("".join)


def pieces_of(data: bytes, cuts: list[int]) -> list[bytes]:
    places = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    return [data[start:end] for start, end in pairwise(places)]


def decoded(pieces: list[bytes]) -> list[Event]:
    decoder = EventDecoder()
    return [event for piece in pieces for event in decoder.feed(piece)]


@given(streams, st.lists(st.integers(0, 10_000)))
@example("data: é\r\n\r\n", [7, 8, 9, 10, 11])
@example("data: 1\r\r\n", [8, 9])
@example("data: 1\r\ndata: 2\n\n", [8, 8])
@example("event: e\ndata: 1\n\n", [9])
@example("retry: 1\ndata: 1\n\n", [9])
@example("data: 1\ndata: 2\n\n", [8])
@example("xdata: 1\n\n", [1])
@example("data: 1\rdata: 2\n\n", [0])
@example("data: 1\r\rdata: 2\n\n\ndata: 3\n\n", [9, 18, 19])
@example("data: 1\r\rdata: 2\n\n\n\n", [9, 18])
@example("retry: 1\ndata: 1\n\n\n\n", [9, 18])
def test_it_does_not_matter_where_the_bytes_are_cut(stream, cuts):
    """Any pieces, empty ones and halves of a character or of a line end among them, give the same events.

    Byte by byte, every line is read as such; an event in one piece is not.
    """
    data = stream.encode()
    slowly = decoded([data[at : at + 1] for at in range(len(data))])
    assert decoded(pieces_of(data, cuts)) == slowly
    assert decoded([data]) == slowly


@given(streams)
@example("id: 1\n\n\n\ndata: x\n\n")
@example("event: e\nevent:\n\n")
@example("retry: x\n\n")
@example("id: \0\n\n")
@example("data: 1\n\r")
def test_events_are_the_ones_that_the_sdk_reads(stream):
    """Whatever a server sends, the openai package's own decoder finds the same events in it."""
    theirs = [Event(found.event, found.data) for found in SSEDecoder().iter_bytes(iter([stream.encode()]))]
    assert decoded([stream.encode()]) == theirs


@pytest.mark.parametrize(
    ("stream", "events"),
    [
        ("data: 1\n\ndata: 2\n\n", [Event(None, "1"), Event(None, "2")]),
        ("data: 1\r\rdata: 2\r\n\r\n", [Event(None, "1"), Event(None, "2")]),
        ("data:1\ndata: 2\ndata:  3\n\n", [Event(None, "1\n2\n 3")]),
        ("event: e\ndata: 1\n\ndata: 2\n\n", [Event("e", "1"), Event(None, "2")]),
        (": a comment\n\n:\ndata: 1\n\n", [Event(None, "1")]),
        ("retry: 10\n\n", [Event(None, "")]),
        ("data\n\n", [Event(None, "")]),
        ("\n\n\n", []),
        ("data: not closed by an empty line\n", []),
        ("data: a\u2028b\x85c\n\n", [Event(None, "a\u2028b\x85c")]),
    ],
)
def test_an_event_is_read_as_the_standard_says(stream, events):
    """One rule of the standard each."""
    assert decoded([stream.encode()]) == events


def test_an_event_is_there_with_its_last_byte():
    """A line that ends in a carriage return need not wait for what comes after it."""
    decoder = EventDecoder()
    assert decoder.feed(b"data: 1\r") == []
    assert decoder.feed(b"\r") == [Event(None, "1")]
    assert decoder.feed(b"\ndata: 2\n") == []
    assert decoder.feed(b"\n") == [Event(None, "2")]


def test_what_is_no_utf_8_is_left_as_it_came():
    """From the first event on that is not UTF-8 the bytes stay bytes, with the lines of it that came before."""
    decoder = EventDecoder()
    assert decoder.feed(b"data: 1\n\n: ping\nevent: e\n: ping\ndata: \xff") == [Event(None, "1")]
    assert not decoder.rest
    assert decoder.feed(b"\n") == []
    assert decoder.feed(b"\ndata: 2\n\n") == []
    assert decoder.rest == b"event: e\n: ping\ndata: \xff\n\ndata: 2\n\n"


def test_an_event_that_is_no_utf_8_in_one_piece():
    """An event that comes alone, and is not UTF-8, stays bytes."""
    decoder = EventDecoder()
    assert decoder.feed(b"data: \xff\n\n") == []
    assert decoder.rest == b"data: \xff\n\n"


@pytest.mark.parametrize(
    ("last", "rest"),
    [(b"data: \xc3", b"id: 1\ndata: \xc3"), (b"data: 1", b""), (b"", b"")],
    ids=["half a character", "text", "nothing"],
)
def test_the_sdk_reads_a_last_line_without_an_end(last, rest):
    """Half a character at the end of a stream is not UTF-8 either; a last line that is text makes no event."""
    decoder = EventDecoder()
    decoder.feed(b"id: 1\n" + last)
    decoder.finish()
    assert decoder.rest == rest
