"""Recorders of WebSocket connections that are killed, or have no room; and those of child processes."""

from __future__ import annotations

import logging
import pickle
import signal
import subprocess
import sys
from typing import Any

import pytest
from sockets import KEY, NOBODY, connected, frames, run, serving
from ways import settle

from inferencereplay import RecordingNotFound, Session, replay, session_scope
from inferencereplay.process_starts import _Carrier
from inferencereplay.session.child_session import ChildSession
from inferencereplay.session_scope import adopt

PROGRAM = """
import logging, os, signal
import openai
from openai.resources.beta.realtime import realtime
from inferencereplay import replay

logging.basicConfig(format="%(levelname)s %(message)s")
client = openai.OpenAI(api_key="{key}", websocket_base_url="{url}")
given = dict(client=client, model="m", extra_query={{}}, extra_headers={{}}, websocket_connection_options={{}})
with replay({directory!r}, mode="record"):
    for turn in range(2):
        {before}
        connection = realtime.RealtimeConnectionManager(**given).enter()
        print(connection.recv().type)
        connection.send({{"type": "session.update", "session": {{"instructions": str(turn)}}}})
        print(connection.recv().type, flush=True)
        if turn:
            {during}
        connection.close()
"""


@pytest.fixture
def sockets():
    """Serve WebSockets on loopback."""
    with serving() as served:
        yield served


def _run(url: str, directory: Any, *, before: str = "pass", during: str = "pass") -> Any:
    program = PROGRAM.format(key=KEY, url=url, directory=str(directory), before=before, during=during)
    return subprocess.run([sys.executable, "-c", program], check=False, capture_output=True, text=True)


def test_a_kill_loses_the_open_connection_only(sockets, tmp_path):
    """What was closed is whole; nothing is left of the other one."""
    done = _run(sockets.url, tmp_path, during="os.kill(os.getpid(), signal.SIGKILL)")
    assert done.returncode == -signal.SIGKILL
    assert done.stdout == "session.created\nsession.updated\n" * 2
    assert [frame.sender for frame in frames(tmp_path)] == ["server", "client", "server", "client", "server"]


def test_a_full_disk_costs_one_warning(sockets, tmp_path):
    """The program hears everything, and the recording from before stays."""
    limit = "import resource; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)"
    before = f"{limit}; turn and resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))"
    done = _run(sockets.url, tmp_path, before=before)
    assert done.returncode == 0
    assert done.stdout == "session.created\nsession.updated\n" * 2
    (warning,) = done.stderr.splitlines()
    assert warning.startswith("WARNING WEBSOCKET /realtime was not recorded in ")
    assert "File too large" in warning
    assert len(frames(tmp_path)) == 5


@pytest.fixture
def child():
    """Hand a session on as to a child process, which this process then plays; return the child's session."""
    opened = []

    def hand_over(session: Session) -> Session:
        pickle.loads(pickle.dumps(_Carrier(session, None, adopt)))
        opened.append(session_scope._adopted.pop())
        return opened[-1].session

    yield hand_over
    for scope in opened:
        scope.close()
    session_scope._adopted.clear()


async def _say(client: Any, text: str) -> None:
    async with connected(client) as connection:
        await settle(connection.recv())
        await settle(connection.send({"type": "session.update", "session": {"instructions": text}}))
        await settle(connection.recv())


def test_a_child_process_tells_what_it_records_and_replays(sockets, tmp_path, child):
    """Its connections count as its parent's."""
    session = Session(tmp_path, mode="record")
    with replay(session):
        assert type(child(session)) is ChildSession
        run(lambda client: _say(client, "a"), sockets.url, is_async=False)
        run(lambda client: _say(client, "b"), sockets.url, is_async=False)
    assert (session.recorded, session.unused()) == (2, [])
    session = Session(tmp_path)
    with pytest.raises(RecordingNotFound), replay(session):
        child(session)
        run(lambda client: _say(client, "b"), NOBODY, is_async=False)
        assert (session.hits, session.misses) == (1, 0)
        assert len(session.unused()) == 1
        with pytest.raises(RecordingNotFound):
            run(lambda client: _say(client, "c"), NOBODY, is_async=False)
    assert session.misses == 1


def test_a_child_process_records_what_is_missing(sockets, tmp_path, child):
    """In `record-if-missing` it tells a connection that it has recorded, and then one that it has replayed."""
    session = Session(tmp_path, mode="record-if-missing")
    with replay(session):
        child(session)
        run(lambda client: _say(client, "a"), sockets.url, is_async=False)
        assert (session.recorded, session.hits, session.misses) == (1, 0, 0)
        run(lambda client: _say(client, "a"), sockets.url, is_async=False)
        assert (session.recorded, session.hits, session.misses) == (1, 1, 0)
    assert len(sockets.asked) == 1


def test_a_failing_normalize_breaks_no_recorded_connection(sockets, tmp_path, caplog):
    """Of the program's messages: they are stored as they were sent."""
    with replay(tmp_path, mode="record", normalize=lambda _: 1 / 0) as session:
        run(lambda client: _say(client, "a"), sockets.url, is_async=False)
    assert session.recorded == 1
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]
