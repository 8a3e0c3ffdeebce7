"""What a user can see of a value, as plain data that can be compared.

Every value becomes lists, dictionaries with text for keys, texts and numbers; of an object its type is among them, so
that a stand-in is not taken for the real thing. Nothing is left out in silence: a value of a kind that is not known
is an error, and the script says what of it counts.

What differs from one live run to the next is masked: UUIDs, which frameworks make for themselves, and the time of day
at which they do something. The server's ids hold no UUIDs, and its times lie years back.
"""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import enum
import re
import time
from collections.abc import Mapping
from typing import Any

import openai
import pydantic

KEPT = re.compile("content-type|x-request-id|openai-processing-ms|openai-version|retry-after.*|x-ratelimit-.*")
"""The response headers that recordings keep."""
UNSET = tuple(getattr(openai, name) for name in ("NotGiven", "Omit") if hasattr(openai, name))
START = int(time.time())
"""Seconds since 1970 at which this run began."""
_UUID = re.compile("[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}")


def headers(given: Mapping[str, str]) -> dict[str, str]:
    """Return those of a response's headers that recordings keep."""
    return {name.lower(): value for name, value in given.items() if KEPT.fullmatch(name.lower())}


def facts(value: Any) -> Any:  # noqa: C901, PLR0912 - a case a kind
    """Return what can be seen of a value.

    Raises:
        TypeError: for a value of a kind that is not known.
    """
    if isinstance(value, enum.Enum):
        return [_name(value), facts(value.value)]
    if value is None or isinstance(value, (bool, int, float)):
        return "<now>" if value is not None and START <= value <= time.time() else value
    if isinstance(value, str):
        masked = _UUID.sub("<uuid>", value)
        return masked if type(value) is str else [_name(value), masked]
    if isinstance(value, (bytes, decimal.Decimal)):
        return repr(value)
    if isinstance(value, (datetime.datetime, datetime.timedelta)):
        return f"<{type(value).__name__}>"
    if isinstance(value, UNSET):
        return _name(value)
    if isinstance(value, BaseException):
        return [_name(value), str(value)]
    if isinstance(value, pydantic.BaseModel):
        request_id = getattr(value, "_request_id", None)
        shown = {**dict(value), **(value.model_extra or {})}
        return [_name(value), {name: facts(item) for name, item in shown.items()}, request_id]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        shown = {field.name: getattr(value, field.name) for field in dataclasses.fields(value) if field.repr}
        return [_name(value), {name: facts(item) for name, item in shown.items()}]
    if isinstance(value, Mapping):
        shown = {str(name): facts(item) for name, item in value.items()}
        return shown if type(value) is dict else [_name(value), shown]
    if isinstance(value, (list, tuple)):
        return [facts(item) for item in value]
    if isinstance(value, (set, frozenset)):
        return sorted((facts(item) for item in value), key=repr)
    if isinstance(value, type):
        return f"{value.__module__}.{value.__qualname__}"
    message = f"{value!r}: say in the script what a user sees of {_name(value)}"
    raise TypeError(message)


def _name(value: Any) -> str:
    return f"{type(value).__module__}.{type(value).__qualname__}"


def differences(first: Any, second: Any, path: str = "") -> list[str]:
    """Return where two facts differ, a line each."""
    if isinstance(first, dict) and isinstance(second, dict):
        names = [*first, *(name for name in second if name not in first)]
        missing = object()
        pairs = [(f"{path}.{name}", first.get(name, missing), second.get(name, missing)) for name in names]
        found = [line for at, a, b in pairs for line in differences(a, b, at)]
        return found or ([] if list(first) == list(second) else [f"{path}: the order of {list(first)}"])
    if isinstance(first, list) and isinstance(second, list) and len(first) == len(second):
        return [
            line
            for index, (a, b) in enumerate(zip(first, second, strict=True))
            for line in differences(a, b, f"{path}[{index}]")
        ]
    return [] if type(first) is type(second) and first == second else [f"{path}: {first!r} ≠ {second!r}"]
