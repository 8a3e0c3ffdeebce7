"""Stores that fail: one clear error in bounded time in replay, one warning while recording, nothing wrong stored."""

from __future__ import annotations

import logging
import os
import socket
import time
from dataclasses import replace
from datetime import timedelta

import pytest
from object_servers import KEY, SECRET, Fault

from inferencereplay import RecordingNotFound, StoreError, replay
from inferencereplay.object_stores import objects, opening_urls
from inferencereplay.store.location import StoreURL
from inferencereplay.store.opening import open_store

LONGEST = 60
"""Seconds; no failure takes a tenth of that, but a loaded machine may."""


def ask(client, text="Hello"):
    made = client.chat.completions.create(model="m", messages=[{"role": "user", "content": text}])
    return made.choices[0].message.content


def is_safe(text):
    return not any(secret in text for secret in (KEY, SECRET, "Debug source", "Signature"))


@pytest.fixture
def dead(bucket, monkeypatch):
    """Lead to a port at which nobody answers."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        monkeypatch.setenv("AWS_ENDPOINT", f"http://127.0.0.1:{free.getsockname()[1]}")
        yield bucket


@pytest.fixture
def failing(proxy, bucket, monkeypatch):
    """Make a proxy that fails, by a function that gets faults."""
    monkeypatch.setenv("AWS_TIMEOUT", "1 second")
    monkeypatch.setitem(opening_urls.RETRIES, "retry_timeout", timedelta(seconds=2))
    opening_urls._open.cache_clear()

    def fail(*faults, **more):
        proxy.faults[:] = faults
        for name, value in more.items():
            setattr(proxy, name, value)
        return bucket

    return fail


KINDS = {
    "an internal error": (Fault(status=500), "the store answered 500 InternalError"),
    "throttling": (Fault(status=503, code="SlowDown"), r"the store refuses so many requests \(503 SlowDown\)"),
    "expired credentials": (Fault(status=400, code="ExpiredToken"), r"the credentials are .* \(400 ExpiredToken\)"),
    "no permission": (Fault(status=403, code="AccessDenied"), r"the credentials are .* \(403 AccessDenied\)"),
    "no bucket": (Fault(status=404, code="NoSuchBucket"), r"there is no such bucket or container \(404 NoSuchB"),
    "another region": (
        Fault(status=301, code="PermanentRedirect"),
        "the bucket is in another region, or at an",
    ),
    "another region's key": (Fault(status=400, code="AuthorizationHeaderMalformed"), r"another region, .* \(400 Auth"),
    "a cut connection": (Fault(is_cut=True), "no answer in time|answer broke off|nobody answers"),
    "a cut body": (Fault(is_cut=True, keeps=10), "the connection broke within an answer"),
    "silence": (Fault(delay=4), "there was no answer in time"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_replay_is_told_at_once(client, failing, kind):
    """One error names the store and the reason, within seconds, without a secret, and no call goes to the network."""
    fault, message = KINDS[kind]
    url = failing(fault)
    begin = time.monotonic()
    with pytest.raises(StoreError, match=f"^{url}: chat/completions/.*json cannot be read: .*({message})") as told:
        with replay(url):
            ask(client)
    assert time.monotonic() - begin < LONGEST
    assert is_safe(str(told.value) + repr(told.value))
    assert told.value.__cause__ is None


@pytest.mark.parametrize("mode", ["record", "record-if-missing"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_recorded_program_gets_its_answer(client, server, failing, kind, mode, caplog):
    """One warning says why the call was not stored."""
    url = failing(KINDS[kind][0])
    begin = time.monotonic()
    with caplog.at_level(logging.WARNING), replay(url, mode=mode) as session:
        assert ask(client) == "answer 1"
    assert time.monotonic() - begin < LONGEST
    assert (session.recorded, server.count) == (0, 1)
    (warning,) = [record.getMessage() for record in caplog.records]
    assert "was not recorded" in warning
    assert url in warning
    assert is_safe(warning)


def test_a_dead_endpoint_is_told(client, dead, caplog):
    """In replay by one error; while recording the second call does not wait for it again."""
    with pytest.raises(StoreError, match=r"nobody answers there\. Look at the endpoint and the network"), replay(dead):
        ask(client)
    with replay(dead, mode="record") as session:
        begin = time.monotonic()
        texts = [ask(client, str(number)) for number in range(10)]
    assert time.monotonic() - begin < LONGEST
    assert (texts[0], texts[-1], session.recorded) == ("answer 1", "answer 10", 0)
    assert len([record for record in caplog.records if "was not recorded" in record.getMessage()]) == 10


def test_missing_credentials_are_told(client, dead, monkeypatch):
    """A machine in no cloud has no other place to find them."""
    monkeypatch.setenv("AWS_METADATA_ENDPOINT", os.environ["AWS_ENDPOINT"])
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    with (
        pytest.raises(StoreError, match=r"no credentials were found\. See 'Settings' in docs/stores\.md"),
        replay(dead),
    ):
        ask(client)


def test_a_store_that_comes_back_is_asked_again(client, failing, proxy, monkeypatch):
    """After some seconds, in the same session."""
    monkeypatch.setattr(objects, "OUTAGE", 0.0)
    url = failing()
    with replay(url, mode="record"):
        text = ask(client)
    proxy.stop()
    with replay(url, mode="record-if-missing"):
        ask(client, "another")
    assert text == "answer 1"


def test_a_store_that_ignores_conditions_is_refused(client, failing, caplog):
    """At the first write, before anything is overwritten; its recordings can be replayed."""
    url = failing()
    with replay(url, mode="record"):
        text = ask(client)
    for header, named in (("if-none-match", "If-None-Match"), ("if-match", "If-Match")):
        opening_urls._states.clear()
        failing(dropped=(header,))
        caplog.clear()
        with replay(url, mode="record") as session:
            assert ask(client) != text
            assert ask(client, "another") != text
        assert session.recorded == 0
        assert [
            f"cannot be recorded into: it ignores {named}, so that" in record.getMessage() for record in caplog.records
        ] == [True, True]
        with replay(url):
            assert ask(client) == text
        assert len(list(session.store._objects.list())) == 1


LOST = {
    "a conflict and nothing landed": Fault("PUT", ".json", status=409, code="ConditionalRequestConflict", times=2),
    "a conflict and it landed": Fault("PUT", ".json", status=409, code="OperationAborted", is_landed=True, times=1),
    "an error and it landed": Fault("PUT", ".json", status=500, is_landed=True, times=1),
    "an error": Fault("PUT", ".json", status=500, times=2),
    "throttling": Fault("PUT", ".json", status=503, code="SlowDown", times=2),
    "cut after it landed": Fault("PUT", ".json", is_cut=True, is_landed=True, times=1),
    "cut before it landed": Fault("PUT", ".json", is_cut=True, times=1),
    "a cut body": Fault("GET", ".json", is_cut=True, keeps=50, times=1),
    "a look that fails": Fault("HEAD", ".json", status=503, times=1),
}


@pytest.mark.parametrize("kind", LOST)
@pytest.mark.parametrize("mode", ["record", "record-if-missing"])
def test_what_was_lost_on_the_way_is_found_by_reading_back(client, failing, kind, mode, caplog):
    """A write whose answer is lost, or that is refused although nothing landed, is stored once; then all replay."""
    url = failing()
    with replay(url, mode="record-if-missing"):
        ask(client, "before")  # so that the conditions have been looked at
    failing(replace(LOST[kind]))
    with replay(url, mode=mode) as session:
        texts = [ask(client), ask(client)] if mode == "record" else [ask(client)]
    failing()
    assert (session.recorded, caplog.records) == (len(texts), [])
    with replay(url):
        assert [ask(client) for _ in texts] == texts


def test_what_lands_late_is_an_answer_that_was_given(client, failing, caplog):
    """A write that seems to be lost, and is carried out later, makes nothing wrong."""
    url = failing()
    with replay(url, mode="record"):
        ask(client, "before")
    failing(Fault("PUT", ".json", delay=3, is_landed=True, times=1))
    with replay(url, mode="record") as session:
        texts = [ask(client), ask(client)]
    assert session.recorded + len(caplog.records) == 2
    time.sleep(3)
    with replay(url):
        assert {ask(client), ask(client)} <= {*texts}


def test_a_cut_listing_is_told(client, failing, cli):
    """No part of a listing is taken for the whole."""
    url = failing()
    with replay(url, mode="record"):
        ask(client)
    failing(Fault("GET", "list-type", is_cut=True, keeps=300))
    store = open_store(StoreURL(url))
    with pytest.raises(StoreError, match=f"^{url}: its objects cannot be listed: "):
        list(store.list())
    with pytest.raises(RecordingNotFound, match="It cannot be compared with the recordings of that path: s3://"):
        with replay(url):
            ask(client, "another")


def test_what_was_read_replays_offline(client, failing, proxy, monkeypatch, caplog):
    """With a warm cache, also after its time; further calls get the last variant, and a miss is told as such."""
    url = failing()
    with replay(url, mode="record"):
        texts = [ask(client), ask(client), ask(client, "another")]
    with replay(url):
        assert [ask(client), ask(client), ask(client), ask(client, "another")] == [
            texts[0],
            texts[1],
            texts[1],
            texts[2],
        ]
    proxy.stop()
    for age in ("1h", "0s"):
        monkeypatch.setenv("INFERENCEREPLAY_CACHE_AGE", age)
        opening_urls._states.clear()
        caplog.clear()
        with replay(url):
            assert [ask(client), ask(client), ask(client)] == [texts[0], texts[1], texts[1]]
            assert ask(client, "another") == texts[2]
        assert ["what was read before answers" in record.getMessage() for record in caplog.records] == [True] * (
            age == "0s"
        )
    with pytest.raises(StoreError, match="cannot be read: nobody answers there"), replay(url):
        ask(client, "unknown")
