"""The index that a miss searches is kept for the next one, as long as nothing has come or gone."""

from __future__ import annotations

import os
import time

from inferencereplay.recording.format import Response
from inferencereplay.recording.request import Request, canonical_json
from inferencereplay.session.near_requests import KeptIndexes, NearRequests
from inferencereplay.session.session import Session
from inferencereplay.store.directory import DirectoryStore


def asking(**body):
    return Request("POST", "/x", canonical_json(body))


def record(directory, **body):
    session = Session(directory, mode="record-if-missing")
    session.begin(session.call(asking(**body))).keep(Response(body=b"{}"))


class CountingStore(DirectoryStore):
    """A store that counts the searches."""

    searches = 0

    def requests(self, path, limit):
        self.searches += 1
        return super().requests(path, limit)


def found(near, **body):
    return [item for _, item in near.find(asking(**body))]


def test_many_misses_search_the_directory_once(tmp_path, monkeypatch):
    """What comes meanwhile is seen at the next one, and so is what was edited."""
    monkeypatch.setattr("inferencereplay.session.near_requests.SETTLED", 0)
    record(tmp_path, q=1)
    near = NearRequests(CountingStore(tmp_path))
    assert [found(near, q=number) for number in range(5)] == [[{"q": 1}]] * 5
    assert near.store.searches == 1
    time.sleep(0.02)  # more than a tick of the file system's clock
    record(tmp_path, q=2)
    assert sorted(item["q"] for item in found(near, q=3)) == [1, 2]
    assert near.store.searches == 2
    for file in tmp_path.rglob("*.json"):
        file.write_bytes(file.read_bytes().replace(b"q", b"edited"))
    assert sorted(map(repr, found(near, q=3))) == []  # the edited requests do not belong to their keys any more


def test_what_has_just_changed_may_change_again_within_a_tick(tmp_path):
    """Such an index is not kept, nor is one where there is no folder yet."""
    near = NearRequests(CountingStore(tmp_path))
    assert found(near, q=1) == []
    record(tmp_path, q=1)
    assert [found(near, q=2), found(near, q=2)] == [[{"q": 1}]] * 2
    assert near.store.searches == 3


def test_a_large_index_is_not_kept(tmp_path, monkeypatch):
    """It would take memory that the program needs."""
    monkeypatch.setattr("inferencereplay.session.near_requests.SETTLED", 0)
    monkeypatch.setattr("inferencereplay.session.near_requests.LARGEST_KEPT", 10_000)
    record(tmp_path, q="x" * 20_000)
    near = NearRequests(CountingStore(tmp_path))
    assert len(found(near, q=1)) == len(found(near, q=2)) == 1
    assert near.store.searches == 2


class CountedDirectory:
    """Count the searches of directories, whichever session makes them."""

    def __init__(self, monkeypatch):
        self.searches = 0
        requests = DirectoryStore.requests

        def counted(store, path, limit):
            self.searches += 1
            return requests(store, path, limit)

        monkeypatch.setattr(DirectoryStore, "requests", counted)
        monkeypatch.setattr("inferencereplay.session.near_requests.SETTLED", 0)


def test_the_next_session_of_a_directory_need_not_search_it(tmp_path, monkeypatch):
    """As long as nothing has come or gone; what was edited is told as it is now."""
    counted = CountedDirectory(monkeypatch)
    record(tmp_path, q=1)

    def differences(number):
        session = Session(tmp_path)
        return session.miss(session.call(asking(q=number))).differences

    assert [differences(2), differences(3)] == [("q: 1 → 2",), ("q: 1 → 3",)]
    assert counted.searches == 1
    time.sleep(0.02)  # more than a tick of the file system's clock
    record(tmp_path, q=5)
    assert differences(7) == ("q: 5 → 7",)
    assert counted.searches == 2
    (file,) = (file for file in tmp_path.rglob("*.json") if b'"q": 5' in file.read_bytes())
    file.write_bytes(file.read_bytes().replace(b'"q": 5', b'"q": 6'))
    assert differences(7) == ("q: 6 → 7",)
    assert counted.searches == 2


def test_the_indexes_that_are_kept_are_bounded(tmp_path, monkeypatch):
    """All together, for the process has many directories."""
    counted = CountedDirectory(monkeypatch)
    monkeypatch.setattr("inferencereplay.session.near_requests.LARGEST_KEPT", 3_000)
    nears = []
    for name in "abc":
        record(tmp_path / name, q="x" * 2_000)
        nears.append(NearRequests(DirectoryStore(tmp_path / name)))
    kept = KeptIndexes()
    for near in nears:
        near._kept = kept
    assert [len(found(near, q=1)) for near in (*nears, *nears)] == [1] * 6
    assert counted.searches == 6  # each takes the place of the one before
    assert len(found(nears[-1], q=1)) == 1
    assert counted.searches == 6


def test_of_equally_near_ones_the_newest_is_named(tmp_path):
    """Their order in the folder, by their keys, does not count."""
    for number in range(5):
        record(tmp_path, q=number)
    for file in tmp_path.rglob("*.json"):
        age = b'"q": 3' in file.read_bytes()
        os.utime(file, (1_000 + age, 1_000 + age))
    session = Session(tmp_path)
    assert session.miss(session.call(asking(q=99))).differences == ("q: 3 → 99",)
