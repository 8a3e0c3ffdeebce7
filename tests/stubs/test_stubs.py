"""Answers by hand: what a program gets, which call gets which, and what is told of those that nobody asked for."""

from __future__ import annotations

import inspect
import json
import logging
import math
import re
import threading
from fractions import Fraction

import openai
import pytest
from conftest import ASK
from openai.types.chat import ChatCompletion
from ways import Person, entered, facts, items, run, settle

from inferencereplay import (
    InvalidSetting,
    Pace,
    RecordingNotFound,
    Session,
    UnusedStub,
    VirtualClock,
    current_session,
    replay,
    wrap,
)
from inferencereplay.recording.format import decode
from inferencereplay.stubs.arguments import StubOptions

TEXT = "The capital of  Italy\nis Rome."
PIECES = ["The", " capital", " of", "  Italy", "\nis", " Rome."]
CALL = ("get_weather", {"city": "Rome", "days": 2})
PERSON = Person(name="Ann", age=3)


def said(answer):
    return answer.choices[0].message.content


def chat_of(client, name):
    """Return the chat completions that have a method, which older versions have among their betas."""
    return client.chat.completions if hasattr(client.chat.completions, name) else client.beta.chat.completions


def deltas(chunks):
    return [choice.delta for chunk in chunks for choice in chunk.choices]


def joined(pieces):
    return "".join(piece for piece in pieces if piece)


# What a program gets.


def test_a_chat(driver, tmp_path):
    """A text is a whole answer, complete and valid, with an id, usage and the model that was asked for."""
    with replay(tmp_path) as session:
        session.stub(TEXT)
        made = driver.chat()
    assert type(made) is ChatCompletion
    assert ChatCompletion.model_validate_json(made.model_dump_json(), strict=True) is not None
    assert (said(made), made.choices[0].finish_reason, made.model) == (TEXT, "stop", "m")
    assert made.id.startswith("chatcmpl-")
    assert getattr(made, "_request_id", "req_").startswith("req_")  # the oldest versions have none
    assert made.created > 1_700_000_000
    assert (made.usage.completion_tokens, made.usage.total_tokens) == (6, 6 + made.usage.prompt_tokens)
    assert made.usage.prompt_tokens >= 1
    assert (session.stubbed, session.hits, session.misses) == (1, 0, 0)
    assert repr(session).endswith(", stubbed=1>")
    assert [(call.outcome, call.body, call.recording, call.attempts) for call in session.calls] == [
        ("stub", ASK, None, 1)
    ]
    assert session.calls[0].ended is not None


def test_a_streamed_chat(driver, tmp_path):
    """The same stub is a stream where one is asked for, split at words, as a server would send it."""
    with replay(tmp_path) as session:
        session.stub(TEXT)
        made = driver.chat(stream=True)
    assert made[0].choices[0].delta.role == "assistant"
    assert [delta.content for delta in deltas(made)] == ["", *PIECES, None]
    assert [choice.finish_reason for chunk in made for choice in chunk.choices] == [None] * 7 + ["stop"]
    assert {chunk.id for chunk in made} == {made[0].id}
    assert all(chunk.usage is None for chunk in made)
    assert session.calls[0].ended is not None


def test_the_usage_of_a_stream(driver, tmp_path):
    """It comes last, if it is asked for; a stub may say it."""
    with replay(tmp_path) as session:
        session.stub(TEXT, usage={"prompt_tokens": 7, "completion_tokens": 2, "total_tokens": 9})
        session.stub(TEXT, usage=(8, 3), times=2)
        options = {"stream": True, "stream_options": {"include_usage": True}}
        chats = driver.chat(**options)
        texts = driver.text(**options)
        plain = driver.text()
    assert [chunk.usage and chunk.usage.total_tokens for chunk in chats] == [None] * 8 + [9]
    assert chats[-1].choices == []
    assert [chunk.usage and chunk.usage.total_tokens for chunk in texts] == [None] * 7 + [11]
    assert plain.usage.total_tokens == 11


def test_chunks_are_as_they_are_given(driver, tmp_path):
    """A stream has these pieces, and a plain answer their sum."""
    with replay(tmp_path) as session:
        session.stub(chunks=iter(["Ro", "", "me"]), times=2)
        assert [delta.content for delta in deltas(driver.chat(stream=True))] == ["", "Ro", "", "me", None]
        assert said(driver.chat()) == "Rome"


@pytest.mark.parametrize("text", ["", " ", "a" * 100, "日本語" * 20, "a\n\n b  ", '{"a": "b c"}'], ids=repr)
def test_any_text_is_whole(driver, tmp_path, text):
    """Its pieces are the text, however it is spaced; none is very long."""
    with replay(tmp_path) as session:
        session.stub(text, times=2)
        assert said(driver.chat()) == text
        pieces = [delta.content for delta in deltas(driver.chat(stream=True)) if delta.content]
    assert "".join(pieces) == text
    assert all(len(piece.strip()) <= 24 for piece in pieces)


def test_calls_of_tools(driver, tmp_path):
    """With ids of their own, and arguments as JSON; a text may come before them, and JSON may be wrong."""
    with replay(tmp_path) as session:
        session.stub("Let me see.", tool_calls=[CALL, ("add", "{'not': json", "call_mine")], times=2)
        whole = driver.chat().choices[0]
        parts = driver.chat(stream=True)
    first, second = whole.message.tool_calls
    assert (whole.finish_reason, whole.message.content) == ("tool_calls", "Let me see.")
    assert (first.type, first.function.name, json.loads(first.function.arguments)) == ("function", *CALL)
    assert re.fullmatch("call_[0-9a-f]{24}", first.id)
    assert (second.id, second.function.arguments) == ("call_mine", "{'not': json")
    calls = [call for delta in deltas(parts) for call in delta.tool_calls or []]
    assert json.loads(joined(call.function.arguments for call in calls if call.index == 0)) == CALL[1]
    assert [call.function.name for call in calls if call.id] == ["get_weather", "add"]
    assert parts[-1].choices[0].finish_reason == "tool_calls"


def test_a_refusal(driver, tmp_path):
    """In place of a text."""
    with replay(tmp_path) as session:
        session.stub(refusal="I will not.", times=2)
        made = driver.chat().choices[0].message
        parts = deltas(driver.chat(stream=True))
    assert (made.content, made.refusal) == (None, "I will not.")
    assert [delta.refusal for delta in parts if delta.refusal] == ["I", " will", " not."]


def test_a_parsed_object(driver, tmp_path):
    """`parse()` and `stream()` give it back, whether it is a pydantic object or JSON."""

    async def way(client):
        parsed = await settle(chat_of(client, "parse").parse(**ASK, response_format=Person))
        async with entered(chat_of(client, "stream").stream(**ASK, response_format=Person)) as stream:
            kinds = [event.type for event in await items(stream)]
            final = await settle(stream.get_final_completion())
        return parsed.choices[0].message.parsed, final.choices[0].message.parsed, kinds

    with replay(tmp_path) as session:
        session.stub(parsed=PERSON)
        session.stub(parsed={"name": "Ann", "age": 3})
        whole, streamed, kinds = run(driver, way)
    assert whole == streamed == PERSON
    assert kinds[-1] == "content.done"


@pytest.mark.parametrize("count", [1, 3])
def test_several_choices(driver, tmp_path, count):
    """As many as the request asks for, in streams and in text completions as well."""
    with replay(tmp_path) as session:
        session.stub("a b", times=5)
        assert [choice.message.content for choice in driver.chat(n=count).choices] == ["a b"] * count
        parts = driver.chat(n=count, stream=True)
        texts = driver.text(n=count, prompt=["x", "y"])
        streamed = driver.text(n=count, prompt=[1, 2], stream=True)
        assert driver.text(prompt=[[1], [2]]).usage.completion_tokens == 4
    for index in range(count):
        said = joined(c.delta.content for chunk in parts for c in chunk.choices if c.index == index)
        assert said == "a b"
    assert [choice.text for choice in texts.choices] == ["a b"] * 2 * count
    assert [chunk.choices[0].index for chunk in streamed] == [i for i in range(count) for _ in range(3)]


def test_a_text_completion(driver, tmp_path):
    """A text that answers a chat answers this as well."""
    with replay(tmp_path) as session:
        session.stub(TEXT, times=2, finish_reason="length")
        made, parts = driver.text(), driver.text(stream=True)
    assert (made.object, made.choices[0].text, made.choices[0].finish_reason) == ("text_completion", TEXT, "length")
    assert [part.choices[0].text for part in parts] == [*PIECES, ""]
    assert parts[-1].choices[0].finish_reason == "length"


@pytest.mark.parametrize("form", ["float", "base64", None])
def test_embeddings(driver, tmp_path, form):
    """Given vectors serve the inputs in turn, in the format that the SDK or the program asks for."""
    more = {} if form is None else {"encoding_format": form}

    def embed(client):
        return client.embeddings.create(model="e", input=["a", "b", "c"], **more)

    with replay(tmp_path) as session:
        session.stub(vector=[[0.5, 1], [0.25, -1]], usage=(5, 0))
        session.stub(vector=(0.5, 2))
        first, second = driver(embed), driver(embed)
    if form != "base64":  # which versions of the SDK treat differently
        assert [item.embedding for item in first.data] == [[0.5, 1], [0.25, -1], [0.5, 1]]
        assert [item.embedding for item in second.data] == [[0.5, 2]] * 3
    assert [item.index for item in first.data] == [0, 1, 2]
    assert first.usage.total_tokens == 5


def test_vectors_of_a_size(driver, tmp_path):
    """Equal inputs get equal vectors of length 1, other inputs and models get others."""

    def embed(given, **more):
        more = {"model": "e", "encoding_format": "float", **more}
        made = driver(lambda client: client.embeddings.create(input=given, **more))
        return [item.embedding for item in made.data]

    with replay(tmp_path) as session:
        session.stub(vector=16, times=None)
        (one,), (two, three) = embed("a"), embed(["b", "a"])
        (other,), (short,), (tokens,) = embed("a", model="f"), embed("a", dimensions=3), embed([1, 2])
        assert len(embed([[1, 2], [3]])) == 2
    assert one == three
    assert len({tuple(vector) for vector in (one, two, other, tokens)}) == 4
    assert (len(one), len(short)) == (16, 3)
    assert math.isclose(math.hypot(*one), 1, rel_tol=1e-6)


ERRORS = {
    400: openai.BadRequestError,
    401: openai.AuthenticationError,
    404: openai.NotFoundError,
    418: openai.APIStatusError,
    429: openai.RateLimitError,
    503: openai.InternalServerError,
}


@pytest.mark.parametrize("status", ERRORS)
@pytest.mark.parametrize("is_class", [True, False])
def test_an_error_with_a_status(driver, tmp_path, status, is_class):
    """It is the SDK's own, raised at once whatever `max_retries` is; a class serves as its status."""
    given = ERRORS[status] if is_class and status != 418 else status
    with replay(tmp_path) as session:
        session.stub(error=given, message="Too long.", code="context_length_exceeded")
        with pytest.raises(ERRORS[status]) as caught:
            driver(lambda client: client.chat.completions.create(**ASK, stream=True), max_retries=3)
        session.stub(error=given)
        with pytest.raises(ERRORS[status]) as usual:
            driver(lambda client: client.models.list())
    error = caught.value
    assert error.status_code == (500 if given is openai.InternalServerError else status)
    assert (error.body["message"], error.code) == ("Too long.", "context_length_exceeded")
    assert error.request_id.startswith("req_")
    assert usual.value.body["message"].endswith(".")
    assert [call.outcome for call in session.calls] == ["stub", "stub"]


@pytest.mark.parametrize("error", [openai.APITimeoutError, openai.APIConnectionError])
def test_a_connection_that_fails(driver, tmp_path, error):
    """It has a cause, as live."""
    with replay(tmp_path) as session:
        session.stub(error=error, message="gone")
        with pytest.raises(error) as caught:
            driver.chat(stream=True)
    assert type(caught.value) is error
    assert str(caught.value.__cause__) == "gone"
    assert session.calls[0].ended is not None


async def _raw(client):
    made = await settle(client.chat.completions.with_raw_response.create(**ASK))
    return made.status_code, facts(made.parse())


async def _plain(client):
    return 200, facts(await settle(client.chat.completions.create(**ASK)))


async def _raw_stream(client):
    made = await settle(client.chat.completions.with_raw_response.create(**ASK, stream=True))
    return facts(await items(made.parse()))


async def _stream(client):
    return facts(await items(await settle(client.chat.completions.create(**ASK, stream=True))))


@pytest.mark.parametrize("ways", [(_plain, _raw), (_stream, _raw_stream)], ids=["plain", "stream"])
@pytest.mark.parametrize("given", [{"text": TEXT}, {"tool_calls": [CALL]}, {"refusal": "No."}], ids=str)
def test_both_paths_give_the_same(driver, tmp_path, ways, given):
    """The same stub, asked on the fast path and on the SDK path, gives equal objects."""
    results = []
    for way in ways:
        with replay(tmp_path) as session:
            session.stub(**given)._created = 1_700_000_000
            results.append(run(driver, way))
    assert results[0] == results[1]


# Which call gets which.


def test_stubs_answer_in_order_and_before_recordings(driver, server, tmp_path):
    """In each mode, also in `record` and `live`; what is not by hand is as ever."""
    for mode in ("record", "replay", "record-if-missing", "live"):
        with replay(tmp_path, mode=mode) as session:
            session.stub("one")
            session.stub("two", times=2)
            answers = [said(driver.chat()) for _ in range(4)]
        assert answers[:3] == ["one", "two", "two"]
        assert [call.outcome for call in session.calls[:3]] == ["stub"] * 3
        assert server.count == (2 if mode == "live" else 1)
    assert len(list(tmp_path.rglob("*.json"))) == 1


def test_a_stub_answers_what_it_is_for(driver, tmp_path):
    """By the model or a pattern, by the body, by the path, and by what its answer can be."""
    with replay(tmp_path) as session:
        session.stub("big", model="gpt-4*")
        session.stub("hot", when=lambda body: body.get("temperature", 0) > 1)
        session.stub("text", on="/completions")
        session.stub(vector=4)
        session.stub("rest", times=None)
        assert said(driver.chat()) == "rest"
        assert driver.text().choices[0].text == "text"
        assert said(driver.chat(temperature=1.5)) == "hot"
        assert len(driver(lambda client: client.embeddings.create(model="e", input="a")).data[0].embedding) == 4
        assert said(driver.chat(model="gpt-4o", temperature=1.5)) == "big"
        assert said(driver.chat(model="gpt-4o")) == "rest"
        assert driver.text().choices[0].text == "rest"


def test_a_request_that_no_stub_is_for(driver, tmp_path):
    """It is looked up as ever, and the error names the stubs that did not match."""
    with pytest.raises(RecordingNotFound) as caught, replay(tmp_path) as session:
        session.stub("big", model="gpt-4*")
        session.stub(vector=3)
        driver.chat()
    assert "2 stubs did not match: <Stub 1: text='big', model='gpt-4*'; asked 0 of 1>, <Stub 2: vector=3;" in str(
        caught.value
    )


def test_what_a_predicate_sees(driver, tmp_path):
    """The body as it is sent, also where `normalize` makes another one of it."""
    seen = []
    with replay(tmp_path, normalize=lambda body: {**body, "model": "any"}) as session:
        session.stub("a", when=lambda body: seen.append(body) is None)
        driver.chat()
    assert seen == [ASK]


def test_a_predicate_that_fails(driver, tmp_path, caplog):
    """In replay it is an error; while recording a warning, and the call goes through."""
    message = "when= of stub 1 failed: KeyError('x'). It gets the body, and returns whether it is meant."
    with pytest.raises(InvalidSetting, match=re.escape(message)), replay(tmp_path) as session:
        session.stub("a", when=lambda body: body["x"])
        driver.chat()
    with caplog.at_level(logging.WARNING), replay(tmp_path, mode="record") as session:
        session.stub("a", when=lambda body: body["x"], required=False)
        assert said(driver.chat()) == "answer 1"
    assert message in caplog.text


def test_a_predicate_that_fails_shows_no_secret(driver, tmp_path):
    """Its error may hold the body."""

    def fail(body):
        raise ValueError(body)

    secret = "sk-proj-" + "a1B2" * 10
    with pytest.raises(InvalidSetting, match="REDACTED") as caught, replay(tmp_path) as session:
        session.stub("a", when=fail)
        driver.chat(user=secret)
    assert secret not in str(caught.value)


def test_a_stub_wins_over_live(driver, server, tmp_path):
    """A path that goes to the network can be answered by hand."""
    with replay(tmp_path, live="/chat") as session:
        session.stub("a")
        assert said(driver.chat()) == "a"
        assert said(driver.chat()) == "answer 1"


def test_threads_share_stubs(client, tmp_path):
    """Each answer is given as often as it says, however many ask at once."""
    answers = []
    with replay(tmp_path) as session:
        session.stub("a", times=30)
        session.stub("b", times=30)

        def ask():
            answers.extend(said(client.chat.completions.create(**ASK)) for _ in range(15))

        threads = [threading.Thread(target=ask) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert (answers.count("a"), answers.count("b")) == (30, 30)


def test_a_stub_that_another_call_uses_up_meanwhile(driver, tmp_path):
    """The next one answers, on the fast path and on the SDK path."""
    for way in (_plain, _raw):
        with replay(tmp_path) as session:
            session.stub("a", when=lambda _, session=session: session._stubs.take(next(iter(session._stubs))))
            session.stub("b")
            _, answer = run(driver, way)
        assert said(answer[1]) == "b"


def test_wherever_a_session_is_used(driver, server, tmp_path):
    """A wrapped client, in `live` mode too, and a decorated function."""
    for mode in ("replay", "live"):
        session = Session(tmp_path, mode=mode)
        stub = session.stub("a")
        made = driver(lambda client, session=session: wrap(client, session).chat.completions.create(**ASK))
        assert (said(made), stub.asked) == ("a", 1)

    @replay(tmp_path)
    def decorated():
        current_session().stub("b")
        return said(driver.chat())

    assert decorated() == "b"
    assert server.count == 0


# The pace.


@pytest.mark.parametrize("speed", [1, "inf"])
def test_a_stub_keeps_its_pace(driver, tmp_path, speed):
    """Whatever the session's speed."""
    clock = VirtualClock()
    with replay(tmp_path, clock=clock, speed=speed) as session:
        session.stub("a b c", pace=Pace(first=2, between=0.5))
        driver.chat(stream=True)
        session.stub("a b c", pace=Pace(first=2, between=0.5))
        driver.chat()
        session.stub("a b c")
        driver.chat(stream=True)
    assert clock.time == 2 + 4 * 0.5 + 2
    assert [call.ended - call.started for call in session.calls] == [4, 2, 0]


def test_a_stub_follows_the_pace_of_the_session(driver, tmp_path):
    """As recordings without timing do."""
    clock = VirtualClock()
    with replay(tmp_path, clock=clock, pace=Pace(first=3)) as session:
        session.stub("a")
        driver.chat()
    assert clock.time == 3


# Saving.


@pytest.mark.parametrize("is_streamed", [True, False])
@pytest.mark.parametrize("mode", ["replay", "record-if-missing", "record", "live"])
def test_an_answer_is_saved_as_a_recording(driver, tmp_path, mode, is_streamed):
    """It replays as the stub answered, at its pace, and a person can edit it."""
    more = {"stream": True} if is_streamed else {}
    with replay(tmp_path, mode=mode) as session:
        session.stub("one two", save=True, pace=Pace(0.5, 0.25))
        made = driver.chat(**more)
    assert (session.recorded, session.stubbed) == (1, 1)
    (file,) = tmp_path.rglob("*.json")
    assert file == tmp_path / session.calls[0].recording
    assert "[REDACTED]" not in file.read_text()
    clock = VirtualClock()
    with replay(tmp_path, speed=1, clock=clock) as session:
        assert driver.chat(**more) == made
    assert session.hits == 1
    assert clock.time == (0.5 + 3 * 0.25 if is_streamed else 0.5)
    file.write_text(file.read_text().replace("two", "three"))
    with replay(tmp_path) as session:
        text = joined(d.content for d in deltas(driver.chat(**more))) if is_streamed else said(driver.chat())
    assert text == "one three"


def test_what_is_saved_replaces_nothing(driver, tmp_path):
    """A recording that is there stays, unless the mode is `record`; further answers are further variants."""
    for mode, texts in (("replay", ["a", "b"]), ("replay", ["c"]), ("record", ["d"])):
        with replay(tmp_path, mode=mode) as session:
            for text in texts:
                session.stub(text, save=True)
                driver.chat()
    with replay(tmp_path):
        assert said(driver.chat()) == "d"
    files = sorted(tmp_path.rglob("*.json"))
    assert [decode(file.read_bytes(), "").response.is_whole for file in files] == [True] * len(files)


def test_an_error_is_saved_as_well(driver, tmp_path):
    """Whatever its status is: who writes it wants it."""
    for _ in range(2):
        with replay(tmp_path) as session, pytest.raises(openai.RateLimitError):
            if not session.store.read("/x", "", 1) and not list(tmp_path.rglob("*.json")):
                session.stub(error=429, save=True)
            driver.chat()
    assert session.hits == 1


def test_llama_stacks_directory_takes_no_stubs(tmp_path):
    """It is only read."""
    (tmp_path / "a.json").write_text('{"request": {"endpoint": "/v1/models", "body": {}}, "response": {"body": {}}}')
    with pytest.raises(InvalidSetting, match=r"save=True: .* is llama-stack's, and can be replayed only"):
        Session(tmp_path).stub("a", save=True)


# Stubs that nobody asked for.


def test_an_unused_stub_is_told_at_the_end(driver, tmp_path):
    """With all that says which it was, and the calls that were made instead."""
    with pytest.raises(UnusedStub) as caught, replay(tmp_path) as session:
        session.stub("used")
        session.stub("x" * 100, model="gpt-4", when=lambda _: False, times=2)
        session.stub("any", times=None)
        session.stub("allowed", required=False)
        driver.chat()
    lines = str(caught.value).splitlines()
    assert lines[0] == "2 stubs were not asked for as often as expected:"
    assert lines[1].startswith(f"  <Stub 2: text='{'x' * 58}…, model='gpt-4', when=<function")
    assert lines[1].endswith("times=2; asked 0 of 2>")
    assert lines[2] == "  <Stub 3: text='any'; asked 0 for any number of times>"
    assert lines[3:] == [
        "The calls were:",
        "  <1 stub POST /chat/completions m 'Hello'>",
        "A stub that may stay unused has required=False.",
    ]
    assert len(caught.value.stubs) == 2
    with replay(session):
        pass


def test_many_unused_stubs(tmp_path):
    """The message stays short."""
    with pytest.raises(UnusedStub) as caught, replay(tmp_path) as session:
        for _ in range(25):
            session.stub("a")
    lines = str(caught.value).splitlines()
    assert lines[21:] == ["  … and 5 more", "No calls were made.", "A stub that may stay unused has required=False."]


def test_another_error_is_not_replaced(tmp_path):
    """The stubs of a block that fails are forgotten."""
    session = Session(tmp_path, mode="replay")
    with pytest.raises(KeyError), replay(session):
        session.stub("a")
        raise KeyError
    with replay(session):
        pass


def test_a_block_within_a_block_has_its_own(driver, tmp_path):
    """The inner one answers first."""
    with replay(tmp_path) as outer, replay(tmp_path) as inner:
        outer.stub("outer", required=False)
        inner.stub("inner")
        assert said(driver.chat()) == "inner"


# Arguments.


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "Nothing to answer with. Give one of text=, chunks=, parsed=, refusal=, tool_calls=, vector=, error=."),
        ({"text": "a", "chunks": ["a"]}, "text= and chunks= cannot both be the answer."),
        ({"error": 429, "text": "a"}, "text= and error= cannot both be the answer."),
        ({"text": "a", "vector": 3}, "text= and vector= cannot both be the answer."),
        ({"text": 3}, "text=3 is no text."),
        ({"text": "\ud800"}, "text='\\ud800' has half a surrogate pair"),
        ({"chunks": "abc"}, "chunks='abc' is no list."),
        ({"chunks": [3]}, "chunks=3 is no text."),
        ({"refusal": 3}, "refusal=3 is no text."),
        ({"tool_calls": 3}, "tool_calls=3 is no list."),
        ({"tool_calls": ["get"]}, "tool_calls= has 'get'. Give tuples such as"),
        ({"tool_calls": [("get", {}, 3)]}, "tool_calls=3 is no text."),
        ({"tool_calls": [("get", {1j})]}, "tool_calls={1j} is no JSON"),
        ({"parsed": math.nan}, "parsed=nan is no JSON"),
        ({"vector": 0}, "vector=0 is none. Give numbers, a list of vectors, or a size from 1 to 100000."),
        ({"vector": []}, "vector=[] is none."),
        ({"vector": [float("nan")]}, "vector=[nan] is none."),
        ({"vector": [1, 1e39]}, "vector=[1, 1e+39] is none."),
        ({"vector": [10**400]}, "is none."),
        ({"vector": [[1], 2]}, "vector=[[1], 2] is none."),
        ({"vector": [[1], ["a"]]}, "vector=[[1], ['a']] is none."),
        ({"vector": True}, "vector=True is no list."),
        ({"error": "429"}, "error='429' is no error. Give an HTTP status from 400 to 599, or a class"),
        ({"error": 200}, "error=200 is no error."),
        ({"error": True}, "error=True is no error."),
        ({"error": openai.APIStatusError}, "is no error."),
        ({"error": openai.APITimeoutError, "code": "x"}, "code='x': a connection that fails brings no code."),
        ({"text": "a", "message": "b"}, "message= and code= belong to error=."),
        ({"text": "a", "code": "b"}, "message= and code= belong to error=."),
        (
            {"text": "a", "finish_reason": "end"},
            "finish_reason='end' is not valid here. Valid beside a text are 'stop'",
        ),
        ({"vector": 3, "finish_reason": "stop"}, "finish_reason='stop' is not valid here."),
        ({"error": 429, "usage": (1, 2)}, "An error has no usage=."),
        ({"text": "a", "usage": 3}, "usage=3 is none. Give the tokens of the prompt and of the answer: (12, 3)"),
        ({"text": "a", "usage": (1, -1)}, "usage=(1, -1) is none."),
        ({"text": "a", "usage": {"tokens": 3}}, "usage={'tokens': 3} is none."),
        ({"text": "a", "on": "chat"}, "on='chat' is no path. Give one that begins with a slash"),
        ({"text": "a", "on": "/models"}, "on='/models' has no answer of that kind. Such an answer is for '/chat/"),
        ({"tool_calls": [CALL], "on": "/completions"}, "on='/completions' has no answer of that kind."),
        ({"text": "a", "when": 3}, "when=3 cannot be called."),
        ({"text": "a", "model": 3}, "model=3 is no name."),
        ({"text": "a", "times": 0}, "times=0 is not valid. Give a number from 1 to 1000000, or None"),
        ({"text": "a", "times": True}, "times=True is not valid."),
        ({"text": "a", "pace": 3}, "pace=3 is no pace."),
        ({"text": "a", "save": 1}, "save=1 is neither True nor False."),
        ({"text": "a", "required": None}, "required=None is neither True nor False."),
    ],
    ids=str,
)
def test_an_invalid_stub_is_refused(tmp_path, given, message):
    """Where it is made, with what is valid."""
    session = Session(tmp_path, mode="replay")
    with pytest.raises(InvalidSetting, match=re.escape(message)):
        session.stub(**given)
    session.raise_unused()


def test_an_unknown_argument_is_told(tmp_path):
    """As Python does, with the valid ones."""
    with pytest.raises(TypeError, match=r"unexpected keyword argument 'txt'. Valid are text, chunks, tool_calls, "):
        Session(tmp_path, mode="replay").stub(txt="a")


def test_every_argument_is_described():
    """In the docstring of the method."""
    told = inspect.getdoc(Session.stub)
    assert all(f"\n    {name}: " in told for name in ("text", *StubOptions.__annotations__))


class _Array(list):
    """Numbers that compare as arrays of numpy do."""

    def __eq__(self, other):
        return _Array()

    def __ne__(self, other):
        return self

    def __bool__(self):
        raise ValueError("ambiguous")

    def __repr__(self):
        return f"array(\n{super().__repr__()})"

    __hash__ = None


@pytest.mark.parametrize("rows", [_Array([Fraction(1, 2), 2]), [_Array([Fraction(1, 2), 2])]], ids=["one", "rows"])
def test_arrays_of_other_libraries_are_vectors(driver, tmp_path, rows):
    """Whatever is a number there; they are shown, too."""
    with replay(tmp_path) as session:
        stub = session.stub(vector=rows)
        assert "array([Fraction(1, 2), 2])" in repr(stub)
        made = driver(lambda client: client.embeddings.create(model="m", input="a"))
        assert made.data[0].embedding == [0.5, 2.0]


def test_calls_that_were_not_kept_are_told_where_a_stub_is_unused(driver, tmp_path):
    """There were calls, although none is listed."""
    with pytest.raises(UnusedStub, match="The calls were:\n  … 1 earlier call was not kept\n"):
        with replay(tmp_path, keep_calls=0) as session:
            session.stub("a")
            session.stub("b")
            driver.chat()
