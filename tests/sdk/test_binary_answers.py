"""Answers that are bytes: their content is in a side file, and comes back in every way of the SDK."""

from __future__ import annotations

import gzip
import json
import os
import random
import resource
import threading
import zlib
from typing import Any

import openai
import pytest
from conftest import Reply, plain
from ways import DEAD, entered, items, run, settle

from inferencereplay import IncompleteRecording, RecordingCorrupt, VirtualClock, replay
from inferencereplay.recording.format import Response
from inferencereplay.sdk.bytes_capture import BytesCapture


class Lazily(list):  # type: ignore[type-arg]
    """Pieces that are made when they are sent."""

    def __init__(self, make: Any) -> None:
        super().__init__([None])
        self._make = make

    def __iter__(self) -> Any:
        return iter(self._make())


SOUND = random.Random(1).randbytes(300_000)
PIECES = [SOUND[:1000], SOUND[1000:200_000], SOUND[200_000:]]
ASK: dict[str, Any] = {"model": "tts-1", "voice": "alloy", "input": "Hi"}


def sound(pause: float = 0.0, **headers: str) -> Reply:
    """Return an answer in pieces."""
    return Reply(headers={"content-type": "audio/mpeg", **headers}, pieces=[(pause, piece) for piece in PIECES])


async def content(client: Any) -> Any:
    made = await settle(client.audio.speech.create(**ASK))
    return type(made), made.content, made.read(), made.response.headers["content-type"]


async def read(client: Any) -> Any:
    made = await settle(client.audio.speech.create(**ASK))
    return (
        await made.aread() if hasattr(client.audio.speech.create, "__wrapped__") and _is_async(client) else made.read()
    )


def _is_async(client: Any) -> bool:
    return isinstance(client, openai.AsyncOpenAI)


async def in_parts(client: Any) -> Any:
    made = await settle(client.audio.speech.create(**ASK))
    parts = await made.aiter_bytes(100_000) if _is_async(client) else made.iter_bytes(100_000)
    return [len(part) for part in await items(parts)]


async def to_file(client: Any, folder: Any) -> Any:
    made = await settle(client.audio.speech.create(**ASK))
    made.write_to_file(folder / "written")
    return (folder / "written").read_bytes() == SOUND


async def raw(client: Any) -> Any:
    made = await settle(client.audio.speech.with_raw_response.create(**ASK))
    return type(made), made.content, made.http_response.num_bytes_downloaded, made.parse().content


async def streaming(client: Any) -> Any:
    async with entered(client.audio.speech.with_streaming_response.create(**ASK)) as made:
        return type(made), made.headers["content-type"], b"".join(await items(made.iter_bytes()))


async def streaming_in_parts(client: Any) -> Any:
    async with entered(client.audio.speech.with_streaming_response.create(**ASK)) as made:
        return [len(part) for part in await items(made.iter_bytes(70_000))]


async def streaming_read(client: Any) -> Any:
    async with entered(client.audio.speech.with_streaming_response.create(**ASK)) as made:
        return await settle(made.read())


async def streaming_to_file(client: Any, folder: Any) -> Any:
    async with entered(client.audio.speech.with_streaming_response.create(**ASK)) as made:
        await settle(made.stream_to_file(folder / "streamed"))
    return (folder / "streamed").read_bytes() == SOUND


WAYS = [content, read, in_parts, to_file, raw, streaming, streaming_in_parts, streaming_read, streaming_to_file]


def _going(way: Any, folder: Any) -> Any:
    return (lambda client: way(client, folder)) if "file" in way.__name__ else way


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
@pytest.mark.parametrize("encoding", ["identity", "gzip"])
def test_every_way_gives_the_same_live_recorded_and_replayed(driver, server, tmp_path, way, encoding):
    """Compressed or not; the bytes are beside the recording, which names them."""
    go = _going(way, tmp_path)
    data = SOUND if encoding == "identity" else gzip.compress(SOUND, mtime=0)
    reply = Reply(headers={"content-type": "audio/mpeg", "content-encoding": encoding}, body=data)
    server.replies = [reply, reply]
    live = run(driver, go)
    with replay(tmp_path / "r", mode="record"):
        assert run(driver, go) == live
    with replay(tmp_path / "r"):
        assert run(driver, go, base_url=DEAD) == live
    (side,) = (tmp_path / "r").rglob("*.mp3")
    assert side.read_bytes() == SOUND
    (file,) = (tmp_path / "r").rglob("*.json")
    recording = json.loads(file.read_text())
    assert (recording["inferencereplay"], file.stem + recording["response"]["binary"]["ending"]) == (2, side.name)


async def sent(client: Any) -> Any:
    """Return the request of a response that was not read before; the server's address is another in replay."""
    async with entered(client.audio.speech.with_streaming_response.create(**ASK)) as made:
        request = made.http_response.request
    return request.content, sorted(name for name in request.headers), request.headers["accept"]


def test_the_request_behind_a_streaming_response(driver, server, tmp_path):
    """It is what was sent, with its content and its headers; the class that the SDK notes among these is not sent."""
    server.replies = [sound(), sound()]
    live = run(driver, sent)
    assert b"tts-1" in live[0]
    with replay(tmp_path, mode="record"):
        assert run(driver, sent) == live
    with replay(tmp_path):
        assert run(driver, sent, base_url=DEAD) == live


@pytest.mark.parametrize("other", [content, streaming])
@pytest.mark.parametrize("way", [content, streaming])
def test_one_way_replays_what_another_recorded(driver, server, tmp_path, way, other):
    """The request is the same."""
    server.replies = [sound()]
    with replay(tmp_path, mode="record"):
        assert SOUND in run(driver, way)
    with replay(tmp_path):
        assert SOUND in run(driver, other, base_url=DEAD)


def test_pieces_come_when_they_came(driver, server, tmp_path):
    """A stream of bytes keeps its pace, and the sizes of its pieces."""
    server.replies = [sound(pause=0.05)]

    async def way(client: Any) -> Any:
        async with entered(client.audio.speech.with_streaming_response.create(**ASK)) as made:
            return [len(part) for part in await items(made.iter_bytes())]

    with replay(tmp_path, mode="record"):
        live = run(driver, way)
    response = json.loads(next(tmp_path.rglob("*.json")).read_text())["response"]
    assert (response["pieces"], sum(live)) == (live, len(SOUND))
    assert response["offsets"] == sorted(response["offsets"])
    assert response["offsets"][-1] - response["offsets"][0] >= 0.08
    clock = VirtualClock()
    with replay(tmp_path, speed=1, clock=clock):
        assert run(driver, way, base_url=DEAD) == live
    assert clock.time == pytest.approx(response["offsets"][-1])
    with replay(tmp_path, speed=1, clock=(clock := VirtualClock())):
        run(driver, content, base_url=DEAD)
    assert clock.time == pytest.approx(response["offsets"][-1])


def test_the_first_piece_is_not_delayed(driver, server, tmp_path):
    """While recording, each piece is handed on before the next one comes."""
    go_on = threading.Event()

    class Waiting(list):  # type: ignore[type-arg]
        def __iter__(self) -> Any:
            yield 0.0, PIECES[0]
            assert go_on.wait(20)
            yield 0.0, PIECES[1]

    server.replies = [Reply(headers={"content-type": "audio/mpeg"}, pieces=Waiting([None]))]

    async def way(client: Any) -> Any:
        async with entered(client.audio.speech.with_streaming_response.create(**ASK)) as made:
            sizes = []
            parts = made.iter_bytes()
            if hasattr(parts, "__aiter__"):
                async for part in parts:
                    sizes.append(len(part))
                    go_on.set()
            else:
                for part in parts:
                    sizes.append(len(part))
                    go_on.set()
            return sum(sizes)

    with replay(tmp_path, mode="record"):
        assert run(driver, way) == 200_000


def test_a_stream_that_is_left_is_never_taken_for_a_whole_one(driver, server, tmp_path, cli):
    """Its side file has what had come; a replay gives out as much, also at its pace; a whole one takes its place."""
    server.replies = [sound(pause=0.05), sound()]

    async def way(client: Any) -> Any:
        async with entered(client.audio.speech.with_streaming_response.create(**ASK)) as made:
            parts = made.iter_bytes()
            return await parts.__anext__() if hasattr(parts, "__anext__") else next(parts)

    with replay(tmp_path, mode="record"):
        live = run(driver, way)
    (side,) = tmp_path.rglob("*.mp3")
    assert side.read_bytes() == live == SOUND[: len(live)]
    assert cli("check", tmp_path).status == 0
    for options in ({}, {"speed": 1, "clock": VirtualClock()}):
        with replay(tmp_path, **options) as session:
            assert run(driver, way, base_url=DEAD) == live
        assert (session.hits, session.misses) == (1, 0)
    with pytest.raises(IncompleteRecording, match=f"ends after {len(live)} bytes"), replay(tmp_path):
        run(driver, content, base_url=DEAD)
    with replay(tmp_path, mode="record-if-missing"):
        assert SOUND in run(driver, content)
    assert len(list(tmp_path.rglob("*.mp3"))) == 1


def test_a_stream_that_is_left_unread_has_no_content(driver, server, tmp_path):
    """Nothing had come."""
    server.replies = [sound(pause=0.2)]

    async def way(client: Any) -> Any:
        async with entered(client.audio.speech.with_streaming_response.create(**ASK)) as made:
            return made.headers["content-type"]

    with replay(tmp_path, mode="record"):
        live = run(driver, way)
    assert list(tmp_path.rglob("*.mp3")) == []
    with replay(tmp_path):
        assert run(driver, way, base_url=DEAD) == live


def test_a_cut_connection_comes_back(driver, server, tmp_path):
    """With what had come before, if such errors are stored."""
    server.replies = [Reply(headers={"content-type": "audio/mpeg"}, pieces=[(0, PIECES[0])], is_cut=True)] * 2

    async def way(client: Any) -> Any:
        got, error = b"", None
        async with entered(client.audio.speech.with_streaming_response.create(**ASK)) as made:
            parts = made.iter_bytes()
            try:
                if hasattr(parts, "__aiter__"):
                    async for part in parts:
                        got += part
                else:
                    for part in parts:
                        got += part
            except Exception as broken:  # noqa: BLE001 - the HTTP library's, or the SDK's
                error = type(broken), str(broken)
        return got, error

    with replay(tmp_path, mode="record"):
        live = run(driver, way)
    assert list(tmp_path.rglob("*.*")) == []
    with replay(tmp_path, mode="record", record_errors=True):
        assert run(driver, way) == live
    with replay(tmp_path):
        assert run(driver, way, base_url=DEAD) == live
    assert live[0] == PIECES[0]


@pytest.mark.parametrize("change", ["gone", "torn", "exchanged", "longer", "a folder", "a link"])
@pytest.mark.parametrize("way", [content, streaming])
def test_a_torn_or_exchanged_side_file_is_corrupt(driver, server, tmp_path, change, way):
    """It is an error that names it, never an answer."""
    server.replies = [sound()]
    with replay(tmp_path, mode="record"):
        run(driver, way)
    (side,) = tmp_path.rglob("*.mp3")
    data = side.read_bytes()
    side.unlink()
    if change == "a folder":
        side.mkdir()
    elif change == "a link":
        (tmp_path / "elsewhere").write_bytes(data)
        side.symlink_to(tmp_path / "elsewhere")
    elif change != "gone":
        changed = {"torn": data[:-1], "exchanged": b"x" + data[1:], "longer": data + b"x"}
        side.write_bytes(changed[change])
    with pytest.raises(Exception, match=side.name.replace(".", r"\.")) as caught, replay(tmp_path):
        run(driver, way, base_url=DEAD)
    assert change in ("a link", "a folder") or isinstance(caught.value, RecordingCorrupt)


def test_a_change_between_two_replays_is_seen(client, server, tmp_path):
    """The content is compared once for as long as the file stays as it is."""
    server.replies = [sound()]
    with replay(tmp_path, mode="record"):
        client.audio.speech.create(**ASK)
    (side,) = tmp_path.rglob("*.mp3")
    os.utime(side, (1, 1))
    with replay(tmp_path):
        for _ in range(2):
            assert client.audio.speech.create(**ASK).content == SOUND
    side.write_bytes(SOUND[::-1])
    with pytest.raises(RecordingCorrupt, match="SHA-256"), replay(tmp_path):
        client.audio.speech.create(**ASK)


def test_texts_among_bytes_have_no_secrets(driver, server, tmp_path):
    """The result of a batch is redacted as everything else is; other content is as it was sent."""
    line = b'{"id": "1", "key": "sk-proj-0123456789abcdefghijABCDEFGHIJ"}\n'
    server.replies = [Reply(headers={"content-type": "application/jsonl"}, body=line * 3)] * 2

    async def way(client: Any) -> Any:
        return (await settle(client.files.content("file-1"))).content

    async def streamed(client: Any) -> Any:
        async with entered(client.files.with_streaming_response.content("file-1")) as made:
            return await settle(made.read())

    for made in (way, streamed):
        with replay(tmp_path, mode="record"):
            assert run(driver, made) == line * 3
        with replay(tmp_path):
            text = run(driver, made, base_url=DEAD)
        assert text == line.replace(b"sk-proj-0123456789abcdefghijABCDEFGHIJ", b"[REDACTED]") * 3
        (side,) = tmp_path.rglob("*.jsonl")
        assert b"sk-proj" not in side.read_bytes()


def test_variants_and_their_side_files(driver, server, tmp_path):
    """Each variant has its own; what is recorded anew leaves nothing of the old ones."""
    replies = [
        Reply(headers={"content-type": "audio/wav"}, body=bytes([number]) * 100) for number in range(255, 251, -1)
    ]
    server.replies = replies[:3]

    async def way(client: Any) -> Any:
        return (await settle(client.audio.speech.create(**ASK))).content[:1]

    with replay(tmp_path, mode="record"):
        for _ in range(3):
            run(driver, way)
    with replay(tmp_path):
        assert [run(driver, way, base_url=DEAD) for _ in range(3)] == [b"\xff", b"\xfe", b"\xfd"]
    assert len(list(tmp_path.rglob("*.wav"))) == 3
    server.replies = replies[3:]
    with replay(tmp_path, mode="record"):
        run(driver, way)
    assert [file.read_bytes()[:1] for file in tmp_path.rglob("*.wav")] == [b"\xfc"]


def test_an_empty_answer_has_no_side_file(driver, server, tmp_path):
    """There is nothing to keep."""
    server.replies = [Reply(headers={"content-type": "audio/mpeg"}, body=b"")] * 2
    for way in (read, streaming_read):
        with replay(tmp_path, mode="record"):
            assert run(driver, way) == b""
        with replay(tmp_path):
            assert run(driver, way, base_url=DEAD) == b""
    assert list(tmp_path.rglob("*.mp3")) == []


def test_an_error_instead_of_bytes(driver, server, tmp_path):
    """It is what it is of any other call."""
    server.replies = [plain({"error": {"message": "no"}}, 400)] * 2
    for way in (read, streaming_read):
        for mode in ("record", "replay"):
            with replay(tmp_path, mode=mode), pytest.raises(openai.BadRequestError, match="no"):
                run(driver, way)


def test_many_small_pieces_are_told_together(server, client, tmp_path, monkeypatch):
    """Of more pieces than a person would look at, neighbours are one."""
    monkeypatch.setattr("inferencereplay.sdk.bytes_capture.MOST_PIECES", 4)
    pieces = [(0.001, bytes([128 + number] * 10)) for number in range(11)]
    server.replies = [Reply(headers={"content-type": "audio/pcm"}, pieces=pieces)]
    with replay(tmp_path, mode="record"), client.audio.speech.with_streaming_response.create(**ASK) as made:
        live = made.read()
    response = json.loads(next(tmp_path.rglob("*.json")).read_text())["response"]
    assert len(response["pieces"]) == len(response["offsets"]) <= 4
    assert sum(response["pieces"]) == 110
    with replay(tmp_path), client.audio.speech.with_streaming_response.create(**ASK) as made:
        assert made.read() == live


def test_small_pieces_are_read_together(driver, server, tmp_path, monkeypatch):
    """As many as are held in memory at once; empty ones are none."""
    monkeypatch.setattr("inferencereplay.sdk.file_pieces.AT_ONCE", 150_000)
    server.replies = [sound()]
    with replay(tmp_path, mode="record"):
        live = run(driver, streaming)
    with replay(tmp_path):
        assert run(driver, streaming, base_url=DEAD) == live
    taken = BytesCapture(kept := Response())
    taken.take([(0.1, b""), (0.2, b"\xff")])
    taken.finish()
    assert (kept.offsets, kept.pieces) == ([0.2], [1])


@pytest.mark.slow
@pytest.mark.parametrize("encoding", ["identity", "gzip"])
def test_200_megabytes_take_no_memory(server, client, tmp_path, encoding):
    """Neither while they are recorded nor in a replay, compressed or not."""
    block = random.Random(1).randbytes(1024 * 1024)
    packed = zlib.compressobj(0, wbits=31)

    def sent() -> Any:
        for _ in range(200):
            data = block if encoding == "identity" else packed.compress(block)
            if data:
                yield 0.0, data
        if encoding == "gzip":
            yield 0.0, packed.flush()

    pieces = Lazily(sent)
    server.replies = [Reply(headers={"content-type": "video/mp4", "content-encoding": encoding}, pieces=pieces)]
    seen, peaks = [], []
    for mode in ("record", "replay"):
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        with replay(tmp_path, mode=mode), client.audio.speech.with_streaming_response.create(**ASK) as made:
            total = checked = 0
            for part in made.iter_bytes():
                total += len(part)
                checked = zlib.crc32(part, checked)
        peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
        seen.append((total, checked))
    assert seen[0] == seen[1]
    assert seen[0][0] == 200 * 1024 * 1024
    assert max(peaks) < 100 * 1024
