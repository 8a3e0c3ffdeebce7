"""Small test suites, written into an empty project and run by pytest as a user would."""

from __future__ import annotations

import json
import textwrap

import openai
import pytest

import inferencereplay.api
import inferencereplay.faults.plan
import inferencereplay.faults.spelling
import inferencereplay.sdk.patches
import inferencereplay.session.run_coordinator
import inferencereplay.session.session
import inferencereplay.store.opening
import inferencereplay.upkeep.pruning  # noqa: F401 - or each suite would import them anew, and they be forgotten with it

with openai.OpenAI(api_key="none") as _client:
    _ = _client.chat.completions, _client.models, _client.audio.speech  # as above

PRELUDE = """
import openai, pytest

def ask(text="hi", **more):
    options = {"http_client": openai.DefaultHttpxClient(verify=False), "max_retries": 0}  # certificates take 70 ms
    with openai.OpenAI(**options) as client:
        made = client.chat.completions.create(model="m", messages=[{"role": "user", "content": text}], **more)
    return made.choices[0].message.content

async def ask_async(text="hi"):
    async with openai.AsyncOpenAI(max_retries=0) as client:
        made = await client.chat.completions.create(model="m", messages=[{"role": "user", "content": text}])
    return made.choices[0].message.content

def swallow(text="unknown"):
    try:
        return ask(text)
    except Exception:
        return None
"""
AS_WORKER = """
from inferencereplay.pytest_plugin.state import STATE

def pytest_sessionstart(session):
    session.config.stash[STATE].is_worker = True
    session.config.workeroutput = {}
"""
"""Makes a process take itself for a worker of xdist's, whose own processes coverage does not see."""
RECORD = "--inferencereplay-mode=record"
KEY = "sk-test-0123456789abcdef"


class Suite:
    """An empty project.

    Attributes:
        server: what its tests talk to while they record; in every other mode they have neither key nor network.
    """

    def __init__(self, pytester, server, monkeypatch):
        self.pytester = pytester
        self.path = pytester.path
        self.server = server
        self._environment = monkeypatch

    def write(self, **files):
        """Write modules, `tests__test_a="…"` as `tests/test_a.py`; test modules begin with the prelude."""
        for name, code in files.items():
            path = self.path / (name.replace("__", "/") + ".py")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(PRELUDE + textwrap.dedent(code), encoding="utf-8")

    def ini(self, **options):
        lines = "\n".join(f"{name} = {value}" for name, value in options.items())
        (self.path / "pytest.ini").write_text(f"[pytest]\n{lines}\n", encoding="utf-8")

    def record(self, *arguments, **outcomes):
        """Run in `record`, with a network and a key."""
        return self.live(RECORD, *arguments, **outcomes)

    def live(self, *arguments, **outcomes):
        """Run with a network and a key."""
        self._environment.setenv("OPENAI_BASE_URL", self.server.url)
        self._environment.setenv("OPENAI_API_KEY", KEY)
        return self._run(arguments, outcomes)

    def run(self, *arguments, **outcomes):
        """Run without a network and a key."""
        self._environment.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")
        self._environment.delenv("OPENAI_API_KEY", raising=False)
        return self._run(arguments, outcomes)

    def _run(self, arguments, outcomes):
        plugins = [] if "asyncio" in arguments else ["-p", "no:asyncio"]
        arguments = [argument for argument in arguments if argument != "asyncio"]
        result = self.pytester.runpytest_inprocess("-p", "no:randomly", *plugins, *arguments)
        if outcomes:
            result.assert_outcomes(**outcomes)
        return result

    def files(self):
        """Return the recordings, relative to the project, and the texts of their answers."""
        found = {}
        for path in sorted(self.path.rglob("*.json")):
            body = json.loads(path.read_text(encoding="utf-8"))["response"].get("body", {})
            found[path.relative_to(self.path).as_posix()] = body["choices"][0]["message"]["content"]
        return found


@pytest.fixture
def suite(pytester, server, monkeypatch):
    """An empty project with a server."""
    return Suite(pytester, server, monkeypatch)


def summary(result):
    """Return the lines of our summary."""
    lines = result.outlines
    starts = [index for index, line in enumerate(lines) if line.strip("= ") == "inferencereplay"]
    if not starts:
        return []
    rest = lines[starts[-1] + 1 :]
    return [*filter(None, rest[: next(index for index, line in enumerate(rest) if line.startswith("="))])]
