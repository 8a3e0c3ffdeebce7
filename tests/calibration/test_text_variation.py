"""How two texts of two runs differ."""

from __future__ import annotations

import secrets
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferencereplay.calibration import text_variation
from inferencereplay.calibration.text_variation import TextVariation
from inferencereplay.session.settings import parse_normalize


def ways(one, other):
    return [tuple(way) for way in TextVariation().ways(one, other)]


def test_what_ready_made_normalizers_take_out():
    """Each kind by its name, as few as will do."""
    one, other = (f"job {uuid.uuid4()} in /tmp/x{number} at 2026-11-2{number}" for number in (1, 2))
    assert ways(one, other) == [("UUID", "uuids"), ("time", "timestamps"), ("temporary path", "temporary_paths")]
    assert ways("on 2026-11-21", "on 2026-11-22") == [("time", "timestamps")]


@pytest.mark.parametrize(
    ("one", "other", "kind", "pattern"),
    [
        ("see req-0a1b2c3d, please", "see req-99ffe012, please", "random id", r"\breq-[0-9a-f]{8}\b"),
        ("see 0a1b2c3d", "see 99ffe012", "random id", r"\b[0-9a-f]{8}\b"),
        ("see 0A1B2C3D", "see 99FFE012", "random id", r"\b[0-9A-F]{8}\b"),
        ("id msg_Zz81kQp0aaX1", "id msg_77aQpLmN0xyz", "random id", r"\bmsg_[0-9A-Za-z]{12}\b"),
        ("token x-Ab1_9zQ7-k2", "token x-9Zz-1aB0_pp", "random id", r"\bx-[0-9A-Za-z_-]{11}\b"),
        ("run abc1234def", "run 12345678", "random id", r"\brun [0-9a-f]+\b"),
        ("Attempt 7 of it", "Attempt 12 of it", "number", r"\bAttempt [0-9]+\b"),
        ("page7.", "page8.", "number", r"\bpage[0-9]+\b"),
        ("It is 14:05.", "It is 14:06.", "time of day", r"\bis [0-9:]+\b"),
        ("Took 0.25 s", "Took 12.5 s", "number", r"\bTook [0-9.:,]+\b"),
        ("at http://127.0.0.1:4321/v1", "at http://127.0.0.1:99/v1", "number", r"\bhttp://[0-9.:,]+\b"),
        ("f(x 7)", "f(x 8)", "number", r"\bx [0-9]+\b"),
        ("é(7", "é(8", "number", r"\bé\([0-9]+\b"),
    ],
)
def test_an_id_without_a_name_gets_an_expression(one, other, kind, pattern):
    """Which is no wider than it has to be, is one for the settings, and makes the two equal."""
    assert ways(one, other) == [(kind, f"/{pattern}/")]
    normalize = parse_normalize(f"/{pattern}/")
    assert normalize({"text": one}) == normalize({"text": other})


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("The sea is blue", "The sea is green"),
        ("The sea", "The sea is blue"),
        ("a facade", "a decade"),
        ("a b c", "c b a"),
        ("x é", "x è"),
        ("see 1a", "see b2"),
        ("7", "8"),
        ("first\n7", "first\n8"),
        ("(7)", "(8)"),
        ("7 12", "8 13"),
    ],
)
def test_prose_has_no_way(one, other):
    """Words that differ are what is said, and nothing may take them out."""
    assert ways(one, other) == []


def test_one_expression_serves_all_texts():
    """What was made for one text is used for the next, also together with what is new there."""
    texts = TextVariation()
    for _ in range(30):
        texts.ways(f"req-{secrets.token_hex(4)}a1", f"req-{secrets.token_hex(4)}b2")
    assert list(texts.patterns) == [r"\breq-[0-9a-f]{10}\b"]
    both = texts.ways("req-0a1b2c3d4e: try 1", "req-0011223344: try 2")
    assert [way.normalizer for way in both] == [r"/\breq-[0-9a-f]{10}\b/", r"/\btry [0-9]+\b/"]
    assert texts.ways("req-0a1b2c3d4e: 1", "req-0a1b2c3d4e: 1 or 2") == ()


def test_expressions_are_few(monkeypatch):
    """What would need ever new ones is no id."""
    monkeypatch.setattr(text_variation, "MOST_PATTERNS", 2)
    texts = TextVariation()
    names = ["alpha", "beta", "gamma", "delta"]
    assert [bool(texts.ways(f"{name} 1", f"{name} 2")) for name in names] == [True, True, False, False]
    assert len(texts.patterns) == 2


def test_a_long_text_is_not_searched_word_by_word(monkeypatch):
    """Ready-made normalizers work for any length."""
    monkeypatch.setattr(text_variation, "LONGEST", 50)
    assert ways("x" * 60 + " try 1", "x" * 60 + " try 2") == []
    assert ways("x" * 60 + " 2026-11-27", "x" * 60 + " 2026-11-28") == [("time", "timestamps")]


@given(st.text(), st.text())
def test_whatever_the_texts_are_a_way_makes_them_equal(one, other):
    """Or there is none."""
    found = TextVariation().ways(one, other)
    if found:
        normalize = parse_normalize([way.normalizer for way in found])
        assert normalize({"text": one}) == normalize({"text": other})
