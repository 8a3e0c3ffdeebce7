"""Bad recordings: bytes and JSON, broken in the ways in which files break or are made to.

Every mutation is drawn from a `random.Random`, so that a number alone brings a file back.
"""

from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Iterator, Sequence

DEPTHS = (20, 120, 340, 600, 995, 3_000, 100_000)


class Text(str):
    """JSON that is written as it stands."""

    __slots__ = ()


class Members(list[tuple[str, Any]]):
    """The members of an object, which may repeat a name."""


def _deep(random: random.Random) -> Text:
    depth = random.choice(DEPTHS)
    opening, closing = random.choice((("[", "]"), ('{"a":', "}"), ('{"choices":[', "]}")))
    return Text(opening * depth + "1" + closing * depth)


HOSTILE: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 2**31, 2**53 + 1, 2**63, 2**64, -(2**64), 1e308, 5e-324, -0.0, "", " ", [], {}),
    *(Text("1e999"), Text("-1e999"), Text("1" * 400), Text("9" * 5_000), Text("NaN"), Text("Infinity"), Text("-0")),
    *(Text(r'"\ud800"'), Text(r'"\udfff\ud800"'), Text(r'"\u0000"'), Text('"\x01"'), Text(r'"\x"'), Text("'a'")),
    *("\n", "\r\n\r\ndata: [DONE]\n\n", "[DONE]", "data: x", "\0", "\u2028", "\ufeff", "😀" * 2_000, "a" * 100_000),
    *("../../../../etc/passwd", "/etc/passwd", "..", "~", "file:///etc/passwd", "C:\\x", "%2e%2e%2f", "chat/../../x"),
    *("os.system", "builtins.eval", "antigravity", "openai.types.chat.chat_completion.ChatCompletion", "__main__"),
    *(
        "text/event-stream",
        "application/json; charset=idna",
        "text/plain; charset=rot13",
        "a; charset=\0",
        "x;charset=",
    ),
    *("ReadError", "Exception", "SystemExit", "os", "done", "closed", "error", "[REDACTED]", "https://a:b@c/"),
    *({"__type__": "os.system", "__data__": {}}, {"error": {"message": "x"}}, [[]], [None], [{}], {"": 0}, ["\udc80"]),
    *(Text('{"a":1,"a":2}'), Text("[1,]"), Text("{,}"), Text("//"), Text('"' + "\\u0061" * 1_000 + '"')),
)

SENDABLE: tuple[Any, ...] = (
    *(None, True, 0, -1, 1.5, 1.0, 2**53 + 1, 2**70, 1e308, 5e-324, "", "x", "Äh 😀\u2028", [], {}, [[]], [None], [{}]),
    *({"a": 1}, {"error": None}, {"error": "x"}, "2024-01-01", "1", "NaN", "a\nb", {"": {"a": [1, None]}}, [1, "x"]),
)
"""What servers send where something else belongs."""


def mutate(random: random.Random, data: bytes, others: Sequence[bytes]) -> bytes:
    """Return `data` with one to four faults.

    Args:
        random: what they are drawn from.
        data: a good file.
        others: more of them, for pieces to put in.
    """
    is_json = random.random() < 0.7
    if is_json:
        data = _mutate_json(random, data, others)
    for _ in range(random.choice((0, 0, 0, 1)) if is_json else random.randint(1, 4)):
        data = random.choice(BYTES)(random, data, others)
    return data


# Bytes.


def _flip(random: random.Random, data: bytes, others: Sequence[bytes]) -> bytes:
    made = bytearray(data)
    for _ in range(random.choice((1, 1, 2, 8, 64))):
        if made:
            made[random.randrange(len(made))] ^= 1 << random.randrange(8)
    return bytes(made)


def _set(random: random.Random, data: bytes, others: Sequence[bytes]) -> bytes:
    made = bytearray(data)
    for _ in range(random.choice((1, 2, 8))):
        if made:
            made[random.randrange(len(made))] = random.choice(b'\x00\xff\x80\n"\\{}[],:0-.eE')
    return bytes(made)


def _truncate(random: random.Random, data: bytes, others: Sequence[bytes]) -> bytes:
    return data[: random.randrange(len(data) + 1)]


def _cut(random: random.Random, data: bytes, others: Sequence[bytes]) -> bytes:
    start, end = _span(random, data)
    return data[:start] + data[end:]


def _repeat(random: random.Random, data: bytes, others: Sequence[bytes]) -> bytes:
    start, end = _span(random, data)
    return data[:end] + data[start:end] * random.choice((1, 2, 20)) + data[end:]


def _splice(random: random.Random, data: bytes, others: Sequence[bytes]) -> bytes:
    other = random.choice(others)
    start, end = _span(random, other)
    at = random.randrange(len(data) + 1)
    return data[:at] + other[start:end] + data[at + random.choice((0, end - start)) :]


def _insert(random: random.Random, data: bytes, others: Sequence[bytes]) -> bytes:
    at = random.randrange(len(data) + 1)
    piece = random.choice(
        (random.randbytes(8), b"\xef\xbb\xbf", b"\xed\xa0\x80", b"\xc0\x80", b"\0" * 4_096, b"[" * 9_999)
    )
    return data[:at] + piece + data[at:]


def _encode(random: random.Random, data: bytes, others: Sequence[bytes]) -> bytes:
    text = data.decode("utf-8", "replace")
    return random.choice((b"\xef\xbb\xbf" + data, text.encode("utf-16"), text.encode("latin-1", "replace"), data * 2))


def _replace_token(random: random.Random, data: bytes, others: Sequence[bytes]) -> bytes:
    old, new = random.choice(
        (
            *((b"true", b"false"), (b"null", b"0"), (b"{", b"["), (b"\n", b"\r"), (b'"', b"'"), (b"1", b"1e99")),
            *((b"done", b"closed"), (b"body", b"text"), (b"chunks", b"offsets"), (b"200", b"404"), (b"\\", b"")),
        )
    )
    return data.replace(old, new, random.choice((-1, 1)))


BYTES: tuple[Callable[[random.Random, bytes, Sequence[bytes]], bytes], ...] = (
    *(_flip, _set, _truncate, _cut, _repeat, _splice, _insert, _encode, _replace_token),
)


def _span(random: random.Random, data: bytes) -> tuple[int, int]:
    start = random.randrange(len(data) + 1)
    return start, min(len(data), start + random.choice((1, 8, 64, 1_024)))


# JSON.


def _mutate_json(random: random.Random, data: bytes, others: Sequence[bytes]) -> bytes:
    try:
        top = _read(data)
    except (ValueError, RecursionError):
        return data
    for _ in range(random.choice((1, 1, 1, 2, 4))):
        places = list(_places(top))
        inside = [place for place in places if place[2] > 1]  # past the names of the file's own members
        container, index, _ = random.choice(inside if inside and random.random() < 0.8 else places)
        _change(random, container, index, others)
    return _write(top).encode("utf-8", "surrogatepass")


def mutate_value(random: random.Random, value: Any) -> Any:
    """Return JSON with, half of the time, one of its members or elements replaced or gone; all of it can be sent."""
    made = copy.deepcopy(value)
    if random.random() < 0.5:
        container, index = random.choice(list(_inside(made)))
        if random.random() < 0.2:
            del container[index]
        else:
            container[index] = copy.deepcopy(random.choice(SENDABLE))
    return made


def _inside(value: Any) -> Iterator[tuple[Any, Any]]:
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for index, item in pairs:
        yield value, index
        yield from _inside(item)


def _change(random: random.Random, container: list[Any], index: int, others: Sequence[bytes]) -> None:
    """Replace, remove, repeat, rename or exchange one member or element."""
    is_members = isinstance(container, Members)
    what = random.randrange(10)
    if what < 5:
        value = _hostile(random)
        container[index] = (container[index][0], value) if is_members else value
    elif what == 5:
        del container[index]
    elif what == 6:
        container.insert(random.randrange(len(container) + 1), container[index])
    elif what == 7 and is_members:
        name = random.choice(
            ("error", "__type__", "", "body", "text", "end", "choices", "\ud800", "x" * 300, "verbatim")
        )
        container[index] = (name, container[index][1])
    elif what == 8 and is_members:  # twice the same name, with another value
        container.append((container[index][0], _hostile(random)))
    else:
        other = random.choice(list(_places(_read(random.choice(others)))))
        value = other[0][other[1]]
        value = value[1] if isinstance(other[0], Members) else value
        container[index] = (container[index][0], value) if is_members else value


def _hostile(random: random.Random) -> Any:
    return _deep(random) if random.random() < 0.1 else copy.deepcopy(random.choice(HOSTILE))


def _read(data: bytes) -> Any:
    return json.loads(data, object_pairs_hook=Members)


def _places(value: Any, depth: int = 0) -> Iterator[tuple[list[Any], int, int]]:
    """Yield every member and element: what it stands in, its index there, and how deep."""
    if isinstance(value, list):
        for index, item in enumerate(value):
            yield value, index, depth
            yield from _places(item[1] if isinstance(value, Members) else item, depth + 1)


def _write(value: Any) -> str:
    if isinstance(value, Text):
        return str(value)
    if isinstance(value, Members):
        return "{" + ", ".join(f"{json.dumps(name)}: {_write(item)}" for name, item in value) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_write, value)) + "]"
    return json.dumps(value)
