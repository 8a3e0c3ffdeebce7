"""The names of recordings' files."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferencereplay.store.address import file_name, parse_file_name

KEY = "ab" * 16


@given(st.text("0123456789abcdef", min_size=32, max_size=64), st.integers(1, 10**9))
def test_a_name_is_read_as_it_was_written(key, number):
    """The first 32 digits and the number come back."""
    assert parse_file_name(file_name(key, number)) == (key[:32], number)


@pytest.mark.parametrize(
    "name", ["", "x.json", "ab" * 16, "AB" * 16 + ".json", f"{'ab' * 16}~1.json", f"{'ab' * 16}~02.json"]
)
def test_any_other_name_is_no_recordings(name):
    """Neither one that is nearly right is one."""
    assert parse_file_name(name) is None
