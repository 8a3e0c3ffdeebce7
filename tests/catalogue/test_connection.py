"""A WebSocket connection as a conversation."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from inferencereplay.catalogue.conversation import CONNECTION, read_conversation, read_tokens
from inferencereplay.recording.format import RecordedRequest, Recording, Response, encode
from inferencereplay.recording.frames import CLIENT, SERVER, Frame, message
from inferencereplay.recording.request import Request

REQUEST = Request("WEBSOCKET", "/realtime", b"null", {"model": "gpt-realtime"})


def client(**event: Any) -> Frame:
    return message(CLIENT, json.dumps(event).encode(), is_binary=False)


def server(**event: Any) -> Frame:
    return message(SERVER, json.dumps({"event_id": "e", **event}).encode(), is_binary=False)


def say(text: str) -> Frame:
    content = [{"type": "input_text", "text": text}]
    return client(type="conversation.item.create", item={"type": "message", "role": "user", "content": content})


def delta(text: str, kind: str = "response.output_text.delta", **more: Any) -> Frame:
    return server(type=kind, delta=text, output_index=0, **more)


USAGE = {"input_tokens": 10, "output_tokens": 5, "total_tokens": 15}
TALK = [
    server(type="session.created", session={"id": "s"}),
    client(type="session.update", event_id="1", session={"instructions": "Be kind.", "voice": "alloy"}),
    client(type="input_audio_buffer.append", audio={"sha256": "00", "length": 300}),
    client(type="input_audio_buffer.append", audio={"sha256": "01", "length": 300}),
    say("What is the capital of France?"),
    client(type="response.create"),
    delta("Pa"),
    delta("ris."),
    server(type="response.done", response={"status": "completed", "usage": USAGE}),
    say("And of Spain?"),
    client(type="response.create", response={"tools": [{"type": "function", "name": "look"}]}),
    delta("{}", "response.function_call_arguments.delta"),
    server(
        type="response.done",
        response={
            "status": "completed",
            "usage": USAGE,
            "output": [{"type": "function_call", "name": "look", "arguments": "{}", "call_id": "c"}],
        },
    ),
    server(type="error", error={"message": "oh no"}),
    message(SERVER, b"no json", is_binary=False),
    client(type="response.create", input="Plain?"),
    client(type="input_audio_buffer.append", audio={"sha256": "01", "length": 100}),
    delta(""),
    server(type="response.done", response={"status": "cancelled"}),
    Frame(CLIENT, close=1000),
    Frame(SERVER, close=1000),
]


def make(frames: list[Frame], **more: Any) -> Recording:
    held = RecordedRequest(REQUEST.method, REQUEST.path, msgspec.Raw(REQUEST.body), REQUEST.query)
    offsets = [0.1 * index for index in range(len(frames))]
    return Recording(1, REQUEST.key, held, Response(101, end="done", offsets=offsets, frames=frames, **more))


@pytest.fixture
def shelf(tmp_path):
    """A directory with the connection."""
    folder = tmp_path / "realtime"
    folder.mkdir()
    (folder / f"{REQUEST.key[:32]}.json").write_bytes(encode(make(TALK)))
    return tmp_path


def test_both_sides_in_turn():
    """What the program said, and an answer for each response."""
    talk = read_conversation(make(TALK))
    assert (talk.kind, talk.model, talk.error) == (CONNECTION, "gpt-realtime", "oh no")
    assert [(item.role, item.text) for item in talk.messages] == [
        ("system", "Be kind."),
        ("user", "600 bytes"),
        ("user", "What is the capital of France?"),
        ("user", "And of Spain?"),
        ("user", "Plain?"),
        ("user", "100 bytes"),
    ]
    assert [(item.number, item.message.text, item.finish_reason) for item in talk.choices] == [
        (0, "Paris.", "completed"),
        (1, "", "completed"),
    ]
    assert talk.choices[1].message.tool_calls == (("c", "look", "{}"),)
    assert [(piece.chunk, piece.choice, piece.kind, piece.text) for piece in talk.pieces] == [
        (6, 0, "text", "Pa"),
        (7, 0, "text", "ris."),
        (11, 1, "tool_call", "{}"),
    ]
    assert talk.settings == {"voice": "alloy"}
    assert [tool.name for tool in talk.tools] == ["look"]
    assert (talk.usage.input, talk.usage.output) == (20, 10)
    assert talk.usage == read_tokens(make(TALK).response)


def test_a_refused_connection_is_an_error():
    """It has no frames, but the server's answer."""
    held = RecordedRequest("WEBSOCKET", "/realtime", msgspec.Raw(b"null"), REQUEST.query)
    talk = read_conversation(Recording(1, "", held, Response(401, body=msgspec.Raw(b'{"error": {"message": "no"}}'))))
    assert (talk.kind, talk.status, talk.error) == (CONNECTION, 401, "no")


def test_a_recording_without_times():
    """A person has removed them."""
    recording = make(TALK)
    recording.response.offsets = []
    assert [piece.offset for piece in read_conversation(recording).pieces] == [None] * 3


def test_commands_know_connections(cli, shelf):
    """They are listed, counted, shown, played, compared, checked and reported."""
    (file,) = shelf.rglob("*.json")
    assert "/realtime\tgpt-realtime\t21 frames" in cli("list", shelf).out
    (row,) = json.loads(cli("list", shelf, "--json").out)
    assert (row["is_connection"], row["chunks"], row["text"]) == (True, 21, "100 bytes")
    told = cli("stats", shelf).out
    assert "  1 connection\n" in told
    assert "streamed" not in told
    assert "\nuser\nAnd of Spain?\n" in cli("show", file).out
    lines = cli("show", file, "--chunks").out.splitlines()
    assert lines[4].endswith("  → " + TALK[4].payload.decode())
    assert lines[-2:] == ["   19   1.900000 +0.100000  → close 1000", "   20   2.000000 +0.100000  ← close 1000"]
    assert cli("play", file, "--speed", "inf").out == "Paris.\n\n{}\n"
    assert cli("check", shelf).status == 0
    assert cli("report", shelf, "-o", shelf / "report.html").status == 0
    assert "And of Spain?" in (shelf / "report.html").read_text("utf-8")


def test_bytes_are_counted_in_a_line(cli, tmp_path):
    """What is neither JSON nor text is not shown."""
    file = tmp_path / "a.json"
    file.write_bytes(encode(make([message(SERVER, b"\xff\x00", is_binary=True), Frame(CLIENT, close=1000)])))
    assert cli("show", file, "--chunks").out.splitlines()[-2].endswith("← 2 bytes")


def test_frames_are_compared(cli, shelf):
    """But for the ids of events."""
    (file,) = shelf.rglob("*.json")
    other = shelf / "other.json"
    other.write_text(file.read_text("utf-8").replace('"event_id": "e"', '"event_id": "f"'), "utf-8")
    assert (cli("diff", file, other).status, cli("diff", file, other).out) == (0, "")
    other.write_text(other.read_text("utf-8").replace("Spain", "Italy"), "utf-8")
    done = cli("diff", file, other)
    assert done.status == 1
    assert done.out == 'response.frames[9].json.item.content[0].text: "And of Spain?" → "And of Italy?"\n'
    assert "response.offsets" not in cli("diff", file, other, "--all").out
    assert cli("diff", file, file, "--all").status == 0


def test_a_secret_in_a_frame_is_found(cli, shelf):
    """It says in which frame."""
    (file,) = shelf.rglob("*.json")
    text = file.read_text("utf-8").replace("Be kind.", "Use sk-proj-" + "a1B2c3D4e5F6" * 4)
    file.write_text(text, "utf-8")
    done = cli("check", shelf)
    assert done.status == 1
    assert "response.frames[1].json.session.instructions" in done.out + done.err


def test_a_connection_is_not_asked_again(cli, shelf):
    """It cannot be asked in one request."""
    done = cli("verify", shelf, "--base-url", "http://127.0.0.1:9/v1")
    assert "it is a connection over which both sides sent frames" in done.out + done.err
