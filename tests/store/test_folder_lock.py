"""The lock on a folder."""

from __future__ import annotations

import errno
import fcntl
import math
import os
import subprocess
import sys
import time
from pathlib import Path

from inferencereplay.store.folder_lock import locked

HOLDER = """
import sys, time
from inferencereplay.store.folder_lock import locked
with locked(sys.argv[1]):
    print("held", flush=True)
    sys.stdin.readline()
"""
FORKING = """
import os, sys
from inferencereplay.store.folder_lock import locked
with locked(sys.argv[1]):
    if not os.fork():
        sys.stdin.readline()
        os._exit(0)
print("left", flush=True)
sys.stdin.readline()
"""


def test_a_lock_leaves_nothing_behind(tmp_path):
    """It can be taken again and again, and no file shows it, open or in the folder."""
    opened = {*Path("/dev/fd").iterdir()}
    for _ in range(3):
        with locked(str(tmp_path)):
            pass
    assert list(tmp_path.iterdir()) == []
    assert {*Path("/dev/fd").iterdir()} <= opened


def test_a_child_that_was_forked_off_meanwhile_does_not_keep_the_lock(tmp_path):
    """It has the folder open still, but the block has ended."""
    forking = subprocess.Popen(
        [sys.executable, "-c", FORKING, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    folder = os.open(tmp_path, os.O_RDONLY)
    with forking:
        assert forking.stdout.readline() == b"left\n"
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.close(folder)


def test_a_lock_ends_with_its_process(tmp_path, monkeypatch):
    """Another process's lock is waited for, not longer than the limit, and a dead one's holds nobody up."""
    monkeypatch.setattr(time, "monotonic", lambda: 0.0)  # as where a program has frozen its clocks
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with holder:
        assert holder.stdout.readline() == b"held\n"
        with locked(str(tmp_path), 0.02):  # for it may hang
            assert holder.poll() is None
        holder.kill()
    with locked(str(tmp_path), math.inf):
        pass


def test_a_file_system_without_locks_is_written_all_the_same(tmp_path, monkeypatch):
    """Where there are no locks nobody waits for one."""

    def refuse(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with locked(str(tmp_path), math.inf), locked(str(tmp_path), math.inf):
        pass
