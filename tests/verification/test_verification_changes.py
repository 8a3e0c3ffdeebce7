"""What counts as a change of an answer, and what does not."""

from __future__ import annotations

import base64
import json
import struct

import msgspec
import pytest
from written import plain, raw, said, streamed

from inferencereplay.recording.format import VERSION, Failure, RecordedRequest, Recording, Response
from inferencereplay.verification.changes import Thresholds, compare
from inferencereplay.verification.fields import came_and_went
from inferencereplay.verification.similarity import text_similarity, vector_similarity

STORY = "Once upon a time there was a fox who lived in a wood and ate berries."


def changes(old, new, body=None, path="/chat/completions", **thresholds):
    """Return what changed, a line for each change."""
    held = RecordedRequest("POST", path, raw(body or {"model": "m"}))
    recording = Recording(VERSION, "0" * 64, held, old)
    return [str(change) for change in compare(recording, new, Thresholds(**thresholds)).changes]


def call(arguments, name="get_weather", number=1):
    return {"id": f"call_{number}", "type": "function", "function": {"name": name, "arguments": arguments}}


def calling(*calls):
    return said(None, tool_calls=[*calls])


def finished(reason):
    choice = {"index": 0, "message": {"role": "assistant", "content": "a"}, "finish_reason": reason}
    return plain({"model": "m", "choices": [choice]})


def vectors(*items, model="e"):
    return plain({"model": model, "data": [{"object": "embedding", "embedding": item} for item in items]})


def test_letters_do_not_count():
    """Another text of about the same length is no change, and neither are ids and times."""
    new = said("A hare of the field and a hedgehog ran a race, and one of them won it.")
    body = json.loads(bytes(new.body)) | {"id": "other", "created": 5, "system_fingerprint": "f"}
    old = plain(json.loads(bytes(said(STORY).body)) | {"id": "x", "created": 1, "system_fingerprint": "g"}, elapsed=9.0)
    assert changes(old, plain(body)) == []


def test_texts_count_as_far_as_the_user_says():
    """Below the similarity that was asked for, the place where the texts part is shown."""
    new = said(STORY.replace("berries", "grapes"))
    assert changes(said(STORY), new, similarity=0.9) == []
    assert changes(said(STORY), new, similarity=1.0) == [
        'text, similarity 0.94: "… a wood and ate berries." → "… a wood and ate grapes."'
    ]
    assert changes(said(STORY), said(STORY), similarity=1.0) == []


def test_texts_that_are_no_json_count_too():
    """A plain text is compared like one of a chat."""
    old, new = (Response(200, {"content-type": "text/plain"}, text=text) for text in ("one two", "three four"))
    assert changes(old, new) == []
    assert changes(old, new, similarity=0.5) == ['text, similarity 0.00: "one two" → "three four"']
    assert changes(old, msgspec.structs.replace(new, text="x" * 100)) == ["length: 7 characters → 100 characters"]


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        (said("a"), plain({"error": {"message": "no model m"}}, 404), ["status: 200 → 404 (no model m)"]),
        (said("a"), streamed("a"), ["form: a plain answer → a stream"]),
        (finished("stop"), finished("length"), ["finish reason: stop → length"]),
        (finished("stop"), finished(None), ["finish reason: stop → none", "fields: choices[].finish_reason → absent"]),
        (said("a"), plain({**json.loads(bytes(said("a").body)), "choices": []}), ["answers: 1 → 0"]),
        (
            said("Yes"),
            said(None, refusal="I cannot"),
            ["refusal: answered → refused", "length: 3 characters → no text"],
        ),
        (said("a"), said("a" * 42), ["length: 1 characters → 42 characters"]),
        (said("a"), said("a" * 41), []),
        (said("a" * 50), said("a" * 150), []),
        (
            said("a"),
            said(None, tool_calls=[call("{}")]),
            ["tool calls: none → get_weather({})", "length: 1 characters → no text"],
        ),
    ],
    ids=["status", "form", "reason", "no reason", "answers", "refusal", "longer", "short", "three times", "call"],
)
def test_structure_counts(old, new, told):
    """Status, form, ending, tool calls, refusals and lengths are compared."""
    assert changes(old, new) == told


def test_the_model_that_answered_counts():
    """Not the one that was asked for, which is the same."""
    old, new = (said("a") for _ in range(2))
    new.body = raw(json.loads(bytes(new.body)) | {"model": "m-2026"})
    assert changes(old, new) == ["model: m → m-2026"]
    completed = [raw({"type": "response.created", "response": {"model": name}}) for name in ("m-1", "m-2")]
    old, new = (Response(200, end="done", sentinel=False, chunks=[raw({"type": "x"}), item]) for item in completed)
    assert changes(old, new, path="/responses") == ["model: m-1 → m-2"]


def test_the_tokens_of_the_prompt_count():
    """The same request has others if a chat template or a tokenizer changed; a server need not count them."""
    old, new = said("a"), said("a")
    new.body = raw(json.loads(bytes(new.body)) | {"usage": {"prompt_tokens": 8, "total_tokens": 11}})
    assert changes(old, new, ignored_fields=("usage.*",)) == []
    assert changes(old, new, ignored_fields=("usage.completion*",)) == ["prompt tokens: 7 → 8"]
    new.body = raw(json.loads(bytes(new.body)) | {"usage": {"total_tokens": 11}})
    assert [line for line in changes(old, new) if not line.startswith("fields: usage.")] == []


def test_tool_calls_are_compared_as_json():
    """White space, the order of members and ids do not count; values, names and the number of calls do."""
    old = calling(call('{"city": "Rome", "days": 2}'))
    assert changes(old, calling(call('{"days":2,"city":"Rome"}', number=9))) == []
    assert changes(old, calling(call('{"city": "Roma", "days": 2}'))) == [
        'tool calls: get_weather.city "Rome" → "Roma"'
    ]
    assert changes(old, calling(call('{"city": "Rome"}'))) == ["tool calls: get_weather.days 2 → absent"]
    assert changes(old, calling(call("{}", "find"))) == [
        'tool calls: get_weather({"city": "Rome", "days": 2}) → find({})'
    ]
    assert changes(old, calling(call('{"city"'))) == [
        'tool calls: get_weather({"city": "Rome", "days": 2}) → get_weather({"city")'
    ]
    assert changes(calling(call("")), calling(call(""))) == []
    assert changes(calling(), calling(*[call("{}")] * 9))[-1] == "tool calls: … → 2 more"


def test_streamed_tool_calls_are_assembled_first():
    """However the chunks were cut."""
    whole = streamed({"tool_calls": [{"index": 0, **call('{"a": 1}')}]})
    parts = streamed(
        {"tool_calls": [{"index": 0, **call('{"a"')}]},
        {"tool_calls": [{"index": 0, "function": {"arguments": ": 1}"}}]},
    )
    assert changes(whole, parts) == []


def test_ends_of_streams_count():
    """A stream that ended by an error event is another one."""
    old = streamed("a", "b")
    broken = streamed("a", end="error", failure=Failure("ReadError", "cut"))
    assert changes(old, broken) == ["end: done → error (ReadError: cut)"]
    told = Response(200, end="done", chunks=[*old.chunks, raw({"error": {"message": "overloaded"}})])
    assert changes(old, told)[0] == "error: none → an error"


def test_errors_are_compared_by_type_and_code():
    """The wording of an error may change."""

    def error(message, code):
        return plain({"error": {"message": message, "type": "invalid_request_error", "code": code}}, 400)

    assert changes(error("Too long", "c"), error("It is too long", "c")) == []
    assert changes(error("Too long", "c"), error("Too long", "d")) == [
        "error: invalid_request_error c → invalid_request_error d"
    ]


SCHEMA = {"type": "object", "properties": {"age": {"type": "integer"}}, "required": ["age"]}
FORMATS = {
    "chat": {"response_format": {"type": "json_schema", "json_schema": {"name": "p", "schema": SCHEMA}}},
    "responses": {"text": {"format": {"type": "json_schema", "name": "p", "schema": SCHEMA}}},
    "object": {"response_format": {"type": "json_object"}},
}


@pytest.mark.parametrize("body", FORMATS.values(), ids=FORMATS)
def test_the_requests_schema_counts(body):
    """An answer that fitted has to fit, and the reason why it does not is told."""
    fits, also = said('{"age": 3}'), said('{"age": 4}')
    assert changes(fits, also, body) == []
    assert changes(fits, said("age: 3"), body) == ["schema: fits → does not fit (it is no JSON)"]
    reasons = [] if body is FORMATS["object"] else ["schema: fits → does not fit ($.age: '3' is not of type 'integer')"]
    assert changes(fits, said('{"age": "3"}'), body) == reasons
    assert changes(said("no"), said("none"), body) == []
    assert changes(fits, said(None, refusal="I will not"), body)[0] == "refusal: answered → refused"


def test_schemas_of_tools_count():
    """The arguments of a call have to fit the parameters of its tool."""
    body = {"tools": [{"type": "function", "function": {"name": "get_weather", "parameters": SCHEMA}}]}
    old, new = calling(call('{"age": 3}')), calling(call('{"age": [1]}'))
    assert changes(old, new, body) == [
        "tool calls: get_weather.age 3 → [1]",
        "schema: fits → does not fit (get_weather: $.age: [1] is not of type 'integer')",
    ]
    deep = {"tools": [{"name": "get_weather", "parameters": {"items": SCHEMA}}]}
    assert "schema: fits → does not fit (get_weather: $[0]: 'age' is a required property)" in changes(
        calling(call('[{"age": 1}]')), calling(call("[{}]")), deep
    )


@pytest.mark.parametrize("schema", [{"type": "nothing"}, {"$ref": "http://127.0.0.1:9/schema"}], ids=["type", "ref"])
def test_a_schema_that_cannot_be_used_changes_nothing(schema):
    """Neither does it fetch anything."""
    body = {"response_format": {"type": "json_schema", "json_schema": {"schema": schema}}}
    assert changes(said("{}"), said("[]"), body) == []


def test_fields_that_came_or_went():
    """They are told by their path, once, and the user may let some of them pass."""
    old, new = plain({"a": 1, "b": [{"c": 1}, {"d": 2}], "g": None}), plain({"b": [{"c": 1, "e": {"f": 1}}], "x": 0})
    assert came_and_went(old, new) == (["b[].e", "x"], ["a", "b[].d"])
    assert came_and_went(old, new, ["b[].*", "x"]) == ([], ["a"])
    assert changes(said("a"), said("a", reasoning="hm"), ignored_fields=("choices[].message.*",)) == []
    assert changes(said("a"), said("a", reasoning="hm")) == ["fields: absent → choices[].message.reasoning"]


def test_fields_of_streams_are_taken_together():
    """A chunk need not have what another one has; events are compared by their types."""
    assert changes(streamed({"role": "a", "content": "x"}, "y"), streamed("x", {"role": "a", "content": "y"})) == []
    assert changes(streamed("x"), streamed({"content": "x", "new": 1})) == ["fields: absent → choices[].delta.new"]
    one, two = ({"type": f"response.{name}", "n": 1} for name in ("a", "b"))
    old, new = (Response(200, end="done", chunks=[raw(item)]) for item in (one, two))
    assert came_and_went(old, new) == (["response.b"], ["response.a"])


def test_tokens_and_metadata_are_no_fields():
    """Where names of members are content, they do not count."""

    def text(token, tag):
        logprobs = {"tokens": [token], "top_logprobs": [{token: -0.5}]}
        choice = {"index": 0, "text": token, "logprobs": logprobs, "finish_reason": "stop"}
        return plain({"model": "m", "choices": [choice], "metadata": {tag: 1}})

    assert changes(text("a", "x"), text("b", "y"), path="/completions") == []

    def chat(**more):
        top = [{"token": "a", "logprob": -0.5, **more}]
        return plain({"choices": [{"index": 0, "message": {"content": "a"}, "logprobs": {"top_logprobs": top}}]})

    assert changes(chat(), chat(bytes=[1])) == ["fields: absent → choices[].logprobs.top_logprobs[].bytes"]


def test_vectors_are_compared():
    """Their size is structure; their direction counts as far as the user says."""
    path = "/embeddings"
    assert changes(vectors([1.0, 0.0]), vectors([1.0, 0.0, 0.0]), path=path) == [
        "content: 1 vector of 2 dimensions → 1 vector of 3 dimensions"
    ]
    assert changes(vectors([1.0, 0.0]), vectors([0.0, 1.0]), path=path) == []
    assert changes(vectors([1.0, 0.0]), vectors([0.6, 0.8]), path=path, similarity=0.9) == [
        "vectors, similarity 0.60: 1 vector of 2 dimensions → 1 vector of 2 dimensions"
    ]


def test_moderations_are_compared_by_what_they_flag():
    """Scores do not count."""

    def verdict(flagged, **categories):
        return plain({"model": "m", "results": [{"flagged": flagged, "categories": categories}]})

    path = "/moderations"
    assert changes(verdict(flagged=True, a=True, b=False), verdict(flagged=True, a=False, b=True), path=path) == [
        "content: a → b"
    ]
    assert changes(verdict(flagged=True), verdict(flagged=False), path=path) == ["content: flagged → not flagged"]
    assert changes(verdict(flagged=False), plain({"model": "m"}), path=path)[0] == "content: not flagged → none"


def test_lists_are_compared_by_ids():
    """Which models there are, whatever their order."""

    def models(*names):
        return plain({"object": "list", "data": [{"id": name} for name in names]})

    assert changes(models("a", "b"), models("b", "a"), path="/models") == []
    assert changes(models("a", "b"), models("b", "c"), path="/models") == [
        "content: a → absent",
        "content: absent → c",
    ]
    assert changes(plain({"id": "a"}), plain({"id": "b"}), path="/models/a") == ["content: a → b"]


def test_long_values_are_cut_and_nothing_controls_a_terminal():
    """An answer may hold anything."""
    (line,) = changes(finished("stop"), finished("\x1b[2J" + "x" * 500))
    assert "\x1b" not in line
    assert len(line) < 150


def test_similarity_of_texts():
    """Words in the same order count, and a text of many words takes no square of its time."""
    assert text_similarity("a b c d", "a b c d") == 1
    assert text_similarity("a b c d", "a x c d") == 0.75
    assert text_similarity("a b", "c d") == 0
    many = " ".join(f"{index % 300} {index}" for index in range(6_000))
    assert text_similarity(many, many + " end") > 0.9


def test_similarity_of_vectors():
    """Numbers and Base64 alike; what cannot be compared has none."""

    def body(*items):
        return {"data": [{"embedding": item} for item in items]}

    coded = base64.b64encode(struct.pack("<2f", 3, 4)).decode()
    assert vector_similarity(body([3, 4]), body(coded)) == pytest.approx(1)
    assert vector_similarity(body([1, 0], [1, 0]), body([1, 0], [0, 1])) == 0
    assert vector_similarity(body([0, 0]), body([0, 0])) == 1
    assert vector_similarity(body([1, 0]), body([-1, 0])) == 0
    for broken in ("äö", "AAA", "AAAA", [None], [1.0]):
        assert vector_similarity(body([1, 0]), body(broken)) is None
    assert vector_similarity({}, {}) is None
