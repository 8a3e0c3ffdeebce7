"""Several directories as one: looked up in order, written to one, never mixed."""

from __future__ import annotations

import json
import os
import pickle
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import openai
import pytest
from conftest import ASK, cheap, chunk, plain, sse

from inferencereplay import InvalidSetting, RecordingNotFound, Session, StoreError, replay, wrap
from inferencereplay.session.child_session import hand_on, inherit
from inferencereplay.store.directory import DirectoryStore
from inferencereplay.store.layers import LayeredStore
from inferencereplay.store.llama_stack import LlamaStackStore

CHAT = "/chat/completions"
KEY = "ab" * 32
OTHER = "cd" * 32
CHAT_OBJECT = "openai.types.chat.chat_completion.ChatCompletion"


@pytest.fixture
def stores(tmp_path):
    return [DirectoryStore(tmp_path / name) for name in "abc"]


@pytest.fixture
def store(stores):
    return LayeredStore(stores)


def held(layer, key=KEY):
    """Return the variants that a directory holds of a key, by number."""
    found = {number: layer.get(CHAT, key, number) for number in range(1, 12)}
    return {number: data for number, data in found.items() if data is not None}


def seen(store, key=KEY):
    return held(store, key)


def said(answer):
    return answer.choices[0].message.content


def ask(client, text="Hello"):
    return said(client.chat.completions.create(model="m", messages=[{"role": "user", "content": text}]))


def files(directory):
    return sorted(path.name for path in Path(directory).rglob("*.json"))


def llama_stack(directory, *texts):
    """Make a directory of llama-stack's recorder with the answers to `ask`."""
    directory.mkdir()
    for number, text in enumerate(texts):
        answer = {"id": "c", "choices": [{"index": 0, "message": {"role": "assistant", "content": text}}]}
        response = {"body": {"__type__": CHAT_OBJECT, "__data__": answer}, "is_streaming": False}
        body = {"model": "m", "messages": [{"role": "user", "content": "Hello"}]}
        request = {"method": "POST", "url": "http://x/v1/chat/completions", "body": body, "endpoint": "/v1/x"}
        content = {"test_id": f"t{number}", "request": request, "response": response}
        (directory / f"{number}.json").write_text(json.dumps(content))
    return directory


# The store.


def test_layers_are_looked_up_in_order(store, stores):
    """The first that has the key answers, and a recording of a lower layer is found where no upper one has it."""
    stores[1].add(CHAT, KEY, 1, b"b")
    stores[2].add(CHAT, KEY, 1, b"c")
    stores[2].add(CHAT, OTHER, 1, b"other")
    assert (seen(store), seen(store, OTHER)) == ({1: b"b"}, {1: b"other"})
    stores[0].add(CHAT, KEY, 1, b"a")
    assert seen(store) == {1: b"a"}
    assert store.stamp(CHAT, KEY, 1) == stores[0].stamp(CHAT, KEY, 1)
    assert store.stamp(CHAT, "ef" * 32, 1) is store.get(CHAT, "ef" * 32, 1) is store.read(CHAT, "ef" * 32, 1) is None


def test_variants_of_two_layers_are_never_mixed(store, stores):
    """The layer with the first variant has the key: what is below was never given after it."""
    for number in (1, 2, 3):
        stores[1].add(CHAT, KEY, number, b"b%d" % number)
    stores[0].add(CHAT, KEY, 1, b"a1")
    assert seen(store) == {1: b"a1"}


def test_a_variant_that_joins_those_below_takes_copies_of_them_along(store, stores):
    """So that all of a key are in one layer; the lower one stays as it was."""
    for number in (1, 2, 5):  # a killed process has left a gap
        stores[2].add(CHAT, KEY, number, b"c%d" % number)
    assert store.add(CHAT, KEY, 3, b"new")
    assert held(stores[0]) == seen(store) == {1: b"c1", 2: b"c2", 3: b"new", 5: b"c5"}
    assert held(stores[2]) == {1: b"c1", 2: b"c2", 5: b"c5"}
    assert not store.add(CHAT, KEY, 2, b"late")


@pytest.mark.parametrize("last", [1, 2])
def test_a_copy_that_is_cut_short_leaves_the_layer_below_in_charge(store, stores, monkeypatch, last):
    """The first variant comes last, and whoever comes next copies what is missing."""
    for number in (1, 2):
        stores[1].add(CHAT, KEY, number, b"b%d" % number)

    def killed(path, key, variant, data):
        if variant == last:
            raise KeyboardInterrupt
        return DirectoryStore.add(stores[0], path, key, variant, data)

    monkeypatch.setattr(stores[0], "add", killed)
    with pytest.raises(KeyboardInterrupt):
        store.add(CHAT, KEY, 3, b"new")
    monkeypatch.undo()
    assert seen(store) == {1: b"b1", 2: b"b2"}
    assert store.add(CHAT, KEY, 3, b"new")
    assert held(stores[0]) == {1: b"b1", 2: b"b2", 3: b"new"}


def test_a_copy_of_what_vanishes_meanwhile_is_left_out(store, stores, monkeypatch):
    """Somebody may prune the lower layer."""
    stores[1].add(CHAT, KEY, 1, b"b1")
    monkeypatch.setattr(stores[1], "get", lambda *_: None)
    assert store.add(CHAT, KEY, 2, b"new")
    assert held(stores[0]) == {2: b"new"}


def test_stamps_are_those_of_the_layer_that_has_the_key(store, stores):
    """One by one and together; what is known needs no look at a layer that is far away."""
    for number in (1, 3):
        stores[1].add(CHAT, KEY, number, b"b")
    stores[2].add(CHAT, KEY, 2, b"c")
    expected = [stores[1].stamp(CHAT, KEY, 1), None, stores[1].stamp(CHAT, KEY, 3)]
    assert store.stamps(CHAT, KEY, [1, 2, 3]) == expected
    assert [store.stamp(CHAT, KEY, number) for number in (1, 2, 3)] == expected
    assert [store.known_stamp(CHAT, KEY, number) for number in (1, 2, 3)] == expected
    assert store.known_stamp(CHAT, OTHER, 1) is None
    stores[2].add(CHAT, OTHER, 2, b"c")
    assert store.stamps(CHAT, OTHER, [1, 2]) == [None, stores[2].stamp(CHAT, OTHER, 2)]


def test_without_a_first_variant_the_first_layer_that_has_a_number_answers(store, stores):
    """As a directory does whose process was killed before it stored the first."""
    stores[1].add(CHAT, KEY, 2, b"b2")
    stores[2].add(CHAT, KEY, 2, b"c2")
    assert seen(store) == {2: b"b2"}
    assert store.sources(CHAT, KEY, 2) == (f"{stores[1].directory}/chat/completions/{KEY[:32]}~2.json",)


def test_recordings_go_to_the_layer_that_is_chosen(stores):
    """`write_to` counts from 0."""
    store = LayeredStore(stores, 1)
    assert store.add(CHAT, KEY, 1, b"b1")
    store.replace(CHAT, KEY, 1, b"b1 again")
    assert not store.replace_if(CHAT, KEY, 1, b"no", lambda _: False)
    assert store.add(CHAT, KEY, 3, b"b3")
    assert store.move(CHAT, KEY, 3, 2)
    assert (held(stores[0]), held(stores[1])) == ({}, {1: b"b1 again", 2: b"b3"})
    store.delete(CHAT, KEY, 2)
    assert held(stores[1]) == {1: b"b1 again"}
    stores[2].add(CHAT, OTHER, 1, b"c")
    store.delete(CHAT, OTHER, 1)
    assert held(stores[2], OTHER) == {1: b"c"}


def test_a_further_variant_goes_where_it_is_found(stores):
    """Below a layer that has the key, nobody would find it, and each run would record it again."""
    stores[0].add(CHAT, KEY, 1, b"a1")
    store = LayeredStore(stores, 1)
    assert store.add(CHAT, KEY, 2, b"a2")
    assert (held(stores[0]), held(stores[1])) == ({1: b"a1", 2: b"a2"}, {})


def test_what_misses_are_compared_with_comes_from_all_layers(client, tmp_path):
    """With its directory, so that a person finds the file; the index is made anew when a layer changes."""
    layers = [tmp_path / "a", tmp_path / "b"]
    for layer, text in zip(layers, ("Hello there", "Good morning"), strict=True):
        with replay(layer, mode="record"):
            ask(client, text)
    assert Session([tmp_path / "c", tmp_path / "d"]).store.state(CHAT) == ()
    session = Session(layers)
    for text, layer in (("Hello thera", layers[0]), ("Good mornink", layers[1])):
        with pytest.raises(RecordingNotFound) as caught, replay(session):
            ask(client, text)
        assert caught.value.nearest == f"{layer}/chat/completions/{files(layer)[0]}"
        assert caught.value.directory == f"{layers[0]}, {layers[1]}"
    store = session.store
    before = store.state(CHAT)
    assert before == store.state(CHAT) != ()
    with replay(layers[1], mode="record"):
        ask(client, "Good mornink")
    assert store.state(CHAT) != before


def test_a_layer_inside_of_another_one_has_its_own_names(tmp_path):
    """The longest directory that fits is that of a name."""
    outer, inner = DirectoryStore(tmp_path), DirectoryStore(tmp_path / "inner")
    store = LayeredStore([outer, inner])
    assert store.locate(f"{inner.directory}/x.json") == (1, "x.json")
    assert store.locate(f"{outer.directory}/x.json") == (0, "x.json")


# Sessions.


def test_a_session_answers_from_all_layers_and_records_into_the_first(client, server, tmp_path):
    """And what it used and left unused tells which layer holds it."""
    upper, lower = tmp_path / "upper", tmp_path / "lower"
    with replay(lower, mode="record"):
        assert [ask(client, text) for text in ("one", "two", "three")] == ["answer 1", "answer 2", "answer 3"]
    before = files(lower)
    with replay([upper, str(lower)], mode="record-if-missing") as session:
        assert [ask(client, text) for text in ("two", "four")] == ["answer 2", "answer 4"]
    assert (session.hits, session.recorded, len(files(upper)), files(lower)) == (1, 1, 1, before)
    used = {name.rpartition("/chat/")[0] for name in session.used()}
    assert used == {str(upper), str(lower)}
    assert {name.rpartition("/chat/")[0] for name in session.unused()} == {str(lower)}
    assert len(session.unused()) == 2
    assert [call.recording.rpartition("/chat/")[0] for call in session.calls] == [str(lower), str(upper)]
    with replay(iter([upper, lower])) as session:
        assert [ask(client, text) for text in ("two", "four")] == ["answer 2", "answer 4"]
    assert repr(session).startswith(f"<Session '{upper}, {lower}' mode='replay'")
    assert server.count == 4


def test_record_replaces_above_and_leaves_what_is_below(client, tmp_path):
    """A lower layer is somebody else's; the new recording answers before it, alone."""
    upper, lower = tmp_path / "upper", tmp_path / "lower"
    with replay(lower, mode="record"):
        assert [ask(client), ask(client)] == ["answer 1", "answer 2"]
    before = {path: path.read_bytes() for path in lower.rglob("*.json")}
    for expected in ("answer 3", "answer 4"):
        with replay([upper, lower], mode="record") as session:
            assert ask(client) == expected
        assert (session.recorded, len(session.used()), len(session.unused())) == (1, 1, 2)
    with replay([upper, lower]):
        assert [ask(client), ask(client)] == ["answer 4", "answer 4"]
    assert {path: path.read_bytes() for path in lower.rglob("*.json")} == before


def test_a_recording_after_the_last_variant_of_a_lower_layer_joins_it(client, server, tmp_path):
    """`exhausted="record"`: the next session gets all of them in order, without another live call."""
    upper, lower = tmp_path / "upper", tmp_path / "lower"
    with replay(lower, mode="record"):
        ask(client)
        ask(client)
    for _ in range(2):
        with replay([upper, lower], mode="record-if-missing", exhausted="record"):
            assert [ask(client) for _ in range(3)] == ["answer 1", "answer 2", "answer 3"]
    assert (len(files(upper)), len(files(lower)), server.count) == (3, 2, 3)


def test_an_incomplete_recording_below_is_completed_above(client, server, tmp_path):
    """As in one directory, its further variants stay behind it."""
    upper, lower = tmp_path / "upper", tmp_path / "lower"
    server.replies = [sse(chunk("a"), chunk("b"), chunk("c")), sse(chunk("second")), sse(chunk("whole"))]
    make = {**ASK, "stream": True}
    with replay(lower, mode="record"):
        stream = client.chat.completions.create(**make)
        next(iter(stream))
        stream.close()
        list(client.chat.completions.create(**make))
    for _ in range(2):
        with replay([upper, lower], mode="record-if-missing"):
            texts = [[part.choices[0].delta.content for part in client.chat.completions.create(**make)] for _ in "12"]
        assert texts == [["whole"], ["second"]]
    assert server.count == 3


@pytest.mark.parametrize("write_to", [1, "lower", Path("lower")], ids=["number", "name", "path"])
def test_write_to_names_another_layer(client, tmp_path, monkeypatch, write_to):
    """By its number or by its name, as it is given."""
    monkeypatch.chdir(tmp_path)
    with replay(["upper", "lower"], mode="record-if-missing", write_to=write_to):
        ask(client)
    assert (files("upper"), len(files("lower"))) == ([], 1)


def test_a_recording_that_no_session_will_find_is_warned_of(client, caplog, tmp_path):
    """In `record` it goes where it is told to, although a layer above hides it."""
    upper, lower = tmp_path / "upper", tmp_path / "lower"
    for _ in range(2):
        with replay([upper, lower], mode="record", write_to=1) as session:
            ask(client)
            assert session.recorded == 1
        assert (len(files(lower)), caplog.messages) == (1, [])
    with replay(upper, mode="record"):
        ask(client)
    with replay([upper, lower], mode="record", write_to=1) as session:
        assert ask(client) == "answer 4"
    message = (
        f"POST /chat/completions was recorded in {lower}, but {upper} is looked up first and has a recording of it"
    )
    assert caplog.messages == [message]
    assert [name.startswith(str(lower)) for name in session.used()] == [True]


def test_a_layer_that_cannot_be_read_is_told(client, tmp_path):
    """No silent miss: the recording may be there."""
    upper, lower = tmp_path / "upper", tmp_path / "lower"
    with replay(lower, mode="record"):
        ask(client)
    (folder,) = lower.rglob("*.json")
    folder.unlink()
    folder.symlink_to("/etc/hostname")
    with pytest.raises(StoreError, match=f"^{lower}/chat/completions/.* leads out of {lower}"), replay([upper, lower]):
        ask(client)


def test_a_layer_that_is_a_file_is_told(tmp_path):
    """When the session is made, whichever it is."""
    (tmp_path / "file").write_text("x")
    with pytest.raises(StoreError, match="file is a file"):
        Session([tmp_path / "a", tmp_path / "file"])


def test_directories_that_do_not_exist_are_told(client, tmp_path):
    """If there is none of them; and what records the call names all of them."""
    with pytest.raises(RecordingNotFound, match="None of these directories exists"), replay([tmp_path / "a", "b"]):
        ask(client)
    (tmp_path / "a").mkdir()
    with pytest.raises(RecordingNotFound, match="There is no recording of that path"), replay([tmp_path / "a", "b"]):
        ask(client)


def test_what_records_a_miss_names_all_layers(client, tmp_path, monkeypatch):
    """For a program that `inferencereplay run` has started."""
    monkeypatch.setenv("INFERENCEREPLAY_RUN", "1")
    with pytest.raises(RecordingNotFound, match=f"--dir {tmp_path}/a --dir {tmp_path}/b --"):
        with replay([tmp_path / "a", tmp_path / "b"]):
            ask(client)


def test_a_transient_answer_that_was_not_stored_is_remembered_for_the_layers(client, server, tmp_path):
    """The miss says that the call was made."""
    server.replies = [plain({"error": {}}, 429)]
    layers = [tmp_path / "a", tmp_path / "b"]
    (tmp_path / "a").mkdir()
    with pytest.raises(Exception, match="429"), replay(layers, mode="record-if-missing"):
        ask(client)
    with pytest.raises(RecordingNotFound, match="429 is transient"), replay(layers):
        ask(client)


def test_child_processes_get_the_layers(client, tmp_path, monkeypatch):
    """As absolute paths: the child may have another working directory."""
    monkeypatch.chdir(tmp_path)
    with replay("b", mode="record"):
        ask(client)
    inherited = pickle.loads(pickle.dumps(hand_on(Session(["a", "b"], write_to=1))))
    monkeypatch.chdir("/")
    session = inherit(inherited)
    assert session.settings.directory == (tmp_path / "a", tmp_path / "b")
    assert session.settings.write_to == 1
    assert ask(wrap(client, session)) == "answer 1"


def test_an_answer_by_hand_is_saved_in_the_layer_that_is_written(client, tmp_path):
    """Also in `replay`."""
    with replay([tmp_path / "a", tmp_path / "b"], write_to=1) as session:
        session.stub("By hand", save=True)
        assert ask(client) == "By hand"
    assert (files(tmp_path / "a"), len(files(tmp_path / "b"))) == ([], 1)


# llama-stack's directories.


def test_a_directory_of_llama_stack_can_be_a_layer(client, server, tmp_path):
    """What is recorded after its recordings takes copies of them along, in our own format."""
    upper, theirs = tmp_path / "upper", llama_stack(tmp_path / "theirs", "first", "second")
    with replay([upper, theirs]) as session:
        assert [ask(client), ask(client)] == ["first", "second"]
    assert session.used() == [f"{theirs}/0.json", f"{theirs}/1.json"]
    for _ in range(2):
        with replay([upper, theirs], mode="record-if-missing", exhausted="record"):
            assert [ask(client) for _ in "123"] == ["first", "second", "answer 1"]
    assert (len(files(upper)), server.count) == (3, 1)


def test_a_layer_of_llama_stack_is_not_written(tmp_path):
    """Neither the first nor the one that is named."""
    theirs, ours = llama_stack(tmp_path / "theirs", "first"), tmp_path / "ours"
    for mode in ("record", "record-if-missing"):
        with pytest.raises(InvalidSetting, match=f"^mode='{mode}': {theirs} is llama-stack's, and can be replayed"):
            Session([theirs, ours], mode=mode)
    with pytest.raises(InvalidSetting, match=f"^write_to=0: {theirs} is llama-stack's"):
        Session([theirs, ours], write_to=theirs)
    with pytest.raises(InvalidSetting, match=f"^save=True: {theirs} is llama-stack's"):
        Session([theirs, ours]).stub("a", save=True)


def test_a_further_variant_below_a_layer_of_llama_stack_is_not_stored(client, caplog, tmp_path):
    """Nobody would find it there; the answer still reaches the program."""
    theirs, ours = llama_stack(tmp_path / "theirs", "first"), tmp_path / "ours"
    with replay([theirs, ours], mode="record-if-missing", exhausted="record", write_to=1) as session:
        assert [ask(client), ask(client)] == ["first", "answer 1"]
    assert (session.recorded, files(ours)) == (0, [])
    reason = f"{theirs}, which is looked up before {ours}, has recordings of it, and can be replayed only"
    assert [reason in message for message in caplog.messages] == [True]


def test_test_id_picks_in_the_layers_of_llama_stack(client, tmp_path):
    """And is refused where there is none."""
    theirs = llama_stack(tmp_path / "theirs", "first", "second")
    with replay([tmp_path / "ours", theirs], test_id="t1"):
        assert ask(client) == "second"
    with pytest.raises(InvalidSetting, match=f"{tmp_path}/a, {tmp_path}/b holds none"):
        Session([tmp_path / "a", tmp_path / "b"], test_id="t1")


def test_what_is_decoded_from_llama_stack_belongs_to_one_session(client, tmp_path):
    """It depends on the session's settings."""
    theirs = llama_stack(tmp_path / "theirs", "first")
    sessions = [Session([tmp_path / "ours", theirs]) for _ in "12"]
    kept = [session._cache._kept for session in sessions]
    assert kept[0] is not kept[1]
    ours = [Session([tmp_path / "a", tmp_path / "b"])._cache._kept for _ in "12"]
    assert ours[0] is ours[1]
    assert isinstance(sessions[0].store.layers[1], LlamaStackStore)


def test_many_processes_record_after_a_lower_layer(client, tmp_path):
    """Two sessions that overlap lose nothing: the first writer's variant stands."""
    upper, lower = tmp_path / "upper", tmp_path / "lower"
    with replay(lower, mode="record"):
        ask(client)
    sessions = [Session([upper, lower], mode="record-if-missing", exhausted="record") for _ in "12"]
    for session in sessions:
        assert ask(wrap(client, session)) == "answer 1"
    answers = [ask(wrap(client, session)) for session in sessions]
    assert answers == ["answer 2", "answer 2"]
    assert len(files(upper)) == 2


def test_many_threads_record_after_a_lower_layer(client, tmp_path):
    """Each session gets the lower variants in order; what follows them was given to somebody, and is whole."""
    upper, lower = tmp_path / "upper", tmp_path / "lower"
    with replay(lower, mode="record"):
        before = [ask(client), ask(client)]

    def work(_):
        session = Session([upper, lower], mode="record-if-missing", exhausted="record")
        with openai.OpenAI(api_key="none", base_url=client.base_url, max_retries=0, **cheap()) as own:
            return [ask(wrap(own, session)) for _ in range(4)]

    with ThreadPoolExecutor(8) as pool:
        answers = [*pool.map(work, range(16))]
    assert all(given[:2] == before for given in answers)
    assert len(files(upper)) == 4
    with replay([upper, lower]):
        replayed = [ask(client) for _ in range(4)]
    assert replayed[:2] == before
    for number in (2, 3):
        assert replayed[number] in {given[number] for given in answers}


def test_one_directory_is_no_layer(tmp_path):
    """A list of one costs what the directory alone does."""
    session = Session([tmp_path])
    assert type(session.store) is DirectoryStore
    assert os.fspath(session.settings.directory) == str(tmp_path)
