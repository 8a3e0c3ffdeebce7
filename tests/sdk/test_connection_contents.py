"""What is in the frames of a connection beside ordinary JSON: secrets in bytes and sounds, and very deep brackets."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from sockets import KEY, connected, event, frames, recorded, replayed, serving
from ways import settle

from inferencereplay import RecordingNotFound
from inferencereplay.recording.format import decode

KINDS = pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
TOKEN = "sk-proj-" + "a1B2c3D4e5F6" * 4
SECRETS = {
    "no text": b"\xff key " + TOKEN.encode(),
    "the client's key": b"\xff" + KEY.encode(),
    "UTF-16": f"schlüssel {TOKEN}".encode("utf-16-le"),
    "UTF-16 that is UTF-8 as well": f"key {TOKEN}".encode("utf-16-be"),
    "text": f"no json {TOKEN}".encode(),
    "deep": b"[" * 200 + f'"{TOKEN}"'.encode() + b"]" * 200,
}


@pytest.fixture
def sockets():
    """Serve WebSockets on loopback that answer with the length of what was sent."""
    with serving() as served:
        served.talk = _measure
        yield served


def _measure(socket: Any) -> None:
    for message in socket:
        socket.send(str(len(message)))


def _say(payload: str | bytes) -> Any:
    async def way(client: Any) -> Any:
        async with connected(client) as connection:
            await settle(connection._connection.send(payload))
            return await settle(connection.recv_bytes())

    return way


@KINDS
@pytest.mark.parametrize("kind", SECRETS)
def test_no_secret_of_the_program_is_written(sockets, tmp_path, is_async, kind, cli):
    """Whatever its message is; in replay it is the same one, also with another secret in that place."""
    payload = SECRETS[kind]
    live = recorded(_say(payload), sockets, tmp_path, is_async=is_async)
    (file,) = tmp_path.rglob("*.json")
    sent = frames(tmp_path)[0].payload
    for secret in (TOKEN, KEY):
        for encoding in ("utf-8", "utf-16-le", "utf-16-be"):
            assert secret.encode(encoding) not in sent
    assert KEY.encode() not in file.read_bytes()
    assert replayed(_say(payload), tmp_path, is_async=is_async) == live
    assert cli("check", tmp_path).status == 0
    if kind != "the client's key":
        other = payload.replace(b"F", b"8")
        assert other != payload
        assert replayed(_say(other), tmp_path, is_async=is_async) == live
    with pytest.raises(RecordingNotFound, match="bytes of SHA-256"):
        replayed(_say(payload[:-1] + b"\xfe"), tmp_path, is_async=is_async)


@KINDS
def test_a_digest_of_a_secret_is_not_told(sockets, tmp_path, is_async):
    """A miss tells the digest of a message as it would be recorded."""
    recorded(_say(b"\xff a"), sockets, tmp_path, is_async=is_async)
    told = []
    for secret in (TOKEN, TOKEN.replace("F", "8")):
        with pytest.raises(RecordingNotFound, match="bytes of SHA-256") as caught:
            replayed(_say(b"\xff " + secret.encode()), tmp_path, is_async=is_async)
        told.append(str(caught.value).split("SHA-256")[-1])
    assert told[0] == told[1]


def _sounds(*texts: str) -> Any:
    def talk(socket: Any) -> None:
        socket.recv()
        shared = {"response_id": "r", "item_id": "i", "output_index": 0, "content_index": 0}
        for text in texts:
            socket.send(event("response.output_audio.delta", delta=base64.b64encode(text.encode()).decode(), **shared))
        socket.send(event("response.done", response={"id": "r", "object": "realtime.response"}))

    return talk


async def _listen(client: Any) -> Any:
    heard = []
    async with connected(client) as connection:
        audio = base64.b64encode(f"what I say: {TOKEN}!".encode()).decode()
        await settle(connection.send({"type": "input_audio_buffer.append", "audio": audio}))
        while not heard or heard[-1]["type"] != "response.done":
            heard.append(json.loads(await settle(connection.recv_bytes())))
    return [base64.b64decode(item["delta"]) for item in heard[:-1]]


@KINDS
def test_text_in_the_place_of_sounds_is_redacted(sockets, tmp_path, is_async, cli):
    """Each part keeps its place; a secret that is shorter than its substitute too."""
    parts = "word " * 10_000, f"key: {TOKEN}.", f"schlüßel: passwört123 {KEY}", "word " * 10_000
    sockets.talk = _sounds(*parts)
    recorded(_listen, sockets, tmp_path, is_async=is_async, keep_uploads=True, redact=["passwört123", "what"])
    (side,) = tmp_path.rglob("*.pcm")
    content = side.read_bytes()
    assert TOKEN.encode() not in content
    assert KEY.encode() not in content
    heard = replayed(_listen, tmp_path, is_async=is_async)
    width = len(TOKEN)
    assert heard == [
        parts[0].encode(),
        b"key: " + b"[REDACTED]".ljust(width) + b".",
        "schlüßel: ".encode() + b"[REDACTED]".ljust(12) + b" " + b"[REDACTED]".ljust(len(KEY)),
        parts[3].encode(),
    ]
    assert content.startswith(b"[RED I say: [REDACTED]")
    assert cli("check", tmp_path).status == 0


@KINDS
def test_transcripts_beside_sounds_are_redacted(sockets, tmp_path, is_async):
    """A piece of a transcript may look like Base64; it stays where secrets are looked for."""
    pieces = [TOKEN[start : start + 8] for start in range(0, len(TOKEN), 8)]
    assert len(pieces[1]) == 8
    shared = {"response_id": "r", "item_id": "i", "output_index": 0, "content_index": 0}

    def talk(socket: Any) -> None:
        socket.recv()
        sound = base64.b64encode(bytes(90_000)).decode()
        socket.send(event("response.output_audio.delta", delta=sound, **shared))
        for piece in pieces:
            socket.send(event("response.output_audio_transcript.delta", delta=piece, **shared))
        socket.send(event("response.done", response={"id": "r", "object": "realtime.response"}))

    async def way(client: Any) -> Any:
        heard = []
        async with connected(client) as connection:
            await settle(connection.send({"type": "response.create"}))
            while not heard or heard[-1]["type"] != "response.done":
                heard.append(json.loads(await settle(connection.recv_bytes())))
        return heard

    sockets.talk = talk
    recorded(way, sockets, tmp_path, is_async=is_async)
    texts = [json.loads(item.payload)["delta"] for item in frames(tmp_path) if b"transcript" in item.payload]
    assert "".join(texts) == "[REDACTED]"
    (side,) = tmp_path.rglob("*.pcm")
    assert side.read_bytes() == bytes(90_000)
    assert replayed(way, tmp_path, is_async=is_async)[0]["delta"] == base64.b64encode(bytes(90_000)).decode()


DEPTHS = [90, 150, 400, 2_000, 100_000]


@KINDS
@pytest.mark.parametrize("depth", DEPTHS)
def test_brackets_of_any_depth(sockets, tmp_path, is_async, depth, cli):
    """Recorded as they are and compared; what differs is a miss, and never an error of Python's."""

    def deep(inside: str) -> str:
        return '{"type": "x", "a": ' + "[" * depth + inside + "]" * depth + "}"

    sockets.talk = lambda socket: [socket.send(message) for message in socket]
    live = recorded(_say(deep("1")), sockets, tmp_path, is_async=is_async)
    assert live == deep("1").encode()
    assert replayed(_say(deep("1")), tmp_path, is_async=is_async) == live
    with pytest.raises(RecordingNotFound, match=r"the program's message 1, .* is not frame 1"):
        replayed(_say(deep("2")), tmp_path, is_async=is_async)
    (file,) = tmp_path.rglob("*.json")
    assert decode(file.read_bytes(), "").response.frames[0].text == (deep("1") if depth >= 100 else None)
    for command in ("check", "list", "stats"):
        assert cli(command, tmp_path).status == 0
    assert cli("show", file).status == cli("diff", file, file).status == 0
