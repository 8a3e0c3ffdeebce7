"""Child processes of multiprocessing: they answer as the block in which they are started, and tell it what they do."""

from __future__ import annotations

import json
import multiprocessing
import multiprocessing.process
import os
import pickle
import subprocess
import sys
import types
from pathlib import Path

import openai
import pytest
from conftest import ASK, cheap
from forkserver import clean_environment
from ways import DEAD

import inferencereplay
from inferencereplay import (
    Fault,
    InvalidSetting,
    NotRecordable,
    Pace,
    RecordingNotFound,
    Session,
    VirtualClock,
    process_starts,
    replay,
    session_scope,
)
from inferencereplay.process_starts import ProcessStarts, _Carrier
from inferencereplay.recording.request import Request
from inferencereplay.session import active, misses
from inferencereplay.session.child_reports import ChildReports, Reporter
from inferencereplay.session.child_session import ChildSession, hand_on
from inferencereplay.session.run_coordinator import RunCoordinator
from inferencereplay.session_scope import adopt

pytestmark = pytest.mark.usefixtures("nothing_is_left")


def ask(text="Hello", **more):
    with openai.OpenAI(api_key="none", base_url=DEAD, max_retries=0, **cheap()) as client:
        made = client.chat.completions.create(**{**ASK, "messages": [{"role": "user", "content": text}]}, **more)
    return made.choices[0].message.content


def same(body):
    return body


@pytest.fixture
def child(monkeypatch):
    """Hand a session on as to a child process, which this process then plays; return the child's session."""
    opened = []

    def hand_over(session, *, inherited=None):
        pickle.loads(pickle.dumps(_Carrier(session, inherited, adopt)))
        scope = session_scope._adopted.pop()
        opened.append(scope)
        return scope.session

    yield hand_over
    for scope in opened:
        scope.close()
    misses.program.clear()
    session_scope._adopted.clear()


def test_a_child_answers_as_its_parent_and_tells_it(recorded, child):
    """Its hits and misses are the parent's, and so are the names of what it used; a swallowed miss is raised there."""
    directory, live = recorded
    session = Session(directory)
    with pytest.raises(RecordingNotFound, match="A child process made this call") as caught, replay(session):
        inner = child(session)
        assert type(inner) is ChildSession
        assert ask() == live.choices[0].message.content
        assert (inner.hits, session.hits, session.unused()) == (1, 1, [])
        with pytest.raises(RecordingNotFound):
            ask("else")
        assert (inner.misses, session.misses) == (1, 1)
        assert session.used() == inner.used()
        inner.forget_misses()
    assert (caught.value.path, caught.value.differences) == (
        "/chat/completions",
        ('messages[0].content: "Hello" → "else"',),
    )
    assert session.missed == []


def test_a_child_tells_that_a_call_is_not_recordable(recorded, child):
    """The parent's error is of the same class."""
    session = Session(recorded[0])
    with pytest.raises(NotRecordable), replay(session):
        told = child(session)
        told.refuse(told.call(Request("POST", "/x", b"null")), "it is a connection")


def test_a_child_records(server, tmp_path, child):
    """What it stores counts as the parent's, and not as unused; what is not stored does not."""
    session = Session(tmp_path, mode="record")
    with replay(session):
        child(session)
        with openai.OpenAI(api_key="none", base_url=server.url, max_retries=0, **cheap()) as client:
            client.chat.completions.create(**ASK)
            with pytest.raises(openai.NotFoundError):
                client.get("/nothing", cast_to=object)
            with pytest.raises(openai.APIConnectionError):
                client.with_options(base_url=DEAD).models.list()
    assert (session.recorded, session.hits, session.unused()) == (2, 0, [])


def test_an_answer_that_a_child_cannot_store_is_not_told(server, tmp_path, child, caplog):
    """As in the parent, it costs a warning."""
    directory = tmp_path / "d"
    session = Session(directory, mode="record")
    with replay(session):
        child(session)
        directory.write_text("no directory")
        with openai.OpenAI(api_key="none", base_url=server.url, max_retries=0, **cheap()) as client:
            client.chat.completions.create(**ASK)
    assert session.recorded == 0
    assert "was not recorded" in caplog.text


def test_children_of_a_child_tell_the_same_parent(recorded, child):
    """All of them write into one folder."""
    session = Session(recorded[0])
    with replay(session):
        inner = child(session)
        assert hand_on(inner).folder == hand_on(session).folder != ""


def test_a_child_meets_faults(recorded, child):
    """They are counted with the parent's; how often each may happen is counted in each process."""
    session = Session(recorded[0], faults=[Fault.status(400), Fault.refused()])
    with replay(session):
        with pytest.raises(openai.BadRequestError):
            ask()
        child(session)
        for error in (openai.BadRequestError, openai.APIConnectionError):
            with pytest.raises(error):
                ask()
    assert session.faults == {"status 400": 2, "refused": 1}


def test_a_fault_that_only_a_child_met_has_happened(recorded, child):
    """Equal names are told apart by their places."""
    session = Session(recorded[0], faults=[Fault.status(400, on="/chat/*"), Fault.status(400, on="/embeddings")])
    with replay(session):
        child(session)
        with pytest.raises(openai.BadRequestError):
            ask()
    assert session.faults == {"status 400": 1}
    assert session.unused_faults() == [Fault.status(400, on="/embeddings")]


def test_a_child_answers_by_hand_as_its_parent(recorded, child):
    """What was not asked for yet is left; the parent's session counts it, and the block ends without `UnusedStub`."""
    with replay(recorded[0]) as session:
        used, left = session.stub("one"), session.stub("two", when=same, pace=Pace(0.0, 0.0))
        assert ask() == "one"
        inner = child(session)
        assert ask() == "two"
        assert ask("Hello") == recorded[1].choices[0].message.content
        assert inner.stub("three").number == 3
        assert (session.stubbed, session.hits, used.asked, left.asked) == (2, 1, 1, 1)


def test_a_stub_that_cannot_be_pickled_is_told_at_the_first_call(recorded, child):
    """By an error that names it; no recording answers in its place."""
    with replay(recorded[0]) as session:
        session.stub("one", when=lambda body: True, required=False)
        child(session)
        with pytest.raises(InvalidSetting, match=r"child process cannot get the settings .* stubs=\(<Stub 1: .*lambda"):
            ask()


def test_a_child_tells_what_went_to_the_network(recorded, child):
    """As its parent counts it."""
    with replay(recorded[0], live="/chat/completions") as session:
        child(session)
        with pytest.raises(openai.APIConnectionError):
            ask()
        assert (session.let_through, session.hits) == (1, 0)


def test_a_child_in_live_mode_tells_nothing(recorded, child):
    """All of its calls go to the network."""
    with replay(recorded[0], mode="live") as session:
        inner = child(session)
        inner.pass_on(inner.call(Request("POST", "/x", b"{}")))
        assert session.let_through == 0


def test_a_child_joins_its_parents_run(server, tmp_path, child):
    """Under pytest, with all its processes, each request is made once."""
    session = Session(tmp_path / "a", mode="record")
    session.join(RunCoordinator(tmp_path / "run"))
    with replay(session), openai.OpenAI(api_key="none", base_url=server.url, max_retries=0, **cheap()) as client:
        first = client.chat.completions.create(**ASK)
        child(session)
        assert client.chat.completions.create(**ASK) == first
        client.chat.completions.create(**ASK)
    assert (server.count, session.recorded, session.hits) == (2, 2, 1)


def test_a_child_gets_all_settings(recorded, child, monkeypatch):
    """Also those that no variable can hold, and a directory wherever it runs; its own clock begins with the time."""
    directory, _ = recorded
    monkeypatch.chdir(directory.parent)
    clock = VirtualClock()
    clock.time = 7.0
    options = {
        "normalize": same,
        "ignore": "user",
        "redact": r"\d{9}",
        "exhausted": "error",
        "clock": clock,
        "speed": 2,
    }
    session = Session(directory.name, **options)
    session.command = lambda mode: f"pytest {mode}"
    with replay(session):
        inner = child(session)
    assert inner.store.directory == str(directory)
    assert {name: getattr(inner.settings, name) for name in options if name != "clock"} == {
        name: getattr(session.settings, name) for name in options if name != "clock"
    }
    assert (inner.clock.time, inner.clock is clock) == (7.0, False)
    assert inner.command("record") == "pytest record"
    assert (inner.mode, inner.own_mode, misses.program) == (session.mode, None, sys.orig_argv)


def test_what_cannot_be_pickled_is_told_at_the_first_call(recorded, child):
    """By one error that names it; nothing reaches the network."""
    session = Session(recorded[0], mode="replay", normalize=lambda body: body)
    with replay(session):
        inner = child(session)
        for make in (ask, lambda: ask(user="x")):
            with pytest.raises(InvalidSetting, match=r"child process cannot get the settings .* normalize=<function"):
                make()
    assert "clock" not in inner.obstacle


def test_what_cannot_be_read_in_the_child_is_told_at_the_first_call(recorded, child, monkeypatch):
    """Such as a function of a module that the child does not have."""
    module = types.ModuleType("only_in_the_parent")
    exec("def same(body): return body", vars(module))
    monkeypatch.setitem(sys.modules, "only_in_the_parent", module)
    session = Session(recorded[0], normalize=module.same)
    with replay(session):
        pickled = pickle.dumps(_Carrier(session, None, adopt))
        monkeypatch.delitem(sys.modules, "only_in_the_parent")
        pickle.loads(pickled)
        scope = session_scope._adopted.pop()
        with pytest.raises(InvalidSetting, match=r"cannot read the settings .*only_in_the_parent"):
            ask()
        scope.close()
    misses.program.clear()


def test_a_child_without_openai_waits_for_it(recorded, child, monkeypatch):
    """The session begins with the import; until then the process hands on to its own children what it was handed."""
    session = Session(recorded[0])
    with replay(session):
        pickled = pickle.dumps(_Carrier(session, None, adopt))
    monkeypatch.delitem(sys.modules, "openai")
    pickle.loads(pickled)
    assert session_scope._adopted == []
    process = _Process()
    process.start()
    function, (handed,) = process.seen.__reduce__()
    assert (function, handed) == (adopt, session_scope._starts.inherited)
    monkeypatch.undo()
    (watcher,) = [item for item in sys.meta_path if getattr(item, "_names", None) == {"openai"}]
    watcher._report(openai)
    assert session_scope._starts.inherited is None
    scope = session_scope._adopted.pop()
    assert ask() == recorded[1].choices[0].message.content
    assert (scope.session.hits, session.hits) == (1, 1)
    scope.close()


class _Process(multiprocessing.process.BaseProcess):
    """A process that is not really started, and keeps what it would be pickled with."""

    seen = None

    def _Popen(self, _):  # noqa: N802 - as it is called
        self.seen = vars(self).get("_inferencereplay")
        return types.SimpleNamespace(sentinel=0, wait=lambda _: 0, poll=lambda: 0)


@pytest.fixture(autouse=True)
def _no_children(monkeypatch):
    monkeypatch.setattr(multiprocessing.process, "_children", set())
    yield
    misses.program.clear()


def test_starts_are_watched_while_there_are_sessions(recorded):
    """A process that is started inside of a block carries the innermost session; outside, it is started as ever."""
    original = multiprocessing.process.BaseProcess.start
    with replay(recorded[0]) as outer:
        assert multiprocessing.process.BaseProcess.start is not original
        with replay(recorded[0]) as inner:
            process = _Process()
            process.start()
            assert process.seen._session is inner
            assert "_inferencereplay" not in vars(process)
        process = _Process()
        process.start()
        assert process.seen._session is outer
    assert multiprocessing.process.BaseProcess.start is original
    process = _Process()
    process.start()
    assert process.seen is None


def test_starts_are_watched_from_the_import_on(monkeypatch):
    """A program that has not imported multiprocessing pays nothing for it."""
    starts = ProcessStarts(adopt)
    module = types.ModuleType("multiprocessing.process")
    module.BaseProcess = type("BaseProcess", (), {"start": lambda _: None})
    original = module.BaseProcess.start
    monkeypatch.delitem(sys.modules, "multiprocessing.process")
    starts.acquire("a")
    starts.acquire("b")
    assert starts._watcher in sys.meta_path
    monkeypatch.setitem(sys.modules, "multiprocessing.process", module)
    starts._watcher._report(module)
    starts.acquire("c")
    wrapper = module.BaseProcess.start
    assert wrapper.__wrapped__ is original
    for user in "abc":
        starts.release(user)
    assert module.BaseProcess.start is original
    assert starts._watcher not in sys.meta_path
    monkeypatch.delitem(sys.modules, "multiprocessing.process")
    starts.acquire("d")
    starts.release("d")
    assert starts._watcher not in sys.meta_path


def test_a_wrapper_over_ours_stays(monkeypatch):
    """Another library's patch keeps ours inside, which then does nothing, and is not put on again."""
    monkeypatch.setattr(multiprocessing.process.BaseProcess, "start", multiprocessing.process.BaseProcess.start)
    starts = ProcessStarts(adopt)
    starts.acquire("a")
    ours = multiprocessing.process.BaseProcess.start
    multiprocessing.process.BaseProcess.start = theirs = lambda process: ours(process)  # noqa: PLW0108 - a wrapper
    starts.release("a")
    starts.acquire("a")
    assert multiprocessing.process.BaseProcess.start is theirs
    process = _Process()
    process.start()
    assert process.seen is None
    starts.release("a")


def test_a_block_that_is_open_elsewhere_counts(recorded):
    """A thread without a block of its own starts processes for the newest one."""
    first, second = replay(recorded[0]), replay(recorded[0])
    assert active.newest() is None
    with first as outer, second as inner:
        assert active.newest() is inner
        assert active.open_sessions() == [outer, inner]
        import contextvars  # noqa: PLC0415

        assert contextvars.Context().run(active.newest) is inner


def test_a_fork_makes_the_place_where_its_child_reports(recorded):
    """Before the fork; nothing is made for a session that is not open."""
    closed = Session(recorded[0])
    with replay(recorded[0]) as session:
        process_starts._expect()
        folder = session.expect_children()
        assert Path(folder).is_dir()
        assert closed._children is None
        session.forget_children()
    assert not Path(folder).exists()


def test_a_folder_that_cannot_be_made_costs_a_warning(recorded, monkeypatch, caplog):
    """What children do is not counted then, and they answer all the same, and write nothing anywhere else."""
    monkeypatch.setattr("tempfile.tempdir", "/proc/nothing")
    session = Session(recorded[0])
    assert session.expect_children() == ""
    assert caplog.messages[0].startswith("what child processes do is not counted: ")
    monkeypatch.chdir(recorded[0])
    before = sorted(Path().iterdir())
    Reporter("").tell("hit", "a")
    assert (session.hits, sorted(Path().iterdir())) == (0, before)


def test_reports_are_heard_as_far_as_they_are_written(tmp_path):
    """A line that is half written is heard when it is whole; a folder that somebody removes costs nothing."""
    reports = ChildReports()
    file = Path(reports.folder, "1")
    file.write_text('["hit", "a"]\n["hit", ')
    assert (reports.hear(), reports.hits, reports.used) == ([], 1, {"a"})
    with file.open("a") as opened:
        opened.write('"b"]\n')
    Reporter(reports.folder).tell("stored", 1, 0, "c")
    Reporter(reports.folder).tell("stored", 0, 1, "d")
    Reporter(reports.folder).tell_miss(NotRecordable("no", path="/x"))
    (missed,) = reports.hear()
    assert (reports.hits, reports.recorded, reports.misses, reports.used) == (2, 1, 1, {"a", "b", "c", "d"})
    assert reports.unchanged == 1
    assert (type(missed), missed.path, missed.differences) == (NotRecordable, "/x", ())
    for path in Path(reports.folder).iterdir():
        path.unlink()
    Path(reports.folder).rmdir()
    assert reports.hear() == []


def test_a_copy_in_a_forked_child_removes_nothing(monkeypatch):
    """The folder is the process's that made it."""
    reports = ChildReports()
    folder = reports.folder
    with monkeypatch.context() as patch:
        patch.setattr(os, "getpid", lambda: -1)
        del reports
    assert Path(folder).is_dir()
    Path(folder).rmdir()


PROGRAM = """
import json, multiprocessing, os, sys
from concurrent.futures import ProcessPoolExecutor
from inferencereplay import RecordingNotFound, replay
import openai

def ask(text="Hello", depth=0):
    if depth:
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context()) as pool:
            return pool.submit(ask, text, depth - 1).result()
    http = openai.DefaultHttpxClient(verify=False)
    with openai.OpenAI(api_key="none", base_url="http://127.0.0.1:9/v1", max_retries=0, http_client=http) as client:
        asked = {"model": "m", "messages": [{"role": "user", "content": text}], "temperature": 0.5}
        return client.chat.completions.create(**asked).choices[0].message.content

def swallow():
    try:
        ask("else")
    except RecordingNotFound:
        pass

if __name__ == "__main__":
    method, directory = sys.argv[1:]
    multiprocessing.set_start_method(method)
    told = []
    try:
        with replay(directory) as session:
            with ProcessPoolExecutor(1) as pool:
                told.append(pool.submit(ask).result())
                told.append(pool.submit(ask, depth=1).result())
            with multiprocessing.Pool(1) as pool:  # its end is a signal
                told += pool.map(ask, ["Hello"])
            told.append(session.hits)
            process = multiprocessing.Process(target=swallow)
            process.start()
            process.join()
            told += [process.exitcode, session.misses, len(session.unused())]
            if not os.fork():
                ask()
                os._exit(0)
            os.wait()
            told.append(session.hits)
    except RecordingNotFound as error:
        told.append(error.differences)
    print(json.dumps(told))
"""


@pytest.mark.slow
@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_children_of_every_kind(recorded, tmp_path, method):
    """Pools and processes, children of children, ended by themselves or by a signal; nothing reaches the network."""
    directory, live = recorded
    script = tmp_path / "program.py"
    script.write_text(PROGRAM)
    path = str(Path(inferencereplay.__file__).parents[1])
    done = subprocess.run(
        [sys.executable, "-W", "ignore", script, method, directory],
        env={**clean_environment(), "PYTHONPATH": path},
        capture_output=True,
        encoding="utf-8",
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    text = live.choices[0].message.content
    assert json.loads(done.stdout) == [text, text, text, 3, 0, 1, 0, 4, ['messages[0].content: "Hello" → "else"']]
