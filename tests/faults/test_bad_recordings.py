"""Bad recordings: whatever stands in a file, a call gets an object or an error that says which file and where."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import traceback
import warnings
from pathlib import Path

import openai
import pytest
from conftest import ASK, plain, sse
from fuzz import Guard, client_of, load_all_codecs
from hypothesis import given, settings
from hypothesis import strategies as st
from length import times

from inferencereplay import IncompleteRecording, RecordingCorrupt, RecordingNotFound, StoreError, replay
from inferencereplay.errors import NotRecordable
from inferencereplay.recording.format import decode, stored_request
from inferencereplay.store.llama_stack_file import UnsupportedFile, parse

pytestmark = pytest.mark.slow

FUZZ = Path(__file__).with_name("fuzz.py")
WORKERS = 2
LIVE = {"messages": [{"role": "user", "content": "Hello"}]}


@pytest.mark.slow
def test_mutated_files():
    """Of mutated files each gives, on both paths, an object or an error with its facts, and nothing else happens."""
    each = times(200, 50_000)
    command = [sys.executable, "-W", "ignore", str(FUZZ), str(each)]
    running = [
        subprocess.Popen([*command, str(first * each)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        for first in range(WORKERS)
    ]
    told = [process.communicate()[0] for process in running]
    assert [process.returncode for process in running] == [0] * WORKERS, told
    results = [json.loads(text) for text in told]
    print(*results, sep="\n")  # noqa: T201 - the counts, for `-rP`
    assert sum(sum(result["outcomes"].values()) for result in results) >= 2 * WORKERS * each
    assert all(result["outcomes"][kind] for result in results for kind in ("object", "RecordingCorrupt"))


value = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)
_response = st.fixed_dictionaries(
    {},
    optional={
        **dict.fromkeys(
            ("status", "elapsed", "end", "sentinel", "offsets", "events", "verbatim", "text", "indent"), value
        ),
        **dict.fromkeys(("body", "headers", "failure"), value),
        "chunks": st.lists(value, max_size=3) | value,
    },
)
_request = st.fixed_dictionaries({"method": st.just("POST") | value, "path": value, "body": value, "query": value})
ours = st.fixed_dictionaries(
    {"inferencereplay": st.just(1) | value, "key": value, "request": _request, "response": _response}
)
_element = value | st.fixed_dictionaries({"__type__": value, "__data__": value})
theirs = st.fixed_dictionaries(
    {
        "request": st.fixed_dictionaries({"endpoint": value, "url": value, "body": _request | value}),
        "response": st.fixed_dictionaries({"body": _element | st.lists(_element), "is_streaming": value}),
        "test_id": value,
    }
)


@settings(max_examples=times(150, 20_000), deadline=None)
@given(st.binary() | (ours | theirs | value).map(lambda made: json.dumps(made).encode()))
def test_generated_files(data):
    """Files that nobody wrote are refused by each reader with its own error, or read."""
    try:
        stored_request(decode(data, "file"), "file")
    except RecordingCorrupt as error:
        assert error.path == "file"
        assert error.position
    try:
        parse(data)
    except UnsupportedFile:
        pass


# One at a time: what the fuzzer or a reading of the code found.


@pytest.fixture
def recorded(client, server, tmp_path):
    """Return a function that records a reply, changes the file's JSON, and replays it."""

    def made(reply, change, **more):
        server.replies = [reply]
        with replay(tmp_path, mode="record"):
            try:
                list(client.chat.completions.create(**ASK, **more))
            except ValueError:  # which the SDK raises for what is no JSON
                pass
        (file,) = tmp_path.rglob("*.json")
        content = json.loads(file.read_text())
        change(content["response"])
        file.write_text(json.dumps(content))
        return file

    return made


@pytest.mark.parametrize("text", [r'"\ud800"', r'"\udfff"', '"x', "5"])
def test_verbatim_chunks_are_text(client, recorded, tmp_path, text):
    """A chunk that is to be sent as it stands has to be text that can be sent."""
    file = recorded(sse(b"no JSON"), lambda response: response.update(chunks=["@"]), stream=True)
    file.write_text(file.read_text().replace('"@"', text))
    with replay(tmp_path), pytest.raises(RecordingCorrupt) as caught:
        list(client.chat.completions.create(**ASK, stream=True))
    assert caught.value.path.endswith(file.name)


@pytest.mark.parametrize("charset", ["\0", "a\0b", "undefined", "rot13", "../x", "os"])
def test_a_character_set_is_a_name_of_one(client, recorded, tmp_path, charset):
    """Whatever stands for the character set, the text comes back."""
    headers = {"content-type": f"text/plain; charset={charset}"}
    recorded(plain({}), lambda response: (response.pop("body"), response.update(text="äh", headers=headers)))
    with replay(tmp_path):
        assert client.chat.completions.with_raw_response.create(**ASK).content.decode(errors="replace")


def test_white_space_takes_no_memory(client, recorded, tmp_path):
    """A small file cannot ask for an answer of hundreds of megabytes of white space."""
    body = json.loads("[" * 400 + ",".join("1" * 10_000) + "]" * 400)
    file = recorded(plain({}), lambda response: response.update(body=body, indent=16))
    with replay(tmp_path), pytest.raises(RecordingCorrupt, match=r"the answer would have [0-9]{8} spaces") as caught:
        client.chat.completions.with_raw_response.create(**ASK)
    assert caught.value.position == "$.response.indent"
    assert caught.value.path.endswith(file.name)


def test_the_typed_road_refuses_white_space_too(client, recorded, tmp_path):
    """An answer that is refused for its layout by the SDK path gives no object on the fast path."""
    body = json.loads('{"id": ' + "[" * 400 + ",".join("1" * 1_000) + "]" * 400 + "}")
    recorded(plain({}), lambda response: response.update(body=body, indent=16))
    with replay(tmp_path), pytest.raises(RecordingCorrupt, match="spaces"):
        client.chat.completions.create(**ASK)


@pytest.mark.parametrize("number", [2**53 + 1, -(2**53) - 1, int("1" * 400)], ids=["above", "below", "no float"])
def test_a_large_integer_in_a_vector_is_as_live(client, server, tmp_path, number):
    """What the SDK makes of an integer that no float can hold, an integer or an error, a replay makes of it as well."""
    data = [{"object": "embedding", "index": 0, "embedding": [0.5, number]}]
    usage = {"prompt_tokens": 1, "total_tokens": 1}
    server.replies = [plain({"object": "list", "model": "m", "data": data, "usage": usage})]
    outcomes = []
    for mode in ("record", "replay"):
        with replay(tmp_path, mode=mode):
            try:
                made = client.embeddings.create(model="m", input="a", encoding_format="float")
                outcomes.append(made.data[0].embedding)
            except OverflowError as error:
                outcomes.append(str(error))
    assert repr(outcomes[0]) == repr(outcomes[1])
    assert server.count == 1


def _nested(depth):
    return json.loads('{"a":[' * (depth // 2) + "1" + "]}" * (depth // 2))


@pytest.mark.parametrize("ignore", [(), (".".join("a" * 400),)], ids=["all", "ignore"])
@pytest.mark.parametrize("depth", [100, 300, 600, 700, 900])
def test_a_deep_request_is_let_through(client, server, tmp_path, caplog, depth, ignore):
    """A request that is nested too deeply to be looked through reaches the server all the same, with one warning."""
    ask = {**ASK, "extra_body": _nested(depth)}
    with replay(tmp_path, mode="record", ignore=ignore) as session, caplog.at_level(logging.WARNING, "inferencereplay"):
        made = client.chat.completions.create(**ask)
    assert server.count == 1
    assert session.recorded + len(caplog.records) == 1
    if session.recorded:
        with replay(tmp_path, ignore=ignore):
            assert client.chat.completions.create(**ask) == made
    else:
        assert "nested too deeply" in caplog.text
        with pytest.raises(NotRecordable, match="nested too deeply"), replay(tmp_path, ignore=ignore):
            client.chat.completions.create(**ask)


@pytest.mark.parametrize("depth", [300, 600, 900])
def test_a_deep_recording_does_not_disturb_a_miss(client, tmp_path, depth):
    """What is nested too deeply to be compared is passed over where the nearest recording is looked for."""
    with replay(tmp_path, mode="record"):
        client.chat.completions.create(**ASK)
    (file,) = tmp_path.rglob("*.json")
    content = json.loads(file.read_text())
    content["request"]["body"] = _nested(depth)
    file.with_name("0" * 32 + ".json").write_text(json.dumps(content))
    with pytest.raises(RecordingNotFound, match="nearest recording is"), replay(tmp_path):
        client.chat.completions.create(**ASK, n=3)


def test_a_deep_recording_of_llama_stack_is_passed_over(client, tmp_path):
    """With `ignore`, which goes through requests, a deep one is no recording; the others answer."""
    good = Path(__file__).parents[1] / "recordings" / "llama_stack" / "hist-0806aef47037~ec433c7d.json"
    content = json.loads(good.read_text())
    Path(tmp_path, "good.json").write_text(json.dumps(content))
    ask = content["request"]["body"]
    Path(tmp_path, "deep.json").write_text(
        json.dumps({**content, "request": {**content["request"], "body": {**ask, "extra_body": _nested(700)}}})
    )
    with replay(tmp_path, ignore=[".".join("a" * 400)]):
        assert list(client.chat.completions.create(**ask))


# Nothing outside the directory is read.


def opened_outside(tmp_path, act):
    """Return what `act` opens and imports outside the recordings, in a child, for an audit hook stays for good."""
    load_all_codecs()
    read, write = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of forks beside threads; the child needs none of them
        child = os.fork()
    if not child:
        guard = Guard()
        try:
            guard.inside = f"{os.path.realpath(tmp_path / 'recordings')}/"
            act()
            guard.inside = None
        except BaseException:  # noqa: BLE001 - told below
            guard.inside = None
            guard.seen.append(traceback.format_exc())
        finally:
            os.write(write, json.dumps(guard.seen).encode())
            os._exit(0)
    os.close(write)
    with os.fdopen(read, encoding="utf-8") as told:
        seen = json.load(told)
    os.waitpid(child, 0)
    return seen


def _link_out(tmp_path, how):
    inside, outside = tmp_path / "recordings", tmp_path / "outside"
    (file,) = inside.rglob("*.json")
    outside.mkdir()
    if how == "file":
        file.rename(outside / file.name)
        file.symlink_to(outside / file.name)
    elif how == "relative":
        file.rename(outside / file.name)
        file.symlink_to(f"../../../outside/{file.name}")
    elif how == "folder":
        (inside / "chat").rename(outside / "chat")
        (inside / "chat").symlink_to(outside / "chat")
    else:
        (outside / "completions").mkdir()
        file.rename(outside / "completions" / file.name)
        file.parent.rmdir()
        (inside / "chat" / "completions").symlink_to("../../outside/completions")


@pytest.mark.parametrize("how", ["file", "relative", "folder", "inner folder"])
@pytest.mark.parametrize("stream", [False, True])
def test_links_do_not_lead_out(client, server, tmp_path, how, stream):
    """A recording that a link would fetch from elsewhere is told, and not read, by either path, nor for a miss."""
    inside = tmp_path / "recordings"
    with replay(inside, mode="record"):
        made = client.chat.completions.create(**ASK, stream=stream)
        list(made)
    _link_out(tmp_path, how)
    with client_of("http://127.0.0.1:9/v1") as other:

        def act():
            for create in (other.chat.completions.create, other.chat.completions.with_raw_response.create):
                with replay(inside), pytest.raises(StoreError, match="leads out of"):
                    create(**ASK, stream=stream)
            with pytest.raises(StoreError if "folder" in how else RecordingNotFound), replay(inside):
                other.chat.completions.create(**ASK, n=3)

        assert opened_outside(tmp_path, act) == []


@pytest.mark.parametrize(
    "path", ["/../../../etc/passwd", "//etc/passwd", "/..%2f..%2fx", "/chat/../../../x", "/C:/x", "/."]
)
def test_paths_do_not_lead_out(client, server, tmp_path, path):
    """A request's path names folders below the directory, whatever it is."""
    inside = tmp_path / "recordings"
    with replay(inside, mode="record", record_errors=True):
        with pytest.raises(openai.NotFoundError):
            client.post(path, cast_to=object, body={})
    assert all(file.is_relative_to(inside) for file in tmp_path.rglob("*.json"))
    with client_of("http://127.0.0.1:9/v1") as other:

        def act():
            with replay(inside), pytest.raises(openai.NotFoundError):
                other.post(path, cast_to=object, body={})

        assert opened_outside(tmp_path, act) == []


def test_llama_stack_links_do_not_lead_out(tmp_path):
    """To tell whose directory it is, no file elsewhere is looked at either."""
    good = Path(__file__).parents[1] / "recordings" / "llama_stack" / "hist-0806aef47037~ec433c7d.json"
    inside = tmp_path / "recordings"
    inside.mkdir()
    (inside / "a.json").symlink_to(good)
    ask = json.loads(good.read_text())["request"]["body"]
    with client_of("http://127.0.0.1:9/v1") as other:

        def act():
            with pytest.raises(RecordingNotFound), replay(inside):
                other.chat.completions.create(**ask)

        assert opened_outside(tmp_path, act) == []


def test_a_pipe_does_not_block(client, server, tmp_path):
    """A pipe in the place of a recording is corrupt, and none where the nearest one is looked for."""
    with replay(tmp_path, mode="record"):
        client.chat.completions.create(**ASK)
    (file,) = tmp_path.rglob("*.json")
    file.unlink()
    os.mkfifo(file)
    with replay(tmp_path), pytest.raises(RecordingCorrupt):
        client.chat.completions.create(**ASK)
    with pytest.raises(RecordingNotFound, match="no recording of that path"), replay(tmp_path):
        client.chat.completions.create(**ASK, n=3)


def test_the_guard_sees_what_it_is_there_for(tmp_path):
    """A file that is opened elsewhere, a module that is looked for, and what went wrong are noted."""

    def act():
        Path(FUZZ).read_bytes()
        os.close(os.open(FUZZ, os.O_RDONLY))
        with pytest.raises(ImportError):
            __import__("no_such_module_of_anybody")
        raise AssertionError("told")

    seen = opened_outside(tmp_path, act)
    assert seen[:2] == [f"open {str(FUZZ)!r}"] * 2
    assert "import no_such_module_of_anybody" in seen
    assert "AssertionError: told" in seen[-1]


def test_an_incomplete_recording_says_so(client, recorded, tmp_path):
    """One whose file was edited to say that its caller left is not taken for whole."""
    recorded(sse({"a": 1}), lambda response: response.update(end="closed"), stream=True)
    with replay(tmp_path), pytest.raises(IncompleteRecording):
        list(client.chat.completions.create(**ASK, stream=True))
