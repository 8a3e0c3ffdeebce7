"""Makes `docs/frameworks.md` of what the frameworks' runs have saved in `results/`.

`python tests/frameworks/table.py` writes the page, `--check` says with its exit status whether it is up to date.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

COLUMNS = ("plain", "streamed", "async", "tools", "structured output", "Responses API", "embeddings")
"""Words; a column counts the capabilities whose name has one. A capability may have several."""
HEAD = """# Frameworks

Whatever calls the `openai` package is recorded and replayed, and so are the frameworks on top of it. Each framework on
this page was recorded against a server on loopback, and replayed with that server gone, by objects made before and
inside the `with replay(...)`. `nox -s frameworks` runs all of them; `nox -s frameworks -- --save` and
`python tests/frameworks/table.py` make this page.

## Overview

A number says how many capabilities of a kind came back equal; one capability can be of several kinds.

{overview}
None of these frameworks needs an API key inside `with replay(...)`. A miss reaches the program in whatever error the
framework makes of it. A cache of the framework's own, such as dspy's, answers before anything is recorded: switch it
off.

openinference, opentelemetry, langfuse and langsmith trace calls of the SDK. Their spans, generations and runs are equal
live, recorded and replayed. They can be installed before the block or inside it, and removed in either order.
opentelemetry-instrumentation-openai does not trace a response of the Responses API whose id it has seen in the same
process; it traces a recording of one only once.

## Settings that a framework needs

Read in the sources of the versions on this page.

| framework | what changes from run to run, or reaches the network | setting |
| --- | --- | --- |
| openai-agents | a random `prompt_cache_key` in every request, if the base URL is `https://api.openai.com` | `ignore="prompt_cache_key"`, or an equal `RunConfig(group_id=…)` or session id in each run |
| openai-agents | traces are sent to `api.openai.com`, see below | `RunConfig(tracing_disabled=True)`, `set_tracing_disabled(True)`, or `OPENAI_AGENTS_DISABLE_TRACING=1` |
| pydantic-ai | a random id (`pyd_ai_…`) of a tool call that the server sent without an id; the next request repeats it | `normalize`, see below |
| smolagents | a random id of a tool call that `ToolCallingAgent` reads from the text of an answer; the next request repeats it in a text | `normalize`, see below |
| dspy | its default engine bypasses the SDK; its caches answer before a recording does | `dspy.LM(…, engine="litellm", cache=False)` |
| litellm | downloads its list of prices when it is imported | `LITELLM_LOCAL_MODEL_COST_MAP=True` |
| langchain-openai, llama-index, autogen-ext | `tiktoken` downloads a vocabulary at the first count of tokens; `OpenAIEmbeddings` of LangChain counts | `TIKTOKEN_CACHE_DIR` with the file in it, or `OpenAIEmbeddings(check_embedding_ctx_length=False)` |

An id that a request repeats can be replaced before requests are compared:

```python
import json
import re


def without_random_ids(body):
    text = re.sub(r"pyd_ai_[0-9a-f]{{32}}|[0-9a-f]{{8}}(?:-[0-9a-f]{{4}}){{3}}-[0-9a-f]{{12}}", "id", json.dumps(body))
    return json.loads(text)
```

Give it as `normalize=without_random_ids` while recording and in replay.

## What bypasses the SDK

These requests do not pass through the `openai` package. They reach the network, in `replay` too, and no session counts
them.

Models:

- dspy's default engine: use `dspy.LM(…, engine="litellm")`, without `model_type="responses"`.
- openai-agents with `use_responses_websocket=True`.
- litellm's `litellm.responses`, and its providers `amazon_nova/`, `cometapi/`, `compactifai/`, `databricks/`,
  `deepseek/`, `fireworks_ai/`, `groq/`, `hosted_vllm/`, `huggingface/`, `mistral/`, `openrouter/`, `ovhcloud/`,
  `together_ai/`, `xai/` and those that use another protocol. `openai/`, `azure/` and `lm_studio/` are covered; for a
  vLLM server use `openai/` with `api_base=`.

Traces:

- openai-agents sends traces to `https://api.openai.com/v1/traces/ingest` by an HTTP client of its own, from a thread, if
  `OPENAI_API_KEY` is set. They hold inputs and outputs. Switch it off as the table above says.
- langsmith, and LangChain with it, send runs to LangSmith if `LANGSMITH_TRACING` (or `LANGCHAIN_TRACING_V2`) is `true`.
- langfuse sends to its server once it has keys, unless `LANGFUSE_TRACING_ENABLED=false`.
- openinference and opentelemetry make spans only; the exporter that you give to OpenTelemetry sends them. The same holds
  for pydantic-ai, agent-framework and autogen-ext, which send nothing until OpenTelemetry or logfire is set up.

instructor, llama-index, smolagents and dspy have no exporter that is on by default.
"""


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


def page(results: list[dict[str, Any]]) -> str:
    """Return the page with a row a capability."""
    parts = [HEAD.format(overview=overview(results))]
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
    text = page(load(options.root / "tests/frameworks/results"))
    is_stale = not file.exists() or file.read_text("utf-8") != text
    if is_stale:
        print(f"{file.name} is out of date" if options.check else f"wrote {file.name}")
        if not options.check:
            file.write_text(text, "utf-8")
    return int(is_stale and options.check)


if __name__ == "__main__":
    sys.exit(main())
