"""The pytest plugin: tests as one run, in one process and in xdist's workers; other plugins; fixtures that last."""

from __future__ import annotations

import shutil
import time
from types import SimpleNamespace

import pytest
from conftest import completion, plain
from suites import AS_WORKER, suite, summary

from inferencereplay import pytest_plugin
from inferencereplay.pytest_plugin.state import STATE
from inferencereplay.pytest_plugin.tally import Tally
from inferencereplay.session.run_coordinator import PATIENCE

pytest_plugins = ["pytester"]
__all__ = ["suite"]

EQUAL = """
    import json, pathlib

    def note(name, made):
        with open("saw.jsonl", "a") as file:
            file.write(json.dumps([name, made]) + "\\n")

    pytestmark = pytest.mark.inferencereplay

    def test_two():
        note("two", [ask() for _ in range(2)])

    def test_three():
        note("three", [ask() for _ in range(3)])
    """


def saw(suite):
    """Return what the tests noted, in an order of its own, and forget it."""
    path = suite.path / "saw.jsonl"
    lines = sorted(path.read_text().splitlines())
    path.unlink()
    return lines


# Recording.


def test_a_run_records_each_request_once(suite):
    """Two and three equal calls are three variants; what a test saw while recording is what it sees in replay."""
    suite.write(test_a=EQUAL)
    assert summary(suite.record(passed=2))[0] == "2 hits, 0 misses, 3 recorded, 0 unused"
    recorded = saw(suite)
    assert recorded == ['["three", ["answer 1", "answer 2", "answer 3"]]', '["two", ["answer 1", "answer 2"]]']
    suite.run(passed=2)
    assert saw(suite) == recorded
    suite.run("-k", "three", passed=1)
    assert saw(suite) == recorded[:1]
    assert suite.server.count == 3


def test_a_later_run_records_anew(suite):
    """`record` replaces what former runs recorded; the memory of a run goes with it."""
    suite.write(test_a=EQUAL)
    suite.record(passed=2)
    suite.record(passed=2)
    assert sorted(suite.files().values()) == ["answer 4", "answer 5", "answer 6"]
    suite.write(test_a=EQUAL.partition("    def test_three")[0])
    suite.record(passed=1)
    assert sorted(suite.files().values()) == ["answer 7", "answer 8"]


@pytest.mark.parametrize("selection", [["-k", "two"], ["test_a.py::test_two"], ["test_a.py", "test_b.py"]])
def test_what_a_part_of_the_tests_does_not_ask_for_stays(suite, selection):
    """A third answer is another test's, if only two are asked for by those that were selected."""
    suite.write(test_a=EQUAL, test_b="@pytest.mark.inferencereplay\ndef test_four(): [ask() for _ in range(4)]")
    suite.record(passed=3)
    suite.live("--inferencereplay-rewrite", *selection)
    assert len(suite.files()) == 4
    assert suite.server.count == 4 + (4 if "test_b.py" in selection else 2)


def test_a_run_that_is_stopped_removes_nothing(suite):
    """`pytest.exit` may give the status of a run that has passed; the tests that follow were not run all the same."""
    suite.write(test_a=EQUAL)
    suite.record(passed=2)
    suite.write(test_a=EQUAL.replace("def test_three():", "def test_three():\n        pytest.exit('enough', 0)"))
    result = suite.record("--inferencereplay-unused=fail")
    assert result.ret == 0
    assert summary(result)[1] == "unused recordings were not looked for: the run was stopped"
    assert sorted(suite.files().values()) == ["answer 3", "answer 4", "answer 5"]


def test_old_recordings_outlive_a_run_that_fails(suite):
    """What could not be recorded anew is still there as it was."""
    suite.write(test_a=EQUAL)
    suite.record(passed=2)
    suite.server.replies += [plain(completion("anew")), plain({"error": {}}, 500)]
    suite.record("-k", "two", failed=1)
    assert sorted(suite.files().values()) == ["anew", "answer 2", "answer 3"]


def test_rewrite_records_what_the_selected_tests_ask_for(suite):
    """Recordings of other tests stay, whatever mode the marker has; a live test stays live."""
    suite.write(
        test_a="""
        @pytest.mark.inferencereplay(mode="replay")
        def test_a():
            ask("a")

        @pytest.mark.inferencereplay
        def test_b():
            ask("b")

        @pytest.mark.inferencereplay(mode="live")
        def test_live():
            ask("live")
        """
    )
    suite.record("-k", "not live", passed=2)
    suite.live("--inferencereplay-rewrite", "-k", "not test_b", passed=2)
    assert sorted(suite.files().values()) == ["answer 2", "answer 3"]


# xdist.


@pytest.mark.slow
def test_workers_record_each_request_once(suite):
    """Equal requests of tests on several workers get one answer; counts and used recordings are added up."""
    code = """
        @pytest.mark.inferencereplay
        @pytest.mark.parametrize("number", range(6))
        def test_it(number):
            assert ask() and ask("other") and ask(f"own {number}")
        """
    suite.write(test_a=code)
    assert summary(suite.record("-n2", passed=6)) == ["10 hits, 0 misses, 8 recorded, 0 unused"]
    assert suite.server.count == 8
    assert len(suite.files()) == 8
    suite.write(test_a=code.replace("range(6)", "range(5)"))
    result = suite.run("-n2", "--inferencereplay-unused=fail")
    assert summary(result)[0] == "15 hits, 0 misses, 0 recorded, 1 unused"
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert suite.server.count == 8


@pytest.mark.slow
def test_anyio_fixtures_of_workers_are_recorded_once(suite):
    """A fixture that lasts, on a backend of anyio's, is one worker's or each one's, and the recordings are the same."""
    suite.write(
        test_a="""
        pytestmark = [pytest.mark.anyio, pytest.mark.inferencereplay]

        @pytest.fixture(scope="module", params=["asyncio", "trio"])
        def anyio_backend(request):
            return request.param

        @pytest.fixture(scope="module")
        async def lasting():
            return await ask_async()

        @pytest.mark.parametrize("number", range(2))
        async def test_it(lasting, number):
            assert (lasting, await ask_async()) == ("answer 1", "answer 1")
        """
    )
    suite.record(passed=4)
    suite.run("-n2", passed=4)
    assert suite.server.count == 1


@pytest.mark.slow
def test_misses_of_workers_are_explained_together(suite):
    """One reason is one line, on however many workers; filters on workers count as well."""
    suite.write(test_a="@pytest.mark.parametrize('x', range(4))\ndef test_it(x, inferencereplay): ask(f'{x}')")
    lines = summary(suite.run("-n2", "-k", "not 3", failed=3))
    assert lines[:2] == ["0 hits, 3 misses, 0 recorded", f"3 misses: {suite.path}/recordings does not exist"]


@pytest.mark.slow
def test_a_worker_that_dies_does_not_hold_up_the_others(suite):
    """The claim of a dead worker goes to who waits for it, and the run is not taken for complete."""
    suite.write(
        test_a="""
        import os, pathlib, time
        from inferencereplay.session.run_coordinator import RunCoordinator

        pytestmark = pytest.mark.inferencereplay

        def die(*args, **more):
            pathlib.Path("asked").touch()
            time.sleep(0.5)
            os._exit(3)

        def test_dies():
            RunCoordinator.settle = die
            ask()

        def test_waits():
            while not os.path.exists("asked"):
                time.sleep(0.01)
            ask()
        """
    )
    start = time.monotonic()
    result = suite.record("-n2")
    assert time.monotonic() - start < PATIENCE
    result.assert_outcomes(passed=1, failed=1)
    assert list(suite.files().values()) == ["answer 2"]


def test_a_stream_that_a_test_left_open_holds_up_nobody(suite):
    """What is still under way when its test is over is not waited for by the next test's equal call."""
    suite.write(
        test_a="""
        pytestmark = pytest.mark.inferencereplay
        left = []

        def stream():
            client = openai.OpenAI(max_retries=0)
            return client.chat.completions.create(model="m", messages=[], stream=True)

        def test_leaves():
            left.append(stream())
            next(left[0])

        def test_next():
            assert len(list(stream())) == 3
        """
    )
    start = time.monotonic()
    suite.record(passed=2)
    assert time.monotonic() - start < PATIENCE
    suite.run("-k", "next", passed=1)


@pytest.mark.slow
@pytest.mark.parametrize("is_hook", [False, True])
def test_a_slip_stops_xdist_too(suite, is_hook):
    """Workers refuse what a single process refuses; what a hook marks is the test's error."""
    if is_hook:
        hook = "def pytest_collection_modifyitems(items):\n    items[0].add_marker(pytest.mark.inferencereplay(mood=1))"
        suite.write(conftest=hook, test_a="def test_it(): ask()")
        suite.run("-n1", errors=1).stdout.fnmatch_lines(["*test_a.py::test_it: unknown option mood.*"])
    else:
        suite.write(test_a="@pytest.mark.inferencereplay(mood=1)\ndef test_it(): pass")
        result = suite.run("-n1")
        assert result.ret != 0
        assert "unknown option mood" in result.stdout.str()


def test_a_worker_reports_a_slip(suite):
    """What it raised would be lost."""
    suite.write(
        conftest=AS_WORKER,
        test_a="@pytest.mark.inferencereplay(mood=1)\ndef test_it(): pass",
    )
    suite.run(errors=1).stdout.fnmatch_lines(["*test_a.py::test_it: unknown option mood*"])


def test_workers_and_controller_pass_on_what_they_know(suite):
    """A worker takes the run's folder from the controller, and sends its counts at the end; a dead one sends none."""
    suite.write(test_a="")
    config = suite.pytester.parseconfigure("-p", "no:asyncio")
    node = SimpleNamespace(config=config, workerinput={"workerid": "gw0"}, gateway=SimpleNamespace(id="gw0"))
    pytest_plugin.pytest_configure_node(node)
    folder = config.stash[STATE].folder
    worker = suite.pytester.parseconfig("-p", "no:asyncio")
    worker.workerinput, worker.workeroutput = node.workerinput, {}
    pytest_plugin.pytest_configure(worker)
    state = worker.stash[STATE]
    assert (state.folder, state.owner, state.is_worker) == (folder, "gw0", True)
    state.tally.counts.update(hits=2)
    state.tally.used["/kept"] = {"a.json"}
    state.tally.reasons[("x", "y")] = 2
    pytest_plugin.pytest_sessionfinish(SimpleNamespace(config=worker), 0)
    pytest_plugin.pytest_unconfigure(worker)
    node.workeroutput = worker.workeroutput
    for error in (None, None, "died"):
        pytest_plugin.pytest_testnodedown(node, error)
    tally = config.stash[STATE].tally
    assert tally.counts == {"hits": 2}
    assert tally.used == {"/kept": {"a.json"}}
    assert tally.reasons == {("x", "y"): 2}
    assert tally.partial == {"a worker died"}
    again = Tally()
    again.add(tally.dump())
    assert again.dump() == tally.dump()


# Fixtures that last.

LASTING = """
    @pytest.fixture(scope="{scope}")
    def greeting():
        yield ask()
        assert ask("bye")

    pytestmark = pytest.mark.inferencereplay

    def test_first(greeting, inferencereplay):
        assert (greeting, ask()) == ("answer 1", "answer 1")
        assert inferencereplay.hits == 1

    class TestMore:
        def test_second(self, greeting):
            assert ask() == "answer 1"
            assert ask() in ("answer 2", "answer 3")
    """


@pytest.mark.parametrize("scope", ["class", "module", "package", "session"])
def test_a_lasting_fixture_has_its_own_session(suite, scope):
    """Its calls are numbered apart from the tests', so that any selection and order replays."""
    suite.write(tests__test_a=LASTING.format(scope=scope))
    suite.record(passed=2)
    assert {name.split("/chat")[0] for name in suite.files()} == {"tests/recordings"}
    suite.run(passed=2)
    suite.run("-k", "second", passed=1)
    assert suite.server.count == 3


def test_a_lasting_fixture_is_covered_whoever_needs_it_first(suite):
    """A test without recordings that comes first does not send the fixture to the network."""
    suite.write(
        tests__conftest="""
        @pytest.fixture(scope="session")
        def greeting():
            return ask()
        """,
        tests__deep__test_a="""
        def test_plain(greeting):
            assert greeting == "answer 1"

        @pytest.mark.inferencereplay
        def test_it(greeting):
            assert ask() == "answer 2", "another directory, another recording"

        @pytest.mark.inferencereplay
        def test_dynamic(request):
            assert request.getfixturevalue("late") == "answer 3"

        @pytest.fixture(scope="module")
        def late():
            return ask("late")
        """,
    )
    suite.record(passed=3)
    folders = sorted(name.split("/chat")[0] for name in suite.files())
    assert folders == ["tests/deep/recordings", "tests/deep/recordings", "tests/recordings"]
    suite.run(passed=3)


def test_a_lasting_fixture_that_asks_for_the_configuration_is_always_covered(suite):
    """It is recorded and replayed even if none of the tests that are run has recordings."""
    suite.write(
        conftest="""
        @pytest.fixture(scope="session")
        def greeting(inferencereplay_config):
            return ask()
        """,
        test_plain="def test_plain(greeting): assert greeting == 'answer 1'",
    )
    suite.record(passed=1)
    assert summary(suite.run(passed=1)) == ["1 hit, 0 misses, 0 recorded, 0 unused"]


def test_a_lasting_fixture_follows_a_configuration_that_lasts_as_long(suite):
    """Markers of the module and a configuration of module scope or wider count; one of a test or elsewhere does not."""
    suite.write(
        conftest="""
        @pytest.fixture(scope="session")
        def everywhere():
            return ask("everywhere")
        """,
        one__conftest="""
        @pytest.fixture(scope="session")
        def inferencereplay_config():
            return {"directory": "configured"}
        """,
        one__test_a="""
        @pytest.fixture(scope="module")
        def lasting():
            return ask("lasting")

        @pytest.mark.inferencereplay
        def test_it(everywhere, lasting):
            ask()
        """,
        two__test_b="""
        pytestmark = pytest.mark.inferencereplay("marked")

        @pytest.fixture
        def inferencereplay_config():
            return {"directory": "of_the_test"}

        @pytest.fixture(scope="module")
        def lasting():
            return ask("lasting")

        def test_it(lasting):
            ask()
        """,
    )
    suite.record(passed=2)
    folders = sorted({name.split("/chat")[0] for name in suite.files()})
    assert folders == ["one/configured", "recordings", "two/marked"]


def test_a_lasting_fixture_follows_the_configuration_of_the_root(suite):
    """A conftest.py in the root of the tests stands above all of them."""
    suite.write(
        conftest="""
        @pytest.fixture(scope="session")
        def inferencereplay_config():
            return {"directory": "configured"}

        @pytest.fixture(scope="session")
        def everywhere():
            return ask("everywhere")
        """,
        tests__test_a="""
        @pytest.fixture(scope="module")
        def lasting():
            return ask("lasting")

        def test_it(inferencereplay, everywhere, lasting):
            pass
        """,
    )
    suite.record(passed=1)
    assert sorted(name.split("/chat")[0] for name in suite.files()) == ["configured", "tests/configured"]


def test_a_miss_that_a_lasting_fixture_swallowed_fails_all_its_tests(suite):
    """As if the fixture had raised it itself; one on teardown is an error there; another error is left alone."""
    suite.write(
        test_a="""
        pytestmark = pytest.mark.inferencereplay

        @pytest.fixture(scope="session")
        def greeting():
            yield swallow()

        @pytest.fixture(scope="module")
        def leaving():
            yield
            swallow()

        @pytest.fixture(scope="module")
        def failing():
            swallow()
            raise ValueError("something else")

        def test_first(greeting):
            pass

        def test_second(greeting):
            pass

        def test_third(leaving):
            pass

        def test_fourth(failing):
            pass
        """
    )
    result = suite.run(errors=4, passed=1)
    result.stdout.fnmatch_lines(
        ["*at setup of test_first*", "*RecordingNotFound*", "*at setup of test_second*", "*RecordingNotFound*"]
    )
    result.stdout.fnmatch_lines(["*ValueError: something else", "*at teardown of test_fourth*", "*RecordingNotFound*"])
    result.stdout.fnmatch_lines(["ERROR test_a.py::test_fourth - ValueError: something else"])
    assert summary(result)[0] == "0 hits, 3 misses, 0 recorded"


def test_fixtures_of_plugins_lay_no_claim_to_the_root(suite):
    """That pytest's own fixtures outlive a test makes `recordings` in the root no directory of the tests'."""
    suite.write(tests__test_a="def test_it(inferencereplay, tmp_path): assert ask() == 'answer 1'")
    suite.record(passed=1)
    stranger = suite.path / "recordings"
    shutil.copytree(suite.path / "tests" / "recordings", stranger)
    assert summary(suite.run("--inferencereplay-unused=fail", passed=1)) == ["1 hit, 0 misses, 0 recorded, 0 unused"]
    assert summary(suite.run("tests", "--inferencereplay-unused=fail")) == ["1 hit, 0 misses, 0 recorded, 0 unused"]
    shutil.rmtree(stranger)
    stranger.write_text("a file")
    suite.run(passed=1)


def test_a_fixture_of_the_project_says_that_its_directory_is_none(suite):
    """A conftest.py's fixture may well have something to record, and does not go round its recordings."""
    suite.write(
        conftest="@pytest.fixture(scope='session')\ndef greeting(): return ask()",
        tests__test_a="def test_it(inferencereplay, greeting): pass",
    )
    (suite.path / "recordings").write_text("a file")
    suite.run(errors=1).stdout.fnmatch_lines(["E*StoreError: */recordings is a file.*"])


# Other kinds of tests.


def test_unittest_classes(suite):
    """A `TestCase` takes the marker, with setUpClass and setUp; a swallowed miss fails it, even if it skips."""
    suite.write(
        test_a="""
        import unittest

        @pytest.mark.inferencereplay
        class TestOld(unittest.TestCase):
            @classmethod
            def setUpClass(cls):
                cls.greeting = ask()

            def setUp(self):
                ask()

            def test_it(self):
                assert ask() == "answer 2"

            def test_async_is_another(self):
                assert self.greeting == "answer 1"

        @pytest.mark.inferencereplay
        class TestAsync(unittest.IsolatedAsyncioTestCase):
            async def test_it(self):
                assert await ask_async() == "answer 1"
        """
    )
    suite.record(passed=3)
    suite.run(passed=3)
    suite.write(
        test_a="""
        import unittest

        @pytest.mark.inferencereplay
        class TestOld(unittest.TestCase):
            def test_swallow(self):
                swallow()

            def test_skip(self):
                swallow()
                self.skipTest("no answer")

            def test_fail(self):
                swallow()
                self.fail("something else")
        """
    )
    result = suite.run(failed=3)
    result.stdout.fnmatch_lines(["*AssertionError: something else*", "skipped because of a request *"])


@pytest.mark.filterwarnings("ignore:.*asyncio_default_fixture_loop_scope")
def test_pytest_asyncio(suite):
    """Tests, and fixtures of any scope, on pytest-asyncio's loops."""
    suite.ini(asyncio_mode="auto", asyncio_default_fixture_loop_scope="function")
    suite.write(
        test_a="""
        import pytest_asyncio

        pytestmark = pytest.mark.inferencereplay

        @pytest_asyncio.fixture(scope="module", loop_scope="module")
        async def lasting():
            yield await ask_async()
            await ask_async("bye")

        @pytest_asyncio.fixture
        async def short():
            return await ask_async()

        async def test_first(lasting, short, inferencereplay):
            assert (lasting, short, await ask_async()) == ("answer 1", "answer 1", "answer 2")
            assert inferencereplay.hits + inferencereplay.recorded == 2

        @pytest.mark.asyncio(loop_scope="module")
        async def test_second(lasting, inferencereplay):
            assert (lasting, await ask_async()) == ("answer 1", "answer 1")
            assert inferencereplay.hits == 1
        """
    )
    suite.record("asyncio", passed=2)
    assert suite.server.count == 3
    suite.run("asyncio", passed=2)
    suite.run("asyncio", "-k", "second", passed=1)
    suite.write(
        test_a="""
        async def test_swallow(inferencereplay):
            try:
                await ask_async("unknown")
            except Exception:
                pass
        """
    )
    suite.run("asyncio", failed=1)


def test_anyio(suite):
    """Tests, and fixtures of any scope, on asyncio and trio by anyio's plugin."""
    suite.write(
        test_a="""
        pytestmark = [pytest.mark.anyio, pytest.mark.inferencereplay]

        @pytest.fixture(scope="module", params=["asyncio", "trio"])
        def anyio_backend(request):
            return request.param

        @pytest.fixture(scope="module")
        async def lasting():
            yield await ask_async()
            await ask_async("bye")

        async def test_first(lasting, inferencereplay):
            assert (lasting, await ask_async(), await ask_async()) == ("answer 1", "answer 1", "answer 2")

        async def test_second(lasting, inferencereplay):
            assert (lasting, await ask_async()) == ("answer 1", "answer 1")
            assert inferencereplay.hits == 1
        """
    )
    suite.record(passed=4)
    suite.run(passed=4)
    suite.run("-k", "second", passed=2)
    assert suite.server.count == 3


def test_the_memory_of_a_run_is_removed(suite, monkeypatch, tmp_path):
    """Nothing stays in the temporary folder, whether the run passed or failed."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    suite.write(test_a=EQUAL + "\n    def test_fails():\n        assert not ask()")
    suite.record(failed=1, passed=2)
    assert list((tmp_path / "temporary").iterdir()) == []
