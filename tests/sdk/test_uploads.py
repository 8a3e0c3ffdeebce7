"""Uploads: the key is made of fields and digests, the program's files are sent, and a miss says which one differs."""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
import resource
import threading
from typing import Any

import openai
import pytest
from conftest import HAS_RESPONSES, Reply, plain, sse
from ways import DEAD, items, run, settle

from inferencereplay import NotRecordable, RecordingNotFound, Session, replay

TEXT = {"text": "Hello."}
SOUND = b"RIFF\x00\xff" * 50


class Once(io.RawIOBase):
    """A file that cannot be rewound, such as a pipe."""

    def __init__(self, data: bytes, **named: str) -> None:
        self._inner = io.BytesIO(data)
        self.__dict__.update(named)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        return self._inner.readinto(buffer)

    def read(self, size: int = -1) -> bytes:
        return self._inner.read(size)


def transcribing(file: Any, **more: Any) -> Any:
    async def way(client: Any) -> Any:
        made = await settle(client.audio.transcriptions.create(model="whisper-1", file=file, **more))
        return made if isinstance(made, str) else made.text

    return way


def recordings(folder: Any) -> list[dict[str, Any]]:
    return [json.loads(file.read_text()) for file in sorted(folder.rglob("*.json"))]


def _path(folder: Any) -> Any:
    file = folder / "small.wav"
    file.write_bytes(SOUND)
    return file


KINDS = {
    "path": _path,
    "bytes": lambda _: SOUND,
    "tuple": lambda _: ("small.wav", SOUND),
    "typed tuple": lambda _: ("small.wav", SOUND, "audio/x-own"),
    "file": lambda folder: _path(folder).open("rb"),
    "BytesIO": lambda _: io.BytesIO(SOUND),
    "BytesIO, read before": lambda _: _read(io.BytesIO(SOUND)),
    "tuple of a file": lambda _: ("small.wav", io.BytesIO(SOUND)),
    "pipe": lambda _: ("small.wav", Once(SOUND)),
    "bare pipe": lambda _: Once(SOUND),
    "named pipe": lambda _: Once(SOUND, name="/any/small.wav"),
}


def _read(file: Any) -> Any:
    file.read(7)
    return file


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_file_is_sent_recorded_and_replayed(driver, server, tmp_path, kind):
    """What the server gets is what it gets live, the recording has digests, and a replay finds it by them."""
    sent = []
    made = [KINDS[kind](tmp_path) for _ in range(3)]
    server.replies = [plain(TEXT)] * 2
    run(driver, transcribing(made[0], temperature=0.5))
    sent.append(server.requests[-1])
    with replay(tmp_path / "r", mode="record-if-missing"):
        assert run(driver, transcribing(made[1], temperature=0.5)) == "Hello."
    sent.append(server.requests[-1])
    assert len({_without_boundary(body) for *_, body in sent}) == 1
    lengths = {headers.get("Content-Length", headers.get("Transfer-Encoding")) for _, _, headers, _ in sent}
    assert len(lengths) == 1
    assert (lengths == {"chunked"}) == ("pipe" in kind)
    assert SOUND in sent[1][3]
    with replay(tmp_path / "r"):
        assert run(driver, transcribing(made[2], temperature=0.5), base_url=DEAD) == "Hello."
    (recording,) = recordings(tmp_path / "r")
    form = recording["request"]["form"]
    assert (recording["inferencereplay"], "body" in recording["request"]) == (2, False)
    assert (form["model"], form["temperature"]) == ("whisper-1", "0.5")
    assert (form["file"]["length"], form["file"]["sha256"]) == (len(SOUND), hashlib.sha256(SOUND).hexdigest())
    assert form["file"]["filename"] == (
        "small.wav" if kind in ("path", "file", "pipe", "named pipe") or "tuple" in kind else "upload"
    )
    for file in made:
        if isinstance(file, io.IOBase):
            assert file.read() == b"", "it is read to its end, as live"
            file.close()


def _without_boundary(body: bytes) -> bytes:
    return body.replace(body[2:34], b"")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"file": ("a.wav", b"other")}, r"file\.length: 300 → 5\n.*file\.sha256: .* → .*"),
        ({"file": ("b.wav", SOUND)}, r'file\.filename: "a\.wav" → "b\.wav"'),
        ({"file": ("a.wav", SOUND, "audio/own")}, r"file\.content_type"),
        ({"language": "de"}, r'language: absent → "de"'),
        ({"timestamp_granularities": ["word"]}, r'"?timestamp_granularities\[\]"?: absent → "word"'),
    ],
)
def test_a_miss_says_which_file_differs_and_by_what(driver, server, tmp_path, change, told):
    """By name, type, length and digest; fields as in any other body."""
    server.replies = [plain(TEXT)]
    given = {"file": ("a.wav", SOUND)}
    with replay(tmp_path, mode="record"):
        run(driver, transcribing(**given))
    with pytest.raises(RecordingNotFound, match=told), replay(tmp_path):
        run(driver, transcribing(**(given | change)), base_url=DEAD)


def test_a_name_by_chance_can_be_ignored(driver, server, tmp_path):
    """Files from `tempfile` have another name each time; `ignore` and `normalize` see a form as an object."""
    server.replies = [plain(TEXT)]
    options: dict[str, Any] = {"ignore": "file.filename", "normalize": lambda form: {**form, "prompt": ""}}
    with replay(tmp_path, mode="record", **options):
        run(driver, transcribing(("tmp1.wav", SOUND), prompt="a"))
    with replay(tmp_path, **options):
        assert run(driver, transcribing(("tmp2.wav", SOUND), prompt="b"), base_url=DEAD) == "Hello."


def test_several_files_of_one_field(driver, server, tmp_path):
    """They are a list in the order in which they are sent."""
    server.replies = [plain({"created": 1, "data": []})]

    async def way(client: Any) -> Any:
        images = [("a.png", b"\x89PNG"), ("b.png", b"\x89PNG\x00"), ("c.png", b"\x89")]
        return await settle(client.images.edit(image=images if HAS_RESPONSES else images[0], prompt="x"))

    with replay(tmp_path, mode="record"):
        live = run(driver, way)
    with replay(tmp_path):
        assert run(driver, way, base_url=DEAD) == live
    form = recordings(tmp_path)[0]["request"]["form"]
    names = [part["filename"] for part in form["image[]"]] if HAS_RESPONSES else [form["image"]["filename"]]
    assert names == ["a.png", "b.png", "c.png"][: len(names)]


def test_parts_without_a_name_are_fields(driver, server, tmp_path):
    """With a content type, as the SDK sends JSON within a form: their text is shown, if it is one."""
    server.replies = [plain(TEXT)]
    parts = [
        ("session", (None, b'{"type": "realtime"}', "application/json")),
        ("plain", (None, "text")),
        ("raw", (None, b"\xff", "application/x-raw")),
        ("many", (None, "1")),
        ("many", (None, "2")),
        ("many", (None, "3")),
        ("open", (None, io.BytesIO(b"abc"), "text/plain")),
    ]

    async def way(client: Any) -> Any:
        return await settle(client.post("/x", cast_to=object, files=parts, body={"a": [1, True], "b": {"c": None}}))

    with replay(tmp_path, mode="record"):
        live = run(driver, way)
    with replay(tmp_path):
        assert run(driver, way, base_url=DEAD) == live
    form = recordings(tmp_path)[0]["request"]["form"]
    assert form["session"] == {"content_type": "application/json", "text": '{"type": "realtime"}'}
    assert (form["plain"], form["many"]) == ({"text": "text"}, [{"text": "1"}, {"text": "2"}, {"text": "3"}])
    assert (form["raw"]["length"], form["open"]["length"], form["raw"]["content_type"]) == (1, 3, "application/x-raw")


def test_a_file_that_gives_texts(driver, server, tmp_path):
    """The HTTP library encodes them."""

    class Texts:
        def __init__(self) -> None:
            self.left = ["é", "x"]

        def read(self, _: int = -1) -> str:
            return self.left.pop() if self.left else ""

    async def way(client: Any) -> Any:
        return await settle(client.post("/x", cast_to=object, files={"file": ("a.txt", Texts())}))

    server.replies = [plain(TEXT)]
    with replay(tmp_path, mode="record"):
        run(driver, way)
    assert recordings(tmp_path)[0]["request"]["form"]["file"]["length"] == 3
    assert "xé".encode() in server.requests[0][3]


def test_secrets_in_fields_and_names_are_redacted(driver, server, tmp_path):
    """Before hashing, on recording and on replay alike."""
    secret = "sk-proj-0123456789abcdefghijABCDEFGHIJ"
    server.replies = [plain(TEXT)]
    way = transcribing((f"{secret}.wav", SOUND), prompt=f"The key is {secret}.")
    with replay(tmp_path, mode="record"):
        run(driver, way)
    (file,) = tmp_path.rglob("*.json")
    assert secret not in file.read_text()
    with replay(tmp_path):
        assert run(driver, way, base_url=DEAD) == "Hello."


def test_contents_are_kept_on_request(driver, server, tmp_path):
    """In side files beside the recording, without the secrets of a text; they do not count for the key."""
    server.replies = [plain(TEXT)] * 2
    secret = b"api_key=sk-proj-0123456789abcdefghijABCDEFGHIJ"
    with replay(tmp_path, mode="record", keep_uploads=True):
        run(driver, transcribing(("a.wav", SOUND, "audio/wav")))
        run(driver, transcribing(("a.txt", Once(secret))))
    sides = {
        file.suffix: file.read_bytes() for file in tmp_path.rglob("*.*") if file.suffix != ".json" and file.is_file()
    }
    assert sides == {".wav": SOUND, ".bin": b"api_key=[REDACTED]"}
    with replay(tmp_path):
        assert run(driver, transcribing(("a.wav", SOUND, "audio/wav")), base_url=DEAD) == "Hello."
        assert run(driver, transcribing(("a.txt", secret)), base_url=DEAD) == "Hello."


def test_transcriptions_stream(driver, server, tmp_path):
    """Their events come back as any other stream's; older versions of the SDK have none, and read the same answer."""
    server.replies = [
        sse({"type": "transcript.text.delta", "delta": "Hel"}, {"type": "transcript.text.done", "text": "Hel"})
    ]

    async def way(client: Any) -> Any:
        more = {"stream": True} if HAS_RESPONSES else {"extra_body": {"stream": True}}
        made = await settle(client.audio.transcriptions.create(model="m", file=("a.wav", SOUND), **more))
        return type(made), [(type(event), event) for event in await items(made)] if HAS_RESPONSES else str(made)

    with replay(tmp_path, mode="record"):
        live = run(driver, way)
    with replay(tmp_path):
        assert run(driver, way, base_url=DEAD) == live


def test_a_text_in_another_format(driver, server, tmp_path):
    """Subtitles are a `str`."""
    server.replies = [Reply(200, {"content-type": "text/plain; charset=utf-8"}, b"1\n00:00:00 --> 00:00:01\nH\xc3\xa4")]
    way = transcribing(("a.wav", SOUND), response_format="srt")
    with replay(tmp_path, mode="record"):
        live = run(driver, way)
    with replay(tmp_path):
        assert run(driver, way, base_url=DEAD) == live
    assert live.endswith("Hä")


def test_the_last_of_several_attempts_is_recorded(driver, server, tmp_path):
    """The SDK sends the file once more; its content is read for the key once."""
    server.replies = [plain({}, 500), plain(TEXT)]
    with replay(tmp_path, mode="record") as session:
        assert run(driver, transcribing(io.BytesIO(SOUND)), max_retries=1) == "Hello."
    assert (session.calls[0].attempts, session.recorded) == (2, 1)
    assert [SOUND in body for *_, body in server.requests] == [True, True]


def test_what_cannot_be_sent_is_the_same_error(driver, server, tmp_path):
    """A text file is refused by the HTTP library, live, while recording and in replay."""
    for options in ({"mode": "live"}, {"mode": "record"}, {}):
        with replay(tmp_path, **options), pytest.raises(TypeError, match="StringIO"):
            run(driver, transcribing(("a.txt", io.StringIO("x"))))
    assert server.count == 0


def test_what_fails_while_it_is_sent_is_the_same_error(driver, server, tmp_path):
    """What the HTTP library cannot read is an error of its own, or of the SDK, from version to version."""

    def failed(**options: Any) -> Any:
        with replay(tmp_path, **options), pytest.raises(Exception, match=r".") as caught:
            run(driver, transcribing(("a.wav", (part for part in [b"RIFF"]))), max_retries=0)
        error = caught.value
        return type(error), str(error), type(error.__cause__), str(error.__cause__)

    live = failed(mode="live")
    assert failed(mode="record") == failed() == live
    assert server.count == 0


@pytest.mark.filterwarnings("ignore:Passing raw bytes:DeprecationWarning")
def test_other_content_is_told_by_its_digest(driver, server, tmp_path):
    """A body of bytes, as WebRTC's session description; content that can be read only once is refused by name."""
    answer = Reply(201, {"content-type": "application/sdp", "location": "/v1/realtime/calls/1"}, b"v=0\r\n")
    server.replies = [answer]

    async def way(client: Any, content: Any = b"v=0\r\no=x") -> Any:
        options = {"headers": {"Content-Type": "application/sdp"}}
        return await settle(client.post("/realtime/calls", body=content, cast_to=str, options=options))

    if not HAS_RESPONSES:  # older versions of the SDK cannot send it
        with replay(tmp_path, mode="record"), pytest.raises(TypeError):
            run(driver, way)
        return
    with replay(tmp_path, mode="record"):
        live = run(driver, way)
    with replay(tmp_path):
        assert run(driver, way, base_url=DEAD) == live == "v=0\r\n"
    content = recordings(tmp_path)[0]["request"]["content"]
    assert content == {
        "content_type": "application/sdp",
        "length": 8,
        "sha256": hashlib.sha256(b"v=0\r\no=x").hexdigest(),
    }
    if "content" in openai._models.FinalRequestOptions.model_fields:  # newer versions of the SDK
        once = {"method": "post", "url": "/x", "content": iter([b"x"])}
        options = openai._models.FinalRequestOptions.construct(**once)
        with pytest.raises(NotRecordable, match="its content is an object of the type"), replay(tmp_path):
            run(driver, lambda client: client.request(str, options), base_url=DEAD)
    with pytest.raises(RecordingNotFound, match="length: 8 → 3"), replay(tmp_path):
        run(driver, lambda client: way(client, b"v=1"), base_url=DEAD)


def test_the_event_loop_runs_while_a_file_is_read(server, tmp_path):
    """A slow file is read in a thread."""
    server.replies = [plain(TEXT)]
    seen = []

    class Slow(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            seen.append(threading.current_thread() is threading.main_thread())
            return super().read(size)

    async def main() -> None:
        async with openai.AsyncOpenAI(api_key="none", base_url=DEAD) as client:
            with pytest.raises(RecordingNotFound), replay(tmp_path):
                await client.audio.transcriptions.create(model="m", file=("a.wav", Slow(SOUND)))

    asyncio.run(main())
    assert seen
    assert not any(seen)


def test_a_large_file_takes_no_memory(tmp_path):
    """It is read in blocks."""

    class Zeros(io.RawIOBase):
        left = 200 * 1024 * 1024

        def read(self, size: int = -1) -> bytes:
            size = min(size, self.left)
            self.left -= size
            return bytes(size)

        def seek(self, *_: Any) -> int:
            return 0

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with openai.OpenAI(api_key="none", base_url=DEAD) as client:
        with pytest.raises(RecordingNotFound, match="transcriptions"), replay(Session(tmp_path, mode="replay")):
            client.audio.transcriptions.create(model="m", file=("a.wav", Zeros()))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 60 * 1024
