"""Every fenced block of README.md and of docs/: programs and commands run, and their output is compared.

The language of a block, and a comment on the line before it, say how it is tested:

- `python`: the blocks of a document are one program. It runs twice: with a server while it records, then offline.
- `sh`: commands, one block after the other, in a folder that is empty at first.
- `console`: commands after `$ `, each followed by its whole output, and by `   # exit status 1` if it fails.
- `text`: the output of the block before it, or a part of the output; `…` matches anything.
- `json`, `toml`: must be valid.
- `<!-- file: app.py -->`: the block is written to that file.
- `<!-- exits with 1 -->`: the commands fail.
- `<!-- not run: a reason -->`: the block is only shown. `SHOWN` counts these.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from conftest import Server, chunk, completion, plain, sse
from programs import offline, run

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib  # pytest brings it

ROOT = Path(__file__).parents[1]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
SHOWN = {
    "files-and-audio.md": 3,
    "README.md": 4,
    "architecture.md": 1,
    "command-line.md": 2,
    "format.md": 1,
    "getting-started.md": 1,
    "layers.md": 1,
    "moving-from.md": 1,
    "pytest.md": 1,
    "recordings-in-git.md": 2,
    "serve.md": 1,
    "stores.md": 1,
    "traces.md": 2,
    "verify.md": 1,
}
"""The number of blocks of a document that are not run; each gives its reason."""
ANSWERS = {
    "What colour is the sky? One word.": ["Blue"],
    "Tell me a story.": ["Once", " upon", " a", " time", " there", " was", " a", " fox", "."],
    "What is the capital of France?": ["Paris", ", of course."],
}
"""The server's answers that a document shows, in pieces; to other requests it answers with a number."""
CALLS = {
    "README.md": 1,
    "calibrate.md": 6,
    "getting-started.md": 1,
    "command-line.md": 1,
    "every-answer.md": 3,
    "faults.md": 1,
    "modes-and-environment.md": 1,
    "pytest.md": 7,
    "recordings-in-git.md": 2,
    "serve.md": 1,
    "testing.md": 1,
    "traces.md": 1,
    "verify.md": 5,
    "whole-suite.md": 3,
}
"""The number of calls of a document's commands that reach the server; all others are replays."""
STARTED = {"faq.md"}
"""Documents whose program looks at what Python imports: it is not forked."""
LONG = {
    *("README.md", "getting-started.md", "pytest.md", "command-line.md", "whole-suite.md", "recordings-in-git.md"),
    *("serve.md", "testing.md", "verify.md", "calibrate.md"),
}
"""Documents with many commands."""
GIVEN = {"report.md": "story"}
"""The example's recordings that a document finds in its folder."""
KEY = "sk-test-0123456789abcdef"

READERS = {"json": json.loads, "toml": tomllib.loads}

BLOCK = re.compile(r"^(?P<before>[^\n]*)\n```(?P<language>\w*)\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL)
NOT_RUN = re.compile(r"<!-- not run:(?P<reason>.*)-->")
FILE = re.compile(r"<!-- file: (?P<name>[\w./-]+) -->")
STATUS = re.compile(r"<!-- exits with (?P<status>\d+) -->")
CALL_TESTS = """
import asyncio, inspect

for _name, _test in list(globals().items()):
    if _name.startswith("test_"):
        asyncio.run(_test()) if inspect.iscoroutinefunction(_test) else _test()
"""
"""The end of a document's program: it calls all functions that look like tests."""


class Command(NamedTuple):
    """A command of a `console` block, its output, and its exit status."""

    line: str
    shown: str
    status: int


class Block(NamedTuple):
    """A block, the facts in its comment, and the number of its first line."""

    language: str
    code: str
    line: int
    reason: str | None = None
    file: str | None = None
    status: int = 0

    @property
    def is_program(self) -> bool:
        """Whether the block is a part of the document's Python program."""
        return self.language == "python" and self.reason is None and self.file is None


def blocks(text):
    """Return the blocks of a document."""
    found = []
    for match in BLOCK.finditer(text):
        before, line = match["before"], text.count("\n", 0, match.start("code"))
        not_run, file, status = NOT_RUN.search(before), FILE.search(before), STATUS.search(before)
        block = Block(
            match["language"],
            match["code"],
            line,
            not_run and not_run["reason"].strip(),
            file and file["name"],
            int(status["status"]) if status else 0,
        )
        found.append(block)
    return found


def program(text):
    """Return the blocks that run as one program, with the line numbers of the document."""
    lines = [""] * len(text.splitlines())
    for block in blocks(text):
        if block.is_program:
            code = block.code.splitlines()
            lines[block.line : block.line + len(code)] = code
    return "\n".join(lines) + "\n"


def said(text, printed):
    """Whether the lines of a document were printed, one after the other; `…` matches anything on a line."""
    lines = [".*".join(map(re.escape, line.rstrip().split("…"))) for line in text.splitlines()]
    return re.search(r"^" + r"[ \t]*\n".join(lines) + r"[ \t]*$", printed, re.MULTILINE) is not None


def commands(code):
    """Return the commands of a `console` block."""
    assert code.startswith("$ "), code
    found = []
    for part in re.split(r"^\$ ", code, flags=re.MULTILINE)[1:]:
        line, _, shown = part.partition("\n")
        command, _, status = line.partition("   # exit status ")
        found.append(Command(command, shown, int(status or 0)))
    return found


def is_all(shown, printed):
    """Whether this is the whole output; a line `…` matches any number of lines."""
    pattern = re.escape(shown).replace("…\\\n", "(?:.*\n)*?").replace("…", "[^\t\n]*?")
    return re.fullmatch(pattern, printed) is not None


class Answering(Server):
    """A server with the answers that the documents show."""

    def _numbered(self, path: str, body: Any, method: str) -> Any:
        asked = body.get("messages", [{}])[-1].get("content") if isinstance(body, dict) else None
        answer = ANSWERS.get(asked) if isinstance(asked, str) else None
        if answer is None:
            return super()._numbered(path, body, method)
        if body.get("stream"):
            usage = {"prompt_tokens": 14, "completion_tokens": 4, "total_tokens": 18}
            ends = [{**chunk(None), "choices": [], "usage": usage}] if body.get("stream_options") else []
            return sse(*map(chunk, answer), chunk(None, "stop"), *ends, pause=0.01)
        return plain(completion("".join(answer)))


@pytest.fixture
def answering():
    """Serve for one document."""
    server = Answering()
    yield server
    server.stop()


@pytest.fixture
def folder(tmp_path):
    """Make a folder for a document to work in."""
    folder = tmp_path / "project"
    folder.mkdir()
    return folder


def prepare(document, folder):
    if document.name in GIVEN:
        shutil.copytree(ROOT / "examples" / "recordings" / GIVEN[document.name], folder / "recordings")


def shell(code, folder, url):
    """Run commands as a user does, with the tools of this environment."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("OPENAI_", "INFERENCEREPLAY_"))}
    tools = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    network = {"OPENAI_BASE_URL": url, "OPENAI_API_KEY": KEY, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8"}
    return subprocess.run(
        ["bash", "-euo", "pipefail", "-c", code],
        cwd=folder,
        env={**kept, **network, "PATH": tools, "PYTHONDONTWRITEBYTECODE": "1", "COLUMNS": "120"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        timeout=120,
        check=False,
    )


@pytest.mark.parametrize(
    "document",
    [pytest.param(path, marks=[pytest.mark.slow] if path.name in LONG else []) for path in DOCUMENTS],
    ids=[path.name for path in DOCUMENTS],
)
def test_commands_and_files(document, folder, answering):
    """The commands of a document succeed in their order, and print the output that it shows."""
    prepare(document, folder)
    printed = None
    for block in blocks(document.read_text(encoding="utf-8")):
        place = f"{document.name}:{block.line}"
        if block.reason is not None:
            printed = None
        elif block.file is not None:
            (folder / block.file).parent.mkdir(parents=True, exist_ok=True)
            (folder / block.file).write_text(block.code, encoding="utf-8")
        elif block.language == "sh":
            done = shell(block.code, folder, answering.url)
            printed = done.stdout
            assert done.returncode == block.status, f"{place}\n{printed}"
        elif block.language == "console":
            for command in commands(block.code):
                done = shell(command.line, folder, answering.url)
                assert done.returncode == command.status, f"{place} {command.line}\n{done.stdout}"
                assert is_all(command.shown, done.stdout), f"{place} {command.line}\n{done.stdout}"
            printed = None
        elif block.language in READERS:
            READERS[block.language](block.code)
            printed = None
        elif block.is_program:
            printed = None
        else:
            assert block.language == "text", f"{place}: a block that is not run and gives no reason"
            assert printed is None or said(block.code, printed), f"{place}\n{printed}"
    assert answering.count == CALLS.get(document.name, 0)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_programs(document, folder, answering):
    """The Python blocks of a document are a program that first records in `record-if-missing`, then replays offline."""
    text = document.read_text(encoding="utf-8")
    code = program(text)
    if not code.strip():
        return
    prepare(document, folder)
    script = folder / document.with_suffix(".py").name
    script.write_text(f"{code}{CALL_TESTS}", encoding="utf-8")
    network = {"OPENAI_BASE_URL": answering.url, "OPENAI_API_KEY": KEY}
    is_started = document.name in STARTED
    recorded = run(script, cwd=folder, is_started=is_started, INFERENCEREPLAY_MODE="record-if-missing", **network)
    assert recorded.returncode == 0, recorded.stdout + recorded.stderr
    count = answering.count
    replayed = run(offline(script, folder), cwd=folder, is_started=is_started)
    assert replayed.returncode == 0, replayed.stdout + replayed.stderr
    assert answering.count == count
    for before, block in zip(blocks(text), blocks(text)[1:], strict=False):
        if before.is_program and block.language == "text" and block.reason is None:
            assert said(block.code, replayed.stdout), f"{document.name}:{block.line}\n{replayed.stdout}"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_block_is_found(document):
    """Every fence is found, every `text` follows a block that prints it, and blocks that are not run give a reason."""
    text = document.read_text(encoding="utf-8")
    found = blocks(text)
    assert len(re.findall(r"^\s*(?:```|~~~)", text, re.MULTILINE)) == 2 * len(found)
    reasons = [block.reason for block in found if block.reason is not None]
    assert all(reasons), "a block that is not run needs a reason"
    assert len(reasons) == SHOWN.get(document.name, 0)
    for before, block in zip([None, *found], found, strict=False):
        if block.language == "text" and block.reason is None:
            assert before is not None, block.line
            assert before.is_program or before.language == "sh", block.line


def test_blocks_are_read_as_meant():
    """Comments are read; the tests of documents would fail with this one."""
    block = "```{}\n{}\n```\n"
    made = [
        ("", "python", "x = 1"),
        ("<!-- not run: needs a server -->\n", "python", "y"),
        ("<!-- not run: -->\n", "sh", "z"),
        ("<!-- file: a/b.py -->\n", "python", "w"),
        ("<!-- exits with 3 -->\n", "sh", "exit 3"),
    ]
    text = "a\n" + "".join(mark + block.format(language, code) for mark, language, code in made)
    found = blocks(text)
    assert [item.reason for item in found] == [None, "needs a server", "", None, None]
    assert (found[3].file, found[4].status) == ("a/b.py", 3)
    assert program(text).split() == ["x", "=", "1"]
    assert program(text).splitlines()[2] == "x = 1"


def test_what_is_printed_is_compared():
    """Lines have to follow one another, and to be equal except for `…`."""
    assert commands("$ a\nb\n…\n$ c   # exit status 2\n") == [Command("a", "b\n…\n", 0), Command("c", "", 2)]
    assert is_all("b\n…\nz … 1\n", "b\nc\nd\nz 7 1\n")
    assert not is_all("b\n", "b\nc\n")
    assert not is_all("b …\n", "b\tc\n")
    printed = "first line\nkey 123abc, size 7  \nlast line\n"
    assert said("key …, size 7\nlast line\n", printed)
    assert not said("key …, size 8\n", printed)
    assert not said("first line\nlast line\n", printed)
    assert not said("line\n", printed)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_documents_name_files_that_exist(document):
    """Each file and each heading that a document names exists."""
    text = document.read_text(encoding="utf-8")
    for name in re.findall(r"\b(?:examples|benchmarks|docs)/[\w./-]*\w", text):
        assert (ROOT / name).exists(), name
    for name, anchor in re.findall(r"\]\(((?!http)[^)#]*)#?([^)]*)\)", text):
        target = document.parent / name if name else document
        assert target.exists(), name
        assert not anchor or anchor in anchors(target.read_text(encoding="utf-8")), anchor


def anchors(text):
    """Return the anchors of a document's headings."""
    titles = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).strip().replace(" ", "-") for title in titles}


def test_the_table_of_tests_names_tests_that_there_are():
    """From each promise it leads to a folder, a file or a test."""
    table = (ROOT / "tests/README.md").read_text(encoding="utf-8").partition("## Where each promise")[2]
    named = re.findall(r"`([\w/]+(?:/|\.py))(?:::(\w+))?`", table)
    assert named
    for path, name in named:
        place = ROOT / "tests" / path
        assert place.exists(), path
        assert not name or f"def {name}(" in place.read_text(encoding="utf-8"), name
