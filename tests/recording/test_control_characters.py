"""Control characters made visible in text of others."""

from __future__ import annotations

import json
import sys
import unicodedata
from urllib.parse import quote

import pytest
from conftest import ASK

from inferencereplay import IncompleteRecording, RecordingCorrupt, RecordingNotFound, Session, replay
from inferencereplay.catalogue.entries import Catalogue
from inferencereplay.recording.control_characters import visible, visible_lines
from inferencereplay.redaction.redactor import Redactor
from inferencereplay.upkeep.checking import check
from inferencereplay.upkeep.rekeying import rekey

FORGED = "ok\nERROR forged\r\x1b[2J\x9b1m\x7f\u202egnp.exe\u2066\u2028x\ud800"


def test_control_characters_become_escapes():
    """A server's text can neither forge a line of a log nor steer a terminal nor turn letters round."""
    safe = r"ok\nERROR forged\r\x1b[2J\x9b1m\x7f\u202egnp.exe\u2066\u2028x\ud800"
    assert visible(FORGED) == safe
    assert visible_lines(FORGED) == safe.replace(r"\n", "\n")
    assert visible(safe) is safe


@pytest.mark.parametrize("make", [visible, visible_lines])
def test_other_characters_stay(make):
    """Letters of every script, signs and emoji; what remains is printable, but for the breaks of a message's lines."""
    text = "Straße naïve 日本語 עברית 👩‍🔬 → … “x”"
    assert make(text) is text
    kept = make("".join(map(chr, range(0x3000)))).replace("\n", "")
    assert {unicodedata.category(sign) for sign in kept} & {"Cc", "Zl", "Zp", "Cs"} == set()
    assert not set("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069") & set(kept)
    assert make("\ud800" + chr(sys.maxunicode)) == "\\ud800" + chr(sys.maxunicode)


def _controls(text):
    return {sign for sign in text if unicodedata.category(sign) in {"Cc", "Zl", "Zp"} or sign in "\u202e\u2066"}


@pytest.mark.parametrize("name", ["content", FORGED[:-1]])
def test_a_miss_shows_no_control_characters(client, tmp_path, monkeypatch, name):
    """Neither those of a recording nor of a request, a path, a directory or the command line."""
    folder = tmp_path / "a\x1b[2J\nERROR forged"
    with replay(folder, mode="record"):
        client.chat.completions.create(**ASK, extra_body={name: FORGED[:-1]}, seed=1)
        client.post(f"/chat/completions/{quote(FORGED[:-1])}", cast_to=object, body={"stream": False})
    monkeypatch.setattr(sys, "orig_argv", ["python", FORGED])
    for call in (
        lambda: client.chat.completions.create(**ASK, extra_body={name: "\x9b0m \u202e"}, seed=[FORGED[:-1]]),
        lambda: client.post(f"/chat/completions/{quote(FORGED[:-1])}", cast_to=object, body={"stream": None}),
    ):
        with pytest.raises(RecordingNotFound) as caught, replay(folder):
            call()
        assert _controls(str(caught.value)) == {"\n"}
        assert "\nERROR" not in str(caught.value)
        assert _controls("".join(caught.value.differences)) == set()


@pytest.mark.parametrize("member", ["key", "end"])
def test_an_unusable_recording_shows_no_control_characters(client, tmp_path, member):
    """Neither those of its content nor of its path."""
    folder = tmp_path / "a\x1b[2J\nERROR forged"
    with replay(folder, mode="record"):
        client.chat.completions.create(**ASK)
    (file,) = folder.rglob("*.json")
    data = json.loads(file.read_text())
    (data if member == "key" else data["response"])[member] = "\x1b\x9b\n\u202e"
    file.write_text(json.dumps(data))
    with pytest.raises(RecordingCorrupt) as caught, replay(folder):
        client.chat.completions.create(**ASK)
    assert _controls(str(caught.value)) == set()
    assert caught.value.path == str(file)


def test_an_incomplete_recording_shows_no_control_characters(client, tmp_path):
    """Its path is a text of others, too."""
    folder = tmp_path / "a\x1b[2J\nERROR forged"
    with replay(folder, mode="record"), client.chat.completions.create(**ASK, stream=True) as stream:
        next(stream)
    with pytest.raises(IncompleteRecording) as caught, replay(folder):
        list(client.chat.completions.create(**ASK, stream=True))
    assert _controls(str(caught.value)) == set()


def test_upkeep_shows_no_control_characters(client, tmp_path):
    """`check` and `rekey` name files as others named them."""
    with replay(tmp_path, mode="record"):
        client.chat.completions.create(**ASK)
    (file,) = tmp_path.rglob("*.json")
    folder = tmp_path / "a\x1b[2J\nERROR forged\u202e"
    folder.mkdir()
    (folder / f"{file.stem}~3.json").write_bytes(file.read_bytes())
    (folder / f"{'0' * 32}.json").write_bytes(b"{")
    catalogue = Catalogue(tmp_path)
    problems = [problem for _, found in check(catalogue, Redactor()) for problem in found]
    assert {problem.kind for problem in problems} == {"key", "unreadable", "gap"}
    assert _controls("".join(problem.message for problem in problems)) == set()
    moves = list(rekey(catalogue, Session(tmp_path, mode="record"), is_dry=True))
    assert [move for move in moves if move.problem]
    assert _controls("".join(move.problem for move in moves)) == set()
