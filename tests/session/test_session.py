"""A session: the modes, what counts as equal, misses, and recording that never breaks the program."""

from __future__ import annotations

import gc
import json
import logging
import os
import pickle
import weakref
from pathlib import Path

import openai
import pytest
from conftest import ASK, chunk, plain, sse
from editing import TOO_DEEP
from forkserver import forkserver

from inferencereplay import InvalidSetting, RecordingCorrupt, RecordingNotFound, Session, StoreError, replay, wrap
from inferencereplay.recording.format import Response
from inferencereplay.recording.request import NotSerializable, Request, canonical_json
from inferencereplay.session.near_requests import MOST_WEIGHED
from inferencereplay.store.directory import DirectoryStore

RECORDING = ("record", "record-if-missing")


def said(answer):
    return answer.choices[0].message.content


def recordings(directory):
    return [path for path in Path(directory).rglob("*") if path.is_file()]


def miss(directory, call, **options):
    """Return the error of a call that was not recorded."""
    with pytest.raises(RecordingNotFound) as caught, replay(directory, **options):
        call()
    return caught.value


# The table of modes.


@pytest.mark.parametrize("is_recorded", [True, False])
@pytest.mark.parametrize("mode", ["live", "replay", "record", "record-if-missing"])
def test_the_table_of_modes(driver, server, tmp_path, mode, is_recorded):
    """Each mode does with a recorded and with an unrecorded request what the design's table says."""
    if is_recorded:
        with replay(tmp_path, mode="record"):
            driver.chat()
    before = server.count
    try:
        with replay(tmp_path, mode=mode) as session:
            answer = said(driver.chat())
    except RecordingNotFound:
        answer = "miss"
    live, recorded = f"answer {before + 1}", "answer 1"
    table = {
        ("live", True): (live, recorded, (0, 0, 0)),
        ("live", False): (live, None, (0, 0, 0)),
        ("replay", True): (recorded, recorded, (1, 0, 0)),
        ("replay", False): ("miss", None, (0, 1, 0)),
        ("record-if-missing", True): (recorded, recorded, (1, 0, 0)),
        ("record-if-missing", False): (live, live, (0, 0, 1)),
        ("record", True): (live, live, (0, 0, 1)),
        ("record", False): (live, live, (0, 0, 1)),
    }
    expected, stored, counts = table[mode, is_recorded]
    assert answer == expected
    assert server.count - before == (expected == live)
    assert (session.hits, session.misses, session.recorded) == counts
    bodies = [json.loads(path.read_text())["response"]["body"] for path in recordings(tmp_path)]
    assert [body["choices"][0]["message"]["content"] for body in bodies] == ([stored] if stored else [])


# Directories and patterns.


def test_redact_adds_patterns(driver, tmp_path):
    """Given patterns are taken out of request and answer, beside the known ones, and requests stay equal."""

    def ask(ticket):
        return said(driver.chat(messages=[{"role": "user", "content": f"ticket {ticket} of sk-abcdef1234567890"}]))

    with replay(tmp_path, mode="record", redact=[r"T-\d+"]):
        ask("T-123")
    with replay(tmp_path, redact=r"T-\d+"):
        assert ask("T-999") == "answer 1"
    (file,) = recordings(tmp_path)
    assert "ticket [REDACTED] of [REDACTED]" in file.read_text()


@pytest.mark.parametrize("mode", RECORDING)
def test_llama_stacks_directory_cannot_be_recorded_into(tmp_path, mode):
    """A directory of llama-stack's is replayed only."""
    (tmp_path / "a.json").write_text('{"request": {"endpoint": "/v1/models", "body": {}}, "response": {"body": {}}}')
    with pytest.raises(InvalidSetting, match=r"is llama-stack's, and can be replayed only\. Record into another"):
        Session(tmp_path, mode=mode)


# Counts.


def test_counts_and_what_was_not_used(client, tmp_path):
    """A session counts what it did, and names the recordings that nobody asked for."""
    with replay(tmp_path, mode="record") as session:
        for seed in (1, 1, 2):
            client.chat.completions.create(**ASK, seed=seed)
    assert (session.hits, session.misses, session.recorded, session.unused()) == (0, 0, 3, [])
    with replay(tmp_path) as session:
        assert len(session.unused()) == 3
        client.chat.completions.create(**ASK, seed=1)
        unused = session.unused()
    assert session.hits == 1
    assert len(unused) == 2
    assert all(name.startswith("chat/completions/") for name in unused)
    assert sum(name.endswith("~2.json") for name in unused) == 1


def test_a_swallowed_miss_is_told_on_leaving(client, tmp_path):
    """Leaving `with replay` raises the first miss, with the number of the others, once per block."""
    session = Session(tmp_path)
    with pytest.raises(RecordingNotFound, match=r"2 calls were not recorded; this is the first\.$"), replay(session):
        for seed in (1, 2):
            with pytest.raises(RecordingNotFound):
                client.chat.completions.create(**ASK, seed=seed)
    with replay(session):
        pass
    assert session.misses == 2


# Misses.


def test_a_miss_says_all_there_is_to_say(driver, server, tmp_path):
    """The message has method, path, key, directory, the nearest recording, what differs, and a command."""
    long = "word " * 200
    base = [{"role": "system", "content": long + "old end"}, {"role": "user", "content": "Hello"}]
    with replay(tmp_path, mode="record"):
        driver.chat(messages=base, seed=7, tools=[{"type": "function", "function": {"name": "f"}}])
        driver.chat(messages=[{"role": "user", "content": "something else"}], model="other", n=3)
        driver.text()
    count = server.count
    messages = [{"role": "system", "content": long + "new end"}, {"role": "user", "content": "Hello"}]
    error = miss(
        tmp_path, lambda: driver.chat(messages=messages, tools=[{"type": "function", "function": {"name": "g"}}])
    )
    text = str(error)
    assert text.startswith(f"POST /chat/completions was not recorded in {tmp_path} (key {error.key[:12]}…).")
    assert (error.method, error.path, error.directory) == ("POST", "/chat/completions", str(tmp_path))
    assert len(error.key) == 64
    assert error.nearest in text
    assert json.loads((tmp_path / error.nearest).read_text())["request"]["body"]["seed"] == 7
    assert set(error.differences) == {
        'messages[0].content: "… word word word old end" → "… word word word new end"',
        "seed: 7 → absent",
        'tools[0].function.name: "f" → "g"',
    }
    assert all(f"\n  {line}" in text for line in error.differences)
    assert "To record it, run\n  INFERENCEREPLAY_MODE=record-if-missing " in text
    assert server.count == count
    assert str(pickle.loads(pickle.dumps(error))) == text


def test_a_miss_names_the_argument_that_sets_the_mode(client, tmp_path):
    """Where the mode is an argument, the environment could not change it, and the message says what can."""
    text = str(miss(tmp_path, lambda: client.chat.completions.create(**ASK), mode="replay"))
    assert "To record it, change mode='replay' to mode='record-if-missing', and run\n" in text


def test_a_miss_cuts_a_long_command(tmp_path):
    """A command of any length stays readable."""
    script = """
        import sys
        from inferencereplay import Session
        from inferencereplay.recording.request import Request
        session = Session(sys.argv[1])
        print(session.miss(session.call(Request("POST", "/x", b"{}"))))
    """
    run = forkserver().run(script, tmp_path, "x" * 1_000)
    assert run.stdout.endswith(" …\n")
    assert len(run.stdout) < 800


def test_a_miss_that_is_nested_too_deeply_to_be_compared(client, tmp_path):
    """It is a miss all the same."""
    with replay(tmp_path, mode="record"):
        client.chat.completions.create(**ASK)
    deep = Request("POST", "/chat/completions", b"[" * 200_000 + b"]" * 200_000, {})
    session = Session(tmp_path, mode="replay")
    error = session.miss(session.call(deep))
    assert isinstance(error, RecordingNotFound)
    assert "It cannot be compared with the recordings of that path: " in str(error)


@pytest.mark.parametrize("depth", [TOO_DEEP, 200_000])
@pytest.mark.parametrize("said", ["x", "sk-abcdefghijklmnop1234567890"])
def test_a_request_that_is_nested_too_deeply_is_refused(tmp_path, depth, said):
    """Where it has to be gone through, for a setting or for a secret, one error says that it cannot be."""
    body = b'{"a": ' + b"[" * depth + b'"' + said.encode() + b'"' + b"]" * depth + b"}"
    session = Session(tmp_path, mode="record", ignore="a.b")
    with pytest.raises(NotSerializable, match="nested too deeply"):
        session.prepare(Request("POST", "/x", body, {}))
    if said != "x":
        with pytest.raises(NotSerializable, match="nested too deeply"):
            _ = session.call(Request("POST", "/x", body, {})).redacted


def test_a_miss_where_no_recording_of_the_path_is(driver, tmp_path):
    """If nothing was recorded of the path, the message says so."""
    with replay(tmp_path, mode="record"):
        driver.text()
    error = miss(tmp_path, driver.chat)
    assert "There is no recording of that path." in str(error)
    assert (error.nearest, error.differences) == (None, ())


def test_a_miss_that_differs_in_the_query_only(driver, tmp_path):
    """If only the query differs, the message does not say that nothing does."""
    with replay(tmp_path, mode="record"):
        driver.chat(extra_query={"a": "1"})
    text = str(miss(tmp_path, lambda: driver.chat(extra_query={"a": "2"})))
    assert "it differs in the method or the query only" in text


def test_a_missing_directory_is_told_at_the_first_call(driver, server, tmp_path):
    """A directory that does not exist is no error until something is asked of it, and then a clear one."""
    directory = tmp_path / "nowhere"
    with replay(directory) as session:
        pass
    assert session.unused() == []
    text = str(miss(directory, driver.chat))
    assert f"was not recorded in {directory} " in text
    assert "That directory does not exist." in text
    assert server.count == 0
    assert not directory.exists()


def test_a_miss_looks_at_the_newest_recordings_only(tmp_path):
    """On a directory of 3,000 recordings a miss opens no more than 1,000 of them, and a few once more."""
    session = Session(tmp_path, mode="record")
    request = Request("POST", "/x", canonical_json({"q": 1}))
    session.begin(session.call(request)).keep(Response(body=b"{}"))
    (file,) = recordings(tmp_path)
    for number in range(3_000):
        (file.parent / f"{number:032x}.json").write_bytes(file.read_bytes() if number < 1_000 else b"torn")
        os.utime(file.parent / f"{number:032x}.json", (number, number))
    script = """
        import sys
        from inferencereplay import Session
        from inferencereplay.recording.request import Request
        session, opened = Session(sys.argv[1]), []
        sys.addaudithook(lambda event, args: event == "open" and str(args[0]).endswith(".json") and opened.append(args))
        session.miss(session.call(Request("POST", "/x", b'{"q":2}')))
        print(len(opened))
    """
    run = forkserver().run(script, tmp_path)
    assert 1_000 <= int(run.stdout) <= 1_002 + MOST_WEIGHED


# Files that cannot be used.


@pytest.mark.parametrize("mode", ["replay", "record-if-missing"])
@pytest.mark.parametrize("change", ["torn", "foreign", "edited", "moved", "empty"])
def test_a_corrupt_file_is_told_with_its_path(driver, server, tmp_path, mode, change):
    """A file that is torn, foreign, edited in its request or misplaced is an error, never an answer."""
    with replay(tmp_path, mode="record"):
        driver.chat()
        driver.chat(seed=1)
    first, second = sorted(recordings(tmp_path), key=lambda path: '"seed"' in path.read_text())
    data = first.read_bytes()
    changed = {
        "torn": data[: len(data) // 2],
        "foreign": b'{"hello": "world"}',
        "edited": data.replace(b"Hello", b"Hullo"),
        "moved": second.read_bytes(),
        "empty": b"",
    }
    first.write_bytes(changed[change])
    count = server.count
    with replay(tmp_path, mode=mode), pytest.raises(RecordingCorrupt) as caught:
        driver.chat()
    assert caught.value.path == str(first)
    assert str(first) in str(caught.value)
    assert server.count == count


def test_record_replaces_a_corrupt_file(client, tmp_path):
    """Recording again mends a corrupt file, with an incomplete stream too."""
    with replay(tmp_path, mode="record"):
        client.chat.completions.create(**ASK)
    (file,) = recordings(tmp_path)
    file.write_bytes(b"torn")
    with replay(tmp_path, mode="record"):
        client.chat.completions.create(**ASK)
    with replay(tmp_path):
        assert said(client.chat.completions.create(**ASK)) == "answer 2"


def test_an_incomplete_stream_replaces_a_corrupt_file(client, server, tmp_path):
    """What cannot be read is no whole recording that would have to stay."""

    def leave():
        server.replies = [sse(chunk("a"), chunk("b"), pause=0.05)]
        stream = client.chat.completions.create(**ASK, stream=True)
        next(stream)
        stream.close()

    for _ in range(2):
        with replay(tmp_path, mode="record") as session:
            leave()
        (file,) = recordings(tmp_path)
        assert session.recorded == 1
        assert b'"closed"' in file.read_bytes()
        file.write_bytes(b"torn")


def test_a_file_that_cannot_be_read_is_told(driver, server, tmp_path, caplog):
    """A recording that is there and cannot be read is an error in replay; a recorded program gets its answer."""
    with replay(tmp_path, mode="record"):
        driver.chat()
    (file,) = recordings(tmp_path)
    file.unlink()
    file.mkdir()
    with replay(tmp_path), pytest.raises(StoreError, match="cannot be read"):
        driver.chat()
    assert server.count == 1
    with replay(tmp_path, mode="record-if-missing"):
        assert driver.chat()
    assert server.count == 2
    assert [item.getMessage().count("cannot be read") for item in caplog.records if item.levelname == "WARNING"] == [1]


# Recording never breaks the program.


@pytest.mark.parametrize("mode", RECORDING)
@pytest.mark.parametrize("stream", [False, True])
def test_a_directory_that_cannot_be_written_costs_one_warning(driver, tmp_path, caplog, mode, stream):
    """If the directory became a file, the program gets its answer, and one warning says what was lost."""
    directory = tmp_path / "recordings"
    with replay(directory, mode=mode) as session, caplog.at_level(logging.WARNING):
        directory.write_text("in the way")
        answer = driver.chat(stream=stream)
    assert len(answer) == 3 if stream else said(answer) == "answer 1"
    assert session.recorded == 0
    (warning,) = caplog.records
    assert warning.message.startswith(f"POST /chat/completions was not recorded in {directory}: ")
    assert directory.read_text() == "in the way"


def test_a_recording_that_cannot_be_replaced_costs_one_warning(driver, tmp_path, caplog):
    """If something that is no file stands in the recording's place, the program gets its answer all the same."""
    with replay(tmp_path, mode="record"):
        driver.chat()
    (file,) = recordings(tmp_path)
    file.unlink()
    file.mkdir()
    with replay(tmp_path, mode="record") as session, caplog.at_level(logging.WARNING):
        assert said(driver.chat()) == "answer 2"
    assert [item.message.partition(" in ")[0] for item in caplog.records] == ["POST /chat/completions was not recorded"]
    assert session.recorded == 0
    assert list(file.parent.iterdir()) == [file]


def test_an_answer_that_cannot_be_written_down_costs_one_warning(tmp_path, caplog):
    """A recording that cannot be made into a file is given up with a warning, and leaves no gap."""
    session = Session(tmp_path, mode="record")
    request = Request("POST", "/x", canonical_json({"q": 1}))
    take, then = session.begin(session.call(request)), session.begin(session.call(request))
    with caplog.at_level(logging.WARNING, "inferencereplay"):
        take.keep(Response(body=b"no JSON"))
    assert [item.message.partition(" in ")[0] for item in caplog.records] == ["POST /x was not recorded"]
    then.keep(Response(body=b'"fine"'))
    assert [path.name for path in recordings(tmp_path)] == [f"{request.key[:32]}.json"]
    assert session.recorded == 1


def test_an_answer_that_came_second_is_told_quietly(tmp_path, caplog):
    """What is not stored, because another process was first, is told at the level of information."""
    request = Request("POST", "/x", canonical_json({"q": 1}))
    sessions = [Session(tmp_path, mode="record-if-missing") for _ in range(2)]
    takes = [session.begin(session.call(request)) for session in sessions]
    with caplog.at_level(logging.INFO, "inferencereplay"):
        takes[0].keep(Response(body=b'"first"'))
        takes[1].keep(Response(body=b'"second"'))
    assert [take.recorder.recorded for take in takes] == [1, 0]
    assert [(item.levelname, item.message) for item in caplog.records] == [
        ("INFO", "POST /x was not recorded: a recording with precedence already exists")
    ]
    assert b"first" in recordings(tmp_path)[0].read_bytes()


# The two keys of a request that holds a secret.


SECRET = {"messages": [{"role": "user", "content": "my word is xyzzy-1"}]}
PATTERN = r"xyzzy-\d"


def record_openly(directory, client, count=1):
    """Record a request with a secret in a session that does not know it for one."""
    with replay(directory, mode="record"):
        return [said(client.chat.completions.create(**{**ASK, **SECRET})) for _ in range(count)]


def test_what_was_stored_openly_still_answers(driver, client, tmp_path):
    """A recording from before a pattern was given answers the very same request, but no other."""
    (answer,) = record_openly(tmp_path, client)
    with replay(tmp_path, redact=[PATTERN]):
        assert said(driver.chat(**SECRET)) == answer
    other = {"messages": [{"role": "user", "content": "my word is xyzzy-2"}]}
    assert isinstance(miss(tmp_path, lambda: driver.chat(**other), redact=[PATTERN]), RecordingNotFound)


def test_recording_again_removes_what_was_stored_openly(driver, client, tmp_path):
    """`record` removes the variants that hold the secret; otherwise they would go before the new answer."""
    record_openly(tmp_path, client, 3)
    with replay(tmp_path, mode="record", redact=[PATTERN]) as session:
        answer = said(driver.chat(**SECRET))
    assert len(recordings(tmp_path)) == 1
    assert b"xyzzy" not in recordings(tmp_path)[0].read_bytes()
    assert session.unused() == []
    with replay(tmp_path, redact=[PATTERN]):
        assert said(driver.chat(**SECRET)) == answer


def test_an_abandoned_stream_removes_nothing_that_was_stored_openly(client, server, tmp_path):
    """A whole recording with a secret stays until a whole one without takes its place."""
    ask = {**ASK, **SECRET, "stream": True}
    with replay(tmp_path, mode="record"):
        whole = list(client.chat.completions.create(**ask))
    server.replies = [sse(chunk("a"), chunk("b"), pause=0.05)]
    with replay(tmp_path, mode="record", redact=[PATTERN]):
        stream = client.chat.completions.create(**ask)
        next(stream)
        stream.close()
    with replay(tmp_path, redact=[PATTERN]):
        assert list(client.chat.completions.create(**ask)) == whole


def test_an_abandoned_stream_that_was_stored_openly_gives_way(client, server, tmp_path):
    """An incomplete recording with a secret is recorded again, and the whole one without answers from then on."""
    ask = {**ASK, **SECRET, "stream": True}

    def leave():
        server.replies = [sse(chunk("a"), chunk("b"), pause=0.05)]
        with replay(tmp_path, mode="record"):
            stream = client.chat.completions.create(**ask)
            next(stream)
            stream.close()

    leave()
    with replay(tmp_path, mode="record-if-missing", redact=[PATTERN]) as session:
        whole = list(client.chat.completions.create(**ask))
    assert (session.recorded, len(recordings(tmp_path))) == (1, 1)
    leave()
    assert len(recordings(tmp_path)) == 2
    for mode in ("replay", "record-if-missing"):
        with replay(tmp_path, mode=mode, redact=[PATTERN]):
            assert list(client.chat.completions.create(**ask)) == whole


def test_an_abandoned_stream_that_is_the_only_one_answers(client, server, tmp_path):
    """In replay an incomplete recording with a secret is better than none."""
    ask = {**ASK, **SECRET, "stream": True}
    server.replies = [sse(chunk("a"), chunk("b"), pause=0.05)]
    with replay(tmp_path, mode="record"):
        stream = client.chat.completions.create(**ask)
        next(stream)
        stream.close()
    with replay(tmp_path, redact=[PATTERN]):
        assert next(client.chat.completions.create(**ask)).choices[0].delta.content == "a"


def test_live_calls_after_the_last_variant_do_not_mix_keys(client, tmp_path):
    """With `exhausted="record"` the recorded run and the replayed one get the same list, whatever was stored openly."""
    record_openly(tmp_path, client, 2)

    def ask(**options):
        with replay(tmp_path, redact=[PATTERN], **options):
            return [said(client.chat.completions.create(**{**ASK, **SECRET})) for _ in range(3)]

    live = ask(mode="record-if-missing", exhausted="record")
    assert len(set(live)) == 3
    assert ask() == live
    assert len(recordings(tmp_path)) == 3


def test_used_up_is_told_of_what_was_stored_openly_too(client, tmp_path):
    """With `exhausted="error"` the recordings of a request are used up under whichever key they stand."""
    record_openly(tmp_path, client, 1)
    for mode in ("replay", "record-if-missing"):
        with (
            pytest.raises(RecordingNotFound, match="are used up"),
            replay(tmp_path, mode=mode, redact=[PATTERN], exhausted="error"),
        ):
            for _ in range(2):
                client.chat.completions.create(**{**ASK, **SECRET})


# Directories.


def test_a_file_in_place_of_the_directory_is_told_at_once(client, tmp_path):
    """A directory that is a file is an error where it is given."""
    (tmp_path / "file").write_text("x")
    for give in (Session, replay(tmp_path / "file").__enter__, lambda: wrap(client, tmp_path / "file")):
        with pytest.raises(StoreError, match="is a file"):
            give(tmp_path / "file") if give is Session else give()


@pytest.mark.parametrize("mode", RECORDING)
def test_a_program_that_is_recorded_into_a_file_goes_on(driver, tmp_path, caplog, mode):
    """Recording never breaks the program: each answer that cannot be stored costs one warning."""
    (tmp_path / "file").write_text("x")
    with replay(tmp_path / "file", mode=mode) as session, caplog.at_level(logging.WARNING, "inferencereplay"):
        assert said(driver.chat()) == "answer 1"
    assert ["Not a directory" in message for message in caplog.messages] == [True]
    assert (session.recorded, (tmp_path / "file").read_text()) == (0, "x")
    caplog.clear()
    with replay(tmp_path / ("n" * 300), mode=mode), caplog.at_level(logging.WARNING, "inferencereplay"):
        assert said(driver.chat()) == "answer 2"
    assert ["File name too long" in message for message in caplog.messages] == [True]


def test_a_store_is_found_below_the_working_directory(client, tmp_path, monkeypatch):
    """A relative directory is the one below the working directory at the time when the session was made."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sub").mkdir()
    with replay("recordings", mode="record"):
        monkeypatch.chdir(tmp_path / "sub")
        client.chat.completions.create(**ASK)
    assert len(recordings(tmp_path / "recordings")) == 1
    assert list(DirectoryStore(tmp_path / "sub").list()) == []


def test_a_miss_that_was_raised_is_not_told_again(tmp_path, client):
    """A session that is used again after a block that a miss left says nothing of it on leaving the next one."""
    session = Session(tmp_path)
    with pytest.raises(RecordingNotFound), replay(session):
        client.chat.completions.create(**ASK)
    with replay(session):
        assert session.misses == 1


def test_what_a_miss_advises_can_be_done(client, tmp_path):
    """A mode is quoted as the program gave it."""
    with pytest.raises(RecordingNotFound, match="change mode='none' to"), replay(tmp_path, mode="none"):
        client.chat.completions.create(**ASK)


# Misses whose reason is known.


def test_a_miss_says_that_an_answer_was_not_stored(driver, server, tmp_path):
    """An unrelated recording is no help where the call was made, and its answer was transient."""
    with replay(tmp_path, mode="record") as session:
        driver.text()
        server.replies = [plain({"error": {"message": "slow down"}}, status=429)] * 3
        with pytest.raises(openai.RateLimitError):
            driver.chat()
    assert session.recorded == 1
    text = str(miss(tmp_path, driver.chat))
    assert "It was called, but an answer 429 is transient and was not stored (record_errors=True stores it)." in text
    assert "nearest" not in text


def test_skipped_answers_are_remembered_up_to_a_limit(monkeypatch, tmp_path):
    """They take no memory without bounds."""
    monkeypatch.setattr("inferencereplay.session.recorder.MOST_SKIPPED", 1)
    session = Session(tmp_path, mode="record")
    calls = [session.call(Request("POST", "/x", canonical_json(number))) for number in (1, 2)]
    for call in calls:
        session.recorder.skip(session.begin(call), "an answer 429")
    assert [session.recorder.skipped(call.request.key) for call in calls] == ["", "an answer 429"]


def test_a_miss_that_differs_in_a_random_member_only_names_the_setting(client, server, tmp_path):
    """As that of openai-agents, which makes a key for the prompt cache in each run."""
    with replay(tmp_path, mode="record"):
        client.chat.completions.create(**ASK, prompt_cache_key="a-1")
    text = str(miss(tmp_path, lambda: client.chat.completions.create(**ASK, prompt_cache_key="b-2")))
    assert "Frameworks make prompt_cache_key anew in each run. Set ignore='prompt_cache_key'" in text
    with replay(tmp_path, mode="record", ignore="prompt_cache_key"):
        answer = client.chat.completions.create(**ASK, prompt_cache_key="a-1")
    with replay(tmp_path, ignore="prompt_cache_key"):
        assert client.chat.completions.create(**ASK, prompt_cache_key="b-2") == answer


@pytest.mark.parametrize("mode", ["record", "record-if-missing", "replay"])
def test_a_session_whose_uses_are_followed_is_free_in_the_end(client, tmp_path, mode):
    """Nobody but its program holds it: a run of thousands of tests follows thousands of sessions."""
    with replay(tmp_path, mode="record"):
        client.chat.completions.create(**ASK)
    told = []
    session = Session(tmp_path, mode=mode)
    session.follow_used(told.append)
    with replay(session):
        client.chat.completions.create(**ASK)
    assert told == [tuple(session.used())]
    gone = weakref.ref(session)
    del session
    gc.collect()
    assert gone() is None
