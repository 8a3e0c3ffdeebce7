"""Which of many short texts stand in a long one, in a fraction of the time of a search for each.

Most have a sign in them (`ghp_`, `sk-`). The long text is cut at a sign, unless that is frequent, and what stands
before the cuts tells which of the short ones may be there. Only these are searched for.
"""

from __future__ import annotations

from collections import defaultdict
from itertools import chain
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_SIGNS = frozenset("-_./=~+%$\\")
_BEFORE = 3
"""Characters before a sign that are compared."""
_CUT = 300
"""Characters that a search for one text passes over in the time of one cut."""
_TO_CUT, _TO_SEARCH = 10, 40
"""How many cuts, and how many characters, take as long as it takes to begin with them."""


class LiteralSearch:
    """A search for short texts.

    Args:
        literals: what is searched for.
    """

    def __init__(self, literals: Iterable[str]) -> None:
        self._plain: list[str] = []
        """What has no sign behind another character."""
        signs: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
        for literal in literals:
            before, sign = max(_cuts(literal), key=lambda cut: len(cut[0]), default=("", ""))
            if before:
                signs[sign][before].append(literal)
            else:
                self._plain.append(literal)
        self._signs = [(sign, [*chain(*by_end.values())], by_end) for sign, by_end in signs.items()]
        """The others, by a sign: all, and by what stands before it."""

    def present(self, text: str) -> set[str]:
        """Return what stands in a text."""
        found = {literal for literal in self._plain if literal in text}
        for sign, literals, by_end in self._signs:
            if sign in text:
                likely = literals
                if (text.count(sign) + _TO_CUT) * _CUT < len(literals) * (len(text) + _TO_SEARCH):
                    ends = by_end.keys() & _ends(text.split(sign)[:-1])
                    likely = [literal for end in ends for literal in by_end[end]]
                found.update([literal for literal in likely if literal in text])
        return found


def _cuts(literal: str) -> list[tuple[str, str]]:
    """Return where a text can be cut: what stands before a sign, without that sign itself, and the sign."""
    places = [at for at, character in enumerate(literal) if character in _SIGNS]
    return [(literal[:at].rpartition(literal[at])[2][-_BEFORE:], literal[at]) for at in places]


def _ends(parts: Sequence[str]) -> set[str]:
    """Return the ends of texts, of each length that is compared."""
    longest = {part[-_BEFORE:] for part in parts}
    return longest | {end[-2:] for end in longest} | {end[-1:] for end in longest}
