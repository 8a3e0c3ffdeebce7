"""The arguments of a stub, read and checked."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from numbers import Real
from typing import TYPE_CHECKING, Any, NoReturn, TypedDict, cast

from inferencereplay.errors import InvalidSetting
from inferencereplay.stubs.error_answers import HandmadeError, read_error
from inferencereplay.stubs.said import Said, ToolCall, words

if TYPE_CHECKING:
    from collections.abc import Callable

    from inferencereplay.pacing.pacer import Pace
    from inferencereplay.recording.request import JSON
    from inferencereplay.stubs.embeddings_answers import Vectors

CHAT, TEXT, RESPONSES, EMBEDDINGS = "/chat/completions", "/completions", "/responses", "/embeddings"
_KINDS = ("text", "chunks", "parsed", "refusal", "tool_calls", "vector", "error")
_ALONE = {
    "text": ("tool_calls",),
    "chunks": ("tool_calls",),
    "parsed": (),
    "refusal": (),
    "tool_calls": ("text", "chunks"),
    "vector": (),
    "error": (),
}
"""What may be given beside each content."""
MOST_TIMES = 1_000_000
LARGEST_VECTOR = 100_000
_LARGEST = 3.4028234663852886e38
"""The largest number of 32 bits, which vectors are sent in."""
_REASONS = ("stop", "length", "tool_calls", "content_filter")


class StubOptions(TypedDict, total=False):
    """The arguments of `Session.stub`, which describes each."""

    chunks: Iterable[str] | None
    tool_calls: Iterable[tuple[str, Any] | tuple[str, Any, str]] | None
    refusal: str | None
    parsed: Any
    vector: int | Iterable[Any] | None
    error: Any
    message: str | None
    code: str | None
    finish_reason: str | None
    usage: Mapping[str, int] | tuple[int, int] | None
    model: str | None
    when: Callable[[JSON], object] | None
    on: str | None
    times: int | None
    pace: Pace | None
    required: bool
    save: bool


def read_content(given: Mapping[str, Any]) -> Said | Vectors | HandmadeError:
    """Read what a stub answers with.

    Raises:
        InvalidSetting: for nothing, for what does not go together, and for what is no answer.
    """
    kinds = [kind for kind in _KINDS if given.get(kind) is not None]
    for kind in kinds:
        for other in kinds:
            if other not in (kind, *_ALONE[kind]):
                _refuse(f"{kind}= and {other}= cannot both be the answer.")
    if not kinds:
        _refuse(f"Nothing to answer with. Give one of {', '.join(f'{kind}=' for kind in _KINDS)}.")
    _check_rest(given, kinds[0])
    if kinds[0] == "error":
        return read_error(given["error"], given.get("message"), given.get("code"))
    if kinds[0] == "vector":
        return _vectors(given["vector"])
    return _said(given)


def _check_rest(given: Mapping[str, Any], kind: str) -> None:
    if kind != "error" and (given.get("message") is not None or given.get("code") is not None):
        _refuse("message= and code= belong to error=.")
    reason = given.get("finish_reason")
    if reason is not None and (kind in ("error", "vector") or reason not in _REASONS):
        _refuse(
            f"finish_reason={reason!r} is not valid here. Valid beside a text are {', '.join(map(repr, _REASONS))}."
        )
    if given.get("usage") is not None and kind == "error":
        _refuse("An error has no usage=.")


def _said(given: Mapping[str, Any]) -> Said:
    return Said(
        pieces=_pieces(given),
        tool_calls=tuple(map(_tool_call, _listed(given.get("tool_calls") or (), "tool_calls"))),
        refusal=_text(given.get("refusal") or "", "refusal"),
        finish_reason=given.get("finish_reason") or "",
        usage=read_usage(given.get("usage")),
    )


def _pieces(given: Mapping[str, Any]) -> tuple[str, ...]:
    if given.get("chunks") is not None:
        return tuple(_text(piece, "chunks") for piece in _listed(given["chunks"], "chunks"))
    if given.get("parsed") is not None:
        return tuple(words(_json(given["parsed"], "parsed")))
    text = given.get("text")
    return () if text is None else tuple(words(_text(text, "text"))) or ("",)


def _tool_call(item: Any) -> ToolCall:
    if not isinstance(item, (tuple, list)) or len(item) not in (2, 3) or not isinstance(item[0], str):
        _refuse(
            f'tool_calls= has {item!r}. Give tuples such as ("get_weather", {{"city": "Rome"}}), with an id or without.'
        )
    name, arguments, *ids = item
    text = arguments if isinstance(arguments, str) else _json(arguments, "tool_calls")
    return ToolCall(name, text, *(_text(id_, "tool_calls") for id_ in ids))


def _json(value: Any, source: str) -> str:
    if hasattr(value, "model_dump_json"):
        return str(value.model_dump_json(by_alias=True))
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        _refuse(f"{source}={value!r} is no JSON ({error}). Give a pydantic object, or what JSON has.")


def _vectors(given: Any) -> Vectors:
    if isinstance(given, int) and not isinstance(given, bool):
        if 1 <= given <= LARGEST_VECTOR:
            return given
    else:
        rows = _listed(given, "vector")
        rows = rows if rows and not _is_number(rows[0]) else [rows]
        vectors = tuple(tuple(row) if isinstance(row, Iterable) else () for row in rows)
        if all(row and all(map(_is_number, row)) for row in vectors):
            return tuple(tuple(map(float, row)) for row in vectors)
    message = f"vector={given!r} is none. Give numbers, a list of vectors, or a size from 1 to {LARGEST_VECTOR}."
    raise InvalidSetting(message)


def _is_number(value: Any) -> bool:
    is_real = isinstance(value, Real) and not isinstance(value, bool)
    return is_real and bool(-_LARGEST <= cast("float", value) <= _LARGEST)


def read_usage(given: Any) -> tuple[int, int] | None:
    """Read the tokens of the prompt and of the answer.

    Raises:
        InvalidSetting: if they are no such numbers.
    """
    if given is None:
        return None
    found = given
    if isinstance(given, Mapping):
        named = dict(given)
        named.pop("total_tokens", None)
        pairs = (("prompt_tokens", "input_tokens"), ("completion_tokens", "output_tokens"))
        found = tuple(next((named.pop(name) for name in names if name in named), 0) for names in pairs)
        found = () if named else found
    if isinstance(found, tuple) and len(found) == 2 and all(isinstance(item, int) and item >= 0 for item in found):  # noqa: PLR2004 - two
        return found[0], found[1]
    message = f"usage={given!r} is none. Give the tokens of the prompt and of the answer: (12, 3), or by name."
    raise InvalidSetting(message)


def read_matching(given: Mapping[str, Any], content: object) -> None:
    """Check what a stub is for.

    Raises:
        InvalidSetting: for an endpoint that cannot give such an answer, and for what is no condition.
    """
    on, when, model = given.get("on"), given.get("when"), given.get("model")
    if on is not None and not (isinstance(on, str) and on.startswith("/")):
        _refuse(f"on={on!r} is no path. Give one that begins with a slash, such as {CHAT!r}.")
    possible = endpoints(content)
    if on is not None and possible is not None and on not in possible:
        _refuse(f"on={on!r} has no answer of that kind. Such an answer is for {', '.join(map(repr, possible))}.")
    if when is not None and not callable(when):
        _refuse(f"when={when!r} cannot be called. Give a function that gets the body, and returns whether it is meant.")
    if model is not None and not isinstance(model, str):
        _refuse(f"model={model!r} is no name. Give one, or a pattern such as 'gpt-4*'.")


def endpoints(content: object) -> tuple[str, ...] | None:
    """Return the paths that can give an answer; `None` for all."""
    if isinstance(content, HandmadeError):
        return None
    if not isinstance(content, Said):
        return (EMBEDDINGS,)
    return (CHAT, RESPONSES) if content.tool_calls or content.refusal else (CHAT, TEXT, RESPONSES)


def read_times(times: Any) -> int | None:
    """Read how often a stub answers; `None` for any number of times.

    Raises:
        InvalidSetting: for anything else.
    """
    if times is None or (isinstance(times, int) and not isinstance(times, bool) and 1 <= times <= MOST_TIMES):
        return times
    message = f"times={times!r} is not valid. Give a number from 1 to {MOST_TIMES}, or None for any number of times."
    raise InvalidSetting(message)


def _listed(given: Any, source: str) -> list[Any]:
    if isinstance(given, Iterable) and not isinstance(given, (str, bytes, Mapping)):
        return list(given)
    message = f"{source}={given!r} is no list."
    raise InvalidSetting(message)


def _text(given: Any, source: str) -> str:
    if isinstance(given, str):
        try:
            given.encode()
        except UnicodeEncodeError:
            _refuse(f"{source}={given!r} has half a surrogate pair, which JSON in UTF-8 cannot hold.")
        return given
    message = f"{source}={given!r} is no text."
    raise InvalidSetting(message)


def _refuse(message: str) -> NoReturn:
    raise InvalidSetting(message)
