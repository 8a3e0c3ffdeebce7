"""Audio that goes over a connection: digests and a side file in the recording, the same sounds in replay."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any

import pytest
from sockets import NOBODY, connected, event, frames, recorded, replayed, run, serving
from ways import facts, settle

from inferencereplay import RecordingCorrupt, RecordingNotFound, replay
from inferencereplay.recording.format import decode
from inferencereplay.recording.frames import CLIENT, SERVER, message

KINDS = pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
SOUNDS = [bytes([number]) * 9_000 for number in range(6)]


@pytest.fixture
def sockets():
    """Serve WebSockets on loopback that answer audio with audio."""
    with serving() as served:
        served.talk = _answer
        yield served


def _answer(socket: Any) -> None:
    shared = {"response_id": "r", "item_id": "i", "output_index": 0, "content_index": 0}
    for _ in socket:
        for sound in SOUNDS:
            socket.send(event("response.output_audio.delta", delta=base64.b64encode(sound).decode(), **shared))
        socket.send(event("response.output_audio.delta", delta="no base64!", **shared))
        socket.send(event("response.output_audio_transcript.delta", delta="hello", **shared))
        socket.send(event("response.done", response={"id": "r", "object": "realtime.response"}))


def _talk(sound: bytes) -> Any:
    async def way(client: Any) -> Any:
        async with connected(client) as connection:
            audio = base64.b64encode(sound).decode()
            await settle(connection.send({"type": "input_audio_buffer.append", "audio": audio}))
            heard = []
            while not heard or heard[-1].type != "response.done":
                heard.append(await settle(connection.recv()))
            return facts(heard)

    return way


@KINDS
@pytest.mark.parametrize("keeps", [False, True])
def test_audio_is_in_a_side_file(sockets, tmp_path, is_async, keeps, cli):
    """The server's if it is long in all, the program's if `keep_uploads` asks for it; a replay gives out the same."""
    live = recorded(_talk(b"abc" * 100), sockets, tmp_path, is_async=is_async, keep_uploads=keeps)
    assert replayed(_talk(b"abc" * 100), tmp_path, is_async=is_async) == live
    (file,) = tmp_path.rglob("*.json")
    (side,) = tmp_path.rglob("*.pcm")
    content = (b"abc" * 100 if keeps else b"") + b"".join(SOUNDS)
    assert side.read_bytes() == content
    kept = decode(file.read_bytes(), "").response
    assert (kept.audio.length, kept.audio.sha256) == (len(content), hashlib.sha256(content).hexdigest())
    assert side.name == f"{file.stem}{kept.audio.ending}"
    asked = json.loads(frames(tmp_path)[0].payload)["audio"]
    digest = {"sha256": hashlib.sha256(b"abc" * 100).hexdigest(), "length": 300}
    assert asked == ({**digest, "start": 0} if keeps else digest)
    assert len(file.read_bytes()) < 5_000
    assert cli("check", tmp_path).status == 0
    with pytest.raises(RecordingNotFound, match=r"audio\.sha256: "):
        replayed(_talk(b"abd" * 100), tmp_path, is_async=is_async)


def test_a_recording_that_is_made_again_leaves_no_side_file_behind(sockets, tmp_path, monkeypatch):
    """Nor does one that gets the next number."""
    recorded(_talk(b"a"), sockets, tmp_path, is_async=False)
    recorded(_talk(b"b"), sockets, tmp_path, is_async=False)
    assert len([*tmp_path.rglob("*.pcm")]) == 2
    monkeypatch.setattr("test_connection_audio.SOUNDS", [b"x" * 60_000])
    recorded(_talk(b"a"), sockets, tmp_path, is_async=False)
    sides = {side.name for side in tmp_path.rglob("*.pcm")}
    named = {f"{file.stem}{decode(file.read_bytes(), '').response.audio.ending}" for file in tmp_path.rglob("*.json")}
    assert sides == named
    with replay(tmp_path) as session:
        for sound in (b"b", b"a"):
            run(_talk(sound), NOBODY, is_async=False)
    assert (session.hits, session.unused()) == (2, [])


def test_a_copy_has_the_audio(sockets, tmp_path, cli):
    """Commands that move recordings take their side files along."""
    live = recorded(_talk(b"a"), sockets, tmp_path / "from", is_async=False)
    assert cli("copy", tmp_path / "from", tmp_path / "to").status == 0
    assert replayed(_talk(b"a"), tmp_path / "to", is_async=False) == live


def test_short_audio_of_the_server_stays(sockets, tmp_path, monkeypatch):
    """A side file would be more than it holds."""
    monkeypatch.setattr("test_connection_audio.SOUNDS", [b"x" * 100])
    live = recorded(_talk(b"a"), sockets, tmp_path, is_async=False)
    assert not [*tmp_path.rglob("*.pcm")]
    assert replayed(_talk(b"a"), tmp_path, is_async=False) == live


@pytest.mark.parametrize("damage", ["gone", "other"])
def test_a_damaged_side_file_is_told(sockets, tmp_path, damage):
    """It names the file."""
    recorded(_talk(b"a"), sockets, tmp_path, is_async=False)
    (side,) = tmp_path.rglob("*.pcm")
    if damage == "gone":
        side.unlink()
    else:
        side.write_bytes(side.read_bytes()[:-1] + b"!")
    with pytest.raises(RecordingCorrupt, match=side.name[-12:]):
        replayed(_talk(b"a"), tmp_path, is_async=False)


def test_a_place_behind_the_end_of_the_audio_is_told(sockets, tmp_path):
    """The program would get less sound than the recording says."""
    recorded(_talk(b"a"), sockets, tmp_path, is_async=False)
    (file,) = tmp_path.rglob("*.json")
    text = file.read_text("utf-8")
    file.write_text(text.replace('"start": 45000, "length": 9000', '"start": 45000, "length": 9001'), "utf-8")
    with pytest.raises(RecordingCorrupt, match="its audio ends before 54,001 bytes"):
        replayed(_talk(b"a"), tmp_path, is_async=False)


def test_what_only_looks_like_audio_stays():
    """No Base64, a list, and a text that is there twice."""
    from inferencereplay.recording.format import Response  # noqa: PLC0415 - for this test only
    from inferencereplay.recording.frame_audio import take_out_audio  # noqa: PLC0415 - as above

    text = base64.b64encode(bytes(90_000)).decode()
    sent = [
        (CLIENT, {"audio": "no!"}),
        (CLIENT, ["audio"]),
        (CLIENT, {"audio": 7}),
        (SERVER, {"type": "x.audio.delta", "delta": text, "again": text}),
        (SERVER, {"type": "x.audio.delta", "delta": ""}),
        (SERVER, ["audio", "delta", {"delta": text}]),
    ]
    made = [message(sender, json.dumps(value).encode(), is_binary=False) for sender, value in sent]
    response = Response(101, frames=[*made], end="done")
    take_out_audio(response, keeps_clients=True)
    assert response.audio is None
    assert [json.loads(frame.payload) for frame in response.frames] == [value for _, value in sent]
