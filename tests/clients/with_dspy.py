# /// script
# dependencies = ["dspy[numpy]"]
# ///
"""dspy's own engine, which does not use the SDK."""

from __future__ import annotations

import asyncio
import os
import tempfile
from importlib.metadata import version
from typing import Any

from serving import KEY, compare, miss

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # or importing litellm downloads a list of prices
os.environ["DSPY_CACHEDIR"] = tempfile.mkdtemp()  # or answers come from the user's
import dspy


def model(url: str, name: str = "gpt-4o-mini") -> Any:
    """Return a model without dspy's cache, which would answer in the server's place."""
    return dspy.LM(f"openai/{name}", api_base=url, api_key=KEY, cache=False, num_retries=0)


async def _streamed(url: str) -> Any:
    with dspy.context(lm=model(url), adapter=dspy.JSONAdapter()):
        program = dspy.streamify(dspy.Predict("question -> answer: str"), async_streaming=True)
        parts = [part async for part in program(question="Who?")]
    return [part.toDict() if isinstance(part, dspy.Prediction) else str(part) for part in parts[-1:]]


def _predicted(url: str) -> Any:
    with dspy.context(lm=model(url), adapter=dspy.JSONAdapter()):
        return dspy.Predict("question -> answer: str, age: int")(question="Who?").toDict()


def _error(url: str, name: str) -> Any:
    try:
        return model(url, name)("Hello")
    except Exception as error:  # noqa: BLE001 - which one it is, is what is compared
        return type(error), str(error)


def client(url: str) -> dict[str, Any]:
    """Return what a program sees of each request."""
    return {
        "a plain answer": model(url)("Hello"),
        "asynchronous": asyncio.run(model(url).acall("Hello")),
        "structured output": _predicted(url),
        "a streamed program": asyncio.run(_streamed(url)),
        "an error": _error(url, "no-such-model"),
    }


def missed(url: str) -> tuple[str, str]:
    """Return the class and the message of an error."""
    kind, message = _error(url, "gpt-4o-mini")
    return f"404 as {kind.__name__}", message


compare(f"dspy {version('dspy')}, its own engine", client)
miss(f"dspy {version('dspy')}, its own engine", missed)
