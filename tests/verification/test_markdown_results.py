"""Outcomes as Markdown: whatever a server says stays in its cell, as code."""

from __future__ import annotations

import pytest

from inferencereplay.verification.changes import Change
from inferencereplay.verification.markdown_results import markdown
from inferencereplay.verification.outcomes import CHANGED, NotAsked, Outcome, summarize_outcomes


@pytest.mark.parametrize(
    ("text", "cell"),
    [
        ("", ""),
        ("@ann #12 <img> https://a.example", "`@ann #12 <img> https://a.example`"),
        ("a\n| b", r"`a \| b`"),
        ("\\|", r"`\\\|`"),
        ("`", "`` ` ``"),
        ("a``b`c", "``` a``b`c ```"),
    ],
    ids=["nothing", "links", "bar", "backslash", "backtick", "backticks"],
)
def test_texts_are_code(text, cell):
    """Escapes would not keep GitHub from mentioning people; a bar would end the cell in code too."""
    outcome = Outcome("a.json", "/b", text, CHANGED, changes=[Change("model", "m", text)])
    lines = markdown("title", summarize_outcomes([outcome], 1), [outcome], [NotAsked(text, "why")]).splitlines()
    assert f"| `a.json` | {cell} | model | `m` | {cell} |" in lines
    assert f"| 1 | `why` | {cell} |" in lines
