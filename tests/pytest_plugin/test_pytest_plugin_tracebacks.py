"""What a test that fails over an error of ours shows: the lines of the test, not ours."""

from __future__ import annotations

import re

from suites import suite

pytest_plugins = ["pytester"]
__all__ = ["suite"]

TESTS = """
import contextlib
import openai
from inferencereplay import replay

@replay("nothing", mode="replay")
def decorated(): ask()

def test_call():
    with replay("nothing", mode="replay"):
        ask()

def test_swallowed():
    with replay("nothing", mode="replay"):
        with contextlib.suppress(Exception):
            ask()

def test_decorated(): decorated()

def test_setting(): replay("nothing", mode="rec")

def test_client():
    with replay("nothing", mode="replay"):
        openai.chat.completions.create(model="m", messages=[])
"""


def test_no_frame_of_ours_is_shown(suite):
    """However the error came about: in a call, on leaving a block, through a decorator, from a bad setting."""
    suite.write(test_a=TESTS)
    shown = suite.run(failed=5).stdout.str()
    assert re.findall(r"inferencereplay/\w+\.py:\d+|inferencereplay/sdk", shown) == []
    assert shown.count("RecordingNotFound") >= 4
    assert "inferencereplay/api.py" in suite.run("--full-trace", failed=5).stdout.str()
