"""The pytest plugin: which tests have recordings, what their options are, what fails and what is said at the end."""

from __future__ import annotations

import logging
import subprocess
import sys

import pytest
from conftest import plain
from suites import AS_WORKER, RECORD, suite, summary

from inferencereplay.session.settings import DEFAULTS

pytest_plugins = ["pytester"]
__all__ = ["suite"]
HEAVY = ("openai", "msgspec", "pydantic", "httpx", "httpx2", "inferencereplay.session.session")


# Which tests.


def test_marked_tests_record_and_replay(suite):
    """Recordings stand beside the test file, shared by its tests; replay is the default, without network and key."""
    suite.write(
        tests__test_a="""
        @pytest.mark.inferencereplay
        def test_marked():
            assert ask() == "answer 1"

        def test_fixture(inferencereplay):
            assert ask("ho") == "answer 2"
            assert (inferencereplay.hits + inferencereplay.recorded, inferencereplay.misses) == (1, 0)
        """
    )
    suite.record(passed=2)
    assert sorted(suite.files().values()) == ["answer 1", "answer 2"]
    assert {name.rpartition("/")[0] for name in suite.files()} == {"tests/recordings/chat/completions"}
    result = suite.run("--inferencereplay-unused=report", passed=2)
    assert summary(result) == ["2 hits, 0 misses, 0 recorded, 0 unused"]
    assert suite.server.count == 2


def test_other_tests_are_left_alone(suite):
    """A test without marker and fixture calls live, and nothing is said at the end."""
    suite.write(test_a="def test_plain(): assert ask() == 'answer 1'")
    result = suite.live(passed=1)
    assert summary(result) == []
    assert suite.files() == {}


def test_what_lasts_is_left_alone_after_a_test_with_recordings(suite):
    """A lasting fixture that only tests without recordings need is live, whichever tests were before."""
    suite.write(
        test_a="""
        @pytest.fixture(scope="module")
        def lasting():
            return ask("lasting")

        def test_first(inferencereplay):
            pass

        def test_plain(request):
            assert request.getfixturevalue("lasting") == "answer 1"
        """
    )
    assert summary(suite.live(passed=2)) == ["0 hits, 0 misses, 0 recorded, 0 unused"]


def test_a_run_leaves_no_listener_behind(suite):
    """A second run in the same process is not told of what the log says to it by the first one's."""
    before = logging.getLogger("inferencereplay").handlers[:]
    suite.write(test_a="def test_it(inferencereplay): pass")
    suite.run(passed=1)
    assert logging.getLogger("inferencereplay").handlers == before


def test_classes_and_modules_can_be_marked(suite):
    """Each option comes from the nearest marker that has it."""
    suite.write(
        test_a="""
        pytestmark = pytest.mark.inferencereplay("far", speed=3, exhausted="error")

        @pytest.mark.inferencereplay("near", speed=2)
        class TestAll:
            @pytest.mark.inferencereplay(speed=1)
            def test_it(self, inferencereplay):
                ask()
                assert (inferencereplay.speed, inferencereplay._exhausted) == (1, "error")
        """
    )
    suite.record(passed=1)
    assert [name.split("/")[0] for name in suite.files()] == ["near"]


def test_parameters_can_be_marked(suite):
    """A marker on one parameter concerns that one only, and every parameter has its own recording."""
    suite.write(
        test_a="""
        @pytest.mark.parametrize("text", ["a", pytest.param("b", marks=pytest.mark.inferencereplay), "c"])
        def test_some(text):
            from inferencereplay import current_session
            assert (current_session() is not None) == (text == "b")

        @pytest.mark.inferencereplay
        @pytest.mark.parametrize("text", ["x", "y"])
        def test_all(text):
            ask(text)
        """
    )
    suite.record(passed=5)
    assert len(suite.files()) == 2
    suite.run(passed=5)


def test_tests_can_be_marked_by_a_conftest(suite):
    """A hook that marks many tests at once counts as a marker on each, for fixtures that outlive them as well."""
    suite.write(
        conftest="""
        def pytest_collection_modifyitems(items):
            for item in items:
                if "plain" not in item.name:
                    item.add_marker(pytest.mark.inferencereplay)
        """,
        test_a="""
        import unittest

        @pytest.fixture(scope="module")
        def lasting():
            return ask("lasting")

        def test_plain(lasting):
            pass

        def test_it(lasting):
            swallow("hi")

        class TestOld(unittest.TestCase):
            def test_old(self):
                ask("old")
        """,
    )
    suite.record(passed=3)
    assert len(suite.files()) == 3
    assert summary(suite.run(passed=3)) == ["3 hits, 0 misses, 0 recorded, 0 unused"]
    suite.run("-k", "plain", passed=1)
    assert suite.server.count == 3


def test_a_conftests_slip_stops_the_run(suite):
    """What a hook marks is checked like a marker; on a worker, where it cannot stop the run, the test fails."""
    suite.write(
        conftest="""
        def pytest_collection_modifyitems(items):
            for item in items:
                item.add_marker(pytest.mark.inferencereplay(mood=1))
        """,
        test_a="def test_it(): ask()",
    )
    result = suite.run()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "test_a.py::test_it: unknown option mood." in result.stderr.str()
    with (suite.path / "conftest.py").open("a") as file:
        file.write(AS_WORKER)
    suite.run(errors=1).stdout.fnmatch_lines(["*test_a.py::test_it: unknown option mood.*"])


def test_a_marker_that_comes_too_late_is_told(suite):
    """While fixtures are made it could not let any of them be recorded; the test does not go to the network."""
    suite.write(
        test_a="""
        @pytest.fixture
        def late(request):
            request.applymarker(pytest.mark.inferencereplay)

        def test_it(late):
            ask()
        """
    )
    suite.live(errors=1).stdout.fnmatch_lines(["*test_a.py::test_it got its marker too late*"])
    assert suite.server.count == 0


def test_the_fixture_can_be_asked_for_by_name(suite):
    """`request.getfixturevalue` opens the session as soon as it is called, and a swallowed miss fails the test."""
    suite.write(
        test_a="""
        def test_it(request):
            session = request.getfixturevalue("inferencereplay")
            swallow()
            assert session.misses == 1
        """
    )
    suite.run(failed=1)


@pytest.mark.parametrize("is_marked", [True, False], ids=["marked", "all"])
def test_the_fixture_is_the_open_session_of_a_test(suite, is_marked):
    """A test with recordings that asks for it by name gets the session that is open since before its fixtures."""
    suite.ini(inferencereplay_all=not is_marked)
    mark = "@pytest.mark.inferencereplay" if is_marked else ""
    suite.write(
        test_a=f"""
        @pytest.fixture
        def before():
            ask("before")

        {mark}
        def test_it(request, before):
            session = request.getfixturevalue("inferencereplay")
            ask("after")
            assert session.hits + session.recorded == 2
            assert request.getfixturevalue("inferencereplay") is session
        """
    )
    suite.record(passed=1)
    assert summary(suite.run(passed=1)) == ["2 hits, 0 misses, 0 recorded, 0 unused"]


def test_the_session_is_open_before_other_fixtures(suite):
    """Fixtures of function scope make their calls in the test's session, wherever they stand in the signature."""
    suite.write(
        test_a="""
        @pytest.fixture(autouse=True)
        def early():
            assert ask("early")

        @pytest.fixture
        def greeting():
            yield ask("greeting")
            ask("bye")

        def test_it(greeting, inferencereplay):
            assert inferencereplay.hits + inferencereplay.recorded == 2
        """
    )
    suite.record(passed=1)
    assert summary(suite.run(passed=1)) == ["3 hits, 0 misses, 0 recorded, 0 unused"]


def test_parameters_may_look_like_anything(suite):
    """What stands in a test's name is not read as anything else."""
    suite.write(
        test_a="""
        @pytest.mark.inferencereplay(mode="replay", speed=2)
        @pytest.mark.parametrize("text", ['{"a": 1}', "{}", "{0}", "%s", "a::b", "[x]"])
        def test_it(text, inferencereplay):
            assert inferencereplay.speed == 2
        """
    )
    suite.run(passed=6)


def test_other_kinds_of_items_pass_by(suite):
    """A doctest is none of ours, even below a marked module."""
    suite.write(test_a='pytestmark = pytest.mark.inferencereplay\ndef f():\n    """\n    >>> 1 + 1\n    2\n    """\n')
    suite.run("--doctest-modules", passed=1)


# Options.


def test_marker_over_fixture_over_ini_and_command_line_over_all(suite):
    """What is nearer counts more, but for the command line, which counts most."""
    suite.ini(inferencereplay_speed=5, inferencereplay_mode="record-if-missing", inferencereplay_dir="from_ini")
    suite.write(
        conftest="""
        @pytest.fixture(scope="session")
        def seen():
            return {}
        """,
        tests__test_ini="""
        def test_it(inferencereplay, pytestconfig):
            assert inferencereplay.store.directory == str(pytestconfig.rootpath / "from_ini")
            assert (inferencereplay.speed, inferencereplay.mode.value) == (5, "record-if-missing")
        """,
        tests__test_fixture="""
        @pytest.fixture(scope="module")
        def inferencereplay_config():
            return {"directory": "from_fixture", "speed": 4}

        def test_fixture(inferencereplay, request):
            assert inferencereplay.store.directory == str(request.path.parent / "from_fixture")
            assert (inferencereplay.speed, inferencereplay.mode.value) == (4, "record-if-missing")

        @pytest.mark.inferencereplay(speed=3, mode="none")
        def test_marker(inferencereplay, request):
            assert inferencereplay.store.directory == str(request.path.parent / "from_fixture")
            assert (inferencereplay.speed, inferencereplay.mode.value) == (3, "replay")
        """,
        tests__test_line="""
        @pytest.mark.inferencereplay(speed=3, mode="record")
        def test_line(inferencereplay):
            assert (inferencereplay.speed, inferencereplay.mode.value) == (2, "live")
        """,
    )
    suite.run("tests/test_ini.py", "tests/test_fixture.py", passed=3)
    suite.run("tests/test_line.py", "--inferencereplay-speed=2", "--inferencereplay-mode=live", passed=1)


def test_what_does_not_count_may_stand_in_the_ini_file(suite):
    """Paths and normalizers, also an expression with blanks and backslashes in quotes."""
    suite.ini(inferencereplay_ignore="user metadata.id", inferencereplay_normalize=r"uuids '/\bjob [0-9]+\b/'")
    suite.write(
        test_a="""
        import random

        def test_it(inferencereplay):
            ask(f"job {random.randrange(10**9)}", user=str(random.random()))
        """
    )
    suite.record(passed=1)
    suite.run(passed=1)


def test_an_invalid_path_in_the_ini_file_stops_the_run(suite):
    """The message names the option."""
    suite.ini(inferencereplay_ignore="a..b")
    suite.write(test_a="def test_it(): pass")
    result = suite.run()
    result.stderr.fnmatch_lines(["*inferencereplay_ignore='a..b' is no path into a request's body.*"])


def test_directories_may_stand_in_the_home_folder(suite, monkeypatch):
    """`~` is the user's home, as in a shell."""
    monkeypatch.setenv("HOME", str(suite.path / "home"))
    suite.write(tests__test_a="@pytest.mark.inferencereplay('~/kept')\ndef test_it(): ask()")
    suite.record(passed=1)
    assert [name.split("/chat")[0] for name in suite.files()] == ["home/kept"]


def test_the_directory_of_the_ini_file_is_relative_to_it(suite):
    """Wherever the root of the tests and the working directory are."""
    suite.write(tests__test_a="def test_it(inferencereplay): ask()")
    (suite.path / "settings").mkdir()
    (suite.path / "settings/pytest.ini").write_text("[pytest]\ninferencereplay_dir = kept\n")
    suite.record("-c", "settings/pytest.ini", "--rootdir=.", "tests", passed=1)
    assert [name.split("/chat")[0] for name in suite.files()] == ["settings/kept"]


def test_the_environment_stands_before_the_default(suite, monkeypatch):
    """`INFERENCEREPLAY_DIR` and `INFERENCEREPLAY_MODE` count where nothing else is said."""
    monkeypatch.setenv("INFERENCEREPLAY_DIR", str(suite.path / "there"))
    monkeypatch.setenv("INFERENCEREPLAY_MODE", "record")
    suite.write(test_a="@pytest.mark.inferencereplay\ndef test_it(): ask()")
    suite.live(passed=1)
    assert [name.split("/")[0] for name in suite.files()] == ["there"]


def test_every_option_of_a_session_can_be_given(suite):
    """What changes the key or the redaction works as it does for `replay`."""
    suite.write(
        test_a="""
        import itertools, re
        from inferencereplay import Pace
        from inferencereplay.pacing.clocks import VirtualClock

        count = itertools.count()

        @pytest.fixture
        def inferencereplay_config():
            return {"ignore": ["user"], "redact": [re.compile("hunter.")], "clock": VirtualClock(), "pace": Pace()}

        @pytest.mark.inferencereplay(normalize=lambda body: {**body, "seed": 1}, record_errors=True)
        def test_it(inferencereplay):
            assert ask("hunter2", user=str(next(count)), seed=next(count))
        """
    )
    suite.record(passed=1)
    suite.run(passed=1)
    assert "hunter2" not in "".join(path.read_text() for path in suite.path.rglob("*.json"))


VALID = f"Valid are directory, {', '.join(DEFAULTS)}"


@pytest.mark.parametrize(
    ("marker", "message"),
    [
        ("mood='replay'", f"test_a.py::test_it: unknown option mood. {VALID}"),
        ("a=1, b=2", f"test_a.py::test_it: unknown options a, b. {VALID}"),
        ("'a', 'replay'", "it takes one argument without a name, the directory, and got 2."),
        ("'a', directory='b'", "the directory is given twice."),
        ("mode='rekord'", "mode='rekord' is no mode. Valid are 'live', 'replay', 'record', 'record-if-missing'"),
        ("speed=0", "speed=0 is no speed."),
        ("5", "test_a.py::test_it: directory=5 is no path of a directory."),
        (
            "redact=(text for text in ['hunter2'])",
            "test_it: redact= is an iterator, of which only the first test would",
        ),
    ],
)
def test_a_markers_slip_stops_the_run(suite, marker, message):
    """Unknown options and values are errors before any test runs, with what is valid."""
    suite.write(test_a=f"@pytest.mark.inferencereplay({marker})\ndef test_it(): pass\ndef test_other(): pass")
    result = suite.run()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert message in result.stderr.str()


@pytest.mark.parametrize("name", ["inferencerepaly", "inference_replay", "InferenceReplay"])
def test_a_misspelt_marker_stops_the_run(suite, name):
    """A slip in the marker's own name would otherwise send the test to the network."""
    suite.write(test_a=f"@pytest.mark.{name}\ndef test_it(): pass")
    result = suite.run("-W", "ignore::pytest.PytestUnknownMarkWarning")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert f"@pytest.mark.{name} is no marker. Did you mean @pytest.mark.inferencereplay?" in result.stderr.str()


def test_a_plan_needs_no_recordings(suite):
    """`--setup-plan` makes no fixtures, ours neither."""
    suite.write(
        test_a="""
        def test_it(tmp_path_factory, inferencereplay): ask()

        @pytest.mark.inferencereplay
        def test_marked(): ask()
        """
    )
    result = suite.run("--setup-plan")
    assert result.ret == pytest.ExitCode.OK
    result.stdout.fnmatch_lines(["*SETUP*F inferencereplay*"])
    assert summary(result) == []


def test_other_peoples_markers_are_theirs(suite):
    """A marker that somebody has declared may look like ours; one that looks otherwise need not be declared."""
    suite.ini(markers="inferencereplays: ours")
    code = "@pytest.mark.inferencereplays\n@pytest.mark.unheard_of\ndef test_it(): pass"
    suite.write(test_a=code)
    suite.run("-W", "ignore::pytest.PytestUnknownMarkWarning", passed=1)


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        ("{'dir': 'x'}", f"inferencereplay_config: unknown option dir. {VALID}"),
        ("'recordings'", "inferencereplay_config has to return a dict of options, and returned 'recordings'."),
        ("{'mode': 'x'}", "inferencereplay_config: mode='x' is no mode."),
        ("{'ignore': iter(['user'])}", "inferencereplay_config: ignore= is an iterator, of which only the first test"),
    ],
)
def test_a_slip_in_the_configuration_is_told(suite, returned, message):
    """The fixture's options are checked like the marker's."""
    suite.write(
        test_a=f"""
        @pytest.fixture
        def inferencereplay_config():
            return {returned}

        def test_it(inferencereplay):
            pass
        """
    )
    suite.run(errors=1).stdout.fnmatch_lines([f"*{message.replace('[', '[[]')}*"])


def test_a_configuration_may_return_nothing(suite):
    """`None` says that nothing is to be changed."""
    suite.write(
        test_a="""
        @pytest.fixture
        def inferencereplay_config():
            return None

        def test_it(inferencereplay):
            assert inferencereplay.mode == "replay"
        """
    )
    suite.run(passed=1)


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        (["--inferencereplay-mode=rekord"], {}, "--inferencereplay-mode='rekord' is no mode."),
        (["--inferencereplay-speed=fast"], {}, "--inferencereplay-speed='fast' is no speed."),
        (["--inferencereplay-unused=maybe"], {}, "--inferencereplay-unused: invalid choice: 'maybe'"),
        ([RECORD, "--inferencereplay-rewrite"], {}, "it cannot be given beside --inferencereplay-mode"),
        ([], {"inferencereplay_mode": "x"}, "inferencereplay_mode='x' is no mode."),
        (
            [],
            {"inferencereplay_unused": "x"},
            "inferencereplay_unused='x' is not valid. Valid are ignore, report, fail, delete.",
        ),
    ],
)
def test_a_slip_on_the_command_line_or_in_the_ini_file_stops_the_run(suite, arguments, options, message):
    """It is told before anything is collected."""
    suite.ini(**options)
    suite.write(test_a="def test_it(): pass")
    result = suite.run(*arguments)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert message in result.stderr.str()


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [("MODE", "bogus", "mode"), ("SPEED", "fast", "speed"), ("DIR", "~no-such-user/x", "path")],
)
def test_a_slip_in_the_environment_stops_the_run(suite, monkeypatch, name, value, told):
    """It is told by the name of the variable."""
    monkeypatch.setenv(f"INFERENCEREPLAY_{name}", value)
    suite.write(test_a="def test_it(): pass")
    result = suite.run()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert f"INFERENCEREPLAY_{name}={value!r} is no {told}" in result.stderr.str()


def test_help_and_markers_say_what_there_is(suite):
    """`--help` and `--markers` hold the options and the marker with a sentence each."""
    suite.run("--help").stdout.fnmatch_lines(
        ["recorded OpenAI calls (inferencereplay):", "*--inferencereplay-rewrite*", "*inferencereplay_dir (string):*"]
    )
    suite.run("--markers").stdout.fnmatch_lines(["@pytest.mark.inferencereplay(directory, [*], mode, speed, *"])


def test_loading_costs_nothing(suite):
    """A suite without recordings imports neither the SDK nor what sessions are made of."""
    suite.write()
    code = f"import sys\ndef test_it(): assert [name for name in {HEAVY!r} if name in sys.modules] == []"
    (suite.path / "test_light.py").write_text(code)
    command = [sys.executable, "-m", "pytest", "-p", "no:asyncio", "--collect-only"]
    assert subprocess.run(command, cwd=suite.path, check=False).returncode == 0
    done = subprocess.run(command[:-1], cwd=suite.path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


# Misses.


def test_a_miss_names_the_command_that_records_it(suite):
    """The test fails with its own line and the message, without the SDK's frames, unless all are asked for."""
    suite.write(tests__test_a="@pytest.mark.parametrize('x', ['a b'])\ndef test_it(inferencereplay, x): ask()")
    result = suite.run(failed=1)
    command = "pytest 'tests/test_a.py::test_it[[]a b]' --inferencereplay-mode=record-if-missing"
    result.stdout.fnmatch_lines(["E*RecordingNotFound: POST /chat/completions was not recorded in *", f"E*{command}"])
    result.stdout.no_fnmatch_line("*patches.py*")
    assert "patches.py" in suite.run("--full-trace", failed=1).stdout.str()


def test_a_swallowed_miss_fails_the_test(suite):
    """However the program deals with the error: in the test, in a fixture, on teardown, by skipping."""
    suite.write(
        test_a="""
        pytestmark = pytest.mark.inferencereplay

        def test_call():
            swallow()
            swallow("another")

        @pytest.fixture
        def setup():
            swallow()

        def test_setup(setup):
            raise AssertionError("not reached")

        @pytest.fixture
        def teardown():
            yield
            swallow()

        def test_teardown(teardown):
            pass

        def test_skip():
            if swallow() is None:
                pytest.skip("no answer")

        def test_xfail():
            if swallow() is None:
                pytest.xfail("no answer")
        """
    )
    result = suite.run(passed=1, failed=3, errors=2)
    result.stdout.fnmatch_lines(
        [
            "*ERROR at setup of test_setup*",
            "*ERROR at teardown of test_teardown*",
            "*2 calls were not recorded; this is the first.",
            "skipped because of a request that was not recorded:",
            "called an expected failure because of a request that was not recorded:",
        ]
    )
    assert "not reached" not in result.stdout.str()
    assert summary(result)[:2] == ["0 hits, 6 misses, 0 recorded", f"6 misses: {suite.path}/recordings does not exist"]


def test_a_swallowed_miss_is_shown_beside_the_failure_it_causes(suite):
    """A test that fails otherwise keeps its error, and shows what was not recorded; a later test is not blamed."""
    suite.write(
        test_a="""
        def test_it(inferencereplay):
            assert swallow() == "hello"

        def test_next(inferencereplay):
            pass
        """
    )
    result = suite.run(failed=1, passed=1)
    result.stdout.fnmatch_lines(["E*assert None == 'hello'", "*inferencereplay call*", "POST * was not recorded *"])


def test_a_test_that_expects_a_miss_says_so(suite):
    """`pytest.raises` around `replay` with the test's own session takes the miss."""
    suite.write(
        test_a="""
        from inferencereplay import RecordingNotFound, replay

        def test_raised(inferencereplay):
            with pytest.raises(RecordingNotFound), replay(inferencereplay):
                ask()

        def test_swallowed(inferencereplay):
            with pytest.raises(RecordingNotFound), replay(inferencereplay):
                swallow()
        """
    )
    suite.run(passed=2)


def test_expected_failures_and_plain_skips_stay_what_they_are(suite):
    """Xfail and skip are reported as without the plugin."""
    suite.write(
        test_a="""
        pytestmark = pytest.mark.inferencereplay

        @pytest.mark.xfail
        def test_xfail():
            ask()

        @pytest.mark.skip
        def test_skip():
            ask()
        """
    )
    suite.run(xfailed=1, skipped=1)


# What a run did.


def test_many_misses_for_one_reason_are_one_line(suite):
    """A changed system prompt is told once, with the number of requests that it concerns; other reasons stand apart."""
    code = """
        PROMPT = "You are {}."

        def tell(text):
            messages = [{{"role": "system", "content": PROMPT}}, {{"role": "user", "content": text}}]
            openai.OpenAI(max_retries=0).chat.completions.create(model="m", messages=messages)

        @pytest.mark.inferencereplay
        @pytest.mark.parametrize("text", ["a", "b", "c", "d"])
        def test_it(text):
            tell(text)
        """
    suite.write(test_a=code.format("kind"))
    suite.record(passed=4)
    suite.write(test_a=code.format("rude") + "\n            openai.OpenAI().models.list()")
    assert summary(suite.run(failed=4)) == [
        "0 hits, 4 misses, 0 recorded",
        '4 misses: messages[0].content: "You are kind." → "You are rude."',
        "to record what is missing: pytest --inferencereplay-mode=record-if-missing",
    ]
    suite.write(
        test_b="""
        @pytest.mark.inferencereplay
        @pytest.mark.parametrize("number", range(7))
        def test_it(number):
            openai.OpenAI().get(f"/things/{number}", cast_to=object)

        @pytest.mark.inferencereplay(exhausted="error")
        def test_audio(inferencereplay):
            with pytest.raises(Exception):
                openai.OpenAI().audio.speech.create(input="x", model="m", voice="v")
        """
    )
    lines = summary(suite.run(failed=12))
    assert lines[1].startswith("4 misses: messages[0]")
    assert "1 miss: nothing is recorded for /things/0 in " in lines[2]
    assert lines[-2] == "… and 4 more reasons"


def test_what_cannot_be_recorded_is_a_reason(suite):
    """The summary does not say that such a call is to be recorded, for it never can be."""
    suite.write(
        test_a="""
        @pytest.mark.inferencereplay
        def test_it():
            options = openai._models.FinalRequestOptions(method="get", url="/models")
            openai.OpenAI(api_key="none")._build_request(options)
        """
    )
    lines = summary(suite.run(failed=1))
    assert lines[:2] == ["0 hits, 1 miss, 0 recorded", "1 miss: GET /models is not recordable"]


def test_that_there_is_more_is_no_reason(suite):
    """Two requests that differ from the nearest in much, each in its own way, have no reason in common."""
    code = """
        @pytest.mark.inferencereplay
        @pytest.mark.parametrize("x", {})
        def test_it(x):
            ask("same", metadata={{f"name {{number}}": f"{{x}}" for number in range(30)}})
        """
    suite.write(test_a=code.format("[0]"))
    suite.record(passed=1)
    suite.write(test_a=code.format("[1, 2]"))
    result = suite.run(failed=2)
    result.stdout.fnmatch_lines(["*… and * more"])
    lines = summary(result)
    assert [line.partition(":")[0] for line in lines[1:3]] == ["1 miss", "1 miss"]
    assert "… and" not in "".join(lines)


def test_used_up_recordings_are_a_reason(suite):
    """Of a request that was recorded fewer times than it is made, the summary says that."""
    code = '@pytest.mark.inferencereplay(exhausted="error")\ndef test_it():\n    for _ in range({}): ask()'
    suite.write(test_a=code.format(1))
    suite.record(passed=1)
    suite.write(test_a=code.format(2))
    result = suite.run(failed=1)
    assert "1 miss: the recordings of /chat/completions in " in summary(result)[1]
    result.stdout.fnmatch_lines(["E*--inferencereplay-mode=record"])


@pytest.mark.parametrize("workers", [(), pytest.param(("-n2",), marks=pytest.mark.slow)], ids=["one", "two"])
def test_what_could_not_be_recorded_is_told(suite, workers):
    """A recorder that fails leaves the tests alone; that there is nothing on disk then is said at the end."""
    suite.ini(inferencereplay_unused="fail")
    suite.write(test_a=TWO)
    suite.record(passed=2)
    stale, taken = sorted((suite.path / "recordings/chat/completions").iterdir())
    taken.unlink()
    taken.mkdir()
    result = suite.record(*workers, passed=2)
    assert result.ret == 0
    lines = summary(result)
    assert lines[0] == "0 hits, 0 misses, 1 recorded"
    assert lines[1].startswith("1 warning: POST /chat/completions was not recorded in ")
    assert lines[2] == "unused recordings were not looked for: there were warnings"
    assert stale.is_file()


def test_equal_warnings_are_one_line(suite):
    """What many tests meet alike is said once, with how often."""
    code = """
        @pytest.mark.inferencereplay
        @pytest.mark.parametrize("x", range(3))
        def test_it(x):
            with pytest.raises(openai.RateLimitError):
                ask(f"{x}")
        """
    suite.write(test_a=code)
    suite.server.replies += [plain({"error": {}}, 429)] * 3
    message = "POST /chat/completions was not recorded: it is transient (record_errors=True stores it): Error code: 429"
    assert summary(suite.record(passed=3)) == ["0 hits, 0 misses, 0 recorded", f"3 warnings: {message}"]


def test_old_recordings_that_cannot_be_removed_break_nothing(suite):
    """The run has passed; what it leaves behind is told."""
    suite.write(test_a="@pytest.mark.inferencereplay\ndef test_it(): ask()")
    suite.record(passed=1)
    (recorded,) = (suite.path / "recordings/chat/completions").iterdir()
    recorded.with_stem(f"{recorded.stem}~2").mkdir()
    result = suite.record(passed=1)
    assert result.ret == 0
    assert summary(result)[1].startswith("1 warning: old recordings could not be put in order: ")


TWO = """
    pytestmark = pytest.mark.inferencereplay

    def test_a():
        ask("a")

    def test_b():
        ask("b")
    """


def test_unused_recordings_are_reported_after_a_complete_run(suite):
    """What no test asked for is named; `fail` makes the run fail, `ignore` says nothing."""
    suite.write(test_a=TWO)
    suite.record(passed=2)
    suite.write(test_a=TWO.replace('ask("b")', "pass"))
    stale = next(name for name, text in suite.files().items() if text == "answer 2")
    said = ["1 hit, 0 misses, 0 recorded, 1 unused", f"unused: {stale}"]
    result = suite.run(passed=2)
    assert (summary(result), result.ret) == (said, 0)
    result = suite.run("--inferencereplay-unused=fail")
    why = "unused recordings fail this run: delete these files, or give --inferencereplay-unused=report"
    assert (summary(result), result.ret) == ([*said, why], pytest.ExitCode.TESTS_FAILED)
    suite.ini(inferencereplay_unused="ignore")
    assert summary(suite.run()) == ["1 hit, 0 misses, 0 recorded"]


@pytest.mark.parametrize(
    ("arguments", "doubt"),
    [
        (["-k", "test_b"], "tests with recordings were deselected"),
        (["-m", "not slow", "--deselect=test_a.py::test_b"], "tests with recordings were deselected"),
        (["test_a.py::test_a"], "took in a part of the tests"),
        (["test_a.py"], "took in a part of the tests"),
        (["--lf"], "only the tests that failed last were run"),
        (["--ignore=other"], "paths were ignored"),
        (["--setup-only"], "tests were only set up"),
    ],
)
def test_a_part_of_the_tests_says_nothing_about_unused_recordings(suite, arguments, doubt):
    """Whatever narrows the run keeps recordings from being called unused, and that is told to whoever asked."""
    suite.write(test_a=TWO)
    suite.record(passed=2)
    result = suite.run("--inferencereplay-unused=fail", *arguments)
    assert result.ret == 0
    lines = summary(result)
    assert lines[1].startswith("unused recordings were not looked for: ")
    assert doubt in lines[1]
    assert "unused recordings" not in suite.run(*arguments).stdout.str()


@pytest.mark.parametrize(
    ("change", "doubt"),
    [
        ("@pytest.mark.skip\n    def test_b", "tests with recordings were skipped"),
        ("def test_b(inferencereplay): pytest.skip()\n    def test_c", "tests with recordings were skipped"),
        ('@pytest.mark.inferencereplay(mode="live")\n    def test_b', "tests ran live"),
        ("def test_failing(): assert False\n    def test_b", "the run did not pass"),
    ],
)
def test_what_was_not_run_to_its_end_has_not_asked_for_its_recordings(suite, change, doubt):
    """Skipped, failed and live tests leave recordings alone that are not unused for that."""
    suite.write(test_a=TWO)
    suite.record(passed=2)
    suite.write(test_a=TWO.replace("def test_b", change))
    assert doubt in summary(suite.live("--inferencereplay-unused=report"))[1]


def test_skipped_modules_make_a_run_incomplete(suite):
    """A module that cannot be imported for want of a package is not taken for one without calls."""
    suite.write(test_a=TWO, test_b='pytest.importorskip("surely_not_installed")')
    suite.record()
    assert "modules were skipped" in summary(suite.run("--inferencereplay-unused=report"))[1]


def test_directories_are_taken_into_account_one_by_one(suite):
    """A run of one folder speaks of that folder's recordings, not of the ones shared with others."""
    suite.write(
        one__test_a=TWO,
        two__test_b='@pytest.mark.inferencereplay("../shared")\ndef test_it(): ask("c")',
    )
    suite.record(passed=3)
    lines = summary(suite.run("one", "two", "--inferencereplay-unused=report"))
    assert lines == [
        "3 hits, 0 misses, 0 recorded",
        f"unused recordings were not looked for: the run took in a part of the tests of {suite.path}/shared only",
    ]
    suite.ini(testpaths="one two")
    assert summary(suite.run()) == ["3 hits, 0 misses, 0 recorded, 0 unused"]


def test_a_folder_may_be_named_by_a_link(suite):
    """It is the same folder, and the same recordings."""
    suite.write(tests__test_a=TWO)
    suite.record(passed=2)
    (suite.path / "link").symlink_to("tests")
    assert summary(suite.run("link", passed=2)) == ["2 hits, 0 misses, 0 recorded, 0 unused"]


def test_a_directory_within_another_is_no_part_of_it(suite):
    """Recordings under `recordings/more`, used from there, are not unused ones of `recordings`."""
    suite.write(test_a=TWO.replace("def test_b", '@pytest.mark.inferencereplay("recordings/more")\n    def test_b'))
    suite.record(passed=2)
    assert summary(suite.run(passed=2)) == ["2 hits, 0 misses, 0 recorded, 0 unused"]


def test_a_long_list_of_unused_recordings_is_cut(suite):
    """Twenty names are enough to see what happened."""
    code = '@pytest.mark.inferencereplay\n@pytest.mark.parametrize("x", range({}))\ndef test_it(x): ask(f"{{x}}")'
    suite.write(test_a=code.format(23))
    suite.record(passed=23)
    suite.write(test_a=code.format(1))
    assert summary(suite.run(passed=1))[-1] == "… and 2 more files"


# Faults.


def test_the_marker_gives_faults_and_the_summary_counts_them(suite):
    """They happen while a test is recorded, too, and are never stored; one that did not happen is told."""
    suite.write(
        tests__test_a="""
        from inferencereplay import Fault

        @pytest.mark.inferencereplay(faults=[Fault.status(500), Fault.cut(times=2)], on="/chat/*")
        def test_faults(inferencereplay):
            for _ in range(3):
                with pytest.raises(openai.APIError):
                    ask()
            assert ask() == "answer 1"

        @pytest.mark.inferencereplay(faults="cut(nth=3)")
        def test_none():
            assert ask() == "answer 1"
        """
    )
    told = ["3 faults: 2 cut, 1 status 500", "in 1 test a fault did not happen: Fault.cut(nth=(3,))"]
    assert summary(suite.record(passed=2)) == ["1 hit, 0 misses, 1 recorded, 0 unused", *told]
    assert summary(suite.run(passed=2)) == ["2 hits, 0 misses, 0 recorded, 0 unused", *told]


def test_a_live_run_skips_tests_with_faults(suite):
    """Their faults alter recorded answers, of which a live run has none; a fixture's calls are live."""
    suite.write(
        tests__test_a="""
        from inferencereplay import Fault

        pytestmark = pytest.mark.inferencereplay(faults=[Fault.status(500, nth=2)])

        @pytest.fixture(scope="module")
        def greeting():
            return ask()

        def test_faults(greeting):
            pass

        @pytest.mark.inferencereplay(faults=[], on=None)
        def test_none(greeting):
            assert greeting == "answer 1"
        """
    )
    result = suite.live("--inferencereplay-mode=live", "-rs", passed=1, skipped=1)
    result.stdout.fnmatch_lines(["*its faults alter recorded answers, and this run is live"])


def test_workers_tell_their_faults(suite):
    """The controller adds them up."""
    suite.write(
        tests__test_a="""
        from inferencereplay import Fault
        from inferencereplay.pytest_plugin.tally import Tally

        @pytest.mark.inferencereplay(faults=[Fault.refused(), Fault.cut(nth=9)])
        def test_faults(inferencereplay):
            with pytest.raises(openai.APIConnectionError):
                ask()
            tally = Tally()
            tally.add_session(inferencereplay)
            other = Tally()
            other.add(tally.dump())
            other.add(tally.dump())
            assert other.faults == {"refused": 2}
            assert other.idle == {"Fault.cut(nth=(9,))": 2}
        """
    )
    assert "1 fault: 1 refused" in summary(suite.run(passed=1))


def test_the_session_of_a_test_is_free_after_it(suite):
    """A run of thousands of tests does not keep the sessions of all of them in memory."""
    suite.write(
        test_a="""
        import gc, weakref
        seen = []

        @pytest.mark.parametrize("number", range(4))
        def test_it(request, number):
            session = request.getfixturevalue("inferencereplay")
            gc.collect()
            assert [kept() for kept in seen[:-1]] == [None] * len(seen[:-1])
            seen.append(weakref.ref(session))
        """
    )
    suite.run(passed=4)
