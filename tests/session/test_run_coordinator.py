"""Sessions of one run, in one process and in several, record each request once."""

from __future__ import annotations

import json
import os
import shutil
import signal
import threading

import anyio
import msgspec
import openai
import pytest
from conftest import ASK, cheap, chunk, completion, plain, sse
from forkserver import forkserver

from inferencereplay import Session, replay
from inferencereplay.recording.format import VERSION, RecordedRequest, Recording, Response, decode, encode, is_whole
from inferencereplay.sdk import calls
from inferencereplay.session.run_coordinator import RunAddress, RunCoordinator
from inferencereplay.session.run_variants import RunVariants
from inferencereplay.store.directory import DirectoryStore

KEY = "ab" * 32
TESTS = """
    import asyncio, json, sys
    import openai
    from pathlib import Path
    from inferencereplay import Session, replay
    from inferencereplay.session.run_coordinator import RunCoordinator

    url, directory, folder, name, way = sys.argv[1:]

    def ask(number):
        return {"model": "m", "messages": [{"role": "user", "content": f"question {number}"}]}

    async def together(numbers):
        async with openai.AsyncOpenAI(api_key="test", base_url=url, max_retries=0) as client:
            made = await asyncio.gather(*(client.chat.completions.create(**ask(number)) for number in numbers))
        return [answer.choices[0].message.content for answer in made]

    def one_by_one(numbers):
        with openai.OpenAI(api_key="test", base_url=url, max_retries=0) as client:
            made = [client.chat.completions.create(**ask(number)) for number in numbers]
        return [answer.choices[0].message.content for answer in made]

    saw = []
    for test in range(3):
        numbers = [0, 1, 2, 3] if name == "a" else [3, 2, 1, 0]
        session = Session(directory, mode="record")
        session.join(RunCoordinator(Path(folder), name))
        with replay(session):
            got = asyncio.run(together(numbers)) if way == "async" else one_by_one(numbers)
        saw.append(dict(zip(numbers, got)))
    print(json.dumps(saw))
"""


@pytest.fixture
def run(tmp_path):
    return RunCoordinator(tmp_path / "run")


@pytest.fixture
def record(tmp_path, run, server):
    """Return what makes equal calls, as one test of a run would, and says what it saw."""

    def record(count, folder=run, **changes):
        session = Session(tmp_path / "kept", mode="record")
        session.join(folder)
        with replay(session), openai.OpenAI(api_key="test", base_url=server.url, max_retries=0, **cheap()) as client:
            saw = [text(client.chat.completions.create(**{**ASK, **changes})) for _ in range(count)]
        return saw, session

    return record


def text(made):
    if isinstance(made, openai.Stream):
        return "".join(item.choices[0].delta.content or "" for item in made)
    return made.choices[0].message.content


def replayed(tmp_path, count, **changes):
    with replay(tmp_path / "kept") as session:
        client = openai.OpenAI()
        saw = [text(client.chat.completions.create(**{**ASK, **changes})) for _ in range(count)]
        assert session.unused() == []
        return saw


@pytest.mark.parametrize("changes", [{}, {"stream": True}], ids=["plain", "stream"])
def test_a_second_session_gets_what_the_run_has_recorded(record, server, tmp_path, changes):
    """Two and three equal calls are three variants, and each session sees in replay what it saw while recording."""
    first, _ = record(2, **changes)
    second, session = record(3, **changes)
    assert second[:2] == first
    assert (session.hits, session.recorded, server.count) == (2, 1, 3)
    assert session.unused() == []
    assert replayed(tmp_path, 3, **changes) == second


def test_another_run_records_anew(record, server, run, tmp_path):
    """What was recorded before the run is replaced, and what is too much is removed at the end of the run only."""
    record(3)
    later = RunCoordinator(tmp_path / "later")
    assert record(1, later)[0] == ["answer 4"]
    kept = tmp_path / "kept/chat/completions"
    assert len(list(kept.iterdir())) == 3
    later.tidy(lambda directory: directory != str(tmp_path / "kept"))
    assert len(list(kept.iterdir())) == 3
    later.tidy(lambda directory: directory == str(tmp_path / "kept"))
    assert len(list(kept.iterdir())) == 1
    assert replayed(tmp_path, 2) == ["answer 4"] * 2


def test_a_call_that_comes_to_nothing_gives_its_number_up(record, server, tmp_path):
    """After an error that is not stored, the next call is the same number's again, in any session."""
    server.replies.append(plain({"error": {}}, 500))
    with pytest.raises(openai.InternalServerError):
        record(1)
    assert record(1)[0] == record(1)[0] == ["answer 2"]
    assert replayed(tmp_path, 1) == ["answer 2"]


def test_a_retry_within_a_session_takes_the_same_number(record, server, tmp_path, run):
    """A program that tries again after an error has its first answer stored as the first variant."""
    session = Session(tmp_path / "kept", mode="record")
    session.join(run)
    server.replies.append(plain({"error": {}}, 500))
    with replay(session), openai.OpenAI(api_key="test", base_url=server.url, max_retries=0, **cheap()) as client:
        with pytest.raises(openai.InternalServerError):
            client.chat.completions.create(**ASK)
        client.chat.completions.create(**ASK)
    assert len(session.used()) == 1
    assert replayed(tmp_path, 1) == ["answer 2"]


def test_gaps_are_closed_at_the_end(record, server, tmp_path, run):
    """Of overlapping calls the first of which comes to nothing, the answers move down when the run ends."""
    session = Session(tmp_path / "kept", mode="record")
    session.join(run)
    server.replies += [sse(chunk("cut"), is_cut=True), sse(chunk("whole"))]
    with replay(session), openai.OpenAI(api_key="test", base_url=server.url, max_retries=0, **cheap()) as client:
        streams = [client.chat.completions.create(**ASK, stream=True) for _ in range(2)]
        variants = session.recorder.variants
        key = next(iter(variants._calls))
        variants.give_up("/chat/completions", key, variants._pending[key, 1])
        assert text(streams[1]) == "whole"
        streams[0].close()
    assert [path.name for path in (tmp_path / "kept/chat/completions").iterdir()] == [f"{key[:32]}~2.json"]
    run.tidy(lambda _: False)
    assert [path.name for path in (tmp_path / "kept/chat/completions").iterdir()] == [f"{key[:32]}.json"]
    assert replayed(tmp_path, 1, stream=True) == ["whole"]


@pytest.mark.parametrize(
    ("old", "new", "left"),
    [
        (["done"], {2: "closed"}, ["old 1"]),
        (["done", "done"], {2: "closed"}, ["old 1", "old 2"]),
        (["done", "done"], {1: "closed"}, ["old 1", "old 2"]),
        (["closed", "done"], {1: "closed"}, ["new 1", "old 2"]),
        (["closed"], {2: "closed"}, ["new 2"]),
        (["done", "done", "done"], {2: "done"}, ["new 2"]),
        (["done", "done", "done"], {1: "closed", 2: "done"}, ["old 1", "new 2"]),
        (["done", "done", "done"], {1: "done", 3: "closed"}, ["new 1", "old 2"]),
    ],
)
def test_at_the_end_too_only_what_is_whole_takes_the_place_of_what_is_whole(tmp_path, run, old, new, left):
    """What calls that failed left free is closed up, and what was too much goes, by the same rule as anywhere."""
    store = DirectoryStore(tmp_path / "kept")
    for number, end in enumerate(old, 1):
        store.add("/x", KEY, number, streamed(f"old {number}", end))
    variants = RunVariants(store, run, is_whole)
    claims = []
    for _ in range(max(new)):
        assert variants.reserve("/x", KEY, takes_over=False)
        claims.append(variants.begin("/x", KEY))
    for claim in claims:
        if claim in new:
            data = streamed(f"new {claim}", new[claim])
            variants.store("/x", KEY, claim, data, is_whole=new[claim] == "done")
        else:
            variants.give_up("/x", KEY, claim)
    run.tidy(lambda _: True)
    kept = [store.get("/x", KEY, number) for number in range(1, 6)]
    assert [json.loads(bytes(decode(data, "").response.chunks[0])).strip() for data in kept if data] == left
    assert None not in kept[: len(left)]


def streamed(text, end):
    """Return the file of a stream."""
    longer = " " * text.startswith("new")  # of two incomplete ones the longer one stays
    response = Response(end=end, chunks=[msgspec.Raw(json.dumps(text + longer).encode())])
    return encode(Recording(VERSION, KEY, RecordedRequest("POST", "/x"), response))


def test_a_stream_that_was_left_is_recorded_by_the_next_one(record, server, tmp_path, run):
    """An incomplete recording answers nobody; the next session's whole one takes its place."""
    session = Session(tmp_path / "kept", mode="record")
    session.join(run)
    with replay(session), openai.OpenAI(api_key="test", base_url=server.url, max_retries=0, **cheap()) as client:
        with client.chat.completions.create(**ASK, stream=True) as stream:
            next(iter(stream))
    assert record(1, stream=True)[0] == ["answer 2 and more"]
    assert replayed(tmp_path, 1, stream=True) == ["answer 2 and more"]
    assert len(list((tmp_path / "kept").rglob("*.json"))) == 1


def test_what_cannot_be_stored_is_free_again(record, server, tmp_path):
    """A recording that cannot be written leaves no claim behind that others would wait for."""
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept/chat").write_text("a file where a folder has to be")
    saw, session = record(2)
    assert (saw, session.recorded) == (["answer 1", "answer 2"], 0)
    assert [file.suffix for file in (tmp_path / "run").iterdir()] == [".life"]


def test_a_run_that_cannot_be_kept_breaks_nothing(record, server, tmp_path, caplog):
    """Where the memory cannot be written, calls are recorded as if there were none, and the log says so."""
    (tmp_path / "full").write_text("")
    assert record(1, RunCoordinator(tmp_path / "full"))[0] == ["answer 1"]
    assert "is recorded without regard to the rest of the run" in caplog.text


def test_a_run_that_cannot_be_kept_loses_nothing(record, server, tmp_path, caplog):
    """Each session records all of its answers by itself then, an error stays what it was, and one warning says so."""
    (tmp_path / "full").write_text("")
    server.replies += [plain(completion("first")), plain({"error": {}}, 400), plain(completion("third"))]
    session = Session(tmp_path / "kept", mode="record")
    session.join(RunCoordinator(tmp_path / "full"))
    with replay(session), openai.OpenAI(api_key="test", base_url=server.url, max_retries=0, **cheap()) as client:
        assert text(client.chat.completions.create(**ASK)) == "first"
        with pytest.raises(openai.BadRequestError):
            client.chat.completions.create(**ASK)
        assert text(client.chat.completions.create(**ASK)) == "third"
        server.replies.append(plain({"error": {}}, 500))
        with pytest.raises(openai.InternalServerError):
            client.chat.completions.create(**ASK)
    told = [message for message in caplog.messages if "without regard to the rest of the run" in message]
    assert (len(told), session.recorded) == (1, 3)
    with replay(tmp_path / "kept"), openai.OpenAI() as client:
        assert text(client.chat.completions.create(**ASK)) == "first"


def test_a_memory_that_goes_away_while_a_call_is_made(tmp_path, run, client, caplog):
    """If temporary files are cleaned up in the middle of a run, what was recorded is recorded all the same."""
    session = Session(tmp_path / "kept", mode="record")
    session.join(run)
    with replay(session):
        for number in (1, 2):
            made = client.chat.completions.create(**ASK, stream=True)
            shutil.rmtree(tmp_path / "run")
            assert text(made) == f"answer {number} and more"
    assert session.recorded == 2
    assert replayed(tmp_path, 2, stream=True) == ["answer 1 and more", "answer 2 and more"]
    assert caplog.records == []


def _remove(file):
    file.unlink()


def _damage(file):
    file.write_text(file.read_text()[:-20])


@pytest.mark.parametrize("harm", [_remove, _damage])
@pytest.mark.parametrize("backend", ["sync", "asyncio"])
def test_what_somebody_took_away_is_recorded_again(server, tmp_path, run, record, harm, backend):
    """That a recording of the run is gone, or is none any more, is no reason to wait for it."""
    assert record(2)[0] == ["answer 1", "answer 2"]
    for file in (tmp_path / "kept").rglob("*.json"):
        harm(file)
    if backend == "sync":
        assert record(2)[0] == ["answer 3", "answer 4"]
    else:
        session = Session(tmp_path / "kept", mode="record")
        session.join(run)

        async def ask():
            async with openai.AsyncOpenAI(api_key="test", base_url=server.url, **cheap(is_async=True)) as client:
                return [text(await client.chat.completions.create(**ASK)) for _ in range(2)]

        with replay(session):
            assert anyio.run(ask) == ["answer 3", "answer 4"]
    assert record(2)[0] == ["answer 3", "answer 4"]
    assert replayed(tmp_path, 2) == ["answer 3", "answer 4"]


@pytest.mark.parametrize("name", ["link", os.fsdecode(b"caf\xe9")])
def test_a_directory_is_one_whatever_its_name(server, tmp_path, run, client, name):
    """It is one when links lead to it, and its name may be no text."""
    (tmp_path / "kept").mkdir()
    (tmp_path / name).symlink_to(tmp_path / "kept")
    for directory in (tmp_path / name, tmp_path / "kept", tmp_path / name / ".." / name):
        session = Session(directory, mode="record")
        session.join(run)
        with replay(session):
            assert text(client.chat.completions.create(**ASK)) == "answer 1"
    assert replayed(tmp_path, 1) == ["answer 1"]


def test_a_call_that_was_overtaken_replaces_nothing(server, tmp_path, run, client):
    """Whoever lost the patience of the others answers late, and finds theirs stored."""
    sessions = [Session(tmp_path / "kept", mode="record") for _ in range(2)]
    other = RunCoordinator(tmp_path / "run", "other")
    for session, memory in zip(sessions, (run, other), strict=True):
        session.join(memory)
    with replay(sessions[0]):
        late = client.chat.completions.create(**ASK, stream=True)
    with replay(sessions[1]):
        assert sessions[1].recorder.variants.reserve("/chat/completions", key := _key(sessions[0]), takes_over=True)
        server.replies.append(sse(chunk("theirs")))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sessions[1].recorder.variants, "reserve", lambda *_, **__: True)
            assert text(client.chat.completions.create(**ASK, stream=True)) == "theirs"
    assert text(late) == "answer 1 and more"
    assert [session.recorded for session in sessions] == [0, 1]
    assert replayed(tmp_path, 1, stream=True) == ["theirs"]
    assert not run.claim(RunAddress(str(tmp_path / "kept"), "/chat/completions", key, 1))


def _key(session):
    return next(iter(session.recorder.variants._calls))


def test_what_was_reserved_is_what_is_begun(run, tmp_path):
    """A call that gives its number up in between does not change the number of the one that was reserved."""
    variants = RunVariants(DirectoryStore(tmp_path / "kept"), run, lambda _: True)
    assert variants.reserve("/p", "k", takes_over=False)
    first = variants.begin("/p", "k")
    assert variants.reserve("/p", "k", takes_over=False)
    variants.give_up("/p", "k", first)
    second = variants.begin("/p", "k")
    assert (first, second) == (1, 2)
    variants.give_up("/p", "k", second)
    assert not variants.has_pending()
    assert not list(run._folder.glob("*.claim"))


def test_calls_that_were_reserved_are_begun_in_order(run, tmp_path, monkeypatch):
    """And a forked child does not begin the ones that its parent's threads have reserved."""
    variants = RunVariants(DirectoryStore(tmp_path / "kept"), run, lambda _: True)
    for _ in range(4):
        assert variants.reserve("/p", "k", takes_over=False)
    assert [variants.begin("/p", "k") for _ in range(2)] == [1, 2]
    monkeypatch.setattr(os, "getpid", lambda: 0)
    assert variants.reserve("/p", "k", takes_over=False)
    claim = variants.begin("/p", "k")
    assert claim == 5
    variants.give_up("/p", "k", claim)
    assert not variants.has_pending()


def test_what_was_not_reserved_comes_after_what_there_is(run, tmp_path):
    """What turns out to be another request than it seemed is no reason to replace what the run has."""
    for expected in (1, 2):
        variants = RunVariants(DirectoryStore(tmp_path / "kept"), run, lambda _: True)
        call = variants.begin("/p", "k")
        assert call == expected
        assert variants.store("/p", "k", call, b"x", is_whole=True)


def test_a_claim_of_the_dead_is_taken_away(run, tmp_path):
    """A process that was killed while it asked holds nobody up, nor does one of which there is no sign."""
    slot = RunAddress("/kept", "/chat/completions", "k", 1)
    code = """
        import os, signal, sys
        from pathlib import Path
        from inferencereplay.session.run_coordinator import RunAddress, RunCoordinator
        assert RunCoordinator(Path(sys.argv[1]), "other").claim(RunAddress("/kept", "/chat/completions", "k", 1))
        os.kill(os.getpid(), signal.SIGKILL)
    """
    assert forkserver().run(code, tmp_path / "run").returncode == -signal.SIGKILL
    assert run.claim(slot) or run.claim(slot)
    assert not RunCoordinator(tmp_path / "run", "third").claim(slot)
    for sign in run._folder.glob("*.life"):
        sign.unlink()
    assert not RunCoordinator(tmp_path / "run", "third").claim(slot)
    assert RunCoordinator(tmp_path / "run", "third").claim(slot)


@pytest.mark.parametrize("way", ["sync", "async"])
def test_processes_record_each_request_once(server, tmp_path, way):
    """Workers that make equal requests at the same moment, in opposite orders, record each once and see the same."""
    arguments = server.url, tmp_path / "kept", tmp_path / "run"
    workers = [forkserver().start(TESTS, *arguments, name, way) for name in "ab"]
    done = [worker.wait() for worker in workers]
    assert [worker.returncode for worker in done] == [0, 0]
    saw = [test for worker in done for test in json.loads(worker.stdout)]
    assert server.count == 4
    assert all(test == saw[0] for test in saw)
    assert len(list((tmp_path / "kept").rglob("*.json"))) == 4


@pytest.mark.parametrize("backend", ["sync", "asyncio", "trio"])
def test_who_comes_second_waits(server, tmp_path, run, backend):
    """A call whose equal is under way in another process waits for its end; if that came to nothing, it is its turn."""
    session = Session(tmp_path / "kept", mode="record")
    session.join(run)
    reserved = threading.Event()
    claim = run.claim

    def once(slot, **takes_over):
        if not reserved.is_set():
            assert RunCoordinator(tmp_path / "run", "other").claim(slot)
            reserved.set()
            threading.Timer(0.05, run.release_all, ("other",)).start()
        return claim(slot, **takes_over)

    run.claim = once
    with replay(session):
        if backend == "sync":
            with openai.OpenAI(api_key="test", base_url=server.url, **cheap()) as client:
                made = client.chat.completions.create(**ASK)
        else:

            async def ask():
                options = {"api_key": "test", "base_url": server.url, **cheap(is_async=True)}
                async with openai.AsyncOpenAI(**options) as client:
                    return await client.chat.completions.create(**ASK)

            made = anyio.run(ask, backend=backend)
    assert text(made) == "answer 1"
    assert reserved.is_set()


def test_nobody_waits_for_ever(server, tmp_path, run, monkeypatch, client):
    """When the patience is at an end, a call goes to the network although another process is at it."""
    monkeypatch.setattr(calls, "PATIENCE", 0.05)
    session = Session(tmp_path / "kept", mode="record")
    session.join(run)
    claim = run.claim
    other = RunCoordinator(tmp_path / "run", "other")
    run.claim = lambda slot, **takes_over: (other.claim(slot), claim(slot, **takes_over))[1]
    with replay(session):
        assert text(client.chat.completions.create(**ASK)) == "answer 1"


def test_what_was_recorded_in_between_is_not_claimed(run):
    """A mark that is set between the look for it and the claim is seen, and the claim given back."""
    slot = RunAddress("/kept", "/chat/completions", "k", 1)
    assert run.claim(slot)
    assert not run.claim(slot)
    run.settle(slot, is_whole=True)
    assert not run.claim(slot)
    assert run.has(slot)
    run.release_all()
    assert not list(run._folder.glob("*.claim"))


def test_only_the_owners_claims_are_released(run, tmp_path):
    """What died does not take the claims of the living along."""
    first, second = (RunAddress("/kept", "/chat/completions", "k", number) for number in (1, 2))
    other = RunCoordinator(tmp_path / "run", "other")
    assert run.claim(first)
    assert other.claim(second)
    run.release_all("other")
    assert not run.claim(first)
    assert run.claim(second)


def test_joining_concerns_recording_only(server, tmp_path, run, client):
    """In `record-if-missing` a session of a run does what it does alone."""
    session = Session(tmp_path / "kept", mode="record-if-missing")
    session.join(run)
    with replay(session):
        assert [text(client.chat.completions.create(**ASK)) for _ in range(2)] == ["answer 1"] * 2
    assert not (tmp_path / "run").exists()


def test_a_secret_that_turns_up_late_leads_to_no_file_of_its_own(server, tmp_path, run):
    """A key that the client sends in a header of its own is taken out of the request before it is filed."""
    session = Session(tmp_path / "kept", mode="record")
    session.join(run)
    ask = {**ASK, "messages": [{"role": "user", "content": "my token is s3cr3t-t0ken-0123"}]}
    client = openai.OpenAI(api_key="test", base_url=server.url, http_client=_signed())
    with replay(session), client:
        made = [text(client.chat.completions.create(**ask)) for _ in range(2)]
    assert made == ["answer 1", "answer 2"]
    assert session.recorded == 2
    assert "s3cr3t" not in "".join(path.read_text() for path in (tmp_path / "kept").rglob("*.json"))


def _signed():
    """Return an HTTP client that authenticates itself."""

    def sign(request):
        request.headers["authorization"] = "Token s3cr3t-t0ken-0123"

    return openai.DefaultHttpxClient(verify=False, event_hooks={"request": [sign]})


def test_a_call_is_stored_once(run, tmp_path):
    """A cancelled call may be stored twice: as answered, and as left."""
    variants = RunVariants(DirectoryStore(tmp_path / "kept"), run, lambda _: True)
    assert variants.reserve("/x", KEY, takes_over=False)
    claim = variants.begin("/x", KEY)
    assert variants.store("/x", KEY, claim, b"answered", is_whole=True)
    assert not variants.store("/x", KEY, claim, b"left", is_whole=False)
    (file,) = (tmp_path / "kept").rglob("*.json")
    assert file.read_bytes() == b"answered"
