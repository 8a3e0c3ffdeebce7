"""The Responses API on the fast path: the SDK's own objects, events and streams."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import openai
import pytest
from conftest import Reply, event, plain
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from openai._models import construct_type
from openai.types.responses import Response, ResponseStreamEvent
from replies import events, function_call, message, named, reasoning, response
from test_both_paths import text, unset, value
from ways import facts, items, run, settle

from inferencereplay import Fault, replay
from inferencereplay.recording.request import Request, canonical_json
from inferencereplay.redaction.payloads import redact_request
from inferencereplay.redaction.redactor import Redactor
from inferencereplay.sdk import calls
from inferencereplay.sdk.model_builder import EventBuilder, ModelBuilder

pytestmark = pytest.mark.filterwarnings("ignore:Pydantic serializer warnings")  # the answers are odd on purpose

WHOLE = events("a", "b")
ODD = [
    {**WHOLE[4], "sequence_number": "4", "x_unknown": {"a": 1}},
    {**WHOLE[4], "delta": None},
    {"type": "response.output_text.delta"},
    {"type": "response.newer_than_you", "a": [1, None]},
    {"type": None},
    {"no": "type"},
    {"type": "error", "code": "x", "message": "m", "param": None, "sequence_number": 1},
]


@pytest.mark.parametrize("event", [*WHOLE, *ODD])
def test_an_event_is_the_sdks(event):
    """Each event is of the class, and equal to the object, that the SDK makes of it, whatever is wrong with it."""
    built = EventBuilder(ResponseStreamEvent)(json.dumps(event).encode())
    assert facts(built) == facts(construct_type(type_=ResponseStreamEvent, value=event))


@pytest.mark.parametrize(
    "data",
    [
        response(reasoning(), message("a"), function_call("f", "{}")),
        response(created_at=1700000000.5, temperature=None, tools=[{"type": "web_search"}, {"type": "newer"}]),
        response({"type": "newer_than_you", "id": 3}, {**message("a"), "content": [{"type": "newer"}, {}]}),
        response(error={"code": "server_error", "message": "m"}, status="failed", usage={"input_tokens": "1"}),
        {"id": None},
        {},
    ],
)
def test_a_response_is_the_sdks(data):
    """A plain response is the object that the SDK makes of it."""
    built = ModelBuilder(Response)(json.dumps(data).encode())
    assert facts(built) == facts(construct_type(type_=Response, value=data))


def _refuse(*_: Any) -> Any:
    raise AssertionError("the SDK path was taken")


async def _ask(client: Any, **more: Any) -> Any:
    made = await settle(client.responses.create(model="m", input="Hello", **more))
    return facts(await items(made) if more.get("stream") else made)


async def _ask_both(client: Any) -> Any:
    return await _ask(client), await _ask(client, stream=True)


def test_the_typed_road_answers_responses(driver, server, tmp_path, monkeypatch):
    """Responses, plain and streamed, are answered without the SDK path."""
    server.replies = [plain(response(message("a"))), named(*WHOLE)]
    with replay(tmp_path, mode="record"):
        made = run(driver, _ask_both)
    monkeypatch.setattr(calls, "answer", _refuse)
    with replay(tmp_path) as session:
        assert run(driver, _ask_both) == made
    assert session.hits == 2


@pytest.mark.parametrize(
    "reply",
    [
        named(*WHOLE[:4], {"type": "error", "error": {"message": "too much", "code": "x"}}),
        named(*WHOLE[:4], {"type": "response.failed", "error": {"message": "too much"}}),
        named({"type": "thread.created", "a": 1}),
        named({"type": "other.name", "a": 1}),
        Reply(headers={"content-type": "text/event-stream"}, pieces=[(0.0, event(b"no JSON"))]),
    ],
)
def test_streams_with_errors_and_other_names_are_what_they_are_live(driver, server, tmp_path, reply):
    """An error in a stream, and events whose names mean something to the SDK, take the SDK path."""

    async def outcome(client: Any) -> Any:
        got: list[Any] = []
        try:
            made = await settle(client.responses.create(model="m", input="Hello", stream=True))
            if hasattr(made, "__aiter__"):
                async for item in made:
                    got.append(facts(item))  # noqa: PERF401 - what came before the error counts
            else:
                for item in made:
                    got.append(facts(item))  # noqa: PERF401 - as above
        except (openai.OpenAIError, ValueError) as error:
            got.append((type(error), str(error), getattr(error, "body", None)))
        return got

    server.replies = [reply, reply]
    live = run(driver, outcome)
    with replay(tmp_path, mode="record"):
        assert run(driver, outcome) == live
    with replay(tmp_path) as session:
        assert run(driver, outcome) == live
    assert session.hits == 1


part = st.fixed_dictionaries({"type": st.just("input_text"), "text": text})
said = st.fixed_dictionaries(
    {"role": st.sampled_from(["user", "system"]), "content": text | st.lists(part, max_size=2)}
)
arguments = st.fixed_dictionaries(
    {"model": text, "input": text | st.lists(said, max_size=2) | st.lists(said, max_size=2).map(tuple)},
    optional={
        "temperature": st.none() | st.floats(0, 2) | unset,
        "instructions": st.none() | text | unset,
        "metadata": st.dictionaries(text, text, max_size=2),
        "tools": st.lists(st.fixed_dictionaries({"type": st.just("function"), "name": text, "parameters": value})),
        "reasoning": st.fixed_dictionaries({"effort": st.sampled_from(["low", "high"])}),
        "include": st.lists(st.just("reasoning.encrypted_content"), max_size=1),
        "stream": st.booleans(),
        "store": st.booleans() | unset,
        "extra_body": st.none() | st.dictionaries(text, value, max_size=2),
        "extra_headers": st.just({"x-mine": "1"}),
    },
)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(arguments)
@example({"model": "m", "input": "Hello", "extra_body": {"more": {"APIKEY": "0"}}})
def test_both_roads_have_the_same_key_and_equal_objects(shared, given):
    """What is recorded on the SDK path is found from the keyword arguments alone, and both paths build equals."""
    server, client = shared
    server.replies = [named(*WHOLE) if given.get("stream") else plain(response(message("a")))]
    with tempfile.TemporaryDirectory() as folder:
        with replay(folder, mode="record"):
            made = client.responses.create(**given)
            live = list(made) if isinstance(made, openai.Stream) else made
        (path,) = Path(folder).rglob("*.json")
        asked = Request("POST", "/responses", canonical_json(server.requests[-1][3]))
        assert json.loads(path.read_text())["key"] == redact_request(asked, Redactor()).key
        answer = calls.answer
        with replay(folder):
            calls.answer = _refuse
            try:
                made = client.responses.create(**given)
            finally:
                calls.answer = answer
            fast = list(made) if isinstance(made, openai.Stream) else made
            made = client.responses.with_raw_response.create(**given).parse()
            parsed = list(made) if isinstance(made, openai.Stream) else made
    assert facts(fast) == facts(parsed) == facts(live)


# Faults.


def test_a_response_ends_early_in_its_own_way(driver, server, tmp_path):
    """A response is incomplete, and a stream ends by the event that says so, with the reason's name here."""
    server.replies = [plain(response(message("a"))), named(*WHOLE)]
    ask = {"model": "m", "input": "x"}
    with replay(tmp_path, mode="record"):
        driver(lambda client: client.responses.create(**ask))
        driver(lambda client: client.responses.create(**ask, stream=True))
    with replay(tmp_path, faults=[Fault.finish(), Fault.finish("content_filter", after=5)]):
        made = driver(lambda client: client.responses.create(**ask))
        chunks = driver(lambda client: client.responses.create(**ask, stream=True))
    assert (made.status, made.incomplete_details.reason) == ("incomplete", "max_output_tokens")
    assert [item.type for item in chunks] == [*(item["type"] for item in WHOLE[:5]), "response.incomplete"]
    assert chunks[-1].response.incomplete_details.reason == "content_filter"
    assert chunks[-1].sequence_number == 5


def test_an_error_is_an_event_of_a_responses_stream(driver, server, tmp_path):
    """The SDK gives it out as an event, as live."""
    server.replies = [named(*WHOLE)]
    ask = {"model": "m", "input": "x", "stream": True}
    with replay(tmp_path, mode="record"):
        driver(lambda client: client.responses.create(**ask))
    with replay(tmp_path, faults=[Fault.error_event("overloaded", after=2), Fault.no_done()]) as session:
        chunks = driver(lambda client: client.responses.create(**ask))
        assert [item.type for item in chunks[:2]] == [item["type"] for item in WHOLE[:2]]
        assert (len(chunks), chunks[2].type, chunks[2].message) == (3, "error", "overloaded")
        assert len(driver(lambda client: client.responses.create(**ask))) == len(WHOLE)
    assert session.faults == {"error_event": 1}  # these streams have no [DONE] that could be missing
