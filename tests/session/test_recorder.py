"""What becomes of a call that goes to the network: secrets that turn up late, numbers that are given back."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from inferencereplay import Session
from inferencereplay.recording.format import Failure, Provenance, Response
from inferencereplay.recording.request import Request, canonical_json
from inferencereplay.session.recorder import PendingRecording

SECRET = "hunter-abcdefgh-0001"


@pytest.fixture
def session(tmp_path):
    return Session(tmp_path / "kept", mode="record-if-missing")


def asked(said="hi", path="/chat/completions"):
    return Request("POST", path, canonical_json({"said": said}), {})


def learned(pending, *secrets):
    pending.learn(secrets)
    return pending


def names(session):
    return [name for name in session.store.list() if not name.startswith(".")]


def test_a_secret_that_holds_another_is_taken_out_first(session):
    """Otherwise its end would be left, and be known."""
    take = learned(session.begin(session.call(asked())), SECRET[:12], SECRET, SECRET[:15])
    assert take.redactor.text(f"it is {SECRET}.") == "it is [REDACTED]."
    assert SECRET not in repr(take) + repr(take.redactor)


def test_an_answer_by_hand_is_kept_without_a_call_of_its_own(session):
    """The call is noted as a stub's; its secrets are hidden in the file alike."""
    take = learned(PendingRecording(session.recorder, session.call(asked())), SECRET)
    assert not take.keep(Response(text=f"it is {SECRET}"))
    assert session.calls == ()
    assert SECRET not in (Path(session.store.directory) / names(session)[0]).read_text()


@pytest.mark.parametrize("error", [OSError(5, SECRET), RuntimeError(SECRET), RecursionError()])
@pytest.mark.parametrize("place", ["add", "encode"])
def test_no_failure_is_raised_and_none_tells_a_secret(session, monkeypatch, caplog, error, place):
    """Whatever goes wrong while an answer is kept is one warning, and the call's number is free again."""

    def fail(*_, **__):
        raise error

    if place == "add":
        monkeypatch.setattr(session.store, "add", fail)
    else:
        monkeypatch.setattr("inferencereplay.recording.format.encode", fail)
    take = learned(session.begin(session.call(asked(path=f"/models/{SECRET}"))), SECRET)
    caplog.set_level(logging.DEBUG, "inferencereplay")
    assert SECRET not in take.keep(Response(text="hello"))
    (told,) = caplog.records
    assert "/models/[REDACTED] was not recorded" in told.getMessage()
    assert SECRET not in told.getMessage()
    assert session.recorded == 0
    assert not session.recorder.variants.has_pending()
    monkeypatch.undo()
    assert not session.begin(session.call(asked())).keep(Response(text="hello"))


def test_a_secret_that_turns_up_late_leaves_no_number_behind(session):
    """The call is numbered anew under the key that it has without it, and nothing is under way any more."""
    take = learned(session.begin(session.call(asked(SECRET))), SECRET)
    assert not take.keep(Response(text="hello"))
    assert not session.recorder.variants.has_pending()
    assert len(names(session)) == 1
    assert SECRET not in (session.store.get("/chat/completions", take.request.key, 1) or b"").decode()


def test_a_secret_in_the_base_url_is_found_in_any_spelling(session):
    """A URL may write a letter as its number."""
    origin = Provenance(base_url="http://h/hunter-%61bcdefgh-0001/v1")
    take = session.begin(session.call(asked(), lambda: (SECRET,), lambda: origin))
    take.keep(Response(text="hello"))
    data = session.store.get("/chat/completions", take.key, 1)
    assert b'"base_url": "http://h/[REDACTED]/v1"' in data


def test_what_was_stored_openly_goes_also_where_the_redacted_recording_stood_before(tmp_path):
    """The answer is not needed then, and the open one holds the secret."""

    def keep(*secrets):
        session = Session(tmp_path / "kept", mode="record-if-missing")
        take = session.begin(session.call(asked(SECRET), lambda: secrets))
        return session, take.keep(Response(text="hello"))

    keep(SECRET)
    session, _ = keep()
    assert len(names(session)) == 2
    session, reason = keep(SECRET)
    assert reason == "a recording with precedence already exists"
    (name,) = names(session)
    assert SECRET not in (tmp_path / "kept" / name).read_text()


def test_a_connection_that_broke_gives_its_number_back(session):
    """The next answer is the first one."""
    first = session.begin(session.call(asked()))
    assert first.keep(Response(text="hel", failure=Failure("ReadError"))) == "its connection broke"
    assert not session.recorder.variants.has_pending()
    session.begin(session.call(asked())).keep(Response(text="hello"))
    assert [name.rpartition("/")[2] for name in names(session)] == [f"{first.key[:32]}.json"]
