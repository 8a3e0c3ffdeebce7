"""The harness finds a replay that differs from the live run; the page on frameworks is up to date."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
FRAMEWORKS = ROOT / "tests/frameworks"
SCRIPT = """
import contextlib, itertools, socket, urllib.error, urllib.request
import openai
from harness import KEY, Suite

suite = Suite("openai")
ASK = {"model": "m", "messages": [{"role": "user", "content": "Hello"}]}
count, runs = itertools.count(), itertools.count()

def make(url):
    return openai.OpenAI(base_url=url, api_key=KEY, max_retries=0)

def ask(client, **more):
    return client.chat.completions.create(**ASK, **more)

@suite.capability("as it was", make)
def good(client):
    return ask(client), list(ask(client, stream=True)), client.embeddings.create(model="e", input=["a"])

@suite.capability("no API key", lambda url: openai.OpenAI(base_url=url), is_keyless=True)
def keyless(client):
    return ask(client)

@suite.capability("an API key is wanted", lambda url: openai.OpenAI(base_url=url))
def key(client):
    return ask(client)

@suite.capability("tells nothing", make)
def constant(client):
    ask(client)
    return "Hello"

@suite.capability("by chance", make)
def chance(client):
    return ask(client).id, next(count)

@suite.capability("other in replay", make)
def later(client):
    return ask(client).id, next(runs) < 3

@suite.capability("another request", make)
def other(client):
    return ask(client, seed=next(count)).id

@suite.capability("a random member", make, ignore="seed")
def random(client):
    return ask(client, seed=next(count)).id

@suite.capability("connects", make)
def connects(client):
    with contextlib.suppress(OSError):
        socket.create_connection(("127.0.0.1", 9)).close()
    return ask(client).id

@suite.capability("calls nobody", make)
def nobody(client):
    return next(count)

@suite.capability("swallows a miss", make)
def swallows(client):
    with contextlib.suppress(LookupError):
        return ask(client).id

@suite.capability("hides a miss", make)
def hides(client):
    with contextlib.suppress(LookupError):
        return ask(client).id
    raise RuntimeError("sorry")

@suite.capability("who knows", make)
def unknown(client):
    ask(client)
    return client

@suite.bypass("around the SDK", lambda url: url)
def around(url):
    with contextlib.suppress(urllib.error.HTTPError):
        urllib.request.urlopen(url)

@suite.bypass("through the SDK", lambda url: make(url))
def through(client):
    return ask(client)

suite.lacks("songs", "it does not sing")
suite.main()
"""
OUTCOMES = {
    "as it was": ("yes", ""),
    "no API key": ("yes", ""),
    "an API key is wanted": ("no", "OpenAIError"),
    "tells nothing": ("no", "does not tell one answer from another"),
    "by chance": ("no", "recorded: 1 differences"),
    "other in replay": ("no", "recorded inside, replayed before: 1 differences"),
    "another request": ("no", "RecordingNotFound"),
    "a random member": ("yes", ""),
    "connects": ("no", "connected in replay"),
    "calls nobody": ("no", "the session counts"),
    "swallows a miss": ("yes", ""),
    "hides a miss": ("no", "RuntimeError: sorry"),
    "who knows": ("no", "say in the script what a user sees"),
    "around the SDK": ("bypasses", "does not use the SDK"),
    "through the SDK": ("no", "it uses the SDK"),
    "songs": ("lacking", "it does not sing"),
}


def run(*command: Any, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run Python with the folder of the frameworks in its path."""
    variables = {**os.environ, "PYTHONPATH": str(FRAMEWORKS), **environment}
    return subprocess.run([sys.executable, *command], capture_output=True, text=True, env=variables, check=False)


@pytest.mark.slow
def test_every_difference_is_told(tmp_path):
    """A capability that is other in replay, connects, or cannot be compared has failed, and so has the run."""
    script = tmp_path / "with_sdk.py"
    script.write_text(SCRIPT, "utf-8")
    done = run(script)
    rows = {row["capability"]: row for row in json.loads(done.stdout.splitlines()[-1])["rows"]}
    assert rows.keys() == OUTCOMES.keys(), done.stderr
    for name, (outcome, detail) in OUTCOMES.items():
        assert rows[name]["outcome"] == outcome, rows[name]
        assert detail in rows[name]["detail"]
    assert done.returncode == 1
    assert run(script, "--only", "as it was").returncode == 0


def test_the_page_is_made_of_the_results(tmp_path):
    """The page on frameworks shows the saved results; a result that changes makes it stale."""
    assert run(FRAMEWORKS / "table.py", "--check").returncode == 0
    for name in ("docs/frameworks.md", "tests/frameworks/results"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, tmp_path / name)
    result = tmp_path / "tests/frameworks/results/langchain-openai.json"
    result.write_text(result.read_text("utf-8").replace('"outcome": "yes"', '"outcome": "no"', 1), "utf-8")
    command = (FRAMEWORKS / "table.py", "--root", tmp_path)
    assert run(*command, "--check").returncode == 1
    assert run(*command).returncode == 0
    assert run(*command, "--check").returncode == 0
    text = (tmp_path / "docs/frameworks.md").read_text("utf-8")
    assert re.search(r"^\| langchain-openai .* \d+ of \d+ \|$", text, re.MULTILINE)


@pytest.mark.parametrize("script", sorted(FRAMEWORKS.glob("with_*.py")), ids=lambda script: script.stem)
def test_every_framework_is_in_the_table(script):
    """What a script ran was saved, and nothing in it had failed."""
    name = re.search(r'^suite = Suite\("(.+)"\)$', script.read_text("utf-8"), re.MULTILINE)[1]
    saved = json.loads((FRAMEWORKS / "results" / f"{name}.json").read_text("utf-8"))
    assert {row["outcome"] for row in saved["rows"]} <= {"yes", "lacking", "bypasses"}
