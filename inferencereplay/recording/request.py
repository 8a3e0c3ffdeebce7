"""A request, its canonical bytes, its key.

A request is what goes on the wire: method, path relative to the base URL, body, query. Of a form (an upload), the body
is an object of its fields and files, of which only the digests count; of other content that is no JSON, an object with
its digest. Its canonical bytes are UTF-8 JSON with sorted keys, no white space, no escaped non-ASCII characters, and
one way to write each number. Its key is their SHA-256. `docs/format.md` has the rules for a writer in another language.
"""

from __future__ import annotations

import functools
import hashlib
import json
import math
import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qsl

import msgspec

JSON = Any
"""What `json.loads` returns: dict, list, str, int, float, bool or None."""

TOO_DEEP = "it is nested too deeply"

_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder(order="deterministic").encode
_LEAVES = frozenset((str, int, bool, type(None)))
_OTHER_NUMBER = re.compile(rb"(?:^|[\[,:])-?\d+(?:\.0(?:[,\]}]|$)|(?:\.\d+)?e)")
"""A number that the encoder may write otherwise than `canonical_json`: a whole one as a float."""


class NotSerializable(Exception):  # noqa: N818 - a signal inside the package, not an error that anybody sees
    """The value holds something whose wire form only the SDK knows."""


class Request(msgspec.Struct, frozen=True):
    """What goes on the wire.

    Attributes:
        method: upper case.
        path: relative to the base URL, with a leading slash, without the query.
        body: the canonical JSON of the body; `null` where there is none.
        query: name to value, a list of values for a repeated name.
        kind: what the body is: `body` for JSON, `form` or `content`.
    """

    method: str
    path: str
    body: bytes
    query: dict[str, Any] = {}
    kind: str = "body"

    @property
    def canonical(self) -> bytes:
        """The bytes that are hashed."""
        return b'{"%b":' % self.kind.encode() + self.body + self._after_body()

    @property
    def key(self) -> str:
        """64 hexadecimal digits."""
        digest = _BEGUN[self.kind].copy()
        digest.update(self.body)  # a copy of all the bytes takes longer, if the body is large
        digest.update(self._after_body() if self.query else _end(self.method, self.path))
        return digest.hexdigest()

    def _after_body(self) -> bytes:
        end = _end(self.method, self.path)
        return b'%b,"query":%b}' % (end[:-1], _encode(self.query)) if self.query else end


_BEGUN = {kind: hashlib.sha256(b'{"%b":' % kind.encode()) for kind in ("body", "content", "form")}


@functools.lru_cache(1_000)
def _end(method: str, path: str) -> bytes:
    return b',"method":%b,"path":%b}' % (_encode(method), _encode(path))


def canonical_json(value: JSON, convert: Callable[[Any], JSON] | None = None) -> bytes:
    """Write `value` the one canonical way.

    Args:
        value: JSON as Python holds it; tuples and subclasses of the JSON types count as what they are written as.
        convert: turns any other object into JSON, or raises `NotSerializable`.

    Raises:
        NotSerializable: for NaN, infinities, lone surrogates, too deep nesting, and everything that is not JSON.
    """
    try:
        return _encode(value if _is_canonical(value) else _canonical(value, convert or _refuse))
    except RecursionError as error:
        raise NotSerializable(TOO_DEEP) from error
    except ValueError as error:
        raise NotSerializable(error) from error


def is_surely_canonical(text: bytes) -> bool:
    """Whether JSON is written the one canonical way, as far as that shows at once: `False` if it may be."""
    try:
        return _encode(_decode(text)) == text and _OTHER_NUMBER.search(text) is None
    except (ValueError, RecursionError):
        return False


def _refuse(value: object) -> JSON:
    raise NotSerializable(type(value))


def _is_canonical(value: object) -> bool:
    """Whether the encoder writes `value` canonically as it is (a tuple is written like a list)."""
    kind = type(value)
    if kind is dict:
        for name, item in value.items():  # type: ignore[attr-defined]  # a dict, as the line above says
            if type(name) is not str or (type(item) not in _LEAVES and not _is_canonical(item)):
                return False
        return True
    if kind is list or kind is tuple:
        for item in value:  # type: ignore[attr-defined]  # noqa: SIM110 - all() costs a generator, twice as slow
            if type(item) not in _LEAVES and not _is_canonical(item):
                return False
        return True
    if kind is float:
        return math.isfinite(value) and not value.is_integer()  # type: ignore[arg-type, attr-defined]
    return kind in _LEAVES


def _canonical(value: Any, convert: Callable[[Any], JSON]) -> JSON:
    """Copy `value` with numbers that are equal made alike, and subclasses replaced by what JSON makes of them."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, int):
        return int(int.__repr__(value))
    if isinstance(value, float):
        if not math.isfinite(value):
            raise NotSerializable(value)
        return int(value) if float.is_integer(value) else float(float.__repr__(value))
    if isinstance(value, dict):
        return {_name(name): _canonical(item, convert) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_canonical(item, convert) for item in value]
    return _canonical(convert(value), convert)


def _name(name: object) -> str:
    if isinstance(name, str):
        return str.__str__(name)
    raise NotSerializable(name)


def parse_json(text: bytes | str) -> JSON:
    """Read JSON without losing a digit of an integer, and all that Python's own reader takes for JSON, such as NaN.

    Raises:
        ValueError: if it is no JSON, or nested too deeply.
    """
    try:
        return _decode(text)
    except (ValueError, RecursionError):
        pass  # NaN, half a surrogate pair, another encoding, or no JSON
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError(TOO_DEEP) from error


def parse_query(query: str) -> dict[str, str | list[str]]:
    """Read a URL's query into name to value, a list for a name that is repeated."""
    values: dict[str, list[str]] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        values.setdefault(name, []).append(value)
    return {name: items[0] if len(items) == 1 else items for name, items in values.items()}


def without(body: JSON, paths: tuple[str, ...]) -> JSON:
    """Copy `body` without the members that dotted `paths` such as `metadata.run_id` lead to.

    A path that passes through a list goes into each of its elements.
    """
    for path in paths:
        body = _without(body, path.split("."))
    return body


def _without(value: JSON, names: list[str]) -> JSON:
    if isinstance(value, list):
        return [_without(item, names) for item in value]
    if not isinstance(value, Mapping) or names[0] not in value:
        return value
    rest = {name: item for name, item in value.items() if name != names[0]}
    if len(names) == 1:
        return rest
    return {**value, names[0]: _without(value[names[0]], names[1:])}
