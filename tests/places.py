"""The methods that the package patches in every generation of the SDK, and what stood there before."""

from __future__ import annotations

from typing import Any

from openai.resources.chat.completions import AsyncCompletions as AsyncChat
from openai.resources.chat.completions import Completions as Chat
from openai.resources.completions import AsyncCompletions, Completions
from openai.resources.embeddings import AsyncEmbeddings, Embeddings

from inferencereplay.sdk import private

PLACES = [
    (private.SyncAPIClient, "request"),
    (private.AsyncAPIClient, "request"),
    (Chat, "create"),
    (AsyncChat, "create"),
    (Completions, "create"),
    (AsyncCompletions, "create"),
    (Embeddings, "create"),
    (AsyncEmbeddings, "create"),
]


def attributes() -> list[Any]:
    """Return what stands in the places now."""
    return [owner.__dict__[name] for owner, name in PLACES]


ORIGINALS = attributes()
