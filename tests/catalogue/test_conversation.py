"""A recording as a conversation: real ones, and what servers and people may make of one."""

from __future__ import annotations

import base64
import hashlib
import json
import mimetypes
from pathlib import Path

import msgspec
import openai
import pytest
from conftest import Reply
from conftest import plain as json_reply
from hypothesis import example, given
from hypothesis import strategies as st

from inferencereplay import replay
from inferencereplay.catalogue.conversation import (
    Part,
    Piece,
    Tool,
    ToolCall,
    Usage,
    gist,
    kind_of,
    read_conversation,
    read_gist,
)
from inferencereplay.catalogue.conversation.answered import read_usage, read_usage_alone
from inferencereplay.catalogue.conversation.asked import read_messages
from inferencereplay.catalogue.entries import Catalogue, load
from inferencereplay.recording.format import Failure, RecordedRequest, Recording, Response

ROOT = Path(__file__).parents[2]
GIVEN = ROOT / "tests" / "recordings" / "llama_stack"
STORY = ROOT / "examples" / "recordings" / "story" / "chat" / "completions" / "40fcf34a4a5893eeaa8090ae49717369.json"


def raw(value):
    return msgspec.Raw(json.dumps(value).encode())


def recording(asked, path="/chat/completions", **response):
    return Recording(1, "0" * 64, RecordedRequest("POST", path, raw(asked)), Response(**response))


def plain(answer, body=None, path="/chat/completions", **response):
    """Read a plain answer."""
    return read_conversation(recording(body or {"model": "m"}, path, body=raw(answer), **response))


def streamed(*chunks, body=None, path="/chat/completions", **response):
    """Read a stream."""
    held = {"end": "done", "chunks": [raw(chunk) for chunk in chunks], **response}
    return read_conversation(recording(body or {"model": "m"}, path, **held))


def delta(index=0, finish=None, **members):
    return {"choices": [{"index": index, "delta": members, "finish_reason": finish}]}


def test_the_tool_call_this_project_began_with():
    """Chunks of a streamed tool call, the first with null arguments, add up to one call."""
    talk = load(GIVEN / "hist-0806aef47037~ec433c7d.json").conversation
    assert (talk.kind, talk.model, talk.is_stream) == ("chat", "meta-llama/Llama-3.2-1B-Instruct", True)
    assert [message.role for message in talk.messages] == ["system", "user"]
    assert [tool.name for tool in talk.tools] == ["get_weather"]
    (choice,) = talk.choices
    assert choice.finish_reason == "tool_calls"
    assert [(call.name, call.arguments) for call in choice.message.tool_calls] == [
        ("get_weather", '{"location": "San Francisco, CA"}')
    ]
    assert "".join(piece.text for piece in talk.pieces) == 'get_weather{"location": "San Francisco, CA"}'
    assert talk.timing.offsets == ()
    assert talk.timing.first_token is None


def test_a_recorded_story_has_its_timing():
    """First token, gaps and tokens per second come from the offsets; without usage a piece counts as a token."""
    entry = load(STORY)
    talk, offsets = entry.conversation, entry.recording.response.offsets
    said = [piece for piece in talk.pieces if piece.kind == "text"]
    assert talk.choices[0].message.text == "".join(piece.text for piece in said)
    assert "a fox emerged from the shadows" in talk.choices[0].message.text
    assert [piece.offset for piece in said] == [offsets[piece.chunk] for piece in said]
    timing = talk.timing
    assert timing.first_token == said[0].offset
    assert timing.total == offsets[-1]
    assert len(timing.gaps) == len(offsets) - 1
    assert sum(timing.gaps) == pytest.approx(offsets[-1] - offsets[0])
    assert timing.is_estimated
    assert timing.tokens_per_second == pytest.approx((len(said) - 1) / (said[-1].offset - said[0].offset))


def test_the_answers_are_the_ones_that_the_sdk_gives():
    """What a conversation says of every given chat is what the SDK's own objects say."""
    compared = 0
    with replay(GIVEN):
        client = openai.OpenAI()
        for entry in Catalogue(GIVEN).entries():
            if entry.path != "/chat/completions" or entry.conversation.error:
                continue
            got = (
                client.post(entry.path, cast_to=object, body=entry.body, stream=False)
                if not entry.conversation.is_stream
                else None
            )
            if got is None:
                chunks = client.chat.completions.create(**entry.body)
                text = "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices)
            else:
                text = "".join(choice["message"]["content"] or "" for choice in got["choices"])
            assert "".join(choice.message.text for choice in entry.conversation.choices) == text
            compared += 1
    assert compared >= 3


def test_every_given_recording_is_read():
    """Chats, completions, embeddings, lists of models and errors all say something."""
    kinds = set()
    for entry in Catalogue(GIVEN).entries():
        talk = entry.conversation
        kinds.add(talk.kind)
        assert talk.choices or talk.error or talk.summary, entry.name
    assert kinds == {"chat", "completion", "embedding", "other"}


def test_messages_of_every_shape():
    """Texts, lists of parts, tool calls and their answers, pictures, names, reasoning, and what is malformed."""
    picture = "data:image/png;base64," + "A" * 5000
    body = {
        "model": "m",
        "temperature": 0.5,
        "messages": [
            {"role": "system", "content": "Be brief."},
            {
                "role": "user",
                "name": "ann",
                "content": [
                    {"type": "text", "text": "What is this?"},
                    {"type": "image_url", "image_url": {"url": picture}},
                    {"type": "input_image", "image_url": "https://example.com/" + "x" * 300},
                    {"type": "input_audio", "input_audio": {"data": "A" * 900, "format": "wav"}},
                    {"type": "refusal", "refusal": "no"},
                    {"text": "typeless"},
                    "bare",
                    {"refs": ["a", 1]},
                ],
            },
            {
                "role": "assistant",
                "content": None,
                "refusal": "I will not.",
                "audio": {"transcript": "spoken"},
                "reasoning": "hm",
                "tool_calls": [
                    {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}},
                    {"id": "c2", "type": "custom", "custom": {"name": "g", "input": "free"}},
                ],
            },
            {"role": "assistant", "function_call": {"name": "old", "arguments": "[1]"}, "content": ""},
            {"role": "tool", "tool_call_id": "c1", "content": "42"},
            "no message",
        ],
        "tools": [{"type": "function", "function": {"name": "f", "description": "d", "parameters": {"a": 1}}}],
        "functions": [{"name": "old"}],
    }
    talk = plain({"choices": []}, body)
    system, user, assistant, old, tool, odd = talk.messages
    assert system.text == "Be brief."
    kinds = ["text", "image_url", "input_image", "input_audio", "refusal", "text", "text", "unknown"]
    assert [part.kind for part in user.parts] == kinds
    assert user.name == "ann"
    assert user.parts[1].text == "data:image/png;base64,… (5000 characters)"
    assert user.parts[2].text == "https://example.com/" + "x" * 180 + "…"
    assert len(user.parts[3].text) < 300
    assert user.parts[-1].text == '{"refs": ["a", 1]}'
    assert assistant.parts == (Part("refusal", "I will not."), Part("audio", "spoken"))
    assert assistant.tool_calls == (ToolCall("c1", "f", "{}"), ToolCall("c2", "g", "free"))
    assert assistant.reasoning == "hm"
    assert old.tool_calls == (ToolCall("", "old", "[1]"),)
    assert (tool.tool_call_id, tool.text) == ("c1", "42")
    assert odd.parts == ()
    assert talk.tools == (Tool("f", "d", {"a": 1}), Tool("old", "", None))
    assert talk.settings == {"temperature": 0.5}
    assert "f({})" in talk.text


def test_a_stream_of_several_answers():
    """Choices grow side by side; roles, reasoning, refusals, sound and old function calls find their place."""
    talk = streamed(
        delta(0, role="assistant", content=""),
        delta(1, role="critic", reasoning_content="hm"),
        delta(0, content="Hel"),
        delta(1, refusal="no"),
        delta(0, content="lo", finish="stop"),
        delta(1, audio={"transcript": "la"}),
        delta(1, function_call={"name": "f", "arguments": "{"}),
        delta(1, function_call={"arguments": "}"}, finish="function_call"),
        {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 5, "total_tokens": 8}},
        offsets=[0.1, 0.2, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1],
    )
    first, second = talk.choices
    assert (first.number, first.message.text, first.finish_reason) == (0, "Hello", "stop")
    assert (second.message.role, second.message.reasoning) == ("critic", "hm")
    assert second.message.parts == (Part("refusal", "no"), Part("audio", "la"))
    assert second.message.tool_calls == (ToolCall("", "f", "{}"),)
    assert talk.usage == Usage(input=3, output=5, total=8)
    assert talk.pieces[0] == Piece(1, 0.2, 1, "reasoning", "hm")
    assert talk.timing.first_token == 0.2
    assert not talk.timing.is_estimated
    assert talk.timing.tokens_per_second == pytest.approx(4 / 0.8)


def test_parallel_tool_calls_of_a_stream():
    """Calls are told apart by their index, and an id or a name that is repeated counts once."""

    def call(index, **function):
        return delta(tool_calls=[{"index": index, "id": f"c{index}", "function": function}])

    talk = streamed(
        call(0, name="f", arguments=None),
        call(1, name="g", arguments="["),
        call(0, name="f", arguments="{}"),
        call(1, arguments="]"),
        delta(tool_calls=[{"id": "c2", "custom": {"name": "h", "input": "x"}}, None]),
    )
    assert talk.choices[0].message.tool_calls[1] == ToolCall("c1", "g", "[]")
    assert talk.choices[0].message.tool_calls[0].arguments == "{}x"


def test_a_streamed_text_completion():
    """Texts of choices add up, and prompts of every kind are shown."""
    chunks = [{"choices": [{"text": "Once"}]}, {"choices": [{"text": " upon", "finish_reason": "length"}]}]
    talk = streamed(*chunks, body={"prompt": ["a", [1, 2]]}, path="/completions")
    assert talk.kind == "completion"
    assert [message.text for message in talk.messages] == ["a", "[1, 2]"]
    assert (talk.choices[0].message.text, talk.choices[0].finish_reason) == ("Once upon", "length")
    talk = plain({"choices": [{"text": "Once"}], "model": "n"}, {"prompt": [1, 2]}, "/completions")
    assert [message.text for message in talk.messages] == ["[1, 2]"]
    assert (talk.choices[0].message.text, talk.model) == ("Once", "n")


RESPONSE = {
    "model": "gpt-x",
    "status": "completed",
    "output": [
        {"type": "reasoning", "summary": [{"type": "summary_text", "text": "thinking"}]},
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Hi."}]},
        {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"},
        {"type": "web_search_call", "status": "completed"},
    ],
    "usage": {
        "input_tokens": 5,
        "output_tokens": 9,
        "total_tokens": 14,
        "input_tokens_details": {"cached_tokens": 2},
        "output_tokens_details": {"reasoning_tokens": 4},
    },
}


def test_the_responses_api():
    """Instructions, items in and out, reasoning, calls and usage, plain and streamed, come to the same."""
    body = {
        "instructions": "Be brief.",
        "input": [
            {"role": "user", "content": "Hello"},
            {"type": "function_call_output", "call_id": "c0", "output": "42"},
            {"type": "reasoning", "summary": [], "content": [{"type": "reasoning_text", "text": "deep"}]},
            {"type": "item_reference", "id": "x"},
        ],
        "tools": [{"type": "web_search"}, {"type": "function", "name": "f", "parameters": {}}],
    }
    talk = plain(RESPONSE, body, "/responses", elapsed=3.0)
    assert talk.kind == "response"
    assert [message.role for message in talk.messages] == ["system", "user", "tool", "assistant", ""]
    assert talk.messages[2].tool_call_id == "c0"
    assert talk.messages[3].reasoning == "deep"
    assert talk.messages[4].parts == (Part("item_reference", '{"id": "x"}'),)
    assert [tool.name for tool in talk.tools] == ["web_search", "f"]
    (choice,) = talk.choices
    assert choice.message.parts == (Part("text", "Hi."), Part("web_search_call", '{"status": "completed"}'))
    assert choice.message.tool_calls == (ToolCall("c1", "f", "{}"),)
    assert (choice.message.reasoning, choice.finish_reason) == ("thinking", "completed")
    assert talk.usage == Usage(5, 9, 14, 2, 4)
    assert talk.timing.tokens_per_second == 3
    events = [
        {"type": "response.created", "response": {"model": "gpt-x"}},
        {"type": "response.reasoning_summary_text.delta", "delta": "thinking"},
        {"type": "response.output_text.delta", "delta": "Hi", "output_index": 1},
        {"type": "response.output_text.delta", "delta": ".", "output_index": 1},
        {
            "type": "response.output_item.added",
            "output_index": 2,
            "item": {"type": "function_call", "name": "f", "call_id": "c1"},
        },
        {"type": "response.function_call_arguments.delta", "delta": "{}", "output_index": 2},
    ]
    whole = streamed(*events, {"type": "response.completed", "response": RESPONSE}, path="/responses", body=body)
    assert (whole.choices, whole.usage, whole.error, whole.model) == (talk.choices, talk.usage, "", "gpt-x")
    assert [piece.text for piece in whole.pieces] == ["thinking", "Hi", ".", "f", "{}"]
    broken = streamed(*events, body=body, path="/responses", end="closed")
    assert broken.end == "closed"
    assert broken.choices[0].message.tool_calls == talk.choices[0].message.tool_calls
    assert broken.choices[0].message.text == "Hi."


def test_a_response_that_failed():
    """The reason of a failed response, and of one that was cut short, are told."""
    failed = {"type": "response.failed", "response": {"status": "failed", "error": {"message": "overloaded"}}}
    assert streamed(failed, path="/responses").error == "overloaded"
    short = {**RESPONSE, "status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}
    assert plain(short, {"input": "Hello"}, "/responses").choices[0].finish_reason == "max_output_tokens"


@pytest.mark.parametrize(
    ("response", "error"),
    [
        ({"status": 400, "body": raw({"error": {"message": "bad"}})}, "bad"),
        ({"status": 400, "body": raw({"message": "flat"})}, "flat"),
        ({"status": 400, "body": raw({"error": "a text"})}, "a text"),
        ({"status": 502, "text": "<html>"}, "<html>"),
        ({"status": 500, "body": raw([])}, "HTTP status 500"),
        ({"status": 0, "failure": Failure("ConnectError", "refused")}, "ConnectError: refused"),
        ({"status": 0, "failure": Failure("ReadTimeout")}, "ReadTimeout"),
        ({"end": "done", "chunks": [raw({"error": {"message": "late"}})]}, "late"),
        ({"end": "done", "chunks": [raw({"type": "error", "message": "event"})]}, "event"),
    ],
)
def test_errors_are_told(response, error):
    """What a server, or the connection, said in place of an answer."""
    talk = read_conversation(recording({"model": "m"}, **response))
    assert (talk.error, talk.choices) == (error, ())
    assert error in talk.text


@pytest.mark.parametrize(
    ("answer", "summary"),
    [
        ({"data": [{"embedding": [0.1, 0.2]}]}, "1 vector of 2 dimensions"),
        ({"data": [{"embedding": "AAAAAAAAAAA="}, {"embedding": "AAAAAAAAAAA="}]}, "2 vectors of 2 dimensions"),
        ({"object": "list", "data": [{"embedding": "no base64!"}]}, "list"),
        ({"data": [{"id": name} for name in "abcdefg"]}, "7 objects: a, b, c, d, e and 2 more"),
        ({"results": [{"flagged": True}, {"flagged": False}]}, "2 results, 1 flagged"),
        ({"object": "file", "id": "f-1"}, "file f-1"),
        ([], ""),
    ],
)
def test_other_answers_have_a_summary(answer, summary):
    """Vectors, lists and verdicts are told in one line."""
    assert plain(answer, {"input": "a"}, "/other").summary == summary


def test_kinds_of_paths():
    """Azure's paths begin with the deployment; an unknown path with messages is a chat."""
    assert kind_of("/openai/deployments/x/chat/completions") == "chat"
    assert kind_of("/score", {"messages": [{"role": "user"}]}) == "chat"
    assert kind_of("/score") == "other"
    assert kind_of("/openai/responses") == "response"


def test_one_token_has_no_rate():
    """Where nothing follows the first token no rate is made up, nor where no time passed."""
    assert streamed(delta(content="a"), offsets=[0.5]).timing.tokens_per_second is None
    assert streamed(delta(content="a"), delta(content="b"), offsets=[0.5, 0.5]).timing.tokens_per_second is None
    quiet = streamed(delta(role="assistant"), offsets=[0.5]).timing
    assert (quiet.first_token, quiet.total, quiet.tokens_per_second) == (None, 0.5, None)
    assert plain({"choices": []}, elapsed=0.0).timing.tokens_per_second is None


def test_a_chunk_that_is_no_json_counts_for_nothing():
    """A verbatim chunk is text for nobody's eyes, and the ones beside it are read."""
    talk = streamed("ping", delta(content="a"), verbatim=[0])
    assert talk.choices[0].message.text == "a"
    assert talk.pieces[0].chunk == 1


NAMES = (
    *("messages", "model", "tools", "choices", "delta", "message", "content", "tool_calls", "function"),
    *("name", "arguments", "index", "type", "item", "response", "error", "usage", "output", "input"),
    *("data", "embedding", "results", "prompt", "text", "role", "reasoning", "image_url"),
)
JSONS = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.text("ab", max_size=2),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(NAMES),
            inner,
            max_size=4,
        )
    ),
    max_leaves=20,
)


@given(
    body=JSONS,
    answers=st.lists(JSONS, max_size=3),
    path=st.sampled_from(["/chat/completions", "/completions", "/responses", "/embeddings", "/x"]),
    is_stream=st.booleans(),
    kind=st.sampled_from(["", "response.completed", "response.output_item.added", "response.output_text.delta"]),
)
def test_whatever_stands_there_is_read(body, answers, path, is_stream, kind):
    """No JSON, on either side, makes reading fail."""
    for answer in answers:
        if isinstance(answer, dict) and kind:
            answer["type"] = kind
    talk = (streamed(*answers, body=body, path=path) if is_stream else plain(answers, body, path)).text
    assert isinstance(talk, str)


def test_nested_too_deeply_is_nothing():
    """JSON that Python cannot read is passed over."""
    deep = msgspec.Raw(b"[" * 100_000 + b"]" * 100_000)
    held = RecordedRequest("POST", "/chat/completions", deep)
    talk = read_conversation(Recording(1, "0" * 64, held, Response(body=deep)))
    assert (talk.messages, talk.choices, talk.model) == ((), (), "")


def test_parts_that_are_nested_deeply_are_shown_in_part():
    """What JSON can still be read, but hardly written again, does not keep the rest from being shown."""
    deep = json.loads("[" * 900 + "]" * 900)
    message = {"role": "assistant", "content": [{"type": "odd", "x": deep}]}
    said = plain({"choices": [{"message": message}]}, {"model": "m", "messages": [message]})
    for found in (said.messages[0], said.choices[0].message):
        assert found.parts[0].kind == "odd"
        assert "[…nested more deeply]" in found.parts[0].text
    embedded = plain({"data": []}, {"model": "e", "input": [deep]}, "/embeddings")
    assert "[…nested more deeply]" in embedded.messages[0].text


def test_counts_beyond_all_numbers_are_none():
    """A count of tokens with hundreds of digits is no count, and no error."""
    usage = {"prompt_tokens": 10**400, "completion_tokens": 10**400, "total_tokens": 2**63 - 1}
    said = plain({"choices": [], "usage": usage}, elapsed=0.5)
    assert said.usage == Usage(total=2**63 - 1)
    assert said.timing.tokens_per_second is None


@pytest.mark.parametrize("count", [True, 3.0, "3", None, [3]])
def test_what_is_no_number_is_no_count(count):
    """JSON's `true` would count as one token in Python."""
    assert plain({"choices": [], "usage": {"prompt_tokens": count, "total_tokens": 3}}).usage == Usage(total=3)


@pytest.mark.parametrize(("length", "end"), [(200, ""), (201, "…")])
def test_long_addresses_are_cut(length, end):
    """An address of up to 200 characters is shown whole, a longer one up to there."""
    url = "https://example.com/".ljust(length, "x")
    content = [{"type": "image_url", "image_url": url}]
    (message,) = plain({"choices": []}, {"model": "m", "messages": [{"role": "user", "content": content}]}).messages
    assert message.parts == (Part("image_url", url[:200] + end),)


def test_files_and_contents_have_a_line_each(client, server, tmp_path):
    """What was sent, by name, type, size and digest; and what came back, by size and name."""
    image = base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(100_000)).decode()
    server.replies = [
        Reply(headers={"content-type": "audio/mpeg"}, body=b"\xff\xfb\x00"),
        json_reply({"text": "Hello."}),
        Reply(headers={"content-type": "text/plain"}, body=b"1\n00:00"),
        json_reply({"created": 1, "data": [{"b64_json": image}]}),
        json_reply({"created": 1, "data": []}),
    ]
    with replay(tmp_path, mode="record"):
        client.audio.speech.create(model="m", voice="alloy", input="Hi")
        client.audio.transcriptions.create(model="m", file=("a.wav", b"RIFF"), language="en")
        client.audio.transcriptions.create(model="m", file=("a.wav", b"RIFF"), response_format="srt")
        client.images.generate(prompt="A fox")
        client.post("/images", cast_to=object, files=[("image", ("a.png", b"1")), ("image", ("b.bin", b"2"))])
    talks = {entry.name: entry.conversation for entry in Catalogue(tmp_path).entries()}
    lines = {(*_asked(talk), "→", *_answers(talk)) for talk in talks.values()}
    speech = "3 bytes, " + next(tmp_path.rglob("*.mp3")).name.partition(".")[2]
    drawn = "100,008 bytes, " + next(tmp_path.rglob("*.png")).name.partition(".")[2]
    digest = hashlib.sha256(b"RIFF").hexdigest()[:12]
    guessed = mimetypes.guess_type("a.wav")[0]
    sent = f"a.wav, {guessed}, 4 bytes, SHA-256 {digest}…"
    assert lines == {
        ("Hi", "→", f"audio: {speech}"),
        (sent, "→", "text: Hello."),
        (sent, "→", "text: 1\n00:00"),
        ("A fox", "→", f"image: {drawn}"),
        (
            "a.png, image/png, 1 bytes, SHA-256 6b86b273ff34…",
            "b.bin, application/octet-stream, 1 bytes, SHA-256 d4735e3a265e…",
            "→",
        ),
    }
    assert {"language": "en"} in [talk.settings for talk in talks.values()]


def _answers(talk):
    return [f"{part.kind}: {part.text}" for choice in talk.choices for part in choice.message.parts]


def _asked(talk):
    return [part.text for message in talk.messages for part in message.parts]


COUNT = (
    st.none() | st.integers() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=2)
)
DETAILS = COUNT | st.dictionaries(st.sampled_from(["cached_tokens", "reasoning_tokens", "audio_tokens"]), COUNT)
COUNTS = st.fixed_dictionaries(
    {},
    optional=dict.fromkeys(
        ("prompt_tokens", "input_tokens", "completion_tokens", "output_tokens", "total_tokens"), COUNT
    )
    | dict.fromkeys(("prompt_tokens_details", "input_tokens_details"), DETAILS)
    | dict.fromkeys(("completion_tokens_details", "output_tokens_details"), DETAILS),
)


@given(st.none() | COUNT | st.fixed_dictionaries({"choices": st.just([])}, optional={"usage": COUNT | COUNTS}))
@example({"usage": {"prompt_tokens": 2**63}})
@example({"usage": {"prompt_tokens": 2**63 - 1, "completion_tokens": -(2**63)}})
def test_tokens_are_the_same_without_the_rest(body):
    """Whatever stands in their place."""
    assert read_usage_alone(json.dumps(body).encode()) == read_usage(body)


@pytest.mark.parametrize("text", [b"", b"no JSON", b'{"usage": NaN}', b"[" * 100_000])
def test_what_is_no_json_counts_no_tokens(text):
    """And is no error."""
    assert read_usage_alone(text) == Usage()


PARTS = (
    st.none()
    | st.text(max_size=3)
    | st.lists(st.fixed_dictionaries({"type": st.just("text"), "text": st.text(max_size=3)}), max_size=2)
)
SAID = st.fixed_dictionaries(
    {},
    optional={"role": st.sampled_from(["user", "assistant", 1]), "content": PARTS, "refusal": st.text(max_size=2)}
    | {"audio": st.just({"transcript": "heard"})},
)


@given(st.sampled_from(["chat", "response", "completion", "other"]), st.lists(SAID | st.integers(), max_size=4))
def test_the_gist_is_that_of_all_messages(kind, messages):
    """The last words of the user, otherwise the first ones of anybody."""
    body = {"messages": messages, "input": "Once", "prompt": "upon"}
    assert read_gist(kind, body) == gist(read_messages(kind, body))


def test_the_gist_of_a_long_chat():
    """The user's last message tells, the first one if the user says nothing, and nothing if nobody does."""
    system, user = {"role": "system", "content": "Be brief"}, {"role": "user", "content": "Hi"}
    assert read_gist("chat", {"messages": [system, user, {"role": "assistant", "content": "Hello"}]}) == "Hi"
    assert read_gist("chat", {"messages": [system, {**user, "content": ""}]}) == "Be brief"
    assert read_gist("chat", {"messages": []}) == ""
