"""Repositories of git for tests, without the settings of whoever runs them."""

from __future__ import annotations

import os
import subprocess

SETTINGS = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
_NAMES = ("-c", "user.name=me", "-c", "user.email=me@example.org", "-c", "init.defaultBranch=main")


def git(folder, *arguments, status=0):
    """Run git; return what it prints."""
    given = {**os.environ, **SETTINGS}
    command = ["git", *_NAMES, *map(str, arguments)]
    done = subprocess.run(command, cwd=folder, env=given, capture_output=True, check=False)
    assert done.returncode == status, done.stderr
    return (done.stdout + done.stderr * bool(status)).decode().strip()


def commit(folder, message):
    """Commit all that is in the folder."""
    git(folder, "add", ".")
    git(folder, "commit", "-qm", message)
