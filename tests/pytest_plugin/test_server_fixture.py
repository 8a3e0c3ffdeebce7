"""The fixture `inferencereplay_server`: a base URL for programs that are no part of the test's process."""

from __future__ import annotations

import sys

import pytest
from suites import suite, summary

pytest_plugins = ["pytester"]
__all__ = ["suite"]
ASKING = """
import json, subprocess, sys

def curl(url, text, *headers):
    body = json.dumps({"model": "m", "messages": [{"role": "user", "content": text}]})
    named = [part for header in headers for part in ("-H", header)]
    done = subprocess.run(
        ["curl", "-s", "-H", "content-type: application/json", *named, "-d", body, f"{url}/chat/completions"],
        capture_output=True, check=True,
    )
    answer = json.loads(done.stdout)
    return answer.get("error", {}).get("code") or answer["choices"][0]["message"]["content"]
"""


def test_programs_are_recorded_and_replayed(suite):
    """Hits and recordings count in the summary, those of named sessions too."""
    suite.write(
        test_a=ASKING
        + """
@pytest.fixture
def inferencereplay_upstream():
    return UPSTREAM

@pytest.mark.inferencereplay("kept")
def test_it(inferencereplay_server):
    first = curl(inferencereplay_server, "hi")
    assert curl(inferencereplay_server, "hi", "x-inferencereplay-session: other") == first
""".replace("UPSTREAM", repr(suite.server.url))
    )
    assert summary(suite.run("--inferencereplay-mode=record-if-missing", passed=1)) == [
        "1 hit, 0 misses, 1 recorded, 0 unused"
    ]
    assert [name.split("/")[0] for name in suite.files()] == ["kept"]
    assert summary(suite.run(passed=1)) == ["2 hits, 0 misses, 0 recorded, 0 unused"]
    assert suite.server.count == 1


@pytest.mark.parametrize("header", ["", ', "x-inferencereplay-session: other"'])
def test_a_miss_of_a_program_fails_the_test(suite, header):
    """Whatever the program makes of it."""
    suite.write(
        test_a=ASKING
        + f"""
def test_it(inferencereplay_server):
    assert curl(inferencereplay_server, "hi"{header}) == "recording_not_found"
"""
    )
    result = suite.run(failed=1)
    result.stdout.fnmatch_lines(["*RecordingNotFound: POST /chat/completions was not recorded*"])
    assert summary(result)[0] == "0 hits, 1 miss, 0 recorded"
    result.stdout.no_fnmatch_line("*warning: POST *")  # the summary tells the miss once


def test_without_the_extra_it_says_what_to_install(suite, monkeypatch):
    """The other fixtures work without it."""
    monkeypatch.setitem(sys.modules, "inferencereplay.server.serving", None)
    suite.write(test_a="def test_it(inferencereplay_server): pass")
    result = suite.run(errors=1)
    result.stdout.fnmatch_lines(["*inferencereplay_server needs the package*pip install*serve*"])
