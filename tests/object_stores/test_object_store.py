"""Recordings in object stores: what a directory promises holds there too. `OBJECT_STORE_URL` names another store."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from inferencereplay.errors import RecordingCorrupt
from inferencereplay.object_stores.object_store import ObjectStore
from inferencereplay.recording.format import VERSION, Provenance, RecordedRequest, Recording, Response, encode
from inferencereplay.recording.request import Request
from inferencereplay.store.directory import DirectoryStore
from inferencereplay.store.location import StoreURL
from inferencereplay.store.opening import open_store

PATH = "/chat/completions"


def recording(text: str, path: str = PATH) -> tuple[Request, bytes]:
    """Return a request, and a recording of it."""
    request = Request("POST", path, b'{"text":"' + text.encode() + b'"}')
    held = RecordedRequest(request.method, path, request.body)
    return request, encode(Recording(VERSION, request.key, held, Response(body=b'{"a":1}'), Provenance(at=text)))


@pytest.fixture
def store(store_url):
    """Open an empty store."""
    return open_store(StoreURL(store_url), is_recorded=True)


def test_a_recording_is_an_object_named_as_its_file_would_be(store, tmp_path):
    """So a bucket can be synchronized with a directory, whatever a caller put into the path of the request."""
    folder = DirectoryStore(tmp_path)
    for path in (PATH, "/a b/../é", "/" + "x" * 300, "/models/m:1"):
        request, data = recording("a", path)
        for number in (1, 2):
            assert store.add(path, request.key, number, data)
            assert folder.add(path, request.key, number, data)
        assert store.sources(path, request.key, 2) == folder.sources(path, request.key, 2)
    assert sorted(store.list()) == sorted(folder.list())
    assert type(store) is ObjectStore


def test_what_is_added_stands(store):
    """The first writer's recording is read, with a stamp, by all methods; a second one is not stored."""
    request, data = recording("a")
    key = request.key
    assert store.read(PATH, key, 1) is store.load(request, key, 1) is store.get(PATH, key, 1) is None
    assert store.stamp(PATH, key, 1) is None
    assert store.add(PATH, key, 1, data)
    stamp = store.stamp(PATH, key, 1)
    assert stamp[-1] == len(data)
    assert not store.add(PATH, key, 1, recording("b")[1])
    assert store.get(PATH, key, 1) == data
    assert store.stamp(PATH, key, 1) == stamp == store.load(request, key, 1)[1]
    assert store.read(PATH, key, 1).recorded.at == "a"


def test_what_is_added_again_is_there(store):
    """A writer whose answer was lost, and that writes the same once more, has stored it."""
    request, data = recording("a")
    assert store.add(PATH, request.key, 1, data)
    assert store.add(PATH, request.key, 1, data)


def test_a_recording_is_replaced(store):
    """`replace` always does, `replace_if` asks what is there; each change has another stamp."""
    (request, first), (_, second), (_, third) = recording("a"), recording("b"), recording("c")
    key = request.key
    store.replace(PATH, key, 1, first)
    stamp = store.stamp(PATH, key, 1)
    store.replace(PATH, key, 1, second)
    assert store.get(PATH, key, 1) == second
    assert store.stamp(PATH, key, 1) != stamp
    assert not store.replace_if(PATH, key, 1, third, lambda there: there != second)
    assert store.get(PATH, key, 1) == second
    assert store.replace_if(PATH, key, 1, third, lambda there: there == second)
    assert store.get(PATH, key, 1) == third
    assert store.replace_if(PATH, key, 2, third, lambda _: False)


def test_a_recording_is_moved_and_removed(store):
    """It is moved to a number that is free; what is not there can be removed."""
    request, data = recording("a")
    key = request.key
    assert not store.move(PATH, key, 2, 1)
    store.add(PATH, key, 2, data)
    assert store.move(PATH, key, 2, 1)
    assert [bool(stamp) for stamp in store.stamps(PATH, key, (1, 2))] == [True, False]
    store.add(PATH, key, 2, recording("b")[1])
    assert not store.move(PATH, key, 2, 1)
    assert store.get(PATH, key, 2) is not None
    store.delete(PATH, key, 1)
    store.delete(PATH, key, 1)
    assert store.get(PATH, key, 1) is None
    assert list(store.list()) == list(store.sources(PATH, key, 2))


def test_what_is_no_recording_is_not_listed(store):
    """Nor is it compared with; an object that holds something else is told when it is asked for."""
    (request, data), other = recording("a"), recording("b")[0]
    store.add(PATH, request.key, 1, data)
    store.add(PATH, other.key, 1, b"something else")
    store._objects.create("chat/completions/readme.md", b"# Ours")
    store._objects.create("chat/completions/inner/" + store.sources("", other.key, 1)[0], data)
    names = {store.sources(PATH, request.key, 1)[0], store.sources(PATH, other.key, 1)[0]}
    assert set(store.list()) == {*names, "chat/completions/inner/" + store.sources("", other.key, 1)[0]}
    compared = list(store.requests(PATH, 100))
    assert [name for name, _ in compared] == [*store.sources(PATH, request.key, 1)]
    assert list(store.newest([*names])) == [(store.sources(PATH, request.key, 1)[0], {"text": "a"})]
    with pytest.raises(RecordingCorrupt, match=f"{store.directory}/chat/completions/{other.key[:32]}.json"):
        store.read(PATH, other.key, 1)


def test_the_newest_are_compared(store):
    """A miss looks at so many recordings only; what was written in this process is seen at once."""
    before = store.state(PATH)
    for number in range(4):
        request, data = recording(f"text {number}")
        store.add(PATH, request.key, 1, data)
    assert store.state(PATH) != before
    assert len(list(store.requests(PATH, 3))) == 3
    assert len(list(store.requests(PATH, 100))) == 4
    assert list(store.requests("/elsewhere", 100)) == []


def test_one_writer_of_many_comes_first(store):
    """Of threads that add the same number at once exactly one has stored its recording."""
    request = recording("a")[0]
    contents = [recording(f"writer {number}")[1] for number in range(8)]
    start = threading.Barrier(8)

    def add(data):
        start.wait()
        return store.add(PATH, request.key, 1, data)

    with ThreadPoolExecutor(8) as pool:
        stored = list(pool.map(add, contents))
    assert stored.count(True) == 1
    assert store.get(PATH, request.key, 1) == contents[stored.index(True)]


def test_no_replacement_is_made_of_what_was_not_read(store):
    """Threads that each add a letter, by replacing what they have read, lose none."""
    request = recording("a")[0]
    store.add(PATH, request.key, 1, b"")

    def add_one(letter):
        while True:
            data = store.get(PATH, request.key, 1)
            if store.replace_if(PATH, request.key, 1, data + letter, data.__eq__):
                return

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(add_one, (b"a", b"b", b"c", b"d")))
    assert sorted(store.get(PATH, request.key, 1)) == list(b"abcd")


def test_many_are_prefetched(store):
    """What is there, what is not, and how often it was told."""
    names = []
    for number in range(40):
        request, data = recording(f"text {number}")
        store.add(PATH, request.key, 1, data)
        names += store.sources(PATH, request.key, 1)
    told = []
    done = store.prefetch([*names, names[0], "chat/completions/none.json"], told.append)
    assert (done.there, done.absent, done.failed, done.error) == (40, 1, 0, None)
    assert sorted(told) == sorted([*names, "chat/completions/none.json"])
