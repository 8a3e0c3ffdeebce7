"""The report on a directory: what is in it, what is left out, and that its data stay data."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
from concurrent.futures import ThreadPoolExecutor
from html.parser import HTMLParser
from pathlib import Path

import pytest
from conftest import Reply
from written import ask, plain, said, streamed, write

from inferencereplay import StoreError, replay
from inferencereplay.cli import main
from inferencereplay.recording.format import Failure, Response
from inferencereplay.report import budget, build_report, media, shortened, write_report
from inferencereplay.report.assemble import SCRIPTS, embedded

ROOT = Path(__file__).parents[2]
LLAMA_STACK = ROOT / "tests" / "recordings" / "llama_stack"
PAGE = ROOT / "inferencereplay" / "report" / "page"


class Parts(HTMLParser):
    """The text of each element that a browser takes for a script or a style, and the policy."""

    def __init__(self, page):
        super().__init__()
        self.texts, self.now = {}, ""
        self.tags = []
        self.policy = ""
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        found = dict(attributes)
        if found.get("http-equiv") == "Content-Security-Policy":
            self.policy = found["content"]
        self.now = found.get("id", tag)

    def handle_data(self, data):
        self.texts[self.now] = self.texts.get(self.now, "") + data

    def handle_endtag(self, tag):
        self.now = "after"


def parts(directory):
    return Parts(build_report(directory).decode())


def data(directory):
    return json.loads(parts(directory).texts["data"])


def only(directory):
    (recording,) = data(directory)["recordings"]
    return recording


def answer(recording):
    """Return the blocks of an answer, with the text that its pieces add up to."""
    texts = [""] * len(recording["blocks"])
    for _, block, text in recording["pieces"]:
        texts[block] += text
    return [(block["kind"], block["name"], text) for block, text in zip(recording["blocks"], texts, strict=True)]


def test_a_stream(tmp_path):
    """Facts, messages, settings and the pieces with the times of their chunks."""
    body = ask("Hello", stream=True, temperature=0.5, tools=[{"type": "function", "function": {"name": "f"}}])
    file = write(tmp_path, body, streamed({"role": "assistant", "content": ""}, "He", "llo", offsets=(0.1, 0.25, 0.5)))
    made = only(tmp_path)
    assert made["file"] == file.relative_to(tmp_path).as_posix()
    assert (made["title"], made["model"], made["path"], made["is_stream"]) == ("Hello", "m", "/chat/completions", True)
    assert (made["first"], made["seconds"], made["chunks"], made["size"]) == (0.25, 0.5, 3, file.stat().st_size)
    assert made["offsets"] == [0.1, 0.25, 0.5]
    assert made["pieces"] == [[1, 0, "He"], [2, 0, "llo"]]
    assert made["messages"] == [
        {"role": "user", "name": "", "parts": [{"kind": "text", "name": "text", "text": "Hello"}]}
    ]
    assert made["settings"] == {"stream": True, "temperature": 0.5}
    assert made["tools"] == [{"name": "f", "description": ""}]
    assert made["body"] == body
    assert made["left_out"] == ""


def test_tool_calls_that_run_side_by_side(tmp_path):
    """Each call of a tool is a block of its own, named by the tool, whose text is the arguments."""

    def call(index, **function):
        return {"tool_calls": [{"index": index, "function": function}]}

    deltas = (
        {"reasoning_content": "Two cities."},
        call(0, name="weather", arguments=""),
        call(1, name="time", arguments='{"in"'),
        call(0, arguments='{"city": "Rome"}'),
        call(1, arguments=': "Oslo"}'),
    )
    write(tmp_path, ask("Hello"), streamed(*deltas))
    assert answer(only(tmp_path)) == [
        ("reasoning", "", "Two cities."),
        ("tool", "weather", '{"city": "Rome"}'),
        ("tool", "time", '{"in": "Oslo"}'),
    ]


def test_a_plain_answer(tmp_path):
    """It comes in one piece, reasoning and calls apart."""
    calls = [{"id": "1", "function": {"name": "f", "arguments": "{}"}}]
    write(tmp_path, ask("Hello"), said("Hi", reasoning_content="hm", tool_calls=calls))
    made = only(tmp_path)
    assert answer(made) == [("reasoning", "", "hm"), ("text", "", "Hi"), ("tool", "f", "{}")]
    assert (made["first"], made["seconds"], made["tokens"], made["finish"]) == (None, 0.5, [7, 3], "stop")


def test_a_conversation_that_goes_on(tmp_path):
    """Earlier answers, calls and what the tools said are turns; the title is what the user said last."""
    calls = [{"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]
    messages = [
        {"role": "user", "content": "First   question,\nin lines"},
        {"role": "assistant", "content": None, "reasoning_content": "hm", "tool_calls": calls},
        {"role": "tool", "tool_call_id": "c1", "content": "42"},
    ]
    write(tmp_path, {"model": "m", "messages": messages}, said("Hi"))
    made = only(tmp_path)
    assert made["title"] == "First question, in lines"
    assert made["messages"][1]["parts"] == [
        {"kind": "reasoning", "name": "Reasoning", "text": "hm"},
        {"kind": "tool", "name": "f", "text": "{}"},
    ]
    assert made["messages"][2]["name"] == "c1"


def test_answers_that_are_no_conversation(tmp_path):
    """Vectors and errors are shown as their JSON, a text as it is, nothing as nothing."""
    vectors = {"object": "list", "data": [{"object": "embedding", "embedding": [0.5, 1]}]}
    shown = """{
  "object": "list",
  "data": [
    {
      "object": "embedding",
      "embedding": [ 0.5, 1 ]
    }
  ]
}"""
    write(tmp_path, {"model": "e", "input": "x"}, plain(vectors), path="/embeddings")
    assert answer(only(tmp_path)) == [("json", "1 vector of 2 dimensions", shown)]
    write(tmp_path, {"model": "e", "input": "x"}, Response(502, text="<b>Bad gateway</b>"), path="/embeddings")
    made = only(tmp_path)
    assert answer(made) == [("json", "", "<b>Bad gateway</b>")]
    assert (made["status"], made["failure"]) == (502, "<b>Bad gateway</b>")
    write(tmp_path, {"model": "e", "input": "x"}, Response(0, failure=Failure("ReadError", "gone")), path="/embeddings")
    made = only(tmp_path)
    assert (answer(made), made["failure"]) == ([], "ReadError: gone")


def test_a_request_without_words(tmp_path):
    """It is called by its path; a long title is cut."""
    write(tmp_path, None, plain({"object": "list", "data": []}), path="/models")
    write(tmp_path, ask("word " * 99), said("x"))
    titles = sorted(recording["title"] for recording in data(tmp_path)["recordings"])
    assert titles[0] == "list"
    assert titles[1].startswith("word word")
    assert titles[1].endswith("…")
    assert len(titles[1]) == 160


def test_totals(tmp_path):
    """They count recordings, requests, streams, tokens, errors, and what was left early; the newest comes first."""
    write(tmp_path, ask("a"), said("x"), at="2026-11-24T10:00:00Z")
    write(tmp_path, ask("b"), streamed("x", "y", end="closed"), at="2026-11-25T10:00:00Z")
    write(tmp_path, ask("c", model="other"), plain({"error": {"message": "no"}}, 404), at="2026-11-23T10:00:00Z")
    made = data(tmp_path)
    assert [recording["title"] for recording in made["recordings"]] == ["b", "a", "c"]
    assert made["totals"] == {
        "recordings": 3,
        "requests": 3,
        "streams": 1,
        "chunks": 2,
        "sent": 7,
        "received": 3,
        "errors": 1,
        "incomplete": 1,
        "models": 2,
        "model": "m",
        "first": 0.5,
        "seconds": 1.75,
        "newest": "2026-11-25T10:00:00Z",
        "bytes": sum(file.stat().st_size for file in tmp_path.rglob("*.json")),
    }


def test_llama_stacks_directory():
    """Theirs are reported like ours; what cannot be read is named with the reason."""
    made = data(LLAMA_STACK)
    assert len(made["recordings"]) == made["totals"]["recordings"] == len(list(LLAMA_STACK.glob("*.json")))
    assert any(answer(recording) and answer(recording)[0][0] == "tool" for recording in made["recordings"])


def test_files_that_cannot_be_read(tmp_path):
    """They are counted and named, and the rest is reported."""
    write(tmp_path, ask("a"), said("x"))
    torn = write(tmp_path, ask("b"), said("x"))
    torn.write_text("{", encoding="utf-8")
    made = data(tmp_path)
    assert len(made["recordings"]) == 1
    (notice,) = made["notices"]
    assert notice["text"] == "Not readable as a recording: 1 file."
    assert notice["files"][0].startswith("chat/completions/")
    assert torn.name in notice["files"][0]
    assert str(tmp_path) not in build_report(tmp_path).decode()
    assert made["directory"] == f"{tmp_path.parent.name}/{tmp_path.name}"


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("MOST_ROWS", 2, "Not listed, because a report has room for 2 rows: 3 files. The totals count them."),
        ("MOST_BYTES", 500, "Listed without the conversation, because"),
        ("LARGEST", 10, "2 MB each: 5 files."),
    ],
)
def test_what_is_left_out_is_told(tmp_path, monkeypatch, name, value, told):
    """Above a limit recordings are left out, wholly or but for their row; the page says so, the totals count them."""
    for text in "abcde":
        write(tmp_path, ask(text), said("x"))
    monkeypatch.setattr(budget, name, value)
    monkeypatch.setattr(budget, "_NOT_LISTED", budget._NOT_LISTED.replace("10,000", "2"))
    monkeypatch.setattr(budget, "MOST_NAMED", 2)
    made = data(tmp_path)
    (notice,) = made["notices"]
    assert told in notice["text"]
    assert len(notice["files"]) == 3
    assert notice["files"][2].startswith("… and ")
    assert made["totals"]["recordings"] == 5
    listed = made["recordings"]
    assert len(listed) == (2 if name == "MOST_ROWS" else 5)
    for recording in listed:
        assert bool(recording["left_out"]) == (recording["body"] is None)
        if recording["left_out"]:
            assert f"`inferencereplay show {recording['file']}`" in recording["left_out"]
            assert recording["pieces"] == recording["messages"] == []


def test_long_texts_are_cut_and_still_differ(tmp_path):
    """A picture as text does not fill the page, and two of them that differ in the middle are seen to differ."""
    for middle in "ab":
        write(tmp_path, ask("x" * 300_000 + middle + "x" * 300_000), said("x"))
    page = build_report(tmp_path)
    assert len(page) < 300_000
    first, second = (recording["body"]["messages"][0]["content"] for recording in data(tmp_path)["recordings"])
    assert first != second
    assert "580,001 characters left out, SHA-256 " in first
    assert len(first) < shortened.LONGEST_TEXT + 100


def test_rows_are_of_bounded_size(tmp_path):
    """However long the names and errors are that a server or a person wrote, a row stays small, its key whole."""
    write(tmp_path, ask("a", model="m" * 30_000), Response(502, text="e" * 100_000), path=f"/{'p' * 100}")
    page = data(tmp_path)
    (made,) = page["recordings"]
    assert len(made["failure"]) == len(made["model"]) == 500
    assert made["failure"].endswith("e…")
    assert len(made["key"]) == 64
    assert len(page["totals"]["model"]) == 100


def test_offsets_that_are_out_of_order(tmp_path):
    """A time that a person put before the one of the chunk before it counts as equal to that."""
    write(tmp_path, ask("a", stream=True), streamed("a", "b", "c", "d", offsets=(1.0, 0.25, 2.0, 0.0)))
    assert only(tmp_path)["offsets"] == [1.0, 1.0, 2.0, 2.0]


def test_values_that_javascript_does_not_have(tmp_path):
    """Huge integers keep their digits, infinity and deep nesting become text, half a surrogate pair does no harm."""
    deep = inner = []
    for _ in range(100):
        inner.append([])
        inner = inner[0]
    write(tmp_path, ask("x", seed=2**53 + 1, edge=2**53, exact=2**53 - 1, small=-5, metadata={"deep": deep}), said("x"))
    file = write(tmp_path, ask("y"), said("x"))
    file.write_bytes(file.read_bytes().replace(b'"x"', b'"\\ud83d"'))
    body = next(recording for recording in data(tmp_path)["recordings"] if recording["title"] == "x")["body"]
    assert (body["seed"], body["edge"]) == ("9007199254740993", "9007199254740992")
    assert (body["exact"], body["small"]) == (9007199254740991, -5)
    assert "[…nested more deeply]" in json.dumps(body["metadata"], ensure_ascii=False)
    assert shortened.shortened([float("inf"), 0.5, True]) == ["inf", 0.5, True]


def test_data_cannot_leave_their_place(tmp_path):
    """Whatever a prompt says, a browser reads three scripts' worth of page: ours."""
    bad = "</script><script>alert(1)</script><!--<script>\u2028%%data%%%%script%%<img src=x onerror=alert(1)>"
    write(tmp_path, ask(bad), said(bad))
    found = parts(tmp_path)
    assert found.tags.count("script") == 2
    assert "img" not in found.tags
    assert json.loads(found.texts["data"])["recordings"][0]["body"] == ask(bad)
    assert not re.search(r"[<>&\u2028\u2029]", embedded({"<": ["\u2028&"]}))
    assert json.loads(embedded({"<": ["\u2028&"]})) == {"<": ["\u2028&"]}


def test_the_policy_names_this_script_and_this_style(tmp_path):
    """The browser may run and apply these two, and load nothing."""
    write(tmp_path, ask("a"), said("x"))
    found = parts(tmp_path)
    for name in ("script", "style"):
        digest = base64.b64encode(hashlib.sha256(found.texts[name].encode()).digest()).decode()
        assert f"{name}-src 'sha256-{digest}'" in found.policy
    for name in ("default-src", "base-uri", "form-action"):
        assert f"{name} 'none'" in found.policy
    assert "unsafe" not in found.policy


def test_the_page_needs_nothing_else():
    """No part names a host, builds markup from text, or is forgotten."""
    assert {f"{name}.js" for name in SCRIPTS} == {file.name for file in PAGE.glob("*.js")}
    for file in PAGE.iterdir():
        text = file.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
        assert not re.search(r"https?:|@import|url\(|fetch\(|XMLHttp|\bsrc=", text), file
        assert not re.search(r"innerHTML|outerHTML|insertAdjacent|document\.write|eval\(|new Function", text), file


def test_writing(tmp_path):
    """The file is whole or not there; the caller hears what became of it and of each recording read."""
    write(tmp_path / "kept", ask("a"), said("x"))
    read = []

    def follow(items, total):
        for item in items:
            read.append((item.path, total))
            yield item

    written = write_report(tmp_path / "kept", tmp_path / "report.html", follow=follow)
    assert written.file.read_bytes().startswith(b"<!doctype html>")
    assert written == (tmp_path / "report.html", written.file.stat().st_size, 1, 0, ())
    assert read == [("/chat/completions", 1)]
    earlier = tmp_path / "kept" / "earlier.html"
    earlier.hardlink_to(written.file)
    again = write_report(tmp_path / "kept", tmp_path / "report.html")
    assert not earlier.samefile(again.file), "the old file is replaced, and not written over"
    assert [file.name for file in tmp_path.iterdir() if file.is_file()] == [again.file.name]


def test_writing_where_it_cannot_be(tmp_path):
    """A folder that is not there is one clear error, and so is a directory of recordings that is not."""
    write(tmp_path, ask("a"), said("x"))
    with pytest.raises(StoreError, match=r"none/report\.html cannot be written: No such file or directory\. Give"):
        write_report(tmp_path, tmp_path / "none" / "report.html")
    with pytest.raises(StoreError, match="does not exist"):
        write_report(tmp_path / "nowhere", tmp_path / "report.html")


def test_what_is_no_file_stays_what_it_is(tmp_path):
    """A link leads to the file, a pipe is written to, a device tells its error."""
    write(tmp_path / "kept", ask("a"), said("x"))
    (tmp_path / "real.html").write_text("old")
    (tmp_path / "link.html").symlink_to("real.html")
    assert write_report(tmp_path / "kept", tmp_path / "link.html").size == (tmp_path / "real.html").stat().st_size
    assert (tmp_path / "link.html").is_symlink()
    (tmp_path / "new.html").symlink_to("none.html")
    write_report(tmp_path / "kept", tmp_path / "new.html")
    assert (tmp_path / "none.html").is_file()
    os.mkfifo(tmp_path / "pipe")
    with ThreadPoolExecutor() as pool:
        read = pool.submit((tmp_path / "pipe").read_bytes)
        write_report(tmp_path / "kept", tmp_path / "pipe")
        assert read.result(10).startswith(b"<!doctype html>")
    assert (tmp_path / "pipe").is_fifo()
    (tmp_path / "full").symlink_to("/dev/full")
    with pytest.raises(StoreError, match=r"full cannot be written: No space left on device"):
        write_report(tmp_path / "kept", tmp_path / "full")
    assert Path("/dev/full").is_char_device()
    with pytest.raises(StoreError, match="Is a directory"):
        write_report(tmp_path / "kept", tmp_path / "kept")


def test_the_command(tmp_path, capsys):
    """`report` writes the file and says so; what is not in it goes to standard error, and to the exit status."""
    write(tmp_path / "kept", ask("a"), said("x"))
    target = tmp_path / "report.html"
    assert main(["report", str(tmp_path / "kept"), "-o", str(target)]) == 0
    assert capsys.readouterr().out.startswith("1 recording, ")
    assert target.stat().st_size > 10_000
    write(tmp_path / "kept", ask("b"), said("x")).write_text("{", encoding="utf-8")
    assert main(["report", "--dir", str(tmp_path / "kept"), "--output", str(target)]) == 1
    printed = capsys.readouterr()
    assert printed.out.endswith(f"{target}\n")
    assert "Not readable as a recording: 1 file." in printed.err


def test_sounds_and_images_are_embedded(client, server, tmp_path):
    """Up to a size, of the types that browsers know; what cannot be read is left out."""
    image = base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(100_000)).decode()
    bodies = [b"\xff\xfb\x00", b"\xff\xfb" * (media.LARGEST // 2 + 1), b"\xff\xfe"]
    server.replies = [Reply(headers={"content-type": "audio/mpeg"}, body=body) for body in bodies]
    server.replies[2].headers["content-type"] = "application/zip"
    server.replies.append(Reply(body=json.dumps({"created": 1, "data": [{"b64_json": image}]}).encode()))
    with replay(tmp_path, mode="record"):
        for text in ("small", "large", "archive"):
            client.audio.speech.create(model="m", voice="alloy", input=text)
        client.images.generate(prompt="picture")
    made = {recording["title"]: recording["media"] for recording in data(tmp_path)["recordings"]}
    small = next(file for file in tmp_path.rglob("*.mp3") if file.stat().st_size == 3)
    url = f"data:audio/mpeg;base64,{base64.b64encode(bodies[0]).decode()}"
    name = small.name.partition(".")[2]
    assert made["small"] == [{"kind": "audio", "name": name, "is_sent": False, "url": url}]
    assert (made["large"], made["archive"]) == ([], [])
    assert made["picture"][0]["url"] == f"data:image/png;base64,{image}"
    small.write_bytes(b"x")
    assert {recording["title"]: recording["media"] for recording in data(tmp_path)["recordings"]}["small"] == []
