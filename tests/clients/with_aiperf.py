# /// script
# dependencies = ["aiperf==0.13.*"]
# ///
"""AIPerf: it replays an exported trace at the server that has the recordings, each request as it was and in time."""

from __future__ import annotations

import collections
import json
import os
import subprocess
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

from load import export, make_tokenizer, record, show_lateness
from serving import serving

LATEST = 0.25
"""Seconds that a request may be late on a loaded machine."""
NAME = f"aiperf {version('aiperf')}"


def replay(url: str, trace: Path, folder: Path) -> list[dict[str, Any]]:
    """Let AIPerf send a trace, and return what it notes of each request."""
    command = ("aiperf", "profile", "-m", "m", "--url", url, "--endpoint-type", "chat", "--streaming")
    command += ("--input-file", str(trace), "--custom-dataset-type", "mooncake_trace", "--fixed-schedule")
    command += ("--tokenizer", str(make_tokenizer(folder / "tokenizer")), "--artifact-dir", str(folder), "--ui", "none")
    # With HF_HUB_OFFLINE it takes the directory for a name on the hub.
    environment = {name: value for name, value in os.environ.items() if name != "HF_HUB_OFFLINE"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return [json.loads(line) for line in (folder / "profile_export.jsonl").read_text().splitlines()]


with tempfile.TemporaryDirectory() as made:
    folder = Path(made)
    count = record(folder / "recordings")
    planned = collections.defaultdict(list)
    for line in export("aiperf", folder / "recordings", folder / "trace.jsonl"):
        planned[line["session_id"]].append(line["timestamp"] / 1000)
    assert sum(map(len, planned.values())) == count
    with serving(folder / "recordings", "--speed", "1", "--variants", "cycle") as server:
        sent = replay(server.url.removesuffix("/v1"), folder / "trace.jsonl", folder / "out")

assert len(sent) == count, (len(sent), count)
assert not [item["error"] for item in sent if item.get("error")]
assert (server.counts.hits, server.counts.misses) == (count, 0), server.counts
starts = {
    (item["metadata"]["conversation_id"], item["metadata"]["turn_index"]): item["metadata"]["request_start_ns"] / 1e9
    for item in sent
}
first = min(starts.values())
late = [starts[name, turn] - first - at for name, turns in planned.items() for turn, at in enumerate(turns)]
print(f"{NAME}: {count} requests in {len(planned)} conversations, each sent with the recorded body, all answered")
show_lateness(NAME, late)
assert -LATEST < min(late) <= max(late) < LATEST, (min(late), max(late))
