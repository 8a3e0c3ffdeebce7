# /// script
# dependencies = ["litellm"]
# ///
"""litellm's providers that speak OpenAI's protocol without its SDK: `hosted_vllm/` and its handler `openai_like`.

`openai_like/` itself is for embeddings only; `amazon_nova/` is one of the providers whose chats go through its handler.
"""

from __future__ import annotations

import asyncio
import os
from importlib.metadata import version
from typing import Any

from serving import KEY, compare, miss

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # or importing it downloads a list of prices
import litellm

litellm.suppress_debug_info = True
MESSAGES = [{"role": "user", "content": "Hello"}]
TOOL = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}}}


def _chunks(stream: Any) -> Any:
    return [_without_time(chunk) for chunk in stream]


def _without_time(chunk: Any) -> Any:
    """Show a chunk; its `created` is litellm's own clock where the provider's code makes the chunk."""
    return {**chunk.model_dump(), "created": None}


async def _asynchronous(given: dict[str, Any]) -> Any:
    plain = await litellm.acompletion(messages=MESSAGES, temperature=1, **given)
    stream = await litellm.acompletion(messages=MESSAGES, temperature=1, stream=True, **given)
    return plain, [_without_time(chunk) async for chunk in stream]


def _error(given: dict[str, Any]) -> Any:
    try:
        return litellm.completion(messages=MESSAGES, **given)
    except litellm.exceptions.APIError as error:
        return type(error), error.status_code, error.message
    except litellm.NotFoundError as error:
        return type(error), error.status_code, error.message


def client_of(provider: str) -> Any:
    """Return what runs a provider's calls."""

    def client(url: str) -> dict[str, Any]:
        given = {"model": f"{provider}/gpt-test", "api_base": url, "api_key": KEY}
        seen = {
            "a plain answer": litellm.completion(messages=MESSAGES, **given),
            "a stream": _chunks(litellm.completion(messages=MESSAGES, stream=True, **given)),
            "tools": litellm.completion(messages=MESSAGES, tools=[TOOL], **given),
            "an error": _error({**given, "model": f"{provider}/no-such-model"}),
        }
        if provider == "hosted_vllm":  # the other handler's asynchronous streams fail in litellm, whatever the server
            seen["asynchronous"] = asyncio.run(_asynchronous(given))
        return seen

    return client


def embeddings(url: str) -> dict[str, Any]:
    """Return what `openai_like/` gives for embeddings."""
    made = litellm.embedding(model="openai_like/gpt-test", input=["a", "b"], api_base=url, api_key=KEY)
    return {"embeddings": made}


for provider in ("hosted_vllm", "amazon_nova"):
    name = f"litellm {version('litellm')}, {provider}/"

    def missed(url: str, provider: str = provider) -> tuple[str, str]:
        """Return status and message of an error."""
        kind, status, message = _error({"model": f"{provider}/gpt-test", "api_base": url, "api_key": KEY})
        return f"{status} as {kind.__name__}", message

    compare(name, client_of(provider))
    miss(name, missed)
compare(f"litellm {version('litellm')}, openai_like/", embeddings)
