"""Side files: their names, their content, and what a recording may say of them."""

from __future__ import annotations

import hashlib
import json

import pytest

from inferencereplay import RecordingCorrupt
from inferencereplay.recording.format import decode
from inferencereplay.recording.side_file import HashedFile, endings_in, extension, side_file


@pytest.mark.parametrize(
    ("content_type", "start", "name"),
    [
        ("audio/mpeg", b"", "mp3"),
        ("Audio/Wav; rate=1", b"", "wav"),
        ("text/plain; charset=utf-8", b"", "txt"),
        ("application/problem+json", b"", "txt"),
        ("application/octet-stream", b"\x89PNG\r\n\x1a\n", "png"),
        ("", b"RIFF....WAVE", "wav"),
        ("", b"RIFF....WEBP", "webp"),
        ("x/y", b"", "bin"),
        ("../../x", b"..", "bin"),
    ],
)
def test_the_last_part_of_the_name_says_what_it_is(content_type, start, name):
    """By the content type, or by the first bytes where that says nothing."""
    assert extension(content_type, start) == name


def test_a_file_is_read_anew_each_time():
    """Be it in memory or on the disk; a side file of the same bytes is equal."""
    held = HashedFile()
    for _ in range(10):
        held.append(b"RIFF1234WAVE")
    side = side_file(held, "audio/wav")
    assert side.read() == side.read() == b"".join(side.blocks()) == b"RIFF1234WAVE" * 10
    assert side == side_file(b"RIFF1234WAVE" * 10, "audio/wav")
    assert side.sha256 == hashlib.sha256(b"RIFF1234WAVE" * 10).hexdigest()
    assert side.ending == f".{side.sha256[:16]}.wav"


def recording(**response):
    request = {"method": "POST", "path": "/audio/speech", "body": {}}
    made = {"inferencereplay": 2, "key": "0" * 64, "request": request, "response": {"status": 200, **response}}
    return json.dumps(made).encode()


SIDE = {"ending": ".0123456789abcdef.mp3", "length": 5, "sha256": "0" * 64}


@pytest.mark.parametrize(
    ("response", "told"),
    [
        ({"binary": {**SIDE, "ending": "/../../x"}}, "is not the ending of a side file"),
        ({"binary": {**SIDE, "ending": ".0123456789abcdef.mp3/x"}}, "is not the ending of a side file"),
        ({"binary": {**SIDE, "sha256": "x"}}, "or its SHA-256 is none"),
        ({"binary": SIDE, "pieces": [1, 3]}, "not as long as the content"),
        ({"body": {}, "indent": 1, "pieces": [1]}, "not as long as the content"),
        ({"binary": SIDE, "pieces": [2, 3], "offsets": [0.1]}, "1 offsets for 2 chunks"),
        ({"binary": SIDE, "text": "x"}, "has 2 of them"),
        ({"binary": {**SIDE, "length": -1}}, "cannot be read as a recording"),
    ],
)
def test_a_recording_that_contradicts_itself_is_corrupt(response, told):
    """No name leads elsewhere, and no size is made up."""
    with pytest.raises(RecordingCorrupt, match=told):
        decode(recording(**response), "x.json")


def test_a_recording_names_its_side_files():
    """They are found without reading the rest."""
    data = recording(binary=SIDE, pieces=[2, 3])
    assert [side.ending for side in decode(data, "x.json").side_files] == [SIDE["ending"]]
    assert endings_in(data) == {SIDE["ending"]}
