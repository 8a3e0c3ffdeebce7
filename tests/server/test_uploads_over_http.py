"""Uploads and answers that are bytes, over HTTP as in Python."""

from __future__ import annotations

import hashlib
import inspect
import io
import json
import random
import time
from typing import Any

import openai
import pytest
from conftest import Reply, cheap, plain, sse
from served import serving_of

from inferencereplay import Session, replay
from inferencereplay.sdk import private
from inferencereplay.server import app
from inferencereplay.server.application import Application
from inferencereplay.server.multipart import Field, File, read_form

WAV = b"RIFF\x00\x00\x00\x00WAVE" + random.Random(1).randbytes(5_000) + b"\r\n--\r\n"
SOUND = random.Random(2).randbytes(300_000)
MP3 = {"content-type": "audio/mpeg"}


def ask(url: str, way: Any, *args: Any, **more: Any) -> Any:
    """Go a way with a client of a server."""
    with openai.OpenAI(api_key="sk-test-0123456789abcdef", base_url=url, max_retries=0, **cheap()) as client:
        return way(client, *args, **more)


def post_form(client: openai.OpenAI, path: str, files: Any, body: Any) -> bytes:
    """Send a form as the SDK's resources do."""
    options: Any = {"headers": {"Content-Type": "multipart/form-data"}}
    made = client.post(path, cast_to=private.http_library(client).Response, files=files, body=body, options=options)
    content: bytes = made.read()
    return content


def transcribe(client: openai.OpenAI, content: bytes = WAV, name: str = "hello wörld.wav", **more: Any) -> Any:
    made = client.audio.transcriptions.create(file=(name, content), model="whisper-1", **more)
    return [item.model_dump() for item in made] if more.get("stream") else made.text


UPLOADS: dict[str, Any] = {
    "a file": transcribe,
    "a list": lambda client: transcribe(
        client, response_format="verbose_json", timestamp_granularities=["word", "segment"]
    ),
    "several files": lambda client: post_form(
        client,
        "/images/edits",
        [("image[]", ("a.png", b"\x89PNG 1")), ("image[]", ("b.png", b"\x89PNG 2"))],
        {"prompt": 'a "fox"\r\n%22'},
    ),
    "a name with quotation marks": lambda client: transcribe(client, name='a"b\\c;d=e.wav'),
    "a type": lambda client: client.files.create(file=("a", io.BytesIO(b"{}"), "application/json"), purpose="batch").id,
    "no file name": lambda client: post_form(
        client, "/parts", [("a", (None, b"text", "text/plain")), ("b", ("b.bin", b""))], {}
    ),
}


if "content" in inspect.signature(openai.OpenAI.post).parameters:
    UPLOADS["content"] = lambda client: client.post(
        "/calls", cast_to=object, content=b"v=0 no JSON", options={"headers": {"Content-Type": "application/sdp"}}
    )


@pytest.fixture
def answers(server: Any) -> Any:
    server.replies = [plain({"text": "hello", "id": "f", "created": 1, "object": "file"}) for _ in range(9)]
    return server


@pytest.mark.parametrize("kind", UPLOADS)
@pytest.mark.parametrize("is_recorded_over_http", [False, True])
def test_an_upload_is_found_whichever_way_it_was_recorded(answers, serve, tmp_path, kind, is_recorded_over_http):
    """By Python and over HTTP, the key is the same; so is the file but for its times."""
    way = UPLOADS[kind]
    if is_recorded_over_http:
        url = serve(tmp_path, mode="record", upstream=answers.url).url
        live = ask(url, way)
    else:
        with replay(tmp_path, mode="record"):
            live = ask(answers.url, way)
    before = answers.count
    served = serve(tmp_path)
    assert ask(served.url, way) == live
    assert (served.count("hits"), served.count("misses")) == (1, 0)
    with replay(tmp_path):
        assert ask("http://127.0.0.1:9", way) == live
    assert answers.count == before
    (file,) = tmp_path.rglob("*.json")
    request = json.loads(file.read_text())["request"]
    assert ("content" if kind == "content" else "form") in request


def test_a_miss_says_which_file_differs(answers, serve, tmp_path):
    with replay(tmp_path, mode="record"):
        ask(answers.url, transcribe)
    with pytest.raises(openai.NotFoundError, match="was not recorded") as caught:
        ask(serve(tmp_path).url, transcribe, WAV[:-1])
    assert f"file.length: {len(WAV)} → {len(WAV) - 1}" in str(caught.value)


def test_the_streamed_events_of_a_transcription(server, serve, tmp_path):
    """A form says `stream=true` as a text."""
    events = [{"type": "transcript.text.delta", "delta": "he"}, {"type": "transcript.text.done", "text": "hello"}]
    server.replies = [sse(*events)]
    files, body = {"file": ("a.wav", WAV)}, {"stream": "true"}
    url = serve(tmp_path, mode="record", upstream=server.url).url
    live = ask(url, post_form, "/audio/transcriptions", files, body)
    (file,) = tmp_path.rglob("*.json")
    assert json.loads(file.read_text())["response"]["chunks"] == events
    assert ask(serve(tmp_path).url, post_form, "/audio/transcriptions", files, body) == live


def test_contents_of_uploads_are_kept(answers, serve, tmp_path):
    """As `keep_uploads` says; they do not count for the key."""
    served = serve(tmp_path, mode="record", upstream=answers.url, keep_uploads=True)
    live = ask(served.url, transcribe)
    (side,) = tmp_path.rglob("*.wav")
    assert side.read_bytes() == WAV
    assert ask(serve(tmp_path).url, transcribe) == live
    ask(served.url, lambda client: client.models.list())
    ask(served.url, lambda client: client.embeddings.create(model="m", input="x", encoding_format="float"))
    assert [file for file in tmp_path.rglob("*.*") if file.suffix != ".json"] == [side]


def test_a_large_upload(answers, serve, tmp_path):
    """It is not read on the event loop, and found with a profile of `match` too."""
    large = WAV * 1_000
    with replay(tmp_path, mode="record"):
        live = ask(answers.url, transcribe, large)
    for options in ({}, {"match": "model"}):
        served = serve(tmp_path, **options)
        assert ask(served.url, transcribe, large) == live
        assert served.count("hits") == 1


FORM = "multipart/form-data; boundary=x"


@pytest.mark.parametrize(
    ("content_type", "body", "reason"),
    [
        ("multipart/form-data", b"--x--", "it names no boundary"),
        (FORM, b"", "it has no end"),
        (FORM, b"--x\r\n", "a part has no headers"),
        (FORM, b"--xy\r\na: b\r\n\r\n\r\n--x--", "a part has no headers"),
        (FORM, b"--x\r\na: b\r\n\r\n\r\n--x--", "a part has no name"),
        (FORM, b'--x\r\ncontent-disposition: form-data; name="a"\r\n\r\n1', "it has no end"),
    ],
)
def test_what_is_no_form(content_type, body, reason):
    with pytest.raises(ValueError, match=reason):
        list(read_form(content_type, body))


def test_forms_of_other_clients():
    """A preamble, white space, other spellings of headers, encoded names, bytes in a field."""
    body = b"\r\n".join(
        [
            b"a preamble",
            b"--x \t",
            b'CONTENT-DISPOSITION: form-data; name="a\\"b"',
            b"",
            b"1\r\n2",
            b"--x",
            b"content-type: text/plain",
            b"content-disposition: form-data; name=file; filename*=UTF-8''%e2%82%ac.txt",
            b"",
            b"",
            b"--x",
            b'content-disposition: form-data; name="%22"',
            b"",
            b"\xff",
            b"--x--",
            b"an end",
        ]
    )
    assert list(read_form("Multipart/Form-Data; Boundary=x", body)) == [
        Field('a"b', "1\r\n2"),
        File("file", "€.txt", {"content-type": "text/plain"}, b""),
        File('"', None, {}, b"\xff"),
    ]


def test_a_torn_form_is_passed_on_and_never_stored(server, serve, tmp_path, caplog):
    """In `replay` it is a miss that says why."""
    served = serve(tmp_path, mode="record", upstream=server.url)
    torn = (b"--x\r\n", {"content_type": FORM})
    assert served.ask("/v1/files", torn[0], **torn[1]).status == 404
    assert [*tmp_path.rglob("*.json")] == []
    assert "POST /files is not recordable and goes to the network: its body is no form" in caplog.text
    answered = serve(tmp_path).ask("/v1/files", torn[0], **torn[1])
    assert (answered.status, answered.error["code"]) == (404, "recording_not_found")
    assert "a part has no headers" in answered.error["message"]


def test_the_same_bytes_with_another_content_type(server, serve, tmp_path):
    """They are another request, also for a server that has read these bytes before."""
    server.replies = [plain({"id": kind}) for kind in "ab"]
    kinds = ["application/sdp", "text/plain"]
    served = serve(tmp_path, mode="record", upstream=server.url)
    live = [served.ask("/v1/calls", b"v=0 no JSON", content_type=kind).content for kind in kinds]
    assert live == [b'{"id": "a"}', b'{"id": "b"}']
    again = serve(tmp_path)
    assert [again.ask("/v1/calls", b"v=0 no JSON", content_type=kind).content for kind in kinds[::-1]] == live[::-1]
    assert again.ask("/v1/calls", b"v=0 no JSON", content_type="text/csv").status == 404
    assert again.ask("/v1/calls", b"v=0 no JSON", content_type="").status == 400


# Answers that are bytes.


def sound(*, pause: float = 0.0, size: int = 100_000) -> Reply:
    pieces = [SOUND[start : start + size] for start in range(0, len(SOUND), size)]
    return Reply(headers=MP3, pieces=[(pause, piece) for piece in pieces])


def speak(client: openai.OpenAI) -> bytes:
    return client.audio.speech.create(model="m", voice="alloy", input="Hi").content


@pytest.mark.parametrize("is_recorded_over_http", [False, True])
@pytest.mark.parametrize("speed", [float("inf"), 1000])
def test_bytes_are_in_a_side_file_and_come_back(server, serve, tmp_path, is_recorded_over_http, speed):
    """Recorded either way, replayed either way, at a pace or at once."""
    server.replies = [sound()]
    if is_recorded_over_http:
        live = ask(serve(tmp_path, mode="record", upstream=server.url).url, speak)
    else:
        with replay(tmp_path, mode="record"):
            live = ask(server.url, speak)
    assert live == SOUND
    (side,) = tmp_path.rglob("*.mp3")
    assert side.read_bytes() == SOUND
    served = serve(tmp_path, speed=speed)
    answered = served.ask("/v1/audio/speech", {"model": "m", "voice": "alloy", "input": "Hi"})
    assert (answered.status, answered.headers["content-length"]) == (200, str(len(SOUND)))
    assert (answered.headers["content-type"], answered.content) == ("audio/mpeg", SOUND)
    assert ask(served.url, speak) == SOUND
    assert served.count("hits") == 2
    with replay(tmp_path, speed=speed):
        assert ask("http://127.0.0.1:9", speak) == SOUND


@pytest.mark.parametrize("size", [1_000, 100_000])
def test_bytes_come_at_their_pace(server, serve, tmp_path, size):
    """Short contents and long ones, in the pieces in which they came."""
    content = SOUND[:size]
    pieces = [content[: size // 2], content[size // 2 :]]
    server.replies = [Reply(headers=MP3, pieces=[(0.05, pieces[0]), (0.4, pieces[1])])]
    served = serve(tmp_path, mode="record", upstream=server.url)
    assert served.ask("/v1/audio/speech", {"model": "m"}).content == content
    with private.default_http_library().stream(
        "POST", f"{serve(tmp_path, speed=1).url}/audio/speech", json={"model": "m"}
    ) as answered:
        times, heard = [], b""
        for piece in answered.iter_raw():
            heard += piece
            times.append((len(heard), time.monotonic()))
    assert heard == content
    first = max(at for count, at in times if count <= size // 2)
    last = times[-1][1]
    assert last - first > 0.2


def test_what_is_bytes_is_told_by_the_client_or_by_the_type(server, serve, tmp_path):
    """JSON that a client takes as bytes keeps its layout; and nothing in bytes ends them."""
    odd = b'{"a":   1}\ndata: [DONE]\n\n{"b": 2}\n'
    json_like = Reply(headers={"content-type": "application/json"}, body=odd)
    png = Reply(headers={"content-type": "image/png"}, pieces=[(0, b"data: [DONE]\n\n"), (0.05, b"\x89PNG")])
    server.replies = [json_like, png]
    served = serve(tmp_path, mode="record", upstream=server.url)
    assert ask(served.url, lambda client: client.files.content("f").content) == odd
    assert served.ask("/v1/pictures", {}).content == b"data: [DONE]\n\n\x89PNG"
    assert served.count("recorded") == 2
    kinds = sorted(side.suffix for side in tmp_path.rglob("*.*") if side.suffix != ".json")
    assert kinds == [".png", ".txt"]
    again = serve(tmp_path)
    assert ask(again.url, lambda client: client.files.content("f").content) == odd
    assert again.ask("/v1/pictures", {}).content == b"data: [DONE]\n\n\x89PNG"


@pytest.mark.parametrize("size", [1_000, 100_000])
def test_a_side_file_that_is_another_one_is_told(server, serve, tmp_path, size):
    """Before anything is sent, with the status of a file that cannot be used."""
    server.replies = [Reply(headers=MP3, body=SOUND[:size])]
    serve(tmp_path, mode="record", upstream=server.url).ask("/v1/audio/speech", {"model": "m"})
    (side,) = tmp_path.rglob("*.mp3")
    side.write_bytes(SOUND[: size - 1] + b"!")
    answered = serve(tmp_path).ask("/v1/audio/speech", {"model": "m"})
    assert (answered.status, answered.error["code"]) == (500, "recording_unusable")
    assert side.name in answered.error["message"]


def test_bytes_of_a_connection_that_broke_break(server, serve, tmp_path):
    """As far as they came."""
    server.replies = [Reply(headers=MP3, body=SOUND, is_cut=True)]
    served = serve(tmp_path, mode="record", upstream=server.url, record_errors=True)
    assert served.ask("/v1/audio/speech", {"model": "m"}).is_broken
    answered = serve(tmp_path).ask("/v1/audio/speech", {"model": "m"})
    assert (answered.content, answered.is_broken) == (SOUND, True)


def test_the_digest_is_that_of_the_file(answers, tmp_path):
    """Whatever the boundary, which differs from call to call."""
    with serving_of(Application(Session(tmp_path, mode="record"), upstream=answers.url)) as served:
        ask(served.url, transcribe)
    with serving_of(app(tmp_path)) as served:
        for _ in range(3):
            assert ask(served.url, transcribe) == "hello"
    (file,) = tmp_path.rglob("*.json")
    assert hashlib.sha256(WAV).hexdigest() in file.read_text()
    assert "boundary" not in file.read_text()
