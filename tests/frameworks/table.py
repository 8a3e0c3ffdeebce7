"""Writes the tables of `docs/frameworks.md` from what the frameworks' runs have saved in `results/`.

`python tests/frameworks/table.py` writes them, `--check` says with its exit status whether they are up to date.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

BEGIN, END, RESULTS = "<!-- overview -->\n", "<!-- /overview -->\n", "<!-- results -->\n"
COLUMNS = ("plain", "streamed", "async", "tools", "structured output", "Responses API", "embeddings")
"""Words; a column counts the capabilities whose name has one. A capability may have several."""


def load(folder: Path) -> list[dict[str, Any]]:
    """Return the saved results, in the order of the frameworks' names."""
    return [json.loads(path.read_text("utf-8")) for path in sorted(folder.glob("*.json"))]


def overview(results: list[dict[str, Any]]) -> str:
    """Return the overview: how many ways of each kind came back as they were, a row a framework."""
    lines = [_row("framework", "openai", *COLUMNS, "all"), _row(*["---"] * (len(COLUMNS) + 3))]
    for result in results:
        rows = [row for row in result["rows"] if row["outcome"] in ("yes", "no")]
        counts = [_count([row for row in rows if word in row["capability"]]) for word in (*COLUMNS, "")]
        lines.append(_row(f"{result['framework']} {result['version']}", result["openai"], *counts))
    return "".join(lines)


def page(text: str, results: list[dict[str, Any]]) -> str:
    """Return the page with a new overview, and a new row for each capability after the marker of the results."""
    before, _, rest = text.partition(BEGIN)
    between = rest.partition(END)[2].partition(RESULTS)[0]
    parts = [before, BEGIN, overview(results), END, between, RESULTS]
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
    """Write the page, or check it; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing")
    parser.add_argument("--root", type=Path, default=Path(__file__).parents[2], help="the folder of docs/")
    options = parser.parse_args()
    file = options.root / "docs/frameworks.md"
    text = file.read_text("utf-8")
    made = page(text, load(options.root / "tests/frameworks/results"))
    is_stale = made != text
    if is_stale:
        print(f"{file.name} is out of date" if options.check else f"wrote {file.name}")
        if not options.check:
            file.write_text(made, "utf-8")
    return int(is_stale and options.check)


if __name__ == "__main__":
    sys.exit(main())
