"""Live against recorded and replayed: whatever a server answers, the three results are the same object or error.

Run on one generation of the SDK after the other by

    nox -s "sdk(3)" "sdk(2.54)" "sdk(1.109)" "sdk(1.40)" -- tests/faults/test_differential.py
"""

from __future__ import annotations

import inspect
import json
import math
import random
from typing import Any

import anyio
import openai
import pydantic
import pytest
from conftest import ASK, Reply, Server, cheap, chunk, completion, event
from fuzz import RawClient, given_cases
from length import times
from mutation import mutate_value
from ways import DEAD, error_facts

from inferencereplay import replay
from inferencereplay.sdk.http_replay import plain_content, stream_pieces
from inferencereplay.store.llama_stack_file import parse

pytestmark = pytest.mark.slow

STATUSES = (200, 200, 200, 200, 201, 400, 401, 403, 404, 409, 413, 422, 429, 500, 503)
EMBEDDING = {"object": "embedding", "index": 0, "embedding": [0.25, -1.0]}
TOOL = {"index": 0, "id": "c", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}
LOGPROB = {"token": "a", "logprob": -0.5, "bytes": [97], "top_logprobs": []}


@pytest.fixture(scope="module")
def live_server():
    """Serve for all of this module."""
    server = Server()
    yield server
    server.stop()


# What is compared.


def exact(value: Any) -> Any:
    """Say what an object is: its type, and that of all in it, what was set of it, what it holds in private."""
    if isinstance(value, pydantic.BaseModel):
        fields = {name: exact(item) for name, item in value.__dict__.items()}
        extra = {name: exact(item) for name, item in (value.__pydantic_extra__ or {}).items()}
        known = sorted(value.model_fields_set & type(value).model_fields.keys())
        return type(value), fields, extra, known, getattr(value, "_request_id", None)
    if isinstance(value, dict):
        return dict, [(name, exact(item)) for name, item in value.items()]
    if isinstance(value, (list, tuple)):
        return type(value), [exact(item) for item in value]
    return type(value), "NaN" if isinstance(value, float) and math.isnan(value) else repr(value)


def _sync(call: Any, *, url: str, is_raw: bool = False) -> Any:
    got: list[Any] = []
    try:
        with openai.OpenAI(api_key="sk-test-0123456789abcdef", base_url=url, max_retries=0, **cheap()) as client:
            made = call(RawClient(client) if is_raw else client)
            if isinstance(made, openai.Stream):
                got.append((type(made), made.response.status_code, made.response.headers.get("x-request-id")))
                got.extend(exact(item) for item in made)
            else:
                got.append(exact(made))
    except Exception as error:  # noqa: BLE001 - whichever it is
        got.append(error_facts(error))
    return got


async def _async(call: Any, *, url: str, is_raw: bool = False) -> Any:
    got: list[Any] = []
    options = {"api_key": "sk-test-0123456789abcdef", "base_url": url, "max_retries": 0}
    async with openai.AsyncOpenAI(**options, **cheap(is_async=True)) as client:
        try:
            made = call(RawClient(client) if is_raw else client)
            made = await made if inspect.isawaitable(made) else made
            if isinstance(made, openai.AsyncStream):
                got.append((type(made), made.response.status_code, made.response.headers.get("x-request-id")))
                async for item in made:
                    got.append(exact(item))  # noqa: PERF401 - what came before an error counts
            elif hasattr(made, "__aiter__"):
                got.extend([exact(item) async for item in made])
            else:
                got.append(exact(made))
        except Exception as error:  # noqa: BLE001 - as above
            got.append(error_facts(error))
    return got


def _results(server, folder, call, reply, kind):
    """Return what a call gives live, while it is recorded, and replayed by both paths."""
    url = DEAD if reply is None else server.url

    def run(*, is_raw: bool = False) -> Any:
        if kind == "sync":
            return _sync(call, url=url, is_raw=is_raw)
        return anyio.run(lambda: _async(call, url=url, is_raw=is_raw), backend=kind)

    server.replies = [reply, reply] if reply else []
    live = run()
    with replay(folder, mode="record", record_errors=True) as session:
        recorded = run()
    assert session.recorded == 1, live
    assert not server.replies
    results = [live, recorded]
    for is_raw in (False, True):
        with replay(folder) as session:
            results.append(run(is_raw=is_raw))
        assert (session.hits, session.misses) == (1, 0)
    return results


def _assert_alike(results: list[Any], what: str) -> None:
    live, *others = results
    for name, other in zip(("recorded", "fast path", "SDK path"), others, strict=True):
        assert other == live, f"{name}, {what}"


# The given recordings.


def _served(response) -> Reply | None:
    """Return what a server says that gives the answer of a given recording; `None` for one that does not answer."""
    if response.status == 0:
        return None
    headers = {**response.headers, "x-request-id": "req_given"}
    if not response.is_stream:
        return Reply(response.status, headers, plain_content(response))
    pieces = [(0.0, piece) for piece in stream_pieces(response)]
    pieces += [(0.0, event(b"[DONE]"))] if response.sentinel and not response.failure else []
    return Reply(response.status, headers, pieces=pieces, is_cut=response.failure is not None)


@pytest.mark.parametrize("kind", ["sync", "asyncio"])
@pytest.mark.filterwarnings("ignore:Pydantic serializer warnings")
def test_given_recordings(live_server, tmp_path, kind):
    """Each given recording, served live, gives what it gives recorded and replayed."""
    cases = given_cases()
    for number, case in enumerate(cases):
        reply = _served(parse(case.data).response)
        _assert_alike(_results(live_server, tmp_path / str(number), case.call, reply, kind), case.name)
    assert len(cases) >= 14
    print(f"{len(cases)} given recordings, {kind}: alike")  # noqa: T201 - the count, for `-rP`


# Generated answers.


def _chat(**changes: Any) -> Any:
    return lambda client: client.chat.completions.create(**{**ASK, **changes})


def _text(**changes: Any) -> Any:
    return lambda client: client.completions.create(**{"model": "m", "prompt": "Once", **changes})


def _plain_kinds() -> list[tuple[Any, Any]]:
    rich = completion("Äh 😀")
    rich["choices"][0]["message"]["tool_calls"] = [TOOL]
    rich["choices"][0]["logprobs"] = {"content": [LOGPROB], "refusal": None}
    text = {"index": 0, "text": "x", "finish_reason": "stop", "logprobs": None}
    return [
        (_chat(), rich),
        (_text(), {"id": "t", "object": "text_completion", "created": 1, "model": "m", "choices": [text]}),
        (
            lambda client: client.embeddings.create(model="m", input="a", encoding_format="float"),
            {"object": "list", "model": "m", "data": [EMBEDDING], "usage": {"prompt_tokens": 1, "total_tokens": 1}},
        ),
        (
            lambda client: client.moderations.create(model="m", input="a"),
            {"id": "m", "model": "m", "results": [{"flagged": False, "categories": {}, "category_scores": {}}]},
        ),
        (lambda client: client.models.retrieve("m"), {"id": "m", "object": "model", "created": 1, "owned_by": "x"}),
    ]


def _stream_kinds() -> list[tuple[Any, list[Any]]]:
    tool = chunk(None)
    tool["choices"][0]["delta"] = {"tool_calls": [TOOL]}
    usage = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}
    text = {"index": 0, "text": "x", "finish_reason": None, "logprobs": None}
    pieces = {"id": "t", "object": "text_completion", "created": 1, "model": "m", "choices": [text]}
    return [
        (_chat(stream=True), [chunk("Ä"), tool, chunk("b", x_unknown=1), chunk(None, "stop", usage=usage)]),
        (_text(stream=True), [pieces, pieces]),
    ]


def _generated(draw: random.Random) -> tuple[Any, Reply]:
    """Make a call and an answer to it, right or wrong in ways in which servers are wrong."""
    status = draw.choice(STATUSES)
    headers = {"content-type": "application/json", "x-request-id": f"req_{draw.random()}"}
    if draw.random() < 0.2:
        headers["x-ratelimit-remaining"] = "5"
    if status >= 400:
        call, _ = draw.choice(_plain_kinds() + _stream_kinds())
        error = {"error": {"message": "no", "type": "t", "param": None, "code": "c"}}
        bodies = (json.dumps(error), json.dumps(mutate_value(draw, error)), "", "<h1>no</h1>", "null", '"no"', "[]")
        return call, Reply(status, headers, draw.choice(bodies).encode("utf-8", "surrogatepass"))
    if draw.random() < 0.5:
        call, body = draw.choice(_plain_kinds())
        made = json.dumps(mutate_value(draw, body), indent=draw.choice((None, None, 2, 4)))
        return call, Reply(status, headers, made.encode())
    call, chunks = draw.choice(_stream_kinds())
    headers["content-type"] = draw.choice(("text/event-stream", "text/event-stream; charset=utf-8"))
    pieces = [(0.0, _event(draw, item)) for item in chunks]
    # No cut after `[DONE]`: versions before 2 read on and raise there, and a recording ends with it, on purpose.
    is_done = draw.random() < 0.8
    pieces += [(0.0, event(b"[DONE]"))] if is_done else []
    return call, Reply(200, headers, pieces=pieces, is_cut=not is_done and draw.random() < 0.5)


def _event(draw: random.Random, item: Any) -> bytes:
    """Make a server-sent event, sometimes with a wrong one before it."""
    made = event(json.dumps(mutate_value(draw, item)).encode())
    before = (
        b": comment\n\n",
        b"retry: 5\n\n",
        b"id: 1\n",
        b"event: x\n",
        event(b"no JSON"),
        event(b"[]"),
        b"data:\n\n",
    )
    error = event({"error": {"message": "no", "code": 1}})
    return draw.choice((*before, error)) + made if draw.random() < 0.1 else made


@pytest.mark.parametrize(
    "kind", ["sync", *(pytest.param(kind, marks=pytest.mark.slow) for kind in ("asyncio", "trio"))]
)
@pytest.mark.filterwarnings("ignore:Pydantic serializer warnings")
def test_generated_answers(live_server, tmp_path, kind):
    """Answers of every status, right and wrong, plain and streamed, whole and cut off, are the same three times."""
    count, errors = times(60, 2_000), 0
    for number in range(count):
        call, reply = _generated(random.Random(f"{kind}{number}"))
        results = _results(live_server, tmp_path / str(number), call, reply, kind)
        _assert_alike(results, f"answer {number}: {reply}")
        errors += isinstance(results[0][-1][0], type) and issubclass(results[0][-1][0], Exception)
    assert 0 < errors < count
    print(f"{count} generated answers, {kind}: alike, {errors} of them errors")  # noqa: T201 - as above
