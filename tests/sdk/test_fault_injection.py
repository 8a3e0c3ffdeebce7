"""A session with faults: what is replayed, recorded, counted and waited for besides; the faults are in tests/faults."""

from __future__ import annotations

import logging
import re
from concurrent.futures import ThreadPoolExecutor

import openai
import pytest
from conftest import ASK, Reply, cheap, chunk, completion, plain, sse
from ways import DEAD, error_facts

from inferencereplay import (
    Fault,
    InvalidSetting,
    RecordingCorrupt,
    RecordingNotFound,
    Session,
    VirtualClock,
    replay,
    unwrap,
    wrap,
)

pytestmark = pytest.mark.usefixtures("nothing_is_left")


def texts(made):
    """Return what an answer says, plain or streamed."""
    if isinstance(made, list):
        return [item.choices[0].delta.content for item in made]
    return made.choices[0].message.content


@pytest.mark.parametrize("how", ["with", "wrap", "decorator", "session", "text"])
def test_faults_happen_however_a_session_is_opened(driver, recorded, how):
    """Under `with`, `wrap` and the decorator alike, and with a `Session`; then the recording answers."""
    directory, live = recorded
    options = {"faults": "status(503); cut()" if how == "text" else [Fault.status(503), Fault.cut()]}
    session = Session(directory, **options)

    def ask(**more):
        return driver.chat(**more)

    if how == "wrap":
        made = driver(lambda client: wrap(client, session).chat.completions.create(**ASK), max_retries=2, base_url=DEAD)
    elif how == "decorator":
        made = replay(session)(lambda: driver(lambda client: client.chat.completions.create(**ASK), max_retries=2))()
    else:
        with replay(session):
            made = driver(lambda client: client.chat.completions.create(**ASK), max_retries=2, base_url=DEAD)
    assert made == live
    assert (session.hits, session.misses, session.faults) == (1, 0, {"status 503": 1, "cut": 1})
    assert session.unused_faults() == []
    assert repr(session).endswith("hits=1, misses=0, recorded=0, faults={'status 503': 1, 'cut': 1}>")


def test_without_faults_a_session_says_nothing_of_them(tmp_path):
    """Nothing is counted, and nothing is shown."""
    session = Session(tmp_path, mode="replay")
    assert (session.faults, session.unused_faults(), session.is_fast) == ({}, [], True)
    assert repr(session).endswith("recorded=0>")


def test_other_calls_meet_no_fault(driver, server, tmp_path):
    """A call that no fault matches is answered as ever, in one attempt; the fault tells that it did not happen."""
    with replay(tmp_path, mode="record"):
        live = driver.chat(), driver.chat(stream=True)
    with replay(tmp_path, faults=[Fault.refused()], on="/embeddings") as session:
        assert (driver.chat(), driver.chat(stream=True)) == live
    assert (session.hits, session.faults, session.unused_faults()) == (2, {}, [Fault.refused()])


def test_the_program_sees_how_often_the_sdk_tried(driver, recorded):
    """The retries count in a raw response, and in the request behind it, as they do live."""
    directory, _ = recorded

    def raw(client):
        return client.chat.completions.with_raw_response.create(**ASK)

    with replay(directory):
        before = driver(raw)
    with replay(directory, faults=[Fault.status(500, times=2)]):
        after = driver(raw, max_retries=2)
    if hasattr(before, "retries_taken"):
        assert (before.retries_taken, after.retries_taken) == (0, 2)
    name = "x-stainless-retry-count"
    counts = [made.http_response.request.headers.get(name) for made in (before, after)]
    assert counts in (["0", "2"], [None, None])


# Time.


def test_virtual_time_passes_while_the_sdk_waits(driver, recorded):
    """`retry-after` is honoured in full, and nobody waits for it; neither does anybody for a time-out."""
    directory, live = recorded
    clock = VirtualClock()
    with replay(directory, clock=clock, faults=[Fault.status(429, times=2, retry_after=25)]):
        assert driver(lambda client: client.chat.completions.create(**ASK), max_retries=2) == live
    assert clock.time == 50
    clock = VirtualClock()
    with replay(directory, clock=clock, faults=[Fault.timeout("connect"), Fault.timeout(), Fault.timeout("pool")]):
        with pytest.raises(openai.APITimeoutError) as caught:
            driver(lambda client: client.chat.completions.create(**ASK, timeout=100), max_retries=2)
    assert type(caught.value.__cause__).__name__ == "PoolTimeout"
    assert 300 < clock.time < 305  # and two waits of the SDK's own, of a second or so


@pytest.mark.parametrize(("speed", "seconds"), [(float("inf"), 0), (4, 5), (0.5, 40)])
def test_without_a_clock_the_speed_counts(driver, recorded, monkeypatch, speed, seconds):
    """The SDK's wait is as long as recorded time would be: nothing by default."""
    directory, _ = recorded
    session = Session(directory, speed=speed, faults=[Fault.status(429, retry_after=20)])
    clock = VirtualClock()
    monkeypatch.setattr("inferencereplay.session.session.SYSTEM_CLOCK", clock)
    session.clock = clock
    with replay(session):
        driver(lambda client: client.chat.completions.create(**ASK), max_retries=1)
    assert clock.time == pytest.approx(seconds, abs=0.5)


def test_the_log_of_the_sdk_tells_its_own_wait(driver, recorded, caplog):
    """The SDK says how long it waits, although nobody does."""
    with caplog.at_level(logging.INFO, "openai"), replay(recorded[0], faults=[Fault.status(429, retry_after=20)]):
        driver(lambda client: client.chat.completions.create(**ASK), max_retries=1)
    (told,) = [text for text in caplog.messages if text.startswith("Retrying")]
    assert "in 20.000000 seconds" in told


def test_a_slow_answer_takes_its_time(driver, server, tmp_path):
    """The time to the answer, and between the chunks of a stream, by the session's clock, on every call."""
    with replay(tmp_path, mode="record"):
        live = driver.chat(), driver.chat(stream=True)
    clock = VirtualClock()
    with replay(tmp_path, clock=clock, faults=[Fault.slow(first=5.0, between=0.25)]) as session:
        assert driver.chat() == live[0]
        assert clock.time == 5
        assert driver.chat(stream=True) == live[1]
    assert clock.time == 10.5
    assert session.faults == {"slow": 2}
    assert (session.hits, session.timing.chunks) == (2, 3)


def test_slowness_comes_on_top_of_another_fault(driver, server, tmp_path):
    """The answer that another fault makes is slow as well; a connection that fails at once is not."""
    with replay(tmp_path, mode="record"):
        driver.chat(stream=True)
    clock = VirtualClock()
    faults = [Fault.slow(first=5.0, between=1.0), Fault.status(500), Fault.refused(), Fault.no_done(after=2)]
    with replay(tmp_path, clock=clock, faults=faults) as session:
        made = driver(lambda client: client.chat.completions.create(**ASK, stream=True), max_retries=2)
    assert texts(made) == ["answer 1", " and more"]
    assert 11 < clock.time < 15  # twice to the answer, once between chunks, and two waits of the SDK's
    assert session.faults == {"slow": 2, "status 500": 1, "refused": 1, "no_done": 1}


def test_the_pace_of_a_recording_stays(driver, server, tmp_path):
    """What a fault leaves of an answer comes at the recorded time."""
    server.replies = [sse(chunk("a"), chunk("b"), chunk("c"))]
    with replay(tmp_path, mode="record"):
        driver.chat(stream=True)
    (file,) = tmp_path.rglob("*.json")
    file.write_text(re.sub(r'"offsets": \[.*?\]', '"offsets": [1.0, 2.0, 4.0]', file.read_text()))
    clock = VirtualClock()
    with replay(tmp_path, speed=0.5, clock=clock, faults=[Fault.no_done(after=2)]):
        assert texts(driver.chat(stream=True)) == ["a", "b"]
    assert clock.time == 4
    with replay(tmp_path, speed=1, clock=clock, faults=[Fault.slow(first=3)]):
        assert texts(driver.chat(stream=True)) == ["a", "b", "c"]
    assert clock.time == 11


def test_a_plain_answer_takes_its_recorded_time(driver, server, tmp_path):
    """Also if a fault alters it."""
    with replay(tmp_path, mode="record"):
        driver.chat()
    (file,) = tmp_path.rglob("*.json")
    file.write_text(re.sub(r'"elapsed": [\d.]+', '"elapsed": 7.0', file.read_text()))
    clock = VirtualClock()
    with replay(tmp_path, speed=2, clock=clock, faults=[Fault.finish()]):
        assert texts(driver.chat()) == "answ"
    assert clock.time == 3.5


# What is recorded, found and missed.


@pytest.mark.parametrize("mode", ["record", "record-if-missing"])
@pytest.mark.parametrize("is_stream", [False, True], ids=["plain", "stream"])
def test_faults_are_never_recorded(driver, server, tmp_path, mode, is_stream):
    """While recording, the whole answer is stored as it came; the program gets what the fault makes of it."""
    stream = {"stream": True} if is_stream else {}
    fault = Fault.finish(when=lambda body: body["model"] == "m")
    with replay(tmp_path / "clean", mode="record"):
        live = driver.chat(**stream)
    server.renumber()
    with replay(tmp_path / "faulty", mode=mode, faults=[Fault.status(500), fault]) as session:
        made = driver(lambda client: client.chat.completions.create(**ASK, **stream), max_retries=1)
    assert (session.recorded, session.hits) == (1, 0)
    assert server.count == 2
    end = made[-1] if is_stream else made
    assert end.choices[0].finish_reason == "length"
    with replay(tmp_path / "faulty"):
        assert driver.chat(**stream) == live


def test_an_answer_is_recorded_once_for_all_attempts(driver, server, tmp_path):
    """An attempt that breaks in the middle of an answer has asked for it; the next attempt gets the same."""
    with replay(tmp_path, mode="record", faults=[Fault.cut(after=0), Fault.malformed(), Fault.refused()]) as session:
        with pytest.raises(ValueError, match=r"Unterminated|Expecting"):
            driver(lambda client: client.chat.completions.create(**ASK), max_retries=2)
    with replay(tmp_path, mode="record", faults=[Fault.cut(after=0)]) as session:
        made = driver(lambda client: client.chat.completions.create(**ASK), max_retries=2)
    assert (session.recorded, server.count, session.faults) == (1, 2, {"cut": 1})
    with replay(tmp_path):
        assert driver.chat() == made


def test_what_cannot_be_recorded_is_altered_all_the_same(driver, server, tmp_path, caplog):
    """An answer that is neither JSON nor text is stored as bytes, and a fault can still break it."""
    server.replies = [Reply(body=b"\xff\xfe\xfd\x00")] * 2
    with caplog.at_level(logging.WARNING, "inferencereplay"):
        with replay(tmp_path, mode="record", faults=[Fault.empty()]) as session:
            with pytest.raises((openai.APIError, ValueError)):
                driver.chat()
    assert (session.recorded, session.faults) == (1, {"empty": 1})


def test_a_call_that_goes_to_the_network_keeps_its_live_answer(driver, server, tmp_path):
    """There is no recorded answer that a fault could alter; it is asked for once, and the fault has not happened."""
    with replay(tmp_path, live="/chat/completions", faults=[Fault.cut(after=0)]) as session:
        assert texts(driver.chat()) == "answer 1"
    assert (server.count, session.let_through, session.faults) == (1, 1, {})
    assert [fault.kind for fault in session.unused_faults()] == ["cut"]


def test_a_fault_meets_an_answer_that_the_recorder_cannot_read(driver, server, tmp_path, monkeypatch, caplog):
    """A failing recorder costs a warning: the connection breaks as it is to, and the next attempt gets the bytes."""

    def fail(*_, **__):
        raise ZeroDivisionError

    monkeypatch.setattr("inferencereplay.sdk.capture.fill", fail)
    with replay(tmp_path, mode="record", faults=[Fault.cut(after=0)]) as session:
        made = driver(lambda client: client.chat.completions.create(**ASK), max_retries=1)
    assert (texts(made), server.count) == ("answer 1", 1)
    assert (session.recorded, session.faults) == (0, {"cut": 1})
    assert caplog.messages[-1] == "an answer was not recorded: ZeroDivisionError"


def test_a_live_error_is_told_as_it_is(driver, server, tmp_path):
    """An attempt asks the server, which refuses: the program gets that error, not retried again, and not the fault."""
    server.replies = [plain({"error": {"message": "no", "code": "c"}}, 400)]
    with replay(tmp_path, mode="record", faults=[Fault.cut(after=1)]) as session:
        with pytest.raises(openai.BadRequestError) as caught:
            driver(lambda client: client.chat.completions.create(**ASK), max_retries=3)
    assert (caught.value.code, server.count, session.faults, session.recorded) == ("c", 1, {}, 1)


def test_a_stream_that_breaks_while_it_is_recorded_is_an_error(driver, server, tmp_path):
    """The whole answer is needed, and the connection breaks: the SDK's own error says so."""
    server.replies = [sse(chunk("a"), is_done=False, is_cut=True)]
    with replay(tmp_path, mode="record", faults=[Fault.finish()]), pytest.raises(openai.APIConnectionError):
        driver.chat(stream=True)


@pytest.mark.parametrize(
    "fault", [Fault.cut(after=0), Fault.slow(first=1), Fault.status(500)], ids=lambda item: item.kind
)
def test_a_miss_is_a_miss(driver, tmp_path, fault):
    """A fault that needs an answer, or leaves one, needs a recording; the miss is told at once, without a retry."""
    session = Session(tmp_path, mode="replay", faults=[fault], clock=VirtualClock())
    with pytest.raises(RecordingNotFound, match="POST /chat/completions was not recorded"), replay(session):
        driver(lambda client: client.chat.completions.create(**ASK), max_retries=1)
    assert (session.misses, session.hits) == (1, 0)


def test_a_damaged_recording_is_told(driver, recorded):
    """Its error is not taken for a connection that failed."""
    directory, _ = recorded
    (file,) = directory.rglob("*.json")
    file.write_text(file.read_text()[:100])
    with replay(directory, faults=[Fault.cut(after=0)]), pytest.raises(RecordingCorrupt):
        driver(lambda client: client.chat.completions.create(**ASK), max_retries=2)


def test_a_recorded_failure_stays_one(driver, server, tmp_path):
    """A fault that alters an answer does nothing where the recording holds none."""

    def refused():
        with pytest.raises(openai.APIConnectionError) as caught:
            driver(lambda client: client.chat.completions.create(**ASK), base_url=DEAD)
        return error_facts(caught.value)

    with replay(tmp_path, mode="record", record_errors=True):
        live = refused()
    with replay(tmp_path, faults=[Fault.cut(after=0)]) as session:
        assert refused() == live
    assert (session.hits, session.faults) == (1, {})


def test_a_recorded_error_that_is_slow_is_not_asked_for_again(driver, server, tmp_path):
    """A recorded 500 stands for all attempts that the SDK made; slowness changes nothing about that."""
    server.replies = [plain({"error": {"message": "no"}}, 500)] * 2
    with replay(tmp_path, mode="record", record_errors=True), pytest.raises(openai.InternalServerError):
        driver(lambda client: client.chat.completions.create(**ASK), max_retries=1)
    clock = VirtualClock()
    with replay(tmp_path, clock=clock, faults=[Fault.slow(first=2)]) as session:
        with pytest.raises(openai.InternalServerError):
            driver(lambda client: client.chat.completions.create(**ASK), max_retries=1)
    assert (session.hits, session.faults, clock.time) == (1, {"slow": 1}, 2)


def test_the_nth_call_gets_the_nth_variant(driver, server, tmp_path):
    """A fault before the answer uses up no recording; one that alters an answer uses up the one it alters."""
    with replay(tmp_path, mode="record"):
        for _ in range(3):
            driver.chat()
    with replay(tmp_path, faults=[Fault.refused(), Fault.finish(nth=2)]) as session:
        with pytest.raises(openai.APIConnectionError):
            driver.chat()
        made = [texts(driver.chat()) for _ in range(3)]
    assert made == ["answ", "answer 2", "answer 3"]
    assert session.hits == 3


def test_an_upload_meets_faults_by_its_path(driver, tmp_path):
    """It can fail before it is read; without a fault it is a miss, as ever."""

    def transcribe(client):
        return client.audio.transcriptions.create(model="m", file=("a.mp3", b"123"))

    session = Session(tmp_path, mode="replay", faults=[Fault.status(500, on="/audio/*"), Fault.cut(after=0)])
    with pytest.raises(RecordingNotFound), replay(session):
        with pytest.raises(openai.InternalServerError):
            driver(transcribe)
        driver(transcribe)
    assert (session.faults, session.misses) == ({"status 500": 1}, 1)


def test_the_answer_to_an_upload_is_altered(driver, server, tmp_path):
    """As any other call's; what is stored is the whole answer."""
    server.replies = [plain({"text": "hi"})]

    def transcribe(client):
        return client.audio.transcriptions.create(model="m", file=("a.mp3", b"123"))

    with replay(tmp_path, mode="record", faults=[Fault.cut(after=0)]) as session:
        with pytest.raises(openai.APIConnectionError):
            driver(transcribe)
    assert session.faults == {"cut": 1}
    with replay(tmp_path):
        assert driver(transcribe).text == "hi"


def test_what_cannot_be_compared_is_told_as_ever(driver, tmp_path):
    """A failing `normalize` is told by the call that needs the recording."""
    session = Session(tmp_path, mode="replay", normalize=lambda body: None, faults=[Fault.cut(after=0, nth=1)])
    with pytest.raises(ValueError, match="normalize= failed"), replay(session):
        driver.chat()


def test_a_predicate_that_fails(driver, server, tmp_path, caplog):
    """In replay it is an error that shows no secret; while recording a warning, and the call is recorded."""

    def fail(body):
        raise ValueError(body)

    secret = "sk-proj-" + "a1B2" * 10
    faults = [Fault.status(500, when=fail)]
    with caplog.at_level(logging.WARNING), replay(tmp_path, mode="record", faults=faults) as session:
        assert texts(driver.chat(user=secret)) == "answer 1"
    assert (session.recorded, session.faults) == (1, {})
    assert "POST /chat/completions meets no fault: when= of Fault.status(500, when=" in caplog.text
    with pytest.raises(InvalidSetting, match=r"when= of Fault.status\(500, .* failed: ValueError") as caught:
        with replay(tmp_path, faults=faults):
            driver.chat(user=secret)
    assert secret not in caplog.text + str(caught.value)


# The client.


def test_the_module_level_client_meets_faults(server, tmp_path, monkeypatch):
    """In the versions of the SDK that make it a client with properties, too: nothing reaches the server."""
    for name, value in (("api_key", "none"), ("base_url", server.url), ("_client", None)):
        monkeypatch.setattr(openai, name, value, raising=False)
    with replay(tmp_path, mode="replay", faults=[Fault.status(503), Fault.finish("length")]) as session:
        session.stub(chunks=["a", "b"])
        assert openai.chat.completions.create(**ASK).choices[0].finish_reason == "length"
    assert (session.faults, session.calls[0].attempts, server.requests) == ({"status 503": 1, "finish": 1}, 2, [])


def test_nothing_of_a_client_is_used_or_changed(server, recorded):
    """No token is fetched, nothing is sent, the client is the same after as before; each attempt passes its hooks."""
    directory, live = recorded
    asked, seen = [], []

    def token():
        asked.append(1)
        return "sk-token-0123456789"

    hooks = {
        "request": [lambda request: seen.append(request.method)],
        "response": [lambda made: seen.append(made.status_code)],
    }
    http = openai.DefaultHttpxClient(verify=False, event_hooks=hooks)
    options = {"api_key": token} if openai.__version__ > "1.99" else {"api_key": "sk-a-key-0123456789"}
    with openai.OpenAI(base_url=DEAD, http_client=http, max_retries=1, **options) as client:
        before = vars(client).copy()
        with replay(directory, faults=[Fault.status(500)]):
            assert client.chat.completions.create(**ASK) == live
        assert {name: value for name, value in vars(client).items() if name in before} == before
    assert (asked, seen) == ([], ["POST", 500, "POST", 200])


def test_azure_meets_faults(server, tmp_path):
    """By the path that the program asked for; the request behind an error has the deployment's URL."""
    options = {"azure_endpoint": server.url[:-3], "api_version": "2024-02-01", "api_key": "a-key-0123456789"}
    with openai.AzureOpenAI(max_retries=1, **options, **cheap()) as client:
        with replay(tmp_path, mode="record"):
            live = client.chat.completions.create(**ASK)
        faults = [Fault.status(500), Fault.status(404, nth=2)]
        with replay(tmp_path, faults=faults, on="/chat/completions") as session:
            assert client.chat.completions.create(**ASK) == live
            with pytest.raises(openai.NotFoundError) as caught:
                client.chat.completions.create(**ASK)
    assert "/openai/deployments/m/chat/completions" in str(caught.value.request.url)
    assert session.faults == {"status 500": 1, "status 404": 1}


def test_threads_share_the_faults(recorded):
    """A fault happens as often as it says, whichever threads meet it."""
    directory, live = recorded

    def ask(_):
        with openai.OpenAI(api_key="none", max_retries=8, **cheap()) as client:  # one may meet all the faults
            return client.chat.completions.create(**ASK)

    with replay(directory, faults=[Fault.status(500, times=7)]) as session, ThreadPoolExecutor(4) as pool:
        assert list(pool.map(ask, range(8))) == [live] * 8
    assert (session.faults, session.hits) == ({"status 500": 7}, 8)


def test_a_mock_in_the_place_of_the_sdks_method_meets_no_fault(recorded, monkeypatch):
    """There is no loop of the SDK that a fault could pass through."""
    directory, live = recorded
    from inferencereplay.sdk import private  # noqa: PLC0415

    class Mock:
        def __call__(self, *_, **__):
            raise AssertionError

    monkeypatch.setattr(private.SyncAPIClient, "request", Mock())
    with replay(directory, faults=[Fault.refused()]) as session:
        with openai.OpenAI(api_key="none", **cheap()) as client:
            assert client.chat.completions.create(**ASK) == live
    assert session.faults == {}


def test_a_wrapped_client_and_its_copies_meet_faults(recorded):
    """Until it is unwrapped."""
    directory, live = recorded
    with openai.OpenAI(api_key="none", max_retries=0, base_url=DEAD, **cheap()) as client:
        wrap(client, directory, faults=[Fault.refused(), Fault.status(400)])
        with pytest.raises(openai.APIConnectionError):
            client.chat.completions.create(**ASK)
        with pytest.raises(openai.BadRequestError):
            client.with_options(timeout=3).chat.completions.create(**ASK)
        assert client.chat.completions.create(**ASK) == live
        unwrap(client)


# Answers of other endpoints.


def test_text_completions_end_early(driver, server, tmp_path):
    """Half of the text comes, plain and streamed."""
    with replay(tmp_path, mode="record"):
        driver.text(), driver.text(stream=True)
    with replay(tmp_path, faults=[Fault.finish("content_filter", times=2)]):
        made, chunks = driver.text(), driver.text(stream=True)
    assert [(made.choices[0].text, made.choices[0].finish_reason)] == [("answ", "content_filter")]
    assert [item.choices[0].text for item in chunks] == ["answer 2", ""]
    assert chunks[-1].choices[0].finish_reason == "content_filter"


def test_the_usage_of_a_stream_stays(driver, server, tmp_path):
    """A stream that ends early still ends by its usage, if it did."""
    usage = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}
    server.replies = [sse(chunk("a"), chunk("b"), chunk(None, "stop"), {**chunk(None), "choices": [], "usage": usage})]
    asked = {"stream": True, "stream_options": {"include_usage": True}}
    with replay(tmp_path, mode="record"):
        driver.chat(**asked)
    with replay(tmp_path, faults=[Fault.finish(after=1)]):
        first, end, last = driver.chat(**asked)
    assert (first.choices[0].delta.content, end.choices[0].finish_reason, last.usage.total_tokens) == ("a", "length", 3)


def test_a_message_without_text_ends_early(driver, server, tmp_path):
    """Only its reason changes."""
    made = completion("x")
    made["choices"][0]["message"]["content"] = None
    server.replies = [plain(made)]
    with replay(tmp_path, mode="record"):
        driver.chat()
    with replay(tmp_path, faults=[Fault.finish()]):
        ended = driver.chat()
    assert (ended.choices[0].message.content, ended.choices[0].finish_reason) == (None, "length")


@pytest.mark.parametrize(
    ("reply", "fault", "is_stream"),
    [
        (plain({"object": "list", "data": []}), Fault.finish(), False),
        (plain([1]), Fault.finish(), False),
        (Reply(body=b"no JSON", headers={"content-type": "text/plain"}), Fault.finish(), False),
        (plain(completion("x")), Fault.no_done(), False),
        (sse(), Fault.finish(), True),
        (sse(), Fault.malformed(), True),
        (sse({"a": 1}), Fault.finish(), True),
        (sse(chunk("x"), is_done=False), Fault.no_done(), True),
    ],
    ids=["no choices", "no object", "no JSON", "no stream", "no chunk", "no chunk to tear", "no choice", "no DONE"],
)
def test_a_fault_that_an_answer_cannot_have_does_not_happen(driver, server, tmp_path, reply, fault, is_stream):
    """The answer comes as it was recorded, and the fault is told as one that did not happen."""
    server.replies = [reply]
    stream = {"stream": True} if is_stream else {}
    with replay(tmp_path, mode="record"):
        live = driver.chat(**stream)
    with replay(tmp_path, faults=[fault]) as session:
        assert driver.chat(**stream) == live
    assert (session.faults, session.unused_faults(), session.hits) == ({}, [fault], 1)


# What was asked.


def test_the_calls_tell_their_attempts(driver, server, tmp_path):
    """A call that only met faults, one that a recording answered at last, one that was altered, a miss, a live one."""
    with replay(tmp_path, mode="record"):
        driver.chat(), driver.chat(stream=True)
    faults = [Fault.status(500, times=2), Fault.refused(), Fault.cut(after=0), Fault.no_done(after=1)]
    faults.append(Fault.timeout(when=lambda body: "seed" in body))
    clock = VirtualClock()
    with replay(tmp_path, clock=clock, faults=faults) as session:
        with pytest.raises(openai.APIConnectionError):
            driver(lambda client: client.chat.completions.create(**ASK), max_retries=2)
        driver(lambda client: client.chat.completions.create(**ASK), max_retries=1)
        driver.chat(stream=True)
        with pytest.raises(RecordingNotFound):
            driver(lambda client: client.chat.completions.create(**{**ASK, "seed": 1}), max_retries=1)
        session.forget_misses()
    told = [(call.outcome, call.attempts, call.body["messages"], call.ended is None) for call in session.calls]
    asked = ASK["messages"]
    assert told == [
        ("fault", 3, asked, False),
        ("hit", 2, asked, False),
        ("hit", 1, asked, False),
        ("miss", 1, asked, False),
    ]
    assert session.calls.where(outcome="fault")[0].started == 0
    assert repr(session.calls[0]) == "<1 fault POST /chat/completions m 'Hello', 3 attempts>"
    with replay(tmp_path / "new", mode="record", faults=[Fault.status(500)]) as session:
        driver(lambda client: client.chat.completions.create(**ASK), max_retries=1)
    assert [(call.outcome, call.attempts) for call in session.calls] == [("recorded", 2)]


def test_answers_by_hand_meet_faults(driver, tmp_path):
    """A stub is an answer as any other, and saved as it is."""
    with replay(tmp_path, mode="record-if-missing", faults=[Fault.status(503), Fault.finish()]) as session:
        session.stub(text="Hello there", save=True)
        made = driver(lambda client: client.chat.completions.create(**ASK), max_retries=1)
    assert (texts(made), session.stubbed, session.faults) == ("Hello", 1, {"status 503": 1, "finish": 1})
    with replay(tmp_path):
        assert texts(driver.chat()) == "Hello there"
