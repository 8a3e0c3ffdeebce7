"""The llama-stack recorder's directories, real files and made ones."""

from __future__ import annotations

import json
import logging
import os
import shutil
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import openai
import pytest
from conftest import completion
from hypothesis import given
from hypothesis import strategies as st
from openai._qs import Querystring

from inferencereplay import RecordingCorrupt, RecordingNotFound, replay
from inferencereplay.recording.format import Recording, check_request, decode, encode, lay_out, stored_request
from inferencereplay.recording.request import Request, canonical_json, parse_query
from inferencereplay.store import llama_stack
from inferencereplay.store.llama_stack import LlamaStackStore
from inferencereplay.store.llama_stack_file import is_llama_stack

REAL = Path(__file__).parents[1] / "recordings" / "llama_stack"
FILES = sorted(file.name for file in REAL.glob("*.json"))
TOOL_CALL = "hist-0806aef47037~ec433c7d.json"
TEXT_STREAM = "hist-84cab42e1f5c~8d244063.json"
FLOATS = "hist-225b4d2263a7~66124cab.json"
BASE64 = "hist-8cdb7e65fcfe~7d905783.json"
NOT_CONNECTED = next(name for name in FILES if name.startswith("hist-1a00f31067e4"))
NOT_FOUND = next(name for name in FILES if name.startswith("hist-8fb0d53b754e"))
BAD_REQUEST = next(name for name in FILES if name.startswith("ogx-5197a62ba402"))
EXTRA_BODY = next(name for name in FILES if name.startswith("ogx-1a5a9da6382b"))
PROJECT = {"project_id": "1461945d-7925-4b82-b90b-ecd907a98d77"}

CHAT = "openai.types.chat.chat_completion.ChatCompletion"
CHUNK = "openai.types.chat.chat_completion_chunk.ChatCompletionChunk"
EMBEDDING = "openai.types.create_embedding_response.CreateEmbeddingResponse"
MODEL = "openai.types.model.Model"
ASK: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "Hello"}]}
URL = "http://127.0.0.1:9/v1"
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def typed(kind: str, data: Any) -> dict[str, Any]:
    return {"__type__": kind, "__data__": data}


def answer(text: str = "Hi") -> dict[str, Any]:
    return typed(CHAT, {"id": "c", "choices": [{"index": 0, "message": {"role": "assistant", "content": text}}]})


def made(body: Any, response: Any, test_id: str | None = None, **more: Any) -> dict[str, Any]:
    request = {"method": "POST", "url": f"{URL}/chat/completions", "body": body, "endpoint": "/v1/chat/completions"}
    return {"test_id": test_id, "request": {**request, **more}, "response": response}


def plain(body: Any, response: Any, test_id: str | None = None, **more: Any) -> dict[str, Any]:
    return made(body, {"body": response, "is_streaming": False}, test_id, **more)


def models(*names: str, test_id: str | None = None, **body: Any) -> dict[str, Any]:
    return plain(body, [typed(MODEL, {"id": name, "from": test_id}) for name in names], test_id)


def failed(body: Any, error: Any, chunks: Any = None) -> dict[str, Any]:
    is_streaming = chunks is not None
    return made(body, {"body": chunks, "is_streaming": is_streaming, "is_exception": True, "exception_data": error})


def write(directory: Path, **files: Any) -> LlamaStackStore:
    for name, content in files.items():
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        (directory / f"{name}.json").write_bytes(data)
    return LlamaStackStore(directory)


def key_of(body: Any, path: str = "/chat/completions") -> str:
    return Request("POST", path, canonical_json(body)).key


def list_key(query: dict[str, Any] | None = None) -> str:
    return Request("GET", "/models", b"null", query or {}).key


def take(store: LlamaStackStore, path: str, key: str, variant: int = 1) -> Recording:
    """Return a recording that passed every check of ours."""
    found = store.read(path, key, variant)
    assert found is not None
    recording = decode(encode(found), key)
    check_request(recording, stored_request(recording, key), key, key)
    return recording


def texts(store: LlamaStackStore, body: Any) -> list[str]:
    """Return what the variants of a chat say, in order."""
    found = []
    while store.read("/chat/completions", key_of(body), len(found) + 1) is not None:
        recording = take(store, "/chat/completions", key_of(body), len(found) + 1)
        found.append(json.loads(bytes(recording.response.body))["choices"][0]["message"]["content"])
    return found


def only(directory: Path, content: Any) -> Recording:
    """Return the recording that a file alone in its directory makes."""
    store = write(directory, only=content)
    ((key, entry),) = store._entries().items()
    return take(store, entry.path, key)


def arguments(name: str) -> dict[str, Any]:
    return json.loads((REAL / name).read_bytes())["request"]["body"]


def recorded(name: str) -> Any:
    return json.loads((REAL / name).read_bytes())["response"]


@pytest.fixture
def real():
    """Replay the real files through the real SDK."""
    with replay(REAL), openai.OpenAI(api_key="k", base_url=URL, max_retries=0) as client:
        yield client


# Real files.


def test_every_real_file_is_indexed_and_transcodes(caplog):
    """Every one of the given files answers the request it holds, and none is warned about."""
    store = LlamaStackStore(REAL)
    used = set()
    for key, entry in store._entries().items():
        take(store, entry.path, key)
        used.update(store.sources(entry.path, key, 1))
    assert sorted(used) == list(store.list()) == FILES
    assert caplog.records == []


def test_stream_of_tool_calls_replays_through_the_sdk(real):
    """The streamed tool call that the project began with comes back chunk by chunk, nulls and unknown fields too."""
    chunks = [chunk.to_dict() for chunk in real.chat.completions.create(**arguments(TOOL_CALL))]
    assert chunks == [item["__data__"] for item in recorded(TOOL_CALL)["body"]]
    assert any(choice.get("stop_reason") == 128008 for chunk in chunks for choice in chunk["choices"])


def test_untyped_stream_of_text_replays_through_the_sdk(real):
    """An older file without class names is told by its arguments."""
    chunks = list(real.completions.create(**arguments(TEXT_STREAM)))
    assert [chunk.to_dict() for chunk in chunks] == recorded(TEXT_STREAM)["body"]
    assert isinstance(chunks[0], openai.types.Completion)


@pytest.mark.parametrize("name", ["meta-bf79a89cc37f.json", "meta-35db283fef1d.json"])
def test_chat_replays_through_the_sdk_whatever_its_endpoint_says(real, name):
    """A chat is found as a chat, also where the file says that it was a text completion."""
    assert real.chat.completions.create(**arguments(name)).to_dict() == recorded(name)["body"]["__data__"]


def test_embeddings_are_found_although_the_sdk_asks_for_base64(real):
    """Arguments without an encoding match the request in which the SDK fills it in; the floats stay floats."""
    made = real.embeddings.create(**arguments(FLOATS))
    assert made.data[0].embedding == recorded(FLOATS)["body"]["__data__"]["data"][0]["embedding"]
    made = real.embeddings.create(**arguments(BASE64))
    assert made.data[0].embedding == recorded(BASE64)["body"]["__data__"]["data"][0]["embedding"]


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        (NOT_FOUND, openai.NotFoundError),
        (BAD_REQUEST, openai.BadRequestError),
        (EXTRA_BODY, openai.BadRequestError),
        (NOT_CONNECTED, openai.APIConnectionError),
    ],
)
def test_errors_replay_through_the_sdk(real, name, kind):
    """A recorded exception comes back as the same class with the same body, also where a stream was asked for."""
    create = real.completions.create if "prompt" in arguments(name) else real.chat.completions.create
    with pytest.raises(openai.APIError) as caught:
        create(**arguments(name))
    assert type(caught.value) is kind
    assert caught.value.body == recorded(name)["exception_data"].get("body")


def test_models_replay_through_the_sdk(real):
    """A list of models is the union of all lists, or of those that were made with the same query."""
    everything = [model.id for model in real.models.list()]
    project = [model.id for model in real.models.list(extra_query=PROJECT)]
    assert len(project) == 27
    assert len(everything) == len(set(everything)) == 29
    assert set(project) < set(everything)


def test_nested_folders_of_real_files(tmp_path):
    """Folders may be nested, and a file may have any name."""
    folder = tmp_path / "tests" / "integration" / "recordings"
    folder.mkdir(parents=True)
    shutil.copy(REAL / TOOL_CALL, folder / "any name.json")
    shutil.copy(REAL / "meta-bf79a89cc37f.json", tmp_path)
    store = LlamaStackStore(tmp_path)
    nested = str(Path("tests", "integration", "recordings", "any name.json"))
    assert list(store.list()) == ["meta-bf79a89cc37f.json", nested]
    assert store.sources("/chat/completions", key_of(arguments(TOOL_CALL)), 1) == (nested,)


@pytest.mark.parametrize("name", FILES)
def test_real_files_look_like_llama_stack(name):
    """The recorder's files are told from others, and from what is left when one is torn."""
    data = (REAL / name).read_bytes()
    assert is_llama_stack(data)
    assert not is_llama_stack(data[:-3])


# What a file looks like.


@given(st.binary() | JSON.map(lambda value: json.dumps(value).encode()))
def test_whatever_bytes_are_no_llama_stack(data):
    """Bytes and JSON of any kind are no recording, and no exception."""
    assert not is_llama_stack(data)


@pytest.mark.parametrize(
    "content",
    [
        {"request": {"url": "u", "body": {}}},
        {"request": {"url": "u"}, "response": {}},
        {"request": {"body": {}}, "response": {}},
        {"request": {"url": "u", "body": {}}, "response": []},
        {"inferencereplay": 1, "request": {"url": "u", "body": {}}, "response": {}},
        "[" * 100_000,
    ],
)
def test_near_misses_are_no_llama_stack(content):
    """Our own format, a file without a response, or one without an address is not the recorder's."""
    assert not is_llama_stack(content.encode() if isinstance(content, str) else json.dumps(content).encode())


# Requests.


def test_options_are_not_part_of_the_body(tmp_path):
    """Headers and timeout go, the extra body is merged over the body, the extra query becomes the query."""
    extra = {"extra_headers": {"a": "b"}, "timeout": 3, "extra_query": None, "extra_body": {"model": "n", "top_k": 1.0}}
    recording = only(tmp_path, plain({**ASK, **extra}, answer()))
    assert recording.key == key_of({**ASK, "model": "n", "top_k": 1})
    assert recording.request.query == {}


@pytest.mark.skipif(openai.__version__[0] < "3", reason="older versions leave out what is empty")
@given(st.dictionaries(st.text(), JSON, max_size=3))
def test_queries_are_written_as_the_sdk_writes_them(query):
    """For any extra query the key is that of what the SDK sends."""
    sent = parse_query(Querystring(array_format="brackets").stringify(json.loads(json.dumps(query))))
    with tempfile.TemporaryDirectory() as folder:
        store = write(Path(folder), one=plain({**ASK, "extra_query": query}, answer()))
        key = Request("POST", "/chat/completions", canonical_json(ASK), sent).key
        if is_plain(query):
            assert take(store, "/chat/completions", key).request.query == sent


def is_plain(value: Any) -> bool:
    try:
        canonical_json(value)
    except Exception:  # noqa: BLE001 - NaN and lone surrogates are in nobody's query
        return False
    return True


@pytest.mark.parametrize(
    ("kind", "path", "body"),
    [
        (CHAT, "/chat/completions", {"prompt": "p"}),
        ("litellm.types.utils.ModelResponse", "/chat/completions", ASK),
        ("openai.types.completion.Completion", "/completions", ASK),
        (EMBEDDING, "/embeddings", {"input": "i", "encoding_format": "float"}),
        ("openai.types.responses.response.Response", "/responses", {"input": "i"}),
        ("openai.types.moderation_create_response.ModerationCreateResponse", "/moderations", {"input": "i"}),
    ],
)
def test_class_tells_the_path(tmp_path, kind, path, body):
    """The class of what came back decides, and neither the endpoint nor the URL."""
    recording = only(tmp_path, plain(body, typed(kind, {"a": 1})))
    assert (recording.request.path, recording.key) == (path, key_of(body, path))


@pytest.mark.parametrize(
    ("body", "ending", "path"),
    [
        (ASK, "completions", "/chat/completions"),
        ({"prompt": "p"}, "chat/completions", "/completions"),
        ({"input": "i", "encoding_format": "float"}, "embeddings", "/embeddings"),
        ({"input": "i"}, "responses", "/responses"),
        ({"input": "i"}, "moderations", "/moderations"),
    ],
)
def test_arguments_tell_the_path_of_what_has_no_class(tmp_path, body, ending, path):
    """Where there is no class, the arguments decide, and of the URL only what they leave open."""
    assert only(tmp_path, plain(body, {"a": 1}, url=f"{URL}/{ending}")).request.path == path


# Answers.


def test_numbers_escapes_and_order_survive(tmp_path):
    """An answer keeps every digit, escape, null and the order that the file has."""
    data = b'{"z": 1.50, "a": [1e-07, 12345678901234567890123],\n "s": "\\u00e9\\/", "n": null}'
    content = json.dumps(plain(ASK, typed(CHAT, "DATA"))).encode().replace(b'"DATA"', data)
    body = bytes(only(tmp_path, content).response.body)
    assert b"1.50" in body
    assert b"12345678901234567890123" in body
    assert rb'"\u00e9\/"' in body
    assert list(json.loads(body)) == ["z", "a", "s", "n"]


def test_plain_answers_have_no_timing(tmp_path):
    """Their files hold no time, so ours claims none."""
    response = only(tmp_path, plain(ASK, answer())).response
    assert (response.status, response.elapsed, response.offsets) == (200, None, [])
    assert response.headers == {"content-type": "application/json"}


@pytest.mark.parametrize("count", [0, 2])
def test_streams_are_whole_and_without_timing(tmp_path, count):
    """A stream, be it empty, is done, has a chunk a line and no offsets."""
    chunks = [typed("litellm.types.utils.ModelResponseStream", {"id": str(index)}) for index in range(count)]
    response = only(tmp_path, made({**ASK, "stream": True}, {"body": chunks, "is_streaming": True})).response
    assert (response.end, response.offsets, response.events, response.sentinel) == ("done", [], [], True)
    assert [bytes(chunk) for chunk in response.chunks] == [b'{"id":"%d"}' % index for index in range(count)]
    assert response.headers == {"content-type": "text/event-stream"}


def test_streams_of_responses_name_their_events(tmp_path):
    """The Responses API names its events and closes without a sentinel."""
    kind = "openai.types.responses.response_created_event.ResponseCreatedEvent"
    chunks = [typed(kind, {"type": "response.created"})]
    recording = only(tmp_path, made({"input": "i", "stream": True}, {"body": chunks, "is_streaming": True}))
    assert recording.request.path == "/responses"
    assert (recording.response.events, recording.response.sentinel) == (["response.created"], False)


@pytest.mark.parametrize(
    ("error", "status", "body"),
    [
        ({"type": "BadRequestError", "status_code": 400, "body": {"a": 1}}, 400, {"error": {"a": 1}}),
        ({"type": "BadRequestError", "status_code": 400, "body": {"error": 1}}, 400, {"error": {"error": 1}}),
        ({"type": "APIStatusError", "provider": "openai", "status_code": 418, "body": ["a"]}, 418, ["a"]),
        ({"type": "InternalServerError", "status_code": 503, "body": "text"}, 503, "text"),
        ({"type": "AuthenticationError"}, 401, None),
        ({"type": "PermissionDeniedError"}, 403, None),
        ({"type": "NotFoundError"}, 404, None),
        ({"type": "ConflictError"}, 409, None),
        ({"type": "UnprocessableEntityError"}, 422, None),
        ({"type": "RateLimitError"}, 429, None),
        ({"type": "InternalServerError"}, 500, None),
    ],
)
def test_errors_have_their_status(tmp_path, error, status, body):
    """A status comes from the file, or else from the class; an object is wrapped as servers wrap it."""
    response = only(tmp_path, failed(ASK, error)).response
    assert (response.status, json.loads(bytes(response.body))) == (status, body)


def test_timeouts_have_no_answer(tmp_path):
    """A connection that failed has no status, only the failure."""
    response = only(tmp_path, failed(ASK, {"type": "APITimeoutError", "message": "Request timed out."})).response
    assert response.status == 0
    assert (response.failure.type, response.failure.message) == ("APITimeoutError", "Request timed out.")


def test_streams_that_broke_keep_what_came(tmp_path):
    """Chunks that came before the connection broke are replayed before the error."""
    body, chunks = {**ASK, "stream": True}, [typed(CHUNK, {"id": "1"})]
    response = only(tmp_path, failed(body, {"type": "APIConnectionError"}, chunks)).response
    assert (response.end, len(response.chunks), response.failure.type) == ("error", 1, "APIConnectionError")


# Files that cannot be understood.

BAD = {
    "nothing": b"",
    "torn": json.dumps(plain(ASK, answer())).encode()[:-9],
    "not_utf8": json.dumps(plain(ASK, answer("TEXT"))).encode().replace(b"TEXT", b"\xff"),
    "utf16": json.dumps(plain(ASK, answer())).encode("utf-16"),
    "foreign": {"a": 1},
    "no_object": [1, 2],
    "ours": {"inferencereplay": 1, **plain(ASK, answer())},
    "body_is_text": plain("text", answer()),
    "deep_request": json.dumps(plain("DEEP", answer())).replace('"DEEP"', "[" * 90_000 + "]" * 90_000).encode(),
    "deep_answer": json.dumps(plain(ASK, "DEEP")).replace('"DEEP"', "[" * 90_000 + "]" * 90_000).encode(),
    "not_a_number": plain({**ASK, "temperature": float("nan")}, answer()),
    "lone_surrogate": plain({**ASK, "user": "\ud800"}, answer()),
    "infinite": json.dumps(plain({**ASK, "x": "BIG"}, answer())).replace('"BIG"', "1e999").encode(),
    "foreign_class": plain(ASK, typed("ollama._types.ChatResponse", {"a": 1})),
    "class_is_number": plain(ASK, {"__type__": 1, "__data__": {}}),
    "no_data": plain(ASK, {"__type__": CHAT}),
    "data_is_list": plain(ASK, typed(CHAT, [])),
    "no_answer": plain(ASK, None),
    "answer_is_number": plain(ASK, 5),
    "answer_is_list": plain(ASK, [answer()]),
    "models_are_one": plain({}, typed(MODEL, {"id": "m"})),
    "model_without_id": plain({}, [typed(MODEL, {"name": "m"})]),
    "stream_is_one": made({**ASK, "stream": True}, {"body": answer(), "is_streaming": True}),
    "stream_that_is_none": plain({**ASK, "stream": True}, answer()),
    "none_that_is_stream": made(ASK, {"body": [typed(CHUNK, {})], "is_streaming": True}),
    "event_without_type": made({"input": "i", "stream": True}, {"body": [{}], "is_streaming": True}, url="/responses"),
    "unknown_input": plain({"input": "i"}, {"a": 1}, url=f"{URL}/rerank"),
    "unknown_arguments": plain({"query": "q"}, {"a": 1}),
    "extra_body_is_text": plain({**ASK, "extra_body": "text"}, answer()),
    "extra_query_is_list": plain({**ASK, "extra_query": [1]}, answer()),
    "no_exception_data": made(ASK, {"body": None, "is_streaming": False, "is_exception": True}),
    "unknown_exception": failed(ASK, {"category": "unknown", "type": "ValueError", "message": "?"}),
    "their_own_exception": failed(ASK, {"category": "llama_stack", "type": "ConflictError", "status_code": 409}),
    "foreign_exception": failed(ASK, {"type": "ResponseError", "provider": "ollama", "status_code": 404}),
    "no_error_status": failed(ASK, {"type": "BadRequestError", "status_code": 200}),
    "far_status": failed(ASK, {"type": "BadRequestError", "status_code": 10**30}),
    "status_in_a_stream": failed(
        {**ASK, "stream": True}, {"type": "BadRequestError", "status_code": 400}, [typed(CHUNK, {})]
    ),
    "test_id_is_number": {**plain(ASK, answer()), "test_id": 5},
}


@pytest.mark.parametrize("name", BAD)
def test_bad_files_are_passed_over(tmp_path, caplog, name):
    """A file that cannot be understood is named in a warning, and the others replay."""
    store = write(tmp_path, **{name: BAD[name], "good": plain(ASK, answer())})
    assert texts(store, ASK) == ["Hi"]
    assert list(store.list()) == ["good.json"]
    (record,) = caplog.records
    assert (record.name, record.levelno) == ("inferencereplay", logging.WARNING)
    assert str(tmp_path) in record.getMessage()
    assert f"'{name}.json'" in record.getMessage()


def test_one_warning_names_twenty(tmp_path, caplog):
    """However many files are bad, one warning names the first twenty and counts the rest."""
    store = write(tmp_path, **{f"bad{index:02}": b"{" for index in range(23)})
    assert list(store.list()) == list(store.list()) == []
    (record,) = caplog.records
    assert "'bad19.json' and 3 more" in record.getMessage()
    assert "bad20" not in record.getMessage()


@given(data=st.data())
def test_no_damage_is_a_crash(data):
    """Whatever a value in a file is replaced by, the file replays soundly or is passed over."""
    content = data.draw(st.sampled_from([plain(ASK, answer()), models("a"), failed(ASK, {"type": "RateLimitError"})]))
    content = json.loads(json.dumps(content))
    place, names = content, []
    while isinstance(place, dict) and place and (not names or data.draw(st.booleans())):
        names.append((place, data.draw(st.sampled_from(sorted(place)))))
        place = place[names[-1][1]]
    names[-1][0][names[-1][1]] = data.draw(JSON)
    with tempfile.TemporaryDirectory() as folder:
        store = write(Path(folder), one=content)
        for key, entry in store._entries().items():
            take(store, entry.path, key)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes")
def test_what_is_no_file_of_the_directory_is_passed_over(tmp_path, caplog):
    """A link that leads out of the directory, a broken one and a pipe are passed over; a link inside it is a file."""
    outside, inside = tmp_path / "outside", tmp_path / "inside"
    outside.mkdir()
    (inside / "real").mkdir(parents=True)
    write(outside, secret=plain(ASK, answer("secret")))
    write(inside / "real", one=plain(ASK, answer()))
    (inside / "away.json").symlink_to(outside / "secret.json")
    (inside / "broken.json").symlink_to(outside / "nothing.json")
    (inside / "folder").symlink_to(outside)
    (inside / "link.json").symlink_to(inside / "real" / "one.json")
    os.mkfifo(inside / "pipe.json")
    store = LlamaStackStore(inside)
    assert list(store.list()) == ["link.json", str(Path("real", "one.json"))]
    assert texts(store, ASK) == ["Hi", "Hi"]
    assert "'away.json', 'broken.json', 'pipe.json'" in caplog.text


def test_unreadable_files_and_folders_are_passed_over(tmp_path, caplog, monkeypatch):
    """What the file system does not give is passed over like any other file."""

    def refuse(file: str, _: int) -> Any:
        raise PermissionError(13, "Permission denied", file)

    store = write(tmp_path, one=plain(ASK, answer()))
    monkeypatch.setattr(llama_stack, "read", refuse)
    assert list(store.list()) == []
    assert list(LlamaStackStore(tmp_path / "none").list()) == []
    assert [record.getMessage().rpartition(" ")[2] for record in caplog.records] == ["'one.json'", "'.'"]


# Variants.


def test_equal_requests_are_variants_by_name(tmp_path):
    """Several files with one request answer in the order of their names."""
    (tmp_path / "d").mkdir()
    write(tmp_path / "d", a=plain(ASK, answer("nested")))
    store = write(
        tmp_path, b=plain(ASK, answer("second")), a=plain(ASK, answer("first")), c=plain({**ASK, "n": 2}, answer())
    )
    assert texts(store, ASK) == ["first", "second", "nested"]
    assert store.sources("/chat/completions", key_of(ASK), 2) == ("b.json",)


def test_what_is_not_there_is_none(tmp_path):
    """Another key, path or variant has no recording and no sources."""
    store = write(tmp_path, a=plain(ASK, answer()), b=plain(ASK, answer()), m=models("a"))
    key = key_of(ASK)
    wanted = [("/chat/completions", key, 3), ("/chat/completions", key, 0), ("/chat/completions", key, -1)]
    wanted += [("/completions", key, 1), ("/chat/completions", key_of({}), 1), ("/models", list_key(), 2)]
    assert [store.read(*item) for item in wanted] == [None] * 6
    assert [store.sources(*item) for item in wanted] == [()] * 6


def test_test_id_picks(tmp_path):
    """A test's own files answer, else those of no test, else none."""
    other = {**ASK, "n": 2}
    files = {
        "a": plain(ASK, answer("shared")),
        "b": plain(ASK, answer("one's"), "one"),
        "c": plain(ASK, answer("two's"), "two"),
        "d": plain(other, answer("other's"), "one"),
        "e": models("m", test_id="one"),
    }
    assert texts(write(tmp_path, **files), ASK) == ["shared", "one's", "two's"]
    assert texts(LlamaStackStore(tmp_path, "one"), ASK) == ["one's"]
    assert texts(LlamaStackStore(tmp_path, "three"), ASK) == ["shared"]
    assert texts(LlamaStackStore(tmp_path, "three"), other) == []
    assert list(LlamaStackStore(tmp_path, "three").list()) == ["a.json", "e.json"]


def test_replay_gives_a_miss_for_another_test(tmp_path):
    """Through the library, a request that was recorded for other tests only is a miss."""
    write(tmp_path, b=plain(ASK, answer("one's"), "one"))
    with openai.OpenAI(api_key="k", base_url=URL) as client:
        with replay(tmp_path, test_id="one"):
            assert client.chat.completions.create(**ASK).choices[0].message.content == "one's"
        with pytest.raises(RecordingNotFound), replay(tmp_path, test_id="two"):
            client.chat.completions.create(**ASK)


# Models.


def test_lists_of_models_are_united(tmp_path):
    """All lists make one, the first of each id wins, and all their files are its sources."""
    files = {"a": models("x", "y", test_id="one"), "b": models("y", "z", test_id="two"), "c": models()}
    store = write(tmp_path, **files, d=models("q", extra_query={"p": True}))
    recording = take(store, "/models", list_key())
    assert recording.request.method == "GET"
    assert json.loads(bytes(recording.response.body)) == {
        "object": "list",
        "data": [
            {"id": "x", "from": "one"},
            {"id": "y", "from": "one"},
            {"id": "z", "from": "two"},
            {"id": "q", "from": None},
        ],
    }
    assert store.sources("/models", list_key(), 1) == ("a.json", "b.json", "c.json", "d.json")
    assert store.sources("/models", list_key({"p": "true"}), 1) == ("d.json",)
    assert [
        item["id"] for item in json.loads(bytes(take(store, "/models", list_key({"p": "true"})).response.body))["data"]
    ] == ["q"]


@pytest.mark.parametrize("body", [{}, None])
def test_an_empty_list_of_models_is_a_list(tmp_path, body):
    """A file with no models in it answers with none."""
    response = only(tmp_path, plain(body, [])).response
    assert json.loads(bytes(response.body)) == {"object": "list", "data": []}


def test_an_error_counts_where_there_is_no_list_of_models(tmp_path):
    """A failed listing is replayed if no other succeeded."""
    error = failed({}, {"type": "AuthenticationError"})
    assert take(write(tmp_path, a=error), "/models", list_key()).response.status == 401
    store = write(tmp_path, b=models("x"))
    assert take(store, "/models", list_key()).response.status == 200


# The rest of the store.


@pytest.mark.parametrize("content", [None, b"{", plain({**ASK, "n": 2}, answer())])
def test_files_that_change_are_corrupt(tmp_path, content):
    """A file that vanished, was torn or holds another request since the index was built is an error with its path."""
    store = write(tmp_path, a=plain(ASK, answer()))
    assert list(store.list()) == ["a.json"]
    (tmp_path / "a.json").unlink()
    write(tmp_path, **({} if content is None else {"a": content}))
    with pytest.raises(RecordingCorrupt) as caught:
        store.read("/chat/completions", key_of(ASK), 1)
    assert caught.value.path == str(tmp_path / "a.json")


def test_nothing_can_be_written(tmp_path):
    """Such a directory can only be replayed: there is nothing to write into it with."""
    store = write(tmp_path, a=plain(ASK, answer()))
    assert store.is_writable is False
    assert store.directory == str(tmp_path)
    assert not any(hasattr(store, name) for name in ("get", "add", "replace", "replace_if", "move", "delete"))


def test_newest_come_first(tmp_path):
    """The newest files of a path come first, as many as are wanted, with the body as it goes on the wire."""
    bodies = {name: {**ASK, "user": name} for name in "abc"}
    store = write(
        tmp_path, **{name: plain({**body, "timeout": 1}, answer()) for name, body in bodies.items()}, m=models("x")
    )
    for age, name in enumerate("bca"):
        os.utime(tmp_path / f"{name}.json", (1000 - age, 1000 - age))
    found = dict(store.requests("/chat/completions", 2))
    assert found == {name: lay_out(canonical_json(bodies[name[0]])) for name in ("b.json", "c.json")}
    assert list(store.newest(["c.json", "b.json"])) == [("b.json", bodies["b"]), ("c.json", bodies["c"])]
    assert list(store.requests("/models", 5)) == [("m.json", b"null")]
    assert list(store.newest(["m.json"])) == [("m.json", None)]
    assert list(store.requests("/embeddings", 5)) == []
    assert store.state("/chat/completions") == store.state("/chat/completions") != store.state("/embeddings")
    (tmp_path / "b.json").unlink()
    assert [name for name, _ in store.requests("/chat/completions", 3)] == ["c.json", "a.json"]
    assert [name for name, _ in store.newest(["a.json", "b.json", "c.json"])] == ["c.json", "a.json"]


def test_threads_build_one_index(tmp_path, caplog):
    """Threads that meet at the first use build the index once, and all get the answer."""
    store = write(tmp_path, a=plain(ASK, answer()), b=b"{")
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lambda _: texts(store, ASK), range(32))) == [["Hi"]] * 32
    assert len(caplog.records) == 1


def test_index_holds_no_contents(tmp_path):
    """The index keeps names and keys, and not what the files say."""
    store = write(tmp_path, a=plain({**ASK, "user": "MARK"}, answer("MARK")))
    assert "MARK" not in repr(store._entries())


def test_ignored_members_do_not_count_in_their_requests_either(tmp_path):
    """What the caller ignores is ignored in llama-stack's files as well, which were stored with it."""
    ask = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}
    write(tmp_path, a=plain({**ask, "user": "one"}, answer("Hi, one")))
    with replay(tmp_path, ignore=["user"]), openai.OpenAI() as client:
        assert client.chat.completions.create(**ask, user="two").choices[0].message.content == "Hi, one"
    with pytest.raises(RecordingNotFound) as caught, replay(tmp_path, ignore=["user"]), openai.OpenAI() as client:
        client.chat.completions.create(**{**ask, "model": "n"}, user="two")
    assert caught.value.differences == ('model: "m" → "n"',)


def test_a_llama_stack_file_that_is_removed_is_told(client, tmp_path):
    """What the index knows and the directory has no more is an error that names the file."""
    request = {"method": "POST", "url": "http://x/v1/chat/completions", "body": ASK, "endpoint": "/v1/chat/completions"}
    file = tmp_path / "0123456789ab.json"
    file.write_text(json.dumps({"request": request, "response": {"body": completion("hi"), "is_streaming": False}}))
    with pytest.raises(RecordingCorrupt, match=file.name), replay(tmp_path):
        assert client.chat.completions.create(**ASK).choices[0].message.content == "hi"
        file.unlink()
        client.chat.completions.create(**ASK)


def test_stamps_of_several_variants(tmp_path):
    """They are those of each; `None` where there is none."""
    store = write(tmp_path, a=plain(ASK, answer()))
    key = key_of(ASK)
    assert store.stamps("/chat/completions", key, [1, 2]) == [store.stamp("/chat/completions", key, 1), None]
