"""The forms in which a secret may stand in a text."""

from __future__ import annotations

import base64
import json
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferencereplay.redaction.encodings import encodings_of
from inferencereplay.redaction.redactor import REDACTED, Redactor

words = st.text(st.characters(exclude_categories=["Cs"]), min_size=12, max_size=40)


@given(words, st.binary(max_size=9), st.binary(max_size=9))
def test_base64_hides_nothing(word, before, after):
    """Whatever is encoded together with it, in either alphabet, the middle of a secret is found."""
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        text = encode(before + word.encode() + after).decode()
        assert any(form in text for form in encodings_of((word,)))


@given(words, st.integers(0, 4))
def test_json_and_urls_hide_nothing(word, depth):
    """JSON within the text of JSON, and the escapes of a URL, are looked through."""
    text = f"x{word}y"
    for _ in range(depth):
        text = json.dumps(text)
    redactor, forms = Redactor(), encodings_of((word,))
    assert REDACTED in redactor.with_literals(forms).text(text)
    assert REDACTED in redactor.with_literals(forms).text(f"https://h/?q={quote(word, safe='')}")


@pytest.mark.parametrize(
    "written",
    [
        *("abcd%2fefgh%2bijkl%3dmnop7Q", "abcd/efgh%2bijkl%3dmnop7Q", "abcd\\/efgh+ijkl=mnop7Q"),
        *("abcd/efgh\\u002Bijkl=mnop7Q", "abcd/efgh+ijkl\\u003dmnop7Q", "abcd\\\\/efgh+ijkl=mnop7Q"),
    ],
)
def test_other_languages_hide_nothing(written):
    """What PHP, .NET, Java and others write without need, is known."""
    assert (
        Redactor().with_literals(encodings_of(("abcd/efgh+ijkl=mnop7Q",))).text(f"it is {written}.")
        == f"it is {REDACTED}."
    )


def test_the_longest_comes_first():
    """A form that holds another is taken out as a whole."""
    forms = encodings_of(('quoted"key', "quoted"))
    assert [len(form) for form in forms] == sorted(map(len, forms), reverse=True)
    assert {'quoted"key', 'quoted\\"key', "quoted%22key", "quoted"} <= set(forms)
