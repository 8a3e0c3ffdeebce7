"""Answers that equal the stored ones but for what varies by nature leave their files as they are."""

from __future__ import annotations

import json
import logging
import os
import threading

import openai
import pytest
from conftest import ASK, Reply, chunk, completion, plain, sse
from editing import edit

from inferencereplay import InvalidSetting, RecordingNotFound, Session, current_session, replay, wrap
from inferencereplay.catalogue.entries import Catalogue
from inferencereplay.recording.request import Request
from inferencereplay.session import equal_answers
from inferencereplay.session.equal_answers import HeldAnswers, stays
from inferencereplay.session.run_coordinator import RunCoordinator
from inferencereplay.store.directory import DirectoryStore

TOOL = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}}}


@pytest.fixture(autouse=True)
def held(monkeypatch):
    """Give each test an empty memory of answers."""
    made = HeldAnswers()
    monkeypatch.setattr(equal_answers, "_of_process", made)
    return made


def files(directory):
    return {path.relative_to(directory).as_posix(): path.read_bytes() for path in directory.rglob("*.json")}


def chat(client, **changes):
    answer = client.chat.completions.create(**{**ASK, **changes})
    return [item.choices[0].delta.content for item in answer] if changes.get("stream") else answer


def answer(text, number):
    """Return an answer whose id, time and build are those of an attempt."""
    return completion(text, id=f"chatcmpl-attempt{number}", created=number, system_fingerprint=f"fp_{number}")


def record(directory, client, server, *replies, mode="record", calls=None, **options):
    """Record chats that get these replies; return the session."""
    server.replies = [item if isinstance(item, Reply) else plain(item) for item in replies]
    with replay(directory, mode=mode, **options) as session:
        for call in calls or [lambda: chat(client)] * len(replies):
            call()
    return session


def test_a_file_with_an_equal_answer_stays(client, server, tmp_path):
    """It is left as it is, to the byte, and counted; the caller gets the live answer."""
    assert record(tmp_path, client, server, answer("a", 1)).recorded == 1
    before = files(tmp_path)
    server.replies = [plain(answer("a", 2))]
    with replay(tmp_path, mode="record") as session:
        assert chat(client).id == "chatcmpl-attempt2"
    assert files(tmp_path) == before
    assert (session.recorded, session.unchanged) == (0, 1)
    assert "recorded=0, unchanged=1" in repr(session)
    assert session.used() == [*before]
    assert [call.outcome for call in session.calls] == ["recorded"]
    assert [call.recording for call in session.calls] == [*before]


def test_a_file_with_another_answer_is_replaced(client, server, tmp_path):
    """As before."""
    record(tmp_path, client, server, answer("a", 1))
    session = record(tmp_path, client, server, answer("b", 2))
    assert (session.recorded, session.unchanged) == (1, 0)
    assert b"attempt2" in b"".join(files(tmp_path).values())


def test_keep_equal_can_be_turned_off(client, server, tmp_path, monkeypatch):
    """By an argument, or by the environment."""
    record(tmp_path, client, server, answer("a", 1))
    assert record(tmp_path, client, server, answer("a", 2), keep_equal=False).recorded == 1
    assert b"attempt2" in b"".join(files(tmp_path).values())
    monkeypatch.setenv("INFERENCEREPLAY_KEEP_EQUAL", "no")
    assert record(tmp_path, client, server, answer("a", 3)).recorded == 1
    assert b"attempt3" in b"".join(files(tmp_path).values())
    with pytest.raises(InvalidSetting, match="keep_equal='no' is neither True nor False"):
        Session(tmp_path, keep_equal="no")


def test_streams_and_errors_too(client, server, tmp_path):
    """A stream with other ids and times, and an error with another request id."""
    refused = plain({"error": {"message": "no", "type": "invalid_request_error"}}, 400)

    def ask(text, ident, pause):
        server.replies = [sse(chunk(text, id=ident), chunk(None, "stop", id=ident), pause=pause), refused]
        with replay(tmp_path, mode="record") as session:
            assert chat(client, stream=True) == [text, None]
            with pytest.raises(openai.BadRequestError):
                chat(client)
        return session

    assert ask("a", "c-1", 0.0).recorded == 2
    before = files(tmp_path)
    assert ask("a", "c-2", 0.01).unchanged == 2
    assert files(tmp_path) == before
    assert ask("b", "c-2", 0.0).unchanged == 1
    assert files(tmp_path) != before


def test_an_incomplete_answer_replaces_no_equal_one_and_counts_by_itself(client, server, tmp_path):
    """A stream that was left is another answer than the whole one; one that was left at the same place is equal."""

    def left(count):
        server.replies = [sse(*(chunk(str(number)) for number in range(3)), pause=0.05)]
        with replay(tmp_path, mode="record") as session, client.chat.completions.create(**ASK, stream=True) as stream:
            for _ in range(count):
                next(stream)
        return session

    assert left(1).recorded == 1
    before = files(tmp_path)
    assert left(1).unchanged == 1
    assert files(tmp_path) == before
    server.replies = [sse(*(chunk(str(number)) for number in range(3)))]
    with replay(tmp_path, mode="record") as session:
        chat(client, stream=True)
    assert session.recorded == 1


@pytest.mark.parametrize("texts", ["abc", "xbc", "axc", "abx", "xxx", "ab", "a", "xb", "abcd"])
def test_variants_stay_in_order_when_some_are_kept(client, server, tmp_path, texts):
    """Each call is compared with the variant of its number; surplus ones are removed."""
    record(tmp_path, client, server, *(answer(text, 1) for text in "abc"))
    session = record(tmp_path, client, server, *(answer(text, 2) for text in texts))
    kept = sum(one == other for one, other in zip(texts, "abc", strict=False))
    assert (session.unchanged, session.recorded) == (kept, len(texts) - kept)
    with replay(tmp_path) as session:
        assert [chat(client).choices[0].message.content for _ in texts] == [*texts]
    assert len(files(tmp_path)) == len(texts)


def test_variants_close_their_gap_when_some_are_kept(client, server, tmp_path):
    """Of overlapping calls the first one fails: the others move down, whether their files were kept or not."""
    record(tmp_path, client, server, *(answer(text, 1) for text in "abc"))
    broken = sse(chunk("left"), chunk("behind"), pause=0.05)
    server.replies = [broken, plain(answer("b", 2)), plain(answer("d", 2))]
    with replay(tmp_path, mode="record") as session:
        pending = session.begin(session.call(call_request(tmp_path)))  # holds number 1
        chat(client)
        chat(client)
        pending.drop()
    assert len(files(tmp_path)) == 2


def call_request(directory):
    """Return the request of the recordings in a directory."""
    return next(Catalogue(directory).entries()).request


def test_concurrent_recorders(client, server, tmp_path):
    """Two sessions and several threads record the same request: each answer is kept or stored, and none is lost."""
    record(tmp_path, client, server, *(answer("a", number) for number in range(4)))
    before = files(tmp_path)
    server.replies = [plain(answer("a", number)) for number in range(4, 12)]

    def run():
        with replay(tmp_path, mode="record") as session:
            chat(client)
            chat(client)
            chat(client)
            chat(client)
        sessions.append(session)

    sessions = []
    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(session.unchanged + session.recorded for session in sessions) == 8
    assert {*files(tmp_path)} == {*before}


def test_sessions_of_a_run(client, server, tmp_path):
    """In a run of tests the first session keeps the file, and the next one replays it."""
    record(tmp_path / "r", client, server, answer("a", 1))
    before = files(tmp_path / "r")
    run = RunCoordinator(tmp_path / "run", "main")
    server.replies = [plain(answer("a", 2))]
    counts = []
    for _ in range(2):
        session = Session(tmp_path / "r", mode="record")
        session.join(run)
        with replay(session):
            chat(client)
        counts.append((session.hits, session.recorded, session.unchanged))
    assert counts == [(0, 0, 1), (1, 0, 0)]
    assert files(tmp_path / "r") == before


def test_a_file_that_cannot_be_used_is_replaced(client, server, tmp_path):
    """A torn one, one whose request was edited, and one that is a link out of the directory... all as without it."""
    record(tmp_path, client, server, answer("a", 1))
    (name,) = files(tmp_path)
    file = tmp_path / name
    whole = file.read_bytes()
    file.write_bytes(whole[:-9])
    assert record(tmp_path, client, server, answer("a", 2)).recorded == 1
    edit(tmp_path, file.stem[:12], temperature=0.9)
    assert record(tmp_path, client, server, answer("a", 3)).recorded == 1
    file.unlink()
    os.mkfifo(file)
    assert record(tmp_path, client, server, answer("a", 4)).recorded == 1
    assert b"attempt4" in file.read_bytes()


def test_a_secret_in_what_varies_leaves_the_file(client, server, tmp_path):
    """An id that is known to be a secret now is stored no longer."""
    assert record(tmp_path, client, server, answer("a", 1)).recorded == 1
    (file,) = tmp_path.rglob("*.json")
    secret = json.loads(file.read_text())["response"]["body"]["id"]
    assert record(tmp_path, client, server, answer("a", 1), redact=[secret]).recorded == 1
    assert secret not in file.read_text()
    assert record(tmp_path, client, server, answer("a", 1), redact=[secret]).unchanged == 1


def test_a_secret_that_is_known_now_leaves_the_file(client, server, tmp_path):
    """An equal answer does not keep a base URL that holds a secret."""
    record(tmp_path, client, server, answer("a", 1))
    port = server.url.split(":")[2].split("/")[0]
    assert record(tmp_path, client, server, answer("a", 1), redact=[port]).recorded == 1
    assert port.encode() not in b"".join(files(tmp_path).values())
    assert record(tmp_path, client, server, answer("a", 1), redact=[port]).unchanged == 1


# Ids that a program sends back.


def tool_call(ident, number):
    call = {"id": ident, "type": "function", "function": {"name": "weather", "arguments": "{}"}}
    made = answer(None, number)
    made["choices"][0]["message"]["tool_calls"] = [call]
    return made


def converse(client):
    """Ask, and send the call of the tool back with its result."""
    first = chat(client, tools=[TOOL]).choices[0].message
    called = first.tool_calls[0]
    result = {"role": "tool", "tool_call_id": called.id, "content": "sunny"}
    messages = [*ASK["messages"], first.model_dump(exclude_none=True), result]
    return chat(client, messages=messages, tools=[TOOL]).choices[0].message.content


@pytest.mark.parametrize("is_apart", [False, True], ids=["one session", "a session for each call"])
def test_an_answer_whose_id_is_sent_back_is_stored_after_all(client, server, tmp_path, is_apart):
    """Or the later request would have an id that no replay gives out. The counts say what became of it."""
    record(tmp_path, client, server, tool_call("call_1", 1), answer("ok", 1), calls=[lambda: converse(client)])
    server.replies = [plain(tool_call("call_2", 2)), plain(answer("ok", 2))]
    counted = []
    if is_apart:

        @replay(tmp_path, mode="record")
        def asked(**changes):
            made = chat(client, **changes)
            counted.append(current_session())
            return made

        first = asked(tools=[TOOL]).choices[0].message
        result = {"role": "tool", "tool_call_id": first.tool_calls[0].id, "content": "sunny"}
        asked(messages=[*ASK["messages"], first.model_dump(exclude_none=True), result], tools=[TOOL])
    else:
        with replay(tmp_path, mode="record") as session:
            converse(client)
        counted.append(session)
    assert sum(session.recorded for session in counted) == 2
    assert sum(session.unchanged for session in counted) == 0
    with replay(tmp_path) as session:
        assert converse(client) == "ok"
    assert session.hits == 2


def test_with_tool_call_ids_normalized_both_files_stay(client, server, tmp_path):
    """The later request is the same with any id."""
    given = {"normalize": "tool_call_ids", "calls": [lambda: converse(client)]}
    record(tmp_path, client, server, tool_call("call_1", 1), answer("ok", 1), **given)
    before = files(tmp_path)
    session = record(tmp_path, client, server, tool_call("call_2", 2), answer("ok", 2), **given)
    assert (session.recorded, session.unchanged) == (0, 2)
    assert files(tmp_path) == before


@pytest.mark.parametrize("how", ["body", "path", "query"])
def test_an_id_in_the_path_and_in_the_query_counts_too(client, server, tmp_path, how):
    """As `previous_response_id`, in the path of a later request, and in its query."""

    def ask(number):
        server.replies = [plain({"id": f"resp_{number}", "output": []}), plain({"id": "x", "output": []})]
        with replay(tmp_path, mode="record") as session:
            made = client.post("/responses", body={"input": "a"}, cast_to=object)
            if how == "body":
                client.post("/responses", body={"previous_response_id": made["id"]}, cast_to=object)
            elif how == "path":
                client.get(f"/responses/{made['id']}/input_items", cast_to=object)
            else:
                client.get("/responses", options={"params": {"after": made["id"]}}, cast_to=object)
        return session

    ask(1)
    assert ask(2).recorded == 2
    assert sorted(json.loads(data)["response"]["body"]["id"] for data in files(tmp_path).values())[:1] == ["resp_2"]


def test_the_file_is_found_after_a_gap_was_closed(client, server, tmp_path):
    """An answer that was kept under number 2 has number 1 when it has to be stored."""
    record(tmp_path, client, server, tool_call("call_0", 0), tool_call("call_1", 1), calls=[lambda: chat(client)] * 2)
    server.replies = [plain(tool_call("call_2", 2)), plain(answer("ok", 2))]
    with replay(tmp_path, mode="record") as session:
        first = session.begin(session.call(call_request(tmp_path)))
        chat(client)  # number 2
        first.drop()
        chat(client, messages=[{"role": "tool", "tool_call_id": "call_2", "content": "a"}])
    assert session.recorded == 2
    assert any(b"call_2" in data and b"chatcmpl-attempt2" in data for data in files(tmp_path).values())


def test_a_file_that_was_changed_meanwhile_is_left(client, server, tmp_path, caplog):
    """By another process, or so that it cannot be written."""
    record(tmp_path, client, server, tool_call("call_1", 1))
    (name,) = files(tmp_path)
    server.replies = [plain(tool_call("call_2", 2)), plain(answer("ok", 2))]
    with replay(tmp_path, mode="record") as session:
        chat(client)
        edit(tmp_path, (tmp_path / name).stem[:12], status=201)
        chat(client, messages=[{"role": "tool", "tool_call_id": "call_2", "content": "a"}])
    assert (session.recorded, session.unchanged) == (1, 1)
    assert json.loads((tmp_path / name).read_bytes())["response"]["status"] == 201
    assert caplog.messages == []


def test_an_answer_that_cannot_be_replaced_costs_a_warning(client, server, tmp_path, caplog, monkeypatch):
    """The call that sends the id back is recorded all the same."""
    record(tmp_path, client, server, tool_call("call_1", 1))
    server.replies = [plain(tool_call("call_2", 2)), plain(answer("ok", 2))]

    (name,) = files(tmp_path)
    replace_if = DirectoryStore.replace_if

    def fail(store, path, key, *rest):
        if key[:32] in name:
            raise OSError(28, "No space left on device")
        return replace_if(store, path, key, *rest)

    with replay(tmp_path, mode="record") as session:
        chat(client)
        monkeypatch.setattr(DirectoryStore, "replace_if", fail)
        chat(client, messages=[{"role": "tool", "tool_call_id": "call_2", "content": "a"}])
    assert (session.recorded, session.unchanged) == (1, 1)
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert "could not be replaced: [Errno 28] No space left on device" in caplog.text


def test_what_would_take_too_much_memory_is_stored(client, server, tmp_path, monkeypatch):
    """The answers that may have to be stored are kept in memory up to a limit, and no longer than they need to be."""
    record(tmp_path, client, server, answer("a", 1), answer("b", 1))
    monkeypatch.setattr(equal_answers, "MOST_HELD", 2 * max(map(len, files(tmp_path).values())) + 9)
    session = record(tmp_path, client, server, answer("a", 2), answer("b", 2))
    assert (session.recorded, session.unchanged) == (1, 1)
    same = record(tmp_path, client, server, answer("a", 1), answer("b", 2))
    assert same.unchanged == 2  # without new ids nothing is kept in memory


def test_an_id_without_a_word_is_stored():
    """A request could not be searched for it."""
    held = json.dumps(
        {
            "inferencereplay": 1,
            "key": call_key(),
            "request": {"method": "POST", "path": "/chat/completions", "body": {}},
            "response": {"body": {"id": "IDENT"}},
        }
    ).encode()
    assert stays(None, None, None, held, held)
    assert not stays(None, None, None, held, held.replace(b"IDENT", b"..."))
    assert not stays(None, None, None, held, held.replace(b'"id"', b'"idea"'))


def call_key():
    return Request("POST", "/chat/completions", b"{}").key


def test_an_answer_is_taken_once():
    """However many of its ids a request holds."""
    answers = HeldAnswers()
    held = equal_answers.Held(None, None, b"12", b"345", (b"id_1", b"id_2"), print)
    assert answers.take([b"id_1"]) == []
    assert answers.add(held)
    assert held.size == 5
    assert answers.take([b'{"a": "id_3"}', b"id_1x"]) == []
    assert answers.take([b'{"a": "id_1", "b": "id_2"}']) == [held]
    assert answers.take([b"id_2"]) == []


def test_a_wrapped_client_keeps_files_too(server, tmp_path, client):
    """Without a block."""
    record(tmp_path, client, server, answer("a", 1))
    session = Session(tmp_path, mode="record")
    server.replies = [plain(answer("a", 2))]
    wrap(client, session).chat.completions.create(**ASK)
    assert session.unchanged == 1
    with pytest.raises(RecordingNotFound), replay(tmp_path):
        chat(client, temperature=0.1)
