# /// script
# dependencies = ["dspy[numpy]"]
# ///
"""dspy: its engine `litellm`; and its default engine, which does not use the SDK."""

from __future__ import annotations

import os
import tempfile
from typing import Any

from harness import KEY, MODEL, Suite

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # or importing litellm downloads a list of prices
os.environ["DSPY_CACHEDIR"] = tempfile.mkdtemp()  # or answers come from the user's
import dspy

suite = Suite("dspy")


def lm(url: str, **more: Any) -> Any:
    # Its cache would answer in our place.
    return dspy.LM(f"openai/{MODEL}", api_base=url, api_key=KEY, cache=False, num_retries=0, **more)


def through_litellm(url: str) -> Any:
    return lm(url, engine="litellm")


def without_key(url: str) -> Any:
    return dspy.LM(f"openai/{MODEL}", api_base=url, cache=False, num_retries=0, engine="litellm")


def responses(url: str) -> Any:
    return lm(url, engine="litellm", model_type="responses")


@suite.capability('engine="litellm", plain', through_litellm)
def plain(model: Any) -> Any:
    return model("Hello"), model("Hello")


@suite.capability('engine="litellm", plain, no API key in replay', without_key, is_keyless=True)
def keyless(model: Any) -> Any:
    return model("Hello")


@suite.capability('engine="litellm", async', through_litellm)
async def acall(model: Any) -> Any:
    return await model.acall("Hello")


@suite.capability('engine="litellm", structured output', through_litellm)
def predict(model: Any) -> Any:
    with dspy.context(lm=model, adapter=dspy.JSONAdapter()):
        return dspy.Predict("question -> answer: str, age: int")(question="Who?").toDict()


@suite.capability('engine="litellm", structured output, async', through_litellm)
async def apredict(model: Any) -> Any:
    with dspy.context(lm=model, adapter=dspy.JSONAdapter()):
        return (await dspy.ChainOfThought("question -> answer: str").acall(question="Who?")).toDict()


@suite.capability('engine="litellm", async streamed', through_litellm)
async def streamify(model: Any) -> Any:
    with dspy.context(lm=model, adapter=dspy.JSONAdapter()):
        program = dspy.streamify(dspy.Predict("question -> answer: str"), async_streaming=True)
        return [shown(part) async for part in program(question="Who?")]


def shown(part: Any) -> Any:
    """Show a part of a streamed program; a prediction's `predict_id` is an address in memory."""
    return part.toDict() if isinstance(part, dspy.Prediction) else {**part.model_dump(), "predict_id": None}


def embedder(url: str) -> Any:
    return dspy.Embedder("openai/e", api_base=url, api_key=KEY, caching=False)


@suite.capability("embeddings", embedder)
def embed(model: Any) -> Any:
    return model(["a", "b"]).tolist()


@suite.bypass("the default engine, plain", lm)
def default(model: Any) -> Any:
    return model("Hello")


@suite.bypass("the default engine, async", lm)
async def default_async(model: Any) -> Any:
    return await model.acall("Hello")


@suite.bypass('engine="litellm", Responses API', responses)
def default_responses(model: Any) -> Any:
    return model("Hello")


suite.main()
