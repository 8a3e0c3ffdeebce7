"""The frames of a connection in a file."""

from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferencereplay import RecordingCorrupt
from inferencereplay.recording.format import Failure, RecordedRequest, Recording, Response, decode, encode
from inferencereplay.recording.frames import CLIENT, SERVER, Frame, message
from inferencereplay.recording.request import Request

REQUEST = Request("WEBSOCKET", "/realtime", b"null", {"model": "m"})


def make(frames: list[Frame], **more) -> Recording:
    held = RecordedRequest(REQUEST.method, REQUEST.path, msgspec.Raw(REQUEST.body), REQUEST.query)
    more = {"end": "closed", "offsets": [0.5] * len(frames), "elapsed": 0.25, **more}
    return Recording(1, REQUEST.key, held, Response(101, frames=frames, **more))


def test_a_file_as_the_format_says():
    """Each frame is on a line, after the times; the version is one that older readers refuse."""
    frames = [
        message(SERVER, b'{"type": "session.created"}', is_binary=False),
        message(CLIENT, b"two\nlines", is_binary=True),
        message(CLIENT, b"\xff", is_binary=True),
        Frame(SERVER, close=4000, reason="bye"),
    ]
    text = encode(make(frames)).decode()
    assert text.startswith('{\n  "inferencereplay": 2,\n')
    assert text.endswith(
        '"elapsed": 0.250000,\n    "offsets": [0.500000, 0.500000, 0.500000, 0.500000],\n    "frames": [\n'
        '      {"from": "server", "json": {"type": "session.created"}},\n'
        '      {"from": "client", "binary": true, "text": "two\\nlines"},\n'
        '      {"from": "client", "base64": "/w=="},\n'
        '      {"from": "server", "close": 4000, "reason": "bye"}\n    ]\n  }\n}\n'
    )


payloads = (
    st.binary(max_size=8) | st.text(max_size=8).map(str.encode) | st.sampled_from([b'{"a": 1}', b" {} ", b'"\\n"'])
)


@given(st.lists(st.tuples(st.sampled_from([CLIENT, SERVER]), payloads, st.booleans()), max_size=4), st.integers(0, 1))
def test_what_is_written_is_read(sent, has_times):
    """To the byte, whatever was sent, and to the kind of the message if it is text."""
    frames = [message(sender, payload, is_binary=is_binary) for sender, payload, is_binary in sent]
    recording = make(frames, offsets=[0.5] * len(frames) * has_times, elapsed=0.5 if has_times else None)
    data = encode(recording)
    assert decode(data, "a").response == recording.response
    assert encode(decode(data, "a")) == data
    assert [(item.sender, item.payload, item.is_message) for item in frames] == [(*item[:2], True) for item in sent]
    for frame, (_, payload, is_binary) in zip(frames, sent, strict=True):
        assert frame.data is not None or frame.is_text is not is_binary
        assert frame.data is None or frame.data == payload


@pytest.mark.parametrize(
    ("old", "new", "position", "reason"),
    [
        ('"from": "server"', '"from": "moon"', r"\$.response.frames\[0\]", "'moon' is neither 'client' nor 'server'"),
        ('"json": {}', '"jsn": {}', r"\$.response.frames\[0\]", "a frame has one of 'json', 'text', 'base64' and 'clo"),
        ('"json": {}', '"json": {}, "text": ""', r"\$.response.frames\[0\]", "a frame has one of"),
        ('"offsets": [0.500000]', '"offsets": [1, 2]', r"\$.response.offsets", "2 offsets for 1 frames"),
        ('"end": "closed",', "", r"\$.response.frames", "frames have an 'end', and no chunks"),
        ('"end": "closed"', '"end": "done"', r"\$.response.frames", "is 'done', and neither side closes it"),
        ('"frames"', '"chunks": [{}], "frames"', r"\$.response.frames", "frames have an 'end', and no chunks"),
        ('"json": {}', '"close": 99', r"\$.response.frames\[0\].close", "it cannot be read as a recording"),
        ('"json": {}', '"close": 1004', r"\$.response.frames\[0\]", "no connection is closed with 1004"),
        ('"json": {}', '"close": 1015', r"\$.response.frames\[0\]", "no connection is closed with 1015"),
        ('"json": {}', '"close": 2999', r"\$.response.frames\[0\]", "no connection is closed with 2999"),
        (
            '"json": {}',
            f'"close": 4000, "reason": "{"é" * 62}"',
            r"\$.response.frames\[0\]",
            "the reason of a close has at most 123 bytes",
        ),
        ('"end": "closed"', '"end": "error"', r"\$.response.failure", "a stream has a 'failure' if"),
    ],
)
def test_frames_that_contradict_themselves(old, new, position, reason):
    """The position says which frame."""
    text = encode(make([message(SERVER, b"{}", is_binary=False)])).decode()
    assert old in text
    with pytest.raises(RecordingCorrupt, match=f"{reason}.*, at {position}"):
        decode(text.replace(old, new, 1).encode(), "a")


def test_a_broken_connection_is_not_whole():
    """Nor is one that the program left."""
    broken = make([Frame(SERVER, close=1006)], end="error", failure=Failure("ConnectionClosedError"))
    assert not decode(encode(broken), "a").response.is_whole
    assert not decode(encode(make([], end="closed")), "a").response.is_whole
    assert json.loads(encode(make([], end="closed")))["response"]["frames"] == []


def test_a_connection_is_done_when_one_side_has_closed_it():
    """Without any message it has the close alone; without any frame it would be none that was recorded."""
    for frames in ([Frame(CLIENT, close=1000)], [Frame(SERVER, close=1005)]):
        assert decode(encode(make(frames, end="done")), "a").response.is_whole
    for frames in ([], [Frame(SERVER, close=1006)]):
        with pytest.raises(RecordingCorrupt, match="neither side closes it"):
            decode(encode(make(frames, end="done")), "a")
    for frames in ([], [Frame(SERVER, close=1000)]):
        broken = make(frames, end="error", failure=Failure("ConnectionClosedError"))
        with pytest.raises(RecordingCorrupt, match="its last frame has not"):
            decode(encode(broken), "a")
