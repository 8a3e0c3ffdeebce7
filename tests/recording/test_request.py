"""A request, its canonical bytes, its key."""

from __future__ import annotations

import enum
import json
import math
import sys
from collections import OrderedDict, UserDict
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from inferencereplay.recording.request import (
    NotSerializable,
    Request,
    _canonical,
    _encode,
    _is_canonical,
    _refuse,
    canonical_json,
    is_surely_canonical,
    parse_json,
    parse_query,
    without,
)

FORMAT = Path(__file__).parents[2] / "docs" / "format.md"
texts = st.text(st.characters(exclude_categories=["Cs"]))
numbers = st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**200), 2**200)
leaves = st.none() | st.booleans() | numbers | texts
values = st.recursive(
    leaves,
    lambda inner: st.lists(inner) | st.lists(inner).map(tuple) | st.dictionaries(texts, inner),
    max_leaves=20,
)


class Text(str):
    __slots__ = ()

    def __str__(self) -> str:
        return "not what json.dumps writes"


class Whole(int):
    def __repr__(self) -> str:
        return "not what json.dumps writes"


class Real(float):
    def __repr__(self) -> str:
        return "not what json.dumps writes"


class Role(str, enum.Enum):
    USER = "user"


class Level(enum.IntEnum):
    HIGH = 3


class Point(NamedTuple):
    x: float
    y: float


def strictly(value):
    """Return something that is equal for equal JSON only: `True` is no 1, a tuple is a list, `1.0` is 1."""
    if isinstance(value, dict):
        return {name: strictly(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [strictly(item) for item in value]
    return (isinstance(value, bool), value)


def shuffled(value):
    """Return a copy in which every object has its members the other way round."""
    if isinstance(value, dict):
        return {name: shuffled(item) for name, item in reversed(value.items())}
    return [shuffled(item) for item in value] if isinstance(value, (list, tuple)) else value


@given(values)
def test_canonical_json_reads_back_as_the_value(value):
    """Nothing gets lost, no digit of an integer and no bit of a float."""
    assert strictly(json.loads(canonical_json(value))) == strictly(value)


@given(values)
def test_the_order_of_members_does_not_count(value):
    """The same members in another order are the same bytes."""
    assert canonical_json(shuffled(value)) == canonical_json(value)


@given(values, values)
def test_different_values_are_different_bytes(first, second):
    """Two values have the same bytes if and only if they are equal as JSON."""
    assert (canonical_json(first) == canonical_json(second)) is (strictly(first) == strictly(second))


@given(values)
@example([1.0, {"a": 1e16, "b": -0.0}])
def test_what_is_taken_for_canonical_text_is_canonical(value):
    """A text that shows at once to be canonical is what is written of its value; one of texts and integers shows it."""
    for text in (_encode(value), json.dumps(value, separators=(",", ":")).encode(), canonical_json(value)):
        assert not is_surely_canonical(text) or canonical_json(parse_json(text)) == text
    assert is_surely_canonical(b'{"a":[1,"b",0.5],"c":null}')


@pytest.mark.parametrize(
    "text", ['{"b":1,"a":2}', '{"a":1,"a":1}', '{"a":1.0}', '["\\u00e9"]', "1.0", "[1e16]", "[NaN]", "[" * 9_999]
)
def test_other_text_is_not_taken_for_canonical(text):
    assert not is_surely_canonical(text.encode())


@given(values)
def test_the_fast_path_is_the_slow_one(value):
    """Where a value is taken for canonical as it stands, the slow path gives the same bytes."""
    if _is_canonical(value):
        assert _encode(_canonical(value, _refuse)) == _encode(value)
    assert _encode(_canonical(value, _refuse)) == canonical_json(value)


def as_the_format_says(value):
    """Write canonical JSON by docs/format.md, with the standard library alone."""
    if isinstance(value, dict):
        return (
            "{"
            + ",".join(f"{as_the_format_says(name)}:{as_the_format_says(value[name])}" for name in sorted(value))
            + "}"
        )
    if isinstance(value, (list, tuple)):
        return "[" + ",".join(map(as_the_format_says, value)) + "]"
    if not isinstance(value, float):
        return json.dumps(value, ensure_ascii=False)
    if value.is_integer():
        return str(int(value))
    return f"{Decimal(repr(value)):f}" if abs(value) >= 1e-5 else repr(value).replace("e-0", "e-")


@given(values)
@example([0.00001, 0.000011, 0.0000099, 1e-10, 1.5e-7, 123456.789, 2.0**53 + 2])
def test_the_bytes_are_what_the_format_says(value):
    """A second writer, made by docs/format.md alone, writes the same."""
    assert canonical_json(value).decode() == as_the_format_says(value)


@pytest.mark.parametrize(
    ("alike", "written"),
    [
        ((0, 0.0, -0.0, json.loads("0e5")), b"0"),
        ((1, 1.0, Whole(1), Real(1)), b"1"),
        ((1e-6, 0.000001, json.loads("1E-6")), b"1e-6"),
        ((1e-5, 0.00001), b"0.00001"),
        ((10**22, 1e22, json.loads("1e+22")), b"10000000000000000000000"),
        ((0.1, json.loads("0.1000")), b"0.1"),
        ((2**64 + 1,), b"18446744073709551617"),
        ((5e-324,), b"5e-324"),
        (((1, 2), [1, 2], [1.0, 2.0], Point(1, 2)), b"[1,2]"),
        (("user", Role.USER, Text("user")), b'"user"'),
        ((3, Level.HIGH), b"3"),
        (("é/\u2028\x7f",), '"é/\u2028\x7f"'.encode()),
        (('\b\t\n\f\r"\\\x01',), b'"\\b\\t\\n\\f\\r\\"\\\\\\u0001"'),
        (({"b": 1, "a": 2}, OrderedDict(b=1, a=2), {Text("b"): 1, Text("a"): 2.0}), b'{"a":2,"b":1}'),
        (({"\U0001f600": 1, "\uffff": 2, "z": 3},), '{"z":3,"\uffff":2,"\U0001f600":1}'.encode()),
    ],
)
def test_what_is_equal_is_written_alike(alike, written):
    """docs/format.md's rules, one by one."""
    assert {canonical_json(value) for value in alike} == {written}
    assert {canonical_json({"a": [value]}) for value in alike} == {b'{"a":[%b]}' % written}


@given(texts, st.integers(), st.floats(allow_nan=False, allow_infinity=False))
def test_subclasses_count_as_what_json_dumps_writes(text, whole, real):
    """A subclass of a JSON type is written by its value, whatever it says of itself."""
    value = {"a": [Text(text), Whole(whole), Real(real)], Text(text): OrderedDict(b=(Whole(whole),))}
    assert strictly(json.loads(canonical_json(value))) == strictly(json.loads(json.dumps(value)))


@pytest.mark.parametrize(
    "value",
    [
        *(math.nan, math.inf, -math.inf, Real("nan")),
        *("\ud800", "a\udfff", {"\udc00": 1}),
        *(b"bytes", {1}, object(), UserDict(), 1j, iter(())),
        *({1: 2}, {None: 1}, {True: 1}, {1.5: 1}, {("a",): 1}),
        pytest.param(10**5_000, id="more digits than Python writes"),
    ],
    ids=lambda value: repr(value).partition(" at ")[0],
)
def test_what_is_no_json_is_refused(value):
    """It is refused wherever it stands, also beside what has to be copied."""
    for holder in (value, [value], {"a": value}, [1.0, value], {"a": 1.0, "b": [value]}):
        with pytest.raises(NotSerializable):
            canonical_json(holder)


@pytest.mark.parametrize("core", [1, 1.0])
def test_what_is_nested_too_deeply_is_refused(core):
    """Neither a deep value nor one that holds itself overflows the stack."""
    value = core
    for _ in range(sys.getrecursionlimit() * 10):
        value = [value]
    own = [core]
    own.append(own)
    for holder in (value, own):
        with pytest.raises(NotSerializable):
            canonical_json(holder)


def test_other_objects_are_converted():
    """`convert` is asked for what is no JSON, and what it returns is made canonical in turn."""
    assert canonical_json({"a": [{2, 1}, 1.0]}, sorted_sets) == b'{"a":[[1,2],1]}'
    with pytest.raises(NotSerializable):
        canonical_json({"a": b""}, sorted_sets)


def sorted_sets(value):
    return [float(item) for item in sorted(value)] if isinstance(value, set) else _refuse(value)


def test_the_key_is_the_hash_of_the_canonical_request():
    """The example of docs/format.md, and a query only where there is one."""
    body = {"model": "m", "temperature": 0.0, "messages": [{"role": "user", "content": "Hello"}]}
    request = Request("POST", "/chat/completions", canonical_json(body))
    assert request.key == "5506b4859f9a00e101151bf872a946e0e5a586fd7130f52c0fe1e4f7a0d78371"
    assert b"query" not in request.canonical
    asked = Request("GET", "/é", b"null", {"b": "2", "a": ["1", "3"]})
    assert asked.canonical.decode() == '{"body":null,"method":"GET","path":"/é","query":{"a":["1","3"],"b":"2"}}'


def test_the_key_of_a_form():
    """docs/format.md has this example as well."""
    file = {"content_type": "audio/wav", "filename": "hello.wav", "length": 5}
    file["sha256"] = "ef856cf88a52b74c23efdb717f092a10245654c1f2cf37b9da058b67d6fa60c2"
    form = {"model": "whisper-1", "file": file, "timestamp_granularities[]": ["word", "segment"]}
    request = Request("POST", "/audio/transcriptions", canonical_json(form), {}, "form")
    assert request.key == "486a7d25b0ef2a4e145ee5ae249de76093e69e849d8f3180cf8a5835762fcf6f"
    assert request.canonical.decode() in FORMAT.read_text("utf-8")


@given(st.lists(st.tuples(st.sampled_from(["GET", "POST"]), texts, values), min_size=2, max_size=2))
def test_different_requests_have_different_keys(made):
    """Method, path and body all count."""
    first, second = made
    keys = {Request(method, path, canonical_json(body)).key for method, path, body in made}
    assert (len(keys) == 1) is (first[:2] == second[:2] and strictly(first[2]) == strictly(second[2]))


@pytest.mark.parametrize("text", [b"", b"{", b"\0", b"\xff", "{'a': 1}", b"1" * 5_000, b"[" * 100_000])
def test_what_is_no_json_cannot_be_read(text):
    """Everything that cannot be read is a `ValueError`, what is nested too deeply as well."""
    with pytest.raises(ValueError):
        parse_json(text)


def test_json_is_read_without_losing_a_digit():
    """Integers have any size."""
    assert parse_json(b"[123456789012345678901234567890, 0.1]") == [123456789012345678901234567890, 0.1]


@pytest.mark.parametrize(
    ("query", "read"),
    [
        ("", {}),
        ("a=1&b=", {"a": "1", "b": ""}),
        ("a=1&b=2&a=3", {"a": ["1", "3"], "b": "2"}),
        ("a%5B%5D=%C3%A9+1", {"a[]": "é 1"}),
    ],
)
def test_a_query_is_read_into_names_and_values(query, read):
    """A name that is repeated has a list, and a value may be empty."""
    assert parse_query(query) == read


@pytest.mark.parametrize(
    ("paths", "left"),
    [
        ((), {"user": "u", "metadata": {"run": 1, "kind": 2}, "messages": [{"id": 1, "role": "x"}, "text"]}),
        (("user",), {"metadata": {"run": 1, "kind": 2}, "messages": [{"id": 1, "role": "x"}, "text"]}),
        (("user", "metadata"), {"messages": [{"id": 1, "role": "x"}, "text"]}),
        (("metadata.run",), {"user": "u", "metadata": {"kind": 2}, "messages": [{"id": 1, "role": "x"}, "text"]}),
        (("messages.id",), {"user": "u", "metadata": {"run": 1, "kind": 2}, "messages": [{"role": "x"}, "text"]}),
        (
            ("absent", "user.deeper", "metadata.absent", "messages.absent.x"),
            {"user": "u", "metadata": {"run": 1, "kind": 2}, "messages": [{"id": 1, "role": "x"}, "text"]},
        ),
    ],
)
def test_paths_are_left_out_of_a_body(paths, left):
    """A path goes through objects and each element of a list; one that leads nowhere does nothing."""
    body = {"user": "u", "metadata": {"run": 1, "kind": 2}, "messages": [{"id": 1, "role": "x"}, "text"]}
    before = json.dumps(body)
    assert without(body, paths) == left
    assert json.dumps(body) == before


@pytest.mark.parametrize("body", [None, "text", 1, [], [1, [2]]])
def test_a_body_that_is_no_object_has_nothing_to_leave_out(body):
    """`ignore` is harmless where a request has no body."""
    assert without(body, ("user", "metadata.run")) == body


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
@example(float("nan"))
@example("\ud800")
@example(2**64)
@example(-0.0)
def test_json_is_read_as_python_reads_it(value):
    """Numbers beyond 64 bits, NaN and halves of surrogate pairs among it."""
    for text in (json.dumps(value), json.dumps(value).encode(), json.dumps(value).encode("utf-16")):
        assert repr(parse_json(text)) == repr(json.loads(text))


@pytest.mark.parametrize("text", ["", "[1,]", "tru", '"\x01"', "01", "{1: 2}", "[" * 100_000, "9" * 5_000])
def test_what_python_refuses_is_refused(text):
    """Whatever reads it first."""
    with pytest.raises(ValueError, match=r"."):
        parse_json(text)
