"""Traces as OpenTelemetry spans, a line each, with the names of its conventions for generative AI.

See https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-spans/. The layout of a line is the one that GuideLLM 0.8
reads: `guidellm/data/deserializers/trace_otel.py`.
"""

from __future__ import annotations

import datetime
import hashlib
import json
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from inferencereplay.conversion.traces.timeline import duration
from inferencereplay.conversion.traces.tokens import count

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable, Iterator

    from inferencereplay.catalogue.conversation import Conversation, Message
    from inferencereplay.conversion.traces.timeline import Call, Timeline
    from inferencereplay.conversion.traces.tokens import Tokens
    from inferencereplay.recording.request import JSON

_ROLES = {"prompt": "user", "input": "user"}
_SETTINGS = {
    "max_tokens": ("max_tokens", int),
    "max_completion_tokens": ("max_tokens", int),
    "max_output_tokens": ("max_tokens", int),
    "n": ("choice.count", int),
    "seed": ("seed", int),
    "temperature": ("temperature", float),
    "top_p": ("top_p", float),
    "frequency_penalty": ("frequency_penalty", float),
    "presence_penalty": ("presence_penalty", float),
}
"""The members of a request that the conventions have a name for, after `gen_ai.request.`, and their type."""
_PAST_NUMBERS = 2**63


def lines(timeline: Timeline, counts: Counter[str], tokenizer: Callable[[str], Any] | None) -> Iterator[str]:
    """Yield a span for each call; those of one conversation have the same `trace_id` and follow each other.

    Calls that failed, or have no count of tokens, are left out: GuideLLM replays no such span.
    """
    for call in timeline.conversations():
        tokens, reason = count(call.entry, tokenizer)
        counts[reason or "exported"] += 1
        if not reason:
            yield json.dumps(_span(call, tokens)) + "\n"


def _span(call: Call, tokens: Tokens) -> dict[str, JSON]:
    entry, talk, seconds = call.entry, call.entry.conversation, duration(call.entry)
    operation = "text_completion" if talk.kind == "completion" else "chat"
    return {
        "trace_id": call.session,
        "span_id": hashlib.blake2b(entry.name.encode("utf-8", "replace"), digest_size=8).hexdigest(),
        "name": f"{operation} {talk.model}".rstrip(),
        "kind": "CLIENT",
        "start_time": _moment(call.at),
        "end_time": _moment(call.at + seconds),
        "duration": round(seconds, 6),
        "attributes": {
            "gen_ai.operation.name": operation,
            "gen_ai.provider.name": "openai",
            "inferencereplay.recording": entry.name,
            **_of_request(talk),
            **_of_answer(talk),
            "gen_ai.usage.input_tokens": tokens.input,
            "gen_ai.usage.output_tokens": tokens.output,
            **_of_server(entry.recording.recorded.base_url),
        },
    }


def _moment(at: float) -> str:
    return datetime.datetime.fromtimestamp(at, datetime.timezone.utc).isoformat(timespec="microseconds")


def _of_request(talk: Conversation) -> dict[str, JSON]:
    made: dict[str, JSON] = {"gen_ai.request.model": talk.model} if talk.model else {}
    for member, (name, type_) in _SETTINGS.items():
        value = talk.settings.get(member)
        if isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < _PAST_NUMBERS:
            made[f"gen_ai.request.{name}"] = type_(value)
    made["gen_ai.input.messages"] = _text([_message(message) for message in talk.messages])
    if talk.tools:
        made["gen_ai.tool.definitions"] = _text([{"type": "function", **tool._asdict()} for tool in talk.tools])
    return made


def _of_answer(talk: Conversation) -> dict[str, JSON]:
    reasons = [choice.finish_reason or "unknown" for choice in talk.choices]
    messages = [
        {**_message(choice.message), "finish_reason": reason}
        for choice, reason in zip(talk.choices, reasons, strict=True)
    ]
    return {"gen_ai.response.finish_reasons": reasons, "gen_ai.output.messages": _text(messages)}


def _of_server(base_url: str) -> dict[str, JSON]:
    try:
        parts = urlsplit(base_url)
        host, port = parts.hostname, parts.port
    except ValueError:  # a person has edited it
        return {}
    if not host:
        return {}
    return {"server.address": host, "server.port": port or (80 if parts.scheme == "http" else 443)}


def _message(message: Message) -> dict[str, JSON]:
    """Make a message of the conventions; a picture or a file is named, without its content."""
    parts: list[dict[str, JSON]] = []
    if message.reasoning:
        parts.append({"type": "reasoning", "content": message.reasoning})
    if message.tool_call_id:
        parts.append({"type": "tool_call_response", "id": message.tool_call_id, "response": message.text})
    else:
        parts += [{"type": part.kind, "content": part.text} for part in message.parts]
    parts += [{"type": "tool_call", **call._asdict()} for call in message.tool_calls]
    made: dict[str, JSON] = {"role": _ROLES.get(message.role, message.role), "parts": parts}
    return {**made, "name": message.name} if message.name else made


def _text(value: JSON) -> str:
    """Return an attribute as JSON text, so that it has one type throughout a file, as tables want it."""
    return json.dumps(value, ensure_ascii=False)
