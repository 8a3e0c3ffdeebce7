"""Faults in a text, as a variable of the environment holds them: `status(429, times=2); cut(after=3)`."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from inferencereplay.errors import InvalidSetting
from inferencereplay.faults.fault import KINDS, Fault, unknown_kind

if TYPE_CHECKING:
    from collections.abc import Iterator

_RULE = "Write faults as status(429, times=2, retry_after=1), with ; between them"


def parse_faults(given: Any, source: str) -> tuple[Fault, ...]:
    """Read a setting: a fault or a text, or any number of them.

    Args:
        given: what the user gave.
        source: where, for messages.

    Raises:
        InvalidSetting: for anything else, and for an invalid text.
    """
    if isinstance(given, (Fault, str)):
        given = (given,)
    if not isinstance(given, Iterable):
        message = f"{source}={given!r} are no faults. Give a list such as [Fault.status(429), Fault.cut(after=3)]."
        raise InvalidSetting(message)
    found: list[Fault] = []
    for item in given:
        if isinstance(item, str):
            found += _read(item, source)
        elif isinstance(item, Fault):
            found.append(item)
        else:
            message = f"{source}: {item!r} is no fault. Give Fault.status(429), Fault.cut(after=3) and the like."
            raise InvalidSetting(message)
    return tuple(found)


def _read(text: str, source: str) -> Iterator[Fault]:
    try:
        tree = ast.parse(text.strip())
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        message = f"{source}={text!r} cannot be read. {_RULE}."
        raise InvalidSetting(message) from error
    for statement in tree.body:
        called = statement.value if isinstance(statement, ast.Expr) else None
        parts = called.elts if isinstance(called, ast.Tuple) else [called]
        for part in parts:
            yield _fault(part, text, source)


def _fault(part: Any, text: str, source: str) -> Fault:
    name = ast.unparse(part.func).removeprefix("Fault.") if isinstance(part, ast.Call) else None
    if name is None:
        message = f"{source}={text!r} cannot be read. {_RULE}."
        raise InvalidSetting(message)
    if name not in KINDS:
        raise InvalidSetting(unknown_kind(name, source))
    try:
        arguments = [ast.literal_eval(value) for value in part.args]
        named = {str(item.arg): ast.literal_eval(item.value) for item in part.keywords}
        fault: Fault = getattr(Fault, name)(*arguments, **named)
    except InvalidSetting as error:
        message = f"{source}: {error}"
        raise InvalidSetting(message) from None
    except (ValueError, TypeError) as error:
        message = f"{source}: {ast.unparse(part)} is no fault: {error}. {_RULE}."
        raise InvalidSetting(message) from error
    return fault
