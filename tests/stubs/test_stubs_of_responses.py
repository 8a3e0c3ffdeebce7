"""Answers by hand of the Responses API: objects, and events as the SDK's own accumulation takes them."""

from __future__ import annotations

import json
from typing import get_args

import pydantic
import pytest
from openai.types.responses import Response, ResponseStreamEvent
from ways import Person, entered, facts, items, run, settle

from inferencereplay import replay

CALL = ("get_weather", {"city": "Rome"})
PERSON = Person(name="Ann", age=3)
TOOL = {
    "type": "function",
    "name": "get_weather",
    "description": "x",
    "strict": True,
    "parameters": {"type": "object", "properties": {}},
}
ASKED = {
    "model": "m",
    "input": "Hello",
    "instructions": "Be kind.",
    "temperature": 0.5,
    "tools": [TOOL],
    "tool_choice": "required",
    "max_output_tokens": 100,
    "metadata": {"a": "b"},
    "previous_response_id": "resp_0",
}
TEXT = {"text": "The capital is Rome."}
CONTENTS = {
    "text": TEXT,
    "empty": {"text": ""},
    "tools": {"tool_calls": [CALL, CALL]},
    "text and tools": {**TEXT, "tool_calls": [("get_weather", '{"city": 1}', "call_1")]},
    "refusal": {"refusal": "I will not."},
    "cut": {**TEXT, "finish_reason": "length", "usage": {"input_tokens": 7, "output_tokens": 2}},
    "filtered": {**TEXT, "finish_reason": "content_filter"},
}


async def whole(client):
    return await settle(client.responses.create(**ASKED))


async def raw(client):
    return (await settle(client.responses.with_raw_response.create(**ASKED))).parse()


async def streamed(client):
    return await items(await settle(client.responses.create(**ASKED, stream=True)))


async def raw_streamed(client):
    made = await settle(client.responses.with_raw_response.create(**ASKED, stream=True))
    return await items(made.parse())


async def helper(client):
    async with entered(client.responses.stream(**ASKED)) as stream:
        kinds = [event.type for event in await items(stream)]
        return kinds, await settle(stream.get_final_response())


@pytest.fixture
def by_hand(driver, tmp_path):
    """Go a way with a stub of some content."""

    def by_hand(way, **content):
        with replay(tmp_path) as session:
            session.stub(**content)._created = 1_700_000_000
            return run(driver, way)

    return by_hand


def bare(output):
    """Return the items of an output without ids, which depend on the request, and without what `parse` adds."""
    told = [item.to_dict() for item in output]
    for item in told:
        for part in (item, *item.get("content", ())):
            for name in ("id", "call_id", "parsed_arguments", "parsed"):
                part.pop(name, None)
    return told


@pytest.mark.parametrize("name", CONTENTS)
def test_a_response_is_valid_and_whole(by_hand, name):
    """It fits its type strictly, repeats what the request says, and is the same on both paths."""
    made = by_hand(whole, **CONTENTS[name])
    Response.model_validate_json(made.model_dump_json(exclude_unset=True))
    assert facts(made) == facts(by_hand(raw, **CONTENTS[name]))
    assert (made.instructions, made.temperature, made.max_output_tokens) == ("Be kind.", 0.5, 100)
    assert (made.tools[0].name, made.tool_choice, made.metadata) == ("get_weather", "required", {"a": "b"})
    assert made.usage.total_tokens == made.usage.input_tokens + made.usage.output_tokens
    assert made.id.startswith("resp_")
    is_cut = name in ("cut", "filtered")
    assert made.status == ("incomplete" if is_cut else "completed")
    assert all(item.status == made.status for item in made.output)
    if is_cut:
        assert made.incomplete_details.reason == {"cut": "max_output_tokens"}.get(name, name and "content_filter")


@pytest.mark.parametrize("name", CONTENTS)
def test_events_come_in_the_order_of_the_real_ones(by_hand, name):
    """Each fits its type strictly, they are numbered, and both paths give the same."""
    made = by_hand(streamed, **CONTENTS[name])
    assert facts(made) == facts(by_hand(raw_streamed, **CONTENTS[name]))
    known = pydantic.TypeAdapter(get_args(ResponseStreamEvent)[0])
    for event in made:
        assert type(event) in get_args(get_args(ResponseStreamEvent)[0])
        known.validate_json(event.model_dump_json(exclude_unset=True))
    assert [event.sequence_number for event in made] == list(range(len(made)))
    kinds = [event.type for event in made]
    assert kinds[:3] == ["response.created", "response.in_progress", "response.output_item.added"]
    assert kinds[-1] == ("response.incomplete" if name in ("cut", "filtered") else "response.completed")
    assert made[0].response.output == []
    assert made[0].response.status == "in_progress"
    last = made[-1].response
    assert [event.item for event in made if event.type == "response.output_item.done"] == last.output
    assert bare(last.output) == bare(by_hand(whole, **CONTENTS[name]).output)


@pytest.mark.parametrize("name", [name for name in CONTENTS if name not in ("cut", "filtered")])
def test_the_sdks_accumulation_gives_the_whole(by_hand, name):
    """`responses.stream` puts the pieces together again."""
    kinds, final = by_hand(helper, **CONTENTS[name])
    expected = by_hand(whole, **CONTENTS[name])
    assert kinds[-1] == "response.completed"
    assert final.output_text == expected.output_text
    assert bare(final.output) == bare(expected.output)


def test_deltas_add_up(by_hand):
    """Each delta is a piece, split at words, and names the item that it belongs to."""
    made = by_hand(streamed, **CONTENTS["text and tools"])
    texts = [event for event in made if event.type == "response.output_text.delta"]
    assert [event.delta for event in texts] == ["The", " capital", " is", " Rome."]
    assert {event.item_id for event in texts} == {made[2].item.id}
    calls = [event for event in made if event.type == "response.function_call_arguments.delta"]
    assert [(event.delta, event.output_index) for event in calls] == [('{"city":', 1), (" 1}", 1)]
    (done,) = (event for event in made if event.type == "response.function_call_arguments.done")
    assert (done.arguments, done.item_id) == ('{"city": 1}', calls[0].item_id)


def test_calls_of_tools(by_hand):
    """Each is an item of its own, with an id, and there is no message beside them."""
    made = by_hand(whole, **CONTENTS["tools"])
    assert [(item.type, item.name, json.loads(item.arguments)) for item in made.output] == [
        ("function_call", *CALL)
    ] * 2
    assert len({item.call_id for item in made.output} | {item.id for item in made.output}) == 4


def test_a_parsed_object(driver, tmp_path):
    """`parse()` and `stream()` give it back."""

    async def way(client):
        parsed = await settle(client.responses.parse(model="m", input="Hello", text_format=Person))
        async with entered(client.responses.stream(model="m", input="Hello", text_format=Person)) as stream:
            await items(stream)
            return parsed.output_parsed, (await settle(stream.get_final_response())).output_parsed

    with replay(tmp_path) as session:
        session.stub(parsed=PERSON, times=2, on="/responses")
        assert run(driver, way) == (PERSON, PERSON)


def test_usage_and_saving(driver, tmp_path):
    """Tokens by their names here; a stream is stored with the names of its events, and replays equal."""
    with replay(tmp_path) as session:
        session.stub("a b", usage={"input_tokens": 7, "output_tokens": 2}, save=True)
        made = run(driver, streamed)
    assert made[-1].response.usage.total_tokens == 9
    with replay(tmp_path) as session:
        assert facts(run(driver, streamed)) == facts(made)
    assert session.hits == 1
    assert "[REDACTED]" not in next(tmp_path.rglob("*.json")).read_text()
