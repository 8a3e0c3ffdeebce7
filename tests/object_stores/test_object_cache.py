"""The cache of what was read from object stores: bounded, private, safe to delete, right after changes."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from object_servers import Fault

from inferencereplay import InvalidSetting, RecordingNotFound, Session, replay
from inferencereplay.object_stores import object_cache, opening_urls
from inferencereplay.object_stores.cache_settings import CacheSettings, read_settings
from inferencereplay.object_stores.cached_objects import CachedObjects
from inferencereplay.object_stores.object_cache import SHARDS, ObjectCache
from inferencereplay.object_stores.objects import Found, Version
from inferencereplay.recording.request import Request
from inferencereplay.session import recording_cache

SIZE = 16 * 100_000


@pytest.fixture
def cache(tmp_path):
    return ObjectCache(CacheSettings(str(tmp_path / "kept"), SIZE, 0), "a store")


def found(data, e_tag='"1"'):
    return Found(data, Version(0, e_tag, None, len(data)))


def ask(client, text="Hello"):
    made = client.chat.completions.create(model="m", messages=[{"role": "user", "content": text}])
    return made.choices[0].message.content


def as_another_process():
    """Forget what this process knows."""
    opening_urls._states.clear()
    recording_cache._of_process._kept.clear()


def files(folder):
    return [path for path in folder.rglob("*") if path.is_file()]


def test_what_is_kept_is_read(cache, tmp_path):
    """With its version, by this store's name only, and by nobody else on the machine."""
    assert cache.read("a") is None
    cache.keep("a", found(b"content\n", e_tag=None)._replace(version=Version(7, None, "3", 8)))
    assert cache.read("a").found == Found(b"content\n", Version(7, None, "3", 8))
    assert ObjectCache(CacheSettings(str(tmp_path / "kept"), SIZE, 0), "another").read("a") is None
    (file,) = files(tmp_path)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    cache.forget("a")
    cache.forget("a")
    assert cache.read("a") is None


@pytest.mark.parametrize("damage", ["cut", "changed", "foreign", "header", "empty"])
def test_a_damaged_file_counts_as_none(cache, tmp_path, damage):
    """As after a crash of the machine; the object is read anew, and kept."""
    cache.keep("a", found(b"content"))
    (file,) = files(tmp_path)
    whole = file.read_bytes()
    damaged = {
        "cut": whole[:-1],
        "changed": whole[:-1] + b"T",
        "foreign": b"something else\n",
        "header": whole.replace(b"{", b"[", 1),
        "empty": b"",
    }
    file.write_bytes(damaged[damage])
    assert cache.read("a") is None
    cache.keep("a", found(b"content"))
    assert cache.read("a").found.data == b"content"


def test_it_is_bounded(cache, tmp_path):
    """What was used least recently is removed; an object that is too large for it is not kept."""
    cache.keep("large", found(b"x" * (SIZE // SHARDS // 4 + 1)))
    assert cache.read("large") is None
    for number in range(600):
        cache.keep(f"object {number}", found(b"x" * 5_000))
        cache.keep("used", found(b"x" * 5_000))
    kept = files(tmp_path)
    assert sum(path.stat().st_size for path in kept) < SIZE * 1.1
    assert len(kept) > 100
    assert cache.read("used") is not None


def test_the_least_recently_used_go_first(tmp_path, cache):
    """By the time of the last use, which a read notes; so go temporary files of writers that died."""
    names = [str(number) * 63 for number in range(10)]
    for number in range(10):
        cache.keep(f"object {number}", found(b"x" * 100))
    for number, file in enumerate(sorted(files(tmp_path))):
        os.utime(file, ns=(number, number))
        file.rename(tmp_path / names[number])
    dead, alive = (f"{'a' * 63}.{'b' * 15}{number}.tmp" for number in (1, 2))
    (tmp_path / dead).write_bytes(b"x")
    os.utime(tmp_path / dead, (0, 0))
    (tmp_path / alive).write_bytes(b"x")
    now = object_cache.ObjectCache.now()
    size = (tmp_path / names[0]).stat().st_size
    assert object_cache.evict(str(tmp_path), 5 * size, now) == size - 1
    left = sorted(path.name for path in tmp_path.iterdir() if path.is_file())
    assert left == [*names[6:], alive]


def test_what_is_not_the_caches_stays(cache, tmp_path):
    """A user may name a folder that holds other things: no file of another name is ever removed."""
    cache.keep("object 0", found(b"x"))
    (file,) = files(tmp_path)
    theirs = [file.with_name(name) for name in ("thesis.txt", "old.tmp", "a" * 64)]
    for path in theirs:
        path.write_bytes(b"x" * SIZE)
        os.utime(path, (0, 0))
    object_cache.evict(str(file.parent), 1, ObjectCache.now())
    assert sorted(files(tmp_path)) == sorted(theirs)


def test_what_another_user_wrote_counts_as_none(cache, monkeypatch):
    """A cache in a folder that others may write to must not let them choose the answers."""
    cache.keep("a", found(b"content"))
    monkeypatch.setattr(object_cache, "_user", lambda: os.geteuid() + 1)
    assert cache.read("a") is None


def test_the_time_of_the_last_use_is_noted(cache, tmp_path):
    """Once an hour, and the time of the check stays."""
    cache.keep("a", found(b"content"))
    (file,) = files(tmp_path)
    os.utime(file, ns=(5, 7))
    assert cache.read("a").checked == 7
    assert (file.stat().st_atime > 1e9, file.stat().st_mtime_ns) == (True, 7)


def test_a_folder_that_cannot_be_written_is_passed_over(tmp_path):
    """Nothing is kept then, and nothing fails."""
    (tmp_path / "kept").write_bytes(b"a file")
    cache = ObjectCache(CacheSettings(str(tmp_path / "kept"), SIZE, 0), "a store")
    cache.keep("a", found(b"content"))
    assert cache.read("a") is None
    (tmp_path / "kept").unlink()
    cache.keep("a", found(b"content"))
    (file,) = files(tmp_path)
    file.unlink()
    file.mkdir()
    cache.keep("a", found(b"content"))
    assert [path.name for path in tmp_path.rglob("*.tmp")] == []


def test_threads_share_it_while_it_is_deleted(cache, tmp_path):
    """Whatever comes between, a read gives the whole content or none."""
    contents = {f"object {number}": f"content {number} ".encode() * 1_000 for number in range(20)}

    def work(seed):
        for name, data in contents.items():
            cache.keep(name, found(data))
            read = cache.read(name)
            assert read is None or read.found.data == data
            if seed == 0 and name.endswith("5"):
                shutil.rmtree(tmp_path / "kept", ignore_errors=True)
        return seed

    with ThreadPoolExecutor(6) as pool:
        assert list(pool.map(work, range(6))) == [*range(6)]


def test_a_warm_replay_asks_nobody(client, proxy, bucket):
    """Neither in the same process nor in another one, before the time is over; then it asks once, for each."""
    with replay(bucket, mode="record"):
        texts = [ask(client), ask(client)]
    with replay(bucket):
        assert [ask(client), ask(client)] == texts
    as_another_process()
    proxy.seen.clear()
    for _ in range(2):
        with replay(bucket):
            assert [ask(client), ask(client)] == texts
        with replay(bucket, mode="record-if-missing"):
            assert ask(client) == texts[0]
        as_another_process()
    assert proxy.seen == []


@pytest.mark.parametrize("is_layered", [False, True])
def test_the_quick_look_for_a_hit_asks_no_store(client, proxy, bucket, tmp_path, is_layered):
    """The look that follows would ask it for the same again, of each call that is not recorded."""
    with replay([tmp_path, bucket] if is_layered else bucket) as session:
        assert session.hit(Request("POST", "/chat/completions", b"{}"), lambda _: True) is None
        assert proxy.seen == []
        with pytest.raises(RecordingNotFound):
            ask(client)
        session.forget_misses()
    assert proxy.seen


def test_a_recording_whose_writer_was_killed_is_asked_for(cache):
    """What was kept before it was replaced counts no more, although nobody could note the newer one."""
    objects = CachedObjects(None, cache, 10**18)
    cache.keep("a", found(b"older"))
    assert objects.look("a") == found(b"older")
    objects.expect_write("a")
    assert objects.look("a") is None
    assert objects.known("a") is None
    assert cache.read("a").found == found(b"older"), "for as long as the store cannot be asked"


def test_two_writers_of_one_recording_on_a_machine(client, bucket):
    """Who notes last need not have written last: so a replay asks before it counts what was noted."""
    with replay(bucket, mode="record") as session:
        ask(client)
        (name,) = session.store.list()
        first = session.store._cached._cache.read(name).found
    as_another_process()
    with replay(bucket, mode="record"):
        newer = ask(client)
    session.store._cached.wrote(name, *first)
    as_another_process()
    with replay(bucket):
        assert ask(client) == newer


def test_what_counts_no_more_is_asked_for_by_its_e_tag(client, proxy, bucket, monkeypatch):
    """What has not changed is not sent again, and then counts anew; what was replaced is."""
    with replay(bucket, mode="record"):
        text = ask(client)
    for path in files_of_cache():
        os.utime(path, (0, 0))
    as_another_process()
    proxy.seen.clear()
    with replay(bucket):
        assert ask(client) == text
    as_another_process()
    with replay(bucket):
        assert ask(client) == text
    assert len(proxy.seen) == 1
    monkeypatch.setenv("INFERENCEREPLAY_CACHE", os.environ["INFERENCEREPLAY_CACHE"] + "-of-another-machine")
    with replay(bucket, mode="record"):
        newer = ask(client)
    monkeypatch.setenv("INFERENCEREPLAY_CACHE", os.environ["INFERENCEREPLAY_CACHE"].removesuffix("-of-another-machine"))
    with replay(bucket):
        assert ask(client) == text, "the time is not over"
    monkeypatch.setenv("INFERENCEREPLAY_CACHE_AGE", "0s")
    with replay(bucket):
        assert ask(client) == newer


def files_of_cache():
    return files(Path(os.environ["INFERENCEREPLAY_CACHE"]))


def test_what_is_missing_is_asked_for_each_time(client, bucket):
    """So a recording that somebody else has just made is found."""
    with pytest.raises(RecordingNotFound), replay(bucket):
        ask(client)
    as_another_process()
    with replay(bucket, mode="record"):
        text = ask(client)
    with replay(bucket):
        assert ask(client) == text


def test_a_recording_that_was_removed_is_missing(client, bucket, monkeypatch):
    """Once its time is over; it is not kept any longer."""
    with replay(bucket, mode="record") as session:
        ask(client)
    session.store._objects.remove(next(session.store.list()))
    monkeypatch.setenv("INFERENCEREPLAY_CACHE_AGE", "0")
    with pytest.raises(RecordingNotFound), replay(bucket):
        ask(client)
    assert [path for path in files_of_cache() if b"chat.completion" in path.read_bytes()] == []


def test_it_can_be_switched_off(client, proxy, bucket, monkeypatch, tmp_path):
    """Then each process asks for itself, once for each recording."""
    monkeypatch.setenv("INFERENCEREPLAY_CACHE", "off")
    with replay(bucket, mode="record"):
        texts = [ask(client), ask(client)]
    as_another_process()
    proxy.seen.clear()
    for _ in range(2):
        with replay(bucket):
            assert [ask(client), ask(client)] == texts
    assert proxy.count("GET") <= 12
    assert not (tmp_path / "cache").exists()


def test_prefetched_recordings_replay_offline(client, proxy, bucket, monkeypatch):
    """And those that cannot be read are counted."""
    with replay(bucket, mode="record"):
        texts = [ask(client, str(number)) for number in range(3)]
    monkeypatch.setenv("INFERENCEREPLAY_CACHE", os.environ["INFERENCEREPLAY_CACHE"] + "-of-another-machine")
    store = Session(bucket).store
    names = list(store.list())
    proxy.faults.append(Fault("GET", names[0], status=403, code="AccessDenied", times=1))
    done = store.prefetch(names)
    assert (done.there, done.absent, done.failed) == (2, 0, 1)
    assert f"{names[0]} cannot be read: the credentials" in str(done.error)
    assert store.prefetch(names).there == 3
    proxy.stop()
    with replay(bucket):
        assert [ask(client, str(number)) for number in range(3)] == texts


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        (
            "INFERENCEREPLAY_CACHE_SIZE",
            "much",
            "INFERENCEREPLAY_CACHE_SIZE='much' is not valid. Give a number of bytes",
        ),
        ("INFERENCEREPLAY_CACHE_SIZE", "-1", "is not valid"),
        ("INFERENCEREPLAY_CACHE_AGE", "5 weeks", "INFERENCEREPLAY_CACHE_AGE='5 weeks' is not valid. Give a duration"),
    ],
)
def test_a_setting_that_is_not_valid_is_told(no_stores, monkeypatch, variable, value, message):
    """When a store is opened."""
    monkeypatch.setenv(variable, value)
    with pytest.raises(InvalidSetting, match=message):
        Session("memory:///a", mode="replay")


@pytest.mark.parametrize(
    ("variables", "settings"),
    [
        ({}, (None, 10**9, 3_600 * 10**9)),
        (
            {"CACHE": "~/kept", "CACHE_SIZE": "500MB", "CACHE_AGE": "10m"},
            ("/home/somebody/kept", 5 * 10**8, 600 * 10**9),
        ),
        ({"CACHE": "OFF", "CACHE_SIZE": "2 gb", "CACHE_AGE": "7d"}, ("", 2 * 10**9, 604_800 * 10**9)),
        ({"CACHE": "/kept", "CACHE_SIZE": "0"}, ("", 0, 3_600 * 10**9)),
        ({"CACHE": " "}, (None, 10**9, 3_600 * 10**9)),
        ({"CACHE": " kept\n"}, (str(Path("kept").absolute()), 10**9, 3_600 * 10**9)),
    ],
)
def test_settings(no_stores, monkeypatch, variables, settings):
    """Where it is, how large, and how long a recording counts."""
    monkeypatch.delenv("INFERENCEREPLAY_CACHE")
    monkeypatch.setenv("HOME", "/home/somebody")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(f"INFERENCEREPLAY_{name}", value)
    folder, *rest = read_settings()
    assert tuple(rest) == settings[1:]
    assert folder == settings[0] or (settings[0] is None and folder.endswith("inferencereplay/objects"))


def test_processes_share_it(client, proxy, bucket):
    """What one process has read another one need not ask for."""
    with replay(bucket, mode="record"):
        text = ask(client)
    proxy.stop()
    code = (
        "import sys, openai; from inferencereplay import replay\n"
        "with replay(sys.argv[1]):\n"
        "    ask = {'model': 'm', 'messages': [{'role': 'user', 'content': 'Hello'}]}\n"
        "    made = openai.OpenAI().chat.completions.create(**ask)\n"
        "print(made.choices[0].message.content)"
    )
    done = subprocess.run([sys.executable, "-c", code, bucket], capture_output=True, text=True, check=True)
    assert done.stdout == f"{text}\n"


def test_a_check_that_lies_ahead_does_not_count_for_ever():
    """A clock that was wrong leaves such times; a little ahead is a file system's own clock."""
    cached = CachedObjects(None, None, 10**12)
    assert cached._is_recent(cached.now() + 10**9, 10**12)
    assert not cached._is_recent(cached.now() + 10**13, 10**12)
