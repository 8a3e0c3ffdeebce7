"""The API key of clients that are made without one while a session replays."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import openai

from inferencereplay.redaction.header_secrets import PLACEHOLDER
from inferencereplay.session.active import session_for
from inferencereplay.session.settings import Mode

if TYPE_CHECKING:
    from collections.abc import Callable


def make_client(wrapped: Callable[..., None], instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """Make a client, with the placeholder where the SDK refuses to make one without a key.

    The environment is not touched: other threads read it, and the program may still load the real key into it.

    Raises:
        OpenAIError: outside of `replay`, or if the client lacks more than a key.
    """
    try:
        wrapped(*args, **kwargs)
    except openai.OpenAIError as error:
        session = session_for(instance)
        if session is None or session.mode is not Mode.REPLAY or kwargs.get("api_key"):  # some frameworks give ""
            raise
        try:
            wrapped(*args, **{**kwargs, "api_key": PLACEHOLDER})
        except openai.OpenAIError:
            raise error from None  # it was not the key


def forget() -> None:
    """Let the module-level client look for a key anew if it was made without one, which openai 3 allows."""
    if openai.api_key in (PLACEHOLDER, ""):
        openai.api_key = None
        openai._reset_client()  # type: ignore[attr-defined, unused-ignore]  # noqa: SLF001
