"""How deeply JSON is nested."""

from __future__ import annotations

import json

import pytest

from inferencereplay.recording.nesting import DEEPEST, is_deep


@pytest.mark.parametrize(
    ("text", "deep"),
    [
        ("[" * DEEPEST + "]" * DEEPEST, False),
        ("[" * (DEEPEST + 1) + "]" * (DEEPEST + 1), True),
        ('{"a":' * (DEEPEST + 1) + "1" + "}" * (DEEPEST + 1), True),
        ("[" + "[{}]," * DEEPEST + "{}]", False),
        (json.dumps({"text": "[" * 500 + '\\"{'}), False),
        ('"[' + "[" * 500, False),
        ("[" * 100_000, True),
    ],
    ids=["deep enough", "one more", "objects", "side by side", "in a text", "a text without an end", "no JSON"],
)
def test_only_brackets_within_each_other_count(text, deep):
    """Not those in texts, nor those that are closed again."""
    assert is_deep(text.encode()) is deep
