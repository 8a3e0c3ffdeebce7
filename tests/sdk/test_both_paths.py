"""Both paths give the same key and equal objects, for every request."""

from __future__ import annotations

import inspect
import json
import os
import tempfile
from pathlib import Path
from typing import Any

import openai
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from openai.types.chat import ChatCompletionMessage
from ways import facts

from inferencereplay import Session, replay
from inferencereplay.recording.request import Request, canonical_json
from inferencereplay.redaction.payloads import redact_request
from inferencereplay.redaction.redactor import Redactor
from inferencereplay.sdk import calls

RECORDINGS = [Path(__file__).parents[1] / "recordings" / "llama_stack"]
if "LLAMA_STACK_RECORDINGS" in os.environ:  # more of them, which are not part of this repository
    RECORDINGS.append(Path(os.environ["LLAMA_STACK_RECORDINGS"]))

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
number = st.one_of(
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from([0.0, -0.0, 1.0, 1e22, 1e-7, 2**53]),
)
scalar = st.one_of(st.none(), st.booleans(), number, text)
value = st.recursive(
    scalar, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3), max_leaves=8
)
message = st.one_of(
    st.fixed_dictionaries({"role": st.sampled_from(["user", "system", "tool"]), "content": text}),
    st.fixed_dictionaries(
        {"role": st.just("user"), "content": st.lists(st.fixed_dictionaries({"type": st.just("text"), "text": text}))}
    ),
    st.builds(lambda content: ChatCompletionMessage(role="assistant", content=content), st.one_of(st.none(), text)),
    st.builds(
        lambda name, arguments: ChatCompletionMessage.model_validate(
            {
                "role": "assistant",
                "tool_calls": [{"id": "c", "type": "function", "function": {"name": name, "arguments": arguments}}],
            }
        ),
        text,
        text,
    ),
)
messages = st.lists(message, max_size=3).flatmap(lambda made: st.sampled_from([made, tuple(made)]))
tool = st.fixed_dictionaries(
    {
        "type": st.just("function"),
        "function": st.fixed_dictionaries({"name": text, "parameters": st.dictionaries(text, value, max_size=3)}),
    }
)
unset = st.sampled_from([openai.NOT_GIVEN, getattr(openai, "omit", openai.NOT_GIVEN)])
arguments = st.fixed_dictionaries(
    {"model": text, "messages": messages},
    optional={
        "temperature": st.one_of(st.none(), number, unset),
        "max_tokens": st.one_of(st.integers(), unset),
        "tools": st.lists(tool, max_size=2),
        "tool_choice": st.sampled_from(["auto", "none", openai.NOT_GIVEN]),
        "logit_bias": st.dictionaries(text, st.integers(), max_size=2),
        "stop": st.one_of(st.none(), text, st.lists(text, max_size=2), st.lists(text, max_size=2).map(tuple)),
        "stream": st.booleans(),
        "extra_body": st.one_of(st.none(), st.dictionaries(text, value, max_size=3), st.just({"model": "over"})),
        "extra_headers": st.just({"x-mine": "1"}),
        "timeout": st.just(5.0),
    },
)


def _refuse(*_: Any) -> Any:
    raise AssertionError("the SDK path was taken")


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(arguments)
def test_both_roads_have_the_same_key_and_equal_objects(shared, given):
    """What is recorded on the SDK path is found from the keyword arguments alone, and both paths build equals."""
    server, client = shared
    with tempfile.TemporaryDirectory() as folder:
        with replay(folder, mode="record"):
            made = client.chat.completions.create(**given)
            live = list(made) if isinstance(made, openai.Stream) else made
        (path,) = Path(folder).rglob("*.json")
        kept = json.loads(path.read_text())
        asked = Request("POST", "/chat/completions", canonical_json(server.requests[-1][3]))
        assert kept["key"] == redact_request(asked, Redactor()).key
        answer = calls.answer
        with replay(folder):
            calls.answer = _refuse
            try:
                made = client.chat.completions.create(**given)
            finally:
                calls.answer = answer
            fast = list(made) if isinstance(made, openai.Stream) else made
            made = client.chat.completions.with_raw_response.create(**given).parse()
            parsed = list(made) if isinstance(made, openai.Stream) else made
    assert facts(fast) == facts(parsed) == facts(live)


def _outcome(create: Any, given: dict[str, Any], *, is_raw: bool) -> Any:
    """Return all that comes of a call, with the error that it ends with."""
    got: list[Any] = []
    try:
        made = create(**given)
        made = made.parse() if is_raw else made
        if isinstance(made, openai.Stream):
            got.extend(facts(item) for item in made)
        else:
            got.append(facts(made))
    except openai.OpenAIError as error:
        got.append((type(error), str(error), getattr(error, "status_code", None)))
    return got


@pytest.mark.parametrize("directory", RECORDINGS, ids=str)
@pytest.mark.filterwarnings("ignore:Pydantic serializer warnings")
def test_both_roads_agree_on_every_given_recording(shared, directory):
    """Every given chat and text completion is the same object by both paths."""
    _, client = shared
    compared, sessions = 0, (Session(directory), Session(directory))
    for path in sorted(directory.glob("*.json")):
        given = json.loads(path.read_text())["request"]["body"] or {}
        resource = client.chat.completions if "messages" in given else client.completions if "prompt" in given else None
        if resource is None or not given.keys() <= inspect.signature(resource.create).parameters.keys():
            continue  # neither, or with an argument that this version of the SDK does not know
        given = {name: value for name, value in given.items() if name not in ("extra_headers", "timeout")}
        with replay(sessions[0]):
            fast = _outcome(resource.create, given, is_raw=False)
        with replay(sessions[1]):
            parsed = _outcome(resource.with_raw_response.create, given, is_raw=True)
        assert fast == parsed
        compared += 1
    assert [session.hits for session in sessions] == [compared, compared]
    assert compared >= 5
