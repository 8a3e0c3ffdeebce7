"""Makes the README's table and `docs/frameworks.md` of what the frameworks' runs have saved in `results/`.

`python tests/frameworks/table.py` writes both, `--check` tells with its exit status whether they are up to date.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

BEGIN, END = "<!-- frameworks -->\n", "<!-- /frameworks -->\n"
COLUMNS = ("plain", "streamed", "async", "tools", "structured output", "Responses API", "embeddings")
"""Words; a column counts the capabilities whose name has one. A capability may have several."""
HEAD = """# Frameworks

What was recorded against a server on loopback and replayed with that server gone, each with objects made before and
inside the `with replay(...)`: `yes` says that all that the framework's user can see was the same live, recorded and
replayed, that the session counted every call, and that nothing was connected to in replay. `bypasses` says that the
framework does it without the `openai` package; its requests reach the network, in `replay` as well. `nox -s frameworks`
runs all of it, `nox -s frameworks -- --save` and `python tests/frameworks/table.py` make this page.

openinference, opentelemetry, langfuse and langsmith trace the SDK's calls. What is compared is their spans, generations
and runs, put on before the block and inside it, and taken off in either order. opentelemetry-instrumentation-openai
does not trace a response of the Responses API whose id it has seen in the same process, and so traces a recording of
one only once.

## What bypasses the SDK

- dspy's default engine: say `dspy.LM(…, engine="litellm")`, not with `model_type="responses"`.
- openai-agents with `use_responses_websocket=True`.
- litellm's `litellm.responses`, and its providers `amazon_nova/`, `cometapi/`, `compactifai/`, `databricks/`,
  `deepseek/`, `fireworks_ai/`, `groq/`, `hosted_vllm/`, `huggingface/`, `mistral/`, `openrouter/`, `ovhcloud/`,
  `together_ai/`, `xai/` and those that speak another protocol. `openai/`, `azure/` and `lm_studio/` are covered; for a
  vLLM server take `openai/` with `api_base=`.
"""


def load(folder: Path) -> list[dict[str, Any]]:
    """Return the saved results, in the order of the frameworks' names."""
    return [json.loads(path.read_text("utf-8")) for path in sorted(folder.glob("*.json"))]


def short(results: list[dict[str, Any]]) -> str:
    """Return the table of the README: how many ways of each kind came back as they were, a row a framework."""
    lines = [_row("framework", "openai", *COLUMNS, "all"), _row(*["---"] * (len(COLUMNS) + 3))]
    for result in results:
        rows = [row for row in result["rows"] if row["outcome"] in ("yes", "no")]
        counts = [_count([row for row in rows if word in row["capability"]]) for word in (*COLUMNS, "")]
        lines.append(_row(f"{result['framework']} {result['version']}", result["openai"], *counts))
    return "".join(lines)


def page(results: list[dict[str, Any]]) -> str:
    """Return the page with a row a capability."""
    parts = [HEAD]
    for result in results:
        framework = f"{result['framework']} {result['version']}, openai {result['openai']}, Python {result['python']}"
        parts.append(f"\n## {framework}\n\n")
        parts += [_row("capability", "recorded = replayed"), _row("---", "---")]
        for row in result["rows"]:
            reason = f": {row['detail'].partition(chr(10))[0]}" if row["detail"] else ""
            parts.append(_row(row["capability"], row["outcome"] + reason))
    return "".join(parts)


def _count(rows: list[dict[str, Any]]) -> str:
    good = sum(row["outcome"] == "yes" for row in rows)
    return "-" if not rows else str(good) if good == len(rows) else f"{good} of {len(rows)}"


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |\n"


def main() -> int:
    """Write the files, or check them; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing")
    parser.add_argument("--root", type=Path, default=Path(__file__).parents[2], help="where README.md is")
    options = parser.parse_args()
    results = load(options.root / "tests/frameworks/results")
    readme, docs = options.root / "README.md", options.root / "docs/frameworks.md"
    before, _, rest = readme.read_text("utf-8").partition(BEGIN)
    made = {readme: before + BEGIN + short(results) + END + rest.partition(END)[2], docs: page(results)}
    stale = [path for path, text in made.items() if not path.exists() or path.read_text("utf-8") != text]
    for path in stale:
        print(f"{path.name} is out of date" if options.check else f"wrote {path.name}")
        if not options.check:
            path.write_text(made[path], "utf-8")
    return int(bool(stale) and options.check)


if __name__ == "__main__":
    sys.exit(main())
