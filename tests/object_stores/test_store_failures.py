"""What went wrong in an object store, for people: by status, by code, by the kind of error, and without secrets."""

from __future__ import annotations

import asyncio
import threading
from datetime import datetime, timezone

import pytest

from inferencereplay import InvalidSetting, StoreError
from inferencereplay.object_stores import near_objects, object_cache, objects, opening_urls, write_conditions
from inferencereplay.object_stores.objects import Found, Objects, Version
from inferencereplay.object_stores.store_failures import reason
from inferencereplay.object_stores.threads import each_in_time
from inferencereplay.sdk import distant_reads
from inferencereplay.store import at_hand
from inferencereplay.store.location import StoreURL
from inferencereplay.store.opening import open_store

SECRET = "a-secret-of-the-environment"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "status code: 404 Not Found: <Code>ContainerNotFound</Code>",
            "there is no such bucket or container (404 Cont",
        ),
        ("status code: 403 Forbidden", "the credentials are missing, expired, or not allowed to do that (403)"),
        ("status code: 400: <Code>ExpiredToken</Code>", "the credentials are missing, expired"),
        ("status code: 429 Too Many", "the store refuses so many requests (429)"),
        ("status code: 418", "the store answered 418"),
        ("something\n\nDebug source kind: Connect", "nobody answers there"),
        ("PUT http://169.254.169.254/latest/api/token\n\nDebug source kind: Connect", "no credentials were found"),
        ("no credential was found", "no credentials were found. See 'Settings' in docs/stores.md"),
        (f"odd https://host/a?sig={SECRET} and {SECRET}  here", "odd https://host/a?… and [REDACTED] here"),
    ],
)
def test_reasons(monkeypatch, text, message):
    """Each kind has words of its own; of an unknown one the beginning is shown."""
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    assert reason(ValueError(text)).text.startswith(message)
    assert reason(ValueError("Bucket status code: 404: <Code>NoSuchBucket</Code>")).is_bucket


class Odd:
    """A store of obstore's kind whose answers are not what they say.

    Attributes:
        size: what it says that objects have.
        refused: the writes that it refuses, by their number from 1.
    """

    def __init__(self, size=1, refused=()):
        self.size, self.refused, self.writes, self.removed = size, refused, 0, 0

    def get(self, path, options):
        at = datetime.fromtimestamp(5, timezone.utc)
        meta = {"path": path, "e_tag": None, "version": None, "size": self.size, "last_modified": at}
        return type("Result", (), {"meta": meta, "bytes": lambda _: b"x"})()

    def put(self, path, data, **more):
        self.writes += 1
        if self.writes in self.refused:
            raise objects.AlreadyExistsError(path)
        return {"e_tag": str(self.writes), "version": None}

    def delete(self, path):
        self.removed += 1
        raise OSError("it cannot be removed")


def test_an_answer_that_is_not_whole_is_told():
    """Nor is one read that is too large; the time stands for an e-tag where there is none."""
    assert Objects("s3://b", Odd()).get("a").version == Version(5 * 10**9, None, None, 1)
    with pytest.raises(StoreError, match=r"^s3://b: a cannot be read: the answer broke off after 1 of 2 bytes\.$"):
        Objects("s3://b", Odd(2)).get("a")
    with pytest.raises(StoreError, match=r"it has 2,000,000,000 bytes, and at most"):
        Objects("s3://b", Odd(2_000_000_000)).get("a")


class PanicException(BaseException):
    """As obstore raises it."""


class Broken(Odd):
    """Raises what no program expects."""

    def __init__(self, error):
        super().__init__()
        self.error = error

    def get(self, path, options=None):
        raise self.error


def test_a_panic_is_an_error_as_others():
    """It is no `Exception`, and must not end a program that is recorded; what ends programs still does."""
    with pytest.raises(StoreError, match=r"^s3://b: a cannot be read: obstore broke down, as it does if the endpoint"):
        Objects("s3://b", Broken(PanicException("text"))).get("a")
    with pytest.raises(KeyboardInterrupt):
        Objects("s3://b", Broken(KeyboardInterrupt())).get("a")


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("AWS_ENDPOINT", f"{SECRET}:9000", "does not begin with https:// or http://"),
        ("AZURE_STORAGE_ENDPOINT", SECRET, "does not begin with https:// or http://"),
        ("AWS_ENDPOINT_URL_S3", f"http://{SECRET}:9000\r", "holds a line end"),
        ("AWS_SECRET_ACCESS_KEY", f"{SECRET}\n", "holds a line end, a blank at its beginning or end, or another"),
        ("AWS_SESSION_TOKEN", f" {SECRET}", "holds a line end"),
        ("AZURE_STORAGE_ACCOUNT_KEY", f"{SECRET}\n", "holds a line end"),
    ],
)
def test_a_variable_that_breaks_obstore_down_is_told(no_stores, monkeypatch, name, value, message):
    """By its name, before a request is made, and without its value."""
    monkeypatch.setenv(name, value)
    with pytest.raises(InvalidSetting, match=f"^s3://b/a cannot be opened: the variable {name} {message}") as told:
        open_store(StoreURL("s3://b/a"))
    assert SECRET not in str(told.value)


def test_what_cannot_be_removed_is_told():
    """An object that stays is no success."""
    with pytest.raises(StoreError, match=r"^s3://b: a cannot be removed: it cannot be removed"):
        Objects("s3://b", Odd()).remove("a")


@pytest.mark.parametrize("refused", [(1, 3, 5), (2, 3, 5, 7), (1, 2, 3)])
def test_lost_answers_leave_the_conditions_open(refused):
    """Then it is tried again, with another object; nothing fails because a probe cannot be removed."""
    odd = Odd(refused=refused)
    write_conditions.check(Objects("s3://b", odd))
    assert odd.removed in (2, 3)


def test_a_comparison_ends_in_time(monkeypatch):
    """What has not come by then, and what fails, is left out; a listing ends as well."""
    go = threading.Event()

    def ask(number):
        if number > 1:
            go.wait()
        if number == 1:
            raise ValueError
        return number

    assert each_in_time(ask, range(100), 0.1) == [0]
    go.set()
    monkeypatch.setattr(near_objects, "LONGEST", -1.0)
    store = open_store(StoreURL("memory:///near"))
    store._objects.create(f"x/{'0' * 32}.json", b"1")
    assert len(near_objects._listed(store._cached, "x/", 0.0)) == 1
    opening_urls._states.clear()
    opening_urls._open.cache_clear()


def test_a_process_keeps_few_stores(no_stores, monkeypatch):
    """It forgets the oldest ones, and opens them again."""
    monkeypatch.setattr(opening_urls, "MOST_KEPT", 2)
    for name in "abc":
        open_store(StoreURL(f"memory:///{name}"))
    assert len(opening_urls._states) == 1


def test_writers_that_always_come_too_late_give_up(no_stores, monkeypatch):
    """After so many attempts it is an error, and no endless loop."""
    monkeypatch.setattr("time.sleep", lambda _: None)
    store = open_store(StoreURL("memory:///busy"))
    store._cached.check_conditions()
    monkeypatch.setattr(store, "_put", lambda *_: None)
    with pytest.raises(
        StoreError, match=r"^memory:///busy/x/0+\.json cannot be written: other writers came before, 12"
    ):
        store.add("/x", "0" * 64, 1, b"1")


def test_what_goes_while_it_is_written_is_looked_at_again():
    """A store says that there is no such object to a write that has come too late."""
    odd = Odd()
    odd.put = lambda *_, **__: (_ for _ in ()).throw(FileNotFoundError("a"))
    one = Objects("s3://b", odd)
    assert one.create("a", b"1") is None
    assert one.exchange("a", b"1", Version(0, '"1"', None, 1)) is None


def test_nothing_is_asked_in_a_forked_child(monkeypatch):
    """There obstore would hang."""
    monkeypatch.setattr(objects._process, "is_usable", False)
    with pytest.raises(StoreError, match="forked after its parent had used it"):
        Objects("s3://b", Odd()).get("a")


def test_a_stamp_that_cannot_be_told_is_empty(no_stores, monkeypatch):
    """On the event loop as in a thread."""
    store = open_store(StoreURL("memory:///stamps"))
    monkeypatch.setattr(store._objects, "_outage", (float("inf"), reason(ValueError("x"))))
    assert store.stamp("/x", "0" * 64, 1) == ()
    assert asyncio.run(store._head_async("a")) == ()


def test_an_error_in_a_thread_reaches_the_decision():
    """It is raised where the decision meets it."""

    def fail():
        raise KeyError("a")

    with pytest.raises(KeyError, match="a"):
        asyncio.run(distant_reads.decide(lambda: at_hand.fetch(at_hand.Errand("a", fail))))


def test_writes_that_are_refused_or_come_too_late(no_stores, monkeypatch):
    """A refusal is raised at once; a move to a number that is taken meanwhile is none."""
    store = open_store(StoreURL("memory:///late"))
    store.add("/x", "0" * 64, 2, b"1")
    with monkeypatch.context() as changed:
        changed.setattr(store, "_write", lambda *_: False)
        assert not store.move("/x", "0" * 64, 2, 1)

    def refuse(*_, **__):
        raise objects.RequestError("refused", reason(ValueError("status code: 403")))

    monkeypatch.setattr(store, "_try_to_write", refuse)
    with pytest.raises(StoreError, match="refused"):
        store.add("/x", "0" * 64, 1, b"1")


def test_a_cached_object_that_is_gone_is_asked_for(no_stores, monkeypatch):
    """Somebody may delete the cache while a miss is compared."""
    store = open_store(StoreURL("memory:///near"))
    store._objects.create(f"x/{'0' * 32}.json", b"1")
    monkeypatch.setattr(store._cached, "is_current", lambda *_: True)
    ((_, found),) = near_objects.near(store._cached, "x/", 10)
    assert found.data == b"1"


def test_a_cache_of_no_size_keeps_nothing(tmp_path):
    """All of it is removed."""
    (tmp_path / ("a" * 63)).write_bytes(b"1")
    assert object_cache.evict(str(tmp_path), 0, 0) == 0
    assert list(tmp_path.iterdir()) == []


def test_what_is_gone_or_damaged_is_compared_with_nothing(no_stores, monkeypatch):
    """A miss is told all the same."""
    store = open_store(StoreURL("memory:///near"))
    damaged = Found(b"{", Version(0, None, None, 1))
    monkeypatch.setattr("inferencereplay.object_stores.object_store.near", lambda *_: [("a", None), ("b", damaged)])
    assert [*store.requests("/x", 10)] == []
    store._compared["/x"] = {"a": None}
    assert [*store.newest([])] == []
