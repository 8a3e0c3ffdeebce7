"""Signs of life, and locks, where processes fork and die."""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pytest

from inferencereplay.locks import make_lock, make_reentrant_lock
from inferencereplay.store.folder_lock import locked
from inferencereplay.store.liveness import LivenessLock, is_alive

OWNER = """
    import os, sys, time
    from inferencereplay.store.liveness import LivenessLock

    life = LivenessLock(sys.argv[1])
    child = os.fork()
    if not child:
        os.close(0)
        print(os.getpid(), flush=True)  # it has let go of the sign by now
        time.sleep(60)
        os._exit(0)
    sys.stdin.readline()
"""


def test_a_sign_ends_with_its_process_though_a_child_of_it_lives(tmp_path):
    """Neither a child that inherited it, nor a parent that has not yet asked how it ended, keeps a dead one alive."""
    file = str(tmp_path / "life")
    command = [sys.executable, "-c", textwrap.dedent(OWNER), file]
    owner = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    child = int(owner.stdout.readline())
    try:
        assert is_alive(file)
        owner.kill()
        os.waitid(os.P_PID, owner.pid, os.WEXITED | os.WNOWAIT)
        assert not is_alive(file)
        os.kill(child, 0)
    finally:
        os.kill(child, signal.SIGKILL)
        owner.communicate()


def test_a_sign_is_seen_in_its_own_process_and_ends_with_the_object(tmp_path):
    """Looking at it does not take it away."""
    life = LivenessLock(str(tmp_path / "life"))
    assert is_alive(life.file)
    assert is_alive(life.file)
    file = life.file
    del life
    assert not is_alive(file)


def test_looking_for_a_sign_leaves_nothing_open(tmp_path):
    """A directory may hold the runs of many processes, the dead among them."""
    life = LivenessLock(str(tmp_path / "life"))
    dead = tmp_path / "dead"
    dead.touch()
    opened = {*Path("/dev/fd").iterdir()}
    for _ in range(3):
        assert is_alive(life.file)
        assert not is_alive(str(dead))
    assert {*Path("/dev/fd").iterdir()} <= opened


def test_what_is_not_there_is_dead(tmp_path):
    """A sign that is gone cannot be told by."""
    assert not is_alive(str(tmp_path / "life"))


def test_where_there_are_no_locks_everybody_lives(tmp_path, monkeypatch):
    """Nobody is taken for dead because a file system cannot tell."""

    def refuse(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    assert is_alive(LivenessLock(str(tmp_path / "life")).file)


def forked(work):
    """Run a function in a forked child, and return its exit status; it is killed after 20 seconds."""
    child = os.fork()
    if not child:
        signal.alarm(20)
        try:
            os._exit(work())
        finally:
            os._exit(99)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@pytest.mark.parametrize("make", [make_lock, make_reentrant_lock])
@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
def test_a_lock_of_ours_is_free_in_a_forked_child(make):
    """Whoever held it is not in the child; in the parent it stays held."""
    lock, held, done = make(), threading.Event(), threading.Event()

    def hold():
        with lock:
            held.set()
            done.wait(30)

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait(30)
    try:
        assert forked(lambda: 0 if lock.acquire(timeout=10) else 1) == 0
        assert not lock.acquire(blocking=False)
    finally:
        done.set()
        thread.join()
    assert lock.acquire(blocking=False)


def test_a_folders_lock_is_free_again_though_a_child_was_forked_off_meanwhile(tmp_path):
    """The child inherits the open folder, and lives on."""
    read, write = os.pipe()
    with locked(str(tmp_path)):
        child = os.fork()
        if not child:
            os.close(write)
            os.read(read, 1)
            os._exit(0)
    try:
        descriptor = os.open(tmp_path, os.O_RDONLY)
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.close(descriptor)
    finally:
        for end in (read, write):
            os.close(end)
        os.waitpid(child, 0)
