"""From the JSON of an answer to the SDK's objects.

Strict validation is several times faster than the SDK's lenient construction, and agrees with it wherever it accepts
the data; where it refuses, construction takes over. A validator is made when it is first needed, for some take long.
"""

from __future__ import annotations

import array
import base64
import contextlib
import math
import re
from collections import deque
from typing import TYPE_CHECKING, Any, get_args

import msgspec
import pydantic

from inferencereplay.recording.request import parse_json
from inferencereplay.sdk import private
from inferencereplay.sdk.fast_validation import holds_floats, make_validator

if TYPE_CHECKING:
    from collections.abc import Callable


class _Typed(msgspec.Struct):
    """An object that names its own type."""

    type: str


_read_type = msgspec.json.Decoder(_Typed).decode


class ModelBuilder:
    """Builds objects of one class.

    Args:
        cls: a model of the SDK's.
        declared: the type that the SDK declares where it gives out such objects, if that is not the class itself.
    """

    def __init__(self, cls: Any, declared: Any = None) -> None:
        self.cls = cls
        self._declared = cls if declared is None else declared
        self._validate: Callable[..., Any] | None = None
        self._may_be_rounded: Callable[[Any], bool] | None = None

    def __call__(self, raw: bytes) -> Any:
        """Build one of its JSON."""
        made = self.strictly(raw)
        return private.construct(self._declared, parse_json(raw)) if made is None else made

    def strictly(self, raw: bytes) -> Any:
        """Build one of JSON that fits the class; `None` of any other."""
        validate = self._validate or self._prepare()
        try:
            made = validate(raw, strict=True)
        except pydantic.ValidationError:
            return None
        return None if self._may_be_rounded is not None and self._may_be_rounded(made) else made

    def _prepare(self) -> Callable[..., Any]:
        self.cls.model_rebuild()
        validate: Callable[..., Any] = make_validator(self.cls).validate_json
        self._may_be_rounded = self._rounding()
        self._validate = validate
        return validate

    def _rounding(self) -> Callable[[Any], bool] | None:
        """Return a test for objects that may hold an integer that is no float; the SDK keeps those as they are.

        `None` if no object can.
        """
        names = [name for name, field in self.cls.model_fields.items() if field.annotation is float]
        return (lambda made: any(abs(getattr(made, name) or 0) >= _EXACT for name in names)) if names else None


class AnyModelBuilder(ModelBuilder):
    """Builds objects of any class, in which floats may be anywhere."""

    def __init__(self, cls: Any) -> None:
        super().__init__(cls)
        cls.model_rebuild()
        self._holds_floats = holds_floats(cls.__pydantic_core_schema__)

    def __call__(self, raw: bytes) -> Any:
        """Build one of its JSON."""
        if self._holds_floats and _LONG in raw.translate(_DIGITS) and _LARGE.search(raw):
            return private.construct(self._declared, parse_json(raw))
        return super().__call__(raw)

    def _rounding(self) -> None:
        return None


class EventBuilder:
    """Builds the events of a stream that has many kinds of them, which their member `type` names.

    Args:
        union: the type of any of them, as the SDK declares it.
    """

    def __init__(self, union: Any) -> None:
        self._union = union
        self._builders: dict[str, ModelBuilder] = {}

    def __call__(self, raw: bytes) -> Any:
        """Build one of its JSON."""
        builders = self._builders or self._prepare()
        try:
            build = builders[_read_type(raw).type]
        except (KeyError, msgspec.DecodeError):  # newer than this version of the SDK, or no event at all
            return private.construct(self._union, parse_json(raw))
        return build(raw)

    def _prepare(self) -> dict[str, ModelBuilder]:
        members = get_args(get_args(self._union)[0])
        self._builders = {kind: ModelBuilder(cls, self._union) for cls in members for kind in _kinds(cls)}
        return self._builders


def _kinds(cls: Any) -> tuple[str, ...]:
    """Return what the member `type` of a class may be."""
    return get_args(cls.model_fields["type"].annotation)


class VectorsBuilder(ModelBuilder):
    """Builds embeddings whose numbers are left as they are, also where an integer among them is no float."""

    def _rounding(self) -> Callable[[Any], bool]:
        return lambda made: any(map(_is_large, made.data))


class EmbeddingsBuilder(VectorsBuilder):
    """Builds embeddings; those in base64, which the SDK asks for by itself, become numbers."""

    def __call__(self, raw: bytes) -> Any:
        """Build them of their JSON."""
        try:
            decoded = _decode(raw)
            made = self.cls.__pydantic_validator__.validate_json(decoded.around, strict=True)
        except (msgspec.DecodeError, ValueError):  # one of them is pydantic's
            return self.build_slowly(raw)
        for item, vector in zip(made.data, decoded.take(), strict=True):
            vars(item)["embedding"] = vector
        return made

    def build_slowly(self, raw: bytes) -> Any:
        """Build them as the SDK does, which keeps numbers as they are."""
        made = super().__call__(raw)
        for vector in made.data:
            if isinstance(vector.embedding, str):
                vector.embedding = array.array("f", base64.b64decode(vector.embedding)).tolist()
        return made


class _Decoded:
    """The vectors of an answer.

    Attributes:
        raw: the answer.
        around: the answer with a mark in the place of each vector.
        is_any: whether there are vectors.
        count: how many numbers they have in all.
    """

    def __init__(self, raw: bytes) -> None:
        self.raw = raw
        self.around, self._coded = _cut(raw)
        lists = self._read()
        self.is_any = bool(lists)
        self.count = sum(map(len, lists))
        self._fresh = [lists]
        self._lists: list[list[float]] = []

    def take(self) -> list[list[float]]:
        """Return each vector as a list of its own.

        Most answers are taken once. The lists of one that is taken again are kept, to be copied: that is several times
        faster than to make the numbers, but takes 32 bytes for each of them.
        """
        try:
            return self._fresh.pop()
        except IndexError:
            self._lists = self._lists or self._read()
        return [numbers.copy() for numbers in self._lists]

    def _read(self) -> list[list[float]]:
        return [array.array("f", _read_coded(coded)).tolist() for coded in self._coded]


def _cut(raw: bytes) -> tuple[bytes, list[memoryview]]:
    """Cut the vectors, JSON strings, out of an answer; to search for them is several times faster than to read it all.

    Raises:
        DecodeError: if the rest is no answer with vectors.
        ValueError: if one is no string, or something else in the answer looks like one.
    """
    view, rest, coded, end = memoryview(raw), [], list[memoryview](), 0
    while (found := raw.find(_NAME, end)) >= 0:
        begin = found + len(_NAME)
        start = raw.index(b'"', begin)
        rest.append(view[end:begin])
        end = raw.index(b'"', start + 1) + 1
        coded.append(view[start:end])
        if start > begin and not raw[begin:start].isspace():
            raise ValueError(begin)
    around = _MARK.join([*rest, view[end:]])
    items = _read_vectors(around).data
    if not around.count(_MARK) == len(coded) == len(items) or any(bytes(item.embedding) != _MARK for item in items):
        raise ValueError(len(items))
    return around, coded


def _decode(raw: bytes) -> _Decoded:
    """Return the vectors of an answer, decoded once for as long as they are among the last that were asked for.

    Raises:
        DecodeError: if one is not in base64.
        ValueError: if one is no string, if its bytes are no whole numbers, or if something else looks like one.
    """
    kept = next((kept for kept in _kept.copy() if kept.raw == raw), None)
    if kept is not None:
        with contextlib.suppress(ValueError):  # another thread has removed it
            _kept.remove(kept)
            _kept.append(kept)
        return kept
    kept = _Decoded(raw)
    _kept.append(kept)
    with contextlib.suppress(IndexError):  # another thread has removed the last one
        while sum(each.count for each in _kept.copy()) > MOST_NUMBERS:
            _kept.popleft()
    return kept


MOST_NUMBERS = 1_000_000
"""Numbers of the vectors that are kept."""
_kept: deque[_Decoded] = deque()
_NAME, _MARK = b'"embedding":', b"[0e9]"


def _is_large(vector: Any) -> bool:
    """Whether a vector may hold an integer that is no float; the SDK keeps it as it is, or raises for it."""
    return math.hypot(*vector.embedding) >= _EXACT  # no number is larger, and this takes a fifth of `max` and `min`


_read_coded = msgspec.json.Decoder(bytes).decode


class _Vector(msgspec.Struct):
    embedding: msgspec.Raw


class _Vectors(msgspec.Struct):
    data: list[_Vector]


_read_vectors = msgspec.json.Decoder(_Vectors).decode
_EXACT = 2**53
"""Every integer up to this one is exactly a float."""
_LARGE = re.compile(rb"(?<![\d.])\d{16}")
"""What any larger one begins with."""
_DIGITS = bytes.maketrans(b"123456789", b"0" * 9)
_LONG = b"0" * 16
"""What there is of it when each digit is translated: to look for that takes a tenth of a search."""


def has_vectors(raw: bytes) -> bool:
    """Whether an answer holds embeddings, each of whole numbers; the SDK has errors of its own for what does not."""
    try:
        return _decode(raw).is_any
    except (msgspec.DecodeError, ValueError):  # no base64, or no whole numbers
        return _are_vectors(raw)


def _are_vectors(raw: bytes) -> bool:
    """Whether an answer holds vectors of which some or all are lists of numbers."""
    try:
        vectors = _read_vectors(raw).data
    except msgspec.DecodeError:
        return False
    return bool(vectors) and all(_is_vector(item.embedding) for item in vectors)


def _is_vector(raw: msgspec.Raw) -> bool:
    if bytes(raw)[:1] == b"[":
        return True
    try:
        array.array("f", _read_coded(raw))
    except (msgspec.DecodeError, ValueError):
        return False
    return True
