"""Answers by hand of text completions: https://platform.openai.com/docs/api-reference/completions/object."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from inferencereplay.stubs import chat_answers

if TYPE_CHECKING:
    from collections.abc import Iterator

    from inferencereplay.recording.format import Response
    from inferencereplay.stubs.said import Asking, Said


def answer(said: Said, asked: Asking) -> Response:
    """Make the answer that a server would send: a stream if the request asks for one."""
    if asked.is_streamed:
        return asked.stream(_chunks(said, asked))
    choices = [_choice(index, said.text or "", said.finish) for index in range(_count(asked))]
    return asked.plain({**_head(asked), "choices": choices, "usage": _usage(said, asked)})


def _count(asked: Asking) -> int:
    """Return how many choices there are: as many for each prompt, and a list of numbers is one prompt."""
    prompt = asked.body.get("prompt")
    prompts = len(prompt) if isinstance(prompt, list) and prompt and not isinstance(prompt[0], int) else 1
    return prompts * chat_answers.count(asked)


def _head(asked: Asking) -> dict[str, Any]:
    return {
        "id": asked.id("cmpl-", 29),
        "object": "text_completion",
        "created": asked.created,
        "model": asked.model,
        "system_fingerprint": None,
    }


def _choice(index: int, text: str, finish: str | None) -> dict[str, Any]:
    return {"text": text, "index": index, "logprobs": None, "finish_reason": finish}


def _usage(said: Said, asked: Asking) -> dict[str, int]:
    prompt, completion = asked.tokens(said)
    completion *= 1 if said.usage else _count(asked)
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}


def _chunks(said: Said, asked: Asking) -> Iterator[dict[str, Any]]:
    options = asked.body.get("stream_options")
    has_usage = isinstance(options, dict) and bool(options.get("include_usage"))
    head, tail = _head(asked), {"usage": None} if has_usage else {}
    for index in range(_count(asked)):
        for piece in said.pieces:
            yield {**head, "choices": [_choice(index, piece, None)], **tail}
        yield {**head, "choices": [_choice(index, "", said.finish)], **tail}
    if has_usage:
        yield {**head, "choices": [], "usage": _usage(said, asked)}
