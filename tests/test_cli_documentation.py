"""Every command of docs/command-line.md, in an empty project, as a new user types it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from conftest import chunk, sse

PAGE = (Path(__file__).parents[1] / "docs" / "command-line.md").read_text(encoding="utf-8")
CONSOLE = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PROGRAM = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def commands():
    """Yield each command, its exit status, and a pattern for what it prints."""
    for block in CONSOLE.findall(PAGE):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            line, _, shown = part.partition("\n")
            command, _, status = line.partition("   # exit status ")
            yield command, int(status or 0), re.escape(shown).replace("…\\\n", "(?:.*\n)*?").replace("…", "[^\t\n]*?")


def test_the_page_is_true(tmp_path, server):
    """Each command ends and prints as the page says, with `…` for what differs from machine to machine."""
    usage = {"prompt_tokens": 14, "completion_tokens": 4, "total_tokens": 18}
    last = {**chunk(None), "choices": [], "usage": usage}
    server.replies = [sse(chunk("Paris"), chunk(", of course."), chunk(None, "stop"), last, pause=0.01)]
    (program,) = PROGRAM.findall(PAGE)
    (tmp_path / "app.py").write_text(program)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("OPENAI_", "INFERENCEREPLAY_"))}
    environment = {
        **kept,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "OPENAI_BASE_URL": server.url,
        "OPENAI_API_KEY": "sk-test-0123456789abcdef",
    }
    for command, status, pattern in commands():
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=tmp_path,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=120,
        )
        assert done.returncode == status, (command, done.stdout)
        assert re.fullmatch(pattern, done.stdout), (command, done.stdout, pattern)
    assert server.count == 1
