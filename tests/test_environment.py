"""The environment: what it decides for a block or a wrapped client, and the session that it opens for a program."""

from __future__ import annotations

import collections
import logging
import os
import subprocess
import sys
import threading

import pytest
from conftest import ASK, completion, plain

from inferencereplay import (
    InvalidSetting,
    RecordingExpired,
    RecordingNotFound,
    Session,
    api,
    environment,
    replay,
    unwrap,
    wrap,
)
from inferencereplay.recording.request import Request

KEY = "OPENAI_API_KEY"


pytestmark = pytest.mark.usefixtures("nothing_is_left")


def chat(client, **changes):
    return client.chat.completions.create(**{**ASK, **changes})


def test_the_environment_decides_for_a_wrapped_client(client, recorded, server, monkeypatch, caplog):
    """INFERENCEREPLAY_DIR alone replays, and one warning says so, once in a process."""
    directory, answer = recorded
    monkeypatch.setattr(api, "_announced", threading.Event())
    monkeypatch.setenv("INFERENCEREPLAY_DIR", str(directory))
    wrap(client)
    assert chat(client) == answer
    unwrap(client)
    wrap(client)
    unwrap(client)
    with replay():
        assert chat(client) == answer
    assert server.count == 1
    told = [record for record in caplog.records if "environment alone" in record.message]
    assert [record.levelno for record in told] == [logging.WARNING]
    assert str(directory) in told[0].message
    assert "replay" in told[0].message


class _Held(collections.UserDict):
    """Holds its variables under the name under which Python's own environment holds encoded ones."""

    _data = property(lambda self: self.data)


@pytest.mark.parametrize("kind", [dict, _Held])
def test_an_environment_of_another_type_decides_as_well(client, recorded, monkeypatch, kind):
    """As a test may give a program a plain dict."""
    directory, answer = recorded
    monkeypatch.setattr(os, "environ", kind({**os.environ, "INFERENCEREPLAY_DIR": str(directory)}))
    with replay() as session:
        assert chat(client) == answer
    assert session.hits == 1


def test_an_environment_of_another_type_may_be_there_at_the_import():
    """Its variables are not what counts when the program has its own environment back."""
    program = (
        "import os, unittest.mock as mock\n"
        "with mock.patch('os.environ', dict(os.environ)):\n"
        "    from inferencereplay.session import settings\n"
        "os.environ['INFERENCEREPLAY_DIR'] = 'kept'\n"
        "print(settings.resolve(None, {}).directory)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "kept\n"


def test_the_environment_is_silent_where_an_argument_speaks(client, recorded, monkeypatch, caplog):
    """A directory or a mode given as an argument needs no warning."""
    directory, answer = recorded
    monkeypatch.setattr(api, "_announced", threading.Event())
    monkeypatch.setenv("INFERENCEREPLAY_MODE", "replay")
    with replay(directory):
        assert chat(client) == answer
    assert "environment alone" not in caplog.text


def test_the_environment_records(client, tmp_path, monkeypatch, server):
    """INFERENCEREPLAY_MODE=record records through a wrapped client."""
    monkeypatch.setenv("INFERENCEREPLAY_MODE", "new_episodes")
    monkeypatch.setenv("INFERENCEREPLAY_DIR", str(tmp_path))
    wrap(client)
    assert chat(client) == chat(client)
    unwrap(client)
    assert server.count == 1
    monkeypatch.setenv("INFERENCEREPLAY_MODE", "sometimes")
    with pytest.raises(InvalidSetting, match="INFERENCEREPLAY_MODE"):
        wrap(client)


def test_a_mode_without_a_directory_uses_recordings(client, tmp_path, monkeypatch):
    """Without a directory, `recordings` below the working directory is used."""
    monkeypatch.chdir(tmp_path)
    with replay(mode="record"):
        chat(client)
    assert list((tmp_path / "recordings").rglob("*.json"))


def test_the_ambient_session_answers_whoever_has_no_other(ended, monkeypatch, tmp_path, client):
    """Until it is taken away."""
    monkeypatch.setenv("INFERENCEREPLAY_MODE", "record")
    monkeypatch.setenv("INFERENCEREPLAY_DIR", str(tmp_path))
    session = environment.start()
    client.chat.completions.create(model="m", messages=[])
    assert session.recorded == 1
    assert session.used() == [str(file.relative_to(tmp_path)) for file in tmp_path.rglob("*.json")]
    ((finish, *arguments),) = ended
    finish(*arguments)


def test_a_live_ambient_session_is_none(ended, monkeypatch):
    """Nothing is put in place for it."""
    monkeypatch.setenv("INFERENCEREPLAY_MODE", "live")
    environment.start()
    assert ended == []
    monkeypatch.setenv("INFERENCEREPLAY_MODE", "nonsense")
    with pytest.raises(InvalidSetting, match="INFERENCEREPLAY_MODE='nonsense' is no mode"):
        environment.start()


def test_the_end_tells_swallowed_misses(tmp_path, capsys, monkeypatch):
    """Once, and only in the process that had them; not where Python has printed that very error."""
    session = Session(tmp_path, mode="replay")
    missed = RecordingNotFound("POST /x was not recorded")
    environment.finish(session, os.getpid())
    assert capsys.readouterr().err == ""
    session.missed.append(missed)
    environment.finish(session, os.getpid() + 1)
    assert capsys.readouterr().err == ""
    environment.finish(session, os.getpid())
    told = "inferencereplay: 1 call was not recorded, and the program went on:\nPOST /x was not recorded\n"
    assert capsys.readouterr().err == told
    outer = RuntimeError("outer")
    outer.__cause__ = missed
    monkeypatch.setattr(sys, "last_value", outer, raising=False)
    environment.finish(session, os.getpid())
    assert capsys.readouterr().err == ""


def test_used_names_are_noted_as_far_as_that_goes(ended, tmp_path, capsys, monkeypatch, client):
    """Each one once; a file that cannot be written is told once, and harms nobody."""
    monkeypatch.setenv(environment.USED, str(tmp_path / "used.txt"))
    monkeypatch.setenv("INFERENCEREPLAY_MODE", "record-if-missing")
    monkeypatch.setenv("INFERENCEREPLAY_DIR", str(tmp_path / "kept"))
    session = environment.start()
    assert not (tmp_path / "used.txt").exists()
    for _ in range(3):
        client.chat.completions.create(model="m", messages=[])
    assert (tmp_path / "used.txt").read_text().splitlines() == session.used()
    lost = environment.UsedFile(str(tmp_path))
    lost.add(["a"])
    lost.add(["b"])
    assert capsys.readouterr().err.count("the used recordings were not noted") == 1


def test_a_miss_under_run_says_how_to_record(monkeypatch, tmp_path):
    """By `run` again, for the environment alone does nothing to a program that knows of no recordings."""
    monkeypatch.setenv("INFERENCEREPLAY_RUN", "1")
    session = Session(tmp_path)
    error = session.miss(session.call(Request("POST", "/chat/completions", b"{}")))
    assert f"inferencereplay run --mode record-if-missing --dir {tmp_path} -- " in str(error)


def test_the_end_tells_what_stayed_as_it_was(client, server, tmp_path, capsys):
    """Where an answer equals the stored one, in one line; not in a forked child."""
    replies = [plain(completion("a", id=f"c-{number}")) for number in range(3)]
    server.replies = replies
    with replay(tmp_path, mode="record"):
        client.chat.completions.create(**ASK)
    session = Session(tmp_path, mode="record")
    with replay(session):
        client.chat.completions.create(**ASK)
        client.chat.completions.create(**ASK)
    environment.finish(session, os.getpid() + 1)
    assert capsys.readouterr().err == ""
    environment.finish(session, os.getpid())
    assert capsys.readouterr().err == "inferencereplay: 1 recorded, 1 unchanged\n"


def test_the_end_tells_calls_whose_recordings_had_expired(capsys, tmp_path):
    """They were recorded, and not answered."""
    session = Session(tmp_path, mode="replay")
    session.missed.append(RecordingExpired("a.json is 45 days old.\nTo record it, run\n  x"))
    environment.finish(session, os.getpid())
    assert capsys.readouterr().err.startswith("inferencereplay: 1 call was not answered, and the program went on:\n")
