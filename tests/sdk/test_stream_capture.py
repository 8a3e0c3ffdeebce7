"""The pieces of a stream become chunks, at once where they are an event each, and one after the other elsewhere."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from inferencereplay.recording.format import Response
from inferencereplay.recording.text_chunks import TextChunks
from inferencereplay.sdk.stream_capture import StreamCapture

DATA = (
    *(b'{"a": 1}', b' {"b":"\\n"}\t', b"5", b"[DONE]", b"[DONE] x", b"", b" ", b"not JSON", b'"\xff"', b'"\xc3\xa9"'),
    *(b"{}{}", b"{}\n", b"\n", b"{}\n{}", b'{"a":{}', b'"b":{}}', b"}{}", b"[1,", b"2] 3"),
    *(b'{"a":\n1}', b"\r", b'{"a": 1}\rdata: 2', b'1\n\ndata: {"c": 2}', b'{"a": 1e999}', b"[" * 2_000),
)
KNOWN = tuple(b'{"choices":[{"index":0,"delta":{"content":"%b"}}]}' % text for text in (b"Hi", b" \\u00e9", b" you"))
EVENTS = st.sampled_from(
    [*(b"data: %b\n\n" % data for data in DATA + KNOWN), b": ping\n\n", b"event: x\ndata: 1\n\n", b"data: "]
)
SPLIT = st.sampled_from([b'data: {"a"', b": 1}\n", b"\n", b"data: 3\r\n\r\n", b"\n\n", b"id: 1\n\n"])


def captured(portions, *, is_slow):
    """Return what is kept of pieces that come in portions, and whether the stream is done."""
    kept = Response()
    capture = StreamCapture(kept)
    for portion in portions:
        if is_slow:
            for seconds, data in portion:
                capture.feed(seconds, data)
        else:
            capture.feed_all(portion)
    capture.finish(is_exhausted=False, is_parsed=True)
    return kept, capture.is_done, bool(capture)


@given(st.lists(st.lists(st.tuples(st.integers(0, 9), EVENTS | SPLIT), max_size=6), max_size=4))
@example([[(0, b"data: 1\n\n"), (1, b"data: 2\n\n"), (2, b"data: [DONE]\n\n")]])
@example([[(0, b"event: x\ndata: 1\n\n")], [(1, b"data: 2\n\n")]])
@example([[(0, b"data: 1\r")], [(1, b"data: 2\n\n")]])
@example([[(0, b"data: {}\n\n\n"), (1, b"data: {}\n\n")]])
@example([[(0, b"data: \n\n\n"), (1, b"data: {}\n{}\n\n")]])
@example([[(0, b'data: {"a":{}\n\n'), (1, b"data: }{}\n\n")]])
@example([[(0, b"data: [1,\n\n"), (1, b"data: 2] 3\n\n")]])
@example([[(0, b"data: [DONE]\n\n")], [(1, b"data: 2\n\n")]])
@example([[(0, b"data: [DONE]\n\n"), (1, b"data: 2\n\n")]])
def test_pieces_that_are_read_at_once_are_read_as_one_by_one(portions):
    """Chunks, times, names, what is no JSON, the rest and the end are the same."""
    assert captured(portions, is_slow=False) == captured(portions, is_slow=True)


def test_what_a_stream_of_texts_says_is_kept():
    """It is known where all of the stream was read at once, and nowhere else: what came later would be missing."""
    known, other = ([(number, b"data: %b\n\n" % data) for number, data in enumerate(some)] for some in (KNOWN, (b"5",)))
    split = [(3, b"data: 5\n"), (4, b"\n")]
    kept, _, _ = captured([known], is_slow=False)
    assert isinstance(kept.chunks, TextChunks)
    assert kept.chunks.texts == ["Hi é you"]
    for portions in ([known, known], [known, other], [other, known], [known, split], [split, known], [other]):
        kept, _, _ = captured(portions, is_slow=False)
        assert not isinstance(kept.chunks, TextChunks)
        assert len(kept.chunks) == sum(1 if portion is split else len(portion) for portion in portions)
