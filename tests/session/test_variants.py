"""Variants: which recording answers the n-th equal call, and where the answer to it is stored."""

from __future__ import annotations

import asyncio
import errno
import gc
import json
import logging
import os
import sys
import threading
import time
import tracemalloc

import openai
import pytest
from conftest import ASK, Reply, cheap, chunk, completion, plain, sse
from hypothesis import example, given, settings
from hypothesis import strategies as st

from inferencereplay import IncompleteRecording, RecordingNotFound, Session, replay, unwrap, wrap
from inferencereplay.sdk import private
from inferencereplay.session.garbage import collect, run_noted
from inferencereplay.session.run_coordinator import RunCoordinator
from inferencereplay.session.run_variants import RunVariants
from inferencereplay.session.variants import ReportingSet, Variant, Variants
from inferencereplay.store.directory import DirectoryStore

KEY = "ab" * 32
MISSING = "record-if-missing"


def said(answer):
    return answer.choices[0].message.content


def chat(client, **changes):
    return said(client.chat.completions.create(**{**ASK, **changes}))


def streamed(client, chunks=99):
    """Read a stream to its end, or only so many chunks of it, and close it."""
    stream = client.chat.completions.create(**ASK, stream=True)
    texts = [item.choices[0].delta.content for _, item in zip(range(chunks), stream, strict=False)]
    stream.close()
    return texts


def broken_connection(client):
    """Return what the SDK raises when a connection breaks in the middle of a stream, in any of its versions."""
    return openai.APIConnectionError, private.http_library(client).TransportError


def abandoned(client, server, chunks=1, text="left"):
    """Read some chunks of a stream that sends the next ones only a while later, and close it."""
    server.replies = [sse(*(chunk(f"{text} {number}") for number in range(4)), pause=0.05)]
    return streamed(client, chunks)


def record(directory, client, count, mode="record", **options):
    with replay(directory, mode=mode, **options):
        return [chat(client) for _ in range(count)]


def replayed(directory, client, count, **options):
    with replay(directory, **options):
        return [chat(client) for _ in range(count)]


def names(directory):
    return [name.rpartition("/")[2][32:] for name in DirectoryStore(directory).list()]


def later(seconds, text):
    """Return a plain reply whose body comes after a pause."""
    body = json.dumps(completion(text)).encode()
    return Reply(pieces=[(seconds, body)])


# Replaying.


def test_the_nth_equal_call_gets_the_nth_variant(driver, tmp_path):
    """Equal calls get their recordings in order, and past the last one the last again."""
    with replay(tmp_path, mode="record"):
        answers = [said(driver.chat()) for _ in range(3)]
    assert len(set(answers)) == 3
    with replay(tmp_path) as session:
        assert [said(driver.chat()) for _ in range(6)] == answers + answers[-1:] * 3
    assert (session.hits, session.misses, session.recorded) == (6, 0, 0)
    assert names(tmp_path) == [".json", "~2.json", "~3.json"]


def test_each_session_begins_with_the_first_variant(client, tmp_path):
    """The numbering is the session's, not the process's."""
    answers = record(tmp_path, client, 2)
    with replay(tmp_path):
        assert chat(client) == answers[0]
        with replay(tmp_path):
            assert chat(client) == answers[0]
        assert chat(client) == answers[1]
    assert replayed(tmp_path, client, 2) == answers


def test_unequal_calls_are_numbered_apart(client, tmp_path):
    """Another request in between does not use up a variant."""
    with replay(tmp_path, mode="record"):
        live = [chat(client, seed=seed) for seed in (1, 2, 1, 2)]
    with replay(tmp_path):
        assert [chat(client, seed=seed) for seed in (1, 1, 2, 2)] == [live[0], live[2], live[1], live[3]]


@pytest.mark.parametrize("exhausted", ["error", "record"])
def test_past_the_last_variant_can_be_a_miss(driver, server, tmp_path, exhausted):
    """With `exhausted` set to "error" or "record", a replay past the last variant is a miss that says so."""
    with replay(tmp_path, mode="record"):
        answers = [said(driver.chat()) for _ in range(2)]
    session = Session(tmp_path, exhausted=exhausted)
    with pytest.raises(RecordingNotFound), replay(session):
        assert [said(driver.chat()) for _ in range(2)] == answers
        with pytest.raises(RecordingNotFound) as caught:
            driver.chat()
    text = str(caught.value)
    assert f".json, are used up (exhausted={exhausted!r})." in text
    mode = "record" if exhausted == "error" else "record-if-missing"
    assert f"INFERENCEREPLAY_MODE={mode} " in text
    assert (session.hits, session.misses, server.count) == (2, 1, 2)


def test_exhausted_error_is_a_miss_while_recording_too(driver, server, tmp_path):
    """In `record-if-missing` a call past the last variant is a miss as well, if that is asked for; others go live."""
    with replay(tmp_path, mode=MISSING):
        driver.chat()
    with pytest.raises(RecordingNotFound), replay(tmp_path, mode=MISSING, exhausted="error") as session:
        assert said(driver.chat()) == "answer 1"
        with pytest.raises(RecordingNotFound, match="change mode='record-if-missing' to mode='record', and run"):
            driver.chat()
        assert said(driver.chat(seed=1)) == "answer 2"
    assert (session.hits, session.misses, session.recorded, server.count) == (1, 1, 1, 2)


def test_exhausted_record_appends(driver, server, tmp_path):
    """In `record-if-missing` a call past the last variant goes live and is stored, if that is asked for."""
    with replay(tmp_path, mode=MISSING, exhausted="record") as session:
        assert [said(driver.chat()) for _ in range(2)] == ["answer 1", "answer 2"]
    assert session.recorded == 2
    with replay(tmp_path, mode=MISSING, exhausted="record") as session:
        assert [said(driver.chat()) for _ in range(3)] == ["answer 1", "answer 2", "answer 3"]
    assert (session.hits, session.recorded, server.count) == (2, 1, 3)
    with replay(tmp_path):
        assert [said(driver.chat()) for _ in range(3)] == ["answer 1", "answer 2", "answer 3"]


def test_record_if_missing_repeats_what_it_has_just_stored(driver, server, tmp_path):
    """Once a request has a recording, `record-if-missing` answers with it, in the session that stored it too."""
    with replay(tmp_path, mode=MISSING) as session:
        assert [said(driver.chat()) for _ in range(3)] == ["answer 1"] * 3
    assert (session.hits, session.recorded, server.count) == (2, 1, 1)


def test_many_calls_past_the_last_variant_are_found_at_once(tmp_path, client):
    """The search for the last variant is made once, not for each call."""
    record(tmp_path, client, 1)

    class Counting(DirectoryStore):
        count = 0

        def get(self, *args):
            self.count += 1
            return super().get(*args)

    for kept in (False, True):
        store = Counting(tmp_path)
        (name,) = store.list()
        (digits,) = [name[-37:-5]]
        variants = Variants(store, replaces=False, repeats=True, is_whole=bool)
        if kept:  # a session that has stored something of that key itself
            variants.give_up("/chat/completions", digits, variants.begin("/chat/completions", digits))
        for _ in range(1_000):
            found = variants.peek("/chat/completions", digits)
            assert found.number == 1
            assert variants.commit("/chat/completions", digits, found.number, found.call)
        assert store.count < 1_010


def test_a_call_under_way_is_not_overlooked(tmp_path):
    """A search for the last variant, made before a call or while it was under way, does not hide what it stored."""
    store = DirectoryStore(tmp_path)
    store.add("/x", KEY, 1, b"1")
    variants = Variants(store, replaces=False, repeats=True, is_whole=lambda _: True)
    assert variants.commit("/x", KEY, 1, 1)
    assert variants.peek("/x", KEY) == Variant(b"1", 1, 2)
    call = variants.begin("/x", KEY)
    assert variants.peek("/x", KEY) == Variant(b"1", 1, 3)
    assert variants.store("/x", KEY, call, b"2", is_whole=True)
    assert variants.peek("/x", KEY) == Variant(b"2", 2, 3)


def test_what_stands_past_a_gap_is_replaced_too(client, tmp_path):
    """In `record` nothing old is left behind a number that a process which died never stored."""
    record(tmp_path, client, 4)
    names = sorted(DirectoryStore(tmp_path).list())
    (tmp_path / names[0]).unlink()
    (tmp_path / names[2]).unlink()
    record(tmp_path, client, 1)
    assert sorted(DirectoryStore(tmp_path).list()) == [min(names, key=len)]


def test_a_gap_does_not_end_a_replay(client, tmp_path):
    """A variant that is missing, for its process died or somebody removed it, is passed over."""
    answers = record(tmp_path, client, 3)
    next(tmp_path.rglob("*~2.json")).unlink()
    assert replayed(tmp_path, client, 3) == [answers[0], answers[2], answers[2]]
    next(file for file in tmp_path.rglob("*.json") if "~" not in file.name).unlink()
    assert replayed(tmp_path, client, 2) == [answers[2]] * 2


# Recording: order, failures, replacement.


def test_record_replaces_the_old_variants(client, tmp_path):
    """The first of the session's equal calls takes the place of all old variants, and further ones append."""
    record(tmp_path, client, 4)
    answers = record(tmp_path, client, 2)
    assert names(tmp_path) == [".json", "~2.json"]
    assert replayed(tmp_path, client, 3) == [*answers, answers[-1]]
    answers = record(tmp_path, client, 3)
    assert replayed(tmp_path, client, 3) == answers


def test_record_leaves_other_requests_alone(client, tmp_path):
    """What is not asked again stays as it is."""
    with replay(tmp_path, mode="record"):
        other = [chat(client, seed=1) for _ in range(2)]
    record(tmp_path, client, 1)
    with replay(tmp_path) as session:
        assert [chat(client, seed=1) for _ in range(2)] == other
    assert len(session.unused()) == 1


def test_a_failed_call_leaves_no_gap(driver, server, tmp_path):
    """A call that fails while recording has no variant, and the later ones move up."""
    server.replies = [plain(completion("a")), plain({"error": {"message": "busy"}}, 503), plain(completion("b"))]
    with replay(tmp_path, mode="record") as session:
        driver.chat()
        with pytest.raises(openai.InternalServerError):
            driver.chat()
        driver.chat()
    assert session.recorded == 2
    with replay(tmp_path):
        assert [said(driver.chat()) for _ in range(2)] == ["a", "b"]


def test_if_all_calls_fail_the_old_recordings_stay(client, server, tmp_path):
    """`record` removes nothing until it has something to put in its place."""
    answers = record(tmp_path, client, 2)
    server.replies = [plain({"error": {}}, 500)]
    with replay(tmp_path, mode="record"), pytest.raises(openai.InternalServerError):
        chat(client)
    assert replayed(tmp_path, client, 2) == answers


@pytest.mark.parametrize("mode", ["record", MISSING])
def test_overlapping_calls_are_stored_in_the_order_of_their_start(server, tmp_path, mode):
    """Of equal tasks whose answers come in another order the recorded run and the replayed one get the same list."""
    server.replies = [later(0.8 - 0.2 * number, f"reply {number}") for number in range(4)]
    before, finished = server.count, []

    async def run():
        options = {"api_key": "test-key-123", "base_url": server.url, "max_retries": 0}

        async def one(client, number):
            while server.count < before + number:  # noqa: ASYNC110 - the server lives in a thread
                await asyncio.sleep(0.001)
            answer = said(await client.chat.completions.create(**ASK))
            finished.append(number)
            return answer

        async with openai.AsyncOpenAI(**options) as client:
            return await asyncio.gather(*(one(client, number) for number in range(4)))

    with replay(tmp_path, mode=mode):
        live = asyncio.run(run())
    assert live == [f"reply {number}" for number in range(4)]
    assert finished != sorted(finished)
    before = 0
    with replay(tmp_path):
        assert asyncio.run(run()) == live
    assert server.count == 4


@pytest.mark.parametrize("stream", [False, True])
def test_overlapping_threads_are_stored_in_the_order_of_their_start(server, client, tmp_path, stream):
    """Of equal calls in threads whose answers come in another order each gets its own again."""
    if stream:
        server.replies = [sse(chunk(f"reply {number}"), pause=0.8 - 0.2 * number) for number in range(4)]
    else:
        server.replies = [later(0.8 - 0.2 * number, f"reply {number}") for number in range(4)]
    answers, finished = {}, []

    def one(number):
        answers[number] = streamed(client)[0] if stream else chat(client)
        finished.append(number)

    with replay(tmp_path, mode="record"):
        threads = []
        for number in range(4):
            threads.append(threading.Thread(target=one, args=(number,)))
            threads[-1].start()
            while server.count <= number:
                time.sleep(0.001)
        for thread in threads:
            thread.join()
    assert finished != sorted(finished)
    assert [answers[number] for number in range(4)] == [f"reply {number}" for number in range(4)]
    with replay(tmp_path):
        for number in range(4):
            one(number)
    assert [answers[number] for number in range(4)] == [f"reply {number}" for number in range(4)]


def test_an_overlapping_failure_leaves_no_gap(client, server, tmp_path):
    """If the first of two overlapping calls fails after the second was stored, the second becomes the first."""
    error = Reply(500, {"content-type": "application/json"}, pieces=[(0.3, b"{}")])
    server.replies = [error, plain(completion("second"))]
    failed = []

    def fail():
        with pytest.raises(openai.InternalServerError):
            chat(client)
        failed.append(True)

    with replay(tmp_path, mode="record") as session:
        thread = threading.Thread(target=fail)
        thread.start()
        while not server.count:
            time.sleep(0.001)
        assert chat(client) == "second"
        assert names(tmp_path) == ["~2.json"]
        assert not failed
        thread.join()
    assert names(tmp_path) == [".json"]
    assert session.unused() == []
    assert replayed(tmp_path, client, 1) == ["second"]


outcomes = st.lists(st.tuples(st.booleans(), st.integers(0, 99)), min_size=1, max_size=6)


@settings(max_examples=30, deadline=None)
@example(old=0, calls=[(False, 0), (True, 1), (True, 0)], replaces=False, early=0)
@given(old=st.integers(0, 4), calls=outcomes, replaces=st.booleans(), early=st.integers(0, 6))
def test_whatever_the_order_the_variants_are_the_answers_by_start(tmp_path_factory, old, calls, replaces, early):
    """However calls overlap and whichever fail, the stored variants are the answers in the order of their start."""
    store = DirectoryStore(tmp_path_factory.mktemp("any"))
    before = [b"old %d" % number for number in range(old)]
    for number, data in enumerate(before, 1):
        store.add("/x", KEY, number, data)
    variants = Variants(store, replaces=replaces, repeats=False, is_whole=lambda _: True)
    if not replaces:  # `exhausted="record"`: live calls come after the last variant
        for _ in before:
            found = variants.peek("/x", KEY)
            assert variants.commit("/x", KEY, found.number, found.call)

    def end(index):
        is_whole, _ = calls[index]
        if is_whole:
            assert variants.store("/x", KEY, started[index], b"new %d" % index, is_whole=True)
        else:
            variants.give_up("/x", KEY, started[index])

    order = sorted(range(len(calls)), key=lambda index: calls[index][1])
    split = min(early, len(calls))  # the first ones have ended before the others start
    started = {}
    for part in ([i for i in order if i < split], [i for i in order if i >= split]):
        for index in sorted(part):
            started[index] = variants.begin("/x", KEY)
        for index in part:
            end(index)
    variants.finish()
    new = [b"new %d" % index for index, (is_whole, _) in enumerate(calls) if is_whole]
    stored = [data.encode() for data in held(store) if data]
    assert held(store)[len(stored) :] == [""] * (12 - len(stored))
    kept = [data for data in stored if data in before]  # in `record`, of calls that failed at most
    assert kept == [data for data in before if data in kept]
    assert stored == (new + kept if replaces else before + new)
    assert len(kept) <= len(calls) - len(new) or not (replaces and new)
    assert kept == before or (replaces and new)
    assert {number for _, _, number in variants.used} == (
        set(range(1, len(new) + 1)) if replaces else set(range(1, len(stored) + 1))
    )


ends = st.tuples(st.sampled_from(["whole", "part", "none"]), st.integers(0, 99))


@settings(max_examples=150, deadline=None)
@example(old=["whole"], calls=[("none", 1), ("part", 0)], is_sequential=False)
@example(old=["whole", "whole"], calls=[("none", 1), ("part", 0)], is_sequential=False)
@example(old=["whole", "whole"], calls=[("part", 0)], is_sequential=False)
@example(old=["part", "whole"], calls=[("part", 0)], is_sequential=False)
@example(old=["part", "whole", "whole"], calls=[("none", 1), ("part", 0), ("whole", 0)], is_sequential=False)
@example(old=["whole", "whole"], calls=[("whole", 0), ("part", 0)], is_sequential=True)
@example(old=["whole"] * 3, calls=[("none", 1), ("whole", 0), ("none", 2)], is_sequential=False)
@example(old=["whole", "whole", "part", "whole"], calls=[("part", 0), ("none", 0), ("part", 0)], is_sequential=False)
@given(
    old=st.lists(st.sampled_from(["whole", "part"]), max_size=4),
    calls=st.lists(ends, min_size=1, max_size=5),
    is_sequential=st.booleans(),
)
def test_what_is_whole_gives_way_to_what_is_whole_only(tmp_path_factory, old, calls, is_sequential):
    """However calls overlap and end, an incomplete answer takes no whole one's place, and alone removes none."""
    store = DirectoryStore(tmp_path_factory.mktemp("any"))
    for number, end in enumerate(old, 1):
        store.add("/x", KEY, number, f"{end}, old {number}".encode())
    variants = Variants(store, replaces=True, repeats=False, is_whole=lambda data: data.startswith(b"whole"))
    order = sorted(range(len(calls)), key=lambda index: calls[index][1])
    started = {index: variants.begin("/x", KEY) for index in range(len(calls)) if not is_sequential}
    for index in range(len(calls)) if is_sequential else order:
        if is_sequential:
            started[index] = variants.begin("/x", KEY)
        before = held(store)
        end = calls[index][0]
        if end == "none":
            variants.give_up("/x", KEY, started[index])
        else:
            data = f"{end}, new {index} {'.' * index}".encode()
            variants.store("/x", KEY, started[index], data, is_whole=end == "whole")
        for was, now in zip(before, held(store), strict=True):
            assert not was.startswith("whole, old") or not now.startswith("part")
    variants.finish()
    after = held(store)
    for was, now in zip(before, after, strict=True):
        assert not was.startswith("whole, old") or not now.startswith("part")
    new = [f"whole, new {index} {'.' * index}" for index, (end, _) in enumerate(calls) if end == "whole"]
    assert [text for text in after if text.startswith("whole, new")] == new
    if not new:
        kept = [f"{end}, old {number}" for number, end in enumerate(old, 1) if end == "whole"]
        assert [text for text in after if text.startswith("whole")] == kept
    assert "" not in after[: 12 - after.count("")]


def held(store):
    """Return what the store has of the key, by number; nothing for a number that is free."""
    return [(store.get("/x", KEY, number) or b"").decode() for number in range(1, 13)]


def test_only_one_of_two_threads_gets_a_number(tmp_path):
    """If another thread's equal call is counted first, one has to look again, and gets the next variant."""
    store = DirectoryStore(tmp_path)
    for number in (1, 2):
        store.add("/x", KEY, number, b"%d" % number)
    variants = Variants(store, replaces=False, repeats=True, is_whole=bool)
    mine = variants.peek("/x", KEY)
    theirs = variants.peek("/x", KEY)
    assert variants.commit("/x", KEY, theirs.number, theirs.call)
    assert not variants.commit("/x", KEY, mine.number, mine.call)
    assert variants.peek("/x", KEY) == Variant(b"2", 2, 2)


def test_threads_that_replay_share_the_variants(client, tmp_path):
    """Equal calls in threads get each variant once, and nobody's twice."""
    answers = record(tmp_path, client, 8)
    found = []
    barrier = threading.Barrier(8)

    def one():
        barrier.wait()
        found.append(chat(client))

    with replay(tmp_path, exhausted="error") as session:
        threads = [threading.Thread(target=one) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sorted(found) == sorted(answers)
    assert session.hits == 8
    assert session.unused() == []


def test_another_process_that_was_first_keeps_its_place(tmp_path):
    """In `record-if-missing` an answer that another process stored meanwhile is not overwritten."""
    store = DirectoryStore(tmp_path)
    variants = Variants(store, replaces=False, repeats=True, is_whole=lambda _: True)
    call = variants.begin("/x", KEY)
    store.add("/x", KEY, 1, b"theirs")
    assert not variants.store("/x", KEY, call, b"mine", is_whole=True)
    assert store.get("/x", KEY, 1) == b"theirs"
    assert store.get("/x", KEY, 2) is None


def test_a_number_that_somebody_else_took_is_not_moved_into(tmp_path):
    """A gap that another process fills is left to it."""
    store = DirectoryStore(tmp_path)
    variants = Variants(store, replaces=False, repeats=True, is_whole=lambda _: True)
    first, second = variants.begin("/x", KEY), variants.begin("/x", KEY)
    variants.store("/x", KEY, second, b"second", is_whole=True)
    store.add("/x", KEY, 1, b"theirs")
    variants.give_up("/x", KEY, first)
    assert [store.get("/x", KEY, number) for number in (1, 2, 3)] == [b"theirs", b"second", None]


def test_what_cannot_be_put_in_order_is_told(tmp_path, caplog, monkeypatch):
    """If old variants cannot be removed, the new one is stored all the same, and a warning says so."""
    store = DirectoryStore(tmp_path)
    for number in (1, 2):
        store.add("/x", KEY, number, b"old")
    variants = Variants(store, replaces=True, repeats=True, is_whole=lambda _: True)
    call = variants.begin("/x", KEY)

    def fail(*_):
        raise OSError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(store, "delete", fail)
    with caplog.at_level(logging.WARNING, "inferencereplay"):
        assert variants.store("/x", KEY, call, b"new", is_whole=True)
        variants.finish()
    assert store.get("/x", KEY, 1) == b"new"
    assert [item.message.partition(": ")[2][:39] for item in caplog.records] == [
        "recordings could not be put in order: ["
    ]


# Streams that did not come to their end.


def test_an_abandoned_stream_is_stored_where_there_is_none(client, server, tmp_path):
    """What arrived before the caller left is replayed, and wanting more is an error."""
    with replay(tmp_path, mode="record") as session:
        part = abandoned(client, server, 1)
    assert session.recorded == 1
    with replay(tmp_path):
        assert streamed(client, 1) == part
        with pytest.raises(IncompleteRecording):
            streamed(client)


@pytest.mark.parametrize("broken", [False, True])
@pytest.mark.parametrize("mode", ["record", MISSING])
def test_an_incomplete_stream_never_takes_the_place_of_a_whole_one(client, server, tmp_path, mode, broken):
    """A whole recording stays when the same request is recorded again and the stream does not reach its end."""
    with replay(tmp_path, mode="record"):
        whole = streamed(client)
    exhausted = "record" if mode == MISSING else "repeat"
    with replay(tmp_path, mode=mode, exhausted=exhausted) as session:
        if mode == MISSING:
            assert streamed(client) == whole
        if broken:
            server.replies = [sse(chunk("broken"), is_cut=True, is_done=False)]
            with pytest.raises(broken_connection(client)):
                streamed(client)
        else:
            abandoned(client, server, 1)
    assert session.recorded == (0 if mode == "record" else 1)
    assert session.unused() == []
    with replay(tmp_path):
        assert streamed(client) == whole


def test_a_whole_one_that_stayed_counts_as_the_answer(client, server, tmp_path):
    """In `record`, calls after one that was abandoned keep their own numbers."""
    with replay(tmp_path, mode="record"):
        old = [streamed(client), streamed(client)]
    with replay(tmp_path, mode="record"):
        abandoned(client, server, 1)
        new = streamed(client)
    with replay(tmp_path):
        assert [streamed(client), streamed(client)] == [old[0], new]


def test_record_replaces_an_abandoned_stream_by_another(client, server, tmp_path):
    """In `record` an incomplete recording gives way to a newer one, shorter or longer."""
    with replay(tmp_path, mode="record"):
        abandoned(client, server, 2)
    with replay(tmp_path, mode="record") as session:
        part = abandoned(client, server, 1, "newer")
    assert session.recorded == 1
    with replay(tmp_path):
        assert streamed(client, 1) == part == ["newer 0"]


def test_an_abandoned_stream_counts_as_missing(client, server, tmp_path):
    """`record-if-missing` records an abandoned stream again, and replaces it once it is whole."""
    with replay(tmp_path, mode=MISSING):
        abandoned(client, server, 1)
    with replay(tmp_path, mode=MISSING) as session:
        whole = streamed(client)
        assert streamed(client) == whole
    assert (session.hits, session.recorded, server.count) == (1, 1, 2)
    assert names(tmp_path) == [".json"]
    with replay(tmp_path):
        assert streamed(client) == whole


def test_an_abandoned_stream_counts_as_missing_where_live_calls_follow_the_last(client, server, tmp_path):
    """`exhausted="record"` makes no difference to that."""
    with replay(tmp_path, mode=MISSING, exhausted="record"):
        abandoned(client, server)
    server.replies = [sse(chunk("a"), chunk("b"))]
    with replay(tmp_path, mode=MISSING, exhausted="record") as session:
        assert streamed(client) == ["a", "b"]
    assert (session.hits, session.recorded) == (0, 1)


@pytest.mark.parametrize("order", [(1, 2), (2, 1)])
def test_of_two_abandoned_streams_the_longer_one_stays(client, server, tmp_path, order):
    """In `record-if-missing` an abandoned stream gives way only to one that goes further."""
    for count in order:
        with replay(tmp_path, mode=MISSING):
            abandoned(client, server, count)
    with replay(tmp_path):
        assert len(streamed(client, 2)) == 2
        with pytest.raises(IncompleteRecording) as caught:
            streamed(client)
    assert caught.value.chunks == 2


def test_a_call_past_an_abandoned_last_variant_finds_what_followed_it(client, server, tmp_path):
    """Having repeated an abandoned last variant in vain, a session finds the whole one it stored after it."""
    with replay(tmp_path, mode="record"):
        whole = streamed(client)
        abandoned(client, server, 1)
    with replay(tmp_path, mode=MISSING):
        assert streamed(client) == whole
        second = streamed(client)
        count = server.count
        assert [streamed(client) for _ in range(3)] == [second] * 3
    assert server.count == count


def test_a_broken_stream_is_a_recording(client, server, tmp_path):
    """A stream that the connection broke counts as recorded, and breaks again in replay."""
    server.replies = [sse(chunk("broken"), is_cut=True, is_done=False)]
    errors = []
    for mode in ("record", MISSING):
        with replay(tmp_path, mode=mode) as session, pytest.raises(broken_connection(client)) as caught:
            streamed(client)
        errors.append(type(caught.value))
    assert errors[0] is errors[1]
    assert (session.hits, server.count) == (1, 1)


def test_what_is_used_is_told_once():
    """However often a recording answers, whoever follows hears of it the first time."""
    told = []
    used = ReportingSet(told.append)
    for item in [("a", "b", 1), ("a", "b", 2), ("a", "b", 1)]:
        used.add(item)
    assert told == [("a", "b", 1), ("a", "b", 2)]
    assert used == {*told}


def test_old_variants_stay_while_a_call_is_under_way(tmp_path):
    """Whatever becomes of that call, nothing is lost to it before."""
    store = DirectoryStore(tmp_path)
    for number in (1, 2, 3):
        store.add("/x", KEY, number, b"old %d" % number)
    variants = Variants(store, replaces=True, repeats=True, is_whole=lambda _: True)
    first, second = variants.begin("/x", KEY), variants.begin("/x", KEY)
    assert variants.store("/x", KEY, first, b"new 1", is_whole=True)
    assert [store.get("/x", KEY, number) for number in (1, 2, 3)] == [b"new 1", b"old 2", b"old 3"]
    assert variants.store("/x", KEY, second, b"new 2", is_whole=True)
    assert [store.get("/x", KEY, number) for number in (1, 2, 3)] == [b"new 1", b"new 2", b"old 3"]
    variants.finish()
    assert [store.get("/x", KEY, number) for number in (1, 2, 3)] == [b"new 1", b"new 2", None]


def test_what_another_process_has_put_there_since_stays(tmp_path):
    """It is none of the old variants that the session replaces."""
    store = DirectoryStore(tmp_path)
    for number in (1, 2, 3, 4):
        store.add("/x", KEY, number, b"old %d" % number)
    variants = Variants(store, replaces=True, repeats=True, is_whole=lambda _: True)
    assert variants.store("/x", KEY, variants.begin("/x", KEY), b"new 1", is_whole=True)
    store.replace("/x", KEY, 3, b"theirs")
    variants.finish()
    assert held(store)[:4] == ["new 1", "old 2", "theirs", ""]


def renewed(tmp_path, *ends):
    """Return a store with three old variants, and a session's numbering after calls that ended so in reverse order."""
    store = DirectoryStore(tmp_path)
    for number in (1, 2, 3):
        store.add("/x", KEY, number, b"old %d" % number)
    variants = Variants(store, replaces=True, repeats=True, is_whole=lambda _: True)
    calls = [variants.begin("/x", KEY) for _ in ends]
    for call in reversed(calls):
        if ends[call - 1]:
            variants.store("/x", KEY, call, b"new %d" % call, is_whole=True)
        else:
            variants.give_up("/x", KEY, call)
    return store, variants


def test_a_forked_child_leaves_old_variants_to_its_parent(tmp_path, monkeypatch):
    """The parent may need them yet."""
    store, variants = renewed(tmp_path, True)
    with monkeypatch.context() as patch:
        patch.setattr(os, "getpid", lambda: 0)
        variants.finish()
    assert held(store)[:3] == ["new 1", "old 2", "old 3"]


def test_a_call_under_way_removes_old_variants_at_its_end(tmp_path):
    """Where a stream is read past the end of its block, and where another thread has the key in hand at that moment."""
    store, variants = renewed(tmp_path, True)
    call = variants.begin("/x", KEY)
    variants.finish()
    with variants._states[KEY].lock:
        variants.finish()
    assert held(store)[:3] == ["new 1", "old 2", "old 3"]
    variants.store("/x", KEY, call, b"new 2", is_whole=True)
    assert held(store)[:3] == ["new 1", "new 2", ""]


def test_old_variants_that_stay_follow_the_new_ones(tmp_path):
    """What somebody has taken away is passed over, and what somebody has put there stays."""
    store, variants = renewed(tmp_path / "gone", True, False, False)
    store.delete("/x", KEY, 2)
    variants.finish()
    assert held(store)[:3] == ["new 1", "old 3", ""]
    store, variants = renewed(tmp_path / "put", False, True, False)
    store.add("/x", KEY, 2, b"theirs")
    variants.finish()
    assert held(store)[:3] == ["new 2", "theirs", "old 3"]


def test_an_answer_that_cannot_be_moved_stays_where_it_is(tmp_path, caplog, monkeypatch):
    """If a gap cannot be closed, nothing is lost; if another error is behind that, a warning says so."""

    def begun(name):
        store = DirectoryStore(tmp_path / name)
        variants = Variants(store, replaces=name != "taken", repeats=True, is_whole=lambda _: True)
        first, second = variants.begin("/x", KEY), variants.begin("/x", KEY)
        variants.store("/x", KEY, second, b"second", is_whole=True)
        return store, lambda: variants.give_up("/x", KEY, first)

    store, give_up = begun("gone")
    store.delete("/x", KEY, 2)
    give_up()
    assert held(store)[:2] == ["", ""]
    store, give_up = begun("taken")
    with monkeypatch.context() as patch:
        for name in ("move", "add", "replace_if"):  # another process was first, a moment ago
            patch.setattr(store, name, lambda *_, **__: False)
        give_up()
    assert held(store)[:2] == ["", "second"]
    store, give_up = begun("failing")

    def fail(*_, **__):
        raise OSError(errno.EACCES, "Permission denied")

    with monkeypatch.context() as patch:
        patch.setattr(store, "move", fail)
        give_up()
    assert held(store)[:2] == ["", "second"]
    assert "could not be put in order" in caplog.text


def test_a_client_that_stays_wrapped_is_done_when_its_session_is_gone(client, tmp_path):
    """Nobody says when it is: what was replaced is removed then, and by no child that was forked off meanwhile."""
    record(tmp_path, client, 3)
    wrapped = wrap(openai.OpenAI(api_key="x", base_url=str(client.base_url), **cheap()), tmp_path, mode="record")
    answer = chat(wrapped)
    wrapped.close()
    child = os.fork()
    if not child:  # pragma: no cover - what runs in forked children is not measured
        unwrap(wrapped)
        del wrapped
        gc.collect()
        run_noted()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert names(tmp_path) == [".json", "~2.json", "~3.json"]
    unwrap(wrapped)
    del wrapped
    collect()
    run_noted()
    assert names(tmp_path) == [".json"]
    assert replayed(tmp_path, client, 1) == [answer]


@pytest.mark.parametrize("end", ["left", "failed"])
def test_the_call_after_a_whole_one_removes_nothing_that_is_whole(client, server, tmp_path, end):
    """In one session after the other, whatever becomes of the second call, the answer that it had stays."""
    server.replies = [sse(chunk("a")), sse(chunk("b"))]
    with replay(tmp_path, mode="record"):
        assert [streamed(client), streamed(client)] == [["a"], ["b"]]
    with replay(tmp_path, mode="record"):
        server.replies = [sse(chunk("c"))]
        assert streamed(client) == ["c"]
        if end == "left":
            abandoned(client, server)
        else:
            server.replies = [plain({}, 500)]
            with pytest.raises(openai.InternalServerError):
                streamed(client)
    with replay(tmp_path):
        assert [streamed(client), streamed(client)] == [["c"], ["b"]]


def test_an_answer_that_cannot_be_written_leaves_no_gap(tmp_path):
    """Its call has come to nothing: it is not under way any more, and one that was begun after it takes its number."""

    class Full(DirectoryStore):
        def replace(self, path, key, variant, data):
            if data == b"too much":
                raise OSError(errno.ENOSPC, "No space left on device")
            super().replace(path, key, variant, data)

    store = Full(tmp_path)
    variants = Variants(store, replaces=True, repeats=True, is_whole=lambda _: True)
    first, second = variants.begin("/x", KEY), variants.begin("/x", KEY)
    assert variants.store("/x", KEY, second, b"2", is_whole=True)
    with pytest.raises(OSError, match="No space left"):
        variants.store("/x", KEY, first, b"too much", is_whole=True)
    assert not variants.has_pending()
    assert [store.get("/x", KEY, number) for number in (1, 2)] == [b"2", None]


def test_a_call_that_has_ended_gives_back_no_number_of_another(tmp_path):
    """A cleanup that says twice that a call is over does not end the next one, which may have the same number."""
    store = DirectoryStore(tmp_path)
    variants = Variants(store, replaces=True, repeats=True, is_whole=lambda _: True)
    first = variants.begin("/x", KEY)
    variants.give_up("/x", KEY, first)
    second = variants.begin("/x", KEY)
    assert first == second == 1
    variants.give_up("/x", KEY, first)
    assert variants.has_pending()
    assert variants.store("/x", KEY, second, b"2", is_whole=True)
    variants.give_up("/x", KEY, second)
    assert not variants.has_pending()
    assert held(store)[:2] == ["2", ""]


def interrupted(action, moment):
    """Run `action` and interrupt the numbering at one of the moments where Python looks for signals.

    Returns:
        Whether it came so far.
    """
    count = 0

    def profile(frame, event, _):
        nonlocal count
        if event in ("call", "c_return") and "/session/" in frame.f_code.co_filename:
            count += 1
            if count == moment:
                raise KeyboardInterrupt

    before = sys.getprofile()
    sys.setprofile(profile)
    try:
        action()
    except KeyboardInterrupt:
        return True
    finally:
        sys.setprofile(before)
    return False


@pytest.mark.parametrize("is_run", [False, True], ids=["alone", "run"])
@pytest.mark.parametrize("ending", ["store", "give_up"])
@pytest.mark.parametrize("is_replacing", [False, True], ids=["add", "replace"])
def test_an_interrupt_leaves_no_number_under_way(tmp_path, ending, is_replacing, is_run):
    """Wherever it comes, a call's cleanup frees the number and the claim, and later answers follow without a gap."""
    for moment in range(1, 200):
        store = DirectoryStore(tmp_path / str(moment))
        run = RunCoordinator(tmp_path / "runs" / str(moment))
        if is_run:
            variants = RunVariants(store, run, lambda _: True)
        else:
            variants = Variants(store, replaces=is_replacing, repeats=True, is_whole=lambda _: True)
        first, second = variants.begin("/x", KEY), variants.begin("/x", KEY)
        variants.store("/x", KEY, second, b"second", is_whole=True)

        def end(variants=variants, first=first):
            if ending == "store":
                variants.store("/x", KEY, first, b"first", is_whole=True)
            else:
                variants.give_up("/x", KEY, first)

        came = interrupted(end, moment)
        variants.give_up("/x", KEY, first)
        assert not variants.has_pending()
        assert not list((tmp_path / "runs").rglob("*.claim"))
        third = variants.begin("/x", KEY)
        assert variants.store("/x", KEY, third, b"third", is_whole=True)
        variants.finish()
        run.tidy(lambda _: True)
        texts = [text for text in held(store) if text]
        assert held(store)[: len(texts)] == texts
        assert {"second", "third"} <= {*texts}
        if not came:
            break
    assert moment > 5
    assert not came


def test_a_call_that_begins_while_gaps_close_is_numbered_after_them(tmp_path, monkeypatch):
    """Nothing is forgotten then, and the gap behind it closes when it ends."""
    store = DirectoryStore(tmp_path)
    variants = Variants(store, replaces=True, repeats=True, is_whole=lambda _: True)
    first, second = variants.begin("/x", KEY), variants.begin("/x", KEY)
    variants.store("/x", KEY, second, b"second", is_whole=True)
    begun, move = [], store.move

    def meanwhile(*place):
        begun.append(variants.begin("/x", KEY))
        return move(*place)

    with monkeypatch.context() as patch:
        patch.setattr(store, "move", meanwhile)
        variants.give_up("/x", KEY, first)
    assert begun == [3]
    variants.store("/x", KEY, begun[0], b"third", is_whole=True)
    assert held(store)[:3] == ["second", "third", ""]
    assert variants.used == {("/x", KEY, 1), ("/x", KEY, 2)}


class InMemory:
    """A store that costs nothing, to see what the numbering costs."""

    directory = "memory"

    def stamps(self, _path, _key, numbers):
        return [None for _ in numbers]

    def replace(self, *_):
        pass


def test_a_session_remembers_little_of_what_it_recorded():
    """Of each of 5,000 requests that are answered it keeps less than 700 bytes, the key and the number among them."""
    variants = Variants(InMemory(), replaces=True, repeats=True, is_whole=lambda _: True)

    def record(numbers):
        for number in numbers:
            key = f"{number:064x}"
            variants.store("/x", key, variants.begin("/x", key), b"1", is_whole=True)

    record(range(100))
    tracemalloc.start()
    try:
        record(range(100, 5_100))
        used = tracemalloc.get_traced_memory()[0] / 5_000
    finally:
        tracemalloc.stop()
    assert used < 700
