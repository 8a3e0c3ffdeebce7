"""Stream a recorded story at the pace of its server, and ten times faster.

    python examples/async_pace.py

The recording was made with this very script, against `examples/llm_server.py`:

    export OPENAI_BASE_URL=http://127.0.0.1:... OPENAI_API_KEY=none
    INFERENCEREPLAY_MODE=record-if-missing python examples/async_pace.py
"""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from openai import AsyncOpenAI

from inferencereplay import replay

RECORDINGS = Path(__file__).parent / "recordings" / "story"


async def tell(speed: float) -> float:
    """Print the tokens of a story as they arrive; return the seconds it took."""
    async with replay(RECORDINGS, speed=speed), AsyncOpenAI() as client:
        start = time.perf_counter()
        stream = await client.chat.completions.create(
            model="SmolLM2-135M-Instruct.Q4_1",
            messages=[{"role": "user", "content": "Tell me a story in three sentences about a fox who finds a book."}],
            max_tokens=120,
            temperature=0,
            stream=True,
        )
        async for chunk in stream:
            print(chunk.choices[0].delta.content or "", end="", flush=True)
        return time.perf_counter() - start


async def main() -> None:
    """Tell the story twice."""
    original = await tell(speed=1)
    print(f"\n\nThat took {original:.2f} s, as during the recording. Ten times faster:\n")
    fast = await tell(speed=10)
    print(f"\n\nThat took {fast:.2f} s.")


asyncio.run(main())
