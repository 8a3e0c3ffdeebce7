"""The calls of a session: what was asked, in order, and what became of it."""

from __future__ import annotations

import gc
import json
import threading
import weakref

import openai
import pytest
from conftest import ASK, Reply, chunk, completion, plain, sse
from editing import TOO_DEEP
from ways import WAYS, run, settle

from inferencereplay import (
    Fault,
    InvalidClient,
    InvalidSetting,
    RecordingNotFound,
    Session,
    current_session,
    replay,
    wrap,
)
from inferencereplay.pacing.clocks import VirtualClock
from inferencereplay.recording.request import Request
from inferencereplay.session.calls_log import Calls

KEY = "sk-test-0123456789abcdef"
FLAKY = plain({"error": {"message": "busy"}}, 500, retry_after_ms="1")


def asking(text, **more):
    return {**ASK, "messages": [{"role": "user", "content": text}], **more}


def told(calls):
    return [(call.outcome, call.method, call.path, call.body) for call in calls]


@pytest.mark.filterwarnings("ignore:Pydantic serializer warnings")
@pytest.mark.parametrize("name", WAYS)
def test_every_way_of_calling_is_noted(driver, server, tmp_path, name):
    """Whichever way a call is made, and in each mode, one call is noted, as it was sent."""
    way, reply = WAYS[name]
    for mode, outcome in (("live", "live"), ("record", "recorded"), ("record-if-missing", None), ("replay", "hit")):
        server.renumber(reply)
        with replay(tmp_path, mode=mode) as session:
            run(driver, way)
        method, path, _, body = server.requests[-1]
        expected = path.partition("?")[0].removeprefix("/v1").replace("%2F", "/")
        (call,) = session.calls
        assert (call.outcome, call.method, call.path.replace("%2F", "/"), call.body) == (
            outcome or call.outcome,
            method,
            expected,
            body,
        )
        assert call.attempts == 1
        assert call.started <= call.ended


def test_what_was_asked_in_order(driver, tmp_path):
    """Hits, misses, and what was recorded stand in the order in which the calls were made."""
    with replay(tmp_path, mode="record"):
        driver.chat()
    with pytest.raises(RecordingNotFound), replay(tmp_path) as session:
        driver.chat()
        driver.text()
    with replay(tmp_path, mode="record-if-missing") as second:
        driver.chat()
        driver.text()
    assert told(session.calls) == [
        ("hit", "POST", "/chat/completions", ASK),
        ("miss", "POST", "/completions", {"model": "m", "prompt": "Once"}),
    ]
    assert [call.outcome for call in second.calls] == ["hit", "recorded"]
    assert [call.number for call in second.calls] == [1, 2]
    assert (tmp_path / second.calls[0].recording).exists()
    assert (tmp_path / second.calls[1].recording).exists()
    assert second.calls[1].recording.startswith("completions/")
    assert session.calls[1].recording is None


def test_calls_are_narrowed(client, tmp_path):
    """By endpoint, by path, model and outcome, also by patterns, and by a predicate."""
    with replay(tmp_path, mode="record") as session:
        client.chat.completions.create(**ASK)
        client.chat.completions.create(**{**ASK, "model": "gpt-4o"})
        client.completions.create(model="m", prompt="Once")
        client.embeddings.create(model="e", input="a")
        client.models.list()
    calls = session.calls
    assert [len(part) for part in (calls.chat, calls.completions, calls.embeddings, calls.responses)] == [2, 1, 1, 0]
    assert [call.number for call in calls.where(model="gpt-*")] == [2]
    assert [call.number for call in calls.where(path="/*s", model="m")] == [1, 3]
    assert [call.number for call in calls.where(outcome="recorded", path="/models")] == [5]
    assert [call.number for call in calls.where(lambda call: call.body and "input" in call.body)] == [4]
    assert calls.where(outcome="miss") == ()
    assert [call.number for call in calls[1:3]] == [2, 3]
    assert isinstance(calls[1:3], Calls)
    assert calls[-1].model is None
    assert calls[0] in calls.chat
    assert len({*session.calls, *calls}) == 5
    assert calls[0] != 1
    with pytest.raises(
        ValueError, match=r"outcome='hits' is none\. Valid are 'hit', 'miss', 'recorded', 'live', 'stub'"
    ):
        calls.where(outcome="hits")


def test_a_call_is_the_same_whenever_it_is_looked_at(client, recorded):
    """Also one that was noted in a few bytes; calls of other sessions are others."""
    directory, _ = recorded
    with replay(directory) as session:
        client.chat.completions.create(**ASK)
        client.chat.completions.create(**ASK)
    with replay(directory) as other:
        client.chat.completions.create(**ASK)
    first, second = session.calls
    assert first == session.calls[0]
    assert not first != session.calls[0]  # noqa: SIM202 - both operators are tested
    assert first != second
    assert first != other.calls[0]
    assert len({first, *session.calls, *other.calls}) == 3


def test_what_a_failed_assertion_shows(client, tmp_path):
    """A call is one short line, however long its body is."""
    long = "x" * 10_000
    turns = [{"role": "user", "content": [{"type": "text", "text": "look\nhere"}]}]
    with replay(tmp_path, mode="record") as session:
        client.chat.completions.create(**asking(long))
        client.chat.completions.create(model="m", messages=turns)
        client.chat.completions.create(model="m", messages=[{"role": "assistant", "content": None}])
        client.embeddings.create(model="m", input=[[1, 2]])
        client.models.list()
    assert repr(session.calls[0]) == f"<1 recorded POST /chat/completions m '{'x' * 47}…'>"
    assert str(session.calls).splitlines()[1:] == [
        "<2 recorded POST /chat/completions m 'look\\nhere'>",
        "<3 recorded POST /chat/completions m>",
        "<4 recorded POST /embeddings m>",
        "<5 recorded GET /models>",
    ]
    assert repr(session.calls[3:]) == "Calls(<4 recorded POST /embeddings m>, <5 recorded GET /models>)"
    assert str(session.calls.responses) == "no calls"


def test_the_newest_calls_are_kept(driver, tmp_path):
    """As many as `keep_calls` says; how many were before is told."""
    with replay(tmp_path, mode="record", keep_calls=2) as session:
        for _ in range(3):
            driver.chat()
    assert [call.number for call in session.calls] == [2, 3]
    assert session.calls.dropped == session.calls.chat.dropped == 1
    assert str(session.calls).startswith("… 1 earlier call was not kept\n<2 ")
    with replay(tmp_path, keep_calls=0) as session:
        driver.chat()
    assert session.calls == ()
    assert session.calls.dropped == 1


@pytest.mark.parametrize("count", [-1, True, 1.5, "3", 10**7])
def test_an_invalid_number_of_calls_is_refused(tmp_path, count):
    """The message says what is valid."""
    with pytest.raises(InvalidSetting, match=r"keep_calls=.* is no number of calls. Valid is a whole number from 0 to"):
        Session(tmp_path, keep_calls=count)


@pytest.mark.parametrize("mode", ["live", "record", "replay", "miss"])
def test_secrets_are_hidden_as_in_files(driver, tmp_path, mode):
    """Those of known shapes, those that `redact` adds, and the client's own, whatever became of the call."""
    content = f"T-123 ghp_0123456789abcdefghijABCDEFGHIJ456789 my-very-own-key-{'z' * 9}"
    own = f"my-very-own-key-{'z' * 9}"

    def ask():
        return driver(lambda client: client.chat.completions.create(**asking(content)), api_key=own)

    if mode == "replay":
        with replay(tmp_path, mode="record", redact=r"T-\d+"):
            ask()
    if mode == "miss":
        with pytest.raises(RecordingNotFound), replay(tmp_path, redact=r"T-\d+") as session:
            ask()
    else:
        with replay(tmp_path, mode=mode, redact=r"T-\d+") as session:
            ask()
    gc.collect()
    (call,) = session.calls
    assert call.body["messages"][0]["content"] == "[REDACTED] [REDACTED] [REDACTED]"
    assert "ghp_" not in repr(call)


def test_a_secret_that_is_learned_later_is_hidden(server, tmp_path):
    """A token that the program fetches for the call is known when it is sent."""
    token = "fetched-token-0123456789"
    options = {"azure_endpoint": server.url, "api_version": "1", "azure_ad_token_provider": lambda: token}
    with openai.AzureOpenAI(**options) as client, replay(tmp_path, mode="record") as session:
        client.chat.completions.create(**asking(f"is {token} valid?"))
    assert session.calls[0].body["messages"][0]["content"] == "is [REDACTED] valid?"


def test_what_is_sent_is_told_not_what_is_compared(driver, tmp_path):
    """`ignore` and `normalize` change what is compared; the call shows what was asked."""
    options = {"ignore": ["user"], "normalize": lambda body: {**body, "model": "any"}}
    with replay(tmp_path, mode="record", **options) as first:
        driver.chat(user="a")
    with replay(tmp_path, **options) as second:
        driver.chat(user="b")
    assert first.calls[0].body == {**ASK, "user": "a"}
    assert second.calls[0].body == {**ASK, "user": "b"}


def test_bodies_are_copies(client, tmp_path):
    """Neither what a test does with them nor what the program does with its arguments changes a call."""
    turns = [{"role": "user", "content": "a"}]
    for mode in ("live", "record", "replay"):
        with replay(tmp_path, mode=mode) as session:
            client.chat.completions.create(model="m", messages=turns)
        turns[0]["content"] = "changed"
        session.calls[0].body["messages"].clear()
        assert session.calls[0].body["messages"] == [{"role": "user", "content": "a"}]
        turns[0]["content"] = "a"


@pytest.mark.parametrize("mode", ["live", "record", "embeddings"])
def test_the_sdks_retries_are_counted(driver, server, tmp_path, mode):
    """One call may be sent several times."""
    server.renumber(FLAKY, FLAKY)
    options = {"mode": "record", "live": "/chat/*"} if mode == "embeddings" else {"mode": mode}
    with replay(tmp_path, **options) as session:
        driver(lambda client: client.chat.completions.create(**ASK), max_retries=2)
    assert session.calls[0].attempts == 3
    assert repr(session.calls[0]).endswith(", 3 attempts>")
    if mode == "record":
        with replay(tmp_path) as session:
            driver.chat()
        told = json.loads((tmp_path / session.calls[0].recording).read_text())["response"].get("retries", 0)
        assert session.calls[0].attempts == 1 + told  # the oldest versions of the SDK do not tell


def test_a_call_that_fails_has_ended(driver, server, tmp_path):
    """Live, recorded and replayed alike; an answer that is not stored leaves the call a live one."""
    server.renumber(*[plain({"error": {"message": "no"}}, status) for status in (500, 404)])
    with replay(tmp_path, mode="record-if-missing") as session:
        for error in (openai.InternalServerError, openai.NotFoundError, openai.NotFoundError):
            with pytest.raises(error):
                driver.chat()
    assert [call.outcome for call in session.calls] == ["live", "recorded", "hit"]
    server.renumber(plain({"error": {"message": "no"}}, 500))
    with replay(tmp_path, mode="live") as session, pytest.raises(openai.InternalServerError):
        driver.chat()
    assert session.calls[0].ended is not None


def test_a_failed_connection_has_ended(driver, tmp_path):
    """It is recorded if the settings say so, and replayed."""
    for mode in ("record", "replay"):
        with replay(tmp_path, mode=mode, record_errors=True) as session, pytest.raises(openai.APIConnectionError):
            driver(lambda client: client.chat.completions.create(**ASK), base_url="http://127.0.0.1:9/v1")
        assert session.calls[0].ended is not None
        assert session.calls[0].outcome == ("recorded" if mode == "record" else "hit")


def test_a_call_takes_the_time_of_its_answer(driver, server, tmp_path):
    """By the session's clock: a plain answer at its pace, a stream until its last chunk."""
    server.renumber(plain(completion("a")), sse(chunk("a"), chunk("b")))
    with replay(tmp_path, mode="record"):
        driver.chat()
        driver.chat(stream=True)
    for file in tmp_path.rglob("*.json"):
        held = json.loads(file.read_text())
        timing = {"offsets": [1.0, 3.0]} if "chunks" in held["response"] else {"elapsed": 2.0}
        held["response"].update(timing)
        file.write_text(json.dumps(held))
    with replay(tmp_path, speed=1, clock=VirtualClock()) as session:
        driver.chat()
        driver(lambda client: client.chat.completions.with_raw_response.create(**ASK))
        driver.chat(stream=True)
    assert [(call.started, call.ended) for call in session.calls] == [(0.0, 2.0), (2.0, 4.0), (4.0, 7.0)]


def test_a_stream_ends_when_it_is_left(client, tmp_path, server):
    """Until then its call is under way."""
    server.renumber(sse(chunk("a"), chunk("b")), sse(chunk("a"), chunk("b")))
    with replay(tmp_path, mode="record-if-missing") as session:
        list(client.chat.completions.create(**ASK, stream=True))
        stream = client.chat.completions.create(**ASK, stream=True)
        next(stream)
        assert session.calls[1].ended is None
        stream.close()
    assert session.calls[1].ended > session.calls[0].ended


def test_a_call_is_noted_whatever_it_holds(driver, server, tmp_path):
    """Of an upload, the digests are shown, and its content is not kept in memory."""
    with replay(tmp_path, mode="record-if-missing") as session:
        with pytest.raises(openai.NotFoundError):
            driver(lambda client: client.files.create(file=b"x" * 100, purpose="batch"))
    (call,) = session.calls
    assert (call.outcome, call.path, call.body["file"]["length"]) == ("recorded", "/files", 100)
    with replay(tmp_path, mode="live") as session, pytest.raises(openai.NotFoundError):
        driver(lambda client: client.files.create(file=b"x" * 100, purpose="batch"))
    assert (session.calls[0].path, session.let_through) == ("/files", 0)


def test_what_no_session_could_read_is_shown_without_a_body(tmp_path):
    """A request that is nested too deeply cannot be searched for secrets."""
    session = Session(tmp_path, mode="replay")
    for inner in (
        b"{}",
        b"[" * 100_000 + b"]" * 100_000,
        b"[" * TOO_DEEP + b'"ghp_0123456789abcdefghijABCDEFGHIJ456789"',
    ):
        session.refuse(session.call(Request("POST", "/x", inner + b"]" * TOO_DEEP * inner.endswith(b'"'))), "no")
    assert [(call.path, call.body) for call in session.calls] == [("/x", {}), ("/x", None), ("/x", None)]
    assert session.calls[2].asked.body == b"null"
    session._log.add(Request("POST", "/x", b"[" * TOO_DEEP + b'"ghp_0123456789abcdefghijABCDEFGHIJ456789"'), "hit")
    assert (session.calls[3].body, session.calls[3].outcome) == (None, "hit")


def test_a_live_call_that_cannot_be_read(tmp_path):
    """It is shown without a body; the SDK refuses it as ever."""
    with (
        openai.OpenAI(api_key=KEY, base_url="http://127.0.0.1:9/v1") as client,
        replay(tmp_path, mode="live") as session,
    ):
        with pytest.raises(TypeError):
            client.post("/chat/completions", body={"x": object()}, cast_to=object)
    (call,) = session.calls
    assert (call.outcome, call.path, call.body, call.query) == ("live", "/chat/completions", None, {})
    assert call.ended is not None


def test_a_session_keeps_no_client(server, tmp_path):
    """Not in any mode: a program that makes a client for each call would run out of connections."""
    for mode in ("live", "record", "replay"):
        with replay(tmp_path, mode=mode) as session:
            client = openai.OpenAI(api_key=KEY, base_url=server.url)
            client.chat.completions.create(**asking(f"my key is {KEY}"))
            client.chat.completions.with_raw_response.create(**ASK)
            watched = weakref.ref(client)
            client.close()
            del client
            gc.collect()
            assert watched() is None
            assert session.calls[0].body["messages"][0]["content"] == "my key is [REDACTED]"


def test_calls_of_threads_are_all_noted(client, recorded):
    """Each once, with numbers of its own."""
    directory, _ = recorded
    with replay(directory) as session:
        threads = [
            threading.Thread(target=lambda: [client.chat.completions.create(**ASK) for _ in range(50)])
            for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert [call.number for call in session.calls] == list(range(1, 201))


# The session of code that did not open it.


def test_the_current_session(driver, client, server, tmp_path):
    """A decorated function, and a wrapped client, tell theirs."""

    @replay(tmp_path, mode="record")
    def decorated():
        driver.chat()
        return current_session()

    assert [call.outcome for call in decorated().calls] == ["recorded"]
    assert current_session() is None
    assert current_session(client) is None
    wrap(client, tmp_path)
    client.chat.completions.create(**ASK)
    assert [call.outcome for call in current_session(client).calls] == ["hit"]
    with replay(tmp_path) as session:
        assert current_session() is current_session(client) is session
    with pytest.raises(InvalidClient, match="is no client of the openai package"):
        current_session(3)


def test_a_wrapped_client_of_a_session(driver, tmp_path, server):
    """Its calls are the session's."""
    session = Session(tmp_path, mode="record")
    driver(lambda client: wrap(client, session).chat.completions.create(**ASK))
    assert [call.outcome for call in session.calls] == ["recorded"]


async def _aborted(client):
    made = await settle(client.chat.completions.create(**ASK, stream=True))
    await settle(made.close())


def test_an_abandoned_stream_has_ended(driver, server, tmp_path):
    """It is stored as far as it was read."""
    server.renumber(Reply(headers={"content-type": "text/event-stream"}, pieces=[(0.0, b'data: {"a": 1}\n\n')] * 3))
    with replay(tmp_path, mode="record") as session:
        run(driver, _aborted)
    assert (session.calls[0].outcome, session.calls[0].ended is None) == ("recorded", False)


def test_a_model_that_is_no_text_is_no_model(tmp_path):
    """A call may send any JSON; patterns of models do not match it."""
    client = openai.OpenAI(api_key="none")
    faults = [Fault.status(500, model="*")]
    with replay(tmp_path, faults=faults, mode="replay") as session:
        session.stub("a")
        client.chat.completions.create(**{**ASK, "model": 5})
        assert (session.calls[0].model, session.calls.where(model="*5"), session.faults) == (None, (), {})


def test_what_is_kept_of_a_live_call_shows_no_key(client, server, tmp_path):
    """Its representation is one that names nothing."""
    server.renumber(plain(completion("Hi")))
    with replay(tmp_path, mode="live") as session:
        client.chat.completions.create(**ASK)
    (call,) = session.calls
    assert call.body == ASK
    assert client.api_key not in f"{call.asked!r} {call!r}"
