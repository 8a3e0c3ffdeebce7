"""Side files in object stores: none of a recording is lost, and none stays that no recording names."""

from __future__ import annotations

import pytest
from conftest import Reply

from inferencereplay import RecordingCorrupt, replay
from inferencereplay.object_stores import opening_urls
from inferencereplay.recording.side_file import side_file
from inferencereplay.store.location import StoreURL
from inferencereplay.store.opening import open_store

ASK = {"model": "tts-1", "voice": "alloy", "input": "Hi"}
SOUND = b"\xff\xfb" * 500


def sound(fill):
    return Reply(headers={"content-type": "audio/mpeg"}, body=SOUND + bytes([fill]))


def names(store, ending=".mp3"):
    return sorted(item.name for item in store._objects.list() if item.name.endswith(ending))


def record(client, server, url, *fills):
    server.replies = [sound(fill) for fill in fills]
    with replay(url, mode="record") as session:
        for _ in fills:
            client.audio.speech.create(**ASK)
    return session.store


def heard(client, url, count):
    with replay(url):
        return [client.audio.speech.create(**ASK).content[-1] for _ in range(count)]


def test_what_was_recorded_is_heard(driver, client, server, store_url, monkeypatch, tmp_path):
    """In each kind of client, with and without a cache; what takes a recording's place takes that of its side file."""
    store = record(client, server, store_url, 0, 1, 2)
    assert len(names(store)) == 3
    assert heard(client, store_url, 3) == [0, 1, 2]
    for folder in ("another", "off"):
        opening_urls._states.clear()
        monkeypatch.setenv("INFERENCEREPLAY_CACHE", str(tmp_path / folder) if folder != "off" else "off")
        with replay(store_url):
            made = [driver(lambda caller: caller.audio.speech.create(**ASK)).content[-1] for _ in range(3)]
        assert made == [0, 1, 2]
    record(client, server, store_url, 7)
    assert heard(client, store_url, 1) == [7]
    assert len(names(store)) == len(names(store, ".json")) == 1


def test_they_move_with_their_recording(client, server, store_url):
    """To another number; a number that is taken stays as it is."""
    store = record(client, server, store_url, 0, 1, 2)
    key = names(store, ".json")[0].rpartition("/")[2][:32] + "0" * 32
    assert not store.move("/audio/speech", key, 3, 2)
    store.delete("/audio/speech", key, 2)
    assert store.move("/audio/speech", key, 3, 2)
    assert not store.move("/audio/speech", key, 3, 2)
    assert heard(client, store_url, 2) == [0, 2]
    assert len(names(store)) == 2


def test_one_that_is_lost_or_damaged_is_told(client, server, store_url, monkeypatch):
    """By the recording's name, and what to do."""
    monkeypatch.setenv("INFERENCEREPLAY_CACHE", "off")
    store = record(client, server, store_url, 0)
    (name,) = names(store)
    found = store._objects.get(name)
    store._objects.exchange(name, found.data[:-1] + b"x", found.version)
    with pytest.raises(RecordingCorrupt, match=rf"its side file {name} is another content than the recorded one"):
        heard(client, store_url, 1)
    store._objects.remove(name)
    opening_urls._states.clear()
    with pytest.raises(RecordingCorrupt, match=rf"^{store_url}/audio/speech/.*json.* its side file {name} is missing"):
        heard(client, store_url, 1)


def test_one_without_a_recording_is_dropped(no_stores):
    """If another recording is there, which does not name it; else its own may come just now."""
    store, side = open_store(StoreURL("memory:///sides")), side_file(SOUND, "audio/mpeg")
    place = ("/audio/speech", "0" * 64, 1)
    with store.put_side(*place, side):
        store.drop_side(*place, side)
        assert len(names(store)) == 1
    store.add(*place, b'{"ending": "%b"}' % side.ending.encode())
    store.drop_side(*place, side)
    store.replace(*place, b"another")
    assert names(store) == []
    with store.put_side(*place, side):
        store.drop_side(*place, side)
    assert names(store) == []


@pytest.mark.parametrize("is_below", [True, False])
def test_they_go_along_to_the_layer_that_is_written(client, server, store_url, tmp_path, is_below):
    """With the earlier variants, which a further one takes along: from a store to a directory, and back."""
    folder = str(tmp_path / "own")
    lower, upper = (store_url, folder) if is_below else (folder, store_url)
    record(client, server, lower, 0)
    server.replies = [sound(1)]
    with replay([upper, lower], mode="record-if-missing", exhausted="record") as session:
        assert [client.audio.speech.create(**ASK).content[-1] for _ in range(2)] == [0, 1]
    assert session.recorded == 1
    assert heard(client, upper, 2) == [0, 1]
    assert heard(client, lower, 1) == [0]


def test_layers_drop_one_without_a_recording(no_stores, tmp_path):
    """From the layer to which it was written."""
    layers = open_store((tmp_path, StoreURL("memory:///sides")), write_to=1)
    side, place = side_file(SOUND, "audio/mpeg"), ("/audio/speech", "0" * 64, 1)
    with layers.put_side(*place, side):
        assert len(names(layers.written)) == 1
    layers.written.add(*place, b"another")
    layers.drop_side(*place, side)
    assert names(layers.written) == []


def test_a_recording_moves_without_one_that_is_lost(no_stores):
    """Nothing else can be done, and its reader is told."""
    store, side = open_store(StoreURL("memory:///sides")), side_file(SOUND, "audio/mpeg")
    store.add("/audio/speech", "0" * 64, 1, b'{"ending": "%b"}' % side.ending.encode())
    assert store.move("/audio/speech", "0" * 64, 1, 2)
    assert names(store) == []
    assert [*store.list()] == [f"audio/speech/{'0' * 32}~2.json"]
