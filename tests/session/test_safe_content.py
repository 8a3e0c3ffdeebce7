"""Side files without secrets: text is redacted, also where it is long; other content stays as it is."""

from __future__ import annotations

import pytest

from inferencereplay.recording.side_file import side_file
from inferencereplay.redaction.redactor import Redactor
from inferencereplay.session import safe_content
from inferencereplay.session.safe_content import without_secrets

SECRET = "sk-proj-0123456789abcdefghijABCDEFGHIJ"


@pytest.mark.parametrize("content", [b"\xff\0" + SECRET.encode(), b"\0" + SECRET.encode(), b"no secret", b"caf\xc3"])
def test_what_is_no_text_or_has_no_secret_stays(content):
    """It is the same object."""
    side = side_file(content, "")
    assert without_secrets(side, Redactor(), "") is side


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-be", "latin-1", "shift-jis"])
@pytest.mark.parametrize("more", ["", "x"], ids=["even", "odd"])
def test_text_is_redacted_in_any_encoding(encoding, more):
    """All else of it is as it was, byte for byte."""
    text = f"naïve ﾃｷｽﾄ: {more}" if encoding != "latin-1" else f"naïve: {more}"
    text = text.replace("ï", "i") if encoding == "shift-jis" else text
    side = side_file(f"{text}\nkey {SECRET}\n".encode(encoding), "")
    assert without_secrets(side, Redactor(), "").read() == f"{text}\nkey [REDACTED]\n".encode(encoding)


def test_a_long_text_is_cut_at_the_ends_of_lines(monkeypatch):
    """A secret is found wherever it is; a line that never ends is cut between members, or where it must be."""
    monkeypatch.setattr(safe_content, "MOST_AT_ONCE", 500)
    monkeypatch.setattr("inferencereplay.recording.side_file.BLOCK", 300)
    line = f'{{"text": "é", "key": "{SECRET}"}}\n'
    safe = without_secrets(side_file((line * 30).encode(), ""), Redactor(), "application/jsonl")
    assert safe.read().decode() == line.replace(SECRET, "[REDACTED]") * 30
    assert safe.ending.endswith(".jsonl")
    member = f'"text":"one two","key":"{SECRET}",'
    safe = without_secrets(side_file((member * 30).encode(), ""), Redactor(), "application/json")
    assert safe.read().decode() == member.replace(SECRET, "[REDACTED]") * 30
    long = side_file(b"x" * 2_000, "")
    assert without_secrets(long, Redactor(), "") is long


def test_what_is_clean_is_neither_copied_nor_searched_twice(monkeypatch):
    """A content is copied from the first secret on, and what stands before that as it is."""
    monkeypatch.setattr(safe_content, "MOST_AT_ONCE", 500)
    monkeypatch.setattr("inferencereplay.recording.side_file.BLOCK", 300)
    searched, text = [], Redactor.text

    def note(redactor, given):
        searched.append(given)
        return text(redactor, given)

    clean = "".join(f"line {number}\n" for number in range(200))
    monkeypatch.setattr(Redactor, "text", note)
    monkeypatch.setattr(safe_content, "HashedFile", None)
    side = side_file(clean.encode(), "text/plain")
    assert without_secrets(side, Redactor(), "text/plain") is side
    assert "".join(searched) == clean
    monkeypatch.undo()
    monkeypatch.setattr(safe_content, "MOST_AT_ONCE", 500)
    monkeypatch.setattr("inferencereplay.recording.side_file.BLOCK", 300)
    monkeypatch.setattr(Redactor, "text", note)
    searched.clear()
    safe = without_secrets(side_file(f"{clean}key {SECRET}\n{clean}".encode(), ""), Redactor(), "text/plain")
    assert safe.read().decode() == f"{clean}key [REDACTED]\n{clean}"
    assert searched.count(searched[0]) == 1
