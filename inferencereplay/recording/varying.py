"""What of an answer varies by nature: a server that is asked again sends other ids and times with an equal answer.

Ids are numbered in the order in which they appear, so that equal ones stay equal; of the rest, the type counts. What is
not listed here counts: the pieces in which a stream came, counts of tokens, the model, unknown members. The bodies of
endpoints that answer no prompt count in full: the ids in a list of files are its content.

Sources: OpenAI's API reference (`id`, `created`, `system_fingerprint`, `obfuscation`, `cached_tokens`), those
of llama.cpp's server (`timings`), Groq (`x_groq`, times in `usage`), Cerebras (`time_info`), DeepSeek
(`prompt_cache_hit_tokens`), OpenRouter and Google (signatures of thoughts).
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from inferencereplay.recording.frames import encode
from inferencereplay.recording.request import parse_json

if TYPE_CHECKING:
    from inferencereplay.recording.format import Response
    from inferencereplay.recording.frames import Frame
    from inferencereplay.recording.request import JSON

EVENT_ID = "event_id"
"""The member of a message of a WebSocket that is made anew for each."""
IDS = frozenset(
    (
        *("id", "item_id", "previous_item_id", "response_id", "call_id", "request_id", "conversation_id", "session_id"),
        *("encrypted_content", "signature", "thought_signature"),
    )
)
"""Members that hold an id, or an opaque text that a program sends back like one."""
VALUES = frozenset(
    (
        *("created", "created_at", "completed_at", "expires_at", "system_fingerprint", "obfuscation"),
        *("queue_time", "prompt_time", "completion_time", "total_time"),
        *("cached_tokens", "prompt_cache_hit_tokens", "prompt_cache_miss_tokens"),
    )
)
"""Members of which only the type counts: times, the build of the server, padding, and what its cache held."""
OBJECTS = frozenset(("timings", "time_info", "x_groq", "rate_limits"))
"""Members in which that holds for every number."""
HEADERS = re.compile(r"x-request-id|openai-processing-ms|openai-poll-after-ms|retry-after(-ms)?|x-ratelimit-.*")
"""Headers of which only the name counts."""
ENDPOINTS = re.compile(
    r"(.*/)?(chat/completions|completions|responses|embeddings|moderations|images/\w+|audio/\w+|rerank)"
)
"""Paths of requests that a model answers."""
TIMES = ("elapsed", "left", "offsets")
"""Members of a file that hold times of arrival; whether they are there counts."""
CHANCE = ("downloaded", "retries", "leading", "trailing", "pieces")
"""Members of a file that depend on the network: bytes, attempts, pieces, white space that keeps connections open."""


class Constant(NamedTuple):
    """An answer without what varies.

    Attributes:
        answer: the members of the response, by name; equal for answers that are equal but for what varies.
        ids: the ids in it, in the order of their first appearance.
    """

    answer: dict[str, JSON]
    ids: tuple[str, ...]


def constant(path: str, response: Response) -> Constant:
    """Return an answer without what varies by nature.

    Args:
        path: the request's.
        response: the answer.
    """
    raw = {"body": None, "chunks": None, "frames": None}
    members: dict[str, JSON] = msgspec.to_builtins({**msgspec.structs.asdict(response), **raw})
    members = {name: value for name, value in members.items() if name not in CHANCE}
    members |= {name: members[name] not in (None, []) for name in TIMES}
    members["headers"] = _headers(response.headers)
    members["redirects"] = [[item.status, _headers(item.headers)] for item in response.redirects]
    ids: dict[str, int] = {}
    members["frames"] = [_frame(frame, ids) for frame in response.frames or ()]
    is_known = ENDPOINTS.fullmatch(path) is not None
    for name, parts in (("body", [response.body]), ("chunks", response.chunks)):
        values = [_parsed(bytes(part)) for part in parts]
        members[name] = [_masked(value, ids) for value in values] if is_known else values
    return Constant(members, tuple(ids))


def _frame(frame: Frame, ids: dict[str, int]) -> JSON:
    """Return a frame without what varies; the ids of a connection's events are new in each."""
    held = _parsed(encode(frame))
    if isinstance(held, dict) and isinstance(event := held.get("json"), dict):
        held["json"] = _masked({name: value for name, value in event.items() if name != EVENT_ID}, ids)
    return held


def are_equal(first: Constant, second: Constant) -> bool:
    """Whether two answers are equal but for what varies. 1 is not `true`; what is nested too deeply is not compared."""
    try:
        return _written(first) == _written(second)
    except RecursionError:
        return False


def _written(held: Constant) -> str:
    return json.dumps(held.answer, sort_keys=True)


def without_varying(path: str, value: JSON) -> JSON:
    """Return JSON of an answer without what varies, for people: ids as `id 1`, `id 2`, other values as `…` or 0."""
    return _masked(value, {}) if ENDPOINTS.fullmatch(path) else value


def _headers(headers: dict[str, str]) -> JSON:
    return {name: "…" if HEADERS.fullmatch(name) else value for name, value in headers.items()}


def _parsed(data: bytes) -> JSON:
    try:
        return parse_json(data) if data else None
    except (ValueError, RecursionError):  # half a surrogate pair, a number beyond all bounds, depth
        return data.decode(errors="surrogateescape")


def _masked(value: JSON, ids: dict[str, int]) -> JSON:
    try:
        return _walked(value, ids)
    except RecursionError:  # its ids count
        return value


def _walked(value: JSON, ids: dict[str, int]) -> JSON:
    if isinstance(value, dict):
        return {name: _member(name, item, ids) for name, item in value.items()}
    return [_walked(item, ids) for item in value] if isinstance(value, list) else value


def _member(name: str, value: JSON, ids: dict[str, int]) -> JSON:
    if name in IDS and isinstance(value, str):
        return value and f"id {ids.setdefault(value, len(ids) + 1)}"
    if name in VALUES:
        return _type_of(value)
    return _numberless(value, ids) if name in OBJECTS else _walked(value, ids)


def _numberless(value: JSON, ids: dict[str, int]) -> JSON:
    if isinstance(value, dict):
        return {name: _numberless(_member(name, item, ids), ids) for name, item in value.items()}
    if isinstance(value, list):
        return [_numberless(item, ids) for item in value]
    return value if isinstance(value, str) else _type_of(value)


def _type_of(value: JSON) -> JSON:
    """Return what stands for a value of its type; an object counts in full."""
    if isinstance(value, str):
        return value and "…"
    return 0 if isinstance(value, (int, float)) and not isinstance(value, bool) else value
