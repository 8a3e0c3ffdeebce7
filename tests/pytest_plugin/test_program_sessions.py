"""Sessions that the program under test opens itself, under pytest."""

from __future__ import annotations

import pytest
from suites import suite, summary

from inferencereplay.environment import start

pytest_plugins = ["pytester"]
__all__ = ["suite"]
BLOCKS = """
import inferencereplay
from inferencereplay import replay, wrap

def test_with():
    with replay("recs"):
        assert ask()

@replay("recs")
def test_decorated():
    assert ask()

def test_wrapped():
    with openai.OpenAI(api_key="k", max_retries=0, http_client=openai.DefaultHttpxClient(verify=False)) as client:
        wrap(client, "recs")
        ask_by(client)

def ask_by(client, text="hi"):
    return client.chat.completions.create(model="m", messages=[{"role": "user", "content": text}])
"""


def test_blocks_record_and_replay_as_marked_tests_do(suite):
    """The option has them record, all tests together each request once, and the summary counts them."""
    suite.write(test_a=BLOCKS)
    assert summary(suite.record(passed=3)) == ["2 hits, 0 misses, 1 recorded, 0 unused"]
    assert suite.server.count == 1
    assert summary(suite.run(passed=3)) == ["3 hits, 0 misses, 0 recorded, 0 unused"]
    assert summary(suite.live("--inferencereplay-rewrite", passed=3)) == ["2 hits, 0 misses, 1 recorded, 0 unused"]
    assert suite.server.count == 2


def test_nothing_is_watched_outside_of_such_runs():
    """These tests take the supervisor of the run that they are in away."""
    from inferencereplay.session.supervision import supervisors  # noqa: PLC0415 - of this process

    assert supervisors == []


def test_asynchronous_blocks(suite):
    """The same for coroutines."""
    suite.write(
        test_a="""
        import asyncio
        from inferencereplay import replay

        @replay("recs")
        async def decorated():
            return await ask_async()

        async def block():
            async with replay("recs"):
                return await ask_async("ho")

        def test_it():
            assert asyncio.run(decorated()) == asyncio.run(decorated()) == "answer 1"
            assert asyncio.run(block())
        """
    )
    suite.record(passed=1)
    assert summary(suite.run(passed=1)) == ["3 hits, 0 misses, 0 recorded, 0 unused"]


def test_the_hint_of_a_miss_is_true(suite):
    """The command that it names records the request, whatever mode the code has."""
    suite.write(
        test_a="""
        from inferencereplay import replay

        def test_it():
            with replay("recs", mode="replay"):
                ask()
        """
    )
    result = suite.run(failed=1)
    command = "pytest test_a.py::test_it --inferencereplay-mode=record-if-missing"
    assert command in result.stdout.str()
    assert summary(result) == [
        "0 hits, 1 miss, 0 recorded",
        f"1 miss: {suite.path}/recs does not exist",
        "to record what is missing: pytest --inferencereplay-mode=record-if-missing",
    ]
    suite.live(*command.split()[1:], passed=1)
    suite.run(passed=1)


def test_a_session_of_the_program_keeps_its_mode(suite):
    """So a test expects a miss, whatever the option says; a miss that a passing test expects is not counted."""
    suite.write(
        test_a="""
        from inferencereplay import RecordingNotFound, Session, replay

        def test_own(tmp_path):
            with pytest.raises(RecordingNotFound), replay(Session(tmp_path, mode="replay")):
                ask()
        """,
        test_b="""
        from inferencereplay import RecordingNotFound, replay

        def test_expected(tmp_path):
            with pytest.raises(RecordingNotFound), replay(tmp_path, mode="replay"):
                ask()
        """,
    )
    suite.record("test_a.py", passed=1)
    assert suite.server.count == 0
    assert summary(suite.run(passed=2)) == []


def test_recordings_of_all_sessions_are_used(suite):
    """What only a session of the program, or one beside the tests, asks for is not unused; what nobody does is."""
    suite.write(
        test_a="""
        from inferencereplay import Session, replay

        def test_marked(inferencereplay):
            ask("marked")

        def test_own():
            with replay(Session("recordings", mode="record-if-missing")), pytest.MonkeyPatch.context() as patch:
                patch.setenv("OPENAI_API_KEY", "none")
                ask("own")
        """
    )
    suite.record(passed=2)
    assert summary(suite.run(passed=2)) == ["1 hit, 0 misses, 0 recorded, 0 unused"]
    suite.write(test_a="def test_marked(inferencereplay): ask('marked')")
    assert summary(suite.run(passed=1))[0] == "1 hit, 0 misses, 0 recorded, 1 unused"


def test_unused_recordings_of_blocks_are_told(suite):
    """A directory that only blocks use is searched as well."""
    suite.write(test_a=BLOCKS + "\ndef test_more():\n    with replay('recs'): ask('more')\n")
    suite.record(passed=4)
    suite.write(test_a=BLOCKS)
    lines = summary(suite.run(passed=3))
    assert lines[0] == "3 hits, 0 misses, 0 recorded, 1 unused"
    assert lines[1].startswith("unused: recs/chat/completions/")


def test_sessions_of_imports_and_of_lasting_fixtures(suite):
    """A client that is wrapped when a module or a conftest.py is imported follows too, and is counted in each test."""
    client = "openai.OpenAI(api_key='k', max_retries=0, http_client=openai.DefaultHttpxClient(verify=False))"
    suite.write(
        conftest=f"""
        from inferencereplay import replay, unwrap, wrap
        CLIENT = wrap({client}, "recs")

        @pytest.fixture(scope="session")
        def lasting():
            with replay("lasting"):
                yield

        def pytest_unconfigure():
            unwrap(CLIENT).close()  # it lives as long as this process
        """,
        test_a=f"""
        from inferencereplay import replay, unwrap, wrap
        from conftest import CLIENT as FIRST

        SECOND = wrap({client}, "recs")
        with replay("recs"):
            SAID = ask("at import")

        def say(client, text):
            messages = [{{"role": "user", "content": text}}]
            return client.chat.completions.create(model="m", messages=messages).choices[0].message.content

        @pytest.mark.parametrize("number", range(2))
        def test_it(number):
            assert [SAID, say(FIRST, "one"), say(SECOND, f"two {{number}}")]

        def test_lasting(lasting):
            ask("lasting")

        def teardown_module():
            unwrap(SECOND).close()
        """,
    )
    suite.record(passed=3)
    assert len(suite.files()) == 6
    result = suite.run(passed=3)
    assert summary(result) == ["6 hits, 0 misses, 0 recorded, 0 unused"]


def test_faults_are_left_out_live(suite):
    """A test whose block has faults is skipped in `live`, as one whose marker has them; an import goes on without."""
    suite.write(
        test_a="""
        from inferencereplay import Fault, replay, wrap

        with replay("recs", faults=[Fault.timeout()], on="/chat/completions") as session:
            pass

        def test_it():
            assert session.is_live
            with replay("recs", faults=[Fault.timeout()]):
                ask()
        """
    )
    lines = summary(suite.live("--inferencereplay-mode=live", "--inferencereplay-unused=report", skipped=1))
    assert lines == ["0 hits, 0 misses, 0 recorded", "unused recordings were not looked for: tests ran live"]


def test_a_live_run_says_nothing_of_unused_recordings(suite):
    """Calls that the option sends to the network, or a setting of the code, used no recording."""
    suite.write(test_a=BLOCKS)
    suite.record(passed=3)
    option = "--inferencereplay-unused=report"
    told = "unused recordings were not looked for: tests ran live"
    assert summary(suite.live("--inferencereplay-mode=live", option, passed=3)) == [
        "0 hits, 0 misses, 0 recorded",
        told,
    ]
    suite.write(test_a=BLOCKS.replace('("recs")', '("recs", live="/chat/completions")', 1))
    lines = summary(suite.live(option, passed=3))
    assert lines == [
        "2 hits, 0 misses, 0 recorded, 1 live",
        told.replace("tests ran live", "calls went to the network"),
    ]


def test_blocks_without_settings_stay_live(suite):
    """Nobody has asked for recordings: nothing is counted, as outside of pytest."""
    suite.write(
        test_a="""
        from inferencereplay import replay

        def test_it():
            with replay():
                assert ask()
        """
    )
    assert summary(suite.live(passed=1)) == []
    suite.record(passed=1)
    assert list(suite.files()) == [next(name for name in suite.files() if name.startswith("recordings/"))]
    suite.ini(inferencereplay_dir="elsewhere")
    suite.run(failed=1).stdout.fnmatch_lines(["*was not recorded in */elsewhere*"])


def test_codes_own_record_mode_is_its_own(suite):
    """Without an option a block that says `record` records whenever it is run."""
    suite.write(
        test_a="""
        from inferencereplay import replay

        def test_it():
            for _ in range(2):
                with replay("recs", mode="record"):
                    ask()
        """
    )
    suite.live(passed=1)
    assert suite.server.count == 2
    assert list(suite.files().values()) == ["answer 2"]


@pytest.mark.slow
def test_workers_count_blocks(suite):
    """With xdist the counts of blocks are added up, and no recording that one worker used is unused."""
    suite.write(test_a=BLOCKS)
    suite.record("-n2", passed=3)
    assert suite.server.count == 1
    assert summary(suite.run("-n2", passed=3)) == ["3 hits, 0 misses, 0 recorded, 0 unused"]


def test_an_expected_miss_is_not_counted_for_a_later_test(suite):
    """A session that is entered again has forgotten its misses: only those since then are a failing test's."""
    suite.write(
        test_a="""
        from inferencereplay import RecordingNotFound, replay

        with replay("recs", mode="replay") as session:
            pass

        def miss():
            with pytest.raises(RecordingNotFound), replay(session):
                ask()

        def test_passes(): miss()

        def test_fails():
            miss()
            assert False
        """
    )
    assert summary(suite.run(passed=1, failed=1))[0] == "0 hits, 1 miss, 0 recorded"


def test_a_conftest_may_load_the_plugin(suite):
    """Where entry points are not used; the blocks of its tests are watched all the same, and not after the run."""
    suite.write(conftest='pytest_plugins = ["inferencereplay.pytest_plugin"]', test_a=BLOCKS)
    without = ("-p", "no:inferencereplay")
    assert summary(suite.record(*without, passed=3)) == ["2 hits, 0 misses, 1 recorded, 0 unused"]
    assert summary(suite.run(*without, passed=3)) == ["3 hits, 0 misses, 0 recorded, 0 unused"]
    test_nothing_is_watched_outside_of_such_runs()


def test_a_session_that_records_before_the_run_begins(suite):
    """A conftest.py that makes a call as it is imported: its session goes on as it began, and what it used counts."""
    suite.write(
        conftest="""
        from inferencereplay import replay

        with replay("recs") as session:
            SAID = ask("early")
        """,
        test_a="""
        from conftest import SAID, session
        from inferencereplay import replay

        def test_it():
            with replay(session):
                assert [SAID, ask("early"), ask("late")]
        """,
    )
    assert summary(suite.record(passed=1)) == ["0 hits, 0 misses, 3 recorded, 0 unused"]
    assert suite.server.count == 3
    assert sorted(suite.files().values()) == ["answer 1", "answer 2", "answer 3"]
    assert summary(suite.run(passed=1)) == ["3 hits, 0 misses, 0 recorded, 0 unused"]


def test_recordings_that_inferencereplay_run_uses_are_used(suite, monkeypatch, ended):
    """A session of the whole process answers a test without one of its own; what it does not use is unused."""
    suite.write(test_a="def test_it(): assert ask('by the process')")
    suite.write(test_b="def test_it(inferencereplay): ask('marked'); ask('no more')")
    suite.record("test_b.py", passed=1)
    monkeypatch.setenv("INFERENCEREPLAY_DIR", str(suite.path / "recordings"))
    monkeypatch.setenv("INFERENCEREPLAY_MODE", "record-if-missing")
    suite.write(test_b="def test_it(inferencereplay): ask('marked')")
    session = start()
    assert summary(suite.live(passed=2))[0] == "1 hit, 0 misses, 0 recorded, 1 unused"
    assert (session.recorded, session.hits) == (1, 0)
