"""Costs at most: counts that cannot be true make no room for more requests."""

from __future__ import annotations

import pytest
from written import ask, plain, write

from inferencereplay.catalogue.conversation import Usage
from inferencereplay.catalogue.entries import Catalogue
from inferencereplay.catalogue.totals import Price
from inferencereplay.verification.bounds import bound_of, cost_of


@pytest.mark.parametrize("counted", [-1_000_000_000, None, "many"])
def test_a_count_that_is_none(tmp_path, counted):
    """The bytes of the request count; a negative count would be a bound below all that was asked."""
    file = write(tmp_path, ask("a"), plain({"choices": [], "usage": {"prompt_tokens": counted}}))
    entry = Catalogue(tmp_path).read(str(file.relative_to(tmp_path)))
    assert bound_of(entry).input == len(entry.request.body)


def test_no_answer_costs_less_than_nothing():
    """Whatever its server counts."""
    assert cost_of(Usage(-1_000_000, 1, None, None), Price(1.0, 1.0)) == 0
    assert cost_of(Usage(1_000_000, 1_000_000, None, None), Price(1.0, 2.0)) == 3
