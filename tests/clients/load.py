"""Traffic with bursts, recorded through the server, for load tools to replay; and the tokenizer that these want."""

from __future__ import annotations

import asyncio
import json
import random
import statistics
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import openai
from serving import KEY, FakeServer, serving
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

SECONDS = 4
"""The length of the traffic."""
STREAMED: dict[str, Any] = {"stream": True, "stream_options": {"include_usage": True}}


def record(directory: Path, *, only_streams: bool = False) -> int:
    """Record some traffic through the server, and return the number of calls.

    Args:
        directory: gets the recordings.
        only_streams: whether all calls are streams without settings, as some load tools send them.
    """
    upstream = FakeServer()
    with serving(directory, "--mode", "record", "--upstream", upstream.url) as server:
        asyncio.run(_traffic(server.url, only_streams=only_streams))
    upstream.stop()
    assert server.counts.recorded == server.counts.requests, server.counts
    return server.counts.recorded


async def _traffic(url: str, *, only_streams: bool) -> None:
    """Make calls: a burst at the start, one later, others at random, and a conversation among them."""
    chance = random.Random(1)
    times = [0.0] * 8 + [chance.uniform(0, SECONDS) for _ in range(40)] + [SECONDS / 2] * 10
    async with openai.AsyncOpenAI(base_url=url, api_key=KEY, max_retries=0) as client:

        async def call(number: int, at: float) -> None:
            await asyncio.sleep(at)
            said = [{"role": "user", "content": f"Question {number}: " + "word " * chance.randrange(600)}]
            is_stream = only_streams or number % 2 == 0
            given = {**(STREAMED if is_stream else {}), **({} if only_streams else {"temperature": 0.5})}
            answer = await client.chat.completions.create(model="m", messages=said, **given)
            if is_stream:
                async for _ in answer:
                    pass

        async def talk() -> None:
            said: list[dict[str, Any]] = [{"role": "user", "content": "Let us talk."}]
            for turn in range(4):
                given = STREAMED if only_streams else {}
                answer = await client.chat.completions.create(model="m", messages=said, **given)
                if only_streams:
                    told = "".join([chunk.choices[0].delta.content or "" async for chunk in answer if chunk.choices])
                else:
                    told = answer.choices[0].message.content
                said += [{"role": "assistant", "content": told}, {"role": "user", "content": f"And {turn}?"}]
                await asyncio.sleep(SECONDS / 8)

        await asyncio.gather(talk(), *(call(number, at) for number, at in enumerate(times)))


def export(kind: str, directory: Path, target: Path) -> list[dict[str, Any]]:
    """Export a trace, and return its lines."""
    command = (sys.executable, "-m", "inferencereplay", "export", kind, str(directory), "-o", str(target))
    subprocess.run(command, check=True)
    return [json.loads(line) for line in target.read_text().splitlines()]


def make_tokenizer(folder: Path) -> Path:
    """Make a directory with a tokenizer of bytes, which no network is needed for."""
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=300, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), special_tokens=["<s>", "</s>"]
    )
    made.train_from_iterator(["Question: word word word"], trainer)
    PreTrainedTokenizerFast(tokenizer_object=made, bos_token="<s>", eos_token="</s>").save_pretrained(folder)
    return folder


def show_lateness(name: str, late: Iterable[float]) -> None:
    """Print how late requests were sent: seconds after the planned times, both counted from their first."""
    cuts = statistics.quantiles([seconds * 1000 for seconds in late], n=100)
    print(f"{name}: sent after planned: p1 {cuts[0]:.1f} ms, median {cuts[49]:.1f} ms, p99 {cuts[98]:.1f} ms")
