"""`export aiperf`, `export mooncake` and `export otel`: recorded calls as traces for load tools."""

from __future__ import annotations

import datetime
import json
import shutil
import sys
from pathlib import Path

import pytest
from written import ask, plain, said, streamed, write

from inferencereplay.conversion.traces.mooncake import BLOCK
from inferencereplay.conversion.traces.tokens import MOST
from inferencereplay.recording.format import Failure, Response

GIVEN = Path(__file__).parents[1] / "recordings" / "llama_stack"
USAGE = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}


def at(seconds, day=25):
    """Return a time of sending as a recording holds it."""
    moment = datetime.datetime(2026, 11, day, 10, tzinfo=datetime.timezone.utc) + datetime.timedelta(seconds=seconds)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def counted(read, written, text="x"):
    """Return an answer with a count of tokens."""
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    return plain({"choices": [choice], "usage": {"prompt_tokens": read, "completion_tokens": written}})


def export(cli, kind, directory, *options):
    done = cli("export", kind, directory, *options)
    assert done.status == 0, done.err
    return [json.loads(line) for line in done.out.splitlines()]


# The order and the times.


def test_requests_go_out_as_they_were_at_their_times(cli, tmp_path):
    """AIPerf gets each body unchanged, and milliseconds from the first call, in the order of sending."""
    number = '{"model":"m","messages":[{"role":"user","content":"é"}],"seed":12345678901234567890,"temperature":1e-7}'
    write(tmp_path, ask("second", stream=True), streamed("x"), at=at(0.001234))
    write(tmp_path, ask("first"), said("x"), at=at(0))
    write(tmp_path, json.loads(number), said("x"), at=at(3600.5))
    write(tmp_path, ask("wrong"), plain({"error": {"message": "no"}}, 400), at=at(2))
    write(tmp_path, ask("left", stream=True), streamed("x", end="closed"), at=at(1))
    lines = export(cli, "aiperf", tmp_path)
    assert [line["timestamp"] for line in lines] == [0, 1.234, 1000, 2000, 3600500]
    assert [line["payload"] for line in lines] == [
        *(ask("first"), ask("second", stream=True), ask("left", stream=True), ask("wrong"), json.loads(number)),
    ]
    assert '"seed":12345678901234567890' in cli("export", "aiperf", tmp_path).out
    assert len({line["session_id"] for line in lines}) == 5


def test_coarse_times_are_told(cli, tmp_path):
    """Whole seconds are from when an answer was stored: its duration is taken off, and the export says so."""
    write(tmp_path, ask("old"), plain({}, elapsed=0.25), at="2026-11-25T10:00:01Z")
    write(tmp_path, ask("older", stream=True), streamed("a", "b"), at="2026-11-25T10:00:01Z")
    write(tmp_path, ask("new"), plain({}, elapsed=0.25), at=at(0.5))
    write(tmp_path, ask("left"), Response(status=0, end="closed", left=0.9), at="2026-11-25T10:00:01Z")
    done = cli("export", "aiperf", tmp_path, "-o", tmp_path / "made.jsonl")
    lines = [json.loads(line) for line in (tmp_path / "made.jsonl").read_text().splitlines()]
    times = {line["payload"]["messages"][0]["content"]: line["timestamp"] for line in lines}
    assert times == {"left": 0, "older": 150, "new": 400, "old": 650}
    assert done.err.splitlines()[0] == "4 exported."
    assert done.err.startswith("4 exported.\nThe times of 3 are coarse: ")


def test_exact_times_are_not_called_coarse(cli, tmp_path):
    """The note is for older and imported files; it is not given if nothing was exported."""
    write(tmp_path, ask("new"), said("x"), at=at(0))
    assert cli("export", "otel", tmp_path).err == "1 exported.\n"
    write(tmp_path / "old", ask("old"), plain({}), at="2026-11-25T10:00:01Z")
    assert "coarse" not in cli("export", "mooncake", tmp_path / "old").err


def test_what_no_load_tool_can_send_is_left_out(cli, tmp_path):
    """Lists of models, recordings without a time, files that cannot be read: each is counted."""
    write(tmp_path, ask("a"), said("x"), at=at(0))
    write(tmp_path, ask("b"), said("x"), at="yesterday")
    write(tmp_path, None, plain({"data": []}), path="/models", at=at(1))
    write(tmp_path, {"purpose": "x"}, plain({}), path="/files", at=at(1))
    write(tmp_path, [1], plain({}), path="/chat/completions", at=at(1))
    assert cli("export", "aiperf", tmp_path).err == (
        "1 exported; left out: no calls of a model (3), without a time (1).\n"
    )
    (tmp_path / "chat" / "completions" / f"{'0' * 32}.json").write_text("{")
    done = cli("export", "otel", tmp_path)
    assert done.status == 1
    assert "unreadable (1)" in done.err
    shutil.copytree(GIVEN, tmp_path / "given")
    assert "0 exported; left out: no calls of a model" in cli("export", "mooncake", tmp_path / "given").err


def test_filters_choose(cli, tmp_path):
    """Time counts from the first call that is chosen."""
    write(tmp_path, ask("a"), said("x"), at=at(0))
    write(tmp_path, ask("b", model="other"), said("x"), at=at(5))
    assert [line["timestamp"] for line in export(cli, "aiperf", tmp_path, "--model", "other")] == [0]
    assert cli("export", "aiperf", tmp_path, "--model", "nobody").err == "no recording fits.\n"


def test_aiperf_sends_a_trace_to_one_path(cli, tmp_path):
    """Calls of several paths are an error that names the way out, and no file is touched."""
    write(tmp_path, ask("a"), said("x"), at=at(0))
    write(tmp_path, ask("b"), said("x"), at=at(1))
    write(tmp_path, {"model": "m", "prompt": "p"}, plain({"choices": []}), path="/completions", at=at(2))
    target = tmp_path / "kept.jsonl"
    target.write_text("kept")
    done = cli("export", "aiperf", tmp_path, "-o", target)
    assert done.status == 2
    assert "/chat/completions (2), /completions (1)" in done.err
    assert "--path '[/]chat/completions'" in done.err
    assert target.read_text() == "kept"
    assert len(export(cli, "aiperf", tmp_path, "--path", "[/]chat/completions")) == 2
    assert len(export(cli, "aiperf", tmp_path, "--path", "[/]completions")) == 1


# Conversations.


def turn(*texts):
    """Return a request that says these texts, of user and assistant in turn."""
    roles = ("user", "assistant")
    return {"model": "m", "messages": [{"role": roles[i % 2], "content": text} for i, text in enumerate(texts)]}


def sessions(cli, directory):
    """Return the conversation's name for each request's texts."""
    lines = export(cli, "aiperf", directory)
    return {"/".join(m["content"] for m in line["payload"]["messages"]): line["session_id"] for line in lines}


def test_calls_that_continue_each_other_are_one_conversation(cli, tmp_path):
    """The later request begins with the earlier one and an answer; others are conversations of their own."""
    for index, texts in enumerate((["a"], ["b"], ["a", "1", "c"], ["a", "1", "c", "2", "d"])):
        write(tmp_path, turn(*texts), plain({}, elapsed=0.25), at=at(index))
    write(tmp_path, {"model": "m", "messages": ask("b")["messages"] * 2}, plain({}), at=at(8))
    write(tmp_path, {"model": "m", "messages": []}, plain({}), at=at(9))
    found = sessions(cli, tmp_path)
    assert found["a"] == found["a/1/c"] == found["a/1/c/2/d"]
    assert len({found[name] for name in ("a", "b", "")}) == 3
    assert found["b/b"] not in (found["a"], found["b"])


def test_calls_that_overlapped_are_no_conversation(cli, tmp_path):
    """Otherwise a load tool would send one only after the other."""
    write(tmp_path, turn("a"), plain({}, elapsed=1.0), at=at(0))
    write(tmp_path, turn("a", "1", "early"), plain({}, elapsed=5.0), at=at(0.5))
    write(tmp_path, turn("a", "1", "b"), plain({}, elapsed=3.0), at=at(2))
    write(tmp_path, turn("a", "1", "c"), plain({}, elapsed=1.0), at=at(4))
    found = sessions(cli, tmp_path)
    assert found["a"] == found["a/1/b"]
    assert len(set(found.values())) == 3


# Mooncake.


def test_lengths_are_what_the_server_counted(cli, tmp_path):
    """With as many blocks of 512 tokens as the length needs, rounded up; none for an empty prompt."""
    for index, read in enumerate((0, 1, 512, 513, 2048)):
        write(tmp_path, ask(str(index)), counted(read, index), at=at(index))
    lines = export(cli, "mooncake", tmp_path)
    assert [line["timestamp"] for line in lines] == [0, 1000, 2000, 3000, 4000]
    assert [line["input_length"] for line in lines] == [0, 1, 512, 513, 2048]
    assert [line["output_length"] for line in lines] == [0, 1, 2, 3, 4]
    assert [len(line["hash_ids"]) for line in lines] == [0, 1, 1, 2, 4]
    assert all(set(line) == {"timestamp", "input_length", "output_length", "hash_ids"} for line in lines)


def blocks(cli, directory, *texts):
    """Return the numbers of the blocks of prompts, which have a token for each character."""
    for index, text in enumerate(texts):
        body = {"model": "m", "messages": [{"role": "u", "content": text}]}
        write(directory, body, counted(len(text) + 2, 1), at=at(index))
    return [line["hash_ids"] for line in export(cli, "mooncake", directory)]


def test_prompts_that_begin_alike_have_their_first_blocks_in_common(cli, tmp_path):
    """From the first difference on all blocks differ, also where the text is equal again."""
    first = "a" * (3 * BLOCK - 2)
    second = "a" * (2 * BLOCK - 2) + "b" * BLOCK + "c" * 100
    third = "b" + "a" * (3 * BLOCK - 3)
    assert blocks(cli, tmp_path, first, second, third) == [[0, 1, 2], [0, 1, 3, 4], [5, 6, 7]]


def test_a_part_of_a_block_is_another_block(cli, tmp_path):
    """It has fewer tokens: a tool makes up its content once for each number."""
    lengths = (BLOCK - 100, BLOCK - 2, BLOCK + 98, BLOCK + 198)
    assert blocks(cli, tmp_path, *("a" * length for length in lengths)) == [[0], [1], [1, 2], [1, 3]]
    assert blocks(cli, tmp_path / "equal", "same", "same")[0] == [0]


def test_equal_prompts_of_other_lengths_have_other_blocks(cli, tmp_path):
    """Two models count the tokens of one text differently."""
    for index, model in enumerate("abc"):
        write(tmp_path, ask("x", model=model), counted((9, 8, 9)[index], 1), at=at(index))
    assert [line["hash_ids"] for line in export(cli, "mooncake", tmp_path)] == [[0], [1], [0]]


def test_without_a_count_of_tokens(cli, tmp_path, monkeypatch):
    """Such calls are left out and counted, unless the caller names a tokenizer; nothing is generated by others."""
    made = tmp_path / "made"
    tool = {"type": "function", "function": {"name": "f", "description": "does", "parameters": {"type": "object"}}}
    call = {"id": "1", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}
    write(made, ask("how many words", stream=True), streamed("three", " words", " here"), at=at(0))
    write(made, ask("a b", tools=[tool]), said("", tool_calls=[call]), at=at(1))
    write(made, {"model": "m", "input": "x"}, plain({"data": [], "usage": USAGE}), path="/embeddings", at=at(2))
    write(made, ask("wrong"), plain({"error": {"message": "no"}}, 400), at=at(3))
    write(made, ask("odd"), counted(-1, 2), at=at(4))
    write(made, ask("huge"), counted(MOST + 1, 2), at=at(5))
    left = "left out: errors (1), no generated text (1), without a count of tokens (3)"
    done = cli("export", "mooncake", made)
    assert done.err == f"1 exported; {left}.\n"
    (tmp_path / "words.py").write_text(
        "def split(text):\n    return text.split()\ncount = lambda text: len(text.split())"
    )
    monkeypatch.chdir(tmp_path)
    for name in ("split", "count"):
        done = cli("export", "mooncake", made, "--tokenizer", f"words:{name}")
        assert done.err == "4 exported; left out: errors (1), no generated text (1).\n"
        lines = [json.loads(line) for line in done.out.splitlines()]
        assert [line["output_length"] for line in lines] == [3, 3, 2, 2]
        assert [line["input_length"] for line in lines] == [4, 7, 2, 2]
    del sys.modules["words"]


def test_a_tokenizer_that_fails_is_told(cli, tmp_path, monkeypatch):
    """It is the caller's: a wrong name, a wrong function, an exception, and what is no number of tokens."""
    write(tmp_path / "made", ask("x", stream=True), streamed("a"), at=at(0))
    (tmp_path / "bad.py").write_text("def none(text): pass\ndef fails(text): raise KeyError(1)\nless = lambda text: -5")
    monkeypatch.chdir(tmp_path)
    for name, reason in (
        ("bad:nothing", "--tokenizer: 'bad:nothing' cannot be imported"),
        ("bad:__name__", "'bad:__name__' is no function"),
        ("bad:none", "--tokenizer failed: TypeError"),
        ("bad:fails", "--tokenizer failed: KeyError(1)"),
    ):
        done = cli("export", "otel", tmp_path / "made", "--tokenizer", name)
        assert done.status == 2
        assert reason in done.err
    assert export(cli, "mooncake", tmp_path / "made", "--tokenizer", "bad:less")[0]["input_length"] == 0
    del sys.modules["bad"]


# OpenTelemetry.


def spans(cli, directory, *options):
    """Return the spans, and their attributes with JSON texts read."""
    lines = export(cli, "otel", directory, *options)
    names = ("gen_ai.input.messages", "gen_ai.output.messages", "gen_ai.tool.definitions")
    return lines, [
        {name: json.loads(value) if name in names else value for name, value in line["attributes"].items()}
        for line in lines
    ]


def test_a_chat_is_a_span(cli, tmp_path):
    """With its messages, tools, settings, tokens, server, and its start and end."""
    call = {"id": "1", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}
    picture = {"type": "image_url", "image_url": {"url": "http://h/p.png"}}
    body = {
        "model": "m",
        "messages": [
            {"role": "system", "content": "be brief"},
            {"role": "user", "content": [{"type": "text", "text": "look"}, picture], "name": "ann"},
            {"role": "assistant", "content": None, "tool_calls": [call], "reasoning_content": "hm"},
            {"role": "tool", "tool_call_id": "1", "content": "done"},
        ],
        "tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}],
        "temperature": 1,
        "top_p": 0.5,
        "max_completion_tokens": 9,
        "seed": 3,
        "stop": "x",
        "user": "u",
    }
    write(tmp_path, body, said("yes"), at=at(0.25))
    (span,), (found,) = spans(cli, tmp_path)
    name = found.pop("inferencereplay.recording")
    assert (tmp_path / name).is_file()
    assert found == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "m",
        "gen_ai.request.max_tokens": 9,
        "gen_ai.request.temperature": 1.0,
        "gen_ai.request.top_p": 0.5,
        "gen_ai.request.seed": 3,
        "gen_ai.input.messages": [
            {"role": "system", "parts": [{"type": "text", "content": "be brief"}]},
            {
                "role": "user",
                "parts": [
                    {"type": "text", "content": "look"},
                    {"type": "image_url", "content": "http://h/p.png"},
                ],
                "name": "ann",
            },
            {
                "role": "assistant",
                "parts": [
                    {"type": "reasoning", "content": "hm"},
                    {"type": "tool_call", "id": "1", "name": "f", "arguments": '{"a": 1}'},
                ],
            },
            {"role": "tool", "parts": [{"type": "tool_call_response", "id": "1", "response": "done"}]},
        ],
        "gen_ai.tool.definitions": [
            {"type": "function", "name": "f", "description": "", "parameters": {"type": "object"}}
        ],
        "gen_ai.response.finish_reasons": ["stop"],
        "gen_ai.output.messages": [
            {"role": "assistant", "parts": [{"type": "text", "content": "yes"}], "finish_reason": "stop"}
        ],
        "server.address": "localhost",
        "server.port": 80,
        "gen_ai.usage.input_tokens": 7,
        "gen_ai.usage.output_tokens": 3,
    }
    assert isinstance(found["gen_ai.request.temperature"], float)
    assert len(span["trace_id"]) == 32
    assert len(span["span_id"]) == 16
    del span["trace_id"], span["span_id"], span["attributes"]
    assert span == {
        "name": "chat m",
        "kind": "CLIENT",
        "start_time": "2026-11-25T10:00:00.250000+00:00",
        "end_time": "2026-11-25T10:00:00.750000+00:00",
        "duration": 0.5,
    }


def test_conversations_stand_together(cli, tmp_path):
    """Spans of one conversation follow each other in time, though others were sent between them."""
    for index, texts in enumerate((["a"], ["b"], ["a", "1", "c"], ["b", "1", "d"])):
        write(tmp_path, turn(*texts), said("1"), at=at(index))
    lines, _ = spans(cli, tmp_path)
    assert [line["start_time"][17:19] for line in lines] == ["00", "02", "01", "03"]
    assert lines[0]["trace_id"] == lines[1]["trace_id"] != lines[2]["trace_id"] == lines[3]["trace_id"]
    assert len({line["span_id"] for line in lines}) == 4


def test_what_guidellm_replays_no_span_of_is_left_out(cli, tmp_path):
    """Failed calls, embeddings, and calls without a count of tokens; a text completion has its own name."""
    broken = Response(status=0, failure=Failure("ConnectError", "refused"))
    text = {"choices": [{"text": "t"}], "usage": USAGE}
    write(tmp_path, ask("a"), plain({"error": {"message": "no"}}, 404), at=at(0))
    write(tmp_path, ask("b"), broken, at=at(1))
    write(tmp_path, {"model": "m", "prompt": "p"}, plain(text), path="/completions", at=at(2))
    write(tmp_path, {"input": "x"}, plain({"data": [], "usage": USAGE}), path="/embeddings", at=at(3))
    write(tmp_path, ask("c", stream=True), streamed("x", end="closed"), at=at(4))
    (line,), (found,) = spans(cli, tmp_path)
    assert line["name"] == "text_completion m"
    assert found["gen_ai.input.messages"] == [{"role": "user", "parts": [{"type": "text", "content": "p"}]}]
    assert found["gen_ai.response.finish_reasons"] == ["unknown"]
    left = "errors (2), no generated text (1), without a count of tokens (1)"
    assert cli("export", "otel", tmp_path).err == f"1 exported; left out: {left}.\n"


@pytest.mark.parametrize(
    ("base_url", "expected"),
    [
        ("https://api.example.org/v1", ("api.example.org", 443)),
        ("http://localhost:8000/v1", ("localhost", 8000)),
        ("http://[", (None, None)),
        ("http://h:99999", (None, None)),
        ("", (None, None)),
    ],
)
def test_the_server_of_a_span(cli, tmp_path, base_url, expected):
    """Its address and port; neither if the recording has no URL, or one that a person has damaged."""
    file = write(tmp_path, ask("a"), said("x"), at=at(0))
    file.write_text(file.read_text().replace("http://localhost/v1", base_url))
    _, (found,) = spans(cli, tmp_path)
    assert (found.get("server.address"), found.get("server.port")) == expected


@pytest.mark.parametrize("value", [True, "0.5", None, 2**63, -(2**63), 1e300])
def test_settings_that_are_no_numbers_of_the_conventions_are_left_out(cli, tmp_path, value):
    """A member that a server may have taken, and no table of numbers would."""
    write(tmp_path, ask("a", temperature=value, seed=value), said("x"), at=at(0))
    _, (found,) = spans(cli, tmp_path)
    assert not {"gen_ai.request.temperature", "gen_ai.request.seed"} & set(found)
