# /// script
# dependencies = ["guidellm==0.8.*"]
# ///
"""GuideLLM: it replays spans at the server that has the recordings, and a Mooncake trace at another one."""

from __future__ import annotations

import json
import subprocess
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

from load import export, make_tokenizer, record
from serving import FakeServer, serving

NAME = f"guidellm {version('guidellm')}"


def replay(url: str, data: str, folder: Path) -> dict[str, Any]:
    """Let GuideLLM send a trace, and return its report."""
    folder.mkdir()
    command = ("guidellm", "run", "--backend", f"kind=openai_http,target={url},model=m")
    command += ("--profile", "kind=replay,schedule_turn=timestamp", "--data", data, "--disable-console-interactive")
    command += ("--tokenizer", f"kind=hf_auto,model={make_tokenizer(folder / 'tokenizer')}")
    command += ("--output", f"kind=json,path={folder / 'report.json'}")
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    (benchmark,) = json.loads((folder / "report.json").read_text())["benchmarks"]
    return benchmark["metrics"]["request_totals"]


with tempfile.TemporaryDirectory() as made:
    folder = Path(made)
    recordings = folder / "recordings"
    count = record(recordings, only_streams=True)

    spans = export("otel", recordings, folder / "spans.jsonl")
    assert len(spans) == count
    data = f"kind=otel,source.kind=json_file,source.path={folder / 'spans.jsonl'}"
    with serving(recordings, "--match", "load-tools", "--variants", "cycle") as server:
        totals = replay(server.url.removesuffix("/v1"), data, folder / "otel")
    traces = len({span["trace_id"] for span in spans})
    assert traces <= totals["successful"] <= count, totals  # it may end before a conversation's last turn
    assert (totals["errored"], server.counts.misses) == (0, 0), (totals, server.counts)
    sent = f"{totals['successful']} of {count} requests in {traces} conversations"
    print(f"{NAME}, otel: {sent} sent with the recorded messages, all answered")

    lines = export("mooncake", recordings, folder / "mooncake.jsonl")
    assert len(lines) == count
    data = f"kind=mooncake,source.kind=json_file,source.path={folder / 'mooncake.jsonl'},time_scale=0.001"
    upstream = FakeServer()
    # It answers no GET of /health.
    totals = replay(f"{upstream.url.removesuffix('/v1')},validate_backend=false", data, folder / "mooncake")
    upstream.stop()
    assert (totals["successful"], totals["errored"]) == (count, 0), totals
    print(f"{NAME}, mooncake: {count} requests of the recorded lengths, all answered")
