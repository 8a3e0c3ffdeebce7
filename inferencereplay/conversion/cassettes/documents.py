"""Cassette files as Python data: YAML, JSON and TOML.

YAML is read by the rules of version 1.2's core schema, as cassetter writes it: `2026-01-01` and `12:30` without quotes
are texts. By version 1.1 they would be a date and a number.
"""

from __future__ import annotations

import functools
import gzip
import io
import re
import sys
import zlib
from typing import TYPE_CHECKING, Any

import msgspec

from inferencereplay.catalogue.file_content import UnusableFile, read_file
from inferencereplay.conversion.cassettes.exchange import LARGEST, Unconvertible
from inferencereplay.recording.request import parse_json

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_KINDS = (".yaml", ".yml", ".json", ".toml")
ENDINGS = (*_KINDS, *(f"{kind}.gz" for kind in _KINDS))
"""How the names of cassettes end; LangChain's are compressed."""
_SCALARS = {
    "null": (r"~|null|Null|NULL|", "~nN\0"),
    "bool": (r"true|True|TRUE|false|False|FALSE", "tTfF"),
    "int": (r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", "-+0123456789"),
    "float": (
        r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
        "-+0123456789.",
    ),
}
"""The patterns of the types of plain scalars, and the characters that they may begin with."""
MOST_EXPANDED = 100
"""How many times as large as its file a document may get when YAML's aliases are written out."""
_SMALL = 1_000


def load(file: Path) -> dict[str, Any]:
    """Read a cassette file by the end of its name.

    Raises:
        Unconvertible: if it cannot be read, or the library that reads its format is missing.
    """
    try:
        data, _ = read_file(file, LARGEST)
    except UnusableFile as error:
        raise Unconvertible(str(error)) from error
    data = _decompressed(data) if file.suffix == ".gz" else data
    read = {".json": _json, ".toml": _toml}.get(ending_of(file.name).removesuffix(".gz"), _yaml)
    document = read(data)
    try:
        is_bomb = _size(document, {}) > MOST_EXPANDED * (len(data) + _SMALL)
    except RecursionError as error:
        reason = "it is nested too deeply"
        raise Unconvertible(reason) from error
    if is_bomb:
        reason = "its aliases stand for many times its size"
        raise Unconvertible(reason)
    if not isinstance(document, dict):
        reason = "it is no cassette: it has no list of interactions"
        raise Unconvertible(reason)
    return document


def ending_of(name: str) -> str:
    """Return the ending of a file's name, empty if it is not a cassette's."""
    return next((end for end in ENDINGS if name.endswith(end)), "")


def _decompressed(data: bytes) -> bytes:
    try:
        with gzip.open(io.BytesIO(data)) as packed:
            content = packed.read(LARGEST + 1)
    except (OSError, EOFError, zlib.error) as error:
        reason = f"it is said to be compressed with gzip, and is not: {error}"
        raise Unconvertible(reason) from error
    if len(content) > LARGEST:
        reason = f"it has more than {LARGEST:,} bytes when it is unpacked"
        raise Unconvertible(reason)
    return content


def _json(data: bytes) -> Any:
    try:
        return parse_json(data)
    except ValueError as error:
        reason = f"it is no JSON: {error}"
        raise Unconvertible(reason) from error


def _toml(data: bytes) -> Any:
    try:
        return msgspec.toml.decode(data)
    except ImportError as error:
        reason = "TOML is read by Python 3.11 and later, or with tomli: pip install tomli"
        raise Unconvertible(reason) from error
    except ValueError as error:  # msgspec's own errors among them
        reason = f"it is no TOML that can be read: {error}"
        raise Unconvertible(reason) from error


def _yaml(data: bytes) -> Any:
    try:
        import yaml  # noqa: PLC0415 - only YAML needs it
    except ImportError as error:
        reason = "YAML is read by PyYAML: pip install 'inferencereplay[cli]'"
        raise Unconvertible(reason) from error
    try:
        return yaml.load(data, Loader=_loader())  # noqa: S506 - a safe loader's subclass
    except (yaml.YAMLError, ValueError, TypeError, LookupError, RecursionError) as error:
        reason = f"it is no YAML that can be read: {' '.join(str(error).split())}"
        raise Unconvertible(reason) from error


@functools.cache
def _loader() -> Any:
    """Make a safe loader, libyaml's if it is installed, with the types of YAML 1.2."""
    import yaml  # noqa: PLC0415 - only YAML needs it

    loader = type("CassetteLoader", (getattr(yaml, "CSafeLoader", yaml.SafeLoader),), {"yaml_implicit_resolvers": {}})
    for kind, (pattern, first) in _SCALARS.items():
        starts = [sign.strip("\0") for sign in first]
        loader.add_implicit_resolver(f"tag:yaml.org,2002:{kind}", re.compile(rf"(?:{pattern})\Z"), starts)  # type: ignore[attr-defined]
    loader.add_constructor("tag:yaml.org,2002:int", _integer)  # type: ignore[attr-defined]
    loader.add_constructor("tag:yaml.org,2002:float", _float)  # type: ignore[attr-defined]
    for tag, construct in _OF_PYTHON.items():
        loader.add_constructor(f"tag:yaml.org,2002:python/{tag}", construct)  # type: ignore[attr-defined]
    return loader


def _integer(loader: Any, node: Any) -> int:
    text = loader.construct_scalar(node)
    return int(text, 0) if text.startswith(("0o", "0x")) else int(text)


def _float(loader: Any, node: Any) -> float:
    text = loader.construct_scalar(node).lower()
    return float(text.replace(".inf", "inf").replace(".nan", "nan"))


def _text(loader: Any, node: Any) -> Any:
    return loader.construct_scalar(node)


def _list(loader: Any, node: Any) -> Any:
    return loader.construct_sequence(node, deep=True)


def _file(loader: Any, node: Any) -> bytes:
    """Return the content of a file that was sent, the first item of its state."""
    return _joined(loader.construct_mapping(node, deep=True)["state"][:1])


def _iterator(loader: Any, node: Any) -> bytes:
    """Return the items of an iterator that was sent, its one argument."""
    return _joined(loader.construct_mapping(node, deep=True)["args"][0])


def _joined(pieces: list[Any]) -> bytes:
    return b"".join(piece if isinstance(piece, bytes) else str(piece).encode() for piece in pieces)


_OF_PYTHON: dict[str, Callable[[Any, Any], Any]] = {
    "str": _text,
    "unicode": _text,
    "tuple": _list,
    "object/new:_io.BytesIO": _file,
    "object/apply:builtins.iter": _iterator,
}
"""The tags that VCR.py's own loader knows; the last two stand for bodies of other libraries. No class is made."""


def _size(value: Any, known: dict[int, int]) -> int:
    """Return about how many characters a document has with its aliases written out."""
    if isinstance(value, (str, bytes)):
        return len(value)
    if not isinstance(value, (dict, list)):
        return 1
    if id(value) not in known:
        known[id(value)] = sys.maxsize  # if it contains itself
        items = [*value, *value.values()] if isinstance(value, dict) else value
        known[id(value)] = 1 + sum(_size(item, known) for item in items)
    return known[id(value)]
